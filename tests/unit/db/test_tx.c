#include "db_aid.h"

static void commit_and_rollback(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    must(db_exec(aid->db, "CREATE TABLE t (a)", &aid->err));
    assert_false(db_is_in_tx(aid->db));
    must(db_begin(aid->db, &aid->err));
    assert_true(db_is_in_tx(aid->db));
    must(db_exec(aid->db, "INSERT INTO t VALUES (1)", &aid->err));
    must(db_commit(aid->db, &aid->err));
    assert_false(db_is_in_tx(aid->db));
    must(db_begin(aid->db, &aid->err));
    must(db_exec(aid->db, "INSERT INTO t VALUES (2)", &aid->err));
    db_rollback(aid->db);
    db_rollback(aid->db);
    assert_int_equal(aid_number(aid->db, "SELECT count(*) FROM t"), 1);
    assert_false(db_commit(aid->db, &aid->err));
    assert_int_equal(aid->err.code, ERR_BUG);
    aid_close(aid);
}

static void rollback_under_a_running_statement(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    must(db_exec(aid->db, "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)", &aid->err));
    must(db_begin(aid->db, &aid->err));
    must(db_exec(aid->db, "INSERT INTO t VALUES (3)", &aid->err));
    struct db_stmt *s = db_prepare(aid->db, "SELECT a FROM t", &aid->err);
    assert_int_equal(db_step(s, &aid->err), DB_ROW);
    db_rollback(aid->db);
    assert_false(db_is_in_tx(aid->db));
    db_reset(s);
    assert_int_equal(aid_number(aid->db, "SELECT count(*) FROM t"), 2);
    aid_close(aid);
}

static void read_transaction(void **state)
{
    struct aid a, *aid = &a;
    struct db *other;

    UNUSED(state);
    aid_open(aid);
    must(db_exec(aid->db, "CREATE TABLE t (a)", &aid->err));
    other = db_open(&aid->opt, &aid->err);
    must(db_begin_read(other, &aid->err));
    assert_int_equal(aid_number(other, "SELECT count(*) FROM t"), 0);
    must(db_exec(aid->db, "INSERT INTO t VALUES (1)", &aid->err));
    assert_int_equal(aid_number(other, "SELECT count(*) FROM t"), 0); /* one state */
    db_rollback(other);
    assert_int_equal(aid_number(other, "SELECT count(*) FROM t"), 1);
    db_close(other);
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commit_and_rollback),
        cmocka_unit_test(rollback_under_a_running_statement),
        cmocka_unit_test(read_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
