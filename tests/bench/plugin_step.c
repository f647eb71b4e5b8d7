/* plugin_step [EVENTS] [NAME]
 *
 * What the plugins of a team add to an event of a browser (about 700 bytes, 20 properties): from
 * the parsed event to the parsed event with the plugin's changes and the markers. Processor time of
 * one thread; the event's own parsing is taken off. Prints one JSON line per kind of plugin. */
#include "base/mem.h"
#include "plugin/plugin.h"
#include "plugin/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static const char event_json[] =
    "{\"event\":\"$pageview\",\"timestamp\":\"2023-09-15T09:15:02.325Z\",\"properties\":{\"$os\":"
    "\"Mac OS X\",\"$os_version\":\"10.15.7\",\"$browser\":\"Chrome\",\"$device_type\":\"Desktop\","
    "\"$browser_version\":116,\"$current_url\":\"https://shop.example.com/products/"
    "shoes?page=2&sort=price\",\"$host\":\"shop.example.com\",\"$pathname\":\"/products/shoes\","
    "\"$screen_height\":1117,\"$screen_width\":1728,\"$viewport_height\":968,\"$viewport_width\":"
    "1728,\"$lib\":\"web\",\"$lib_version\":\"1.78.5\",\"$insert_id\":\"8lb3ub0vpndbkf2k\","
    "\"$device_id\":\"018a981f-4b2d-78ae-947d-b48bb0f02b88\",\"$referrer\":\"$direct\","
    "\"$session_id\":\"018a981f-4c9a-72c6-988a-3ac97bdf7d92\",\"price\":299.99,\"title\":\"Shoes "
    "\\\"Run\\\" & more\"}}";

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

static void ignore_log(void *self, const struct plugin_log_entry *e)
{
    UNUSED(self);
    UNUSED(e);
}

static void no_storage(void *self, struct plugin_storage_call *call)
{
    UNUSED(self);
    call->done(call, true, NULL);
}

static void tell_error(void *self, int64_t config_id, const char *error_json)
{
    UNUSED(self);
    (void)fprintf(stderr, "config %lld: %s\n", (long long)config_id,
                  error_json ? error_json : "no error");
}

static void ignore_disable(void *self, int64_t config_id)
{
    UNUSED(self);
    UNUSED(config_id);
}

static const struct plugin_services services = {
    .log = ignore_log, .storage = no_storage, .error = tell_error, .disable = ignore_disable};

static double cpu_us(void)
{
    struct rusage u;

    CHECK(getrusage(RUSAGE_SELF, &u) == 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static struct plugins *plugins_with(const char *source)
{
    struct plugins_options opt = {
        .limits = {.memory_bytes = (size_t)64 << 20,
                   .stack_bytes = (size_t)1 << 20,
                   .run_us = 5000000,
                   .wait_us = 30000000,
                   .output_bytes = (size_t)16 << 20,
                   .awaiting = 4096,
                   .awaiting_per_team = 200,
                   .pending_promises = 100,
                   .cache_bytes = (size_t)1 << 20,
                   .log_message_units = 50000,
                   .circuit_failures = 3,
                   .circuit_us = 60000000},
        .services = &services,
        .task_timeout_s = 30,
    };
    struct plugins *p = plugins_new(&opt);
    struct plugin_set *set = plugin_set_new();
    struct plugin_state *state = plugins_state(p, 1);

    if (source)
        plugin_set_add(set, &(struct plugin_config){.id = 1,
                                                    .team_id = 1,
                                                    .plugin_name = "bench",
                                                    .is_enabled = true,
                                                    .source = slice_cstr(source),
                                                    .state = state});
    plugin_state_unref(state);
    plugin_set_seal(set);
    plugins_publish(p, set);
    return p;
}

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
