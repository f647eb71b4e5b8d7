#include "app/descriptors.c"
#include "app_aid.h"

static void shares(void **state)
{
    static const struct {
        const char *setting;
        size_t limit;
        int threads;
        size_t capture, admin;
    } table[] = {
        {"10000", 1 << 20, 4, 10000, 10000},
        {"10000", SIZE_MAX, 4, 10000, 10000},
        {"10000", 1024, 2, 826, 118},
        {"100", 1024, 2, 100, 100},
        {"900", 1024, 2, 826, 118},
        {"10000", 64, 2, 1, 1},
        {"1", 1 << 20, 1, 1, 1},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char set[64];
        const char *sets[] = {set, NULL};
        struct place p;
        snprintf(set, sizeof(set), "HTTP_MAX_CONNECTIONS=%s", table[i].setting);
        place_open(&p, sets);
        struct connections_max max = descriptors_share(p.conf, table[i].limit, table[i].threads);
        assert_int_equal(max.capture, table[i].capture);
        assert_int_equal(max.admin, table[i].admin);
        place_close(&p);
    }
}

static void the_soft_limit_follows_the_hard_one(void **state)
{
    struct rlimit old, low, now;

    UNUSED(state);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 256;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(descriptors_raise(), old.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(now.rlim_cur, old.rlim_max);
    assert_int_equal(descriptors_raise(), old.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares),
        cmocka_unit_test(the_soft_limit_follows_the_hard_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
