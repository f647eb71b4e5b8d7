/* Opening. The order matters: the schema is looked at before any pragma that could write, so that a
 * file which is refused stays as it is, byte for byte.
 *
 * WAL with synchronous=FULL costs one fdatasync per commit and makes each commit durable. Automatic
 * checkpoints are off because they would run inside a commit of the writer; checkpoints at close
 * are off because a process that ends after an I/O error must leave the WAL alone.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "db/db_priv.h"

#include <errno.h>
#include <stdio.h>

#define PROGRESS_OPS   1000 /* virtual machine steps between two looks at the clock, about 50 us */
#define WAL_KEEP_BYTES "67108864"

static enum err_code code_of(struct db *db, int rc)
{
    int system_errno = db->raw ? sqlite3_system_errno(db->raw) : 0;

    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return ERR_RETRY;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return rc != SQLITE_IOERR_NOMEM && (system_errno == ENOSPC || system_errno == EDQUOT)
                   ? ERR_FULL
                   : ERR_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_NOMEM:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return ERR_IO;
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
        return ERR_INPUT;
    case SQLITE_INTERRUPT:
        return ERR_LIMIT;
    default:
        return ERR_BUG;
    }
}

bool db_fail(struct db *db, int rc, struct err *err)
{
    /* The connection's message belongs to its last call; a code found elsewhere has the general
     * text. */
    bool is_last = db->raw && sqlite3_extended_errcode(db->raw) == rc;

    return err_set(err, code_of(db, rc), "%s: %s (SQLite code %d)", db->name,
                   is_last ? sqlite3_errmsg(db->raw) : sqlite3_errstr(rc), rc);
}

static int on_progress(void *ctx)
{
    const struct db *db = ctx;

    return clock_mono_us() > db->deadline_us;
}

void db_set_deadline(struct db *db, int64_t mono_us)
{
    db->deadline_us = mono_us;
    sqlite3_progress_handler(db->raw, PROGRESS_OPS, mono_us == INT64_MAX ? NULL : on_progress, db);
}

void db_set_busy(struct db *db, int64_t busy_us)
{
    sqlite3_busy_timeout(db->raw, (int)MIN((busy_us + 999) / 1000, (int64_t)INT32_MAX));
}

static int on_wal(void *ctx, sqlite3 *raw, const char *schema, int pages)
{
    struct db *db = ctx;

    UNUSED(raw);
    UNUSED(schema);
    db->wal_fn(db->wal_ctx, pages);
    return SQLITE_OK;
}

void db_on_wal(struct db *db, db_wal_fn *fn, void *ctx)
{
    db->wal_fn = fn;
    db->wal_ctx = ctx;
    sqlite3_wal_hook(db->raw, fn ? on_wal : NULL, db);
}

bool db_exec(struct db *db, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(db->raw, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK || db_fail(db, rc, err);
}

bool db_query_i64(struct db *db, const char *sql, int64_t *value, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db->raw, sql, -1, &s, NULL);
    bool ok = false;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        *value = sqlite3_column_int64(s, 0);
        ok = true;
    } else if (rc == SQLITE_DONE) {
        err_set(err, ERR_BUG, "%s: no row: %s", db->name, sql);
    } else {
        db_fail(db, rc, err);
    }
    sqlite3_finalize(s);
    return ok;
}

static bool setup(struct db *db, const struct db_options *opt, struct err *err)
{
    char cache[64];
    size_t kib = opt->cache_bytes / 1024;

    snprintf(cache, sizeof(cache), "PRAGMA cache_size=-%zu", MAX(kib, (size_t)64));
    return db_exec(db, "PRAGMA secure_delete=OFF", err) &&
           db_exec(db, "PRAGMA temp_store=MEMORY", err) && db_exec(db, "PRAGMA mmap_size=0", err) &&
           db_exec(db, "PRAGMA foreign_keys=OFF", err) &&
           db_exec(db, "PRAGMA trusted_schema=OFF", err) &&
           (opt->cache_bytes == 0 || db_exec(db, cache, err));
}

static bool setup_writer(struct db *db, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int rc;
    bool ok;

    if (!db_exec(db, "PRAGMA page_size=4096", err))
        return false;
    rc = sqlite3_prepare_v2(db->raw, "PRAGMA journal_mode=WAL", -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc != SQLITE_ROW)
        ok = db_fail(db, rc, err);
    else
        ok = sqlite3_stricmp((const char *)sqlite3_column_text(s, 0), "wal") == 0 ||
             err_set(err, ERR_IO,
                     "%s: this file system does not allow a write-ahead log, use a local one",
                     db->path);
    sqlite3_finalize(s);
    return ok && db_exec(db, "PRAGMA synchronous=FULL", err) &&
           db_exec(db, "PRAGMA wal_autocheckpoint=0", err) &&
           db_exec(db, "PRAGMA journal_size_limit=" WAL_KEEP_BYTES, err);
}

static bool open_raw(struct db *db, const struct db_options *opt, struct err *err)
{
    int flags =
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
        (opt->is_read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    int rc;

    /* Both are refused, without harm, once the library is in use. Memory statistics would take a
     * process-wide mutex at each allocation. */
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (!opt->is_read_only)
        db->vfs = db_vfs_new();
    rc = sqlite3_open_v2(opt->path, &db->raw, flags, db->vfs ? db_vfs_name(db->vfs) : NULL);
    if (rc != SQLITE_OK) {
        db_fail(db, rc, err);
        return err_wrap(err, "open %s", opt->path);
    }
    sqlite3_db_config(db->raw, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    db_set_busy(db, opt->busy_us);
    return true;
}

struct db *db_open(const struct db_options *opt, struct err *err)
{
    struct db *db = mem_new(struct db);
    const char *slash = strrchr(opt->path, '/');
    bool ok;

    db->path = mem_dup_str(opt->path);
    db->name = db->path + (slash ? slash + 1 - opt->path : 0);
    db->deadline_us = INT64_MAX;
    ok = open_raw(db, opt, err) && (!opt->schema || db_check_schema(db, opt->schema, err)) &&
         setup(db, opt, err) && (opt->is_read_only || setup_writer(db, err));
    if (!ok) {
        db_close(db);
        return NULL;
    }
    return db;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (struct db_stmt *s = db->stmts, *next; s; s = next) {
        next = s->next;
        sqlite3_finalize(s->raw);
        mem_free(s);
    }
    CHECK(sqlite3_close(db->raw) == SQLITE_OK);
    db_vfs_free(db->vfs);
    mem_free(db->path);
    mem_free(db);
}

const char *db_name(const struct db *db)
{
    return db->name;
}

bool db_checkpoint(struct db *db, enum db_checkpoint how, int *wal_pages, int *done_pages,
                   struct err *err)
{
    static const int modes[] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_RESTART,
                                SQLITE_CHECKPOINT_TRUNCATE};
    int rc = sqlite3_wal_checkpoint_v2(db->raw, NULL, modes[how], wal_pages, done_pages);

    return rc == SQLITE_OK || db_fail(db, rc, err);
}

static bool copy_pages(struct db *db, sqlite3 *to, struct err *err)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", db->raw, "main");
    int rc;

    if (!b) {
        struct db other = {.raw = to, .name = db->name};
        return db_fail(&other, sqlite3_extended_errcode(to), err);
    }
    sqlite3_backup_step(b, -1);
    rc = sqlite3_backup_finish(b); /* carries the step's error */
    return rc == SQLITE_OK || db_fail(db, rc, err);
}

bool db_copy(struct db *db, const char *path, struct err *err)
{
    size_t len = strlen(path);
    char *temp = mem_alloc(len + sizeof(".part"));
    sqlite3 *to = NULL;
    bool ok = false;

    snprintf(temp, len + sizeof(".part"), "%s.part", path);
    if (!fs_remove(temp, err))
        goto out;
    int rc = sqlite3_open_v2(
        temp, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        ok = copy_pages(db, to, err);
    else
        db_fail(db, rc, err);
    sqlite3_close(to);
    if (ok && rename(temp, path) == -1)
        ok = err_errno(err, errno, "rename %s to %s", temp, path);
    if (!ok) {
        remove(temp); /* best effort: the next copy begins by removing it */
        err_wrap(err, "copy to %s", path);
    }
out:
    mem_free(temp);
    return ok;
}

bool db_sync_wal(struct db *db, struct err *err)
{
    sqlite3_file *wal = NULL;
    int rc = sqlite3_file_control(db->raw, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);

    if (rc == SQLITE_OK && wal && wal->pMethods)
        rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
    return rc == SQLITE_OK || db_fail(db, rc, err);
}

int64_t db_changes(const struct db *db)
{
    return sqlite3_changes64(db->raw);
}

int64_t db_last_id(const struct db *db)
{
    return sqlite3_last_insert_rowid(db->raw);
}
