/* The pipeline's life: checks, threads, stopping, calls and status. */
#include "pipe/pipe.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipe/pipe_priv.h"

#include <stdlib.h>

#define WORKERS_MAX 256
#define RUN_SPAN_MAX \
    (UINT64_C(1) << 28) /* offsets between the cursor and the end of its last run */
#define STOP_REMINDER_US (50 * (int64_t)1000)

static const struct step default_steps[] = {
    {"parse", decode_step},
    {"pluginsProcessEvent", step_plugins},
    {"prepareEvent", prepare_step},
};

static bool check_options(const struct pipe_options *opt, size_t step_count, struct err *err)
{
    CHECK(step_count >= 2 && step_count <= STEPS_MAX);
    if (opt->workers < 1 || opt->workers > WORKERS_MAX)
        return err_set(err, ERR_INPUT, "WORKER_CONCURRENCY must be 1 to %d, not %d", WORKERS_MAX,
                       opt->workers);
    if (opt->read_ahead_events < 1 || opt->read_ahead_bytes < 1 || opt->batch_events < 1 ||
        opt->batch_bytes < 1)
        return err_set(err, ERR_INPUT, "read-ahead and batch sizes of the pipeline must not be 0");
    for (size_t i = 0; i < opt->run_count; i++) {
        const struct feed_run *r = &opt->runs[i];

        if (r->from >= r->to ||
            (r->to > opt->position.offset && r->to - opt->position.offset > RUN_SPAN_MAX))
            return err_set(err, ERR_CORRUPT,
                           "the store's cursor %llu has an impossible run %llu to %llu",
                           (unsigned long long)opt->position.offset, (unsigned long long)r->from,
                           (unsigned long long)r->to);
    }
    return true;
}

static int by_from(const void *a, const void *b)
{
    const struct feed_run *x = a;
    const struct feed_run *y = b;

    return (x->from > y->from) - (x->from < y->from);
}

static void wake_store(void *pipe)
{
    mpsc_kick(&((struct pipe *)pipe)->inbox);
}

static struct pipe *pipe_new(const struct pipe_options *opt, const struct step *steps, size_t count)
{
    struct pipe *p = mem_new(struct pipe);

    p->opt = *opt;
    p->steps = steps;
    p->step_count = count;
    p->runs = mem_dup(opt->runs, opt->run_count * sizeof(*opt->runs));
    p->opt.runs = p->runs;
    if (opt->run_count > 1)
        qsort(p->runs, opt->run_count, sizeof(*p->runs), by_from);
    p->read_end = opt->position.seen_end;
    lock_init(&p->lock, "pipe", RANK_PIPE);
    cond_init(&p->moved);
    mpsc_init(&p->inbox, "store inbox", NULL, NULL);
    mpsc_init(&p->calls, "store calls", wake_store, p);
    pipe_meters_init(p);
    p->committer = committer_new(p);
    p->workers = mem_new_array(struct worker, (size_t)opt->workers);
    for (int i = 0; i < opt->workers; i++)
        worker_init(&p->workers[i], p, i);
    atomic_store(&p->last_progress_us, clock_wall_us());
    return p;
}

/* STORE first, FEED last: who sends starts after who receives. */
static bool start_threads(struct pipe *p, struct err *err)
{
    if (!thread_start(&p->store_thread, THREAD_STORE, 0, store_loop_run, p, err))
        return false;
    for (int i = 0; i < p->opt.workers; i++) {
        if (!thread_start(&p->workers[i].thread, THREAD_PIPE, i, worker_run, &p->workers[i], err))
            return false;
    }
    return thread_start(&p->feed_thread, THREAD_FEED, 0, feed_pump_run, p, err);
}

/* What FEED would have sent, had it been started. */
static void stop_unstarted(struct pipe *p)
{
    if (p->feed_thread.is_started || !p->store_thread.is_started)
        return;
    for (int i = 0; i < p->opt.workers; i++) {
        struct worker *w = &p->workers[i];

        w->feed_stop.kind = w->stop.kind = MESSAGE_STOP;
        if (w->thread.is_started)
            mpsc_push(&w->inbox, &w->feed_stop.node);
        else
            mpsc_push(&p->inbox, &w->stop.node);
    }
}

struct pipe *pipe_start_with(const struct pipe_options *opt, const struct step *steps, size_t count,
                             struct err *err)
{
    struct pipe *p;

    if (!check_options(opt, count, err))
        return NULL;
    p = pipe_new(opt, steps, count);
    if (!start_threads(p, err)) {
        stop_unstarted(p);
        pipe_stop(p, 0);
        pipe_free(p);
        return NULL;
    }
    pipe_meters_watch(p);
    return p;
}

struct pipe *pipe_start(const struct pipe_options *opt, struct err *err)
{
    return pipe_start_with(opt, default_steps, ARRAY_LEN(default_steps), err);
}

static void give_up(struct pipe *p)
{
    log_warn("pipe", "not everything that was read could be stored in time; it stays in the queue");
    lock_take(&p->lock);
    atomic_store(&p->gives_up, true);
    cond_broadcast(&p->moved);
    lock_drop(&p->lock);
    for (int i = 0; i < p->opt.workers; i++)
        mpsc_kick(&p->workers[i].inbox);
    mpsc_kick(&p->inbox);
}

/* True when STORE has ended. */
static bool wait_for_end(struct pipe *p, int64_t us)
{
    bool is_over;

    p->opt.feed.ops->wake(p->opt.feed.self); /* every time: it may just have gone to sleep */
    lock_take(&p->lock);
    if (!p->is_store_done && us > 0)
        cond_wait_us(&p->moved, &p->lock, us);
    is_over = p->is_store_done;
    lock_drop(&p->lock);
    return is_over;
}

void pipe_stop(struct pipe *p, int64_t timeout_us)
{
    int64_t end = clock_mono_us() + timeout_us;

    lock_take(&p->lock);
    atomic_store(&p->is_stopping, true);
    cond_broadcast(&p->moved);
    lock_drop(&p->lock);
    while (p->store_thread.is_started && !wait_for_end(p, STOP_REMINDER_US)) {
        if (clock_mono_us() >= end && !atomic_load(&p->gives_up))
            give_up(p);
    }
    thread_join(&p->feed_thread);
    for (int i = 0; i < p->opt.workers; i++)
        thread_join(&p->workers[i].thread);
    thread_join(&p->store_thread);
}

static void free_inbox(struct pipe *p)
{
    struct mpsc_node *next;

    for (struct mpsc_node *node = mpsc_take_all(&p->inbox); node; node = next) {
        struct message *m = CONTAINER_OF(node, struct message, node);

        next = node->next;
        if (m->kind == MESSAGE_CHUNK)
            worker_chunk_free((struct chunk *)(void *)m);
        else if (m->kind == MESSAGE_GAP)
            mem_free(m);
    }
}

void pipe_free(struct pipe *p)
{
    if (!p)
        return;
    free_inbox(p);
    committer_free(p->committer);
    for (int i = 0; i < p->opt.workers; i++)
        worker_fini(&p->workers[i]);
    mem_free(p->workers);
    mpsc_fini(&p->inbox);
    mpsc_fini(&p->calls);
    cond_fini(&p->moved);
    lock_fini(&p->lock);
    mem_free(p->runs);
    mem_free(p);
}

/* --- calls ------------------------------------------------------------------------------------ */

void pipe_call(struct pipe *p, struct pipe_call *call)
{
    struct err err = ERR_INIT;
    bool is_over;

    lock_take(&p->lock);
    is_over = p->is_store_done;
    if (!is_over)
        mpsc_push(&p->calls, &call->node);
    lock_drop(&p->lock);
    if (!is_over)
        return;
    err_set(&err, ERR_STOP, "the pipeline has stopped");
    call->done(call->ctx, false, &err);
}

struct waiting_call {
    struct pipe_call call;
    pipe_call_fn *fn;
    void *ctx;
    struct lock lock;
    struct cond cond;
    bool is_done, ok;
    struct err *err;
};

static bool waiting_run(struct store *store, void *ctx, struct err *err)
{
    struct waiting_call *w = ctx;

    return w->fn(store, w->ctx, err);
}

static void waiting_done(void *ctx, bool ok, const struct err *err)
{
    struct waiting_call *w = ctx;

    lock_take(&w->lock);
    w->is_done = true;
    w->ok = ok;
    if (!ok)
        *w->err = *err;
    cond_signal(&w->cond);
    lock_drop(&w->lock);
}

bool pipe_call_wait(struct pipe *p, pipe_call_fn *fn, void *ctx, struct err *err)
{
    struct waiting_call w = {.fn = fn, .ctx = ctx, .err = err};

    CHECK(thread_role() != THREAD_STORE);
    w.call = (struct pipe_call){.fn = waiting_run, .done = waiting_done, .ctx = &w};
    lock_init(&w.lock, "pipe call", RANK_PIPE);
    cond_init(&w.cond);
    pipe_call(p, &w.call);
    lock_take(&w.lock);
    while (!w.is_done)
        cond_wait(&w.cond, &w.lock);
    lock_drop(&w.lock);
    cond_fini(&w.cond);
    lock_fini(&w.lock);
    return w.ok;
}

/* --- tail and status -------------------------------------------------------------------------- */

void pipe_tail_set(struct pipe *p, pipe_tail_fn *fn, void *ctx)
{
    p->tail = fn;
    p->tail_ctx = ctx;
}

void pipe_tail_listeners(struct pipe *p, int delta)
{
    atomic_fetch_add(&p->tail_listeners, delta);
}

void pipe_waiting(struct pipe *p, const struct err *why)
{
    lock_take(&p->lock);
    p->is_degraded = why != NULL;
    p->is_blocked = why && (p->is_blocked || why->code == ERR_FULL);
    p->why[0] = '\0';
    if (why) {
        size_t len = MIN(strlen(why->text), sizeof(p->why) - 1);

        memcpy(p->why, why->text, len);
        p->why[len] = '\0';
    }
    lock_drop(&p->lock);
}

void pipe_status(struct pipe *p, struct pipe_status *out)
{
    uint64_t finished = atomic_load(&p->count_finished);

    *out = (struct pipe_status){
        .read = atomic_load(&p->count_read),
        .stored = atomic_load(&p->counts[OUTCOME_STORED]),
        .duplicates = atomic_load(&p->counts[OUTCOME_DUPLICATE]),
        .dead_letters = atomic_load(&p->counts[OUTCOME_DEAD]),
        .dropped = atomic_load(&p->counts[OUTCOME_DROPPED]),
        .last_commit_us = atomic_load(&p->last_commit_us),
        .last_progress_us = atomic_load(&p->last_progress_us),
    };
    out->in_flight = out->read - finished;
    lock_take(&p->lock);
    out->is_degraded = p->is_degraded;
    out->is_blocked = p->is_blocked;
    memcpy(out->why, p->why, sizeof(out->why));
    lock_drop(&p->lock);
}
