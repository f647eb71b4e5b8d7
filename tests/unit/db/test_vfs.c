#include "db_aid.h"

/* The system's files under a VFS that counts the writes to logs and refuses some of them. The
 * counter is reached through the VFS that tests make the default. */
struct counting {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    sqlite3_io_methods methods;
    const sqlite3_io_methods *real_methods;
    int writes, largest;
    int refuse_from; /* this write to the log and those behind it fail; 0: none */
};

static struct counting *counting;

static int count_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
    counting->writes++;
    counting->largest = MAX(counting->largest, len);
    if (counting->refuse_from && counting->writes >= counting->refuse_from)
        return SQLITE_FULL;
    return counting->real_methods->xWrite(file, bytes, len, at);
}

static int count_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out)
{
    int rc = counting->real->xOpen(counting->real, path, file, flags, out);

    UNUSED(vfs);
    if (rc != SQLITE_OK || !(flags & SQLITE_OPEN_WAL))
        return rc;
    counting->real_methods = file->pMethods;
    counting->methods = *file->pMethods;
    counting->methods.xWrite = count_write;
    file->pMethods = &counting->methods;
    return rc;
}

static int count_setup(void **state)
{
    UNUSED(state);
    counting = mem_new(struct counting);
    counting->real = sqlite3_vfs_find(NULL);
    counting->vfs = *counting->real;
    counting->vfs.zName = "counting";
    counting->vfs.xOpen = count_open;
    assert_int_equal(sqlite3_vfs_register(&counting->vfs, 1), SQLITE_OK);
    return 0;
}

static int count_teardown(void **state)
{
    UNUSED(state);
    sqlite3_vfs_unregister(&counting->vfs);
    assert_int_equal(sqlite3_vfs_register(counting->real, 1), SQLITE_OK);
    mem_free(counting);
    counting = NULL;
    return 0;
}

static void make_table(struct aid *aid)
{
    must(db_exec(aid->db, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)", &aid->err));
    counting->writes = counting->largest = 0;
}

/* Rows from..to of a page each. */
static bool fill(struct db *db, int from, int to, struct err *err)
{
    char sql[200];

    snprintf(sql, sizeof(sql),
             "WITH RECURSIVE n(i) AS (VALUES (%d) UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
             "INSERT INTO t SELECT i, randomblob(3500) FROM n",
             from, to);
    return db_exec(db, sql, err);
}

static int64_t rows_of(struct aid *aid)
{
    struct db *other = db_open(&aid->opt, &aid->err);
    int64_t count;

    must(other != NULL);
    assert_int_equal(aid_number(other, "SELECT count(*) FROM pragma_integrity_check "
                                       "WHERE integrity_check <> 'ok'"),
                     0);
    count = aid_number(other, "SELECT count(*) FROM t");
    db_close(other);
    return count;
}

static void a_transaction_is_few_writes(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    make_table(aid);
    must(fill(aid->db, 1, 100, &aid->err));
    assert_true(counting->writes >= 7 && counting->writes <= 12); /* not 200 */
    assert_true(counting->largest > 60000 && counting->largest <= 64 * 1024);
    assert_int_equal(rows_of(aid), 100);
    counting->writes = 0;
    must(fill(aid->db, 101, 101, &aid->err)); /* a small one is there at once, too */
    assert_true(counting->writes >= 1 && counting->writes <= 2);
    assert_int_equal(rows_of(aid), 101);
    aid_close(aid);
}

/* A small cache spills pages into the log, reads them again and writes over them. */
static void what_was_spilled_is_read_again(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    make_table(aid);
    must(db_exec(aid->db, "PRAGMA cache_size=5", &aid->err));
    must(db_begin(aid->db, &aid->err));
    for (int round = 0; round < 5; round++) {
        must(fill(aid->db, round * 50 + 1, round * 50 + 50, &aid->err));
        must(db_exec(aid->db, "UPDATE t SET a = zeroblob(3000) WHERE id % 7 = 0", &aid->err));
        assert_int_equal(aid_number(aid->db, "SELECT sum(length(a)) FROM t"),
                         (round + 1) * 50 * 3500 - ((round + 1) * 50 / 7) * 500);
        assert_int_equal(rows_of(aid), 0);
        must(db_exec(aid->db, "SAVEPOINT s; DELETE FROM t WHERE id % 3 = 0; ROLLBACK TO s",
                     &aid->err));
    }
    must(db_commit(aid->db, &aid->err));
    assert_int_equal(rows_of(aid), 250);
    must(db_begin(aid->db, &aid->err));
    must(fill(aid->db, 251, 400, &aid->err));
    db_rollback(aid->db);
    must(fill(aid->db, 251, 260, &aid->err)); /* over the place of what was rolled back */
    assert_int_equal(rows_of(aid), 260);
    aid_close(aid);
}

/* The page that was spilled last is still in memory when it is wanted again. */
static void what_is_held_is_written_before_it_is_read(void **state)
{
    struct aid a, *aid = &a;
    char sql[100];

    UNUSED(state);
    aid_open(aid);
    make_table(aid);
    must(db_exec(aid->db, "PRAGMA cache_size=5", &aid->err));
    must(db_begin(aid->db, &aid->err));
    for (int id = 1; id <= 60; id++) {
        must(fill(aid->db, id, id, &aid->err));
        for (int back = 0; back < 20 && back < id; back++) {
            snprintf(sql, sizeof(sql), "SELECT length(a) FROM t WHERE id = %d", id - back);
            assert_int_equal(aid_number(aid->db, sql), 3500);
        }
    }
    must(db_commit(aid->db, &aid->err));
    assert_int_equal(rows_of(aid), 60);
    aid_close(aid);
}

static void a_failed_write_fails_the_commit(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    make_table(aid);
    must(fill(aid->db, 1, 10, &aid->err));
    for (int n = 1; n <= 7; n++) {
        counting->refuse_from = counting->writes + n;
        assert_false(fill(aid->db, 11, 110, &aid->err));
        assert_int_equal(aid->err.code, ERR_FULL);
        counting->refuse_from = 0;
        assert_int_equal(rows_of(aid), 10);
        must(fill(aid->db, 11, 11, &aid->err)); /* and it goes on */
        assert_int_equal(rows_of(aid), 11);
        must(db_exec(aid->db, "DELETE FROM t WHERE id = 11", &aid->err));
    }
    aid_close(aid);
}

static void the_log_begins_anew(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    make_table(aid);
    for (int round = 0; round < 4; round++) {
        must(fill(aid->db, round * 60 + 1, round * 60 + 60, &aid->err));
        must(db_checkpoint(aid->db, DB_CHECKPOINT_RESTART, NULL, NULL, &aid->err));
        assert_int_equal(rows_of(aid), round * 60 + 60);
    }
    db_close(aid->db);
    aid->db = db_open(&aid->opt, &aid->err);
    must(aid->db != NULL);
    assert_int_equal(rows_of(aid), 240);
    aid_close(aid);
}

int main(void)
{
#define COUNTED(f) cmocka_unit_test_setup_teardown(f, count_setup, count_teardown)
    const struct CMUnitTest tests[] = {
        COUNTED(a_transaction_is_few_writes),
        COUNTED(what_was_spilled_is_read_again),
        COUNTED(what_is_held_is_written_before_it_is_read),
        COUNTED(a_failed_write_fails_the_commit),
        COUNTED(the_log_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
