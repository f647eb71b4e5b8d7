/* The FEED thread: reads the feed and deals its records to the workers.
 *
 * Offsets are what STORE counts by, so FEED accounts for each of them exactly once: dealt to a
 * worker, known as finished (the runs that the store kept from before), or missing in the feed (a
 * gap, which STORE is told about).
 *
 * FEED runs ahead of the cursor by a bounded number of offsets and of bytes, and of STORE by a
 * bounded number of chunks (a prepared event takes several times its bytes), then sleeps until
 * STORE has caught up. An offset that would not fit STORE's window, and one behind a big gap, waits
 * until everything below the gap is stored.
 *
 * Under a stream of single events each sync would wake FEED, a worker and STORE for a handful of
 * records. So a read that brought few, right after another, is followed by a short pause in which
 * more gather. An event that comes alone is never delayed.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipe/pipe_priv.h"

#define READ_TIMEOUT_US (60 * (int64_t)1000000)
#define RETRY_US        (1 * (int64_t)1000000)
#define FEW_RECORDS     256
#define GATHER_US       ((int64_t)2000)

struct pump {
    struct pipe *p;
    uint64_t next;   /* first offset not accounted for */
    size_t run_at;   /* first run that may still matter */
    int64_t read_us; /* monotonic, of the last read */
    size_t *counts;  /* per worker, of one read */
    struct deal **deals;
    struct feed_record records[READ_MAX];
};

static bool is_stopping(const struct pipe *p)
{
    return atomic_load_explicit(&p->is_stopping, memory_order_acquire);
}

/* Waits until something may be read; false when the pipe stops. */
static bool wait_for_room(struct pump *f, size_t *records, size_t *bytes)
{
    struct pipe *p = f->p;
    bool has_room = false;

    lock_take(&p->lock);
    while (!is_stopping(p) && !has_room) {
        uint64_t ahead = f->next > p->cursor ? f->next - p->cursor : 0;

        has_room = ahead < p->opt.read_ahead_events &&
                   p->in_flight_bytes < p->opt.read_ahead_bytes &&
                   atomic_load(&p->chunks_waiting) < CHUNKS_AHEAD_MAX;
        if (has_room) {
            *records = (size_t)MIN(p->opt.read_ahead_events - ahead, (uint64_t)READ_MAX);
            *bytes =
                (size_t)MIN(p->opt.read_ahead_bytes - p->in_flight_bytes, (uint64_t)READ_BYTES_MAX);
        } else {
            cond_wait(&p->moved, &p->lock);
        }
    }
    lock_drop(&p->lock);
    return has_room;
}

/* Waits until the cursor has reached `offset`; false when the pipe gives up before. */
static bool wait_for_cursor(struct pump *f, uint64_t offset)
{
    struct pipe *p = f->p;
    bool is_there;

    lock_take(&p->lock);
    while (!(is_there = p->cursor >= offset) && !is_stopping(p))
        cond_wait(&p->moved, &p->lock);
    lock_drop(&p->lock);
    return is_there;
}

static void pause_after_error(struct pipe *p)
{
    lock_take(&p->lock);
    if (!is_stopping(p))
        cond_wait_us(&p->moved, &p->lock, RETRY_US);
    lock_drop(&p->lock);
}

/* A read has just brought `got` records. */
static void gather(struct pump *f, int got)
{
    struct pipe *p = f->p;
    int64_t now = clock_mono_us();
    bool is_stream = got > 0 && got < FEW_RECORDS && now - f->read_us < 2 * GATHER_US;

    f->read_us = now;
    if (!is_stream)
        return;
    lock_take(&p->lock);
    if (!is_stopping(p))
        cond_wait_us(&p->moved, &p->lock, GATHER_US);
    lock_drop(&p->lock);
    f->read_us += GATHER_US;
}

static void deal(struct pump *f, const struct feed_record *records, size_t count)
{
    struct pipe *p = f->p;
    size_t workers = (size_t)p->opt.workers;
    uint64_t bytes = 0;

    memset(f->counts, 0, workers * sizeof(*f->counts));
    for (size_t i = 0; i < count; i++) {
        f->counts[records[i].key_hash % workers]++;
        bytes += records[i].payload.len;
    }
    for (size_t i = 0; i < workers; i++) {
        f->deals[i] =
            f->counts[i]
                ? mem_alloc(sizeof(struct deal) + f->counts[i] * sizeof(struct feed_record))
                : NULL;
        if (f->deals[i])
            f->deals[i]->count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct deal *d = f->deals[records[i].key_hash % workers];

        d->records[d->count++] = records[i];
    }
    lock_take(&p->lock);
    p->in_flight_bytes += bytes;
    p->read_end = MAX(p->read_end, f->next);
    lock_drop(&p->lock);
    atomic_fetch_add_explicit(&p->count_read, count, memory_order_relaxed);
    for (size_t i = 0; i < workers; i++) {
        if (!f->deals[i])
            continue;
        f->deals[i]->message.kind = MESSAGE_DEAL;
        mpsc_push(&p->workers[i].inbox, &f->deals[i]->message.node);
    }
}

static bool is_finished(struct pump *f, uint64_t offset)
{
    const struct pipe *p = f->p;

    if (offset < f->next)
        return true; /* below the cursor the store was given */
    while (f->run_at < p->opt.run_count && p->runs[f->run_at].to <= offset)
        f->run_at++;
    return f->run_at < p->opt.run_count && p->runs[f->run_at].from <= offset;
}

static void tell_gap(struct pump *f, uint64_t to)
{
    struct gap *g = mem_new(struct gap);

    g->message.kind = MESSAGE_GAP;
    g->from = f->next;
    g->to = to;
    mpsc_push(&f->p->inbox, &g->message.node);
}

static void drop_records(const struct feed_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        feed_block_unref(records[i].block);
}

/* Does the offset have to wait until everything before it is stored? */
static bool must_wait(struct pump *f, uint64_t offset)
{
    struct pipe *p = f->p;
    bool must;

    lock_take(&p->lock);
    must = offset > p->cursor &&
           (offset - p->cursor >= p->offsets_max || offset - f->next > GAP_SMALL);
    lock_drop(&p->lock);
    return must;
}

/* Deals one read. Records are kept in place: those to deal move to the front of `records`. A hole
 * is told whatever stands behind it: before a finished run, too, the cursor would stop there. */
static void take_records(struct pump *f, struct feed_record *records, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t offset = records[i].offset;
        bool is_done = is_finished(f, offset);

        if (!(is_done && offset <= f->next) && must_wait(f, offset)) {
            deal(f, records, kept);
            kept = 0;
            if (!wait_for_cursor(f, f->next)) {
                drop_records(records + i, count - i);
                return;
            }
        }
        if (offset > f->next)
            tell_gap(f, offset);
        f->next = MAX(f->next, offset + 1);
        if (is_done)
            feed_block_unref(records[i].block);
        else
            records[kept++] = records[i];
    }
    deal(f, records, kept);
}

/* A hole that no record stands behind (yet): it is told at once, or the cursor would wait for an
 * event that may never come. */
static void take_end(struct pump *f, uint64_t passed)
{
    if (passed <= f->next || (must_wait(f, passed) && !wait_for_cursor(f, f->next)))
        return;
    tell_gap(f, passed);
    f->next = passed;
    deal(f, NULL, 0);
}

void feed_pump_run(void *arg)
{
    struct pipe *p = arg;
    struct feed_reader *feed = &p->opt.feed;
    struct pump *f = mem_new(struct pump);
    size_t records, bytes;

    ASSERT_THREAD(FEED);
    f->p = p;
    f->next = p->opt.position.offset;
    f->counts = mem_new_array(size_t, (size_t)p->opt.workers);
    f->deals = mem_new_array(struct deal *, (size_t)p->opt.workers);
    while (wait_for_room(f, &records, &bytes)) {
        struct err err = ERR_INIT;
        int got = feed->ops->read(feed->self, f->records, records, bytes, READ_TIMEOUT_US, &err);

        if (got == -1) {
            log_error("pipe", "the queue cannot be read, trying again", KV_ERR(&err));
            pause_after_error(p);
            continue;
        }
        take_records(f, f->records, (size_t)got);
        if (!is_stopping(p)) /* else records may have been left */
            take_end(f, feed->ops->passed(feed->self));
        gather(f, got);
    }
    for (int i = 0; i < p->opt.workers; i++) {
        p->workers[i].feed_stop.kind = MESSAGE_STOP;
        mpsc_push(&p->workers[i].inbox, &p->workers[i].feed_stop.node);
    }
    mem_free(f->counts);
    mem_free(f->deals);
    mem_free(f);
}
