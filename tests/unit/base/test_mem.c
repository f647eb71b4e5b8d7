#include "base/fault.h"
#include "base/mem.h"
#include "child.h"
#include "unit.h"

#include <string.h>

static void new_is_zeroed(void **state)
{
    static const unsigned char zeros[40];
    unsigned char *p = mem_new_array(unsigned char, 40);

    UNUSED(state);
    assert_memory_equal(p, zeros, 40);
    mem_free(p);
}

static void nothing_is_something(void **state)
{
    void *all[] = {
        mem_alloc(0), mem_zalloc(0),    mem_zalloc_array(0, 8),      mem_zalloc_array(8, 0),
        mem_try(0),   mem_dup(NULL, 0), mem_realloc(mem_alloc(1), 0)};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_non_null(all[i]);
        mem_free(all[i]);
    }
    mem_free(NULL);
}

static void copies_are_copies(void **state)
{
    char text[] = "abc";
    char *copy = mem_dup_str(text);
    char *bytes = (char *)mem_dup("a\0b", 3);

    UNUSED(state);
    text[0] = 'x';
    assert_string_equal(copy, "abc");
    assert_memory_equal(bytes, "a\0b", 3);
    assert_null(mem_dup_str(NULL));
    mem_free(copy);
    mem_free(bytes);
}

static void realloc_keeps_what_was_there(void **state)
{
    char *p = (char *)mem_alloc(4);

    UNUSED(state);
    memcpy(p, "abcd", 4);
    p = (char *)mem_realloc(p, 100000);
    assert_memory_equal(p, "abcd", 4);
    mem_free(p);
}

static void try_gives_null_when_memory_is_out(void **state)
{
    char *p = (char *)mem_alloc(4);

    UNUSED(state);
    fault_arm("mem.try", 1, 2);
    assert_null(mem_try(10));
    assert_null(mem_try_realloc(p, 10)); // p is still ours
    fault_clear();
    p = (char *)mem_try_realloc(p, 10);
    assert_non_null(p);
    mem_free(p);
}

static void overflow(void *ctx)
{
    volatile size_t much = SIZE_MAX / 2;

    UNUSED(ctx);
    mem_free(mem_zalloc_array(much, 8));
}

static void a_product_that_runs_over_ends_the_process(void **state)
{
    UNUSED(state);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); // the sanitizer reports it in its own way
#endif
    assert_true(child_aborts(overflow, NULL, "out of memory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_is_zeroed),
        cmocka_unit_test(nothing_is_something),
        cmocka_unit_test(copies_are_copies),
        cmocka_unit_test(realloc_keeps_what_was_there),
        cmocka_unit_test(try_gives_null_when_memory_is_out),
        cmocka_unit_test(a_product_that_runs_over_ends_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
