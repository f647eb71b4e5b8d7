/* Upkeep between batches: one call is one short transaction with a slice of everything that waits
 * (event index, folding, trimming the log, retention), so it costs one sync.
 *
 * What a slice did becomes known in memory only after its COMMIT; a failed slice is as if it had
 * not been. A call without a commit since the last one means that STORE has nothing else to do:
 * then also small amounts are folded and small index parts are merged, and a result that the TIDY
 * thread still works on is waited for, so that a caller who repeats until `more` is false does not
 * spin.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "store/store_priv.h"

#define WAIT_US     10000
#define BUSY_US     20000 /* upkeep can wait: it must not keep the next batch from its own turn */
#define FOLD_MIN_US 4000  /* folding gets at least this much of a slice */

static const char sql_meta[] =
    "UPDATE meta SET change_seq = ?, person_seq = ?, distinct_id_seq = ?, part_seq = ?, "
    "folded_seq = ? WHERE id = 1";

bool tidy_open(struct store_sqlite *s, struct err *err)
{
    return store_prepare(s, &s->tidy.meta, sql_meta, err);
}

bool tidy_write_meta(struct store_sqlite *s, int64_t folded_seq, struct err *err)
{
    struct db_stmt *q = s->tidy.meta;

    db_bind_i64(q, 1, s->seq.change);
    db_bind_i64(q, 2, s->seq.person);
    db_bind_i64(q, 3, s->seq.distinct_id);
    db_bind_i64(q, 4, s->seq.part);
    db_bind_i64(q, 5, folded_seq);
    return db_run(q, err);
}

static bool slice(struct store_sqlite *s, struct err *err)
{
    int64_t now = clock_mono_us(), deadline = now + STORE_SLICE_US;

    if (!event_index_slice(s, deadline, err))
        return false;
    if (fold_is_ready(s) && !fold_slice(s, MAX(deadline, clock_mono_us() + FOLD_MIN_US), err))
        return false;
    return change_log_trim(s, err) && retention_slice(s, err) &&
           tidy_write_meta(s, fold_reached(s), err);
}

bool tidy_run(struct store_sqlite *s, struct err *err)
{
    bool ok;

    tidy_thread_let_pass(s);
    ok = db_begin(s->db, err) && slice(s, err);

    if (ok && fault_point("store.tidy"))
        ok = err_set(err, ERR_FULL, "%s: fault point store.tidy", db_name(s->db));
    fault_crash("store.tidy.before");
    ok = ok && db_commit(s->db, err);
    fault_crash("store.tidy.after");
    if (!ok)
        db_rollback(s->db);
    if (ok)
        s->seq_kept = s->seq;
    else
        s->seq = s->seq_kept;
    retention_done(s, ok); /* before the parts change their places */
    event_index_slice_done(s, ok);
    if (ok && change_log_has_trim(s))
        s->log.trimmed_seq = s->log.trimming_seq;
    fold_done(s, ok);
    store_refresh_status(s);
    return ok || store_failed(s, err);
}

static bool can_merge(struct store_sqlite *s, struct index_merge *m)
{
    return !s->index.pending && tidy_thread_may_merge(s) && index_merge_choose(&s->index, m);
}

static void merge_parts(struct store_sqlite *s, bool is_idle)
{
    struct index_part *merged = tidy_thread_merged(s);
    struct index_merge m;

    if (merged)
        event_index_accept(s, merged);
    else if (is_idle && can_merge(s, &m))
        tidy_thread_merge(s, &m);
}

static bool has_slice(struct store_sqlite *s)
{
    bool has_index =
        event_index_has_work(s) && !(event_index_is_sorting(s) && s->index.dying_count == 0);

    return has_index || fold_is_ready(s) || change_log_has_trim(s) || retention_has_work(s);
}

static bool is_waiting(struct store_sqlite *s)
{
    return event_index_is_sorting(s) || s->fold.plan || tidy_thread_is_merging(s);
}

bool tidy_op(void *self, bool *more, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    bool is_idle = s->tidy.commits_seen == s->commits;
    int64_t start = clock_mono_us();
    struct index_merge m;

    *more = false;
    s->tidy.commits_seen = s->commits;
    if (s->is_in_batch)
        return err_set(err, ERR_BUG, "tidy inside of a batch");
    if (!s->tidy.is_running && !tidy_thread_ready(s, err))
        return false;
    if (!tidy_thread_is_ready(s)) { /* what upkeep works on is not there yet */
        *more = true;
        return tidy_thread_wait(s, WAIT_US, err);
    }
    merge_parts(s, is_idle);
    fold_begin(s, is_idle);
    if (has_slice(s)) {
        db_set_busy(s->db, BUSY_US);
        bool ok = tidy_run(s, err);
        db_set_busy(s->db, s->opt.busy_us);
        if (!ok)
            return false;
        metric_observe(s->metrics.tidy, (double)(clock_mono_us() - start) / 1e6);
    } else if (is_idle && is_waiting(s) && !tidy_thread_wait(s, WAIT_US, err)) {
        return false;
    }
    *more = has_slice(s) || is_waiting(s) || s->log.count > 0 || can_merge(s, &m);
    return true;
}
