#include "base/json.h"
#include "base/mem.h"
#include "unit.h"

// Text and what is written from it, compact.
static const char *const good[][2] = {
    {"null", "null"},
    {" true ", "true"},
    {"false", "false"},
    {"0", "0"},
    {"-0.5e1", "-5"},
    {"1e3", "1000"},
    {"0.1", "0.1"},
    {"1e400", "null"}, // infinite as a double
    {"9007199254740991", "9007199254740991"},
    {"1.7976931348623157e308", "1.7976931348623157e+308"},
    {"\"\"", "\"\""},
    {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"a\\\"\\\\/\\b\\f\\n\\r\\t\""},
    {"\"\\u00e9\\ud83d\\ude00\"", "\"é😀\""},
    {"[]", "[]"},
    {"{}", "{}"},
    {"[1, [2, {\"a\" : [ ]}]]", "[1,[2,{\"a\":[]}]]"},
    {"\t{\r\n\"a\":1,\"A\":2,\"\":3}\n", "{\"a\":1,\"A\":2,\"\":3}"},
    {"{\"a\":{\"b\":1},\"b\":1}", "{\"a\":{\"b\":1},\"b\":1}"},
};

static const struct {
    struct slice text;
    const char *error;
} bad[] = {
    {{NULL, 0}, "line 1, column 1: the text ends too early"},
    {{"", 0}, "line 1, column 1: the text ends too early"},
    {{"  \n ", 4}, "line 2, column 2: the text ends too early"},
    {{"nul", 3}, "line 1, column 1: expected a value"},
    {{"nulll", 5}, "line 1, column 5: something follows the value"},
    {{"{} {}", 5}, "line 1, column 4: something follows the value"},
    {{"{}\0", 3}, "line 1, column 3: something follows the value"},
    {{"\0", 1}, "line 1, column 1: expected a value"},
    {{"\xef\xbb\xbf{}", 5}, "line 1, column 1: expected a value"},
    {{"// no\n1", 7}, "line 1, column 1: expected a value"},
    {{"'a'", 3}, "line 1, column 1: expected a value"},
    {{"01", 2}, "line 1, column 2: something follows the value"},
    {{"+1", 2}, "line 1, column 1: expected a value"},
    {{"-", 1}, "line 1, column 2: a digit must follow"},
    {{"1.", 2}, "line 1, column 3: a digit must follow"},
    {{".5", 2}, "line 1, column 1: expected a value"},
    {{"1e+", 3}, "line 1, column 4: a digit must follow"},
    {{"NaN", 3}, "line 1, column 1: expected a value"},
    {{"[1,]", 4}, "line 1, column 4: expected a value"},
    {{"[1 2]", 5}, "line 1, column 4: expected ',' or ']'"},
    {{"[1", 2}, "line 1, column 3: expected ',' or ']'"},
    {{"{\"a\":1,}", 8}, "line 1, column 8: expected a key in quotes"},
    {{"{a:1}", 5}, "line 1, column 2: expected a key in quotes"},
    {{"{\"a\" 1}", 7}, "line 1, column 6: expected ':'"},
    {{"{\"a\":}", 6}, "line 1, column 6: expected a value"},
    {{"{\n  \"é\": tru\n}", 15}, "line 2, column 8: expected a value"},
    {{"\"a", 2}, "line 1, column 3: the string does not end"},
    {{"\"a\nb\"", 5}, "line 1, column 3: control character in a string"},
    {{"\"a\0b\"", 5}, "line 1, column 3: control character in a string"},
    {{"\"\\x\"", 4}, "line 1, column 3: unknown escape"},
    {{"\"\\", 2}, "line 1, column 3: unknown escape"},
    {{"\"\\\0\"", 4}, "line 1, column 3: unknown escape"},
    {{"\"\\u12g4\"", 8}, "line 1, column 6: \\u needs four hexadecimal digits"},
    {{"\"\\u12", 5}, "line 1, column 6: \\u needs four hexadecimal digits"},
    {{"\"\\u0000\"", 8}, "line 1, column 8: \\u0000 is not allowed"},
    {{"\"\\ud800\"", 8}, "JSON text was not understood"},
    {{"\"\xff\"", 3}, "line 1, column 2: not UTF-8"},
    {{"{\"a\":1,\"a\":2}", 13}, "/a: duplicate key"},
    {{"{\"x\":[0,{\"a/b~\":1,\"a\\/b~\":2}]}", 30}, "/x/1/a~1b~0: duplicate key"},
    {{"{\"\":1,\"\":2}", 11}, "/: duplicate key"},
};

static void good_texts(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct buf out = BUF_INIT(1000);
        struct err err = ERR_INIT;
        cJSON *json = json_parse(slice_cstr(good[i][0]), &err);

        if (!json)
            fail_msg("%s: %s", good[i][0], err.text);
        assert_true(json_write(json, &out));
        assert_string_equal(buf_cstr(&out), good[i][1]);
        json_free(json);
        buf_free(&out);
    }
    json_free(NULL);
}

static void bad_texts(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = ERR_INIT;

        assert_null(json_parse(bad[i].text, &err));
        assert_int_equal(err.code, ERR_INPUT);
        assert_string_equal(err.text, bad[i].error);
    }
}

// The text ends where the slice ends: each prefix stands in memory of its own.
static void every_prefix_of_a_text_is_refused(void **state)
{
    const char *text = "{\"a\":[true,null,-1.5e3,\"\\u00e9\\n\"]}";

    UNUSED(state);
    for (size_t len = 0; len < strlen(text); len++) {
        char *copy = (char *)mem_dup(text, len);
        struct err err = ERR_INIT;

        assert_null(json_parse(slice_make(copy, len), &err));
        assert_int_equal(err.code, ERR_INPUT);
        mem_free(copy);
    }
}

static void depth_is_limited(void **state)
{
    UNUSED(state);
    for (size_t depth = 99; depth <= 102; depth++) {
        struct buf text = BUF_INIT(1000);
        struct err err = ERR_INIT;
        cJSON *json;

        for (size_t i = 0; i < depth; i++)
            buf_add_char(&text, '[');
        for (size_t i = 0; i < depth; i++)
            buf_add_char(&text, ']');
        json = json_parse(buf_slice(&text), &err);
        assert_int_equal(json != NULL, depth <= 100);
        if (!json)
            assert_string_equal(err.text, "line 1, column 101: nested too deeply");
        json_free(json);
        buf_free(&text);
    }
}

static void pretty(void **state)
{
    struct buf out = BUF_INIT(1000);
    struct err err = ERR_INIT;
    cJSON *json = json_parse(SLICE("{\"a\":[1,{}],\"b\":{\"c\":[]}}"), &err);

    UNUSED(state);
    assert_true(json_write_pretty(json, &out));
    assert_string_equal(buf_cstr(&out), "{\n"
                                        "  \"a\": [\n"
                                        "    1,\n"
                                        "    {}\n"
                                        "  ],\n"
                                        "  \"b\": {\n"
                                        "    \"c\": []\n"
                                        "  }\n"
                                        "}");
    json_free(json);
    buf_free(&out);
}

static void writing_past_the_maximum_changes_nothing(void **state)
{
    struct err err = ERR_INIT;
    cJSON *json = json_parse(SLICE("{\"a\":[1,2],\"b\":\"x\"}"), &err);

    UNUSED(state);
    for (size_t max = 1; max <= 21; max++) {
        struct buf out = BUF_INIT(max);

        buf_add_char(&out, 'y');
        assert_int_equal(json_write(json, &out), max >= 20);
        assert_int_equal(out.len, max >= 20 ? 20 : 1);
        assert_int_equal(out.is_over, max < 20);
        buf_free(&out);
    }
    json_free(json);
}

static void getters(void **state)
{
    struct err err = ERR_INIT;
    cJSON *json =
        json_parse(SLICE("{\"s\":\"x\",\"t\":true,\"f\":false,\"n\":null,\"i\":-3,\"S\":1}"), &err);

    UNUSED(state);
    assert_string_equal(json_str(json, "s"), "x");
    assert_null(json_str(json, "i"));
    assert_null(json_str(json, "none"));
    assert_null(json_str(json_get(json, "s"), "s"));
    assert_null(json_str(NULL, "s"));
    assert_non_null(json_get(json, "n"));
    assert_true(cJSON_IsNumber(json_get(json, "S"))); // keys are case-sensitive
    assert_true(json_bool(json, "t", false));
    assert_false(json_bool(json, "f", true));
    assert_true(json_bool(json, "n", true));
    assert_false(json_bool(json, "none", false));
    json_free(json);
}

static void whole_numbers(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
        int64_t value;
    } table[] = {
        {"0", true, 0},
        {"-7", true, -7},
        {"3.0", true, 3},
        {"1e3", true, 1000},
        {"9007199254740991", true, INT64_C(9007199254740991)},
        {"-9007199254740991", true, -INT64_C(9007199254740991)},
        {"9007199254740992", false, 0},
        {"9007199254740993", false, 0},
        {"1e300", false, 0},
        {"1e400", false, 0},
        {"0.5", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = ERR_INIT;
        cJSON *json = json_parse(slice_cstr(table[i].text), &err);
        int64_t value = 42;

        assert_int_equal(json_int(json, &value), table[i].is_good);
        assert_int_equal(value, table[i].is_good ? table[i].value : 42);
        json_free(json);
    }
    assert_false(json_int(NULL, &(int64_t){0}));
}

static void faults_are_collected(void **state)
{
    struct json_faults f = JSON_FAULTS_INIT;

    UNUSED(state);
    json_fault(&f, "/teams/0/name", "must be %s", "a string");
    json_fault(&f, "", "is empty");
    assert_int_equal(f.count, 2);
    assert_string_equal(buf_cstr(&f.text),
                        "/teams/0/name: must be a string\nthe document: is empty\n");
    json_faults_free(&f);
    assert_int_equal(f.count, 0);
    json_faults_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_texts),
        cmocka_unit_test(bad_texts),
        cmocka_unit_test(every_prefix_of_a_text_is_refused),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(pretty),
        cmocka_unit_test(writing_past_the_maximum_changes_nothing),
        cmocka_unit_test(getters),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(faults_are_collected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
