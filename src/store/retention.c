/* Deletion of what is too old, at most STORE_DELETE_ROWS a slice, oldest first.
 *
 * Events go by arrival and never past the lowest cursor of the consumers. When the front of a table
 * is young enough, the moment when it will not be is remembered, and until then nothing is looked
 * at. Rows of event_index go with the part whose last event went.
 */
#include "base/clock.h"
#include "store/store_priv.h"

#define RETRY_US 60000000 /* a consumer stands in the way: look again after a minute */

static const char sql_events_scan[] = "SELECT id, created_at FROM events ORDER BY id LIMIT ?";
static const char sql_events_delete[] = "DELETE FROM events WHERE id <= ?";
static const char sql_dead_scan[] = "SELECT id, at FROM dead_letters ORDER BY id LIMIT ?";
static const char sql_dead_delete[] = "DELETE FROM dead_letters WHERE id <= ?";
static const char sql_part_state[] = "UPDATE event_parts SET state = 2 WHERE part = ?";

bool retention_open(struct store_sqlite *s, struct err *err)
{
    struct retention *r = &s->retention;

    r->events_due_us = s->opt.events_retention_us > 0 ? INT64_MIN : INT64_MAX;
    r->dead_due_us = s->opt.dead_letter_retention_us > 0 ? INT64_MIN : INT64_MAX;
    return store_prepare(s, &r->events_scan, sql_events_scan, err) &&
           store_prepare(s, &r->events_delete, sql_events_delete, err) &&
           store_prepare(s, &r->dead_scan, sql_dead_scan, err) &&
           store_prepare(s, &r->dead_delete, sql_dead_delete, err) &&
           store_prepare(s, &r->part_state, sql_part_state, err);
}

bool retention_has_work(const struct store_sqlite *s)
{
    int64_t now = clock_wall_us();

    return now >= s->retention.events_due_us || now >= s->retention.dead_due_us;
}

/* The last of the first rows that all are older than keep_us and not above limit_id; 0: none. *due:
 * when to look again. */
static bool find_bound(struct db_stmt *scan, int64_t keep_us, int64_t limit_id, int64_t *bound,
                       int64_t *due, struct err *err)
{
    int64_t now = clock_wall_us();
    enum db_step step;

    *bound = 0;
    *due = now + keep_us; /* an empty table: what comes now is too old then */
    db_bind_i64(scan, 1, STORE_DELETE_ROWS);
    while ((step = db_step(scan, err)) == DB_ROW) {
        int64_t id = db_col_i64(scan, 0), at = db_col_i64(scan, 1);
        if (at >= now - keep_us || id > limit_id) {
            *due = id > limit_id ? now + RETRY_US : at + keep_us + 1;
            db_reset(scan);
            return true;
        }
        *bound = id;
        *due = INT64_MIN; /* when they all go, there may be more */
    }
    return step == DB_DONE;
}

static bool retire_parts(struct store_sqlite *s, int64_t deleted_to, struct err *err)
{
    const struct event_index *x = &s->index;

    s->retention.parts_gone = 0;
    for (size_t i = 0; i < x->part_count && x->parts[i].last_id <= deleted_to; i++) {
        db_bind_i64(s->retention.part_state, 1, x->parts[i].number);
        if (!db_run(s->retention.part_state, err))
            return false;
        s->retention.parts_gone++;
    }
    return true;
}

static bool delete_events(struct store_sqlite *s, struct err *err)
{
    struct retention *r = &s->retention;
    int64_t bound, lowest;

    if (!cursor_lowest(s, &lowest, err) || !find_bound(r->events_scan, s->opt.events_retention_us,
                                                       lowest, &bound, &r->events_due_next, err))
        return false;
    if (bound == 0)
        return true;
    db_bind_i64(r->events_delete, 1, bound);
    return db_run(r->events_delete, err) && retire_parts(s, bound, err);
}

static bool delete_dead_letters(struct store_sqlite *s, struct err *err)
{
    struct retention *r = &s->retention;
    int64_t bound;

    if (!find_bound(r->dead_scan, s->opt.dead_letter_retention_us, INT64_MAX, &bound,
                    &r->dead_due_next, err))
        return false;
    db_bind_i64(r->dead_delete, 1, bound);
    return bound == 0 || db_run(r->dead_delete, err);
}

bool retention_slice(struct store_sqlite *s, struct err *err)
{
    struct retention *r = &s->retention;
    int64_t now = clock_wall_us();

    r->events_due_next = r->events_due_us;
    r->dead_due_next = r->dead_due_us;
    r->parts_gone = 0;
    if (now >= r->events_due_us && !delete_events(s, err))
        return err_wrap(err, "events retention");
    if (now >= r->dead_due_us && !delete_dead_letters(s, err))
        return err_wrap(err, "dead letter retention");
    return true;
}

void retention_done(struct store_sqlite *s, bool committed)
{
    struct retention *r = &s->retention;

    if (committed) {
        r->events_due_us = r->events_due_next;
        r->dead_due_us = r->dead_due_next;
        for (; r->parts_gone; r->parts_gone--)
            event_index_retire(s, s->index.parts[0].number);
    }
    r->parts_gone = 0;
}
