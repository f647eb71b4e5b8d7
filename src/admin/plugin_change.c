/* Objects are changed as trees and written back compact, so that what is not touched stays. */
#include "admin/plugin_change.h"

#include "base/mem.h"

#define OBJECT_BYTES_MAX (64u << 20)
#define GEOIP_NAME       "GeoIP"
#define GEOIP_SOURCE     "builtin:geoip"

static bool str_is(const char *a, const char *b)
{
    return a && b && slice_eq(slice_cstr(a), slice_cstr(b));
}

static void set(cJSON *object, const char *name, cJSON *value)
{
    CHECK(value);
    if (json_get(object, name))
        CHECK(cJSON_ReplaceItemInObjectCaseSensitive(object, name, value));
    else
        CHECK(cJSON_AddItemToObject(object, name, value));
}

static bool put_object(struct store *store, const char *kind, const char *key, const cJSON *object,
                       struct err *err)
{
    struct buf text = BUF_INIT(OBJECT_BYTES_MAX);
    struct store_object o = {.kind = kind, .key = key};

    json_write(object, &text);
    o.json = buf_cstr(&text);
    bool ok = !text.is_over
                  ? store->ops->object_put(store->self, &o, err)
                  : err_set(err, ERR_LIMIT, "%s %s is longer than %zu bytes", kind, key, text.max);
    buf_free(&text);
    return ok;
}

/* --- enable ----------------------------------------------------------------------------------- */

struct enabling {
    struct store *store;
    bool is_enabled;
    bool is_found, ok;
    struct err *err;
};

static bool enable_object(const struct store_object *o, void *ctx)
{
    struct enabling *e = ctx;
    cJSON *object = json_parse(slice_cstr(o->json), e->err);

    e->is_found = true;
    e->ok = object != NULL;
    if (object && json_bool(object, "enabled", true) != e->is_enabled) {
        set(object, "enabled", cJSON_CreateBool(e->is_enabled));
        e->ok = put_object(e->store, o->kind, o->key, object, e->err);
    }
    json_free(object);
    return true;
}

bool plugin_change_enable(struct store *store, int64_t config_id, bool is_enabled, struct err *err)
{
    struct enabling e = {.store = store, .is_enabled = is_enabled, .err = err};

    if (!store->ops->object_get(store->self, PLUGIN_CONFIG_KIND, config_id, enable_object, &e, err))
        return false;
    if (!e.is_found)
        return err_set(err, ERR_GONE, "there is no plugin config %lld", (long long)config_id);
    return e.ok;
}

/* --- looking at what is stored ---------------------------------------------------------------- */

/* What one pass over all objects tells of a plugin and a team. */
struct look {
    int64_t team_id;
    const char *name;     /* of the plugin that is looked for; NULL: GeoIP, by its source */
    char *found;          /* its name */
    bool is_name_taken;   /* GEOIP_NAME stands for another plugin */
    char *geoip_names[8]; /* plugins with GeoIP's source; more make no sense */
    size_t geoip_count;
    bool has_geoip;
    char *config;      /* JSON of the team's config of it */
    int64_t order_max; /* of the team's configs */
    bool has_configs;
};

static void look_at_plugin(struct look *l, const struct store_object *o, const cJSON *object)
{
    bool is_geoip = str_is(json_str(object, "source"), GEOIP_SOURCE);

    if (l->name && str_is(o->key, l->name) && !l->found)
        l->found = mem_dup_str(o->key);
    if (is_geoip && l->geoip_count < ARRAY_LEN(l->geoip_names))
        l->geoip_names[l->geoip_count++] = mem_dup_str(o->key);
    if (!is_geoip && str_is(o->key, GEOIP_NAME))
        l->is_name_taken = true;
}

static void look_at_config(struct look *l, const struct store_object *o, const cJSON *object)
{
    int64_t team = 0, order = 0;
    const char *plugin = json_str(object, "plugin");

    if (!json_int(json_get(object, "team"), &team) || team != l->team_id)
        return;
    if (!json_int(json_get(object, "order"), &order))
        order = 0;
    l->order_max = l->has_configs ? MAX(l->order_max, order) : order;
    l->has_configs = true;
    for (size_t i = 0; i < l->geoip_count; i++)
        l->has_geoip |= str_is(plugin, l->geoip_names[i]);
    if (str_is(plugin, l->name) && !l->config)
        l->config = mem_dup_str(o->json);
}

struct pass {
    struct look *look;
    const char *kind;
    void (*at)(struct look *l, const struct store_object *o, const cJSON *object);
};

static bool look_at(const struct store_object *o, void *ctx)
{
    const struct pass *p = ctx;
    struct err err = ERR_INIT;

    if (str_is(o->kind, p->kind)) {
        cJSON *object = json_parse(slice_cstr(o->json), &err);
        if (object)
            p->at(p->look, o, object);
        json_free(object);
    }
    return true;
}

/* Plugins first: configs name them. */
static bool look(struct store *store, struct look *l, struct err *err)
{
    struct pass plugins = {.look = l, .kind = PLUGIN_KIND, .at = look_at_plugin};
    struct pass configs = {.look = l, .kind = PLUGIN_CONFIG_KIND, .at = look_at_config};

    return store->ops->objects_each(store->self, look_at, &plugins, err) &&
           store->ops->objects_each(store->self, look_at, &configs, err);
}

static void look_fini(struct look *l)
{
    mem_free(l->found);
    mem_free(l->config);
    for (size_t i = 0; i < l->geoip_count; i++)
        mem_free(l->geoip_names[i]);
}

static cJSON *config_new(int64_t team_id, const char *plugin, int64_t order)
{
    cJSON *object = cJSON_CreateObject();

    set(object, "plugin", cJSON_CreateString(plugin));
    set(object, "team", cJSON_CreateNumber((double)team_id));
    set(object, "order", cJSON_CreateNumber((double)order));
    set(object, "enabled", cJSON_CreateTrue());
    set(object, "config", cJSON_CreateObject());
    return object;
}

/* The key that the provision file gives a config. */
static bool put_config(struct store *store, int64_t team_id, const char *plugin,
                       const cJSON *object, struct err *err)
{
    struct buf key = BUF_INIT(4096);

    buf_addf(&key, "%lld/%s", (long long)team_id, plugin);
    bool ok = put_object(store, PLUGIN_CONFIG_KIND, buf_cstr(&key), object, err);
    buf_free(&key);
    return ok;
}

/* --- GeoIP ------------------------------------------------------------------------------------ */

static bool put_geoip(struct store *store, const struct look *l, struct err *err)
{
    const char *name = l->geoip_count ? l->geoip_names[0] : GEOIP_NAME;
    cJSON *config;
    bool ok = true;

    if (!l->geoip_count) {
        cJSON *plugin = cJSON_CreateObject();
        set(plugin, "name", cJSON_CreateString(GEOIP_NAME));
        set(plugin, "source", cJSON_CreateString(GEOIP_SOURCE));
        ok = put_object(store, PLUGIN_KIND, GEOIP_NAME, plugin, err);
        json_free(plugin);
    }
    config = config_new(l->team_id, name, 0);
    ok = ok && put_config(store, l->team_id, name, config, err);
    json_free(config);
    return ok;
}

bool plugin_change_geoip(struct store *store, int64_t team_id, struct err *err)
{
    struct look l = {.team_id = team_id};
    bool ok = look(store, &l, err);

    if (ok && !l.has_geoip && (l.geoip_count || !l.is_name_taken))
        ok = put_geoip(store, &l, err);
    look_fini(&l);
    return ok;
}

/* --- put -------------------------------------------------------------------------------------- */

/* *team_id 0: the plugin alone. */
static bool choose_team(struct store *store, const struct plugin_put *put, bool is_known,
                        int64_t *team_id, struct err *err)
{
    struct team_set *set = NULL;

    if (!store->ops->teams_load(store->self, &set, err))
        return false;
    size_t count = team_set_count(set);
    bool is_there = put->team_id && team_by_id(set, put->team_id);
    *team_id = is_there ? put->team_id : count == 1 ? team_set_at(set, 0)->id : 0;
    team_set_unref(set);
    if (put->team_id && !is_there)
        return err_set(err, ERR_INPUT, "/team: there is no team %lld", (long long)put->team_id);
    if (!*team_id && (!is_known || put->config->child))
        return err_set(err, ERR_INPUT, "/team: there are %zu teams, say for which one", count);
    return true;
}

/* What is given replaces what is stored; `config` as a whole. */
static bool put_config_of(struct store *store, const struct plugin_put *put, const struct look *l,
                          struct err *err)
{
    cJSON *object = l->config
                        ? json_parse(slice_cstr(l->config), err)
                        : config_new(l->team_id, l->name, l->has_configs ? l->order_max + 1 : 0);
    struct buf text = BUF_INIT(OBJECT_BYTES_MAX);
    const cJSON *given;

    if (!object)
        return false;
    cJSON_ArrayForEach(given, put->config) set(object, given->string, cJSON_Duplicate(given, true));
    json_write(object, &text);
    char *filled = put->defaults ? plugin_defaults_fill(put->defaults, buf_cstr(&text)) : NULL;
    if (filled) {
        json_free(object);
        object = json_parse(slice_cstr(filled), err);
    }
    bool ok = object && put_config(store, l->team_id, l->name, object, err);
    json_free(object);
    mem_free(filled);
    buf_free(&text);
    return ok;
}

bool plugin_change_put(struct store *store, const struct plugin_put *put, struct err *err)
{
    const struct provision_object *p = put->plugin;
    struct store_object plugin = {.kind = p->kind, .key = p->key, .json = p->json};
    struct look known = {.name = p->key}, l = {.name = p->key};
    bool ok = look(store, &known, err) &&
              choose_team(store, put, known.found != NULL, &l.team_id, err) &&
              store->ops->object_put(store->self, &plugin, err);

    if (ok && l.team_id)
        ok = look(store, &l, err) && put_config_of(store, put, &l, err);
    look_fini(&known);
    look_fini(&l);
    return ok;
}
