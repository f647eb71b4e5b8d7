/* Folding: bringing the change log to its tables.
 *
 * A round takes the log as it is at that moment (the plan), sorted by table and key, so that the
 * rows are touched in the order in which they lie. It is done in slices between batches. What the
 * round does not cover is newer and still in the log, so at every moment log and tables together
 * give the newest state: look-ups and views ask the log first. Only when the last slice has
 * committed does folded_seq move, the entries leave memory and the log's rows may go. A crash in
 * the middle repeats the round: writing a state twice changes nothing, and a newer one always comes
 * later in the plan.
 *
 * A round begins at STORE_FOLD_AT rows, or with whatever there is when STORE has nothing else to
 * do.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "store/store_priv.h"

#include <stdlib.h>

#define SORT_HERE   2000   /* entries that are sorted at once, without the TIDY thread */
#define CLOCK_EVERY 64     /* rows between two looks at the clock */
#define HARD_US     100000 /* a slice of a log that grows faster than it is folded */

static const char sql_person[] = "INSERT OR REPLACE INTO persons (id, team_id, version, "
                                 "is_identified, created_at, uuid, properties) "
                                 "SELECT object_id, team_id, version, is_identified, created_at, "
                                 "uuid, properties FROM changes WHERE seq = ?";
static const char sql_person_delete[] = "DELETE FROM persons WHERE id = ?";
static const char sql_distinct_id[] =
    "INSERT OR REPLACE INTO person_distinct_ids (team_id, distinct_id, id, person_id, version, "
    "person_uuid) "
    "SELECT team_id, key, object_id, person_id, version, uuid FROM changes WHERE seq = ?";
static const char sql_group[] =
    "INSERT OR REPLACE INTO groups (team_id, group_type_index, group_key, version, created_at, "
    "group_properties) "
    "SELECT team_id, object_id, key, version, created_at, properties FROM changes WHERE seq = ?";

bool fold_open(struct store_sqlite *s, struct err *err)
{
    struct fold *f = &s->fold;

    return store_prepare(s, &f->person, sql_person, err) &&
           store_prepare(s, &f->person_delete, sql_person_delete, err) &&
           store_prepare(s, &f->distinct_id, sql_distinct_id, err) &&
           store_prepare(s, &f->group, sql_group, err);
}

static void plan_free(struct fold_plan *p)
{
    if (p)
        mem_free(p->items);
    mem_free(p);
}

void fold_close(struct store_sqlite *s)
{
    plan_free(s->fold.plan);
    s->fold.plan = NULL;
}

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_entries(const void *left, const void *right)
{
    const struct log_entry *a = left, *b = right;
    int c = COMPARE(a->kind, b->kind);

    c = c ? c : COMPARE(a->major, b->major);
    c = c ? c : COMPARE(a->type_index, b->type_index);
    c = c ? c : COMPARE(a->minor[0], b->minor[0]);
    c = c ? c : COMPARE(a->minor[1], b->minor[1]);
    c = c ? c : COMPARE(a->hash, b->hash);
    return c ? c : COMPARE(a->seq, b->seq);
}

void fold_plan_sort(struct fold_plan *p)
{
    size_t kept = 0;

    qsort(p->items, p->count, sizeof(*p->items), compare_entries);
    /* Older states of one person are left out. Distinct ids and groups are known by their hash
     * only, so all their states are written, the newest last. */
    for (size_t i = 0; i < p->count; i++) {
        bool is_last = i + 1 == p->count || p->items[i].kind != CHANGE_PERSON ||
                       p->items[i + 1].kind != CHANGE_PERSON ||
                       p->items[i + 1].major != p->items[i].major;
        if (is_last)
            p->items[kept++] = p->items[i];
    }
    p->count = kept;
}

void fold_begin(struct store_sqlite *s, bool is_idle)
{
    const struct change_log *log = &s->log;
    struct fold_plan *p;

    if (s->fold.plan || log->count == 0 || (!is_idle && log->count < STORE_FOLD_AT))
        return;
    p = mem_new(struct fold_plan);
    p->count = log->count;
    p->items = mem_dup(log->entries, log->count * sizeof(*log->entries));
    p->through_seq = log->entries[log->count - 1].seq;
    s->fold.plan = p;
    s->fold.at = s->fold.at_next = 0;
    if (p->count > SORT_HERE && s->tidy.is_running) {
        tidy_thread_sort_plan(s, p);
    } else {
        fold_plan_sort(p);
        p->is_sorted = true;
    }
}

bool fold_is_ready(struct store_sqlite *s)
{
    return s->fold.plan && tidy_thread_plan_is_sorted(s, s->fold.plan);
}

static bool fold_row(struct store_sqlite *s, const struct log_entry *e, struct err *err)
{
    struct db_stmt *q;

    if (e->kind == CHANGE_PERSON && e->is_deleted) {
        db_bind_i64(s->fold.person_delete, 1, e->major);
        return db_run(s->fold.person_delete, err);
    }
    q = e->kind == CHANGE_PERSON        ? s->fold.person
        : e->kind == CHANGE_DISTINCT_ID ? s->fold.distinct_id
                                        : s->fold.group;
    db_bind_i64(q, 1, e->seq);
    return db_run(q, err);
}

/* Over STORE_FOLD_HARD rows a slice takes more than came since the last one, whatever time it
 * needs: the log is read by every view and must stay short. */
static size_t slice_rows(const struct store_sqlite *s, int64_t *deadline_us)
{
    size_t came = s->log.count - MIN(s->log.count, s->fold.count_before);

    if (s->log.count <= STORE_FOLD_HARD || came == 0)
        return STORE_SLICE_ROWS;
    *deadline_us += HARD_US;
    return STORE_SLICE_ROWS + came + came / 2;
}

bool fold_slice(struct store_sqlite *s, int64_t deadline_us, struct err *err)
{
    struct fold *f = &s->fold;
    size_t end = MIN(f->plan->count, f->at + slice_rows(s, &deadline_us));

    for (f->at_next = f->at; f->at_next < end; f->at_next++) {
        if (f->at_next % CLOCK_EVERY == CLOCK_EVERY - 1 && clock_mono_us() > deadline_us)
            break;
        if (!fold_row(s, &f->plan->items[f->at_next], err))
            return err_wrap(err, "fold change %lld", (long long)f->plan->items[f->at_next].seq);
    }
    return true;
}

/* A plan that no slice has run of may still be with TIDY, which shortens it: it is not looked at.
 */
static bool is_folded(const struct fold *f)
{
    return f->plan && f->at_next > 0 && f->at_next == f->plan->count;
}

int64_t fold_reached(const struct store_sqlite *s)
{
    return is_folded(&s->fold) ? s->fold.plan->through_seq : s->log.folded_seq;
}

void fold_done(struct store_sqlite *s, bool committed)
{
    struct fold *f = &s->fold;
    if (!f->plan)
        return;
    if (!committed)
        f->at_next = f->at;
    f->at = f->at_next;
    f->count_before = s->log.count;
    if (!committed || !is_folded(f))
        return;
    change_log_folded(s, f->plan->through_seq);
    f->count_before = s->log.count;
    plan_free(f->plan);
    f->plan = NULL;
}
