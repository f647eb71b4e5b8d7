#include "value_aid.h"

static struct json_doc read_doc(const char *text)
{
    struct json_doc doc;
    struct err err = ERR_INIT;

    if (!json_doc_read(slice_cstr(text), &(struct json_read_options){0}, &doc, &err))
        fail_msg("%s: %s", text, err.text);
    return doc;
}

static void test_find(void **state)
{
    struct json_doc doc = read_doc("{\"a\":1,\"b\":2,\"a\":3,\"\":4,\"ab\":5}");
    yyjson_val *first;

    UNUSED(state);
    assert_int_equal(yyjson_get_int(value_tree_find(doc.root, SLICE("a"), &first)), 3);
    assert_ptr_equal(first, unsafe_yyjson_get_first(doc.root));
    assert_int_equal(yyjson_get_int(value_tree_find(doc.root, SLICE_NONE, &first)), 4);
    assert_int_equal(yyjson_get_int(value_tree_find(doc.root, SLICE("ab"), &first)), 5);
    assert_null(value_tree_find(doc.root, SLICE("abc"), &first));
    assert_null(first);
    json_doc_free(&doc);
}

static void test_is_index(void **state)
{
    static const char *const yes[] = {"0", "7", "10", "4294967294"};
    static const char *const no[] = {
        "", "00", "01", "-1", "1.5", "1a", "4294967295", "99999999999999999999", "a"};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(value_name_is_index(slice_cstr(yes[i])));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(value_name_is_index(slice_cstr(no[i])));
}

/* An object of so many members, `last` at the end. */
static void large(struct buf *b, int count, const char *last)
{
    buf_clear(b);
    for (int i = 0; i < count; i++)
        buf_addf(b, "%s\"k%d\":%d", i ? "," : "{", i, i);
    buf_addf(b, ",%s}", last);
}

static void test_is_simple(void **state)
{
    static const struct {
        const char *last;
        bool is_simple;
    } t[] = {{"\"x\":1", true}, {"\"k1\":1", false}, {"\"5\":1", false}, {"\"05\":1", true}};
    static const int counts[] = {3, 63, 64, 300};
    struct buf b = BUF_INIT(1 << 16);

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        for (size_t k = 0; k < ARRAY_LEN(counts); k++) {
            struct json_doc doc;

            large(&b, counts[k], t[i].last);
            doc = read_doc(buf_cstr(&b));
            assert_int_equal(value_tree_is_simple(doc.root), t[i].is_simple);
            json_doc_free(&doc);
        }
    }
    buf_free(&b);
}

/* In order, backwards, and names that are not there; small, large, with repeated names. */
static void test_view(void **state)
{
    static const int counts[] = {5, 200};
    struct buf b = BUF_INIT(1 << 16);
    yyjson_val *first;

    UNUSED(state);
    for (size_t k = 0; k < ARRAY_LEN(counts); k++) {
        struct json_doc doc;
        struct value_view v;

        large(&b, counts[k], k ? "\"k3\":9" : "\"x\":9");
        doc = read_doc(buf_cstr(&b));
        for (int step = -1; step <= 1; step += 2) {
            value_view_init(&v, doc.root);
            for (int i = step > 0 ? 0 : counts[k] - 1; i >= 0 && i < counts[k]; i += step) {
                char name[16];
                int len = snprintf(name, sizeof(name), "k%d", i);
                yyjson_val *found = value_view_find(&v, slice_make(name, (size_t)len), &first);

                assert_int_equal(yyjson_get_int(found), k && i == 3 ? 9 : i);
                assert_non_null(first);
            }
            assert_null(value_view_find(&v, SLICE("none"), &first));
            assert_int_equal(value_view_distinct(&v), counts[k] + !k);
            value_view_fini(&v);
        }
        json_doc_free(&doc);
    }
    value_view_init(&(struct value_view){0}, NULL);
    buf_free(&b);
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        double value;
        bool is_lossy;
    } t[] = {
        {"0", 0, false},
        {"1.5", 1.5, false},
        {"9007199254740992", 9007199254740992.0, false},
        {"9007199254740993", 9007199254740992.0, true},
        {"-9007199254740992", -9007199254740992.0, false},
        {"-9007199254740993", -9007199254740992.0, true},
        {"18446744073709551615", 18446744073709551616.0, true},
        {"1e300", 1e300, false},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct json_doc doc = read_doc(t[i].text);
        bool is_lossy = false;

        assert_true(value_tree_number(doc.root, &is_lossy) == t[i].value);
        assert_int_equal(is_lossy, t[i].is_lossy);
        json_doc_free(&doc);
    }
}

static void test_is_tree(void **state)
{
    static const struct {
        const char *script, *json;
        bool is_same;
    } t[] = {
        {"1", "1", true},
        {"1", "1.0", true},
        {"1.5", "1", false},
        {"'1'", "1", false},
        {"'\\u20ac'", "\"\xe2\x82\xac\"", true},
        {"null", "null", true},
        {"undefined", "null", false},
        {"true", "true", true},
        {"1", "true", false},
        {"[]", "[]", true},
        {"[]", "{}", false},
        {"({})", "[]", false},
        {"[1,[2]]", "[1,[2]]", true},
        {"[1,,]", "[1,null]", false},
        {"[1,2,3]", "[1,2]", false},
        {"({a: 1, b: {c: []}})", "{\"a\":1,\"b\":{\"c\":[]}}", true},
        {"({b: 1, a: 1})", "{\"a\":1,\"b\":1}", false},
        {"({a: 1})", "{\"a\":1,\"b\":1}", false},
        {"({a: 1, b: 1})", "{\"a\":1}", false},
        {"({a: 1, [Symbol()]: 1})", "{\"a\":1}", true},
        {"({get a() { throw 1 }})", "{\"a\":1}", false},
        {"[1, new Proxy([], {ownKeys() { throw 1 }})]", "[1,[]]", false},
        {"Object.defineProperty({}, 'a', {value: 1})", "{\"a\":1}", false},
        {"new Date(0)", "{}", false},
        {"JSON.parse('{\"b\":1,\"2\":1,\"1\":1}')", "{\"b\":0,\"2\":1,\"1\":1,\"b\":1}", true},
        {"({b: 1, 1: 1, a: 1})", "{\"b\":1,\"a\":1,\"1\":1}", true},
        {"({a: 1, 1: 1, b: 1})", "{\"b\":1,\"a\":1,\"1\":1}", false},
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct json_doc doc = read_doc(t[i].json);
        JSValue value = value_aid_eval(&a, t[i].script);

        if (value_is_tree(value_context_of(a.ctx), value, doc.root) != t[i].is_same)
            fail_msg("%s and %s", t[i].script, t[i].json);
        assert_false(JS_HasException(a.ctx));
        JS_FreeValue(a.ctx, value);
        json_doc_free(&doc);
    }
    value_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),      cmocka_unit_test(test_is_index),
        cmocka_unit_test(test_is_simple), cmocka_unit_test(test_view),
        cmocka_unit_test(test_numbers),   cmocka_unit_test(test_is_tree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
