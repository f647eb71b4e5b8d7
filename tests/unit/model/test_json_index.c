#include "model/json_index.h"
#include "unit.h"

#include <stdio.h>

static void test_add_find(void **state)
{
    struct json_index x;
    bool is_new;

    UNUSED(state);
    json_index_init(&x);
    assert_int_equal(json_index_find(&x, SLICE("a")), -1);
    assert_int_equal(json_index_add(&x, SLICE("a"), &is_new), 0);
    assert_true(is_new);
    assert_int_equal(json_index_add(&x, SLICE("b"), &is_new), 1);
    assert_int_equal(json_index_add(&x, SLICE("a"), &is_new), 0);
    assert_false(is_new);
    assert_int_equal(json_index_add(&x, SLICE(""), &is_new), 2);
    assert_int_equal(json_index_find(&x, SLICE("")), 2);
    assert_int_equal(json_index_find(&x, SLICE("b")), 1);
    assert_int_equal(json_index_find(&x, SLICE("c")), -1);
    assert_int_equal(x.count, 3);
    json_index_fini(&x);
}

/* Same head, tail and length: the fingerprint is the same, the keys are not. */
static void test_same_fingerprint(void **state)
{
    struct json_index x;
    bool is_new;

    UNUSED(state);
    json_index_init(&x);
    assert_int_equal(json_index_add(&x, SLICE("12345678_A_12345678"), &is_new), 0);
    assert_int_equal(json_index_add(&x, SLICE("12345678_B_12345678"), &is_new), 1);
    assert_true(is_new);
    assert_int_equal(json_index_find(&x, SLICE("12345678_B_12345678")), 1);
    assert_int_equal(json_index_find(&x, SLICE("12345678_C_12345678")), -1);
    json_index_fini(&x);
}

static void test_growth(void **state)
{
    static char keys[5000][24];
    struct json_index x;
    bool is_new;

    UNUSED(state);
    json_index_init(&x);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        snprintf(keys[i], sizeof(keys[i]), "12345678-%zu-12345678", i);
        assert_int_equal(json_index_add(&x, slice_cstr(keys[i]), &is_new), i);
        assert_true(is_new);
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        assert_int_equal(json_index_find(&x, slice_cstr(keys[i])), i);
        assert_int_equal(json_index_add(&x, slice_cstr(keys[i]), &is_new), i);
        assert_false(is_new);
        assert_true(slice_eq(x.keys[i], slice_cstr(keys[i])));
    }
    assert_int_equal(json_index_find(&x, SLICE("other")), -1);
    json_index_fini(&x);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_find),
        cmocka_unit_test(test_same_fingerprint),
        cmocka_unit_test(test_growth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
