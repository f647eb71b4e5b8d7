#include "store_aid.h"

static void choose(void **state)
{
    struct part_info parts[20];
    struct event_index x = {.parts = parts, .part_events = 100};
    struct index_merge m;

    UNUSED(state);
    for (int i = 0; i < 20; i++)
        parts[i] = (struct part_info){
            .number = i + 1, .first_id = i * 10 + 1, .last_id = i * 10 + 10, .count = 10};
    x.part_count = 3;
    assert_false(index_merge_choose(&x, &m));
    x.part_count = 4;
    assert_true(index_merge_choose(&x, &m));
    assert_int_equal(m.count, 4);
    x.part_count = 20;
    assert_true(index_merge_choose(&x, &m));
    assert_int_equal(m.count, 10); /* not more events than a part has */
    for (int i = 0; i < 20; i += 3)
        parts[i].count = 50;
    assert_false(index_merge_choose(&x, &m)); /* never four small ones side by side */
    assert_int_equal(m.count, 0);
    parts[15].count = parts[18].count = 1;
    assert_true(index_merge_choose(&x, &m));
    assert_int_equal(m.sources[0].number, 14);
}

static void merge_in_the_background(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    for (uint64_t i = 0; i < 6; i++) { /* each clean close leaves a small part */
        aid_insert_many(aid, i * 100, 100);
        aid_reopen(aid);
    }
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM event_parts"), 6);
    aid_store(aid);
    must(store_sqlite_start(&aid->store, &aid->err));
    aid_insert_many(aid, 600, 1);
    aid_tidy(aid);
    expect_rows("SELECT part, state, first_id, last_id, event_count FROM event_parts", 5,
                "7|1|1|600|600");
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM event_index"), 1800);
    assert_int_equal(aid_number(aid, "SELECT count(DISTINCT id) FROM event_index"), 600);
    aid_begin(aid);
    for (uint64_t i = 0; i < 601; i++)
        assert_true(aid_seen(aid, 1, i));
    aid->ops->rollback(aid->self);
    aid_reopen(aid);
    aid_begin(aid);
    for (uint64_t i = 0; i < 601; i++)
        assert_true(aid_seen(aid, 1, i));
    aid->ops->rollback(aid->self);
    aid_close(aid);
}

static void foreign_rows(void **state)
{
    struct aid a, *aid = &a;
    struct index_merge m = {.count = 1,
                            .sources = {{.number = 1, .first_id = 50, .last_id = 60, .count = 1}}};

    UNUSED(state);
    aid_open(aid);
    must(db_exec(aid_store(aid)->db, "INSERT INTO event_index VALUES (1, 1, 5, 49)", &aid->err));
    assert_null(index_merge_load(aid_store(aid)->db, &m, &aid->err));
    assert_int_equal(aid->err.code, ERR_IO);
    must(db_exec(aid_store(aid)->db, "UPDATE event_index SET id = 50, kind = 5", &aid->err));
    assert_null(index_merge_load(aid_store(aid)->db, &m, &aid->err));
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choose),
        cmocka_unit_test(merge_in_the_background),
        cmocka_unit_test(foreign_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
