#include "store_aid.h"

static void empty_store(void **state)
{
    struct aid a, *aid = &a;
    struct store_status status;

    UNUSED(state);
    aid_open(aid);
    assert_int_equal(store_sqlite_schema(), 2);
    aid->ops->status(aid->self, &status);
    assert_int_equal(status.events, 0);
    assert_int_equal(status.last_change, 0);
    assert_int_equal(status.dedupe_window_s, 24 * 3600);
    aid_begin(aid);
    aid_commit(aid);
    expect_rows("SELECT length(incarnation), length(hash_key) FROM meta", 2, "16|16");
    aid_close(aid);
}

static void status_counts(void **state)
{
    struct aid a, *aid = &a;
    struct store_status status;

    UNUSED(state);
    aid_open(aid);
    aid_insert_many(aid, 0, 10);
    aid_begin(aid);
    aid_create(aid, 1, "a", "{}");
    aid_insert(aid, 10);
    aid_commit(aid);
    aid_begin(aid);
    aid_insert(aid, 11);
    aid->ops->rollback(aid->self);
    aid->ops->status(aid->self, &status);
    assert_int_equal(status.events, 11);
    assert_int_equal(status.last_change, 13);
    assert_int_equal(status.unfolded, 2);
    assert_int_equal(status.open_part_rows, 11);
    assert_int_equal(status.dedupe_entries, 11);
    assert_int_equal(status.persons_cached, 1);
    assert_true(status.wal_bytes > 0);
    aid_close(aid);
}

/* The files as they are at any moment are what a crash leaves. */
static void crash_before_commit(void **state)
{
    struct aid a, *aid = &a;
    char *copy, *copy_wal, *wal;
    struct feed_position p = {.offset = 7};

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    aid_create(aid, 1, "a", "{}");
    aid_insert(aid, 1);
    must(aid->ops->commit(aid->self, &p, NULL, 0, &aid->err));
    aid_begin(aid);
    aid_update(aid, aid_person(aid, "a"), "{\"x\":1}");
    for (uint64_t i = 2; i < 3000; i++)
        aid_insert(aid, i);
    copy = temp_dir_path(aid->dir, "copy.db");
    copy_wal = temp_dir_path(aid->dir, "copy.db-wal");
    wal = temp_dir_path(aid->dir, "hedgerow.db-wal");
    aid_copy_file(aid->path, copy);
    aid_copy_file(wal, copy_wal);
    p.offset = 3000;
    must(aid->ops->commit(aid->self, &p, NULL, 0, &aid->err));
    aid_close_store(aid);
    mem_free(aid->path);
    aid->path = copy;
    aid->opt.path = copy;
    aid_open_again(aid);
    expect_rows("SELECT id FROM events", 1, "3");
    expect_rows("SELECT version FROM v_persons", 1, "0");
    expect_rows("SELECT offset FROM v_cursors", 1, "7");
    assert_true(aid_is_stored(aid, 1));
    assert_false(aid_is_stored(aid, 2));
    aid_begin(aid);
    assert_int_equal(aid_insert(aid, 2), 4);
    aid_commit(aid);
    mem_free(copy_wal);
    mem_free(wal);
    aid_close(aid);
}

static void commit_fails(void **state)
{
    static const struct {
        const char *point;
        enum err_code code;
    } table[] = {
        {"store.commit", ERR_FULL}, {"store.commit.retry", ERR_RETRY}, {"store.commit.io", ERR_IO}};
    struct aid a, *aid = &a;
    struct feed_position p = {.offset = 7};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        aid_open(aid);
        fault_arm(table[i].point, 1, 1);
        aid_begin(aid);
        aid_create(aid, 1, "a", "{}");
        aid_insert(aid, 1);
        aid->ops->count(aid->self, STORE_COUNT_STORED, 1, 0, SLICE("a"));
        assert_false(aid->ops->commit(aid->self, &p, NULL, 0, &aid->err));
        assert_int_equal(aid->err.code, table[i].code);
        aid->ops->rollback(aid->self);
        assert_false(aid_is_stored(aid, 1));
        expect_rows("SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM changes) + "
                    "(SELECT count(*) FROM counters) + (SELECT count(*) FROM cursors), change_seq "
                    "FROM meta",
                    2, "0|0");
        aid_begin(aid); /* the same batch again */
        assert_int_equal(aid_create(aid, 1, "a", "{}")->id, 1);
        assert_int_equal(aid_insert(aid, 1), 3);
        must(aid->ops->commit(aid->self, &p, NULL, 0, &aid->err));
        assert_true(aid_is_stored(aid, 1));
        aid_close(aid);
    }
}

/* After an I/O error nothing is written any more, also at close. */
static void no_checkpoint_after_io_error(void **state)
{
    struct aid a, *aid = &a;
    struct stat before, after;

    UNUSED(state);
    aid_open(aid);
    aid_insert_many(aid, 0, 100);
    fault_arm("store.commit.io", 1, 1);
    aid_begin(aid);
    aid_insert(aid, 100);
    assert_false(aid->ops->commit(aid->self, NULL, NULL, 0, &aid->err));
    assert_int_equal(stat(aid->path, &before), 0);
    aid_close_store(aid);
    assert_int_equal(stat(aid->path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    aid_open_again(aid);
    expect_rows("SELECT count(*) FROM events", 1, "100");
    aid_close(aid);
}

static void busy(void **state)
{
    struct aid a, *aid = &a;
    struct db_options opt;
    struct db *other;

    UNUSED(state);
    aid_open(aid);
    opt = (struct db_options){.path = aid->path};
    other = db_open(&opt, &aid->err);
    must(other != NULL);
    must(db_begin(other, &aid->err));
    assert_false(aid->ops->begin(aid->self, &aid->err));
    assert_int_equal(aid->err.code, ERR_RETRY);
    aid->ops->rollback(aid->self);
    db_rollback(other);
    aid_insert_many(aid, 0, 1);
    db_close(other);
    aid_close(aid);
}

static void disk_full(void **state)
{
    struct aid a, *aid = &a;
    struct feed_position p = {.offset = 1};
    struct event_row row;
    int64_t id;
    uint64_t n = 0;
    bool ok = true;

    UNUSED(state);
    aid_open(aid);
    aid_insert_many(aid, 100000, 5);
    must(db_exec(aid_store(aid)->db, "PRAGMA max_page_count=100", &aid->err));
    aid_begin(aid);
    aid_create(aid, 1, "a", "{}");
    for (; ok && n < 10000; n++) {
        row = aid_event(n);
        ok = aid->ops->event_insert(aid->self, &row, &id, &aid->err);
    }
    assert_false(ok);
    assert_int_equal(aid->err.code, ERR_FULL);
    /* SQLite may have given up the transaction: nothing may slip in outside of it. */
    if (!db_is_in_tx(aid_store(aid)->db)) {
        assert_false(aid->ops->event_insert(aid->self, &row, &id, &aid->err));
        assert_int_equal(aid->err.code, ERR_BUG);
        assert_false(aid->ops->commit(aid->self, &p, NULL, 0, &aid->err));
    }
    aid->ops->rollback(aid->self);
    expect_rows("SELECT count(*), max(id) FROM events", 2, "5|5");
    must(db_exec(aid_store(aid)->db, "PRAGMA max_page_count=1000000", &aid->err));
    aid_begin(aid);
    for (uint64_t i = 0; i < n; i++) {
        assert_false(aid_seen(aid, 1, i));
        aid_insert(aid, i);
    }
    aid_commit(aid);
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM events"), 5 + (int64_t)n);
    aid_close(aid);
}

static void newer_schema(void **state)
{
    struct aid a, *aid = &a;
    struct store other;
    int from, to;

    UNUSED(state);
    aid_open(aid);
    aid_insert_many(aid, 0, 1);
    must(db_exec(aid_store(aid)->db, "PRAGMA user_version=7", &aid->err));
    aid_close_store(aid);
    assert_false(store_sqlite_open(&aid->opt, &other, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    assert_non_null(strstr(aid->err.text, "hedgerow.db has schema 7, newer than this binary (2)"));
    assert_false(store_sqlite_migrate(aid->path, &from, &to, &aid->err));
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM events"), 1);
    aid_close(aid);
}

static void migrate_only(void **state)
{
    struct aid a, *aid = &a;
    int from, to;

    UNUSED(state);
    aid_open(aid);
    must(store_sqlite_migrate(aid->path, &from, &to, &aid->err));
    assert_int_equal(from, 2);
    assert_int_equal(to, 2);
    aid_close_store(aid);
    aid_copy_file("/dev/null", aid->path);
    must(store_sqlite_file_schema(aid->path, &to, &aid->err));
    assert_int_equal(to, 0);
    must(store_sqlite_migrate(aid->path, &from, &to, &aid->err));
    assert_int_equal(from, 0);
    assert_int_equal(to, 2);
    must(store_sqlite_file_schema(aid->path, &to, &aid->err));
    assert_int_equal(to, 2);
    must(store_sqlite_file_schema("/nonexistent/hedgerow.db", &to, &aid->err));
    assert_int_equal(to, 0);
    aid_open_again(aid);
    aid_close(aid);
}

static void not_a_database(void **state)
{
    struct aid a, *aid = &a;
    struct store other;

    UNUSED(state);
    aid_open(aid);
    aid_close_store(aid);
    temp_dir_write(aid->dir, "hedgerow.db",
                   "this is a text, and it is long enough to have a header of 100 bytes, "
                   "which a database would have too, with another content");
    assert_false(store_sqlite_open(&aid->opt, &other, &aid->err));
    assert_int_equal(aid->err.code, ERR_IO);
    aid->opt.path = "/nonexistent/hedgerow.db";
    assert_false(store_sqlite_open(&aid->opt, &other, &aid->err));
    assert_int_equal(aid->err.code, ERR_IO);
    aid_close(aid);
}

static void clean_close(void **state)
{
    struct aid a, *aid = &a;
    struct stat st;
    char *wal;

    UNUSED(state);
    aid_open(aid);
    aid_insert_many(aid, 0, 100);
    aid_begin(aid);
    aid_insert(aid, 200); /* an open batch is rolled back */
    wal = temp_dir_path(aid->dir, "hedgerow.db-wal");
    aid_close_store(aid);
    assert_true(stat(wal, &st) == -1 || st.st_size == 0);
    aid_open_again(aid);
    expect_rows("SELECT count(*) FROM events", 1, "100");
    mem_free(wal);
    aid_close(aid);
}

static void begin_twice(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    assert_false(aid->ops->begin(aid->self, &aid->err));
    assert_int_equal(aid->err.code, ERR_BUG);
    aid_insert(aid, 1);
    aid_commit(aid);
    assert_false(aid->ops->commit(aid->self, NULL, NULL, 0, &aid->err));
    expect_rows("SELECT count(*) FROM events", 1, "1");
    aid_close(aid);
}

/* Nobody calls tidy: batches catch up by themselves before memory and log grow without a bound. */
static void upkeep_is_forgotten(void **state)
{
    struct aid a, *aid = &a;
    struct store_sqlite *s;

    UNUSED(state);
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.index_part_events = 1000;
    aid_open_again(aid);
    s = aid_store(aid);
    for (uint64_t i = 0; i < 20; i++) {
        aid_insert_many(aid, i * 1000, 1000);
        if (s->index.pending && s->index.pending->next)
            assert_null(s->index.pending->next->next);
    }
    assert_true(s->index.part_count >= 18);
    aid_begin(aid);
    aid_create(aid, 1, "a", "{}");
    aid_commit(aid);
    for (int i = 0; i < 130; i++) {
        aid_begin(aid);
        for (int k = 0; k < 1000; k++)
            aid_update(aid, aid_person(aid, "a"), "{\"x\":1}");
        aid_commit(aid);
        assert_true(s->log.count <= STORE_LOG_MAX + 1000);
    }
    assert_int_equal(aid_number(aid, "SELECT version FROM v_persons"), 130000);
    assert_true(aid_number(aid, "SELECT version FROM persons") > 90000);
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_store),
        cmocka_unit_test(status_counts),
        cmocka_unit_test(crash_before_commit),
        cmocka_unit_test(commit_fails),
        cmocka_unit_test(no_checkpoint_after_io_error),
        cmocka_unit_test(busy),
        cmocka_unit_test(disk_full),
        cmocka_unit_test(newer_schema),
        cmocka_unit_test(migrate_only),
        cmocka_unit_test(not_a_database),
        cmocka_unit_test(clean_close),
        cmocka_unit_test(begin_twice),
        cmocka_unit_test(upkeep_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
