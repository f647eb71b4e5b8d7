/* provision.h - the provision file: what an installation should have, as JSON.
 *
 * Parsing checks everything and reports every fault with its JSON pointer; with one fault there is
 * no result. Parts that are not built yet are checked in shape and kept as JSON for export. What an
 * object refers to (a team, a plugin) need not be in the same file: applying adds to what is there.
 * Paths are relative to base_dir and come out joined to it. No I/O. One thread.
 */
#pragma once

#include "base/json.h"
#include "model/team.h"

struct provision_object {
    const char *kind; /* "plugins", "plugin_configs", "actions", …: the key of the file */
    const char *key;  /* unique in its kind: name, id, TEAM/plugin or TEAM/key */
    const char *json; /* compact */
};

struct provision_personal_key {
    const char *key;
    int64_t team_id;
};

struct provision {
    struct team *teams; /* uuid all zero; api_token NULL: not given, one is made for a new team */
    size_t team_count;
    struct provision_personal_key *personal_keys;
    size_t personal_key_count;
    struct provision_object *objects; /* all other parts, in the order of the file */
    size_t object_count;
    void *memory; /* private: everything above lives in it */
};

/* NULL when there is a fault (faults->count > 0). */
MUST_CHECK struct provision *provision_parse(struct slice text, const char *base_dir,
                                             struct json_faults *faults);
void provision_free(struct provision *p); /* NULL is legal */
/* The same form again, pretty, stable order: teams by id, parts as listed in provision_shape.c,
 * objects by key. False when *out is full or an object's json is not JSON (then nothing is added).
 */
MUST_CHECK bool provision_export(const struct provision *p, struct buf *out);

#define PROVISION_TOKEN_LEN 47 /* phc_ and 43 of A-Z a-z 0-9 */
void provision_token_generate(char out[PROVISION_TOKEN_LEN + 1]);
