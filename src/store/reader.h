/* reader.h - bounded reads beside the writer, for the admin API.
 *
 * A reader owns a read-only connection of one NET thread. Every call is one read transaction of at
 * most 250 ms (ERR_LIMIT then) and never spans network I/O. Answers are JSON text.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "store/store.h"

struct store_reader;

MUST_CHECK struct store_reader *store_reader_open(const char *path, struct err *err);
/* Events that event_index does not have yet (up to 500,000 of the newest) are then found through
 * the memory of the running store, which must outlive the reader; without it they are searched for
 * within the time limit. */
void store_reader_attach(struct store_reader *r, const struct store *store);
void store_reader_close(struct store_reader *r);
/* {"id","uuid","team_id","event",…} as v_events; ERR_GONE when there is none. Found through
 * event_index. */
MUST_CHECK bool store_reader_event(struct store_reader *r, const struct uuid *uuid,
                                   struct buf *json, struct err *err);
/* The person of a distinct id with all its distinct ids. */
MUST_CHECK bool store_reader_person(struct store_reader *r, int64_t team_id,
                                    struct slice distinct_id, struct buf *json, struct err *err);

struct store_plugin_logs_query {
    int64_t config_id, team_id; /* 0: any */
    struct slice type;          /* "ERROR", …; empty: any */
    int64_t before, after;      /* ids; 0: no bound */
    int limit;                  /* 1 to STORE_PLUGIN_LOGS_MAX */
};
#define STORE_PLUGIN_LOGS_MAX 1000
/* {"entries":[{"id","team_id","plugin_config_id","at","source","type","message"}, …]}, newest
 * first. */
MUST_CHECK bool store_reader_plugin_logs(struct store_reader *r,
                                         const struct store_plugin_logs_query *query,
                                         struct buf *json, struct err *err);

/* {"events":[{"uuid","event","distinct_id","team_id","timestamp","person_uuid","properties"}, …]},
 * the newest `limit`, newest first, as the live tail has them; properties that are long are null.
 * team_id 0: of all. */
MUST_CHECK bool store_reader_events(struct store_reader *r, int64_t team_id, int limit,
                                    struct buf *json, struct err *err);

struct store_minutes_query {
    int64_t from, to; /* minutes since 1970, both included */
    int64_t team_id;  /* 0: all */
};
/* {"from","to","minutes":[{"minute","stored","duplicates","dropped","dead_letters"}, …]}: sums of
 * events by the minute of their decision; minutes without any are left out. */
MUST_CHECK bool store_reader_minutes(struct store_reader *r,
                                     const struct store_minutes_query *query, struct buf *json,
                                     struct err *err);

struct store_dead_letters_query {
    int64_t team_id; /* 0: any */
    int64_t before;  /* id; 0: no bound */
    int limit;
};
/* {"entries":[{"id","team_id","at","stage","reason","replayed_at","envelope_bytes","distinct_id",
 * "uuid"}, …]}, newest first. */
MUST_CHECK bool store_reader_dead_letters(struct store_reader *r,
                                          const struct store_dead_letters_query *query,
                                          struct buf *json, struct err *err);
/* The same without the last three, and with the whole "envelope"; ERR_GONE when there is none. */
MUST_CHECK bool store_reader_dead_letter(struct store_reader *r, int64_t id, struct buf *json,
                                         struct err *err);
