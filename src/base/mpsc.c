/* The list is a Treiber stack: pushes swap the head, the consumer takes the whole stack and turns
 * it round. Since nobody ever pops a single node, there is no ABA problem.
 *
 * No wake-up is lost. The consumer raises is_sleeping and then looks at the list; a push adds its
 * node and then looks at is_sleeping. All four are sequentially consistent, so at least one of them
 * sees the other. Only the push that finds the list empty needs to look: a consumer does not go to
 * sleep while there is something in the list. is_sleeping changes under the lock, and the consumer
 * keeps the lock until it waits, so a signal sent under the lock cannot come in between. */
#include "base/mpsc.h"

#include "base/clock.h"

void mpsc_init(struct mpsc *q, const char *name, mpsc_wake_fn *wake, void *ctx)
{
    atomic_init(&q->head, NULL);
    atomic_init(&q->is_sleeping, false);
    q->is_kicked = false;
    q->wake = wake;
    q->wake_ctx = ctx;
    lock_init(&q->lock, name, RANK_MPSC);
    cond_init(&q->cond);
}

void mpsc_fini(struct mpsc *q)
{
    CHECK(mpsc_is_empty(q));
    cond_fini(&q->cond);
    lock_fini(&q->lock);
}

void mpsc_push(struct mpsc *q, struct mpsc_node *node)
{
    struct mpsc_node *before = atomic_load_explicit(&q->head, memory_order_relaxed);

    do
        node->next = before;
    while (!atomic_compare_exchange_weak_explicit(&q->head, &before, node, memory_order_seq_cst,
                                                  memory_order_relaxed));
    // From here on the node may be gone: the consumer owns it.
    if (before)
        return;
    if (q->wake)
        q->wake(q->wake_ctx);
    if (atomic_load(&q->is_sleeping)) {
        lock_take(&q->lock);
        cond_signal(&q->cond);
        lock_drop(&q->lock);
    }
}

struct mpsc_node *mpsc_take_all(struct mpsc *q)
{
    struct mpsc_node *node = NULL, *oldest = NULL;

    if (atomic_load_explicit(&q->head, memory_order_relaxed))
        node = atomic_exchange_explicit(&q->head, NULL, memory_order_acquire);
    while (node) {
        struct mpsc_node *next = node->next;

        node->next = oldest;
        oldest = node;
        node = next;
    }
    return oldest;
}

bool mpsc_is_empty(struct mpsc *q)
{
    return !atomic_load(&q->head);
}

void mpsc_wait(struct mpsc *q, int64_t timeout_us)
{
    int64_t deadline;

    if (!mpsc_is_empty(q))
        return;
    // Half of all time is enough for any time-out and cannot run over.
    deadline = clock_mono_real_us() + MIN(timeout_us, INT64_MAX / 2);
    lock_take(&q->lock);
    atomic_store(&q->is_sleeping, true);
    while (mpsc_is_empty(q) && !q->is_kicked) {
        int64_t left = deadline - clock_mono_real_us();

        if (timeout_us < 0)
            cond_wait(&q->cond, &q->lock);
        else if (left <= 0 || !cond_wait_us(&q->cond, &q->lock, left))
            break;
    }
    atomic_store(&q->is_sleeping, false);
    q->is_kicked = false;
    lock_drop(&q->lock);
}

void mpsc_kick(struct mpsc *q)
{
    if (q->wake)
        q->wake(q->wake_ctx);
    lock_take(&q->lock);
    q->is_kicked = true;
    cond_signal(&q->cond);
    lock_drop(&q->lock);
}
