#include "base/check.h"
#include "base/thread.h"
#include "child.h"
#include "unit.h"

struct thing {
    uint32_t magic;
    int value;
};

static void fail_check(void *ctx)
{
    thread_set_role(THREAD_PIPE, 3);
    CHECK(ctx != NULL);
}

static void fail_dcheck(void *ctx)
{
    DCHECK(ctx != NULL);
}

static void open_object(void *ctx)
{
    (void)OBJ(ctx, struct thing, 0x1234);
}

static void true_is_silent(void **state)
{
    UNUSED(state);
    CHECK(1 + 1 == 2);
    DCHECK(1 + 1 == 2);
}

static void false_tells_what_where_and_who(void **state)
{
    UNUSED(state);
    assert_true(child_aborts(fail_check, NULL, "CHECK failed: ctx != NULL, "));
    assert_true(child_aborts(fail_check, NULL, "test_check.c:"));
    assert_true(child_aborts(fail_check, NULL, ", thread PIPE 3\n"));
    assert_true(child_aborts(fail_dcheck, NULL, "CHECK failed: ctx != NULL"));
}

static void objects_are_opened_by_magic(void **state)
{
    struct thing good = {.magic = 0x1234, .value = 7};
    struct thing stale = {.magic = 0, .value = 7};

    UNUSED(state);
    assert_int_equal(OBJ(&good, struct thing, 0x1234)->value, 7);
    assert_true(child_aborts(open_object, &stale, "struct thing"));
    assert_true(child_aborts(open_object, NULL, "struct thing"));
}

static void container_of_finds_the_struct(void **state)
{
    struct thing t = {.magic = 1, .value = 2};
    int *value = &t.value;

    UNUSED(state);
    assert_ptr_equal(CONTAINER_OF(value, struct thing, value), &t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(true_is_silent),
        cmocka_unit_test(false_tells_what_where_and_who),
        cmocka_unit_test(objects_are_opened_by_magic),
        cmocka_unit_test(container_of_finds_the_struct),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
