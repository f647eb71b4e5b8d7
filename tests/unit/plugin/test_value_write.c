#include "value_aid.h"

/* The text of a script's value beside the tree that stood in its place. */
static void beside(struct value_aid *a, const char *script, const char *tree, const char *expected)
{
    JSValue value = value_aid_eval(a, script);
    struct buf out = BUF_INIT(1 << 16);
    struct err err = ERR_INIT;
    struct json_doc doc;
    struct value_writer w = {
        .vc = value_context_of(a->ctx), .out = &out, .bytes_max = 1 << 16, .err = &err};

    assert_true(json_doc_read(slice_cstr(tree), &(struct json_read_options){.raw_numbers = true},
                              &doc, &err));
    if (!value_write(&w, value, doc.root))
        fail_msg("%s: %s", script, err.text);
    assert_string_equal(buf_cstr(&out), expected);
    json_doc_free(&doc);
    JS_FreeValue(a->ctx, value);
    buf_free(&out);
}

/* A number that equals what stood there keeps its text, in whatever order its object is. */
static void test_numbers_keep_their_text(void **state)
{
    static const struct {
        const char *script, *tree, *expected;
    } t[] = {
        {"2.5", "2.50", "2.50"},
        {"2.5", "2.51", "2.5"},
        {"2 ** 64", "18446744073709551615", "18446744073709551615"},
        {"2 ** 64", "\"x\"", "18446744073709552000"},
        {"[1, 2]", "[1.0,3.0,2.0]", "[1.0,2]"},
        {"[1, 2]", "{\"0\":1.0}", "[1,2]"},
        {"({b: 1, a: 2})", "{\"a\":2.0,\"b\":1.0}", "{\"b\":1.0,\"a\":2.0}"},
        {"({b: {c: [7]}})", "{\"b\":{\"c\":[7.000]}}", "{\"b\":{\"c\":[7.000]}}"},
        {"({b: {c: [7]}})", "{\"b\":[7.000]}", "{\"b\":{\"c\":[7]}}"},
        {"({a: 3})", "{\"a\":2.0,\"a\":3.0}", "{\"a\":3.0}"},
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        beside(&a, t[i].script, t[i].tree, t[i].expected);
    value_aid_fini(&a);
}

/* Members that write nothing count as steps: many references to one large object end. */
static void test_steps(void **state)
{
    struct value_aid a;
    struct buf out = BUF_INIT(1 << 20);
    struct err err = ERR_INIT;
    JSValue value;

    UNUSED(state);
    value_aid_init(&a);
    value = value_aid_eval(&a, "const o = {}; for (let i = 0; i < 1000; i++) "
                               "Object.defineProperty(o, 'k' + i, {value: 1}); new "
                               "Array(10000).fill(o)");
    assert_false(value_to_json(a.ctx, value, 100000, &out, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(out.len < 10000);
    JS_FreeValue(a.ctx, value);
    buf_free(&out);
    value_aid_fini(&a);
}

/* The buffer ends before the limit does. */
static void test_small_buffer(void **state)
{
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t max = 0; max < 40; max++) {
        struct buf out = BUF_INIT(max);
        struct err err = ERR_INIT;
        JSValue value = value_aid_eval(&a, "({name: [1, 'text', null], b: true, c: 1.5})");
        bool ok = value_to_json(a.ctx, value, 1000, &out, &err);

        assert_int_equal(ok,
                         max >= sizeof("{\"name\":[1,\"text\",null],\"b\":true,\"c\":1.5}") - 1);
        assert_true(ok || err.code == ERR_LIMIT);
        JS_FreeValue(a.ctx, value);
        buf_free(&out);
    }
    value_aid_fini(&a);
}

static void test_text(void **state)
{
    static const struct {
        const char *script, *text;
    } t[] = {
        {"''", ""},
        {"'a\\u00e9'", "a\xc3\xa9"},
        {"'\\ud800'", "\xef\xbf\xbd"},
        {"'\\ud800\\ud800x\\udc00\\ud83d\\ude00'",
         "\xef\xbf\xbd\xef\xbf\xbdx\xef\xbf\xbd\xf0\x9f\x98\x80"},
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        JSValue value = value_aid_eval(&a, t[i].script);
        struct buf spare = BUF_INIT(1000);
        const char *held;
        struct slice text;

        assert_true(value_text(a.ctx, value, &text, &held, &spare));
        assert_true(slice_eq(text, slice_cstr(t[i].text)));
        JS_FreeCString(a.ctx, held);
        JS_FreeValue(a.ctx, value);
        buf_free(&spare);
    }
    value_aid_fini(&a);
}

static void test_is_omitted(void **state)
{
    struct value_aid a;
    JSValue value;

    UNUSED(state);
    value_aid_init(&a);
    value = value_aid_eval(&a, "new Proxy(function () {}, {})");
    assert_true(value_is_omitted(a.ctx, value));
    JS_FreeValue(a.ctx, value);
    assert_true(value_is_omitted(a.ctx, JS_UNDEFINED));
    assert_false(value_is_omitted(a.ctx, JS_NULL));
    value_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_keep_their_text),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_small_buffer),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_is_omitted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
