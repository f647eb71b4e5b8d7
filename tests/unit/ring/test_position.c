/* Where reading goes on after a start. */
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

static void test_no_cursor_reads_from_oldest(void **state)
{
    struct rig *g = *state;

    rig_open(g);
    put(g, 7, 100);
    reopen(g);
    put(g, 1, 100);
    drain(g);
    assert_got(g, 0, 8);
}

static void test_deleted_ring_is_a_new_epoch(void **state)
{
    struct rig *g = *state;
    struct feed_position old, p;
    struct feed_run run = {.from = 6, .to = 8};

    rig_open(g);
    put(g, 10, 100);
    set_position(g, 5, 9);
    old = g->opt.position;
    rig_close(g);
    remove_files(g->dir);
    g->opt.runs = &run;
    g->opt.run_count = 1;
    rig_open(g);
    p = ring_position(g->ring);
    assert_false(uuid_eq(&p.ring_id, &old.ring_id));
    assert_int_equal(p.epoch, old.epoch + 1);
    assert_int_equal(p.offset, 9);
    assert_int_equal(p.seen_end, 9);
    assert_false(ring_runs_hold(g->ring));
    put(g, 1, 100);
    drain(g);
    assert_got(g, 10, 11);
    assert_int_equal(g->got_at[0], 9);
}

static void test_foreign_ring(void **state)
{
    struct rig *g = *state;
    struct feed_position p;
    char *aside;
    char id[UUID_TEXT_LEN + 1];
    char name[80];

    rig_open(g);
    put(g, 10, 100);
    p = ring_position(g->ring);
    uuid_format(&p.ring_id, id);
    snprintf(name, sizeof(name), "foreign-%s", id);
    set_position(g, 3, 4);
    g->opt.position.ring_id.b[0] ^= 1;
    reopen(g);
    p = ring_position(g->ring);
    assert_int_equal(p.epoch, 2);
    assert_int_equal(p.offset, 4);
    assert_false(ring_runs_hold(g->ring));
    aside = temp_dir_path(g->dir, name);
    assert_true(fs_exists(aside));
    mem_free(aside);
    put(g, 2, 100);
    drain(g);
    assert_got(g, 10, 12);
    assert_int_equal(g->got_at[0], 4);
    g->opt.position = p;
    reopen(g);
    assert_int_equal(ring_position(g->ring).epoch, 2);
}

/* An older copy of our own ring: what it has above the cursor is read, the missing end is told, and
 * offsets that were seen are not used again. */
static void test_older_copy(void **state)
{
    struct rig *g = *state;
    char *copy = temp_dir_path(g->top, "copy");
    struct feed_run runs[] = {{.from = 12, .to = 14}, {.from = 20, .to = 22}};

    rig_open(g);
    put(g, 10, 100);
    put(g, 8, 100);
    copy_dir(g->dir, copy);
    put(g, 12, 100);
    set_position(g, 11, 25);
    rig_close(g);
    remove_files(g->dir);
    copy_dir(copy, g->dir);
    g->opt.runs = runs;
    g->opt.run_count = 2;
    rig_open(g);
    assert_int_equal(ring_position(g->ring).epoch, 1);
    assert_int_equal(ring_position(g->ring).offset, 11);
    assert_true(ring_runs_hold(g->ring));
    assert_int_equal(count_of(g, GAP), 25 - 18 - 2);
    put(g, 1, 100);
    drain(g);
    assert_int_equal(g->got_count, 8);
    assert_int_equal(g->got_at[0], 11);
    assert_int_equal(g->got_at[6], 17);
    assert_int_equal(g->got_at[7], 25);
    assert_int_equal(g->got[7], 30);
    assert_int_equal(count_of(g, GAP), 5); /* told once */
    /* And once more: the hole stays a hole, nothing of the old end comes back. */
    got_clear(g);
    g->opt.position.seen_end = 26;
    reopen(g);
    drain(g);
    assert_int_equal(g->got_count, 8);
    assert_int_equal(g->got_at[7], 25);
    mem_free(copy);
}

/* The store is older than the ring: what it needs was overwritten. */
static void test_gone(void **state)
{
    struct rig *g = *state;
    struct err err = ERR_INIT;
    char want[300];

    g->opt.bytes_max = 1 << 20;
    rig_open(g);
    for (int i = 0; i < 500; i++) {
        put(g, 1, 5000);
        drain(g);
        release(g, status(g).end);
    }
    put(g, 1, 5000);
    set_position(g, 10, 20);
    rig_close(g);
    assert_false(rig_try_open(g, &err));
    assert_int_equal(err.code, ERR_GONE);
    snprintf(want, sizeof(want), "ring %s: events 10 to ", g->dir);
    assert_non_null(strstr(err.text, want));
    assert_non_null(strstr(err.text, "are missing (unread); start with --accept-gap"));
    g->opt.accept_gap = true;
    got_clear(g);
    rig_open(g);
    assert_true(ring_position(g->ring).offset > 20);
    assert_int_equal(count_of(g, GAP), ring_position(g->ring).offset - 10);
    drain(g);
    assert_int_equal(g->got[g->got_count - 1], 500);
}

static void test_unfinished(void **state)
{
    struct rig *g = *state;
    struct feed_run runs[] = {{.from = 10, .to = 20}, {.from = 30, .to = 31}};
    uint64_t first;

    g->opt.runs = runs;
    g->opt.run_count = 2;
    set_position(g, 5, 40);
    g->opt.position.ring_id.b[0] = 1;
    rig_open(g);
    assert_int_equal(position_unfinished(g->ring, 5, 40, &first), 35 - 11);
    assert_int_equal(first, 5);
    assert_int_equal(position_unfinished(g->ring, 10, 20, &first), 0);
    assert_int_equal(position_unfinished(g->ring, 15, 32, &first), 11);
    assert_int_equal(first, 20);
    assert_int_equal(position_unfinished(g->ring, 30, 31, &first), 0);
    assert_int_equal(position_unfinished(g->ring, 30, 30, &first), 0);
    assert_int_equal(position_unfinished(g->ring, 31, 33, &first), 2);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_no_cursor_reads_from_oldest),
        CASE(test_deleted_ring_is_a_new_epoch),
        CASE(test_foreign_ring),
        CASE(test_older_copy),
        CASE(test_gone),
        CASE(test_unfinished),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
