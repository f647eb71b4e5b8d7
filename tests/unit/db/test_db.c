#include "db_aid.h"

static void pragmas(void **state)
{
    struct aid a, *aid = &a;
    struct db_options opt;
    struct db *reader;

    UNUSED(state);
    aid_open(aid);
    assert_int_equal(aid_number(aid->db, "PRAGMA page_size"), 4096);
    assert_int_equal(aid_number(aid->db, "PRAGMA synchronous"), 2);
    assert_int_equal(aid_number(aid->db, "PRAGMA secure_delete"), 0);
    assert_int_equal(aid_number(aid->db, "PRAGMA temp_store"), 2);
    assert_int_equal(aid_number(aid->db, "PRAGMA wal_autocheckpoint"), 0);
    assert_int_equal(aid_number(aid->db, "PRAGMA foreign_keys"), 0);
    assert_int_equal(aid_number(aid->db, "PRAGMA mmap_size"), 0);
    assert_int_equal(aid_number(aid->db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"),
                     1);
    assert_string_equal(db_name(aid->db), "test.db");
    opt = (struct db_options){.path = aid->path, .is_read_only = true, .cache_bytes = 1 << 20};
    reader = db_open(&opt, &aid->err);
    must(reader != NULL);
    assert_int_equal(aid_number(reader, "PRAGMA secure_delete"), 0);
    assert_int_equal(aid_number(reader, "PRAGMA cache_size"), -1024);
    assert_false(db_exec(reader, "CREATE TABLE t (a)", &aid->err));
    assert_int_equal(aid->err.code, ERR_IO);
    db_close(reader);
    db_close(NULL);
    aid_close(aid);
}

static void cannot_open(void **state)
{
    struct err err = ERR_INIT;
    struct db_options opt = {.path = "/nonexistent/folder/a.db"};

    UNUSED(state);
    assert_null(db_open(&opt, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, "/nonexistent/folder/a.db"));
    opt.path = "a.db";
    opt.is_read_only = true;
    assert_null(db_open(&opt, &err)); /* is not made */
}

static void codes(void **state)
{
    static const struct {
        int rc;
        enum err_code code;
    } table[] = {{SQLITE_BUSY, ERR_RETRY},
                 {SQLITE_BUSY_SNAPSHOT, ERR_RETRY},
                 {SQLITE_LOCKED, ERR_RETRY},
                 {SQLITE_PROTOCOL, ERR_RETRY},
                 {SQLITE_FULL, ERR_FULL},
                 {SQLITE_IOERR_WRITE, ERR_IO},
                 {SQLITE_IOERR_NOMEM, ERR_IO},
                 {SQLITE_CORRUPT, ERR_IO},
                 {SQLITE_NOTADB, ERR_IO},
                 {SQLITE_CANTOPEN, ERR_IO},
                 {SQLITE_NOMEM, ERR_IO},
                 {SQLITE_READONLY, ERR_IO},
                 {SQLITE_CONSTRAINT_UNIQUE, ERR_INPUT},
                 {SQLITE_TOOBIG, ERR_INPUT},
                 {SQLITE_MISMATCH, ERR_INPUT},
                 {SQLITE_INTERRUPT, ERR_LIMIT},
                 {SQLITE_ERROR, ERR_BUG},
                 {SQLITE_MISUSE, ERR_BUG},
                 {SQLITE_RANGE, ERR_BUG}};
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_false(db_fail(aid->db, table[i].rc, &aid->err));
        assert_int_equal(aid->err.code, table[i].code);
        assert_non_null(strstr(aid->err.text, "test.db: "));
    }
    aid_close(aid);
}

static void busy(void **state)
{
    struct aid a, *aid = &a;
    struct db *other;

    UNUSED(state);
    aid_open(aid);
    other = db_open(&aid->opt, &aid->err);
    must(other != NULL);
    must(db_begin(aid->db, &aid->err));
    assert_false(db_begin(other, &aid->err));
    assert_int_equal(aid->err.code, ERR_RETRY);
    must(db_commit(aid->db, &aid->err));
    db_set_busy(other, 100000);
    must(db_begin(other, &aid->err));
    db_close(other); /* rolls back */
    aid_close(aid);
}

static void full(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    must(db_exec(aid->db, "CREATE TABLE t (a); PRAGMA max_page_count=10", &aid->err));
    assert_false(db_exec(aid->db, "INSERT INTO t VALUES (zeroblob(100000))", &aid->err));
    assert_int_equal(aid->err.code, ERR_FULL);
    assert_int_equal(aid_number(aid->db, "SELECT count(*) FROM t"), 0);
    aid_close(aid);
}

static void deadline(void **state)
{
    static const char forever[] =
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    struct aid a, *aid = &a;
    int64_t value;

    UNUSED(state);
    aid_open(aid);
    db_set_deadline(aid->db, clock_mono_us() - 1);
    assert_false(db_query_i64(aid->db, forever, &value, &aid->err));
    assert_int_equal(aid->err.code, ERR_LIMIT);
    db_set_deadline(aid->db, clock_mono_us() + 2000);
    assert_false(db_query_i64(aid->db, forever, &value, &aid->err));
    db_set_deadline(aid->db, INT64_MAX);
    assert_int_equal(aid_number(aid->db, "SELECT 5"), 5);
    aid_close(aid);
}

static void query_without_row(void **state)
{
    struct aid a, *aid = &a;
    int64_t value;

    UNUSED(state);
    aid_open(aid);
    assert_false(db_query_i64(aid->db, "SELECT 1 WHERE 0", &value, &aid->err));
    assert_int_equal(aid->err.code, ERR_BUG);
    assert_false(db_query_i64(aid->db, "SELECT FROM", &value, &aid->err));
    assert_int_equal(aid->err.code, ERR_BUG);
    aid_close(aid);
}

static void count_pages(void *ctx, int pages)
{
    *(int *)ctx = pages;
}

static void checkpoints(void **state)
{
    struct aid a, *aid = &a;
    int pages = 0, wal, done;
    struct stat st;
    char *wal_path;

    UNUSED(state);
    aid_open(aid);
    db_on_wal(aid->db, count_pages, &pages);
    must(db_exec(aid->db, "CREATE TABLE t (a)", &aid->err));
    must(db_exec(aid->db, "INSERT INTO t VALUES (zeroblob(100000))", &aid->err));
    assert_true(pages > 24);
    must(db_checkpoint(aid->db, DB_CHECKPOINT_PASSIVE, &wal, &done, &aid->err));
    assert_int_equal(wal, pages);
    assert_int_equal(done, pages);
    must(db_exec(aid->db, "INSERT INTO t VALUES (1)", &aid->err));
    assert_true(pages < 5); /* begun anew */
    must(db_checkpoint(aid->db, DB_CHECKPOINT_RESTART, NULL, NULL, &aid->err));
    must(db_checkpoint(aid->db, DB_CHECKPOINT_TRUNCATE, NULL, NULL, &aid->err));
    wal_path = temp_dir_path(aid->dir, "test.db-wal");
    assert_int_equal(stat(wal_path, &st), 0);
    assert_int_equal(st.st_size, 0);
    mem_free(wal_path);
    aid_close(aid);
}

static void close_leaves_the_wal(void **state)
{
    struct aid a, *aid = &a;
    struct stat st;
    char *wal_path;

    UNUSED(state);
    aid_open(aid);
    must(db_exec(aid->db, "CREATE TABLE t (a)", &aid->err));
    db_close(aid->db);
    wal_path = temp_dir_path(aid->dir, "test.db-wal");
    assert_int_equal(stat(wal_path, &st), 0);
    assert_true(st.st_size > 0);
    aid->db = db_open(&aid->opt, &aid->err);
    assert_int_equal(aid_number(aid->db, "SELECT count(*) FROM t"), 0);
    mem_free(wal_path);
    aid_close(aid);
}

static void copy(void **state)
{
    struct aid a, *aid = &a;
    char *to;
    struct db_options opt;

    UNUSED(state);
    aid_open(aid);
    must(db_exec(aid->db, "CREATE TABLE t (a); INSERT INTO t VALUES (7); PRAGMA user_version=3",
                 &aid->err));
    to = temp_dir_path(aid->dir, "copy.db");
    temp_dir_write(aid->dir, "copy.db", "an older copy");
    temp_dir_write(aid->dir, "copy.db.part", "left behind by a crash");
    must(db_copy(aid->db, to, &aid->err));
    opt = (struct db_options){.path = to, .is_read_only = true};
    struct db *db = db_open(&opt, &aid->err);
    must(db != NULL);
    assert_int_equal(aid_number(db, "SELECT a FROM t"), 7);
    assert_int_equal(aid_number(db, "PRAGMA user_version"), 3);
    db_close(db);
    assert_false(db_copy(aid->db, "/nonexistent/copy.db", &aid->err));
    assert_int_equal(aid->err.code, ERR_IO);
    mem_free(to);
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pragmas),
        cmocka_unit_test(cannot_open),
        cmocka_unit_test(codes),
        cmocka_unit_test(busy),
        cmocka_unit_test(full),
        cmocka_unit_test(deadline),
        cmocka_unit_test(query_without_row),
        cmocka_unit_test(checkpoints),
        cmocka_unit_test(close_leaves_the_wal),
        cmocka_unit_test(copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
