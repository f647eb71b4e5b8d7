#include "base/mem.h"
#include "base/str.h"
#include "unit.h"

static void comparing(void **state)
{
    UNUSED(state);
    assert_true(slice_eq(SLICE("a\0b"), SLICE("a\0b")));
    assert_false(slice_eq(SLICE("a\0b"), SLICE("a\0c")));
    assert_true(slice_eq(SLICE_NONE, SLICE("")));
    assert_true(slice_eq_nocase(SLICE("Content-TYPE"), SLICE("content-type")));
    assert_false(slice_eq_nocase(SLICE("@"), SLICE("`"))); // 0x20 apart, but no letters
    assert_false(slice_eq_nocase(SLICE("a"), SLICE("ab")));
    assert_true(slice_eq_secret(SLICE("abc"), SLICE("abc")));
    assert_true(slice_eq_secret(SLICE_NONE, SLICE("")));
    assert_false(slice_eq_secret(SLICE("abc"), SLICE("abd")));
    assert_false(slice_eq_secret(SLICE("abc"), SLICE("ab")));
    assert_int_equal(slice_compare(SLICE("a"), SLICE("a")), 0);
    assert_true(slice_compare(SLICE("a"), SLICE("ab")) < 0);
    assert_true(slice_compare(SLICE("b"), SLICE("ab")) > 0);
    assert_true(slice_compare(SLICE("\x80"), SLICE("a")) > 0); // bytes, not signed characters
    assert_true(slice_compare(SLICE_NONE, SLICE("a")) < 0);
}

static void ends(void **state)
{
    UNUSED(state);
    assert_true(slice_starts(SLICE("hello"), SLICE("he")));
    assert_true(slice_starts(SLICE("hello"), SLICE_NONE));
    assert_true(slice_starts(SLICE_NONE, SLICE("")));
    assert_false(slice_starts(SLICE("he"), SLICE("hello")));
    assert_true(slice_ends(SLICE("hello"), SLICE("llo")));
    assert_true(slice_ends(SLICE_NONE, SLICE_NONE));
    assert_false(slice_ends(SLICE("hello"), SLICE("hel")));
    assert_false(slice_ends(SLICE("lo"), SLICE("hello")));
}

static void trimming(void **state)
{
    UNUSED(state);
    assert_true(slice_eq(slice_trim(SLICE(" \t\r\n\v\fa b ")), SLICE("a b")));
    assert_int_equal(slice_trim(SLICE(" \n ")).len, 0);
    assert_int_equal(slice_trim(SLICE_NONE).len, 0);
}

static void splitting(void **state)
{
    static const struct {
        struct slice text;
        size_t count;
        const char *parts[4];
    } table[] = {
        {{"a,b,c", 5}, 3, {"a", "b", "c"}},
        {{"a", 1}, 1, {"a"}},
        {{"a,", 2}, 2, {"a", ""}},
        {{",", 1}, 2, {"", ""}},
        {{",,a", 3}, 3, {"", "", "a"}},
        {{"", 0}, 1, {""}},
        {{NULL, 0}, 0, {NULL}},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct slice rest = table[i].text, part;
        size_t count = 0;

        while (slice_split(&rest, ',', &part)) {
            assert_in_range(count, 0, table[i].count - 1);
            assert_true(slice_eq(part, slice_cstr(table[i].parts[count])));
            count++;
        }
        assert_int_equal(count, table[i].count);
        assert_null(rest.ptr);
    }
}

static void finding(void **state)
{
    UNUSED(state);
    assert_int_equal(slice_find(SLICE("a\0b"), 'b'), 2);
    assert_int_equal(slice_find(SLICE("a\0b"), '\0'), 1);
    assert_int_equal(slice_find(SLICE("abc"), 'x'), -1);
    assert_int_equal(slice_find(SLICE_NONE, 'x'), -1);
}

static void copying(void **state)
{
    char *copy = slice_dup(SLICE("a\0b"));
    char *empty = slice_dup(SLICE_NONE);

    UNUSED(state);
    assert_memory_equal(copy, "a\0b", 4);
    assert_string_equal(empty, "");
    mem_free(copy);
    mem_free(empty);
}

static void good_numbers(void **state)
{
    uint64_t u = 1;
    int64_t i = 1;

    UNUSED(state);
    assert_true(slice_u64(SLICE("0"), &u) && u == 0);
    assert_true(slice_u64(SLICE("007"), &u) && u == 7);
    assert_true(slice_u64(SLICE("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(slice_i64(SLICE("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(slice_i64(SLICE("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(slice_i64(SLICE("-0"), &i) && i == 0);
    assert_true(slice_i64(SLICE("-12"), &i) && i == -12);
}

static void bad_numbers_change_nothing(void **state)
{
    static const struct slice both[] = {{"", 0},
                                        {NULL, 0},
                                        {"-", 1},
                                        {"+1", 2},
                                        {" 1", 2},
                                        {"1 ", 2},
                                        {"1.0", 3},
                                        {"0x1", 3},
                                        {"--1", 3},
                                        {"1\0", 2},
                                        {"18446744073709551616", 20},
                                        {"99999999999999999999", 20}};
    uint64_t u = 42;
    int64_t i = 42;

    UNUSED(state);
    for (size_t k = 0; k < ARRAY_LEN(both); k++) {
        assert_false(slice_u64(both[k], &u));
        assert_false(slice_i64(both[k], &i));
    }
    assert_false(slice_u64(SLICE("-1"), &u));
    assert_false(slice_i64(SLICE("9223372036854775808"), &i));
    assert_false(slice_i64(SLICE("-9223372036854775809"), &i));
    assert_int_equal(u, 42);
    assert_int_equal(i, 42);
}

static void hex_digits(void **state)
{
    static const char digits[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
    int count = 0;

    UNUSED(state);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(slice_hex_digit(digits[i]), i);
        assert_int_equal(slice_hex_digit(upper[i]), i);
    }
    for (int c = -128; c < 128; c++)
        count += slice_hex_digit((char)c) != -1;
    assert_int_equal(count, 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing),    cmocka_unit_test(ends),
        cmocka_unit_test(trimming),     cmocka_unit_test(splitting),
        cmocka_unit_test(finding),      cmocka_unit_test(copying),
        cmocka_unit_test(good_numbers), cmocka_unit_test(bad_numbers_change_nothing),
        cmocka_unit_test(hex_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
