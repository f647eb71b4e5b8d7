#include "base/thread.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/thread_priv.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#if defined(HEDGEROW_DEBUG) || defined(HEDGEROW_TEST)
#define HAS_RANK_CHECK 1
#else
#define HAS_RANK_CHECK 0
#endif

#define GIVE_WAY_BY 5 /* nice value: about a third of the share of a thread with 0 */
#define HELD_MAX    16
#define WAIT_US_MAX (INT64_C(1000) * 86400 * 1000000) /* keeps deadlines within the types */

struct thread_self {
    enum thread_role role;
    int number;
#if HAS_RANK_CHECK
    const struct lock *held[HELD_MAX];
    int held_count;
#endif
};

static _Thread_local struct thread_self thread_self;

struct start {
    enum thread_role role;
    int number;
    thread_fn *fn;
    void *ctx;
};

const char *thread_role_name(enum thread_role role)
{
    static const char *const names[] = {
        [THREAD_NONE] = "NONE",     [THREAD_MAIN] = "MAIN",   [THREAD_NET] = "NET",
        [THREAD_SYNC] = "SYNC",     [THREAD_FEED] = "FEED",   [THREAD_PIPE] = "PIPE",
        [THREAD_ASYNC] = "ASYNC",   [THREAD_STORE] = "STORE", [THREAD_TIDY] = "TIDY",
        [THREAD_KEEPER] = "KEEPER", [THREAD_JOB] = "JOB",     [THREAD_SEND] = "SEND",
        [THREAD_FETCH] = "FETCH",
    };

    return (size_t)role < ARRAY_LEN(names) ? names[role] : "?";
}

void thread_set_role(enum thread_role role, int number)
{
    thread_self.role = role;
    thread_self.number = number;
}

enum thread_role thread_role(void)
{
    return thread_self.role;
}

int thread_number(void)
{
    return thread_self.number;
}

void thread_assert(enum thread_role role, const char *file, int line)
{
    if (thread_self.role != role && thread_self.role != THREAD_NONE)
        check_failed(thread_role_name(role), file, line);
}

static void set_os_name(enum thread_role role, int number)
{
    char name[16]; // what Linux keeps

    if (number == 0)
        snprintf(name, sizeof(name), "%s", thread_role_name(role));
    else
        snprintf(name, sizeof(name), "%s%d", thread_role_name(role), number);
#if defined(__linux__)
    pthread_setname_np(pthread_self(), name);
#elif defined(__APPLE__)
    pthread_setname_np(name);
#endif
}

/* What was acknowledged is safe and may wait, a client may not: when there is not enough CPU for
 * both, intake goes first and the queue takes up the rest. Per thread on Linux; elsewhere nothing.
 */
static void give_way(enum thread_role role)
{
#ifdef __linux__
    bool is_behind_queue =
        role == THREAD_FEED || role == THREAD_PIPE || role == THREAD_STORE || role == THREAD_TIDY;

    // Lowering needs no privilege; should it fail all the same, nothing else depends on it.
    if (is_behind_queue)
        (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + GIVE_WAY_BY);
#else
    UNUSED(role);
#endif
}

static void *run(void *arg)
{
    struct start s = *(struct start *)arg;

    mem_free(arg);
    thread_set_role(s.role, s.number);
    set_os_name(s.role, s.number);
    give_way(s.role);
    s.fn(s.ctx);
    return NULL;
}

bool thread_start(struct thread *t, enum thread_role role, int number, thread_fn *fn, void *ctx,
                  struct err *err)
{
    struct start *s = mem_new(struct start);
    sigset_t all, before;
    int failure;

    *s = (struct start){.role = role, .number = number, .fn = fn, .ctx = ctx};
    // The new thread inherits the mask, so there is no moment in which it could get a signal.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&t->id, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    t->is_started = failure == 0;
    if (failure != 0) {
        mem_free(s);
        return err_errno(err, failure, "start thread %s%d", thread_role_name(role), number);
    }
    return true;
}

void thread_join(struct thread *t)
{
    if (!t->is_started)
        return;
    CHECK(pthread_join(t->id, NULL) == 0);
    t->is_started = false;
}

// --- CPUs ------------------------------------------------------------------------------------

static int affinity_cpus(void)
{
#if defined(__linux__)
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return CPU_COUNT(&set);
#endif
    return (int)MIN(sysconf(_SC_NPROCESSORS_ONLN), INT_MAX);
}

// A small file as a trimmed text in `space`; false when it cannot be read.
static bool read_small(const char *path, struct buf *space, struct slice *text)
{
    struct err err = ERR_INIT;

    buf_clear(space);
    if (!fs_read_all(path, space, &err))
        return false;
    *text = slice_trim(buf_slice(space));
    return true;
}

static int quota_cpus(uint64_t quota, uint64_t period)
{
    if (quota == 0 || period == 0)
        return 0;
    return (int)MIN((quota - 1) / period + 1, INT_MAX);
}

// Version 2: "max 100000" or "150000 100000".
static int quota_v2(const char *dir, struct buf *space)
{
    char path[PATH_MAX];
    struct slice text, quota_text;
    uint64_t quota, period;

    if (snprintf(path, sizeof(path), "%s/cpu.max", dir) >= (int)sizeof(path))
        return 0;
    if (!read_small(path, space, &text) || !slice_split(&text, ' ', &quota_text))
        return 0;
    if (!slice_u64(quota_text, &quota) || !slice_u64(text, &period))
        return 0;
    return quota_cpus(quota, period);
}

// Version 1: the quota is -1 when there is none.
static int quota_v1(const char *dir, struct buf *space)
{
    static const char *const names[] = {"cpu.cfs_quota_us", "cpu.cfs_period_us"};
    uint64_t values[2];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[PATH_MAX];
        struct slice text;

        if (snprintf(path, sizeof(path), "%s/%s", dir, names[i]) >= (int)sizeof(path))
            return 0;
        if (!read_small(path, space, &text) || !slice_u64(text, &values[i]))
            return 0;
    }
    return quota_cpus(values[0], values[1]);
}

typedef int quota_fn(const char *dir, struct buf *space);

// From the group's own folder up to the mount point. In a container the path may be that of the
// host and not exist here: those folders just have no quota file.
static int smallest_quota(const char *mount, struct slice group, quota_fn *quota)
{
    struct buf space = BUF_INIT(4096);
    int smallest = 0;

    for (;;) {
        char dir[PATH_MAX];
        int cpus = 0;

        if (snprintf(dir, sizeof(dir), "%s%.*s", mount, SLICE_ARG(group)) < (int)sizeof(dir))
            cpus = quota(dir, &space);
        if (cpus > 0 && (smallest == 0 || cpus < smallest))
            smallest = cpus;
        if (group.len == 0)
            break;
        while (group.len > 0 && group.ptr[group.len - 1] != '/')
            group.len--;
        group.len -= group.len > 0;
    }
    buf_free(&space);
    return smallest;
}

static bool has_controller(struct slice controllers, struct slice name)
{
    struct slice part;

    while (slice_split(&controllers, ',', &part)) {
        if (slice_eq(part, name))
            return true;
    }
    return false;
}

int thread_cgroup_cpus(const char *membership, const char *root)
{
    struct buf space = BUF_INIT(65536);
    struct slice text, line;
    int smallest = 0;

    if (!read_small(membership, &space, &text))
        text = SLICE_NONE;
    // Lines like "0::/user.slice" (version 2) and "4:cpu,cpuacct:/docker/1234" (version 1).
    while (slice_split(&text, '\n', &line)) {
        struct slice number, controllers;
        int cpus = 0;

        if (!slice_split(&line, ':', &number) || !slice_split(&line, ':', &controllers))
            continue;
        if (controllers.len == 0) {
            cpus = smallest_quota(root, line, quota_v2);
        } else if (has_controller(controllers, SLICE("cpu"))) {
            char mount[PATH_MAX];

            if (snprintf(mount, sizeof(mount), "%s/cpu", root) < (int)sizeof(mount))
                cpus = smallest_quota(mount, line, quota_v1);
        }
        if (cpus > 0 && (smallest == 0 || cpus < smallest))
            smallest = cpus;
    }
    buf_free(&space);
    return smallest;
}

int thread_cpu_count(void)
{
    int cpus = MAX(affinity_cpus(), 1);
    int quota = thread_cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");

    return quota > 0 ? MIN(cpus, quota) : cpus;
}

// --- locks -----------------------------------------------------------------------------------

#if HAS_RANK_CHECK

static void rank_take(const struct lock *l)
{
    struct thread_self *self = &thread_self;

    for (int i = 0; i < self->held_count; i++) {
        if (self->held[i]->rank < l->rank)
            continue;
        dprintf(2, "lock %s (rank %d) taken while %s (rank %d) is held\n", l->name, (int)l->rank,
                self->held[i]->name, (int)self->held[i]->rank);
        check_failed("lock rank", __FILE__, __LINE__);
    }
    CHECK(self->held_count < HELD_MAX);
    self->held[self->held_count++] = l;
}

// Locks may be dropped in any order.
static void rank_drop(const struct lock *l)
{
    struct thread_self *self = &thread_self;
    int i = self->held_count - 1;

    while (i >= 0 && self->held[i] != l)
        i--;
    CHECK(i >= 0);
    for (; i < self->held_count - 1; i++)
        self->held[i] = self->held[i + 1];
    self->held_count--;
}

// Waiting drops and takes `l` again: it must be the highest that is held.
static void rank_wait(const struct lock *l)
{
    rank_drop(l);
    rank_take(l);
}

#else

static void rank_take(const struct lock *l)
{
    UNUSED(l);
}

static void rank_drop(const struct lock *l)
{
    UNUSED(l);
}

static void rank_wait(const struct lock *l)
{
    UNUSED(l);
}

#endif

void lock_init(struct lock *l, const char *name, enum lock_rank rank)
{
    l->name = name;
    l->rank = rank;
    CHECK(pthread_mutex_init(&l->mutex, NULL) == 0);
}

void lock_fini(struct lock *l)
{
    CHECK(pthread_mutex_destroy(&l->mutex) == 0);
}

void lock_take(struct lock *l)
{
    rank_take(l);
    CHECK(pthread_mutex_lock(&l->mutex) == 0);
}

void lock_drop(struct lock *l)
{
    rank_drop(l);
    CHECK(pthread_mutex_unlock(&l->mutex) == 0);
}

void cond_init(struct cond *c)
{
    pthread_condattr_t attr;

    CHECK(pthread_condattr_init(&attr) == 0);
#if !defined(__APPLE__)
    CHECK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
#endif
    CHECK(pthread_cond_init(&c->cond, &attr) == 0);
    pthread_condattr_destroy(&attr);
}

void cond_fini(struct cond *c)
{
    CHECK(pthread_cond_destroy(&c->cond) == 0);
}

void cond_wait(struct cond *c, struct lock *l)
{
    rank_wait(l);
    CHECK(pthread_cond_wait(&c->cond, &l->mutex) == 0);
}

#if defined(__APPLE__)

static int timed_wait(struct cond *c, struct lock *l, int64_t us)
{
    struct timespec ts = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    return pthread_cond_timedwait_relative_np(&c->cond, &l->mutex, &ts);
}

#else

// Real time, also under a fake clock: a test that waits must not wait for ever.
static int timed_wait(struct cond *c, struct lock *l, int64_t us)
{
    int64_t until = clock_mono_real_us() + us;
    struct timespec ts = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};

    return pthread_cond_timedwait(&c->cond, &l->mutex, &ts);
}

#endif

bool cond_wait_us(struct cond *c, struct lock *l, int64_t us)
{
    int result;

    rank_wait(l);
    result = timed_wait(c, l, MIN(MAX(us, 0), WAIT_US_MAX));
    CHECK(result == 0 || result == ETIMEDOUT);
    return result == 0;
}

void cond_signal(struct cond *c)
{
    CHECK(pthread_cond_signal(&c->cond) == 0);
}

void cond_broadcast(struct cond *c)
{
    CHECK(pthread_cond_broadcast(&c->cond) == 0);
}
