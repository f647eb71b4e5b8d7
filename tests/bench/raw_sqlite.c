/* How fast bare SQLite takes rows of our shape: the ceiling that the store is compared with.
 *
 *     raw_sqlite PATH ROWS BATCH
 *
 * One table, no index, the pragmas of the store, a checkpoint every 16 MiB as its helper thread
 * would do (here in line). Prints one JSON line; the file is made anew and stays.
 */
#include <sqlite3.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char setup[] =
    "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA "
    "secure_delete=OFF;"
    "PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-32768;"
    "CREATE TABLE events (id INTEGER PRIMARY KEY, team_id INTEGER, created_at INTEGER, timestamp "
    "INTEGER,"
    " is_uuid_checked INTEGER, uuid BLOB, person_uuid BLOB, event TEXT, distinct_id TEXT, "
    "group_0_key TEXT,"
    " group_1_key TEXT, group_2_key TEXT, group_3_key TEXT, group_4_key TEXT, elements_chain TEXT,"
    " properties TEXT)";
static const char insert[] =
    "INSERT INTO events (id, team_id, created_at, timestamp, is_uuid_checked, uuid, person_uuid, "
    "event,"
    " distinct_id, elements_chain, properties) VALUES (?,?,?,?,?,?,?,?,?,?,?)";

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(sqlite3 *db, int rc)
{
    if (rc == SQLITE_OK || rc == SQLITE_DONE)
        return;
    fprintf(stderr, "raw_sqlite: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static void put_row(sqlite3 *db, sqlite3_stmt *s, int64_t id, const char *properties)
{
    char distinct_id[40];
    uint64_t uuid[2] = {(uint64_t)id * 0x9E3779B97F4A7C15u, (uint64_t)id};
    int len = snprintf(distinct_id, sizeof(distinct_id), "user-%lld", (long long)(id % 10000));

    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_int64(s, 2, 1);
    sqlite3_bind_int64(s, 3, 1700000000000000 + id);
    sqlite3_bind_int64(s, 4, 1700000000000000 + id);
    sqlite3_bind_int64(s, 5, 1);
    sqlite3_bind_blob(s, 6, uuid, 16, SQLITE_STATIC);
    sqlite3_bind_blob(s, 7, uuid, 16, SQLITE_STATIC);
    sqlite3_bind_text(s, 8, "$pageview", 9, SQLITE_STATIC);
    sqlite3_bind_text(s, 9, distinct_id, len, SQLITE_STATIC);
    sqlite3_bind_text(s, 10, "", 0, SQLITE_STATIC);
    sqlite3_bind_text(s, 11, properties, 704, SQLITE_STATIC);
    check(db, sqlite3_step(s));
    sqlite3_reset(s);
}

int main(int argc, char **argv)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    char properties[705];

    if (argc != 4) {
        fprintf(stderr, "usage: raw_sqlite PATH ROWS BATCH\n");
        return 2;
    }
    long long rows = strtoll(argv[2], NULL, 10), batch = strtoll(argv[3], NULL, 10);
    memset(properties, 'x', sizeof(properties) - 1);
    memcpy(properties, "{\"p\":\"", 6);
    memcpy(properties + 702, "\"}", 3);
    remove(argv[1]);
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    check(db,
          sqlite3_open_v2(argv[1], &db,
                          SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
    check(db, sqlite3_exec(db, setup, NULL, NULL, NULL));
    check(db, sqlite3_prepare_v2(db, insert, -1, &s, NULL));
    double start = now();
    for (long long id = 1; id <= rows;) {
        check(db, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
        for (long long end = id + batch; id < end && id <= rows; id++)
            put_row(db, s, id, properties);
        check(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
    }
    double took = now() - start;
    printf("{\"bench\":\"raw_sqlite\",\"rows\":%lld,\"batch\":%lld,\"seconds\":%.3f,\"rows_per_"
           "second\":%.0f}\n",
           rows, batch, took, (double)rows / took);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return 0;
}
