/* value_bridge [EVENTS [SCRIPT]]
 *
 * What it costs to hand an event of a browser (about 700 bytes, 20 properties) to a script and to
 * take it back, stage by stage, for a script that sets two properties and for one that rewrites all
 * of them. Beside it the plain way: JSON.parse of the text, JSON.stringify of the result. Processor
 * time of one thread in ns; prints one JSON line per script. */
#include "base/mem.h"
#include "plugin/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define ROUNDS 5

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
} scripts[] = {
    {"look", "(event) => { event.properties.price; return event }"},
    {"set2", "(event) => { event.properties.a = 1; event.properties.b = 'x'; return event }"},
    {"rewrite", "(event) => { for (const [k, v] of Object.entries(event.properties)) "
                "event.properties[k] = typeof v === 'string' ? v.toLowerCase() : v; "
                "return event }"},
};

/* Stages of one event. A run stops behind `last`, so that a stage's price is a difference. */
enum stage { STAGE_NEW, STAGE_CALL, STAGE_READ, STAGE_COUNT };

struct bench {
    JSRuntime *rt;
    JSContext *ctx;
    JSValue script;
    struct json_doc doc;
    struct event_envelope envelope;
    struct buf text;
};

static double cpu_ns(void)
{
    struct rusage u;

    CHECK(getrusage(RUSAGE_SELF, &u) == 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
}

static JSValue eval(JSContext *ctx, const char *source)
{
    JSValue value = JS_Eval(ctx, source, strlen(source), "bench.js", JS_EVAL_TYPE_GLOBAL);

    CHECK(!JS_IsException(value));
    return value;
}

static void run_bridge(struct bench *b, enum stage last)
{
    struct event_object *o = event_object_new(b->ctx, &b->envelope, b->doc.root);
    JSValueConst argument = event_object_value(o);
    struct err err = ERR_INIT;
    struct event_head head;
    bool is_copy;

    if (last >= STAGE_CALL) {
        JSValue result = JS_Call(b->ctx, b->script, JS_UNDEFINED, 1, &argument);

        CHECK(!JS_IsException(result));
        if (last >= STAGE_READ)
            CHECK(event_object_read(o, result, (size_t)1 << 20, &b->text, &head, &is_copy, &err) !=
                  EVENT_FAILED);
        JS_FreeValue(b->ctx, result);
    }
    event_object_end(o);
}

static void run_plain(struct bench *b)
{
    JSValue event = JS_ParseJSON(b->ctx, event_json, sizeof(event_json) - 1, "event");
    JSValue result = JS_Call(b->ctx, b->script, JS_UNDEFINED, 1, &event);
    JSValue json = JS_JSONStringify(b->ctx, result, JS_UNDEFINED, JS_UNDEFINED);
    size_t len;
    const char *text = JS_ToCStringLen(b->ctx, &len, json);

    CHECK(text);
    buf_clear(&b->text);
    buf_add(&b->text, text, len);
    JS_FreeCString(b->ctx, text);
    JS_FreeValue(b->ctx, json);
    JS_FreeValue(b->ctx, result);
    JS_FreeValue(b->ctx, event);
}

/* The best of some rounds: what other programs take away is not ours. `last` STAGE_COUNT: the plain
 * way. */
static double measure(struct bench *b, uint64_t events, enum stage last)
{
    double best = 1e18;

    for (int round = 0; round < ROUNDS; round++) {
        double before = cpu_ns();

        for (uint64_t i = 0; i < events / ROUNDS; i++) {
            if (last == STAGE_COUNT)
                run_plain(b);
            else
                run_bridge(b, last);
        }
        best = MIN(best, (cpu_ns() - before) / ((double)events / ROUNDS));
    }
    return best;
}

static void bench_init(struct bench *b)
{
    struct err err = ERR_INIT;

    *b = (struct bench){.text = BUF_INIT((size_t)2 << 20)};
    b->envelope = (struct event_envelope){
        .team_id = 2,
        .distinct_id = SLICE("018a981f-4b2d-78ae-947d-b48bb0f02b88"),
        .ip = SLICE("203.0.113.7"),
        .now_us = 1700000000123000,
        .sent_at_us = 1700000000000000,
        .has_sent_at = true,
    };
    b->rt = JS_NewRuntime();
    CHECK(value_runtime_init(b->rt, &err));
    b->ctx = JS_NewContext(b->rt);
    CHECK(value_context_init(b->ctx, &err));
    CHECK(json_doc_read(slice_cstr(event_json), &(struct json_read_options){.lenient = true},
                        &b->doc, &err));
}

static void bench_fini(struct bench *b)
{
    json_doc_free(&b->doc);
    value_context_fini(b->ctx);
    JS_FreeContext(b->ctx);
    JS_FreeRuntime(b->rt);
    buf_free(&b->text);
}

int main(int argc, char **argv)
{
    uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : 500000;
    struct bench b;

    bench_init(&b);
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        double made, called, read, plain;

        if (argc > 2 && strcmp(argv[2], scripts[i].name) != 0)
            continue;
        b.script = eval(b.ctx, scripts[i].source);
        made = measure(&b, events, STAGE_NEW);
        called = measure(&b, events, STAGE_CALL);
        read = measure(&b, events, STAGE_READ);
        plain = measure(&b, events / 4, STAGE_COUNT);
        JS_FreeValue(b.ctx, b.script);
        (void)printf("{\"script\":\"%s\",\"new_end_ns\":%.0f,\"call_ns\":%.0f,\"read_ns\":%.0f,"
                     "\"total_ns\":%.0f,\"plain_ns\":%.0f}\n",
                     scripts[i].name, made, called - made, read - called, read, plain);
    }
    bench_fini(&b);
    return 0;
}
