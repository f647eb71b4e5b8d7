/* value_differ.h - runs value_differ.js: the same random operations on a lazy event and on a plain
 * one. For the unit test (random numbers) and for the fuzzer (bytes). One thread. */
#ifndef TESTS_UNIT_PLUGIN_VALUE_DIFFER_H
#define TESTS_UNIT_PLUGIN_VALUE_DIFFER_H

#include "base/mem.h"
#include "plugin/value_priv.h"

#define DIFFER_BYTES_MAX ((size_t)1 << 20)

static const char differ_script[] = {
#include "tests/unit/plugin/value_differ.js.inc"
    0};

struct differ {
    JSRuntime *rt;
    JSContext *ctx;
    JSValue sequence;
    uint64_t (*random)(void *self);
    void *self;
    struct json_doc doc;
    struct event_object *object;
    struct buf text;
    struct event_head head;
    unsigned ticks; /* of the interrupt handler in one sequence */
    unsigned ticks_max;
};

static inline struct differ *differ_of(JSContext *ctx)
{
    return JS_GetContextOpaque(ctx);
}

static inline JSValue differ_random(JSContext *ctx, JSValueConst self, int count,
                                    JSValueConst *arguments)
{
    struct differ *d = differ_of(ctx);
    uint32_t below = 1;

    UNUSED(self);
    UNUSED(count);
    if (JS_ToUint32(ctx, &below, arguments[0]) == -1)
        return JS_EXCEPTION;
    return JS_NewUint32(ctx, (uint32_t)(d->random(d->self) % MAX(below, 1u)));
}

static inline void differ_end(struct differ *d)
{
    if (d->object)
        event_object_end(d->object);
    d->object = NULL;
    json_doc_free(&d->doc);
}

static inline JSValue differ_open(JSContext *ctx, JSValueConst self, int count,
                                  JSValueConst *arguments)
{
    struct differ *d = differ_of(ctx);
    struct err err = ERR_INIT;
    struct event_envelope e = {
        .team_id = 2,
        .distinct_id = SLICE("user-1"),
        .ip = SLICE("203.0.113.7"),
        .now_us = 1700000000123000,
        .sent_at_us = 1700000001000000,
        .has_sent_at = true,
    };
    size_t len;
    const char *text = JS_ToCStringLen(ctx, &len, arguments[0]);

    UNUSED(self);
    UNUSED(count);
    if (!text)
        return JS_EXCEPTION;
    CHECK(!d->object);
    CHECK(uuid_parse(SLICE("018a981f-4b2d-78ae-947d-b48bb0f02b88"), &e.uuid));
    if (!json_doc_read(slice_make(text, len), &(struct json_read_options){.lenient = true}, &d->doc,
                       &err)) {
        JS_FreeCString(ctx, text);
        return JS_ThrowTypeError(ctx, "%s", err.text);
    }
    JS_FreeCString(ctx, text);
    d->object = event_object_new(ctx, &e, d->doc.root);
    return d->object ? JS_DupValue(ctx, event_object_value(d->object)) : JS_EXCEPTION;
}

static inline JSValue differ_read_back(JSContext *ctx, JSValueConst self, int count,
                                       JSValueConst *arguments)
{
    struct differ *d = differ_of(ctx);
    struct err err = ERR_INIT;
    bool is_copy;

    UNUSED(self);
    UNUSED(count);
    switch (event_object_read(d->object, arguments[0], DIFFER_BYTES_MAX, &d->text, &d->head,
                              &is_copy, &err)) {
    case EVENT_SAME:
        return JS_NewString(ctx, "same");
    case EVENT_CHANGED:
        return JS_NewStringLen(ctx, d->text.ptr, d->text.len);
    default:
        if (JS_HasException(ctx))
            JS_FreeValue(ctx, JS_GetException(ctx));
        return JS_NewString(ctx, "failed");
    }
}

static inline JSValue differ_close(JSContext *ctx, JSValueConst self, int count,
                                   JSValueConst *arguments)
{
    UNUSED(self);
    UNUSED(count);
    UNUSED(arguments);
    differ_end(differ_of(ctx));
    return JS_UNDEFINED;
}

static inline int differ_interrupt(JSRuntime *rt, void *self)
{
    struct differ *d = self;

    UNUSED(rt);
    return d->ticks_max > 0 && ++d->ticks > d->ticks_max;
}

static inline void differ_add(struct differ *d, const char *name, JSCFunction *function, int length)
{
    JSValue global = JS_GetGlobalObject(d->ctx);

    JS_SetPropertyStr(d->ctx, global, name, JS_NewCFunction(d->ctx, function, name, length));
    JS_FreeValue(d->ctx, global);
}

static inline void differ_init(struct differ *d, uint64_t (*random)(void *self), void *self)
{
    struct err err = ERR_INIT;

    *d = (struct differ){.random = random, .self = self, .text = BUF_INIT(DIFFER_BYTES_MAX + 8192)};
    d->rt = JS_NewRuntime();
    JS_SetMemoryLimit(d->rt, (size_t)256 << 20);
    JS_SetInterruptHandler(d->rt, differ_interrupt, d);
    CHECK(value_runtime_init(d->rt, &err));
    d->ctx = JS_NewContext(d->rt);
    CHECK(value_context_init(d->ctx, &err));
    JS_SetContextOpaque(d->ctx, d);
    differ_add(d, "random", differ_random, 1);
    differ_add(d, "open", differ_open, 1);
    differ_add(d, "readBack", differ_read_back, 1);
    differ_add(d, "close", differ_close, 0);
    d->sequence = JS_Eval(d->ctx, differ_script, sizeof(differ_script) - 1, "value_differ.js",
                          JS_EVAL_TYPE_GLOBAL);
    if (JS_IsException(d->sequence)) {
        JSValue exception = JS_GetException(d->ctx);

        check_failed(JS_ToCString(d->ctx, exception), "value_differ.js", 0);
    }
}

static inline void differ_fini(struct differ *d)
{
    differ_end(d);
    JS_FreeValue(d->ctx, d->sequence);
    value_context_fini(d->ctx);
    JS_FreeContext(d->ctx);
    JS_FreeRuntime(d->rt);
    buf_free(&d->text);
}

/* `given`: JSON of an object whose numbers a double holds; empty: one is made up. Heap text of what
 * differs; NULL: nothing, or the sequence was ended by a limit of the engine. */
static inline char *differ_run(struct differ *d, struct slice given)
{
    JSValue argument = given.len ? JS_NewStringLen(d->ctx, given.ptr, given.len) : JS_UNDEFINED;
    JSValue done, exception;
    const char *text;
    char *copy = NULL;

    d->ticks = 0;
    done = JS_Call(d->ctx, d->sequence, JS_UNDEFINED, 1, (JSValueConst *)&argument);
    if (JS_IsException(done)) {
        exception = JS_GetException(d->ctx);
        text = JS_ToCString(d->ctx, exception);
        if (!text || (!strstr(text, "InternalError") && !strstr(text, "interrupted")))
            copy = mem_dup_str(text ? text : "no text");
        JS_FreeCString(d->ctx, text);
        JS_FreeValue(d->ctx, exception);
    }
    JS_FreeValue(d->ctx, done);
    JS_FreeValue(d->ctx, argument);
    differ_end(d);
    return copy;
}

#endif
