/* ring.c - the ring as a feed: open, append, status, stop.
 *
 * An append is an atomic addition and a push. What it checks is cheap and may be a batch out of
 * date; the SYNC thread has the last word and then answers through the callback.
 */
#include "ring/ring.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "ring/ring_priv.h"

#include <inttypes.h>
#include <unistd.h>

#define PROBE_US     1000000
#define SEGMENTS_MIN 4 /* that must fit the budget */
#define DIR_LEN_MAX  (RING_PATH_MAX - 256)

/* --- open --- */

static void take_lists(struct ring *r, struct recover *rec)
{
    list_each_safe (n, next, &rec->chain) {
        list_remove(n);
        list_push_back(&r->chain, n);
    }
    list_each_safe (m, after, &rec->spares) {
        list_remove(m);
        list_push_back(&r->spares, m);
    }
    r->total_bytes = rec->bytes;
    r->released = r->position.offset;
    r->delivered_end = r->position.offset;
    retain_reap(r);
}

static bool start_writing(struct ring *r, const struct recover *rec, uint64_t base, struct err *err)
{
    struct ring_writer_state *w = &r->writer;
    bool is_new = rec->lap_no_max == 0;

    w->next = base;
    w->bound = MIN(base, rec->end);
    w->lap_no = rec->lap_no_max;
    w->chain_lap = rec->last_lap_no;
    r->durable_end = base;
    r->reader.next = r->position.offset;
    retain_look_at_disk(r, true);
    if (lap_open_fresh(r, 1, base, 2, err))
        return true;
    /* The way out of a full disk is to work off what is there. */
    if (err->code != ERR_FULL || is_new)
        return false;
    lap_lose(r, err);
    return true;
}

/* The groups at the end may be a killed process's writes that no sync has followed. They count from
 * here on, and the head of the next lap says that they are on disk: so they have to be. */
static bool sync_newest(const struct ring *r, const struct recover *rec, struct err *err)
{
    const struct segment *s;
    char path[RING_PATH_MAX];
    bool ok;
    int fd;

    if (list_is_empty(&rec->chain))
        return true;
    s = list_entry(rec->chain.prev, const struct segment, node);
    fd = segment_open(r->dir, s->slot, true, err);
    if (fd == -1)
        return false;
    segment_path(r->dir, s->slot, ".seg", path);
    ok = segment_sync(fd, path, err);
    close(fd);
    return ok;
}

/* Its name and the names in it are synced also when they are there: the process that made them may
 * have been killed before that. */
static bool make_dir(const char *dir, struct err *err)
{
    const char *slash = strrchr(dir, '/');
    char *parent = slash ? slice_dup(slice_make(dir, (size_t)(slash - dir) + 1)) : mem_dup_str(".");
    bool ok = fs_mkdirs(dir, 0750, err) && fs_sync_dir(parent, err) && fs_sync_dir(dir, err);

    mem_free(parent);
    if (!ok && err->code == ERR_GONE) /* has a meaning of its own here */
        err->code = ERR_IO;
    return ok || err_wrap(err, "ring");
}

static bool open_dir(struct ring *r, struct err *err)
{
    struct recover rec;
    uint64_t base = 0;
    bool is_foreign;
    bool ok = false;

    if (!make_dir(r->dir, err))
        return false;
    if (!recover_load(r->dir, r->opt.has_position ? &r->position.ring_id : NULL, &rec, err) ||
        !position_decide(r, &rec, &base, err))
        goto out;
    is_foreign = rec.has_ring && !uuid_eq(&rec.ring_id, &r->ring_id);
    if (is_foreign)
        recover_all_foreign(&rec);
    if (!recover_tidy(&rec, err) || !sync_newest(r, &rec, err))
        goto out;
    if (rec.is_torn && !is_foreign) {
        metric_add(r->metrics.torn, 1);
        log_warn("ring", "torn tail cut", KV_STR("dir", r->dir), KV_U64("end_offset", rec.end),
                 KV_U64("at", rec.torn_at));
    }
    take_lists(r, &rec);
    ok = start_writing(r, &rec, base, err);
    if (ok)
        log_info("ring", "ring opened", KV_STR("dir", r->dir), KV_U64("cursor", r->released),
                 KV_U64("end", base), KV_U64("bytes", r->total_bytes));
out:
    recover_fini(&rec);
    return ok;
}

static void new_metrics(struct ring *r, struct metrics *m)
{
    static const double seconds[] = {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005,
                                     0.01,   0.02,   0.05,   0.1,   0.5,   1};
    static const double requests[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000};
    struct ring_metrics *x = &r->metrics;

    if (!m)
        return;
    x->appended = metric_new_counter(m, "hedgerow_queue_appended_records_total", NULL,
                                     "Records made durable in the queue");
    x->bytes = metric_new_gauge(m, "hedgerow_queue_bytes", NULL, "Size of all segment files");
    x->fsync = metric_new_histogram(m, "hedgerow_queue_fsync_duration_seconds", NULL,
                                    "Duration of one fdatasync", seconds, ARRAY_LEN(seconds));
    x->group_size = metric_new_histogram(m, "hedgerow_queue_group_size", NULL,
                                         "Requests served by one write and sync", requests,
                                         ARRAY_LEN(requests));
    x->corrupt = metric_new_counter(m, "hedgerow_queue_corrupt_records_total", NULL,
                                    "Unfinished records skipped because they were damaged");
    x->torn = metric_new_counter(m, "hedgerow_queue_torn_tail_total", NULL,
                                 "Starts that cut an unfinished write off the queue's end");
    x->gap = metric_new_counter(m, "hedgerow_queue_gap_records_total", NULL,
                                "Unfinished records that were missing");
#define REJECTED(reason)                                                            \
    metric_new_counter(m, "hedgerow_queue_rejected_total", "reason=\"" reason "\"", \
                       "Requests not taken into the queue")
    x->rejected_pending = REJECTED("pending");
    x->rejected_budget = REJECTED("budget");
    x->rejected_disk = REJECTED("disk");
    x->rejected_io = REJECTED("io");
    x->rejected_limit = REJECTED("limit");
#undef REJECTED
    x->segments_unread = metric_new_gauge(m, "hedgerow_queue_segments", "state=\"unread\"",
                                          "Segment files by state");
    x->segments_spare = metric_new_gauge(m, "hedgerow_queue_segments", "state=\"spare\"", NULL);
}

static uint64_t whole_pages(uint64_t bytes)
{
    return bytes & ~(uint64_t)(RING_PAGE - 1);
}

static void set_sizes(struct ring *r)
{
    uint64_t most = MAX(r->opt.bytes_max / SEGMENTS_MIN, SEGMENT_BYTES_MIN);

    r->segment_bytes = whole_pages(MAX(MIN(r->opt.segment_bytes, most), SEGMENT_BYTES_MIN));
    r->first_segment_bytes =
        whole_pages(MAX(MIN(r->opt.first_segment_bytes, r->segment_bytes), SEGMENT_BYTES_MIN));
    r->opt.bytes_max = MAX(r->opt.bytes_max, SEGMENTS_MIN * r->segment_bytes);
}

static struct ring *ring_new(const struct ring_options *opt)
{
    struct ring *r = mem_new(struct ring);

    r->opt = *opt;
    r->opt.dir = NULL;
    r->opt.runs = NULL;
    r->opt.metrics = NULL;
    r->dir = mem_dup_str(opt->dir);
    /* A cursor row that was never written is none. */
    r->opt.has_position = opt->has_position && !uuid_is_nil(&opt->position.ring_id);
    if (r->opt.has_position) {
        r->position = opt->position;
        r->run_count = opt->run_count;
        if (r->run_count)
            r->runs = mem_dup(opt->runs, opt->run_count * sizeof(*opt->runs));
    }
    r->probe_us = PROBE_US;
    set_sizes(r);
    lock_init(&r->lock, "ring", RANK_RING);
    cond_init(&r->tidy_cond);
    list_init(&r->chain);
    list_init(&r->spares);
    list_init(&r->doomed);
    list_init(&r->in_hand);
    mpsc_init(&r->queue, "ring queue", NULL, NULL);
    new_metrics(r, opt->metrics);
    sync_init(r);
    reader_init(r);
    return r;
}

struct ring *ring_open(const struct ring_options *opt, struct err *err)
{
    struct ring *r;

    if (strlen(opt->dir) > DIR_LEN_MAX) {
        err_set(err, ERR_INPUT, "the path of the ring is too long (DATA_DIR)");
        return NULL;
    }
    r = ring_new(opt);
    if (!open_dir(r, err)) {
        ring_free(r);
        return NULL;
    }
    return r;
}

struct feed_position ring_position(const struct ring *r)
{
    return r->position;
}

bool ring_runs_hold(const struct ring *r)
{
    return r->do_runs_hold;
}

bool ring_start(struct ring *r, struct err *err)
{
    if (!thread_start(&r->sync_thread, THREAD_SYNC, 0, sync_main, r, err))
        return false;
    return thread_start(&r->tidy_thread, THREAD_TIDY, 0, retain_main, r, err);
}

static void free_segments(struct list *list)
{
    list_each_safe (n, next, list) {
        list_remove(n);
        segment_free(list_entry(n, struct segment, node));
    }
}

void ring_stop(struct ring *r)
{
    struct err err = ERR_INIT;

    atomic_store(&r->is_stopping, true);
    mpsc_kick(&r->queue);
    thread_join(&r->sync_thread);
    err_set(&err, ERR_STOP, "the ring is stopping");
    sync_fail_all(r, &err); /* only when it was never started */
    lock_take(&r->lock);
    r->is_tidy_stopping = true;
    cond_broadcast(&r->tidy_cond);
    lock_drop(&r->lock);
    thread_join(&r->tidy_thread);
    reader_wake(r, true);
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    ring_stop(r);
    reader_fini(r);
    sync_fini(r);
    free_segments(&r->chain);
    free_segments(&r->spares);
    free_segments(&r->doomed);
    free_segments(&r->in_hand);
    mpsc_fini(&r->queue);
    cond_fini(&r->tidy_cond);
    lock_fini(&r->lock);
    mem_free(r->runs);
    mem_free(r->dir);
    mem_free(r);
}

void ring_pause_reuse(struct ring *r, bool is_paused)
{
    lock_take(&r->lock);
    atomic_store(&r->is_reuse_paused, is_paused);
    cond_signal(&r->tidy_cond);
    lock_drop(&r->lock);
}

/* --- append --- */

static bool reject(struct ring *r, int why, struct err *err)
{
    struct ring_metrics *m = &r->metrics;

    metric_add(why == RING_WHY_BUDGET ? m->rejected_budget
               : why == RING_WHY_DISK ? m->rejected_disk
                                      : m->rejected_io,
               1);
    retain_explain(why, err);
    return false;
}

static bool check_limits(struct ring *r, const struct feed_group *g, struct err *err)
{
    size_t most = MIN(r->opt.record_bytes_max,
                      (size_t)(r->segment_bytes - SEGMENT_HEAD_BYTES - RECORD_HEAD_BYTES));

    if (g->largest > most) {
        metric_add(r->metrics.rejected_limit, 1);
        return err_set(err, ERR_LIMIT,
                       "an event of %zu bytes is over the maximum of %zu (QUEUE_MAX_RECORD_BYTES)",
                       g->largest, most);
    }
    if (g->bytes > r->opt.pending_bytes_max || g->bytes > r->opt.bytes_max / 2) {
        metric_add(r->metrics.rejected_limit, 1);
        return err_set(err, ERR_LIMIT, "a request of %zu bytes is too large for the queue",
                       g->bytes);
    }
    return true;
}

static bool check_state(struct ring *r, uint64_t pending, struct err *err)
{
    int why = atomic_load(&r->why);

    if (atomic_load(&r->is_stopping))
        return err_set(err, ERR_STOP, "the ring is stopping");
    if (why != RING_WHY_NOT)
        return reject(r, why, err);
    if (pending > atomic_load(&r->room)) {
        retain_short(r);
        return reject(r, atomic_load(&r->short_of), err);
    }
    if (pending > r->opt.pending_bytes_max) {
        metric_add(r->metrics.rejected_pending, 1);
        return err_set(err, ERR_FULL, "too much is waiting to be written to the ring");
    }
    return true;
}

static bool ring_append(void *self, struct feed_group *group, feed_done_fn *done, void *ctx,
                        struct err *err)
{
    struct ring *r = self;
    uint64_t pending;

    if (group->count == 0)
        return err_set(err, ERR_BUG, "an empty group was appended to the ring");
    if (!check_limits(r, group, err))
        return false;
    /* Counted before is_stopping is looked at: the SYNC thread ends when it sees nothing pending.
     */
    pending = atomic_fetch_add(&r->pending, group->bytes) + group->bytes;
    if (!check_state(r, pending, err)) {
        atomic_fetch_sub(&r->pending, group->bytes);
        return false;
    }
    group->done = done;
    group->ctx = ctx;
    mpsc_push(&r->queue, &group->node);
    return true;
}

struct feed_writer ring_writer(struct ring *r)
{
    static const struct feed_writer_ops ops = {.append = ring_append};

    return (struct feed_writer){.ops = &ops, .self = r};
}

/* --- reading end --- */

static int ring_read(void *self, struct feed_record *out, size_t max, size_t bytes_max,
                     int64_t timeout_us, struct err *err)
{
    return reader_read(self, out, max, bytes_max, timeout_us, err);
}

static uint64_t ring_passed(void *self)
{
    const struct ring *r = self;

    return r->reader.next;
}

static void ring_release(void *self, uint64_t offset)
{
    struct ring *r = self;
    uint64_t end;

    lock_take(&r->tail_lock);
    end = r->durable_end;
    lock_drop(&r->tail_lock);
    retain_release(r, MIN(offset, end));
}

static void ring_wake(void *self)
{
    reader_wake(self, false);
}

/* Of the segments' bytes, the part that belongs to unreleased offsets. Lock held. */
static uint64_t unread_bytes(const struct ring *r, uint64_t end)
{
    uint64_t bytes = 0;

    list_each (n, &r->chain) {
        const struct segment *s = list_entry(n, const struct segment, node);
        uint64_t to = MIN(s->end, end);
        uint64_t from = MAX(s->use.base, r->released);

        if (from < to)
            bytes += (uint64_t)((double)(s->used - SEGMENT_HEAD_BYTES) * (double)(to - from) /
                                (double)(to - s->use.base));
    }
    return bytes;
}

static const char *why_text(struct ring *r)
{
    int why = atomic_load(&r->why);

    if (why == RING_WHY_NOT && (atomic_load(&r->was_short) || atomic_load(&r->room) == 0))
        why = atomic_load(&r->short_of);
    switch (why) {
    case RING_WHY_NOT:
        return NULL;
    case RING_WHY_BUDGET:
        return "full of unread events (QUEUE_MAX_BYTES)";
    case RING_WHY_DISK:
        return "disk full (QUEUE_MIN_FREE_BYTES)";
    default:
        return "writing failed, read-only for now";
    }
}

static void ring_status(void *self, struct feed_status *out)
{
    struct ring *r = self;
    uint64_t end;

    lock_take(&r->tail_lock);
    end = r->durable_end;
    lock_drop(&r->tail_lock);
    *out = (struct feed_status){.first = end, .end = end, .budget_bytes = r->opt.bytes_max};
    lock_take(&r->lock);
    if (!list_is_empty(&r->chain))
        out->first = MIN(end, list_entry(r->chain.next, const struct segment, node)->use.base);
    out->cursor = r->released;
    out->bytes = r->total_bytes;
    out->unread_bytes = unread_bytes(r, end);
    lock_drop(&r->lock);
    out->oldest_unread_us = reader_oldest_us(r, end);
    out->why_not = why_text(r);
    out->is_writable = out->why_not == NULL;
}

struct feed_reader ring_reader(struct ring *r)
{
    static const struct feed_reader_ops ops = {.read = ring_read,
                                               .passed = ring_passed,
                                               .release = ring_release,
                                               .status = ring_status,
                                               .wake = ring_wake};

    return (struct feed_reader){.ops = &ops, .self = r};
}
