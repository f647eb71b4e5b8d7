#include "plugin/manifest.h"

cJSON *manifest_parse(struct slice text, struct err *err)
{
    static const struct slice mark = {"\xef\xbb\xbf", 3}; /* some editors begin a file with it */
    bool is_marked = slice_starts(text, mark);
    cJSON *json = json_parse(is_marked ? slice_make(text.ptr + 3, text.len - 3) : text, err);

    if (json && !cJSON_IsObject(json)) {
        json_free(json);
        err_set(err, ERR_INPUT, "plugin.json must be an object");
        return NULL;
    }
    return json;
}

const char *manifest_main(const cJSON *manifest)
{
    const char *path = json_str(manifest, "main");

    return path && *path ? path : NULL;
}

const char *manifest_description(const cJSON *manifest)
{
    const char *text = json_str(manifest, "description");

    return text ? text : "";
}

/* Attachments are no part of a config; a text block for the form has no key. */
static void add_default(const char *key, const cJSON *field, cJSON *config)
{
    const cJSON *value = json_get(field, "default");
    const char *type = json_str(field, "type");

    if (!key || !value || cJSON_IsNull(value) || json_get(config, key) ||
        (type && slice_eq(slice_cstr(type), SLICE("attachment"))))
        return;
    cJSON *copy = cJSON_Duplicate(value, true);
    CHECK(copy && cJSON_AddItemToObject(config, key, copy));
}

void manifest_add_defaults(const cJSON *manifest, cJSON *config)
{
    const cJSON *schema = json_get(manifest, "config"), *field;
    bool is_list = cJSON_IsArray(schema);

    if (!is_list && !cJSON_IsObject(schema))
        return;
    cJSON_ArrayForEach(field, schema) if (cJSON_IsObject(field))
        add_default(is_list ? json_str(field, "key") : field->string, field, config);
}
