/* plugin_priv.h - what the files of plugin/ take from the process's plugins and from the worker of
 * their thread.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "plugin/plugin.h"
#include "plugin/timer.h"

struct plugin_cache;
struct plugin_worker;

struct plugins {
    struct plugins_options opt; /* its texts are ours */
    /* Only for taking a reference together with the pointer. */
    struct lock set_lock;
    _Atomic(const struct plugin_set *) current;
    struct lock lock;    /* over what follows */
    struct map *states;  /* bytes of the id -> struct plugin_state, with a reference */
    struct list workers; /* struct plugin_worker */
    struct plugin_cache *cache;
    _Atomic uint64_t left_blocks; /* of runtimes that were freed */
};

/* --- plugin.c: any thread ------------------------------------------------------------------------
 */

const struct plugins_options *plugins_options(const struct plugins *p);

/* A runtime was freed while somebody held values of it, `blocks` of memory: a mistake of ours,
 * which costs that memory and nothing else. Ends the process in debug and test builds. */
void plugins_note_left(struct plugins *p, int64_t team_id, size_t blocks);

void plugins_log(struct plugins *p, const struct plugin_config *c, const char *source,
                 const char *type, struct slice message);
void plugins_logf(struct plugins *p, const struct plugin_config *c, const char *type,
                  const char *fmt, ...) PRINTF_LIKE(4, 5); /* source SYSTEM */
/* A failure of the config: its stored error, with the state and with the services, and a log entry
 * PLUGIN/ERROR. error_json as plugin_error_json has it. */
void plugins_report(struct plugins *p, const struct plugin_config *c, const char *message,
                    const char *error_json);
void plugins_clear_error(struct plugins *p, const struct plugin_config *c);

/* --- plugin_state.c: any thread ------------------------------------------------------------------
 */

struct plugin_state *plugin_state_new(int64_t config_id);
void plugin_state_ref(struct plugin_state *s);
/* One thread's part in the phase; PLUGIN_IDLE: it has (or had) none. */
void plugin_state_phase(struct plugin_state *s, enum plugin_phase from, enum plugin_phase to);
void plugin_state_latency(struct plugin_state *s, int64_t us);
void plugin_circuit_close(struct plugin_state *s);

/* --- worker.c: the worker's thread ---------------------------------------------------------------
 */

struct timers *plugin_worker_timers(struct plugin_worker *w);
/* Engine code of `config_id` runs from now until `deadline_us` (of clock_mono_real_us); for
 * plugins_overdue. Entries do not nest here: a second enter replaces the first. */
void plugin_worker_enter(struct plugin_worker *w, int64_t config_id, int64_t deadline_us);
void plugin_worker_leave(struct plugin_worker *w);
/* Counts messages that another thread is going to post (answers of services). The worker is not
 * freed before they have come and their functions have run. */
void plugin_worker_expect(struct plugin_worker *w, int count); /* +1: one more, -1: it has run */
void plugin_worker_wake(struct plugin_worker *w);              /* any thread */
