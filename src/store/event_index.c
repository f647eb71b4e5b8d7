/* The index over events: event_index(part, kind, hash, id).
 *
 * A random-order index on the events table itself would take inserts from 200,000 to 10,000 a
 * second. So hashes are collected in memory (the open part), and a part that is full is sorted on
 * the TIDY thread and appended in key order, a slice at a time between batches. While a part is on
 * its way, look-ups find its uuids in memory. Nothing of this has to be durable: after a crash the
 * events above the last complete part are read again, in the background, and the first event waits
 * for it.
 *
 * State of a part in event_parts: written (0) from its first slice on, complete (1) with its last,
 * in the transaction that also marks the parts it replaces as removed (2). Rows of parts that are
 * removed or were left half written are deleted in slices; their numbers are never used again.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "store/store_priv.h"

#define ROWS_AT_ONCE   50 /* of one INSERT: half the time of single rows */
#define SLICE_ROWS_MAX (8 * STORE_SLICE_ROWS)
#define CLOSE_ROWS_MAX \
    400000 /* written at a clean close, about 0.2 s; more is left to the next start */
#define IDS_MAX   64
#define DYING_MAX 4 /* more removed parts than this do not wait for a quiet moment */
#define SPAN_MAX  ((int64_t)UINT32_MAX / 2)

static const char sql_insert_one[] =
    "INSERT INTO event_index (part, kind, hash, id) VALUES (?1,?2,?3,?4)";
static const char sql_part_insert[] =
    "INSERT INTO event_parts (part, state, first_id, last_id, first_at, last_at, "
    "event_count) VALUES (?,0,?,?,?,?,?)";
static const char sql_part_state[] = "UPDATE event_parts SET state = ?2 WHERE part = ?1";
static const char sql_part_delete[] = "DELETE FROM event_parts WHERE part = ?";
static const char sql_rows_bound[] =
    "SELECT kind, hash, id FROM event_index WHERE part = ?1 ORDER BY kind, hash, id "
    "LIMIT 1 OFFSET ?2";
static const char sql_rows_delete[] =
    "DELETE FROM event_index WHERE part = ?1 AND (kind, hash, id) <= (?2, ?3, ?4)";
static const char sql_find[] =
    "SELECT id FROM event_index WHERE part = ? AND kind = ? AND hash = ?";
static const char sql_parts[] =
    "SELECT part, state, first_id, last_id, first_at, last_at, event_count "
    "FROM event_parts ORDER BY first_id, part";

uint64_t event_index_hash(const struct store_sqlite *s, enum index_kind kind, int64_t team_id,
                          struct slice bytes)
{
    return store_hash(s, 0x100u + kind, team_id, bytes);
}

/* --- the list of complete parts */

static void parts_add(struct event_index *x, const struct part_info *info)
{
    size_t at = x->part_count;

    if (x->part_count == x->part_cap) {
        x->part_cap = x->part_cap ? x->part_cap * 2 : 16;
        x->parts = mem_realloc(x->parts, x->part_cap * sizeof(*x->parts));
    }
    while (at > 0 && x->parts[at - 1].first_id > info->first_id)
        at--;
    memmove(x->parts + at + 1, x->parts + at, (x->part_count - at) * sizeof(*x->parts));
    x->parts[at] = *info;
    x->part_count++;
}

static void parts_remove(struct event_index *x, int64_t number)
{
    for (size_t i = 0; i < x->part_count; i++) {
        if (x->parts[i].number != number)
            continue;
        x->part_count--;
        memmove(x->parts + i, x->parts + i + 1, (x->part_count - i) * sizeof(*x->parts));
        return;
    }
}

static void dying_add(struct event_index *x, int64_t number)
{
    if (x->dying_count == x->dying_cap) {
        x->dying_cap = x->dying_cap ? x->dying_cap * 2 : 16;
        x->dying = mem_realloc(x->dying, x->dying_cap * sizeof(*x->dying));
    }
    x->dying[x->dying_count++] = number;
}

void event_index_retire(struct store_sqlite *s, int64_t number)
{
    parts_remove(&s->index, number);
    dying_add(&s->index, number);
}

int64_t event_index_last_id(const struct event_index *x)
{
    int64_t last = 0;

    for (size_t i = 0; i < x->part_count; i++)
        last = MAX(last, x->parts[i].last_id);
    return last;
}

static bool load_parts(struct store_sqlite *s, struct err *err)
{
    struct db_stmt *q = NULL;
    enum db_step step;

    if (!store_prepare(s, &q, sql_parts, err))
        return false;
    while ((step = db_step(q, err)) == DB_ROW) {
        struct part_info info = {.number = db_col_i64(q, 0),
                                 .first_id = db_col_i64(q, 2),
                                 .last_id = db_col_i64(q, 3),
                                 .first_at = db_col_i64(q, 4),
                                 .last_at = db_col_i64(q, 5),
                                 .count = (size_t)db_col_i64(q, 6)};
        if (db_col_i64(q, 1) == 1)
            parts_add(&s->index, &info);
        else
            dying_add(&s->index, info.number);
    }
    return step == DB_DONE;
}

static bool prepare_many(struct store_sqlite *s, struct err *err)
{
    struct buf sql = BUF_INIT(16 << 10);

    buf_add_str(&sql, "INSERT INTO event_index (part, kind, hash, id) VALUES ");
    for (int i = 0; i < ROWS_AT_ONCE; i++)
        buf_addf(&sql, "%s(?1,?2,?%d,?%d)", i ? "," : "", 3 + 2 * i, 4 + 2 * i);
    bool ok = store_prepare(s, &s->index.insert_many, buf_cstr(&sql), err);
    buf_free(&sql);
    return ok;
}

bool event_index_open(struct store_sqlite *s, struct err *err)
{
    struct event_index *x = &s->index;

    x->open = index_part_new();
    x->part_events = s->opt.index_part_events ? s->opt.index_part_events : STORE_PART_EVENTS;
    return prepare_many(s, err) && store_prepare(s, &x->insert_one, sql_insert_one, err) &&
           store_prepare(s, &x->part_insert, sql_part_insert, err) &&
           store_prepare(s, &x->part_state, sql_part_state, err) &&
           store_prepare(s, &x->part_delete, sql_part_delete, err) &&
           store_prepare(s, &x->rows_bound, sql_rows_bound, err) &&
           store_prepare(s, &x->rows_delete, sql_rows_delete, err) &&
           store_prepare(s, &x->find, sql_find, err) && load_parts(s, err);
}

void event_index_close(struct store_sqlite *s)
{
    struct event_index *x = &s->index;

    for (struct index_part *p = x->pending, *next; p; p = next) {
        next = p->next;
        index_part_free(p);
    }
    index_part_free(x->open);
    mem_free(x->parts);
    mem_free(x->dying);
}

/* --- collecting */

bool event_index_must_close(const struct event_index *x, const struct index_part *p)
{
    return p->count >= x->part_events || (p->count && p->last_id - p->first_id >= SPAN_MAX);
}

void event_index_append(struct index_part **head, struct index_part *p)
{
    while (*head)
        head = &(*head)->next;
    *head = p;
}

void event_index_add(struct store_sqlite *s, const struct index_row *row)
{
    struct index_part *p = s->index.open;

    if (index_part_is_full(p)) {
        lock_take(&s->index.lock); /* moves what readers look at */
        index_part_grow(p);
        lock_drop(&s->index.lock);
    }
    index_part_add(p, row);
}

void event_index_rollback(struct store_sqlite *s)
{
    if (tidy_thread_is_ready(s)) /* before that, nothing was added and the part is TIDY's */
        s->index.open->batch = 0;
}

void event_index_seal(struct store_sqlite *s)
{
    struct index_part *p = s->index.open;

    lock_take(&s->index.lock);
    p->state = PART_SEALED;
    event_index_append(&s->index.pending, p);
    s->index.open = index_part_new();
    lock_drop(&s->index.lock);
    tidy_thread_sort_parts(s);
}

void event_index_publish(struct store_sqlite *s)
{
    struct index_part *p = s->index.open;

    s->index.events_at_flush += p->batch;
    lock_take(&s->index.lock);
    index_part_publish(p);
    lock_drop(&s->index.lock);
    if (event_index_must_close(&s->index, p))
        event_index_seal(s);
}

bool event_index_sort_next(struct store_sqlite *s)
{
    struct index_run runs[INDEX_KINDS];
    struct index_part *p;

    lock_take(&s->index.lock);
    for (p = s->index.pending; p && p->state != PART_SEALED;)
        p = p->next;
    lock_drop(&s->index.lock);
    if (!p)
        return false;
    index_part_sort(p, runs); /* nobody changes a sealed part */
    lock_take(&s->index.lock);
    index_part_take(p, runs);
    lock_drop(&s->index.lock);
    return true;
}

/* --- looking up */

size_t event_index_find_recent(struct store_sqlite *s, uint64_t hash, bool checked_only,
                               int64_t *ids, size_t max)
{
    size_t found;

    lock_take(&s->index.lock);
    found = index_part_find_uuid(s->index.open, hash, checked_only, ids, max);
    for (const struct index_part *p = s->index.pending; p && found < max; p = p->next)
        found += index_part_find_uuid(p, hash, checked_only, ids + found, max - found);
    lock_drop(&s->index.lock);
    return found;
}

static bool each_in_part(struct store_sqlite *s, int64_t number, uint64_t hash, event_index_fn *fn,
                         void *ctx, bool *stop, struct err *err)
{
    struct db_stmt *q = s->index.find;
    enum db_step step;

    db_bind_i64(q, 1, number);
    db_bind_i64(q, 2, INDEX_UUID);
    db_bind_i64(q, 3, (int64_t)hash);
    while ((step = db_step(q, err)) == DB_ROW) {
        if (!fn(ctx, db_col_i64(q, 0), stop, err)) {
            db_reset(q);
            return false;
        }
        if (*stop) {
            db_reset(q);
            return true;
        }
    }
    return step == DB_DONE || store_failed(s, err);
}

bool event_index_each_uuid(struct store_sqlite *s, uint64_t hash, int64_t since_us,
                           event_index_fn *fn, void *ctx, struct err *err)
{
    const struct event_index *x = &s->index;
    int64_t ids[IDS_MAX];
    size_t found = event_index_find_recent(s, hash, true, ids, IDS_MAX);
    bool stop = false;

    for (size_t i = 0; i < found && !stop; i++)
        if (!fn(ctx, ids[i], &stop, err))
            return false;
    for (size_t i = x->part_count; i > 0 && !stop && x->parts[i - 1].last_at >= since_us; i--)
        if (!each_in_part(s, x->parts[i - 1].number, hash, fn, ctx, &stop, err))
            return false;
    return true;
}

/* --- writing a part, slice by slice */

static bool head_is_sorted(struct store_sqlite *s)
{
    lock_take(&s->index.lock);
    bool is_sorted = s->index.pending && s->index.pending->state == PART_SORTED;
    lock_drop(&s->index.lock);
    return is_sorted;
}

bool event_index_is_sorting(struct store_sqlite *s)
{
    return s->index.pending && !head_is_sorted(s);
}

bool event_index_has_work(const struct store_sqlite *s)
{
    return s->index.pending || s->index.dying_count;
}

bool event_index_is_behind(struct store_sqlite *s)
{
    return s->index.pending && s->index.pending->next && head_is_sorted(s);
}

static size_t rows_left(const struct index_part *p, const struct index_progress *at)
{
    size_t left = 0;

    for (int kind = at->kind; kind < INDEX_KINDS; kind++)
        left += p->runs[kind].count;
    return left - at->at;
}

/* Enough rows that the part is written before the next one is full, at the pace at which events
 * came since the last slice; so memory stays bounded however fast they come. */
static size_t slice_rows(struct event_index *x)
{
    size_t left = rows_left(x->pending, &x->next);
    size_t until = x->part_events - MIN(x->open->count, x->part_events - 1);
    size_t rows = x->pending->next
                      ? SLICE_ROWS_MAX
                      : (size_t)((double)left * (double)x->events_at_flush * 1.25 / (double)until);

    return MIN(MAX(rows, (size_t)STORE_SLICE_ROWS), (size_t)SLICE_ROWS_MAX);
}

static bool begin_part(struct store_sqlite *s, const struct index_part *p, struct err *err)
{
    struct db_stmt *q = s->index.part_insert;

    s->index.next.number = ++s->seq.part;
    db_bind_i64(q, 1, s->seq.part);
    db_bind_i64(q, 2, p->first_id);
    db_bind_i64(q, 3, p->last_id);
    db_bind_i64(q, 4, p->first_at);
    db_bind_i64(q, 5, p->last_at);
    db_bind_i64(q, 6, (int64_t)p->count);
    return db_run(q, err);
}

static bool set_state(struct store_sqlite *s, int64_t number, int state, struct err *err)
{
    db_bind_i64(s->index.part_state, 1, number);
    db_bind_i64(s->index.part_state, 2, state);
    return db_run(s->index.part_state, err);
}

static bool end_part(struct store_sqlite *s, const struct index_part *p, struct err *err)
{
    bool ok = set_state(s, s->index.next.number, 1, err);

    for (size_t i = 0; ok && i < p->source_count; i++)
        ok = set_state(s, p->sources[i], 2, err);
    s->index.next.is_done = ok;
    return ok;
}

static bool insert_rows(struct store_sqlite *s, const struct index_part *p, size_t count,
                        struct err *err)
{
    struct index_progress *at = &s->index.next;
    const struct index_run *run = &p->runs[at->kind];
    struct db_stmt *q = count == ROWS_AT_ONCE ? s->index.insert_many : s->index.insert_one;

    db_bind_i64(q, 1, at->number);
    db_bind_i64(q, 2, at->kind + 1);
    for (size_t i = 0; i < count; i++, at->at++) {
        db_bind_i64(q, 3 + 2 * (int)i, (int64_t)run->hash[at->at]);
        db_bind_i64(q, 4 + 2 * (int)i, p->first_id + run->delta[at->at]);
    }
    return db_run(q, err);
}

static bool write_rows(struct store_sqlite *s, const struct index_part *p, size_t rows,
                       int64_t deadline_us, struct err *err)
{
    struct index_progress *at = &s->index.next;

    while (at->kind < INDEX_KINDS && rows > 0 && clock_mono_us() <= deadline_us) {
        size_t left = p->runs[at->kind].count - at->at;
        size_t count = left >= ROWS_AT_ONCE ? ROWS_AT_ONCE : 1;

        if (left == 0) {
            at->kind++;
            at->at = 0;
            continue;
        }
        if (!insert_rows(s, p, count, err))
            return false;
        rows -= MIN(rows, count);
    }
    return true;
}

static bool flush_slice(struct store_sqlite *s, int64_t deadline_us, struct err *err)
{
    const struct index_part *p = s->index.pending;
    size_t rows = slice_rows(&s->index);

    if (s->index.next.number == 0 && !begin_part(s, p, err))
        return false;
    if (rows > STORE_SLICE_ROWS) /* behind: better a longer slice than ever more memory */
        deadline_us += STORE_SLICE_US;
    if (!write_rows(s, p, rows, deadline_us, err))
        return false;
    return s->index.next.kind < INDEX_KINDS || end_part(s, p, err);
}

/* --- deleting a part's rows */

static bool delete_slice(struct store_sqlite *s, struct err *err)
{
    struct event_index *x = &s->index;
    int64_t part = x->dying[0], kind = INT64_MAX, hash = 0, id = 0;

    db_bind_i64(x->rows_bound, 1, part);
    db_bind_i64(x->rows_bound, 2, STORE_SLICE_ROWS - 1);
    enum db_step step = db_step(x->rows_bound, err);
    if (step == DB_FAIL)
        return false;
    if (step == DB_ROW) {
        kind = db_col_i64(x->rows_bound, 0);
        hash = db_col_i64(x->rows_bound, 1);
        id = db_col_i64(x->rows_bound, 2);
        db_reset(x->rows_bound);
    }
    x->dying_is_gone = step == DB_DONE; /* what is left is less than a slice */
    db_bind_i64(x->rows_delete, 1, part);
    db_bind_i64(x->rows_delete, 2, kind);
    db_bind_i64(x->rows_delete, 3, hash);
    db_bind_i64(x->rows_delete, 4, id);
    if (!db_run(x->rows_delete, err))
        return false;
    db_bind_i64(x->part_delete, 1, part);
    return !x->dying_is_gone || db_run(x->part_delete, err);
}

bool event_index_slice(struct store_sqlite *s, int64_t deadline_us, struct err *err)
{
    struct event_index *x = &s->index;
    bool has_sorted = head_is_sorted(s);

    x->dying_is_gone = false;
    if (has_sorted && !flush_slice(s, deadline_us, err))
        return err_wrap(err, "event index");
    if (x->dying_count && (!has_sorted || x->dying_count > DYING_MAX) && !delete_slice(s, err))
        return err_wrap(err, "event index");
    return true;
}

static void part_is_written(struct store_sqlite *s)
{
    struct event_index *x = &s->index;
    struct index_part *p = x->pending;
    struct part_info info = {.number = x->done.number,
                             .first_id = p->first_id,
                             .last_id = p->last_id,
                             .first_at = p->first_at,
                             .last_at = p->last_at,
                             .count = p->count};

    for (size_t i = 0; i < p->source_count; i++)
        event_index_retire(s, p->sources[i]);
    parts_add(x, &info);
    lock_take(&x->lock);
    x->pending = p->next;
    lock_drop(&x->lock);
    index_part_free(p);
    x->done = x->next = (struct index_progress){.number = 0};
}

void event_index_slice_done(struct store_sqlite *s, bool committed)
{
    struct event_index *x = &s->index;

    if (!committed) {
        x->next = x->done;
        return;
    }
    x->events_at_flush = 0;
    x->done = x->next;
    if (x->done.is_done)
        part_is_written(s);
    if (x->dying_is_gone) {
        x->dying_count--;
        memmove(x->dying, x->dying + 1, x->dying_count * sizeof(*x->dying));
        x->dying_is_gone = false;
    }
}

/* A sorted part made elsewhere (a merge) goes the same way as a sealed one. */
void event_index_accept(struct store_sqlite *s, struct index_part *p)
{
    lock_take(&s->index.lock);
    event_index_append(&s->index.pending, p);
    lock_drop(&s->index.lock);
}

bool event_index_close_is_short(const struct store_sqlite *s)
{
    size_t rows = s->index.open->count * 3;

    for (const struct index_part *p = s->index.pending; p; p = p->next)
        rows += p->count * 3;
    return rows > 0 && rows <= CLOSE_ROWS_MAX;
}
