/* meta.cache: plugin/cache.h as promises. Keys are private to plugin and team. */
#include "plugin/cache.h"

#include "base/mem.h"
#include "plugin/vm_host.h"

#include <math.h>
#include <stdio.h>

#define KEY_BYTES_MAX   (64 << 10)
#define PUSH_ITEMS_MAX  1000
#define TTL_SECONDS_MAX 1e11

enum method {
    CACHE_SET,
    CACHE_GET,
    CACHE_INCR,
    CACHE_EXPIRE,
    CACHE_LPUSH,
    CACHE_LRANGE,
    CACHE_LLEN,
    CACHE_LPOP,
    CACHE_LREM
};

struct cache_call {
    JSContext *ctx;
    struct vm *vm;
    struct plugin_cache *cache;
    struct buf key;
    int argc;
    JSValueConst *argv;
};

static JSValueConst argument(const struct cache_call *c, int at)
{
    return at < c->argc ? c->argv[at] : JS_UNDEFINED;
}

static JSValue fault(JSContext *ctx, enum plugin_cache_result result)
{
    return vm_throw(ctx, "ReplyError", "%s", plugin_cache_text(result));
}

/* A number as an index or count; Infinity is the last one there is, NaN 0. */
static bool count_read(JSContext *ctx, JSValueConst value, int64_t *count)
{
    double number;

    if (JS_ToFloat64(ctx, &number, value) < 0)
        return false;
    *count = isnan(number) ? 0 : (int64_t)MAX(MIN(number, 1e15), -1e15);
    return true;
}

/* The text of a value by String(); false with an exception. */
static bool text_add(JSContext *ctx, JSValueConst value, struct buf *out)
{
    size_t len;
    const char *raw = JS_ToCStringLen(ctx, &len, value);
    bool ok;

    if (!raw)
        return false;
    ok = buf_add(out, raw, len);
    JS_FreeCString(ctx, raw);
    if (!ok)
        vm_throw(ctx, NULL, "cache: more than %zu bytes", out->max);
    return ok;
}

static bool key_make(struct cache_call *c)
{
    const struct plugin_config *config = vm_config(c->vm);

    return plugin_cache_add_prefix(&c->key, config->plugin_id, config->team_id) &&
           text_add(c->ctx, argument(c, 0), &c->key);
}

/* {jsonSerialize: false}: strings as they are. -1: exception. */
static int is_json(const struct cache_call *c, int at)
{
    JSValue value;
    int result;

    if (!JS_IsObject(argument(c, at)))
        return 1;
    value = JS_GetPropertyStr(c->ctx, argument(c, at), "jsonSerialize");
    if (JS_IsException(value))
        return -1;
    result = JS_IsUndefined(value) ? 1 : JS_ToBool(c->ctx, value);
    JS_FreeValue(c->ctx, value);
    return result;
}

static struct buf bytes_of_memory(const struct cache_call *c)
{
    return BUF_INIT(vm_options(c->vm)->limits.memory_bytes);
}

/* --- values ----------------------------------------------------------------------------------- */

static JSValue cache_set(struct cache_call *c)
{
    int json = is_json(c, 3);
    struct buf text = bytes_of_memory(c);
    JSValue value = JS_DupValue(c->ctx, argument(c, 1));
    double ttl = 0;
    bool ok = json >= 0;

    if (ok && json) {
        JS_FreeValue(c->ctx, value);
        value = JS_JSONStringify(c->ctx, argument(c, 1), JS_UNDEFINED, JS_UNDEFINED);
    }
    ok = ok && !JS_IsException(value) && text_add(c->ctx, value, &text) &&
         (JS_IsUndefined(argument(c, 2)) || JS_ToFloat64(c->ctx, &ttl, argument(c, 2)) >= 0);
    JS_FreeValue(c->ctx, value);
    if (ok)
        plugin_cache_set(c->cache, buf_slice(&c->key), buf_slice(&text),
                         ttl > 0 && ttl < TTL_SECONDS_MAX ? (int64_t)(ttl * 1e6) : 0);
    buf_free(&text);
    return ok ? JS_UNDEFINED : JS_EXCEPTION;
}

/* What is missing or cannot be read is null, whatever default was named: plugins rely on it. */
static JSValue cache_get(struct cache_call *c)
{
    int json = is_json(c, 2);
    struct buf text = bytes_of_memory(c);
    enum plugin_cache_result result = CACHE_NONE;
    JSValue value = JS_NULL;

    if (json < 0)
        return JS_EXCEPTION;
    result = plugin_cache_get(c->cache, buf_slice(&c->key), &text);
    if (result == CACHE_WRONG_TYPE) {
        value = fault(c->ctx, result);
    } else if (result == CACHE_OK && !json) {
        value = JS_NewStringLen(c->ctx, text.ptr ? text.ptr : "", text.len);
    } else if (result == CACHE_OK && text.len > 0) {
        text.max++; // for the NUL
        value = JS_ParseJSON(c->ctx, buf_cstr(&text), text.len, "cache");
        if (JS_IsException(value)) {
            JS_FreeValue(c->ctx, JS_GetException(c->ctx));
            value = JS_NULL;
        }
    }
    buf_free(&text);
    return value;
}

static JSValue cache_incr(struct cache_call *c)
{
    int64_t value;
    enum plugin_cache_result result = plugin_cache_incr(c->cache, buf_slice(&c->key), &value);

    return result == CACHE_OK ? JS_NewInt64(c->ctx, value) : fault(c->ctx, result);
}

static JSValue cache_expire(struct cache_call *c)
{
    double seconds;

    if (JS_ToFloat64(c->ctx, &seconds, argument(c, 1)) < 0)
        return JS_EXCEPTION;
    if (isnan(seconds))
        return vm_throw(c->ctx, "ReplyError", "ERR value is not an integer or out of range");
    seconds = MIN(MAX(seconds, 0), TTL_SECONDS_MAX);
    return JS_NewBool(c->ctx,
                      plugin_cache_expire(c->cache, buf_slice(&c->key), (int64_t)(seconds * 1e6)));
}

/* --- lists ------------------------------------------------------------------------------------ */

/* Items as length and bytes, copied while the cache is locked. */
static void copy_item(void *ctx, struct slice item)
{
    struct buf *all = (struct buf *)ctx;

    if (buf_reserve(all, sizeof(item.len) + item.len)) {
        buf_add(all, &item.len, sizeof(item.len));
        buf_add_slice(all, item);
    }
}

static JSValue array_of_items(JSContext *ctx, const struct buf *all)
{
    JSValue array = JS_NewArray(ctx);
    uint32_t count = 0;

    for (size_t at = 0, len; at < all->len && !JS_IsException(array); at += sizeof(len) + len) {
        JSValue item;

        memcpy(&len, all->ptr + at, sizeof(len));
        item = JS_NewStringLen(ctx, all->ptr + at + sizeof(len), len);
        if (JS_IsException(item) ||
            JS_DefinePropertyValueUint32(ctx, array, count++, item, JS_PROP_C_W_E) < 0) {
            JS_FreeValue(ctx, array);
            array = JS_EXCEPTION;
        }
    }
    return array;
}

static JSValue items_result(struct cache_call *c, enum plugin_cache_result result, struct buf *all)
{
    JSValue value;

    if (result == CACHE_WRONG_TYPE)
        value = fault(c->ctx, result);
    else if (result == CACHE_NONE)
        value = JS_NULL;
    else if (all->is_over)
        value = vm_throw(c->ctx, NULL, "cache: the list has more than %zu bytes", all->max);
    else
        value = array_of_items(c->ctx, all);
    buf_free(all);
    return value;
}

/* The texts of an array or of one string, in the order given. The slices point into *bytes. */
static bool items_read(struct cache_call *c, uint32_t count, bool is_array, struct buf *bytes,
                       struct slice *items)
{
    size_t ends[PUSH_ITEMS_MAX];

    for (uint32_t i = 0; i < count; i++) {
        JSValue item = is_array ? JS_GetPropertyUint32(c->ctx, argument(c, 1), i)
                                : JS_DupValue(c->ctx, argument(c, 1));
        bool ok = !JS_IsException(item) && text_add(c->ctx, item, bytes);

        JS_FreeValue(c->ctx, item);
        if (!ok)
            return false;
        ends[i] = bytes->len;
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t from = i ? ends[i - 1] : 0;

        items[i] = slice_make(bytes->ptr + from, ends[i] - from);
    }
    return true;
}

static JSValue cache_lpush(struct cache_call *c)
{
    struct slice items[PUSH_ITEMS_MAX];
    struct buf bytes = bytes_of_memory(c);
    enum plugin_cache_result result = CACHE_OK;
    int is_array = JS_IsArray(c->ctx, argument(c, 1));
    uint32_t count = 1;
    size_t length = 0;
    bool ok;

    if (is_array < 0)
        return JS_EXCEPTION;
    if (!is_array && !JS_IsString(argument(c, 1)))
        return vm_throw(c->ctx, "IllegalOperationError",
                        "cache.lpush expects a string value or an array of strings");
    if (is_array) {
        JSValue n = JS_GetPropertyStr(c->ctx, argument(c, 1), "length");

        ok = !JS_IsException(n) && JS_ToUint32(c->ctx, &count, n) >= 0;
        JS_FreeValue(c->ctx, n);
        if (!ok)
            return JS_EXCEPTION;
    }
    if (count > PUSH_ITEMS_MAX)
        return vm_throw(c->ctx, "IllegalOperationError",
                        "Too many elements in array for cache.lpush. Maximum: %d", PUSH_ITEMS_MAX);
    ok = items_read(c, count, is_array, &bytes, items);
    if (ok)
        result = plugin_cache_push(c->cache, buf_slice(&c->key), items, count, &length);
    buf_free(&bytes);
    if (!ok)
        return JS_EXCEPTION;
    return result == CACHE_OK ? JS_NewInt64(c->ctx, (int64_t)length) : fault(c->ctx, result);
}

static JSValue cache_lrange(struct cache_call *c)
{
    struct buf all = bytes_of_memory(c);
    enum plugin_cache_result result;
    int64_t start, end;

    if (!JS_IsNumber(argument(c, 1)) || !JS_IsNumber(argument(c, 2)))
        return vm_throw(c->ctx, "IllegalOperationError",
                        "cache.lrange expects a number for the start and end indexes");
    if (!count_read(c->ctx, argument(c, 1), &start) || !count_read(c->ctx, argument(c, 2), &end))
        return JS_EXCEPTION;
    result = plugin_cache_range(c->cache, buf_slice(&c->key), start, end, copy_item, &all);
    return items_result(c, result, &all);
}

static JSValue cache_llen(struct cache_call *c)
{
    size_t length;
    enum plugin_cache_result result = plugin_cache_length(c->cache, buf_slice(&c->key), &length);

    return result == CACHE_OK ? JS_NewInt64(c->ctx, (int64_t)length) : fault(c->ctx, result);
}

static JSValue cache_lpop(struct cache_call *c)
{
    struct buf all = bytes_of_memory(c);
    enum plugin_cache_result result;
    int64_t count;

    if (!JS_IsNumber(argument(c, 1)))
        return vm_throw(c->ctx, "IllegalOperationError",
                        "cache.lpop expects a number for the \"count\" argument");
    if (!count_read(c->ctx, argument(c, 1), &count))
        return JS_EXCEPTION;
    result = plugin_cache_pop(c->cache, buf_slice(&c->key), (size_t)MAX(count, 0), copy_item, &all);
    return items_result(c, result, &all);
}

static JSValue cache_lrem(struct cache_call *c)
{
    struct buf item = bytes_of_memory(c);
    enum plugin_cache_result result = CACHE_OK;
    int64_t count = 0;
    size_t removed = 0;
    bool ok;

    if (!JS_IsNumber(argument(c, 1)))
        return vm_throw(c->ctx, "IllegalOperationError",
                        "cache.lrem expects a number for the \"count\" argument");
    ok = count_read(c->ctx, argument(c, 1), &count) && text_add(c->ctx, argument(c, 2), &item);
    if (ok)
        result =
            plugin_cache_remove(c->cache, buf_slice(&c->key), count, buf_slice(&item), &removed);
    buf_free(&item);
    if (!ok)
        return JS_EXCEPTION;
    return result == CACHE_OK ? JS_NewInt64(c->ctx, (int64_t)removed) : fault(c->ctx, result);
}

/* --- the object ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int length;
    JSValue (*run)(struct cache_call *c);
} methods[] = {
    [CACHE_SET] = {"set", 2, cache_set},       [CACHE_GET] = {"get", 2, cache_get},
    [CACHE_INCR] = {"incr", 1, cache_incr},    [CACHE_EXPIRE] = {"expire", 2, cache_expire},
    [CACHE_LPUSH] = {"lpush", 2, cache_lpush}, [CACHE_LRANGE] = {"lrange", 3, cache_lrange},
    [CACHE_LLEN] = {"llen", 1, cache_llen},    [CACHE_LPOP] = {"lpop", 2, cache_lpop},
    [CACHE_LREM] = {"lrem", 3, cache_lrem},
};

static JSValue cache_method(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                            int magic)
{
    struct vm *vm = vm_of_call(ctx);
    struct cache_call c = {
        .ctx = ctx, .vm = vm, .argc = argc, .argv = argv, .key = BUF_INIT(KEY_BYTES_MAX)};
    JSValue value = JS_EXCEPTION;

    UNUSED(this_value);
    if (!vm)
        return JS_EXCEPTION;
    c.cache = vm_cache(vm);
    if (key_make(&c))
        value = methods[magic].run(&c);
    buf_free(&c.key);
    return vm_promise_of(ctx, value);
}

JSValue host_cache_new(JSContext *ctx)
{
    JSValue cache = JS_NewObject(ctx);
    bool ok = !JS_IsException(cache);

    for (size_t i = 0; i < ARRAY_LEN(methods) && ok; i++)
        ok = vm_define_function(ctx, cache, methods[i].name, cache_method, methods[i].length,
                                (int)i);
    if (ok)
        return cache;
    JS_FreeValue(ctx, cache);
    return JS_EXCEPTION;
}
