/* Load, setupPlugin and its retries, new sets, teardownPlugin. */
#include "chain_aid.h"

#define EVENT  "{\"event\":\"e\",\"properties\":{}}"
#define SECOND ((int64_t)1000000)

static void begin(struct chain_aid *a)
{
    chain_aid_init(a);
    chain_aid_start(a);
}

static int phase(struct chain_aid *a, int64_t id)
{
    return plugins_aid_state(a->plugins, id)->phase;
}

/* Nothing is loaded before the first event; setupPlugin runs before the first hook. */
static void test_lazy(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    begin(&a);
    chain_aid_sources(&a, "function setupPlugin({global}){global.x=5}"
                          "function processEvent(e,{global}){e.properties.x=global.x;return e}");
    plugin_state_set_error(plugins_aid_state(a.plugins, 1), "{\"message\":\"old\"}");
    plugin_worker_turn(a.worker);
    assert_int_equal(a.services.log_count, 0);
    chain_aid_expect(&a, EVENT, "{\"x\":5}");
    assert_string_equal(
        buf_cstr(&a.services.logs),
        "1 SYSTEM DEBUG Plugin loaded (instance ID instance).\n"
        "1 SYSTEM DEBUG setupPlugin completed successfully (instance ID instance).\n");
    assert_int_equal(phase(&a, 1), PLUGIN_READY);
    assert_null(plugins_aid_state(a.plugins, 1)->error_json); /* cleared */
    assert_int_equal(a.services.error_count, 1);
    assert_true(plugins_aid_state(a.plugins, 1)->memory_bytes > 0);
    chain_aid_fini(&a);
}

/* Events wait, in order, while a setup is under way; they do not take places. */
static void test_setup_waits(void **state)
{
    struct chain_aid a;
    struct event_aid events[20];
    int ended = 0;

    UNUSED(state);
    begin(&a);
    chain_aid_sources(&a, "function processEvent(e){e.properties.a=1;return e}",
                      "async function setupPlugin({global}){"
                      "await new Promise(r=>setTimeout(r,20));global.x=5}"
                      "function processEvent(e,{global}){e.properties.x=global.x;return e}");
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        event_aid_init(&events[i], EVENT);
        events[i].counter = &ended;
        chain_aid_send(&a, &events[i]);
        assert_false(events[i].is_done);
    }
    assert_int_equal(a.worker->places, 0);
    assert_int_equal(phase(&a, 2), PLUGIN_SETTING_UP);
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        struct buf out = BUF_INIT(1000);

        chain_aid_wait(&a, &events[i]);
        assert_int_equal(events[i].order, i);
        event_aid_properties(&events[i], &out);
        assert_string_equal(buf_cstr(&out), "{\"a\":1,\"x\":5}");
        buf_free(&out);
        event_aid_fini(&events[i]);
    }
    chain_aid_fini(&a);
}

/* Five retries after 5, 10, 20, 40, 80 s; then disabled. Events pass by untouched and unmarked. */
static void test_setup_retries(void **state)
{
    static const int waits[] = {5, 10, 20, 40, 80};
    struct chain_aid a;
    struct event_aid v;
    char line[200];

    UNUSED(state);
    clock_fake_set(1600000000000000);
    begin(&a);
    chain_aid_sources(&a, "function setupPlugin(){throw new Error('no key')}"
                          "function processEvent(e){e.properties.bad=1;return e}");
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        event_aid_init(&v, EVENT);
        chain_aid_send(&a, &v);
        assert_int_equal(v.verdict, PLUGIN_NEXT);
        assert_null(v.e.markers);
        event_aid_fini(&v);
        snprintf(line, sizeof(line),
                 "1 SYSTEM ERROR setupPlugin failed (instance ID instance). Retrying in %d s.\n"
                 "1 PLUGIN ERROR no key\n",
                 waits[i]);
        assert_true(services_aid_logged(&a.services, line));
        assert_int_equal(phase(&a, 1), PLUGIN_RETRYING);
        assert_true(plugin_worker_due_us(a.worker) == clock_mono_us() + waits[i] * SECOND);
        assert_int_equal(a.services.disabled, 0);
        clock_fake_add(waits[i] * SECOND - 1);
        plugin_worker_turn(a.worker);
        assert_int_equal(phase(&a, 1), PLUGIN_RETRYING);
        clock_fake_add(1);
        plugin_worker_turn(a.worker);
    }
    assert_true(services_aid_logged(
        &a.services, "1 SYSTEM ERROR Plugin failed to load (instance ID instance). Disabling it "
                     "due to too many retries – tried to load it 6 times before giving up.\n"));
    assert_int_equal(a.services.disabled, 1);
    assert_int_equal(phase(&a, 1), PLUGIN_DISABLED);
    chain_aid_expect(&a, EVENT, "{}");
    chain_aid_publish(&a, NULL, 0);
    plugin_worker_turn(a.worker);
    assert_int_equal(phase(&a, 1), PLUGIN_DISABLED); /* still to be seen */
    chain_aid_fini(&a);
    clock_fake_off();
}

static void test_setup_recovers(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    clock_fake_set(1600000000000000);
    begin(&a);
    chain_aid_sources(&a, "let n=0;function setupPlugin(){if(++n<3)throw 'text only'}"
                          "function processEvent(e){e.properties.n=n;return e}");
    chain_aid_expect(&a, EVENT, "{}");
    assert_null(strstr(a.services.error_json, "\"name\""));
    clock_fake_add(5 * SECOND);
    plugin_worker_turn(a.worker);
    chain_aid_expect(&a, EVENT, "{}");
    clock_fake_add(10 * SECOND);
    plugin_worker_turn(a.worker);
    chain_aid_expect(&a, EVENT, "{\"n\":3}");
    assert_null(a.services.error_json);
    assert_int_equal(phase(&a, 1), PLUGIN_READY);
    chain_aid_fini(&a);
    clock_fake_off();
}

/* No hooks and no retry; the others of the chain run. */
static void test_load_errors(void **state)
{
    struct chain_aid a;
    struct plugin_config configs[] = {
        {.id = 1, .source = SLICE("function (")},
        {.id = 2, .source = SLICE("throw new Error('at the top')")},
        {.id = 3, .load_error = "Could not load index.js for plugin x ID 3"},
        {.id = 4, .source = SLICE("function processEvent(e){e.properties.ok=1;return e}")},
    };

    UNUSED(state);
    begin(&a);
    chain_aid_publish(&a, configs, ARRAY_LEN(configs));
    chain_aid_expect(&a, EVENT, "{\"ok\":1}");
    for (int64_t id = 1; id <= 3; id++) {
        assert_int_equal(phase(&a, id), PLUGIN_FAILED);
        assert_non_null(plugins_aid_state(a.plugins, id)->error_json);
    }
    assert_true(services_aid_logged(&a.services, "2 PLUGIN ERROR at the top\n"));
    assert_true(services_aid_logged(&a.services,
                                    "3 PLUGIN ERROR Could not load index.js for plugin x ID 3\n"));
    assert_true(plugin_worker_due_us(a.worker) == INT64_MAX);
    chain_aid_fini(&a);
}

#define COUNTER(name)                                                      \
    "let n=0;function processEvent(e){e.properties." name "=++n;return e}" \
    "function teardownPlugin(){console.log('bye " name "')}"

/* A new set: the same fingerprint keeps its context, even in another place; a changed one is made
 * anew and the old one torn down; a removed one is torn down. */
static void test_reload(void **state)
{
    struct chain_aid a;
    struct plugin_config first[] = {
        {.id = 1, .source = SLICE(COUNTER("a"))},
        {.id = 2, .source = SLICE(COUNTER("b"))},
        {.id = 3, .source = SLICE(COUNTER("c"))},
    };
    struct plugin_config second[] = {
        {.id = 2, .source = SLICE(COUNTER("b"))},
        {.id = 1, .source = SLICE(COUNTER("a")), .config_json = "{\"new\":1}"},
    };

    UNUSED(state);
    begin(&a);
    chain_aid_publish(&a, first, ARRAY_LEN(first));
    chain_aid_expect(&a, EVENT, "{\"a\":1,\"b\":1,\"c\":1}");
    chain_aid_expect(&a, EVENT, "{\"a\":2,\"b\":2,\"c\":2}");
    chain_aid_publish(&a, second, ARRAY_LEN(second));
    assert_int_equal(plugin_worker_due_us(a.worker), 0); /* also without an event */
    plugin_worker_turn(a.worker);
    assert_true(services_aid_logged(&a.services, "3 CONSOLE LOG bye c\n"));
    assert_true(services_aid_logged(&a.services, "1 CONSOLE LOG bye a\n"));
    assert_false(services_aid_logged(&a.services, "bye b\n"));
    assert_true(services_aid_logged(&a.services,
                                    "3 SYSTEM DEBUG Plugin unloaded (instance ID instance).\n"));
    assert_int_equal(phase(&a, 3), PLUGIN_IDLE);
    chain_aid_expect(&a, EVENT, "{\"b\":3,\"a\":1}");
    chain_aid_fini(&a);
}

/* Events under way go to the end of the chain that they began; teardown waits for them. */
static void test_reload_under_way(void **state)
{
    struct chain_aid a;
    struct event_aid old, fresh;
    struct buf out = BUF_INIT(1000);
    struct plugin_config first[] = {
        {.id = 1,
         .source = SLICE("async function processEvent(e){await new Promise(r=>setTimeout(r,30));"
                         "e.properties.one='old';return e}")},
        {.id = 2,
         .source = SLICE("function processEvent(e){e.properties.two='old';return e}"
                         "function teardownPlugin(){console.log('gone')}")},
    };
    struct plugin_config second[] = {
        {.id = 1, .source = SLICE("function processEvent(e){e.properties.one='new';return e}")},
    };

    UNUSED(state);
    begin(&a);
    chain_aid_publish(&a, first, ARRAY_LEN(first));
    event_aid_init(&old, EVENT);
    event_aid_init(&fresh, EVENT);
    chain_aid_send(&a, &old);
    chain_aid_publish(&a, second, ARRAY_LEN(second));
    chain_aid_send(&a, &fresh);
    assert_true(fresh.is_done && !old.is_done);
    assert_false(services_aid_logged(&a.services, "gone"));
    event_aid_properties(&fresh, &out);
    assert_string_equal(buf_cstr(&out), "{\"one\":\"new\"}");
    chain_aid_wait(&a, &old);
    event_aid_properties(&old, &out);
    assert_string_equal(buf_cstr(&out), "{\"one\":\"old\",\"two\":\"old\"}");
    assert_true(services_aid_logged(&a.services, "2 CONSOLE LOG gone\n"));
    buf_free(&out);
    event_aid_fini(&old);
    event_aid_fini(&fresh);
    chain_aid_fini(&a);
}

static void test_teardown(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    begin(&a);
    chain_aid_sources(
        &a, "function processEvent(e){return e}function teardownPlugin(){throw new Error('stuck')}",
        "function processEvent(e){return e}"
        "async function teardownPlugin(){await new Promise(r=>setTimeout(r,5));console.log('2')}",
        "function processEvent(e){return e}",
        "function setupPlugin(){throw new Error('never')}"
        "function teardownPlugin(){console.log('must not run')}");
    chain_aid_expect(&a, EVENT, "{}");
    chain_aid_stop(&a);
    assert_true(services_aid_logged(&a.services, "1 PLUGIN ERROR stuck\n"
                                                 "1 SYSTEM ERROR Plugin failed to unload (instance "
                                                 "ID instance).\n"));
    assert_true(services_aid_logged(&a.services, "2 CONSOLE LOG 2\n"));
    assert_true(services_aid_logged(&a.services, "2 SYSTEM DEBUG Plugin unloaded"));
    assert_true(services_aid_logged(&a.services, "3 SYSTEM DEBUG Plugin unloaded"));
    assert_false(services_aid_logged(&a.services, "must not run"));
    chain_aid_fini(&a);
}

/* A teardown that never ends does not hold the end up for longer than asked. */
static void test_teardown_stuck(void **state)
{
    struct chain_aid a;
    int64_t before;

    UNUSED(state);
    begin(&a);
    chain_aid_sources(&a, "function processEvent(e){return e}"
                          "function teardownPlugin(){return new Promise(()=>0)}");
    chain_aid_expect(&a, EVENT, "{}");
    before = clock_mono_real_us();
    plugin_worker_stop(a.worker, clock_mono_us() + 50000);
    assert_true(clock_mono_real_us() - before < SECOND);
    assert_true(services_aid_logged(&a.services, "1 SYSTEM ERROR Plugin failed to unload"));
    plugin_worker_free(a.worker);
    a.worker = NULL;
    chain_aid_fini(&a);
}

/* Memory runs out in setupPlugin, or at the top: nothing loops, the others load. */
static void test_memory(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    clock_fake_set(1600000000000000);
    chain_aid_init(&a);
    a.opt.limits.memory_bytes = (size_t)8 << 20;
    chain_aid_start(&a);
    chain_aid_sources(&a, "let a=[];for(;;)a.push(new Array(10000).fill(1))",
                      "function setupPlugin(){let a=[];for(;;)a.push(new Array(10000).fill(1))}"
                      "function processEvent(e){e.properties.bad=1;return e}",
                      "function processEvent(e){e.properties.ok=1;return e}");
    chain_aid_expect(&a, EVENT, "{\"ok\":1}");
    assert_int_equal(phase(&a, 1), PLUGIN_FAILED);
    assert_int_equal(phase(&a, 2), PLUGIN_RETRYING);
    clock_fake_add(5 * SECOND);
    plugin_worker_turn(a.worker);
    assert_int_equal(phase(&a, 2), PLUGIN_RETRYING);
    chain_aid_expect(&a, EVENT, "{\"ok\":1}");
    chain_aid_fini(&a);
    clock_fake_off();
}

#define GRAB "try { new Uint8Array(64 << 20) } catch (e) {}"

/* A plugin that catches what the memory limit throws has failed all the same: found well, it would
 * be loaded again and again while the thread does nothing else. */
static void test_memory_caught(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    chain_aid_init(&a);
    a.opt.limits.memory_bytes = (size_t)8 << 20;
    chain_aid_start(&a);
    chain_aid_sources(&a, GRAB "function processEvent(e){e.properties.top=1;return e}",
                      "function setupPlugin(){" GRAB "}"
                      "function processEvent(e){e.properties.setup=1;return e}",
                      "async function setupPlugin(){await new Promise(r=>setTimeout(r,1));" GRAB "}"
                      "function processEvent(e){e.properties.late=1;return e}",
                      "function processEvent(e){" GRAB "e.properties.call=1;return e}",
                      "function processEvent(e){e.properties.ok=1;return e}");
    chain_aid_expect(&a, EVENT, "{\"ok\":1}");
    assert_int_equal(phase(&a, 1), PLUGIN_FAILED);
    assert_int_equal(phase(&a, 2), PLUGIN_RETRYING);
    assert_int_equal(phase(&a, 3), PLUGIN_RETRYING);
    assert_int_equal(plugins_aid_state(a.plugins, 4)->errors, 1);
    assert_true(services_aid_logged(&a.services, "4 PLUGIN ERROR out of memory"));
    chain_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lazy),
        cmocka_unit_test(test_setup_waits),
        cmocka_unit_test(test_setup_retries),
        cmocka_unit_test(test_setup_recovers),
        cmocka_unit_test(test_load_errors),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_reload_under_way),
        cmocka_unit_test(test_teardown),
        cmocka_unit_test(test_teardown_stuck),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_caught),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
