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
#include "base/fault.h"
#include "base/mem.h"
#include "plugin/vm_priv.h"

/* --- memory ----------------------------------------------------------------------------------- */

/* The limit is kept by ending what runs, not by refusing memory: much of the engine, its compiler
 * above all, goes astray when a small block is refused. So blocks are given beyond the limit, the
 * entry is marked, and the interrupt handler ends it at the next question, uncatchably; what comes
 * together until then is little. Refused are large fresh blocks, which the engine asks for with
 * care, and everything beyond a ceiling that nothing is known to reach. */
#define BLOCK_OVERHEAD 8 /* what malloc itself needs beside a block, about */
#define BLOCK_LARGE    (256u << 10)
#define OVERDRAFT      (16u << 20)

static struct runtime *memory_owner(const JSMallocState *s)
{
    return (struct runtime *)s->opaque;
}

static void memory_mark(struct runtime *rt)
{
    rt->is_out = true;
    if (rt->inside)
        rt->inside->out_turn = rt->turn;
}

/* May `more` bytes be given? Growing blocks are never large: they at most double. An empty world is
 * made without a limit; its size is known, and the limit is looked at afterwards. */
static bool memory_may(JSMallocState *s, size_t more, bool is_large)
{
    struct runtime *rt = memory_owner(s);
    size_t limit = s->malloc_limit;

    if (rt->is_making || (more <= limit && s->malloc_size <= limit - more))
        return true;
    memory_mark(rt);
    return !is_large && more <= limit + OVERDRAFT && s->malloc_size <= 2 * limit + OVERDRAFT - more;
}

static void *memory_get(JSMallocState *s, size_t bytes)
{
    bool is_large = bytes >= BLOCK_LARGE;
    void *ptr;

    memory_owner(s)->memory = s;
    if (!memory_may(s, bytes, is_large))
        return NULL;
    ptr = is_large ? mem_try(bytes) : mem_alloc(bytes);
    if (!ptr) {
        memory_mark(memory_owner(s));
        return NULL;
    }
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
    bool is_large;
    void *moved;

    if (!ptr)
        return bytes ? memory_get(s, bytes) : NULL;
    if (bytes == 0) {
        memory_free(s, ptr);
        return NULL;
    }
    old = mem_usable(ptr);
    is_large = bytes >= BLOCK_LARGE && bytes / 2 > old;
    if (bytes > old && !memory_may(s, bytes - old, is_large))
        return NULL;
    moved = bytes >= BLOCK_LARGE ? mem_try_realloc(ptr, bytes) : mem_realloc(ptr, bytes);
    if (!moved) {
        memory_mark(memory_owner(s));
        return NULL;
    }
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

/* By how much a runtime's memory changes before it is told again. */
#define MEMORY_TELL_BYTES ((size_t)64 << 10)

/* --- entries ---------------------------------------------------------------------------------- */

/* The first yes of a turn ends what runs; what hears of it (a promise that is rejected, jobs behind
 * it) gets a little time more. */
static bool end_what_runs(struct runtime *rt, int64_t now_us)
{
    struct vm *vm = rt->inside;

    if (vm && !vm->has_grace) {
        vm->has_grace = true;
        rt->deadline_us = now_us + VM_GRACE_US;
        plugin_worker_enter(rt->worker, vm->config.id, rt->deadline_us);
    }
    return true;
}

/* Out of memory and not told yet, or still taking more. */
static bool is_out_of_memory(struct runtime *rt)
{
    struct vm *vm = rt->inside;

    if (!rt->is_out)
        return false;
    if (vm && vm->out_told_turn == rt->turn)
        return rt->memory->malloc_size > rt->options->limits.memory_bytes + OVERDRAFT / 2;
    if (vm)
        vm->out_told_turn = rt->turn;
    return true;
}

bool runtime_is_overdue(struct runtime *rt)
{
    int64_t now = clock_mono_real_us();

    if (is_out_of_memory(rt))
        return end_what_runs(rt, now);
    if (now < rt->deadline_us)
        return false;
    rt->is_interrupted = true;
    if (rt->inside)
        rt->inside->interrupted_turn = rt->turn;
    return end_what_runs(rt, now);
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

static int64_t charged(const struct vm *vm)
{
    return MAX(vm->bytes_charged, 0);
}

static void share_tell(struct vm *vm, int64_t bytes)
{
    if (vm->config.state)
        atomic_fetch_add_explicit(&vm->config.state->memory_bytes, bytes - vm->bytes_told,
                                  memory_order_relaxed);
    vm->bytes_told = vm->bytes_charged = bytes;
    vm->has_told = true;
}

/* What people see: the runtime's memory, parted as the vms have taken and given back. Whose entry
 * something falls into is not always whose it is: garbage of all of them goes when one of them lets
 * the collector run. So only the parts are taken from that, never the sum. */
static void memory_tell(struct runtime *rt)
{
    double bytes = (double)rt->memory->malloc_size;
    double all = 0;

    list_each (at, &rt->vms)
        all += (double)charged(list_entry(at, struct vm, node));
    list_each (at, &rt->vms) {
        struct vm *vm = list_entry(at, struct vm, node);

        share_tell(vm, all > 0 ? (int64_t)(bytes * (double)charged(vm) / all) : 0);
    }
    rt->told_bytes = rt->memory->malloc_size;
}

static void charge(struct vm *vm)
{
    struct runtime *rt = vm->runtime;
    int64_t used = clock_mono_real_us() - rt->entered_us;
    size_t bytes = rt->memory->malloc_size;
    struct plugin_state *state = vm->config.state;

    vm->used_us += used;
    if (vm->out_turn == rt->turn) // nothing is left but the grace
        vm->used_us = MAX(vm->used_us, rt->options->limits.run_us);
    vm->bytes_charged += (int64_t)bytes - (int64_t)rt->entered_bytes;
    if (state)
        atomic_fetch_add_explicit(&state->cpu_ns, (uint64_t)used * 1000, memory_order_relaxed);
    if (bytes > rt->told_bytes + MEMORY_TELL_BYTES || bytes + MEMORY_TELL_BYTES < rt->told_bytes ||
        !vm->has_told)
        memory_tell(rt);
}

/* The engine collects garbage when its memory has grown by half, which may lie beyond the limit. */
static void collect(struct runtime *rt)
{
    size_t limit = rt->options->limits.memory_bytes;
    size_t bytes = rt->memory->malloc_size;

    if (bytes < limit / 4 * 3 || bytes < rt->collected_bytes + limit / 16)
        return;
    JS_RunGC(rt->js);
    rt->collected_bytes = rt->memory->malloc_size;
}

void vm_leave(struct vm *vm)
{
    struct runtime *rt = vm->runtime;

    CHECK(rt->depth > 0);
    if (--rt->depth > 0)
        return;
    collect(rt);
    charge(vm);
    if (rt->is_out)
        rt->is_spoilt = vm->has_run_out = true;
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
    vm_error_limit(vm, &e);
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

    vm_ref(vm);
    vm_enter(vm);
    while (!is_over && JS_GetPendingJobContext(rt->js) == vm->ctx) {
        JSContext *ctx;

        if (JS_ExecutePendingJob(rt->js, &ctx) < 0)
            vm_report_pending(vm);
        rt->is_interrupted = false; // the next one is not to blame
        is_over = clock_mono_real_us() >= rt->deadline_us;
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
    rt->is_making = true;
    rt->js = JS_NewRuntime2(&memory_functions, rt);
    CHECK(rt->js);
    JS_SetRuntimeOpaque(rt->js, rt);
    JS_SetMemoryLimit(rt->js, rt->options->limits.memory_bytes);
    JS_SetMaxStackSize(rt->js, rt->options->limits.stack_bytes);
    JS_SetCanBlock(rt->js, false);
    JS_SetInterruptHandler(rt->js, interrupt, rt);
    if (fault_point("plugin.native_loops")) /* as an engine without our patch */
        JS_SetNativeInterrupts(rt->js, false);
    JS_SetHostPromiseRejectionTracker(rt->js, rejection_seen, rt);
    JS_SetModuleLoaderFunc(rt->js, vm_module_name, vm_module_load, rt);
    if (!value_runtime_init(rt->js, err)) {
        runtime_free(rt);
        return NULL;
    }
    rt->is_making = false;
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
    plugins_note_left(rt->plugins, rt->team_id, JS_FreeRuntime2(rt->js));
    mem_free(rt);
}
