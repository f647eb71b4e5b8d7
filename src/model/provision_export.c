/* Writing the provision file: a tree in a stable order, printed with indentation. It takes what the
 * store hands out in any order as well as what the parser made. A field at its default is written
 * where the documentation's example has it, else left out.
 */
#include "base/mem.h"
#include "model/provision_priv.h"

#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
    const struct team *x = *(const struct team *const *)a, *y = *(const struct team *const *)b;

    return (x->id > y->id) - (x->id < y->id);
}

static int by_key(const void *a, const void *b)
{
    const struct provision_object *x = *(const struct provision_object *const *)a;
    const struct provision_object *y = *(const struct provision_object *const *)b;

    return slice_compare(slice_cstr(x->key), slice_cstr(y->key));
}

static int by_personal_key(const void *a, const void *b)
{
    const struct provision_personal_key *x = *(const struct provision_personal_key *const *)a;
    const struct provision_personal_key *y = *(const struct provision_personal_key *const *)b;

    return slice_compare(slice_cstr(x->key), slice_cstr(y->key));
}

static bool is_given(const char *text)
{
    return text && text[0] != '\0';
}

static void add_str(cJSON *object, const char *name, const char *text)
{
    CHECK(cJSON_AddStringToObject(object, name, text));
}

static cJSON *add_list(cJSON *object, const char *name)
{
    cJSON *list = cJSON_AddArrayToObject(object, name);

    CHECK(list);
    return list;
}

static void add_text(cJSON *list, const char *text)
{
    CHECK(cJSON_AddItemToArray(list, cJSON_CreateString(text)));
}

/* Members of the JSON text that are kept as they came. */
static bool add_extra(cJSON *object, const char *text)
{
    struct err err = ERR_INIT;
    cJSON *extra = json_parse(slice_cstr(text ? text : "{}"), &err);
    bool ok = cJSON_IsObject(extra);

    while (ok && extra->child) {
        cJSON *member = cJSON_DetachItemViaPointer(extra, extra->child);
        CHECK(cJSON_AddItemToObject(object, member->string, member));
    }
    json_free(extra);
    return ok;
}

static bool add_team(cJSON *list, const struct team *t)
{
    cJSON *o = cJSON_CreateObject();

    CHECK(cJSON_AddItemToArray(list, o));
    CHECK(cJSON_AddNumberToObject(o, "id", (double)t->id));
    if (is_given(t->name))
        add_str(o, "name", t->name);
    if (is_given(t->api_token))
        add_str(o, "api_token", t->api_token);
    CHECK(cJSON_AddBoolToObject(o, "anonymize_ips", t->anonymize_ips));
    CHECK(cJSON_AddBoolToObject(o, "session_recording_opt_in", t->session_recording_opt_in));
    if (is_given(t->slack_incoming_webhook))
        add_str(o, "slack_incoming_webhook", t->slack_incoming_webhook);
    else
        CHECK(cJSON_AddNullToObject(o, "slack_incoming_webhook"));
    if (is_given(t->bucket))
        add_str(o, "bucket", t->bucket);
    if (is_given(t->class_name))
        add_str(o, "class", t->class_name);
    if (is_given(t->organization))
        add_str(o, "organization", t->organization);
    if (t->over_quota_events || t->over_quota_recordings) {
        cJSON *over = add_list(o, "over_quota");
        if (t->over_quota_events)
            add_text(over, "events");
        if (t->over_quota_recordings)
            add_text(over, "recordings");
    }
    if (t->drop_count > 0) {
        cJSON *drop = add_list(o, "drop");
        for (size_t i = 0; i < t->drop_count; i++)
            add_text(drop, t->drop[i]);
    }
    return add_extra(o, t->extra_json);
}

static bool add_teams(cJSON *root, const struct provision *p)
{
    const struct team **sorted = mem_new_array(const struct team *, p->team_count + 1);
    cJSON *list = add_list(root, "teams");
    bool ok = true;

    for (size_t i = 0; i < p->team_count; i++)
        sorted[i] = &p->teams[i];
    qsort(sorted, p->team_count, sizeof(*sorted), by_id);
    for (size_t i = 0; ok && i < p->team_count; i++)
        ok = add_team(list, sorted[i]);
    mem_free(sorted);
    return ok;
}

static bool add_object(cJSON *into, const struct provision_part *part,
                       const struct provision_object *o)
{
    struct err err = ERR_INIT;
    cJSON *json = json_parse(slice_cstr(o->json), &err);

    if (!json)
        return false;
    CHECK(part->is_named ? cJSON_AddItemToObject(into, o->key, json)
                         : cJSON_AddItemToArray(into, json));
    return true;
}

static bool add_part(cJSON *root, const struct provision *p, const struct provision_part *part)
{
    const struct provision_object **sorted =
        mem_new_array(const struct provision_object *, p->object_count + 1);
    size_t count = 0;
    bool ok = true;

    for (size_t i = 0; i < p->object_count; i++)
        if (slice_eq(slice_cstr(p->objects[i].kind), slice_cstr(part->kind)))
            sorted[count++] = &p->objects[i];
    if (count > 0) {
        cJSON *into =
            part->is_named ? cJSON_AddObjectToObject(root, part->kind) : add_list(root, part->kind);
        CHECK(into);
        qsort(sorted, count, sizeof(*sorted), by_key);
        for (size_t i = 0; ok && i < count; i++)
            ok = add_object(into, part, sorted[i]);
    }
    mem_free(sorted);
    return ok;
}

static void add_personal_keys(cJSON *root, const struct provision *p)
{
    const struct provision_personal_key **sorted =
        mem_new_array(const struct provision_personal_key *, p->personal_key_count + 1);
    cJSON *list = p->personal_key_count > 0 ? add_list(root, "personal_api_keys") : NULL;

    for (size_t i = 0; i < p->personal_key_count; i++)
        sorted[i] = &p->personal_keys[i];
    qsort(sorted, p->personal_key_count, sizeof(*sorted), by_personal_key);
    for (size_t i = 0; i < p->personal_key_count; i++) {
        cJSON *o = cJSON_CreateObject();
        CHECK(cJSON_AddItemToArray(list, o));
        add_str(o, "key", sorted[i]->key);
        CHECK(cJSON_AddNumberToObject(o, "team", (double)sorted[i]->team_id));
    }
    mem_free(sorted);
}

bool provision_export(const struct provision *p, struct buf *out)
{
    cJSON *root = cJSON_CreateObject();
    size_t before = out->len;
    bool ok;

    CHECK(root);
    ok = add_teams(root, p);
    for (size_t i = 0; ok && i < provision_part_count; i++)
        ok = add_part(root, p, &provision_parts[i]);
    add_personal_keys(root, p);
    ok = ok && json_write_pretty(root, out) && buf_add_char(out, '\n');
    if (!ok)
        out->len = before;
    json_free(root);
    return ok;
}
