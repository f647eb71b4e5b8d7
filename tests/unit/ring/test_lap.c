/* Segments that fail, and none at all. */
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

/* While nothing can be written: refused with a clear text, and back by itself afterwards. */
static void test_read_only_and_back(void **state)
{
    struct rig *g = *state;
    enum err_code code;
    struct err err = ERR_INIT;

    rig_open(g);
    put(g, 5, 100);
    fault_arm("ring.fdatasync", 1, 1000000);
    assert_false(try_put(g, 1, 100, &code));
    assert_int_equal(code, ERR_IO);
    assert_false(post(g, 1, 100, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, "read-only"));
    assert_false(status(g).is_writable);
    assert_non_null(status(g).why_not);
    drain(g); /* reading goes on */
    assert_got(g, 0, 5);
    fault_clear();
    AWAIT(status(g).is_writable);
    assert_null(status(g).why_not);
    put(g, 1, 100);
    drain(g);
    assert_int_equal(g->got_at[5], 5);
    assert_int_equal(g->got[5], 7);
    assert_true(count_of(g, "hedgerow_queue_rejected_total{reason=\"io\"}") >= 1);
}

static void test_full_disk_and_back(void **state)
{
    struct rig *g = *state;
    enum err_code code = ERR_NONE;
    uint64_t acked = 0;

    rig_open(g);
    put(g, 1, 100);
    fault_arm("ring.prealloc", 1, 1000000);
    while (try_put(g, 1, 4000, &code))
        acked++;
    assert_int_equal(code, ERR_FULL);
    assert_true(acked > 10);
    fault_clear();
    AWAIT(try_put(g, 1, 4000, &code));
    drain(g);
    assert_int_equal(g->got_count, acked + 2);
}

/* A segment that failed is not written again, but what it holds is read; it is deleted when passed.
 */
static void test_dead_segment(void **state)
{
    struct rig *g = *state;
    enum err_code code;
    char *path;

    g->opt.tail_bytes_max = 0;
    rig_open(g);
    put(g, 10, 100);
    fault_arm("ring.fdatasync", 1, 1);
    assert_false(try_put(g, 1, 100, &code));
    fault_clear();
    put(g, 10, 100);
    drain(g);
    assert_int_equal(g->got_count, 20);
    path = file_of(g, 0);
    assert_true(fs_exists(path));
    release(g, 20);
    AWAIT(!fs_exists(path));
    mem_free(path);
}

/* What a failed sync left on the disk does not come back after a restart, even when all of it is
 * there. */
static void test_refused_group_stays_away(void **state)
{
    struct rig *g = *state;
    enum err_code code;

    rig_open(g);
    put(g, 3, 100);
    fault_arm("ring.fdatasync", 1, 1); /* the write itself went well */
    assert_false(try_put(g, 5, 100, &code));
    fault_clear();
    reopen(g);
    assert_int_equal(status(g).end, 3);
    put(g, 1, 100);
    drain(g);
    assert_int_equal(g->got_count, 4);
    assert_int_equal(g->got[3], 8);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_read_only_and_back),
        CASE(test_full_disk_and_back),
        CASE(test_dead_segment),
        CASE(test_refused_group_stays_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
