/* Lists, newest first, and sums per minute. */
#include "store/reader_priv.h"

/* One statement for entries of one config, which an index finds, and one for all. */
#define LOGS_SELECT \
    "SELECT id, team_id, plugin_config_id, at, source, type, message FROM plugin_logs WHERE "
#define LOGS_BOUNDS                                                                \
    "(?2 = 0 OR team_id = ?2) AND (?3 = '' OR type = ?3) AND id < ?4 AND id > ?5 " \
    "ORDER BY id DESC LIMIT ?6"
static const char sql_logs_of[] = LOGS_SELECT "plugin_config_id = ?1 AND " LOGS_BOUNDS;
static const char sql_logs[] = LOGS_SELECT "?1 = 0 AND " LOGS_BOUNDS;
/* A team whose last event is far back is searched for within the time limit: events have no index
 * by team. */
static const char sql_events[] =
    "SELECT uuid, event, distinct_id, team_id, timestamp, person_uuid, json_valid(properties), "
    "CASE WHEN length(properties) <= 65536 THEN properties END FROM v_events "
    "WHERE ?1 = 0 OR team_id = ?1 ORDER BY id DESC LIMIT ?2";
/* Minute by minute: the key's first column is the minute, so that a range over several minutes
 * could not make use of the team. */
static const char sql_minute[] =
    "SELECT what, sum(count) FROM counters WHERE minute = ?1 GROUP BY what";
static const char sql_minute_of[] =
    "SELECT what, sum(count) FROM counters WHERE minute = ?1 AND team_id = ?2 GROUP BY what";
/* Whose event it was stands in the captured text; a long one is not looked into. */
#define CAPTURED \
    "CASE WHEN length(envelope) <= 65536 AND json_valid(envelope) THEN envelope ELSE '{}' END"
static const char sql_dead_letters[] =
    "SELECT id, team_id, at, stage, reason, replayed_at, length(envelope), "
    "json_extract(captured, '$.distinct_id'), json_extract(captured, '$.uuid') FROM "
    "(SELECT *, " CAPTURED " AS captured FROM dead_letters "
    "WHERE (?1 = 0 OR team_id = ?1) AND id < ?2 ORDER BY id DESC LIMIT ?3)";
static const char sql_dead_letter[] =
    "SELECT id, team_id, at, stage, reason, replayed_at, json_valid(envelope), envelope FROM "
    "dead_letters WHERE id = ?";

bool reader_list_prepare(struct store_reader *r, struct err *err)
{
    const struct {
        struct db_stmt **stmt;
        const char *sql;
    } list[] = {
        {&r->logs, sql_logs},
        {&r->logs_of, sql_logs_of},
        {&r->events, sql_events},
        {&r->minute, sql_minute},
        {&r->minute_of, sql_minute_of},
        {&r->dead_letters, sql_dead_letters},
        {&r->dead_letter, sql_dead_letter},
    };

    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        *list[i].stmt = db_prepare(r->db, list[i].sql, err);
        if (!*list[i].stmt)
            return false;
    }
    return true;
}

static void begin_entry(struct buf *json)
{
    if (json->len && json->ptr[json->len - 1] == '}')
        buf_add_char(json, ',');
    buf_add_char(json, '{');
}

/* --- plugin logs */

static void write_log(struct db_stmt *q, struct buf *json)
{
    begin_entry(json);
    reader_add_i64(json, "id", db_col_i64(q, 0));
    reader_add_i64(json, "team_id", db_col_i64(q, 1));
    reader_add_i64(json, "plugin_config_id", db_col_i64(q, 2));
    reader_add_i64(json, "at", db_col_i64(q, 3));
    reader_add_text(json, "source", db_col_text(q, 4));
    reader_add_text(json, "type", db_col_text(q, 5));
    reader_add_text(json, "message", db_col_text(q, 6));
    buf_add_char(json, '}');
}

static bool read_logs(struct store_reader *r, const void *what, struct buf *json, struct err *err)
{
    const struct store_plugin_logs_query *w = what;
    struct db_stmt *q = w->config_id ? r->logs_of : r->logs;
    enum db_step step;

    db_bind_i64(q, 1, w->config_id);
    db_bind_i64(q, 2, w->team_id);
    db_bind_text_or_empty(q, 3, w->type);
    db_bind_i64(q, 4, w->before ? w->before : INT64_MAX);
    db_bind_i64(q, 5, w->after);
    db_bind_i64(q, 6, w->limit);
    buf_add_str(json, "{\"entries\":[");
    while ((step = db_step(q, err)) == DB_ROW)
        write_log(q, json);
    buf_add_str(json, "]}");
    return step == DB_DONE;
}

bool store_reader_plugin_logs(struct store_reader *r, const struct store_plugin_logs_query *query,
                              struct buf *json, struct err *err)
{
    return reader_bounded(r, read_logs, query, json, err);
}

/* --- the newest events */

struct events_query {
    int64_t team_id;
    int limit;
};

static void write_event(struct db_stmt *q, struct buf *json)
{
    begin_entry(json);
    reader_add_text(json, "uuid", db_col_text(q, 0));
    reader_add_text(json, "event", db_col_text(q, 1));
    reader_add_text(json, "distinct_id", db_col_text(q, 2));
    reader_add_i64(json, "team_id", db_col_i64(q, 3));
    reader_add_text(json, "timestamp", db_col_text(q, 4));
    reader_add_text(json, "person_uuid", db_col_text(q, 5));
    if (db_col_is_null(q, 7))
        reader_add_text(json, "properties", SLICE_NONE);
    else
        reader_add_json(json, "properties", db_col_i64(q, 6) != 0, db_col_text(q, 7));
    buf_add_char(json, '}');
}

static bool read_events(struct store_reader *r, const void *what, struct buf *json, struct err *err)
{
    const struct events_query *w = what;
    struct db_stmt *q = r->events;
    enum db_step step;

    db_bind_i64(q, 1, w->team_id);
    db_bind_i64(q, 2, w->limit);
    buf_add_str(json, "{\"events\":[");
    while ((step = db_step(q, err)) == DB_ROW)
        write_event(q, json);
    buf_add_str(json, "]}");
    return step == DB_DONE;
}

bool store_reader_events(struct store_reader *r, int64_t team_id, int limit, struct buf *json,
                         struct err *err)
{
    struct events_query w = {.team_id = team_id, .limit = limit};

    return reader_bounded(r, read_events, &w, json, err);
}

/* --- events per minute */

static bool read_minute(struct store_reader *r, int64_t minute, int64_t team_id, struct buf *json,
                        struct err *err)
{
    static const char *const names[] = {[STORE_COUNT_STORED] = "stored",
                                        [STORE_COUNT_DUPLICATE] = "duplicates",
                                        [STORE_COUNT_DROPPED] = "dropped",
                                        [STORE_COUNT_DEAD] = "dead_letters"};
    struct db_stmt *q = team_id ? r->minute_of : r->minute;
    int64_t sums[ARRAY_LEN(names)] = {0};
    enum db_step step;
    bool is_empty = true;

    db_bind_i64(q, 1, minute);
    if (team_id)
        db_bind_i64(q, 2, team_id);
    while ((step = db_step(q, err)) == DB_ROW) {
        int64_t what = db_col_i64(q, 0);
        if (what >= 0 && what < (int64_t)ARRAY_LEN(sums))
            sums[what] = db_col_i64(q, 1);
        is_empty = false;
    }
    if (step == DB_FAIL)
        return false;
    if (is_empty)
        return true;
    begin_entry(json);
    reader_add_i64(json, "minute", minute);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        reader_add_i64(json, names[i], sums[i]);
    buf_add_char(json, '}');
    return true;
}

static bool read_minutes(struct store_reader *r, const void *what, struct buf *json,
                         struct err *err)
{
    const struct store_minutes_query *w = what;

    buf_addf(json, "{\"from\":%lld,\"to\":%lld,\"minutes\":[", (long long)w->from,
             (long long)w->to);
    for (int64_t minute = w->from; minute <= w->to; minute++)
        if (!read_minute(r, minute, w->team_id, json, err))
            return false;
    buf_add_str(json, "]}");
    return true;
}

bool store_reader_minutes(struct store_reader *r, const struct store_minutes_query *query,
                          struct buf *json, struct err *err)
{
    return reader_bounded(r, read_minutes, query, json, err);
}

/* --- dead letters */

static void write_dead_letter(struct db_stmt *q, struct buf *json)
{
    begin_entry(json);
    reader_add_i64(json, "id", db_col_i64(q, 0));
    reader_add_i64(json, "team_id", db_col_i64(q, 1));
    reader_add_i64(json, "at", db_col_i64(q, 2));
    reader_add_text(json, "stage", db_col_text(q, 3));
    reader_add_text(json, "reason", db_col_text(q, 4));
    if (db_col_is_null(q, 5))
        reader_add_text(json, "replayed_at", SLICE_NONE);
    else
        reader_add_i64(json, "replayed_at", db_col_i64(q, 5));
}

static bool read_dead_letters(struct store_reader *r, const void *what, struct buf *json,
                              struct err *err)
{
    const struct store_dead_letters_query *w = what;
    struct db_stmt *q = r->dead_letters;
    enum db_step step;

    db_bind_i64(q, 1, w->team_id);
    db_bind_i64(q, 2, w->before ? w->before : INT64_MAX);
    db_bind_i64(q, 3, w->limit);
    buf_add_str(json, "{\"entries\":[");
    while ((step = db_step(q, err)) == DB_ROW) {
        write_dead_letter(q, json);
        reader_add_i64(json, "envelope_bytes", db_col_i64(q, 6));
        reader_add_text(json, "distinct_id", db_col_text(q, 7));
        reader_add_text(json, "uuid", db_col_text(q, 8));
        buf_add_char(json, '}');
    }
    buf_add_str(json, "]}");
    return step == DB_DONE;
}

bool store_reader_dead_letters(struct store_reader *r, const struct store_dead_letters_query *query,
                               struct buf *json, struct err *err)
{
    return reader_bounded(r, read_dead_letters, query, json, err);
}

static bool read_dead_letter(struct store_reader *r, const void *what, struct buf *json,
                             struct err *err)
{
    struct db_stmt *q = r->dead_letter;

    db_bind_i64(q, 1, *(const int64_t *)what);
    enum db_step step = db_step(q, err);
    if (step == DB_ROW) {
        write_dead_letter(q, json);
        reader_add_json(json, "envelope", db_col_i64(q, 6) != 0, db_col_text(q, 7));
        buf_add_char(json, '}');
    }
    db_reset(q);
    return step == DB_ROW || (step == DB_DONE && err_set(err, ERR_GONE, "there is no such error"));
}

bool store_reader_dead_letter(struct store_reader *r, int64_t id, struct buf *json, struct err *err)
{
    return reader_bounded(r, read_dead_letter, &id, json, err);
}
