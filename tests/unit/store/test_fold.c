#include "store_aid.h"

static void sorted_by_table_and_key(void **state)
{
    struct log_entry items[] = {
        {.kind = CHANGE_GROUP, .major = 1, .seq = 1},
        {.kind = CHANGE_DISTINCT_ID, .major = 1, .minor = {2, 0}, .hash = 9, .seq = 2},
        {.kind = CHANGE_PERSON, .major = 8, .seq = 3},
        {.kind = CHANGE_PERSON, .major = 7, .seq = 4},
        {.kind = CHANGE_DISTINCT_ID, .major = 1, .minor = {1, 5}, .hash = 3, .seq = 5},
        {.kind = CHANGE_PERSON, .major = 7, .seq = 6},
        {.kind = CHANGE_DISTINCT_ID, .major = 1, .minor = {2, 0}, .hash = 9, .seq = 7},
    };
    struct fold_plan p = {.items = items, .count = ARRAY_LEN(items)};
    static const int64_t wanted[] = {6, 3, 5, 2, 7, 1}; /* 4 is an older state of person 7 */

    UNUSED(state);
    fold_plan_sort(&p);
    assert_int_equal(p.count, ARRAY_LEN(wanted));
    for (size_t i = 0; i < p.count; i++)
        assert_int_equal(p.items[i].seq, wanted[i]);
}

static void waits_while_events_come(void **state)
{
    struct aid a, *aid = &a;
    bool more;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    aid_create(aid, 1, "a", "{}");
    aid_commit(aid);
    must(aid->ops->tidy(aid->self, &more, &aid->err)); /* a commit came since the last call */
    assert_true(more);
    expect_rows("SELECT folded_seq FROM meta", 1, "0");
    must(aid->ops->tidy(aid->self, &more, &aid->err)); /* nothing came: idle */
    expect_rows("SELECT folded_seq FROM meta", 1, "2");
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM changes", 1, "0");
    aid_close(aid);
}

/* Changes that come while a round is running are not covered by it, and win. */
static void changes_during_a_round(void **state)
{
    struct aid a, *aid = &a;
    bool more;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    for (uint64_t i = 0; i < 7000; i++) {
        char id[16];
        snprintf(id, sizeof(id), "u%llu", (unsigned long long)i);
        aid_create(aid, i, id, "{\"old\":1}");
    }
    aid_commit(aid);
    must(aid->ops->tidy(aid->self, &more, &aid->err));
    must(aid->ops->tidy(aid->self, &more, &aid->err)); /* a first slice of the round */
    assert_non_null(aid_store(aid)->fold.plan);
    assert_int_equal(aid_store(aid)->fold.at, STORE_SLICE_ROWS);
    aid_begin(aid);
    aid_update(aid, aid_person(aid, "u0"), "{\"new\":1}");
    must(aid->ops->person_merge(aid->self, aid_person(aid, "u6999"), aid_person(aid, "u1"),
                                &aid->err));
    aid_commit(aid);
    for (int i = 0; i < 2; i++) {
        expect_rows("SELECT count(*), sum(version), sum(properties = '{\"new\":1}') FROM v_persons",
                    3, "6999|1|1");
        expect_rows("SELECT count(*), sum(version) FROM v_person_distinct_ids", 2, "7000|1");
        expect_rows("SELECT person_uuid FROM v_person_distinct_ids WHERE distinct_id = 'u6999'", 1,
                    "00000000-0000-0000-0000-000000000001");
        aid_tidy(aid);
    }
    expect_rows("SELECT count(*) FROM changes", 1, "0");
    expect_rows("SELECT count(*) FROM persons", 1, "6999");
    aid_close(aid);
}

static void crash_in_a_round(void **state)
{
    struct aid a, *aid = &a;
    bool more;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    for (uint64_t i = 0; i < 4000; i++) {
        char id[16];
        snprintf(id, sizeof(id), "u%llu", (unsigned long long)i);
        aid_create(aid, i, id, "{}");
    }
    aid_commit(aid);
    must(aid->ops->tidy(aid->self, &more, &aid->err));
    must(aid->ops->tidy(aid->self, &more, &aid->err));
    assert_non_null(aid_store(aid)->fold.plan);
    aid_crash(aid);
    aid_open_again(aid);
    expect_rows("SELECT count(*) FROM v_persons", 1, "4000");
    aid_begin(aid);
    must(aid->ops->person_merge(aid->self, aid_person(aid, "u0"), aid_person(aid, "u3999"),
                                &aid->err));
    aid_commit(aid);
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM v_persons", 1, "3999");
    expect_rows("SELECT count(*) FROM persons", 1, "3999");
    expect_rows("SELECT count(*) FROM person_distinct_ids", 1, "4000");
    aid_close(aid);
}

static void failed_slice(void **state)
{
    struct aid a, *aid = &a;
    bool more;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    aid_create(aid, 1, "a", "{}");
    aid_commit(aid);
    must(aid->ops->tidy(aid->self, &more, &aid->err));
    fault_arm("store.tidy", 1, 1);
    assert_false(aid->ops->tidy(aid->self, &more, &aid->err));
    assert_int_equal(aid->err.code, ERR_FULL);
    expect_rows("SELECT count(*) FROM persons", 1, "0");
    assert_int_equal(aid_store(aid)->log.folded_seq, 0);
    assert_int_equal(aid_store(aid)->log.count, 2);
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM persons", 1, "1");
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorted_by_table_and_key),
        cmocka_unit_test(waits_while_events_come),
        cmocka_unit_test(changes_during_a_round),
        cmocka_unit_test(crash_in_a_round),
        cmocka_unit_test(failed_slice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
