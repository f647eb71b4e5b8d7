/* keeper_priv.h - shared by the files keeper*.c. */
#pragma once

#include "app/keeper.h"
#include "base/map.h"

#include <stdatomic.h>

/* --- keeper_log.c: log entries and errors on their way into the store --------------------------
 */

#define KEEPER_LOG_ENTRIES   10000 /* that may wait */
#define KEEPER_LOG_BYTES     (16u << 20)
#define KEEPER_LOG_PER_FLUSH 1000 /* of one config */
#define KEEPER_FLUSH_US      1000000

struct keeper_entry;

struct keeper_log {
    struct keeper_entry *first, **last;
    size_t count, bytes;
    struct map *configs; /* config id -> struct keeper_share: entries since the last flush */
    struct map *errors;  /* config id -> struct keeper_error: the newest, not yet stored */
    int64_t flushed_us;  /* when the last flush began, monotonic */
    bool is_flushing;
    struct flush *refused; /* by a STORE that has ended: keeper_log_finish writes it */
};

void keeper_log_init(struct keeper_log *l);
void keeper_log_fini(struct keeper_log *l);
void keeper_log_add(void *keeper, const struct plugin_log_entry *entry); /* plugin_services */
void keeper_log_error(void *keeper, int64_t config_id, const char *error_json);
int64_t keeper_log_due(const struct keeper *k); /* under the lock; INT64_MAX: nothing waits */
void keeper_log_flush(struct keeper *k);        /* when it is due */
void keeper_log_finish(struct keeper *k, struct store *store); /* directly */

/* --- keeper_storage.c: calls of meta.storage, grouped ------------------------------------------
 */

#define KEEPER_GROUP_CALLS 1000
#define KEEPER_RETRY_US    1000000

struct keeper_result { /* of one call of a group */
    struct err *fault; /* NULL: fine */
    bool has_sum;
    double sum;
};

struct keeper_storage {
    struct pipe_call call;
    struct mpsc_node *first, **last; /* waiting; struct plugin_storage_call */
    struct mpsc_node *group;         /* under way */
    struct keeper_result *results;   /* of the group's calls, by place */
    size_t group_count;
    bool is_under_way;
    int64_t retry_us; /* monotonic; INT64_MAX: the group need not be sent again */
};

void keeper_storage_init(struct keeper_storage *s);
void keeper_storage_call(void *keeper, struct plugin_storage_call *call); /* plugin_services */
void keeper_storage_begin(struct keeper *k);  /* calls that came before there was a pipe */
void keeper_storage_retry(struct keeper *k);  /* when it is due */
void keeper_storage_finish(struct keeper *k); /* STORE has ended: answers a group that waits for it
                                               */

/* --- keeper_set.c: from stored objects to what runs --------------------------------------------
 */

struct keeper_object {
    char *kind, *key, *json;
    int64_t id;
};

struct keeper_objects { /* of the kinds plugins and plugin_configs */
    struct keeper_object *items;
    size_t count, cap;
};

MUST_CHECK bool keeper_objects_read(struct store *store, struct keeper_objects *out,
                                    struct err *err);
void keeper_objects_free(struct keeper_objects *o);

struct keeper_catalog; /* the plugins of a load */

struct keeper_build {
    struct plugin_set *set;
    struct keeper_catalog *catalog;
    char *geo_path;  /* database that a config's attachment names; NULL: none */
    size_t js_count; /* enabled JavaScript configs */
};

/* Reads the plugins' files. Takes the objects over. */
void keeper_set_build(struct plugins *plugins, struct keeper_objects *objects,
                      struct keeper_build *out);
void keeper_catalog_free(struct keeper_catalog *c); /* NULL is legal */
const struct plugin_listed *keeper_catalog_find(const struct keeper_catalog *c, const char *name);
size_t keeper_catalog_count(const struct keeper_catalog *c); /* NULL: 0 */
const struct plugin_listed *keeper_catalog_at(const struct keeper_catalog *c, size_t i);

/* --- keeper_watch.c: calls that do not end -----------------------------------------------------
 */

#define KEEPER_WATCH_US 1000000
#define KEEPER_GRACE_US 5000000
/* A call is given up only when that many looks in a row have found it. A process that was stopped
 * and goes on, or a machine that slept, finds every deadline gone by: what works ends before the
 * second look. */
#define KEEPER_LOOKS   3
#define KEEPER_SEEN_US (KEEPER_GRACE_US - (KEEPER_LOOKS - 1) * KEEPER_WATCH_US)

/* Every KEEPER_WATCH_US. Ends the process when a call is overdue, with its circuit opened for the
 * next start. */
void keeper_watch(struct keeper *k);
/* At the start: circuits that a file tells of, because STORE could not be asked any more. */
void keeper_watch_load(struct keeper *k);

/* --- keeper.c ----------------------------------------------------------------------------------
 */

enum keeper_load_step { LOAD_IDLE, LOAD_READING, LOAD_READ };

struct keeper_load {
    enum keeper_load_step step;
    bool is_wanted;
    struct plugin_task *waiting; /* for the next load, newest first */
    struct plugin_task *running; /* for the one under way */
    struct pipe_call call;
    struct keeper_objects objects;
    bool ok;
    struct err err;
};

struct keeper {
    const struct conf *conf;
    struct geo *geo;
    struct plugins *plugins;
    char *instance_id, *circuit_path;
    struct pipe *pipe; /* NULL before keeper_start */
    struct thread thread;
    int64_t geo_due_us, watch_due_us; /* monotonic; the thread's */
    struct plugin_overdue seen;       /* at the last look of keeper_watch */
    int looks;                        /* that have found it */
    char *geo_path;                   /* of an attachment, open; the thread's */

    struct lock lock; /* over what follows */
    struct cond wake;
    bool is_stopping, has_news;
    struct plugin_task *tasks, **last_task;
    struct keeper_load load;
    struct keeper_catalog *catalog;
    size_t js_count;
    struct keeper_log log;
    struct keeper_storage storage;
};

void keeper_disable(void *keeper, int64_t config_id); /* plugin_services */
void keeper_wake(struct keeper *k);                   /* under the lock: there is something to do */
int64_t keeper_now_us(void);
