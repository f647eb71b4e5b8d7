/* thread.h - threads by role, ranked locks.
 *
 * A thread has one role for life (docs/ARCHITECTURE.md, threads). ASSERT_THREAD(ROLE) opens
 * functions that rely on it; it passes on threads without a role (unit tests).
 * A mutex has a name and a rank: taking one whose rank is not higher than every lock held is a
 * CHECK failure in debug and test builds. Signals are blocked in all threads but the main one.
 */
#pragma once

#include "base/err.h"

#include <pthread.h>

enum thread_role {
    THREAD_NONE,
    THREAD_MAIN,
    THREAD_NET,
    THREAD_SYNC,
    THREAD_FEED, /* reads the ring and deals records to the PIPE threads */
    THREAD_PIPE,
    THREAD_ASYNC,
    THREAD_STORE,
    THREAD_TIDY,   /* sorting, folding plans, checkpoints, spare segments */
    THREAD_KEEPER, /* loads plugins, watches them, writes their logs */
    THREAD_JOB,
    THREAD_SEND,
    THREAD_FETCH,
};

typedef void thread_fn(void *ctx);

struct thread {
    pthread_t id;
    bool is_started;
};

/* Starts `fn(ctx)` on a thread named "<role><number>" (number 0: just the role). */
MUST_CHECK bool thread_start(struct thread *t, enum thread_role role, int number, thread_fn *fn,
                             void *ctx, struct err *err);
void thread_join(struct thread *t); /* no-op when not started */
enum thread_role thread_role(void);
int thread_number(void);
const char *thread_role_name(enum thread_role role);
void thread_set_role(enum thread_role role, int number); /* main() only */
void thread_assert(enum thread_role role, const char *file, int line);
#define ASSERT_THREAD(role) thread_assert(THREAD_##role, __FILE__, __LINE__)
/* Online CPUs this process may use: affinity and cgroup quota (rounded up), at least 1. */
int thread_cpu_count(void);

/* Lock ranks, lowest first: a thread that holds one may only take a higher one. */
enum lock_rank {
    RANK_APP = 10,
    RANK_PIPE = 20,
    RANK_TEAMS = 30,
    RANK_PLUGINS = 31,
    RANK_PLUGIN_SET = 32,
    RANK_PLUGIN_STATE = 33,
    RANK_PLUGIN_CACHE = 34,
    RANK_STORE = 40,
    RANK_RING = 50,
    RANK_RING_TAIL = 55,
    RANK_NET = 60,
    RANK_GEO_LOAD = 64,
    RANK_GEO = 66,
    RANK_MPSC = 70,
    RANK_METRIC = 80,
    RANK_LOG = 90,
};

struct lock {
    pthread_mutex_t mutex;
    const char *name;
    enum lock_rank rank;
};

struct cond {
    pthread_cond_t cond;
};

void lock_init(struct lock *l, const char *name, enum lock_rank rank);
void lock_fini(struct lock *l);
void lock_take(struct lock *l);
void lock_drop(struct lock *l);
void cond_init(struct cond *c);
void cond_fini(struct cond *c);
void cond_wait(struct cond *c, struct lock *l);
bool cond_wait_us(struct cond *c, struct lock *l,
                  int64_t us); /* false on time-out; real monotonic time, also under a fake clock */
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);
