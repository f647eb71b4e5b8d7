#include "store_aid.h"

static void open_with_thread(struct aid *aid, uint64_t checkpoint, uint64_t restart, uint64_t alarm)
{
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.busy_us = 5000000; /* a RESTART holds the writer for a moment */
    aid->opt.wal_checkpoint_bytes = checkpoint;
    aid->opt.wal_restart_bytes = restart;
    aid->opt.wal_alarm_bytes = alarm;
    aid_open_again(aid);
    must(store_sqlite_start(&aid->store, &aid->err));
}

static void fill(struct aid *aid, uint64_t from, uint64_t count)
{
    static char properties[3000];
    struct event_row row;
    int64_t id;

    memset(properties, ' ', sizeof(properties));
    aid_begin(aid);
    for (uint64_t i = 0; i < count; i++) {
        row = aid_event(from + i);
        row.properties = slice_make(properties, sizeof(properties));
        must(aid->ops->event_insert(aid->self, &row, &id, &aid->err));
    }
    aid_commit(aid);
}

/* Waits until the thread has nothing asked of it and has reported. */
static void settle(struct aid *aid)
{
    struct store_sqlite *s = aid_store(aid);

    lock_take(&s->tidy.lock);
    while (s->tidy.to_checkpoint || !s->tidy.has_news)
        cond_wait(&s->tidy.done, &s->tidy.lock);
    s->tidy.has_news = false;
    lock_drop(&s->tidy.lock);
}

static void passive_checkpoints(void **state)
{
    struct aid a, *aid = &a;
    struct store_status status;

    UNUSED(state);
    open_with_thread(aid, 1 << 20, 1 << 30, 1 << 30);
    settle(aid);       /* the rebuild at start */
    fill(aid, 0, 500); /* 2 MB */
    settle(aid);
    aid->ops->status(aid->self, &status);
    assert_true(status.database_bytes > 2000000);
    assert_true(status.wal_bytes > 2000000);
    fill(aid, 500, 1); /* everything was copied, so the log begins anew */
    aid->ops->status(aid->self, &status);
    assert_true(status.wal_bytes < 200000);
    aid_close(aid);
}

static void a_reader_holds_it_up(void **state)
{
    struct aid a, *aid = &a;
    struct store_status status;

    UNUSED(state);
    open_with_thread(aid, 1 << 20, 2 << 20, 3 << 20);
    settle(aid);
    must(db_begin_read(aid_look(aid), &aid->err));
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM events"), 0);
    for (uint64_t i = 0; i < 3; i++) {
        fill(aid, i * 500, 500);
        settle(aid);
    }
    aid->ops->status(aid->self, &status);
    assert_true(status.wal_bytes > 6000000);
    assert_true(aid_store(aid)->tidy.is_alarmed);
    assert_true(aid_store(aid)->tidy.tried_restart > 0);
    db_rollback(aid_look(aid)); /* the reader goes, the next checkpoint gets through */
    fill(aid, 1500, 500);
    settle(aid);
    assert_int_equal(aid_store(aid)->tidy.tried_restart, 0);
    assert_false(aid_store(aid)->tidy.is_alarmed);
    fill(aid, 2000, 1);
    aid->ops->status(aid->self, &status);
    assert_true(status.wal_bytes < 200000);
    aid_close(aid);
}

/* Readers that come and go do not have to be turned away while a RESTART runs. */
static void restart_under_readers(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    open_with_thread(aid, 1 << 20, 1, 1 << 30);
    settle(aid);
    for (uint64_t i = 0; i < 10; i++) {
        fill(aid, i * 300, 300);
        for (int k = 0; k < 20; k++)
            assert_int_equal(aid_number(aid, "SELECT count(*) FROM events"), (i + 1) * 300);
    }
    aid_close(aid);
}

static void rebuild_in_the_background(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_insert_many(aid, 0, 2000);
    for (int i = 0; i < 3; i++) {
        aid_crash(aid);
        aid->opt.index_part_events = 300;
        aid_open_again(aid);
        must(store_sqlite_start(&aid->store, &aid->err));
        assert_true(aid_is_stored(aid, 1999)); /* waits for it */
        assert_true(aid_is_stored(aid, 0));
        assert_false(aid_is_stored(aid, 2000));
    }
    aid_tidy(aid);
    expect_rows("SELECT count(*), sum(event_count) FROM event_parts", 2, "6|1800");
    aid_close(aid);
}

static void sorting_on_the_thread(void **state)
{
    struct aid a, *aid = &a;
    char id[16];

    UNUSED(state);
    open_with_thread(aid, 1 << 20, 1 << 28, 1 << 30);
    aid_begin(aid);
    for (uint64_t i = 0; i < 6000; i++) {
        snprintf(id, sizeof(id), "u%d", (int)i);
        aid_create(aid, i, id, "{}");
    }
    aid_commit(aid);
    aid_tidy(aid);
    expect_rows("SELECT count(*) FROM persons", 1, "6000");
    expect_rows("SELECT count(*) FROM changes", 1, "0");
    aid_close(aid);
}

static void failure_reaches_store(void **state)
{
    struct aid a, *aid = &a;
    struct store_sqlite *s;
    bool more;

    UNUSED(state);
    aid_open(aid);
    s = aid_store(aid);
    s->tidy.failure = (struct err){.code = ERR_IO, .text = "disk went away"};
    atomic_store(&s->tidy.has_failed, true);
    assert_false(aid->ops->begin(aid->self, &aid->err));
    assert_int_equal(aid->err.code, ERR_IO);
    assert_string_equal(aid->err.text, "disk went away");
    assert_true(s->is_broken);
    s->tidy.is_running = true;
    assert_false(aid->ops->tidy(aid->self, &more, &aid->err));
    s->tidy.is_running = false;
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passive_checkpoints),   cmocka_unit_test(a_reader_holds_it_up),
        cmocka_unit_test(restart_under_readers), cmocka_unit_test(rebuild_in_the_background),
        cmocka_unit_test(sorting_on_the_thread), cmocka_unit_test(failure_reaches_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
