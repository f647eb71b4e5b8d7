#include "store_aid.h"

static void small_parts(struct aid *aid, size_t events)
{
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.index_part_events = events;
    aid_open_again(aid);
}

static void expect_all_stored(struct aid *aid, uint64_t from, uint64_t to)
{
    aid_begin(aid);
    for (uint64_t i = from; i < to; i++)
        assert_true(aid_seen(aid, 1, i));
    for (uint64_t i = to; i < to + 20; i++)
        assert_false(aid_seen(aid, 1, i));
    aid->ops->rollback(aid->self);
}

/* Every event stands in the index exactly three times: distinct id, uuid, name. */
static void expect_index(struct aid *aid, int64_t events)
{
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM event_index"), 3 * events);
    assert_int_equal(
        aid_number(aid, "SELECT count(*) FROM (SELECT DISTINCT kind, id FROM event_index)"),
        3 * events);
    assert_int_equal(
        aid_number(aid, "SELECT coalesce(sum(event_count), 0) FROM event_parts WHERE state = 1"),
        events);
}

static void seal_and_write(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    small_parts(aid, 100);
    aid_insert_many(aid, 0, 99);
    assert_null(aid_store(aid)->index.pending);
    aid_insert_many(aid, 99, 1);
    assert_non_null(aid_store(aid)->index.pending);
    expect_all_stored(aid, 0, 100); /* while it is only in memory */
    aid_tidy(aid);
    assert_null(aid_store(aid)->index.pending);
    expect_index(aid, 100);
    expect_all_stored(aid, 0, 100);
    expect_rows(
        "SELECT part, state, first_id, last_id, first_at, last_at, event_count FROM event_parts", 7,
        "1|1|1|100|1700000000000000|1700000000000000|100");
    aid_insert_many(aid, 100, 150);
    expect_all_stored(aid, 0, 250);
    aid_tidy(aid);
    expect_all_stored(aid, 0, 250);
    expect_index(aid, 250);
    aid_close(aid);
}

static void part_larger_than_a_slice(void **state)
{
    struct aid a, *aid = &a;
    bool more;

    UNUSED(state);
    small_parts(aid, 20000);
    aid_insert_many(aid, 0, 20000);
    must(aid->ops->tidy(aid->self, &more, &aid->err));
    assert_true(more);
    expect_rows("SELECT state FROM event_parts", 1, "0");
    expect_all_stored(aid, 0, 20000);
    fault_arm("store.tidy", 1, 1);
    assert_false(aid->ops->tidy(aid->self, &more, &aid->err));
    aid_tidy(aid);
    expect_index(aid, 20000);
    expect_rows("SELECT state FROM event_parts", 1, "1");
    expect_all_stored(aid, 0, 20000);
    aid_close(aid);
}

static void crash_while_writing(void **state)
{
    struct aid a, *aid = &a;
    bool more;

    UNUSED(state);
    small_parts(aid, 20000);
    aid_insert_many(aid, 0, 20000);
    must(aid->ops->tidy(aid->self, &more, &aid->err));
    aid_insert_many(aid, 20000, 10);
    aid_crash(aid);
    aid_open_again(aid);
    expect_all_stored(aid, 0, 20010);
    aid_tidy(aid); /* removes what was half written, writes it again */
    expect_index(aid, 20000);
    expect_rows("SELECT part, state FROM event_parts", 2, "2|1");
    expect_all_stored(aid, 0, 20010);
    aid_close(aid);
}

static void reopen(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    small_parts(aid, 100);
    for (uint64_t i = 0; i < 10; i++) {
        aid_insert_many(aid, i * 37, 37);
        if (i % 2)
            aid_crash(aid);
        else
            aid_close_store(aid);
        aid_open_again(aid);
        expect_all_stored(aid, 0, (i + 1) * 37);
    }
    aid_close_store(aid);
    expect_index(aid, 370);
    aid_open_again(aid);
    assert_int_equal(aid_store(aid)->index.open->count,
                     0); /* a clean close leaves nothing to read */
    expect_all_stored(aid, 0, 370);
    aid_close(aid);
}

static void rollback(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    small_parts(aid, 100);
    aid_insert_many(aid, 0, 50);
    aid_begin(aid);
    for (uint64_t i = 1000; i < 1300; i++)
        aid_insert(aid, i);
    aid->ops->rollback(aid->self);
    assert_int_equal(aid_store(aid)->index.open->count, 50);
    expect_all_stored(aid, 0, 50);
    aid_begin(aid);
    assert_false(aid_seen(aid, 1, 1000));
    aid->ops->rollback(aid->self);
    aid_insert_many(aid, 50, 50);
    aid_tidy(aid);
    expect_index(aid, 100);
    aid_close(aid);
}

static void filter_after_rotation(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    small_parts(aid, 100);
    for (uint64_t i = 0; i < 60; i++) {
        aid_insert_many(aid, i * 10, 10);
        clock_fake_add(HOUR_US);
        aid_tidy(aid);
    }
    /* 24 hours of 60 are in the window: events 360 and up, of which the clock has passed the first
     * ten. */
    for (int round = 0; round < 3; round++) {
        aid_begin(aid);
        assert_true(aid_seen(aid, 1, 599));
        assert_true(aid_seen(aid, 1, 360));
        assert_false(aid_seen(aid, 1, 359));
        assert_false(aid_seen(aid, 1, 0));
        aid->ops->rollback(aid->self);
        if (round == 1)
            aid_crash(aid);
        else
            aid_close_store(aid);
        aid_open_again(aid);
    }
    aid_close(aid);
}

static void memory_limit_at_start(void **state)
{
    struct aid a, *aid = &a;
    struct store_status status;

    UNUSED(state);
    small_parts(aid, 500);
    for (uint64_t i = 0; i < 6; i++) {
        aid_insert_many(aid, i * 500, 500);
        clock_fake_add(1000000);
    }
    aid_tidy(aid);
    aid_close_store(aid);
    aid->opt.dedupe_bytes_max = 1; /* 2 x 768 entries: three of the six parts */
    aid_open_again(aid);
    aid_begin(aid);
    assert_true(aid_seen(aid, 1, 2999));
    assert_true(aid_seen(aid, 1, 1500));
    assert_false(aid_seen(aid, 1, 1499));
    aid_commit(aid);
    aid->ops->status(aid->self, &status);
    assert_int_equal(status.dedupe_entries, 1500);
    assert_int_equal(status.dedupe_window_s, 4); /* since the end of the part that was left out */
    aid_close(aid);
}

static void named_by_team(void **state)
{
    struct aid a, *aid = &a;
    struct store_sqlite *s;

    UNUSED(state);
    aid_open(aid);
    s = aid_store(aid);
    assert_true(event_index_hash(s, INDEX_EVENT, 1, SLICE("a")) !=
                event_index_hash(s, INDEX_EVENT, 2, SLICE("a")));
    assert_true(event_index_hash(s, INDEX_EVENT, 1, SLICE("a")) !=
                event_index_hash(s, INDEX_DISTINCT_ID, 1, SLICE("a")));
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seal_and_write),
        cmocka_unit_test(part_larger_than_a_slice),
        cmocka_unit_test(crash_while_writing),
        cmocka_unit_test(reopen),
        cmocka_unit_test(rollback),
        cmocka_unit_test(filter_after_rotation),
        cmocka_unit_test(memory_limit_at_start),
        cmocka_unit_test(named_by_team),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
