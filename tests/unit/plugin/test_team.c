/* Places of events that await, queues in front of them, unloading. */
#include "chain_aid.h"

#define SLEEPER                                                              \
    "async function processEvent(e){await new Promise(r=>setTimeout(r,10));" \
    "e.properties.n=(globalThis.n=(globalThis.n||0)+1);return e}"
#define EVENT  "{\"event\":\"e\",\"properties\":{}}"
#define EVENTS 100

struct many {
    struct chain_aid a;
    struct event_aid events[EVENTS];
    int ended;
};

static void many_begin(struct many *m)
{
    chain_aid_init(&m->a);
    m->ended = 0;
}

static void many_send(struct many *m, size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++) {
        event_aid_init(&m->events[i], EVENT);
        m->events[i].counter = &m->ended;
        chain_aid_send(&m->a, &m->events[i]);
    }
}

static void many_wait(struct many *m, size_t count)
{
    for (size_t i = 0; i < count; i++)
        chain_aid_wait(&m->a, &m->events[i]);
}

static void many_end(struct many *m, size_t count)
{
    for (size_t i = 0; i < count; i++)
        event_aid_fini(&m->events[i]);
    chain_aid_fini(&m->a);
}

static int number_of(struct event_aid *v)
{
    return (int)yyjson_get_int(
        json_member(json_member(v->doc.root, SLICE("properties")), SLICE("n")));
}

/* Over the team's limit events wait without their document, and start in order. */
static void test_per_team(void **state)
{
    static struct many m;

    UNUSED(state);
    many_begin(&m);
    m.a.opt.limits.awaiting_per_team = 8;
    chain_aid_start(&m.a);
    chain_aid_sources(&m.a, SLEEPER);
    many_send(&m, 0, EVENTS);
    assert_int_equal(m.a.worker->places, 8);
    assert_int_equal(m.a.worker->queued, EVENTS - 8);
    assert_int_equal(plugin_worker_waiting(m.a.worker), EVENTS);
    for (size_t i = 0; i < EVENTS; i++)
        assert_int_equal(m.events[i].doc.doc == NULL, i >= 8);
    many_wait(&m, EVENTS);
    for (size_t i = 0; i < EVENTS; i++) {
        assert_int_equal(number_of(&m.events[i]), i + 1);
        assert_int_equal(m.events[i].order, i);
        assert_int_equal(m.events[i].reloads, i >= 8);
    }
    assert_int_equal(plugin_worker_waiting(m.a.worker), 0);
    many_end(&m, EVENTS);
}

/* The worker's limit: the teams take turns, none is starved. */
static void test_per_worker(void **state)
{
    static struct many m;
    struct plugin_config configs[] = {
        {.id = 1, .source = SLICE(SLEEPER)},
        {.id = 2, .team_id = 8, .source = SLICE(SLEEPER)},
        {.id = 3, .team_id = 9, .source = SLICE("function processEvent(e){return e}")},
    };

    UNUSED(state);
    many_begin(&m);
    m.a.opt.limits.awaiting = 4;
    chain_aid_start(&m.a);
    chain_aid_publish(&m.a, configs, ARRAY_LEN(configs));
    many_send(&m, 0, 20);
    for (size_t i = 20; i < 24; i++) {
        event_aid_init(&m.events[i], EVENT);
        m.events[i].envelope.team_id = 8;
        m.events[i].counter = &m.ended;
        chain_aid_send(&m.a, &m.events[i]);
    }
    assert_int_equal(m.a.worker->places, 4);
    many_wait(&m, 24);
    for (size_t i = 20; i < 24; i++)
        assert_true(m.events[i].order < 16); /* not behind all of the other team's */
    many_end(&m, 24);
}

/* A team whose plugins never await is not held back by another one's queue. */
static void test_others_pass(void **state)
{
    static struct many m;
    struct plugin_config configs[] = {
        {.id = 1, .source = SLICE(SLEEPER)},
        {.id = 2, .team_id = 8, .source = SLICE("function processEvent(e){return e}")},
    };

    UNUSED(state);
    many_begin(&m);
    m.a.opt.limits.awaiting_per_team = 2;
    chain_aid_start(&m.a);
    chain_aid_publish(&m.a, configs, ARRAY_LEN(configs));
    many_send(&m, 0, 5);
    event_aid_init(&m.events[5], EVENT);
    m.events[5].envelope.team_id = 8;
    chain_aid_send(&m.a, &m.events[5]);
    assert_true(m.events[5].is_done);
    many_wait(&m, 5);
    many_end(&m, 6);
}

/* Calls that plugins left un-awaited are bounded: over the limit events wait until some have ended.
 */
static void test_promises(void **state)
{
    static struct many m;

    UNUSED(state);
    many_begin(&m);
    m.a.opt.limits.pending_promises = 6;
    chain_aid_start(&m.a);
    m.a.services.holds_storage = true;
    chain_aid_sources(&m.a, "function processEvent(e,{storage}){storage.set('k',1);return e}");
    many_send(&m, 0, 20);
    assert_int_equal(m.ended, 6);
    assert_int_equal(m.a.worker->queued, 14);
    plugin_worker_turn(m.a.worker);
    assert_int_equal(m.ended, 6);
    services_aid_let_go(&m.a.services);
    many_wait(&m, 20);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(m.events[i].order, i);
    many_end(&m, 20);
}

/* Events in the queue when their plugins go: they pass. */
static void test_queue_outlives_plugins(void **state)
{
    static struct many m;

    UNUSED(state);
    many_begin(&m);
    m.a.opt.limits.awaiting_per_team = 1;
    chain_aid_start(&m.a);
    chain_aid_sources(&m.a, SLEEPER);
    many_send(&m, 0, 4);
    chain_aid_publish(&m.a, NULL, 0);
    many_wait(&m, 4);
    assert_int_equal(number_of(&m.events[0]), 1);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(number_of(&m.events[i]), 0);
    while (!list_is_empty(&m.a.worker->teams))
        chain_aid_sleep(&m.a);
    assert_int_equal(map_count(m.a.worker->teams_by_id), 0);
    many_end(&m, 4);
}

/* Idle for long enough: torn down; loaded anew for the next event. */
static void test_idle(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    clock_fake_set(1600000000000000);
    chain_aid_init(&a);
    a.opt.limits.idle_unload_us = 1000000;
    chain_aid_start(&a);
    chain_aid_sources(&a, "let n=0;function processEvent(e){e.properties.n=++n;return e}"
                          "function teardownPlugin(){}");
    chain_aid_expect(&a, EVENT, "{\"n\":1}");
    assert_true(plugin_worker_due_us(a.worker) == clock_mono_us() + 1000000);
    clock_fake_add(1000000);
    plugin_worker_turn(a.worker);
    chain_aid_expect(&a, EVENT, "{\"n\":2}"); /* it was used meanwhile */
    clock_fake_add(1000000);
    plugin_worker_turn(a.worker);
    clock_fake_add(1000000);
    plugin_worker_turn(a.worker);
    assert_true(services_aid_logged(&a.services,
                                    "1 SYSTEM DEBUG Plugin unloaded (instance ID instance).\n"));
    assert_true(list_is_empty(&a.worker->teams));
    assert_int_equal(plugins_aid_state(a.plugins, 1)->phase, PLUGIN_IDLE);
    assert_int_equal(plugins_aid_state(a.plugins, 1)->memory_bytes, 0);
    assert_true(plugin_worker_due_us(a.worker) == INT64_MAX);
    chain_aid_expect(&a, EVENT, "{\"n\":1}");
    chain_aid_fini(&a);
    clock_fake_off();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_per_team),
        cmocka_unit_test(test_per_worker),
        cmocka_unit_test(test_others_pass),
        cmocka_unit_test(test_promises),
        cmocka_unit_test(test_queue_outlives_plugins),
        cmocka_unit_test(test_idle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
