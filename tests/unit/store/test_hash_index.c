#include "base/rand.h"
#include "store/hash_index.h"
#include "unit.h"

static size_t count_of(const struct hash_index *x, uint64_t hash, uint32_t wanted)
{
    size_t walk = HASH_INDEX_START, found = 0;

    for (uint32_t *at; (at = hash_index_next(x, hash, &walk));)
        found += *at == wanted;
    return found;
}

static void empty(void **state)
{
    struct hash_index x = {.slots = NULL};
    size_t walk = HASH_INDEX_START;

    UNUSED(state);
    assert_null(hash_index_next(&x, 1, &walk));
    hash_index_clear(&x);
    hash_index_free(&x);
}

static void many(void **state)
{
    struct hash_index x = {.slots = NULL};

    UNUSED(state);
    for (uint32_t i = 0; i < 100000; i++)
        hash_index_add(&x, i * 0x9E3779B97F4A7C15u, i);
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(count_of(&x, i * 0x9E3779B97F4A7C15u, i), 1);
    assert_true(hash_index_bytes(&x) <= 262144 * 8);
    hash_index_clear(&x);
    assert_int_equal(hash_index_bytes(&x), 0); /* large memory is given back */
    hash_index_free(&x);
}

static void one_hash_many_positions(void **state)
{
    struct hash_index x = {.slots = NULL};
    size_t walk = HASH_INDEX_START;

    UNUSED(state);
    for (uint32_t i = 0; i < 100; i++)
        hash_index_add(&x, 77, i);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(count_of(&x, 77, i), 1);
    *hash_index_next(&x, 77, &walk) = 1000;
    assert_int_equal(count_of(&x, 77, 1000), 1);
    hash_index_clear(&x);
    assert_true(hash_index_bytes(&x) > 0); /* small memory stays */
    assert_int_equal(count_of(&x, 77, 5), 0);
    hash_index_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty),
        cmocka_unit_test(many),
        cmocka_unit_test(one_hash_many_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
