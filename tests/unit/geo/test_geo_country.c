#include "base/utf8.h"
#include "geo/geo_country.c"
#include "geo_aid.h"

static void table_is_in_order_and_whole(void **state)
{
    int in_eu = 0;

    UNUSED(state);
    assert_int_equal(ARRAY_LEN(countries), 250); /* 249 of ISO 3166-1 and XK */
    for (size_t i = 0; i < ARRAY_LEN(countries); i++) {
        const struct geo_country *c = &countries[i];

        assert_int_equal(strlen(c->code), 2);
        assert_true(i == 0 || strcmp(countries[i - 1].code, c->code) < 0);
        assert_true(utf8_is_valid(slice_cstr(c->name)) && c->name[0]);
        assert_non_null(geo_continent_name(slice_cstr(c->continent)));
        assert_ptr_equal(geo_country_find(slice_cstr(c->code)), c);
        in_eu += c->is_in_eu;
    }
    assert_int_equal(in_eu, 27 + 7); /* with Åland and six French regions */
}

static void finds_by_the_exact_code(void **state)
{
    static const char *const unknown[] = {"", "A", "AA", "ZZ", "us", "USA", "EU"};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_null(geo_country_find(slice_cstr(unknown[i])));
    assert_null(geo_country_find(SLICE_NONE));
    assert_null(geo_continent_name(SLICE("XX")));
    assert_string_equal(geo_country_find(SLICE("CI"))->name, "Ivory Coast");
    assert_string_equal(geo_continent_name(SLICE("OC")), "Oceania");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_in_order_and_whole),
        cmocka_unit_test(finds_by_the_exact_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
