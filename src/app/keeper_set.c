/* From stored objects to what runs: each plugin is read once, each config becomes one entry of the
 * set. Whatever is wrong with one is its load error and no failure. */
#include "admin/plugin_change.h"
#include "app/attachment.h"
#include "app/keeper_priv.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/iso8601.h"
#include "base/log.h"
#include "base/mem.h"
#include "plugin/builtin.h"
#include "plugin/loader.h"

#include <stdio.h>
#include <stdlib.h>

#define CONFIG_BYTES_MAX (64u << 20)
#define ERROR_BYTES_MAX  (64u << 10)

/* --- objects ---------------------------------------------------------------------------------- */

static bool is_kind(const char *kind, const char *wanted)
{
    return slice_eq(slice_cstr(kind), slice_cstr(wanted));
}

static bool keep_object(const struct store_object *o, void *ctx)
{
    struct keeper_objects *all = ctx;

    if (!is_kind(o->kind, PLUGIN_KIND) && !is_kind(o->kind, PLUGIN_CONFIG_KIND))
        return true;
    if (all->count == all->cap) {
        all->cap = all->cap ? 2 * all->cap : 16;
        all->items = mem_realloc(all->items, all->cap * sizeof(*all->items));
    }
    all->items[all->count++] = (struct keeper_object){.kind = mem_dup_str(o->kind),
                                                      .key = mem_dup_str(o->key),
                                                      .json = mem_dup_str(o->json),
                                                      .id = o->id};
    return true;
}

bool keeper_objects_read(struct store *store, struct keeper_objects *out, struct err *err)
{
    return store->ops->objects_each(store->self, keep_object, out, err);
}

void keeper_objects_free(struct keeper_objects *o)
{
    for (size_t i = 0; i < o->count; i++) {
        mem_free(o->items[i].kind);
        mem_free(o->items[i].key);
        mem_free(o->items[i].json);
    }
    mem_free(o->items);
    *o = (struct keeper_objects){.items = NULL};
}

/* --- plugins ---------------------------------------------------------------------------------- */

struct plugin {
    struct plugin_listed listed;
    char *source, *about; /* ours; the rest is of the objects */
    struct plugin_files files;
};

struct keeper_catalog {
    struct keeper_objects objects; /* what `listed` points into */
    struct plugin *items;          /* by name, as the store hands them out */
    size_t count;
    struct map *by_name;
};

static void read_plugin(struct plugin *p, const struct keeper_object *o)
{
    struct err err = ERR_INIT;
    cJSON *object = json_parse(slice_cstr(o->json), &err);
    const char *source = object ? json_str(object, "source") : NULL;
    const struct builtin *b;

    loader_read(object, o->id, &p->files);
    b = p->files.builtin ? builtin_find(p->files.builtin) : NULL;
    p->source = mem_dup_str(source ? source : "");
    p->about = mem_dup_str(b                   ? b->about
                           : p->files.manifest ? manifest_description(p->files.manifest)
                                               : "");
    p->listed = (struct plugin_listed){.id = o->id,
                                       .name = o->key,
                                       .source = p->source,
                                       .about = p->about,
                                       .is_builtin = b != NULL,
                                       .json = o->json};
    json_free(object);
}

static struct keeper_catalog *catalog_new(struct keeper_objects *objects)
{
    struct keeper_catalog *c = mem_new(struct keeper_catalog);

    c->objects = *objects;
    *objects = (struct keeper_objects){.items = NULL};
    c->items = mem_new_array(struct plugin, c->objects.count + 1);
    c->by_name = map_new();
    for (size_t i = 0; i < c->objects.count; i++) {
        const struct keeper_object *o = &c->objects.items[i];
        if (!is_kind(o->kind, PLUGIN_KIND))
            continue;
        struct plugin *p = &c->items[c->count++];
        read_plugin(p, o);
        map_put(c->by_name, slice_cstr(o->key), p);
    }
    return c;
}

void keeper_catalog_free(struct keeper_catalog *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++) {
        mem_free(c->items[i].source);
        mem_free(c->items[i].about);
        plugin_files_fini(&c->items[i].files);
    }
    mem_free(c->items);
    map_free(c->by_name);
    keeper_objects_free(&c->objects);
    mem_free(c);
}

const struct plugin_listed *keeper_catalog_find(const struct keeper_catalog *c, const char *name)
{
    const struct plugin *p = c ? map_get(c->by_name, slice_cstr(name)) : NULL;

    return p ? &p->listed : NULL;
}

size_t keeper_catalog_count(const struct keeper_catalog *c)
{
    return c ? c->count : 0;
}

const struct plugin_listed *keeper_catalog_at(const struct keeper_catalog *c, size_t i)
{
    return &c->items[i].listed;
}

/* The files are in the set now; the list needs none of them. */
static void drop_files(struct keeper_catalog *c)
{
    for (size_t i = 0; i < c->count; i++)
        plugin_files_fini(&c->items[i].files);
}

/* --- configs ---------------------------------------------------------------------------------- */

struct building {
    struct keeper_build *out;
    struct plugins *plugins;
    struct plugin_config config;
    struct arena *arena; /* of the config at hand */
};

static bool read_attachment(struct building *b, const cJSON *item, struct plugin_attachment *out)
{
    struct err err = ERR_INIT;

    if (attachment_read(item->string, item->valuestring, b->arena, out, &err))
        return true;
    b->config.load_error = arena_printf(b->arena, "%s", err.text);
    return false;
}

static void read_attachments(struct building *b, const cJSON *list)
{
    size_t count = (size_t)cJSON_GetArraySize(list);
    struct plugin_attachment *all = arena_zalloc(b->arena, (count + 1) * sizeof(*all));
    const cJSON *item;

    b->config.attachments = all;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item))
            continue;
        if (!read_attachment(b, item, &all[b->config.attachment_count]))
            return;
        b->config.attachment_count++;
    }
}

/* What GeoIP gets as an attachment is its database; it may be large and stays a file. */
static void take_geo_path(struct building *b, const cJSON *list)
{
    const cJSON *first = list ? list->child : NULL;

    if (b->config.is_enabled && !b->out->geo_path && cJSON_IsString(first))
        b->out->geo_path = mem_dup_str(first->valuestring);
}

static void use_plugin(struct building *b, const struct plugin *p, const char *name)
{
    struct plugin_config *c = &b->config;

    if (!p) {
        c->load_error = arena_printf(b->arena, "There is no plugin \"%s\"", name);
        return;
    }
    c->plugin_id = p->listed.id;
    c->builtin = p->files.builtin;
    c->source = slice_make(p->files.source, p->files.source_len);
    c->source_path = p->files.source_path;
    c->load_error = p->files.load_error;
}

/* People see it before the first event meets it. */
static void show_load_error(const struct plugin_config *c)
{
    struct buf json = BUF_INIT(ERROR_BYTES_MAX);
    char time[ISO8601_LEN_MAX];

    buf_add_str(&json, "{\"message\":");
    buf_add_json_str(&json, slice_cstr(c->load_error));
    buf_addf(&json, ",\"time\":\"%s\"}", iso8601_ms(clock_wall_us(), time));
    plugin_state_set_error(c->state, buf_cstr(&json));
    buf_free(&json);
    log_warn("plugin", "a plugin cannot be loaded, events pass it by",
             KV_STR("plugin", c->plugin_name), KV_I64("plugin_config", c->id),
             KV_STR("why", c->load_error));
}

static void add_config(struct building *b, const struct keeper_catalog *catalog,
                       const struct keeper_object *o, const cJSON *object)
{
    const char *name = json_str(object, "plugin");
    const cJSON *settings = json_get(object, "config"), *list = json_get(object, "attachments");
    struct buf json = BUF_INIT(CONFIG_BYTES_MAX);
    int64_t order = 0;

    b->config = (struct plugin_config){.id = o->id, .plugin_name = name ? name : ""};
    b->config.is_enabled = json_bool(object, "enabled", true);
    if (!json_int(json_get(object, "team"), &b->config.team_id))
        b->config.team_id = 0;
    if (json_int(json_get(object, "order"), &order))
        b->config.order = (int)MIN(MAX(order, INT32_MIN), INT32_MAX);
    use_plugin(b, map_get(catalog->by_name, slice_cstr(b->config.plugin_name)),
               b->config.plugin_name);
    if (b->config.builtin)
        take_geo_path(b, list);
    else if (!b->config.load_error && b->config.is_enabled)
        read_attachments(b, list);
    b->config.config_json = settings && json_write(settings, &json) ? buf_cstr(&json) : "{}";
    b->config.state = plugins_state(b->plugins, o->id);
    if (b->config.is_enabled && b->config.load_error)
        show_load_error(&b->config);
    b->out->js_count += b->config.is_enabled && !b->config.builtin && !b->config.load_error;
    plugin_set_add(b->out->set, &b->config);
    plugin_state_unref(b->config.state);
    buf_free(&json);
}

void keeper_set_build(struct plugins *plugins, struct keeper_objects *objects,
                      struct keeper_build *out)
{
    struct building b = {.out = out, .plugins = plugins, .arena = arena_new(4096)};
    struct keeper_catalog *catalog = catalog_new(objects);

    *out = (struct keeper_build){.set = plugin_set_new(), .catalog = catalog};
    for (size_t i = 0; i < catalog->objects.count; i++) {
        const struct keeper_object *o = &catalog->objects.items[i];
        struct err err = ERR_INIT;
        cJSON *object =
            is_kind(o->kind, PLUGIN_CONFIG_KIND) ? json_parse(slice_cstr(o->json), &err) : NULL;
        if (object)
            add_config(&b, catalog, o, object);
        json_free(object);
        arena_reset(b.arena);
    }
    plugin_set_seal(out->set);
    drop_files(catalog);
    arena_free(b.arena);
}
