/* Reading the provision file. Everything is first checked against the shapes; what is built beside
 * the checking is used only when there was no fault, so the builders may leave out what is wrong.
 * All memory of the result is one arena.
 */
#include "base/arena.h"
#include "base/fs.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "model/provision_priv.h"

#include <stdio.h>

#define ARENA_BLOCK_BYTES 16384
#define OBJECT_BYTES_MAX  (64u << 20)
#define KEY_BYTES_MAX     1024
#define DEFAULT_BUCKET    "default"

struct parser {
    struct provision_place place;
    struct provision *result;
    struct arena *arena;
    const char *base_dir;
    struct map *seen; /* "ids" of teams, tokens, keys of objects, each with its kind in front */
};

static const char *dup_str(struct parser *ps, const char *text)
{
    return arena_dup_cstr(ps->arena, slice_cstr(text));
}

/* The first one keeps the name; every other is a fault that points to where the first stands. */
static void check_unique(struct parser *ps, const char *kind, const char *key)
{
    struct buf name = BUF_INIT(KEY_BYTES_MAX);
    const char *first;

    buf_addf(&name, "%s %s", kind, key);
    first = map_get(ps->seen, buf_slice(&name));
    if (name.is_over) /* too long for a name, which is a fault already */
        goto out;
    if (first)
        provision_fault(&ps->place, "is the same as that of %s", first);
    else
        map_put(ps->seen, buf_slice(&name),
                arena_dup_cstr(ps->arena, buf_slice(&ps->place.pointer)));
out:
    buf_free(&name);
}

/* The text of a string or whole number, NULL of anything else. */
static const char *text_of(struct parser *ps, const cJSON *value)
{
    int64_t whole;

    if (cJSON_IsString(value))
        return dup_str(ps, value->valuestring);
    if (json_int(value, &whole))
        return arena_printf(ps->arena, "%lld", (long long)whole);
    return NULL;
}

static const char *text_or(struct parser *ps, const cJSON *object, const char *name,
                           const char *fallback)
{
    const char *text = text_of(ps, json_get(object, name));

    return text ? text : fallback;
}

static void read_drop(struct parser *ps, const cJSON *json, struct team *team)
{
    const cJSON *list = json_get(json, "drop");
    size_t count = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0, n = 0;
    const char **ids;

    if (count == 0)
        return;
    ids = arena_zalloc(ps->arena, count * sizeof(*ids));
    for (const cJSON *child = list->child; child; child = child->next)
        if (cJSON_IsString(child))
            ids[n++] = dup_str(ps, child->valuestring);
    team->drop = ids;
    team->drop_count = n;
}

static void read_over_quota(const cJSON *json, struct team *team)
{
    const cJSON *list = json_get(json, "over_quota");

    for (const cJSON *child = cJSON_IsArray(list) ? list->child : NULL; child;
         child = child->next) {
        struct slice what = slice_cstr(cJSON_IsString(child) ? child->valuestring : "");
        team->over_quota_events = team->over_quota_events || slice_eq(what, SLICE("events"));
        team->over_quota_recordings =
            team->over_quota_recordings || slice_eq(what, SLICE("recordings"));
    }
}

static const char *read_extra(struct parser *ps, const cJSON *json)
{
    const cJSON *quota = json_get(json, "quota");
    struct buf out = BUF_INIT(OBJECT_BYTES_MAX);
    const char *text = "{}";

    if (cJSON_IsObject(quota)) {
        buf_add_str(&out, "{\"quota\":");
        json_write(quota, &out);
        buf_add_char(&out, '}');
        text = arena_dup_cstr(ps->arena, buf_slice(&out));
    }
    buf_free(&out);
    return text;
}

static void read_team(struct parser *ps, const cJSON *json, struct team *team)
{
    const char *webhook = json_str(json, "slack_incoming_webhook");

    if (!json_int(json_get(json, "id"), &team->id))
        team->id = 0;
    team->api_token = text_or(ps, json, "api_token", NULL);
    team->name = text_or(ps, json, "name", NULL);
    if (!team->name)
        team->name = arena_printf(ps->arena, "Team %lld", (long long)team->id);
    team->slack_incoming_webhook = webhook && webhook[0] != '\0' ? dup_str(ps, webhook) : NULL;
    team->bucket = text_or(ps, json, "bucket", DEFAULT_BUCKET);
    team->class_name = text_or(ps, json, "class", "");
    team->organization = text_or(ps, json, "organization", "");
    team->anonymize_ips = json_bool(json, "anonymize_ips", false);
    team->session_recording_opt_in = json_bool(json, "session_recording_opt_in", false);
    read_drop(ps, json, team);
    read_over_quota(json, team);
    team->extra_json = read_extra(ps, json);
}

/* Faults of two objects with one name point at the member that has it. */
static void check_unique_member(struct parser *ps, const char *member, const char *kind,
                                const char *key)
{
    size_t mark = provision_enter_key(&ps->place, member);

    check_unique(ps, kind, key);
    provision_leave(&ps->place, mark);
}

static void parse_teams(struct parser *ps, const cJSON *json)
{
    struct provision *r = ps->result;

    r->teams = arena_zalloc(ps->arena, ((size_t)cJSON_GetArraySize(json) + 1) * sizeof(*r->teams));
    for (const cJSON *child = json->child; child; child = child->next) {
        struct team *team = &r->teams[r->team_count];
        size_t mark = provision_enter_index(&ps->place, r->team_count++);
        const char *id = text_of(ps, json_get(child, "id"));
        provision_check_object(&ps->place, child, provision_team_fields, false);
        read_team(ps, child, team);
        if (id)
            check_unique_member(ps, "id", "id", id);
        if (team->api_token)
            check_unique_member(ps, "api_token", "token", team->api_token);
        provision_leave(&ps->place, mark);
    }
}

static void parse_personal_keys(struct parser *ps, const cJSON *json)
{
    struct provision *r = ps->result;

    r->personal_keys =
        arena_zalloc(ps->arena, ((size_t)cJSON_GetArraySize(json) + 1) * sizeof(*r->personal_keys));
    for (const cJSON *child = json->child; child; child = child->next) {
        struct provision_personal_key *key = &r->personal_keys[r->personal_key_count];
        size_t mark = provision_enter_index(&ps->place, r->personal_key_count++);
        provision_check_object(&ps->place, child, provision_personal_key_fields, false);
        key->key = text_or(ps, child, "key", "");
        if (!json_int(json_get(child, "team"), &key->team_id))
            key->team_id = 0;
        if (json_str(child, "key"))
            check_unique_member(ps, "key", "personal key", key->key);
        provision_leave(&ps->place, mark);
    }
}

/* Replaces a path behind `prefix` in a string by the one joined to the base directory. */
static void join_path(struct parser *ps, cJSON *value, const char *prefix)
{
    struct slice text = slice_cstr(cJSON_IsString(value) ? value->valuestring : NULL);
    struct slice front = slice_cstr(prefix);

    if (!ps->base_dir || text.len <= front.len || !slice_starts(text, front))
        return;
    char *path = fs_join(ps->base_dir, text.ptr + front.len);
    struct buf joined = BUF_INIT(OBJECT_BYTES_MAX);
    buf_addf(&joined, "%s%s", prefix, path);
    CHECK(cJSON_SetValuestring(value, buf_cstr(&joined)) || joined.is_over);
    buf_free(&joined);
    mem_free(path);
}

static void join_paths(struct parser *ps, const char *kind, cJSON *object)
{
    if (slice_eq(slice_cstr(kind), SLICE("plugins"))) {
        join_path(ps, cJSON_GetObjectItemCaseSensitive(object, "source"), "dir:");
        join_path(ps, cJSON_GetObjectItemCaseSensitive(object, "source"), "file:");
    } else if (slice_eq(slice_cstr(kind), SLICE("plugin_configs"))) {
        cJSON *attachments = cJSON_GetObjectItemCaseSensitive(object, "attachments");
        for (cJSON *child = attachments ? attachments->child : NULL; child; child = child->next)
            join_path(ps, child, "");
    }
}

/* NULL when a field that makes the key is missing or of a wrong type, which is a fault already. */
static const char *object_key(struct parser *ps, const struct provision_part *part,
                              const cJSON *object)
{
    const char *first, *second;

    if (part->is_named)
        return dup_str(ps, object->string);
    first = text_of(ps, json_get(object, part->key[0]));
    if (!first || !part->key[1])
        return first;
    second = text_of(ps, json_get(object, part->key[1]));
    return second ? arena_printf(ps->arena, "%s/%s", first, second) : NULL;
}

static void parse_object(struct parser *ps, const struct provision_part *part, cJSON *object)
{
    struct provision_object *o = &ps->result->objects[ps->result->object_count];
    struct buf json = BUF_INIT(OBJECT_BYTES_MAX);
    const char *key;

    part->check(&ps->place, object);
    key = object_key(ps, part, object);
    if (!key)
        return;
    if (!part->is_named)
        check_unique(ps, part->kind, key);
    else if (key[0] == '\0')
        provision_fault(&ps->place, "the name must not be empty");
    if (ps->place.faults->count > 0)
        return;
    join_paths(ps, part->kind, object);
    CHECK(json_write(object, &json));
    *o = (struct provision_object){
        .kind = part->kind, .key = key, .json = arena_dup_cstr(ps->arena, buf_slice(&json))};
    ps->result->object_count++;
    buf_free(&json);
}

static void parse_part(struct parser *ps, const struct provision_part *part, const cJSON *json)
{
    size_t index = 0;

    for (cJSON *child = json->child; child; child = child->next) {
        size_t mark = part->is_named ? provision_enter_key(&ps->place, child->string)
                                     : provision_enter_index(&ps->place, index++);
        parse_object(ps, part, child);
        provision_leave(&ps->place, mark);
    }
}

static const struct provision_part *part_find(const char *kind)
{
    for (size_t i = 0; i < provision_part_count; i++)
        if (slice_eq(slice_cstr(provision_parts[i].kind), slice_cstr(kind)))
            return &provision_parts[i];
    return NULL;
}

static void parse_member(struct parser *ps, const cJSON *json)
{
    struct slice name = slice_cstr(json->string);
    const struct provision_part *part = part_find(json->string);
    bool is_teams = slice_eq(name, SLICE("teams")),
         is_keys = slice_eq(name, SLICE("personal_api_keys"));

    if (!part && !is_teams && !is_keys)
        provision_fault(&ps->place, "unknown key");
    else if (part && part->is_named ? !cJSON_IsObject(json) : !cJSON_IsArray(json))
        provision_fault(&ps->place,
                        part && part->is_named ? "must be an object" : "must be a list");
    else if (part)
        parse_part(ps, part, json);
    else if (is_teams)
        parse_teams(ps, json);
    else
        parse_personal_keys(ps, json);
}

static size_t count_objects(const cJSON *root)
{
    size_t count = 0;

    for (const cJSON *child = root->child; child; child = child->next)
        if (part_find(child->string))
            count += (size_t)cJSON_GetArraySize(child);
    return count;
}

static void parse_root(struct parser *ps, const cJSON *root)
{
    if (!cJSON_IsObject(root)) {
        provision_fault(&ps->place, "must be an object");
        return;
    }
    ps->result->objects =
        arena_zalloc(ps->arena, (count_objects(root) + 1) * sizeof(*ps->result->objects));
    for (const cJSON *child = root->child; child; child = child->next) {
        size_t mark = provision_enter_key(&ps->place, child->string);
        parse_member(ps, child);
        provision_leave(&ps->place, mark);
    }
}

struct provision *provision_parse(struct slice text, const char *base_dir,
                                  struct json_faults *faults)
{
    struct arena *arena = arena_new(ARENA_BLOCK_BYTES);
    struct parser ps = {.place = {.faults = faults}, .arena = arena, .base_dir = base_dir};
    struct err err = ERR_INIT;
    cJSON *root;

    if (slice_starts(text, SLICE("\xef\xbb\xbf")))
        text = slice_make(text.ptr + 3, text.len - 3);
    ps.result = arena_new_obj(arena, struct provision);
    ps.result->memory = arena;
    ps.seen = map_new();
    root = json_parse(text, &err);
    if (root)
        parse_root(&ps, root);
    else
        json_fault(faults, "", "%s", err.text);
    json_free(root);
    map_free(ps.seen);
    buf_free(&ps.place.pointer);
    if (faults->count == 0)
        return ps.result;
    arena_free(arena);
    return NULL;
}

void provision_free(struct provision *p)
{
    if (p)
        arena_free(p->memory);
}

void provision_token_generate(char out[PROVISION_TOKEN_LEN + 1])
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t len = 4;

    memcpy(out, "phc_", len);
    while (len < PROVISION_TOKEN_LEN) {
        unsigned char byte;
        rand_bytes(&byte, 1);
        if (byte < 248) /* the largest multiple of 62: every letter is equally likely */
            out[len++] = letters[byte % 62];
    }
    out[len] = '\0';
}
