/* plugin_change.h - single changes of stored plugins and their configs. On STORE inside a
 * transaction, or at the start, before STORE runs.
 */
#pragma once

#include "admin/plugin_defaults.h"
#include "store/store.h"

#define PLUGIN_KIND        "plugins"
#define PLUGIN_CONFIG_KIND "plugin_configs"

/* ERR_GONE when there is no such config. */
MUST_CHECK bool plugin_change_enable(struct store *store, int64_t config_id, bool is_enabled,
                                     struct err *err);
/* A new team starts with GeoIP: makes the plugin "GeoIP" and the team's config of it, unless the
 * team has a config of builtin:geoip already, enabled or not. */
MUST_CHECK bool plugin_change_geoip(struct store *store, int64_t team_id, struct err *err);

struct plugin_put {
    const struct provision_object *plugin; /* made or changed */
    int64_t team_id; /* 0: the only one there is; several: the plugin alone, if it exists already */
    cJSON *config;   /* of plugin_configs: what is given of order, enabled, config; never NULL */
    const struct plugin_defaults *defaults;
};
MUST_CHECK bool plugin_change_put(struct store *store, const struct plugin_put *put,
                                  struct err *err);
