/* Failures: what was thrown, read with care, and what is stored of it.
 *
 * A thrown value may be anything, and its members may be getters that throw, loop or lie. It is
 * read under a short deadline of its own, each member for itself, so that the worst of them costs
 * its member only.
 */
#include "base/clock.h"
#include "base/iso8601.h"
#include "base/mem.h"
#include "plugin/vm_priv.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_UNITS_MAX  10000 /* of name, message and stack each */
#define TEXT_BYTES_MAX  (3 * TEXT_UNITS_MAX)
#define EVENT_BYTES_MAX (256 << 10) /* of the event beside a stored error */
#define ERRORS_A_SECOND 50          /* log entries and writes; the state always has the last one */
#define STORE_AFTER_US  100000

/* --- texts ------------------------------------------------------------------------------------ */

void plugin_error_fini(struct plugin_error *e)
{
    mem_free(e->name);
    mem_free(e->message);
    mem_free(e->stack);
    *e = (struct plugin_error){0};
}

void plugin_error_set(struct plugin_error *e, const char *name, const char *fmt, ...)
{
    struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    char line[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    plugin_error_fini(e);
    vm_text_clean(slice_cstr(line), TEXT_UNITS_MAX, &text);
    e->name = mem_dup_str(name);
    e->message = slice_dup(buf_slice(&text));
    buf_free(&text);
}

char *plugin_error_json(const struct plugin_error *e, int64_t at_us, struct slice event)
{
    struct buf out = BUF_INIT(6 * 3 * TEXT_BYTES_MAX + EVENT_BYTES_MAX + 1024);
    char time[ISO8601_LEN_MAX];
    char *json;

    buf_add_str(&out, "{\"message\":");
    buf_add_json_str(&out, slice_cstr(e->message ? e->message : ""));
    buf_addf(&out, ",\"time\":\"%s\"", iso8601_ms(at_us, time));
    if (e->name) {
        buf_add_str(&out, ",\"name\":");
        buf_add_json_str(&out, slice_cstr(e->name));
    }
    if (e->stack) {
        buf_add_str(&out, ",\"stack\":");
        buf_add_json_str(&out, slice_cstr(e->stack));
    }
    if (event.len > 0 && event.len <= EVENT_BYTES_MAX) {
        buf_add_str(&out, ",\"event\":");
        buf_add_slice(&out, event);
    }
    buf_add_char(&out, '}');
    json = slice_dup(buf_slice(&out));
    buf_free(&out);
    return json;
}

/* --- limits ----------------------------------------------------------------------------------- */

static const char *plural(double count)
{
    return count == 1 ? "" : "s";
}

void vm_error_run_limit(const struct vm *vm, struct plugin_error *e)
{
    double seconds = (double)vm->runtime->options->limits.run_us / 1e6;

    plugin_error_set(e, "TimeoutError", "Script execution timed out after looping for %g second%s",
                     seconds, plural(seconds));
    e->is_timeout = e->is_run_limit = true;
}

void vm_error_wait_limit(const struct vm *vm, const char *what, struct plugin_error *e)
{
    int seconds = vm->runtime->options->task_timeout_s;

    plugin_error_set(e, "TimeoutError",
                     "Script execution timed out after promise waited for %d second%s"
                     " (%s, name: %s, pluginConfigId: %lld)",
                     seconds, plural(seconds), vm->config.plugin_name, what,
                     (long long)vm->config.id);
    e->is_timeout = true;
}

void vm_error_memory(const struct vm *vm, struct plugin_error *e)
{
    plugin_error_set(e, "InternalError",
                     "out of memory: the plugins of a team have %zu bytes on each thread"
                     " (PLUGIN_MEMORY_BYTES)",
                     vm->runtime->options->limits.memory_bytes);
    e->is_memory = true;
}

void vm_error_limit(const struct vm *vm, struct plugin_error *e)
{
    if (vm->out_turn == vm->runtime->turn)
        vm_error_memory(vm, e);
    else
        vm_error_run_limit(vm, e);
}

/* --- reading what was thrown ------------------------------------------------------------------ */

struct reading { /* what the entry was about before */
    int64_t deadline_us;
    bool is_interrupted;
};

static void reading_begin(struct runtime *rt, struct reading *r)
{
    *r = (struct reading){rt->deadline_us, rt->is_interrupted};
    rt->deadline_us = clock_mono_real_us() + VM_ERROR_READ_US;
    rt->is_interrupted = false;
}

static void reading_end(struct runtime *rt, const struct reading *r)
{
    rt->deadline_us = r->deadline_us;
    rt->is_interrupted = r->is_interrupted;
}

static void exception_drop(JSContext *ctx)
{
    JS_FreeValue(ctx, JS_GetException(ctx));
}

/* The text of a value as String() has it; NULL when reading it failed or there is none. Takes the
 * value. */
static char *text_of(JSContext *ctx, JSValue value)
{
    struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    const char *raw = NULL;
    char *copy = NULL;
    size_t len;

    if (JS_IsException(value)) {
        exception_drop(ctx);
        return NULL;
    }
    if (!JS_IsUndefined(value))
        raw = JS_ToCStringLen(ctx, &len, value);
    if (raw) {
        vm_text_clean(slice_make(raw, len), TEXT_UNITS_MAX, &text);
        copy = slice_dup(buf_slice(&text));
        buf_free(&text);
        JS_FreeCString(ctx, raw);
    } else if (!JS_IsUndefined(value)) {
        exception_drop(ctx);
    }
    JS_FreeValue(ctx, value);
    return copy;
}

/* The engine's stack has the frames only; people expect the message above them. */
static void stack_complete(struct plugin_error *e)
{
    struct buf text = BUF_INIT(2 * TEXT_BYTES_MAX);

    if (!e->stack || !e->message || !slice_starts(slice_cstr(e->stack), SLICE("    at")))
        return;
    buf_addf(&text, "%s: ", e->name ? e->name : "Error");
    buf_add_str(&text, e->message);
    buf_add_char(&text, '\n');
    buf_add_str(&text, e->stack);
    while (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    mem_free(e->stack);
    e->stack = slice_dup(buf_slice(&text));
    buf_free(&text);
}

static void object_read(JSContext *ctx, JSValueConst value, struct plugin_error *e)
{
    e->message = text_of(ctx, JS_GetPropertyStr(ctx, value, "message"));
    e->name = text_of(ctx, JS_GetPropertyStr(ctx, value, "name"));
    e->stack = text_of(ctx, JS_GetPropertyStr(ctx, value, "stack"));
    if (!e->message)
        e->message = text_of(ctx, JS_DupValue(ctx, value));
    stack_complete(e);
}

/* An exception of the interrupt handler, or of a promise that it rejected. */
static bool is_interruption(struct vm *vm, JSValueConst value)
{
    JSPropertyDescriptor d;
    JSAtom atom;
    bool is_it = false;
    const char *text;

    if (vm->runtime->is_interrupted)
        return true;
    if (vm->interrupted_turn != vm->runtime->turn || !JS_IsError(vm->ctx, value))
        return false;
    atom = JS_NewAtom(vm->ctx, "message");
    if (JS_GetOwnProperty(vm->ctx, &d, value, atom) > 0) {
        text = JS_IsString(d.value) ? JS_ToCString(vm->ctx, d.value) : NULL;
        is_it = text && strcmp(text, "interrupted") == 0;
        JS_FreeCString(vm->ctx, text);
        JS_FreeValue(vm->ctx, d.value);
        JS_FreeValue(vm->ctx, d.getter);
        JS_FreeValue(vm->ctx, d.setter);
    }
    JS_FreeAtom(vm->ctx, atom);
    return is_it;
}

void vm_error_from_value(struct vm *vm, JSValueConst value, struct plugin_error *e)
{
    struct runtime *rt = vm->runtime;
    bool is_own_entry = rt->depth == 0, was_out = rt->is_out, was_interrupted = rt->is_interrupted;
    struct reading reading;

    plugin_error_fini(e);
    if (was_out || vm->out_turn == rt->turn) {
        vm_error_memory(vm, e);
        return;
    }
    if (is_interruption(vm, value)) {
        vm_error_run_limit(vm, e);
        return;
    }
    vm_enter(vm);
    reading_begin(rt, &reading);
    if (JS_IsObject(value))
        object_read(vm->ctx, value, e);
    else if (JS_IsSymbol(value))
        e->message = mem_dup_str("a symbol was thrown");
    else
        e->message = text_of(vm->ctx, JS_DupValue(vm->ctx, value));
    if (JS_IsUndefined(value))
        e->message = mem_dup_str("undefined");
    reading_end(rt, &reading);
    vm_leave(vm);
    if (is_own_entry) {
        rt->is_out = was_out;
        rt->is_interrupted = was_interrupted;
    }
    if (!e->message)
        e->message = mem_dup_str("something was thrown that cannot be read");
}

void vm_take_error(struct vm *vm, struct plugin_error *e)
{
    JSContext *ctx = vm->ctx;
    JSValue value;

    if (!ctx || !JS_HasException(ctx)) {
        if (vm->runtime->is_out)
            vm_error_memory(vm, e);
        else if (vm->runtime->is_interrupted)
            vm_error_run_limit(vm, e);
        else
            plugin_error_set(e, "Error", "the plugin failed without an exception");
        return;
    }
    value = JS_GetException(ctx);
    vm_error_from_value(vm, value, e);
    JS_FreeValue(ctx, value);
}

/* --- reports ---------------------------------------------------------------------------------- */

void vm_log(struct vm *vm, const char *source, const char *type, struct slice message)
{
    plugins_log(vm->runtime->plugins, &vm->config, source, type, message);
}

/* Of a storm of errors the last one must be what is stored in the end. */
void vm_error_store_now(struct vm *vm)
{
    const struct plugins_options *opt = vm->runtime->options;
    struct plugin_state *state = vm->config.state;
    char *json;

    timer_cancel(vm_timers(vm), &vm->error_timer);
    if (!vm->has_error_to_store)
        return;
    vm->has_error_to_store = false;
    lock_take(&state->lock);
    json = mem_dup_str(state->error_json);
    lock_drop(&state->lock);
    if (json)
        opt->services->error(opt->services_self, vm->config.id, json);
    mem_free(json);
}

static void store_due(struct timer *t)
{
    vm_error_store_now(CONTAINER_OF(t, struct vm, error_timer));
}

static void left_out_tell(struct vm *vm, uint64_t left_out)
{
    char text[80];

    if (left_out == 0)
        return;
    snprintf(text, sizeof(text), "%llu more errors within a second were left out",
             (unsigned long long)left_out);
    vm_log(vm, "SYSTEM", "WARN", slice_cstr(text));
}

void vm_report(struct vm *vm, const struct plugin_error *e, struct slice event)
{
    char *json = plugin_error_json(e, clock_wall_us(), event);
    uint64_t left_out;

    if (host_bucket_take(&vm->errors, ERRORS_A_SECOND, clock_mono_us(), &left_out)) {
        left_out_tell(vm, left_out);
        plugins_report(vm->runtime->plugins, &vm->config, e->message ? e->message : "", json);
        vm->has_error_to_store = false;
    } else {
        plugin_state_set_error(vm->config.state, json);
        vm->has_error_to_store = true;
        vm->error_timer.fn = store_due;
        if (vm->error_timer.place == 0)
            timer_set(vm_timers(vm), &vm->error_timer, clock_mono_us() + STORE_AFTER_US);
    }
    mem_free(json);
}
