/* The process's plugins: publishing, reports, who is overdue. */
#include "lib/child.h"
#include "plugin/worker_priv.h"
#include "plugin_aid.h"

#include <pthread.h>

static struct plugin_set *one_config(struct plugins *p, int64_t id)
{
    struct plugin_set *s = plugin_set_new();

    plugins_aid_add(p, s, &(struct plugin_config){.id = id, .team_id = 1});
    plugin_set_seal(s);
    return s;
}

static void count_wake(void *ctx)
{
    ++*(int *)ctx;
}

static void test_publish(void **state)
{
    struct plugins *p = plugins_aid_new(NULL);
    const struct plugin_set *cached = NULL;
    const struct plugin_set *first;
    int woken = 0;
    struct plugin_worker *w = plugin_worker_new(p, 0, count_wake, &woken);

    UNUSED(state);
    first = plugins_cached(p, &cached);
    assert_int_equal(plugin_set_count(first), 0);
    assert_ptr_equal(plugins_cached(p, &cached), first);
    plugins_publish(p, one_config(p, 7));
    assert_int_equal(woken, 1);
    assert_int_equal(plugin_set_count(first), 0); /* still ours */
    assert_int_equal(plugin_set_at(plugins_cached(p, &cached), 0)->id, 7);
    plugins_publish(p, one_config(p, 8));
    assert_int_equal(plugin_set_at(plugins_cached(p, &cached), 0)->id, 8);
    plugin_set_unref(cached);
    plugin_worker_free(w);
    plugins_free(p);
    plugins_free(NULL);
}

#define PUBLISHED 500

static void *publish_many(void *arg)
{
    for (int64_t i = 1; i <= PUBLISHED; i++)
        plugins_publish(arg, one_config(arg, i));
    return NULL;
}

/* Readers see ascending sets while another thread publishes. */
static void test_threads(void **state)
{
    struct plugins *p = plugins_aid_new(NULL);
    const struct plugin_set *cached = NULL;
    pthread_t other;
    int64_t last = 0;

    UNUSED(state);
    assert_int_equal(pthread_create(&other, NULL, publish_many, p), 0);
    while (last < PUBLISHED) {
        const struct plugin_set *s = plugins_cached(p, &cached);

        if (plugin_set_count(s) == 0)
            continue;
        assert_true(plugin_set_at(s, 0)->id >= last);
        last = plugin_set_at(s, 0)->id;
    }
    pthread_join(other, NULL);
    plugin_set_unref(cached);
    plugins_free(p);
}

static void test_reports(void **state)
{
    struct services_aid services;
    struct plugins *p;
    struct plugin_config c = {.id = 5, .team_id = 2};

    UNUSED(state);
    services_aid_init(&services);
    p = plugins_aid_new(&services);
    c.state = plugins_aid_state(p, 5);
    plugins_clear_error(p, &c); /* there is none: nobody is told */
    assert_int_equal(services.error_count, 0);
    plugins_report(p, &c, "it failed", "{\"message\":\"it failed\"}");
    assert_true(services_aid_logged(&services, "5 PLUGIN ERROR it failed\n"));
    assert_string_equal(services.error_json, "{\"message\":\"it failed\"}");
    assert_string_equal(c.state->error_json, "{\"message\":\"it failed\"}");
    plugins_clear_error(p, &c);
    assert_int_equal(services.error_count, 2);
    assert_null(services.error_json);
    assert_null(c.state->error_json);
    plugins_logf(p, &c, "DEBUG", "number %d", 3);
    assert_true(services_aid_logged(&services, "5 SYSTEM DEBUG number 3\n"));
    plugins_free(p);
    services_aid_fini(&services);
}

static void test_overdue(void **state)
{
    struct plugins *p = plugins_aid_new(NULL);
    struct plugin_worker *a = plugin_worker_new(p, 0, NULL, NULL);
    struct plugin_worker *b = plugin_worker_new(p, 1, NULL, NULL);
    int64_t now = clock_mono_real_us();
    int64_t second = 1000000;
    struct plugin_overdue late;

    UNUSED(state);
    assert_false(plugins_overdue(p, 0, &late));
    plugin_worker_enter(a, 11, now - 1000 * second);
    plugin_worker_enter(b, 13, now - 2000 * second);
    assert_false(plugins_overdue(p, 3000 * second, &late));
    assert_true(plugins_overdue(p, 500 * second, &late));
    assert_int_equal(late.config_id, 13);
    assert_int_equal(late.worker, 1);
    assert_true(late.overdue_us >= 2000 * second && late.overdue_us < 2100 * second);
    plugin_worker_leave(b);
    assert_true(plugins_overdue(p, 500 * second, &late));
    assert_int_equal(late.config_id, 11);
    plugin_worker_enter(a, 11, now + 1000 * second); /* the next entry: not yet due */
    assert_false(plugins_overdue(p, 0, &late));
    plugin_worker_leave(a);
    assert_false(plugins_overdue(p, 0, &late));
    plugin_worker_free(a);
    plugin_worker_free(b);
    plugins_free(p);
}

static void note_left(void *p)
{
    plugins_note_left(p, 7, 3);
}

static void test_left(void **state)
{
    struct plugins *p = plugins_aid_new(NULL);

    UNUSED(state);
    plugins_note_left(p, 7, 0);
    assert_int_equal(plugins_left_blocks(p), 0);
    assert_true(child_aborts(note_left, p, "team=7 blocks=3"));
    plugins_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_reports), cmocka_unit_test(test_overdue),
        cmocka_unit_test(test_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
