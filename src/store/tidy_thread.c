/* The TIDY thread: what STORE should not wait for. Reading the newest events at start, sorting
 * index parts and fold plans, loading parts to merge, checkpoints. It sleeps until STORE asks for
 * something.
 *
 * It has a connection of its own. PASSIVE checkpoints run beside STORE. A RESTART holds the writer
 * while it copies what is left and waits for readers of old states: those of this process end
 * within 250 ms, and new ones begin at the newest state, which does not hold it up, so nobody has
 * to be turned away meanwhile. A foreign reader that stays makes it give up after BUSY_US; then it
 * waits until the log has grown by another RESTART_STEPS-th of the size that asks for one.
 *
 * Checkpoints are small and many. Each ends with a sync of the database file, and the ring's syncs
 * stand behind it on the same disk: with 16 MiB at once that was the slowest hundredth of all
 * requests (14 ms; with 2 MiB 5 ms), and neither rate nor CPU gain anything from larger ones.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store_priv.h"

#define BUSY_US       500000
#define RESTART_STEPS 16
#define PAGE_BYTES    4120 /* of the log: a page and its header */

/* --- asked by STORE */

bool tidy_thread_is_ready(const struct store_sqlite *s)
{
    return atomic_load_explicit(&s->tidy.is_ready, memory_order_acquire);
}

static bool failure(struct store_sqlite *s, struct err *err)
{
    lock_take(&s->tidy.lock);
    *err = s->tidy.failure;
    lock_drop(&s->tidy.lock);
    return store_failed(s, err);
}

bool tidy_thread_check(struct store_sqlite *s, struct err *err)
{
    return !atomic_load_explicit(&s->tidy.has_failed, memory_order_acquire) || failure(s, err);
}

static bool rebuild_here(struct store_sqlite *s, struct err *err)
{
    if (!index_rebuild(s, s->db, err))
        return store_failed(s, err);
    while (event_index_sort_next(s))
        ;
    atomic_store_explicit(&s->tidy.is_ready, true, memory_order_release);
    return true;
}

bool tidy_thread_ready(struct store_sqlite *s, struct err *err)
{
    if (tidy_thread_is_ready(s))
        return true;
    if (!s->tidy.is_running)
        return rebuild_here(s, err);
    lock_take(&s->tidy.lock);
    while (!tidy_thread_is_ready(s) && !s->tidy.has_failed)
        cond_wait(&s->tidy.done, &s->tidy.lock);
    lock_drop(&s->tidy.lock);
    return tidy_thread_check(s, err);
}

bool tidy_thread_wait(struct store_sqlite *s, int64_t us, struct err *err)
{
    lock_take(&s->tidy.lock);
    if (!s->tidy.has_news)
        cond_wait_us(&s->tidy.done, &s->tidy.lock, us);
    s->tidy.has_news = false;
    lock_drop(&s->tidy.lock);
    return tidy_thread_check(s, err);
}

void tidy_thread_let_pass(struct store_sqlite *s)
{
    if (!atomic_load_explicit(&s->tidy.holds_writer, memory_order_relaxed))
        return;
    lock_take(&s->tidy.lock);
    while (atomic_load_explicit(&s->tidy.holds_writer, memory_order_relaxed))
        cond_wait(&s->tidy.done, &s->tidy.lock);
    lock_drop(&s->tidy.lock);
}

void tidy_thread_sort_parts(struct store_sqlite *s)
{
    if (!s->tidy.is_running) {
        while (event_index_sort_next(s))
            ;
        return;
    }
    lock_take(&s->tidy.lock);
    s->tidy.to_sort = true;
    cond_signal(&s->tidy.wake);
    lock_drop(&s->tidy.lock);
}

void tidy_thread_sort_plan(struct store_sqlite *s, struct fold_plan *p)
{
    lock_take(&s->tidy.lock);
    s->tidy.to_plan = p;
    cond_signal(&s->tidy.wake);
    lock_drop(&s->tidy.lock);
}

bool tidy_thread_plan_is_sorted(struct store_sqlite *s, const struct fold_plan *p)
{
    lock_take(&s->tidy.lock);
    bool is_sorted = p->is_sorted;
    lock_drop(&s->tidy.lock);
    return is_sorted;
}

void tidy_thread_merge(struct store_sqlite *s, const struct index_merge *m)
{
    lock_take(&s->tidy.lock);
    s->tidy.to_merge = *m;
    s->tidy.is_merging = true;
    cond_signal(&s->tidy.wake);
    lock_drop(&s->tidy.lock);
}

struct index_part *tidy_thread_merged(struct store_sqlite *s)
{
    lock_take(&s->tidy.lock);
    struct index_part *p = s->tidy.merged;
    s->tidy.merged = NULL;
    if (p)
        s->tidy.is_merging = false;
    lock_drop(&s->tidy.lock);
    return p;
}

bool tidy_thread_is_merging(struct store_sqlite *s)
{
    lock_take(&s->tidy.lock);
    bool is_merging = s->tidy.is_merging;
    lock_drop(&s->tidy.lock);
    return is_merging;
}

bool tidy_thread_may_merge(struct store_sqlite *s)
{
    lock_take(&s->tidy.lock);
    bool may = s->tidy.is_running && !s->tidy.is_merging && !s->tidy.has_given_up;
    lock_drop(&s->tidy.lock);
    return may;
}

void tidy_thread_wal(void *ctx, int pages)
{
    struct store_sqlite *s = ctx;
    int done = atomic_load_explicit(&s->tidy.checkpoint_pages, memory_order_relaxed);

    atomic_store_explicit(&s->wal_pages, pages, memory_order_relaxed);
    if (pages < done) { /* the log began anew */
        atomic_store_explicit(&s->tidy.checkpoint_pages, 0, memory_order_relaxed);
        done = 0;
    }
    if (!s->tidy.is_running || (uint64_t)(pages - done) * PAGE_BYTES < s->opt.wal_checkpoint_bytes)
        return;
    lock_take(&s->tidy.lock);
    s->tidy.to_checkpoint = true;
    cond_signal(&s->tidy.wake);
    lock_drop(&s->tidy.lock);
}

/* --- on the thread */

static void fail(struct store_sqlite *s, const struct err *err)
{
    lock_take(&s->tidy.lock);
    s->tidy.failure = *err;
    atomic_store_explicit(&s->tidy.has_failed, true, memory_order_release);
    lock_drop(&s->tidy.lock);
}

static void tell_size(struct store_sqlite *s, uint64_t wal_bytes)
{
    bool is_alarm = wal_bytes > s->opt.wal_alarm_bytes;

    if (is_alarm && !s->tidy.is_alarmed)
        log_error("store",
                  "the write-ahead log cannot be emptied: a reader holds an old state, end it",
                  KV_U64("bytes", wal_bytes));
    s->tidy.is_alarmed = is_alarm;
}

static void hold_writer(struct store_sqlite *s, bool hold)
{
    lock_take(&s->tidy.lock);
    atomic_store_explicit(&s->tidy.holds_writer, hold, memory_order_relaxed);
    cond_broadcast(&s->tidy.done);
    lock_drop(&s->tidy.lock);
}

static bool restart_log(struct store_sqlite *s, struct err *err)
{
    bool ok;

    if (!db_checkpoint(s->tidy.db, DB_CHECKPOINT_PASSIVE, NULL, NULL, err))
        return false;
    hold_writer(s, true);
    ok = db_checkpoint(s->tidy.db, DB_CHECKPOINT_RESTART, NULL, NULL, err);
    hold_writer(s, false);
    return ok;
}

static void checkpoint(struct store_sqlite *s)
{
    struct err err = ERR_INIT;
    int pages = atomic_load_explicit(&s->wal_pages, memory_order_relaxed);
    uint64_t bytes = (uint64_t)pages * PAGE_BYTES;
    int grown = pages - s->tidy.tried_restart;
    uint64_t step = MAX(s->opt.wal_restart_bytes / RESTART_STEPS, s->opt.wal_checkpoint_bytes);
    bool restart =
        bytes > s->opt.wal_restart_bytes && (grown < 0 || (uint64_t)grown * PAGE_BYTES >= step);
    int64_t start = clock_mono_us();
    bool ok = restart ? restart_log(s, &err)
                      : db_checkpoint(s->tidy.db, DB_CHECKPOINT_PASSIVE, NULL, NULL, &err);

    metric_observe(s->metrics.checkpoint, (double)(clock_mono_us() - start) / 1e6);
    if (restart)
        s->tidy.tried_restart = ok ? 0 : pages;
    if (ok || err.code == ERR_RETRY) {
        /* Also what could not be copied counts as tried: the next attempt waits for as much again.
         * After a RESTART the next commit reports few pages, which sets this back. */
        atomic_store_explicit(&s->tidy.checkpoint_pages, pages, memory_order_relaxed);
        if (!ok)
            metric_add(s->metrics.checkpoints_busy, 1);
    } else if (err.code == ERR_FULL) {
        log_error("store", "no disk space for a checkpoint, the write-ahead log grows",
                  KV_ERR(&err));
    } else {
        fail(s, &err);
    }
    tell_size(s, ok && restart ? 0 : bytes);
}

static struct index_part *merge(struct store_sqlite *s, const struct index_merge *m)
{
    struct err err = ERR_INIT;
    struct index_part *p = index_merge_load(s->tidy.db, m, &err);

    if (!p && err.code == ERR_IO)
        fail(s, &err);
    else if (!p)
        log_warn("store", "parts of the event index could not be merged", KV_ERR(&err));
    return p;
}

/* One piece of work, with the lock held before and after. False: there is none. */
static bool work(struct store_sqlite *s)
{
    struct tidy *t = &s->tidy;
    struct fold_plan *plan = t->to_plan;
    struct index_merge m = t->to_merge;
    struct index_part *merged = NULL;
    bool to_checkpoint = t->to_checkpoint, to_sort = t->to_sort;

    if (!plan && !m.count && !to_checkpoint && !to_sort)
        return false;
    t->to_checkpoint = t->to_sort = false;
    t->to_plan = NULL;
    t->to_merge.count = 0;
    lock_drop(&t->lock);
    if (to_checkpoint)
        checkpoint(s);
    while (to_sort && event_index_sort_next(s))
        ;
    if (plan)
        fold_plan_sort(plan);
    if (m.count)
        merged = merge(s, &m);
    lock_take(&t->lock);
    if (plan)
        plan->is_sorted = true;
    if (m.count) {
        t->merged = merged;
        t->is_merging = merged != NULL; /* until it is taken */
        t->has_given_up |= merged == NULL;
    }
    t->has_news = true;
    cond_broadcast(&t->done);
    return true;
}

static void rebuild(struct store_sqlite *s)
{
    struct err err = ERR_INIT;

    if (!tidy_thread_is_ready(s)) {
        if (index_rebuild(s, s->tidy.db, &err)) {
            store_refresh_index(s);
            atomic_store_explicit(&s->tidy.is_ready, true, memory_order_release);
        } else {
            fail(s, &err);
        }
    }
    while (event_index_sort_next(s))
        ;
    lock_take(&s->tidy.lock);
    s->tidy.has_news = true;
    cond_broadcast(&s->tidy.done);
    lock_drop(&s->tidy.lock);
}

static void run(void *ctx)
{
    struct store_sqlite *s = ctx;

    rebuild(s);
    lock_take(&s->tidy.lock);
    while (!s->tidy.is_stopping)
        if (!work(s))
            cond_wait(&s->tidy.wake, &s->tidy.lock);
    lock_drop(&s->tidy.lock);
}

bool tidy_thread_start(struct store_sqlite *s, struct err *err)
{
    struct db_options opt = {.path = s->path, .busy_us = BUSY_US, .cache_bytes = 256 << 10};

    CHECK(!s->tidy.is_running);
    s->tidy.db = db_open(&opt, err);
    if (!s->tidy.db)
        return false;
    s->tidy.is_running = true;
    if (thread_start(&s->tidy.thread, THREAD_TIDY, 0, run, s, err))
        return true;
    s->tidy.is_running = false;
    db_close(s->tidy.db);
    s->tidy.db = NULL;
    return false;
}

void tidy_thread_stop(struct store_sqlite *s)
{
    if (!s->tidy.is_running)
        return;
    lock_take(&s->tidy.lock);
    s->tidy.is_stopping = true;
    cond_signal(&s->tidy.wake);
    lock_drop(&s->tidy.lock);
    thread_join(&s->tidy.thread);
    s->tidy.is_running = false;
    db_close(s->tidy.db);
    s->tidy.db = NULL;
    index_part_free(s->tidy.merged);
    s->tidy.merged = NULL;
}
