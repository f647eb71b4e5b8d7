#include "store_aid.h"

static void nothing_to_do(void **state)
{
    struct aid a, *aid = &a;
    bool more = true;

    UNUSED(state);
    aid_open(aid);
    must(aid->ops->tidy(aid->self, &more, &aid->err));
    assert_false(more);
    assert_int_equal(atomic_load(&aid_store(aid)->wal_pages), 0); /* wrote nothing */
    must(store_sqlite_start(&aid->store, &aid->err));
    assert_true(aid_tidy(aid) < 100);
    aid_close(aid);
}

static void not_inside_of_a_batch(void **state)
{
    struct aid a, *aid = &a;
    bool more;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    assert_false(aid->ops->tidy(aid->self, &more, &aid->err));
    assert_int_equal(aid->err.code, ERR_BUG);
    aid_commit(aid);
    aid_close(aid);
}

static void locked_by_another(void **state)
{
    struct aid a, *aid = &a;
    struct db_options opt;
    bool more;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    aid_create(aid, 1, "a", "{}");
    aid_commit(aid);
    must(aid->ops->tidy(aid->self, &more, &aid->err));
    opt = (struct db_options){.path = aid->path};
    struct db *other = db_open(&opt, &aid->err);
    must(other != NULL);
    must(db_begin(other, &aid->err));
    assert_false(aid->ops->tidy(aid->self, &more, &aid->err));
    assert_int_equal(aid->err.code, ERR_RETRY);
    db_rollback(other);
    db_close(other);
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM persons", 1, "1");
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(not_inside_of_a_batch),
        cmocka_unit_test(locked_by_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
