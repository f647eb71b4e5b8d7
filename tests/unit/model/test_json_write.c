#include "base/rand.h"
#include "model/json_index.h"
#include "model/json_value.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void assert_text(struct buf *b, const char *text)
{
    assert_string_equal(buf_cstr(b), text);
    buf_clear(b);
}

static void test_numbers(void **state)
{
    static const struct {
        double value;
        const char *text;
    } t[] = {
        {0, "0"},
        {-0.0, "0"},
        {1, "1"},
        {-1, "-1"},
        {299.99, "299.99"},
        {0.1, "0.1"},
        {-0.25, "-0.25"},
        {0.000001, "0.000001"},
        {0.0000001, "1e-7"},
        {1.5e-7, "1.5e-7"},
        {123456.789, "123456.789"},
        {1e15, "1000000000000000"},
        {9007199254740992.0, "9007199254740992"},
        {1e20, "100000000000000000000"},
        {123456789012345680000.0, "123456789012345680000"},
        {1e21, "1e+21"},
        {1.2345e25, "1.2345e+25"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {INFINITY, "null"},
        {-INFINITY, "null"},
        {NAN, "null"},
    };
    struct buf b = BUF_INIT(100);

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        assert_true(json_number_js(t[i].value, &b));
        assert_text(&b, t[i].text);
    }
    buf_free(&b);
}

/* Whatever the bits: the text reads back as the same double and is not longer than printf's. */
static void test_numbers_round_trip(void **state)
{
    struct buf b = BUF_INIT(100);

    UNUSED(state);
    rand_fake_seed(7);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rand_u64();
        double value;

        memcpy(&value, &bits, 8);
        if (!isfinite(value))
            continue;
        assert_true(json_number_js(value, &b));
        assert_true(strtod(buf_cstr(&b), NULL) == value);
        buf_clear(&b);
    }
    buf_free(&b);
}

static void test_strings(void **state)
{
    static const struct {
        struct slice in;
        const char *text, *clean;
    } t[] = {
        {{"", 0}, "\"\"", "\"\""},
        {{"abc", 3}, "\"abc\"", "\"abc\""},
        {{"a\"b\\c/", 6}, "\"a\\\"b\\\\c/\"", "\"a\\\"b\\\\c/\""},
        {{"\b\f\n\r\t\x0b\x1f\x7f", 8},
         "\"\\b\\f\\n\\r\\t\\u000b\\u001f\x7f\"",
         "\"\\b\\f\\n\\r\\t\\u000b\\u001f\x7f\""},
        {{"a\0b", 3},
         "\"a\\u0000b\"",
         "\"a\xef\xbf\xbd"
         "b\""},
        {{"0123456\"89abcdef0123\n", 21},
         "\"0123456\\\"89abcdef0123\\n\"",
         "\"0123456\\\"89abcdef0123\\n\""},
        {{"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 \xe2\x80\xa8", 15},
         "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 \xe2\x80\xa8\"",
         "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 \xe2\x80\xa8\""},
    };
    struct buf b = BUF_INIT(1000);

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        assert_true(json_string_write(t[i].in, false, &b));
        assert_text(&b, t[i].text);
        assert_true(json_string_write(t[i].in, true, &b));
        assert_text(&b, t[i].clean);
    }
    buf_free(&b);
}

/* Every byte at every place of strings of every length, alone and before a byte that is not ASCII.
 */
static void test_special_anywhere(void **state)
{
    struct buf b = BUF_INIT(1000);
    struct json_read_options opt = {0};

    UNUSED(state);
    for (int c = 0; c < 128; c++) {
        for (size_t at = 0; at < 27; at++) {
            char text[28];
            size_t len = MAX(at + 1, (size_t)c % sizeof(text));
            struct json_doc doc;
            struct err err = ERR_INIT;

            memset(text, 'x', sizeof(text));
            text[at] = (char)c;
            if (at + 2 < len)
                memcpy(text + at + 1, "\xc3\xbc", 2);
            buf_clear(&b);
            assert_true(json_string_write(slice_make(text, len), false, &b));
            assert_true(json_doc_read(buf_slice(&b), &opt, &doc, &err));
            assert_true(slice_eq(json_text(doc.root), slice_make(text, len)));
            json_doc_free(&doc);
        }
    }
    buf_free(&b);
}

/* Two names with one fingerprint are two names. */
static void test_names_alike(void **state)
{
    static const char text[] = "{\"12345678a87654321\":1,\"12345678b87654321\":2}";
    struct json_read_options opt = {0};
    struct buf b = BUF_INIT(1000);
    struct err err = ERR_INIT;
    struct json_doc doc;

    UNUSED(state);
    assert_int_equal(json_key_fingerprint(SLICE("12345678a87654321")),
                     json_key_fingerprint(SLICE("12345678b87654321")));
    assert_true(json_doc_read(slice_cstr(text), &opt, &doc, &err));
    assert_true(json_value_write(doc.root, &b));
    assert_text(&b, text);
    json_doc_free(&doc);
    buf_free(&b);
}

static void test_objects(void **state)
{
    static const struct {
        const char *in, *out;
    } t[] = {
        {"{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}"},
        {"{\"a\":{\"x\":1,\"x\":[{\"y\":1,\"y\":2}]}}", "{\"a\":{\"x\":[{\"y\":2}]}}"},
        {"{\"\":1,\"\":2}", "{\"\":2}"},
        {"{ \"b\" : [ ] , \"a\" : { } }", "{\"b\":[],\"a\":{}}"},
        {"{\"10\":1,\"2\":2}", "{\"10\":1,\"2\":2}"},
    };
    struct buf b = BUF_INIT(1000);
    struct json_read_options opt = {0};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct json_doc doc;
        struct err err = ERR_INIT;

        assert_true(json_doc_read(slice_cstr(t[i].in), &opt, &doc, &err));
        assert_true(json_value_write(doc.root, &b));
        assert_text(&b, t[i].out);
        json_doc_free(&doc);
    }
    buf_free(&b);
}

/* A thousand members with each name twice: first places, last values. */
static void test_many_repeated(void **state)
{
    struct buf in = BUF_INIT(1 << 20);
    struct buf expected = BUF_INIT(1 << 20);
    struct buf out = BUF_INIT(1 << 20);
    struct json_read_options opt = {0};
    struct json_doc doc;
    struct err err = ERR_INIT;

    UNUSED(state);
    buf_add_str(&in, "{");
    for (int i = 0; i < 2000; i++)
        buf_addf(&in, "%s\"key number %d\":%d", i ? "," : "", i % 1000, i);
    buf_add_str(&in, "}");
    buf_add_str(&expected, "{");
    for (int i = 0; i < 1000; i++)
        buf_addf(&expected, "%s\"key number %d\":%d", i ? "," : "", i, i + 1000);
    buf_add_str(&expected, "}");
    assert_true(json_doc_read(buf_slice(&in), &opt, &doc, &err));
    assert_true(json_value_write(doc.root, &out));
    assert_string_equal(buf_cstr(&out), buf_cstr(&expected));
    json_doc_free(&doc);
    buf_free(&in);
    buf_free(&expected);
    buf_free(&out);
}

static void test_object_write(void **state)
{
    static const char *const skip[] = {"b", "zz", NULL};
    struct buf b = BUF_INIT(1000);
    struct json_read_options opt = {0};
    struct json_doc doc;
    struct err err = ERR_INIT;
    size_t count;

    UNUSED(state);
    assert_true(json_doc_read(SLICE("{\"b\":0,\"a\":1,\"c\":2,\"a\":3}"), &opt, &doc, &err));
    assert_true(json_object_write(doc.root, skip, false, &count, &b));
    assert_int_equal(count, 2);
    assert_text(&b, "{\"a\":3,\"c\":2}");
    assert_true(json_object_write(doc.root, NULL, true, &count, &b));
    assert_int_equal(count, 3);
    assert_text(&b, "{\"b\":0,\"a\":3,\"c\":2");
    json_doc_free(&doc);
    assert_true(json_doc_read(SLICE("{\"b\":0}"), &opt, &doc, &err));
    assert_true(json_object_write(doc.root, skip, false, &count, &b));
    assert_int_equal(count, 0);
    assert_text(&b, "{}");
    json_doc_free(&doc);
    buf_free(&b);
}

/* A buffer that is too small says so, wherever its end falls. */
static void test_limit(void **state)
{
    static const char text[] =
        "{\"a\":[1,true,null,\"x\\n\\\"y\",2.5],\"b\":{\"c\":\"dddddddddddddddddd\"}}";
    struct json_read_options opt = {0};
    struct json_doc doc;
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_true(json_doc_read(slice_cstr(text), &opt, &doc, &err));
    for (size_t max = 0; max <= sizeof(text) - 1; max++) {
        struct buf b = BUF_INIT(max);

        assert_int_equal(json_value_write(doc.root, &b), max == sizeof(text) - 1);
        assert_true(b.len <= max);
        buf_free(&b);
    }
    json_doc_free(&doc);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),       cmocka_unit_test(test_numbers_round_trip),
        cmocka_unit_test(test_strings),       cmocka_unit_test(test_special_anywhere),
        cmocka_unit_test(test_names_alike),   cmocka_unit_test(test_objects),
        cmocka_unit_test(test_many_repeated), cmocka_unit_test(test_object_write),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
