/* The change log: every new state of a person, distinct id or group, appended in the event's
 * transaction, because appending is seven times as fast as changing rows in random places. fold.c
 * brings the states to their tables later.
 *
 * In memory stands one entry per unfolded row, in order, and two indexes over them: the newest
 * entry of each key (a look-up reads that row) and, per person, the distinct ids that came to it (a
 * merge must find them all). Entries of the running batch stand behind `published` and are in no
 * index: the overlay answers for them.
 *
 * Keys are found by a keyed 64-bit hash and then compared with the row; if two keys ever share a
 * hash, the log is searched the slow way, so that the answer is right in any case.
 */
#include "base/mem.h"
#include "store/store_priv.h"

#define COLUMNS                                                                                  \
    "seq, kind, team_id, object_id, person_id, version, is_deleted, is_identified, created_at, " \
    "uuid, key, "                                                                                \
    "properties"

static const char sql_insert[] =
    "INSERT INTO changes (" COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?)";
static const char sql_read[] = "SELECT " COLUMNS " FROM changes WHERE seq = ?";
static const char sql_find_slowly[] =
    "SELECT max(seq) FROM changes WHERE seq > ?1 AND kind = ?2 AND "
    "(kind = 2 OR object_id = ?4) AND (kind = 1 OR (team_id = ?3 AND key = ?5))";
static const char sql_load[] = "SELECT seq, kind, team_id, object_id, person_id, is_deleted, key "
                               "FROM changes WHERE seq > ? ORDER BY seq";
static const char sql_trim_bound[] =
    "SELECT max(seq) FROM (SELECT seq FROM changes WHERE seq <= ? ORDER BY seq LIMIT ?)";
static const char sql_trim[] = "DELETE FROM changes WHERE seq <= ?";

/* --- entries in memory */

static struct log_entry *push(struct change_log *log)
{
    if (log->count == log->cap) {
        log->cap = log->cap ? log->cap * 2 : 64;
        log->entries = mem_realloc(log->entries, log->cap * sizeof(*log->entries));
    }
    return &log->entries[log->count++];
}

static uint64_t big_endian(struct slice key, size_t from)
{
    uint64_t word = 0;

    for (size_t i = from; i < from + 8; i++)
        word = word << 8 | (i < key.len ? (uint8_t)key.ptr[i] : 0);
    return word;
}

static void fill(struct log_entry *e, const struct change *c, uint64_t hash)
{
    *e = (struct log_entry){.seq = c->seq,
                            .hash = hash,
                            .major = c->kind == CHANGE_PERSON ? c->object_id : c->team_id,
                            .minor = {big_endian(c->key, 0), big_endian(c->key, 8)},
                            .owner = c->kind == CHANGE_DISTINCT_ID ? c->person_id : 0,
                            .kind = (uint8_t)c->kind,
                            .type_index = c->kind == CHANGE_GROUP ? (uint8_t)c->object_id : 0,
                            .is_deleted = c->is_deleted};
}

/* The index slot that holds the newest entry with that kind and hash. */
static uint32_t *find_latest(const struct change_log *log, enum change_kind kind, uint64_t hash)
{
    size_t walk = HASH_INDEX_START;

    for (uint32_t *at; (at = hash_index_next(&log->latest, hash, &walk));)
        if (log->entries[*at].hash == hash && log->entries[*at].kind == kind)
            return at;
    return NULL;
}

static uint32_t *find_owner(const struct change_log *log, int64_t person_id)
{
    size_t walk = HASH_INDEX_START;

    for (uint32_t *at; (at = hash_index_next(&log->owners, store_hash_id(person_id), &walk));)
        if (log->entries[*at].owner == person_id)
            return at;
    return NULL;
}

static void index_entry(struct change_log *log, uint32_t position)
{
    struct log_entry *e = &log->entries[position];
    uint32_t *at = find_latest(log, (enum change_kind)e->kind, e->hash);

    if (at)
        *at = position;
    else
        hash_index_add(&log->latest, e->hash, position);
    if (e->owner == 0)
        return;
    at = find_owner(log, e->owner);
    e->owner_prev = at ? *at + 1 : 0;
    if (at)
        *at = position;
    else
        hash_index_add(&log->owners, store_hash_id(e->owner), position);
}

void change_log_publish(struct store_sqlite *s)
{
    struct change_log *log = &s->log;

    for (; log->published < log->count; log->published++)
        index_entry(log, (uint32_t)log->published);
}

void change_log_rollback(struct store_sqlite *s)
{
    s->log.count = s->log.published;
}

void change_log_folded(struct store_sqlite *s, int64_t seq)
{
    struct change_log *log = &s->log;
    size_t gone = 0;

    CHECK(log->published == log->count);
    while (gone < log->count && log->entries[gone].seq <= seq)
        gone++;
    log->folded_seq = seq;
    log->count -= gone;
    if (log->count)
        memmove(log->entries, log->entries + gone, log->count * sizeof(*log->entries));
    else {
        mem_free(log->entries); /* an idle store holds no memory for it */
        log->entries = NULL;
        log->cap = 0;
    }
    hash_index_clear(&log->latest);
    hash_index_clear(&log->owners);
    log->published = 0;
    change_log_publish(s);
}

const struct log_entry *change_log_next_of(const struct store_sqlite *s, int64_t person_id,
                                           uint32_t *walk)
{
    const struct change_log *log = &s->log;
    uint32_t *first;

    if (*walk == 0) {
        first = find_owner(log, person_id);
        *walk = first ? *first + 1 : 0;
    } else {
        *walk = log->entries[*walk - 1].owner_prev;
    }
    return *walk ? &log->entries[*walk - 1] : NULL;
}

/* --- rows */

static void bind_row(struct db_stmt *q, const struct change *c)
{
    bool is_person = c->kind == CHANGE_PERSON, is_id = c->kind == CHANGE_DISTINCT_ID;

    db_bind_i64(q, 1, c->seq);
    db_bind_i64(q, 2, c->kind);
    db_bind_i64(q, 3, c->team_id);
    db_bind_i64(q, 4, c->object_id);
    db_bind_null(q, 5);
    if (is_id)
        db_bind_i64(q, 5, c->person_id);
    db_bind_i64(q, 6, c->version);
    db_bind_i64(q, 7, c->is_deleted);
    db_bind_i64(q, 8, c->is_identified);
    db_bind_i64(q, 9, c->created_at_us);
    db_bind_blob(q, 10, is_person || is_id ? c->uuid.b : NULL, sizeof(c->uuid.b));
    db_bind_text(q, 11, is_person ? SLICE_NONE : c->key);
    db_bind_text(q, 12, is_id ? SLICE_NONE : c->properties);
}

bool change_log_add(struct store_sqlite *s, struct change *c, uint64_t hash, struct err *err)
{
    if (!store_in_batch(s, err))
        return false;
    c->seq = s->seq.change + 1;
    bind_row(s->log.insert, c);
    if (!db_run(s->log.insert, err))
        return store_failed(s, err);
    s->seq.change = c->seq;
    fill(push(&s->log), c, hash);
    return true;
}

static bool take_row(struct store_sqlite *s, struct change *c)
{
    struct db_stmt *q = s->log.read;

    *c = (struct change){.seq = db_col_i64(q, 0),
                         .kind = (enum change_kind)db_col_i64(q, 1),
                         .team_id = db_col_i64(q, 2),
                         .object_id = db_col_i64(q, 3),
                         .person_id = db_col_i64(q, 4),
                         .version = db_col_i64(q, 5),
                         .is_deleted = db_col_i64(q, 6) != 0,
                         .is_identified = db_col_i64(q, 7) != 0,
                         .created_at_us = db_col_i64(q, 8)};
    bool has_uuid = store_read_uuid(db_col_blob(q, 9), &c->uuid);
    c->key = store_arena_dup(s, db_col_text(q, 10));
    c->properties = store_arena_dup(s, db_col_text(q, 11));
    return has_uuid || c->kind == CHANGE_GROUP;
}

bool change_log_read(struct store_sqlite *s, int64_t seq, struct change *c, bool *found,
                     struct err *err)
{
    db_bind_i64(s->log.read, 1, seq);
    enum db_step step = db_step(s->log.read, err);

    *found = step == DB_ROW;
    if (step == DB_FAIL)
        return store_failed(s, err);
    if (step == DB_DONE)
        return true;
    bool ok = take_row(s, c);
    db_reset(s->log.read);
    return ok || err_set(err, ERR_IO, "change %lld has no uuid", (long long)seq);
}

static bool same_key(const struct change *wanted, const struct change *row)
{
    if (wanted->kind != row->kind)
        return false;
    if (wanted->kind == CHANGE_PERSON)
        return wanted->object_id == row->object_id;
    return wanted->team_id == row->team_id && slice_eq(wanted->key, row->key) &&
           (wanted->kind == CHANGE_DISTINCT_ID || wanted->object_id == row->object_id);
}

static bool find_slowly(struct store_sqlite *s, const struct change *wanted, int64_t *seq,
                        struct err *err)
{
    struct db_stmt *q = s->log.find_slowly;

    db_bind_i64(q, 1, s->log.folded_seq);
    db_bind_i64(q, 2, wanted->kind);
    db_bind_i64(q, 3, wanted->team_id);
    db_bind_i64(q, 4, wanted->object_id);
    db_bind_text_or_empty(q, 5, wanted->key);
    enum db_step step = db_step(q, err);
    *seq = step == DB_ROW ? db_col_i64(q, 0) : 0;
    db_reset(q);
    return step != DB_FAIL || store_failed(s, err);
}

bool change_log_find(struct store_sqlite *s, struct change *c, uint64_t hash, bool *found,
                     struct err *err)
{
    struct change wanted = *c;
    uint32_t *at = find_latest(&s->log, c->kind, hash);
    int64_t seq;

    *found = false;
    if (!at)
        return true;
    if (!change_log_read(s, s->log.entries[*at].seq, c, found, err))
        return false;
    if (*found && same_key(&wanted, c))
        return true;
    if (!find_slowly(s, &wanted, &seq, err))
        return false;
    *found = false;
    return seq == 0 || change_log_read(s, seq, c, found, err);
}

/* --- opening, trimming */

static uint64_t hash_of(const struct store_sqlite *s, const struct change *c)
{
    if (c->kind == CHANGE_PERSON)
        return store_hash_id(c->object_id);
    if (c->kind == CHANGE_DISTINCT_ID)
        return distinct_id_hash(s, c->team_id, c->key);
    return store_hash(s, c->kind | (c->kind == CHANGE_GROUP ? (unsigned)c->object_id << 8 : 0),
                      c->team_id, c->key);
}

static bool load(struct store_sqlite *s, struct err *err)
{
    struct db_stmt *q = s->log.load;
    enum db_step step;

    db_bind_i64(q, 1, s->log.folded_seq);
    while ((step = db_step(q, err)) == DB_ROW) {
        struct change c = {.seq = db_col_i64(q, 0),
                           .kind = (enum change_kind)db_col_i64(q, 1),
                           .team_id = db_col_i64(q, 2),
                           .object_id = db_col_i64(q, 3),
                           .person_id = db_col_i64(q, 4),
                           .is_deleted = db_col_i64(q, 5) != 0,
                           .key = db_col_text(q, 6)};
        fill(push(&s->log), &c, hash_of(s, &c));
    }
    change_log_publish(s);
    return step == DB_DONE;
}

bool change_log_open(struct store_sqlite *s, struct err *err)
{
    struct change_log *log = &s->log;

    return store_prepare(s, &log->insert, sql_insert, err) &&
           store_prepare(s, &log->read, sql_read, err) &&
           store_prepare(s, &log->find_slowly, sql_find_slowly, err) &&
           store_prepare(s, &log->load, sql_load, err) &&
           store_prepare(s, &log->trim_bound, sql_trim_bound, err) &&
           store_prepare(s, &log->trim, sql_trim, err) && load(s, err);
}

void change_log_close(struct store_sqlite *s)
{
    mem_free(s->log.entries);
    hash_index_free(&s->log.latest);
    hash_index_free(&s->log.owners);
}

bool change_log_has_trim(const struct store_sqlite *s)
{
    return s->log.trimmed_seq < s->log.folded_seq;
}

/* Folded rows that a consumer has not passed stay; they are looked for again at the next fold. */
bool change_log_trim(struct store_sqlite *s, struct err *err)
{
    struct change_log *log = &s->log;
    int64_t lowest, bound = 0;

    log->trimming_seq = log->trimmed_seq;
    if (!change_log_has_trim(s))
        return true;
    if (!cursor_lowest(s, &lowest, err))
        return false;
    db_bind_i64(log->trim_bound, 1, MIN(lowest, log->folded_seq));
    db_bind_i64(log->trim_bound, 2, STORE_SLICE_ROWS);
    enum db_step step = db_step(log->trim_bound, err);
    if (step == DB_FAIL)
        return false;
    if (step == DB_ROW)
        bound = db_col_i64(log->trim_bound, 0);
    db_reset(log->trim_bound);
    if (bound == 0) {
        log->trimming_seq = log->folded_seq;
        return true;
    }
    db_bind_i64(log->trim, 1, bound);
    return db_run(log->trim, err);
}
