/* worker_priv.h - what the files of plugin/ share of one thread's plugins. Everything but what is
 * marked belongs to the worker's thread.
 *
 *   worker ── team (id) ── chain ── link (config) ── vm ── runtime of the team
 *                └ queue of runs      └ builtin
 *
 * A chain is the order of a team's links at one moment. It is counted: events under way go to its
 * end in the chain that they began, while a new set has already brought another. A link that is in
 * no chain any more is torn down.
 *
 * JavaScript tells results from inside the engine. Nothing is done there but noting them (`settled`
 * lists); everything else happens at the top of plugin_worker_run and plugin_worker_turn, where no
 * engine is at work on this thread and any runtime may be thrown away.
 */
#pragma once

#include "base/mpsc.h"
#include "plugin/builtin.h"
#include "plugin/plugin_priv.h"
#include "plugin/vm.h"
#include "plugin/worker.h"

#define SETUP_RETRIES        5
#define SETUP_RETRY_FIRST_US (5 * (int64_t)1000000) /* twice as long after each */
#define MARKER_SETS_KEPT     8
#define MARKS_SMALL          8
#define SPARE_RUNS           64

struct plugin_runtime { /* counted by the team whose current one it is and by links */
    size_t refs;
    struct runtime *rt;
};

enum link_state {
    LINK_NEW, /* not loaded: before the first event, or its runtime was thrown away */
    LINK_SETTING_UP,
    LINK_READY,
    LINK_RETRYING, /* between or in tries after the first */
    LINK_FAILED,
    LINK_DISABLED,
    LINK_TEARING_DOWN,
};

struct plugin_link {
    size_t refs; /* chains */
    struct plugin_team *team;
    struct list in_team;
    const struct plugin_set *set; /* keeps config */
    const struct plugin_config *config;
    const struct builtin *builtin;
    struct plugin_runtime *runtime; /* of the vm */
    struct vm *vm;
    enum link_state state;
    bool is_set_up;       /* setupPlugin succeeded, or there is none: teardownPlugin may run */
    bool has_process;     /* processEvent */
    bool is_deferred;     /* onEvent or onSnapshot */
    bool is_calling;      /* setupPlugin or teardownPlugin is under way */
    bool is_settled;      /* in worker->settled_links */
    bool has_call_failed; /* of is_settled */
    int tries;            /* of setupPlugin */
    struct timer retry;
    struct vm_call call;
    struct list in_settled;
};

struct plugin_markers {
    size_t refs; /* the chain's and those of events */
    struct json_doc doc;
    size_t count;
    uint8_t marks[];
};

struct plugin_chain {
    size_t refs;
    struct plugin_team *team;
    struct plugin_markers *markers[MARKER_SETS_KEPT];
    size_t markers_count;
    size_t count;
    struct plugin_link *links[];
};

struct plugin_team {
    struct plugin_worker *worker;
    int64_t id;
    struct list in_worker;
    struct plugin_runtime *runtime; /* NULL: none yet */
    struct plugin_chain *chain;     /* NULL: no plugins, or unloaded */
    struct list links;              /* those of old chains and under teardown too */
    bool has_new;                   /* chain has a LINK_NEW */
    bool was_used;                  /* since the idle timer was set */
    size_t setting_up;              /* links in their first setup: events wait */
    size_t places;                  /* events under way that await */
    size_t runs;                    /* all that exist */
    struct list queue;              /* struct plugin_run, without documents */
    struct list in_hungry;          /* of the worker, while the queue is not empty */
    struct timer idle;
};

enum mark { MARK_SUCCEEDED = 1, MARK_FAILED = 2, MARK_DEFERRED = 4 };

struct plugin_run {   /* an event on its way through a chain */
    struct list node; /* in a queue, worker->running or worker->settled */
    struct plugin_event *event;
    struct plugin_team *team;
    struct plugin_chain *chain; /* NULL in a queue */
    size_t at;
    bool has_place;
    bool is_copy;    /* a plugin returned another object: the original's markers are lost */
    bool is_probe;   /* of an open circuit */
    bool is_parked;  /* until links[at] is set up */
    bool has_failed; /* the call in `settled` */
    int64_t began_us;
    struct timer warning; /* while it has a place */
    struct event_object *object;
    struct vm_call call; /* object is not NULL: under way or settled */
    uint8_t *marks;      /* by place in the chain */
    uint8_t marks_small[MARKS_SMALL];
};

static inline struct plugin_link *plugin_run_link(const struct plugin_run *run)
{
    return run->chain->links[run->at];
}

struct plugin_hook_run;

struct plugin_worker {
    struct plugins *plugins;
    const struct plugin_limits *limits;
    int number;
    struct timers timers; /* of everybody on this thread; run by plugin_worker_turn */
    struct mpsc inbox;    /* struct plugin_message */
    mpsc_wake_fn *wake;
    void *wake_ctx;
    struct list in_plugins; /* plugins->workers, under its lock */

    /* The engine is at work for this config, and has to be done by then; 0: it is not. Read by the
     * watchdog. */
    _Atomic int64_t inside_config;
    _Atomic int64_t inside_until_us; /* of clock_mono_real_us */

    size_t outside; /* messages that will come, for which the end waits */

    const struct plugin_set *set;
    const struct geo_db *geo;
    struct map *teams_by_id;
    struct list teams;
    struct plugin_team *last_team; /* of the last event; NULL after any change */
    struct list hungry;            /* teams with a queue, taken in turn */
    size_t hungry_count;
    struct list running; /* runs that await */
    struct list settled; /* runs whose call has ended */
    struct list settled_links;
    struct list hooks; /* struct plugin_hook_run */
    struct list spare_runs;
    size_t spare_count;
    size_t places, queued, parked;
    struct buf text; /* the event after a plugin */
    struct buf small;
    bool is_stopping;
};

/* team.c: teams, chains, places */
struct plugin_team *plugin_team_of(struct plugin_worker *w, int64_t team_id); /* NULL: no plugins */
void plugin_teams_refresh(struct plugin_worker *w);     /* the set has changed */
void plugin_team_clear_queue(struct plugin_team *team); /* nobody is told */
void plugin_team_drop_chain(struct plugin_team *team);
void plugin_team_free_unused(struct plugin_team *team); /* if nothing is left of it */
void plugin_team_enqueue(struct plugin_team *team, struct plugin_run *run);
bool plugin_team_has_room(const struct plugin_team *team);
bool plugin_teams_pump(struct plugin_worker *w);     /* starts what waits and may go; true: any */
void plugin_chain_unref(struct plugin_chain *chain); /* NULL is legal */
/* The chain that a new event would take, loaded; NULL: there is none. */
struct plugin_chain *plugin_team_chain(struct plugin_team *team);

/* run.c */
struct plugin_run *plugin_run_new(struct plugin_team *team, struct plugin_event *e);
void plugin_run_free(struct plugin_run *run);
void plugin_run_take_place(struct plugin_run *run); /* unless it has one */
/* The runtime of its call is about to go: the call has failed. */
void plugin_run_fail(struct plugin_run *run);
void plugin_run_cancel(struct plugin_run *run); /* nobody is told */
void plugin_runs_unpark(struct plugin_link *l); /* those that wait for its setup */

/* chain.c */
enum plugin_verdict plugin_run_start(struct plugin_run *run);
void plugin_run_continue(struct plugin_run *run); /* its call has settled, or its link is set up */
void plugin_run_end(struct plugin_run *run, enum plugin_verdict verdict); /* tells `done` */

/* lifecycle.c */
struct plugin_link *lifecycle_link_new(struct plugin_team *team, const struct plugin_config *c);
void lifecycle_load(struct plugin_link *l);
void lifecycle_leave(struct plugin_link *l); /* frees it, now or after teardownPlugin */
void lifecycle_settled(struct plugin_link *l);
void lifecycle_abandon(struct plugin_link *l); /* without waiting for teardownPlugin */
void lifecycle_adopt(struct plugin_link *l, const struct plugin_config *c); /* of a new set */
bool lifecycle_is_spoilt(const struct plugin_team *team);
void lifecycle_renew(struct plugin_team *team); /* another runtime in place of a spoilt one */
void plugin_runtime_unref(struct plugin_runtime *r);

/* circuit.c */
/* May the plugin be called now? *is_probe: to see whether the circuit can be closed. */
bool circuit_admits(struct plugin_worker *w, const struct plugin_config *c, bool *is_probe);
/* How a call ended; `error` NULL: well. */
void circuit_note(struct plugin_worker *w, const struct plugin_config *c,
                  const struct plugin_error *error, bool is_probe);

/* markers.c */
void markers_put(struct plugin_run *run); /* on the run's event */
void markers_unref(struct plugin_markers *m);

/* worker.c */
void plugin_worker_take_set(struct plugin_worker *w); /* the current one */
void plugin_error_copy(struct plugin_error *to, const struct plugin_error *from);

/* hook.c */
void hooks_fail(struct plugin_worker *w, const struct plugin_runtime *spoilt);
void hooks_settle(struct plugin_worker *w); /* tells those whose call has ended */
void hooks_cancel(struct plugin_worker *w); /* all fail: the worker is stopping */
