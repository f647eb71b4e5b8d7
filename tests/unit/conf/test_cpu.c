#include "conf/cpu.c"
#include "conf_aid.h"

static void quotas_round_up(void **state)
{
    static const struct {
        const char *quota, *period;
        unsigned cpus;
    } table[] = {
        {"150000", "100000", 2},
        {"100000", "100000", 1},
        {"50000", "100000", 1},
        {"400000\n", "100000\n", 4},
        {"max", "100000", 0},
        {"-1", "100000", 0},
        {"", "", 0},
        {"1", "0", 0},
        {"0", "100000", 1},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(quota_cpus(slice_cstr(table[i].quota), slice_cstr(table[i].period)),
                         table[i].cpus);
}

/* O-05: the quota of 1.5 CPUs, as both versions of cgroups write it. */
static void cgroups(void **state)
{
    static const struct {
        const char *self, *file, *text, *file2, *text2;
        unsigned cpus;
    } table[] = {
        {"0::/\n", "sys/fs/cgroup/cpu.max", "150000 100000\n", NULL, NULL, 2},
        {"0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max", "max 100000\n", "sys/fs/cgroup/a/cpu.max",
         "150000 100000\n", 2},
        {"0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max", "300000 100000\n", "sys/fs/cgroup/a/cpu.max",
         "800000 100000\n", 3},
        {"0::/a/b\n", "sys/fs/cgroup/a/cpu.max", "max 100000\n", NULL, NULL, 0},
        {"3:cpu,cpuacct:/d\n0::/\n", "sys/fs/cgroup/cpu/d/cpu.cfs_quota_us", "150000\n",
         "sys/fs/cgroup/cpu/d/cpu.cfs_period_us", "100000\n", 2},
        {"3:cpu:/d\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n",
         "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n", 3},
        {"3:cpu:/d\n", "sys/fs/cgroup/cpu/d/cpu.cfs_quota_us", "-1\n",
         "sys/fs/cgroup/cpu/d/cpu.cfs_period_us", "100000\n", 0},
        {"3:memory:/d\nbroken\n\n", "sys/fs/cgroup/cpu/d/cpu.cfs_quota_us", "150000\n", NULL, NULL,
         0},
        {"0::/a\n", "sys/fs/cgroup/a/cpu.max", "nonsense\n", NULL, NULL, 0},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char *root = temp_dir_new();
        temp_dir_write(root, "proc/self/cgroup", table[i].self);
        temp_dir_write(root, table[i].file, table[i].text);
        if (table[i].file2)
            temp_dir_write(root, table[i].file2, table[i].text2);
        assert_int_equal(cgroup_limit(root), table[i].cpus);
        temp_dir_free(root);
    }
    assert_int_equal(cgroup_limit("/nonexistent"), 0);
}

static void threads_follow_the_setting(void **state)
{
    UNUSED(state);
    struct conf *c = LOAD(SETS("HTTP_THREADS=3"));
    assert_int_equal(conf_threads(c, CONF_HTTP_THREADS), 3);
    assert_int_equal(conf_threads(c, CONF_WORKER_CONCURRENCY), conf_cpu_count());
    assert_true(conf_cpu_count() >= 1);
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotas_round_up),
        cmocka_unit_test(cgroups),
        cmocka_unit_test(threads_follow_the_setting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
