#include "in/capture/capture_priv.h"
#include "lib/unit.h"

static void assert_slice(struct slice got, const char *expected)
{
    if (!slice_eq(got, slice_cstr(expected)))
        fail_msg("'%.*s' is not '%s'", SLICE_ARG(got), expected);
}

static void reads_all_fields(void **state)
{
    struct arena *arena = arena_new(1024);
    struct capture_fields f = {.data = SLICE_NONE};

    (void)state;
    capture_form_read(
        SLICE("data=a%20b&api_key=k&token=t&compression=gzip&sent_at=s&_=1&project_id=2&beacon=1&"
              "ver=1.2&ip=1&x"),
        arena, &f);
    assert_slice(f.data, "a b");
    assert_slice(f.api_key, "k");
    assert_slice(f.token, "t");
    assert_slice(f.compression, "gzip");
    assert_slice(f.sent_at, "s");
    assert_slice(f.underscore, "1");
    assert_slice(f.project_id, "2");
    assert_slice(f.beacon, "1");
    arena_free(arena);
}

static void decodes(void **state)
{
    static const char *const table[][2] = {
        {"data=x", "x"},
        {"data=a%2Bb+c", "a+b c"},
        {"data=%7B%22a%22%3A1%7D", "{\"a\":1}"},
        {"data=a&data=b", "a"}, /* the first one counts */
        {"data=&data=b", "b"},  /* that says anything */
        {"d%61ta=x", "x"},
        {"Data=x", ""},
        {"data", ""},
        {"", ""},
        {"&&&", ""},
        {"=x", ""},
        {"data=a=b", "a=b"},
    };
    struct arena *arena = arena_new(1024);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct capture_fields f = {.data = SLICE_NONE};

        capture_form_read(slice_cstr(table[i][0]), arena, &f);
        assert_slice(f.data, table[i][1]);
        assert_int_equal(f.token.len, 0);
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_fields),
        cmocka_unit_test(decodes),
    };
    return cmocka_run_group_tests_name("capture_form", tests, NULL, NULL);
}
