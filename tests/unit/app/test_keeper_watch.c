#include "plugin/plugin.h"

static bool seen_overdue(struct plugins *p, int64_t grace_us, struct plugin_overdue *out);
#define plugins_overdue seen_overdue
#include "app/keeper_watch.c"
#undef plugins_overdue
#include "base/clock.h"
#include "child.h"
#include "keeper_aid.h"
#include "store/store_sqlite.h"

static bool is_overdue; /* what plugins_overdue says */
static int64_t overdue_us = 6500000;

static bool seen_overdue(struct plugins *p, int64_t grace_us, struct plugin_overdue *out)
{
    UNUSED(p);
    assert_int_equal(grace_us, KEEPER_SEEN_US);
    *out = (struct plugin_overdue){.config_id = 7, .overdue_us = overdue_us, .worker = 1};
    return is_overdue;
}

/* A keeper with a real store, so that what the child stored is there for the parent. */
struct watched {
    struct kept w;
    char *path;
    bool is_store_stuck;
};

static void open_sqlite(struct watched *t)
{
    struct store_sqlite_options opt = {.path = t->path,
                                       .dedupe_window_us = 3600000000,
                                       .dedupe_bytes_max = 1 << 20,
                                       .busy_us = 1000000};

    if (!store_sqlite_open(&opt, &t->w.store, &t->w.err))
        fail_msg("%s", t->w.err.text);
}

static void watched_open(struct watched *t)
{
    *t = (struct watched){.path = NULL};
    kept_open(&t->w, NULL);
    t->path = app_data_path(t->w.place.conf, APP_DATABASE);
    char *dir = app_data_path(t->w.place.conf, "");
    assert_true(fs_mkdirs(dir, 0700, &t->w.err));
    mem_free(dir);
}

static void watched_close(struct watched *t)
{
    mem_free(t->path);
    kept_stop(&t->w);
    kept_close(&t->w);
}

static void hang(void *ctx)
{
    struct watched *t = ctx;
    struct hold h;

    log_setup(LOG_INFO, LOG_CLASSIC, false);
    open_sqlite(t);
    kept_start(&t->w);
    if (t->is_store_stuck)
        hold_begin(&h, t->w.pipe);
    is_overdue = true;
    for (int i = 0; i < KEEPER_LOOKS; i++)
        keeper_watch(t->w.k);
}

static bool is_open(struct watched *t, int64_t config_id, int64_t *until_us)
{
    struct plugin_state *s = plugins_state(keeper_plugins(t->w.k), config_id);
    bool is = atomic_load(&s->circuit) == CIRCUIT_OPEN;

    *until_us = atomic_load(&s->circuit_until_us);
    if (is)
        assert_has(s->circuit_why, "it ran on for 6 s after its time limit");
    plugin_state_unref(s);
    return is;
}

static void nothing_is_overdue(void **state)
{
    struct watched t;

    UNUSED(state);
    watched_open(&t);
    is_overdue = false;
    keeper_watch(t.w.k);
    watched_close(&t);
}

/* A process that was stopped and goes on finds calls late that end at once: they are gone at the
 * next look, or others have taken their place. */
static void late_once_is_not_given_up(void **state)
{
    struct watched t;

    UNUSED(state);
    watched_open(&t);
    for (int i = 0; i < KEEPER_LOOKS; i++) {
        is_overdue = true;
        keeper_watch(t.w.k);
        keeper_watch(t.w.k);
        is_overdue = false;
        keeper_watch(t.w.k);
    }
    is_overdue = true;
    for (int i = 0; i < 2 * KEEPER_LOOKS; i++) {
        overdue_us -= 1000; /* another call */
        keeper_watch(t.w.k);
    }
    overdue_us = 6500000;
    is_overdue = false;
    watched_close(&t);
}

/* The process ends, and the next one finds the circuit open: in the store, or in a file when STORE
 * hangs as well. */
static void the_next_start_knows(void **state)
{
    static const bool stuck[] = {false, true};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(stuck); i++) {
        struct watched t;
        int64_t until_us, now = clock_wall_us();

        watched_open(&t);
        t.is_store_stuck = stuck[i];
        assert_true(child_aborts(hang, &t, "a plugin does not end"));
        assert_int_equal(fs_exists(t.w.k->circuit_path), stuck[i]);
        assert_false(is_open(&t, 7, &until_us));
        open_sqlite(&t);
        assert_true(keeper_load(t.w.k, &t.w.store, &t.w.err));
        assert_true(is_open(&t, 7, &until_us));
        assert_true(until_us >= now + 600000000 && until_us < now + 700000000);
        store_sqlite_close(&t.w.store);
        watched_close(&t);
    }
}

static void what_the_file_says(void **state)
{
    static const struct {
        const char *text;
        bool is_kept;
    } table[] = {
        {"{\"plugin_config_id\":7,\"until\":9000000000000000,\"why\":\"it ran on for 6 s after its "
         "time limit\"}",
         true},
        {"{\"plugin_config_id\":7,\"until\":1,\"why\":\"x\"}", false},
        {"{\"plugin_config_id\":7,\"until\":9000000000000000}", false},
        {"{\"until\":9000000000000000,\"why\":\"x\"}", false},
        {"", false},
        {"nonsense", false},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct watched t;
        int64_t until_us;

        watched_open(&t);
        assert_true(
            fs_write_atomic(t.w.k->circuit_path, slice_cstr(table[i].text), 0600, &t.w.err));
        keeper_watch_load(t.w.k);
        assert_int_equal(is_open(&t, 7, &until_us), table[i].is_kept);
        assert_int_equal(fs_exists(t.w.k->circuit_path), table[i].is_kept);
        watched_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_overdue),
        cmocka_unit_test(late_once_is_not_given_up),
        cmocka_unit_test(the_next_start_knows),
        cmocka_unit_test(what_the_file_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
