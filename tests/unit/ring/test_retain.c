/* Spares, reuse, deletion. */
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

static size_t files(struct rig *g)
{
    uint32_t slots[100];

    return list_slots(g, slots, 100);
}

/* Nothing is prepared before the current segment is half full. */
static void test_no_spares_when_idle(void **state)
{
    struct rig *g = *state;

    rig_open(g);
    for (int i = 0; i < 20; i++)
        put(g, 1, 1000);
    assert_int_equal(files(g), 1);
    for (int i = 0; i < 20; i++)
        put(g, 1, 1000);
    AWAIT(files(g) == 2);
    for (int i = 0; i < 12; i++)
        put(g, 1, 1000);
    AWAIT(files(g) == 3);
}

/* Under steady load with everything read at once the same files go round. */
static void test_files_go_round(void **state)
{
    struct rig *g = *state;
    uint32_t slots[100];

    rig_open(g);
    for (int i = 0; i < 3000; i++) {
        put(g, 1, 1000);
        drain(g);
        release(g, status(g).end);
        assert_true(status(g).bytes <= 6 * (256u << 10));
    }
    AWAIT(files(g) <= 1 + RING_SPARES);
    for (size_t n = list_slots(g, slots, 100); n-- > 0;)
        assert_true(slots[n] < 8);
}

/* A backlog is worked off: the disk is given back but for the spares. */
static void test_gives_back(void **state)
{
    struct rig *g = *state;

    rig_open(g);
    for (int i = 0; i < 3000; i++)
        put(g, 1, 1000);
    assert_true(files(g) > 10);
    drain(g);
    release(g, 3000);
    AWAIT(files(g) <= 1 + RING_SPARES);
    AWAIT(status(g).bytes <= (1 + RING_SPARES) * (256u << 10));
    assert_int_equal(count_of(g, "hedgerow_queue_segments{state=\"unread\"}"), 1);
}

/* Released means: every record of the segment; one short of it keeps the file. */
static void test_release_is_exact(void **state)
{
    struct rig *g = *state;
    char *path;
    uint64_t end;

    rig_open(g);
    for (int i = 0; i < 600; i++)
        put(g, 1, 1000);
    drain(g);
    end = head_of(g, 0).base;
    assert_int_equal(end, 0);
    lock_take(&g->ring->lock);
    end = list_entry(g->ring->chain.next, struct segment, node)->end;
    lock_drop(&g->ring->lock);
    path = file_of(g, 0);
    release(g, end - 1);
    assert_int_equal(status(g).first, 0);
    release(g, end);
    assert_int_equal(status(g).first, end);
    AWAIT(!fs_exists(path)); /* the small first one is deleted, not reused */
    release(g, 1);           /* never back */
    assert_int_equal(status(g).cursor, end);
    release(g, UINT64_MAX); /* not behind the end */
    assert_int_equal(status(g).cursor, 600);
    mem_free(path);
}

static void test_budget_bounds_files(void **state)
{
    struct rig *g = *state;
    struct err err = ERR_INIT;
    struct segment *taken[100];
    size_t n = 0;

    g->opt.bytes_max = 1 << 20;
    assert_true(rig_try_open(g, &err));
    while ((taken[n] = retain_take(g->ring, 100000, false, &err)) != NULL)
        n++;
    assert_int_equal(err.code, ERR_FULL);
    assert_int_equal(n, 3);
    assert_true(status(g).bytes <= 1 << 20);
    while (n > 0)
        retain_give_back(g->ring, taken[--n]);
    assert_non_null(taken[0] = retain_take(g->ring, 100000, false, &err));
    retain_bury(g->ring, taken[0]);
    rig_start(g);
    AWAIT(files(g) <= 3);
}

/* A file that cannot be deleted is tried again. */
static void test_deletion_is_repeated(void **state)
{
    struct rig *g = *state;

    rig_open(g);
    fault_arm("ring.unlink", 1, 3);
    for (int i = 0; i < 1000; i++)
        put(g, 1, 1000);
    drain(g);
    release(g, 1000);
    AWAIT(files(g) <= 1 + RING_SPARES);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_no_spares_when_idle), CASE(test_files_go_round),
        CASE(test_gives_back),          CASE(test_release_is_exact),
        CASE(test_budget_bounds_files), CASE(test_deletion_is_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
