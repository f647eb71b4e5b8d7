#include "geo_aid.h"

#include <math.h>

/* A database in which 1.0.0.0/8 has the record of the JSON text. */
static bool look_up(struct aid *aid, const char *json, bool has_floats, struct geo_record *r)
{
    struct mmdb_make *m = mmdb_make_new(4, 28, "test");
    struct buf bytes = BUF_INIT(BYTES_MAX);
    const struct geo_db *db;
    bool is_found;

    if (has_floats)
        mmdb_make_floats(m);
    mmdb_make_add(m, "1.0.0.0/8", json);
    mmdb_make_add(m, "2.0.0.0/8", "{\"country_code\":\"SE\"}"); /* some place: it may be opened */
    mmdb_make_write(m, &bytes);
    if (!geo_open_bytes(aid->geo, "test.mmdb", buf_slice(&bytes), &aid->err))
        fail_msg("%s", aid->err.text);
    db = geo_take(aid->geo);
    is_found = geo_find(db, SLICE("1.2.3.4"), r);
    geo_drop(db); /* the record stays: the database is the current one */
    mmdb_make_free(m);
    buf_free(&bytes);
    return is_found;
}

static void nested_layout(void **state)
{
    static const char json[] =
        "{\"city\":{\"confidence\":70,\"geoname_id\":2694762,\"names\":{\"de\":\"L\",\"en\":"
        "\"Linköping\",\"fr\":\"M\"}},\"continent\":{\"code\":\"EU\",\"geoname_id\":6255148,"
        "\"names\":{\"en\":\"Europe\"}},\"country\":{\"confidence\":99,\"geoname_id\":2661886,"
        "\"is_in_european_union\":true,\"iso_code\":\"SE\",\"names\":{\"en\":\"Sweden\"}},"
        "\"location\":{\"accuracy_radius\":76,\"latitude\":58.4167,\"longitude\":-15.6167,"
        "\"metro_code\":7,\"time_zone\":\"Europe/Stockholm\"},\"postal\":{\"code\":\"582 22\","
        "\"confidence\":12},\"registered_country\":{\"iso_code\":\"DE\"},\"represented_country\":{"
        "\"iso_code\":\"US\"},\"subdivisions\":[{\"iso_code\":\"E\",\"confidence\":5,\"names\":{"
        "\"en\":\"Östergötland\"}},{\"geoname_id\":9}],\"traits\":{\"x\":[1,{\"y\":2}]}}";
    struct aid *aid = *state;
    struct geo_record r;

    assert_true(look_up(aid, json, false, &r));
    assert_slice(r.city.name, "Linköping");
    assert_slice(r.city.code, "");
    assert_true(r.city.confidence == 70 && r.city.geoname_id == 2694762);
    assert_slice(r.continent.code, "EU");
    assert_slice(r.continent.name, "Europe");
    assert_int_equal(r.continent.confidence, -1);
    assert_slice(r.country.code, "SE");
    assert_slice(r.country.name, "Sweden");
    assert_true(r.has_is_in_eu && r.is_in_eu && r.country.confidence == 99);
    assert_true(r.has_location && r.latitude == 58.4167 && r.longitude == -15.6167);
    assert_true(r.has_accuracy && r.accuracy_radius == 76 && r.has_metro && r.metro_code == 7);
    assert_slice(r.time_zone, "Europe/Stockholm");
    assert_slice(r.postal_code, "582 22");
    assert_int_equal(r.postal_confidence, 12);
    assert_slice(r.registered_country.code, "DE");
    assert_slice(r.represented_country.code, "US");
    assert_int_equal(r.subdivision_count, 2);
    assert_slice(r.subdivisions[0].code, "E");
    assert_slice(r.subdivisions[0].name, "Östergötland");
    assert_true(r.subdivisions[0].confidence == 5 && r.subdivisions[1].confidence == -1);
    assert_int_equal(r.subdivisions[1].geoname_id, 9);
}

static void nested_record_with_gaps(void **state)
{
    struct aid *aid = *state;
    struct geo_record r;

    assert_true(look_up(aid,
                        "{\"country\":{},\"city\":{\"names\":{\"de\":\"x\"}},\"location\":{"
                        "\"latitude\":91.5,\"longitude\":1.5,\"accuracy_radius\":-1},"
                        "\"subdivisions\":[\"x\",{},{},{},{},{},{},{},{},{},{}]}",
                        false, &r));
    assert_int_equal(r.country.code.len + r.country.name.len + r.city.name.len, 0);
    assert_false(r.has_location || r.has_accuracy || r.has_metro || r.has_is_in_eu);
    assert_int_equal(r.subdivision_count, GEO_SUBDIVISIONS_MAX);
    assert_int_equal(r.postal_confidence, -1);
}

static void flat_layout(void **state)
{
    struct aid *aid = *state;
    struct geo_record r;

    for (int form = 0; form < 3; form++) {
        static const char *const places[] = {
            "\"latitude\":\"48.8566\",\"longitude\":\"-2.3522\"",
            "\"latitude\":48.8566,\"longitude\":-2.3522",
            "\"latitude\":48.8566,\"longitude\":-2.3522", /* as floats */
        };
        char json[512];

        (void)snprintf(
            json, sizeof(json),
            "{\"city\":\"Paris\",\"country_code\":\"FR\",%s,\"postcode\":\"75001\","
            "\"state1\":\"Ile-de-France\",\"state2\":\"\",\"timezone\":\"Europe/Paris\"}",
            places[form]);
        assert_true(look_up(aid, json, form == 2, &r));
        assert_slice(r.city.name, "Paris");
        assert_slice(r.country.code, "FR");
        assert_slice(r.country.name, "France");
        assert_slice(r.continent.code, "EU");
        assert_slice(r.continent.name, "Europe");
        assert_true(r.has_is_in_eu && r.is_in_eu);
        assert_true(r.has_location && r.latitude == 48.8566 && r.longitude == -2.3522);
        assert_slice(r.postal_code, "75001");
        assert_slice(r.time_zone, "Europe/Paris");
        assert_int_equal(r.subdivision_count, 1);
        assert_slice(r.subdivisions[0].name, "Ile-de-France");
        assert_int_equal(r.subdivisions[0].code.len, 0);
        assert_int_equal(r.subdivisions[0].confidence, -1);
    }
}

static void flat_record_with_gaps(void **state)
{
    struct aid *aid = *state;
    struct geo_record r;

    assert_true(look_up(
        aid, "{\"country_code\":\"\",\"city\":\"Atlantis\",\"latitude\":\"\",\"longitude\":\"1x\"}",
        false, &r));
    assert_slice(r.city.name, "Atlantis");
    assert_int_equal(r.country.code.len + r.continent.code.len, 0);
    assert_false(r.has_location || r.has_is_in_eu);
    assert_true(look_up(aid, "{\"country_code\":\"QQ\"}", false, &r)); /* not in our table */
    assert_slice(r.country.code, "QQ");
    assert_int_equal(r.country.name.len, 0);
    assert_false(
        look_up(aid, "{\"country_code\":\"\",\"city\":\"\",\"latitude\":\"nan\"}", false, &r));
    assert_false(look_up(aid, "{\"asn\":12}", false, &r));
    assert_false(look_up(aid, "{}", false, &r));
}

static void texts_that_no_place_has_are_left_out(void **state)
{
    struct aid *aid = *state;
    struct buf json = BUF_INIT(1 << 16);
    struct geo_record r;

    assert_true(buf_add_str(&json, "{\"country_code\":\"SE\",\"city\":\""));
    for (int i = 0; i < 1025; i++)
        assert_true(buf_add_char(&json, 'x'));
    assert_true(buf_add_str(&json, "\"}"));
    assert_true(look_up(aid, buf_cstr(&json), false, &r));
    assert_int_equal(r.city.name.len, 0);
    buf_free(&json);
}

static void damaged_records_are_told(void **state)
{
    static const char *const records[] = {
        "\xe1\x44"
        "city\xe1\x45names\xe1\x42"
        "en\x49x", /* a name beyond the end */
        "\xe1\x4c"
        "country_code", /* no value */
        "\xe1\x4c"
        "subdivisions\x01\x04\xe1\xa0", /* a number as a key */
        "\x42hi",                       /* not a map */
    };
    struct geo_record r;
    enum geo_layout layout;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        assert_false(
            geo_record_read((const uint8_t *)records[i], strlen(records[i]), 0, &r, &layout));
    assert_false(geo_record_read((const uint8_t *)"", 0, 5, &r, &layout));
    /* Invalid UTF-8 is no text. */
    assert_true(geo_record_read((const uint8_t *)"\xe1\x44"
                                                 "city\x42\xc3\x28",
                                9, 0, &r, &layout));
    assert_int_equal(r.city.name.len, 0);
    assert_int_equal(layout, GEO_NO_PLACES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, aid_setup, aid_teardown)
    const struct CMUnitTest tests[] = {
        TEST(nested_layout),
        TEST(nested_record_with_gaps),
        TEST(flat_layout),
        TEST(flat_record_with_gaps),
        TEST(texts_that_no_place_has_are_left_out),
        cmocka_unit_test(damaged_records_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
