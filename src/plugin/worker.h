/* worker.h - the plugins of one thread: the chain of an event, timers, messages.
 *
 * Everything belongs to the thread that made the worker, except plugin_worker_post. The thread
 * sleeps elsewhere (a PIPE thread in its inbox); it asks plugin_worker_due_us how long it may, and
 * calls plugin_worker_turn after each awakening. Nothing ticks when nothing is due.
 */
#pragma once

#include "model/event.h"
#include "model/json_value.h"
#include "plugin/plugin.h"

struct plugin_worker;

enum plugin_verdict {
    PLUGIN_NEXT,  /* the event goes on; envelope and doc are what the chain made of them */
    PLUGIN_DROP,  /* a plugin returned nothing */
    PLUGIN_LATER, /* `done` tells, on this thread, inside plugin_worker_turn */
};

/* One event on its way through the chain; the caller's memory until it is done. */
struct plugin_event {
    struct event_envelope *envelope; /* in and out: slices point into the old bytes or into `doc` */
    struct json_doc *doc; /* in and out: the old one is freed when a new one takes its place.
                           * Empty while the event waits for a place (see `reload`) */
    /* Reads `doc` anew from the record: an event that waits for its turn keeps no document. False:
     * it cannot be read (it could before: never happens but for memory); the verdict is then
     * PLUGIN_NEXT with an empty `doc`. */
    bool (*reload)(struct plugin_event *e);
    void (*done)(struct plugin_event *e, enum plugin_verdict verdict);

    /* Out; both live until plugin_event_release. */
    yyjson_val *markers; /* members that replace or follow those of `properties`; NULL: none */
    struct arena *texts; /* not NULL: texts of the envelope may lie in it */

    struct plugin_markers *markers_of; /* the worker's */
    struct plugin_run *run;            /* likewise */
};

/* On the worker's thread, once the event is done with. An event that never ran is legal. */
void plugin_event_release(struct plugin_event *e);

/* `wake` is called (any thread) when plugin_worker_turn should be called soon. */
struct plugin_worker *plugin_worker_new(struct plugins *p, int number, mpsc_wake_fn *wake,
                                        void *wake_ctx);
/* Teardown of everything within `until_us` (monotonic); events under way get no `done`. */
void plugin_worker_stop(struct plugin_worker *w, int64_t until_us);
void plugin_worker_free(struct plugin_worker *w);

/* The chain of the event's team. Teams without plugins cost one look-up. The caller sets envelope,
 * doc, reload and done, the rest is NULL. `done` is never called inside. */
enum plugin_verdict plugin_worker_run(struct plugin_worker *w, struct plugin_event *e);
/* Monotonic time of the next thing to do, INT64_MAX when there is none, 0: now. */
int64_t plugin_worker_due_us(struct plugin_worker *w);
void plugin_worker_turn(struct plugin_worker *w);
/* Any thread. */
void plugin_worker_post(struct plugin_worker *w, struct plugin_message *m);
/* Events that wait inside (running or for a place). */
size_t plugin_worker_waiting(const struct plugin_worker *w);

/* {"scheduled_tasks":[…],"jobs":[…],"methods":[…]} of a config, which is loaded first if it has not
 * been; setupPlugin may be under way then. False when there is nothing: it could not be loaded, is
 * built in, or is not there. */
bool plugin_worker_capabilities(struct plugin_worker *w, int64_t config_id, struct buf *out);

/* One hook of one config outside the chain (plugin test, later jobs and schedules). */
typedef void plugin_hook_done_fn(void *ctx, struct slice result_json, const char *error_json);
/* `argument`: JSON text of the first argument, empty: none. */
bool plugin_worker_hook(struct plugin_worker *w, int64_t config_id, const char *hook,
                        struct slice argument, plugin_hook_done_fn *done, void *ctx,
                        struct err *err);
