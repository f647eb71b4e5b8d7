#include "conf_aid.h"

/* "LINE NAME=value" for each call. */
static void collect(struct slice name, struct slice value, unsigned line, void *ctx)
{
    buf_addf(ctx, "%u %.*s=%.*s;", line, SLICE_ARG(name), SLICE_ARG(value));
}

static void parse(const char *text, size_t len, struct buf *got, struct buf *faults)
{
    conf_file_parse(slice_make(text, len), "f", collect, got, faults);
}

static void good_lines(void **state)
{
    static const struct {
        const char *text, *expected;
    } table[] = {
        {"A=1", "1 A=1;"},
        {"A=1\nB=2\n", "1 A=1;2 B=2;"},
        {"A=1\r\nB=2\r\n", "1 A=1;2 B=2;"},
        {"\n\n# c\n  # c\n \t\nA_9=x", "6 A_9=x;"},
        {" A \t=  b c  ", "1 A=b c;"},
        {"A=", "1 A=;"},
        {"A=b=c", "1 A=b=c;"},
        {"A=b # c", "1 A=b;"},
        {"A= # c", "1 A=;"},
        {"A=#c", "1 A=#c;"},
        {"A=b#c", "1 A=b#c;"},
        {"A=p#1 #c", "1 A=p#1;"},
        {"A=\"x # y\" # c", "1 A=x # y;"},
        {"A=\" x \"", "1 A= x ;"},
        {"A=\"\\\"\\\\\\n\\t\"", "1 A=\"\\\n\t;"},
        {"A='\\n\"'", "1 A=\\n\";"},
        {"A=''", "1 A=;"},
        {"A=it's", "1 A=it's;"},
        {"A=C:\\dir", "1 A=C:\\dir;"},
        {"\xef\xbb\xbf"
         "A=\xc3\xbc",
         "1 A=\xc3\xbc;"},
        {"", ""},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf got = BUF_INIT(10000), faults = BUF_INIT(10000);
        parse(table[i].text, strlen(table[i].text), &got, &faults);
        assert_string_equal(buf_cstr(&faults), "");
        assert_string_equal(buf_cstr(&got), table[i].expected);
        buf_free(&got);
        buf_free(&faults);
    }
}

static void bad_lines_are_named_and_passed_over(void **state)
{
    static const struct {
        const char *text, *fault;
    } table[] = {
        {"A", "must be NAME=value"},
        {"=1", "a name consists of"},
        {"A B=1", "a name consists of"},
        {"9A=1", "a name consists of"},
        {"A-B=1", "a name consists of"},
        {"\xc3\xbc=1", "a name consists of"},
        {"export A=1", "a name consists of"},
        {"A=\"x", "the closing quote is missing"},
        {"A='x\"", "the closing quote is missing"},
        {"A=\"x\" y", "nothing may follow"},
        {"A=\"x\"#c", "nothing may follow"},
        {"A=\"\\q\"", "may stand behind a backslash"},
        {"A=\"x\\", "may stand behind a backslash"},
        {"A=\xff", "must be UTF-8"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf text = BUF_INIT(10000), got = BUF_INIT(10000), faults = BUF_INIT(10000);
        buf_addf(&text, "X=1\n%s\nY=2\n", table[i].text);
        parse(text.ptr, text.len, &got, &faults);
        assert_memory_equal(buf_cstr(&faults), "f, line 2: ", 11);
        assert_non_null(strstr(buf_cstr(&faults), table[i].fault));
        assert_string_equal(buf_cstr(&got), "1 X=1;3 Y=2;");
        buf_free(&text);
        buf_free(&got);
        buf_free(&faults);
    }
}

static void a_nul_byte_is_refused(void **state)
{
    struct buf got = BUF_INIT(100), faults = BUF_INIT(1000);

    UNUSED(state);
    parse("A=1\0002", 5, &got, &faults);
    assert_string_equal(buf_cstr(&faults), "f, line 1: must be UTF-8 text without NUL\n");
    assert_int_equal(got.len, 0);
    buf_free(&got);
    buf_free(&faults);
}

static void what_is_written_reads_back(void **state)
{
    static const char *const table[] = {"",   "a",       " a ",  "a b",  "a # b",
                                        "#a", "\"",      "'a'",  "\\n",  "a\nb",
                                        "\t", "a\"b\\c", "it's", "\r\n", "a=b"};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf text = BUF_INIT(1000), got = BUF_INIT(1000), faults = BUF_INIT(1000),
                   expected = BUF_INIT(1000);
        buf_add_str(&text, "A=");
        assert_true(conf_file_write_value(slice_cstr(table[i]), &text));
        buf_add_str(&text, " # environment\n");
        parse(text.ptr, text.len, &got, &faults);
        buf_addf(&expected, "1 A=%s;", table[i]);
        assert_string_equal(buf_cstr(&faults), "");
        assert_string_equal(buf_cstr(&got), buf_cstr(&expected));
        buf_free(&text);
        buf_free(&got);
        buf_free(&faults);
        buf_free(&expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines),
        cmocka_unit_test(bad_lines_are_named_and_passed_over),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(what_is_written_reads_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
