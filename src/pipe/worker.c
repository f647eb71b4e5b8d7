/* A PIPE thread: takes deals of records, runs the steps on each event, sends chunks of prepared
 * events to STORE.
 *
 * Order. Records of one key come to one worker in feed order and leave in the same order: a chunk
 * is filled front to back and STORE takes chunks in the order they were pushed. A step that holds
 * an event (STEP_HOLD) lets later events of other keys pass; later records of the same key are put
 * aside and follow when the held one is done.
 *
 * The work of an event that is not held is reused for the next event; a held one stays with its
 * step, the worker goes on with another. A chunk is sent when it is full or when the worker has
 * nothing more to read, so that under load STORE gets big chunks and otherwise every event at once.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "pipe/pipe_priv.h"

#define TURN_EVERY      64 /* events of a deal, so that plugins' timers are not late */
#define PLUGINS_STOP_US (5 * (int64_t)1000000)

struct waiting { /* a record behind a held one */
    struct waiting *next;
    struct feed_record record;
};

struct held_key {
    struct step_work *work;
    struct waiting *first;
    struct waiting **last;
};

/* --- chunks ----------------------------------------------------------------------------------- */

static struct chunk *chunk_new(struct worker *w)
{
    struct chunk *c = mem_new(struct chunk);

    c->message.kind = MESSAGE_CHUNK;
    c->worker = w;
    c->arena = arena_new(CHUNK_ARENA_BYTES);
    return c;
}

void worker_chunk_free(struct chunk *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        feed_block_unref(c->events[i]->block);
    arena_free(c->arena);
    mem_free(c);
}

/* Chunks that STORE has given back come first; a few are kept, the rest is freed. */
static struct chunk *chunk_take(struct worker *w)
{
    struct mpsc_node *node = mpsc_take_all(&w->used_chunks);
    struct chunk *c;

    while (node) {
        struct mpsc_node *next = node->next;

        if (w->free_chunk_count < CHUNKS_KEPT) {
            node->next = w->free_chunks;
            w->free_chunks = node;
            w->free_chunk_count++;
        } else {
            worker_chunk_free((struct chunk *)(void *)node);
        }
        node = next;
    }
    if (!w->free_chunks)
        return chunk_new(w);
    c = (struct chunk *)(void *)w->free_chunks;
    w->free_chunks = w->free_chunks->next;
    w->free_chunk_count--;
    c->count = 0;
    arena_reset(c->arena);
    return c;
}

static void chunk_send(struct worker *w)
{
    atomic_fetch_add(&w->pipe->chunks_waiting, 1);
    mpsc_push(&w->pipe->inbox, &w->out->message.node);
    w->out = NULL;
}

/* There is nothing more to read. While STORE has enough to do, a chunk that is not full waits for
 * more events; STORE kicks workers that hold back when it has caught up. The flag is raised before
 * looking again, so that one sees the other. */
static void chunk_send_rest(struct worker *w)
{
    if (!w->out)
        return;
    atomic_store(&w->holds_back, true);
    if (atomic_load(&w->pipe->chunks_waiting) >= CHUNKS_WAITING_MAX)
        return;
    atomic_store(&w->holds_back, false);
    chunk_send(w);
}

struct prepared *worker_output(struct step_work *work)
{
    struct worker *w = work->worker;
    struct prepared *e;

    if (work->out)
        return work->out;
    if (!w->out)
        w->out = chunk_take(w);
    e = arena_new_obj(w->out->arena, struct prepared);
    w->out->events[w->out->count++] = e;
    e->arena = w->out->arena;
    e->offset = work->record.offset;
    e->time_us = work->record.time_us;
    e->type = work->record.type;
    e->payload = work->record.payload;
    e->block = work->record.block; /* the record's reference goes over */
    work->record.block = NULL;
    work->out = e;
    return e;
}

struct slice worker_keep_text(struct step_work *work, struct slice text)
{
    return work->plugin.texts ? arena_dup(worker_output(work)->arena, text) : text;
}

/* --- works ------------------------------------------------------------------------------------ */

static struct step_work *work_take(struct worker *w)
{
    struct step_work *work = w->spare_works;

    if (work)
        w->spare_works = work->next_spare;
    else
        work = mem_new(struct step_work);
    work->worker = w;
    return work;
}

static void work_give(struct worker *w, struct step_work *work)
{
    plugin_event_release(&work->plugin);
    json_doc_free(&work->doc);
    feed_block_unref(work->record.block);
    work->record.block = NULL;
    work->out = NULL;
    work->next_spare = w->spare_works;
    w->spare_works = work;
}

static void finish_work(struct worker *w, struct step_work *work, enum step_result result)
{
    struct prepared *e = worker_output(work);

    if (result == STEP_DROP) {
        e->kind = PREPARED_DROPPED;
    } else if (result == STEP_DEAD) {
        e->kind = PREPARED_DEAD;
        e->dead_reason = work->dead_reason;
        e->dead_step = work->step == 0 ? NULL : w->pipe->steps[work->step].name;
        e->dead_text = slice_cstr(arena_dup_cstr(e->arena, slice_cstr(work->err.text)));
    }
    if (e->kind != PREPARED_EVENT && e->kind != PREPARED_SNAPSHOT && work->envelope.team_id) {
        /* Ended before `prepare`: what the counters and the dead letter need. */
        e->team_id = work->envelope.team_id;
        e->uuid = work->envelope.uuid;
        e->is_uuid_checked = (work->envelope.flags & EVENT_UUID_CHECKED) != 0;
        e->distinct_id = worker_keep_text(work, work->envelope.distinct_id);
        e->now_us = work->envelope.now_us;
    }
    work_give(w, work);
    if (w->out->count == CHUNK_MAX || arena_bytes(w->out->arena) > CHUNK_BYTES_MAX)
        chunk_send(w);
}

static enum step_result run_step(struct worker *w, struct step_work *work)
{
    const struct step *step = &w->pipe->steps[work->step];
    int64_t before;
    enum step_result result;

    if (w->seen % SAMPLE_EVERY != 0 || !w->pipe->meters.step_seconds[work->step])
        return step->fn(work, &work->err);
    before = clock_mono_us();
    result = step->fn(work, &work->err);
    metric_observe(w->pipe->meters.step_seconds[work->step],
                   (double)(clock_mono_us() - before) / 1e6);
    return result;
}

/* Runs the steps from work->step on. False when one of them holds the event. */
static bool run_steps(struct worker *w, struct step_work *work)
{
    for (;; work->step++) {
        enum step_result result = run_step(w, work);

        if (result == STEP_HOLD)
            return false;
        if (result != STEP_NEXT || work->step + 1 == w->pipe->step_count) {
            finish_work(w, work, result);
            return true;
        }
        work->dead_reason = DEAD_STEP;
    }
}

static struct slice key_of(const uint64_t *key_hash)
{
    return slice_make(key_hash, sizeof(*key_hash));
}

static struct step_work *start_work(struct worker *w, const struct feed_record *record)
{
    struct step_work *work = work_take(w);

    work->record = *record;
    work->envelope = (struct event_envelope){0};
    work->step = 0;
    work->err.code = ERR_NONE;
    work->err.text[0] = '\0';
    work->dead_reason = DEAD_UNPARSABLE;
    w->seen++;
    return work;
}

static void put_aside(struct held_key *key, const struct feed_record *record)
{
    struct waiting *more = mem_new(struct waiting);

    more->record = *record;
    *key->last = more;
    key->last = &more->next;
}

static void take_record(struct worker *w, const struct feed_record *record)
{
    struct held_key *key = map_count(w->held) ? map_get(w->held, key_of(&record->key_hash)) : NULL;
    struct step_work *work;

    if (key) {
        put_aside(key, record);
        return;
    }
    work = start_work(w, record);
    if (run_steps(w, work))
        return;
    key = mem_new(struct held_key);
    key->work = work;
    key->last = &key->first;
    map_put(w->held, key_of(&record->key_hash), key);
}

/* The held event is done; what waited behind it follows, until one of them is held in its turn. */
static void release_key(struct worker *w, uint64_t key_hash)
{
    struct held_key *key = map_get(w->held, key_of(&key_hash));
    struct waiting *next;

    while ((next = key->first)) {
        struct step_work *work = start_work(w, &next->record);

        key->first = next->next;
        if (!key->first)
            key->last = &key->first;
        mem_free(next);
        if (!run_steps(w, work)) {
            key->work = work;
            return;
        }
    }
    map_remove(w->held, key_of(&key_hash));
    mem_free(key);
}

void worker_resume(struct step_work *work, enum step_result result)
{
    struct worker *w = work->worker;
    uint64_t key_hash = work->record.key_hash;

    if (result == STEP_NEXT && work->step + 1 < w->pipe->step_count) {
        work->step++;
        if (!run_steps(w, work))
            return;
    } else {
        finish_work(w, work, result);
    }
    release_key(w, key_hash);
}

void step_resume(struct step_work *work, enum step_result result, const struct err *err)
{
    CHECK(result != STEP_HOLD);
    work->result = result;
    if (err)
        work->err = *err;
    work->message.kind = MESSAGE_RESUME;
    mpsc_push(&work->worker->inbox, &work->message.node);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void take_deal(struct worker *w, struct deal *deal)
{
    bool gives_up = atomic_load_explicit(&w->pipe->gives_up, memory_order_relaxed);

    for (size_t i = 0; i < deal->count; i++) {
        if (gives_up)
            feed_block_unref(deal->records[i].block); /* it stays in the feed */
        else
            take_record(w, &deal->records[i]);
        if (w->plugins && i % TURN_EVERY == TURN_EVERY - 1)
            plugin_worker_turn(w->plugins);
    }
    mem_free(deal);
}

/* True when the message says that FEED has ended. */
static bool take_message(struct worker *w, struct message *m)
{
    switch (m->kind) {
    case MESSAGE_DEAL:
        take_deal(w, (struct deal *)(void *)m);
        return false;
    case MESSAGE_RESUME: {
        struct step_work *work = CONTAINER_OF(m, struct step_work, message);

        worker_resume(work, work->result);
        return false;
    }
    default:
        return true;
    }
}

/* Documents belong to the thread that read them; the works themselves go with the worker. */
static void free_held_docs(struct worker *w)
{
    struct map_iter it = {0};
    struct slice name;
    void *key;

    while (map_next(w->held, &it, &name, &key)) {
        struct step_work *work = ((struct held_key *)key)->work;

        plugin_event_release(&work->plugin);
        json_doc_free(&work->doc);
    }
}

static void wake_worker(void *worker)
{
    mpsc_kick(&((struct worker *)worker)->inbox);
}

/* Runtimes belong to the thread that made them. */
static void start_plugins(struct worker *w)
{
    if (w->pipe->opt.plugins)
        w->plugins = plugin_worker_new(w->pipe->opt.plugins, w->number, wake_worker, w);
}

static void stop_plugins(struct worker *w)
{
    if (!w->plugins)
        return;
    plugin_worker_stop(w->plugins, clock_mono_us() + PLUGINS_STOP_US);
    plugin_worker_free(w->plugins);
    w->plugins = NULL;
}

/* Sleeps until there is a message or a plugin has something to do. */
static void wait_for_work(struct worker *w)
{
    int64_t due = w->plugins ? plugin_worker_due_us(w->plugins) : INT64_MAX;

    if (due == INT64_MAX)
        mpsc_wait(&w->inbox, -1);
    else if (due > 0)
        mpsc_wait(&w->inbox, MAX(due - clock_mono_us(), 0));
}

void worker_run(void *arg)
{
    struct worker *w = arg;
    bool is_ending = false;

    ASSERT_THREAD(PIPE);
    start_plugins(w);
    for (;;) {
        struct mpsc_node *node = mpsc_take_all(&w->inbox);

        if (!node) {
            bool gives_up = atomic_load(&w->pipe->gives_up);

            if (is_ending && (map_count(w->held) == 0 || gives_up))
                break;
            chunk_send_rest(w);
            wait_for_work(w);
        }
        while (node) {
            struct mpsc_node *next = node->next;

            is_ending |= take_message(w, CONTAINER_OF(node, struct message, node));
            node = next;
        }
        if (w->plugins)
            plugin_worker_turn(w->plugins);
    }
    if (w->out)
        chunk_send(w);
    stop_plugins(w);
    free_held_docs(w);
    w->stop.kind = MESSAGE_STOP;
    mpsc_push(&w->pipe->inbox, &w->stop.node);
}

void worker_init(struct worker *w, struct pipe *p, int number)
{
    *w = (struct worker){.pipe = p, .number = number};
    mpsc_init(&w->inbox, "pipe inbox", NULL, NULL);
    mpsc_init(&w->used_chunks, "used chunks", NULL, NULL);
    w->held = map_new();
    draft_init(&w->properties);
    draft_init(&w->set);
    draft_init(&w->set_once);
    draft_init(&w->first);
    w->text = BUF_INIT(TEXT_MAX);
    w->small = BUF_INIT(TEXT_MAX);
}

static void free_held(struct worker *w)
{
    struct map_iter it = {0};
    struct slice name;
    void *value;

    while (map_next(w->held, &it, &name, &value)) {
        struct held_key *key = value;
        struct waiting *next;

        for (struct waiting *at = key->first; at; at = next) {
            next = at->next;
            feed_block_unref(at->record.block);
            mem_free(at);
        }
        work_give(w, key->work);
        mem_free(key);
    }
    map_free(w->held);
}

/* After the thread has ended (or never started). A resumed work in the inbox is still held. */
void worker_fini(struct worker *w)
{
    struct mpsc_node *next;

    for (struct mpsc_node *node = mpsc_take_all(&w->inbox); node; node = next) {
        struct message *m = CONTAINER_OF(node, struct message, node);

        next = node->next;
        if (m->kind != MESSAGE_DEAL)
            continue;
        for (size_t i = 0; i < ((struct deal *)(void *)m)->count; i++)
            feed_block_unref(((struct deal *)(void *)m)->records[i].block);
        mem_free(m);
    }
    free_held(w);
    while (w->spare_works) {
        struct step_work *work = w->spare_works;

        w->spare_works = work->next_spare;
        mem_free(work);
    }
    for (struct mpsc_node *node = mpsc_take_all(&w->used_chunks); node; node = next) {
        next = node->next;
        worker_chunk_free((struct chunk *)(void *)node);
    }
    for (struct mpsc_node *node = w->free_chunks; node; node = next) {
        next = node->next;
        worker_chunk_free((struct chunk *)(void *)node);
    }
    worker_chunk_free(w->out);
    team_set_unref(w->teams);
    draft_fini(&w->properties);
    draft_fini(&w->set);
    draft_fini(&w->set_once);
    draft_fini(&w->first);
    buf_free(&w->text);
    buf_free(&w->small);
    mpsc_fini(&w->inbox);
    mpsc_fini(&w->used_chunks);
}
