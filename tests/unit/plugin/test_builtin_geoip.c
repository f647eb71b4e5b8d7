#include "base/mem.h"
#include "mmdb_make.h"
#include "plugin/builtin.h"
#include "unit.h"

/* What is known about the address 1.2.3.4 unless a test says otherwise. */
#define OSLO                                                                                    \
    "{\"city\":{\"names\":{\"en\":\"Oslo\"}},\"continent\":{\"code\":\"EU\",\"names\":{\"en\":" \
    "\"Europe\"}},\"country\":{\"confidence\":95,\"iso_code\":\"NO\",\"names\":{\"en\":"        \
    "\"Norway\"}},\"location\":{\"accuracy_radius\":20,\"latitude\":59.9,\"longitude\":-10.75," \
    "\"time_zone\":\"Europe/Oslo\"},\"subdivisions\":[{\"iso_code\":\"03\",\"names\":{\"en\":"  \
    "\"Oslo \\\"County\\\"\"}}]}"

#define OSLO_FOUND(prefix)                                                                      \
    "\"" prefix "city_name\":\"Oslo\",\"" prefix "country_name\":\"Norway\",\"" prefix          \
    "country_code\":\"NO\",\"" prefix "country_confidence\":95,\"" prefix                       \
    "continent_name\":\"Europe\",\"" prefix "continent_code\":\"EU\",\"" prefix                 \
    "latitude\":59.9,\"" prefix "longitude\":-10.75,\"" prefix "accuracy_radius\":20,\"" prefix \
    "time_zone\":\"Europe/Oslo\",\"" prefix "subdivision_1_code\":\"03\",\"" prefix             \
    "subdivision_1_name\":\"Oslo \\\"County\\\"\""

#define OSLO_BASIC(prefix)                                                                    \
    "\"" prefix "city_name\":\"Oslo\",\"" prefix "city_confidence\":null,\"" prefix           \
    "country_name\":\"Norway\",\"" prefix "country_code\":\"NO\",\"" prefix                   \
    "continent_name\":\"Europe\",\"" prefix "continent_code\":\"EU\",\"" prefix               \
    "postal_code\":null,\"" prefix "latitude\":59.9,\"" prefix "longitude\":-10.75,\"" prefix \
    "accuracy_radius\":20,\"" prefix "time_zone\":\"Europe/Oslo\",\"" prefix                  \
    "subdivision_1_code\":\"03\",\"" prefix                                                   \
    "subdivision_1_name\":\"Oslo \\\"County\\\"\",\"" prefix                                  \
    "subdivision_1_confidence\":null,\"" prefix "subdivision_2_code\":null,\"" prefix         \
    "subdivision_2_name\":null,\"" prefix "subdivision_2_confidence\":null"

#define CONFIDENCE(prefix) "\"" prefix "country_confidence\":95"
#define CURRENT            "$geoip_"
#define INITIAL            "$initial_geoip_"
#define OSLO_SET           "\"$set\":{" OSLO_BASIC(CURRENT) "," CONFIDENCE(CURRENT) "}"
#define OSLO_SET_ONCE      "\"$set_once\":{" OSLO_BASIC(INITIAL) "," CONFIDENCE(INITIAL) "}"

struct aid {
    struct geo *geo;
    struct buf text;
    struct err err;
};

static void know(struct aid *aid, const char *network, const char *json)
{
    struct mmdb_make *m = mmdb_make_new(6, 24, "test");
    struct buf bytes = BUF_INIT(1 << 20);

    mmdb_make_add(m, network, json);
    mmdb_make_write(m, &bytes);
    if (!geo_open_bytes(aid->geo, "test.mmdb", buf_slice(&bytes), &aid->err))
        fail_msg("%s", aid->err.text);
    mmdb_make_free(m);
    buf_free(&bytes);
}

static int setup(void **state)
{
    struct aid *aid = mem_new(struct aid);

    aid->geo = geo_new(NULL);
    aid->text = BUF_INIT(1 << 20);
    know(aid, "1.2.3.0/24", OSLO);
    *state = aid;
    return 0;
}

static int teardown(void **state)
{
    struct aid *aid = *state;

    geo_free(aid->geo);
    buf_free(&aid->text);
    mem_free(aid);
    return 0;
}

static enum builtin_result run(struct aid *aid, const char *ip, const char *event)
{
    struct event_envelope envelope = {.team_id = 1, .ip = slice_cstr(ip)};
    struct json_doc doc;
    struct builtin_run r = {.envelope = &envelope, .text = &aid->text, .err = &aid->err};
    enum builtin_result result;

    assert_true(json_doc_read(slice_cstr(event), &(struct json_read_options){0}, &doc, &aid->err));
    r.root = doc.root;
    r.geo = geo_take(aid->geo);
    buf_clear(&aid->text);
    (void)buf_add_str(&aid->text, "left over"); /* a run clears it */
    result = builtin_find("geoip")->run(&r);
    geo_drop(r.geo);
    json_doc_free(&doc);
    return result;
}

static void expect(struct aid *aid, const char *ip, const char *event, const char *changed)
{
    assert_int_equal(run(aid, ip, event), BUILTIN_CHANGED);
    assert_string_equal(buf_cstr(&aid->text), changed);
}

static void adds_what_is_known(void **state)
{
    expect(*state, "1.2.3.4", "{\"event\":\"e\",\"properties\":{\"a\":1.50},\"uuid\":\"u\"}",
           "{\"event\":\"e\",\"uuid\":\"u\",\"properties\":{\"a\":1.5," OSLO_FOUND(
               CURRENT) "}," OSLO_SET "," OSLO_SET_ONCE "}");
}

static void events_without_members(void **state)
{
    static const char result[] =
        "{\"properties\":{" OSLO_FOUND(CURRENT) "}," OSLO_SET "," OSLO_SET_ONCE "}";

    expect(*state, "1.2.3.4", "{\"properties\":{}}", result);
    expect(*state, "1.2.3.4", "{\"properties\":null}", result);
    expect(*state, "1.2.3.4", "{}", result);
    expect(*state, "1.2.3.4", "{\"$set\":null,\"$set_once\":\"text\",\"properties\":{}}", result);
    expect(*state, "1.2.3.4", "{\"$set\":{},\"$set_once\":{},\"properties\":{}}", result);
}

/* {...nulls, ...theirs, ...found}: a name keeps its first place, theirs beats a null. */
static void keeps_what_the_event_sets(void **state)
{
    expect(*state, "1.2.3.4",
           "{\"$set\":{\"plan\":\"pro\"},\"$set_once\":{\"b\":[1]},\"properties\":{}}",
           "{\"properties\":{" OSLO_FOUND(CURRENT) "},\"$set\":{" OSLO_BASIC(
               CURRENT) ",\"plan\":"
                        "\"pro\""
                        "," CONFIDENCE(CURRENT) "},\"$set_once\":{" OSLO_BASIC(
                            INITIAL) ","
                                     "\""
                                     "b"
                                     "\""
                                     ":["
                                     "1]"
                                     "," CONFIDENCE(INITIAL) "}}");
}

static void names_of_ours_in_the_event(void **state)
{
    struct aid *aid = *state;

    know(aid, "1.2.3.0/24", "{\"country_code\":\"NO\",\"city\":\"Oslo\"}");
    expect(
        aid, "1.2.3.4",
        "{\"properties\":{\"$geoip_city_name\":\"x\",\"a\":1,\"$geoip_latitude\":5,\"a\":2},"
        "\"$set\":{\"b\":1,\"$geoip_postal_code\":\"0150\",\"$geoip_city_name\":\"x\","
        "\"$geoip_other\":1},"
        "\"$set_once\":{\"$initial_geoip_country_code\":\"SE\",\"$initial_geoip_time_zone\":"
        "\"UTC\"}}",
        "{\"properties\":{\"$geoip_city_name\":\"Oslo\",\"a\":2,\"$geoip_latitude\":5,"
        "\"$geoip_country_name\":\"Norway\",\"$geoip_country_code\":\"NO\","
        "\"$geoip_continent_name\":\"Europe\",\"$geoip_continent_code\":\"EU\"},"
        "\"$set\":{\"$geoip_city_name\":\"Oslo\",\"$geoip_city_confidence\":null,"
        "\"$geoip_country_name\":\"Norway\",\"$geoip_country_code\":\"NO\","
        "\"$geoip_continent_name\":\"Europe\",\"$geoip_continent_code\":\"EU\","
        "\"$geoip_postal_code\":\"0150\",\"$geoip_latitude\":null,\"$geoip_longitude\":null,"
        "\"$geoip_accuracy_radius\":null,\"$geoip_time_zone\":null,"
        "\"$geoip_subdivision_1_code\":null,\"$geoip_subdivision_1_name\":null,"
        "\"$geoip_subdivision_1_confidence\":null,\"$geoip_subdivision_2_code\":null,"
        "\"$geoip_subdivision_2_name\":null,\"$geoip_subdivision_2_confidence\":null,"
        "\"b\":1,\"$geoip_other\":1},"
        "\"$set_once\":{\"$initial_geoip_city_name\":\"Oslo\",\"$initial_geoip_city_confidence\":"
        "null,\"$initial_geoip_country_name\":\"Norway\",\"$initial_geoip_country_code\":\"NO\","
        "\"$initial_geoip_continent_name\":\"Europe\",\"$initial_geoip_continent_code\":\"EU\","
        "\"$initial_geoip_postal_code\":null,\"$initial_geoip_latitude\":null,"
        "\"$initial_geoip_longitude\":null,\"$initial_geoip_accuracy_radius\":null,"
        "\"$initial_geoip_time_zone\":\"UTC\",\"$initial_geoip_subdivision_1_code\":null,"
        "\"$initial_geoip_subdivision_1_name\":null,\"$initial_geoip_subdivision_1_confidence\":"
        "null,\"$initial_geoip_subdivision_2_code\":null,\"$initial_geoip_subdivision_2_name\":"
        "null,\"$initial_geoip_subdivision_2_confidence\":null}}");
}

static void everything_that_a_record_can_have(void **state)
{
    struct aid *aid = *state;

    know(aid, "1.2.3.0/24",
         "{\"city\":{\"confidence\":1,\"names\":{\"en\":\"C\"}},\"country\":{\"confidence\":2,"
         "\"iso_code\":\"NO\",\"names\":{\"en\":\"N\"}},\"continent\":{\"code\":\"EU\",\"names\":{"
         "\"en\":\"E\"}},\"postal\":{\"code\":\"P\",\"confidence\":0},\"subdivisions\":[{"
         "\"confidence\":"
         "4,\"iso_code\":\"S1\"},{\"names\":{\"en\":\"N2\"}},{\"iso_code\":\"S3\",\"confidence\":6}"
         "]}");
    assert_int_equal(run(aid, "1.2.3.4", "{\"properties\":{}}"), BUILTIN_CHANGED);
    assert_non_null(
        strstr(buf_cstr(&aid->text),
               "{\"properties\":{\"$geoip_city_name\":\"C\",\"$geoip_city_confidence\":1,"
               "\"$geoip_country_name\":\"N\",\"$geoip_country_code\":\"NO\",\"$geoip_country_"
               "confidence\":"
               "2,\"$geoip_continent_name\":\"E\",\"$geoip_continent_code\":\"EU\","
               "\"$geoip_postal_code\":\"P\",\"$geoip_postal_code_confidence\":0,"
               "\"$geoip_subdivision_1_code\":\"S1\",\"$geoip_subdivision_1_confidence\":4,"
               "\"$geoip_subdivision_2_name\":\"N2\",\"$geoip_subdivision_3_code\":\"S3\","
               "\"$geoip_subdivision_3_confidence\":6},\"$set\":{"));
    /* Outside the basic set: only what is there, behind the rest. */
    assert_non_null(
        strstr(buf_cstr(&aid->text),
               "\"$geoip_subdivision_2_confidence\":null,\"$geoip_country_confidence\":2,"
               "\"$geoip_postal_code_confidence\":0,\"$geoip_subdivision_3_code\":\"S3\","
               "\"$geoip_subdivision_3_confidence\":6},\"$set_once\":{"));
    assert_null(strstr(buf_cstr(&aid->text), "subdivision_3_name"));
}

static void which_address(void **state)
{
    static const struct {
        const char *ip, *event;
        enum builtin_result result;
    } table[] = {
        {"1.2.3.4", "{\"properties\":{}}", BUILTIN_CHANGED},
        {"9.9.9.9", "{\"properties\":{}}", BUILTIN_SAME},
        {"", "{\"properties\":{}}", BUILTIN_SAME},
        {"1.2.3.4, 5.6.7.8", "{\"properties\":{}}", BUILTIN_SAME},
        {"::ffff:1.2.3.4", "{\"properties\":{}}", BUILTIN_CHANGED},
        {"", "{\"properties\":{\"$ip\":\"1.2.3.4\"}}", BUILTIN_CHANGED},
        {"1.2.3.4", "{\"properties\":{\"$ip\":\"9.9.9.9\"}}", BUILTIN_SAME},
        {"9.9.9.9", "{\"properties\":{\"$ip\":\"9.9.9.9\",\"$ip\":\"1.2.3.4\"}}", BUILTIN_CHANGED},
        {"1.2.3.4", "{\"properties\":{\"$ip\":\"\"}}", BUILTIN_CHANGED},
        {"1.2.3.4", "{\"properties\":{\"$ip\":null}}", BUILTIN_CHANGED},
        {"1.2.3.4", "{\"properties\":{\"$ip\":0}}", BUILTIN_CHANGED},
        {"1.2.3.4", "{\"properties\":{\"$ip\":17}}", BUILTIN_SAME},
        {"1.2.3.4", "{\"properties\":{\"$ip\":{}}}", BUILTIN_SAME},
        {"9.9.9.9", "{\"properties\":{\"$ip\":[\"1.2.3.4\"]}}", BUILTIN_CHANGED}, /* String() */
        {"1.2.3.4", "{\"$ip\":\"9.9.9.9\",\"properties\":{}}", BUILTIN_CHANGED},
        {"1.2.3.4", "{\"properties\":{\"$geoip_disable\":true}}", BUILTIN_SAME},
        {"1.2.3.4", "{\"properties\":{\"$geoip_disable\":\"no\"}}", BUILTIN_SAME},
        {"1.2.3.4", "{\"properties\":{\"$geoip_disable\":{}}}", BUILTIN_SAME},
        {"1.2.3.4", "{\"properties\":{\"$geoip_disable\":false}}", BUILTIN_CHANGED},
        {"1.2.3.4", "{\"properties\":{\"$geoip_disable\":0}}", BUILTIN_CHANGED},
        {"1.2.3.4", "{\"$geoip_disable\":true,\"properties\":{}}", BUILTIN_CHANGED},
        {"1.2.3.4", "{\"properties\":[]}", BUILTIN_SAME},
        {"1.2.3.4", "{\"properties\":\"text\"}", BUILTIN_SAME},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (run(*state, table[i].ip, table[i].event) != table[i].result)
            fail_msg("%s %s", table[i].ip, table[i].event);
    }
}

static void long_texts_that_are_no_address(void **state)
{
    struct buf event = BUF_INIT(1 << 20);

    assert_true(buf_add_str(&event, "{\"properties\":{\"$ip\":[\""));
    for (int i = 0; i < 100000; i++)
        assert_true(buf_add_char(&event, '1'));
    assert_true(buf_add_str(&event, "\"]}}"));
    assert_int_equal(run(*state, "1.2.3.4", buf_cstr(&event)), BUILTIN_SAME);
    buf_free(&event);
}

static void loopback_is_looked_up_as_the_original_does(void **state)
{
    struct aid *aid = *state;

    assert_int_equal(run(aid, "127.0.0.1", "{\"properties\":{}}"), BUILTIN_SAME);
    know(aid, "13.106.122.0/24", OSLO);
    assert_int_equal(run(aid, "127.0.0.1", "{\"properties\":{}}"), BUILTIN_CHANGED);
    assert_int_equal(run(aid, "9.9.9.9", "{\"properties\":{\"$ip\":\"127.0.0.1\"}}"),
                     BUILTIN_CHANGED);
    assert_int_equal(run(aid, "127.0.0.2", "{\"properties\":{}}"), BUILTIN_SAME);
    assert_int_equal(run(aid, "::1", "{\"properties\":{}}"), BUILTIN_SAME);
}

static void without_a_database(void **state)
{
    struct aid *aid = *state;

    geo_close(aid->geo);
    assert_int_equal(run(aid, "1.2.3.4", "{\"properties\":{}}"), BUILTIN_SAME);
}

static void no_room_for_the_new_text(void **state)
{
    struct aid *aid = *state;

    for (size_t max = 10; max < 1500; max += 7) {
        aid->text = BUF_INIT(max);
        assert_int_equal(
            run(aid, "1.2.3.4", "{\"event\":\"e\",\"properties\":{\"a\":1},\"$set\":{}}"),
            BUILTIN_FAILED);
        assert_int_equal(aid->err.code, ERR_LIMIT);
        buf_free(&aid->text);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(adds_what_is_known),
        TEST(events_without_members),
        TEST(keeps_what_the_event_sets),
        TEST(names_of_ours_in_the_event),
        TEST(everything_that_a_record_can_have),
        TEST(which_address),
        TEST(long_texts_that_are_no_address),
        TEST(loopback_is_looked_up_as_the_original_does),
        TEST(without_a_database),
        TEST(no_room_for_the_new_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
