#include "base/rand.h"
#include "store/store_priv.h"
#include "unit.h"

#define WINDOW 1000

static void grows_to_its_limit(void **state)
{
    struct dedupe d;

    UNUSED(state);
    dedupe_init(&d, WINDOW, 1 << 20); /* 65,536 slots a table */
    assert_int_equal(dedupe_count_max(&d), 98304);
    assert_null(d.now.slots); /* no memory while empty */
    assert_false(dedupe_has(&d, 1));
    for (uint64_t i = 0; i < 49152; i++)
        dedupe_add(&d, store_hash_id((int64_t)i), 5);
    assert_int_equal(dedupe_count(&d), 49152);
    assert_int_equal(dedupe_covered_us(&d, 2000), WINDOW);
    for (uint64_t i = 0; i < 49152; i++)
        assert_true(dedupe_has(&d, store_hash_id((int64_t)i)));
    for (uint64_t i = 49152; i < 60000; i++)
        assert_false(dedupe_has(&d, store_hash_id((int64_t)i)));
    dedupe_fini(&d);
}

static void zero_is_a_hash(void **state)
{
    struct dedupe d;

    UNUSED(state);
    dedupe_init(&d, WINDOW, 1 << 20);
    dedupe_add(&d, 0, 1);
    dedupe_add(&d, 0, 1);
    assert_true(dedupe_has(&d, 0));
    assert_int_equal(dedupe_count(&d), 1);
    dedupe_fini(&d);
}

static void time_rotates(void **state)
{
    struct dedupe d;

    UNUSED(state);
    dedupe_init(&d, WINDOW, 1 << 20);
    dedupe_add(&d, 1, 0);
    dedupe_add(&d, 2, 999);
    dedupe_add(&d, 3, 1000); /* the first table is a window old */
    assert_true(dedupe_has(&d, 1));
    dedupe_add(&d, 4, 1999);
    assert_true(dedupe_has(&d, 2));
    dedupe_add(&d, 5, 2000);
    assert_false(dedupe_has(&d, 1));
    assert_false(dedupe_has(&d, 2));
    assert_true(dedupe_has(&d, 3));
    assert_int_equal(dedupe_covered_us(&d, 2000), WINDOW);
    dedupe_fini(&d);
}

static void full_memory_shrinks_the_window(void **state)
{
    struct dedupe d;
    int64_t at = 0;

    UNUSED(state);
    dedupe_init(&d, 1000000, 1); /* the smallest: 1,024 slots, 768 entries a table */
    for (; at < 768 * 2; at++)
        dedupe_add(&d, store_hash_id(at), at);
    assert_int_equal(dedupe_covered_us(&d, at), 1000000);
    for (; at < 768 * 3; at++)
        dedupe_add(&d, store_hash_id(at), at);
    assert_false(dedupe_has(&d, store_hash_id(767)));
    assert_true(dedupe_has(&d, store_hash_id(768)));
    assert_int_equal(dedupe_covered_us(&d, at), at - 768);
    dedupe_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_its_limit),
        cmocka_unit_test(zero_is_a_hash),
        cmocka_unit_test(time_rotates),
        cmocka_unit_test(full_memory_shrinks_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
