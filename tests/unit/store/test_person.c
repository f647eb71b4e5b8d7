#include "store_aid.h"

static const char persons[] =
    "SELECT id, uuid, team_id, properties, is_identified, created_at, version FROM v_persons "
    "ORDER BY id";
static const char ids[] =
    "SELECT id, team_id, person_uuid, distinct_id, version FROM v_person_distinct_ids ORDER BY id";

static void nobody(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    assert_null(aid_person(aid, "anna"));
    assert_null(aid_person(aid, ""));
    aid_commit(aid);
    aid_close(aid);
}

static void create_and_find(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    struct person *p = aid_create(aid, 0x11, "anna anonymous", "{\"a\":1}");
    assert_int_equal(p->id, 1);
    assert_int_equal(p->version, 0);
    assert_ptr_equal(aid_person(aid, "anna"), p);
    assert_ptr_equal(aid_person(aid, "anonymous"), p);
    aid_commit(aid);
    for (int i = 0; i < 3; i++) { /* cache; log after a restart; table */
        aid_begin(aid);
        p = aid_person(aid, "anonymous");
        assert_non_null(p);
        assert_int_equal(p->id, 1);
        assert_true(slice_eq(p->properties, SLICE("{\"a\":1}")));
        assert_int_equal(p->created_at_us, T0);
        assert_int_equal(p->uuid.b[15], 0x11);
        aid_commit(aid);
        expect_rows(persons, 7,
                    "1|00000000-0000-0000-0000-000000000011|1|{\"a\":1}|0|1700000000000000|0");
        expect_rows(ids, 5,
                    "1|1|00000000-0000-0000-0000-000000000011|anna|0\n"
                    "2|1|00000000-0000-0000-0000-000000000011|anonymous|0");
        if (i == 1)
            aid_tidy(aid);
        aid_reopen(aid);
    }
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM changes"), 0);
    aid_close(aid);
}

static void update(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    struct person *p = aid_create(aid, 1, "anna", "{}");
    aid_update(aid, p, "{\"a\":1}");
    assert_int_equal(p->version, 1);
    assert_ptr_equal(aid_person(aid, "anna"), p);
    aid_commit(aid);
    aid_begin(aid);
    p = aid_person(aid, "anna");
    assert_true(slice_eq(p->properties, SLICE("{\"a\":1}")));
    /* The new state may be made of the old one. */
    struct person_change next = {.properties = slice_make(p->properties.ptr, p->properties.len),
                                 .created_at_us = 5,
                                 .is_identified = true};
    must(aid->ops->person_update(aid->self, p, &next, &aid->err));
    aid_commit(aid);
    expect_rows(persons, 7, "1|00000000-0000-0000-0000-000000000001|1|{\"a\":1}|1|5|2");
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM changes"), 4);
    aid_close(aid);
}

static void distinct_ids_are_unique(void **state)
{
    struct aid a, *aid = &a;
    struct slice two[] = {SLICE("bea"), SLICE("bea")}, taken[] = {SLICE("carl"), SLICE("anna")};
    struct person_change empty = {.properties = SLICE("{}")};
    struct uuid uuid = aid_uuid(2);
    struct person *p;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    aid_create(aid, 1, "anna", "{}");
    assert_false(aid->ops->person_create(aid->self, 1, &uuid, &empty, two, 2, &p, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    assert_false(aid->ops->person_create(aid->self, 1, &uuid, &empty, taken, 2, &p, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    /* Failing changed nothing, and another team has its own ids. */
    assert_null(aid_person(aid, "bea"));
    assert_null(aid_person(aid, "carl"));
    must(aid->ops->person_create(aid->self, 2, &uuid, &empty, taken, 2, &p, &aid->err));
    assert_int_equal(p->id, 2);
    aid_commit(aid);
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM v_person_distinct_ids"), 3);
    aid_close(aid);
}

static void merge(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    aid_create(aid, 1, "a1 a2", "{}");
    aid_create(aid, 2, "b1", "{}");
    aid_commit(aid);
    aid_tidy(aid); /* these stand in the tables */
    aid_begin(aid);
    must(aid->ops->distinct_id_add(aid->self, aid_person(aid, "a1"), SLICE("a3"), &aid->err));
    aid_commit(aid); /* this one in the log */
    aid_begin(aid);
    struct person *from = aid_person(aid, "a1"), *to = aid_person(aid, "b1");
    must(aid->ops->distinct_id_add(aid->self, from, SLICE("a4"),
                                   &aid->err)); /* and this one in the batch */
    must(aid->ops->person_merge(aid->self, from, to, &aid->err));
    assert_ptr_equal(aid_person(aid, "a4"), to);
    assert_ptr_equal(aid_person(aid, "a2"), to);
    aid_commit(aid);
    static const char wanted[] = "1|1|00000000-0000-0000-0000-000000000002|a1|1\n"
                                 "2|1|00000000-0000-0000-0000-000000000002|a2|1\n"
                                 "3|1|00000000-0000-0000-0000-000000000002|b1|0\n"
                                 "4|1|00000000-0000-0000-0000-000000000002|a3|1\n"
                                 "5|1|00000000-0000-0000-0000-000000000002|a4|1";
    expect_rows(ids, 5, wanted);
    expect_rows("SELECT version, is_deleted FROM changes WHERE kind = 1 AND object_id = 1 ORDER BY "
                "seq DESC LIMIT 1",
                2, "100|1");
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM v_persons"), 1);
    aid_tidy(aid);
    expect_rows(ids, 5, wanted);
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM persons"), 1);
    aid_close(aid);
}

static void merge_chain(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    struct person *p1 = aid_create(aid, 1, "a", "{}"), *p2 = aid_create(aid, 2, "b", "{}");
    struct person *p3 = aid_create(aid, 3, "c", "{}");
    must(aid->ops->person_merge(aid->self, p1, p2, &aid->err));
    must(aid->ops->person_merge(aid->self, p2, p3, &aid->err));
    aid_commit(aid);
    aid_begin(aid); /* the chain once more, through the log */
    p3 = aid_person(aid, "a");
    assert_int_equal(p3->id, 3);
    struct person *p4 = aid_create(aid, 4, "d", "{}");
    must(aid->ops->person_merge(aid->self, p3, p4, &aid->err));
    aid_commit(aid);
    expect_rows("SELECT distinct_id, version, person_uuid FROM v_person_distinct_ids ORDER BY id",
                3,
                "a|3|00000000-0000-0000-0000-000000000004\n"
                "b|2|00000000-0000-0000-0000-000000000004\n"
                "c|1|00000000-0000-0000-0000-000000000004\n"
                "d|0|00000000-0000-0000-0000-000000000004");
    aid_close(aid);
}

static void merged_persons_are_over(void **state)
{
    struct aid a, *aid = &a;
    struct person_change empty = {.properties = SLICE("{}")};

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    struct person *from = aid_create(aid, 1, "a", "{}"), *to = aid_create(aid, 2, "b", "{}");
    assert_false(aid->ops->person_merge(aid->self, to, to, &aid->err));
    must(aid->ops->person_merge(aid->self, from, to, &aid->err));
    assert_false(aid->ops->person_merge(aid->self, from, to, &aid->err));
    assert_false(aid->ops->person_update(aid->self, from, &empty, &aid->err));
    assert_false(aid->ops->distinct_id_add(aid->self, from, SLICE("c"), &aid->err));
    assert_int_equal(aid->err.code, ERR_BUG);
    aid_commit(aid);
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM v_person_distinct_ids"), 2);
    aid_close(aid);
}

static void rollback_leaves_nothing(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    aid_create(aid, 1, "a", "{\"v\":1}");
    aid_create(aid, 2, "b", "{}");
    aid_commit(aid);
    aid_begin(aid);
    aid_update(aid, aid_person(aid, "a"), "{\"v\":2}");
    aid_create(aid, 3, "c", "{}");
    must(aid->ops->person_merge(aid->self, aid_person(aid, "a"), aid_person(aid, "b"), &aid->err));
    aid->ops->rollback(aid->self);
    aid->ops->rollback(aid->self); /* legal */
    aid_begin(aid);
    assert_null(aid_person(aid, "c"));
    assert_int_equal(aid_person(aid, "a")->id, 1);
    assert_true(slice_eq(aid_person(aid, "a")->properties, SLICE("{\"v\":1}")));
    assert_int_equal(aid_create(aid, 3, "c", "{}")->id, 3);
    aid_commit(aid);
    expect_rows("SELECT id, version FROM v_persons ORDER BY id", 2, "1|0\n2|0\n3|0");
    expect_rows("SELECT id, version FROM v_person_distinct_ids ORDER BY id", 2, "1|0\n2|0\n3|0");
    expect_rows("SELECT change_seq, person_seq, distinct_id_seq FROM meta", 3, "6|3|3");
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody),
        cmocka_unit_test(create_and_find),
        cmocka_unit_test(update),
        cmocka_unit_test(distinct_ids_are_unique),
        cmocka_unit_test(merge),
        cmocka_unit_test(merge_chain),
        cmocka_unit_test(merged_persons_are_over),
        cmocka_unit_test(rollback_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
