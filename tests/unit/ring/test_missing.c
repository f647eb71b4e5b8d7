/* What is told about records that are not there. */
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

static void test_gap_without_finished(void **state)
{
    struct rig *g = *state;
    struct feed_run run = {.from = 4, .to = 6};

    g->opt.runs = &run;
    g->opt.run_count = 1;
    set_position(g, 2, 10);
    g->opt.position.ring_id.b[0] = 1;
    rig_open(g);
    g->ring->gap_from = 20;
    g->ring->gap_to = 30;
    missing_gap(g->ring, 4, 6); /* finished */
    assert_int_equal(count_of(g, GAP), 0);
    missing_gap(g->ring, 3, 8);
    assert_int_equal(count_of(g, GAP), 3);
    missing_gap(g->ring, 20, 30); /* told at the start */
    missing_gap(g->ring, 25, 29);
    assert_int_equal(count_of(g, GAP), 3);
    missing_gap(g->ring, 25, 31);
    assert_int_equal(count_of(g, GAP), 4);
}

/* The damaged bytes are kept as they are, once, and not without a bound. */
static void test_quarantine(void **state)
{
    struct rig *g = *state;
    struct buf kept = BUF_INIT(1 << 20);
    struct buf file = BUF_INIT(1 << 20);
    struct err err = ERR_INIT;
    char *path, *seg, *full;
    uint64_t at, end;

    g->opt.tail_bytes_max = 0;
    rig_open(g);
    for (int i = 0; i < 10; i++)
        put(g, 1, 500);
    at = place_of(g, 0, 3);
    end = place_of(g, 0, 4);
    flip(g, 0, at + 100);
    drain(g);
    assert_int_equal(g->got_count, 9);
    path = fs_join(g->dir, "quarantine/00000001-5704.corrupt");
    assert_int_equal(at, 5704);
    assert_true(fs_read_all(path, &kept, &err));
    seg = file_of(g, 0);
    assert_true(fs_read_all(seg, &file, &err));
    assert_int_equal(kept.len, end - at);
    assert_memory_equal(kept.ptr, file.ptr + at, end - at);
    /* No room: told and counted all the same. */
    full = fs_join(g->dir, "quarantine/full.corrupt");
    temp_dir_write(g->dir, "quarantine/full.corrupt", "x");
    assert_int_equal(truncate(full, RING_QUARANTINE_BYTES), 0);
    put(g, 1, 500);
    put(g, 1, 500);
    flip(g, 0, place_of(g, 0, 10) + 100);
    drain(g);
    assert_int_equal(count_of(g, CORRUPT), 2);
    buf_free(&kept);
    buf_free(&file);
    mem_free(path);
    mem_free(seg);
    mem_free(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gap_without_finished, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quarantine, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
