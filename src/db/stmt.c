#include "base/mem.h"
#include "db/db_priv.h"

struct db_stmt *db_prepare(struct db *db, const char *sql, struct err *err)
{
    struct db_stmt *s = mem_new(struct db_stmt);
    int rc = sqlite3_prepare_v3(db->raw, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->raw, NULL);

    if (rc != SQLITE_OK || !s->raw) {
        db_fail(db, rc, err);
        err_wrap(err, "prepare \"%.60s\"", sql);
        mem_free(s);
        return NULL;
    }
    s->db = db;
    s->next = db->stmts;
    db->stmts = s;
    return s;
}

void db_stmt_free(struct db_stmt *s)
{
    if (!s)
        return;
    for (struct db_stmt **at = &s->db->stmts; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            break;
        }
    sqlite3_finalize(s->raw);
    mem_free(s);
}

static void bound(struct db_stmt *s, int rc)
{
    if (rc != SQLITE_OK && s->bind_rc == SQLITE_OK)
        s->bind_rc = rc;
}

void db_bind_i64(struct db_stmt *s, int at, int64_t value)
{
    bound(s, sqlite3_bind_int64(s->raw, at, value));
}

void db_bind_null(struct db_stmt *s, int at)
{
    bound(s, sqlite3_bind_null(s->raw, at));
}

void db_bind_text(struct db_stmt *s, int at, struct slice text)
{
    if (text.ptr)
        bound(s, sqlite3_bind_text64(s->raw, at, text.ptr, text.len, SQLITE_STATIC, SQLITE_UTF8));
    else
        db_bind_null(s, at);
}

void db_bind_text_or_empty(struct db_stmt *s, int at, struct slice text)
{
    db_bind_text(s, at, text.ptr ? text : SLICE(""));
}

void db_bind_blob(struct db_stmt *s, int at, const void *bytes, size_t len)
{
    bound(s, sqlite3_bind_blob64(s->raw, at, bytes, len, SQLITE_STATIC));
}

void db_reset(struct db_stmt *s)
{
    sqlite3_reset(s->raw);
    s->bind_rc = SQLITE_OK;
}

enum db_step db_step(struct db_stmt *s, struct err *err)
{
    int rc = s->bind_rc;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(s->raw);
    if (rc == SQLITE_ROW)
        return DB_ROW;
    if (rc != SQLITE_DONE)
        db_fail(s->db, rc, err);
    db_reset(s);
    return rc == SQLITE_DONE ? DB_DONE : DB_FAIL;
}

bool db_run(struct db_stmt *s, struct err *err)
{
    enum db_step step;

    do
        step = db_step(s, err);
    while (step == DB_ROW);
    return step == DB_DONE;
}

int64_t db_col_i64(struct db_stmt *s, int at)
{
    return sqlite3_column_int64(s->raw, at);
}

struct slice db_col_text(struct db_stmt *s, int at)
{
    const void *text = sqlite3_column_text(s->raw, at);

    return slice_make(text, text ? (size_t)sqlite3_column_bytes(s->raw, at) : 0);
}

struct slice db_col_blob(struct db_stmt *s, int at)
{
    const void *bytes = sqlite3_column_blob(s->raw, at);

    return slice_make(bytes, bytes ? (size_t)sqlite3_column_bytes(s->raw, at) : 0);
}

bool db_col_is_null(struct db_stmt *s, int at)
{
    return sqlite3_column_type(s->raw, at) == SQLITE_NULL;
}
