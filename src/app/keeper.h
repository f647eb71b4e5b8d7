/* keeper.h - keeps the plugins: builds the set that is in force from what is stored, and is the
 * host that plugins talk to (log, storage, errors); watches for calls that do not end; looks after
 * the GeoIP database.
 *
 * Threads: one of its own (KEEPER), the only one that reads plugin files while the pipeline runs;
 * keeper_run and keeper_reload from any thread. Nothing ticks but the watchdog (each second, while
 * a JavaScript plugin is enabled) and the look at the database's file.
 * Order of life: keeper_new, keeper_load, pipe_start, keeper_start, …, pipe_stop, keeper_stop,
 * pipe_free, keeper_free.
 */
#pragma once

#include "admin/plugin_keeper.h"
#include "conf/conf.h"
#include "geo/geo.h"
#include "pipe/pipe.h"

struct keeper;

/* Opens the GeoIP database too, as far as it can be read. */
struct keeper *keeper_new(const struct conf *conf);
/* The first set, before STORE runs. A plugin that cannot be loaded is no failure. */
MUST_CHECK bool keeper_load(struct keeper *k, struct store *store, struct err *err);
MUST_CHECK bool keeper_start(struct keeper *k, struct pipe *pipe, struct err *err);
/* When STORE has ended: what is left of the log goes into the store. Tasks that wait are run here.
 * NULL is legal, and a keeper that never started. */
void keeper_stop(struct keeper *k, struct store *store);
void keeper_free(struct keeper *k); /* NULL is legal */

/* What the settings allow plugins. */
struct plugin_limits keeper_limits(const struct conf *conf);
/* Numbers as utils.cursor has them: 0 for a text that is none. */
double keeper_number_of(struct slice json);
void keeper_number_write(double number, struct buf *out);

struct plugins *keeper_plugins(struct keeper *k);
struct geo *keeper_geo(struct keeper *k);

/* For the admin API. `reload` reads the plugins anew and publishes them; when they cannot be read,
 * the old set stays and the log says so. */
struct plugin_keeper keeper_for_admin(struct keeper *k);
void keeper_run(void *keeper, struct plugin_task *task);
void keeper_reload(void *keeper, struct plugin_task *task);
