#include "base/fault.h"
#include "child.h"
#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static void assert_pattern(const char *name, const char *pattern)
{
    for (; *pattern; pattern++)
        assert_int_equal(fault_point(name), *pattern == 'x');
}

static void points_are_false_until_armed(void **state)
{
    UNUSED(state);
    assert_pattern("a", "..");
    fault_arm("b", 1, 1);
    assert_pattern("a", "..");
    assert_int_equal(fault_hits("a"), 0);
    fault_clear();
    assert_pattern("b", "..");
    fault_crash("b");
}

static void the_nth_call_and_those_after_it(void **state)
{
    UNUSED(state);
    fault_arm("a", 1, 1);
    assert_pattern("a", "x...");
    fault_arm("a", 3, 2);
    fault_arm("b", 2, 1000);
    assert_pattern("a", "..xx..");
    assert_pattern("b", ".xxxxx");
    assert_int_equal(fault_hits("a"), 6);
    fault_arm("a", 7, 0); // counts only
    assert_pattern("a", "........");
    assert_int_equal(fault_hits("a"), 8);
    fault_clear();
    assert_int_equal(fault_hits("a"), 0);
}

static void crash_at_second(void *ctx)
{
    const int *calls = (const int *)ctx;

    fault_arm("c", 2, 1);
    for (int i = 0; i < *calls; i++)
        fault_crash("c");
}

static void a_crash_is_a_kill(void **state)
{
    int one = 1, two = 2;

    UNUSED(state);
    assert_false(child_killed_by(SIGKILL, crash_at_second, &one));
    assert_true(child_killed_by(SIGKILL, crash_at_second, &two));
}

static void read_env(void *ctx)
{
    setenv("HEDGEROW_FAULTS", (const char *)ctx, 1);
    fault_from_env();
}

static void faults_of_the_environment(void **state)
{
    static const char *const bad[] = {"a", "a:1", "a:x:1", "a:0:1", "a:1:1;b:1:1", ":1:1"};

    UNUSED(state);
    unsetenv("HEDGEROW_FAULTS");
    fault_from_env();
    setenv("HEDGEROW_FAULTS", "a:2:1,ring.write:1:2", 1);
    fault_from_env();
    assert_pattern("a", ".x..");
    assert_pattern("ring.write", "xx..");
    fault_clear();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char text[32];

        memcpy(text, bad[i], strlen(bad[i]) + 1);
        assert_true(child_aborts(read_env, text, "HEDGEROW_FAULTS: cannot read"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_are_false_until_armed),
        cmocka_unit_test(the_nth_call_and_those_after_it),
        cmocka_unit_test(a_crash_is_a_kill),
        cmocka_unit_test(faults_of_the_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
