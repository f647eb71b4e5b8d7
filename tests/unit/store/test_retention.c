#include "store_aid.h"

#define DAY_US (24 * HOUR_US)

static void open_with(struct aid *aid, int64_t events_us, int64_t dead_us)
{
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.events_retention_us = events_us;
    aid->opt.dead_letter_retention_us = dead_us;
    aid->opt.index_part_events = 100;
    aid_open_again(aid);
}

static void for_ever(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    open_with(aid, 0, 0);
    aid_insert_many(aid, 0, 10);
    clock_fake_add(100000 * DAY_US);
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM events", 1, "10");
    aid_close(aid);
}

static void events_by_arrival(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    open_with(aid, 2 * DAY_US, 0);
    for (uint64_t day = 0; day < 5; day++) {
        aid_insert_many(aid, day * 3000, 3000);
        aid_tidy(aid);
        clock_fake_add(DAY_US);
    }
    aid_tidy(aid);
    expect_rows("SELECT count(*), min(id), max(id) FROM events", 3, "6000|9001|15000");
    /* Index rows go with whole parts. */
    expect_rows("SELECT count(*) FROM event_index WHERE id <= 9000", 1, "0");
    expect_rows("SELECT count(*) FROM event_index WHERE id > 9000", 1, "18000");
    clock_fake_add(10 * DAY_US);
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM events", 1, "0");
    expect_rows("SELECT count(*) FROM event_index", 1, "0");
    expect_rows("SELECT count(*) FROM event_parts", 1, "0");
    aid_insert_many(aid, 1, 1); /* ids are not used again */
    aid_reopen(aid);
    aid_insert_many(aid, 2, 1);
    expect_rows("SELECT id FROM events", 1, "15001\n15002");
    aid_close(aid);
}

static void consumers_hold_back(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    open_with(aid, DAY_US, 0);
    aid_insert_many(aid, 0, 100);
    must(db_exec(
        aid_store(aid)->db,
        "INSERT INTO cursors (name, topic, is_enabled, offset) VALUES ('lake', 'changes', 1, 40), "
        "('off', 'changes', 0, 10)",
        &aid->err));
    clock_fake_add(2 * DAY_US);
    aid_tidy(aid);
    expect_rows("SELECT min(id) FROM events", 1, "41");
    must(db_exec(aid_store(aid)->db, "UPDATE cursors SET offset = 90", &aid->err));
    clock_fake_add(60000000);
    aid_tidy(aid);
    expect_rows("SELECT min(id) FROM events", 1, "91");
    aid_close(aid);
}

static void dead_letters(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    open_with(aid, 0, 28 * DAY_US);
    for (int i = 0; i < 3; i++) {
        struct dead_letter d = {.at_us = clock_wall_us()};
        aid_begin(aid);
        must(aid->ops->dead_letter_insert(aid->self, &d, &aid->err));
        aid_commit(aid);
        clock_fake_add(14 * DAY_US);
    }
    aid_tidy(aid);
    expect_rows("SELECT id FROM v_dead_letters", 1, "2\n3"); /* 42, 28 and 14 days old */
    clock_fake_add(14 * DAY_US + 1);
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM v_dead_letters", 1, "0");
    aid_close(aid);
}

static void failed_slice(void **state)
{
    struct aid a, *aid = &a;
    bool more;

    UNUSED(state);
    open_with(aid, DAY_US, 0);
    aid_insert_many(aid, 0, 100);
    aid_tidy(aid);
    clock_fake_add(2 * DAY_US);
    fault_arm("store.tidy", 1, 1);
    assert_false(aid->ops->tidy(aid->self, &more, &aid->err));
    expect_rows("SELECT count(*) FROM events", 1, "100");
    assert_int_equal(aid_store(aid)->index.part_count, 1);
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM events", 1, "0");
    assert_int_equal(aid_store(aid)->index.part_count, 0);
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_ever),
        cmocka_unit_test(events_by_arrival),
        cmocka_unit_test(consumers_hold_back),
        cmocka_unit_test(dead_letters),
        cmocka_unit_test(failed_slice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
