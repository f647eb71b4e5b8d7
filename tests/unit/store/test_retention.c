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

static void plugin_logs(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.plugin_logs_retention_us = 7 * DAY_US;
    aid_open_again(aid);
    for (int day = 0; day < 10; day++) {
        struct store_plugin_log row = {.config_id = 1, .at_us = clock_wall_us()};
        aid_begin(aid);
        must(aid->ops->plugin_logs_insert(aid->self, &row, 1, &aid->err));
        aid_commit(aid);
        clock_fake_add(DAY_US);
    }
    aid_tidy(aid);
    expect_rows("SELECT min(id), max(id) FROM plugin_logs", 2, "4|10");
    clock_fake_add(6 * DAY_US + 1);
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM plugin_logs", 1, "0");
    aid_close(aid);
}

static void put_recording(struct aid *aid, uint64_t n)
{
    struct recording_row row = {.uuid = aid_uuid(n),
                                .is_uuid_checked = true,
                                .team_id = 1,
                                .created_at_us = clock_wall_us()};
    bool is_new;

    must(aid->ops->recording_insert(aid->self, &row, &is_new, &aid->err));
    assert_true(is_new);
}

static void recordings_by_arrival(void **state)
{
    struct aid a, *aid = &a;
    uint64_t n = 0;

    UNUSED(state);
    open_with(aid, 2 * DAY_US, 0);
    for (int day = 0; day < 5; day++) {
        aid_begin(aid);
        for (int i = 0; i < 3000; i++)
            put_recording(aid, n++);
        aid_commit(aid);
        clock_fake_add(DAY_US);
    }
    aid_tidy(aid);
    expect_rows("SELECT count(*), min(id), max(id) FROM session_recording_events", 3,
                "6000|9001|15000");
    clock_fake_add(10 * DAY_US);
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM session_recording_events", 1, "0");
    aid_begin(aid);
    put_recording(aid, 0); /* forgotten with its row */
    aid_commit(aid);
    aid_close(aid);
}

static void count_names(struct aid *aid, int names)
{
    char name[16];

    aid_begin(aid);
    for (int i = 0; i < names; i++) {
        snprintf(name, sizeof(name), "e%d", i);
        for (int64_t team = 1; team <= 5; team++)
            aid->ops->count(aid->self, STORE_COUNT_STORED, team, clock_wall_us(), slice_cstr(name));
    }
    aid_commit(aid);
}

/* Whatever the other settings say; a slice takes 2,000 rows. */
static void counters(void **state)
{
    struct aid a, *aid = &a;
    bool more;

    UNUSED(state);
    open_with(aid, 0, 0);
    count_names(aid, 900);
    aid_tidy(aid);
    clock_fake_add(40 * DAY_US);
    count_names(aid, 1);
    clock_fake_add(50 * DAY_US - 60000000);
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM counters", 1, "4505");
    clock_fake_add(2 * 60000000);
    must(aid->ops->tidy(aid->self, &more, &aid->err));
    assert_true(more);
    expect_rows("SELECT count(*) FROM counters", 1, "2505");
    aid_tidy(aid);
    expect_rows("SELECT count(*), count(DISTINCT minute) FROM counters", 2, "5|1");
    clock_fake_add(40 * DAY_US);
    fault_arm("store.tidy", 1, 1);
    assert_false(aid->ops->tidy(aid->self, &more, &aid->err));
    expect_rows("SELECT count(*) FROM counters", 1, "5");
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM counters", 1, "0");
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
        cmocka_unit_test(plugin_logs),
        cmocka_unit_test(recordings_by_arrival),
        cmocka_unit_test(counters),
        cmocka_unit_test(failed_slice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
