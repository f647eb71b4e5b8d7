/* The STORE thread: decides about events in the order they arrive and commits them in batches, each
 * in one transaction with the finished offsets.
 *
 * An offset counts as finished exactly when the transaction that holds its event (or dead letter)
 * is committed. An event becomes a dead letter only when it failed alone, in a transaction of its
 * own. Prepared events and their feed blocks stay until the batch is committed.
 *
 * After a failure the code of the error decides:
 * - ERR_RETRY: the batch is rolled back and run again, for ever, with a pause; the status says
 *   degraded.
 * - ERR_FULL: the same once a second, and `blocked` tells capture meanwhile.
 * - ERR_IO, ERR_CORRUPT: `fatal`, the database is not to be trusted.
 * - Anything else is about the data: rolled back; what stands before the event that failed is run
 * in one transaction, the event alone in the next, the rest after it. When nobody knows which event
 *   it was (COMMIT itself failed), each event runs alone.
 *
 * Events are applied as they come in, so that the transaction is nearly done when the batch is
 * full. Chunks are given back to their workers when all their events are committed.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipe/commit_priv.h"

#define RETRY_PAUSE_US (200 * (int64_t)1000)
#define FULL_PAUSE_US  (1 * (int64_t)1000000)
#define LOG_EVERY_US   (10 * (int64_t)1000000)

struct committer *committer_new(struct pipe *p)
{
    struct committer *c = mem_new(struct committer);

    c->p = p;
    c->store = &p->opt.store;
    c->finished =
        finished_new(p->opt.position.offset, p->runs, p->opt.run_count,
                     p->opt.read_ahead_events + 2 * (size_t)READ_MAX + 2 * (size_t)GAP_SMALL);
    applier_init(&c->applier, p);
    c->line = BUF_INIT(TEXT_MAX);
    c->idle_us = IDLE_FIRST_US;
    c->logged_us = clock_mono_us();
    p->offsets_max = finished_span(c->finished);
    p->cursor = finished_cursor(c->finished);
    finished_move(c->finished, p->cursor);
    return c;
}

/* Its events are done with: the feed's blocks and the chunk go back. */
static void chunk_give_back(struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->count; i++)
        feed_block_unref(chunk->events[i]->block);
    chunk->count = 0;
    mpsc_push(&chunk->worker->used_chunks, &chunk->message.node);
}

void committer_give_back(struct committer *c)
{
    while (c->chunks) {
        struct mpsc_node *node = c->chunks;

        c->chunks = node->next;
        chunk_give_back((struct chunk *)(void *)node);
    }
}

void committer_free(struct committer *c)
{
    if (!c)
        return;
    while (c->chunks) {
        struct mpsc_node *node = c->chunks;

        c->chunks = node->next;
        worker_chunk_free((struct chunk *)(void *)node);
    }
    while (c->pending) {
        struct message *m = CONTAINER_OF(c->pending, struct message, node);

        c->pending = c->pending->next;
        if (m->kind == MESSAGE_CHUNK)
            worker_chunk_free((struct chunk *)(void *)m);
        else if (m->kind == MESSAGE_GAP)
            mem_free(m);
    }
    finished_free(c->finished);
    applier_fini(&c->applier);
    buf_free(&c->line);
    mem_free(c->events);
    mem_free(c);
}

/* --- transactions ----------------------------------------------------------------------------- */

void committer_publish(struct pipe *p, uint64_t cursor, uint64_t bytes)
{
    lock_take(&p->lock);
    p->cursor = cursor;
    p->in_flight_bytes -= MIN(bytes, p->in_flight_bytes);
    cond_broadcast(&p->moved);
    lock_drop(&p->lock);
}

static void count_committed(struct committer *c, size_t from, size_t to)
{
    struct pipe *p = c->p;
    uint64_t outcomes[OUTCOME_COUNT] = {0};
    uint64_t warnings[WARNING_COUNT] = {0};

    for (size_t i = from; i < to; i++) {
        const struct prepared *e = c->events[i];

        outcomes[e->outcome]++;
        if (e->outcome == OUTCOME_DEAD)
            metric_add(p->meters.dead[e->dead_reason], 1);
        if (e->outcome != OUTCOME_STORED)
            continue;
        for (size_t k = 0; e->warnings && k < WARNING_COUNT; k++)
            warnings[k] += e->warnings >> k & 1;
        warnings[WARNING_ALREADY_IDENTIFIED] += e->has_refused_merge;
        warnings[WARNING_PROPERTIES] += e->has_refused_properties;
    }
    for (size_t i = 0; i < OUTCOME_COUNT; i++) {
        atomic_fetch_add_explicit(&p->counts[i], outcomes[i], memory_order_relaxed);
        metric_add(p->meters.outcomes[i], outcomes[i]);
    }
    for (size_t i = 0; i < WARNING_COUNT; i++)
        metric_add(p->meters.warnings[i], warnings[i]);
    metric_observe(p->meters.batch_events, (double)(to - from));
}

static void tell_tail(struct committer *c, size_t from, size_t to)
{
    struct pipe *p = c->p;

    if (atomic_load(&p->tail_listeners) <= 0 || !p->tail)
        return;
    for (size_t i = from; i < to; i++) {
        const struct prepared *e = c->events[i];

        if (e->outcome != OUTCOME_STORED || e->kind != PREPARED_EVENT)
            continue;
        tail_line(e, &c->line);
        if (!c->line.is_over)
            p->tail(&(struct pipe_tail_event){.team_id = e->team_id,
                                              .event = e->event,
                                              .distinct_id = e->distinct_id,
                                              .json_line = buf_slice(&c->line)},
                    p->tail_ctx);
    }
}

void committer_log_progress(struct committer *c)
{
    int64_t now = clock_mono_us();

    if (c->logged_events == 0 || now - c->logged_us < LOG_EVERY_US)
        return;
    log_line("Processed %llu events in %.1f s", (unsigned long long)c->logged_events,
             (double)(now - c->logged_us) / 1e6);
    c->logged_events = 0;
    c->logged_us = now;
}

/* COMMIT went through: the offsets are finished for good. */
static void after_commit(struct committer *c, size_t from, size_t to, uint64_t cursor)
{
    struct pipe *p = c->p;
    uint64_t bytes = 0;
    int64_t now = clock_wall_us();

    for (size_t i = from; i < to; i++)
        bytes += c->events[i]->payload.len;
    c->has_gap = false;
    finished_move(c->finished, cursor);
    committer_publish(p, cursor, bytes);
    p->opt.feed.ops->release(p->opt.feed.self, cursor);
    atomic_fetch_add_explicit(&p->count_finished, to - from, memory_order_relaxed);
    atomic_store_explicit(&p->last_commit_us, now, memory_order_relaxed);
    atomic_store_explicit(&p->last_progress_us, now, memory_order_relaxed);
    if (from < to)
        count_committed(c, from, to);
    tell_tail(c, from, to);
    c->logged_events += to - from;
    committer_log_progress(c);
}

static bool commit_range(struct committer *c, size_t from, size_t to, struct err *err)
{
    struct pipe *p = c->p;
    struct feed_position position = p->opt.position;
    const struct feed_run *runs;
    size_t run_count;
    int64_t before = clock_mono_us();

    for (size_t i = from; i < to; i++)
        finished_set(c->finished, c->events[i]->offset);
    position.offset = finished_cursor(c->finished);
    run_count = finished_runs(c->finished, position.offset, &runs);
    lock_take(&p->lock);
    position.seen_end = MAX(MAX(position.seen_end, p->read_end), position.offset);
    lock_drop(&p->lock);
    if (!c->store->ops->commit(c->store->self, &position, runs, run_count, err)) {
        for (size_t i = from; i < to; i++)
            finished_unset(c->finished, c->events[i]->offset);
        return false;
    }
    metric_observe(p->meters.commit_seconds, (double)(clock_mono_us() - before) / 1e6);
    after_commit(c, from, to, position.offset);
    return true;
}

void committer_roll_back(struct committer *c)
{
    c->store->ops->rollback(c->store->self);
    persons_forget(c->applier.persons);
    c->is_open = false;
}

bool committer_begin(struct committer *c, struct err *err)
{
    c->is_open = c->store->ops->begin(c->store->self, err);
    return c->is_open;
}

/* Events [from, to) in one transaction: all or none. *bad is the one that failed, `to` when it was
 * none of them. */
static bool run_range(struct committer *c, size_t from, size_t to, size_t *bad, struct err *err)
{
    *bad = to;
    c->applier.lost_merge = false;
    c->applier.clock_us = clock_wall_us();
    if (!committer_begin(c, err)) {
        /* Nothing to do with the events, whatever the store says. */
        err->code = applier_is_about_data(err) ? ERR_RETRY : err->code;
        return false;
    }
    for (size_t i = from; i < to; i++) {
        if (!applier_run(&c->applier, c->events[i], err)) {
            *bad = i;
            committer_roll_back(c);
            return false;
        }
    }
    if (!commit_range(c, from, to, err)) {
        committer_roll_back(c);
        return false;
    }
    c->is_open = false;
    return true;
}

static void set_blocked(struct committer *c, bool is_blocked, const char *why)
{
    if (c->is_blocked == is_blocked)
        return;
    c->is_blocked = is_blocked;
    if (c->p->opt.blocked)
        c->p->opt.blocked(is_blocked, why, c->p->opt.ctx);
}

static void is_well(struct committer *c)
{
    set_blocked(c, false, "");
    pipe_waiting(c->p, NULL);
}

/* A pause before the next try. False when the pipe gives up. */
static bool wait_for_store(struct committer *c, const struct err *err)
{
    struct pipe *p = c->p;

    pipe_waiting(p, err);
    if (err->code == ERR_FULL)
        set_blocked(c, true, "no disk space for the database");
    log_warn("pipe", "the store cannot take events, trying again",
             KV_STR("code", err_code_name(err->code)), KV_ERR(err));
    lock_take(&p->lock);
    if (!atomic_load(&p->gives_up))
        cond_wait_us(&p->moved, &p->lock, err->code == ERR_FULL ? FULL_PAUSE_US : RETRY_PAUSE_US);
    lock_drop(&p->lock);
    return !atomic_load(&p->gives_up);
}

void committer_die(struct committer *c, const struct err *err)
{
    log_error("pipe", "the database is not to be trusted", KV_ERR(err));
    c->p->opt.fatal(err, c->p->opt.ctx);
    c->is_abandoned = true;
}

/* Can anything be done about an event that failed alone? A dead letter is given up only because of
 * what is in it; any other error, and one where nothing is stored at all, means that the store is
 * ill. */
static bool may_bury(const struct prepared *e, const struct err *err)
{
    return e->kind != PREPARED_LOST &&
           (e->kind != PREPARED_DEAD || err->code == ERR_INPUT || err->code == ERR_LIMIT);
}

/* The event failed alone: a dead letter; when even that cannot be, only its offset is finished. */
static void bury(struct prepared *e, const char *step, const struct err *err)
{
    if (e->kind == PREPARED_DEAD) {
        log_error("pipe", "a dead letter could not be stored, the event is lost",
                  KV_I64("team", e->team_id), KV_ERR(err));
        e->kind = PREPARED_LOST;
        return;
    }
    log_warn("pipe", "an event cannot be stored", KV_I64("team", e->team_id), KV_STR("step", step),
             KV_ERR(err));
    e->kind = PREPARED_DEAD;
    e->dead_reason = DEAD_STORE;
    e->dead_step = step;
    e->dead_text = slice_cstr(arena_dup_cstr(e->arena, slice_cstr(err->text)));
}

/* Brings the events of the batch to an end, whatever it takes, after a first try that failed
 * because of `why`. False when the pipe gives up or the store is lost. */
static bool settle(struct committer *c, const struct err *why)
{
    size_t from = 0;
    size_t end = c->count;
    bool one_by_one = false;

    if (!applier_is_about_data(why) && !wait_for_store(c, why))
        return false;
    while (from < c->count || c->has_gap) {
        struct err err = ERR_INIT;
        size_t bad;

        if (run_range(c, from, end, &bad, &err)) {
            is_well(c);
            from = end;
            end = one_by_one ? from + 1 : c->count;
        } else if (err.code == ERR_IO || err.code == ERR_CORRUPT) {
            committer_die(c, &err);
            return false;
        } else if (!applier_is_about_data(&err)) {
            if (!wait_for_store(c, &err))
                return false;
        } else if (c->applier.lost_merge) {
            continue; /* the same again, without the merge */
        } else if (end == from || (end - from == 1 && !may_bury(c->events[from], &err))) {
            if (!wait_for_store(c, &err))
                return false;
        } else if (end - from == 1) {
            bury(c->events[from], c->applier.step, &err);
        } else if (bad > from && bad < end) {
            end = bad;
        } else {
            one_by_one |= bad == end;
            end = from + 1;
        }
    }
    return true;
}

/* --- the batch -------------------------------------------------------------------------------- */

static void close_batch(struct committer *c)
{
    c->count = 0;
    c->bytes = 0;
    c->batches_since_tidy++;
    committer_give_back(c);
}

static void abandon(struct committer *c)
{
    c->is_abandoned = true;
    c->count = 0;
}

/* The batch cannot go on because of `err`: it is brought to its end in other ways. */
static void end_batch(struct committer *c, const struct err *err)
{
    if (c->is_open)
        committer_roll_back(c);
    if (err->code == ERR_IO || err->code == ERR_CORRUPT)
        committer_die(c, err);
    if (c->is_abandoned || !settle(c, err))
        abandon(c);
    close_batch(c);
}

void committer_commit(struct committer *c)
{
    struct err err = ERR_INIT;

    if (!c->is_open)
        return;
    if (!commit_range(c, 0, c->count, &err)) {
        end_batch(c, &err);
        return;
    }
    c->is_open = false;
    is_well(c);
    close_batch(c);
}

void committer_add_gap(struct committer *c)
{
    struct err err = ERR_INIT;

    c->has_gap = true;
    if (c->is_open || c->is_abandoned)
        return;
    c->opened_us = clock_mono_us();
    if (!committer_begin(c, &err))
        end_batch(c, &err);
}

void committer_add(struct committer *c, struct prepared *e)
{
    struct err err = ERR_INIT;

    if (c->count == c->cap) {
        c->cap = MAX(1024, 2 * c->cap);
        c->events = mem_realloc(c->events, c->cap * sizeof(struct prepared *));
    }
    c->events[c->count++] = e;
    if (!c->is_open)
        c->opened_us = clock_mono_us();
    if ((c->is_open || committer_begin(c, &err)) && applier_run(&c->applier, e, &err))
        c->bytes += e->payload.len + e->properties.len + e->written;
    else
        end_batch(c, &err);
}
