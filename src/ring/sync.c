/* sync.c - the SYNC thread: groups from the queue onto the disk, one fdatasync for all that waited.
 *
 * A "run" is what goes to the current segment with one write and one sync: whole groups, stamped
 * with sequence, flags and checksum. A group that does not fit the rest of the segment goes to the
 * next one; only a group larger than a segment spans segments, each synced before the next head is
 * written, so that a head on disk always means: everything below my base is on disk.
 *
 * Every write is filled up with zeros to the end of its last page. That spares the kernel reading
 * the page before changing part of it, and makes the end of the lap plain to see. Before the thread
 * sleeps it leaves a mark record behind the last one (not synced: it only has to survive with the
 * rest, see recover.c). What happens after a failure stands in
 * lap.c.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "ring/ring_priv.h"

#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define IOV_COUNT    1024 /* IOV_MAX of Linux */
#define STOP_POLL_US 1000
#define END_BYTES    40u /* zeros that must follow: a head, on the 8-byte grid */

void sync_init(struct ring *r)
{
    struct ring_writer_state *w = &r->writer;

    w->fd = -1;
    w->is_clean = true;
    w->iov = mem_new_array(struct iovec, IOV_COUNT);
    w->zeros = mem_zalloc(2 * RING_PAGE);
}

void sync_fini(struct ring *r)
{
    struct ring_writer_state *w = &r->writer;

    if (w->fd != -1)
        close(w->fd);
    w->fd = -1;
    mem_free(w->iov);
    mem_free(w->zeros);
    mem_free(w->answers);
}

static uint64_t rest_of(const struct ring_writer_state *w)
{
    return w->seg ? w->seg->bytes - w->at : 0;
}

/* --- completing groups --- */

static struct feed_group *next_of(const struct feed_group *g)
{
    return (struct feed_group *)(void *)g->node.next;
}

static void fail_group(struct ring *r, struct feed_group *g, const struct err *err)
{
    atomic_fetch_sub(&r->pending, g->bytes);
    g->done(g->ctx, err);
    feed_group_free(g);
}

static void fail_list(struct ring *r, struct feed_group *g, const struct err *err)
{
    while (g) {
        struct feed_group *next = next_of(g);

        fail_group(r, g, err);
        g = next;
    }
}

/* The groups are on disk: hand them to the reader, then answer. In this order an event that was
 * answered can be read; the reader may free the groups at once, so the answers are noted before. */
static void acknowledge(struct ring *r, struct feed_group *first, struct feed_group *last,
                        size_t groups)
{
    struct ring_writer_state *w = &r->writer;
    const struct err none = ERR_INIT;
    struct feed_group *g = first;
    size_t bytes = 0;
    size_t records = 0;

    if (groups > w->answer_cap) {
        w->answer_cap = groups * 2;
        w->answers = mem_realloc(w->answers, w->answer_cap * sizeof(*w->answers));
    }
    for (size_t i = 0; i < groups; i++, g = next_of(g)) {
        w->answers[i] = (struct ring_answer){.done = g->done, .ctx = g->ctx};
        bytes += g->bytes;
        records += g->count;
    }
    metric_add(r->metrics.appended, records);
    reader_publish(r, first, last, bytes, w->next);
    /* Who is answered finds room for the next one. */
    atomic_fetch_sub(&r->pending, bytes);
    for (size_t i = 0; i < groups; i++)
        w->answers[i].done(w->answers[i].ctx, &none);
}

/* --- writing --- */

/* Pieces of memory on their way to the file. (Gathering small groups in one buffer first was not
 * measurably faster than many small pieces.) */
struct gather {
    int count;   /* of writer.iov */
    uint64_t at; /* file offset of the first */
    uint64_t bytes;
};

static bool gather_flush(struct ring *r, struct gather *ga, struct err *err)
{
    struct ring_writer_state *w = &r->writer;

    if (ga->count && !segment_write(w->fd, w->iov, ga->count, ga->at, w->path, err))
        return false;
    *ga = (struct gather){.at = ga->at + ga->bytes};
    return true;
}

static bool gather_add(struct ring *r, struct gather *ga, char *bytes, size_t len, struct err *err)
{
    if (ga->count == IOV_COUNT && !gather_flush(r, ga, err))
        return false;
    r->writer.iov[ga->count++] = (struct iovec){.iov_base = bytes, .iov_len = len};
    ga->bytes += len;
    return true;
}

/* Zeros to the end of the page, and at least what ends a lap when there is room. */
static bool gather_end(struct ring *r, struct gather *ga, struct err *err)
{
    struct ring_writer_state *w = &r->writer;
    uint64_t end = ga->at + ga->bytes;
    uint64_t to = (end + END_BYTES + RING_PAGE - 1) & ~(uint64_t)(RING_PAGE - 1);

    to = MIN(to, w->seg->bytes);
    if (to > end && !gather_add(r, ga, w->zeros, (size_t)(to - end), err))
        return false;
    return gather_flush(r, ga, err);
}

/* A write or sync failed; nothing from sequence `first` on counts. `failed`: linked, to be
 * answered. */
static void give_up(struct ring *r, uint64_t first, struct feed_group *failed,
                    const struct err *err)
{
    lap_break(r, first, err);
    fail_list(r, failed, err);
}

static bool sync_now(struct ring *r, struct err *err)
{
    struct ring_writer_state *w = &r->writer;
    int64_t start = clock_mono_us();

    fault_crash("ring.before_sync");
    if (!segment_sync(w->fd, w->path, err))
        return false;
    fault_crash("ring.synced");
    metric_observe(r->metrics.fsync, (double)(clock_mono_us() - start) / 1e6);
    w->is_clean = true;
    return true;
}

/* What was written up to file offset `at` (sequence w->next): sync as the mode wants, note it. */
static bool settle(struct ring *r, uint64_t at, bool must_sync, struct err *err)
{
    struct ring_writer_state *w = &r->writer;
    size_t wanted;

    w->has_mark = false;
    if (w->is_clean) {
        w->is_clean = false;
        w->dirty_since_us = clock_mono_us();
    }
    if (r->opt.sync == RING_SYNC_ALWAYS || (must_sync && r->opt.sync == RING_SYNC_INTERVAL) ||
        (r->opt.sync == RING_SYNC_INTERVAL &&
         clock_mono_us() - w->dirty_since_us >= RING_INTERVAL_US)) {
        if (!sync_now(r, err))
            return false;
    }
    w->at = at;
    w->bound = w->next;
    lock_take(&r->lock);
    wanted = retain_spares_wanted(w->seg);
    retain_note_used(r, w->seg, at);
    segment_mark_add(w->seg, w->next, at);
    if (retain_spares_wanted(w->seg) > wanted)
        cond_signal(&r->tidy_cond);
    lock_drop(&r->lock);
    return true;
}

static uint64_t stamp(struct ring_writer_state *w, struct feed_group *g, size_t from, size_t to,
                      uint64_t sequence, bool is_write_start)
{
    for (size_t at = from; at < to; sequence++) {
        struct record_head head;
        unsigned flags = 0;

        memcpy(&head, g->block->bytes + at, sizeof(head));
        if (at == 0)
            flags |= RECORD_FLAG_FIRST;
        if (at + record_bytes(head.length) == g->bytes)
            flags |= RECORD_FLAG_LAST;
        if (at == from && is_write_start && w->is_clean)
            flags |= RECORD_FLAG_SYNCED;
        record_stamp(g->block->bytes + at, w->seg->use.lap_id, sequence, (uint16_t)flags);
        at += record_bytes(head.length);
    }
    return sequence;
}

/* Writes and answers the run. On failure too: then its groups are answered with the error. */
static void flush(struct ring *r)
{
    struct ring_writer_state *w = &r->writer;
    struct feed_group *first = w->run;
    struct feed_group *last = w->run_last;
    size_t groups = w->run_groups;
    struct gather ga = {.at = w->at};
    uint64_t at = w->at + w->run_bytes;
    struct err err = ERR_INIT;
    bool ok = true;

    if (!first)
        return;
    metric_observe(r->metrics.group_size, (double)groups);
    w->run = w->run_last = NULL;
    w->run_bytes = 0;
    w->run_groups = 0;
    last->node.next = NULL;
    for (struct feed_group *g = first; ok && g; g = next_of(g))
        ok = gather_add(r, &ga, g->block->bytes, g->bytes, &err);
    fault_crash("ring.before_write");
    if (ok && gather_end(r, &ga, &err) && settle(r, at, false, &err))
        acknowledge(r, first, last, groups);
    else
        give_up(r, first->first, first, &err);
}

/* A sync that failed outside a group: those were answered already (RING_SYNC_INTERVAL). */
static void sync_late(struct ring *r)
{
    struct ring_writer_state *w = &r->writer;
    struct err err = ERR_INIT;

    if (!w->seg || w->is_clean || sync_now(r, &err))
        return;
    log_error("ring", "acknowledged events may be lost, their late sync failed",
              KV_STR("file", w->path), KV_ERR(&err));
    lap_break(r, w->next, &err);
}

/* --- placing groups --- */

static void add_to_run(struct ring *r, struct feed_group *g)
{
    struct ring_writer_state *w = &r->writer;

    g->first = w->next;
    w->next = stamp(w, g, 0, g->bytes, w->next, !w->run);
    g->node.next = NULL;
    if (w->run)
        w->run_last->node.next = &g->node;
    else
        w->run = g;
    w->run_last = g;
    w->run_bytes += g->bytes;
    w->run_groups++;
}

/* The end of the whole records from `from` on that fit `room`. */
static size_t fit(const struct feed_group *g, size_t from, uint64_t room)
{
    size_t to = from;

    while (to < g->bytes) {
        struct record_head head;
        size_t bytes;

        memcpy(&head, g->block->bytes + to, sizeof(head));
        bytes = record_bytes(head.length);
        if (to + bytes - from > room)
            break;
        to += bytes;
    }
    return to;
}

struct reserve {
    struct segment **segments;
    size_t count, used;
};

/* All segments that the group will need, before anything of it is written. */
static bool reserve_fill(struct ring *r, const struct feed_group *g, struct reserve *res,
                         struct err *err)
{
    uint64_t whole = r->segment_bytes - SEGMENT_HEAD_BYTES;
    size_t first = fit(g, 0, rest_of(&r->writer));
    size_t n = 0;

    for (size_t at = first; at < g->bytes; at = fit(g, at, whole))
        n++;
    res->segments = mem_new_array(struct segment *, n);
    while (res->count < n) {
        struct segment *s = retain_take(r, whole, false, err);

        if (!s)
            return false;
        res->segments[res->count++] = s;
    }
    return true;
}

static void reserve_drop(struct ring *r, struct reserve *res)
{
    while (res->used < res->count)
        retain_give_back(r, res->segments[res->used++]);
    mem_free(res->segments);
}

static bool span_part(struct ring *r, struct feed_group *g, size_t from, size_t to, struct err *err)
{
    struct ring_writer_state *w = &r->writer;
    struct gather ga = {.at = w->at};
    uint64_t at = w->at + (to - from);

    w->next = stamp(w, g, from, to, w->next, true);
    return gather_add(r, &ga, g->block->bytes + from, to - from, err) && gather_end(r, &ga, err) &&
           settle(r, at, to < g->bytes, err);
}

/* Writes a group that is larger than a segment; the run is empty. */
static void span(struct ring *r, struct feed_group *g)
{
    struct ring_writer_state *w = &r->writer;
    struct reserve res = {.count = 0};
    struct err err = ERR_INIT;
    size_t from = 0;
    bool ok = true;

    g->first = w->next;
    g->node.next = NULL;
    metric_observe(r->metrics.group_size, 1);
    if (!reserve_fill(r, g, &res, &err)) {
        if (err.code == ERR_FULL)
            retain_short(r);
        fail_group(r, g, &err);
        reserve_drop(r, &res);
        return;
    }
    while (ok && from < g->bytes) {
        size_t to = fit(g, from, rest_of(w));

        if (to > from)
            ok = span_part(r, g, from, to, &err);
        from = to;
        if (ok && from < g->bytes) {
            struct segment *s = res.segments[res.used++];

            ok = lap_start(r, s, g->first, &err);
            if (!ok)
                retain_bury(r, s);
        }
    }
    reserve_drop(r, &res);
    if (ok)
        acknowledge(r, g, g, 1);
    else
        give_up(r, g->first, g, &err);
}

/* Makes room for a group that does not fit the rest. */
static bool next_segment(struct ring *r, const struct feed_group *g, struct err *err)
{
    if (lap_open_fresh(r, g->bytes, r->writer.next, 2, err))
        return true;
    /* Without room the current segment still takes smaller groups. */
    if (err->code == ERR_FULL)
        retain_short(r);
    else
        lap_close(r, err);
    return false;
}

static void place(struct ring *r, struct feed_group *g)
{
    struct ring_writer_state *w = &r->writer;
    struct err err = ERR_INIT;

    if (w->seg && g->bytes > rest_of(w) - w->run_bytes) {
        flush(r);
        if (r->opt.sync == RING_SYNC_INTERVAL)
            sync_late(r); /* before a head says so */
        if (w->seg && g->bytes > r->segment_bytes - SEGMENT_HEAD_BYTES) {
            span(r, g);
            return;
        }
        if (w->seg && g->bytes > rest_of(w) && !next_segment(r, g, &err)) {
            fail_group(r, g, &err);
            return;
        }
    }
    if (!w->seg) {
        retain_explain(atomic_load(&r->why), &err);
        fail_group(r, g, &err);
        return;
    }
    add_to_run(r, g);
}

static void write_all(struct ring *r, struct mpsc_node *n)
{
    retain_look_at_disk(r, false);
    while (n) {
        struct mpsc_node *next = n->next;

        place(r, CONTAINER_OF(n, struct feed_group, node));
        n = next;
    }
    flush(r);
}

void sync_fail_all(struct ring *r, struct err *err)
{
    struct mpsc_node *n = mpsc_take_all(&r->queue);

    while (n) {
        struct mpsc_node *next = n->next;

        fail_group(r, CONTAINER_OF(n, struct feed_group, node), err);
        n = next;
    }
}

/* --- the loop --- */

/* Before sleeping: everything before this place is on disk, nothing comes behind. */
static void leave_mark(struct ring *r)
{
    struct ring_writer_state *w = &r->writer;
    char record[RECORD_HEAD_BYTES] = {0};
    struct record_head head = {.type = RECORD_TYPE_MARK};
    struct err err = ERR_INIT;

    if (!w->seg || !w->is_clean || w->has_mark || rest_of(w) < END_BYTES)
        return;
    head.time_us = (uint64_t)clock_wall_us();
    memcpy(record, &head, sizeof(head));
    record_stamp(record, w->seg->use.lap_id, w->next, 0);
    w->has_mark = true; /* it is a help only: not tried again when it fails */
    if (!fs_pwrite(w->fd, record, sizeof(record), w->at, w->path, &err))
        log_warn("ring", "mark not written", KV_ERR(&err));
}

static int64_t sleep_us(const struct ring *r)
{
    const struct ring_writer_state *w = &r->writer;

    if (r->opt.sync != RING_SYNC_INTERVAL || !w->seg || w->is_clean)
        return -1;
    return MAX(0, w->dirty_since_us + RING_INTERVAL_US - clock_mono_us());
}

static void group_commit_delay(const struct ring *r)
{
    struct timespec t = {.tv_sec = r->opt.group_commit_us / 1000000,
                         .tv_nsec = r->opt.group_commit_us % 1000000 * 1000};

    if (r->opt.group_commit_us > 0)
        nanosleep(&t, NULL);
}

/* Even without syncs in between (RING_SYNC_NEVER) a clean stop leaves everything on disk. */
static void finish(struct ring *r)
{
    struct ring_writer_state *w = &r->writer;
    struct err err = ERR_INIT;

    sync_late(r);
    leave_mark(r);
    if (w->seg && w->has_mark && !segment_sync(w->fd, w->path, &err))
        log_warn("ring", "mark not synced", KV_ERR(&err));
}

void sync_main(void *ring)
{
    struct ring *r = ring;
    bool is_stopping = false;

    ASSERT_THREAD(SYNC);
    for (;;) {
        is_stopping = atomic_load(&r->is_stopping);
        if (!mpsc_is_empty(&r->queue)) {
            group_commit_delay(r);
            write_all(r, mpsc_take_all(&r->queue));
            continue;
        }
        if (atomic_exchange(&r->wants_reopen, false))
            lap_reopen(r);
        if (sleep_us(r) == 0)
            sync_late(r);
        leave_mark(r);
        /* An appender that counts as pending pushes its group or takes the count back. */
        if (is_stopping && atomic_load(&r->pending) == 0)
            break;
        mpsc_wait(&r->queue, is_stopping ? STOP_POLL_US : sleep_us(r));
    }
    finish(r);
}
