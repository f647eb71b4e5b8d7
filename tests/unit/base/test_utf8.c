#include "base/utf8.h"
#include "unit.h"

static const struct slice good[] = {
    {"", 0},
    {NULL, 0},
    {"ascii only, more than eight bytes", 33},
    {"a\0b", 3},
    {"\x7f", 1},
    {"\xc2\x80\xdf\xbf", 4},
    {"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", 12},
    {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8},
    {"12345678é1234567é12345678", 27},
};

static const struct {
    struct slice text;
    size_t prefix;
} bad[] = {
    {{"\x80", 1}, 0},     // a tail without a head
    {{"\xc0\x80", 2}, 0}, // overlong
    {{"\xc1\xbf", 2}, 0},
    {{"\xe0\x9f\xbf", 3}, 0},
    {{"\xf0\x8f\xbf\xbf", 4}, 0},
    {{"\xed\xa0\x80", 3}, 0}, // surrogates
    {{"\xed\xbf\xbf", 3}, 0},
    {{"\xf4\x90\x80\x80", 4}, 0}, // above U+10FFFF
    {{"\xf5\x80\x80\x80", 4}, 0},
    {{"\xff", 1}, 0},
    {{"ab\xc3", 3}, 2}, // cut off
    {{"ab\xe2\x82", 4}, 2},
    {{"ab\xf0\x9f\x98", 5}, 2},
    {{"ab\xe2\x28\xa1", 5}, 2}, // a wrong tail
    {{"12345678\xff"
      "12345678",
      17},
     8},
    {{"1234567\xff"
      "12345678",
      16},
     7},
};

static void well_formed(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(utf8_is_valid(good[i]));
        assert_int_equal(utf8_valid_prefix(good[i]), good[i].len);
    }
}

static void malformed(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint32_t point = 7;

        assert_false(utf8_is_valid(bad[i].text));
        assert_int_equal(utf8_valid_prefix(bad[i].text), bad[i].prefix);
        if (bad[i].prefix == 0) {
            assert_int_equal(utf8_get(bad[i].text, &point), 0);
            assert_int_equal(point, 7);
        }
    }
}

static void every_point_goes_out_and_comes_back(void **state)
{
    UNUSED(state);
    for (uint32_t point = 0; point <= 0x10ffff; point++) {
        char text[4];
        size_t len = utf8_put(point, text);
        uint32_t again = 0;

        if (point >= 0xd800 && point <= 0xdfff) {
            assert_int_equal(utf8_get(slice_make(text, len), &again), 0);
            continue;
        }
        assert_int_equal(utf8_get(slice_make(text, len), &again), len);
        assert_int_equal(again, point);
    }
    assert_int_equal(utf8_get(SLICE_NONE, &(uint32_t){0}), 0);
}

static void cuts(void **state)
{
    struct slice text = SLICE("aé€😀b"); // 1 + 2 + 3 + 4 + 1 bytes
    static const size_t points[] = {0, 1, 3, 6, 10, 11, 11};
    static const size_t units[] = {0, 1, 3, 6, 6, 10, 11, 11};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        assert_int_equal(utf8_cut_points(text, i).len, points[i]);
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        assert_int_equal(utf8_cut_utf16(text, i).len, units[i]);
    assert_int_equal(utf8_count_points(text), 5);
    assert_int_equal(utf8_count_points(SLICE_NONE), 0);
    assert_int_equal(utf8_cut_points(SLICE_NONE, 5).len, 0);
    // Malformed text is not expected, but must not be overrun.
    assert_int_equal(utf8_cut_points(SLICE("a\xf0"), 5).len, 2);
    assert_int_equal(utf8_cut_utf16(SLICE("a\xf0"), 5).len, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed),
        cmocka_unit_test(malformed),
        cmocka_unit_test(every_point_goes_out_and_comes_back),
        cmocka_unit_test(cuts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
