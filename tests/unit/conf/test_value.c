#include "conf_aid.h"

#include <math.h>

static const struct conf_info whole = {"N", CONF_INT, "0", "", CONF_N, 0, ""};
static const struct conf_info decimal = {"D", CONF_NUM, "0", "", CONF_N, 0, ""};
static const struct conf_info bytes = {"B", CONF_INT, "0", "", CONF_N, CONF_BYTES, ""};
static const struct conf_info flag = {"F", CONF_BOOL, "false", "", CONF_N, 0, ""};

static bool parse(const struct conf_info *info, const char *text, struct conf_value *v)
{
    return conf_value_parse(info, slice_cstr(text), v);
}

static void good_numbers(void **state)
{
    static const struct {
        const struct conf_info *info;
        const char *text;
        double value;
        const char *canonical;
    } table[] = {
        {&whole, "3008", 3008, "3008"},
        {&whole, "900_000", 900000, "900000"},
        {&whole, "-12", -12, "-12"},
        {&whole, "007", 7, "7"},
        {&whole, "9223372036854775807", 9223372036854775807.0, "9223372036854775807"},
        {&decimal, "3008.12", 3008.12, "3008.12"},
        {&decimal, ".5", 0.5, "0.5"},
        {&decimal, "-.5", -0.5, "-0.5"},
        {&decimal, "1_000.2_5", 1000.25, "1000.25"},
        {&decimal, "30", 30, "30"},
        {&bytes, "1048576", 1048576, "1048576"},
        {&bytes, "20MiB", 20971520, "20971520"},
        {&bytes, "20 mib", 20971520, "20971520"},
        {&bytes, "1KiB", 1024, "1024"},
        {&bytes, "2GiB", 2147483648.0, "2147483648"},
        {&bytes, "1TiB", 1099511627776.0, "1099511627776"},
        {&bytes, "1KB", 1000, "1000"},
        {&bytes, "3MB", 3000000, "3000000"},
        {&bytes, "4GB", 4000000000.0, "4000000000"},
        {&bytes, "1_0KiB", 10240, "10240"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct conf_value v;
        assert_true(parse(table[i].info, table[i].text, &v));
        assert_true(fabs((table[i].info->type == CONF_NUM ? v.n : (double)v.i) - table[i].value) <
                    1e-9);
        assert_string_equal(v.text, table[i].canonical);
        conf_value_free(&v);
    }
}

static void bad_numbers(void **state)
{
    static const struct {
        const struct conf_info *info;
        const char *text;
    } table[] = {
        {&whole, ""},
        {&whole, "abc"},
        {&whole, "3008.12"},
        {&whole, "1e3"},
        {&whole, "0x10"},
        {&whole, " 1"},
        {&whole, "1 "},
        {&whole, "+1"},
        {&whole, "-"},
        {&whole, "_1"},
        {&whole, "1_"},
        {&whole, "1__0"},
        {&whole, "--1"},
        {&whole, "12abc"},
        {&whole, "9223372036854775808"},
        {&whole, "1MiB"},
        {&decimal, ""},
        {&decimal, "."},
        {&decimal, "1."},
        {&decimal, "1.2.3"},
        {&decimal, "1e3"},
        {&decimal, "NaN"},
        {&decimal, "inf"},
        {&decimal, "1._5"},
        {&decimal, "-"},
        {&bytes, "MiB"},
        {&bytes, "1.5MiB"},
        {&bytes, "1M"},
        {&bytes, "1 MiB x"},
        {&bytes, "9223372036854775807KiB"},
        {&bytes, "1KiBKiB"},
        {&whole, "1111111111111111111111111111111111111111111111111111111111111111"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct conf_value v = {.text = NULL, .i = 77};
        if (parse(table[i].info, table[i].text, &v))
            fail_msg("accepted: %s", table[i].text);
        assert_null(v.text);
        assert_int_equal(v.i, 77);
    }
}

/* O-03. */
static void booleans(void **state)
{
    static const char *const yes[] = {"Y", "on", "TRUE", "t", "1", "yes", "True"};
    static const char *const no[] = {"0", "no", "", "N", "off", "f", "FALSE"};
    static const char *const odd[] = {"maybe", "2", "enabled", " true"};
    struct conf_value v;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        assert_true(parse(&flag, yes[i], &v));
        assert_true(v.b && !v.is_odd);
        assert_string_equal(v.text, "true");
        conf_value_free(&v);
    }
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        assert_true(parse(&flag, no[i], &v));
        assert_true(!v.b && !v.is_odd);
        conf_value_free(&v);
    }
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        assert_true(parse(&flag, odd[i], &v));
        assert_true(!v.b && v.is_odd);
        assert_string_equal(v.text, "false");
        conf_value_free(&v);
    }
}

static void ranges_include_their_ends(void **state)
{
    static const struct {
        enum conf_type type;
        unsigned flags;
        const char *allowed, *text;
        bool ok;
    } table[] = {
        {CONF_INT, 0, "1..10", "1", true},
        {CONF_INT, 0, "1..10", "10", true},
        {CONF_INT, 0, "1..10", "0", false},
        {CONF_INT, 0, "1..10", "11", false},
        {CONF_INT, 0, "0..", "-1", false},
        {CONF_INT, 0, "0..", "999999999999", true},
        {CONF_INT, 0, "..5", "-100", true},
        {CONF_INT, 0, "..5", "6", false},
        {CONF_NUM, 0, "0.001..2", "0.001", true},
        {CONF_NUM, 0, "0.001..2", "0.0009", false},
        {CONF_NUM, 0, "0.001..2", "2.1", false},
        {CONF_INT, CONF_BYTES, "1KiB..1MiB", "1MiB", true},
        {CONF_INT, CONF_BYTES, "1KiB..1MiB", "1MB", true},
        {CONF_INT, CONF_BYTES, "1KiB..1MiB", "2MiB", false},
        {CONF_INT, CONF_BYTES, "1KiB..1MiB", "1KB", false},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct conf_info info = {"R",    table[i].type,  "1", table[i].allowed,
                                 CONF_N, table[i].flags, ""};
        struct conf_value v = {.text = NULL};
        assert_int_equal(parse(&info, table[i].text, &v), table[i].ok);
        conf_value_free(&v);
    }
}

static void choices_and_lists(void **state)
{
    static const struct {
        unsigned flags;
        const char *allowed, *text, *canonical; /* NULL: refused */
    } table[] = {
        {0, "a|b", "a", "a"},
        {0, "a|b", "A", NULL},
        {0, "a|b", "", ""},
        {0, "a|b", "c", NULL},
        {0, "a|b", "a|b", NULL},
        {CONF_NOCASE, "SASL_SSL|plain", "sasl_ssl", "SASL_SSL"},
        {CONF_NOCASE, "SASL_SSL|plain", "PLAIN", "plain"},
        {CONF_LIST, "a|b|c", "c, a", "c,a"},
        {CONF_LIST, "a|b|c", "", ""},
        {CONF_LIST, "a|b|c", " , ,b,", "b"},
        {CONF_LIST, "a|b|c", "a,d", NULL},
        {CONF_LIST, "", "x , y", "x,y"},
        {0, "", " as it is ", " as it is "},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct conf_info info = {"S", CONF_STR, "", table[i].allowed, CONF_N, table[i].flags, ""};
        struct conf_value v = {.text = NULL};
        assert_int_equal(parse(&info, table[i].text, &v), table[i].canonical != NULL);
        if (table[i].canonical)
            assert_string_equal(v.text, table[i].canonical);
        conf_value_free(&v);
    }
}

static void expectations_read_well(void **state)
{
    static const struct {
        struct conf_info info;
        const char *text;
    } table[] = {
        {{"", CONF_INT, "", "1..10", CONF_N, 0, ""}, "a whole number from 1 to 10"},
        {{"", CONF_INT, "", "0..", CONF_N, 0, ""}, "a whole number, at least 0"},
        {{"", CONF_NUM, "", "..5", CONF_N, 0, ""}, "a number, at most 5"},
        {{"", CONF_NUM, "", "", CONF_N, 0, ""}, "a number"},
        {{"", CONF_INT, "", "1KiB..1MiB", CONF_N, CONF_BYTES, ""},
         "a number of bytes (KiB, MiB, GiB may follow) from 1KiB to 1MiB"},
        {{"", CONF_BOOL, "", "", CONF_N, 0, ""}, "true or false"},
        {{"", CONF_STR, "", "a|b", CONF_N, 0, ""}, "one of a, b"},
        {{"", CONF_STR, "", "a|b", CONF_N, CONF_LIST, ""}, "a comma list of a, b"},
        {{"", CONF_STR, "", "", CONF_N, 0, ""}, "any text"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf out = BUF_INIT(1000);
        conf_value_expected(&table[i].info, &out);
        assert_string_equal(buf_cstr(&out), table[i].text);
        buf_free(&out);
    }
}

static void every_default_is_allowed(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        struct conf_value v;
        if (!parse(&conf_table[i], conf_table[i].fallback, &v))
            fail_msg("default of %s", conf_table[i].name);
        assert_false(v.is_odd);
        conf_value_free(&v);
        assert_true(strlen(conf_table[i].help) > 5);
        /* A _FILE of its own name would be ambiguous. */
        assert_true(strlen(conf_table[i].name) < 60);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_numbers),
        cmocka_unit_test(bad_numbers),
        cmocka_unit_test(booleans),
        cmocka_unit_test(ranges_include_their_ends),
        cmocka_unit_test(choices_and_lists),
        cmocka_unit_test(expectations_read_well),
        cmocka_unit_test(every_default_is_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
