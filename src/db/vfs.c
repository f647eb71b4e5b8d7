/* Fewer, larger writes to the write-ahead log. SQLite writes each page of a transaction as two: 24
 * bytes of header and the page. Each costs the system a good microsecond besides its bytes. Here
 * what follows on one another is gathered and written in one piece.
 *
 * Nothing that counts is held back: the frame that ends a transaction is written, with all before
 * it, inside the call that hands it over, so that an error is reported where SQLite expects it, and
 * everything is written before a sync. What may lie here meanwhile are frames of a transaction that
 * is not committed; no other connection looks at those, and what this one wants to read again is
 * written first. After an error the frames are gone: SQLite rolls the transaction back and writes
 * over their place.
 *
 * A writing connection has a VFS of its own: the system's, but for opening logs. So no state is
 * shared, and readers are not touched.
 *
 *     frame of a log:  page number (4) | pages after the commit, else 0 (4) | ... (16) | page
 */
#include "base/mem.h"
#include "db/db_priv.h"

#include <stdio.h>

#define GATHER_BYTES (64 * 1024)
#define FRAME_HEAD   24

struct db_vfs {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    char name[40];
};

struct wal_file {
    sqlite3_file base;
    sqlite3_file *real; /* lies behind this struct */
    char *bytes;        /* GATHER_BYTES, from the first write on */
    size_t len;
    sqlite3_int64 at; /* where they belong */
    bool is_commit;   /* the page to come ends a transaction */
};

static struct wal_file *wal_of(sqlite3_file *file)
{
    return (struct wal_file *)(void *)file;
}

static int flush(struct wal_file *f)
{
    size_t len = f->len;

    f->len = 0;
    return len ? f->real->pMethods->xWrite(f->real, f->bytes, (int)len, f->at) : SQLITE_OK;
}

static int wal_close(sqlite3_file *file)
{
    struct wal_file *f = wal_of(file);

    mem_free(f->bytes); /* what is left belongs to a transaction that was never committed */
    return f->real->pMethods->xClose(f->real);
}

static int wal_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
    struct wal_file *f = wal_of(file);
    bool is_held = at < f->at + (sqlite3_int64)f->len && at + len > f->at;
    int rc = is_held ? flush(f) : SQLITE_OK;

    return rc == SQLITE_OK ? f->real->pMethods->xRead(f->real, out, len, at) : rc;
}

static bool is_commit_head(const unsigned char *bytes, int len)
{
    return len == FRAME_HEAD && (bytes[4] | bytes[5] | bytes[6] | bytes[7]) != 0;
}

static int wal_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
    struct wal_file *f = wal_of(file);
    bool ends = f->is_commit;
    int rc = SQLITE_OK;

    if (!f->bytes)
        f->bytes = mem_alloc(GATHER_BYTES);
    if (at != f->at + (sqlite3_int64)f->len || (size_t)len > GATHER_BYTES - f->len)
        rc = flush(f);
    if (rc != SQLITE_OK)
        return rc;
    f->is_commit = is_commit_head(bytes, len);
    if (len > GATHER_BYTES)
        return f->real->pMethods->xWrite(f->real, bytes, len, at);
    if (f->len == 0)
        f->at = at;
    memcpy(f->bytes + f->len, bytes, (size_t)len);
    f->len += (size_t)len;
    return ends ? flush(f) : SQLITE_OK;
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct wal_file *f = wal_of(file);
    int rc = flush(f);

    return rc == SQLITE_OK ? f->real->pMethods->xTruncate(f->real, size) : rc;
}

static int wal_sync(sqlite3_file *file, int flags)
{
    struct wal_file *f = wal_of(file);
    int rc = flush(f);

    return rc == SQLITE_OK ? f->real->pMethods->xSync(f->real, flags) : rc;
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *size)
{
    struct wal_file *f = wal_of(file);
    int rc = flush(f);

    return rc == SQLITE_OK ? f->real->pMethods->xFileSize(f->real, size) : rc;
}

static int wal_lock(sqlite3_file *file, int level)
{
    struct wal_file *f = wal_of(file);

    return f->real->pMethods->xLock(f->real, level);
}

static int wal_unlock(sqlite3_file *file, int level)
{
    struct wal_file *f = wal_of(file);

    return f->real->pMethods->xUnlock(f->real, level);
}

static int wal_check_lock(sqlite3_file *file, int *out)
{
    struct wal_file *f = wal_of(file);

    return f->real->pMethods->xCheckReservedLock(f->real, out);
}

static int wal_control(sqlite3_file *file, int op, void *arg)
{
    struct wal_file *f = wal_of(file);

    return f->real->pMethods->xFileControl(f->real, op, arg);
}

static int wal_sector(sqlite3_file *file)
{
    struct wal_file *f = wal_of(file);

    return f->real->pMethods->xSectorSize(f->real);
}

static int wal_traits(sqlite3_file *file)
{
    struct wal_file *f = wal_of(file);

    return f->real->pMethods->xDeviceCharacteristics(f->real);
}

static const sqlite3_io_methods wal_methods = {
    .iVersion = 1, /* a log is neither mapped nor shared */
    .xClose = wal_close,
    .xRead = wal_read,
    .xWrite = wal_write,
    .xTruncate = wal_truncate,
    .xSync = wal_sync,
    .xFileSize = wal_size,
    .xLock = wal_lock,
    .xUnlock = wal_unlock,
    .xCheckReservedLock = wal_check_lock,
    .xFileControl = wal_control,
    .xSectorSize = wal_sector,
    .xDeviceCharacteristics = wal_traits,
};

/* Other files are the system's own from here on: `file` is large enough for either. */
static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                    int *flags_out)
{
    sqlite3_vfs *real = CONTAINER_OF(vfs, struct db_vfs, vfs)->real;
    struct wal_file *f = wal_of(file);
    int rc;

    if (!(flags & SQLITE_OPEN_WAL))
        return real->xOpen(real, path, file, flags, flags_out);
    *f = (struct wal_file){.real = (sqlite3_file *)(void *)(f + 1)};
    rc = real->xOpen(real, path, f->real, flags, flags_out);
    if (f->real->pMethods)
        f->base.pMethods = &wal_methods;
    return rc;
}

struct db_vfs *db_vfs_new(void)
{
    struct db_vfs *v = mem_new(struct db_vfs);

    v->real = sqlite3_vfs_find(NULL);
    CHECK(v->real);
    v->vfs = *v->real;
    v->vfs.pNext = NULL;
    v->vfs.szOsFile += (int)sizeof(struct wal_file);
    v->vfs.xOpen = vfs_open;
    snprintf(v->name, sizeof(v->name), "hedgerow-%p", (void *)v);
    v->vfs.zName = v->name;
    CHECK(sqlite3_vfs_register(&v->vfs, 0) == SQLITE_OK);
    return v;
}

const char *db_vfs_name(const struct db_vfs *v)
{
    return v->name;
}

void db_vfs_free(struct db_vfs *v)
{
    if (!v)
        return;
    sqlite3_vfs_unregister(&v->vfs);
    mem_free(v);
}
