/* plugin.h - which plugins run for which team: the set that every thread sees, what each config has
 * cost and done, and the services of the host.
 *
 * The keeper (app/) builds a plugin_set from what is stored and publishes it; PIPE threads take it
 * over at their next event and keep the contexts of configs whose fingerprint has not changed.
 *
 * Threads: a set is immutable after plugin_set_seal; publishing and taking from any thread; a
 * plugin_state is written by all threads (atomics, a lock for its texts).
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/mpsc.h"
#include "base/str.h"
#include "geo/geo.h"

#include <stdatomic.h>

/* --- what a config is made of ----------------------------------------------------------------- */

struct plugin_attachment {
    const char *key, *content_type, *file_name;
    struct slice contents;
};

enum plugin_circuit { CIRCUIT_CLOSED, CIRCUIT_OPEN };
/* Of a config, as people see it; the worst of all threads. */
enum plugin_phase {
    PLUGIN_IDLE, /* no event yet */
    PLUGIN_READY,
    PLUGIN_SETTING_UP,
    PLUGIN_RETRYING, /* setupPlugin failed, it is tried again */
    PLUGIN_FAILED,   /* cannot be loaded */
    PLUGIN_DISABLED, /* by us, after too many tries */
    PLUGIN_PHASE_COUNT,
};

#define PLUGIN_LATENCY_BUCKETS 24 /* 1 us · 2^n */

/* What a config has done since the start of the process; the same object for the life of its id. */
struct plugin_state {
    atomic_int refs;
    int64_t config_id;
    _Atomic uint64_t calls, errors, timeouts,
        dropped;                                      /* calls of processEvent and how they ended */
    _Atomic uint64_t cpu_ns;                          /* inside the engine */
    _Atomic uint64_t latency[PLUGIN_LATENCY_BUCKETS]; /* from the call to its settled result */
    _Atomic int64_t memory_bytes;                     /* of all threads, about */
    atomic_int phase;                                 /* enum plugin_phase */
    atomic_int circuit;                               /* enum plugin_circuit */
    _Atomic int64_t circuit_until_us;                 /* wall; when it is tried again */
    atomic_int run_limits;                            /* in a row, of all threads */
    struct lock lock;                                 /* over what follows */
    int threads[PLUGIN_PHASE_COUNT];                  /* how many have the config in which phase */
    char *error_json; /* {"message","time","name"?,"stack"?,"event"?}; NULL: none */
    char *circuit_why;
};

struct plugin_config {
    int64_t id, team_id, plugin_id;
    const char *plugin_name;
    int order;
    bool is_enabled;
    const char *builtin;     /* "geoip"; NULL: JavaScript */
    struct slice source;     /* the one source file */
    const char *source_path; /* for messages and stack traces: "/index.js" */
    const char *config_json; /* the stored object, as it is */
    const struct plugin_attachment *attachments;
    size_t attachment_count;
    const char
        *load_error; /* text of the specification when files are missing or broken, else NULL */
    /* In a set: of everything above but order and is_enabled, seeded with what the builder gave.
     * Another one is another context. */
    uint64_t fingerprint;
    struct plugin_state *state;
};

struct plugin_set;

/* Building (one thread): copies everything but state, of which it takes a reference. */
struct plugin_set *plugin_set_new(void);
void plugin_set_add(struct plugin_set *s, const struct plugin_config *c);
void plugin_set_seal(struct plugin_set *s); /* sorts by team, order, id */
void plugin_set_ref(const struct plugin_set *s);
void plugin_set_unref(const struct plugin_set *s); /* NULL is legal */
/* The enabled configs of a team in the order of its chain. */
const struct plugin_config *const *plugin_set_team(const struct plugin_set *s, int64_t team_id,
                                                   size_t *count);
size_t plugin_set_count(const struct plugin_set *s); /* all, disabled ones too */
const struct plugin_config *plugin_set_at(const struct plugin_set *s, size_t index);
const struct plugin_config *plugin_set_find(const struct plugin_set *s, int64_t config_id);

/* --- services of the host --------------------------------------------------------------------- */

struct plugin_log_entry {
    int64_t team_id, config_id;
    int64_t at_us;
    const char *source; /* "SYSTEM", "PLUGIN", "CONSOLE" */
    const char *type;   /* "DEBUG", "LOG", "INFO", "WARN", "ERROR" */
    struct slice message;
};

/* A message to the thread of a plugin worker: `fn(ctx)` runs there. */
struct plugin_message {
    struct mpsc_node node;
    void (*fn)(void *ctx);
    void *ctx;
};

enum plugin_storage_op {
    PLUGIN_STORAGE_GET,
    PLUGIN_STORAGE_SET,
    PLUGIN_STORAGE_DEL,
    PLUGIN_STORAGE_INIT, /* as SET, unless the key is there */
    PLUGIN_STORAGE_ADD,  /* the number in `value` is added to what is there (nothing, or no number:
                          * 0), atomically; `value` gets the sum */
};

/* meta.storage: calls of one thread are done in their order. The caller's memory until `done`,
 * which runs on any thread and usually posts to the worker that asked. */
struct plugin_storage_call {
    struct mpsc_node node; /* the host's */
    enum plugin_storage_op op;
    int64_t config_id;
    struct slice key;
    struct buf value; /* JSON text: in for SET, out for GET (heap, the caller's) */
    bool is_found;
    void (*done)(struct plugin_storage_call *call, bool ok, const struct err *err);
    void *ctx;
};

struct plugin_job {
    int64_t team_id, config_id;
    const char *type;
    struct slice payload; /* JSON text; empty: none */
    int64_t run_at_us;
};

struct plugin_services {
    /* All from any thread; slices are copied. */
    void (*log)(void *self, const struct plugin_log_entry *entry);
    void (*storage)(void *self, struct plugin_storage_call *call);
    /* The config's stored error (NULL: none any more), kept across restarts. */
    void (*error)(void *self, int64_t config_id, const char *error_json);
    void (*disable)(void *self, int64_t config_id); /* enabled = false, for good */
    /* NULL until there is a job queue: then `No JobQueue available`. */
    bool (*job)(void *self, const struct plugin_job *job, struct err *err);
};

struct plugin_limits {
    size_t memory_bytes;      /* of one team's runtime: PLUGIN_MEMORY_BYTES */
    size_t stack_bytes;       /* PLUGIN_STACK_BYTES */
    int64_t run_us;           /* processor time in one go: PLUGIN_RUN_TIMEOUT */
    int64_t wait_us;          /* TASK_TIMEOUT */
    size_t output_bytes;      /* JSON of one event after a plugin */
    size_t awaiting;          /* events of one worker: 4096 */
    size_t awaiting_per_team; /* AWAITING_EVENTS_PER_TEAM */
    size_t pending_promises;  /* MAX_PENDING_PROMISES_PER_WORKER */
    int64_t idle_unload_us;   /* PLUGIN_IDLE_UNLOAD_SECONDS; 0: never */
    size_t cache_bytes;       /* meta.cache of everybody: PLUGIN_CACHE_BYTES */
    size_t log_message_units; /* 50,000 */
    int circuit_failures;     /* run-time limits in a row that open a circuit: 3 */
    int64_t circuit_us;       /* how long it stays open: 60 s */
};

struct plugin_cache;
struct plugins; /* the process's: current set, states, cache */

struct plugins_options {
    struct plugin_limits limits;
    const struct plugin_services *services;
    void *services_self;
    struct geo *geo;         /* may be NULL */
    const char *instance_id; /* in log texts; copied */
    int task_timeout_s;      /* as messages say it */
    bool has_own_clock;      /* Date of plugins follows clock.h, which may be a fake */
};

struct plugins *plugins_new(const struct plugins_options *opt);
void plugins_free(struct plugins *p); /* after all workers are gone */
/* Takes the caller's reference and wakes the workers. */
void plugins_publish(struct plugins *p, struct plugin_set *set);
const struct plugin_set *plugins_get(struct plugins *p); /* with a reference */
/* For hot paths, as team_directory_cached. */
const struct plugin_set *plugins_cached(struct plugins *p, const struct plugin_set **cached);
/* The state of a config id, made when new; with a reference. States live as long as `p` does. */
struct plugin_state *plugins_state(struct plugins *p, int64_t config_id);
void plugin_state_unref(struct plugin_state *s);       /* NULL is legal */
struct plugin_cache *plugins_cache(struct plugins *p); /* meta.cache of everybody (cache.h) */
/* What people see: adds one JSON object, members phase to error of GET /api/plugins. */
void plugin_state_json(struct plugin_state *s, struct buf *out);
/* A copy for the state, NULL: none any more. Restores what was stored before the process started.
 */
void plugin_state_set_error(struct plugin_state *s, const char *error_json);
void plugin_circuit_open(struct plugin_state *s, int64_t until_us, const char *why);

/* Watchdog: the longest-overdue call of all workers. False when none is later than `grace_us` past
 * its deadline. Any thread. */
struct plugin_overdue {
    int64_t config_id;
    int64_t overdue_us;
    int worker;
};
bool plugins_overdue(struct plugins *p, int64_t grace_us, struct plugin_overdue *out);
/* Blocks of memory that runtimes left behind since the start; anything but 0 is a mistake of ours.
 */
uint64_t plugins_left_blocks(const struct plugins *p);
