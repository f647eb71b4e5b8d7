#include "base/err.h"
#include "base/utf8.h"
#include "unit.h"

#include <errno.h>

static void set_gives_code_and_text(void **state)
{
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_false(err_set(&err, ERR_LIMIT, "%d of %s", 3, "four"));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.text, "3 of four");
}

static void wrap_keeps_the_code(void **state)
{
    struct err err = ERR_INIT;

    UNUSED(state);
    err_set(&err, ERR_CORRUPT, "bad sum");
    assert_false(err_wrap(&err, "record %d", 9));
    assert_false(err_wrap(&err, "open %s", "x"));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_string_equal(err.text, "open x: record 9: bad sum");
}

static void its_own_text_may_be_an_argument(void **state)
{
    struct err err = ERR_INIT;

    UNUSED(state);
    err_set(&err, ERR_IO, "inner");
    err_set(&err, ERR_RETRY, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
    err_wrap(&err, "%s", err.text);
    assert_string_equal(err.text, "outer (inner): outer (inner)");
}

static void errno_becomes_a_code(void **state)
{
    static const struct {
        int value;
        enum err_code code;
        const char *text;
    } table[] = {
        {EACCES, ERR_IO, "open f: Permission denied"},
        {EIO, ERR_IO, "open f: Input/output error"},
        {ENOSPC, ERR_FULL, "open f: No space left on device"},
        {EDQUOT, ERR_FULL, "open f: Disk quota exceeded"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = ERR_INIT;

        assert_false(err_errno(&err, table[i].value, "open %s", "f"));
        assert_int_equal(err.code, table[i].code);
        assert_string_equal(err.text, table[i].text);
    }
}

static void long_texts_are_cut_between_characters(void **state)
{
    char text[2 * sizeof(((struct err *)0)->text)];
    struct err err = ERR_INIT;

    UNUSED(state);
    for (size_t i = 0; i + 2 < sizeof(text); i += 2)
        memcpy(text + i, "é", 3);
    err_set(&err, ERR_INPUT, "%s", text);
    assert_in_range(strlen(err.text), sizeof(err.text) - 4, sizeof(err.text) - 1);
    assert_true(utf8_is_valid(slice_cstr(err.text)));
    err_set(&err, ERR_INPUT, "x%s", text);
    assert_true(utf8_is_valid(slice_cstr(err.text)));
    err_wrap(&err, "%s", text);
    assert_in_range(strlen(err.text), sizeof(err.text) - 4, sizeof(err.text) - 1);
}

static void every_code_has_a_name(void **state)
{
    UNUSED(state);
    for (int code = ERR_NONE; code <= ERR_BUG; code++)
        assert_string_not_equal(err_code_name((enum err_code)code), "unknown");
    assert_string_equal(err_code_name(ERR_GONE), "gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_gives_code_and_text),
        cmocka_unit_test(wrap_keeps_the_code),
        cmocka_unit_test(its_own_text_may_be_an_argument),
        cmocka_unit_test(errno_becomes_a_code),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(every_code_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
