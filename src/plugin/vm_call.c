/* Calls of hooks and their results.
 *
 * A result that is not a promise is handed over at once. A promise is looked at after the jobs of
 * the call have run; if it is still pending, two functions are hung on it that carry the slot and
 * number of a `struct pending`. They only note what came: calls are told outside of the engine, by
 * runtime_tell_settled, so that `done` may call whatever it likes.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "plugin/vm_priv.h"

struct pending {
    struct list node; /* runtime.settled, when settled */
    struct vm *vm;    /* with a reference */
    struct vm_call *call;
    const char *what; /* the vm's text */
    size_t slot;
    uint32_t number;
    struct timer timer;
    bool is_settled;
    JSValue result;
    struct plugin_error error;
    bool has_failed;
};

/* --- pending calls ---------------------------------------------------------------------------- */

static struct pending *pending_new(struct vm *vm, struct vm_call *call, const char *what)
{
    struct pending *p = mem_new(struct pending);
    size_t slot = 0;

    while (slot < vm->pending_cap && vm->pendings[slot])
        slot++;
    if (slot == vm->pending_cap) {
        size_t cap = vm->pending_cap ? 2 * vm->pending_cap : 8;

        vm->pendings = mem_realloc(vm->pendings, cap * sizeof(struct pending *));
        memset(vm->pendings + slot, 0, (cap - slot) * sizeof(struct pending *));
        vm->pending_cap = cap;
    }
    vm->pendings[slot] = p;
    list_init(&p->node);
    p->slot = slot;
    p->number = ++vm->pending_last & 0x7FFFFFFF; // travels as a JavaScript integer
    p->vm = vm;
    p->call = call;
    p->what = what;
    p->result = JS_UNDEFINED;
    call->pending = p;
    vm_ref(vm);
    return p;
}

static void pending_free(struct pending *p)
{
    struct vm *vm = p->vm;

    timer_cancel(vm_timers(vm), &p->timer);
    list_remove(&p->node);
    vm->pendings[p->slot] = NULL;
    JS_FreeValue(vm->ctx, p->result);
    plugin_error_fini(&p->error);
    mem_free(p);
    vm_unref(vm);
}

bool vm_pending_any(const struct vm *vm)
{
    for (size_t i = 0; i < vm->pending_cap; i++)
        if (vm->pendings[i])
            return true;
    return false;
}

/* The call will be told. When that happens outside of a turn of ours (inside vm_call), a timer that
 * is due at once brings it up. */
static void pending_settle(struct pending *p)
{
    struct runtime *rt = p->vm->runtime;

    p->is_settled = true;
    timer_cancel(vm_timers(p->vm), &p->timer);
    list_push_back(&rt->settled, &p->node);
    if (rt->settled_timer.place == 0)
        timer_set(vm_timers(p->vm), &rt->settled_timer, clock_mono_us());
}

static void error_copy(struct plugin_error *to, const struct plugin_error *from)
{
    *to = *from;
    to->name = mem_dup_str(from->name);
    to->message = mem_dup_str(from->message);
    to->stack = mem_dup_str(from->stack);
}

void vm_fail_pending(struct vm *vm, const struct plugin_error *e)
{
    for (size_t i = 0; i < vm->pending_cap; i++) {
        struct pending *p = vm->pendings[i];

        if (!p || p->is_settled)
            continue;
        error_copy(&p->error, e);
        p->has_failed = true;
        pending_settle(p);
    }
}

void runtime_tell_settled(struct runtime *rt)
{
    if (rt->is_telling) // by a `done` below us, which goes on afterwards
        return;
    rt->is_telling = true;
    while (!list_is_empty(&rt->settled)) {
        struct pending *p = list_entry(rt->settled.next, struct pending, node);
        struct vm_call *call = p->call;

        list_remove(&p->node);
        call->pending = NULL;
        if (!p->has_failed && p->vm->has_run_out) {
            vm_error_memory(p->vm, &p->error);
            p->has_failed = true;
        }
        call->done(call, p->result, p->has_failed ? &p->error : NULL);
        pending_free(p);
    }
    rt->is_telling = false;
    timer_cancel(plugin_worker_timers(rt->worker), &rt->settled_timer);
}

static void wait_limit_due(struct timer *t)
{
    struct pending *p = CONTAINER_OF(t, struct pending, timer);
    struct runtime *rt = p->vm->runtime;

    vm_error_wait_limit(p->vm, p->what, &p->error);
    p->has_failed = true;
    pending_settle(p);
    runtime_tell_settled(rt);
}

/* What is hung on a promise. magic: 1 = rejected; data: slot, number. */
static JSValue promise_settled(JSContext *ctx, JSValueConst this_value, int argc,
                               JSValueConst *argv, int magic, JSValue *data)
{
    struct vm *vm = vm_of(ctx);
    uint32_t slot = (uint32_t)JS_VALUE_GET_INT(data[0]);
    struct pending *p = vm && slot < vm->pending_cap ? vm->pendings[slot] : NULL;

    UNUSED(this_value);
    UNUSED(argc);
    if (!p || p->is_settled || p->number != (uint32_t)JS_VALUE_GET_INT(data[1]))
        return JS_UNDEFINED; // too late, or cancelled
    p->has_failed = magic;
    if (p->has_failed)
        vm_error_from_value(vm, argv[0], &p->error);
    else
        p->result = JS_DupValue(ctx, argv[0]);
    pending_settle(p);
    return JS_UNDEFINED;
}

static bool promise_watch(struct vm *vm, struct pending *p, JSValueConst promise)
{
    JSContext *ctx = vm->ctx;
    JSValue data[2] = {JS_NewInt32(ctx, (int32_t)p->slot), JS_NewInt32(ctx, (int32_t)p->number)};
    JSValue on[2] = {JS_NewCFunctionData(ctx, promise_settled, 1, 0, 2, data),
                     JS_NewCFunctionData(ctx, promise_settled, 1, 1, 2, data)};
    JSValue next = JS_EXCEPTION;

    if (!JS_IsException(on[0]) && !JS_IsException(on[1]))
        next = JS_Call(ctx, vm->promise_then, promise, 2, on);
    JS_FreeValue(ctx, on[0]);
    JS_FreeValue(ctx, on[1]);
    JS_FreeValue(ctx, next);
    return !JS_IsException(next);
}

/* --- calls ------------------------------------------------------------------------------------ */

static enum vm_outcome failed_now(struct vm_call *call)
{
    vm_take_error(call->vm, &call->error);
    return VM_FAILED;
}

/* A thenable that is no promise of the engine becomes one, as `await` would make it. Takes the
 * value; JS_UNINITIALIZED: it is no thenable and stays as it is. */
static JSValue thenable_promise(struct vm *vm, JSValueConst value)
{
    JSContext *ctx = vm->ctx;
    JSValue then = JS_GetProperty(ctx, value, vm->then_atom), funcs[2], promise, done;
    bool is_function = JS_IsFunction(ctx, then);

    JS_FreeValue(ctx, then);
    if (JS_IsException(then))
        return JS_EXCEPTION;
    if (!is_function)
        return JS_UNINITIALIZED;
    promise = JS_NewPromiseCapability(ctx, funcs);
    if (JS_IsException(promise))
        return promise;
    done = JS_Call(ctx, funcs[0], JS_UNDEFINED, 1, &value);
    JS_FreeValue(ctx, funcs[0]);
    JS_FreeValue(ctx, funcs[1]);
    if (JS_IsException(done)) {
        JS_FreeValue(ctx, promise);
        return JS_EXCEPTION;
    }
    JS_FreeValue(ctx, done);
    return promise;
}

/* The promise has settled, or the call becomes one that is told later. Takes the promise. */
static enum vm_outcome promise_outcome(struct vm_call *call, const char *what, JSValue promise)
{
    struct vm *vm = call->vm;
    JSContext *ctx = vm->ctx;
    enum vm_outcome outcome = VM_LATER;
    struct pending *p;

    switch (JS_PromiseState(ctx, promise)) {
    case JS_PROMISE_FULFILLED:
        call->result = JS_PromiseResult(ctx, promise);
        outcome = VM_DONE;
        break;
    case JS_PROMISE_REJECTED: {
        JSValue reason = JS_PromiseResult(ctx, promise);

        runtime_rejection_forget(vm->runtime, promise);
        vm_error_from_value(vm, reason, &call->error);
        JS_FreeValue(ctx, reason);
        outcome = VM_FAILED;
        break;
    }
    case JS_PROMISE_PENDING:
        p = pending_new(vm, call, what);
        if (!promise_watch(vm, p, promise)) {
            call->pending = NULL;
            pending_free(p);
            outcome = failed_now(call);
            break;
        }
        p->timer.fn = wait_limit_due;
        timer_set(vm_timers(vm), &p->timer,
                  call->started_us + vm->runtime->options->limits.wait_us);
        break;
    }
    JS_FreeValue(ctx, promise);
    return outcome;
}

/* Runs the jobs that the call has brought forth. False when they did not end within the call's
 * time: then the call has failed, whatever it returned, so that a plugin that leaves such jobs
 * behind is taken for what it is. */
static bool call_jobs(struct vm_call *call)
{
    struct vm *vm = call->vm;

    vm->is_calling = true;
    runtime_drain_jobs(vm->runtime);
    vm->is_calling = false;
    if (vm->overrun_turn != vm->runtime->turn)
        return true;
    vm_error_limit(vm, &call->error);
    return false;
}

/* `promise` is what the call returned. Its jobs run first: an async function that awaits nothing
 * slow has settled when they have. Only then is told what was rejected, so that this promise is not
 * among it. Called inside the entry of the call, which it ends. Takes the promise. */
static enum vm_outcome call_async(struct vm_call *call, const char *what, JSValue promise)
{
    struct vm *vm = call->vm;
    enum vm_outcome outcome = VM_FAILED;
    bool is_in_time;

    vm_leave(vm);
    is_in_time = call_jobs(call);
    vm_enter(vm);
    // Out of memory, what should have settled it may have been ended.
    if (is_in_time && vm->out_turn == vm->runtime->turn &&
        JS_PromiseState(vm->ctx, promise) == JS_PROMISE_PENDING) {
        vm_error_memory(vm, &call->error);
        is_in_time = false;
    }
    if (is_in_time)
        outcome = promise_outcome(call, what, promise);
    else
        JS_FreeValue(vm->ctx, promise);
    vm_leave(vm);
    runtime_run_jobs(vm->runtime);
    return outcome;
}

static enum vm_outcome call_run(struct vm_call *call, const char *what, JSValueConst fn, int argc,
                                JSValueConst *argv)
{
    struct vm *vm = call->vm;
    struct runtime *rt = vm->runtime;
    enum vm_outcome outcome = VM_DONE;
    JSValue value, promise = JS_UNINITIALIZED;

    rt->turn++;
    vm_enter(vm);
    value = JS_Call(vm->ctx, fn, JS_UNDEFINED, argc, argv);
    if (JS_IsObject(value)) {
        if ((int)JS_PromiseState(vm->ctx, value) >= 0) {
            promise = value;
            value = JS_UNDEFINED;
        } else {
            promise = thenable_promise(vm, value);
            if (!JS_IsUninitialized(promise)) {
                JS_FreeValue(vm->ctx, value);
                value = JS_IsException(promise) ? JS_EXCEPTION : JS_UNDEFINED;
            }
        }
    }
    if (JS_IsException(value)) {
        outcome = failed_now(call);
    } else if (!JS_IsUninitialized(promise)) {
        return call_async(call, what, promise);
    } else {
        call->result = value;
    }
    vm_leave(vm);
    if (outcome == VM_DONE && JS_IsJobPending(rt->js) && !call_jobs(call)) {
        JS_FreeValue(vm->ctx, call->result);
        call->result = JS_UNDEFINED;
        outcome = VM_FAILED;
    }
    if (JS_IsJobPending(rt->js) || rt->rejection_count > 0)
        runtime_run_jobs(rt);
    return outcome;
}

/* A call that hit the memory limit has failed, also when it caught the error: its runtime is thrown
 * away, and a plugin that is found well after that would do the same in the next one, for ever. */
static enum vm_outcome call_function(struct vm_call *call, const char *what, JSValueConst fn,
                                     int argc, JSValueConst *argv)
{
    enum vm_outcome outcome = call_run(call, what, fn, argc, argv);

    if (outcome != VM_DONE || !call->vm->has_run_out)
        return outcome;
    JS_FreeValue(call->vm->ctx, call->result);
    call->result = JS_UNDEFINED;
    vm_error_memory(call->vm, &call->error);
    return VM_FAILED;
}

static void call_init(struct vm_call *call)
{
    call->result = JS_UNDEFINED;
    call->error = (struct plugin_error){0};
    call->pending = NULL;
    call->started_us = clock_mono_us();
}

static enum vm_outcome no_such(struct vm_call *call, const char *name)
{
    plugin_error_set(&call->error, "Error", "the plugin has no %s", name);
    return VM_FAILED;
}

enum vm_outcome vm_call(struct vm_call *call, enum plugin_hook hook, JSValueConst argument)
{
    struct vm *vm = call->vm;
    JSValueConst argv[2] = {argument, vm->meta};
    int skip = JS_IsUndefined(argument);

    call_init(call);
    if (JS_IsUndefined(vm->hooks[hook]))
        return no_such(call, vm_hook_name(hook));
    return call_function(call, vm_hook_name(hook), vm->hooks[hook], 2 - skip, argv + skip);
}

static const struct vm_named *named_find(const struct vm_named *all, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0)
            return &all[i];
    return NULL;
}

static int hook_find(const struct vm *vm, const char *name)
{
    for (int i = 0; i < HOOK_COUNT; i++)
        if (!JS_IsUndefined(vm->hooks[i]) && strcmp(vm_hook_name((enum plugin_hook)i), name) == 0)
            return i;
    return -1;
}

static const struct vm_named *job_find(const struct vm *vm, const char *name)
{
    if (strncmp(name, "job:", 4) != 0)
        return NULL;
    return named_find(vm->jobs, vm->job_count, name + 4);
}

bool vm_has(const struct vm *vm, enum plugin_hook hook)
{
    return !JS_IsUndefined(vm->hooks[hook]);
}

bool vm_has_named(const struct vm *vm, const char *name)
{
    return hook_find(vm, name) >= 0 || job_find(vm, name) ||
           named_find(vm->schedules, vm->schedule_count, name);
}

enum vm_outcome vm_call_named(struct vm_call *call, const char *name, JSValueConst argument)
{
    struct vm *vm = call->vm;
    JSValueConst argv[2] = {argument, vm->meta};
    const struct vm_named *named;
    int hook = hook_find(vm, name), skip;

    if (hook >= 0)
        return vm_call(call, (enum plugin_hook)hook, argument);
    call_init(call);
    named = job_find(vm, name);
    // A job without a payload gets the meta object first, as it always was.
    skip = named ? !JS_ToBool(vm->ctx, argument) : JS_IsUndefined(argument);
    if (!named)
        named = named_find(vm->schedules, vm->schedule_count, name);
    if (!named)
        return no_such(call, name);
    return call_function(call, named->name, named->fn, 2 - skip, argv + skip);
}

void vm_call_cancel(struct vm_call *call)
{
    struct pending *p = (struct pending *)call->pending;

    call->pending = NULL;
    if (p)
        pending_free(p);
}
