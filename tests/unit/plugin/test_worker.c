/* Messages, what is due, and the end with events under way. */
#include "chain_aid.h"

#include <pthread.h>

#define EVENT "{\"event\":\"e\",\"properties\":{}}"

static void count(void *ctx)
{
    ++*(int *)ctx;
}

static void *post_from_outside(void *arg)
{
    struct plugin_message *m = arg;

    plugin_worker_post(((struct chain_aid *)m[1].ctx)->worker, m);
    return NULL;
}

static void test_messages(void **state)
{
    struct chain_aid a;
    int came = 0;
    struct plugin_message m[2] = {{.fn = count, .ctx = &came}, {.ctx = &a}};
    pthread_t other;

    UNUSED(state);
    chain_aid_init(&a);
    chain_aid_start(&a);
    plugin_worker_turn(a.worker);
    assert_true(plugin_worker_due_us(a.worker) == INT64_MAX);
    assert_int_equal(pthread_create(&other, NULL, post_from_outside, m), 0);
    while (came == 0)
        chain_aid_sleep(&a);
    pthread_join(other, NULL);
    plugin_worker_post(a.worker, m);
    assert_int_equal(plugin_worker_due_us(a.worker), 0);
    plugin_worker_turn(a.worker);
    assert_int_equal(came, 2);
    chain_aid_fini(&a);
}

static void expected_came(void *ctx)
{
    plugin_worker_expect(((struct chain_aid *)ctx)->worker, -1);
}

static void *post_late(void *arg)
{
    struct plugin_message *m = arg;
    struct chain_aid *a = m->ctx;

    while (!list_is_empty(&a->worker->teams)) /* none: it comes while the worker waits */
        ;
    plugin_worker_post(a->worker, m);
    return NULL;
}

/* The end waits for messages that were announced. */
static void test_expected(void **state)
{
    struct chain_aid a;
    struct plugin_message m = {.fn = expected_came, .ctx = &a};
    pthread_t other;

    UNUSED(state);
    chain_aid_init(&a);
    chain_aid_start(&a);
    plugin_worker_expect(a.worker, 1);
    assert_int_equal(pthread_create(&other, NULL, post_late, &m), 0);
    plugin_worker_stop(a.worker, 0);
    assert_int_equal(a.worker->outside, 0);
    pthread_join(other, NULL);
    chain_aid_fini(&a);
}

/* Events that await and events that wait for a place: nobody is told, their documents are the
 * caller's, everything of theirs goes. */
static void test_stop(void **state)
{
    struct chain_aid a;
    struct event_aid events[10];

    UNUSED(state);
    chain_aid_init(&a);
    a.opt.limits.awaiting_per_team = 4;
    chain_aid_start(&a);
    chain_aid_sources(&a, "async function processEvent(e){e.properties.x=1;"
                          "await new Promise(r=>setTimeout(r,10000));return e}"
                          "async function teardownPlugin(){console.log('down')}");
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        event_aid_init(&events[i], EVENT);
        chain_aid_send(&a, &events[i]);
    }
    assert_int_equal(plugin_worker_waiting(a.worker), ARRAY_LEN(events));
    chain_aid_stop(&a);
    assert_true(services_aid_logged(&a.services, "1 CONSOLE LOG down\n"));
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        assert_false(events[i].is_done);
        assert_int_equal(events[i].doc.doc != NULL, i < 4);
        event_aid_fini(&events[i]);
    }
    chain_aid_fini(&a);
}

/* Setup and queue at the end. */
static void test_stop_in_setup(void **state)
{
    struct chain_aid a;
    struct event_aid v;

    UNUSED(state);
    chain_aid_init(&a);
    chain_aid_start(&a);
    chain_aid_sources(&a, "async function setupPlugin(){await new Promise(()=>0)}"
                          "function teardownPlugin(){console.log('must not run')}");
    event_aid_init(&v, EVENT);
    chain_aid_send(&a, &v);
    chain_aid_stop(&a);
    assert_false(v.is_done);
    assert_false(services_aid_logged(&a.services, "must not run"));
    assert_int_equal(plugins_aid_state(a.plugins, 1)->phase, PLUGIN_IDLE);
    event_aid_fini(&v);
    chain_aid_fini(&a);
}

/* What cannot be read again goes on without a document: the caller says what becomes of it. */
static bool no_reload(struct plugin_event *e)
{
    UNUSED(e);
    return false;
}

static void test_reload_fails(void **state)
{
    struct chain_aid a;
    struct event_aid v;

    UNUSED(state);
    chain_aid_init(&a);
    chain_aid_start(&a);
    chain_aid_sources(&a, "async function setupPlugin(){await new Promise(r=>setTimeout(r,5))}"
                          "function processEvent(){}");
    event_aid_init(&v, EVENT);
    v.e.reload = no_reload;
    chain_aid_send(&a, &v);
    chain_aid_wait(&a, &v);
    assert_int_equal(v.verdict, PLUGIN_NEXT);
    assert_null(v.doc.doc);
    event_aid_fini(&v);
    chain_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),     cmocka_unit_test(test_expected),
        cmocka_unit_test(test_stop),         cmocka_unit_test(test_stop_in_setup),
        cmocka_unit_test(test_reload_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
