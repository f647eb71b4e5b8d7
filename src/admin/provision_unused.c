/* Names, in one line, what the store keeps although nothing here looks at it yet: whoever
 * configures it must not believe that it works. It is asked of the store, not of the file that was
 * just applied, so that what an earlier one left is named too. */
#include "admin/plugin_change.h"
#include "admin/provision_apply.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"

#define NAMES_BYTES_MAX 1500 /* what fits into a line */

struct names {
    struct map *seen;
    struct buf text;
};

static void add_name(struct names *n, const char *folder, const char *name)
{
    struct buf full = BUF_INIT(1000);

    buf_addf(&full, "%s%s", folder, name);
    if (!map_put(n->seen, buf_slice(&full), n))
        buf_addf(&n->text, "%s%s", n->text.len ? ", " : "", buf_cstr(&full));
    buf_free(&full);
}

static bool add_object(const struct store_object *o, void *ctx)
{
    static const char *const used[] = {PROVISION_PERSONAL_KEYS, PLUGIN_KIND, PLUGIN_CONFIG_KIND};
    bool is_used = false;

    for (size_t i = 0; i < ARRAY_LEN(used); i++)
        is_used |= slice_eq(slice_cstr(o->kind), slice_cstr(used[i]));
    if (!is_used)
        add_name(ctx, "", o->kind);
    return true;
}

static void add_team(struct names *n, const struct team *t)
{
    struct err err = ERR_INIT;
    bool has_extra = !slice_eq(slice_cstr(t->extra_json), SLICE("{}"));
    cJSON *extra = has_extra ? json_parse(slice_cstr(t->extra_json), &err) : NULL;
    const cJSON *member;

    if (t->slack_incoming_webhook)
        add_name(n, "teams.", "slack_incoming_webhook");
    if (!slice_eq(slice_cstr(t->bucket), SLICE("default")))
        add_name(n, "teams.", "bucket");
    if (*t->class_name)
        add_name(n, "teams.", "class");
    if (*t->organization)
        add_name(n, "teams.", "organization");
    cJSON_ArrayForEach(member, extra) add_name(n, "teams.", member->string);
    json_free(extra);
}

void provision_tell_unused(struct store *store)
{
    struct names n = {.seen = map_new(), .text = BUF_INIT(NAMES_BYTES_MAX)};
    struct team_set *set = NULL;
    struct err err = ERR_INIT;

    bool ok = store->ops->teams_load(store->self, &set, &err);
    for (size_t i = 0; ok && i < team_set_count(set); i++)
        add_team(&n, team_set_at(set, i));
    ok = ok && store->ops->objects_each(store->self, add_object, &n, &err);
    if (!ok)
        log_warn("provision", "cannot look for parts that are not in use", KV_ERR(&err));
    if (n.text.len)
        log_info("provision", "these parts are kept for export but not in use yet",
                 KV_SLICE("parts", buf_slice(&n.text)));
    team_set_unref(set);
    map_free(n.seen);
    buf_free(&n.text);
}
