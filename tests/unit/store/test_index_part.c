#include "base/mem.h"
#include "base/rand.h"
#include "store/store_priv.h"
#include "unit.h"

#include <stdlib.h>

static struct index_part *filled(size_t count)
{
    struct index_part *p = index_part_new();

    for (size_t i = 0; i < count; i++) {
        struct index_row row = {.id = 1000 + 2 * (int64_t)i,
                                .at_us = 50 + (int64_t)i,
                                .distinct_id = store_hash_id((int64_t)(i % 10)),
                                .uuid = store_hash_id((int64_t)(i / 2)), /* each twice */
                                .event = 42,
                                .is_checked = i % 2 == 0};
        if (index_part_is_full(p))
            index_part_grow(p);
        index_part_add(p, &row);
    }
    return p;
}

static void sort_is_right(void **state)
{
    UNUSED(state);
    rand_fake_seed(1);
    for (size_t count = 0; count < 3000; count = count * 2 + 1) {
        struct index_run run = {
            .hash = mem_alloc(count * 8 + 1), .delta = mem_alloc(count * 4 + 1), .count = count};
        for (size_t i = 0; i < count; i++) {
            run.hash[i] =
                i % 3 ? rand_u64() : rand_u64() % 4 - 2; /* also few different ones, around zero */
            run.delta[i] = (uint32_t)i;
        }
        index_part_sort_run(&run);
        assert_int_equal(run.count, count);
        for (size_t i = 1; i < count; i++) {
            assert_true((int64_t)run.hash[i - 1] <= (int64_t)run.hash[i]);
            if (run.hash[i - 1] == run.hash[i])
                assert_true(run.delta[i - 1] < run.delta[i]);
        }
        index_part_free_run(&run);
    }
}

static void find_open_and_sorted(void **state)
{
    struct index_part *p = filled(1001);
    struct index_run runs[INDEX_KINDS];
    int64_t ids[4];

    UNUSED(state);
    assert_int_equal(index_part_find_uuid(p, store_hash_id(3), false, ids, 4),
                     0); /* not published */
    index_part_publish(p);
    assert_int_equal(p->count, 1001);
    assert_int_equal(p->first_id, 1000);
    assert_int_equal(p->last_id, 3000);
    assert_int_equal(p->first_at, 50);
    assert_int_equal(p->last_at, 1050);
    for (int form = 0; form < 2; form++) {
        assert_int_equal(index_part_find_uuid(p, store_hash_id(3), false, ids, 4), 2);
        assert_int_equal(ids[0] + ids[1], 1012 + 1014);
        assert_int_equal(index_part_find_uuid(p, store_hash_id(3), true, ids, 4), 1);
        assert_int_equal(ids[0], 1012);
        assert_int_equal(index_part_find_uuid(p, store_hash_id(3), false, ids, 1), 1);
        assert_int_equal(index_part_find_uuid(p, store_hash_id(501), false, ids, 4), 0);
        if (form == 0) {
            index_part_sort(p, runs);
            index_part_take(p, runs);
        }
    }
    assert_int_equal(p->runs[INDEX_DISTINCT_ID - 1].count, 1001);
    assert_int_equal(p->runs[INDEX_UUID - 1].count, 501);
    assert_int_equal(p->runs[INDEX_UUID_UNCHECKED - 1].count, 500);
    assert_int_equal(p->runs[INDEX_EVENT - 1].count, 1001);
    for (uint32_t i = 0; i < 1001; i++)
        assert_int_equal(p->runs[INDEX_EVENT - 1].delta[i], 2 * i);
    index_part_free(p);
}

static void forgotten_rows(void **state)
{
    struct index_part *p = filled(10);
    struct index_row row = {.id = 5000, .uuid = 1, .is_checked = true};
    int64_t ids[2];

    UNUSED(state);
    p->batch = 0; /* rolled back */
    index_part_add(p, &row);
    index_part_publish(p);
    assert_int_equal(p->count, 1);
    assert_int_equal(p->first_id, 5000);
    assert_int_equal(index_part_find_uuid(p, 1, true, ids, 2), 1);
    assert_int_equal(ids[0], 5000);
    assert_int_equal(index_part_find_uuid(p, store_hash_id(0), true, ids, 2), 0);
    index_part_free(p);
    index_part_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sort_is_right),
        cmocka_unit_test(find_open_and_sorted),
        cmocka_unit_test(forgotten_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
