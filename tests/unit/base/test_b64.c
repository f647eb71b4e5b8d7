#include "base/b64.h"
#include "unit.h"

static void assert_content(const struct buf *b, struct slice text)
{
    assert_true(slice_eq(buf_slice(b), text));
}

// RFC 4648, section 10, and the two last letters.
static void encodes(void **state)
{
    static const struct {
        struct slice in;
        const char *out;
    } table[] = {
        {{NULL, 0}, ""},
        {{"", 0}, ""},
        {{"f", 1}, "Zg=="},
        {{"fo", 2}, "Zm8="},
        {{"foo", 3}, "Zm9v"},
        {{"foob", 4}, "Zm9vYg=="},
        {{"fooba", 5}, "Zm9vYmE="},
        {{"foobar", 6}, "Zm9vYmFy"},
        {{"\xfb\xff\xfe", 3}, "+//+"},
        {{"\0\0", 2}, "AAA="},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf b = BUF_INIT(100);

        assert_true(b64_encode(table[i].in, &b));
        assert_content(&b, slice_cstr(table[i].out));
        buf_clear(&b);
        assert_true(b64_decode_lenient(slice_cstr(table[i].out), &b));
        assert_content(&b, table[i].in);
        buf_free(&b);
    }
}

static void decodes_what_clients_send(void **state)
{
    static const struct {
        const char *in, *out;
    } table[] = {
        {"Zm9vYg", "foob"},           // padding lost
        {"Zm9vYg=", "foob"},          // half lost
        {"Zm9v\r\nYmFy\n", "foobar"}, // wrapped lines
        {"Zg==Zg==", "f\x06\x60"},    // padding dropped where it stands
        {"-__-", "\xfb\xff\xfe"},     // URL alphabet
        {" // ", "\xfb\xff\xfe"},     // plus signs that a form turned into spaces
        {"====", ""},
        {"Zh", "f"}, // bits that are left over do not matter
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf b = BUF_INIT(100);

        assert_true(b64_looks_like(slice_cstr(table[i].in)));
        assert_true(b64_decode_lenient(slice_cstr(table[i].in), &b));
        assert_content(&b, slice_cstr(table[i].out));
        buf_free(&b);
    }
}

static void bad_text_changes_nothing(void **state)
{
    static const struct slice bad[] = {{"Z", 1},           {"Zm9vY", 5},      {"Zm9v!", 5},
                                       {"{\"a\":1}", 7},   {"Zm9v\tYmFy", 9}, {"Zg\0=", 4},
                                       {"Zm9\xc3\xa9", 5}, {"!", 1},          {"=!", 2}};
    struct buf b = BUF_INIT(100);

    UNUSED(state);
    buf_add_str(&b, "x");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(b64_decode_lenient(bad[i], &b));
        assert_content(&b, SLICE("x"));
    }
    buf_free(&b);
    assert_false(b64_decode_lenient(SLICE("!"), &b)); // without memory yet
    assert_false(b64_looks_like(SLICE("a.b")));
    assert_false(b64_looks_like(SLICE("%7B")));
    assert_true(b64_looks_like(SLICE_NONE));
}

static void the_maximum_is_exact(void **state)
{
    UNUSED(state);
    for (size_t max = 0; max < 8; max++) {
        struct buf b = BUF_INIT(max);

        assert_int_equal(b64_decode_lenient(SLICE("Zm9vYmE="), &b), max >= 5);
        assert_int_equal(b.len, max >= 5 ? 5 : 0);
        buf_free(&b);
        b = BUF_INIT(max);
        assert_int_equal(b64_encode(SLICE("foo"), &b), max >= 4);
        assert_int_equal(b.len, max >= 4 ? 4 : 0);
        assert_int_equal(b.is_over, max < 4);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes),
        cmocka_unit_test(decodes_what_clients_send),
        cmocka_unit_test(bad_text_changes_nothing),
        cmocka_unit_test(the_maximum_is_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
