/* meta.geoip. */
#include "mmdb_make.h"
#include "vm_aid.h"

#define RECORD                                                                                     \
    "{\"city\":{\"geoname_id\":5,\"confidence\":60,\"names\":{\"en\":\"Oslo\"}},"                  \
    "\"continent\":{\"code\":\"EU\",\"geoname_id\":6,\"names\":{\"en\":\"Europe\"}},"              \
    "\"country\":{\"geoname_id\":7,\"iso_code\":\"NO\",\"is_in_european_union\":false,"            \
    "\"names\":{\"en\":\"Norway\"}},\"location\":{\"accuracy_radius\":20,\"latitude\":59.9,"       \
    "\"longitude\":-10.75,\"metro_code\":3,\"time_zone\":\"Europe/Oslo\"},"                        \
    "\"postal\":{\"code\":\"0150\"},\"registered_country\":{\"geoname_id\":8,\"iso_code\":\"SE\"," \
    "\"names\":{\"en\":\"Sweden\"}},\"subdivisions\":[{\"geoname_id\":9,\"iso_code\":\"03\","      \
    "\"names\":{\"en\":\"Oslo County\"}},{\"iso_code\":\"04\"}]}"

static struct geo *geo_of(const char *network, const char *json)
{
    struct geo *geo = geo_new(NULL);
    struct mmdb_make *m = mmdb_make_new(6, 24, "test");
    struct buf bytes = BUF_INIT(1 << 20);
    struct err err = ERR_INIT;

    mmdb_make_add(m, network, json);
    mmdb_make_write(m, &bytes);
    if (!geo_open_bytes(geo, "test.mmdb", buf_slice(&bytes), &err))
        fail_msg("%s", err.text);
    mmdb_make_free(m);
    buf_free(&bytes);
    return geo;
}

static void init_with_geo(struct vm_aid *a, struct geo *geo)
{
    struct plugins_options opt = plugins_aid_options(NULL);

    opt.geo = geo;
    vm_aid_init_with(a, &opt);
}

static void test_record(void **state)
{
    struct geo *geo = geo_of("1.2.3.0/24", RECORD);
    struct vm_aid a;

    UNUSED(state);
    init_with_geo(&a, geo);
    vm_aid_eval(&a, "const r = await meta.geoip.locate('1.2.3.4');"
                    "return [r.city, r.continent, r.country, r.location, r.postal]");
    assert_string_equal(a.text,
                        "[{\"geonameId\":5,\"confidence\":60,\"names\":{\"en\":\"Oslo\"}},"
                        "{\"geonameId\":6,\"code\":\"EU\",\"names\":{\"en\":\"Europe\"}},"
                        "{\"geonameId\":7,\"isoCode\":\"NO\",\"names\":{\"en\":\"Norway\"},"
                        "\"isInEuropeanUnion\":false},"
                        "{\"latitude\":59.9,\"longitude\":-10.75,\"timeZone\":\"Europe/Oslo\","
                        "\"accuracyRadius\":20,\"metroCode\":3},{\"code\":\"0150\"}]");
    vm_aid_eval(&a, "const r = await meta.geoip.locate('1.2.3.4');"
                    "return [r.registeredCountry, r.subdivisions, r.traits,"
                    " 'representedCountry' in r]");
    assert_string_equal(a.text,
                        "[{\"geonameId\":8,\"isoCode\":\"SE\",\"names\":{\"en\":\"Sweden\"}},"
                        "[{\"geonameId\":9,\"isoCode\":\"03\",\"names\":{\"en\":\"Oslo County\"}},"
                        "{\"isoCode\":\"04\"}],{\"ipAddress\":\"1.2.3.4\"},false]");
    vm_aid_fini(&a);
    geo_free(geo);
}

static void test_unknown(void **state)
{
    static const char *const nothing[] = {
        "'9.9.9.9'", "'not an address'", "''", "undefined", "null", "{}", "5"};
    struct geo *geo = geo_of("1.2.3.0/24", RECORD);
    struct vm_aid a;
    char script[200];

    UNUSED(state);
    init_with_geo(&a, geo);
    for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
        snprintf(script, sizeof(script), "return meta.geoip.locate(%s)", nothing[i]);
        assert_string_equal(vm_aid_eval(&a, script), "null");
    }
    vm_aid_fini(&a);
    geo_free(geo);
}

static void test_no_database(void **state)
{
    struct vm_aid a;
    struct geo *empty = geo_new(NULL);

    UNUSED(state);
    vm_aid_init(&a);
    assert_string_equal(vm_aid_eval(&a, "return meta.geoip.locate('1.2.3.4')"),
                        "!IP location capabilities are not available in this PostHog instance!");
    vm_aid_fini(&a);
    init_with_geo(&a, empty);
    assert_string_equal(vm_aid_eval(&a, "return meta.geoip.locate('1.2.3.4')"),
                        "!IP location capabilities are not available in this PostHog instance!");
    vm_aid_fini(&a);
    geo_free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_no_database),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
