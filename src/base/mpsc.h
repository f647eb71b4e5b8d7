/* mpsc.h - messages from many threads to one.
 *
 * An intrusive lock-free list: mpsc_push from any thread, mpsc_take_all by the one consumer, which
 * gets everything pushed so far in the order of the pushes. A consumer that has nothing else to do
 * sleeps in mpsc_wait; one that sleeps elsewhere (an event loop) installs a wake function, called
 * by the push that finds the list empty.
 * Ownership: a node belongs to the queue from push to take. The queue must outlive every push: join
 * the producers before mpsc_fini.
 */
#pragma once

#include "base/thread.h"

#include <stdatomic.h>

struct mpsc_node {
    struct mpsc_node *next;
};

typedef void mpsc_wake_fn(void *ctx);

struct mpsc {
    _Atomic(struct mpsc_node *) head; /* newest first */
    atomic_bool is_sleeping;
    mpsc_wake_fn *wake;
    void *wake_ctx;
    bool is_kicked; /* under the lock */
    struct lock lock;
    struct cond cond;
};

/* `wake` may be NULL. */
void mpsc_init(struct mpsc *q, const char *name, mpsc_wake_fn *wake, void *ctx);
void mpsc_fini(struct mpsc *q); /* must be empty */
void mpsc_push(struct mpsc *q, struct mpsc_node *node);
/* Everything, oldest first, linked by next; NULL when empty. */
struct mpsc_node *mpsc_take_all(struct mpsc *q);
bool mpsc_is_empty(struct mpsc *q);
/* Sleeps until something is there, mpsc_kick, or the time is over (-1: for ever). A kick
 * that comes before the wait ends that wait at once. Time is real, also under a fake clock. */
void mpsc_wait(struct mpsc *q, int64_t timeout_us);
void mpsc_kick(struct mpsc *q); /* ends one mpsc_wait; calls wake when set; any thread */
