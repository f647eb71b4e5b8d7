/* meta.storage and utils.cursor: rows of the config in the store, asked for on another thread.
 *
 * A call lives until its answer has come back to this thread as a message, also when the plugin or
 * its runtime is gone by then: it is cut off from them (`vm` is NULL) and only frees itself. Until
 * then it has the functions of its promise and a timer that rejects it after TASK_TIMEOUT.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "plugin/plugin.h"
#include "plugin/timer.h"
#include "plugin/vm_host.h"
#include "plugin/worker.h"

#include <math.h>

#define KEY_UNITS_MAX   200
#define VALUE_BYTES_MAX (64 << 20)
#define CALL_OVERHEAD   256

struct storage_call {
    struct plugin_storage_call call;
    struct plugin_message message;
    struct plugin_worker *worker;
    struct list node; /* host.storage_calls */
    struct vm *vm;    /* NULL: nobody waits any more */
    char *key;
    size_t bytes; /* counted with the runtime */
    JSValue settle[2], fallback;
    struct timer timer;
    bool ok;
    struct err err;
};

/* --- ends ------------------------------------------------------------------------------------- */

/* Nobody waits for the answer any more. */
static void call_detach(struct storage_call *c)
{
    JSContext *ctx = vm_context(c->vm);

    timer_cancel(vm_timers(c->vm), &c->timer);
    list_remove(&c->node);
    JS_FreeValue(ctx, c->settle[0]);
    JS_FreeValue(ctx, c->settle[1]);
    JS_FreeValue(ctx, c->fallback);
    vm_host_call_end(vm_runtime(c->vm), c->bytes);
    c->vm = NULL;
}

static void call_free(struct storage_call *c)
{
    buf_free(&c->call.value);
    mem_free(c->key);
    mem_free(c);
}

/* Takes the value; JS_EXCEPTION rejects with the pending exception. */
static void call_settle(struct storage_call *c, JSValue value)
{
    struct vm *vm = c->vm;
    JSContext *ctx = vm_context(vm);
    bool is_failure = JS_IsException(value);
    JSValue done;

    if (is_failure)
        value = JS_GetException(ctx);
    done = JS_Call(ctx, c->settle[is_failure], JS_UNDEFINED, 1, (JSValueConst *)&value);
    JS_FreeValue(ctx, value);
    if (JS_IsException(done))
        vm_report_pending(vm);
    JS_FreeValue(ctx, done);
}

static JSValue answer_value(struct storage_call *c)
{
    JSContext *ctx = vm_context(c->vm);
    struct buf *value = &c->call.value;

    if (!c->ok)
        return vm_throw(ctx, NULL, "storage: %s", c->err.text);
    if (c->call.op != PLUGIN_STORAGE_GET && c->call.op != PLUGIN_STORAGE_ADD)
        return JS_UNDEFINED;
    if (!c->call.is_found && c->call.op == PLUGIN_STORAGE_GET)
        return JS_DupValue(ctx, c->fallback);
    value->max = MAX(value->max, value->len + 1); // for the NUL
    return JS_ParseJSON(ctx, buf_cstr(value), value->len, "storage");
}

static void answer_run(void *ctx)
{
    struct storage_call *c = (struct storage_call *)ctx;
    struct vm *vm = c->vm;

    vm_worker_expect(c->worker, -1);
    if (vm) {
        vm_begin(vm);
        call_settle(c, answer_value(c));
        call_detach(c);
        vm_end(vm);
    }
    call_free(c);
}

/* Any thread. */
static void answer_came(struct plugin_storage_call *call, bool ok, const struct err *err)
{
    struct storage_call *c = CONTAINER_OF(call, struct storage_call, call);

    c->ok = ok;
    if (!ok)
        c->err = *err;
    plugin_worker_post(c->worker, &c->message);
}

static void wait_limit_due(struct timer *t)
{
    struct storage_call *c = CONTAINER_OF(t, struct storage_call, timer);
    struct vm *vm = c->vm;

    vm_begin(vm);
    call_settle(c, vm_throw_wait_limit(vm, "storage"));
    call_detach(c);
    vm_end(vm);
}

void host_storage_stop(struct vm *vm)
{
    list_each_safe (at, next, &vm_host(vm)->storage_calls)
        call_detach(list_entry(at, struct storage_call, node));
}

/* --- begin ------------------------------------------------------------------------------------ */

static char *key_read(JSContext *ctx, JSValueConst value)
{
    size_t len;
    const char *raw = JS_ToCStringLen(ctx, &len, value);
    struct buf clean = BUF_INIT(3 * KEY_UNITS_MAX + 8);
    char *key = NULL;

    if (!raw)
        return NULL;
    if (strlen(raw) < len)
        vm_throw(ctx, NULL, "storage: a key must not contain the character NUL");
    else if (!vm_text_clean(slice_make(raw, len), KEY_UNITS_MAX + 1, &clean) ||
             utf8_count_points(buf_slice(&clean)) > KEY_UNITS_MAX)
        vm_throw(ctx, NULL, "storage: a key has at most %d characters", KEY_UNITS_MAX);
    else
        key = slice_dup(buf_slice(&clean));
    buf_free(&clean);
    JS_FreeCString(ctx, raw);
    return key;
}

/* JSON text of the value; *is_undefined when there is none. */
static bool value_write(JSContext *ctx, JSValueConst value, struct buf *out, bool *is_undefined)
{
    JSValue json = JS_JSONStringify(ctx, value, JS_UNDEFINED, JS_UNDEFINED);
    const char *text;
    size_t len;
    bool ok;

    *is_undefined = JS_IsUndefined(json);
    if (JS_IsException(json) || *is_undefined)
        return *is_undefined;
    text = JS_ToCStringLen(ctx, &len, json);
    JS_FreeValue(ctx, json);
    if (!text)
        return false;
    ok = buf_add(out, text, len);
    JS_FreeCString(ctx, text);
    if (!ok)
        vm_throw(ctx, NULL, "storage: a value has at most %d bytes", VALUE_BYTES_MAX);
    return ok;
}

/* Hands the call over. Takes key and value; the result is its promise. */
static JSValue call_start(struct vm *vm, enum plugin_storage_op op, char *key, struct buf value,
                          JSValueConst fallback)
{
    const struct plugins_options *opt = vm_options(vm);
    JSContext *ctx = vm_context(vm);
    struct storage_call *c = mem_new(struct storage_call);
    JSValue promise;

    c->key = key;
    c->call = (struct plugin_storage_call){.op = op,
                                           .config_id = vm_config(vm)->id,
                                           .key = slice_cstr(key),
                                           .value = value,
                                           .done = answer_came};
    c->bytes = CALL_OVERHEAD + value.len;
    if (!vm_host_call_begin(vm, c->bytes)) {
        call_free(c);
        return vm_promise_of(ctx, JS_EXCEPTION);
    }
    promise = JS_NewPromiseCapability(ctx, c->settle);
    if (JS_IsException(promise)) {
        vm_host_call_end(vm_runtime(vm), c->bytes);
        call_free(c);
        return promise;
    }
    c->fallback = JS_DupValue(ctx, fallback);
    c->vm = vm;
    c->worker = vm_worker(vm);
    c->message = (struct plugin_message){.fn = answer_run, .ctx = c};
    c->timer.fn = wait_limit_due;
    list_push_back(&vm_host(vm)->storage_calls, &c->node);
    timer_set(vm_timers(vm), &c->timer, clock_mono_us() + opt->limits.wait_us);
    vm_worker_expect(c->worker, 1);
    opt->services->storage(opt->services_self, &c->call);
    return promise;
}

static JSValueConst argument(int argc, JSValueConst *argv, int at)
{
    return at < argc ? argv[at] : JS_UNDEFINED;
}

static JSValue storage_method(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                              int magic)
{
    struct vm *vm = vm_of_call(ctx);
    enum plugin_storage_op op = (enum plugin_storage_op)magic;
    struct buf value = BUF_INIT(VALUE_BYTES_MAX);
    bool is_undefined = false, ok = true;
    char *key;

    UNUSED(this_value);
    if (!vm)
        return JS_EXCEPTION;
    key = key_read(ctx, argument(argc, argv, 0));
    if (key && op == PLUGIN_STORAGE_SET)
        ok = value_write(ctx, argument(argc, argv, 1), &value, &is_undefined);
    if (!key || !ok) {
        mem_free(key);
        buf_free(&value);
        return vm_promise_of(ctx, JS_EXCEPTION);
    }
    if (is_undefined) // nothing to store: the row goes
        op = PLUGIN_STORAGE_DEL;
    return call_start(vm, op, key, value, argument(argc, argv, 1));
}

/* Numbers as JSON has them. */
static bool number_write(JSContext *ctx, JSValueConst value, double fallback, const char *fault,
                         struct buf *out)
{
    double number = fallback;

    if (!JS_IsUndefined(value) && (!JS_IsNumber(value) || JS_ToFloat64(ctx, &number, value) < 0)) {
        vm_throw(ctx, NULL, "%s", fault);
        return false;
    }
    if (!isfinite(number)) {
        vm_throw(ctx, NULL, "%s", fault);
        return false;
    }
    return buf_addf(out, "%.17g", number);
}

static JSValue cursor_method(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                             int magic)
{
    struct vm *vm = vm_of_call(ctx);
    bool is_add = magic == PLUGIN_STORAGE_ADD;
    struct buf value = BUF_INIT(VALUE_BYTES_MAX);
    char *key;

    UNUSED(this_value);
    if (!vm)
        return JS_EXCEPTION;
    key = key_read(ctx, argument(argc, argv, 0));
    if (!key || !number_write(ctx, argument(argc, argv, 1), is_add ? 1 : 0,
                              is_add ? "The incrementBy value must be a number!"
                                     : "The cursor's initial value must be a number!",
                              &value)) {
        mem_free(key);
        buf_free(&value);
        return vm_promise_of(ctx, JS_EXCEPTION);
    }
    return call_start(vm, (enum plugin_storage_op)magic, key, value, JS_UNDEFINED);
}

JSValue host_storage_new(JSContext *ctx)
{
    JSValue storage = JS_NewObject(ctx);

    if (!JS_IsException(storage) &&
        vm_define_function(ctx, storage, "get", storage_method, 2, PLUGIN_STORAGE_GET) &&
        vm_define_function(ctx, storage, "set", storage_method, 2, PLUGIN_STORAGE_SET) &&
        vm_define_function(ctx, storage, "del", storage_method, 1, PLUGIN_STORAGE_DEL))
        return storage;
    JS_FreeValue(ctx, storage);
    return JS_EXCEPTION;
}

JSValue host_cursor_new(JSContext *ctx)
{
    JSValue cursor = JS_NewObject(ctx);

    if (!JS_IsException(cursor) &&
        vm_define_function(ctx, cursor, "init", cursor_method, 2, PLUGIN_STORAGE_INIT) &&
        vm_define_function(ctx, cursor, "increment", cursor_method, 2, PLUGIN_STORAGE_ADD))
        return cursor;
    JS_FreeValue(ctx, cursor);
    return JS_EXCEPTION;
}
