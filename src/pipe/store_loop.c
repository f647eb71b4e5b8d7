/* The STORE thread: takes what the workers send, runs calls between batches, tidies up when nothing
 * waits. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipe/commit_priv.h"

#define IDLE_LAST_US (3600 * (int64_t)1000000)
#define TIDY_EVERY   8 /* batches under load */

/* One chunk less waits: workers that hold back may send, and FEED may read on. */
static void chunk_done(struct pipe *p)
{
    int waiting = atomic_fetch_sub(&p->chunks_waiting, 1) - 1;

    for (int i = 0; waiting < CHUNKS_WAITING_MAX && i < p->opt.workers; i++) {
        if (atomic_load(&p->workers[i].holds_back) &&
            atomic_exchange(&p->workers[i].holds_back, false))
            mpsc_kick(&p->workers[i].inbox);
    }
    if (waiting != CHUNKS_AHEAD_MAX / 2)
        return;
    lock_take(&p->lock);
    cond_broadcast(&p->moved);
    lock_drop(&p->lock);
}

static bool is_full(const struct committer *c)
{
    return c->count >= c->p->opt.batch_events || c->bytes >= c->p->opt.batch_bytes;
}

/* Few events may write much (large persons), so the batch may end inside of a chunk. */
static void take_chunk(struct committer *c, struct chunk *chunk)
{
    c->applier.clock_us = clock_wall_us();
    for (size_t i = 0; i < chunk->count && !c->is_abandoned; i++) {
        committer_add(c, chunk->events[i]);
        if (is_full(c))
            committer_commit(c);
    }
    chunk->message.node.next = c->chunks;
    c->chunks = &chunk->message.node;
    chunk_done(c->p);
    if (!c->is_open)
        committer_give_back(c); /* the last event ended with a transaction of its own */
    else if (clock_mono_us() - c->opened_us >= c->p->opt.batch_us)
        committer_commit(c);
}

/* FEED may go on at once. What is released waits for a transaction that holds the cursor: the open
 * batch, or one that only the gap is in. */
static void take_gap(struct committer *c, struct gap *gap)
{
    uint64_t cursor;

    finished_gap(c->finished, gap->from, gap->to);
    cursor = finished_cursor(c->finished);
    finished_move(c->finished, cursor);
    committer_publish(c->p, cursor, 0);
    mem_free(gap);
    committer_add_gap(c);
}

static void take_message(struct committer *c)
{
    struct message *m = CONTAINER_OF(c->pending, struct message, node);

    c->pending = c->pending->next;
    switch (m->kind) {
    case MESSAGE_CHUNK:
        take_chunk(c, (struct chunk *)(void *)m);
        break;
    case MESSAGE_GAP:
        take_gap(c, (struct gap *)(void *)m);
        break;
    default:
        c->workers_ended++;
        break;
    }
}

static void run_call(struct committer *c, struct pipe_call *call)
{
    const struct store *store = c->store;
    struct err err = ERR_INIT;
    bool ok = false;

    if (c->is_abandoned) {
        err_set(&err, ERR_STOP, "the pipeline is stopping");
    } else if (committer_begin(c, &err)) {
        ok = call->fn(&c->p->opt.store, call->ctx, &err) &&
             store->ops->commit(store->self, NULL, NULL, 0, &err);
        if (!ok)
            committer_roll_back(c);
        c->is_open = false;
    }
    if (!ok && (err.code == ERR_IO || err.code == ERR_CORRUPT))
        committer_die(c, &err);
    call->done(call->ctx, ok, &err);
}

static void run_calls(struct committer *c)
{
    struct mpsc_node *next;

    if (mpsc_is_empty(&c->p->calls))
        return;
    committer_commit(c);
    for (struct mpsc_node *node = mpsc_take_all(&c->p->calls); node; node = next) {
        next = node->next;
        run_call(c, CONTAINER_OF(node, struct pipe_call, node));
    }
}

/* One slice of upkeep. True when there is more to do. */
static bool tidy(struct committer *c)
{
    struct err err = ERR_INIT;
    bool more = false;

    c->batches_since_tidy = 0;
    if (!c->store->ops->tidy(c->store->self, &more, &err)) {
        more = false;
        if (err.code == ERR_IO || err.code == ERR_CORRUPT)
            committer_die(c, &err);
        else
            log_warn("pipe", "upkeep of the store failed, trying again later", KV_ERR(&err));
    }
    return more;
}

/* Nothing is there: wait for the rest of the batch, tidy up, or sleep. The sleeps grow, so that
 * upkeep that falls due by time is done and an idle process still hardly ever wakes up. */
static void pass_time(struct committer *c)
{
    struct pipe *p = c->p;

    if (c->is_open) {
        int64_t left = p->opt.batch_us - (clock_mono_us() - c->opened_us);

        if (left > 0)
            mpsc_wait(&p->inbox, left);
        if (mpsc_is_empty(&p->inbox))
            committer_commit(c);
        return;
    }
    committer_log_progress(c);
    if (c->is_abandoned || !tidy(c)) {
        mpsc_wait(&p->inbox, c->idle_us);
        c->idle_us = MIN(2 * c->idle_us, IDLE_LAST_US);
    }
}

static void close_calls(struct pipe *p)
{
    struct mpsc_node *next;
    struct err err = ERR_INIT;

    err_set(&err, ERR_STOP, "the pipeline has stopped");
    lock_take(&p->lock);
    p->is_store_done = true;
    cond_broadcast(&p->moved);
    lock_drop(&p->lock);
    for (struct mpsc_node *node = mpsc_take_all(&p->calls); node; node = next) {
        struct pipe_call *call = CONTAINER_OF(node, struct pipe_call, node);

        next = node->next;
        call->done(call->ctx, false, &err);
    }
}

void store_loop_run(void *arg)
{
    struct pipe *p = arg;
    struct committer *c = p->committer;

    ASSERT_THREAD(STORE);
    while (c->workers_ended < p->opt.workers) {
        run_calls(c);
        if (!c->pending)
            c->pending = mpsc_take_all(&p->inbox);
        if (!c->pending) {
            pass_time(c);
            continue;
        }
        c->idle_us = IDLE_FIRST_US;
        take_message(c);
        if (!c->is_open && !c->is_abandoned && c->batches_since_tidy >= TIDY_EVERY)
            tidy(c);
    }
    committer_commit(c);
    close_calls(p);
}
