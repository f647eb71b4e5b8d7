/* db_priv.h - shared by the files of this folder. */
#pragma once

#include "db/db.h"

#include <sqlite3.h>

struct db_stmt {
    struct db_stmt *next;
    struct db *db;
    sqlite3_stmt *raw;
    int bind_rc; /* first failed bind since the last reset */
};

struct db {
    sqlite3 *raw;
    struct db_vfs *vfs; /* of a writer */
    struct db_stmt *stmts;
    char *path;
    const char *name; /* inside path */
    int64_t deadline_us;
    db_wal_fn *wal_fn;
    void *wal_ctx;
};

/* Turns a result code into *err, with the connection's message. Always false. */
bool db_fail(struct db *db, int rc, struct err *err);
/* vfs.c: the system's files, with the write-ahead log in larger pieces. For one connection, which
 * must be closed before it is freed. */
struct db_vfs *db_vfs_new(void);
const char *db_vfs_name(const struct db_vfs *v);
void db_vfs_free(struct db_vfs *v); /* NULL is legal */
/* Refuses what was made by a newer binary or by another program. */
MUST_CHECK bool db_check_schema(struct db *db, const struct db_schema *schema, struct err *err);
