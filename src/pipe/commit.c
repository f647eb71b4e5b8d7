/* The STORE thread: decides about events in the order they arrive and commits them in batches, each
 * in one transaction with the finished offsets.
 *
 *   ensures   an offset counts as finished exactly when the transaction that holds its event (or
 * dead letter) is committed ensures   an event becomes a dead letter only when it failed alone, in
 * a transaction of its own assumes   prepared events and their feed blocks stay until the batch is
 * committed on failure, by the code of the error: ERR_RETRY            the batch is rolled back and
 * run again, for ever, with a pause; the status says degraded ERR_FULL             the same once a
 * second, and `blocked` tells capture meanwhile ERR_IO, ERR_CORRUPT  `fatal`: the database is not
 * to be trusted anything else        it is about the data: rolled back; what stands before the
 * event that failed is run in one transaction, the event alone in the next, the rest after it. When
 * nobody knows which event it was (COMMIT itself failed) each event runs alone
 *
 * Events are applied as they come in, so that the transaction is nearly done when the batch is
 * full. Chunks are given back to their workers when all their events are committed.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipe/pipe_priv.h"

#define RETRY_PAUSE_US (200 * (int64_t)1000)
#define FULL_PAUSE_US  (1 * (int64_t)1000000)
#define IDLE_FIRST_US  (1 * (int64_t)1000000)
#define IDLE_LAST_US   (3600 * (int64_t)1000000)
#define TIDY_EVERY     8 /* batches under load */
#define LOG_EVERY_US   (10 * (int64_t)1000000)

struct committer {
    struct pipe *p;
    const struct store *store;
    struct finished *finished;
    struct persons *persons;
    struct buf text;

    struct mpsc_node *pending; /* messages taken and not yet handled */
    int workers_ended;
    bool
        is_abandoned; /* stopping took too long, or `fatal` came back: nothing is stored any more */

    struct prepared **events; /* of the open batch */
    size_t count, cap;
    size_t bytes;
    bool is_open; /* begin was called */
    int64_t opened_us;
    struct mpsc_node *chunks; /* all their events are in the batch */
    bool lost_merge; /* the event that failed has had its merge taken away: it deserves another try
                      */
    bool is_blocked;
    const char *step; /* for dead letters */

    int64_t clock_us; /* wall, of the chunk at hand */
    uint64_t seen;
    size_t batches_since_tidy;
    int64_t idle_us;
    uint64_t logged_events;
    int64_t logged_us;
};

struct committer *committer_new(struct pipe *p)
{
    struct committer *c = mem_new(struct committer);

    c->p = p;
    c->store = &p->opt.store;
    c->finished =
        finished_new(p->opt.position.offset, p->runs, p->opt.run_count,
                     p->opt.read_ahead_events + 2 * (size_t)READ_MAX + 2 * (size_t)GAP_SMALL);
    c->persons = persons_new(c->store);
    c->text = BUF_INIT(TEXT_MAX);
    c->idle_us = IDLE_FIRST_US;
    c->logged_us = clock_mono_us();
    p->offsets_max = finished_span(c->finished);
    p->cursor = finished_cursor(c->finished);
    finished_move(c->finished, p->cursor);
    return c;
}

static void chunk_done(struct pipe *p)
{
    int waiting = atomic_fetch_sub(&p->chunks_waiting, 1) - 1;

    for (int i = 0; waiting < CHUNKS_WAITING_MAX && i < p->opt.workers; i++) {
        if (atomic_load(&p->workers[i].holds_back) &&
            atomic_exchange(&p->workers[i].holds_back, false))
            mpsc_kick(&p->workers[i].inbox);
    }
}

/* Its events are done with: the feed's blocks and the chunk go back. */
static void chunk_give_back(struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->count; i++)
        feed_block_unref(chunk->events[i]->block);
    chunk->count = 0;
    mpsc_push(&chunk->worker->used_chunks, &chunk->message.node);
}

static void chunks_give_back(struct committer *c)
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
    persons_free(c->persons);
    buf_free(&c->text);
    mem_free(c->events);
    mem_free(c);
}

/* --- one event ----------------------------------------------------------------------------------
 */

static bool is_about_data(const struct err *err)
{
    return err->code != ERR_RETRY && err->code != ERR_FULL && err->code != ERR_IO &&
           err->code != ERR_CORRUPT;
}

static bool end_as(struct committer *c, struct prepared *e, enum outcome outcome)
{
    static const enum store_count counts[OUTCOME_COUNT] = {
        [OUTCOME_STORED] = STORE_COUNT_STORED,
        [OUTCOME_DUPLICATE] = STORE_COUNT_DUPLICATE,
        [OUTCOME_DROPPED] = STORE_COUNT_DROPPED,
        [OUTCOME_DEAD] = STORE_COUNT_DEAD,
    };

    e->outcome = outcome;
    c->store->ops->count(c->store->self, counts[outcome], e->team_id,
                         e->now_us ? e->now_us : (int64_t)e->time_us, e->event);
    return true;
}

static bool apply_merge(struct committer *c, struct prepared *e, struct err *err)
{
    if (person_merge_apply(c->store, c->p->opt.merge_policy_2023, e, &e->has_refused_merge, err))
        return true;
    if (is_about_data(err)) {
        /* The event is stored all the same, but not with half a merge: roll back and go without it.
         */
        log_warn("pipe", "persons were not merged", KV_I64("team", e->team_id), KV_ERR(err));
        e->merge = MERGE_NONE;
        c->lost_merge = true;
    }
    return false;
}

static bool insert_recording(struct committer *c, const struct prepared *e, struct err *err)
{
    struct recording_row row = {
        .uuid = e->uuid,
        .team_id = e->team_id,
        .distinct_id = e->distinct_id,
        .session_id = e->recording->session_id,
        .window_id = e->recording->window_id,
        .snapshot_data = e->recording->snapshot_data,
        .timestamp_us = e->timestamp_us,
    };

    c->step = "createEvent";
    return c->store->ops->recording_insert(c->store->self, &row, err);
}

static bool insert_event(struct committer *c, struct prepared *e, const struct person *person,
                         const struct slice keys[STORE_GROUP_TYPES_MAX], struct err *err)
{
    struct event_row row = {
        .uuid = e->uuid,
        .is_uuid_checked = e->is_uuid_checked,
        .team_id = e->team_id,
        .event = e->event,
        .distinct_id = e->distinct_id,
        .has_person = true,
        .person_uuid = person->uuid,
        .properties = e->row_properties,
        .elements_chain = SLICE(""),
        .timestamp_us = e->timestamp_us,
        .created_at_us = c->clock_us,
    };
    int64_t id;

    memcpy(row.group_keys, keys, sizeof(row.group_keys));
    e->has_person = true;
    e->person_uuid = person->uuid;
    c->step = "createEvent";
    return c->store->ops->event_insert(c->store->self, &row, &id, err);
}

static bool apply_live(struct committer *c, struct prepared *e, struct err *err)
{
    struct slice keys[STORE_GROUP_TYPES_MAX];
    struct person *person;
    bool is_seen = false;

    if (e->is_uuid_checked &&
        !c->store->ops->event_seen(c->store->self, e->team_id, &e->uuid, &is_seen, err))
        return false;
    if (is_seen)
        return end_as(c, e, OUTCOME_DUPLICATE);
    if (e->merge != MERGE_NONE && !apply_merge(c, e, err))
        return false;
    if (e->kind == PREPARED_SNAPSHOT)
        return persons_apply(c->persons, e, &person, err) && insert_recording(c, e, err) &&
               end_as(c, e, OUTCOME_STORED);
    return groups_apply(c->store, e, keys, err) && persons_apply(c->persons, e, &person, err) &&
           (!e->group_identify || groups_identify(c->store, e, c->clock_us, &c->text, err)) &&
           insert_event(c, e, person, keys, err) && end_as(c, e, OUTCOME_STORED);
}

static bool apply(struct committer *c, struct prepared *e, struct err *err)
{
    c->step = "prepareEvent";
    switch (e->kind) {
    case PREPARED_DROPPED:
        return end_as(c, e, OUTCOME_DROPPED);
    case PREPARED_DEAD:
        return dead_letter_store(c->store, e, c->clock_us, err) && end_as(c, e, OUTCOME_DEAD);
    case PREPARED_LOST:
        e->outcome = OUTCOME_DEAD;
        return true;
    default:
        return apply_live(c, e, err);
    }
}

static bool apply_timed(struct committer *c, struct prepared *e, struct err *err)
{
    int64_t before;
    bool ok;

    if (++c->seen % SAMPLE_EVERY != 0 || !c->p->meters.store_seconds)
        return apply(c, e, err);
    before = clock_mono_us();
    ok = apply(c, e, err);
    metric_observe(c->p->meters.store_seconds, (double)(clock_mono_us() - before) / 1e6);
    return ok;
}

/* --- transactions -------------------------------------------------------------------------------
 */

static void publish(struct pipe *p, uint64_t cursor, uint64_t bytes)
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
        tail_line(e, &c->text);
        if (!c->text.is_over)
            p->tail(e->team_id, e->event, buf_slice(&c->text), p->tail_ctx);
    }
}

static void log_progress(struct committer *c)
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
    finished_move(c->finished, cursor);
    publish(p, cursor, bytes);
    p->opt.feed.ops->release(p->opt.feed.self, cursor);
    atomic_fetch_add_explicit(&p->count_finished, to - from, memory_order_relaxed);
    atomic_store_explicit(&p->last_commit_us, now, memory_order_relaxed);
    atomic_store_explicit(&p->last_progress_us, now, memory_order_relaxed);
    count_committed(c, from, to);
    tell_tail(c, from, to);
    c->logged_events += to - from;
    log_progress(c);
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
    position.seen_end = MAX(position.seen_end, p->read_end);
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

static void roll_back(struct committer *c)
{
    c->store->ops->rollback(c->store->self);
    persons_forget(c->persons);
    c->is_open = false;
}

static bool begin(struct committer *c, struct err *err)
{
    c->is_open = c->store->ops->begin(c->store->self, err);
    return c->is_open;
}

/* Events [from, to) in one transaction: all or none. *bad is the one that failed, `to` when it was
 * none of them. */
static bool run_range(struct committer *c, size_t from, size_t to, size_t *bad, struct err *err)
{
    *bad = to;
    c->lost_merge = false;
    c->clock_us = clock_wall_us();
    if (!begin(c, err)) {
        /* Nothing to do with the events, whatever the store says. */
        err->code = is_about_data(err) ? ERR_RETRY : err->code;
        return false;
    }
    for (size_t i = from; i < to; i++) {
        if (!apply_timed(c, c->events[i], err)) {
            *bad = i;
            roll_back(c);
            return false;
        }
    }
    if (!commit_range(c, from, to, err)) {
        roll_back(c);
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

static void die(struct committer *c, const struct err *err)
{
    log_error("pipe", "the database is not to be trusted", KV_ERR(err));
    c->p->opt.fatal(err, c->p->opt.ctx);
    c->is_abandoned = true;
}

/* The event failed alone: a dead letter; when even that fails, only its offset is finished. */
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

/* Brings the events of the batch to an end, whatever it takes. False when the pipe gives up or the
 * store is lost. */
static bool settle(struct committer *c)
{
    size_t from = 0;
    size_t end = c->count;
    bool one_by_one = false;

    while (from < c->count) {
        struct err err = ERR_INIT;
        size_t bad;

        if (run_range(c, from, end, &bad, &err)) {
            is_well(c);
            from = end;
            end = one_by_one ? from + 1 : c->count;
        } else if (err.code == ERR_IO || err.code == ERR_CORRUPT) {
            die(c, &err);
            return false;
        } else if (!is_about_data(&err)) {
            if (!wait_for_store(c, &err))
                return false;
        } else if (c->lost_merge) {
            continue; /* the same again, without the merge */
        } else if (end - from == 1 && c->events[from]->kind == PREPARED_LOST) {
            err.code = ERR_RETRY; /* nothing is stored and yet it fails: the store is ill */
            if (!wait_for_store(c, &err))
                return false;
        } else if (end - from == 1) {
            bury(c->events[from], c->step, &err);
        } else if (bad > from && bad < end) {
            end = bad;
        } else {
            one_by_one |= bad == end;
            end = from + 1;
        }
    }
    return true;
}

/* --- the batch ----------------------------------------------------------------------------------
 */

static void close_batch(struct committer *c)
{
    c->count = 0;
    c->bytes = 0;
    c->batches_since_tidy++;
    chunks_give_back(c);
}

static void abandon(struct committer *c)
{
    c->is_abandoned = true;
    c->count = 0;
}

static void commit_batch(struct committer *c)
{
    struct err err = ERR_INIT;

    if (!c->is_open)
        return;
    if (commit_range(c, 0, c->count, &err)) {
        c->is_open = false;
        is_well(c);
    } else {
        roll_back(c);
        if (err.code == ERR_IO || err.code == ERR_CORRUPT)
            die(c, &err);
        if (c->is_abandoned || !settle(c))
            abandon(c);
    }
    close_batch(c);
}

static void add_event(struct committer *c, struct prepared *e)
{
    struct err err = ERR_INIT;

    if (c->count == c->cap) {
        c->cap = MAX(1024, 2 * c->cap);
        c->events = mem_realloc(c->events, c->cap * sizeof(struct prepared *));
    }
    c->events[c->count++] = e;
    c->bytes += e->payload.len + e->properties.len;
    if (!c->is_open) {
        c->opened_us = clock_mono_us();
        if (begin(c, &err) && apply_timed(c, e, &err))
            return;
    } else if (apply_timed(c, e, &err)) {
        return;
    }
    if (c->is_open)
        roll_back(c);
    if (err.code == ERR_IO || err.code == ERR_CORRUPT)
        die(c, &err);
    if (c->is_abandoned || !settle(c))
        abandon(c);
    close_batch(c);
}

static void take_chunk(struct committer *c, struct chunk *chunk)
{
    const struct pipe_options *opt = &c->p->opt;

    c->clock_us = clock_wall_us();
    for (size_t i = 0; i < chunk->count && !c->is_abandoned; i++)
        add_event(c, chunk->events[i]);
    chunk->message.node.next = c->chunks;
    c->chunks = &chunk->message.node;
    chunk_done(c->p);
    if (!c->is_open)
        chunks_give_back(c); /* the last event ended with a transaction of its own */
    else if (c->count >= opt->batch_events || c->bytes >= opt->batch_bytes ||
             clock_mono_us() - c->opened_us >= opt->batch_us)
        commit_batch(c);
}

static void take_gap(struct committer *c, struct gap *gap)
{
    uint64_t cursor;

    finished_gap(c->finished, gap->from, gap->to);
    cursor = finished_cursor(c->finished);
    finished_move(c->finished, cursor);
    publish(c->p, cursor, 0);
    mem_free(gap);
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

/* --- calls, upkeep, the thread ------------------------------------------------------------------
 */

static void run_call(struct committer *c, struct pipe_call *call)
{
    const struct store *store = c->store;
    struct err err = ERR_INIT;
    bool ok = false;

    if (c->is_abandoned || atomic_load(&c->p->is_stopping)) {
        err_set(&err, ERR_STOP, "the pipeline is stopping");
    } else if (begin(c, &err)) {
        ok = call->fn(&c->p->opt.store, call->ctx, &err) &&
             store->ops->commit(store->self, NULL, NULL, 0, &err);
        if (!ok)
            roll_back(c);
        c->is_open = false;
    }
    if (!ok && (err.code == ERR_IO || err.code == ERR_CORRUPT))
        die(c, &err);
    call->done(call->ctx, ok, &err);
}

static void run_calls(struct committer *c)
{
    struct mpsc_node *next;

    if (mpsc_is_empty(&c->p->calls))
        return;
    commit_batch(c);
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
            die(c, &err);
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
            commit_batch(c);
        return;
    }
    log_progress(c);
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

void committer_run(void *arg)
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
    commit_batch(c);
    close_calls(p);
}
