#include "keeper_aid.h"

static const struct plugin_config *config_now(struct kept *w, int64_t id,
                                              const struct plugin_set **set)
{
    *set = plugins_get(keeper_plugins(w->k));
    return plugin_set_find(*set, id);
}

static void expect_source(struct kept *w, int64_t id, const char *source)
{
    const struct plugin_set *set;
    const struct plugin_config *c = config_now(w, id, &set);

    assert_int_equal(c != NULL, source != NULL);
    if (source)
        assert_true(slice_eq(c->source, slice_cstr(source)));
    plugin_set_unref(set);
}

static bool put_run(struct store *store, void *ctx, struct err *err)
{
    return store->ops->object_put(store->self, ctx, err);
}

/* While the pipe runs. */
static void put_later(struct kept *w, const char *kind, const char *key, const char *json)
{
    struct store_object o = {.kind = kind, .key = key, .json = json};

    assert_true(pipe_call_wait(w->pipe, put_run, &o, &w->err));
}

#define INLINE(source) \
    "{\"name\":\"p\",\"source\":\"inline\",\"files\":{\"index.js\":\"" source "\"}}"

static void what_is_stored_is_in_force(void **state)
{
    struct kept w;

    UNUSED(state);
    kept_open(&w, NULL);
    kept_put_plugin(&w, "one");
    kept_start(&w);
    expect_source(&w, 2, "one");
    put_later(&w, "plugins", "p", INLINE("two"));
    expect_source(&w, 2, "one");
    kept_reload(&w);
    expect_source(&w, 2, "two");
    kept_stop(&w);
    kept_close(&w);
}

/* Those that come while a load is under way are told by the next one. */
static void who_waits_sees_what_he_stored(void **state)
{
    struct kept w;
    struct hold h;
    atomic_bool first = false, second = false;
    struct plugin_task a = {.fn = task_set_true, .ctx = &first};
    struct plugin_task b = {.fn = task_set_true, .ctx = &second};

    UNUSED(state);
    kept_open(&w, NULL);
    kept_put_plugin(&w, "one");
    kept_start(&w);
    hold_begin(&h, w.pipe);
    keeper_reload(w.k, &a); /* reads when STORE goes on */
    keeper_reload(w.k, &b);
    assert_false(atomic_load(&first) || atomic_load(&second));
    hold_end(&h);
    while (!atomic_load(&first) || !atomic_load(&second))
        sched_yield();
    for (int i = 0; i < 50; i++) {
        char json[200];
        snprintf(json, sizeof(json), INLINE("v%d"), i);
        put_later(&w, "plugins", "p", json);
        keeper_reload(w.k, NULL);
        keeper_reload(w.k, NULL);
        kept_reload(&w);
        snprintf(json, sizeof(json), "v%d", i);
        expect_source(&w, 2, json);
    }
    kept_stop(&w);
    kept_close(&w);
}

static void note(void *ctx)
{
    int *place = ctx;

    *place = 1;
}

static void tasks_run_on_its_thread(void **state)
{
    struct kept w;
    atomic_bool is_done = false;
    int noted[3] = {0};
    struct plugin_task tasks[4];

    UNUSED(state);
    kept_open(&w, NULL);
    kept_put_plugin(&w, "one");
    kept_start(&w);
    for (int i = 0; i < 3; i++) {
        tasks[i] = (struct plugin_task){.fn = note, .ctx = &noted[i]};
        keeper_run(w.k, &tasks[i]);
    }
    tasks[3] = (struct plugin_task){.fn = task_set_true, .ctx = &is_done};
    keeper_run(w.k, &tasks[3]);
    while (!atomic_load(&is_done))
        sched_yield();
    assert_true(noted[0] && noted[1] && noted[2]); /* in their order: all before the last */
    struct plugin_keeper keeper = keeper_for_admin(w.k);
    assert_string_equal(keeper.ops->find(keeper.self, "p"), INLINE("one"));
    assert_null(keeper.ops->find(keeper.self, "q"));
    kept_stop(&w);
    kept_close(&w);
}

/* Whoever waits at the end is not forgotten. */
static void the_end_leaves_nobody_waiting(void **state)
{
    struct kept w;
    atomic_bool done[4] = {false};
    struct plugin_task tasks[4];

    UNUSED(state);
    kept_open(&w, NULL);
    kept_start(&w);
    pipe_stop(w.pipe, STOP_US);
    for (int i = 0; i < 4; i++)
        tasks[i] = (struct plugin_task){.fn = task_set_true, .ctx = &done[i]};
    keeper_reload(w.k, &tasks[0]);
    keeper_run(w.k, &tasks[1]);
    keeper_stop(w.k, &w.store);
    keeper_reload(w.k, &tasks[2]);
    keeper_run(w.k, &tasks[3]);
    for (int i = 0; i < 4; i++)
        assert_true(atomic_load(&done[i]));
    kept_close(&w);
}

static bool wait_until_disabled(struct kept *w, int64_t id)
{
    for (int i = 0; i < 1000; i++) {
        const struct plugin_set *set;

        kept_reload(w);
        const struct plugin_config *c = config_now(w, id, &set);
        bool is_enabled = !c || c->is_enabled;
        plugin_set_unref(set);
        if (!is_enabled)
            return true;
    }
    return false;
}

static void one_that_gives_up_is_disabled(void **state)
{
    struct kept w;

    UNUSED(state);
    kept_open(&w, NULL);
    kept_put_plugin(&w, "one");
    keeper_disable(w.k, 2); /* even before there is a thread */
    kept_start(&w);
    assert_true(wait_until_disabled(&w, 2));
    keeper_disable(w.k, 99); /* there is none: told, no more */
    kept_reload(&w);
    kept_stop(&w);
    kept_close(&w);
}

static bool put_state(struct store *store, struct err *err)
{
    const struct store_ops *ops = store->ops;

    return ops->begin(store->self, err) &&
           ops->plugin_error_put(store->self, 2, "{\"message\":\"kept\"}", err) &&
           ops->plugin_circuit_put(store->self, 2, INT64_MAX, "it hung", err) &&
           ops->plugin_circuit_put(store->self, 3, 5, "long ago", err) &&
           ops->commit(store->self, NULL, NULL, 0, err);
}

static void what_was_known_before_is_known(void **state)
{
    struct kept w;
    struct plugin_state *s;

    UNUSED(state);
    kept_open(&w, NULL);
    kept_put_plugin(&w, "one");
    assert_true(put_state(&w.store, &w.err));
    kept_start(&w);
    s = plugins_state(keeper_plugins(w.k), 2);
    assert_string_equal(s->error_json, "{\"message\":\"kept\"}");
    assert_int_equal(atomic_load(&s->circuit), CIRCUIT_OPEN);
    assert_string_equal(s->circuit_why, "it hung");
    plugin_state_unref(s);
    s = plugins_state(keeper_plugins(w.k), 3);
    assert_int_equal(atomic_load(&s->circuit), CIRCUIT_CLOSED);
    plugin_state_unref(s);
    kept_stop(&w);
    kept_close(&w);
}

/* Without a JavaScript plugin, a log entry or a database nothing wakes it up. */
static void it_sleeps(void **state)
{
    static const char *const off[] = {"DISABLE_MMDB=true", NULL};
    struct kept w;

    UNUSED(state);
    kept_open(&w, off);
    kept_start(&w);
    kept_reload(&w);
    lock_take(&w.k->lock);
    assert_true(w.k->watch_due_us == INT64_MAX && w.k->geo_due_us == INT64_MAX);
    assert_true(keeper_log_due(w.k) == INT64_MAX && w.k->storage.retry_us == INT64_MAX);
    lock_drop(&w.k->lock);
    put_later(&w, "plugins", "p", INLINE("one"));
    put_later(&w, "plugin_configs", "1/p", "{\"plugin\":\"p\",\"team\":1}");
    kept_reload(&w);
    lock_take(&w.k->lock);
    assert_true(w.k->watch_due_us < INT64_MAX);
    lock_drop(&w.k->lock);
    kept_stop(&w);
    kept_close(&w);
}

static void never_started(void **state)
{
    struct kept w;

    UNUSED(state);
    kept_open(&w, NULL);
    kept_stop(&w);
    kept_close(&w);
    keeper_stop(NULL, NULL);
    keeper_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_stored_is_in_force),
        cmocka_unit_test(who_waits_sees_what_he_stored),
        cmocka_unit_test(tasks_run_on_its_thread),
        cmocka_unit_test(the_end_leaves_nobody_waiting),
        cmocka_unit_test(one_that_gives_up_is_disabled),
        cmocka_unit_test(what_was_known_before_is_known),
        cmocka_unit_test(it_sleeps),
        cmocka_unit_test(never_started),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
