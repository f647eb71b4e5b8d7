#include "store_aid.h"

static int type_of(struct aid *aid, int64_t team_id, const char *type)
{
    int index;

    must(aid->ops->group_type(aid->self, team_id, slice_cstr(type), &index, &aid->err));
    return index;
}

static struct store_group *get(struct aid *aid, int index, const char *key)
{
    struct store_group *g;

    must(aid->ops->group_get(aid->self, 1, index, slice_cstr(key), &g, &aid->err));
    return g;
}

static void put(struct aid *aid, int index, const char *key, const char *properties,
                int64_t version)
{
    struct store_group state = {
        .properties = slice_cstr(properties), .created_at_us = T0, .version = version};

    must(aid->ops->group_put(aid->self, 1, index, slice_cstr(key), &state, &aid->err));
}

static void five_types(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    assert_int_equal(type_of(aid, 1, "organization"), 0);
    assert_int_equal(type_of(aid, 1, "project"), 1);
    assert_int_equal(type_of(aid, 1, "Project"), 2);
    assert_int_equal(type_of(aid, 1, ""), 3);
    assert_int_equal(type_of(aid, 1, "e"), 4);
    assert_int_equal(type_of(aid, 1, "f"), -1);
    assert_int_equal(type_of(aid, 1, "project"), 1);
    assert_int_equal(type_of(aid, 2, "f"), 0);
    aid_commit(aid);
    aid_reopen(aid);
    aid_begin(aid);
    assert_int_equal(type_of(aid, 1, "Project"), 2);
    assert_int_equal(type_of(aid, 1, "f"), -1);
    aid_commit(aid);
    expect_rows("SELECT * FROM v_group_types ORDER BY team_id, group_type_index", 3,
                "1|0|organization\n1|1|project\n1|2|Project\n1|3|\n1|4|e\n2|0|f");
    aid_close(aid);
}

static void types_roll_back(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    assert_int_equal(type_of(aid, 1, "a"), 0);
    aid_commit(aid);
    aid_begin(aid);
    assert_int_equal(type_of(aid, 1, "b"), 1);
    aid->ops->rollback(aid->self);
    aid_begin(aid);
    assert_int_equal(type_of(aid, 1, "c"), 1);
    aid_commit(aid);
    expect_rows("SELECT group_type FROM v_group_types ORDER BY 1", 1, "a\nc");
    aid_close(aid);
}

static void put_and_get(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    assert_null(get(aid, 0, "org::5"));
    put(aid, 0, "org::5", "{\"foo\":\"bar\"}", 1);
    put(aid, 1, "org::5", "{}", 1);
    assert_int_equal(get(aid, 0, "org::5")->version, 1);
    aid_commit(aid);
    aid_begin(aid);
    put(aid, 0, "org::5", "{\"foo\":\"baz\"}", 2);
    aid->ops->rollback(aid->self);
    for (int i = 0; i < 4; i++) { /* cache, log, table, table again */
        aid_begin(aid);
        assert_int_equal(get(aid, 0, "org::5")->version, 1);
        assert_int_equal(get(aid, 0, "org::5")->created_at_us, T0);
        assert_true(slice_eq(get(aid, 0, "org::5")->properties, SLICE("{\"foo\":\"bar\"}")));
        assert_null(get(aid, 0, "org::6"));
        aid_commit(aid);
        expect_rows(
            "SELECT * FROM v_groups ORDER BY group_type_index", 6,
            "1|0|org::5|{\"foo\":\"bar\"}|1700000000000000|1\n1|1|org::5|{}|1700000000000000|1");
        if (i == 1)
            aid_tidy(aid);
        aid_reopen(aid);
    }
    aid_close(aid);
}

static void wrong_index(void **state)
{
    struct aid a, *aid = &a;
    struct store_group *g, state_of = {.properties = SLICE("{}")};

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    assert_false(aid->ops->group_get(aid->self, 1, -1, SLICE("a"), &g, &aid->err));
    assert_false(aid->ops->group_put(aid->self, 1, 5, SLICE("a"), &state_of, &aid->err));
    assert_int_equal(aid->err.code, ERR_BUG);
    aid_commit(aid);
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_types),
        cmocka_unit_test(types_roll_back),
        cmocka_unit_test(put_and_get),
        cmocka_unit_test(wrong_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
