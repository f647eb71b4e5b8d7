/* Bounded reads. A read is one transaction: it sees one state, and the progress handler ends it
 * after READ_US. It reads the views or merges log and tables by hand, the log first. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/reader_priv.h"

#define READ_US     250000
#define BUSY_US     100000
#define CACHE_BYTES (1 << 20)
#define IDS_MAX     64

static const char sql_parts[] =
    "SELECT part FROM event_parts WHERE state = 1 ORDER BY last_id DESC";
static const char sql_index[] =
    "SELECT id FROM event_index WHERE part = ? AND kind = ? AND hash = ? ORDER BY id DESC";
static const char sql_uuid[] = "SELECT uuid FROM events WHERE id = ?";
/* Newest first, as long as nothing older than the newest complete part is reached. */
static const char sql_scan[] = "SELECT id FROM events WHERE id > (SELECT coalesce(max(last_id), 0) "
                               "FROM event_parts WHERE state = 1) "
                               "AND uuid = ? ORDER BY id DESC LIMIT 1";
static const char sql_event[] = "SELECT id, uuid, team_id, event, distinct_id, person_uuid, "
                                "json_valid(properties), properties, elements_chain, "
                                "timestamp, created_at, group_0_key, group_1_key, group_2_key, "
                                "group_3_key, group_4_key FROM v_events WHERE id = ?";
static const char sql_owner_logged[] =
    "SELECT person_id FROM changes WHERE seq > (SELECT folded_seq FROM meta) AND kind = 2 AND "
    "team_id = ?1 AND key = ?2 "
    "ORDER BY seq DESC LIMIT 1";
static const char sql_owner_folded[] =
    "SELECT person_id FROM person_distinct_ids WHERE team_id = ?1 AND distinct_id = ?2";
#define PERSON_COLUMNS \
    "uuid, team_id, json_valid(properties), properties, is_identified, created_at, version"
static const char sql_person_logged[] =
    "SELECT " PERSON_COLUMNS
    ", is_deleted FROM changes WHERE seq > (SELECT folded_seq FROM meta) AND kind = 1 "
    "AND object_id = ? ORDER BY seq DESC LIMIT 1";
static const char sql_person_folded[] = "SELECT " PERSON_COLUMNS ", 0 FROM persons WHERE id = ?";
/* A living person never loses a distinct id (a merge takes all, and then the person is gone), so
 * whatever came to it is still there. */
static const char sql_ids[] =
    "SELECT id, distinct_id FROM person_distinct_ids WHERE person_id = ?1 UNION "
    "SELECT object_id, key FROM changes WHERE seq > (SELECT folded_seq FROM meta) AND kind = 2 AND "
    "person_id = ?1 "
    "ORDER BY 1";

/* --- open */

static bool prepare_all(struct store_reader *r, struct err *err)
{
    const struct {
        struct db_stmt **stmt;
        const char *sql;
    } list[] = {{&r->parts, sql_parts},
                {&r->index, sql_index},
                {&r->uuid, sql_uuid},
                {&r->scan, sql_scan},
                {&r->event, sql_event},
                {&r->owner_logged, sql_owner_logged},
                {&r->owner_folded, sql_owner_folded},
                {&r->person_logged, sql_person_logged},
                {&r->person_folded, sql_person_folded},
                {&r->ids, sql_ids}};

    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        *list[i].stmt = db_prepare(r->db, list[i].sql, err);
        if (!*list[i].stmt)
            return false;
    }
    return reader_list_prepare(r, err);
}

static bool load_key(struct store_reader *r, struct err *err)
{
    struct db_stmt *q = db_prepare(r->db, "SELECT hash_key FROM meta WHERE id = 1", err);

    if (!q)
        return false;
    bool ok = db_step(q, err) == DB_ROW && db_col_blob(q, 0).len == sizeof(r->hash_key);
    if (ok)
        memcpy(r->hash_key, db_col_blob(q, 0).ptr, sizeof(r->hash_key));
    else if (err->code == ERR_NONE)
        err_set(err, ERR_IO, "%s: meta has no hash key", db_name(r->db));
    db_stmt_free(q);
    return ok;
}

struct store_reader *store_reader_open(const char *path, struct err *err)
{
    struct db_options opt = {.path = path,
                             .schema = store_sqlite_schema_table(),
                             .is_read_only = true,
                             .busy_us = BUSY_US,
                             .cache_bytes = CACHE_BYTES};
    struct store_reader *r = mem_new(struct store_reader);

    r->db = db_open(&opt, err);
    if (!r->db || !load_key(r, err) || !prepare_all(r, err)) {
        store_reader_close(r);
        return NULL;
    }
    return r;
}

void store_reader_attach(struct store_reader *r, const struct store *store)
{
    r->store = store_self(store->self);
}

void store_reader_close(struct store_reader *r)
{
    if (!r)
        return;
    db_close(r->db);
    mem_free(r);
}

bool reader_bounded(struct store_reader *r, reader_fn *fn, const void *what, struct buf *json,
                    struct err *err)
{
    size_t before = json->len;
    bool ok;

    db_set_deadline(r->db, clock_mono_us() + READ_US);
    ok = db_begin_read(r->db, err) && fn(r, what, json, err);
    db_set_deadline(r->db, INT64_MAX);
    db_rollback(r->db);
    if (ok && json->is_over)
        ok = err_set(err, ERR_LIMIT, "the answer is longer than %zu bytes", json->max);
    if (!ok) {
        json->len = before;
        if (err->code == ERR_LIMIT)
            err_wrap(err, "a read may take %d ms", READ_US / 1000);
    }
    return ok;
}

/* --- JSON */

void reader_add_key(struct buf *json, const char *key)
{
    buf_addf(json, "%s\"%s\":", json->len && json->ptr[json->len - 1] == '{' ? "" : ",", key);
}

void reader_add_text(struct buf *json, const char *key, struct slice text)
{
    reader_add_key(json, key);
    if (text.ptr)
        buf_add_json_str(json, text);
    else
        buf_add_str(json, "null");
}

void reader_add_i64(struct buf *json, const char *key, int64_t value)
{
    reader_add_key(json, key);
    buf_add_i64(json, value);
}

void reader_add_json(struct buf *json, const char *key, bool is_valid, struct slice text)
{
    if (!is_valid) {
        reader_add_text(json, key, text);
        return;
    }
    reader_add_key(json, key);
    buf_add_slice(json, text);
}

/* --- events */

struct event_wanted {
    const struct uuid *uuid;
    int64_t recent[IDS_MAX]; /* asked before the transaction began, so that nothing falls between */
    size_t recent_count;
};

static bool has_uuid(struct store_reader *r, int64_t id, const struct uuid *uuid, bool *found,
                     struct err *err)
{
    struct uuid stored;

    db_bind_i64(r->uuid, 1, id);
    enum db_step step = db_step(r->uuid, err);
    *found = step == DB_ROW && store_read_uuid(db_col_blob(r->uuid, 0), &stored) &&
             uuid_eq(&stored, uuid);
    db_reset(r->uuid);
    return step != DB_FAIL;
}

static bool find_in_part(struct store_reader *r, int64_t part, int kind, uint64_t hash,
                         const struct uuid *uuid, int64_t *id, struct err *err)
{
    enum db_step step;
    bool found = false;

    db_bind_i64(r->index, 1, part);
    db_bind_i64(r->index, 2, kind);
    db_bind_i64(r->index, 3, (int64_t)hash);
    while (!found && (step = db_step(r->index, err)) != DB_DONE) {
        if (step == DB_FAIL)
            return false;
        *id = db_col_i64(r->index, 0);
        if (!has_uuid(r, *id, uuid, &found, err))
            return false;
    }
    db_reset(r->index);
    *id = found ? *id : 0;
    return true;
}

static bool find_indexed(struct store_reader *r, const struct uuid *uuid, int64_t *id,
                         struct err *err)
{
    uint64_t hash = store_hash_uuid(r->hash_key, uuid);
    enum db_step step;

    *id = 0;
    while (*id == 0 && (step = db_step(r->parts, err)) != DB_DONE) {
        int64_t part;

        if (step == DB_FAIL)
            return false;
        part = db_col_i64(r->parts, 0);
        if (!find_in_part(r, part, INDEX_UUID, hash, uuid, id, err) ||
            (*id == 0 && !find_in_part(r, part, INDEX_UUID_UNCHECKED, hash, uuid, id, err))) {
            db_reset(r->parts);
            return false;
        }
    }
    db_reset(r->parts);
    return true;
}

static bool find_recent(struct store_reader *r, const struct event_wanted *w, int64_t *id,
                        struct err *err)
{
    bool found = false;

    *id = 0;
    for (size_t i = 0; i < w->recent_count && !found; i++) {
        if (!has_uuid(r, w->recent[i], w->uuid, &found, err))
            return false;
        *id = found ? w->recent[i] : 0;
    }
    return true;
}

static bool find_by_scan(struct store_reader *r, const struct uuid *uuid, int64_t *id,
                         struct err *err)
{
    db_bind_blob(r->scan, 1, uuid->b, sizeof(uuid->b));
    enum db_step step = db_step(r->scan, err);
    *id = step == DB_ROW ? db_col_i64(r->scan, 0) : 0;
    db_reset(r->scan);
    return step != DB_FAIL;
}

static void write_event(struct db_stmt *q, struct buf *json)
{
    buf_add_char(json, '{');
    reader_add_i64(json, "id", db_col_i64(q, 0));
    reader_add_text(json, "uuid", db_col_text(q, 1));
    reader_add_i64(json, "team_id", db_col_i64(q, 2));
    reader_add_text(json, "event", db_col_text(q, 3));
    reader_add_text(json, "distinct_id", db_col_text(q, 4));
    reader_add_text(json, "person_uuid", db_col_text(q, 5));
    reader_add_json(json, "properties", db_col_i64(q, 6) != 0, db_col_text(q, 7));
    reader_add_text(json, "elements_chain", db_col_text(q, 8));
    reader_add_text(json, "timestamp", db_col_text(q, 9));
    reader_add_text(json, "created_at", db_col_text(q, 10));
    for (int i = 0; i < STORE_GROUP_TYPES_MAX; i++) {
        char key[] = "group_0_key";
        key[6] = (char)('0' + i);
        reader_add_text(json, key, db_col_text(q, 11 + i));
    }
    buf_add_char(json, '}');
}

static bool read_event(struct store_reader *r, const void *what, struct buf *json, struct err *err)
{
    const struct event_wanted *w = what;
    int64_t id;

    if (!find_recent(r, w, &id, err) || (id == 0 && !find_indexed(r, w->uuid, &id, err)))
        return false;
    /* An attached reader has asked the store's memory; another one reads what event_index does not
     * have yet. */
    if (id == 0 && !r->store && !find_by_scan(r, w->uuid, &id, err))
        return false;
    if (id == 0)
        return err_set(err, ERR_GONE, "there is no such event");
    db_bind_i64(r->event, 1, id);
    enum db_step step = db_step(r->event, err);
    if (step == DB_ROW)
        write_event(r->event, json);
    db_reset(r->event);
    return step == DB_ROW ||
           (step == DB_DONE && err_set(err, ERR_GONE, "there is no such event any more"));
}

bool store_reader_event(struct store_reader *r, const struct uuid *uuid, struct buf *json,
                        struct err *err)
{
    struct event_wanted w = {.uuid = uuid};

    if (r->store)
        w.recent_count = event_index_find_recent(r->store, store_hash_uuid(r->hash_key, uuid),
                                                 false, w.recent, IDS_MAX);
    return reader_bounded(r, read_event, &w, json, err);
}

/* --- persons */

struct person_wanted {
    int64_t team_id;
    struct slice distinct_id;
};

static bool find_owner(struct db_stmt *q, const struct person_wanted *w, int64_t *person_id,
                       struct err *err)
{
    db_bind_i64(q, 1, w->team_id);
    db_bind_text_or_empty(q, 2, w->distinct_id);
    enum db_step step = db_step(q, err);
    *person_id = step == DB_ROW ? db_col_i64(q, 0) : 0;
    db_reset(q);
    return step != DB_FAIL;
}

static void write_state(struct db_stmt *q, int64_t id, struct buf *json)
{
    struct uuid uuid;
    char text[UUID_TEXT_LEN + 1] = "";

    if (store_read_uuid(db_col_blob(q, 0), &uuid))
        uuid_format(&uuid, text);
    buf_add_char(json, '{');
    reader_add_i64(json, "id", id);
    reader_add_text(json, "uuid", slice_cstr(text));
    reader_add_i64(json, "team_id", db_col_i64(q, 1));
    reader_add_json(json, "properties", db_col_i64(q, 2) != 0, db_col_text(q, 3));
    reader_add_key(json, "is_identified");
    buf_add_str(json, db_col_i64(q, 4) ? "true" : "false");
    reader_add_i64(json, "created_at", db_col_i64(q, 5));
    reader_add_i64(json, "version", db_col_i64(q, 6));
}

static bool write_person(struct store_reader *r, int64_t id, struct buf *json, struct err *err)
{
    struct db_stmt *q = r->person_logged;
    enum db_step step;

    db_bind_i64(q, 1, id);
    step = db_step(q, err);
    if (step == DB_DONE) {
        q = r->person_folded;
        db_bind_i64(q, 1, id);
        step = db_step(q, err);
    }
    if (step == DB_FAIL)
        return false;
    bool is_there = step == DB_ROW && db_col_i64(q, 7) == 0;
    if (is_there)
        write_state(q, id, json);
    db_reset(q);
    return is_there || err_set(err, ERR_GONE, "there is no such person any more");
}

static bool write_ids(struct store_reader *r, int64_t person_id, struct buf *json, struct err *err)
{
    enum db_step step;
    bool is_first = true;

    reader_add_key(json, "distinct_ids");
    buf_add_char(json, '[');
    db_bind_i64(r->ids, 1, person_id);
    while ((step = db_step(r->ids, err)) == DB_ROW) {
        if (!is_first)
            buf_add_char(json, ',');
        buf_add_json_str(json, db_col_text(r->ids, 1));
        is_first = false;
    }
    buf_add_str(json, "]}");
    return step == DB_DONE;
}

static bool read_person(struct store_reader *r, const void *what, struct buf *json, struct err *err)
{
    const struct person_wanted *w = what;
    int64_t id;

    if (!find_owner(r->owner_logged, w, &id, err) ||
        (id == 0 && !find_owner(r->owner_folded, w, &id, err)))
        return false;
    if (id == 0)
        return err_set(err, ERR_GONE, "nobody has that distinct id");
    return write_person(r, id, json, err) && write_ids(r, id, json, err);
}

bool store_reader_person(struct store_reader *r, int64_t team_id, struct slice distinct_id,
                         struct buf *json, struct err *err)
{
    struct person_wanted w = {.team_id = team_id, .distinct_id = distinct_id};

    return reader_bounded(r, read_person, &w, json, err);
}
