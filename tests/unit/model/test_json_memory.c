#include "base/check.h"
#include "model/json_priv.h"
#include "unit.h"

#include <string.h>

static void test_budget(void **state)
{
    yyjson_alc alc;
    struct json_memory *m = json_memory_open(1000, &alc);
    char *a = alc.malloc(alc.ctx, 600);
    char *b;

    UNUSED(state);
    assert_non_null(a);
    assert_null(alc.malloc(alc.ctx, 401));
    b = alc.malloc(alc.ctx, 400);
    assert_non_null(b);
    assert_null(alc.realloc(alc.ctx, b, 400, 401));
    alc.free(alc.ctx, a);
    memset(b, 'x', 400);
    b = alc.realloc(alc.ctx, b, 400, 1000);
    assert_non_null(b);
    assert_int_equal(b[399], 'x');
    assert_null(alc.realloc(alc.ctx, b, 1000, 1001));
    b = alc.realloc(alc.ctx, b, 1000, 10);
    assert_int_equal(b[9], 'x');
    a = alc.malloc(alc.ctx, 990);
    assert_non_null(a);
    alc.free(alc.ctx, a);
    alc.free(alc.ctx, b);
    json_memory_close(m);
    json_memory_close(NULL);
}

/* A block that moves keeps its content, whatever its size. */
static void test_growth(void **state)
{
    yyjson_alc alc;
    struct json_memory *m = json_memory_open((size_t)64 << 20, &alc);
    size_t size = 100;
    unsigned char *p = alc.malloc(alc.ctx, size);

    UNUSED(state);
    memset(p, 7, size);
    while (size < ((size_t)8 << 20)) {
        p = alc.realloc(alc.ctx, p, size, size * 3 / 2);
        assert_non_null(p);
        assert_int_equal(p[0], 7);
        assert_int_equal(p[size - 1], 7);
        memset(p, 7, size * 3 / 2);
        size = size * 3 / 2;
    }
    alc.free(alc.ctx, p);
    json_memory_close(m);
}

/* Given back blocks come again; alignment is that of malloc. */
static void test_reuse(void **state)
{
    yyjson_alc alc;
    struct json_memory *m = json_memory_open(1 << 20, &alc);
    void *first = alc.malloc(alc.ctx, 5000);

    UNUSED(state);
    assert_int_equal((uintptr_t)first % 16, 0);
    alc.free(alc.ctx, first);
    assert_ptr_equal(alc.malloc(alc.ctx, 5000), first);
    alc.free(alc.ctx, first);
    json_memory_close(m);
    assert_ptr_equal(json_memory_open(1, &alc), m);
    json_memory_close(m);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_reuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
