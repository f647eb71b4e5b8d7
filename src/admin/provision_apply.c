/* Teams are compared field by field and objects by their text, so that applying the same file twice
 * changes nothing. The order of the file does not matter: a team that gives its token to another
 * one of the file lets go of it first. A token that stays with its team cannot be taken away.
 */
#include "admin/provision_apply.h"

#include "admin/plugin_change.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"

static bool str_same(const char *a, const char *b)
{
    return slice_eq(slice_cstr(a), slice_cstr(b)) && !a == !b;
}

static bool team_same(const struct team *a, const struct team *b)
{
    if (a->drop_count != b->drop_count)
        return false;
    for (size_t i = 0; i < a->drop_count; i++)
        if (!str_same(a->drop[i], b->drop[i]))
            return false;
    return str_same(a->name, b->name) && str_same(a->api_token, b->api_token) &&
           str_same(a->slack_incoming_webhook, b->slack_incoming_webhook) &&
           str_same(a->bucket, b->bucket) && str_same(a->class_name, b->class_name) &&
           str_same(a->organization, b->organization) && a->anonymize_ips == b->anonymize_ips &&
           a->session_recording_opt_in == b->session_recording_opt_in &&
           a->over_quota_events == b->over_quota_events &&
           a->over_quota_recordings == b->over_quota_recordings &&
           str_same(a->extra_json, b->extra_json);
}

struct team provision_team_new(int64_t id, const char *name, const char *token)
{
    struct team team = {.id = id,
                        .name = name,
                        .api_token = token,
                        .bucket = "default",
                        .class_name = "",
                        .organization = "",
                        .extra_json = "{}"};

    rand_bytes(team.uuid.b, sizeof(team.uuid.b));
    return team;
}

static bool apply_team(struct store *store, const struct team_set *stored,
                       const struct team *wanted, struct provision_outcome *outcome,
                       struct err *err)
{
    const struct team *old = team_by_id(stored, wanted->id);
    struct team team = *wanted;
    char token[PROVISION_TOKEN_LEN + 1];

    if (old)
        team.uuid = old->uuid;
    else
        rand_bytes(team.uuid.b, sizeof(team.uuid.b));
    if (!team.api_token) {
        provision_token_generate(token);
        team.api_token = old ? old->api_token : token;
    }
    if (old && team_same(old, &team))
        return true;
    if (old)
        outcome->teams_changed++;
    else
        outcome->teams_added++;
    return store->ops->team_put(store->self, &team, err);
}

/* The teams of the file by their id, values are of `p`. */
static struct map *teams_by_id(const struct provision *p)
{
    struct map *m = map_new();

    for (size_t i = 0; i < p->team_count; i++)
        map_put(m, slice_make((const char *)&p->teams[i].id, sizeof(p->teams[i].id)), &p->teams[i]);
    return m;
}

static const struct team *team_wanted(const struct map *wanted, int64_t id)
{
    return map_get(wanted, slice_make((const char *)&id, sizeof(id)));
}

/* Teams whose token goes to another team hold a random one until it is their turn. */
static bool release_tokens(struct store *store, const struct team_set *stored,
                           const struct provision *p, const struct map *by_id, struct err *err)
{
    char token[PROVISION_TOKEN_LEN + 1];

    for (size_t i = 0; i < p->team_count; i++) {
        const struct team *to = &p->teams[i];
        const struct team *from =
            to->api_token ? team_by_token(stored, slice_cstr(to->api_token)) : NULL;
        const struct team *wanted =
            from && from->id != to->id ? team_wanted(by_id, from->id) : NULL;
        if (!wanted || !wanted->api_token)
            continue;
        struct team released = *from;
        provision_token_generate(token);
        released.api_token = token;
        if (!store->ops->team_put(store->self, &released, err))
            return false;
    }
    return true;
}

static bool apply_teams(struct store *store, const struct provision *p, bool prune,
                        struct provision_outcome *outcome, struct err *err)
{
    struct team_set *stored = NULL, *result = NULL;
    bool ok = false;

    if (!store->ops->teams_load(store->self, &stored, err))
        return false;
    struct map *by_id = teams_by_id(p);
    /* Removed first: a new team may take the token of one that goes. */
    for (size_t i = 0; prune && i < team_set_count(stored); i++) {
        int64_t id = team_set_at(stored, i)->id;
        if (team_wanted(by_id, id))
            continue;
        outcome->teams_removed++;
        if (!store->ops->team_remove(store->self, id, err))
            goto out;
    }
    if (!release_tokens(store, stored, p, by_id, err))
        goto out;
    for (size_t i = 0; i < p->team_count; i++)
        if (!apply_team(store, stored, &p->teams[i], outcome, err)) {
            err_wrap(err, "/teams/%zu", i);
            goto out;
        }
    ok = store->ops->teams_load(store->self, &result, err); /* refuses two teams with one token */
out:
    map_free(by_id);
    team_set_unref(stored);
    team_set_unref(result);
    return ok;
}

/* What is stored of the parts, to tell new from changed and to find what a pruning apply removes.
 */
struct object_entry {
    struct provision_object object;
    bool is_named;
};

struct object_list {
    struct object_entry **items; /* in the store's order */
    size_t count, cap;
    struct map *by_key;
    struct buf key; /* scratch */
};

static void list_init(struct object_list *l)
{
    *l = (struct object_list){.by_key = map_new(), .key = BUF_INIT(1 << 20)};
}

static struct slice list_key(struct object_list *l, const char *kind, const char *key)
{
    buf_clear(&l->key);
    buf_add(&l->key, kind, strlen(kind) + 1);
    buf_add_str(&l->key, key);
    return buf_slice(&l->key);
}

static bool list_collect(const struct store_object *o, void *ctx)
{
    struct object_list *l = ctx;
    struct object_entry *e = mem_new(struct object_entry);

    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->items = mem_realloc(l->items, l->cap * sizeof(struct object_entry *));
    }
    e->object = (struct provision_object){
        .kind = mem_dup_str(o->kind), .key = mem_dup_str(o->key), .json = mem_dup_str(o->json)};
    l->items[l->count++] = e;
    map_put(l->by_key, list_key(l, o->kind, o->key), e);
    return true;
}

static void list_fini(struct object_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        mem_free((void *)(uintptr_t)l->items[i]->object.kind);
        mem_free((void *)(uintptr_t)l->items[i]->object.key);
        mem_free((void *)(uintptr_t)l->items[i]->object.json);
        mem_free(l->items[i]);
    }
    mem_free(l->items);
    map_free(l->by_key);
    buf_free(&l->key);
}

static bool apply_object(struct store *store, struct object_list *stored,
                         const struct store_object *wanted, struct provision_outcome *outcome,
                         struct err *err)
{
    struct object_entry *old = map_get(stored->by_key, list_key(stored, wanted->kind, wanted->key));

    if (!old) {
        outcome->objects_added++;
        return store->ops->object_put(store->self, wanted, err);
    }
    old->is_named = true;
    if (str_same(old->object.json, wanted->json))
        return true;
    outcome->objects_changed++;
    return store->ops->object_put(store->self, wanted, err);
}

static bool apply_personal_key(struct store *store, struct object_list *stored,
                               const struct provision_personal_key *k,
                               struct provision_outcome *outcome, struct err *err)
{
    struct buf json = BUF_INIT(256);

    buf_addf(&json, "{\"key\":");
    buf_add_json_str(&json, slice_cstr(k->key));
    buf_addf(&json, ",\"team\":%lld}", (long long)k->team_id);
    bool ok =
        apply_object(store, stored,
                     &(struct store_object){
                         .kind = PROVISION_PERSONAL_KEYS, .key = k->key, .json = buf_cstr(&json)},
                     outcome, err);
    buf_free(&json);
    return ok;
}

/* A config is compared with its defaults in place, as it is stored. */
static bool apply_part(struct store *store, struct object_list *stored,
                       const struct provision_object *o, const struct plugin_defaults *defaults,
                       struct provision_outcome *outcome, struct err *err)
{
    bool is_config = slice_eq(slice_cstr(o->kind), SLICE(PLUGIN_CONFIG_KIND));
    char *filled = is_config && defaults ? plugin_defaults_fill(defaults, o->json) : NULL;
    struct store_object wanted = {
        .kind = o->kind, .key = o->key, .json = filled ? filled : o->json};
    bool ok = apply_object(store, stored, &wanted, outcome, err);

    mem_free(filled);
    return ok;
}

static bool apply_objects(struct store *store, const struct provision *p,
                          const struct provision_options *opt, struct provision_outcome *outcome,
                          struct err *err)
{
    struct object_list stored;
    bool ok = false;

    list_init(&stored);
    if (!store->ops->objects_each(store->self, list_collect, &stored, err))
        goto out;
    for (size_t i = 0; i < p->object_count; i++)
        if (!apply_part(store, &stored, &p->objects[i], opt->defaults, outcome, err))
            goto out;
    for (size_t i = 0; i < p->personal_key_count; i++)
        if (!apply_personal_key(store, &stored, &p->personal_keys[i], outcome, err))
            goto out;
    for (size_t i = 0; opt->prune && i < stored.count; i++) {
        const struct provision_object *o = &stored.items[i]->object;
        if (stored.items[i]->is_named)
            continue;
        outcome->objects_removed++;
        if (!store->ops->object_remove(store->self, o->kind, o->key, err))
            goto out;
    }
    ok = true;
out:
    list_fini(&stored);
    return ok;
}

/* The teams of the file that were not there before. */
static bool add_geoip(struct store *store, const struct provision *p, const struct team_set *before,
                      struct err *err)
{
    for (size_t i = 0; i < p->team_count; i++)
        if (!team_by_id(before, p->teams[i].id) && !plugin_change_geoip(store, p->teams[i].id, err))
            return false;
    return true;
}

bool provision_apply(struct store *store, const struct provision *p,
                     const struct provision_options *opt, struct provision_outcome *outcome,
                     struct err *err)
{
    struct team_set *before = NULL;

    *outcome = (struct provision_outcome){0};
    if (!store->ops->teams_load(store->self, &before, err))
        return false;
    bool ok = apply_teams(store, p, opt->prune, outcome, err) &&
              apply_objects(store, p, opt, outcome, err) &&
              (!opt->has_geoip || opt->prune || add_geoip(store, p, before, err));
    team_set_unref(before);
    return ok;
}

static bool personal_key_of(const struct provision_object *o, struct provision_personal_key *key)
{
    struct err err = ERR_INIT;
    cJSON *json = json_parse(slice_cstr(o->json), &err);

    *key = (struct provision_personal_key){.key = o->key};
    bool ok = json && json_int(json_get(json, "team"), &key->team_id);
    json_free(json);
    return ok;
}

bool provision_collect(struct store *store, struct buf *out, struct err *err)
{
    struct provision p = {.teams = NULL};
    struct object_list stored;
    struct team_set *set = NULL;
    bool ok = false;

    if (!store->ops->teams_load(store->self, &set, err))
        return false;
    list_init(&stored);
    if (!store->ops->objects_each(store->self, list_collect, &stored, err))
        goto out;
    p.team_count = team_set_count(set);
    p.teams = mem_new_array(struct team, p.team_count + 1);
    for (size_t i = 0; i < p.team_count; i++)
        p.teams[i] = *team_set_at(set, i);
    p.objects = mem_new_array(struct provision_object, stored.count + 1);
    p.personal_keys = mem_new_array(struct provision_personal_key, stored.count + 1);
    for (size_t i = 0; i < stored.count; i++) {
        const struct provision_object *o = &stored.items[i]->object;
        if (!str_same(o->kind, PROVISION_PERSONAL_KEYS))
            p.objects[p.object_count++] = *o;
        else if (personal_key_of(o, &p.personal_keys[p.personal_key_count]))
            p.personal_key_count++;
    }
    ok = provision_export(&p, out) ||
         err_set(err, ERR_LIMIT, "the export is larger than %zu bytes", out->max);
out:
    mem_free(p.teams);
    mem_free(p.objects);
    mem_free(p.personal_keys);
    list_fini(&stored);
    team_set_unref(set);
    return ok;
}

bool provision_publish(struct store *store, struct team_directory *teams, struct err *err)
{
    struct team_set *set = NULL;

    if (!store->ops->teams_load(store->self, &set, err))
        return false;
    team_directory_publish(teams, set);
    return true;
}
