/* pipe_priv.h - what the files of pipe/ share.
 *
 *   FEED  feed_pump.c   --deal-->   PIPE  worker.c, decode.c, step_plugins.c, prepare.c
 *   --chunk-->   STORE  commit.c
 *
 * A deal is what one read had for one worker; a chunk is up to CHUNK_MAX prepared events with the
 * memory their texts live in. Both travel by mpsc messages and come back to be used again. A
 * prepared event keeps a reference on its feed block until it is committed, so its distinct id and
 * its dead letter can be read from the record itself.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/mpsc.h"
#include "model/json_index.h"
#include "pipe/pipe.h"
#include "pipe/step.h"
#include "plugin/worker.h"

#define CHUNK_MAX       128
#define CHUNK_BYTES_MAX ((size_t)1 << 20) /* a chunk is sent on when it holds as much text */
#define CHUNK_ARENA_BYTES \
    ((size_t)256 << 10)       /* a full chunk of usual events; kept with the chunk */
#define CHUNKS_KEPT        16 /* per worker, for reuse */
#define CHUNKS_WAITING_MAX 32 /* when as many wait for STORE, only full ones are added */
#define CHUNKS_AHEAD_MAX   96 /* when as many wait for STORE, FEED reads no more */
#define READ_MAX           512
#define READ_BYTES_MAX     ((size_t)4 << 20)
#define GAP_SMALL                                                                  \
    4096 /* a bigger hole in the offsets waits until everything below it is stored \
          */
#define EVENT_NAME_UNITS 200
#define ID_POINTS_MAX    400 /* what the store's columns take */
#define STEPS_MAX        8
#define GROUPS_MAX       64 /* entries of $groups that are looked at */
#define TEXT_MAX         ((size_t)256 << 20)
#define SAMPLE_EVERY     64 /* events between two timings of a step */

enum message_kind {
    MESSAGE_DEAL,   /* FEED -> PIPE */
    MESSAGE_RESUME, /* a step -> PIPE */
    MESSAGE_CHUNK,  /* PIPE -> STORE */
    MESSAGE_GAP,    /* FEED -> STORE: offsets that will never come */
    MESSAGE_STOP,   /* the sender has nothing more */
};

struct message {
    struct mpsc_node node; /* first */
    enum message_kind kind;
};

struct deal {
    struct message message;
    size_t count;
    struct feed_record records[];
};

struct gap {
    struct message message;
    uint64_t from, to;
};

enum dead_reason {
    DEAD_UNPARSABLE,
    DEAD_RECORD_TYPE,
    DEAD_EVENT_NAME,
    DEAD_DISTINCT_ID,
    DEAD_TEAM,
    DEAD_STEP,
    DEAD_STORE,
    DEAD_REASON_COUNT,
};

enum warning {
    WARNING_ALREADY_IDENTIFIED,
    WARNING_ILLEGAL_DISTINCT_ID,
    WARNING_TIMESTAMP,
    WARNING_FUTURE,
    WARNING_PROPERTIES,
    WARNING_COUNT,
};

enum prepared_kind {
    PREPARED_EVENT,
    PREPARED_SNAPSHOT,
    PREPARED_DROPPED,
    PREPARED_DEAD,
    PREPARED_LOST, /* not even its dead letter can be stored */
};

enum merge_mode { MERGE_NONE, MERGE_IDENTIFY, MERGE_ALIAS, MERGE_FORCE };

enum outcome { OUTCOME_STORED, OUTCOME_DUPLICATE, OUTCOME_DROPPED, OUTCOME_DEAD, OUTCOME_COUNT };

struct prepared_group { /* an entry of $groups */
    struct slice type;
    struct slice key;  /* string form */
    struct slice json; /* the key as JSON text */
};

struct prepared_identify { /* $groupidentify */
    struct slice type, key;
    struct slice set; /* JSON object */
};

struct prepared_recording {
    struct slice session_id, window_id, snapshot_data;
};

/* One event as STORE needs it: texts only. All JSON texts are canonical. */
struct prepared {
    uint64_t offset;
    uint64_t time_us; /* the record's */
    uint16_t type;    /* the record's */
    enum prepared_kind kind;
    struct feed_block *block;
    struct slice payload;
    struct arena *arena; /* the chunk's */

    struct uuid uuid;
    bool is_uuid_checked;
    int64_t team_id;
    struct slice distinct_id, event;
    int64_t timestamp_us, now_us;
    unsigned warnings; /* bits 1 << WARNING_ */

    struct slice properties;
    struct slice set, set_once, unset; /* ptr NULL: none */
    struct slice first;                /* the properties of a person made by this event */
    uint64_t change; /* fingerprint of what set, set_once and unset can do; 0: nothing */
    enum merge_mode merge;
    struct slice previous_id;
    struct prepared_group *groups;
    size_t group_count;
    /* $group_0 … $group_4 as the client sent them: the value's place in `properties` and its string
     * form. */
    struct {
        uint32_t from, to;
        struct slice key;
    } sent_groups[STORE_GROUP_TYPES_MAX];
    struct prepared_identify *group_identify;
    bool is_group_identify;
    struct prepared_recording *recording;

    enum dead_reason dead_reason;
    const char *dead_step; /* NULL: parse_message */
    struct slice dead_text;

    /* What STORE found out. */
    enum outcome outcome;
    bool has_person;
    bool has_refused_merge;
    bool has_refused_properties; /* they would have been over the limit */
    size_t written;              /* bytes of persons and groups, beside the row */
    struct uuid person_uuid;
    struct slice row_properties;
    char *grouped; /* room for properties with $group_N, made once */
};

struct worker;

struct chunk {
    struct message message;
    struct worker *worker;
    struct arena *arena;
    size_t count;
    struct prepared *events[CHUNK_MAX]; /* in the arena */
};

struct step_work {
    struct message message; /* for step_resume */
    struct worker *worker;
    struct feed_record record;
    struct event_envelope envelope;
    struct json_doc doc;
    size_t step; /* running, or waiting for step_resume */
    enum step_result result;
    struct err err;
    enum dead_reason dead_reason; /* a step that ends an event may say why */
    struct prepared *out;
    struct plugin_event plugin;
    struct step_work *next_spare;
};

/* Members of an object that is being put together: a repeated name keeps its place and takes the
 * new value. */
struct draft {
    struct json_index names;
    yyjson_val **values; /* by the name's number */
    uint8_t *marks;      /* the user's, likewise; not cleared */
    size_t cap;
};

struct worker {
    struct pipe *pipe;
    int number;
    struct thread thread;
    struct mpsc inbox;
    struct mpsc used_chunks; /* STORE -> PIPE; nobody sleeps on it */
    struct mpsc_node *free_chunks;
    size_t free_chunk_count;
    struct chunk *out;
    atomic_bool holds_back; /* has a chunk that waits for STORE to catch up */
    struct step_work *spare_works;
    struct map *held; /* key hash -> struct held_key */
    const struct team_set *teams;
    struct plugin_worker *plugins; /* NULL: none; of the thread */
    struct message feed_stop;      /* FEED -> this worker */
    struct message stop;           /* this worker -> STORE */
    uint64_t seen;
    /* Room of prepare.c, kept between events. */
    struct draft properties, set, set_once, first;
    struct buf text, small;
};

struct pipe_meters {
    struct metric_counter *outcomes[OUTCOME_COUNT];
    struct metric_counter *dead[DEAD_REASON_COUNT];
    struct metric_counter *warnings[WARNING_COUNT];
    struct metric_histogram *batch_events;
    struct metric_histogram *step_seconds[STEPS_MAX];
    struct metric_histogram *store_seconds;
    struct metric_histogram *commit_seconds;
};

struct committer;

struct pipe {
    struct pipe_options opt;
    struct feed_run *runs; /* sorted */
    const struct step *steps;
    size_t step_count;
    struct pipe_meters meters;

    struct thread feed_thread, store_thread;
    struct worker *workers;
    struct mpsc inbox; /* of STORE */
    struct mpsc calls; /* pipe_call -> STORE */
    struct committer *committer;
    size_t offsets_max; /* how far above the cursor offsets may be in flight */

    pipe_tail_fn *tail;
    void *tail_ctx;
    atomic_int tail_listeners;
    atomic_int chunks_waiting; /* pushed to STORE, not yet done with */

    atomic_bool is_stopping; /* FEED reads no more */
    atomic_bool gives_up;    /* the time for stopping is over */
    struct lock lock;
    struct cond moved; /* cursor, in_flight_bytes, is_store_done, is_stopping changed */
    uint64_t cursor;   /* committed */
    uint64_t read_end;
    uint64_t in_flight_bytes;
    bool is_store_done;
    bool is_degraded, is_blocked;
    char why[200];

    _Atomic uint64_t count_read;
    _Atomic uint64_t count_finished;
    _Atomic uint64_t counts[OUTCOME_COUNT];
    _Atomic int64_t last_commit_us, last_progress_us;
};

/* pipe.c */
struct pipe *pipe_start_with(const struct pipe_options *opt, const struct step *steps, size_t count,
                             struct err *err);
void pipe_waiting(struct pipe *p, const struct err *why); /* degraded until NULL */

/* pipe_meters.c */
void pipe_meters_init(struct pipe *p); /* before the threads start */
void pipe_meters_watch(
    struct pipe *p); /* what asks the running pipe; it must outlive the registry's readers */

/* feed_pump.c */
void feed_pump_run(void *pipe);

/* worker.c */
void worker_init(struct worker *w, struct pipe *p, int number);
void worker_fini(struct worker *w);
void worker_run(void *worker);
struct prepared *worker_output(struct step_work *work); /* the event's place in the chunk */
/* A text of the envelope as STORE may keep it: plugins' own texts end with the work. */
struct slice worker_keep_text(struct step_work *work, struct slice text);
/* step_resume on the worker's own thread, done at once. */
void worker_resume(struct step_work *work, enum step_result result);
void worker_chunk_free(struct chunk *c); /* with its events' feed blocks */

/* decode.c, step_plugins.c, prepare.c: the steps that always run. */
enum step_result decode_step(struct step_work *work, struct err *err);
MUST_CHECK bool decode_data(struct step_work *work, struct err *err); /* only work->doc */
enum step_result step_plugins(struct step_work *work, struct err *err);
enum step_result prepare_step(struct step_work *work, struct err *err);

/* event_props.c: properties of one event, in two steps: sort them, write them. */
enum prop {
    PROP_OTHER,
    PROP_SET,
    PROP_SET_ONCE,
    PROP_UNSET,
    PROP_IP,
    PROP_GROUPS,
    PROP_GROUP_0,
    PROP_GROUP_1,
    PROP_GROUP_2,
    PROP_GROUP_3,
    PROP_GROUP_4,
    PROP_ANON_DISTINCT_ID,
    PROP_ALIAS,
    PROP_GROUP_TYPE,
    PROP_GROUP_KEY,
    PROP_GROUP_SET,
    PROP_SESSION_ID,
    PROP_WINDOW_ID,
    PROP_SNAPSHOT_DATA,
    PROP_IGNORE_SENT_AT,
    PROP_KNOWN_COUNT,                 /* known by their names only: */
    PROP_CAMPAIGN = PROP_KNOWN_COUNT, /* goes to $set and, as $initial_…, to $set_once */
    PROP_INITIAL,                     /* goes to $set_once only */
};

struct event_props {
    yyjson_val *known[PROP_KNOWN_COUNT];
    yyjson_val *top_set, *top_set_once; /* beside `properties` */
};

/* Members of `more` replace or follow those of `properties`; both may be NULL. */
void event_props_sort(struct worker *w, yyjson_val *properties, yyjson_val *more,
                      struct event_props *props);
/* $set and $set_once as they will be: folded with the ones beside `properties`, with campaign and
 * initial values. */
void event_props_fold(struct worker *w, const struct event_props *props);
/* Writes `properties` and the texts inside it (set, set_once, unset, first, sent_groups) to *out.
 * `ip` may be empty. False when the text would be too long. */
MUST_CHECK bool event_props_write(struct worker *w, const struct event_props *props,
                                  struct slice ip, struct prepared *out);

/* SQL text cannot hold NUL: copies with U+FFFD in its place, of a text and of S(value). */
struct slice event_props_text(struct slice text, struct arena *arena);
struct slice event_props_string(struct worker *w, yyjson_val *value, struct arena *arena);

/* draft.c */
void draft_init(struct draft *d); /* embedded; must not be moved afterwards */
void draft_fini(struct draft *d);
void draft_clear(struct draft *d);
void draft_put(struct draft *d, struct slice name, yyjson_val *value);
void draft_put_all(struct draft *d, yyjson_val *object); /* anything but an object has no members */
void draft_copy(struct draft *d, const struct draft *from);
MUST_CHECK bool draft_write(const struct draft *d, struct buf *out);

/* distinct_ids.c */
bool distinct_ids_illegal(struct slice id);
bool distinct_ids_too_long(struct slice id);

/* finished.c: which offsets are done. Owned by STORE. */
struct finished;
struct finished *finished_new(uint64_t cursor, const struct feed_run *runs, size_t count,
                              size_t span);
void finished_free(struct finished *f);
size_t finished_span(const struct finished *f); /* offsets from cursor to cursor + span fit */
void finished_set(struct finished *f, uint64_t offset);
void finished_unset(struct finished *f, uint64_t offset);
void finished_gap(struct finished *f, uint64_t from, uint64_t to);
uint64_t finished_cursor(const struct finished *f); /* lowest offset not set */
size_t finished_runs(struct finished *f, uint64_t cursor,
                     const struct feed_run **runs);      /* valid until the next call */
void finished_move(struct finished *f, uint64_t cursor); /* forget what is below */

/* commit.c, store_loop.c */
struct committer *committer_new(struct pipe *p);
void committer_free(struct committer *c);
void store_loop_run(void *pipe);

/* persons.c: everything about persons, against the store's operations. Owned by STORE. */
struct persons;
struct persons *persons_new(const struct store *store, size_t properties_max);
void persons_free(struct persons *ps);
void persons_forget(struct persons *ps); /* after a rollback */
/* The event's person: made, or changed by $set, $set_once, $unset. */
MUST_CHECK bool persons_apply(struct persons *ps, struct prepared *e, struct person **person,
                              struct err *err);

/* applier.c: one event in the open transaction. */
struct applier {
    const struct store *store;
    bool is_policy_2023;
    size_t properties_max;
    struct persons *persons;
    struct buf text;
    int64_t clock_us; /* wall */
    const char *step; /* at work, for dead letters */
    bool lost_merge;  /* the event that failed has had its merge taken away: it deserves another try
                       */
    uint64_t seen;
    struct metric_histogram *seconds;
};

void applier_init(struct applier *a, const struct pipe *p);
void applier_fini(struct applier *a);
MUST_CHECK bool applier_run(struct applier *a, struct prepared *e, struct err *err);
bool applier_is_about_data(const struct err *err); /* not about the store's health */

/* person_merge.c: $identify, $create_alias, $merge_dangerously. *is_refused: the previous id's
 * person is identified. */
MUST_CHECK bool person_merge_apply(const struct store *store, bool is_policy_2023,
                                   size_t properties_max, struct prepared *e, bool *is_refused,
                                   struct err *err);

/* person_props.c: property objects as texts. */
struct props_change {
    struct slice set, set_once, unset; /* ptr NULL: none */
};
MUST_CHECK bool person_props_change(struct slice stored, const struct props_change *change,
                                    struct buf *out, bool *is_changed, struct err *err);
/* What replaces `was`: `now`, or `was` when `now` is over the limit (unless it is shorter than what
 * was over it before), which *e remembers. */
struct slice person_props_limit(size_t max, struct slice was, struct slice now, struct prepared *e);
/* {...low, ...high}. */
MUST_CHECK bool person_props_join(struct slice low, struct slice high, struct buf *out,
                                  struct err *err);
/* $groupidentify: only keys that are absent or differ (in the lax way of groups) change. */
MUST_CHECK bool person_props_group(struct slice stored, struct slice set, struct buf *out,
                                   bool *is_changed, struct err *err);

/* groups.c */
/* $groups and the client's own $group_N: fills group_keys and e->row_properties. */
MUST_CHECK bool groups_apply(const struct store *store, struct prepared *e,
                             struct slice keys[STORE_GROUP_TYPES_MAX], struct err *err);
MUST_CHECK bool groups_identify(const struct store *store, size_t properties_max,
                                struct prepared *e, int64_t clock_us, struct buf *text,
                                struct err *err);

/* dead_letter.c */
MUST_CHECK bool dead_letter_store(const struct store *store, const struct prepared *e,
                                  int64_t clock_us, struct err *err);
const char *dead_letter_reason_name(enum dead_reason reason);

/* tail.c */
void tail_line(const struct prepared *e, struct buf *out);
