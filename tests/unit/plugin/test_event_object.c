#include "value_aid.h"

#define DATA                                                                           \
    "{\"event\":\"e\",\"properties\":{\"a\":1,\"b\":\"x\",\"n\":{\"q\":[1,{\"r\":2}]," \
    "\"big\":9007199254740993}},\"timestamp\":\"t\"}"

/* --- what a plugin sees ----------------------------------------------------------------------- */

static void test_head(void **state)
{
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    value_aid_expect(&a, "{\"event\":\"e\",\"2\":1,\"ip\":\"own\",\"properties\":{}}",
                     "globalThis.seen = JSON.stringify(event); return event", NULL);
    value_aid_true(&a,
                   "seen === '{\"2\":1,\"event\":\"e\",\"ip\":\"203.0.113.7\",\"properties\":{},"
                   "\"uuid\":\"018a981f-4b2d-78ae-947d-b48bb0f02b88\",\"distinct_id\":\"user-1\","
                   "\"site_url\":null,\"team_id\":2,\"now\":\"2023-11-14T22:13:20.123Z\","
                   "\"sent_at\":\"2023-11-14T22:13:21.000Z\"}' || seen");
    a.envelope.has_sent_at = false;
    a.envelope.ip = SLICE_NONE;
    value_aid_expect(&a, "{\"event\":\"e\"}",
                     "globalThis.seen = 'sent_at' in event || event.ip !== null || "
                     "event.properties !== undefined; return event",
                     NULL);
    value_aid_true(&a, "seen === false");
    value_aid_expect(&a, "{\"sent_at\":\"mine\"}", "globalThis.seen = event.sent_at; return event",
                     NULL);
    value_aid_true(&a, "seen === 'mine'");
    value_aid_fini(&a);
}

/* --- what comes back -------------------------------------------------------------------------- */

static void test_same(void **state)
{
    static const char *const bodies[] = {
        "return event",
        "event.event; event.properties.a; event.properties.zz; event.ip; return event",
        "event.properties.n.q[1].r; return event",
        "Object.keys(event); Object.keys(event.properties); return event",
        "JSON.stringify(event); return event",
        "({...event}); ({...event.properties}); return event",
        "event.properties.a = 1; event.event = 'e' && event.event; return event",
        "for (const k in event.properties.n) event.properties.n[k]; return event",
        "event.properties.a = 2; event.properties.a = 1; return event",
        "event.x = 1; delete event.x; event.properties.x = 1; delete event.properties.x; "
        "return event",
        "event.properties.n.z = 1; delete event.properties.n.z; return event",
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        value_aid_expect(&a, DATA, bodies[i], NULL);
    value_aid_expect(&a, "{\"b\":1,\"1\":2,\"b\":3,\"properties\":{\"x\":1,\"7\":1,\"x\":2}}",
                     "event.b; Object.keys(event); Object.keys(event.properties); return event",
                     NULL);
    value_aid_fini(&a);
}

static void test_changed(void **state)
{
    static const struct {
        const char *body, *expected;
    } t[] = {
        {"event.properties.a = 2; event.properties.c = null; return event",
         "{\"event\":\"e\",\"properties\":{\"a\":2,\"b\":\"x\",\"n\":{\"q\":[1,{\"r\":2}],\"big\":"
         "9007199254740993},\"c\":null},\"timestamp\":\"t\"}"},
        {"delete event.properties.n; delete event.timestamp; return event",
         "{\"event\":\"e\",\"properties\":{\"a\":1,\"b\":\"x\"}}"},
        {"delete event.properties.a; event.properties.a = 1; delete event.properties.n; "
         "return event",
         "{\"event\":\"e\",\"properties\":{\"b\":\"x\",\"a\":1},\"timestamp\":\"t\"}"},
        {"event.properties.n.q.push(3); return event",
         "{\"event\":\"e\",\"properties\":{\"a\":1,\"b\":\"x\",\"n\":{\"q\":[1,{\"r\":2},3],"
         "\"big\":"
         "9007199254740993}},\"timestamp\":\"t\"}"},
        {"event.properties = {m: event.properties.n, a: undefined, f() {}, s: Symbol(), d: new "
         "Date(0), l: [undefined, () => 1, NaN, -Infinity, -0]}; return event",
         "{\"event\":\"e\",\"properties\":{\"m\":{\"q\":[1,{\"r\":2}],\"big\":9007199254740993},"
         "\"d\":{},\"l\":[null,null,null,null,0]},\"timestamp\":\"t\"}"},
        {"return {...event, properties: {...event.properties, n: 1}}",
         "{\"event\":\"e\",\"properties\":{\"a\":1,\"b\":\"x\",\"n\":1},\"timestamp\":\"t\"}"},
        {"return {...event, properties: {...event.properties, a: 0}}",
         "{\"event\":\"e\",\"properties\":{\"a\":0,\"b\":\"x\",\"n\":{\"q\":[1,{\"r\":2}],\"big\":"
         "9007199254740993}},\"timestamp\":\"t\"}"},
        {"Object.defineProperty(event, 'event', {get() { return 'got' }, enumerable: true}); "
         "event.properties = {toJSON() { return 1 }, s: 'a\\ud800\\u0000'}; return event",
         "{\"event\":\"got\",\"properties\":{\"s\":\"a\xef\xbf\xbd\\u0000\"},\"timestamp\":\"t\"}"},
        {"event.properties = Object.create({no: 1}, {no2: {value: 1}}); event[3] = 1; "
         "return event",
         "{\"3\":1,\"event\":\"e\",\"properties\":{},\"timestamp\":\"t\"}"},
        {"delete event.event; delete event.timestamp; event.properties = 1e21; return event",
         "{\"properties\":1e+21}"},
        {"delete event.timestamp; event.properties = event; delete event.properties; return event",
         "{\"event\":\"e\"}"},
        {"event.properties = 1; return {a: 1, uuid: 'x', event}",
         "{\"a\":1,\"event\":{\"event\":\"e\",\"properties\":1,\"timestamp\":\"t\",\"uuid\":"
         "\"018a981f-4b2d-78ae-947d-b48bb0f02b88\",\"distinct_id\":\"user-1\",\"ip\":\"203.0.113."
         "7\",\"site_url\":null,\"team_id\":2,\"now\":\"2023-11-14T22:13:20.123Z\",\"sent_at\":"
         "\"2023-11-14T22:13:21.000Z\"}}"},
        {"event.properties = new Proxy({a: [1]}, {}); return new Proxy(event, {})",
         "{\"event\":\"e\",\"properties\":{\"a\":[1]},\"timestamp\":\"t\"}"},
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        value_aid_expect(&a, DATA, t[i].body, t[i].expected);
    value_aid_fini(&a);
}

/* Members of the envelope are written only where the data had them. */
static void test_head_in_data(void **state)
{
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    value_aid_expect(&a, "{\"distinct_id\":\"data\",\"x\":1}", "event.x = 2; return event",
                     "{\"distinct_id\":\"data\",\"x\":2}");
    value_aid_expect(&a, "{\"distinct_id\":\"data\",\"x\":1}",
                     "event.distinct_id = 'new'; event.ip = '::1'; return event",
                     "{\"distinct_id\":\"new\",\"x\":1}");
    value_aid_expect(&a, "{\"distinct_id\":\"data\",\"x\":1}",
                     "delete event.distinct_id; delete event.uuid; event.uuid = '1'; return event",
                     "{\"x\":1}");
    value_aid_fini(&a);
}

static void expect_head(struct value_aid *a, const char *body, const char *distinct_id,
                        const char *ip, const char *site_url, bool has_team_id_changed)
{
    assert_int_equal(value_aid_process(a, DATA, body), EVENT_CHANGED);
    if (!slice_eq(a->head.distinct_id, slice_cstr(distinct_id)) ||
        !slice_eq(a->head.ip, slice_cstr(ip)) || !slice_eq(a->head.site_url, slice_cstr(site_url)))
        fail_msg("%s: %.*s %.*s %.*s", body, SLICE_ARG(a->head.distinct_id), SLICE_ARG(a->head.ip),
                 SLICE_ARG(a->head.site_url));
    assert_int_equal(a->head.has_team_id_changed, has_team_id_changed);
}

static void test_head_taken_back(void **state)
{
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    expect_head(&a, "event.x = 1; return event", "user-1", "203.0.113.7", "", false);
    expect_head(&a, "event.ip = null; return event", "user-1", "", "", false);
    expect_head(&a, "delete event.ip; return event", "user-1", "", "", false);
    expect_head(&a, "event.ip = {}; return event", "user-1", "203.0.113.7", "", false);
    expect_head(&a, "event.distinct_id = 'u2'; event.site_url = 'https://x'; return event", "u2",
                "203.0.113.7", "https://x", false);
    expect_head(&a, "event.distinct_id = 42; return event", "42", "203.0.113.7", "", false);
    expect_head(&a, "event.distinct_id = ''; return event", "user-1", "203.0.113.7", "", false);
    expect_head(&a, "event.distinct_id = 'x'.repeat(201); return event", "user-1", "203.0.113.7",
                "", false);
    expect_head(&a, "event.distinct_id = 'x\\ud800'; return event", "x\xef\xbf\xbd", "203.0.113.7",
                "", false);
    expect_head(&a, "event.team_id = 3; return event", "user-1", "203.0.113.7", "", true);
    expect_head(&a, "event.team_id = '2'; return event", "user-1", "203.0.113.7", "", true);
    expect_head(&a, "return {...event}", "user-1", "203.0.113.7", "", false);
    expect_head(&a, "return {distinct_id: 'u3'}", "u3", "", "", true);
    expect_head(&a, "Object.prototype.ip = '1.1.1.1'; const r = {team_id: 2}; return r", "user-1",
                "", "", false);
    value_aid_fini(&a);
}

static void test_times_taken_back(void **state)
{
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    assert_int_equal(value_aid_process(&a, DATA,
                                       "event.now = '2020-01-01T00:00:00Z'; event.sent_at = 'x'; "
                                       "event.uuid = 'no'; return event"),
                     EVENT_CHANGED);
    assert_int_equal(a.head.now_us, INT64_C(1577836800000000));
    assert_int_equal(a.head.sent_at_us, a.envelope.sent_at_us);
    assert_true(a.head.has_sent_at);
    assert_true(uuid_eq(&a.head.uuid, &a.envelope.uuid));
    assert_int_equal(value_aid_process(&a, DATA,
                                       "event.now = 7; delete event.sent_at; event.uuid = "
                                       "'00000000-0000-0000-0000-000000000001'; return event"),
                     EVENT_CHANGED);
    assert_int_equal(a.head.now_us, a.envelope.now_us);
    assert_false(a.head.has_sent_at);
    assert_int_equal(a.head.uuid.b[15], 1);
    a.envelope.has_sent_at = false;
    assert_int_equal(
        value_aid_process(&a, DATA, "event.sent_at = '2020-01-01T00:00:00Z'; return event"),
        EVENT_CHANGED);
    assert_true(a.head.has_sent_at);
    assert_int_equal(a.head.sent_at_us, INT64_C(1577836800000000));
    value_aid_fini(&a);
}

static void test_failed(void **state)
{
    static const struct {
        const char *body, *error;
        enum err_code code;
    } t[] = {
        {"return 1", "not an event", ERR_INPUT},
        {"return [event]", "not an event", ERR_INPUT},
        {"return 'x'", "not an event", ERR_INPUT},
        {"return () => event", "not an event", ERR_INPUT},
        {"event.properties.self = event; return event", "cyclic or deeper than 100", ERR_LIMIT},
        {"event.properties.self = event.properties; return event", "cyclic or deeper", ERR_LIMIT},
        {"let o = {}; for (let i = 0; i < 99; i++) o = {o}; event.o = o; return event",
         "cyclic or deeper", ERR_LIMIT},
        {"event.properties.big = 1n; return event", "BigInt", ERR_INPUT},
        {"event.properties.big = 2n ** 90n; return event", "BigInt", ERR_INPUT},
        {"event.x = {get a() { throw new Error('no') }}; return event", "threw", ERR_INPUT},
        {"return new Proxy({}, {ownKeys() { throw 1 }})", "threw", ERR_INPUT},
        {"const r = Proxy.revocable({}, {}); r.revoke(); event.x = r.proxy; return event", "threw",
         ERR_INPUT},
        {"const r = Proxy.revocable({}, {}); r.revoke(); return r.proxy", "threw", ERR_INPUT},
        {"event.x = 'y'.repeat(2 ** 20); return event", "larger than 1048576", ERR_LIMIT},
        {"event.x = new Array(2 ** 32 - 1); return event", "larger than", ERR_LIMIT},
        {"event.x = []; event.x.length = 400000; return event", "larger than", ERR_LIMIT},
        {"event.x = {__proto__: Array.prototype, length: 1e9}; "
         "event.y = new Proxy([], {get(t, k) { return k === 'length' ? 1e15 : 1 }}); return event",
         "larger than", ERR_LIMIT},
        {"const o = {}; for (let i = 0; i < 1000; i++) o[i] = undefined; event.x = "
         "new Array(2000).fill(o); return event",
         "larger than", ERR_LIMIT},
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        a.err = (struct err)ERR_INIT;
        if (value_aid_process(&a, DATA, t[i].body) != EVENT_FAILED ||
            !strstr(a.err.text, t[i].error) || a.err.code != t[i].code)
            fail_msg("%s: %d %s", t[i].body, a.err.code, a.err.text);
    }
    /* 98 levels below the data and its member: exactly the limit. */
    assert_int_equal(value_aid_process(&a, DATA,
                                       "let o = {}; for (let i = 0; i < 98; i++) o = {o}; "
                                       "event.o = o; return event"),
                     EVENT_CHANGED);
    value_aid_fini(&a);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void test_exact_numbers(void **state)
{
    static const char data[] =
        "{\"i\":18446744073709551615,\"properties\":{\"k\":-9007199254740993,"
        "\"l\":[9007199254740993,{\"m\":1e400,\"n\":2.50}],\"o\":1}}";
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    value_aid_expect(&a, data,
                     "event.i; event.properties.k; event.properties.l[1].n; "
                     "JSON.stringify(event); return event",
                     NULL);
    value_aid_expect(&a, data, "event.properties.l[1].n = 3; event.properties.k += 0; return event",
                     "{\"i\":18446744073709551615,\"properties\":{\"k\":-9007199254740993,\"l\":["
                     "9007199254740993,{\"m\":null,\"n\":3}],\"o\":1}}");
    value_aid_expect(&a, data,
                     "const l = event.properties.l; delete event.properties.l; "
                     "delete event.properties.k; event.properties.o = {deep: [l]}; return event",
                     "{\"i\":18446744073709551615,\"properties\":{\"o\":{\"deep\":[["
                     "9007199254740993,{\"m\":null,\"n\":2.5}]]}}}");
    value_aid_expect(&a, data, "event.i = 2 ** 63; event.properties = {}; return event",
                     "{\"i\":9223372036854776000,\"properties\":{}}");
    value_aid_fini(&a);
}

/* --- life ------------------------------------------------------------------------------------- */

static void test_outlives(void **state)
{
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    value_aid_run(&a, "globalThis.kept = []");
    value_aid_expect(&a, DATA, "kept.push(event); return event", NULL);
    value_aid_expect(&a, DATA, "kept.push(event.properties); event.properties.a; return event",
                     NULL);
    value_aid_expect(&a, DATA, "kept.push(event.properties.n); return event", NULL);
    value_aid_process(&a, DATA,
                      "event.properties.self = event; event.properties.a = 5; "
                      "delete event.properties.b; kept.push(() => event.properties); return event");
    value_aid_end(&a);
    JS_RunGC(a.rt);
    value_aid_true(&a, "kept[0].properties.n.q[1].r === 2 && kept[0].now.length === 24 && "
                       "Object.keys(kept[0]).join() === 'event,properties,timestamp,uuid,"
                       "distinct_id,ip,site_url,team_id,now,sent_at'");
    value_aid_true(&a,
                   "JSON.stringify(kept[1]) === '{\"a\":1,\"b\":\"x\",\"n\":{\"q\":[1,{\"r\":2}]"
                   ",\"big\":9007199254740992}}'");
    value_aid_true(&a, "kept[2].q.length === 2");
    value_aid_true(&a, "Object.keys(kept[3]()).join() === 'a,n,self' && kept[3]().a === 5 && "
                       "kept[3]().self.properties === kept[3]()");
    value_aid_true(&a, "kept[0].properties.x = 1, delete kept[0].properties.a, "
                       "Object.keys(kept[0].properties).join() === 'b,n,x'");
    value_aid_fini(&a);
}

/* When memory is out while what lives on is filled, it is incomplete, but it is an object. */
static void test_outlives_without_memory(void **state)
{
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    value_aid_process(&a, DATA, "globalThis.kept = event; return event");
    JS_SetMemoryLimit(a.rt, 1);
    value_aid_end(&a);
    JS_SetMemoryLimit(a.rt, (size_t)64 << 20);
    value_aid_true(&a, "Object.keys(kept).length < 20");
    value_aid_fini(&a);
}

static void test_no_memory(void **state)
{
    struct value_aid a;
    struct json_doc doc;

    UNUSED(state);
    value_aid_init(&a);
    assert_true(json_doc_read(SLICE(DATA), &(struct json_read_options){0}, &doc, &a.err));
    JS_SetMemoryLimit(a.rt, 1);
    assert_null(event_object_new(a.ctx, &a.envelope, doc.root));
    JS_SetMemoryLimit(a.rt, (size_t)64 << 20);
    JS_FreeValue(a.ctx, JS_GetException(a.ctx));
    json_doc_free(&doc);
    value_aid_fini(&a);
}

/* Several events at once, as with plugins that wait; their structs are used again. */
static void test_many(void **state)
{
    struct event_object *objects[20];
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (int round = 0; round < 3; round++) {
        value_aid_open(&a, DATA);
        for (size_t i = 0; i < ARRAY_LEN(objects); i++)
            assert_non_null(objects[i] = event_object_new(a.ctx, &a.envelope, a.doc.root));
        for (size_t i = 0; i < ARRAY_LEN(objects); i++)
            event_object_end(objects[i]);
    }
    value_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_head_in_data),
        cmocka_unit_test(test_head_taken_back),
        cmocka_unit_test(test_times_taken_back),
        cmocka_unit_test(test_failed),
        cmocka_unit_test(test_exact_numbers),
        cmocka_unit_test(test_outlives),
        cmocka_unit_test(test_outlives_without_memory),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
