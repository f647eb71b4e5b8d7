/* Persons. The struct that callers hold is the overlay's entry: made at the first look-up of a
 * batch, changed in place by updates, forgotten at the end. A clean entry borrows its properties
 * from the cache, which does not change within a batch. */
#include "base/mem.h"
#include "store/store_priv.h"

#define DELETED_VERSION_STEP 100 /* beats late updates in stores that keep the highest version */
#define CACHE_ENTRY_BYTES    200

static const char sql_find[] = "SELECT team_id, version, is_identified, created_at, uuid, "
                               "properties FROM persons WHERE id = ?";

struct cached_person {
    struct person pub; /* properties point behind it */
    char properties[];
};

static void drop_cached(void *value, void *ctx)
{
    UNUSED(ctx);
    mem_free(value);
}

bool person_open(struct store_sqlite *s, struct err *err)
{
    s->persons.lru = lru_new(s->opt.distinct_id_cache_entries, s->opt.cache_bytes_max / 8 * 3,
                             drop_cached, NULL);
    return store_prepare(s, &s->persons.find, sql_find, err);
}

void person_close(struct store_sqlite *s)
{
    lru_free(s->persons.lru);
    store_pointers_free(&s->persons.batch);
    hash_index_free(&s->persons.batch_index);
}

static struct slice id_key(const int64_t *id)
{
    return slice_make(id, sizeof(*id));
}

static struct person_entry *find_overlay(const struct store_sqlite *s, int64_t id)
{
    size_t walk = HASH_INDEX_START;

    for (uint32_t *at; (at = hash_index_next(&s->persons.batch_index, store_hash_id(id), &walk));) {
        struct person_entry *e = s->persons.batch.items[*at];
        if (e->pub.id == id)
            return e;
    }
    return NULL;
}

static struct person_entry *add_overlay(struct store_sqlite *s, const struct person *p)
{
    struct person_entry *e = arena_new_obj(s->arena, struct person_entry);

    e->pub = *p;
    hash_index_add(&s->persons.batch_index, store_hash_id(p->id), (uint32_t)s->persons.batch.count);
    store_pointers_add(&s->persons.batch, e);
    return e;
}

static bool load_logged(struct store_sqlite *s, int64_t id, struct person *p, bool *found,
                        struct err *err)
{
    struct change c = {.kind = CHANGE_PERSON, .object_id = id};

    if (!change_log_find(s, &c, store_hash_id(id), found, err))
        return false;
    if (*found && c.is_deleted)
        return err_set(err, ERR_BUG, "person %lld was merged away but has distinct ids",
                       (long long)id);
    if (!*found)
        return true;
    *p = (struct person){.id = id,
                         .uuid = c.uuid,
                         .team_id = c.team_id,
                         .properties = c.properties,
                         .created_at_us = c.created_at_us,
                         .is_identified = c.is_identified,
                         .version = c.version};
    return true;
}

static bool load_folded(struct store_sqlite *s, int64_t id, struct person *p, bool *found,
                        struct err *err)
{
    struct db_stmt *q = s->persons.find;

    db_bind_i64(q, 1, id);
    enum db_step step = db_step(q, err);
    *found = step == DB_ROW;
    if (step != DB_ROW)
        return step == DB_DONE || store_failed(s, err);
    *p = (struct person){.id = id,
                         .team_id = db_col_i64(q, 0),
                         .version = db_col_i64(q, 1),
                         .is_identified = db_col_i64(q, 2) != 0,
                         .created_at_us = db_col_i64(q, 3)};
    bool ok = store_read_uuid(db_col_blob(q, 4), &p->uuid);
    p->properties = store_arena_dup(s, db_col_text(q, 5));
    db_reset(q);
    return ok || err_set(err, ERR_IO, "person %lld has no uuid", (long long)id);
}

bool person_find(struct store_sqlite *s, int64_t id, struct person_entry **entry, struct err *err)
{
    const struct cached_person *cached;
    struct person p;
    bool found = false;

    *entry = find_overlay(s, id);
    if (*entry)
        return true;
    cached = lru_get(s->persons.lru, id_key(&id));
    if (cached) {
        *entry = add_overlay(s, &cached->pub);
        (*entry)->is_cached = true;
        return true;
    }
    if (!load_logged(s, id, &p, &found, err) || (!found && !load_folded(s, id, &p, &found, err)))
        return false;
    if (!found)
        return err_set(err, ERR_BUG, "person %lld has distinct ids but does not exist",
                       (long long)id);
    *entry = add_overlay(s, &p);
    return true;
}

bool person_op_get(void *self, int64_t team_id, struct slice distinct_id, struct person **person,
                   struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct id_entry *e;

    *person = NULL;
    if (!store_in_batch(s, err) || !distinct_id_find(s, team_id, distinct_id, &e, err))
        return false;
    if (e->person_id == 0)
        return true;
    if (!e->person && !person_find(s, e->person_id, &e->person, err))
        return false;
    *person = &e->person->pub;
    return true;
}

/* Writes a state of the person; the entry takes it over only when that worked. */
static bool log_state(struct store_sqlite *s, struct person_entry *e, const struct person *state,
                      bool is_deleted, struct err *err)
{
    struct change c = {.kind = CHANGE_PERSON,
                       .team_id = state->team_id,
                       .object_id = state->id,
                       .version = state->version,
                       .is_deleted = is_deleted,
                       .is_identified = state->is_identified,
                       .created_at_us = state->created_at_us,
                       .uuid = state->uuid,
                       .properties = state->properties};

    if (!change_log_add(s, &c, store_hash_id(state->id), err))
        return false;
    e->pub = *state;
    e->is_dirty = true;
    e->is_deleted = is_deleted;
    return true;
}

static bool check_free(struct store_sqlite *s, int64_t team_id, const struct slice *ids,
                       size_t count, struct err *err)
{
    struct id_entry *e;

    for (size_t i = 0; i < count; i++) {
        if (!distinct_id_find(s, team_id, ids[i], &e, err))
            return false;
        if (e->person_id != 0)
            return err_set(err, ERR_INPUT,
                           "a distinct id of the new person belongs to person %lld already",
                           (long long)e->person_id);
        for (size_t k = 0; k < i; k++)
            if (slice_eq(ids[i], ids[k]))
                return err_set(err, ERR_INPUT, "the new person has one distinct id twice");
    }
    return true;
}

bool person_op_create(void *self, int64_t team_id, const struct uuid *uuid,
                      const struct person_change *state, const struct slice *distinct_ids,
                      size_t count, struct person **person, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct person_entry *e;
    struct id_entry *id;

    if (!store_in_batch(s, err) || !check_free(s, team_id, distinct_ids, count, err))
        return false;
    struct person p = {.id = s->seq.person + 1,
                       .uuid = *uuid,
                       .team_id = team_id,
                       .properties = store_arena_dup(s, state->properties),
                       .created_at_us = state->created_at_us,
                       .is_identified = state->is_identified};
    s->seq.person = p.id; /* also used up when a row below does not fit */
    e = add_overlay(s, &p);
    e->is_deleted = true; /* until its row is there */
    if (!log_state(s, e, &p, false, err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!distinct_id_find(s, team_id, distinct_ids[i], &id, err) ||
            !distinct_id_give(s, id, e, err))
            return false;
    *person = &e->pub;
    return true;
}

bool person_op_update(void *self, struct person *person, const struct person_change *state,
                      struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct person_entry *e = CONTAINER_OF(person, struct person_entry, pub);
    struct person next = *person;

    if (!store_in_batch(s, err))
        return false;
    if (e->is_deleted)
        return err_set(err, ERR_BUG, "person %lld was merged away", (long long)person->id);
    next.properties = store_arena_dup(s, state->properties);
    next.created_at_us = state->created_at_us;
    next.is_identified = state->is_identified;
    next.version++;
    return log_state(s, e, &next, false, err);
}

bool person_op_merge(void *self, struct person *from, struct person *to, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct person_entry *a = CONTAINER_OF(from, struct person_entry, pub);
    struct person_entry *b = CONTAINER_OF(to, struct person_entry, pub);
    struct pointers ids = {.items = NULL};
    struct person gone = *from;
    bool ok;

    if (!store_in_batch(s, err))
        return false;
    if (a == b || a->is_deleted || b->is_deleted || from->team_id != to->team_id)
        return err_set(err, ERR_BUG, "persons %lld and %lld cannot be merged", (long long)from->id,
                       (long long)to->id);
    ok = distinct_id_list(s, a, &ids, err);
    a->own_ids = NULL; /* each of them hangs on b from here on */
    for (size_t i = 0; ok && i < ids.count; i++)
        ok = distinct_id_give(s, ids.items[i], b, err);
    gone.version += DELETED_VERSION_STEP;
    ok = ok && log_state(s, a, &gone, true, err);
    store_pointers_free(&ids);
    return ok;
}

void person_forget(struct store_sqlite *s)
{
    s->persons.batch.count = 0;
    hash_index_clear(&s->persons.batch_index);
}

static void put_cached(struct store_sqlite *s, const struct person *p)
{
    struct cached_person *c = mem_alloc(sizeof(*c) + p->properties.len);

    c->pub = *p;
    if (p->properties.len)
        memcpy(c->properties, p->properties.ptr, p->properties.len);
    c->pub.properties = slice_make(c->properties, p->properties.len);
    lru_put(s->persons.lru, id_key(&p->id), c, CACHE_ENTRY_BYTES + p->properties.len);
}

/* What is put has its properties in the arena (read or changed in this batch), so it does not
 * matter that a put may push out a cached person whose properties a clean entry still borrows. */
void person_publish(struct store_sqlite *s)
{
    for (size_t i = 0; i < s->persons.batch.count; i++) {
        const struct person_entry *e = s->persons.batch.items[i];

        if (e->is_deleted)
            lru_remove(s->persons.lru, id_key(&e->pub.id));
        else if (e->is_dirty || !e->is_cached)
            put_cached(s, &e->pub);
    }
    person_forget(s);
}
