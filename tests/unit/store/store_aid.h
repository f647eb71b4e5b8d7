/* store_aid.h - a store in a folder of its own, short forms of the operations, and queries on the
 * file. */
#pragma once

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store_priv.h"
#include "temp_dir.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define AID     __attribute__((unused)) static
#define T0      ((int64_t)1700000000000000) /* the fake clock begins here */
#define HOUR_US ((int64_t)3600000000)
#define must(x) must_be((x), &aid->err, __FILE__, __LINE__)

struct aid {
    char *dir, *path;
    struct store_sqlite_options opt;
    struct store store;
    const struct store_ops *ops;
    void *self;
    struct err err;
    struct db *look; /* a connection beside the store's */
};

AID void must_be(bool ok, const struct err *err, const char *file, int line)
{
    if (!ok)
        print_error("%s\n", err->text);
    _assert_true(ok, err->text, file, line);
}

AID struct store_sqlite *aid_store(struct aid *aid)
{
    return store_self(aid->self);
}

AID void aid_open_again(struct aid *aid)
{
    must(store_sqlite_open(&aid->opt, &aid->store, &aid->err));
    aid->ops = aid->store.ops;
    aid->self = aid->store.self;
}

AID void aid_open(struct aid *aid)
{
    *aid = (struct aid){
        .opt = {.dedupe_window_us = 24 * HOUR_US, .dedupe_bytes_max = 1 << 20, .busy_us = 20000}};
    log_setup(LOG_NONE, LOG_CLASSIC, false);
    aid->dir = temp_dir_new();
    aid->path = temp_dir_path(aid->dir, "hedgerow.db");
    aid->opt.path = aid->path;
    clock_fake_set(T0);
    aid_open_again(aid);
}

AID void aid_close_store(struct aid *aid)
{
    db_close(aid->look);
    aid->look = NULL;
    if (aid->self)
        store_sqlite_close(&aid->store);
    aid->self = NULL;
}

/* As after a crash: nothing is written out, no checkpoint. */
AID void aid_crash(struct aid *aid)
{
    aid_store(aid)->is_broken = true;
    aid_close_store(aid);
}

AID void aid_reopen(struct aid *aid)
{
    aid_close_store(aid);
    aid_open_again(aid);
}

AID void aid_close(struct aid *aid)
{
    aid_close_store(aid);
    fault_clear();
    clock_fake_off();
    mem_free(aid->path);
    temp_dir_free(aid->dir);
}

AID void aid_begin(struct aid *aid)
{
    must(aid->ops->begin(aid->self, &aid->err));
}

AID void aid_commit(struct aid *aid)
{
    must(aid->ops->commit(aid->self, NULL, NULL, 0, &aid->err));
}

/* Upkeep until nothing is left. Returns the number of calls. */
AID int aid_tidy(struct aid *aid)
{
    bool more = true;
    int calls = 0;

    for (; more; calls++) {
        assert_true(calls < 10000);
        must(aid->ops->tidy(aid->self, &more, &aid->err));
    }
    return calls;
}

AID struct db *aid_look(struct aid *aid)
{
    struct db_options opt = {.path = aid->path, .is_read_only = true};

    if (!aid->look)
        aid->look = db_open(&opt, &aid->err);
    assert_non_null(aid->look);
    return aid->look;
}

/* All rows as text: columns joined by |, rows by a line feed. Freed by the caller. */
AID char *aid_query_text(struct aid *aid, const char *sql, int columns)
{
    struct buf out = BUF_INIT(1 << 24);
    struct db_stmt *q = db_prepare(aid_look(aid), sql, &aid->err);
    enum db_step step;

    must(q != NULL);
    while ((step = db_step(q, &aid->err)) == DB_ROW) {
        if (out.len)
            buf_add_char(&out, '\n');
        for (int i = 0; i < columns; i++) {
            if (i)
                buf_add_char(&out, '|');
            if (db_col_is_null(q, i))
                buf_add_str(&out, "NULL");
            else
                buf_add_slice(&out, db_col_text(q, i));
        }
    }
    must(step == DB_DONE);
    db_stmt_free(q);
    char *text = mem_dup_str(buf_cstr(&out));
    buf_free(&out);
    return text;
}

#define expect_rows(sql, columns, wanted) \
    aid_expect_rows(aid, sql, columns, wanted, __FILE__, __LINE__)

AID void aid_expect_rows(struct aid *aid, const char *sql, int columns, const char *wanted,
                         const char *file, int line)
{
    char *text = aid_query_text(aid, sql, columns);

    if (strcmp(text, wanted) != 0)
        print_error("%s\ngives\n%s\nnot\n%s\n", sql, text, wanted);
    _assert_true(strcmp(text, wanted) == 0, sql, file, line);
    mem_free(text);
}

AID int64_t aid_number(struct aid *aid, const char *sql)
{
    int64_t value;

    must(db_query_i64(aid_look(aid), sql, &value, &aid->err));
    return value;
}

AID struct uuid aid_uuid(uint64_t n)
{
    struct uuid u = {{0}};

    for (int i = 0; i < 8; i++)
        u.b[15 - i] = (uint8_t)(n >> 8 * i);
    return u;
}

AID struct event_row aid_event(uint64_t n)
{
    return (struct event_row){.uuid = aid_uuid(n),
                              .is_uuid_checked = true,
                              .team_id = 1,
                              .event = SLICE("$pageview"),
                              .distinct_id = SLICE("anna"),
                              .properties = SLICE("{}"),
                              .timestamp_us = T0,
                              .created_at_us = clock_wall_us()};
}

AID int64_t aid_insert(struct aid *aid, uint64_t n)
{
    struct event_row row = aid_event(n);
    int64_t id;

    must(aid->ops->event_insert(aid->self, &row, &id, &aid->err));
    return id;
}

/* Events n, n + 1, … in one batch. */
AID void aid_insert_many(struct aid *aid, uint64_t n, uint64_t count)
{
    aid_begin(aid);
    for (uint64_t i = 0; i < count; i++)
        aid_insert(aid, n + i);
    aid_commit(aid);
}

AID bool aid_seen(struct aid *aid, int64_t team_id, uint64_t n)
{
    struct uuid uuid = aid_uuid(n);
    bool seen;

    must(aid->ops->event_seen(aid->self, team_id, &uuid, &seen, &aid->err));
    return seen;
}

/* The same outside of a batch. */
AID bool aid_is_stored(struct aid *aid, uint64_t n)
{
    aid_begin(aid);
    bool seen = aid_seen(aid, 1, n);
    aid->ops->rollback(aid->self);
    return seen;
}

AID struct person *aid_person(struct aid *aid, const char *distinct_id)
{
    struct person *p;

    must(aid->ops->person_get(aid->self, 1, slice_cstr(distinct_id), &p, &aid->err));
    return p;
}

/* ids: space between them. */
AID struct person *aid_create(struct aid *aid, uint64_t n, const char *ids, const char *properties)
{
    struct person_change state = {.properties = slice_cstr(properties), .created_at_us = T0};
    struct slice list[16], rest = slice_cstr(ids);
    struct uuid uuid = aid_uuid(n);
    struct person *p;
    size_t count = 0;

    while (count < 16 && slice_split(&rest, ' ', &list[count]))
        count++;
    must(aid->ops->person_create(aid->self, 1, &uuid, &state, list, count, &p, &aid->err));
    return p;
}

AID void aid_update(struct aid *aid, struct person *p, const char *properties)
{
    struct person_change state = {.properties = slice_cstr(properties),
                                  .created_at_us = p->created_at_us,
                                  .is_identified = p->is_identified};

    must(aid->ops->person_update(aid->self, p, &state, &aid->err));
}

AID void aid_copy_file(const char *from, const char *to)
{
    char command[256];

    snprintf(command, sizeof(command), "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}
