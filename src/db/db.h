/* db.h - SQLite behind a narrow door: connections, statements, transactions, migrations.
 *
 * Only this folder includes sqlite3.h. A write connection runs in WAL mode with synchronous=FULL,
 * so that a commit that returned is on disk; checkpoints are never automatic (somebody calls
 * db_checkpoint) and never happen at close. Every connection has secure_delete off, temp_store in
 * memory, no mmap, and the schema check of db_schema: a file with a newer schema or of another
 * program is refused before anything is written.
 *
 * Threads: a connection and its statements belong to one thread at a time (multi-thread mode, no
 * mutexes inside). The first db_open of a process sets SQLite up and must not race with another
 * one. Ownership: statements live until db_close. Text and blobs bound are borrowed until the
 * statement was run, columns read until its next step or reset. Errors: ERR_RETRY locked by another
 * connection longer than busy_us; ERR_FULL no space; ERR_INPUT the values do not fit (constraint,
 * too big, wrong type); ERR_LIMIT the deadline passed; ERR_IO other I/O errors, damage, not a
 * database, out of memory: the file or the process is not to be trusted; ERR_BUG the rest.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct db;
struct db_stmt;

struct db_migration {
    int number; /* 1, 2, ...; the list is dense and ascending */
    const char *name;
    const char
        *sql; /* a first line `-- rewrites data` asks for a copy of the file before it runs */
};

struct db_schema {
    uint32_t application_id; /* marks the file as ours */
    const struct db_migration *migrations;
    size_t count;
};

struct db_options {
    const char *path;
    const struct db_schema *schema; /* NULL: no check */
    bool is_read_only;
    int64_t busy_us;    /* how long to wait for somebody's lock */
    size_t cache_bytes; /* page cache, grows as needed; 0: SQLite's default */
};

MUST_CHECK struct db *db_open(const struct db_options *opt, struct err *err);
void db_close(struct db *db); /* NULL is legal; no checkpoint, an open transaction is rolled back */
const char *db_name(const struct db *db); /* the file's name without its folder, for messages */
MUST_CHECK bool db_exec(struct db *db, const char *sql, struct err *err);
/* First column of the first row; ERR_BUG when there is none. */
MUST_CHECK bool db_query_i64(struct db *db, const char *sql, int64_t *value, struct err *err);
/* After each commit with the number of pages in the WAL. */
typedef void db_wal_fn(void *ctx, int pages);
void db_on_wal(struct db *db, db_wal_fn *fn, void *ctx);
/* Statements that run past this moment of the monotonic clock end with ERR_LIMIT; INT64_MAX: never.
 */
void db_set_deadline(struct db *db, int64_t mono_us);
void db_set_busy(struct db *db, int64_t busy_us);
/* Makes a copy of the whole database as it is now, replacing `path` in one step. */
MUST_CHECK bool db_copy(struct db *db, const char *path, struct err *err);

enum db_checkpoint {
    DB_CHECKPOINT_PASSIVE,  /* beside readers and the writer, as far as they let it */
    DB_CHECKPOINT_RESTART,  /* holds the writer, waits for readers: the next write begins a new WAL
                             */
    DB_CHECKPOINT_TRUNCATE, /* the same, and the WAL file becomes empty */
};

/* wal_pages and done_pages may be NULL: pages in the WAL, and how many of them are in the database
 * now. */
MUST_CHECK bool db_checkpoint(struct db *db, enum db_checkpoint how, int *wal_pages,
                              int *done_pages, struct err *err);

/* Syncs the WAL. A killed process may have left commits in it that no sync has followed: they are
 * seen, but nothing outside of the database may rely on them before. Legal after the first read. */
MUST_CHECK bool db_sync_wal(struct db *db, struct err *err);

/* Transactions (tx.c). */
MUST_CHECK bool db_begin(struct db *db, struct err *err); /* takes the write lock at once */
MUST_CHECK bool db_begin_read(struct db *db,
                              struct err *err); /* a snapshot from the first read on */
MUST_CHECK bool db_commit(struct db *db, struct err *err);
void db_rollback(struct db *db); /* legal without a transaction: errors may have ended it already */
bool db_is_in_tx(const struct db *db);

/* Statements (stmt.c). Binding never fails by itself: a value that does not fit is reported by the
 * step. `at` counts from 1, columns from 0. */
enum db_step { DB_ROW, DB_DONE, DB_FAIL };

MUST_CHECK struct db_stmt *db_prepare(struct db *db, const char *sql, struct err *err);
void db_stmt_free(struct db_stmt *s); /* before db_close, when it was needed once; NULL is legal */
void db_bind_i64(struct db_stmt *s, int at, int64_t value);
void db_bind_null(struct db_stmt *s, int at);
void db_bind_text(struct db_stmt *s, int at, struct slice text); /* ptr NULL: SQL NULL */
void db_bind_text_or_empty(struct db_stmt *s, int at, struct slice text);
void db_bind_blob(struct db_stmt *s, int at, const void *bytes,
                  size_t len); /* bytes NULL: SQL NULL */
MUST_CHECK enum db_step db_step(struct db_stmt *s,
                                struct err *err);           /* DB_DONE and DB_FAIL reset it */
MUST_CHECK bool db_run(struct db_stmt *s, struct err *err); /* to the end, rows are ignored */
void db_reset(struct db_stmt *s);
int64_t db_col_i64(struct db_stmt *s, int at);
struct slice db_col_text(struct db_stmt *s, int at); /* ptr NULL: SQL NULL */
struct slice db_col_blob(struct db_stmt *s, int at); /* ptr NULL: SQL NULL or empty */
bool db_col_is_null(struct db_stmt *s, int at);
int64_t db_changes(const struct db *db); /* rows the last statement inserted, changed or deleted */
int64_t db_last_id(const struct db *db); /* row id of the last insert */

/* Migrations (migrate.c): runs those that are missing, each in a transaction of its own. */
MUST_CHECK bool db_migrate(struct db *db, const struct db_schema *schema, int *from, int *to,
                           struct err *err);
