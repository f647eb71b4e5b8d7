/* Small parts, one per clean stop of the server, become one: a look-up asks every part. The rows of
 * neighbours are read on the TIDY thread and sorted like those of a sealed part; the result names
 * the parts it replaces, and they go when its last row is written. Each row is written again about
 * once per fourfold growth of its part. */
#include "base/mem.h"
#include "store/store_priv.h"

#define SOURCES_MIN 4

static const char sql_rows[] = "SELECT kind, hash, id FROM event_index WHERE part = ?";

bool index_merge_choose(const struct event_index *x, struct index_merge *m)
{
    for (size_t from = 0; from + SOURCES_MIN <= x->part_count; from++) {
        size_t total = 0;

        m->count = 0;
        for (size_t i = from; i < x->part_count && m->count < INDEX_SOURCES; i++) {
            total += x->parts[i].count;
            if (x->parts[i].count >= x->part_events / 2 || total > x->part_events)
                break;
            m->sources[m->count++] = x->parts[i];
        }
        if (m->count >= SOURCES_MIN &&
            m->sources[m->count - 1].last_id - m->sources[0].first_id < INT32_MAX)
            return true;
    }
    m->count = 0;
    return false;
}

static void run_add(struct index_run *run, size_t *cap, uint64_t hash, uint32_t delta)
{
    if (run->count == *cap) {
        *cap = *cap ? *cap * 2 : 1024;
        run->hash = mem_realloc(run->hash, *cap * sizeof(*run->hash));
        run->delta = mem_realloc(run->delta, *cap * sizeof(*run->delta));
    }
    run->hash[run->count] = hash;
    run->delta[run->count++] = delta;
}

static bool load_source(struct db_stmt *q, int64_t number, struct index_part *p,
                        size_t caps[INDEX_KINDS], struct err *err)
{
    enum db_step step;

    db_bind_i64(q, 1, number);
    while ((step = db_step(q, err)) == DB_ROW) {
        int64_t kind = db_col_i64(q, 0) - 1, delta = db_col_i64(q, 2) - p->first_id;
        if (kind < 0 || kind >= INDEX_KINDS || delta < 0 || delta > INT32_MAX) {
            db_reset(q);
            return err_set(err, ERR_IO,
                           "part %lld of event_index has a row that does not belong there",
                           (long long)number);
        }
        run_add(&p->runs[kind], &caps[kind], (uint64_t)db_col_i64(q, 1), (uint32_t)delta);
    }
    return step == DB_DONE;
}

struct index_part *index_merge_load(struct db *db, const struct index_merge *m, struct err *err)
{
    struct index_part *p = index_part_new();
    struct db_stmt *q = db_prepare(db, sql_rows, err);
    size_t caps[INDEX_KINDS] = {0};
    bool ok = q != NULL;

    p->state = PART_SORTED;
    p->first_id = m->sources[0].first_id;
    p->first_at = m->sources[0].first_at;
    for (size_t i = 0; ok && i < m->count; i++) {
        p->sources[p->source_count++] = m->sources[i].number;
        p->count += m->sources[i].count;
        p->last_id = m->sources[i].last_id;
        p->last_at = MAX(p->last_at, m->sources[i].last_at);
        ok = load_source(q, m->sources[i].number, p, caps, err);
    }
    db_stmt_free(q);
    if (!ok) {
        index_part_free(p);
        return NULL;
    }
    for (int i = 0; i < INDEX_KINDS; i++)
        index_part_sort_run(&p->runs[i]);
    return p;
}
