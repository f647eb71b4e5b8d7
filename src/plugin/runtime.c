/* Runtimes: memory, time, the job queue.
 *
 * An entry is the time from the outermost vm_enter to its vm_leave: it has one deadline, is known
 * to the watchdog and is charged to its config. A turn is everything that one stimulus sets off (a
 * call, a timer, an answer): an entry for it and entries for the jobs that follow. The run limit
 * counts over a turn, so that a queue that fills itself for ever ends like a loop does: its owner's
 * jobs are dropped and the calls that waited for them fail.
 *
 * The engine is not asked what happened but its doors are watched: the interrupt handler and the
 * allocator set flags, and a flag decides what an exception means, whatever the plugin made of it.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "plugin/vm_priv.h"

/* --- memory ----------------------------------------------------------------------------------- */

/* What malloc itself needs beside a block, about. */
#define BLOCK_OVERHEAD 8

static struct runtime *memory_owner(const JSMallocState *s)
{
    return (struct runtime *)s->opaque;
}

static void *memory_refused(JSMallocState *s)
{
    memory_owner(s)->is_out = true;
    return NULL;
}

static void *memory_get(JSMallocState *s, size_t bytes)
{
    void *ptr;

    memory_owner(s)->memory = s;
    if (bytes > s->malloc_limit || s->malloc_size > s->malloc_limit - bytes)
        return memory_refused(s);
    ptr = mem_try(bytes);
    if (!ptr)
        return memory_refused(s);
    s->malloc_count++;
    s->malloc_size += mem_usable(ptr) + BLOCK_OVERHEAD;
    return ptr;
}

static void memory_free(JSMallocState *s, void *ptr)
{
    if (!ptr)
        return;
    s->malloc_count--;
    s->malloc_size -= mem_usable(ptr) + BLOCK_OVERHEAD;
    mem_free(ptr);
}

static void *memory_resize(JSMallocState *s, void *ptr, size_t bytes)
{
    size_t old;
    void *moved;

    if (!ptr)
        return bytes ? memory_get(s, bytes) : NULL;
    if (bytes == 0) {
        memory_free(s, ptr);
        return NULL;
    }
    old = mem_usable(ptr);
    if (bytes > old && bytes - old > s->malloc_limit - MIN(s->malloc_size, s->malloc_limit))
        return memory_refused(s);
    moved = mem_try_realloc(ptr, bytes);
    if (!moved)
        return memory_refused(s);
    s->malloc_size += mem_usable(moved) - old;
    return moved;
}

static const JSMallocFunctions memory_functions = {memory_get, memory_free, memory_resize,
                                                   mem_usable};

size_t runtime_memory(struct runtime *rt)
{
    return rt->memory->malloc_size;
}

bool runtime_is_spoilt(const struct runtime *rt)
{
    return rt->is_spoilt;
}

size_t runtime_host_calls(const struct runtime *rt)
{
    return rt->host_calls;
}

/* --- entries ---------------------------------------------------------------------------------- */

bool runtime_is_overdue(struct runtime *rt)
{
    if (clock_mono_real_us() < rt->deadline_us)
        return false;
    rt->is_interrupted = true;
    if (rt->inside)
        rt->inside->interrupted_turn = rt->turn;
    return true;
}

static int interrupt(JSRuntime *js, void *opaque)
{
    UNUSED(js);
    return runtime_is_overdue((struct runtime *)opaque);
}

/* What is left of the run limit in this turn. */
static int64_t time_left_us(struct vm *vm)
{
    struct runtime *rt = vm->runtime;

    if (vm->turn != rt->turn) {
        vm->turn = rt->turn;
        vm->used_us = 0;
        vm->has_grace = false;
    }
    return rt->options->limits.run_us + (vm->has_grace ? VM_GRACE_US : 0) - vm->used_us;
}

void vm_enter(struct vm *vm)
{
    struct runtime *rt = vm->runtime;

    if (rt->depth++ > 0)
        return;
    rt->inside = vm;
    rt->is_interrupted = rt->is_out = false;
    rt->entered_us = clock_mono_real_us();
    rt->entered_bytes = rt->memory->malloc_size;
    rt->deadline_us = rt->entered_us + time_left_us(vm);
    JS_UpdateStackTop(rt->js);
    plugin_worker_enter(rt->worker, vm->config.id, rt->deadline_us);
}

static void charge(struct vm *vm)
{
    struct runtime *rt = vm->runtime;
    int64_t used = clock_mono_real_us() - rt->entered_us;
    size_t bytes = rt->memory->malloc_size;
    struct plugin_state *state = vm->config.state;

    vm->used_us += used;
    vm->bytes_charged += bytes - rt->entered_bytes; // may go below zero and come back
    if (!state)
        return;
    atomic_fetch_add_explicit(&state->cpu_ns, (uint64_t)used * 1000, memory_order_relaxed);
    if (bytes != rt->entered_bytes)
        atomic_fetch_add_explicit(&state->memory_bytes, (int64_t)bytes - (int64_t)rt->entered_bytes,
                                  memory_order_relaxed);
}

void vm_leave(struct vm *vm)
{
    struct runtime *rt = vm->runtime;

    CHECK(rt->depth > 0);
    if (--rt->depth > 0)
        return;
    charge(vm);
    if (rt->is_out)
        rt->is_spoilt = true;
    rt->inside = NULL;
    plugin_worker_leave(rt->worker);
}

void vm_begin(struct vm *vm)
{
    vm_ref(vm);
    vm->runtime->turn++;
    vm_enter(vm);
}

void vm_end(struct vm *vm)
{
    struct runtime *rt = vm->runtime;

    vm_leave(vm);
    runtime_run_jobs(rt);
    runtime_tell_settled(rt);
    vm_unref(vm);
}

/* --- rejected promises ------------------------------------------------------------------------ */

static void rejection_drop(struct runtime *rt, size_t at)
{
    struct rejection *r = &rt->rejections[at];

    JS_FreeValueRT(rt->js, r->promise);
    JS_FreeValueRT(rt->js, r->reason);
    *r = rt->rejections[--rt->rejection_count];
}

static void rejection_seen(JSContext *ctx, JSValueConst promise, JSValueConst reason,
                           JS_BOOL is_handled, void *opaque)
{
    struct runtime *rt = (struct runtime *)opaque;
    struct vm *vm = vm_of(ctx);

    // Most are handled right behind the rejection, so the search begins with the newest.
    for (size_t i = rt->rejection_count; is_handled && i-- > 0;)
        if (JS_VALUE_GET_PTR(rt->rejections[i].promise) == JS_VALUE_GET_PTR(promise)) {
            rejection_drop(rt, i);
            return;
        }
    // Beyond the maximum they are not told one by one: the report of the others says enough.
    if (is_handled || !vm || rt->rejection_count == VM_REJECTIONS_MAX)
        return;
    rt->rejections[rt->rejection_count++] =
        (struct rejection){vm, JS_DupValue(ctx, promise), JS_DupValue(ctx, reason)};
}

void runtime_rejection_forget(struct runtime *rt, JSValueConst promise)
{
    for (size_t i = rt->rejection_count; i-- > 0;)
        if (JS_VALUE_GET_PTR(rt->rejections[i].promise) == JS_VALUE_GET_PTR(promise)) {
            rejection_drop(rt, i);
            return;
        }
}

void runtime_rejections_drop(struct runtime *rt, const struct vm *vm)
{
    for (size_t i = rt->rejection_count; i-- > 0;)
        if (rt->rejections[i].vm == vm)
            rejection_drop(rt, i);
}

/* The end of a turn: what is still unhandled is an error of the plugin. */
static void rejections_report(struct runtime *rt)
{
    while (rt->rejection_count > 0) {
        struct rejection r = rt->rejections[0];
        struct plugin_error e = {0};

        vm_error_from_value(r.vm, r.reason, &e);
        vm_report(r.vm, &e, SLICE_NONE);
        plugin_error_fini(&e);
        // Reading the reason ran code of the plugin, which may have changed the list.
        runtime_rejection_forget(rt, r.promise);
    }
}

/* --- jobs ------------------------------------------------------------------------------------- */

/* The turn's time is used up by jobs that bring forth jobs. */
static void overrun(struct vm *vm)
{
    struct plugin_error e = {0};

    JS_FreePendingJobs(vm->ctx);
    vm->overrun_turn = vm->runtime->turn;
    vm_error_run_limit(vm, &e);
    if (!vm_pending_any(vm) && !vm->is_calling)
        vm_report(vm, &e, SLICE_NONE);
    vm_fail_pending(vm, &e);
    plugin_error_fini(&e);
}

/* Runs the jobs at the head of the queue that belong to this vm. */
static void run_jobs_of(struct vm *vm)
{
    struct runtime *rt = vm->runtime;
    bool is_over = time_left_us(vm) <= 0;

    if (is_over && !vm->has_grace && vm->interrupted_turn == rt->turn) {
        vm->has_grace = true;
        is_over = time_left_us(vm) <= 0;
    }
    vm_ref(vm);
    vm_enter(vm);
    while (!is_over && JS_GetPendingJobContext(rt->js) == vm->ctx) {
        JSContext *ctx;

        if (JS_ExecutePendingJob(rt->js, &ctx) < 0)
            vm_report_pending(vm);
        if (rt->is_interrupted && !vm->has_grace) {
            vm->has_grace = true;
            rt->is_interrupted = false;
            rt->deadline_us = clock_mono_real_us() + VM_GRACE_US;
            plugin_worker_enter(rt->worker, vm->config.id, rt->deadline_us);
        } else {
            is_over = clock_mono_real_us() >= rt->deadline_us;
        }
    }
    if (is_over)
        overrun(vm);
    vm_leave(vm);
    vm_unref(vm);
}

void runtime_drain_jobs(struct runtime *rt)
{
    JSContext *ctx;

    while ((ctx = JS_GetPendingJobContext(rt->js))) {
        struct vm *vm = vm_of(ctx);

        if (vm)
            run_jobs_of(vm);
        else
            JS_FreePendingJobs(ctx);
    }
}

void runtime_run_jobs(struct runtime *rt)
{
    runtime_drain_jobs(rt);
    while (rt->rejection_count > 0) {
        rejections_report(rt);
        runtime_drain_jobs(rt); // of getters of what was thrown
    }
}

void runtime_turn(struct runtime *rt)
{
    rt->turn++;
    runtime_run_jobs(rt);
    runtime_tell_settled(rt);
}

/* --- runtimes --------------------------------------------------------------------------------- */

static void settled_due(struct timer *t)
{
    runtime_tell_settled(CONTAINER_OF(t, struct runtime, settled_timer));
}

struct runtime *runtime_new(struct plugin_worker *w, struct plugins *p, int64_t team_id,
                            struct err *err)
{
    struct runtime *rt = mem_new(struct runtime);

    rt->worker = w;
    rt->plugins = p;
    rt->options = plugins_options(p);
    rt->team_id = team_id;
    list_init(&rt->vms);
    list_init(&rt->settled);
    rt->settled_timer.fn = settled_due;
    rt->js = JS_NewRuntime2(&memory_functions, rt);
    if (!rt->js) {
        err_set(err, ERR_RETRY, "no memory for the plugins of team %lld", (long long)team_id);
        mem_free(rt);
        return NULL;
    }
    JS_SetRuntimeOpaque(rt->js, rt);
    JS_SetMemoryLimit(rt->js, rt->options->limits.memory_bytes);
    JS_SetMaxStackSize(rt->js, rt->options->limits.stack_bytes);
    JS_SetCanBlock(rt->js, false);
    JS_SetInterruptHandler(rt->js, interrupt, rt);
    JS_SetHostPromiseRejectionTracker(rt->js, rejection_seen, rt);
    JS_SetModuleLoaderFunc(rt->js, vm_module_name, vm_module_load, rt);
    if (!value_runtime_init(rt->js, err)) {
        runtime_free(rt);
        return NULL;
    }
    return rt;
}

void runtime_free(struct runtime *rt)
{
    if (!rt)
        return;
    CHECK(list_is_empty(&rt->vms) && list_is_empty(&rt->settled) && !rt->is_telling);
    CHECK(rt->rejection_count == 0);
    timer_cancel(plugin_worker_timers(rt->worker), &rt->settled_timer);
    geo_drop(rt->geo);
    JS_FreeRuntime(rt->js);
    mem_free(rt);
}
