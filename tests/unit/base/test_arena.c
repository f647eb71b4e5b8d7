#include "base/arena.h"
#include "unit.h"

static void pieces_are_aligned_and_apart(void **state)
{
    struct arena *a = arena_new(300);
    unsigned char *pieces[200];

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        pieces[i] = (unsigned char *)arena_alloc(a, i);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        for (size_t k = 0; k < i; k++)
            assert_int_equal(pieces[i][k], i);
    }
    arena_free(a);
}

static void a_large_piece_does_not_waste_the_block(void **state)
{
    struct arena *a = arena_new(4096);
    char *before = (char *)arena_alloc(a, 16);
    char *large = (char *)arena_alloc(a, 100000);
    char *after = (char *)arena_alloc(a, 16);

    UNUSED(state);
    memset(large, 1, 100000);
    assert_ptr_equal(after, before + 16);
    assert_true(arena_bytes(a) >= 104096);
    arena_free(a);
}

static void reset_gives_back_all_but_the_first_block(void **state)
{
    struct arena *a = arena_new(1024);
    size_t bytes = arena_bytes(a);
    void *first = arena_alloc(a, 8);

    UNUSED(state);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++)
            memset(arena_alloc(a, 100), 1, 100);
        arena_alloc(a, 5000);
        assert_true(arena_bytes(a) > 100000);
        arena_reset(a);
        assert_int_equal(arena_bytes(a), bytes);
        assert_ptr_equal(arena_alloc(a, 8), first);
    }
    arena_free(a);
    arena_free(NULL);
}

static void copies_and_texts(void **state)
{
    static const char zeros[64];
    struct arena *a = arena_new(0);
    char text[] = "abc";
    struct slice copy = arena_dup(a, slice_cstr(text));
    char *cstr = arena_dup_cstr(a, slice_cstr(text));

    UNUSED(state);
    memset(arena_alloc(a, 64), 0xff, 64);
    text[0] = 'x';
    assert_true(slice_eq(copy, SLICE("abc")));
    assert_string_equal(cstr, "abc");
    assert_string_equal(arena_dup_cstr(a, SLICE_NONE), "");
    assert_int_equal(arena_dup(a, SLICE_NONE).len, 0);
    assert_string_equal(arena_printf(a, "%d-%s", 5, "five"), "5-five");
    assert_memory_equal(arena_zalloc(a, 64), zeros, 64);
    arena_reset(a);
    assert_memory_equal(arena_zalloc(a, 64), zeros, 64); // also where something was
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart),
        cmocka_unit_test(a_large_piece_does_not_waste_the_block),
        cmocka_unit_test(reset_gives_back_all_but_the_first_block),
        cmocka_unit_test(copies_and_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
