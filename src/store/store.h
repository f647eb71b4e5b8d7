/* store.h - the only door to persons, groups, events and teams.
 *
 * An op table, so that SQLite (embedded) or Postgres can stand behind it. The person logic itself
 * lives in pipe/persons.c, written once against these operations.
 *
 * Threads: all ops belong to the STORE thread, except status (any thread). Between begin and commit
 * the ops see the batch's own changes (an overlay); caches take them over only after COMMIT.
 * rollback drops them. Ownership: struct person / store_group pointers are the store's, valid until
 * commit or rollback. Slices handed in are copied when kept. Errors: ERR_INPUT this row cannot be
 * stored (dead letter it); ERR_RETRY somebody else holds the database: roll back, wait, run the
 * batch again; ERR_FULL no disk space: the same, capture answers 503 meanwhile; ERR_IO the file is
 * not to be trusted: end the process at once; ERR_BUG. Times are wall microseconds. Every stored
 * change takes the next number of one change sequence, which for events is their id.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "model/feed_position.h"
#include "model/team.h"

struct person {
    int64_t id;
    struct uuid uuid;
    int64_t team_id;
    struct slice properties; /* JSON object */
    int64_t created_at_us;
    bool is_identified;
    int64_t version;
};

struct person_change {
    struct slice properties;
    int64_t created_at_us;
    bool is_identified;
};

struct store_group {
    struct slice properties; /* JSON object */
    int64_t created_at_us;
    int64_t version;
};

#define STORE_GROUP_TYPES_MAX 5

struct event_row {
    struct uuid uuid;
    bool is_uuid_checked; /* takes part in finding duplicates */
    int64_t team_id;
    struct slice event;
    struct slice distinct_id;
    bool has_person;
    struct uuid person_uuid;
    struct slice properties; /* JSON text */
    struct slice elements_chain;
    int64_t timestamp_us;
    int64_t created_at_us;
    struct slice group_keys[STORE_GROUP_TYPES_MAX]; /* string form; ptr NULL: none */
};

struct recording_row {
    struct uuid uuid;
    bool is_uuid_checked; /* takes part in finding duplicates */
    int64_t team_id;
    struct slice distinct_id, session_id, window_id, snapshot_data;
    int64_t timestamp_us;
    int64_t created_at_us;
};

struct dead_letter {
    int64_t team_id; /* 0 unknown */
    int64_t at_us;
    struct slice stage;    /* "parse_message", "plugin_server_ingest_event:<step>" */
    struct slice reason;   /* "Event ingestion failed. Error: …" */
    struct slice envelope; /* JSON text */
};

/* Sums of one batch per (team, minute, name); kept per minute, at most 1,000 names a team and
 * minute, the rest "$other". */
enum store_count {
    STORE_COUNT_STORED,
    STORE_COUNT_DUPLICATE,
    STORE_COUNT_DROPPED,
    STORE_COUNT_DEAD
};

struct store_object { /* a part of the provision file, kept as JSON */
    const char *kind;
    const char *key;
    const char *json;
    int64_t id; /* the store's: unique in its kind, kept when the object changes, never reused */
};
typedef bool store_object_fn(const struct store_object *o, void *ctx); /* false: no more */

struct store_plugin_log {
    int64_t team_id, config_id;
    int64_t at_us;
    struct slice source, type, message, instance_id;
};

/* What is known of a plugin config beyond its object. */
struct store_plugin_state {
    int64_t config_id;
    const char *error_json;   /* NULL: none */
    int64_t circuit_until_us; /* 0: closed */
    const char *circuit_why;  /* NULL: closed */
};

struct store_status {
    uint64_t events;     /* stored since start */
    int64_t last_change; /* change sequence */
    uint64_t database_bytes, wal_bytes;
    uint64_t unfolded; /* change log rows not yet folded */
    uint64_t open_part_rows;
    uint64_t dedupe_entries;
    int64_t dedupe_window_s; /* what is really covered */
    uint64_t persons_cached;
};

struct store_ops {
    bool (*begin)(void *self, struct err *err);
    /* Everything since begin plus the position and the runs above it, in one COMMIT. */
    bool (*commit)(void *self, const struct feed_position *position, const struct feed_run *runs,
                   size_t run_count, struct err *err);
    void (*rollback)(void *self);

    /* *person is NULL when nobody has that distinct id. */
    bool (*person_get)(void *self, int64_t team_id, struct slice distinct_id,
                       struct person **person, struct err *err);
    /* New person (version 0) with its distinct ids in this order. */
    bool (*person_create)(void *self, int64_t team_id, const struct uuid *uuid,
                          const struct person_change *state, const struct slice *distinct_ids,
                          size_t count, struct person **person, struct err *err);
    bool (*person_update)(void *self, struct person *person, const struct person_change *state,
                          struct err *err); /* version + 1 */
    bool (*distinct_id_add)(void *self, struct person *person, struct slice distinct_id,
                            struct err *err);
    /* All distinct ids of `from` now belong to `to` (each version + 1); then `from` is deleted. */
    bool (*person_merge)(void *self, struct person *from, struct person *to, struct err *err);

    /* Index of a group type, made when new; -1 when the team has five others already. */
    bool (*group_type)(void *self, int64_t team_id, struct slice type, int *index, struct err *err);
    bool (*group_get)(void *self, int64_t team_id, int type_index, struct slice key,
                      struct store_group **group, struct err *err); /* NULL: none */
    bool (*group_put)(void *self, int64_t team_id, int type_index, struct slice key,
                      const struct store_group *state, struct err *err);

    bool (*event_seen)(void *self, int64_t team_id, const struct uuid *uuid, bool *seen,
                       struct err *err);
    bool (*event_insert)(void *self, const struct event_row *row, int64_t *id, struct err *err);
    /* *is_new false: that team has a recording with this checked uuid already, nothing changed. */
    bool (*recording_insert)(void *self, const struct recording_row *row, bool *is_new,
                             struct err *err);
    bool (*dead_letter_insert)(void *self, const struct dead_letter *d, struct err *err);
    void (*count)(void *self, enum store_count what, int64_t team_id, int64_t at_us,
                  struct slice event);

    /* Teams and provisioned objects; inside begin/commit too (position NULL at commit leaves the
     * cursor alone). */
    bool (*team_put)(void *self, const struct team *team, struct err *err);
    bool (*team_remove)(void *self, int64_t team_id,
                        struct err *err); /* the row only; its data stay */
    bool (*teams_load)(void *self, struct team_set **set,
                       struct err *err); /* teams and personal keys, sealed */
    bool (*object_put)(void *self, const struct store_object *o, struct err *err);
    bool (*object_remove)(void *self, const char *kind, const char *key, struct err *err);
    bool (*objects_each)(void *self, store_object_fn *fn, void *ctx, struct err *err);
    /* One, by its id; fn is not called when there is none. It may change the store. */
    bool (*object_get)(void *self, const char *kind, int64_t id, store_object_fn *fn, void *ctx,
                       struct err *err);

    /* Plugins: their storage, log and state, by config id. Writes belong in begin/commit. */
    bool (*plugin_storage_get)(void *self, int64_t config_id, struct slice key, struct buf *value,
                               bool *found, struct err *err); /* ERR_LIMIT: *value is full */
    bool (*plugin_storage_set)(void *self, int64_t config_id, struct slice key, struct slice value,
                               struct err *err);
    bool (*plugin_storage_remove)(void *self, int64_t config_id, struct slice key, struct err *err);
    bool (*plugin_logs_insert)(void *self, const struct store_plugin_log *rows, size_t count,
                               struct err *err);
    bool (*plugin_error_put)(void *self, int64_t config_id, const char *error_json,
                             struct err *err); /* NULL: none any more */
    bool (*plugin_circuit_put)(void *self, int64_t config_id, int64_t until_us, const char *why,
                               struct err *err); /* 0 and NULL: closed */
    bool (*plugin_states_each)(void *self,
                               bool (*fn)(const struct store_plugin_state *state, void *ctx),
                               void *ctx, struct err *err);

    /* False in *found when the store has no position yet. runs are heap memory of the caller
     * (mem_free). */
    bool (*position)(void *self, struct feed_position *position, struct feed_run **runs,
                     size_t *run_count, bool *found, struct err *err);

    /* One bounded slice of upkeep (folding, index parts, retention) between batches; *more when
     * there is work left. */
    bool (*tidy)(void *self, bool *more, struct err *err);
    void (*status)(void *self, struct store_status *out);
};

struct store {
    const struct store_ops *ops;
    void *self;
};
