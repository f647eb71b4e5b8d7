#include "base/b64.h"
#include "base/gzip.h"
#include "in/capture/capture_priv.h"
#include "lib/unit.h"

#define JSON          "{\"event\":\"e1\",\"v\":1}"
#define CANNOT_UNPACK "Malformed request data: Failed to decompress data."

static struct slice gzipped(struct buf *out, const char *text)
{
    struct err err = ERR_INIT;

    buf_clear(out);
    assert_true(gzip_encode(slice_cstr(text), 6, out, &err));
    return buf_slice(out);
}

/* --- choice --- */

static void chooses_the_payload(void **state)
{
    static const struct {
        bool is_get;
        const char *type, *body, *query, *raw;
    } table[] = {
        {true, NULL, "ignored", "data=abc", "abc"},
        {true, NULL, NULL, "data=%7B%7D+x", "{} x"},
        {true, NULL, NULL, "data=", ""},
        {true, NULL, NULL, "", ""},
        {false, NULL, "raw", "", "raw"},
        {false, "text/plain", "data=x", "", "data=x"},
        {false, "application/json; charset=utf-8", "{}", "", "{}"},
        {false, "application/x-www-form-urlencoded", "a=1&data=x%2By+z&data=2", "", "x+y z"},
        {false, "Application/X-WWW-Form-Urlencoded; charset=utf-8", "data=x", "", "x"},
        {false, "application/x-www-form-urlencoded", "{\"data=\":1}", "", "{\"data=\":1}"},
        {false, "application/x-www-form-urlencoded", "\xef\xbb\xbf \n[1]", "",
         "\xef\xbb\xbf \n[1]"},
        {false, "application/x-www-form-urlencoded", "\x1f\x8b&data=1", "", "\x1f\x8b&data=1"},
        {false, "application/x-www-form-urlencoded", "foo=bar", "", ""},
        {false, "application/x-www-form-urlencoded", "foo=bar", "data=q", "q"},
        {false, NULL, "", "data=q", "q"},
    };
    struct arena *arena = arena_new(1024);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct capture_source src = {.is_get = table[i].is_get,
                                     .body = slice_cstr(table[i].body),
                                     .content_type = slice_cstr(table[i].type)};
        struct slice raw;

        capture_form_read(slice_cstr(table[i].query), arena, &src.query);
        raw = capture_body_choose(&src, arena);
        if (!slice_eq(raw, slice_cstr(table[i].raw)))
            fail_msg("%zu: %.*s", i, SLICE_ARG(raw));
    }
    arena_free(arena);
}

static void reads_the_hint(void **state)
{
    static const struct {
        const char *query, *form, *header;
        enum capture_hint hint;
    } table[] = {
        {"", "", "", CAPTURE_HINT_NONE},
        {"gzip", "", "", CAPTURE_HINT_GZIP},
        {"gzip-js", "", "", CAPTURE_HINT_GZIP},
        {"GZIP-JS", "", "", CAPTURE_HINT_GZIP},
        {"", "lz64", "", CAPTURE_HINT_LZ64},
        {"lz-string", "", "", CAPTURE_HINT_LZ64},
        {"", "", "gzip", CAPTURE_HINT_GZIP},
        {"", "", "b64", CAPTURE_HINT_BASE64},
        {"base64", "gzip", "gzip", CAPTURE_HINT_BASE64},
        {"", "lz64", "gzip", CAPTURE_HINT_LZ64},
        {"brotli", "gzip", "gzip", CAPTURE_HINT_NONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct capture_source src = {.query.compression = slice_cstr(table[i].query),
                                     .form.compression = slice_cstr(table[i].form),
                                     .content_encoding = slice_cstr(table[i].header)};

        if (capture_body_hint(&src) != table[i].hint)
            fail_msg("%zu", i);
    }
}

/* --- layers --- */

static void check_unpack(struct slice raw, enum capture_hint hint, const char *json)
{
    struct capture_unpacked u = CAPTURE_UNPACKED_INIT(1 << 20);
    struct err err = ERR_INIT;
    struct slice got = SLICE_NONE;

    assert_int_equal(capture_body_unpack(raw, hint, &u, &got, &err), CAPTURE_OK);
    assert_int_equal(got.len, strlen(json));
    assert_memory_equal(got.ptr, json, got.len);
    capture_unpacked_free(&u);
}

static void check_refused(struct slice raw, enum capture_hint hint, enum capture_reply reply,
                          const char *detail)
{
    struct capture_unpacked u = CAPTURE_UNPACKED_INIT(1 << 16);
    struct err err = ERR_INIT;
    struct slice got = SLICE("untouched");

    assert_int_equal(capture_body_unpack(raw, hint, &u, &got, &err), reply);
    if (detail)
        assert_string_equal(err.text, detail);
    capture_unpacked_free(&u);
}

static void leaves_json_alone(void **state)
{
    (void)state;
    for (int hint = CAPTURE_HINT_NONE; hint <= CAPTURE_HINT_BASE64; hint++) {
        check_unpack(SLICE(JSON), (enum capture_hint)hint, JSON);
        check_unpack(SLICE("\xef\xbb\xbf \r\n\t[]"), (enum capture_hint)hint,
                     "\xef\xbb\xbf \r\n\t[]");
    }
    check_unpack(SLICE("12"), CAPTURE_HINT_NONE, "12");
    check_unpack(SLICE("null"), CAPTURE_HINT_NONE,
                 "null"); /* four letters of the base64 alphabet */
    check_unpack(SLICE("undefined"), CAPTURE_HINT_NONE, "undefined");
}

static void takes_layers_off(void **state)
{
    struct buf a = BUF_INIT(1 << 16), b = BUF_INIT(1 << 16), c = BUF_INIT(1 << 16);
    struct err err = ERR_INIT;

    (void)state;
    for (int hint = CAPTURE_HINT_NONE; hint <= CAPTURE_HINT_BASE64; hint++) {
        if (hint == CAPTURE_HINT_LZ64)
            continue;
        check_unpack(gzipped(&a, JSON), (enum capture_hint)hint, JSON);
        buf_clear(&b);
        assert_true(b64_encode(buf_slice(&a), &b));
        check_unpack(buf_slice(&b), (enum capture_hint)hint, JSON); /* gzip in base64 */
        buf_clear(&c);
        assert_true(gzip_encode(buf_slice(&b), 6, &c, &err));
        check_unpack(buf_slice(&c), (enum capture_hint)hint, JSON); /* and gzip around it */
    }
    buf_add_str(gzipped(&a, JSON).len ? &a : NULL, "trailing garbage");
    check_unpack(buf_slice(&a), CAPTURE_HINT_NONE, JSON);
    check_unpack(SLICE("eyJhIjoiPz4+In0="), CAPTURE_HINT_NONE, "{\"a\":\"?>>\"}"); /* as is */
    check_unpack(SLICE("eyJhIjoiPz4+In0"), CAPTURE_HINT_NONE, "{\"a\":\"?>>\"}"); /* padding lost */
    check_unpack(SLICE("eyJhIjoiPz4 In0="), CAPTURE_HINT_NONE,
                 "{\"a\":\"?>>\"}"); /* + became a space */
    check_unpack(SLICE("eyJhIjoiPz4-In0="), CAPTURE_HINT_NONE,
                 "{\"a\":\"?>>\"}"); /* URL alphabet */
    check_unpack(SLICE("eyJhI\r\njoiPz4+\r\nIn0=\r\n"), CAPTURE_HINT_NONE, "{\"a\":\"?>>\"}");
    buf_free(&a);
    buf_free(&b);
    buf_free(&c);
}

static void gives_up_after_four_layers(void **state)
{
    struct buf a = BUF_INIT(1 << 16), b = BUF_INIT(1 << 16);

    (void)state;
    buf_add_str(&a, JSON);
    for (int i = 0; i < 5; i++) {
        struct buf swap = a;

        buf_clear(&b);
        assert_true(b64_encode(buf_slice(&a), &b));
        a = b;
        b = swap;
    }
    /* base64 of base64 is not recognised: only what gives JSON or gzip is taken */
    check_refused(buf_slice(&a), CAPTURE_HINT_GZIP, CAPTURE_INVALID_PAYLOAD, CANNOT_UNPACK);
    gzipped(&a, JSON);
    for (int i = 0; i < 4; i++) {
        struct err err = ERR_INIT;
        struct buf swap = a;

        buf_clear(&b);
        assert_true(gzip_encode(buf_slice(&a), 6, &b, &err));
        a = b;
        b = swap;
    }
    {
        struct capture_unpacked u = CAPTURE_UNPACKED_INIT(1 << 16);
        struct err err = ERR_INIT;
        struct slice got = SLICE_NONE;

        assert_int_equal(capture_body_unpack(buf_slice(&a), CAPTURE_HINT_GZIP, &u, &got, &err),
                         CAPTURE_OK);
        assert_true(gzip_is(got)); /* five: the last one stays, and is no JSON */
        capture_unpacked_free(&u);
    }
    buf_free(&a);
    buf_free(&b);
}

static void refuses_broken_layers(void **state)
{
    struct buf a = BUF_INIT(1 << 20);
    struct slice gz = gzipped(&a, JSON);
    static const char undefined[] =
        "Malformed request data: data being loaded from the request body for decompression "
        "is the literal string 'undefined'";

    (void)state;
    check_refused(slice_make(gz.ptr, gz.len - 3), CAPTURE_HINT_NONE, CAPTURE_INVALID_PAYLOAD,
                  CANNOT_UNPACK);
    check_refused(slice_make(gz.ptr, 10), CAPTURE_HINT_GZIP, CAPTURE_INVALID_PAYLOAD,
                  CANNOT_UNPACK);
    a.ptr[gz.len - 6] ^= 1; /* CRC */
    check_refused(gz, CAPTURE_HINT_NONE, CAPTURE_INVALID_PAYLOAD, CANNOT_UNPACK);
    check_refused(SLICE("undefined"), CAPTURE_HINT_GZIP, CAPTURE_INVALID_PAYLOAD, undefined);
    check_refused(SLICE("no gzip!"), CAPTURE_HINT_GZIP, CAPTURE_INVALID_PAYLOAD, CANNOT_UNPACK);
    check_refused(SLICE("foo"), CAPTURE_HINT_LZ64, CAPTURE_INVALID_PAYLOAD, CANNOT_UNPACK);
    check_refused(gzipped(&a, ""), CAPTURE_HINT_NONE, CAPTURE_NO_DATA, NULL);
    buf_free(&a);
}

static void bounds_what_comes_out(void **state)
{
    struct buf zeros = BUF_INIT(1 << 20), a = BUF_INIT(1 << 20);

    (void)state;
    for (int i = 0; i < 70000; i++)
        buf_add_char(&zeros, ' ');
    check_refused(gzipped(&a, buf_cstr(&zeros)), CAPTURE_HINT_NONE, CAPTURE_TOO_LARGE, NULL);
    buf_free(&zeros);
    buf_free(&a);
}

/* --- JSON --- */

static void parses(void **state)
{
    static const struct {
        const char *text;
        enum capture_reply reply;
    } table[] = {
        {"{\"a\":1}", CAPTURE_OK},
        {"[{}]", CAPTURE_OK},
        {"[NaN,Infinity,-Infinity]", CAPTURE_OK},
        {"\xef\xbb\xbf[1]", CAPTURE_OK},
        {"[\"\\ud800\"]", CAPTURE_OK},
        {"{}", CAPTURE_NO_DATA},
        {"[]", CAPTURE_NO_DATA},
        {"0", CAPTURE_NO_DATA},
        {"-0.0e5", CAPTURE_NO_DATA},
        {"\"\"", CAPTURE_NO_DATA},
        {"null", CAPTURE_NO_DATA},
        {"NaN", CAPTURE_NO_DATA},
        {"false", CAPTURE_NO_DATA},
        {"true", CAPTURE_INVALID_PAYLOAD},
        {"12", CAPTURE_INVALID_PAYLOAD},
        {"0.1", CAPTURE_INVALID_PAYLOAD},
        {"\"x\"", CAPTURE_INVALID_PAYLOAD},
        {"{\"a\":1,}", CAPTURE_INVALID_PAYLOAD},
        {"[\"\xff\"]", CAPTURE_INVALID_PAYLOAD},
        {"undefined", CAPTURE_INVALID_PAYLOAD},
        {"{\"a\":1} x", CAPTURE_INVALID_PAYLOAD},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct json_doc doc;
        struct err err = ERR_INIT;
        enum capture_reply reply =
            capture_body_parse(slice_cstr(table[i].text), 1 << 20, &doc, &err);

        if (reply != table[i].reply)
            fail_msg("%s -> %s", table[i].text, capture_reply_code(reply));
        json_doc_free(&doc);
    }
}

static void tells_why_json_is_bad(void **state)
{
    static const char prefix[] = "Malformed request data: Invalid JSON: ";
    struct json_doc doc;
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(capture_body_parse(SLICE("{\"a\":1,}"), 1 << 20, &doc, &err),
                     CAPTURE_INVALID_PAYLOAD);
    assert_memory_equal(err.text, prefix, sizeof prefix - 1);
    assert_true(strlen(err.text) > sizeof prefix);
}

static void nested(struct buf *out, int levels)
{
    buf_clear(out);
    for (int i = 0; i < levels; i++)
        buf_add_char(out, '[');
    buf_add_char(out, '1');
    for (int i = 0; i < levels; i++)
        buf_add_char(out, ']');
}

static void bounds_depth_and_memory(void **state)
{
    struct buf text = BUF_INIT(1 << 20);
    struct json_doc doc;
    struct err err = ERR_INIT;

    (void)state;
    nested(&text, 100);
    assert_int_equal(capture_body_parse(buf_slice(&text), 1 << 20, &doc, &err), CAPTURE_OK);
    json_doc_free(&doc);
    nested(&text, 101);
    assert_int_equal(capture_body_parse(buf_slice(&text), 1 << 20, &doc, &err),
                     CAPTURE_INVALID_PAYLOAD);
    buf_clear(&text);
    buf_add_str(&text, "[0");
    for (int i = 0; i < 10000; i++)
        buf_add_str(&text, ",0");
    buf_add_str(&text, "]");
    assert_int_equal(capture_body_parse(buf_slice(&text), 4096, &doc, &err), CAPTURE_TOO_LARGE);
    buf_free(&text);
}

static void python_truth(void **state)
{
    struct json_doc doc;
    struct err err = ERR_INIT;
    size_t at, count;
    yyjson_val *v;

    (void)state;
    assert_int_equal(
        capture_body_parse(
            SLICE("[[1,{\"a\":1},\"x\",true,0.1,1e-9,[0]],[0,0.0,-0,\"\",null,false,[],{}]]"),
            1 << 20, &doc, &err),
        CAPTURE_OK);
    yyjson_arr_foreach(yyjson_arr_get_first(doc.root), at, count, v)
        assert_true(capture_body_is_filled(v));
    yyjson_arr_foreach(yyjson_arr_get_last(doc.root), at, count, v)
        assert_false(capture_body_is_filled(v));
    assert_false(capture_body_is_filled(NULL));
    json_doc_free(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_the_payload),
        cmocka_unit_test(reads_the_hint),
        cmocka_unit_test(leaves_json_alone),
        cmocka_unit_test(takes_layers_off),
        cmocka_unit_test(gives_up_after_four_layers),
        cmocka_unit_test(refuses_broken_layers),
        cmocka_unit_test(bounds_what_comes_out),
        cmocka_unit_test(parses),
        cmocka_unit_test(tells_why_json_is_bad),
        cmocka_unit_test(bounds_depth_and_memory),
        cmocka_unit_test(python_truth),
    };
    return cmocka_run_group_tests_name("capture_body", tests, NULL, NULL);
}
