#include "base/clock.h"
#include "metric/process.h"
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static double value_of(struct metrics *m, const char *name)
{
    struct buf out = BUF_INIT(1 << 20), wanted = BUF_INIT(200);
    double value = -1;

    assert_true(metrics_prometheus(m, false, &out));
    buf_addf(&wanted, "\n%s ", name);
    const char *at = strstr(buf_cstr(&out), buf_cstr(&wanted));
    if (at)
        value = strtod(at + wanted.len, NULL);
    buf_free(&out);
    buf_free(&wanted);
    return value;
}

static void the_process_is_described(void **state)
{
    struct metrics *m = metrics_new();

    UNUSED(state);
    clock_fake_set(INT64_C(1700000000000000));
    metric_add_process(m);
    clock_fake_off();
    assert_true(value_of(m, "process_cpu_seconds_total") >= 0);
    assert_true(value_of(m, "process_resident_memory_bytes") > 100000);
    assert_true(process_cpu_seconds() > 0);
    assert_true(process_resident_bytes() > 100000);
    assert_true(value_of(m, "process_virtual_memory_bytes") >=
                value_of(m, "process_resident_memory_bytes"));
    assert_true(value_of(m, "process_max_fds") > 10);
    assert_int_equal((int64_t)value_of(m, "process_start_time_seconds"), 1700000000);

    double before = value_of(m, "process_open_fds");
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal((int)value_of(m, "process_open_fds"), (int)before + 1);
    close(fd);
    assert_int_equal((int)value_of(m, "process_open_fds"), (int)before);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_process_is_described),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
