/* One thread's plugins: messages, timers, what is due. */
#include "plugin/worker.h"

#include "base/clock.h"
#include "base/mem.h"
#include "plugin/worker_priv.h"

struct plugin_worker *plugin_worker_new(struct plugins *p, int number, mpsc_wake_fn *wake,
                                        void *wake_ctx)
{
    struct plugin_worker *w = mem_new(struct plugin_worker);

    w->plugins = p;
    w->number = number;
    w->wake = wake;
    w->wake_ctx = wake_ctx;
    timers_init(&w->timers);
    mpsc_init(&w->inbox, "plugin inbox", wake, wake_ctx);
    lock_take(&p->lock);
    list_push_back(&p->workers, &w->in_plugins);
    lock_drop(&p->lock);
    return w;
}

void plugin_worker_free(struct plugin_worker *w)
{
    if (!w)
        return;
    lock_take(&w->plugins->lock);
    list_remove(&w->in_plugins);
    lock_drop(&w->plugins->lock);
    timers_fini(&w->timers);
    mpsc_fini(&w->inbox);
    mem_free(w);
}

void plugin_worker_wake(struct plugin_worker *w)
{
    if (w->wake)
        w->wake(w->wake_ctx);
}

void plugin_worker_post(struct plugin_worker *w, struct plugin_message *m)
{
    mpsc_push(&w->inbox, &m->node);
}

struct timers *plugin_worker_timers(struct plugin_worker *w)
{
    return &w->timers;
}

void plugin_worker_enter(struct plugin_worker *w, int64_t config_id, int64_t deadline_us)
{
    atomic_store_explicit(&w->inside_config, config_id, memory_order_relaxed);
    atomic_store_explicit(&w->inside_until_us, deadline_us, memory_order_release);
}

void plugin_worker_leave(struct plugin_worker *w)
{
    atomic_store_explicit(&w->inside_until_us, 0, memory_order_release);
}

void plugin_worker_expect(struct plugin_worker *w, int count)
{
    CHECK(count > 0 || w->outside > 0);
    w->outside += (size_t)count;
}

static void take_messages(struct plugin_worker *w)
{
    struct mpsc_node *next;

    for (struct mpsc_node *node = mpsc_take_all(&w->inbox); node; node = next) {
        struct plugin_message *m = CONTAINER_OF(node, struct plugin_message, node);

        next = node->next; /* fn may free the message */
        m->fn(m->ctx);
    }
}

int64_t plugin_worker_due_us(struct plugin_worker *w)
{
    return mpsc_is_empty(&w->inbox) ? timers_due_us(&w->timers) : 0;
}

void plugin_worker_turn(struct plugin_worker *w)
{
    take_messages(w);
    if (w->timers.count > 0)
        timers_run(&w->timers, clock_mono_us());
}
