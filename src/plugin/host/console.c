/* console: each call is one log entry of its config.
 *
 * Arguments are joined by a space: arrays and plain objects as JSON, anything else as String() has
 * it. A plugin that logs every event must not fill the log, so entries have a rate; how many were
 * left out stands in the next one that goes out.
 */
#include "base/clock.h"
#include "plugin/vm_host.h"

#include <stdio.h>

#define ENTRIES_A_SECOND 200

/* One row per method; the magic number of a function is its row. */
static const struct {
    const char *method, *type;
} methods[] = {
    {"log", "LOG"}, {"info", "INFO"}, {"warn", "WARN"}, {"error", "ERROR"}, {"debug", "DEBUG"},
};

bool host_bucket_take(struct host_bucket *b, int per_second, int64_t now_us, uint64_t *left_out)
{
    int64_t price_us = 1000000 / per_second;

    if (b->filled_us == 0) {
        b->room_us = 1000000;
        b->filled_us = now_us;
    }
    b->room_us = MIN(b->room_us + (now_us - b->filled_us), 1000000);
    b->filled_us = now_us;
    if (b->room_us < price_us) {
        b->left_out++;
        return false;
    }
    b->room_us -= price_us;
    *left_out = b->left_out;
    b->left_out = 0;
    return true;
}

void host_init(struct host *h)
{
    list_init(&h->timers);
    list_init(&h->storage_calls);
}

static JSValue symbol_text(JSContext *ctx, JSValueConst value)
{
    JSAtom atom = JS_ValueToAtom(ctx, value);
    const char *description = JS_AtomToCString(ctx, atom);
    char text[128];

    JS_FreeAtom(ctx, atom);
    if (!description)
        return JS_EXCEPTION;
    snprintf(text, sizeof(text), "Symbol(%.100s)", description);
    JS_FreeCString(ctx, description);
    return JS_NewString(ctx, text);
}

/* The text of one argument as a string value, or an exception. */
static JSValue argument_text(JSContext *ctx, JSValueConst value)
{
    JSValue text, json;
    const char *raw;
    bool is_plain;

    if (JS_IsSymbol(value))
        return symbol_text(ctx, value);
    if (!JS_IsObject(value))
        return JS_ToString(ctx, value);
    if (JS_IsArray(ctx, value) > 0)
        return JS_JSONStringify(ctx, value, JS_UNDEFINED, JS_UNDEFINED);
    text = JS_ToString(ctx, value);
    raw = JS_IsException(text) ? NULL : JS_ToCString(ctx, text);
    is_plain = raw && strcmp(raw, "[object Object]") == 0;
    JS_FreeCString(ctx, raw);
    if (!is_plain)
        return text;
    json = JS_JSONStringify(ctx, value, JS_UNDEFINED, JS_UNDEFINED);
    JS_FreeValue(ctx, text);
    return json;
}

static bool argument_add(JSContext *ctx, JSValueConst value, struct buf *line)
{
    JSValue text = argument_text(ctx, value);
    const char *raw;
    size_t len;

    if (JS_IsException(text))
        return false;
    raw = JS_ToCStringLen(ctx, &len, text);
    JS_FreeValue(ctx, text);
    if (!raw)
        return false;
    // What is cut off anyway need not be copied; a unit has at most three bytes.
    buf_add(line, raw, MIN(len, line->max - line->len));
    JS_FreeCString(ctx, raw);
    return true;
}

static void entry_write(struct vm *vm, const char *type, struct slice line, uint64_t left_out)
{
    struct buf text = BUF_INIT(SIZE_MAX / 2);
    char note[80];

    if (left_out > 0) {
        snprintf(note, sizeof(note), "%llu more entries within a second were left out",
                 (unsigned long long)left_out);
        vm_log(vm, "SYSTEM", "WARN", slice_cstr(note));
    }
    vm_text_clean(line, vm_options(vm)->limits.log_message_units, &text);
    vm_log(vm, "CONSOLE", type, buf_slice(&text));
    buf_free(&text);
}

static JSValue write_entry(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                           int magic)
{
    struct vm *vm = vm_of_call(ctx);
    struct buf line;
    uint64_t left_out;
    bool ok = true;

    UNUSED(this_value);
    if (!vm)
        return JS_EXCEPTION;
    if (!host_bucket_take(&vm_host(vm)->console, ENTRIES_A_SECOND, clock_mono_us(), &left_out))
        return vm_promise_of(ctx, JS_UNDEFINED);
    line = BUF_INIT(3 * vm_options(vm)->limits.log_message_units + 4);
    for (int i = 0; i < argc && ok; i++) {
        if (i > 0)
            buf_add_char(&line, ' ');
        ok = argument_add(ctx, argv[i], &line);
    }
    if (ok)
        entry_write(vm, methods[magic].type, buf_slice(&line), left_out);
    buf_free(&line);
    return vm_promise_of(ctx, ok ? JS_UNDEFINED : JS_EXCEPTION);
}

JSValue host_console_new(JSContext *ctx)
{
    JSValue console = JS_NewObject(ctx);
    bool ok = !JS_IsException(console);

    for (size_t i = 0; i < ARRAY_LEN(methods) && ok; i++)
        ok = vm_define_function(ctx, console, methods[i].method, write_entry, 0, (int)i);
    if (ok)
        return console;
    JS_FreeValue(ctx, console);
    return JS_EXCEPTION;
}
