/* value_aid.h - a context with the value bridge in it, and events as scripts see them. One thread.
 */
#ifndef TESTS_UNIT_PLUGIN_VALUE_AID_H
#define TESTS_UNIT_PLUGIN_VALUE_AID_H

#include "base/mem.h"
#include "plugin/value_priv.h"
#include "unit.h"

#include <stdio.h>

#define AID_BYTES_MAX ((size_t)1 << 20)

struct value_aid {
    JSRuntime *rt;
    JSContext *ctx;
    struct json_doc doc;
    struct event_envelope envelope;
    struct event_object *object; /* the last event */
    struct buf text;
    struct event_head head;
    bool is_copy;
    struct err err;
};

static inline void value_aid_init(struct value_aid *a)
{
    struct err err = ERR_INIT;

    *a = (struct value_aid){.text = BUF_INIT(AID_BYTES_MAX + 8192), .err = ERR_INIT};
    a->rt = JS_NewRuntime();
    JS_SetMemoryLimit(a->rt, (size_t)64 << 20);
    assert_true(value_runtime_init(a->rt, &err));
    a->ctx = JS_NewContext(a->rt);
    assert_true(value_context_init(a->ctx, &err));
    a->envelope = (struct event_envelope){
        .team_id = 2,
        .distinct_id = SLICE("user-1"),
        .ip = SLICE("203.0.113.7"),
        .now_us = 1700000000123000,
        .sent_at_us = 1700000001000000,
        .has_sent_at = true,
    };
    assert_true(uuid_parse(SLICE("018a981f-4b2d-78ae-947d-b48bb0f02b88"), &a->envelope.uuid));
}

static inline void value_aid_end(struct value_aid *a)
{
    if (a->object)
        event_object_end(a->object);
    a->object = NULL;
    json_doc_free(&a->doc);
}

static inline void value_aid_fini(struct value_aid *a)
{
    value_aid_end(a);
    value_context_fini(a->ctx);
    JS_FreeContext(a->ctx);
    JS_FreeRuntime(a->rt);
    buf_free(&a->text);
}

/* A global function or value; the caller frees it. */
static inline JSValue value_aid_global(struct value_aid *a, const char *name)
{
    JSValue global = JS_GetGlobalObject(a->ctx);
    JSValue value = JS_GetPropertyStr(a->ctx, global, name);

    JS_FreeValue(a->ctx, global);
    return value;
}

static inline void value_aid_print_exception(struct value_aid *a)
{
    JSValue exception = JS_GetException(a->ctx);
    const char *text = JS_ToCString(a->ctx, exception);
    JSValue stack = JS_GetPropertyStr(a->ctx, exception, "stack");
    const char *lines = JS_ToCString(a->ctx, stack);

    print_message("%s\n%s\n", text ? text : "?", lines ? lines : "");
    JS_FreeCString(a->ctx, text);
    JS_FreeCString(a->ctx, lines);
    JS_FreeValue(a->ctx, stack);
    JS_FreeValue(a->ctx, exception);
}

/* The value of a script; fails the test when it throws. */
static inline JSValue value_aid_eval(struct value_aid *a, const char *script)
{
    JSValue value = JS_Eval(a->ctx, script, strlen(script), "test.js", JS_EVAL_TYPE_GLOBAL);

    if (JS_IsException(value)) {
        value_aid_print_exception(a);
        fail_msg("threw: %s", script);
    }
    return value;
}

static inline void value_aid_run(struct value_aid *a, const char *script)
{
    JS_FreeValue(a->ctx, value_aid_eval(a, script));
}

/* A script must be true. */
static inline void value_aid_true(struct value_aid *a, const char *script)
{
    JSValue value = value_aid_eval(a, script);

    if (JS_ToBool(a->ctx, value) != 1) {
        const char *text = JS_ToCString(a->ctx, value);

        print_message("%s gives %s\n", script, text ? text : "?");
        JS_FreeCString(a->ctx, text);
        fail();
    }
    JS_FreeValue(a->ctx, value);
}

static inline void value_aid_open(struct value_aid *a, const char *data)
{
    struct err err = ERR_INIT;

    value_aid_end(a);
    if (!json_doc_read(slice_cstr(data), &(struct json_read_options){.lenient = true}, &a->doc,
                       &err))
        fail_msg("%s: %s", data, err.text);
    a->object = event_object_new(a->ctx, &a->envelope, a->doc.root);
    assert_non_null(a->object);
}

static inline enum event_change value_aid_read(struct value_aid *a, JSValueConst result)
{
    return event_object_read(a->object, result, AID_BYTES_MAX, &a->text, &a->head, &a->is_copy,
                             &a->err);
}

/* Calls `function (event) { BODY }` with an event made of `data` and reads the result. A pending
 * exception is dropped. */
static inline enum event_change value_aid_process(struct value_aid *a, const char *data,
                                                  const char *body)
{
    struct buf script = BUF_INIT(1 << 20);
    JSValue function, result;
    JSValueConst argument;
    enum event_change change;

    value_aid_open(a, data);
    buf_addf(&script, "(function (event) { 'use strict'; %s })", body);
    function = value_aid_eval(a, buf_cstr(&script));
    argument = event_object_value(a->object);
    result = JS_Call(a->ctx, function, JS_UNDEFINED, 1, &argument);
    if (JS_IsException(result)) {
        value_aid_print_exception(a);
        fail_msg("threw: %s", body);
    }
    change = value_aid_read(a, result);
    JS_FreeValue(a->ctx, JS_GetException(a->ctx));
    JS_FreeValue(a->ctx, result);
    JS_FreeValue(a->ctx, function);
    buf_free(&script);
    return change;
}

/* expected NULL: nothing changes. */
static inline void value_aid_expect(struct value_aid *a, const char *data, const char *body,
                                    const char *expected)
{
    enum event_change change = value_aid_process(a, data, body);

    if (change != (expected ? EVENT_CHANGED : EVENT_SAME))
        fail_msg("%s: outcome %d %s", body, change, a->err.text);
    if (expected)
        assert_string_equal(buf_cstr(&a->text), expected);
    value_aid_end(a);
}

#endif
