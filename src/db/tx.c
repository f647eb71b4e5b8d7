#include "db/db_priv.h"

bool db_begin(struct db *db, struct err *err)
{
    /* At once: a transaction that began as a reader cannot wait for the write lock later. */
    return db_exec(db, "BEGIN IMMEDIATE", err);
}

bool db_begin_read(struct db *db, struct err *err)
{
    return db_exec(db, "BEGIN", err);
}

bool db_commit(struct db *db, struct err *err)
{
    return db_exec(db, "COMMIT", err);
}

bool db_is_in_tx(const struct db *db)
{
    return !sqlite3_get_autocommit(db->raw);
}

void db_rollback(struct db *db)
{
    /* A full disk or an I/O error may have rolled back by itself. What is left cannot fail in a way
     * that matters: without a COMMIT nothing of it is ever seen. */
    if (db_is_in_tx(db))
        sqlite3_exec(db->raw, "ROLLBACK", NULL, NULL, NULL);
}
