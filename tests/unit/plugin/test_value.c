#include "value_aid.h"

/* --- conversion in both directions ------------------------------------------------------------ */

static void expect_text(struct value_aid *a, const char *script, const char *expected)
{
    JSValue value = value_aid_eval(a, script);
    struct buf out = BUF_INIT(1 << 16);
    struct err err = ERR_INIT;

    if (!value_to_json(a->ctx, value, 1 << 16, &out, &err))
        fail_msg("%s: %s", script, err.text);
    assert_string_equal(buf_cstr(&out), expected);
    JS_FreeValue(a->ctx, value);
    buf_free(&out);
}

static void test_to_json(void **state)
{
    static const struct {
        const char *script, *json;
    } t[] = {
        {"undefined", "null"},
        {"(() => 1)", "null"},
        {"Symbol()", "null"},
        {"null", "null"},
        {"true", "true"},
        {"-0", "0"},
        {"NaN", "null"},
        {"1e21", "1e+21"},
        {"0.1 + 0.2", "0.30000000000000004"},
        {"'a\\ud800b\\udc00\\ud83d\\ude00'", "\"a\xef\xbf\xbd"
                                             "b\xef\xbf\xbd\xf0\x9f\x98\x80\""},
        {"let rope = ''; for (let i = 0; i < 5; i++) rope += 'x'.repeat(9000).slice(0, 1); rope",
         "\"xxxxx\""},
        {"({'\\ud800': 1})", "{\"\xef\xbf\xbd\":1}"},
        {"[1,,2]", "[1,null,2]"},
        {"[[[]]]", "[[[]]]"},
        {"({b: 1, 2: 2, 1: 1, u: undefined, f() {}, [Symbol()]: 1})", "{\"1\":1,\"2\":2,\"b\":1}"},
        {"new String('ab')", "{\"0\":\"a\",\"1\":\"b\"}"},
        {"[new Number(1), new Date(0), /x/, new Map([[1, 2]])]", "[{},{},{},{}]"},
        {"new Uint8Array([7, 8])", "{\"0\":7,\"1\":8}"},
        {"({get a() { return this.b }, b: 2})", "{\"a\":2,\"b\":2}"},
        {"({toJSON() { return 1 }})", "{}"},
        {"Object.create({a: 1})", "{}"},
        {"new Proxy([1, 2], {})", "[1,2]"},
        {"(function () { return arguments })(1, 2)", "{\"0\":1,\"1\":2}"},
        {"JSON.parse('{\"__proto__\":1}')", "{\"__proto__\":1}"},
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        expect_text(&a, t[i].script, t[i].json);
    value_aid_fini(&a);
}

static void test_to_json_fails(void **state)
{
    static const struct {
        const char *script, *error;
        bool is_thrown;
    } t[] = {
        {"1n", "BigInt", false},
        {"const o = {}; o.o = o; o", "cyclic", false},
        {"'x'.repeat(2000)", "larger than", false},
        {"new Array(1001)", "larger than", false},
        {"({get a() { throw 1 }})", "threw", true},
        {"[new Proxy({}, {ownKeys() { throw 1 }})]", "threw", true},
        {"new Proxy([], {get() { throw 1 }})", "threw", true},
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        JSValue value = value_aid_eval(&a, t[i].script);
        struct buf out = BUF_INIT(1 << 16);
        struct err err = ERR_INIT;

        assert_false(value_to_json(a.ctx, value, 1000, &out, &err));
        if (!strstr(err.text, t[i].error))
            fail_msg("%s: %s", t[i].script, err.text);
        assert_int_equal(JS_HasException(a.ctx), t[i].is_thrown);
        JS_FreeValue(a.ctx, JS_GetException(a.ctx));
        JS_FreeValue(a.ctx, value);
        buf_free(&out);
    }
    value_aid_fini(&a);
}

/* The event itself may be written as a plain value (logs, storage). */
static void test_event_to_json(void **state)
{
    struct value_aid a;
    struct buf out = BUF_INIT(1 << 16);
    struct err err = ERR_INIT;

    UNUSED(state);
    value_aid_init(&a);
    value_aid_open(&a, "{\"event\":\"e\",\"properties\":{\"a\":1}}");
    assert_true(value_to_json(a.ctx, event_object_value(a.object), 1 << 16, &out, &err));
    assert_non_null(strstr(buf_cstr(&out), "\"properties\":{\"a\":1},\"uuid\":\"018a"));
    buf_free(&out);
    value_aid_fini(&a);
}

static void test_from_json(void **state)
{
    static const char *const texts[] = {
        "null",
        "true",
        "\"\"",
        "\"a\\u0000\\ud83d\\ude00\"",
        "-0",
        "-0.0",
        "1.0",
        "2147483648",
        "-9007199254740993",
        "18446744073709551615",
        "1e308",
        "[]",
        "{}",
        "[[],[{}]]",
        "{\"b\":1,\"2\":1,\"a\":{\"__proto__\":[1]},\"b\":2,\"1\":0,\"\":3}",
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    value_aid_run(&a,
                  "globalThis.all = v => typeof v === 'object' && v !== null ? "
                  "[Object.getPrototypeOf(v) === (Array.isArray(v) ? Array : Object).prototype, "
                  "Reflect.ownKeys(v).map(k => [k, all(v[k])])] : Object.is(v, -0) ? '-0' : v; "
                  "globalThis.same = (a, b) => JSON.stringify(all(a)) === JSON.stringify(all(b))");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct json_doc doc;
        JSValue same = value_aid_global(&a, "same");
        JSValue pair[2], result;

        assert_true(
            json_doc_read(slice_cstr(texts[i]), &(struct json_read_options){0}, &doc, &a.err));
        pair[0] = value_from_json(a.ctx, doc.root);
        pair[1] = value_from_text(a.ctx, slice_cstr(texts[i]));
        result = JS_Call(a.ctx, same, JS_UNDEFINED, 2, pair);
        if (JS_ToBool(a.ctx, result) != 1)
            fail_msg("%s", texts[i]);
        JS_FreeValue(a.ctx, pair[0]);
        JS_FreeValue(a.ctx, pair[1]);
        JS_FreeValue(a.ctx, same);
        json_doc_free(&doc);
    }
    value_aid_fini(&a);
}

/* A setter on a prototype is not run by data. */
static void test_from_json_under_setters(void **state)
{
    struct value_aid a;
    struct json_doc doc;
    JSValue value;

    UNUSED(state);
    value_aid_init(&a);
    value_aid_run(&a, "for (const k of [0, 'a']) Object.defineProperty(Object.prototype, k, "
                      "{set() { throw new Error('run') }, get() { return 'inherited' }})");
    assert_true(
        json_doc_read(SLICE("{\"a\":[1,2]}"), &(struct json_read_options){0}, &doc, &a.err));
    value = value_from_json(a.ctx, doc.root);
    assert_false(JS_IsException(value));
    json_doc_free(&doc);
    JS_FreeValue(a.ctx, value);
    value_aid_expect(&a, "{\"properties\":{\"a\":1}}",
                     "if (event.properties.a !== 1) throw 1; return event", NULL);
    value_aid_fini(&a);
}

static void test_from_text(void **state)
{
    struct value_aid a;
    JSValue value;

    UNUSED(state);
    value_aid_init(&a);
    value = value_from_text(a.ctx, SLICE("{\"a\":"));
    assert_true(JS_IsException(value));
    JS_FreeValue(a.ctx, JS_GetException(a.ctx));
    value = value_from_text(a.ctx, SLICE_NONE);
    assert_true(JS_IsException(value));
    JS_FreeValue(a.ctx, JS_GetException(a.ctx));
    value = value_from_text(a.ctx, slice_make("12345", 2)); /* no NUL behind it */
    assert_int_equal(JS_VALUE_GET_INT(value), 12);
    value_aid_fini(&a);
}

/* Every step of making a value may run out of memory; nothing leaks and nothing is half made. */
static void test_from_json_without_memory(void **state)
{
    struct value_aid a;
    struct json_doc doc;
    JSMemoryUsage usage;
    size_t failures = 0;

    UNUSED(state);
    value_aid_init(&a);
    assert_true(json_doc_read(
        SLICE("{\"a\":[\"long enough to need memory\",{\"unknown name\":1.5}],\"b\":{}}"),
        &(struct json_read_options){0}, &doc, &a.err));
    for (size_t more = 0; more < 4096; more += 16) {
        JSValue value;

        JS_ComputeMemoryUsage(a.rt, &usage);
        JS_SetMemoryLimit(a.rt, (size_t)usage.malloc_size + more);
        value = value_from_json(a.ctx, doc.root);
        JS_SetMemoryLimit(a.rt, (size_t)64 << 20);
        failures += JS_IsException(value);
        JS_FreeValue(a.ctx, value);
        JS_FreeValue(a.ctx, JS_GetException(a.ctx));
    }
    assert_true(failures > 5);
    json_doc_free(&doc);
    value_aid_fini(&a);
}

static void test_stringify(void **state)
{
    struct value_aid a;
    struct buf out = BUF_INIT(64);
    bool is_undefined;
    JSValue value;

    UNUSED(state);
    value_aid_init(&a);
    value = value_aid_eval(&a, "({d: new Date(0), t: {toJSON: () => [1]}, u: undefined})");
    assert_true(value_stringify(a.ctx, value, &out, &is_undefined));
    assert_false(is_undefined);
    assert_string_equal(buf_cstr(&out), "{\"d\":\"1970-01-01T00:00:00.000Z\",\"t\":[1]}");
    JS_FreeValue(a.ctx, value);
    buf_clear(&out);
    assert_true(value_stringify(a.ctx, JS_UNDEFINED, &out, &is_undefined));
    assert_true(is_undefined);
    value = value_aid_eval(&a, "'x'.repeat(100)");
    assert_false(value_stringify(a.ctx, value, &out, &is_undefined));
    assert_true(JS_HasException(a.ctx));
    JS_FreeValue(a.ctx, JS_GetException(a.ctx));
    JS_FreeValue(a.ctx, value);
    value = value_aid_eval(&a, "var c = {}; c.c = c; c");
    assert_false(value_stringify(a.ctx, value, &out, &is_undefined));
    JS_FreeValue(a.ctx, JS_GetException(a.ctx));
    JS_FreeValue(a.ctx, value);
    buf_free(&out);
    value_aid_fini(&a);
}

/* --- names ------------------------------------------------------------------------------------ */

static void expect_name(struct value_context *vc, struct slice name)
{
    JSAtom atom = value_atom(vc, name);
    struct value_key key;

    assert_int_not_equal(atom, JS_ATOM_NULL);
    assert_true(value_key_init(vc, atom, &key));
    assert_false(key.is_symbol);
    assert_true(slice_eq(key.name, name));
    value_key_fini(vc, &key);
    JS_FreeAtom(vc->ctx, atom);
}

/* More names than there are places, several times over. */
static void test_names(void **state)
{
    struct value_aid a;
    struct value_context *vc;
    struct value_key key;
    JSAtom atom;
    char text[100];

    UNUSED(state);
    value_aid_init(&a);
    vc = value_context_of(a.ctx);
    for (int i = 0; i < 5000; i++) {
        int len = snprintf(text, sizeof(text), i % 7 ? "name %d" : "%d", i % 1700);

        expect_name(vc, slice_make(text, (size_t)len));
    }
    expect_name(vc, SLICE_NONE);
    expect_name(vc, SLICE("a\0b"));
    expect_name(vc, SLICE("\xe2\x82\xac"));
    expect_name(vc, slice_make(memset(text, 'x', 100), 100));
    expect_name(vc, SLICE("4294967295"));
    atom = JS_ValueToAtom(a.ctx, value_aid_eval(&a, "Symbol.iterator"));
    assert_true(value_key_init(vc, atom, &key));
    assert_true(key.is_symbol);
    value_key_fini(vc, &key);
    JS_FreeAtom(a.ctx, atom);
    value_aid_fini(&a);
}

static void test_fingerprint(void **state)
{
    static const char *const names[] = {"",
                                        "a",
                                        "b",
                                        "ab",
                                        "ba",
                                        "abc",
                                        "abd",
                                        "abcd",
                                        "abcde",
                                        "$browser",
                                        "$browser_version",
                                        "$os",
                                        "$os_version"};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            assert_int_equal(value_fingerprint(slice_cstr(names[i])) ==
                                 value_fingerprint(slice_cstr(names[k])),
                             i == k);
    }
}

static void test_context(void **state)
{
    JSRuntime *rt = JS_NewRuntime();
    struct err err = ERR_INIT;
    JSContext *ctx;

    UNUSED(state);
    assert_true(value_runtime_init(rt, &err));
    ctx = JS_NewContext(rt);
    assert_null(value_context_of(ctx));
    value_context_fini(ctx); /* never made: nothing happens */
    JS_SetMemoryLimit(rt, 1);
    assert_false(value_context_init(ctx, &err));
    JS_SetMemoryLimit(rt, (size_t)64 << 20);
    JS_FreeValue(ctx, JS_GetException(ctx));
    assert_true(value_context_init(ctx, &err));
    value_context_fini(ctx);
    JS_FreeContext(ctx);
    JS_FreeRuntime(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_json),
        cmocka_unit_test(test_to_json_fails),
        cmocka_unit_test(test_event_to_json),
        cmocka_unit_test(test_from_json),
        cmocka_unit_test(test_from_json_under_setters),
        cmocka_unit_test(test_from_text),
        cmocka_unit_test(test_from_json_without_memory),
        cmocka_unit_test(test_stringify),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_context),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
