#include "base/lru.h"
#include "unit.h"

#include <stdio.h>

struct dropped {
    char text[32];
};

// Values are texts of one letter; what leaves is written down.
static void note_drop(void *value, void *ctx)
{
    struct dropped *d = (struct dropped *)ctx;

    CHECK(strlen(d->text) + 2 < sizeof(d->text));
    memcpy(d->text + strlen(d->text), value, 2);
}

static char value_a[] = "a", value_b[] = "b", value_c[] = "c", value_d[] = "d";

static void the_least_recently_used_goes_first(void **state)
{
    struct dropped d = {""};
    struct lru *l = lru_new(2, 1000, note_drop, &d);

    UNUSED(state);
    lru_put(l, SLICE("A"), value_a, 1);
    lru_put(l, SLICE("B"), value_b, 1);
    assert_ptr_equal(lru_get(l, SLICE("A")), value_a); // now B is older
    lru_put(l, SLICE("C"), value_c, 1);
    assert_string_equal(d.text, "b");
    assert_null(lru_get(l, SLICE("B")));
    assert_ptr_equal(lru_get(l, SLICE("A")), value_a);
    assert_int_equal(lru_count(l), 2);
    lru_free(l);
    assert_string_equal(d.text, "bca");
    lru_free(NULL);
}

static void bytes_are_a_bound_too(void **state)
{
    struct dropped d = {""};
    struct lru *l = lru_new(100, 10, note_drop, &d);

    UNUSED(state);
    lru_put(l, SLICE("A"), value_a, 4);
    lru_put(l, SLICE("B"), value_b, 6);
    assert_int_equal(lru_bytes(l), 10);
    lru_put(l, SLICE("C"), value_c, 5);
    assert_string_equal(d.text, "ab");
    assert_int_equal(lru_bytes(l), 5);
    lru_put(l, SLICE("D"), value_d, 11); // never fits: leaves at once, pushes nobody out
    assert_string_equal(d.text, "abd");
    assert_ptr_equal(lru_get(l, SLICE("C")), value_c);
    lru_put(l, SLICE("D"), value_d, 10);
    assert_string_equal(d.text, "abdc");
    lru_free(l);
}

static void replacing_and_removing_drop(void **state)
{
    struct dropped d = {""};
    struct lru *l = lru_new(100, 100, note_drop, &d);

    UNUSED(state);
    lru_put(l, SLICE("k"), value_a, 7);
    lru_put(l, SLICE("k"), value_b, 3);
    assert_string_equal(d.text, "a");
    assert_int_equal(lru_bytes(l), 3);
    assert_int_equal(lru_count(l), 1);
    lru_remove(l, SLICE("none"));
    lru_remove(l, SLICE("k"));
    assert_string_equal(d.text, "ab");
    assert_int_equal(lru_bytes(l), 0);
    lru_put(l, SLICE("k"), value_c, 1);
    lru_clear(l);
    assert_string_equal(d.text, "abc");
    assert_int_equal(lru_count(l), 0);
    lru_free(l);
}

static void a_cache_of_nothing_keeps_nothing(void **state)
{
    struct dropped d = {""};
    struct lru *l = lru_new(0, 100, note_drop, &d);

    UNUSED(state);
    lru_put(l, SLICE("k"), value_a, 1);
    assert_string_equal(d.text, "a");
    assert_null(lru_get(l, SLICE("k")));
    lru_free(l);
    l = lru_new(1, 1, NULL, NULL); // without drop
    lru_put(l, SLICE("k"), value_a, 1);
    lru_put(l, SLICE("l"), value_a, 1);
    lru_free(l);
}

static void note_key(void *ctx, struct slice key, void *value)
{
    struct dropped *d = (struct dropped *)ctx;

    size_t len = strlen(d->text);
    snprintf(d->text + len, sizeof(d->text) - len, "%.*s%s", SLICE_ARG(key), (char *)value);
}

static void a_walk_goes_from_old_to_new(void **state)
{
    struct dropped d = {""};
    struct lru *l = lru_new(9, 100, NULL, NULL);

    UNUSED(state);
    lru_each(l, note_key, &d);
    assert_string_equal(d.text, "");
    lru_put(l, SLICE("A"), value_a, 1);
    lru_put(l, SLICE("B"), value_b, 1);
    lru_get(l, SLICE("A"));
    for (int i = 0; i < 2; i++) // the walk itself is no use
        lru_each(l, note_key, &d);
    assert_string_equal(d.text, "BbAaBbAa");
    lru_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(bytes_are_a_bound_too),
        cmocka_unit_test(replacing_and_removing_drop),
        cmocka_unit_test(a_cache_of_nothing_keeps_nothing),
        cmocka_unit_test(a_walk_goes_from_old_to_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
