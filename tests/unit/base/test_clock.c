#include "base/clock.h"
#include "unit.h"

static void real_time_moves_on(void **state)
{
    int64_t mono = clock_mono_us();

    UNUSED(state);
    assert_true(clock_wall_us() > INT64_C(1600000000000000)); // after 2020
    assert_true(clock_mono_us() >= mono);
    assert_true(clock_mono_real_us() >= mono);
}

static void fake_time_stands_still_and_is_moved(void **state)
{
    int64_t mono;

    UNUSED(state);
    clock_fake_set(1000);
    mono = clock_mono_us();
    assert_int_equal(clock_wall_us(), 1000);
    assert_int_equal(clock_mono_us(), mono);
    clock_fake_add(5);
    assert_int_equal(clock_wall_us(), 1005);
    assert_int_equal(clock_mono_us(), mono + 5);
    clock_fake_set(10); // the wall clock may go back, the other does not
    assert_int_equal(clock_wall_us(), 10);
    assert_int_equal(clock_mono_us(), mono + 5);
    clock_fake_off();
    assert_true(clock_wall_us() > 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_time_moves_on),
        cmocka_unit_test(fake_time_stands_still_and_is_moved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
