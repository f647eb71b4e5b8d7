/* Event rows and finding duplicates.
 *
 * Hot path: one prepared statement, every value bound without a copy, nothing allocated per row.
 * The hashes for event_index go to arrays of the open part.
 *
 * A checked uuid was seen when this batch has it, or when the duplicate filter says so and a row
 * with exactly that team and uuid, not older than the window, is found through the index.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "store/store_priv.h"

static const char sql_insert[] =
    "INSERT INTO events (id, team_id, created_at, timestamp, is_uuid_checked, uuid, person_uuid, "
    "event, distinct_id, "
    "group_0_key, group_1_key, group_2_key, group_3_key, group_4_key, elements_chain, properties) "
    "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
static const char sql_by_id[] =
    "SELECT team_id, uuid, created_at, is_uuid_checked FROM events WHERE id = ?";

bool event_open(struct store_sqlite *s, struct err *err)
{
    s->events.asked_hash = store_hash_uuid(s->hash_key, &s->events.asked);
    s->events.has_elements = true; /* nothing is bound yet, which is not "" */
    dedupe_init(&s->dedupe, s->opt.dedupe_window_us, s->opt.dedupe_bytes_max);
    return store_prepare(s, &s->events.insert, sql_insert, err) &&
           store_prepare(s, &s->events.by_id, sql_by_id, err);
}

void event_close(struct store_sqlite *s)
{
    dedupe_fini(&s->dedupe);
    mem_free(s->events.uuids);
    hash_index_free(&s->events.uuid_index);
}

/* --- duplicates */

/* Most uuids come twice in a row: event_seen, then event_insert. */
static uint64_t hash_of(struct store_sqlite *s, const struct uuid *uuid)
{
    if (!uuid_eq(&s->events.asked, uuid)) {
        s->events.asked = *uuid;
        s->events.asked_hash = store_hash_uuid(s->hash_key, uuid);
    }
    return s->events.asked_hash;
}

static bool batch_has(const struct store_sqlite *s, int64_t team_id, const struct uuid *uuid,
                      uint64_t hash)
{
    size_t walk = HASH_INDEX_START;

    for (uint32_t *at; (at = hash_index_next(&s->events.uuid_index, hash, &walk));) {
        const struct batch_uuid *u = &s->events.uuids[*at];
        if (u->hash == hash && u->team_id == team_id && uuid_eq(&u->uuid, uuid))
            return true;
    }
    return false;
}

static void batch_add(struct store_sqlite *s, const struct event_row *row, uint64_t hash)
{
    struct events *ev = &s->events;

    if (ev->uuid_count == ev->uuid_cap) {
        ev->uuid_cap = ev->uuid_cap ? ev->uuid_cap * 2 : 256;
        ev->uuids = mem_realloc(ev->uuids, ev->uuid_cap * sizeof(*ev->uuids));
    }
    hash_index_add(&ev->uuid_index, hash, (uint32_t)ev->uuid_count);
    ev->uuids[ev->uuid_count++] = (struct batch_uuid){
        .uuid = row->uuid, .team_id = row->team_id, .hash = hash, .at_us = row->created_at_us};
}

struct search {
    struct store_sqlite *s;
    int64_t team_id, since_us;
    const struct uuid *uuid;
    bool found;
};

static bool confirm(void *ctx, int64_t id, bool *stop, struct err *err)
{
    struct search *search = ctx;
    struct db_stmt *q = search->s->events.by_id;
    struct uuid uuid;

    db_bind_i64(q, 1, id);
    enum db_step step = db_step(q, err);
    if (step == DB_FAIL)
        return store_failed(search->s, err);
    if (step == DB_DONE) /* deleted by retention */
        return true;
    search->found = db_col_i64(q, 0) == search->team_id &&
                    store_read_uuid(db_col_blob(q, 1), &uuid) && uuid_eq(&uuid, search->uuid) &&
                    db_col_i64(q, 2) >= search->since_us && db_col_i64(q, 3);
    db_reset(q);
    *stop = search->found;
    return true;
}

bool event_op_seen(void *self, int64_t team_id, const struct uuid *uuid, bool *seen,
                   struct err *err)
{
    struct store_sqlite *s = store_self(self);
    uint64_t hash = hash_of(s, uuid);
    struct search search = {.s = s, .team_id = team_id, .uuid = uuid};

    *seen = false;
    if (s->dedupe.window_us <= 0)
        return true;
    if (!store_in_batch(s, err) || !tidy_thread_ready(s, err))
        return false;
    *seen = batch_has(s, team_id, uuid, hash);
    if (*seen || !dedupe_has(&s->dedupe, hash))
        return true;
    search.since_us = clock_wall_us() - s->dedupe.window_us;
    if (!event_index_each_uuid(s, hash, search.since_us, confirm, &search, err))
        return false;
    *seen = search.found;
    return true;
}

/* --- rows */

/* The statement keeps what is bound: what is NULL or empty in most rows is not bound again. */
static void bind_rare(struct store_sqlite *s, const struct event_row *row)
{
    struct events *ev = &s->events;

    for (int i = 0; i < STORE_GROUP_TYPES_MAX; i++) {
        if (row->group_keys[i].ptr || ev->has_group_key[i])
            db_bind_text(ev->insert, 10 + i, row->group_keys[i]);
        ev->has_group_key[i] = row->group_keys[i].ptr != NULL;
    }
    if (row->elements_chain.len || ev->has_elements)
        db_bind_text_or_empty(ev->insert, 15, row->elements_chain);
    ev->has_elements = row->elements_chain.len != 0;
}

static void bind_row(struct store_sqlite *s, const struct event_row *row, int64_t id)
{
    struct db_stmt *q = s->events.insert;

    db_bind_i64(q, 1, id);
    db_bind_i64(q, 2, row->team_id);
    db_bind_i64(q, 3, row->created_at_us);
    db_bind_i64(q, 4, row->timestamp_us);
    db_bind_i64(q, 5, row->is_uuid_checked);
    db_bind_blob(q, 6, row->uuid.b, sizeof(row->uuid.b));
    db_bind_blob(q, 7, row->has_person ? row->person_uuid.b : NULL, sizeof(row->person_uuid.b));
    db_bind_text_or_empty(q, 8, row->event);
    db_bind_text_or_empty(q, 9, row->distinct_id);
    bind_rare(s, row);
    db_bind_text_or_empty(q, 16, row->properties);
}

bool event_op_insert(void *self, const struct event_row *row, int64_t *id, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct index_row x = {
        .id = s->seq.change + 1, .at_us = row->created_at_us, .is_checked = row->is_uuid_checked};

    if (!store_in_batch(s, err) || !tidy_thread_ready(s, err))
        return false;
    bind_row(s, row, x.id);
    if (!db_run(s->events.insert, err))
        return store_failed(s, err);
    x.distinct_id = distinct_id_hash(s, row->team_id, row->distinct_id);
    x.uuid = hash_of(s, &row->uuid);
    x.event = event_index_hash(s, INDEX_EVENT, row->team_id, row->event);
    event_index_add(s, &x);
    if (row->is_uuid_checked && s->dedupe.window_us > 0)
        batch_add(s, row, x.uuid);
    s->events.batch_count++;
    *id = s->seq.change = x.id;
    return true;
}

/* --- end of the batch */

static void forget_batch(struct store_sqlite *s)
{
    s->events.uuid_count = 0;
    s->events.batch_count = 0;
    hash_index_clear(&s->events.uuid_index);
}

void event_rollback(struct store_sqlite *s)
{
    event_index_rollback(s);
    forget_batch(s);
}

void event_publish(struct store_sqlite *s)
{
    if (s->events.batch_count)
        event_index_publish(s);
    for (size_t i = 0; i < s->events.uuid_count; i++) {
        if (i + STORE_PREFETCH < s->events.uuid_count)
            dedupe_prefetch(&s->dedupe, s->events.uuids[i + STORE_PREFETCH].hash);
        dedupe_add(&s->dedupe, s->events.uuids[i].hash, s->events.uuids[i].at_us);
    }
    atomic_fetch_add_explicit(&s->seen_events, s->events.batch_count, memory_order_relaxed);
    forget_batch(s);
}
