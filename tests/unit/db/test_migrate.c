#include "base/fs.h"
#include "db_aid.h"

static const struct db_migration list[] = {
    {1, "init", "CREATE TABLE t (a); INSERT INTO t VALUES (1)"},
    {2, "more", "CREATE TABLE u (a)"},
    {3, "rewrite", "-- rewrites data\nUPDATE t SET a = a * 2"},
    {4, "broken", "CREATE TABLE v (a); INSERT INTO nowhere VALUES (1)"},
};

static const struct db_schema first = {.application_id = 77, .migrations = list, .count = 1};
static const struct db_schema second = {.application_id = 77, .migrations = list, .count = 2};
static const struct db_schema third = {.application_id = 77, .migrations = list, .count = 3};
static const struct db_schema fourth = {.application_id = 77, .migrations = list, .count = 4};
static const struct db_schema foreign = {.application_id = 78, .migrations = list, .count = 3};

static void step_by_step(void **state)
{
    struct aid a, *aid = &a;
    int from, to;

    UNUSED(state);
    aid_open(aid);
    must(db_migrate(aid->db, &first, &from, &to, &aid->err));
    assert_int_equal(from, 0);
    assert_int_equal(to, 1);
    must(db_migrate(aid->db, &first, &from, &to, &aid->err)); /* nothing to do */
    assert_int_equal(from, 1);
    assert_int_equal(to, 1);
    assert_int_equal(aid_number(aid->db, "SELECT count(*) FROM t"), 1);
    must(db_migrate(aid->db, &third, &from, &to, &aid->err));
    assert_int_equal(from, 1);
    assert_int_equal(to, 3);
    assert_int_equal(aid_number(aid->db, "SELECT a FROM t"), 2);
    assert_int_equal(aid_number(aid->db, "PRAGMA application_id"), 77);
    aid_close(aid);
}

static void copy_before_rewriting(void **state)
{
    struct aid a, *aid = &a;
    struct db_options opt;
    char *copy, *other;
    int from, to;

    UNUSED(state);
    aid_open(aid);
    must(db_migrate(aid->db, &first, &from, &to, &aid->err));
    must(db_migrate(aid->db, &third, &from, &to, &aid->err));
    copy = temp_dir_path(aid->dir, "test.db.schema-2");
    opt = (struct db_options){.path = copy, .is_read_only = true, .schema = &second};
    struct db *db = db_open(&opt, &aid->err);
    must(db != NULL);
    assert_int_equal(aid_number(db, "SELECT a FROM t"), 1);
    assert_int_equal(aid_number(db, "PRAGMA user_version"), 2);
    db_close(db);
    other = temp_dir_path(aid->dir, "test.db.schema-1"); /* the second one rewrites nothing */
    assert_false(fs_exists(other));
    mem_free(copy);
    mem_free(other);
    aid_close(aid);
}

static void no_copy_of_a_new_file(void **state)
{
    struct aid a, *aid = &a;
    char *copy;
    int from, to;

    UNUSED(state);
    aid_open(aid);
    must(db_migrate(aid->db, &third, &from, &to, &aid->err));
    copy = temp_dir_path(aid->dir, "test.db.schema-2");
    assert_true(fs_exists(copy)); /* between the second and the third it was not new any more */
    mem_free(copy);
    copy = temp_dir_path(aid->dir, "test.db.schema-0");
    assert_false(fs_exists(copy));
    mem_free(copy);
    aid_close(aid);
}

static void broken_one(void **state)
{
    struct aid a, *aid = &a;
    int from, to;

    UNUSED(state);
    aid_open(aid);
    assert_false(db_migrate(aid->db, &fourth, &from, &to, &aid->err));
    assert_non_null(strstr(aid->err.text, "0004_broken"));
    assert_int_equal(aid_number(aid->db, "PRAGMA user_version"), 3); /* those before it stay */
    assert_int_equal(aid_number(aid->db, "SELECT count(*) FROM sqlite_master WHERE name = 'v'"), 0);
    assert_false(db_is_in_tx(aid->db));
    aid_close(aid);
}

static void newer_file(void **state)
{
    struct aid a, *aid = &a;
    struct stat before, after;
    int from, to;

    UNUSED(state);
    aid_open(aid);
    must(db_migrate(aid->db, &third, &from, &to, &aid->err));
    assert_false(db_migrate(aid->db, &first, &from, &to, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    assert_non_null(strstr(aid->err.text, "test.db has schema 3, newer than this binary (1)"));
    must(db_checkpoint(aid->db, DB_CHECKPOINT_TRUNCATE, NULL, NULL, &aid->err));
    db_close(aid->db);
    assert_int_equal(stat(aid->path, &before), 0);
    aid->opt.schema = &first;
    assert_null(db_open(&aid->opt, &aid->err)); /* also at once when opening */
    assert_int_equal(stat(aid->path, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
    aid->opt.schema = &third;
    aid->db = db_open(&aid->opt, &aid->err);
    must(aid->db != NULL);
    aid_close(aid);
}

static void foreign_file(void **state)
{
    struct aid a, *aid = &a;
    int from, to;

    UNUSED(state);
    aid_open(aid);
    must(db_exec(aid->db, "CREATE TABLE theirs (a)", &aid->err));
    assert_false(db_migrate(aid->db, &first, &from, &to, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    assert_non_null(strstr(aid->err.text, "another program"));
    must(db_exec(aid->db, "DROP TABLE theirs", &aid->err));
    must(db_migrate(aid->db, &first, &from, &to, &aid->err)); /* an empty file is fine */
    assert_false(db_migrate(aid->db, &foreign, &from, &to, &aid->err));
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step_by_step),
        cmocka_unit_test(copy_before_rewriting),
        cmocka_unit_test(no_copy_of_a_new_file),
        cmocka_unit_test(broken_one),
        cmocka_unit_test(newer_file),
        cmocka_unit_test(foreign_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
