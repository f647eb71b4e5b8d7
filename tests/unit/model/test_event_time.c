/* Times of events: the rules and the worked cases W15 to W25 of the ingestion specification. */
#include "base/iso8601.h"
#include "model/event_time.h"
#include "unit.h"

#define CLOCK "2020-08-12T01:02:00.000Z"

static int64_t at(const char *iso)
{
    int64_t us;

    if (!iso8601_parse(slice_cstr(iso), &us))
        fail_msg("%s", iso);
    return us;
}

static void test_resolve(void **state)
{
    static const struct {
        const char *name;
        const char *timestamp, *offset; /* JSON; NULL absent */
        const char *sent_at;            /* NULL: absent */
        const char *now;
        bool ignores_sent_at;
        const char *result;
        unsigned warnings;
    } t[] = {
        {"W15", "\"2021-10-30T03:02:00Z\"", NULL, "2021-10-30T03:12:00Z", "2021-10-29T01:44:00Z",
         false, "2021-10-29T01:34:00.000Z", 0},
        {"W16", "\"2021-10-30T03:02:00+04:00\"", NULL, "2021-10-30T03:12:00+04:00",
         "2021-10-29T01:44:00Z", false, "2021-10-29T01:34:00.000Z", 0},
        {"W17", "\"2021-10-30T03:44:00Z\"", NULL, NULL, "2021-10-29T01:44:00Z", false,
         "2021-10-30T03:44:00.000Z", EVENT_TIME_IN_FUTURE},
        {"W18", "\"2021-10-30T03:44:00Z\"", NULL, "2021-10-30T03:54:00Z", "2021-10-29T01:44:00Z",
         false, "2021-10-29T01:34:00.000Z", 0},
        {"W19", NULL, "150", "2020-01-01T12:00:05.200Z", "2020-01-01T12:00:05.200Z", false,
         "2020-01-01T12:00:05.050Z", 0},
        {"W20", NULL, "150", NULL, "2020-01-01T12:00:05.200Z", false, "2020-01-01T12:00:05.050Z",
         0},
        {"W21", NULL, "6000", "2021-10-30T01:44:00Z", "2021-10-29T01:44:00Z", false,
         "2021-10-29T01:43:54.000Z", 0},
        {"W22", "\"notISO\"", NULL, NULL, "2020-08-12T01:02:03Z", false, CLOCK,
         EVENT_TIME_BAD_TIMESTAMP},
        {"W24", "\"2021-W43-5\"", NULL, NULL, "2021-10-29T01:44:00Z", false,
         "2021-10-29T00:00:00.000Z", 0},
        {"W25", NULL, NULL, NULL, "2021-10-29T01:44:00.123999Z", false, "2021-10-29T01:44:00.123Z",
         0},
        {"falsy timestamp", "\"\"", "150", NULL, "2020-01-01T12:00:05.200Z", false,
         "2020-01-01T12:00:05.050Z", 0},
        {"timestamp null", "null", NULL, NULL, "2020-01-01T12:00:05.200Z", false,
         "2020-01-01T12:00:05.200Z", 0},
        {"timestamp 0", "0", NULL, NULL, "2020-01-01T12:00:05.200Z", false,
         "2020-01-01T12:00:05.200Z", 0},
        {"timestamp beats offset", "\"2020-01-01T00:00:00Z\"", "150", NULL,
         "2020-01-01T12:00:05.200Z", false, "2020-01-01T00:00:00.000Z", 0},
        {"ms as number", "1577836800123", NULL, NULL, "2020-01-01T12:00:05.200Z", false,
         "2020-01-01T00:00:00.123Z", 0},
        {"ms with fraction", "1577836800123.9", NULL, NULL, "2020-01-01T12:00:05.200Z", false,
         "2020-01-01T00:00:00.123Z", 0},
        {"true is no time", "true", "150", NULL, "2020-01-01T12:00:05.200Z", false, CLOCK,
         EVENT_TIME_BAD_TIMESTAMP},
        {"nor is an object", "{}", NULL, NULL, "2020-01-01T12:00:05.200Z", false, CLOCK,
         EVENT_TIME_BAD_TIMESTAMP},
        {"offset as text", NULL, "\"150\"", NULL, "2020-01-01T12:00:05.200Z", false,
         "2020-01-01T12:00:05.200Z", 0},
        {"negative offset", NULL, "-1000", NULL, "2020-01-01T12:00:05.200Z", false,
         "2020-01-01T12:00:06.200Z", 0},
        {"huge offset", NULL, "1e18", NULL, "2020-01-01T12:00:05.200Z", false, CLOCK,
         EVENT_TIME_BAD_TIMESTAMP},
        {"year before 0", NULL, "99999999999999", NULL, "2020-01-01T12:00:05.200Z", false, CLOCK,
         EVENT_TIME_BAD_TIMESTAMP},
        {"year over 9999", "253402300800000", NULL, NULL, "2020-01-01T12:00:05.200Z", false, CLOCK,
         EVENT_TIME_BAD_TIMESTAMP},
        {"23 h ahead", "\"2020-01-02T11:00:00Z\"", NULL, NULL, "2020-01-01T12:00:00Z", false,
         "2020-01-02T11:00:00.000Z", 0},
        {"a little more", "\"2020-01-02T11:00:00.001Z\"", NULL, NULL, "2020-01-01T12:00:00Z", false,
         "2020-01-02T11:00:00.001Z", EVENT_TIME_IN_FUTURE},
        {"$ignore_sent_at", "\"2020-01-01T00:00:00Z\"", NULL, "2020-01-01T01:00:00Z",
         "2020-01-01T12:00:00Z", true, "2020-01-01T00:00:00.000Z", 0},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct json_read_options opt = {0};
        struct json_doc timestamp = {0}, offset = {0};
        struct err err = ERR_INIT;
        struct event_time_input in = {
            .now_us = at(t[i].now), .clock_us = at(CLOCK), .ignore_sent_at = t[i].ignores_sent_at};
        unsigned warnings = 0;
        char text[ISO8601_LEN_MAX];

        if (t[i].timestamp)
            assert_true(json_doc_read(slice_cstr(t[i].timestamp), &opt, &timestamp, &err));
        if (t[i].offset)
            assert_true(json_doc_read(slice_cstr(t[i].offset), &opt, &offset, &err));
        in.timestamp = timestamp.root;
        in.offset = offset.root;
        in.has_sent_at = t[i].sent_at != NULL;
        in.sent_at_us = t[i].sent_at ? at(t[i].sent_at) : 0;
        iso8601_ms(event_time_resolve(&in, &warnings), text);
        if (strcmp(text, t[i].result) != 0 || warnings != t[i].warnings)
            fail_msg("%s: %s, warnings %u", t[i].name, text, warnings);
        json_doc_free(&timestamp);
        json_doc_free(&offset);
    }
}

static void test_sent_at_out_of_calendar(void **state)
{
    struct event_time_input in = {
        .has_sent_at = true, .sent_at_us = INT64_MAX, .now_us = 5000000, .clock_us = 1};
    unsigned warnings = 0;

    UNUSED(state);
    assert_int_equal(event_time_resolve(&in, &warnings), 5000000);
    assert_int_equal(warnings, EVENT_TIME_BAD_SENT_AT);
}

static void test_parse(void **state)
{
    static const struct {
        const char *json;
        const char *iso; /* NULL: refused */
    } t[] = {
        {"\"2021-10-29T00:00:00.000Z\"", "2021-10-29T00:00:00.000Z"},
        {"\"2021-10-29 00:00:00\"", "2021-10-29T00:00:00.000Z"},
        {"\"2021-10-29T10:11\"", "2021-10-29T10:11:00.000Z"},
        {"\"2021-10-29T10:11:12.123456789+0400\"", "2021-10-29T06:11:12.123Z"},
        {"\"2021-10-29T10:11:12+04\"", "2021-10-29T06:11:12.000Z"},
        {"\"2021-10-29T10:11:12-00:00\"", "2021-10-29T10:11:12.000Z"},
        {"\"2021-10-29\"", "2021-10-29T00:00:00.000Z"},
        {"\"2021-10\"", "2021-10-01T00:00:00.000Z"},
        {"\"2021\"", "2021-01-01T00:00:00.000Z"},
        {"\"2021-W43-5\"", "2021-10-29T00:00:00.000Z"},
        {"\"2021-302\"", "2021-10-29T00:00:00.000Z"},
        {"\"Fri, 29 Oct 2021 00:00:00 GMT\"", "2021-10-29T00:00:00.000Z"},
        {"\"  2021-10-29 \"", "2021-10-29T00:00:00.000Z"},
        {"\"2021-10-29T24:00:00\"", "2021-10-30T00:00:00.000Z"},
        {"1635465600000", "2021-10-29T00:00:00.000Z"},
        {"-1000", "1969-12-31T23:59:59.000Z"},
        {"\"notISO\"", NULL},
        {"\"29/10/2021\"", NULL},
        {"\"2021-13-01\"", NULL},
        {"\"1635465600\"", NULL},
        {"\"\"", NULL},
        {"1e300", NULL},
        {"null", NULL},
        {"[]", NULL},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct json_read_options opt = {0};
        struct json_doc doc;
        struct err err = ERR_INIT;
        char text[ISO8601_LEN_MAX] = "";
        int64_t us = 77;
        bool ok;

        assert_true(json_doc_read(slice_cstr(t[i].json), &opt, &doc, &err));
        ok = event_time_parse(doc.root, &us);
        if (ok)
            iso8601_ms(us, text);
        if (ok != (t[i].iso != NULL) || (ok && strcmp(text, t[i].iso) != 0))
            fail_msg("%s: %s", t[i].json, ok ? text : "refused");
        if (!ok)
            assert_int_equal(us, 77);
        json_doc_free(&doc);
    }
    assert_false(event_time_parse(NULL, &(int64_t){0}));
}

static void test_parse_sent_at(void **state)
{
    static const struct {
        const char *text;
        const char *iso; /* NULL: refused */
    } t[] = {
        {"1694769302325", "2023-09-15T09:15:02.325000+00:00"},
        {"1651320000", "2022-04-30T12:00:00+00:00"},
        {"16513200000", "2493-04-13T00:00:00+00:00"},
        {"165132000012", "1975-03-27T06:00:00.012000+00:00"},
        {"1651320000.25", "2022-04-30T12:00:00.250000+00:00"},
        {"1694769302325.5", "2023-09-15T09:15:02.325500+00:00"},
        {"0", "1970-01-01T00:00:00+00:00"},
        {"2022-04-30T12:00:00.250Z", "2022-04-30T12:00:00.250000+00:00"},
        {"2022-04-30T12:00:00+02:00", "2022-04-30T10:00:00+00:00"},
        {" 2022-04-30T12:00:00 ", "2022-04-30T12:00:00+00:00"},
        {"abc", NULL},
        {"", NULL},
        {"12a", NULL},
        {"1.2.3", NULL},
        {"99999999999999999999999", NULL},
        {"9999999999999999", NULL},
        {"-5", NULL},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        char text[ISO8601_LEN_MAX] = "";
        int64_t us = 77;
        bool ok = event_time_parse_sent_at(slice_cstr(t[i].text), &us);

        if (ok)
            iso8601_python(us, text);
        if (ok != (t[i].iso != NULL) || (ok && strcmp(text, t[i].iso) != 0))
            fail_msg("%s: %s", t[i].text, ok ? text : "refused");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_sent_at_out_of_calendar),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_sent_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
