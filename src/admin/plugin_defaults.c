#include "admin/plugin_defaults.h"

#include "admin/plugin_change.h"
#include "base/map.h"
#include "base/mem.h"
#include "plugin/loader.h"

#define CONFIG_BYTES_MAX (64u << 20)

struct plugin_defaults {
    struct map *manifests; /* plugin name -> cJSON */
};

struct plugin_defaults *plugin_defaults_new(void)
{
    struct plugin_defaults *d = mem_new(struct plugin_defaults);

    d->manifests = map_new();
    return d;
}

void plugin_defaults_free(struct plugin_defaults *d)
{
    struct map_iter it = {0};
    struct slice key;
    void *value;

    if (!d)
        return;
    while (map_next(d->manifests, &it, &key, &value))
        json_free(value);
    map_free(d->manifests);
    mem_free(d);
}

void plugin_defaults_read(struct plugin_defaults *d, const char *plugin_json)
{
    struct err err = ERR_INIT;
    cJSON *object = json_parse(slice_cstr(plugin_json), &err);
    const char *name = object ? json_str(object, "name") : NULL;
    struct plugin_files files;

    if (name) {
        loader_read(object, 0, &files);
        if (files.manifest)
            json_free(map_put(d->manifests, slice_cstr(name), files.manifest));
        files.manifest = NULL;
        plugin_files_fini(&files);
    }
    json_free(object);
}

static const char *find_here(const struct provision *p, const char *name)
{
    for (size_t i = 0; i < p->object_count; i++)
        if (slice_eq(slice_cstr(p->objects[i].kind), SLICE(PLUGIN_KIND)) &&
            slice_eq(slice_cstr(p->objects[i].key), slice_cstr(name)))
            return p->objects[i].json;
    return NULL;
}

struct plugin_defaults *plugin_defaults_of(const struct provision *p,
                                           const char *(*find)(void *ctx, const char *name),
                                           void *ctx)
{
    struct plugin_defaults *d = plugin_defaults_new();
    struct map *done = map_new();
    struct err err = ERR_INIT;

    for (size_t i = 0; i < p->object_count; i++) {
        if (!slice_eq(slice_cstr(p->objects[i].kind), SLICE(PLUGIN_CONFIG_KIND)))
            continue;
        cJSON *config = json_parse(slice_cstr(p->objects[i].json), &err);
        const char *name = config ? json_str(config, "plugin") : NULL;
        if (name && !map_put(done, slice_cstr(name), d)) {
            const char *plugin = find_here(p, name);
            plugin = plugin ? plugin : find(ctx, name);
            if (plugin)
                plugin_defaults_read(d, plugin);
        }
        json_free(config);
    }
    map_free(done);
    return d;
}

/* The member `config` of the object, made when it is missing. */
static cJSON *settings_of(cJSON *object)
{
    cJSON *settings = cJSON_GetObjectItemCaseSensitive(object, "config");

    if (!settings)
        settings = cJSON_AddObjectToObject(object, "config");
    return settings;
}

char *plugin_defaults_fill(const struct plugin_defaults *d, const char *config_json)
{
    struct buf text = BUF_INIT(CONFIG_BYTES_MAX);
    struct err err = ERR_INIT;
    cJSON *object = json_parse(slice_cstr(config_json), &err);
    const char *name = object ? json_str(object, "plugin") : NULL;
    const cJSON *manifest = name ? map_get(d->manifests, slice_cstr(name)) : NULL;
    char *filled = NULL;

    if (manifest) {
        cJSON *settings = settings_of(object);
        int before = cJSON_GetArraySize(settings);
        manifest_add_defaults(manifest, settings);
        if (cJSON_GetArraySize(settings) > before && json_write(object, &text))
            filled = slice_dup(buf_slice(&text));
    }
    json_free(object);
    buf_free(&text);
    return filled;
}
