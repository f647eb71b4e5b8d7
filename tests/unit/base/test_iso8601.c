#include "base/iso8601.h"
#include "unit.h"

#include <stdlib.h>

#define DAY_US (INT64_C(86400) * 1000000)

// Input and the same time as iso8601_python tells it.
static const struct {
    const char *text, *time;
} good[] = {
    {"2021-10-29T00:00:00.000Z", "2021-10-29T00:00:00+00:00"},
    {"2021-10-29 00:00:00", "2021-10-29T00:00:00+00:00"},
    {"2021-10-29t01:02:03z", "2021-10-29T01:02:03+00:00"},
    {"2021-10-29T01:02", "2021-10-29T01:02:00+00:00"},
    {"2021-10-29T01", "2021-10-29T01:00:00+00:00"},
    {"2021-10-29T01Z", "2021-10-29T01:00:00+00:00"},
    {"2021-10-29T01:02+01", "2021-10-29T00:02:00+00:00"},
    {"2021-10-29T00:00:00+04:00", "2021-10-28T20:00:00+00:00"},
    {"2021-10-29T00:00:00+0430", "2021-10-28T19:30:00+00:00"},
    {"2021-10-29T00:00:00-04", "2021-10-29T04:00:00+00:00"},
    {"2021-10-29T00:00:00-00:00", "2021-10-29T00:00:00+00:00"},
    {"2021-10-29T00:00:00.1Z", "2021-10-29T00:00:00.100000+00:00"},
    {"2021-10-29T00:00:00.123456789Z", "2021-10-29T00:00:00.123456+00:00"},
    {"2021-10-29T23:59:59.999999999Z", "2021-10-29T23:59:59.999999+00:00"},
    {"2021-10-29", "2021-10-29T00:00:00+00:00"},
    {"2021-10", "2021-10-01T00:00:00+00:00"},
    {"2021", "2021-01-01T00:00:00+00:00"},
    {"2021-W43-5", "2021-10-29T00:00:00+00:00"},
    {"2021-W43", "2021-10-25T00:00:00+00:00"},
    {"2020-W53-7", "2021-01-03T00:00:00+00:00"},
    {"2021-W01-1", "2021-01-04T00:00:00+00:00"},
    {"2019-W01-1", "2018-12-31T00:00:00+00:00"},
    {"2021-W43-5T10:00+02:00", "2021-10-29T08:00:00+00:00"},
    {"2021-302", "2021-10-29T00:00:00+00:00"},
    {"2020-366T12:00", "2020-12-31T12:00:00+00:00"},
    {" \t2021-10-29 \n", "2021-10-29T00:00:00+00:00"},
    {"2021-10-29T24:00:00", "2021-10-30T00:00:00+00:00"},
    {"2021-12-31T24:00Z", "2022-01-01T00:00:00+00:00"},
    {"2020-02-29", "2020-02-29T00:00:00+00:00"},
    {"2000-02-29", "2000-02-29T00:00:00+00:00"},
    {"0000-01-01", "0000-01-01T00:00:00+00:00"},
    {"0000-02-29", "0000-02-29T00:00:00+00:00"},
    {"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"},
    {"1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999+00:00"},
};

static const char *const bad[] = {
    "",
    " ",
    "notISO",
    "29/10/2021",
    "2021-13-01",
    "2021-00-01",
    "2021-01-00",
    "2021-01-32",
    "1635465600",
    "20211029",
    "21-10-29",
    "2021-2-29",
    "2021-02-29",
    "1900-02-29",
    "2021-10-2",
    "2021-10-29T",
    "2021-10-29T25:00",
    "2021-10-29T24:00:01",
    "2021-10-29T24:00:00.000001",
    "2021-10-29T24:01",
    "2021-10-29T00:60",
    "2021-10-29T00:00:60",
    "2021-10-29T00:00:00.",
    "2021-10-29T00:00:00.1234567890",
    "2021-10-29T00:00:00,5",
    "2021-10-29T0:00",
    "2021-10-29  00:00",
    "2021-10-29T00:00:00 Z",
    "2021-10-29T00:00:00ZZ",
    "2021-10-29T00:00:00+",
    "2021-10-29T00:00:00+1",
    "2021-10-29T00:00:00+01:",
    "2021-10-29T00:00:00+24:00",
    "2021-10-29T00:00:00+01:60",
    "2021-10-29T00:00:00+01:0",
    "2021-10-29T00:00:00+010000",
    "2021-10-29Z",
    "2021-10-29+01:00",
    "+2021-10-29",
    "-2021-10-29",
    "2021-W54-1",
    "2021-W53-1",
    "2021-W00-1",
    "2021-W43-0",
    "2021-W43-8",
    "2021-w43-5",
    "2021-W4",
    "2021-366",
    "2021-000",
    "2021-3021",
    "2021-",
    "2021-10-",
    "x2021-10-29",
    "2021-10-29x",
    "10/29/2021",
    "Oct 29 2021",
};

static void good_texts(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        char text[ISO8601_LEN_MAX];
        int64_t us;

        if (!iso8601_parse(slice_cstr(good[i].text), &us))
            fail_msg("not taken: %s", good[i].text);
        assert_string_equal(iso8601_python(us, text), good[i].time);
    }
}

static void bad_texts_change_nothing(void **state)
{
    int64_t us = 42;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (iso8601_parse(slice_cstr(bad[i]), &us))
            fail_msg("taken: %s", bad[i]);
    }
    assert_false(iso8601_parse(SLICE_NONE, &us));
    assert_false(iso8601_parse(SLICE("2021-10-29\0"), &us));
    assert_int_equal(us, 42);
}

// Parsers look at slices: what lies behind must not be read.
static void the_end_of_the_slice_is_the_end(void **state)
{
    const char *text = "2021-10-29T01:02:03.5+01:00";
    int64_t us;

    UNUSED(state);
    for (size_t len = 0; len <= strlen(text); len++) {
        char *copy = (char *)malloc(len ? len : 1); // the address sanitizer looks on

        memcpy(copy, text, len);
        (void)!iso8601_parse(slice_make(copy, len), &us);
        (void)!iso8601_parse_rfc1123(slice_make(copy, len), &us);
        free(copy);
    }
}

static void rfc1123(void **state)
{
    static const struct {
        const char *text, *time;
    } taken[] = {
        {"Fri, 29 Oct 2021 00:00:00 GMT", "2021-10-29T00:00:00+00:00"},
        {"fri, 29 OCT 2021 01:02:03 utc", "2021-10-29T01:02:03+00:00"},
        {"29 Oct 2021 01:02 UT", "2021-10-29T01:02:00+00:00"},
        {"Tue, 5 Oct 2021 00:00:00 +0200", "2021-10-04T22:00:00+00:00"},
        {" Fri, 29 Oct 2021 00:00:00 -0330 ", "2021-10-29T03:30:00+00:00"},
        {"Sat, 29 Feb 2020 00:00:00 Z", "2020-02-29T00:00:00+00:00"},
    };
    static const char *const refused[] = {
        "",
        "Fri",
        "Fri, 29 Oct 2021",
        "Fri, 29 Oct 2021 00:00:00",
        "Fri, 29 Oct 2021 00:00:00 ",
        "Mon, 29 Oct 2021 00:00:00 GMT",
        "Fri 29 Oct 2021 00:00:00 GMT",
        "Fri,29 Oct 2021 00:00:00 GMT",
        "Fri, 32 Oct 2021 00:00:00 GMT",
        "Fri, 00 Oct 2021 00:00:00 GMT",
        "31 Jun 2021 00:00:00 GMT",
        "29 Feb 2021 00:00:00 GMT",
        "Fri, 29 Okt 2021 00:00:00 GMT",
        "Fri, 29 Oct 21 00:00:00 GMT",
        "Fri, 29 Oct 2021 25:00:00 GMT",
        "Fri, 29 Oct 2021 00:00:00 EST",
        "Fri, 29 Oct 2021 00:00:00 GMTx",
        "Fri, 29 Oct 2021 00:00:00GMT",
    };
    char text[ISO8601_LEN_MAX];
    int64_t us = 42;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (iso8601_parse_rfc1123(slice_cstr(refused[i]), &us))
            fail_msg("taken: %s", refused[i]);
    }
    assert_int_equal(us, 42);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        if (!iso8601_parse_rfc1123(slice_cstr(taken[i].text), &us))
            fail_msg("not taken: %s", taken[i].text);
        assert_string_equal(iso8601_python(us, text), taken[i].time);
    }
}

static void formats(void **state)
{
    char text[ISO8601_LEN_MAX];

    UNUSED(state);
    assert_string_equal(iso8601_ms(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(iso8601_ms(-1, text), "1969-12-31T23:59:59.999Z");
    assert_string_equal(iso8601_ms(INT64_C(1577880005050999), text), "2020-01-01T12:00:05.050Z");
    assert_string_equal(iso8601_python(INT64_C(1651320000123456), text),
                        "2022-04-30T12:00:00.123456+00:00");
    assert_string_equal(iso8601_python(INT64_C(1651320000000000), text),
                        "2022-04-30T12:00:00+00:00");
    assert_string_equal(iso8601_ms(INT64_MAX, text), "9999-12-31T23:59:59.999Z");
    assert_string_equal(iso8601_ms(INT64_MIN, text), "0000-01-01T00:00:00.000Z");
}

// Every day of eight centuries follows the day before, as counting on the fingers has it.
static void the_calendar_is_right(void **state)
{
    static const unsigned char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t us = INT64_C(-11676096000) * 1000000;
    int year = 1600;
    unsigned month = 1, day = 1;

    UNUSED(state);
    for (; year < 2400; us += DAY_US) {
        bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        int y;
        unsigned m, d;

        iso8601_to_civil(us, &y, &m, &d);
        assert_true(y == year && m == month && d == day);
        iso8601_to_civil(us + DAY_US - 1, &y, &m, &d);
        assert_true(y == year && m == month && d == day);
        if (++day > lengths[month - 1] + (unsigned)(month == 2 && is_leap)) {
            day = 1;
            month++;
        }
        if (month > 12) {
            month = 1;
            year++;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_texts),
        cmocka_unit_test(bad_texts_change_nothing),
        cmocka_unit_test(the_end_of_the_slice_is_the_end),
        cmocka_unit_test(rfc1123),
        cmocka_unit_test(formats),
        cmocka_unit_test(the_calendar_is_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
