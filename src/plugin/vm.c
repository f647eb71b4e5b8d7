/* Contexts: what a plugin finds in its world, loading and unloading it. */
#include "base/mem.h"
#include "plugin/vm_priv.h"

/* --- the world of a plugin -------------------------------------------------------------------- */

/* Classes that plugins see. `processEventBatch` alone stands behind a processEvent made here. */
static const char prelude[] =
    "(() => {\n"
    "'use strict';\n"
    "class RetryError extends Error {\n"
    "  constructor(message) { super(message); this.name = 'RetryError'; }\n"
    "  get nameWithAttempts() {\n"
    "    return this._attempt && this._maxAttempts\n"
    "      ? `${this.name} (attempt ${this._attempt}/${this._maxAttempts})` : this.name;\n"
    "  }\n"
    "  toString() { return `${this.nameWithAttempts}: ${this.message}`; }\n"
    "}\n"
    "const batch = (all) => async function processEvent(event, meta) {\n"
    "  const events = await all([event], meta);\n"
    "  return events ? events[0] : undefined;\n"
    "};\n"
    "class Buffer extends Uint8Array {}\n"
    "return [RetryError, batch, Buffer];\n"
    "})()";

static JSValue buffer_text(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                           int magic)
{
    size_t at, len, unit, size;
    JSValue store = JS_GetTypedArrayBuffer(ctx, this_value, &at, &len, &unit);
    JSValue text = JS_EXCEPTION;
    uint8_t *bytes;

    UNUSED(argc);
    UNUSED(argv);
    UNUSED(magic);
    if (JS_IsException(store))
        return store;
    bytes = JS_GetArrayBuffer(ctx, &size, store);
    if (bytes && at <= size && len <= size - at)
        text = JS_NewStringLen(ctx, (const char *)bytes + at, len);
    else if (!JS_HasException(ctx))
        text = JS_NewString(ctx, "");
    JS_FreeValue(ctx, store);
    return text;
}

static bool prelude_run(struct vm *vm)
{
    JSContext *ctx = vm->ctx;
    JSValue made = JS_Eval(ctx, prelude, sizeof(prelude) - 1, "hedgerow", JS_EVAL_TYPE_GLOBAL);
    JSValue proto;
    bool ok;

    if (JS_IsException(made))
        return false;
    vm->retry_error = JS_GetPropertyUint32(ctx, made, 0);
    vm->batch_shim = JS_GetPropertyUint32(ctx, made, 1);
    vm->buffer_class = JS_GetPropertyUint32(ctx, made, 2);
    JS_FreeValue(ctx, made);
    proto = JS_GetPropertyStr(ctx, vm->buffer_class, "prototype");
    ok = vm_define_function(ctx, proto, "toString", buffer_text, 0, 0);
    JS_FreeValue(ctx, proto);
    return ok;
}

static bool define_value(JSContext *ctx, JSValueConst object, const char *name, JSValue value,
                         int flags)
{
    return !JS_IsException(value) &&
           JS_DefinePropertyValueStr(ctx, object, name, value, flags) >= 0;
}

static bool delete_name(JSContext *ctx, JSValueConst object, const char *name)
{
    JSAtom atom = JS_NewAtom(ctx, name);
    bool ok = atom != JS_ATOM_NULL && JS_DeleteProperty(ctx, object, atom, 0) >= 0;

    JS_FreeAtom(ctx, atom);
    return ok;
}

static JSValue run_microtask(JSContext *ctx, int argc, JSValueConst *argv)
{
    UNUSED(argc);
    return JS_Call(ctx, argv[0], JS_UNDEFINED, 0, NULL);
}

static JSValue queue_microtask(JSContext *ctx, JSValueConst this_value, int argc,
                               JSValueConst *argv, int magic)
{
    UNUSED(this_value);
    UNUSED(magic);
    if (argc < 1 || !JS_IsFunction(ctx, argv[0]))
        return JS_ThrowTypeError(ctx, "queueMicrotask: not a function");
    return JS_EnqueueJob(ctx, run_microtask, 1, argv) == 0 ? JS_UNDEFINED : JS_EXCEPTION;
}

/* module.exports and exports begin as one object, both may be assigned to. */
static bool define_module(JSContext *ctx, JSValueConst global)
{
    JSValue exports = JS_NewObject(ctx), module = JS_NewObject(ctx);
    bool ok = define_value(ctx, module, "exports", JS_DupValue(ctx, exports), JS_PROP_C_W_E);

    ok = define_value(ctx, global, "exports", exports, JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE) &&
         ok;
    return define_value(ctx, global, "module", module, JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE) &&
           ok;
}

/* Absent on purpose: FinalizationRegistry (its callbacks would come for a context that is gone),
 * SharedArrayBuffer and Atomics (nothing to share with). Read-only names stay configurable, so
 * that a plugin may declare its own at the top level. */
static bool globals_define(struct vm *vm)
{
    JSContext *ctx = vm->ctx;
    JSValue global = JS_GetGlobalObject(ctx);
    bool ok = delete_name(ctx, global, "FinalizationRegistry") &&
              delete_name(ctx, global, "SharedArrayBuffer") && delete_name(ctx, global, "Atomics");

    ok = ok && prelude_run(vm) && define_module(ctx, global) &&
         define_value(ctx, global, "global", JS_DupValue(ctx, global),
                      JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE) &&
         define_value(ctx, global, "RetryError", JS_DupValue(ctx, vm->retry_error),
                      JS_PROP_CONFIGURABLE) &&
         define_value(ctx, global, "console", host_console_new(ctx), JS_PROP_CONFIGURABLE) &&
         host_timers_define(ctx, global) &&
         (!vm_options(vm)->has_own_clock || host_date_define(ctx, global)) &&
         vm_define_function(ctx, global, "queueMicrotask", queue_microtask, 1, 0);
    JS_FreeValue(ctx, global);
    return ok;
}

/* The engine's own `then`, before a plugin can put another in its place. */
static bool promise_then_take(struct vm *vm)
{
    JSContext *ctx = vm->ctx;
    JSValue funcs[2], promise = JS_NewPromiseCapability(ctx, funcs);

    vm->then_atom = JS_NewAtom(ctx, "then");
    if (JS_IsException(promise))
        return false;
    vm->promise_then = JS_GetProperty(ctx, promise, vm->then_atom);
    JS_FreeValue(ctx, funcs[0]);
    JS_FreeValue(ctx, funcs[1]);
    JS_FreeValue(ctx, promise);
    return !JS_IsException(vm->promise_then);
}

/* --- vms -------------------------------------------------------------------------------------- */

static void config_copy(struct plugin_config *to, const struct plugin_config *from)
{
    *to = *from;
    to->plugin_name = mem_dup_str(from->plugin_name ? from->plugin_name : "");
    to->source_path = mem_dup_str(from->source_path ? from->source_path : "/index.js");
    to->builtin = to->config_json = to->load_error = NULL;
    to->source = SLICE_NONE;
    to->attachments = NULL;
    to->attachment_count = 0;
    if (to->state)
        atomic_fetch_add(&to->state->refs, 1);
}

static void config_drop(struct plugin_config *c)
{
    mem_free((char *)(uintptr_t)c->plugin_name); // our own copies
    mem_free((char *)(uintptr_t)c->source_path);
    plugin_state_unref(c->state);
}

/* The empty world; false with an exception, or with has_error set. */
static bool world_make(struct vm *vm)
{
    struct err err = ERR_INIT;

    vm->ctx = JS_NewContext(vm->runtime->js);
    CHECK(vm->ctx);
    JS_SetContextOpaque(vm->ctx, vm);
    if (!value_context_init(vm->ctx, &err)) {
        plugin_error_set(&vm->error, "Error", "%s", err.text);
        vm->has_error = true;
        return false;
    }
    return promise_then_take(vm) && globals_define(vm);
}

static bool vm_load(struct vm *vm, const struct plugin_config *config)
{
    struct runtime *rt = vm->runtime;
    bool ok;

    rt->is_making = true;
    ok = world_make(vm);
    rt->is_making = false;
    if (!ok)
        return false;
    if (runtime_memory(rt) > rt->options->limits.memory_bytes) {
        JS_ThrowOutOfMemory(vm->ctx);
        rt->is_out = true;
        return false;
    }
    vm->meta = meta_new(vm, config);
    return !JS_IsException(vm->meta) && vm_source_run(vm, config);
}

static void vm_make(struct vm *vm, const struct plugin_config *config)
{
    struct runtime *rt = vm->runtime;

    rt->turn++;
    vm_enter(vm);
    if (!vm_load(vm, config) && !vm->has_error) {
        vm_take_error(vm, &vm->error);
        vm->has_error = true;
    }
    vm_leave(vm);
    runtime_run_jobs(rt);
    if (vm->has_run_out &&
        !vm->has_error) { // it caught that, and would do the same when loaded anew
        vm_error_memory(vm, &vm->error);
        vm->has_error = true;
    }
    if (vm->has_error)
        vm_exports_free(vm);
}

struct vm *vm_new(struct runtime *rt, const struct plugin_config *config)
{
    struct vm *vm = mem_new(struct vm);

    vm->runtime = rt;
    vm->refs = 1;
    vm->meta = vm->retry_error = vm->batch_shim = vm->buffer_class = vm->promise_then =
        JS_UNDEFINED;
    for (int i = 0; i < HOOK_COUNT; i++)
        vm->hooks[i] = JS_UNDEFINED;
    config_copy(&vm->config, config);
    host_init(&vm->host);
    list_push_back(&rt->vms, &vm->node);
    if (config->load_error) {
        plugin_error_set(&vm->error, "Error", "%s", config->load_error);
        vm->has_error = true;
    } else {
        vm_make(vm, config);
    }
    return vm;
}

void vm_ref(struct vm *vm)
{
    vm->refs++;
}

static void context_free(struct vm *vm)
{
    JSContext *ctx = vm->ctx;

    host_timers_stop(vm);
    host_storage_stop(vm);
    runtime_rejections_drop(vm->runtime, vm);
    vm_exports_free(vm);
    JS_FreeValue(ctx, vm->meta);
    JS_FreeValue(ctx, vm->retry_error);
    JS_FreeValue(ctx, vm->batch_shim);
    JS_FreeValue(ctx, vm->buffer_class);
    JS_FreeValue(ctx, vm->promise_then);
    JS_FreeAtom(ctx, vm->then_atom);
    JS_FreePendingJobs(ctx);
    value_context_fini(ctx);
    JS_SetContextOpaque(ctx, NULL);
    JS_FreeContext(ctx);
    JS_RunGC(vm->runtime->js); // its objects hold each other
}

void vm_unref(struct vm *vm)
{
    if (!vm || --vm->refs > 0)
        return;
    CHECK(!vm_pending_any(vm));
    CHECK(vm->runtime->inside != vm);
    vm_error_store_now(vm);
    if (vm->ctx)
        context_free(vm);
    if (vm->config.state)
        atomic_fetch_sub(&vm->config.state->memory_bytes, vm->bytes_told);
    list_remove(&vm->node);
    plugin_error_fini(&vm->error);
    config_drop(&vm->config);
    mem_free(vm->pendings);
    mem_free(vm);
}

const struct plugin_error *vm_error(const struct vm *vm)
{
    return vm->has_error ? &vm->error : NULL;
}

const struct plugin_config *vm_config(const struct vm *vm)
{
    return &vm->config;
}

JSContext *vm_context(const struct vm *vm)
{
    return vm->ctx;
}

struct runtime *vm_runtime(const struct vm *vm)
{
    return vm->runtime;
}
