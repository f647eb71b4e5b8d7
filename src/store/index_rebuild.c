/* At start: the duplicate filter from the complete parts that reach into the window, newest first
 * as far as memory allows, then the events above the last complete part, which fill the open part
 * and, when there are many, sealed ones. Runs on the TIDY thread while STORE works on what needs
 * neither; the first event waits for it.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "store/store_priv.h"

static const char sql_hashes[] = "SELECT hash FROM event_index WHERE part = ? AND kind = 2";
static const char sql_scan[] =
    "SELECT id, created_at, is_uuid_checked, team_id, uuid, event, distinct_id FROM events "
    "WHERE id > ? ORDER BY id";

static bool rebuild_dedupe(struct store_sqlite *s, struct db *db, struct err *err)
{
    const struct event_index *x = &s->index;
    int64_t since = clock_wall_us() - s->dedupe.window_us;
    size_t from = x->part_count, total = 0;
    struct db_stmt *q = s->dedupe.window_us > 0 ? db_prepare(db, sql_hashes, err) : NULL;
    enum db_step step = DB_DONE;

    if (!q)
        return s->dedupe.window_us <= 0;
    while (from > 0 && x->parts[from - 1].last_at >= since &&
           total + x->parts[from - 1].count <= dedupe_count_max(&s->dedupe))
        total += x->parts[--from].count;
    if (from > 0 && x->parts[from - 1].last_at >= since)
        s->dedupe.complete_since_us = x->parts[from - 1].last_at;
    for (size_t i = from; step == DB_DONE && i < x->part_count; i++) {
        db_bind_i64(q, 1, x->parts[i].number);
        while ((step = db_step(q, err)) == DB_ROW)
            dedupe_add(&s->dedupe, (uint64_t)db_col_i64(q, 0), x->parts[i].first_at);
    }
    return step == DB_DONE;
}

static void scan_row(struct store_sqlite *s, struct db_stmt *q, struct index_part *p, int64_t since)
{
    int64_t team_id = db_col_i64(q, 3);
    struct index_row row = {.id = db_col_i64(q, 0),
                            .at_us = db_col_i64(q, 1),
                            .is_checked = db_col_i64(q, 2) != 0,
                            .uuid = event_index_hash(s, INDEX_UUID, 0, db_col_blob(q, 4)),
                            .event = event_index_hash(s, INDEX_EVENT, team_id, db_col_text(q, 5)),
                            .distinct_id =
                                event_index_hash(s, INDEX_DISTINCT_ID, team_id, db_col_text(q, 6))};

    if (index_part_is_full(p))
        index_part_grow(p);
    index_part_add(p, &row);
    index_part_publish(p);
    if (row.is_checked && s->dedupe.window_us > 0 && row.at_us >= since)
        dedupe_add(&s->dedupe, row.uuid, row.at_us);
}

static bool scan_events(struct store_sqlite *s, struct db *db, struct index_part **pending,
                        struct index_part **open, struct err *err)
{
    struct db_stmt *q = db_prepare(db, sql_scan, err);
    int64_t since = clock_wall_us() - s->dedupe.window_us;
    enum db_step step = DB_FAIL;

    if (!q)
        return false;
    db_bind_i64(q, 1, event_index_last_id(&s->index));
    while ((step = db_step(q, err)) == DB_ROW) {
        scan_row(s, q, *open, since);
        if (!event_index_must_close(&s->index, *open))
            continue;
        (*open)->state = PART_SEALED;
        event_index_append(pending, *open);
        *open = index_part_new();
    }
    return step == DB_DONE;
}

bool index_rebuild(struct store_sqlite *s, struct db *db, struct err *err)
{
    struct index_part *pending = NULL, *open = index_part_new(), *old;
    bool ok = rebuild_dedupe(s, db, err) && scan_events(s, db, &pending, &open, err);

    /* Readers see it at once and whole. On failure the caller gives up the store. */
    lock_take(&s->index.lock);
    old = s->index.open;
    s->index.open = open;
    s->index.pending = pending;
    lock_drop(&s->index.lock);
    index_part_free(old);
    return ok || err_wrap(err, "read the newest events");
}
