/* Which functions a plugin offers.
 *
 * Looked for, in this order, in `exports`, `exports.default` and `module.exports`, as far as they
 * are objects; only when none of them has any own key in the global object, where plain top-level
 * functions are. The first place where a name is truthy wins.
 */
#include "base/mem.h"
#include "plugin/vm_priv.h"

#define PLACES_MAX 6

struct places {
    JSValue at[PLACES_MAX];
    size_t count;
};

static const char *const hook_names[HOOK_COUNT] = {
    [HOOK_SETUP_PLUGIN] = "setupPlugin",   [HOOK_TEARDOWN_PLUGIN] = "teardownPlugin",
    [HOOK_PROCESS_EVENT] = "processEvent", [HOOK_ON_EVENT] = "onEvent",
    [HOOK_ON_SNAPSHOT] = "onSnapshot",     [HOOK_ON_ACTION] = "onAction",
    [HOOK_EXPORT_EVENTS] = "exportEvents",
};

const char *vm_hook_name(enum plugin_hook hook)
{
    return hook_names[hook];
}

/* --- places ----------------------------------------------------------------------------------- */

/* Takes the value. */
static bool place_add(JSContext *ctx, struct places *p, JSValue value)
{
    if (JS_IsException(value))
        return false;
    if (JS_IsObject(value))
        p->at[p->count++] = value;
    else
        JS_FreeValue(ctx, value);
    return true;
}

static bool place_add_with_default(JSContext *ctx, struct places *p, JSValue value)
{
    size_t at = p->count;

    if (!place_add(ctx, p, value))
        return false;
    return p->count == at || place_add(ctx, p, JS_GetPropertyStr(ctx, p->at[at], "default"));
}

static bool has_own_key(JSContext *ctx, JSValueConst object)
{
    JSPropertyEnum *names = NULL;
    uint32_t count = 0;

    if (JS_GetOwnPropertyNames(ctx, &names, &count, object, JS_GPN_STRING_MASK) < 0) {
        JS_FreeValue(ctx, JS_GetException(ctx));
        return false;
    }
    for (uint32_t i = 0; i < count; i++)
        JS_FreeAtom(ctx, names[i].atom);
    js_free(ctx, names);
    return count > 0;
}

static bool places_collect(struct vm *vm, JSValueConst space, struct places *p)
{
    JSContext *ctx = vm->ctx;
    JSValue global = JS_GetGlobalObject(ctx);
    JSValue module = JS_GetPropertyStr(ctx, global, "module");
    bool ok =
        place_add_with_default(ctx, p, JS_DupValue(ctx, space)) &&
        place_add_with_default(ctx, p, JS_GetPropertyStr(ctx, global, "exports")) &&
        (!JS_IsObject(module) || place_add(ctx, p, JS_GetPropertyStr(ctx, module, "exports")));
    bool is_any = false;

    for (size_t i = 0; i < p->count && !is_any; i++)
        is_any = has_own_key(ctx, p->at[i]);
    if (ok && !is_any)
        ok = place_add(ctx, p, JS_DupValue(ctx, global));
    JS_FreeValue(ctx, module);
    JS_FreeValue(ctx, global);
    return ok;
}

/* --- hooks ------------------------------------------------------------------------------------ */

/* JS_UNDEFINED when it is truthy nowhere. */
static JSValue find_truthy(JSContext *ctx, const struct places *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++) {
        JSValue value = JS_GetPropertyStr(ctx, p->at[i], name);

        if (JS_IsException(value) || JS_ToBool(ctx, value))
            return value;
        JS_FreeValue(ctx, value);
    }
    return JS_UNDEFINED;
}

static bool hooks_find(struct vm *vm, const struct places *p)
{
    JSContext *ctx = vm->ctx;
    JSValue batch;

    for (int i = 0; i < HOOK_COUNT; i++) {
        JSValue value = find_truthy(ctx, p, hook_names[i]);

        if (JS_IsException(value))
            return false;
        vm->hooks[i] = value;
    }
    if (vm_has(vm, HOOK_PROCESS_EVENT))
        return true;
    batch = find_truthy(ctx, p, "processEventBatch");
    if (JS_IsException(batch))
        return false;
    if (!JS_IsUndefined(batch)) {
        JSValue made = JS_Call(ctx, vm->batch_shim, JS_UNDEFINED, 1, (JSValueConst *)&batch);

        JS_FreeValue(ctx, batch);
        if (JS_IsException(made))
            return false;
        vm->hooks[HOOK_PROCESS_EVENT] = made;
    }
    return true;
}

/* --- schedules and jobs ----------------------------------------------------------------------- */

static bool is_schedule(const char *name)
{
    return strncmp(name, "runEvery", 8) == 0;
}

/* Adds unless an earlier place has the name. Takes the function. */
static void named_add(JSContext *ctx, struct vm_named **all, size_t *count, const char *name,
                      JSValue fn)
{
    bool is_known = *count >= VM_EXPORTS_MAX;

    for (size_t i = 0; i < *count && !is_known; i++)
        is_known = strcmp((*all)[i].name, name) == 0;
    if (is_known) {
        JS_FreeValue(ctx, fn);
        return;
    }
    *all = mem_realloc(*all, (*count + 1) * sizeof(**all));
    (*all)[(*count)++] = (struct vm_named){.name = mem_dup_str(name), .fn = fn};
}

/* Every own enumerable function of the object, those that begin with runEvery or all. */
static bool functions_collect(JSContext *ctx, JSValueConst object, bool is_schedules,
                              struct vm_named **all, size_t *count)
{
    JSPropertyEnum *names = NULL;
    uint32_t name_count = 0;
    bool ok = JS_GetOwnPropertyNames(ctx, &names, &name_count, object,
                                     JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) >= 0;

    for (uint32_t i = 0; i < name_count; i++) {
        const char *name = ok ? JS_AtomToCString(ctx, names[i].atom) : NULL;
        JSValue fn = JS_UNDEFINED;

        ok = name != NULL;
        if (ok && (!is_schedules || is_schedule(name)))
            fn = JS_GetProperty(ctx, object, names[i].atom);
        ok = ok && !JS_IsException(fn);
        if (ok && JS_IsFunction(ctx, fn))
            named_add(ctx, all, count, name, fn);
        else
            JS_FreeValue(ctx, fn);
        JS_FreeCString(ctx, name);
        JS_FreeAtom(ctx, names[i].atom);
    }
    js_free(ctx, names);
    return ok;
}

static bool jobs_collect(struct vm *vm, JSValueConst place)
{
    JSValue jobs = JS_GetPropertyStr(vm->ctx, place, "jobs");
    bool ok = !JS_IsException(jobs);

    if (ok && JS_IsObject(jobs))
        ok = functions_collect(vm->ctx, jobs, false, &vm->jobs, &vm->job_count);
    JS_FreeValue(vm->ctx, jobs);
    return ok;
}

bool vm_exports_find(struct vm *vm, JSValueConst space)
{
    struct places p = {.count = 0};
    bool ok = places_collect(vm, space, &p) && hooks_find(vm, &p);

    for (size_t i = 0; i < p.count && ok; i++)
        ok = functions_collect(vm->ctx, p.at[i], true, &vm->schedules, &vm->schedule_count) &&
             jobs_collect(vm, p.at[i]);
    for (size_t i = 0; i < p.count; i++)
        JS_FreeValue(vm->ctx, p.at[i]);
    return ok;
}

static void named_free(JSContext *ctx, struct vm_named **all, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        mem_free((*all)[i].name);
        JS_FreeValue(ctx, (*all)[i].fn);
    }
    mem_free(*all);
    *all = NULL;
    *count = 0;
}

void vm_exports_free(struct vm *vm)
{
    if (!vm->ctx)
        return;
    for (int i = 0; i < HOOK_COUNT; i++) {
        JS_FreeValue(vm->ctx, vm->hooks[i]);
        vm->hooks[i] = JS_UNDEFINED;
    }
    named_free(vm->ctx, &vm->schedules, &vm->schedule_count);
    named_free(vm->ctx, &vm->jobs, &vm->job_count);
}

/* --- capabilities ----------------------------------------------------------------------------- */

static void names_write(const struct vm_named *all, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        buf_add_json_str(out, slice_cstr(all[i].name));
    }
}

void vm_capabilities(const struct vm *vm, struct buf *out)
{
    bool is_first = true;

    buf_add_str(out, "{\"scheduled_tasks\":[");
    names_write(vm->schedules, vm->schedule_count, out);
    buf_add_str(out, "],\"jobs\":[");
    names_write(vm->jobs, vm->job_count, out);
    buf_add_str(out, "],\"methods\":[");
    for (int i = 0; i < HOOK_COUNT; i++) {
        if (!vm_has(vm, (enum plugin_hook)i))
            continue;
        buf_addf(out, "%s\"%s\"", is_first ? "" : ",", hook_names[i]);
        is_first = false;
    }
    buf_add_str(out, "]}");
}
