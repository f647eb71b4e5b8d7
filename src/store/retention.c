/* Deletion of what is too old, a bounded number of rows a slice, oldest first.
 *
 * Events and recordings go by arrival, events never past the lowest cursor of the consumers. When
 * the front of a table is young enough, the moment when it will not be is remembered, and until
 * then nothing is looked at. Rows of event_index go with the part whose last event went.
 */
#include "base/clock.h"
#include "store/store_priv.h"

#define RETRY_US         60000000 /* a consumer stands in the way: look again after a minute */
#define COUNTERS_KEEP_US ((int64_t)90 * 86400 * 1000000)
#define RECORDING_ROWS   100 /* at once: rows of some 100 KB, whose pages are all looked at */

static const char sql_counters_delete[] =
    "DELETE FROM counters WHERE (minute, team_id, name, what) IN "
    "(SELECT minute, team_id, name, what FROM counters WHERE minute < ? "
    "ORDER BY minute, team_id, name, what LIMIT ?)";
static const char sql_counters_first[] = "SELECT minute FROM counters ORDER BY minute LIMIT 1";
static const char sql_part_state[] = "UPDATE event_parts SET state = 2 WHERE part = ?";

/* Tables with an id that grows with time; counters have another key. */
static const struct {
    const char *name, *scan, *delete;
    int64_t rows; /* at once */
} tables[RETAINED] = {
    [RETAINED_EVENTS] = {"events", "SELECT id, created_at FROM events ORDER BY id LIMIT ?",
                         "DELETE FROM events WHERE id <= ?", STORE_DELETE_ROWS},
    [RETAINED_RECORDINGS] = {"recordings",
                             "SELECT id, created_at FROM session_recording_events ORDER BY id "
                             "LIMIT ?",
                             "DELETE FROM session_recording_events WHERE id <= ?", RECORDING_ROWS},
    [RETAINED_DEAD_LETTERS] = {"dead letter", "SELECT id, at FROM dead_letters ORDER BY id LIMIT ?",
                               "DELETE FROM dead_letters WHERE id <= ?", STORE_DELETE_ROWS},
    [RETAINED_PLUGIN_LOGS] = {"plugin log", "SELECT id, at FROM plugin_logs ORDER BY id LIMIT ?",
                              "DELETE FROM plugin_logs WHERE id <= ?", STORE_DELETE_ROWS},
    [RETAINED_COUNTERS] = {"counters", sql_counters_first, sql_counters_delete, STORE_DELETE_ROWS},
};

bool retention_open(struct store_sqlite *s, struct err *err)
{
    struct retention *r = &s->retention;

    r->of[RETAINED_EVENTS].keep_us = s->opt.events_retention_us;
    r->of[RETAINED_RECORDINGS].keep_us = s->opt.events_retention_us;
    r->of[RETAINED_DEAD_LETTERS].keep_us = s->opt.dead_letter_retention_us;
    r->of[RETAINED_PLUGIN_LOGS].keep_us = s->opt.plugin_logs_retention_us;
    r->of[RETAINED_COUNTERS].keep_us = COUNTERS_KEEP_US;
    for (int i = 0; i < RETAINED; i++) {
        r->of[i].due_us = r->of[i].keep_us > 0 ? INT64_MIN : INT64_MAX;
        if (!store_prepare(s, &r->of[i].scan, tables[i].scan, err) ||
            !store_prepare(s, &r->of[i].delete, tables[i].delete, err))
            return false;
    }
    return store_prepare(s, &r->part_state, sql_part_state, err);
}

bool retention_has_work(const struct store_sqlite *s)
{
    int64_t now = clock_wall_us();

    for (int i = 0; i < RETAINED; i++)
        if (now >= s->retention.of[i].due_us)
            return true;
    return false;
}

/* The last of the first rows that all are older than keep_us and not above limit_id; 0: none.
 * due_next: when to look again. */
static bool find_bound(struct retained *t, int64_t rows, int64_t limit_id, int64_t *bound,
                       struct err *err)
{
    int64_t now = clock_wall_us();
    enum db_step step;

    *bound = 0;
    t->due_next = now + t->keep_us; /* an empty table: what comes now is too old then */
    db_bind_i64(t->scan, 1, rows);
    while ((step = db_step(t->scan, err)) == DB_ROW) {
        int64_t id = db_col_i64(t->scan, 0), at = db_col_i64(t->scan, 1);
        if (at >= now - t->keep_us || id > limit_id) {
            t->due_next = id > limit_id ? now + RETRY_US : at + t->keep_us + 1;
            db_reset(t->scan);
            return true;
        }
        *bound = id;
        t->due_next = INT64_MIN; /* when they all go, there may be more */
    }
    return step == DB_DONE;
}

static bool delete_by_id(struct store_sqlite *s, enum retained_table which, int64_t limit_id,
                         int64_t *bound, struct err *err)
{
    struct retained *t = &s->retention.of[which];

    if (!find_bound(t, tables[which].rows, limit_id, bound, err))
        return false;
    db_bind_i64(t->delete, 1, *bound);
    return *bound == 0 || db_run(t->delete, err);
}

static bool retire_parts(struct store_sqlite *s, int64_t deleted_to, struct err *err)
{
    const struct event_index *x = &s->index;

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
    int64_t bound, lowest;

    return cursor_lowest(s, &lowest, err) &&
           delete_by_id(s, RETAINED_EVENTS, lowest, &bound, err) && retire_parts(s, bound, err);
}

static bool delete_recordings(struct store_sqlite *s, struct err *err)
{
    const struct retained *t = &s->retention.of[RETAINED_RECORDINGS];
    int64_t deadline = clock_mono_us() + STORE_SLICE_US, rows = 0, bound;

    do {
        if (!delete_by_id(s, RETAINED_RECORDINGS, INT64_MAX, &bound, err))
            return false;
        rows += RECORDING_ROWS;
    } while (t->due_next == INT64_MIN && rows < STORE_DELETE_ROWS && clock_mono_us() < deadline);
    return true;
}

static bool delete_counters(struct store_sqlite *s, struct err *err)
{
    struct retained *t = &s->retention.of[RETAINED_COUNTERS];
    int64_t now = clock_wall_us();
    enum db_step step;

    db_bind_i64(t->delete, 1, (now - t->keep_us) / COUNTER_MINUTE_US);
    db_bind_i64(t->delete, 2, tables[RETAINED_COUNTERS].rows);
    if (!db_run(t->delete, err))
        return false;
    t->due_next = now + t->keep_us;
    step = db_step(t->scan, err);
    if (step == DB_ROW) { /* a minute is kept until its end is too old; due at once: more to go */
        t->due_next = (db_col_i64(t->scan, 0) + 1) * COUNTER_MINUTE_US + t->keep_us;
        db_reset(t->scan);
    }
    return step != DB_FAIL;
}

static bool delete_dead_letters(struct store_sqlite *s, struct err *err)
{
    int64_t bound;

    return delete_by_id(s, RETAINED_DEAD_LETTERS, INT64_MAX, &bound, err);
}

static bool delete_plugin_logs(struct store_sqlite *s, struct err *err)
{
    int64_t bound;

    return delete_by_id(s, RETAINED_PLUGIN_LOGS, INT64_MAX, &bound, err);
}

bool retention_slice(struct store_sqlite *s, struct err *err)
{
    static bool (*const delete_old[RETAINED])(struct store_sqlite *, struct err *) = {
        [RETAINED_EVENTS] = delete_events,
        [RETAINED_RECORDINGS] = delete_recordings,
        [RETAINED_DEAD_LETTERS] = delete_dead_letters,
        [RETAINED_PLUGIN_LOGS] = delete_plugin_logs,
        [RETAINED_COUNTERS] = delete_counters,
    };
    struct retention *r = &s->retention;
    int64_t now = clock_wall_us();

    r->parts_gone = 0;
    for (int i = 0; i < RETAINED; i++) {
        r->of[i].due_next = r->of[i].due_us;
        if (now >= r->of[i].due_us && !delete_old[i](s, err))
            return err_wrap(err, "%s retention", tables[i].name);
    }
    return true;
}

void retention_done(struct store_sqlite *s, bool committed)
{
    struct retention *r = &s->retention;

    if (committed) {
        for (int i = 0; i < RETAINED; i++)
            r->of[i].due_us = r->of[i].due_next;
        for (; r->parts_gone; r->parts_gone--)
            event_index_retire(s, s->index.parts[0].number);
    }
    r->parts_gone = 0;
}
