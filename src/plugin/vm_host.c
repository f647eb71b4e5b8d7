/* What host objects need of their vm. */
#include "plugin/vm_host.h"

#include "base/utf8.h"
#include "plugin/vm_priv.h"

#include <stdarg.h>
#include <stdio.h>

struct vm *vm_of(JSContext *ctx)
{
    return (struct vm *)JS_GetContextOpaque(ctx);
}

/* As the engine ends what runs on: no `catch` sees it. */
static void throw_interrupted(JSContext *ctx)
{
    JSValue e;

    JS_ThrowInternalError(ctx, "interrupted");
    e = JS_GetException(ctx);
    JS_SetUncatchableError(ctx, e, true);
    JS_Throw(ctx, e);
}

/* The engine looks at the clock once in ten thousand steps, and each may be a call of ours that
 * moves megabytes. */
struct vm *vm_of_call(JSContext *ctx)
{
    struct vm *vm = vm_of(ctx);

    if (!vm) {
        vm_throw(ctx, NULL, "the plugin has been unloaded");
        return NULL;
    }
    if (!runtime_is_overdue(vm->runtime))
        return vm;
    throw_interrupted(ctx);
    return NULL;
}

struct host *vm_host(struct vm *vm)
{
    return &vm->host;
}

const struct plugins_options *vm_options(const struct vm *vm)
{
    return vm->runtime->options;
}

struct plugin_cache *vm_cache(const struct vm *vm)
{
    return plugins_cache(vm->runtime->plugins);
}

struct timers *vm_timers(const struct vm *vm)
{
    return plugin_worker_timers(vm->runtime->worker);
}

struct plugin_worker *vm_worker(const struct vm *vm)
{
    return vm->runtime->worker;
}

void vm_worker_expect(struct plugin_worker *w, int count)
{
    plugin_worker_expect(w, count);
}

const struct geo_db *vm_geo(struct vm *vm)
{
    struct runtime *rt = vm->runtime;

    return rt->options->geo ? geo_cached(rt->options->geo, &rt->geo) : NULL;
}

JSValueConst vm_buffer_class(const struct vm *vm)
{
    return vm->buffer_class;
}

void vm_report_pending(struct vm *vm)
{
    struct plugin_error e = {0};

    vm_take_error(vm, &e);
    vm_report(vm, &e, SLICE_NONE);
    plugin_error_fini(&e);
}

JSValue vm_promise_of(JSContext *ctx, JSValue value)
{
    struct vm *vm = vm_of(ctx);
    bool is_failure = JS_IsException(value);
    JSValue funcs[2], promise, done;

    if (is_failure && (!vm || vm->runtime->is_interrupted || vm->runtime->is_out))
        return JS_EXCEPTION;
    if (is_failure)
        value = JS_GetException(ctx);
    promise = JS_NewPromiseCapability(ctx, funcs);
    if (JS_IsException(promise)) {
        JS_FreeValue(ctx, value);
        return JS_EXCEPTION;
    }
    done = JS_Call(ctx, funcs[is_failure], JS_UNDEFINED, 1, (JSValueConst *)&value);
    JS_FreeValue(ctx, funcs[0]);
    JS_FreeValue(ctx, funcs[1]);
    JS_FreeValue(ctx, value);
    if (JS_IsException(done)) {
        JS_FreeValue(ctx, promise);
        return JS_EXCEPTION;
    }
    JS_FreeValue(ctx, done);
    return promise;
}

bool vm_host_call_begin(struct vm *vm, size_t bytes)
{
    struct runtime *rt = vm->runtime;

    if (rt->host_calls >= VM_HOST_CALLS_MAX) {
        vm_throw(vm->ctx, NULL, "too many calls under way (%d)", VM_HOST_CALLS_MAX);
        return false;
    }
    if (bytes >
        rt->options->limits.memory_bytes - MIN(rt->host_bytes, rt->options->limits.memory_bytes)) {
        vm_throw(vm->ctx, NULL,
                 "the calls under way hold more than %zu bytes (PLUGIN_MEMORY_BYTES)",
                 rt->options->limits.memory_bytes);
        return false;
    }
    rt->host_calls++;
    rt->host_bytes += bytes;
    return true;
}

void vm_host_call_end(struct runtime *rt, size_t bytes)
{
    rt->host_calls--;
    rt->host_bytes -= bytes;
}

bool vm_text_clean(struct slice text, size_t units, struct buf *out)
{
    while (text.len > 0 && units > 0) {
        uint32_t point;
        size_t bytes = utf8_get(text, &point);
        size_t skip = bytes;

        if (bytes == 0) { // a surrogate has three bytes; anything else goes byte by byte
            skip = text.len >= 3 && (unsigned char)text.ptr[0] == 0xED ? 3 : 1;
            point = 0xFFFD;
        }
        if (point > 0xFFFF && units < 2)
            break;
        units -= point > 0xFFFF ? 2 : 1;
        if (!(bytes ? buf_add(out, text.ptr, bytes) : buf_add_str(out, "\xEF\xBF\xBD")))
            return false;
        text = slice_make(text.ptr + skip, text.len - skip);
    }
    return true;
}

bool vm_define_function(JSContext *ctx, JSValueConst object, const char *name, JSCFunctionMagic *fn,
                        int length, int magic)
{
    JSValue f = JS_NewCFunctionMagic(ctx, fn, name, length, JS_CFUNC_generic_magic, magic);

    return !JS_IsException(f) &&
           JS_DefinePropertyValueStr(ctx, object, name, f,
                                     JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE) >= 0;
}

JSValue vm_throw(JSContext *ctx, const char *name, const char *fmt, ...)
{
    char text[512];
    JSValue e = JS_NewError(ctx);
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (JS_IsException(e))
        return e;
    JS_DefinePropertyValueStr(ctx, e, "message", JS_NewString(ctx, text),
                              JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE);
    if (name)
        JS_DefinePropertyValueStr(ctx, e, "name", JS_NewString(ctx, name),
                                  JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE);
    return JS_Throw(ctx, e);
}

JSValue vm_throw_wait_limit(struct vm *vm, const char *what)
{
    struct plugin_error e = {0};

    vm_error_wait_limit(vm, what, &e);
    vm_throw(vm->ctx, e.name, "%s", e.message);
    plugin_error_fini(&e);
    return JS_EXCEPTION;
}
