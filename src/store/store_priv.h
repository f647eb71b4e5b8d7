/* store_priv.h - shared by the files of this folder.
 *
 * Everything here belongs to the STORE thread, except what is marked: [tidy] is guarded by
 * tidy.lock, [index] by index.lock (readers look up the events that event_index does not have yet),
 * atomics are read by any thread. Neither lock is held while taking the other, or across a call
 * into the database.
 *
 * Words: the batch is what happens between begin and commit; its overlay are the entries of
 * persons, distinct ids and groups that it read or changed. Publishing is what commit does after
 * COMMIT: overlay -> caches, and the batch's part of each in-memory structure becomes visible.
 * Rolling back forgets the batch's part, so that everything is as before.
 */
#pragma once

#include "base/arena.h"
#include "base/lru.h"
#include "base/map.h"
#include "base/thread.h"
#include "db/db.h"
#include "store/hash_index.h"
#include "store/store_sqlite.h"

#include <stdatomic.h>

#define STORE_MAGIC       0x53544f52u
#define STORE_SLICE_ROWS  5000  /* one slice of upkeep */
#define STORE_SLICE_US    10000 /* the time it should take */
#define STORE_DELETE_ROWS 2000
#define STORE_PART_EVENTS 500000
#define STORE_FOLD_AT                                                          \
    20000 /* unfolded rows at which folding begins although events keep coming \
           */
#define STORE_LOG_MAX   100000 /* unfolded rows from which a batch begins with a slice of folding */
#define STORE_FOLD_HARD 50000  /* unfolded rows from which slices grow */
#define STORE_CURSOR    "ingestion"
#define STORE_PREFETCH  8 /* entries ahead in loops over tables that no processor cache holds */

struct store_sqlite;

/* Last numbers given. Restored on rollback, so that numbers of a failed batch are given again. */
struct store_seq {
    int64_t change, person, distinct_id, part;
};

struct pointers {
    void **items;
    size_t count, cap;
};

void store_pointers_add(struct pointers *p, void *item);
void store_pointers_free(struct pointers *p);

/* --- change_log.c
 * ------------------------------------------------------------------------------------------------------
 */

enum change_kind { CHANGE_PERSON = 1, CHANGE_DISTINCT_ID = 2, CHANGE_GROUP = 3 };

struct change {
    enum change_kind kind;
    int64_t seq;
    int64_t team_id;
    int64_t object_id; /* person id, row id of the distinct id, index of the group type */
    int64_t person_id; /* owner of a distinct id */
    int64_t version;
    bool is_deleted, is_identified;
    int64_t created_at_us;
    struct uuid uuid; /* of the person */
    struct slice key; /* distinct id, group key */
    struct slice properties;
};

/* An unfolded row of the log, in memory: enough to find the newest state of a key and to fold in
 * key order. */
struct log_entry {
    int64_t seq;
    uint64_t hash;       /* of kind and key */
    int64_t major;       /* person id; else team id */
    uint64_t minor[2];   /* begin of the key, big endian, so that numbers compare as the bytes do */
    int64_t owner;       /* person of a distinct id, else 0 */
    uint32_t owner_prev; /* position + 1 of the owner's entry before this one, 0: none */
    uint8_t kind;
    uint8_t type_index; /* of a group */
    bool is_deleted;
};

struct change_log {
    struct db_stmt *insert, *read, *find_slowly, *load, *trim_bound, *trim;
    struct log_entry *entries; /* published ones, then the batch's */
    size_t count, cap, published;
    struct hash_index latest; /* newest published entry of each kind and key */
    struct hash_index owners; /* newest published entry of each person that got a distinct id */
    int64_t folded_seq;       /* everything up to here is folded */
    int64_t trimmed_seq;      /* and up to here the rows are deleted */
    int64_t trimming_seq;     /* the same, in the running slice */
};

MUST_CHECK bool change_log_open(struct store_sqlite *s, struct err *err);
void change_log_close(struct store_sqlite *s);
/* Writes the row and gives it the next number. */
MUST_CHECK bool change_log_add(struct store_sqlite *s, struct change *c, uint64_t hash,
                               struct err *err);
/* The newest unfolded state of what kind, team_id, object_id and key of *c say; its slices live in
 * the batch's arena. */
MUST_CHECK bool change_log_find(struct store_sqlite *s, struct change *c, uint64_t hash,
                                bool *found, struct err *err);
/* The row of an entry, likewise. */
MUST_CHECK bool change_log_read(struct store_sqlite *s, int64_t seq, struct change *c, bool *found,
                                struct err *err);
/* Walks the published unfolded distinct ids that came to a person, newest first; *walk begins as 0.
 * NULL at the end. */
const struct log_entry *change_log_next_of(const struct store_sqlite *s, int64_t person_id,
                                           uint32_t *walk);
void change_log_publish(struct store_sqlite *s);
void change_log_rollback(struct store_sqlite *s);
void change_log_folded(struct store_sqlite *s, int64_t seq); /* forgets the entries up to seq */
/* Deletes rows that are folded and passed by every cursor. */
MUST_CHECK bool change_log_trim(struct store_sqlite *s, struct err *err);
bool change_log_has_trim(const struct store_sqlite *s);

/* --- fold.c
 * --------------------------------------------------------------------------------------------------------------
 */

struct fold_plan {
    struct log_entry *items; /* sorted by table and key */
    size_t count;
    int64_t through_seq;
    bool is_sorted; /* [tidy] */
};

struct fold {
    struct db_stmt *person, *person_delete, *distinct_id, *group;
    struct fold_plan *plan; /* NULL: no round is running */
    size_t at, at_next;     /* done, and done when the running slice commits */
    size_t count_before;    /* rows in the log after the last slice */
};

MUST_CHECK bool fold_open(struct store_sqlite *s, struct err *err);
void fold_close(struct store_sqlite *s);
void fold_plan_sort(struct fold_plan *p);              /* any thread */
void fold_begin(struct store_sqlite *s, bool is_idle); /* starts a round when it is time */
bool fold_is_ready(struct store_sqlite *s);
MUST_CHECK bool fold_slice(struct store_sqlite *s, int64_t deadline_us, struct err *err);
int64_t fold_reached(const struct store_sqlite *s); /* folded_seq if the running slice commits */
void fold_done(struct store_sqlite *s, bool committed);

/* --- distinct_id.c, person.c, group.c
 * --------------------------------------------------------------------------------------- */

struct person_entry {
    struct person pub;        /* first: what callers hold */
    struct id_entry *own_ids; /* distinct ids that the batch gave to this person */
    bool is_dirty, is_deleted, is_cached;
};

struct id_entry {
    int64_t team_id;
    struct slice key;
    uint64_t hash;
    int64_t row_id;
    int64_t person_id; /* 0: nobody */
    int64_t version;
    struct person_entry *person; /* NULL: not looked up yet */
    struct id_entry *next_own;
    bool is_dirty, is_cached, is_listed;
};

struct persons {
    struct db_stmt *find;
    struct lru *lru;
    struct pointers batch; /* struct person_entry */
    struct hash_index batch_index;
};

MUST_CHECK bool person_open(struct store_sqlite *s, struct err *err);
void person_close(struct store_sqlite *s);
MUST_CHECK bool person_find(struct store_sqlite *s, int64_t id, struct person_entry **entry,
                            struct err *err);
void person_publish(struct store_sqlite *s);
void person_forget(struct store_sqlite *s); /* the batch's overlay */
bool person_op_get(void *self, int64_t team_id, struct slice distinct_id, struct person **person,
                   struct err *err);
bool person_op_create(void *self, int64_t team_id, const struct uuid *uuid,
                      const struct person_change *state, const struct slice *distinct_ids,
                      size_t count, struct person **person, struct err *err);
bool person_op_update(void *self, struct person *person, const struct person_change *state,
                      struct err *err);
bool person_op_merge(void *self, struct person *from, struct person *to, struct err *err);

struct distinct_ids {
    struct db_stmt *find, *of_person;
    struct lru *lru;
    struct pointers batch; /* struct id_entry */
    struct hash_index batch_index;
    struct id_entry *last; /* that was looked up in this batch */
};

MUST_CHECK bool distinct_id_open(struct store_sqlite *s, struct err *err);
void distinct_id_close(struct store_sqlite *s);
uint64_t distinct_id_hash(const struct store_sqlite *s, int64_t team_id, struct slice key);
/* The entry of a distinct id, also when nobody has it. */
MUST_CHECK bool distinct_id_find(struct store_sqlite *s, int64_t team_id, struct slice key,
                                 struct id_entry **entry, struct err *err);
/* Gives it to a person: a new row when nobody had it, else a move with version + 1. */
MUST_CHECK bool distinct_id_give(struct store_sqlite *s, struct id_entry *e,
                                 struct person_entry *to, struct err *err);
/* All distinct ids of a person by row id; the list is the caller's (store_pointers_free). */
MUST_CHECK bool distinct_id_list(struct store_sqlite *s, struct person_entry *person,
                                 struct pointers *list, struct err *err);
void distinct_id_publish(struct store_sqlite *s);
void distinct_id_forget(struct store_sqlite *s);
bool distinct_id_op_add(void *self, struct person *person, struct slice distinct_id,
                        struct err *err);

struct group_entry {
    struct store_group pub;
    int64_t team_id;
    int type_index;
    struct slice key;
    uint64_t hash;
    bool exists, is_dirty, is_cached;
};

struct groups {
    struct db_stmt *find, *types, *type_insert;
    struct lru *lru;
    struct map *types_of; /* team -> struct group_types */
    bool has_new_type;    /* in this batch */
    struct pointers batch;
    struct hash_index batch_index;
};

MUST_CHECK bool group_open(struct store_sqlite *s, struct err *err);
void group_close(struct store_sqlite *s);
void group_publish(struct store_sqlite *s);
void group_rollback(struct store_sqlite *s);
bool group_op_type(void *self, int64_t team_id, struct slice type, int *index, struct err *err);
bool group_op_get(void *self, int64_t team_id, int type_index, struct slice key,
                  struct store_group **group, struct err *err);
bool group_op_put(void *self, int64_t team_id, int type_index, struct slice key,
                  const struct store_group *state, struct err *err);

/* --- event.c, dedupe.c
 * --------------------------------------------------------------------------------------------------------
 */

struct batch_uuid {
    struct uuid uuid;
    int64_t team_id;
    uint64_t hash;
    int64_t at_us;
};

struct events {
    struct db_stmt *insert, *by_id;
    struct batch_uuid *uuids; /* checked uuids of the batch */
    size_t uuid_count, uuid_cap;
    struct hash_index uuid_index;
    uint64_t batch_count;
    struct uuid asked; /* the last uuid that was looked for, and its hash */
    uint64_t asked_hash;
    bool has_group_key[STORE_GROUP_TYPES_MAX], has_elements; /* bound by the last row */
};

MUST_CHECK bool event_open(struct store_sqlite *s, struct err *err);
void event_close(struct store_sqlite *s);
void event_publish(struct store_sqlite *s);
void event_rollback(struct store_sqlite *s);
bool event_op_seen(void *self, int64_t team_id, const struct uuid *uuid, bool *seen,
                   struct err *err);
bool event_op_insert(void *self, const struct event_row *row, int64_t *id, struct err *err);

struct dedupe_table {
    uint64_t *slots; /* 0: free */
    size_t cap;      /* 0 or a power of two */
    size_t count;
    int64_t since_us; /* oldest entry */
};

struct dedupe {
    struct dedupe_table now, before;
    size_t cap_max; /* slots a table may have */
    int64_t window_us;
    int64_t complete_since_us; /* entries older than this may be missing; INT64_MIN: none are */
};

void dedupe_init(struct dedupe *d, int64_t window_us, size_t bytes_max);
void dedupe_fini(struct dedupe *d);
void dedupe_add(struct dedupe *d, uint64_t hash, int64_t at_us);
void dedupe_prefetch(const struct dedupe *d, uint64_t hash); /* dedupe_add follows soon */
bool dedupe_has(const struct dedupe *d, uint64_t hash);
size_t dedupe_count(const struct dedupe *d);
size_t dedupe_count_max(const struct dedupe *d);
int64_t dedupe_covered_us(const struct dedupe *d, int64_t now_us);

/* --- event_index.c, index_part.c, index_merge.c
 * ----------------------------------------------------------------------------------- */

enum index_kind {
    INDEX_DISTINCT_ID = 1,
    INDEX_UUID = 2,
    INDEX_UUID_UNCHECKED = 3,
    INDEX_EVENT = 4
};
#define INDEX_KINDS   4
#define INDEX_SOURCES 16

struct index_run { /* of one kind, by hash as a signed number, then by id */
    uint64_t *hash;
    uint32_t *delta; /* id - first_id of the part */
    size_t count;
};

enum part_state { PART_OPEN, PART_SEALED, PART_SORTED };

struct index_part {
    struct index_part *next;
    enum part_state state; /* [index] */
    int64_t first_id, last_id, first_at, last_at;
    size_t count, cap; /* [index] */
    size_t batch;      /* rows of the running batch behind count */
    int64_t batch_last_at;
    /* Until it is sorted, by arrival: [index], except behind count */
    uint64_t *distinct_id, *uuid, *event;
    uint32_t *delta;
    bool *is_checked;
    struct hash_index uuids;
    /* From then on */
    struct index_run runs[INDEX_KINDS];
    int64_t sources[INDEX_SOURCES]; /* parts that this one replaces */
    size_t source_count;
};

struct index_row {
    int64_t id, at_us;
    uint64_t distinct_id, uuid, event;
    bool is_checked;
};

struct index_part *index_part_new(void);
void index_part_free(struct index_part *p);
bool index_part_is_full(const struct index_part *p); /* of memory for one more row */
void index_part_grow(struct index_part *p);          /* under index.lock when the part is shared */
void index_part_add(struct index_part *p,
                    const struct index_row *row); /* behind count, as part of the batch */
void index_part_publish(struct index_part *p);
void index_part_sort(struct index_part *p,
                     struct index_run runs[INDEX_KINDS]); /* reads only what is behind a seal */
void index_part_take(struct index_part *p,
                     struct index_run runs[INDEX_KINDS]); /* the sorted form replaces the other */
void index_part_sort_run(struct index_run *run);
void index_part_free_run(struct index_run *run);
/* Ids with that uuid hash; returns how many were found (at most max). */
size_t index_part_find_uuid(const struct index_part *p, uint64_t hash, bool checked_only,
                            int64_t *ids, size_t max);

struct part_info { /* a complete part of the table event_index */
    int64_t number, first_id, last_id, first_at, last_at;
    size_t count;
};

struct index_progress {
    int64_t number; /* 0: not begun */
    int kind;       /* index into runs */
    size_t at;
    bool is_done;
};

struct event_index {
    struct lock lock;
    struct index_part *open;    /* [index] replaced at a seal */
    struct index_part *pending; /* [index] sealed, oldest first */
    struct part_info *parts;    /* complete, by first_id */
    size_t part_count, part_cap;
    int64_t *dying; /* numbers of parts whose rows are to be deleted */
    size_t dying_count, dying_cap;
    bool dying_is_gone; /* in the running slice */
    size_t part_events; /* a part closes here */
    struct index_progress done, next;
    struct db_stmt *insert_many, *insert_one, *part_insert, *part_state, *part_delete, *rows_bound,
        *rows_delete, *find;
    uint64_t events_at_flush; /* for the pace */
};

MUST_CHECK bool event_index_open(struct store_sqlite *s, struct err *err);
void event_index_close(struct store_sqlite *s);
void event_index_add(struct store_sqlite *s, const struct index_row *row);
void event_index_publish(struct store_sqlite *s);
void event_index_rollback(struct store_sqlite *s);
void event_index_seal(struct store_sqlite *s);
uint64_t event_index_hash(const struct store_sqlite *s, enum index_kind kind, int64_t team_id,
                          struct slice bytes);
uint64_t store_hash_uuid(const uint64_t hash_key[2],
                         const struct uuid *uuid); /* of INDEX_UUID, without the team */
/* Ids that may be the checked event with that uuid, newest parts first, as far as the duplicate
 * window reaches. */
typedef bool event_index_fn(void *ctx, int64_t id, bool *stop, struct err *err);
MUST_CHECK bool event_index_each_uuid(struct store_sqlite *s, uint64_t hash, int64_t since_us,
                                      event_index_fn *fn, void *ctx, struct err *err);
/* Any thread: ids with that uuid hash that the table event_index does not have yet. */
size_t event_index_find_recent(struct store_sqlite *s, uint64_t hash, bool checked_only,
                               int64_t *ids, size_t max);
bool event_index_has_work(const struct store_sqlite *s);
bool event_index_is_behind(struct store_sqlite *s); /* parts fill faster than they are written */
bool event_index_is_sorting(struct store_sqlite *s);
MUST_CHECK bool event_index_slice(struct store_sqlite *s, int64_t deadline_us, struct err *err);
void event_index_slice_done(struct store_sqlite *s, bool committed);
bool event_index_sort_next(
    struct store_sqlite *s); /* any thread: sorts the oldest sealed part; false: there is none */
void event_index_accept(struct store_sqlite *s,
                        struct index_part *p); /* a sorted part, to be written */
void event_index_retire(struct store_sqlite *s,
                        int64_t number); /* a complete part that is not needed any more */
bool event_index_close_is_short(
    const struct store_sqlite *s); /* what is left can be written at close */

int64_t event_index_last_id(const struct event_index *x); /* of the complete parts */
bool event_index_must_close(const struct event_index *x, const struct index_part *p);
void event_index_append(struct index_part **head, struct index_part *p);

/* index_rebuild.c: fills the open part and the duplicate filter from what is stored, on any thread,
 * before STORE needs them. */
MUST_CHECK bool index_rebuild(struct store_sqlite *s, struct db *db, struct err *err);

/* index_merge.c: small parts become one, read and sorted on TIDY, written like any sealed part. */
struct index_merge {
    struct part_info sources[INDEX_SOURCES];
    size_t count;
};
bool index_merge_choose(const struct event_index *x, struct index_merge *m);
MUST_CHECK struct index_part *index_merge_load(struct db *db, const struct index_merge *m,
                                               struct err *err);

/* --- counter.c and the small ones
 * -------------------------------------------------------------------------------------------------
 */

#define COUNTER_MINUTE_US 60000000

struct counter_entry {
    int64_t minute, team_id;
    struct slice name;
    enum store_count what;
    uint64_t hash;
    int64_t count;
};

struct counters {
    struct db_stmt *upsert, *names;
    struct counter_entry *batch;
    size_t count, cap;
    struct hash_index batch_index;
    size_t last;          /* entry of the batch that was counted last */
    struct lru *names_of; /* (team, minute) -> struct map of known names */
    bool has_new_names;   /* since begin */
};

MUST_CHECK bool counter_open(struct store_sqlite *s, struct err *err);
void counter_close(struct store_sqlite *s);
void counter_op_count(void *self, enum store_count what, int64_t team_id, int64_t at_us,
                      struct slice event);
MUST_CHECK bool counter_write(struct store_sqlite *s, struct err *err);
void counter_forget(struct store_sqlite *s, bool committed);

struct cursors {
    struct db_stmt *put, *get, *lowest;
};

MUST_CHECK bool store_cursor_open(struct store_sqlite *s, struct err *err);
MUST_CHECK bool cursor_put(struct store_sqlite *s, const struct feed_position *p,
                           const struct feed_run *runs, size_t run_count, struct err *err);
/* The lowest number of the change sequence that every enabled consumer has passed; INT64_MAX
 * without consumers. */
MUST_CHECK bool cursor_lowest(struct store_sqlite *s, int64_t *seq, struct err *err);
bool cursor_op_position(void *self, struct feed_position *position, struct feed_run **runs,
                        size_t *run_count, bool *found, struct err *err);
/* Runs as bytes: for each, the distance from the end of the one before (the offset at first) and
 * its length, as varints. */
bool cursor_runs_encode(uint64_t offset, const struct feed_run *runs, size_t count,
                        struct buf *out);
MUST_CHECK bool cursor_runs_decode(uint64_t offset, struct slice bytes, struct feed_run **runs,
                                   size_t *count, struct err *err);

struct small_tables {
    struct db_stmt *team_put, *team_token, *team_remove, *teams, *personal_keys;
    struct db_stmt *object_update, *object_next_id, *object_insert, *object_remove, *object,
        *objects;
    struct db_stmt *plugin_get, *plugin_set, *plugin_remove, *plugin_log, *plugin_error,
        *plugin_circuit, *plugin_states;
    struct db_stmt *recording, *dead_letter;
};

MUST_CHECK bool team_open(struct store_sqlite *s, struct err *err);
bool team_op_put(void *self, const struct team *team, struct err *err);
bool team_op_remove(void *self, int64_t team_id, struct err *err);
bool team_op_load(void *self, struct team_set **set, struct err *err);
MUST_CHECK bool object_open(struct store_sqlite *s, struct err *err);
bool object_op_put(void *self, const struct store_object *o, struct err *err);
bool object_op_remove(void *self, const char *kind, const char *key, struct err *err);
bool object_op_each(void *self, store_object_fn *fn, void *ctx, struct err *err);
bool object_op_get(void *self, const char *kind, int64_t id, store_object_fn *fn, void *ctx,
                   struct err *err);
MUST_CHECK bool plugin_rows_open(struct store_sqlite *s, struct err *err);
bool plugin_rows_storage_get(void *self, int64_t config_id, struct slice key, struct buf *value,
                             bool *found, struct err *err);
bool plugin_rows_storage_set(void *self, int64_t config_id, struct slice key, struct slice value,
                             struct err *err);
bool plugin_rows_storage_remove(void *self, int64_t config_id, struct slice key, struct err *err);
bool plugin_rows_logs_insert(void *self, const struct store_plugin_log *rows, size_t count,
                             struct err *err);
bool plugin_rows_error_put(void *self, int64_t config_id, const char *error_json, struct err *err);
bool plugin_rows_circuit_put(void *self, int64_t config_id, int64_t until_us, const char *why,
                             struct err *err);
bool plugin_rows_states_each(void *self, bool (*fn)(const struct store_plugin_state *, void *),
                             void *ctx, struct err *err);
MUST_CHECK bool recording_open(struct store_sqlite *s, struct err *err);
bool recording_op_insert(void *self, const struct recording_row *row, bool *is_new,
                         struct err *err);
MUST_CHECK bool dead_letter_open(struct store_sqlite *s, struct err *err);
bool dead_letter_op_insert(void *self, const struct dead_letter *d, struct err *err);

enum retained_table {
    RETAINED_EVENTS,
    RETAINED_RECORDINGS,
    RETAINED_DEAD_LETTERS,
    RETAINED_PLUGIN_LOGS,
    RETAINED_COUNTERS,
    RETAINED
};

struct retained {
    struct db_stmt *scan, *delete;
    int64_t keep_us;
    int64_t due_us;   /* when the oldest row left will be too old; INT64_MIN: look */
    int64_t due_next; /* the same, if the running slice commits */
};

struct retention {
    struct retained of[RETAINED];
    struct db_stmt *part_state;
    size_t parts_gone; /* parts whose last event goes in the running slice */
};

MUST_CHECK bool retention_open(struct store_sqlite *s, struct err *err);
bool retention_has_work(const struct store_sqlite *s);
MUST_CHECK bool retention_slice(struct store_sqlite *s, struct err *err);
void retention_done(struct store_sqlite *s, bool committed);

/* --- tidy.c (STORE side), tidy_thread.c
 * -------------------------------------------------------------------------------------------- */

struct tidy {
    struct db_stmt *meta;
    uint64_t commits_seen; /* a call of tidy without a commit since the last one means that STORE is
                              idle */
    struct thread thread;
    struct db *db;   /* of the TIDY thread */
    bool is_running; /* changed only while neither STORE nor TIDY run */
    struct lock lock;
    struct cond wake, done;
    atomic_bool is_ready;        /* the rebuild at start is through */
    atomic_bool has_failed;      /* failure says why the file is not to be trusted */
    struct err failure;          /* [tidy] */
    bool is_stopping;            /* [tidy] */
    bool has_news;               /* [tidy] something was finished since STORE last waited */
    bool to_sort;                /* [tidy] there are sealed parts */
    bool to_checkpoint;          /* [tidy] */
    struct fold_plan *to_plan;   /* [tidy] */
    struct index_merge to_merge; /* [tidy] count 0: none */
    struct index_part *merged;   /* [tidy] */
    bool is_merging;             /* [tidy] */
    bool has_given_up;           /* [tidy] a merge failed: no other until the next start */
    atomic_bool holds_writer;    /* a RESTART: STORE begins no transaction */
    atomic_int checkpoint_pages; /* pages of the WAL that a checkpoint has seen */
    int tried_restart;           /* TIDY: pages at the last RESTART that did not get through */
    bool is_alarmed;             /* TIDY */
};

MUST_CHECK bool tidy_open(struct store_sqlite *s, struct err *err);
bool tidy_op(void *self, bool *more, struct err *err);
MUST_CHECK bool tidy_run(struct store_sqlite *s, struct err *err); /* one slice, whatever waits */
MUST_CHECK bool tidy_write_meta(struct store_sqlite *s, int64_t folded_seq, struct err *err);

/* Called by MAIN. */
MUST_CHECK bool tidy_thread_start(struct store_sqlite *s, struct err *err);
void tidy_thread_stop(struct store_sqlite *s);
/* Called by STORE. Without a TIDY thread the work is done at once. */
bool tidy_thread_is_ready(const struct store_sqlite *s);
MUST_CHECK bool tidy_thread_ready(struct store_sqlite *s,
                                  struct err *err); /* waits for the rebuild */
MUST_CHECK bool tidy_thread_check(struct store_sqlite *s,
                                  struct err *err); /* the failure that TIDY met */
MUST_CHECK bool tidy_thread_wait(struct store_sqlite *s, int64_t us,
                                 struct err *err); /* for something finished */
void tidy_thread_let_pass(struct store_sqlite *s); /* before each transaction */
void tidy_thread_sort_parts(struct store_sqlite *s);
void tidy_thread_sort_plan(struct store_sqlite *s, struct fold_plan *p);
bool tidy_thread_plan_is_sorted(struct store_sqlite *s, const struct fold_plan *p);
void tidy_thread_merge(struct store_sqlite *s, const struct index_merge *m);
struct index_part *tidy_thread_merged(struct store_sqlite *s); /* the result, once; NULL: none */
bool tidy_thread_is_merging(struct store_sqlite *s);
bool tidy_thread_may_merge(struct store_sqlite *s);
void tidy_thread_wal(void *ctx, int pages); /* after each commit */

/* --- store_sqlite.c
 * -----------------------------------------------------------------------------------------------------------------
 */

struct store_metrics {
    struct metric_histogram *commit, *checkpoint, *tidy;
    struct metric_counter *checkpoints_busy;
};

struct store_sqlite {
    uint32_t magic;
    struct store_sqlite_options opt; /* path is ours, metrics the caller's */
    char *path, *wal_path;
    struct db *db;
    uint64_t hash_key[2];      /* secret of the hashes in event_index and in memory */
    struct store_seq seq;      /* last numbers given, the batch's included */
    struct store_seq seq_kept; /* the same, committed */
    bool is_in_batch;
    bool is_broken; /* ERR_IO was seen: no checkpoint at close */
    uint64_t commits;
    struct arena *arena; /* of the batch */
    struct buf key;      /* scratch for keys of the caches */
    struct change_log log;
    struct fold fold;
    struct persons persons;
    struct distinct_ids ids;
    struct groups groups;
    struct events events;
    struct dedupe dedupe;
    struct event_index index;
    struct counters counters;
    struct cursors cursors;
    struct small_tables small;
    struct retention retention;
    struct tidy tidy;
    struct store_metrics metrics;
    /* For status and metrics, any thread. */
    _Atomic uint64_t seen_events, seen_unfolded, seen_open_rows, seen_dedupe_entries,
        seen_persons_cached;
    _Atomic int64_t seen_last_change, seen_dedupe_window_us;
    atomic_int wal_pages;
};

struct store_sqlite *store_self(void *self);
/* False with ERR_BUG when no batch is open, or when an error has ended its transaction already. */
MUST_CHECK bool store_in_batch(struct store_sqlite *s, struct err *err);
/* For tables that may be written outside of a batch too. */
MUST_CHECK bool store_may_write(struct store_sqlite *s, struct err *err);
MUST_CHECK bool store_prepare(struct store_sqlite *s, struct db_stmt **stmt, const char *sql,
                              struct err *err);
/* Remembers an error that forbids a checkpoint; returns false for `return store_failed(...)`. */
bool store_failed(struct store_sqlite *s, const struct err *err);
uint64_t store_hash(const struct store_sqlite *s, unsigned what, int64_t team_id,
                    struct slice bytes);
uint64_t store_hash_keyed(const uint64_t hash_key[2], unsigned what, int64_t team_id,
                          struct slice bytes);
uint64_t store_hash_id(int64_t id);
const struct db_schema *store_sqlite_schema_table(void);
/* team and bytes as the key of a cache; valid until the next call. */
struct slice store_cache_key(struct store_sqlite *s, int64_t a, int64_t b, struct slice bytes);
void store_refresh_status(struct store_sqlite *s);
void store_refresh_index(
    struct store_sqlite *s); /* the part of it that belongs to TIDY until the rebuild is through */
void store_metrics_register(struct store_sqlite *s, struct metrics *m); /* store_metrics.c */
uint64_t store_wal_bytes(const struct store_sqlite *s);
uint64_t store_database_bytes(const struct store_sqlite *s);
struct slice store_arena_dup(struct store_sqlite *s, struct slice text); /* NULL becomes "" */
MUST_CHECK bool store_read_uuid(struct slice blob,
                                struct uuid *out); /* false when it has not 16 bytes */
