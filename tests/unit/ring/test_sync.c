/* The writer when writes, syncs, heads and new files fail: nothing acknowledged is lost, nothing
 * that was refused comes back, and writing goes on without a restart. */
#include "ring_aid.h"

static int setup(void **state)
{
    struct rig *g = mem_new(struct rig);

    rig_init(g);
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    rig_fini(*state);
    mem_free(*state);
    return 0;
}

/* What became of the numbers: true when acknowledged. */
struct ledger {
    bool *is_acked;
    uint64_t acked;
};

static bool put_noted(struct rig *g, struct ledger *l, size_t count, size_t bytes)
{
    uint64_t first = g->next_number;
    enum err_code code;
    bool ok = try_put(g, count, bytes, &code);

    assert_true(ok || code == ERR_IO || code == ERR_FULL);
    for (uint64_t n = first; n < g->next_number; n++)
        l->is_acked[n] = ok;
    l->acked += ok ? count : 0;
    return ok;
}

static void assert_exactly_acked(struct rig *g, const struct ledger *l)
{
    drain(g);
    for (size_t i = 0; i < g->got_count; i++) {
        assert_true(l->is_acked[g->got[i]]);
        if (i)
            assert_true(g->got[i] > g->got[i - 1]);
        assert_int_equal(g->got_at[i], i); /* dense, whatever failed */
    }
    assert_int_equal(g->got_count, l->acked);
}

/* Groups of all kinds; about 2.5 MB over segments of 256 KiB. */
static void scenario(struct rig *g, struct ledger *l)
{
    for (int i = 0; i < 45; i++) {
        put_noted(g, l, 1, 100);
        put_noted(g, l, 20, 700);
        if (i % 20 == 7)
            put_noted(g, l, 500, 1000); /* over segments */
        if (i % 10 == 3)
            put_noted(g, l, 1, 100000);
    }
}

/* Fails call 1, 2, 3 ... (`times` in a row) of a point until the scenario does not reach it. */
static void fail_every_call(struct rig *g, const char *point, int times, int step)
{
    struct ledger l = {.is_acked = mem_alloc(100000)};
    int hits = 0;
    int nth = 1;

    do {
        struct err err = ERR_INIT;

        remove_files(g->dir);
        got_clear(g);
        g->next_number = 0;
        g->opt.has_position = false;
        l.acked = 0;
        fault_arm(point, nth, times);
        if (rig_try_open(g, &err)) {
            rig_start(g);
            scenario(g, &l);
            hits = fault_hits(point);
            fault_clear();
            AWAIT(status(g).is_writable);
            assert_true(put_noted(g, &l, 3, 100));
            assert_exactly_acked(g, &l);
            got_clear(g);
            reopen(g);
            assert_exactly_acked(g, &l);
            assert_int_equal(count_of(g, CORRUPT), 0);
            assert_int_equal(count_of(g, GAP), 0);
            rig_close(g);
        } else {
            hits = fault_hits(point);
            assert_true(err.code == ERR_IO || err.code == ERR_FULL);
            fault_clear();
        }
        nth += step;
    } while (hits >= nth - step);
    mem_free(l.is_acked);
}

static void test_write_fails(void **state)
{
    fail_every_call(*state, "ring.write", 1, 23);
}

static void test_disk_fills_at_write(void **state)
{
    fail_every_call(*state, "ring.write_full", 1, 53);
}

static void test_sync_fails(void **state)
{
    fail_every_call(*state, "ring.fdatasync", 1, 19);
}

static void test_sync_fails_again_and_again(void **state)
{
    fail_every_call(*state, "ring.fdatasync", 4, 61);
}

static void test_head_fails(void **state)
{
    fail_every_call(*state, "ring.header", 1, 1);
}

static void test_heads_fail(void **state)
{
    fail_every_call(*state, "ring.header", 5, 3);
}

static void test_no_new_files(void **state)
{
    fail_every_call(*state, "ring.prealloc", 1, 1);
}

static void test_no_deletions(void **state)
{
    fail_every_call(*state, "ring.unlink", 1, 1);
}

static void test_interval_mode(void **state)
{
    struct rig *g = *state;

    g->opt.sync = RING_SYNC_INTERVAL;
    rig_open(g);
    for (int i = 0; i < 300; i++)
        put(g, 10, 700);
    put(g, 500, 1000);
    drain(g);
    assert_got(g, 0, 3500);
    got_clear(g);
    reopen(g);
    drain(g);
    assert_got(g, 0, 3500);
}

/* Acknowledged before the sync: it fails late, nothing that is still readable is given up. */
static void test_interval_sync_fails(void **state)
{
    struct rig *g = *state;

    g->opt.sync = RING_SYNC_INTERVAL;
    rig_open(g);
    put(g, 10, 100);
    fault_arm("ring.fdatasync", 1, 1);
    AWAIT(fault_hits("ring.fdatasync") > 0);
    put(g, 10, 100);
    drain(g);
    assert_got(g, 0, 20);
    fault_clear();
}

static void test_never_mode(void **state)
{
    struct rig *g = *state;

    g->opt.sync = RING_SYNC_NEVER;
    rig_open(g);
    fault_arm("ring.fdatasync", 1, 1);
    put(g, 10, 700);
    assert_int_equal(fault_hits("ring.fdatasync"), 0);
    fault_clear();
    for (int i = 0; i < 100; i++)
        put(g, 10, 700);
    reopen(g);
    drain(g);
    assert_got(g, 0, 1010);
}

/* One sync answers all that waited. */
static void test_group_commit(void **state)
{
    struct rig *g = *state;
    struct err err = ERR_INIT;

    g->opt.group_commit_us = 1000;
    assert_true(rig_try_open(g, &err));
    for (int i = 0; i < 50; i++)
        assert_true(post(g, 1, 100, &err));
    fault_arm("ring.fdatasync", 1000, 1);
    rig_start(g);
    await_answers(g);
    assert_int_equal(fault_hits("ring.fdatasync"), 1);
    fault_clear();
    assert_int_equal(count_of(g, "hedgerow_queue_group_size_count"), 1);
    assert_int_equal(count_of(g, "hedgerow_queue_group_size_sum"), 50);
}

static int64_t cpu_ns(pthread_t id)
{
    struct timespec t;
    clockid_t clock;

    assert_int_equal(pthread_getcpuclockid(id, &clock), 0);
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Nobody wakes up when nothing happens: no CPU time passes for the two threads. */
static void test_idle_is_idle(void **state)
{
    struct rig *g = *state;
    int64_t used = -1;
    bool is_idle = false;

    rig_open(g);
    put(g, 1, 100);
    for (int i = 0; i < 100 && !is_idle; i++) {
        int64_t now = cpu_ns(g->ring->sync_thread.id) + cpu_ns(g->ring->tidy_thread.id);

        is_idle = now == used;
        used = now;
        usleep(30000);
    }
    assert_true(is_idle);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_write_fails),   CASE(test_disk_fills_at_write),
        CASE(test_sync_fails),    CASE(test_sync_fails_again_and_again),
        CASE(test_head_fails),    CASE(test_heads_fail),
        CASE(test_no_new_files),  CASE(test_no_deletions),
        CASE(test_interval_mode), CASE(test_interval_sync_fails),
        CASE(test_never_mode),    CASE(test_group_commit),
        CASE(test_idle_is_idle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
