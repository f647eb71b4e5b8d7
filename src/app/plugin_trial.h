/* plugin_trial.h - one plugin with one config on the calling thread, from setupPlugin to
 * teardownPlugin, without a server.
 *
 * Order of life: plugin_trial_new, plugin_trial_load, hooks, plugin_trial_end, plugin_trial_write,
 * plugin_trial_free. A failure of the plugin is a result and no error.
 * Time: with `has_clock` the fake clock of clock.h is in force; it jumps to what is due next, so
 * that a plugin that waits for an hour is done at once.
 */
#pragma once

#include "base/json.h"
#include "conf/conf.h"
#include "plugin/plugin.h"

struct plugin_trial;

struct plugin_trial_options {
    const struct conf *conf;     /* limits */
    struct plugin_config config; /* without ids and state */
    int64_t team_id;
    const char *api_token;        /* may be NULL */
    const cJSON *storage, *cache; /* objects; NULL: empty */
    bool has_clock;
};

/* The texts of `config` are copied, the others must outlive the trial. */
struct plugin_trial *plugin_trial_new(const struct plugin_trial_options *opt);
void plugin_trial_free(struct plugin_trial *t); /* NULL is legal */

/* Loads and sets up. The names it offers as plugin_worker_capabilities has them, NULL when it
 * cannot be loaded. The trial's. */
const cJSON *plugin_trial_load(struct plugin_trial *t);
/* One event (a JSON object as text) through the chain, to its end. False when it is no event. */
MUST_CHECK bool plugin_trial_event(struct plugin_trial *t, struct slice event, struct err *err);
/* A hook by its name (vm_has_named), `argument` as JSON text, empty: none. */
MUST_CHECK bool plugin_trial_hook(struct plugin_trial *t, const char *name, struct slice argument,
                                  struct err *err);
void plugin_trial_end(struct plugin_trial *t); /* teardownPlugin */
/* Everything as one JSON document. */
MUST_CHECK bool plugin_trial_write(struct plugin_trial *t, struct buf *out, struct err *err);
