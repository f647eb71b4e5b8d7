#include "base/mem.h"
#include "model/json_value.h"
#include "unit.h"

#include <pthread.h>

static const struct json_read_options strict = {.lenient = false};
static const struct json_read_options lenient = {.lenient = true};
static const struct json_read_options raw = {.lenient = true, .raw_numbers = true};

static void assert_text(struct buf *b, const char *text)
{
    assert_string_equal(buf_cstr(b), text);
    buf_clear(b);
}

/* Text in, canonical text out; expected NULL: refused. */
static void round_trip(const char *text, const struct json_read_options *opt, const char *expected)
{
    struct buf out = BUF_INIT(1 << 20);
    struct json_doc doc;
    struct err err = ERR_INIT;
    bool ok = json_doc_read(slice_cstr(text), opt, &doc, &err);

    if (ok != (expected != NULL))
        fail_msg("%s: %s", text, ok ? "was not refused" : err.text);
    if (ok) {
        assert_true(json_value_write(doc.root, &out));
        assert_text(&out, expected);
    } else {
        assert_int_equal(err.code, ERR_INPUT);
        assert_null(doc.doc);
    }
    json_doc_free(&doc);
    buf_free(&out);
}

static void test_read(void **state)
{
    static const struct {
        const char *text, *strict, *lenient, *raw;
    } t[] = {
        {"{}", "{}", "{}", "{}"},
        {" [ 1 , 2 ] ", "[1,2]", "[1,2]", "[1,2]"},
        {"\xef\xbb\xbf{\"a\":1}", "{\"a\":1}", "{\"a\":1}", "{\"a\":1}"},
        {"null", "null", "null", "null"},
        {"{\"x\":NaN,\"y\":[-Infinity,Infinity]}", NULL, "{\"x\":null,\"y\":[null,null]}",
         "{\"x\":null,\"y\":[null,null]}"},
        {"\"\\ud800x\"", NULL, "\"\xef\xbf\xbdx\"", "\"\xef\xbf\xbdx\""},
        {"\"\\udc00\\ud800\\ud83d\\ude00\"", NULL, "\"\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80\"",
         "\"\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80\""},
        {"\"\\ud83d\\ude00 \\\\ud800\"", "\"\xf0\x9f\x98\x80 \\\\ud800\"",
         "\"\xf0\x9f\x98\x80 \\\\ud800\"", "\"\xf0\x9f\x98\x80 \\\\ud800\""},
        {"[1.0,299.990,1e400,123456789012345678901]", "[1,299.99,null,123456789012345680000]",
         "[1,299.99,null,123456789012345680000]", "[1.0,299.990,1e400,123456789012345678901]"},
        {"[18446744073709551615,-9223372036854775808]",
         "[18446744073709551615,-9223372036854775808]",
         "[18446744073709551615,-9223372036854775808]",
         "[18446744073709551615,-9223372036854775808]"},
        {"", NULL, NULL, NULL},
        {"  ", NULL, NULL, NULL},
        {"[1,]", NULL, NULL, NULL},
        {"{\"a\":1} x", NULL, NULL, NULL},
        {"[01]", NULL, NULL, NULL},
        {"'a'", NULL, NULL, NULL},
        {"\"\xff\"", NULL, NULL, NULL},
        {"\"a", NULL, NULL, NULL},
        {"\"\\ud800", NULL, NULL, NULL},
        {"\"\\u12\"", NULL, NULL, NULL},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        round_trip(t[i].text, &strict, t[i].strict);
        round_trip(t[i].text, &lenient, t[i].lenient);
        round_trip(t[i].text, &raw, t[i].raw);
    }
}

static void nested(struct buf *b, size_t levels, const char *open, const char *close)
{
    buf_clear(b);
    for (size_t i = 0; i < levels; i++)
        buf_add_str(b, open);
    buf_add_str(b, "1");
    for (size_t i = 0; i < levels; i++)
        buf_add_str(b, close);
}

static void test_depth(void **state)
{
    struct buf b = BUF_INIT(1 << 20);

    UNUSED(state);
    nested(&b, JSON_DEPTH_MAX, "[", "]");
    round_trip(buf_cstr(&b), &strict, buf_cstr(&b));
    nested(&b, JSON_DEPTH_MAX, "{\"a\":", "}");
    round_trip(buf_cstr(&b), &strict, buf_cstr(&b));
    nested(&b, JSON_DEPTH_MAX + 1, "[", "]");
    round_trip(buf_cstr(&b), &lenient, NULL);
    nested(&b, 100000, "[", "]");
    round_trip(buf_cstr(&b), &lenient, NULL);
    /* many siblings are not deep */
    buf_clear(&b);
    buf_add_str(&b, "[[]");
    for (int i = 0; i < 1000; i++)
        buf_add_str(&b, ",[[]],{\"a\":{}}");
    buf_add_str(&b, "]");
    round_trip(buf_cstr(&b), &strict, buf_cstr(&b));
    buf_free(&b);
}

static void test_memory(void **state)
{
    struct json_read_options opt = {.memory_max = 4096};
    struct buf b = BUF_INIT(1 << 20);
    struct json_doc doc;
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_true(json_doc_read(SLICE("[1,2,3]"), &opt, &doc, &err));
    json_doc_free(&doc);
    buf_add_str(&b, "[0");
    for (int i = 0; i < 2000; i++)
        buf_add_str(&b, ",0");
    buf_add_str(&b, "]");
    assert_false(json_doc_read(buf_slice(&b), &opt, &doc, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_null(doc.doc);
    json_doc_free(&doc);
    opt.memory_max = 0;
    assert_true(json_doc_read(buf_slice(&b), &opt, &doc, &err));
    assert_int_equal(yyjson_arr_size(doc.root), 2001);
    json_doc_free(&doc);
    buf_free(&b);
}

static void test_error_names_place(void **state)
{
    struct json_doc doc;
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_false(json_doc_read(SLICE("{\"a\":x}"), &lenient, &doc, &err));
    assert_non_null(strstr(err.text, "at byte 5"));
}

/* Many documents at once, freed in any order, by several threads. */
static void *use_documents(void *arg)
{
    struct json_doc docs[20];
    struct err err = ERR_INIT;

    UNUSED(arg);
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < ARRAY_LEN(docs); i++)
            CHECK(json_doc_read(SLICE("{\"a\":[1,2,3],\"b\":\"text\"}"), &strict, &docs[i], &err));
        for (size_t i = 0; i < ARRAY_LEN(docs); i++)
            json_doc_free(&docs[(i * 7) % ARRAY_LEN(docs)]);
    }
    return NULL;
}

static void test_pool(void **state)
{
    pthread_t threads[3];

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_documents, NULL), 0);
    use_documents(NULL);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
}

static void test_string_form(void **state)
{
    static const struct {
        const char *json, *form;
    } t[] = {
        {"\"a\\\"b\"", "a\"b"},
        {"2", "2"},
        {"2.0", "2"},
        {"1e21", "1e+21"},
        {"-0.5", "-0.5"},
        {"-0", "0"},
        {"9007199254740993", "9007199254740993"},
        {"18446744073709551616", "18446744073709552000"},
        {"true", "true"},
        {"false", "false"},
        {"null", "null"},
        {"[]", ""},
        {"[1,\"b\",null,[2,3],true]", "1,b,,2,3,true"},
        {"{\"a\":1}", "[object Object]"},
        {"[{}]", "[object Object]"},
    };
    struct buf out = BUF_INIT(4096);

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        for (int mode = 0; mode < 2; mode++) {
            struct json_doc doc;
            struct err err = ERR_INIT;

            assert_true(json_doc_read(slice_cstr(t[i].json), mode ? &raw : &strict, &doc, &err));
            assert_true(json_string_form(doc.root, &out));
            assert_text(&out, t[i].form);
            json_doc_free(&doc);
        }
    }
    assert_true(json_string_form(NULL, &out));
    assert_text(&out, "undefined");
    buf_free(&out);
}

static void test_truthy(void **state)
{
    static const char *const truthy[] = {
        "1", "-0.5", "\"0\"", "true", "[]", "{}", "12345678901234567890123"};
    static const char *const falsy[] = {"0", "-0", "0.0", "0e5", "\"\"", "false", "null"};
    struct json_doc doc;
    struct err err = ERR_INIT;

    UNUSED(state);
    for (size_t i = 0; i < 2 * ARRAY_LEN(truthy); i++) {
        assert_true(json_doc_read(slice_cstr(truthy[i / 2]), i % 2 ? &raw : &strict, &doc, &err));
        assert_true(json_is_truthy(doc.root));
        json_doc_free(&doc);
    }
    for (size_t i = 0; i < 2 * ARRAY_LEN(falsy); i++) {
        assert_true(json_doc_read(slice_cstr(falsy[i / 2]), i % 2 ? &raw : &strict, &doc, &err));
        assert_false(json_is_truthy(doc.root));
        json_doc_free(&doc);
    }
    assert_false(json_is_truthy(NULL));
}

static void test_member(void **state)
{
    struct json_doc doc;
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_true(json_doc_read(SLICE("{\"a\":1,\"ab\":2,\"a\":3,\"\":4}"), &strict, &doc, &err));
    assert_int_equal(yyjson_get_int(json_member(doc.root, SLICE("a"))), 3);
    assert_int_equal(yyjson_get_int(json_member(doc.root, SLICE("ab"))), 2);
    assert_int_equal(yyjson_get_int(json_member(doc.root, SLICE(""))), 4);
    assert_null(json_member(doc.root, SLICE("b")));
    assert_null(json_member(json_member(doc.root, SLICE("a")), SLICE("b")));
    yyjson_val *a = doc.root, *ab = NULL, *b = doc.root;
    const struct json_wanted wanted[] = {{SLICE("b"), &b}, {SLICE("ab"), &ab}, {SLICE("a"), &a}};
    json_members(doc.root, wanted, ARRAY_LEN(wanted));
    assert_int_equal(yyjson_get_int(a), 3);
    assert_int_equal(yyjson_get_int(ab), 2);
    assert_null(b);
    json_members(a, wanted, ARRAY_LEN(wanted)); /* not an object */
    assert_true(!a && !ab && !b);
    b = doc.root;
    json_members(NULL, wanted, ARRAY_LEN(wanted));
    assert_null(b);
    json_doc_free(&doc);
}

static void test_equal(void **state)
{
    static const struct {
        const char *a, *b;
        bool is_equal;
    } t[] = {
        {"1", "1.0", true},
        {"1", "1e0", true},
        {"9007199254740993", "9007199254740993.0", false},
        {"-1", "18446744073709551615", false},
        {"0", "-0.0", true},
        {"1", "\"1\"", false},
        {"1", "true", false},
        {"0", "null", false},
        {"\"a\"", "\"a\"", true},
        {"\"a\"", "\"A\"", false},
        {"[1,2]", "[1,2]", true},
        {"[1,2]", "[2,1]", false},
        {"[1,2]", "[1]", false},
        {"{\"a\":1,\"b\":[{}]}", "{\"b\":[{}],\"a\":1}", true},
        {"{\"a\":1,\"a\":2}", "{\"a\":2}", true},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"{\"a\":null}", "{}", false},
        {"{}", "[]", false},
        {"null", "null", true},
        {"false", "false", true},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct json_doc a, b;
        struct err err = ERR_INIT;

        assert_true(json_doc_read(slice_cstr(t[i].a), &strict, &a, &err));
        assert_true(json_doc_read(slice_cstr(t[i].b), &strict, &b, &err));
        if (json_equal(a.root, b.root) != t[i].is_equal ||
            json_equal(b.root, a.root) != t[i].is_equal)
            fail_msg("%s and %s", t[i].a, t[i].b);
        json_doc_free(&a);
        json_doc_free(&b);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_string_form),
        cmocka_unit_test(test_truthy),
        cmocka_unit_test(test_member),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_error_names_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
