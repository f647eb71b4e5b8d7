#include "base/map.h"
#include "base/rand.h"
#include "unit.h"

#include <stdio.h>

static struct slice number_key(char space[16], unsigned n)
{
    return slice_make(space, (size_t)snprintf(space, 16, "k%u", n));
}

static void put_get_remove(void **state)
{
    struct map *m = map_new();
    int a, b;

    UNUSED(state);
    assert_null(map_get(m, SLICE("x")));
    assert_null(map_remove(m, SLICE("x")));
    assert_null(map_put(m, SLICE("x"), &a));
    assert_ptr_equal(map_put(m, SLICE("x"), &b), &a);
    assert_int_equal(map_count(m), 1);
    assert_ptr_equal(map_get(m, SLICE("x")), &b);
    assert_ptr_equal(map_remove(m, SLICE("x")), &b);
    assert_null(map_get(m, SLICE("x")));
    assert_int_equal(map_count(m), 0);
    map_free(m);
    map_free(NULL);
}

static void keys_are_copied_bytes(void **state)
{
    struct map *m = map_new();
    char key[] = {'a', '\0', 'b'};
    int a, b, c;

    UNUSED(state);
    map_put(m, slice_make(key, 3), &a);
    map_put(m, slice_make(key, 2), &b);
    map_put(m, SLICE_NONE, &c);
    key[0] = 'x';
    assert_ptr_equal(map_get(m, SLICE("a\0b")), &a);
    assert_ptr_equal(map_get(m, SLICE("a\0")), &b);
    assert_ptr_equal(map_get(m, SLICE("")), &c);
    assert_null(map_get(m, SLICE("a")));
    map_free(m);
}

// Random puts and removals against an array that is right for sure.
static void follows_a_model(void **state)
{
    enum { KEYS = 500 };
    static char values[KEYS];
    struct map *m = map_new();
    bool is_in[KEYS] = {false};
    size_t count = 0;

    UNUSED(state);
    rand_fake_seed(7);
    for (int step = 0; step < 50000; step++) {
        unsigned n = (unsigned)(rand_u64() % KEYS);
        char space[16];
        struct slice key = number_key(space, n);

        if (rand_u64() % 2) {
            assert_ptr_equal(map_put(m, key, &values[n]), is_in[n] ? &values[n] : NULL);
            count += !is_in[n];
            is_in[n] = true;
        } else {
            assert_ptr_equal(map_remove(m, key), is_in[n] ? &values[n] : NULL);
            count -= is_in[n];
            is_in[n] = false;
        }
        assert_int_equal(map_count(m), count);
    }
    for (unsigned n = 0; n < KEYS; n++) {
        char space[16];

        assert_ptr_equal(map_get(m, number_key(space, n)), is_in[n] ? &values[n] : NULL);
    }
    map_free(m);
}

static void walking_meets_each_once(void **state)
{
    enum { KEYS = 100 };
    char values[KEYS] = {0};
    struct map *m = map_new();
    struct map_iter it = {0};
    struct slice key;
    void *value;

    UNUSED(state);
    assert_false(map_next(m, &it, &key, &value));
    for (unsigned n = 0; n < KEYS; n++) {
        char space[16];

        map_put(m, number_key(space, n), &values[n]);
    }
    it = (struct map_iter){0};
    while (map_next(m, &it, &key, &value)) {
        char space[16];
        unsigned n = (unsigned)((char *)value - values);

        assert_true(slice_eq(key, number_key(space, n)));
        values[n]++;
    }
    for (unsigned n = 0; n < KEYS; n++)
        assert_int_equal(values[n], 1);
    map_clear(m);
    assert_int_equal(map_count(m), 0);
    assert_null(map_get(m, SLICE("k1")));
    map_put(m, SLICE("k1"), values);
    assert_int_equal(map_count(m), 1);
    map_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_get_remove),
        cmocka_unit_test(keys_are_copied_bytes),
        cmocka_unit_test(follows_a_model),
        cmocka_unit_test(walking_meets_each_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
