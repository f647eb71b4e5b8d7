/* store_sqlite.h - the embedded store: hedgerow.db.
 *
 * Opening migrates to the newest schema (numbered migrations; a copy of the file is made before one
 * that rewrites data) and refuses a schema newer than this binary. Threads: opened by MAIN, used by
 * STORE; one TIDY thread of its own sorts index parts and runs checkpoints.
 */
#pragma once

#include "metric/metric.h"
#include "store/store.h"

struct store_sqlite_options {
    const char *path; /* DATA_DIR/hedgerow.db */
    int64_t dedupe_window_us;
    size_t dedupe_bytes_max;
    size_t distinct_id_cache_entries;                                  /* DISTINCT_ID_LRU_SIZE */
    size_t cache_bytes_max;                                            /* persons and groups */
    uint64_t wal_checkpoint_bytes, wal_restart_bytes, wal_alarm_bytes; /* 2 MiB, 256 MiB, 1 GiB */
    int64_t events_retention_us;                                       /* 0: for ever */
    int64_t dead_letter_retention_us;
    int64_t plugin_logs_retention_us; /* 0: for ever */
    int64_t busy_us;                  /* 5 s */
    size_t index_part_events;         /* events of a part of the event index; 0: 500,000 */
    struct metrics *metrics;          /* may be NULL */
};

MUST_CHECK bool store_sqlite_open(const struct store_sqlite_options *opt, struct store *store,
                                  struct err *err);
MUST_CHECK bool store_sqlite_start(struct store *store, struct err *err); /* TIDY thread */
void store_sqlite_close(
    struct store *store); /* stops the thread; a last checkpoint when `clean` state allows */
/* Only migrates (the --migrate mode): from and to receive the schema numbers. */
MUST_CHECK bool store_sqlite_migrate(const char *path, int *from, int *to, struct err *err);
/* Schema number of the file, without changing it; 0 when there is none yet. For AUTO_MIGRATE=false.
 */
MUST_CHECK bool store_sqlite_file_schema(const char *path, int *number, struct err *err);
int store_sqlite_schema(void); /* newest number this binary knows */
