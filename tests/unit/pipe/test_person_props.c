#include "pipe_aid.h"

static struct slice text_or_none(const char *text)
{
    return text ? slice_cstr(text) : SLICE_NONE;
}

static void test_change(void **state)
{
    static const struct {
        const char *stored, *set_once, *set, *unset;
        const char *result; /* NULL: nothing changes */
    } t[] = {
        {"{}", NULL, NULL, NULL, NULL},
        {"{}", "{}", "{}", "[]", NULL},
        {"{}", "{\"a\":1}", NULL, NULL, "{\"a\":1}"},
        {"{\"a\":1}", "{\"a\":2}", NULL, NULL, NULL},
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}", NULL, "{\"a\":3}"},
        {"{}", "{\"a\":2,\"b\":2}", "{\"a\":3}", NULL, "{\"a\":3,\"b\":2}"},
        {"{\"a\":1,\"b\":2}", NULL, "{\"a\":9}", "[\"b\"]", "{\"a\":9}"},
        {"{\"a\":1}", NULL, "{\"a\":2}", "[\"a\"]", "{}"},
        {"{\"a\":1}", NULL, "{\"b\":2}", "{\"b\":1}", NULL},
        {"{\"a\":1}", NULL, NULL, "[null,1,{\"a\":1}]", NULL},
        {"{\"a\":[1,{\"b\":2}]}", NULL, "{\"a\":[1,{\"b\":2.0}]}", NULL, NULL},
        {"{\"a\":[1]}", NULL, "{\"a\":[1,2]}", NULL, "{\"a\":[1,2]}"},
        {"{\"n\":9007199254740993}", NULL, "{\"n\":9007199254740992}", NULL,
         "{\"n\":9007199254740992}"},
        {"{\"n\":9007199254740993,\"x\":0.10}", NULL, "{\"y\":1}", NULL,
         "{\"n\":9007199254740993,\"x\":0.1,\"y\":1}"},
        {"{\"a\":1}", NULL, "{\"a\":null}", NULL, "{\"a\":null}"},
    };
    struct buf out = BUF_INIT(4096);

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct props_change change = {.set = text_or_none(t[i].set),
                                      .set_once = text_or_none(t[i].set_once),
                                      .unset = text_or_none(t[i].unset)};
        struct err err = ERR_INIT;
        bool is_changed = false;

        assert_true(person_props_change(slice_cstr(t[i].stored), &change, &out, &is_changed, &err));
        if (is_changed != (t[i].result != NULL))
            fail_msg("case %zu", i);
        if (is_changed)
            assert_slice(buf_slice(&out), t[i].result);
    }
    buf_free(&out);
}

static void test_bad(void **state)
{
    static const struct {
        const char *stored, *set;
    } t[] = {{"", "{}"}, {"[]", "{}"}, {"{", "{}"}, {"{}", "[]"}, {"{}", "{"}};
    struct buf out = BUF_INIT(4096);

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct props_change change = {.set = slice_cstr(t[i].set)};
        struct err err = ERR_INIT;
        bool is_changed;

        assert_false(
            person_props_change(slice_cstr(t[i].stored), &change, &out, &is_changed, &err));
        assert_int_equal(err.code, ERR_INPUT);
    }
    buf_free(&out);
}

static void test_too_long(void **state)
{
    struct props_change change = {.set = SLICE("{\"a\":\"0123456789\"}")};
    struct buf out = BUF_INIT(10);
    struct err err = ERR_INIT;
    bool is_changed;

    UNUSED(state);
    assert_false(person_props_change(SLICE("{}"), &change, &out, &is_changed, &err));
    assert_int_equal(err.code, ERR_INPUT);
    buf_free(&out);
}

/* Hundreds of members on both sides. */
static void test_many(void **state)
{
    struct buf stored = BUF_INIT(1 << 20);
    struct buf set = BUF_INIT(1 << 20);
    struct buf expected = BUF_INIT(1 << 20);
    struct buf out = BUF_INIT(1 << 20);
    struct err err = ERR_INIT;
    struct props_change change = {.set = SLICE_NONE};
    bool is_changed;

    UNUSED(state);
    for (int i = 0; i < 1500; i++) {
        if (i < 1000)
            buf_addf(&stored, "%c\"member number %d\":%d", i ? ',' : '{', i, i);
        if (i >= 500)
            buf_addf(&set, "%c\"member number %d\":%d", i > 500 ? ',' : '{', i, -i);
        buf_addf(&expected, "%c\"member number %d\":%d", i ? ',' : '{', i, i < 500 ? i : -i);
    }
    buf_add_char(&stored, '}');
    buf_add_char(&set, '}');
    buf_add_char(&expected, '}');
    change.set = buf_slice(&set);
    assert_true(person_props_change(buf_slice(&stored), &change, &out, &is_changed, &err));
    assert_true(is_changed);
    assert_true(slice_eq(buf_slice(&out), buf_slice(&expected)));
    assert_true(person_props_change(buf_slice(&expected), &change, &out, &is_changed, &err));
    assert_false(is_changed);
    buf_free(&stored);
    buf_free(&set);
    buf_free(&expected);
    buf_free(&out);
}

static void test_join(void **state)
{
    static const struct {
        const char *low, *high, *result;
    } t[] = {
        {"{}", "{}", "{}"},
        {"{\"a\":1}", "{}", "{\"a\":1}"},
        {"{}", "{\"a\":1}", "{\"a\":1}"},
        {"{\"a\":1,\"b\":2}", "{\"b\":3,\"c\":{\"x\":1}}", "{\"a\":1,\"b\":3,\"c\":{\"x\":1}}"},
    };
    struct buf out = BUF_INIT(4096);
    struct err err = ERR_INIT;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        assert_true(person_props_join(slice_cstr(t[i].low), slice_cstr(t[i].high), &out, &err));
        assert_slice(buf_slice(&out), t[i].result);
    }
    assert_false(person_props_join(SLICE("{}"), SLICE("1"), &out, &err));
    assert_int_equal(err.code, ERR_INPUT);
    buf_free(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change), cmocka_unit_test(test_bad),  cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_many),   cmocka_unit_test(test_join),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
