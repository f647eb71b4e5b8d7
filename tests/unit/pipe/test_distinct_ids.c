#include "pipe_aid.h"

static void test_illegal(void **state)
{
    static const char *const illegal[] = {
        "anonymous",
        "ANONYMOUS",
        "Guest",
        "distinctid",
        "Distinct_ID",
        "id",
        "not_authenticated",
        "EMAIL",
        "undefined",
        "True",
        "FALSE",
        "[object Object]",
        "NaN",
        "None",
        "none",
        "null",
        "0",
        "",
        " ",
        "\t\n",
        "\xc2\xa0\xe3\x80\x80",
        "'null'",
        "\"null\"",
        "'ANONYMOUS'",
        "\"0\"",
        "''",
        "\"\"",
        "' '",
    };
    static const char *const legal[] = {
        "nan", "Nan",     "NULL",  "NONE",  " anonymous ", "00",       "a",        "'",
        "\"",  "'null\"", "null'", "'nan'", "emails",      "\xc3\xa9", "''null''",
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(illegal); i++) {
        if (!distinct_ids_illegal(slice_cstr(illegal[i])))
            fail_msg("%s", illegal[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(legal); i++) {
        if (distinct_ids_illegal(slice_cstr(legal[i])))
            fail_msg("%s", legal[i]);
    }
}

static void test_long(void **state)
{
    char text[900];

    UNUSED(state);
    memset(text, 'x', sizeof(text));
    assert_false(distinct_ids_too_long(slice_make(text, 400)));
    assert_true(distinct_ids_too_long(slice_make(text, 401)));
    for (size_t i = 0; i < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa9", 2); /* characters count, not bytes */
    assert_false(distinct_ids_too_long(slice_make(text, 800)));
    assert_true(distinct_ids_too_long(slice_make(text, 802)));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_illegal),
        cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
