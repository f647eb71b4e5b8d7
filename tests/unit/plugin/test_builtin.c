#include "plugin/builtin.h"
#include "unit.h"

static void all_are_found_by_name(void **state)
{
    size_t count = 0;

    UNUSED(state);
    for (const struct builtin *b; (b = builtin_at(count)); count++) {
        assert_ptr_equal(builtin_find(b->name), b);
        assert_true(b->about[0] && b->run);
    }
    assert_true(count > 0);
    assert_null(builtin_find("nothing"));
    assert_null(builtin_find(""));
    assert_non_null(builtin_find("geoip"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_are_found_by_name)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
