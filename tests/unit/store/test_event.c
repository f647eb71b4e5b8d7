#include "store_aid.h"

static void insert_and_read(void **state)
{
    struct aid a, *aid = &a;
    struct event_row row = {.uuid = {{0xAB, 0xCD, [15] = 0xEF}},
                            .team_id = 7,
                            .event = SLICE("signed up"),
                            .distinct_id = SLICE("anna"),
                            .has_person = true,
                            .person_uuid = {{[15] = 9}},
                            .properties = SLICE("{\"a\":\"ü\"}"),
                            .elements_chain = SLICE("a.btn"),
                            .timestamp_us = -1, /* before 1970 */
                            .created_at_us = 1700000000123456,
                            .group_keys = {[0] = SLICE("org"), [4] = SLICE("")}};
    int64_t id;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    must(aid->ops->event_insert(aid->self, &row, &id, &aid->err));
    assert_int_equal(id, 1);
    row = (struct event_row){.timestamp_us = 253402300799999999};
    must(aid->ops->event_insert(aid->self, &row, &id, &aid->err));
    assert_int_equal(id, 2);
    aid_commit(aid);
    expect_rows("SELECT * FROM v_events ORDER BY id", 15,
                "1|abcd0000-0000-0000-0000-0000000000ef|7|signed "
                "up|anna|00000000-0000-0000-0000-000000000009|"
                "{\"a\":\"ü\"}|a.btn|1969-12-31T23:59:59.999Z|2023-11-14T22:13:20.123Z|org|NULL|"
                "NULL|NULL|\n"
                "2|00000000-0000-0000-0000-000000000000|0|||NULL|||9999-12-31T23:59:59.999Z|1970-"
                "01-01T00:00:00.000Z|"
                "NULL|NULL|NULL|NULL|NULL");
    aid_close(aid);
}

static void times_of_the_view(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } table[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {999, "1970-01-01T00:00:00.000Z"},
        {1000, "1970-01-01T00:00:00.001Z"},
        {-1000000, "1969-12-31T23:59:59.000Z"},
        {-1000001, "1969-12-31T23:59:58.999Z"},
        {-62167219200000000, "0000-01-01T00:00:00.000Z"},
        {1582934400500000, "2020-02-29T00:00:00.500Z"},
    };
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct event_row row = aid_event(i);
        int64_t id;
        row.timestamp_us = table[i].us;
        must(aid->ops->event_insert(aid->self, &row, &id, &aid->err));
    }
    aid_commit(aid);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char sql[80];
        snprintf(sql, sizeof(sql), "SELECT timestamp FROM v_events WHERE id = %zu", i + 1);
        expect_rows(sql, 1, table[i].text);
    }
    aid_close(aid);
}

static void duplicates_in_a_batch(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    assert_false(aid_seen(aid, 1, 5));
    aid_insert(aid, 5);
    assert_true(aid_seen(aid, 1, 5));
    assert_false(aid_seen(aid, 2, 5)); /* another team */
    assert_false(aid_seen(aid, 1, 6));
    aid->ops->rollback(aid->self);
    assert_false(aid_is_stored(aid, 5));
    aid_insert_many(aid, 5, 1);
    assert_true(aid_is_stored(aid, 5));
    aid_begin(aid);
    assert_false(aid_seen(aid, 2, 5));
    aid->ops->rollback(aid->self);
    aid_close(aid);
}

static void only_checked_uuids_count(void **state)
{
    struct aid a, *aid = &a;
    struct event_row row = aid_event(5);
    int64_t id;

    UNUSED(state);
    aid_open(aid);
    row.is_uuid_checked = false;
    for (int i = 0; i < 2; i++) {
        aid_begin(aid);
        assert_false(aid_seen(aid, 1, 5));
        must(aid->ops->event_insert(aid->self, &row, &id, &aid->err));
        assert_false(aid_seen(aid, 1, 5));
        aid_commit(aid);
    }
    aid_reopen(aid);
    assert_false(aid_is_stored(aid, 5));
    aid_close(aid);
}

static void the_window_ends(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_insert_many(aid, 5, 1);
    clock_fake_add(24 * HOUR_US);
    assert_true(aid_is_stored(aid, 5));
    clock_fake_add(1);
    assert_false(aid_is_stored(aid, 5));
    aid_insert_many(aid, 5, 1); /* begins anew */
    assert_true(aid_is_stored(aid, 5));
    aid_close(aid);
}

static void no_window(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.dedupe_window_us = 0;
    aid_open_again(aid);
    aid_insert_many(aid, 5, 1);
    assert_false(aid_is_stored(aid, 5));
    aid_reopen(aid);
    assert_false(aid_is_stored(aid, 5));
    aid_close(aid);
}

static void ids_go_on_after_a_restart(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_insert_many(aid, 1, 3);
    aid_begin(aid);
    assert_int_equal(aid_insert(aid, 4), 4);
    aid->ops->rollback(aid->self);
    aid_begin(aid);
    assert_int_equal(aid_insert(aid, 4), 4); /* the number of the failed batch is given again */
    aid_commit(aid);
    aid_crash(aid);
    aid_open_again(aid);
    aid_begin(aid);
    assert_int_equal(aid_insert(aid, 5), 5);
    aid_commit(aid);
    aid_close(aid);
}

static void outside_of_a_batch(void **state)
{
    struct aid a, *aid = &a;
    struct event_row row = aid_event(1);
    bool seen;
    int64_t id;

    UNUSED(state);
    aid_open(aid);
    assert_false(aid->ops->event_insert(aid->self, &row, &id, &aid->err));
    assert_int_equal(aid->err.code, ERR_BUG);
    assert_false(aid->ops->event_seen(aid->self, 1, &row.uuid, &seen, &aid->err));
    assert_int_equal(aid->err.code, ERR_BUG);
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(insert_and_read),           cmocka_unit_test(times_of_the_view),
        cmocka_unit_test(duplicates_in_a_batch),     cmocka_unit_test(only_checked_uuids_count),
        cmocka_unit_test(the_window_ends),           cmocka_unit_test(no_window),
        cmocka_unit_test(ids_go_on_after_a_restart), cmocka_unit_test(outside_of_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
