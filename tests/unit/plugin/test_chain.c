/* The chain of an event: order, results, failures, what stays of the event. */
#include "chain_aid.h"

#define EVENT            "{\"event\":\"e\",\"properties\":{\"a\":1}}"
#define ADD(name, value) "function processEvent(e){e.properties." name "=" value ";return e}"
#define FAIL_TEXT        "function processEvent(e){e.properties.half=1;throw new TypeError('bad')}"

static void begin(struct chain_aid *a)
{
    chain_aid_init(a);
    chain_aid_start(a);
}

static void test_no_plugins(void **state)
{
    struct chain_aid a;
    struct event_aid v;

    UNUSED(state);
    begin(&a);
    event_aid_init(&v, EVENT);
    chain_aid_send(&a, &v);
    assert_int_equal(v.verdict, PLUGIN_NEXT);
    assert_null(v.e.markers);
    event_aid_fini(&v);
    chain_aid_publish(
        &a,
        &(struct plugin_config){.id = 1, .team_id = AID_TEAM + 1, .source = SLICE(ADD("b", "2"))},
        1);
    chain_aid_expect(&a, EVENT, "{\"a\":1}");
    assert_int_equal(a.services.log_count, 0); /* nothing was loaded */
    chain_aid_fini(&a);
}

/* Each sees what the one before it made; order decides, not the id. */
static void test_order(void **state)
{
    struct chain_aid a;
    struct plugin_config configs[] = {
        {.id = 1, .order = 3, .source = SLICE(ADD("c", "e.properties.b+1"))},
        {.id = 2, .order = 1, .source = SLICE(ADD("b", "e.properties.a+1"))},
        {.id = 3, .order = 2, .source = SLICE("function processEvent(e){return {...e}}")},
    };

    UNUSED(state);
    begin(&a);
    chain_aid_publish(&a, configs, ARRAY_LEN(configs));
    chain_aid_expect(&a, EVENT, "{\"a\":1,\"b\":2,\"c\":3}");
    chain_aid_fini(&a);
}

static void test_drop(void **state)
{
    static const char *const falsy[] = {"undefined", "null", "false", "0", "''", "NaN", "0n"};
    struct plugin_state *s;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(falsy); i++) {
        struct chain_aid a;
        char source[100];

        snprintf(source, sizeof(source), "function processEvent(e){e.properties.b=2;return %s}",
                 falsy[i]);
        begin(&a);
        chain_aid_sources(&a, source, ADD("c", "3"));
        chain_aid_expect(&a, EVENT, NULL);
        s = plugins_aid_state(a.plugins, 1);
        assert_int_equal(s->calls, 1);
        assert_int_equal(s->dropped, 1);
        assert_int_equal(s->errors, 0);
        assert_int_equal(plugins_aid_state(a.plugins, 2)->calls, 0);
        chain_aid_fini(&a);
    }
}

/* What was done to the event before the throw stays, and is kept beside the error. */
static void test_throw(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    begin(&a);
    chain_aid_sources(&a, FAIL_TEXT, ADD("b", "2"));
    chain_aid_expect(&a, EVENT, "{\"a\":1,\"half\":1,\"b\":2}");
    assert_int_equal(plugins_aid_state(a.plugins, 1)->errors, 1);
    assert_true(services_aid_logged(&a.services, "1 PLUGIN ERROR bad\n"));
    assert_int_equal(a.services.error_config, 1);
    assert_non_null(strstr(a.services.error_json, "\"name\":\"TypeError\""));
    assert_non_null(strstr(a.services.error_json, "\"half\":1"));
    assert_non_null(strstr(a.services.error_json, "\"distinct_id\":\"d\""));
    chain_aid_fini(&a);
}

/* Results that are no event: a failure, the event before stays. */
static void test_no_event(void **state)
{
    static const char *const bad[] = {
        "5",
        "'x'",
        "true",
        "[e]",
        "function(){}",
        "Symbol()",
        "(e.self=e)",
        "({get x(){throw 1}})",
        "Promise.reject(new Error('no'))",
        "Promise.resolve(7)",
        "new Proxy({},{ownKeys(){throw new Error('trap')}})",
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct chain_aid a;
        char source[200];

        snprintf(source, sizeof(source), "function processEvent(e){return %s}", bad[i]);
        begin(&a);
        chain_aid_sources(&a, source, ADD("b", "2"));
        chain_aid_expect(&a, EVENT, "{\"a\":1,\"b\":2}");
        assert_int_equal(plugins_aid_state(a.plugins, 1)->errors, 1);
        assert_int_equal(plugins_aid_state(a.plugins, 2)->errors, 0);
        chain_aid_fini(&a);
    }
}

/* team_id goes back, the rest of the result stays, the call has failed. */
static void test_team_id(void **state)
{
    static const char *const ways[] = {
        "function processEvent(e){e.team_id=9;e.properties.b=2;return e}",
        "function processEvent(e){return {...e,team_id:9,properties:{a:1,b:2}}}",
        "function processEvent(e){delete e.team_id;e.properties.b=2;return e}",
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct chain_aid a;

        begin(&a);
        chain_aid_sources(&a, ways[i], ADD("team", "e.team_id"));
        chain_aid_expect(&a, EVENT, "{\"a\":1,\"b\":2,\"team\":7}");
        assert_true(services_aid_logged(&a.services,
                                        "1 PLUGIN ERROR Plugin tried to change event.team_id\n"));
        assert_non_null(strstr(a.services.error_json, "\"name\":\"IllegalOperationError\""));
        chain_aid_fini(&a);
    }
}

/* distinct_id, ip, uuid: in the envelope, and as the next plugin sees them. */
static void test_envelope(void **state)
{
    struct chain_aid a;
    struct event_aid v;
    struct uuid uuid;

    UNUSED(state);
    begin(&a);
    chain_aid_sources(&a,
                      "function processEvent(e){e.distinct_id='other';e.ip=null;"
                      "e.uuid='01234567-89ab-7def-8123-456789abcdef';return e}",
                      ADD("seen", "e.distinct_id+e.ip"));
    event_aid_init(&v, EVENT);
    chain_aid_send(&a, &v);
    assert_true(slice_eq(v.envelope.distinct_id, SLICE("other")));
    assert_int_equal(v.envelope.ip.len, 0);
    assert_true(uuid_parse(SLICE("01234567-89ab-7def-8123-456789abcdef"), &uuid));
    assert_true(uuid_eq(&v.envelope.uuid, &uuid));
    assert_int_equal(v.envelope.flags & EVENT_UUID_CHECKED, 0);
    assert_true(slice_eq(
        json_text(json_member(json_member(v.doc.root, SLICE("properties")), SLICE("seen"))),
        SLICE("othernull")));
    event_aid_fini(&v);
    chain_aid_fini(&a);
}

static void test_untouched(void **state)
{
    struct chain_aid a;
    struct event_aid v;
    const void *root;

    UNUSED(state);
    begin(&a);
    chain_aid_sources(&a, "function processEvent(e){if(e.properties.a===1)return e}");
    event_aid_init(&v, EVENT);
    root = v.doc.root;
    chain_aid_send(&a, &v);
    assert_int_equal(v.verdict, PLUGIN_NEXT);
    assert_ptr_equal(v.doc.root, root); /* nothing was written */
    assert_null(v.e.texts);
    assert_true(v.envelope.flags & EVENT_UUID_CHECKED);
    event_aid_fini(&v);
    chain_aid_fini(&a);
}

static void test_snapshot(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    begin(&a);
    chain_aid_sources(&a, ADD("b", "2"));
    chain_aid_expect(&a, "{\"event\":\"$snapshot\",\"properties\":{}}", "{}");
    chain_aid_fini(&a);
}

/* Calls that end later: the event is held, others pass, each goes on from where it was. */
static void test_async(void **state)
{
    struct chain_aid a;
    struct event_aid slow, quick;
    struct buf out = BUF_INIT(1000);
    int ended = 0;

    UNUSED(state);
    begin(&a);
    chain_aid_sources(&a,
                      "async function processEvent(e){"
                      "if(e.properties.slow)await new Promise(r=>setTimeout(r,20));"
                      "e.properties.b=2;return e}",
                      ADD("c", "3"));
    event_aid_init(&slow, "{\"event\":\"e\",\"properties\":{\"slow\":1}}");
    event_aid_init(&quick, EVENT);
    slow.counter = quick.counter = &ended;
    chain_aid_send(&a, &slow);
    assert_int_equal(slow.verdict, PLUGIN_LATER);
    assert_int_equal(plugin_worker_waiting(a.worker), 1);
    chain_aid_send(&a, &quick);
    assert_true(quick.is_done && !slow.is_done);
    chain_aid_wait(&a, &slow);
    assert_int_equal(slow.order, 1);
    assert_int_equal(plugin_worker_waiting(a.worker), 0);
    event_aid_properties(&slow, &out);
    assert_string_equal(buf_cstr(&out), "{\"slow\":1,\"b\":2,\"c\":3}");
    event_aid_properties(&quick, &out);
    assert_string_equal(buf_cstr(&out), "{\"a\":1,\"b\":2,\"c\":3}");
    buf_free(&out);
    event_aid_fini(&slow);
    event_aid_fini(&quick);
    chain_aid_fini(&a);
}

/* Two plugins that together take longer than one may: that is warned of, and well. */
static void test_long(void **state)
{
    static const char source[] = "async function processEvent(e){"
                                 "await new Promise(r=>setTimeout(r,80));return e}";
    struct chain_aid a;
    struct event_aid v;

    UNUSED(state);
    chain_aid_init(&a);
    a.opt.limits.wait_us = 120000;
    chain_aid_start(&a);
    chain_aid_sources(&a, source, source, source);
    event_aid_init(&v, EVENT);
    chain_aid_send(&a, &v);
    assert_true(v.e.run->warning.place > 0);
    while (!v.is_done && v.e.run->warning.place > 0)
        chain_aid_sleep(&a);
    assert_false(v.is_done);
    chain_aid_wait(&a, &v);
    assert_int_equal(a.services.error_count, 0);
    event_aid_fini(&v);
    chain_aid_fini(&a);
}

/* A promise that never settles: after the wait limit the call has failed, the event goes on. */
static void test_wait_limit(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    chain_aid_init(&a);
    a.opt.limits.wait_us = 30000;
    chain_aid_start(&a);
    chain_aid_sources(&a,
                      "async function processEvent(e){e.properties.half=1;"
                      "await new Promise(()=>0);e.properties.never=1;return e}",
                      ADD("b", "2"));
    chain_aid_expect(&a, EVENT, "{\"a\":1,\"half\":1,\"b\":2}");
    assert_int_equal(plugins_aid_state(a.plugins, 1)->timeouts, 1);
    assert_non_null(strstr(a.services.error_json, "TimeoutError"));
    chain_aid_fini(&a);
}

/* A loop is ended; what it did to the event stays. Getters of a result have the same limit. */
static void test_run_limit(void **state)
{
    static const char *const loops[] = {
        "function processEvent(e){e.properties.half=1;for(;;);}",
        "function processEvent(e){e.properties.half=1;return {...e,get x(){for(;;);}}}",
        "async function processEvent(e){e.properties.half=1;await 0;for(;;);}",
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(loops); i++) {
        struct chain_aid a;

        chain_aid_init(&a);
        a.opt.limits.run_us = 20000;
        chain_aid_start(&a);
        chain_aid_sources(&a, loops[i], ADD("b", "2"));
        chain_aid_expect(&a, EVENT, "{\"a\":1,\"half\":1,\"b\":2}");
        assert_int_equal(plugins_aid_state(a.plugins, 1)->timeouts, 1);
        chain_aid_fini(&a);
    }
}

/* Out of memory: the event goes on, calls under way fail with a name, the next event finds the
 * plugins loaded anew; another team does not notice. */
static void test_memory(void **state)
{
    struct chain_aid a;
    struct event_aid waiting;
    struct plugin_config configs[] = {
        {.id = 1,
         .source = SLICE("let n=0;async function processEvent(e){e.properties.n=++n;"
                         "if(e.event==='wait')await new Promise(r=>setTimeout(r,1000));"
                         "return e}")},
        {.id = 2,
         .source = SLICE("function processEvent(e){if(e.event==='eat'){let a=[];"
                         "for(;;)a.push(new Array(10000).fill(1))}return e}")},
        {.id = 3, .source = SLICE(ADD("last", "1"))},
        {.id = 4, .team_id = 8, .source = SLICE("let n=0;" ADD("n", "++n"))},
    };

    UNUSED(state);
    chain_aid_init(&a);
    a.opt.limits.memory_bytes = (size_t)8 << 20;
    chain_aid_start(&a);
    chain_aid_publish(&a, configs, ARRAY_LEN(configs));
    event_aid_init(&waiting, "{\"event\":\"wait\",\"properties\":{}}");
    chain_aid_send(&a, &waiting);
    assert_false(waiting.is_done);
    chain_aid_expect(&a, "{\"event\":\"eat\",\"properties\":{}}", "{\"n\":2,\"last\":1}");
    assert_int_equal(plugins_aid_state(a.plugins, 2)->errors, 1);
    chain_aid_wait(&a, &waiting);
    assert_int_equal(waiting.verdict, PLUGIN_NEXT);
    assert_true(services_aid_logged(&a.services, "1 PLUGIN ERROR the plugins of this team ran out "
                                                 "of memory (PLUGIN_MEMORY_BYTES)"));
    event_aid_fini(&waiting);
    chain_aid_expect(&a, EVENT, "{\"a\":1,\"n\":1,\"last\":1}"); /* counts from the start */
    chain_aid_fini(&a);
}

/* The other parts of the process count as one chain with JavaScript. */
static void test_builtin(void **state)
{
    struct chain_aid a;
    struct plugin_config configs[] = {
        {.id = 1, .source = SLICE(ADD("b", "2"))},
        {.id = 2, .builtin = "geoip"},
        {.id = 3, .builtin = "nonsense"},
        {.id = 4, .source = SLICE(ADD("c", "3"))},
    };
    struct event_aid v;
    struct buf out = BUF_INIT(1000);

    UNUSED(state);
    begin(&a);
    chain_aid_publish(&a, configs, ARRAY_LEN(configs));
    event_aid_init(&v, EVENT);
    chain_aid_send(&a, &v);
    event_aid_properties(&v, &out);
    assert_string_equal(buf_cstr(&out), "{\"a\":1,\"b\":2,\"c\":3}");
    assert_non_null(strstr(event_aid_markers(&v, &out), "p1 (1)"));
    assert_non_null(strstr(buf_cstr(&out), "p2 (2)"));
    assert_null(strstr(buf_cstr(&out), "p3 (3)"));
    assert_int_equal(plugins_aid_state(a.plugins, 2)->calls, 1);
    assert_int_equal(plugins_aid_state(a.plugins, 3)->phase, PLUGIN_FAILED);
    assert_true(
        services_aid_logged(&a.services, "3 PLUGIN ERROR there is no built-in plugin nonsense\n"));
    buf_free(&out);
    event_aid_fini(&v);
    chain_aid_fini(&a);
}

/* Larger than the limit: a failure with its name. */
static void test_output_limit(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    chain_aid_init(&a);
    a.opt.limits.output_bytes = 1000;
    chain_aid_start(&a);
    chain_aid_sources(&a, "function processEvent(e){return {...e,big:'x'.repeat(2000)}}",
                      ADD("b", "2"));
    chain_aid_expect(&a, EVENT, "{\"a\":1,\"b\":2}");
    assert_int_equal(plugins_aid_state(a.plugins, 1)->errors, 1);
    assert_true(services_aid_logged(&a.services, "1000 bytes"));
    chain_aid_fini(&a);
}

/* What the plugins of a team are told to hold is what their runtime holds, however many events have
 * come by and whoever collected the garbage. */
static void test_memory_told(void **state)
{
    struct chain_aid a;
    struct plugin_team *team;
    int64_t told;

    UNUSED(state);
    chain_aid_init(&a);
    chain_aid_start(&a);
    chain_aid_sources(&a,
                      "function processEvent(e){e.properties.me=()=>e;e.properties.a=[1];return e}",
                      "async function processEvent(e){await 0;e.properties.b={};return {...e}}");
    for (int i = 0; i < 5000; i++)
        chain_aid_expect(&a, "{\"event\":\"e\",\"properties\":{}}", "{\"a\":[1],\"b\":{}}");
    team = list_entry(a.worker->teams.next, struct plugin_team, in_worker);
    told = atomic_load(&plugins_aid_state(a.plugins, 1)->memory_bytes) +
           atomic_load(&plugins_aid_state(a.plugins, 2)->memory_bytes);
    assert_in_range(told, 1, (int64_t)runtime_memory(team->runtime->rt) + (128 << 10));
    chain_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_plugins),  cmocka_unit_test(test_order),
        cmocka_unit_test(test_drop),        cmocka_unit_test(test_throw),
        cmocka_unit_test(test_no_event),    cmocka_unit_test(test_team_id),
        cmocka_unit_test(test_envelope),    cmocka_unit_test(test_untouched),
        cmocka_unit_test(test_snapshot),    cmocka_unit_test(test_async),
        cmocka_unit_test(test_long),        cmocka_unit_test(test_wait_limit),
        cmocka_unit_test(test_run_limit),   cmocka_unit_test(test_memory),
        cmocka_unit_test(test_builtin),     cmocka_unit_test(test_output_limit),
        cmocka_unit_test(test_memory_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
