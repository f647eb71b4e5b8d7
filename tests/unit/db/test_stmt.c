#include "db_aid.h"

static struct db_stmt *prepare(struct aid *aid, const char *sql)
{
    struct db_stmt *s = db_prepare(aid->db, sql, &aid->err);

    must(s != NULL);
    return s;
}

static void values(void **state)
{
    static const char nul[] = "a\0b";
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    must(db_exec(aid->db, "CREATE TABLE t (i INTEGER, t TEXT, e TEXT, n TEXT, b BLOB, z BLOB)",
                 &aid->err));
    struct db_stmt *in = prepare(aid, "INSERT INTO t VALUES (?,?,?,?,?,?)");
    for (int i = 0; i < 2; i++) {
        db_bind_i64(in, 1, INT64_MIN);
        db_bind_text(in, 2, slice_make(nul, 3));
        db_bind_text_or_empty(in, 3, SLICE_NONE);
        db_bind_text(in, 4, SLICE_NONE);
        db_bind_blob(in, 5, nul, 3);
        db_bind_blob(in, 6, NULL, 0);
        must(db_run(in, &aid->err));
        assert_int_equal(db_changes(aid->db), 1);
        assert_int_equal(db_last_id(aid->db), i + 1);
    }
    struct db_stmt *out = prepare(aid, "SELECT * FROM t");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(db_step(out, &aid->err), DB_ROW);
        assert_int_equal(db_col_i64(out, 0), INT64_MIN);
        assert_true(slice_eq(db_col_text(out, 1), slice_make(nul, 3)));
        assert_non_null(db_col_text(out, 2).ptr);
        assert_int_equal(db_col_text(out, 2).len, 0);
        assert_true(db_col_is_null(out, 3));
        assert_null(db_col_text(out, 3).ptr);
        assert_true(slice_eq(db_col_blob(out, 4), slice_make(nul, 3)));
        assert_true(db_col_is_null(out, 5));
    }
    assert_int_equal(db_step(out, &aid->err), DB_DONE);
    assert_int_equal(db_step(out, &aid->err), DB_ROW); /* begins anew */
    db_reset(out);
    aid_close(aid);
}

static void constraint(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    must(db_exec(aid->db, "CREATE TABLE t (a INTEGER PRIMARY KEY, b NOT NULL)", &aid->err));
    struct db_stmt *in = prepare(aid, "INSERT INTO t VALUES (?,?)");
    db_bind_i64(in, 1, 1);
    db_bind_null(in, 2);
    assert_false(db_run(in, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    db_bind_i64(in, 2, 5);
    must(db_run(in, &aid->err));
    assert_false(db_run(in, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    assert_int_equal(aid_number(aid->db, "SELECT count(*) FROM t"), 1);
    aid_close(aid);
}

static void bind_errors_are_told_by_step(void **state)
{
    struct aid a, *aid = &a;
    char c = 'x';

    UNUSED(state);
    aid_open(aid);
    struct db_stmt *s = prepare(aid, "SELECT ?");
    db_bind_i64(s, 2, 1); /* there is no second one */
    db_bind_i64(s, 1, 1);
    assert_int_equal(db_step(s, &aid->err), DB_FAIL);
    assert_int_equal(aid->err.code, ERR_BUG);
    db_bind_text(s, 1, slice_make(&c, (size_t)2000000000)); /* over SQLite's limit, never read */
    assert_int_equal(db_step(s, &aid->err), DB_FAIL);
    assert_int_equal(aid->err.code, ERR_INPUT);
    db_bind_i64(s, 1, 7);
    assert_int_equal(db_step(s, &aid->err), DB_ROW);
    assert_int_equal(db_col_i64(s, 0), 7);
    aid_close(aid);
}

static void bad_sql(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    assert_null(db_prepare(aid->db, "SELECT * FROM nowhere", &aid->err));
    assert_int_equal(aid->err.code, ERR_BUG);
    assert_non_null(strstr(aid->err.text, "nowhere"));
    assert_null(db_prepare(aid->db, "", &aid->err));
    aid_close(aid);
}

static void free_one(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    struct db_stmt *s[3];
    for (int i = 0; i < 3; i++)
        s[i] = prepare(aid, "SELECT 1");
    db_stmt_free(s[1]);
    db_stmt_free(NULL);
    assert_int_equal(db_step(s[0], &aid->err), DB_ROW);
    assert_int_equal(db_step(s[2], &aid->err), DB_ROW);
    aid_close(aid); /* frees the others */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(constraint),
        cmocka_unit_test(bind_errors_are_told_by_step),
        cmocka_unit_test(bad_sql),
        cmocka_unit_test(free_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
