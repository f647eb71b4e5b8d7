#include "base/buf.h"
#include "base/fault.h"
#include "unit.h"

static void assert_content(const struct buf *b, const char *text)
{
    assert_true(slice_eq(buf_slice(b), slice_cstr(text)));
}

static void adding(void **state)
{
    struct buf b = BUF_INIT(1000);

    UNUSED(state);
    assert_true(buf_add(&b, "ab", 2));
    assert_true(buf_add_slice(&b, SLICE("cd")));
    assert_true(buf_add_slice(&b, SLICE_NONE));
    assert_true(buf_add_str(&b, "ef"));
    assert_true(buf_add_char(&b, 'g'));
    assert_true(buf_addf(&b, " %d %s ", 7, "x"));
    assert_true(buf_add_u64(&b, UINT64_MAX));
    assert_true(buf_add_char(&b, ' '));
    assert_true(buf_add_i64(&b, INT64_MIN));
    assert_true(buf_add_i64(&b, 0));
    assert_content(&b, "abcdefg 7 x 18446744073709551615 -92233720368547758080");
    assert_false(b.is_over);
    buf_free(&b);
    assert_int_equal(b.max, 1000);
    assert_null(b.ptr);
    buf_free(&b);
}

static void an_add_past_the_maximum_changes_nothing(void **state)
{
    struct buf b = BUF_INIT(5);

    UNUSED(state);
    assert_true(buf_add_str(&b, "abc"));
    assert_false(buf_add_str(&b, "def"));
    assert_true(b.is_over);
    assert_false(buf_addf(&b, "%d", 123));
    assert_false(buf_add_u64(&b, 123));
    assert_false(buf_add_i64(&b, -12));
    assert_false(buf_add_json_str(&b, SLICE("x")));
    assert_false(buf_reserve(&b, 3));
    assert_false(buf_reserve(&b, SIZE_MAX));
    assert_content(&b, "abc");
    assert_true(buf_add_str(&b, "de")); // what fits still goes in, the flag stays
    assert_true(b.is_over);
    assert_content(&b, "abcde");
    assert_string_equal(buf_cstr(&b), "abcde"); // the NUL is not counted
    buf_clear(&b);
    assert_false(b.is_over);
    assert_int_equal(b.len, 0);
    assert_true(buf_addf(&b, "%s", "exact"));
    buf_free(&b);
}

static void out_of_memory_changes_nothing(void **state)
{
    struct buf b = BUF_INIT(SIZE_MAX);

    UNUSED(state);
    assert_true(buf_add_str(&b, "abc"));
    fault_arm("mem.try", 1, 100);
    for (int i = 0; i < 100; i++)
        buf_add_str(&b, "0123456789");
    assert_true(b.is_over);
    assert_true(b.len <= b.cap);
    buf_free(&b);
    assert_string_equal(buf_cstr(&b), "");
    fault_clear();
}

static void growth_is_bounded(void **state)
{
    struct buf b = BUF_INIT(100000);

    UNUSED(state);
    while (buf_add_char(&b, 'x'))
        assert_true(b.cap <= b.max + 1);
    assert_int_equal(b.len, 100000);
    buf_cstr(&b);
    assert_true(b.cap <= b.max + 1);
    buf_free(&b);
}

static void json_strings(void **state)
{
    static const struct {
        struct slice in;
        const char *out;
    } table[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"plain", 5}, "\"plain\""},
        {{"a\"b\\c/d", 7}, "\"a\\\"b\\\\c/d\""},
        {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{"\0\x1f\x7f", 3}, "\"\\u0000\\u001f\x7f\""},
        {{"é😀", 6}, "\"é😀\""},
        {{"a\xff"
          "b",
          3},
         "\"a\xef\xbf\xbd"
         "b\""},
        {{"\xc3", 1}, "\"\xef\xbf\xbd\""},
        {{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf b = BUF_INIT(100);

        assert_true(buf_add_json_str(&b, table[i].in));
        assert_content(&b, table[i].out);
        buf_free(&b);
    }
}

static void a_json_string_goes_in_whole_or_not_at_all(void **state)
{
    struct slice text = SLICE("ab\n\xff"
                              "c");
    size_t need = 11; // "ab\n" escaped is 4, U+FFFD 3, c 1, quotes 2, and x in front

    UNUSED(state);
    for (size_t max = 1; max <= need + 1; max++) {
        struct buf b = BUF_INIT(max);

        assert_true(buf_add_char(&b, 'x'));
        assert_int_equal(buf_add_json_str(&b, text), max >= need);
        assert_int_equal(b.len, max >= need ? need : 1);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adding),
        cmocka_unit_test(an_add_past_the_maximum_changes_nothing),
        cmocka_unit_test(out_of_memory_changes_nothing),
        cmocka_unit_test(growth_is_bounded),
        cmocka_unit_test(json_strings),
        cmocka_unit_test(a_json_string_goes_in_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
