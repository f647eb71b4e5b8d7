/* Numbered migrations. The number of the last one is kept in the file's header (user_version), so
 * it changes in the same transaction as the tables. A migration that rewrites rows says so in its
 * first line and gets a copy of the file beforehand: <file>.schema-<number>, the way back to the
 * older binary.
 */
#include "base/log.h"
#include "base/mem.h"
#include "db/db_priv.h"

#include <stdio.h>

static int newest(const struct db_schema *schema)
{
    return schema->count ? schema->migrations[schema->count - 1].number : 0;
}

bool db_check_schema(struct db *db, const struct db_schema *schema, struct err *err)
{
    int64_t version, id, tables = 0;

    if (!db_query_i64(db, "PRAGMA user_version", &version, err) ||
        !db_query_i64(db, "PRAGMA application_id", &id, err))
        return false;
    if (version == 0 && !db_query_i64(db, "SELECT count(*) FROM sqlite_master", &tables, err))
        return false;
    if ((uint32_t)id != schema->application_id && (version != 0 || id != 0 || tables != 0))
        return err_set(err, ERR_INPUT, "%s is a database of another program, it was not touched",
                       db->path);
    if (version > newest(schema))
        return err_set(err, ERR_INPUT,
                       "%s has schema %lld, newer than this binary (%d): start the newer binary "
                       "again, or put back "
                       "the copy that it made before migrating",
                       db->name, (long long)version, newest(schema));
    return true;
}

static bool copy_before(struct db *db, int from, struct err *err)
{
    size_t size = strlen(db->path) + 32;
    char *path = mem_alloc(size);

    snprintf(path, size, "%s.schema-%d", db->path, from);
    bool ok = db_copy(db, path, err);
    if (ok)
        log_info("db", "a copy was made before the migration", KV_STR("file", path));
    mem_free(path);
    return ok;
}

static bool run_one(struct db *db, const struct db_schema *schema, const struct db_migration *m,
                    int from, struct err *err)
{
    static const char rewrites[] = "-- rewrites data";
    char mark[96];

    if (from > 0 && strncmp(m->sql, rewrites, sizeof(rewrites) - 1) == 0 &&
        !copy_before(db, from, err))
        return false;
    snprintf(mark, sizeof(mark), "PRAGMA user_version=%d; PRAGMA application_id=%u", m->number,
             schema->application_id);
    if (db_begin(db, err) && db_exec(db, m->sql, err) && db_exec(db, mark, err) &&
        db_commit(db, err))
        return true;
    db_rollback(db);
    return err_wrap(err, "migration %04d_%s, nothing of it was kept", m->number, m->name);
}

bool db_migrate(struct db *db, const struct db_schema *schema, int *from, int *to, struct err *err)
{
    int64_t version;

    if (!db_check_schema(db, schema, err) ||
        !db_query_i64(db, "PRAGMA user_version", &version, err))
        return false;
    *from = *to = (int)version;
    for (size_t i = 0; i < schema->count; i++) {
        const struct db_migration *m = &schema->migrations[i];
        if (m->number <= *to)
            continue;
        if (!run_one(db, schema, m, *to, err))
            return false;
        *to = m->number;
    }
    return true;
}
