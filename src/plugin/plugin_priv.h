/* plugin_priv.h - what the files of plugin/ take from the process's plugins and from the worker of
 * their thread.
 */
#pragma once

#include "plugin/plugin.h"
#include "plugin/timer.h"

struct plugin_cache;
struct plugin_worker;

/* --- plugin.c: any thread ------------------------------------------------------------------------
 */

const struct plugins_options *plugins_options(const struct plugins *p);
struct plugin_cache *plugins_cache(struct plugins *p); /* meta.cache of everybody (cache.h) */

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
