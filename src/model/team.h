/* team.h - teams, and the directory by which every thread finds them.
 *
 * STORE publishes a new immutable team_set after each change; readers take a reference (an atomic
 * count), use it, and drop it. A set never changes after it was published.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "base/uuid.h"

struct team {
    int64_t id;
    struct uuid uuid;
    const char *name;
    const char *api_token;
    const char *slack_incoming_webhook; /* NULL: none */
    const char *bucket;
    const char *class_name;
    const char *organization;
    bool anonymize_ips;
    bool session_recording_opt_in;
    bool over_quota_events, over_quota_recordings;
    const char *const *drop; /* distinct ids whose events vanish */
    size_t drop_count;
    const char *extra_json; /* further keys of the provision file, kept for export; "{}" */
};

struct team_set;

/* Building (one thread): copies everything. ERR_INPUT on two teams with one id or token. */
struct team_set *team_set_new(void);
MUST_CHECK bool team_set_add(struct team_set *s, const struct team *team, struct err *err);
void team_set_add_personal_key(struct team_set *s, struct slice key, int64_t team_id);
void team_set_seal(struct team_set *s);
void team_set_ref(const struct team_set *s);
void team_set_unref(const struct team_set *s); /* NULL is legal */

const struct team *team_by_token(const struct team_set *s, struct slice token);
const struct team *team_by_id(const struct team_set *s, int64_t id);
/* Team id of a personal key, 0 when unknown. */
int64_t team_of_personal_key(const struct team_set *s, struct slice key);
size_t team_set_count(const struct team_set *s);
const struct team *team_set_at(const struct team_set *s, size_t index); /* by id, ascending */
bool team_drops(const struct team *t, struct slice distinct_id);

struct team_directory;

struct team_directory *team_directory_new(void);
void team_directory_free(struct team_directory *d);
void team_directory_publish(struct team_directory *d,
                            struct team_set *set); /* takes the caller's reference */
const struct team_set *team_directory_get(struct team_directory *d); /* with a reference */
/* For hot paths: keeps *cached (a reference of the caller's thread) fresh; one atomic load when
 * nothing changed. */
const struct team_set *team_directory_cached(struct team_directory *d,
                                             const struct team_set **cached);
