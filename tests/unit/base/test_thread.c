#include "base/mem.h"
#include "base/thread.h"
#include "base/thread_priv.h"
#include "child.h"
#include "temp_dir.h"
#include "unit.h"

#include <signal.h>

// --- roles -----------------------------------------------------------------------------------

struct seen {
    enum thread_role role;
    int number;
    char name[16];
    sigset_t mask;
};

static void look(void *ctx)
{
    struct seen *s = (struct seen *)ctx;

    s->role = thread_role();
    s->number = thread_number();
    pthread_getname_np(pthread_self(), s->name, sizeof(s->name));
    pthread_sigmask(SIG_BLOCK, NULL, &s->mask);
    ASSERT_THREAD(PIPE);
}

static void a_thread_has_a_role_a_name_and_no_signals(void **state)
{
    struct thread t;
    struct seen s;
    sigset_t mine;
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_true(thread_start(&t, THREAD_PIPE, 3, look, &s, &err));
    thread_join(&t);
    thread_join(&t); // no-op
    assert_int_equal(s.role, THREAD_PIPE);
    assert_int_equal(s.number, 3);
    assert_string_equal(s.name, "PIPE3");
    assert_true(sigismember(&s.mask, SIGTERM));
    assert_true(sigismember(&s.mask, SIGINT));
    pthread_sigmask(SIG_BLOCK, NULL, &mine);
    assert_false(sigismember(&mine, SIGTERM));
}

static void joining_what_was_not_started_is_fine(void **state)
{
    struct thread t = {.is_started = false};

    UNUSED(state);
    thread_join(&t);
}

static void every_role_has_a_name(void **state)
{
    UNUSED(state);
    for (int role = THREAD_NONE; role <= THREAD_FETCH; role++)
        assert_string_not_equal(thread_role_name((enum thread_role)role), "?");
    assert_string_equal(thread_role_name((enum thread_role)99), "?");
}

static void assert_as_net(void *ctx)
{
    UNUSED(ctx);
    thread_set_role(THREAD_NET, 1);
    ASSERT_THREAD(NET);
    ASSERT_THREAD(STORE);
}

static void another_role_fails_the_assertion(void **state)
{
    UNUSED(state);
    ASSERT_THREAD(STORE); // no role here: passes
    assert_true(child_aborts(assert_as_net, NULL, "CHECK failed: STORE"));
}

// --- locks -----------------------------------------------------------------------------------

static void take_both(struct lock *first, struct lock *second)
{
    lock_take(first);
    lock_take(second);
    lock_drop(first); // any order
    lock_drop(second);
}

static void take_wrongly(void *ctx)
{
    struct lock *locks = (struct lock *)ctx;

    take_both(&locks[1], &locks[0]);
}

static void take_equal(void *ctx)
{
    struct lock *locks = (struct lock *)ctx;

    take_both(&locks[1], &locks[2]);
}

static void wait_below(void *ctx)
{
    struct lock *locks = (struct lock *)ctx;
    struct cond c;

    cond_init(&c);
    lock_take(&locks[0]);
    lock_take(&locks[1]);
    cond_wait_us(&c, &locks[0], 1);
}

static void drop_what_is_not_held(void *ctx)
{
    lock_drop((struct lock *)ctx);
}

static void ranks_are_checked(void **state)
{
    struct lock locks[3];

    UNUSED(state);
    lock_init(&locks[0], "low", RANK_STORE);
    lock_init(&locks[1], "high", RANK_RING);
    lock_init(&locks[2], "other", RANK_RING);
    take_both(&locks[0], &locks[1]);
    take_both(&locks[0], &locks[2]); // nothing is left over from before
    assert_true(
        child_aborts(take_wrongly, locks, "lock low (rank 40) taken while high (rank 50) is held"));
    assert_true(child_aborts(take_equal, locks, "lock other (rank 50) taken while high"));
    assert_true(child_aborts(wait_below, locks, "lock low (rank 40) taken while high"));
    assert_true(child_aborts(drop_what_is_not_held, locks, "CHECK failed"));
    for (int i = 0; i < 3; i++)
        lock_fini(&locks[i]);
}

struct ping {
    struct lock lock;
    struct cond cond;
    int turn, rounds;
};

static void play(struct ping *p, int me)
{
    lock_take(&p->lock);
    while (p->rounds < 1000) {
        if (p->turn != me) {
            cond_wait(&p->cond, &p->lock);
            continue;
        }
        p->turn = !me;
        p->rounds++;
        cond_broadcast(&p->cond);
    }
    lock_drop(&p->lock);
}

static void play_other(void *ctx)
{
    play((struct ping *)ctx, 1);
}

static void conditions_wake(void **state)
{
    struct ping p = {.turn = 0};
    struct thread t;
    struct err err = ERR_INIT;

    UNUSED(state);
    lock_init(&p.lock, "ping", RANK_APP);
    cond_init(&p.cond);
    assert_true(thread_start(&t, THREAD_JOB, 0, play_other, &p, &err));
    play(&p, 0);
    thread_join(&t);
    assert_true(p.rounds >= 1000);
    lock_take(&p.lock);
    while (cond_wait_us(&p.cond, &p.lock, 1000)) // nobody signals: it ends by itself
        ;
    while (cond_wait_us(&p.cond, &p.lock, -5))
        ;
    lock_drop(&p.lock);
    cond_signal(&p.cond);
    cond_fini(&p.cond);
    lock_fini(&p.lock);
}

// --- CPUs ------------------------------------------------------------------------------------

// Files of a made-up /proc/self/cgroup and /sys/fs/cgroup.
static const struct {
    const char *membership;
    const char *files[3][2];
    int cpus;
} groups[] = {
    {"0::/\n", {{"cpu.max", "max 100000\n"}}, 0},
    {"0::/\n", {{"cpu.max", "200000 100000\n"}}, 2},
    {"0::/\n", {{"cpu.max", "150000 100000\n"}}, 2},
    {"0::/\n", {{"cpu.max", "1000 100000\n"}}, 1},
    {"0::/\n", {{"cpu.max", "garbage\n"}}, 0},
    {"0::/\n", {{"cpu.max", ""}}, 0},
    {"0::/\n", {{"cpu.max", "100000 0\n"}}, 0},
    {"", {{"cpu.max", "100000 100000\n"}}, 0},
    {"nonsense\n", {{"cpu.max", "100000 100000\n"}}, 0},
    // A folder above limits more than the own one.
    {"0::/a/b\n", {{"a/b/cpu.max", "400000 100000\n"}, {"a/cpu.max", "300000 100000\n"}}, 3},
    {"0::/a/b\n", {{"a/b/cpu.max", "100000 100000\n"}, {"a/cpu.max", "300000 100000\n"}}, 1},
    // A container that sees the host's path, but only its own folder.
    {"0::/docker/12\n", {{"cpu.max", "250000 100000\n"}}, 3},
    // Version 1.
    {"5:memory:/x\n4:cpu,cpuacct:/docker/12\n",
     {{"cpu/cpu.cfs_quota_us", "250000\n"}, {"cpu/cpu.cfs_period_us", "100000\n"}},
     3},
    {"4:cpuacct,cpu:/x\n",
     {{"cpu/x/cpu.cfs_quota_us", "100000\n"}, {"cpu/x/cpu.cfs_period_us", "50000\n"}},
     2},
    {"4:cpu:/\n", {{"cpu/cpu.cfs_quota_us", "-1\n"}, {"cpu/cpu.cfs_period_us", "100000\n"}}, 0},
    {"4:cpuset:/\n", {{"cpu/cpu.cfs_quota_us", "1\n"}, {"cpu/cpu.cfs_period_us", "1\n"}}, 0},
    // Both at once: the smaller one.
    {"4:cpu:/\n0::/\n",
     {{"cpu/cpu.cfs_quota_us", "300000\n"},
      {"cpu/cpu.cfs_period_us", "100000\n"},
      {"cpu.max", "200000 100000\n"}},
     2},
};

static void quotas_of_groups(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        char *dir = temp_dir_new();
        char *membership = temp_dir_path(dir, "membership");

        temp_dir_write(dir, "membership", groups[i].membership);
        for (size_t k = 0; k < 3 && groups[i].files[k][0]; k++)
            temp_dir_write(dir, groups[i].files[k][0], groups[i].files[k][1]);
        assert_int_equal(thread_cgroup_cpus(membership, dir), groups[i].cpus);
        mem_free(membership);
        temp_dir_free(dir);
    }
    assert_int_equal(thread_cgroup_cpus("/does/not/exist", "/neither"), 0);
}

static void at_least_one_cpu(void **state)
{
    UNUSED(state);
    assert_in_range(thread_cpu_count(), 1, 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_a_role_a_name_and_no_signals),
        cmocka_unit_test(joining_what_was_not_started_is_fine),
        cmocka_unit_test(every_role_has_a_name),
        cmocka_unit_test(another_role_fails_the_assertion),
        cmocka_unit_test(ranks_are_checked),
        cmocka_unit_test(conditions_wake),
        cmocka_unit_test(quotas_of_groups),
        cmocka_unit_test(at_least_one_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
