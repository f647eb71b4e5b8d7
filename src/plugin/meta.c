/* The meta object: one per vm, handed to every hook as its last argument. */
#include "plugin/vm_priv.h"

static JSValue config_new(JSContext *ctx, const char *json)
{
    if (!json || !*json)
        return JS_NewObject(ctx);
    return JS_ParseJSON(ctx, json, strlen(json), "config");
}

static bool set(JSContext *ctx, JSValueConst object, const char *name, JSValue value)
{
    return !JS_IsException(value) &&
           JS_DefinePropertyValueStr(ctx, object, name, value, JS_PROP_C_W_E) >= 0;
}

/* A Buffer of its own: a plugin may write into it. */
static JSValue contents_new(struct vm *vm, struct slice bytes)
{
    JSContext *ctx = vm->ctx;
    JSValue store =
        JS_NewArrayBufferCopy(ctx, (const uint8_t *)(bytes.ptr ? bytes.ptr : ""), bytes.len);
    JSValue made;

    if (JS_IsException(store))
        return store;
    made = JS_CallConstructor(ctx, vm->buffer_class, 1, (JSValueConst *)&store);
    JS_FreeValue(ctx, store);
    return made;
}

static JSValue attachment_new(struct vm *vm, const struct plugin_attachment *a)
{
    JSContext *ctx = vm->ctx;
    JSValue object = JS_NewObject(ctx);

    if (!JS_IsException(object) &&
        set(ctx, object, "content_type", JS_NewString(ctx, a->content_type)) &&
        set(ctx, object, "file_name", JS_NewString(ctx, a->file_name)) &&
        set(ctx, object, "contents", contents_new(vm, a->contents)))
        return object;
    JS_FreeValue(ctx, object);
    return JS_EXCEPTION;
}

static JSValue attachments_new(struct vm *vm, const struct plugin_config *config)
{
    JSValue all = JS_NewObject(vm->ctx);
    bool ok = !JS_IsException(all);

    for (size_t i = 0; i < config->attachment_count && ok; i++)
        ok = set(vm->ctx, all, config->attachments[i].key,
                 attachment_new(vm, &config->attachments[i]));
    if (ok)
        return all;
    JS_FreeValue(vm->ctx, all);
    return JS_EXCEPTION;
}

static JSValue utils_new(JSContext *ctx)
{
    JSValue utils = JS_NewObject(ctx);

    if (!JS_IsException(utils) && set(ctx, utils, "cursor", host_cursor_new(ctx)))
        return utils;
    JS_FreeValue(ctx, utils);
    return JS_EXCEPTION;
}

JSValue meta_new(struct vm *vm, const struct plugin_config *config)
{
    JSContext *ctx = vm->ctx;
    JSValue meta = JS_NewObject(ctx);

    if (!JS_IsException(meta) && set(ctx, meta, "config", config_new(ctx, config->config_json)) &&
        set(ctx, meta, "attachments", attachments_new(vm, config)) &&
        set(ctx, meta, "global", JS_NewObject(ctx)) &&
        set(ctx, meta, "cache", host_cache_new(ctx)) &&
        set(ctx, meta, "storage", host_storage_new(ctx)) &&
        set(ctx, meta, "geoip", host_geoip_new(ctx)) &&
        set(ctx, meta, "jobs", host_jobs_new(ctx)) && set(ctx, meta, "utils", utils_new(ctx)))
        return meta;
    JS_FreeValue(ctx, meta);
    return JS_EXCEPTION;
}
