/* vm EVENTS BATCH KIND
 *
 * Events through one plugin on one thread, from text to text, BATCH of them under way at a time (a
 * batch ends when all its events have): `simple` replaces the properties, `for2k` counts to 2,000,
 * `timeout100ms` awaits a timer of 100 ms. Prints one JSON line. */
#include "base/clock.h"
#include "bench/plugin_aid.h"

#include <stdlib.h>

static const struct {
    const char *name, *source;
} kinds[] = {
    {"simple", "function processEvent(e){e.properties={processed:'hell yes'};return e}"},
    {"for2k", "function processEvent(e){let i=0;while(i<2000)i++;"
              "e.properties={processed:i};return e}"},
    {"timeout100ms", "async function processEvent(e){await new Promise(r=>setTimeout(r,100));"
                     "e.properties={processed:'hell yes'};return e}"},
};

struct flight {
    struct plugin_event event; /* first */
    struct event_envelope envelope;
    struct json_doc doc;
    struct batch *batch;
};

struct batch {
    struct flight *flights;
    size_t size, done;
    struct buf text;
    struct mpsc inbox;
};

static bool read_doc(struct plugin_event *e)
{
    struct json_read_options opt = {.lenient = true};
    struct err err = ERR_INIT;

    return json_doc_read(slice_cstr(event_json), &opt, e->doc, &err);
}

static void finish(struct plugin_event *e, enum plugin_verdict verdict)
{
    struct flight *f = (struct flight *)e;

    CHECK(verdict == PLUGIN_NEXT);
    buf_clear(&f->batch->text);
    CHECK(json_value_write(f->doc.root, &f->batch->text));
    CHECK(f->batch->text.len < sizeof(event_json)); /* the properties are other ones */
    plugin_event_release(e);
    json_doc_free(&f->doc);
    f->batch->done++;
}

static void begin(struct plugin_worker *w, struct flight *f, struct batch *b)
{
    f->batch = b;
    f->envelope =
        (struct event_envelope){.team_id = 1,
                                .distinct_id = SLICE("018a981f-4b2d-78ae-947d-b48bb0f02b88"),
                                .ip = SLICE("203.0.113.7"),
                                .now_us = 1694769302325000};
    f->event = (struct plugin_event){
        .envelope = &f->envelope, .doc = &f->doc, .reload = read_doc, .done = finish};
    CHECK(read_doc(&f->event));
    enum plugin_verdict verdict = plugin_worker_run(w, &f->event);
    if (verdict != PLUGIN_LATER)
        finish(&f->event, verdict);
}

static void run_batch(struct plugin_worker *w, struct batch *b)
{
    b->done = 0;
    for (size_t i = 0; i < b->size; i++)
        begin(w, &b->flights[i], b);
    plugin_worker_turn(w);
    while (b->done < b->size) {
        int64_t left = plugin_worker_due_us(w) - clock_mono_us();

        if (left > 0)
            mpsc_wait(&b->inbox, left);
        plugin_worker_turn(w);
    }
}

static void wake(void *batch)
{
    mpsc_kick(&((struct batch *)batch)->inbox);
}

int main(int argc, char **argv)
{
    uint64_t events = argc > 3 ? strtoull(argv[1], NULL, 10) : 0;
    struct batch b = {.size = argc > 3 ? strtoull(argv[2], NULL, 10) : 0,
                      .text = BUF_INIT((size_t)1 << 20)};
    size_t kind = 0;

    while (argc > 3 && kind < ARRAY_LEN(kinds) && strcmp(kinds[kind].name, argv[3]) != 0)
        kind++;
    if (argc < 4 || kind == ARRAY_LEN(kinds) || !events || !b.size) {
        (void)fprintf(stderr, "usage: vm EVENTS BATCH simple|for2k|timeout100ms\n");
        return 2;
    }
    b.flights = mem_new_array(struct flight, b.size);
    mpsc_init(&b.inbox, "bench", NULL, NULL);
    struct plugins *p = plugins_with(kinds[kind].source);
    struct plugin_worker *w = plugin_worker_new(p, 0, wake, &b);
    run_batch(w, &b); /* loads the plugin */
    double cpu = cpu_us();
    int64_t began = clock_mono_us();
    for (uint64_t i = 0; i < events; i += b.size)
        run_batch(w, &b);
    double wall = (double)(clock_mono_us() - began);
    cpu = cpu_us() - cpu;
    events = (events + b.size - 1) / b.size * b.size;
    printf("{\"bench\":\"vm\",\"kind\":\"%s\",\"batch\":%zu,\"events\":%llu,\"seconds\":%.3f,"
           "\"events_per_s\":%.0f,\"us\":%.3f}\n",
           kinds[kind].name, b.size, (unsigned long long)events, wall / 1e6,
           (double)events * 1e6 / wall, cpu / (double)events);
    plugin_worker_stop(w, 0);
    plugin_worker_free(w);
    plugins_free(p);
    mpsc_fini(&b.inbox);
    mem_free(b.flights);
    buf_free(&b.text);
    return 0;
}
