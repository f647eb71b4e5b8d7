/* setTimeout and setInterval, on the worker's heap of timers. */
#include "base/clock.h"
#include "base/mem.h"
#include "plugin/timer.h"
#include "plugin/vm_host.h"

#include <math.h>

#define TIMERS_MAX    10000 /* of one plugin at once: more than its events that await */
#define ARGUMENTS_MAX 16
#define DELAY_MS_MAX  2147483647 /* more, or not a number, counts as 1, as in browsers and Node */

struct host_timer {
    struct list node; /* host.timers */
    struct timer timer;
    struct vm *vm;
    uint32_t id;
    int64_t every_us; /* 0: once */
    bool is_running, is_cancelled;
    JSValue fn;
    int argc;
    JSValue argv[ARGUMENTS_MAX];
};

static void timer_free(struct host_timer *t)
{
    JSContext *ctx = vm_context(t->vm);

    timer_cancel(vm_timers(t->vm), &t->timer);
    list_remove(&t->node);
    vm_host(t->vm)->timer_count--;
    JS_FreeValue(ctx, t->fn);
    for (int i = 0; i < t->argc; i++)
        JS_FreeValue(ctx, t->argv[i]);
    mem_free(t);
}

static void timer_due(struct timer *due)
{
    struct host_timer *t = CONTAINER_OF(due, struct host_timer, timer);
    struct vm *vm = t->vm;
    JSContext *ctx = vm_context(vm);
    JSValue result;

    vm_begin(vm);
    t->is_running = true;
    result = JS_Call(ctx, t->fn, JS_UNDEFINED, t->argc, t->argv);
    t->is_running = false;
    if (JS_IsException(result))
        vm_report_pending(vm);
    JS_FreeValue(ctx, result);
    if (t->every_us > 0 && !t->is_cancelled)
        timer_set(vm_timers(vm), &t->timer, clock_mono_us() + t->every_us);
    else
        timer_free(t);
    vm_end(vm);
}

static bool delay_of(JSContext *ctx, JSValueConst value, int64_t *us)
{
    double ms = 1;

    if (!JS_IsUndefined(value) && JS_ToFloat64(ctx, &ms, value) < 0)
        return false;
    *us = ms >= 1 && ms <= DELAY_MS_MAX ? (int64_t)(ms * 1000) : 1000;
    return true;
}

/* magic: 1 = again and again. */
static JSValue set_timer(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                         int magic)
{
    struct vm *vm = vm_of_call(ctx);
    struct host *h;
    struct host_timer *t;
    int64_t us;

    UNUSED(this_value);
    if (!vm || !delay_of(ctx, argc > 1 ? argv[1] : JS_UNDEFINED, &us))
        return JS_EXCEPTION;
    if (argc < 1 || !JS_IsFunction(ctx, argv[0]))
        return JS_ThrowTypeError(ctx, "setTimeout: the callback must be a function");
    h = vm_host(vm);
    if (h->timer_count >= TIMERS_MAX)
        return JS_ThrowRangeError(ctx, "setTimeout: a plugin may have %d timers at once",
                                  TIMERS_MAX);
    t = mem_new(struct host_timer);
    t->vm = vm;
    t->id = ++h->timer_last & 0x7FFFFFFF;
    t->every_us = magic ? us : 0;
    t->fn = JS_DupValue(ctx, argv[0]);
    for (int i = 2; i < argc && t->argc < ARGUMENTS_MAX; i++)
        t->argv[t->argc++] = JS_DupValue(ctx, argv[i]);
    t->timer.fn = timer_due;
    list_push_back(&h->timers, &t->node);
    h->timer_count++;
    timer_set(vm_timers(vm), &t->timer, clock_mono_us() + us);
    return JS_NewInt32(ctx, (int32_t)t->id);
}

static JSValue clear_timer(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                           int magic)
{
    struct vm *vm = vm_of_call(ctx);
    double id = 0;

    UNUSED(this_value);
    UNUSED(magic);
    if (!vm || (argc > 0 && JS_IsNumber(argv[0]) && JS_ToFloat64(ctx, &id, argv[0]) < 0))
        return JS_EXCEPTION;
    list_each_safe (at, next, &vm_host(vm)->timers) {
        struct host_timer *t = list_entry(at, struct host_timer, node);

        if ((double)t->id != id)
            continue;
        t->is_cancelled = true;
        if (!t->is_running) // else timer_due has it in hand
            timer_free(t);
        break;
    }
    return JS_UNDEFINED;
}

bool host_timers_define(JSContext *ctx, JSValueConst global)
{
    return vm_define_function(ctx, global, "setTimeout", set_timer, 2, 0) &&
           vm_define_function(ctx, global, "clearTimeout", clear_timer, 1, 0) &&
           vm_define_function(ctx, global, "setInterval", set_timer, 2, 1) &&
           vm_define_function(ctx, global, "clearInterval", clear_timer, 1, 0);
}

void host_timers_stop(struct vm *vm)
{
    list_each_safe (at, next, &vm_host(vm)->timers)
        timer_free(list_entry(at, struct host_timer, node));
}
