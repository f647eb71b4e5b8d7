#include "chain_aid.h"

#define LOOP   "{\"event\":\"loop\",\"properties\":{}}"
#define GOOD   "{\"event\":\"e\",\"properties\":{}}"
#define MARKED "{\"ok\":1}"
#define PLUGIN "function processEvent(e){if(e.event==='loop')for(;;);e.properties.ok=1;return e}"
#define MINUTE ((int64_t)60000000)

static void begin(struct chain_aid *a)
{
    clock_fake_set(1600000000000000);
    chain_aid_init(a);
    a->opt.limits.run_us = 5000;
    chain_aid_start(a);
    chain_aid_sources(a, PLUGIN);
}

static void end(struct chain_aid *a)
{
    chain_aid_fini(a);
    clock_fake_off();
}

/* Three in a row open it; a good call in between counts anew; open, the plugin is passed by. */
static void test_opens(void **state)
{
    struct chain_aid a;
    struct plugin_state *s;
    struct event_aid v;

    UNUSED(state);
    begin(&a);
    s = plugins_aid_state(a.plugins, 1);
    chain_aid_expect(&a, LOOP, "{}");
    chain_aid_expect(&a, LOOP, "{}");
    chain_aid_expect(&a, GOOD, MARKED);
    chain_aid_expect(&a, LOOP, "{}");
    chain_aid_expect(&a, LOOP, "{}");
    assert_int_equal(s->circuit, CIRCUIT_CLOSED);
    chain_aid_expect(&a, LOOP, "{}");
    assert_int_equal(s->circuit, CIRCUIT_OPEN);
    assert_true(s->circuit_until_us == clock_wall_us() + MINUTE);
    assert_true(services_aid_logged(&a.services,
                                    "1 SYSTEM ERROR Plugin taken off the chain: 3 calls in a row"));
    assert_true(services_aid_logged(&a.services, "until 2020-09-13T12:27:40.000Z"));
    event_aid_init(&v, GOOD);
    chain_aid_send(&a, &v);
    assert_null(v.e.markers);
    event_aid_fini(&v);
    chain_aid_expect(&a, LOOP, "{}");
    assert_int_equal(s->calls, 6);
    end(&a);
}

static void open_by_loops(struct chain_aid *a)
{
    for (int i = 0; i < 3; i++)
        chain_aid_expect(a, LOOP, "{}");
}

/* After its time one call is tried: well closes it. */
static void test_closes(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    begin(&a);
    open_by_loops(&a);
    clock_fake_add(MINUTE - 1);
    chain_aid_expect(&a, GOOD, "{}");
    clock_fake_add(1);
    chain_aid_expect(&a, GOOD, MARKED);
    assert_int_equal(plugins_aid_state(a.plugins, 1)->circuit, CIRCUIT_CLOSED);
    assert_true(services_aid_logged(&a.services, "1 SYSTEM INFO Plugin is back on the chain"));
    chain_aid_expect(&a, LOOP, "{}");
    chain_aid_expect(&a, GOOD, MARKED);
    end(&a);
}

/* A probe that runs into the limit leaves it open for another while. */
static void test_stays_open(void **state)
{
    struct chain_aid a;
    struct plugin_state *s;

    UNUSED(state);
    begin(&a);
    s = plugins_aid_state(a.plugins, 1);
    open_by_loops(&a);
    clock_fake_add(MINUTE);
    chain_aid_expect(&a, LOOP, "{}");
    assert_int_equal(s->calls, 4);
    assert_true(s->circuit_until_us == clock_wall_us() + MINUTE);
    chain_aid_expect(&a, GOOD, "{}");
    assert_int_equal(s->calls, 4);
    end(&a);
}

/* Opened from outside, as the watchdog does. */
static void test_from_outside(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    begin(&a);
    plugin_circuit_open(plugins_aid_state(a.plugins, 1), clock_wall_us() + MINUTE, "stuck");
    chain_aid_expect(&a, GOOD, "{}");
    clock_fake_add(MINUTE);
    chain_aid_expect(&a, GOOD, MARKED);
    end(&a);
}

/* Only one call at a time is the probe. */
static void test_one_probe(void **state)
{
    struct chain_aid a;
    struct plugin_config c = {.id = 1};
    bool is_probe;

    UNUSED(state);
    begin(&a);
    c.state = plugins_aid_state(a.plugins, 1);
    plugin_circuit_open(c.state, clock_wall_us(), "why");
    assert_true(circuit_admits(a.worker, &c, &is_probe));
    assert_true(is_probe);
    assert_false(circuit_admits(a.worker, &c, &is_probe));
    assert_false(is_probe);
    circuit_note(a.worker, &c, NULL, true);
    assert_true(circuit_admits(a.worker, &c, &is_probe));
    assert_false(is_probe);
    end(&a);
}

static void test_never(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    clock_fake_set(1600000000000000);
    chain_aid_init(&a);
    a.opt.limits.run_us = 2000;
    a.opt.limits.circuit_failures = 0;
    chain_aid_start(&a);
    chain_aid_sources(&a, PLUGIN);
    for (int i = 0; i < 6; i++)
        chain_aid_expect(&a, LOOP, "{}");
    assert_int_equal(plugins_aid_state(a.plugins, 1)->circuit, CIRCUIT_CLOSED);
    end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens),      cmocka_unit_test(test_closes),
        cmocka_unit_test(test_stays_open), cmocka_unit_test(test_from_outside),
        cmocka_unit_test(test_one_probe),  cmocka_unit_test(test_never),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
