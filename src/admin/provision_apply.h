/* provision_apply.h - brings the store to what a provision file says.
 *
 * Upserts by the object's name or key, teams by id; removes what the file does not name only with
 * `prune`. Runs on STORE inside a transaction (or at start, before STORE runs), so it is all or
 * nothing.
 */
#pragma once

#include "admin/plugin_defaults.h"
#include "store/store.h"

#define PROVISION_PERSONAL_KEYS "personal_api_keys"

struct provision_options {
    bool prune;
    bool
        has_geoip; /* new teams start with the GeoIP plugin; not with prune: the file says it all */
    const struct plugin_defaults *defaults; /* of the configs' plugins; NULL: none */
};

struct provision_outcome {
    size_t teams_added, teams_changed, teams_removed;
    size_t objects_added, objects_changed, objects_removed;
};

/* A team as a file that gives only id and name would make it; `token` may be NULL. */
struct team provision_team_new(int64_t id, const char *name, const char *token);
/* ERR_INPUT when it does not fit what is stored (a token of another team). */
MUST_CHECK bool provision_apply(struct store *store, const struct provision *p,
                                const struct provision_options *opt,
                                struct provision_outcome *outcome, struct err *err);
/* Everything stored, in provision form. */
MUST_CHECK bool provision_collect(struct store *store, struct buf *json, struct err *err);
/* Reloads teams and personal keys from the store and publishes them. */
MUST_CHECK bool provision_publish(struct store *store, struct team_directory *teams,
                                  struct err *err);
/* One line for the log that names what is stored but not in use yet; none when there is nothing. */
void provision_tell_unused(struct store *store);
