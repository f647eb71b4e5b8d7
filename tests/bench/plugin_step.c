/* plugin_step [EVENTS] [NAME]
 *
 * What the plugins of a team add to an event of a browser (about 700 bytes, 20 properties): from
 * the parsed event to the parsed event with the plugin's changes and the markers. Processor time of
 * one thread; the event's own parsing is taken off. Prints one JSON line per kind of plugin. */
#include "bench/plugin_aid.h"

#include <stdlib.h>

static const struct {
    const char *name, *source;
} kinds[] = {
    {"none", NULL},
    {"same", "function processEvent(e){return e}"},
    {"read", "function processEvent(e){if(e.properties.price>1)return e}"},
    {"set2", "function processEvent(e){e.properties.a=1;e.properties.b='two';return e}"},
    {"set2-async", "async function processEvent(e){e.properties.a=1;e.properties.b=2;return e}"},
    {"spread", "function processEvent(e){return{...e,properties:{...e.properties,a:1,b:2}}}"},
    {"replace", "function processEvent(e){e.properties={a:1,b:2};return e}"},
    {"for2k", "function processEvent(e){let n=0;for(let i=0;i<2000;i++)n++;"
              "e.properties.a=n;return e}"},
};

static double run(const char *source, uint64_t events)
{
    struct plugins *p = plugins_with(source);
    struct plugin_worker *w = plugin_worker_new(p, 0, NULL, NULL);
    struct json_read_options opt = {.lenient = true};
    struct event_envelope base = {.team_id = 1,
                                  .distinct_id = SLICE("018a981f-4b2d-78ae-947d-b48bb0f02b88"),
                                  .ip = SLICE("203.0.113.7"),
                                  .now_us = 1694769302325000};
    struct err err = ERR_INIT;
    double before = cpu_us();

    for (uint64_t i = 0; i < events; i++) {
        struct event_envelope envelope = base;
        struct json_doc doc = {0};
        struct plugin_event e = {.envelope = &envelope, .doc = &doc};

        CHECK(json_doc_read(slice_cstr(event_json), &opt, &doc, &err));
        CHECK(plugin_worker_run(w, &e) == PLUGIN_NEXT);
        CHECK((e.markers != NULL) == (source && !strstr(source, "return{")));
        plugin_event_release(&e);
        json_doc_free(&doc);
        if (i % 64 == 63)
            plugin_worker_turn(w);
    }
    before = cpu_us() - before;
    plugin_worker_stop(w, 0);
    plugin_worker_free(w);
    plugins_free(p);
    return before / (double)events;
}

int main(int argc, char **argv)
{
    uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : 300000;
    double parse_us = 0;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        bool is_slow = strcmp(kinds[i].name, "for2k") == 0;
        double us;

        if (i > 0 && argc > 2 && strcmp(argv[2], kinds[i].name) != 0)
            continue;
        us = run(kinds[i].source, is_slow ? events / 10 : events);
        if (i == 0)
            parse_us = us;
        printf("{\"bench\":\"plugin_step\",\"plugin\":\"%s\",\"us\":%.3f,\"events_per_s\":%.0f}\n",
               kinds[i].name, us - (i == 0 ? 0 : parse_us), 1e6 / (us - (i == 0 ? 0 : parse_us)));
    }
    return 0;
}
