/* Distinct ids: who a distinct id belongs to.
 *
 * A look-up asks the overlay, the cache, the unfolded log and the table, in this order. What it
 * finds (also "nobody") becomes an entry of the overlay, so that it is asked once per batch.
 * Entries that the batch gave to a person hang on that person, because a merge needs all of a
 * person's ids: the dirty ones, those in the log, and those in the table that neither of the two
 * knows better.
 */
#include "base/mem.h"
#include "store/store_priv.h"

#include <stdlib.h>

#define CACHE_ENTRY_BYTES 128 /* entry, key copy and list nodes, about */

static const char sql_find[] =
    "SELECT id, person_id, version FROM person_distinct_ids WHERE team_id = ? AND distinct_id = ?";
static const char sql_of_person[] = "SELECT team_id, distinct_id, id, version FROM "
                                    "person_distinct_ids WHERE person_id = ? ORDER BY id";

struct cached_id {
    int64_t row_id, person_id, version;
};

static void drop_cached(void *value, void *ctx)
{
    UNUSED(ctx);
    mem_free(value);
}

bool distinct_id_open(struct store_sqlite *s, struct err *err)
{
    size_t entries = s->opt.distinct_id_cache_entries;

    s->ids.lru = lru_new(entries, entries * 1024, drop_cached, NULL);
    return store_prepare(s, &s->ids.find, sql_find, err) &&
           store_prepare(s, &s->ids.of_person, sql_of_person, err);
}

void distinct_id_close(struct store_sqlite *s)
{
    lru_free(s->ids.lru);
    store_pointers_free(&s->ids.batch);
    hash_index_free(&s->ids.batch_index);
}

static bool is_last(const struct store_sqlite *s, int64_t team_id, struct slice key)
{
    const struct id_entry *last = s->ids.last;

    return last && last->team_id == team_id && slice_eq(last->key, key);
}

/* The same as in event_index, so that an event whose person was looked up needs no second one. */
uint64_t distinct_id_hash(const struct store_sqlite *s, int64_t team_id, struct slice key)
{
    return is_last(s, team_id, key) ? s->ids.last->hash
                                    : event_index_hash(s, INDEX_DISTINCT_ID, team_id, key);
}

static struct id_entry *find_overlay(const struct store_sqlite *s, int64_t team_id,
                                     struct slice key, uint64_t hash)
{
    size_t walk = HASH_INDEX_START;

    for (uint32_t *at; (at = hash_index_next(&s->ids.batch_index, hash, &walk));) {
        struct id_entry *e = s->ids.batch.items[*at];
        if (e->hash == hash && e->team_id == team_id && slice_eq(e->key, key))
            return e;
    }
    return NULL;
}

static struct id_entry *add_overlay(struct store_sqlite *s, int64_t team_id, struct slice key,
                                    uint64_t hash)
{
    struct id_entry *e = arena_new_obj(s->arena, struct id_entry);

    e->team_id = team_id;
    e->key = store_arena_dup(s, key);
    e->hash = hash;
    hash_index_add(&s->ids.batch_index, hash, (uint32_t)s->ids.batch.count);
    store_pointers_add(&s->ids.batch, e);
    return e;
}

static bool load_cached(struct store_sqlite *s, struct id_entry *e)
{
    const struct cached_id *c = lru_get(s->ids.lru, store_cache_key(s, e->team_id, 0, e->key));

    if (!c)
        return false;
    e->row_id = c->row_id;
    e->person_id = c->person_id;
    e->version = c->version;
    e->is_cached = true;
    return true;
}

static bool load_logged(struct store_sqlite *s, struct id_entry *e, bool *found, struct err *err)
{
    struct change c = {.kind = CHANGE_DISTINCT_ID, .team_id = e->team_id, .key = e->key};

    if (!change_log_find(s, &c, e->hash, found, err))
        return false;
    if (*found) {
        e->row_id = c.object_id;
        e->person_id = c.person_id;
        e->version = c.version;
    }
    return true;
}

static bool load_folded(struct store_sqlite *s, struct id_entry *e, struct err *err)
{
    struct db_stmt *q = s->ids.find;

    db_bind_i64(q, 1, e->team_id);
    db_bind_text_or_empty(q, 2, e->key);
    enum db_step step = db_step(q, err);
    if (step != DB_ROW)
        return step == DB_DONE || store_failed(s, err);
    e->row_id = db_col_i64(q, 0);
    e->person_id = db_col_i64(q, 1);
    e->version = db_col_i64(q, 2);
    db_reset(q);
    return true;
}

bool distinct_id_find(struct store_sqlite *s, int64_t team_id, struct slice key,
                      struct id_entry **entry, struct err *err)
{
    struct id_entry found = {.team_id = team_id, .key = key};
    bool is_logged = false;

    if (is_last(s, team_id, key)) {
        *entry = s->ids.last;
        return true;
    }
    found.hash = event_index_hash(s, INDEX_DISTINCT_ID, team_id, key);
    *entry = find_overlay(s, team_id, key, found.hash);
    if (*entry) {
        s->ids.last = *entry;
        return true;
    }
    if (!load_cached(s, &found) &&
        (!load_logged(s, &found, &is_logged, err) || (!is_logged && !load_folded(s, &found, err))))
        return false;
    *entry = s->ids.last = add_overlay(s, team_id, key, found.hash);
    found.key = (*entry)->key;
    **entry = found;
    return true;
}

bool distinct_id_give(struct store_sqlite *s, struct id_entry *e, struct person_entry *to,
                      struct err *err)
{
    bool is_new = e->person_id == 0;
    struct change c = {.kind = CHANGE_DISTINCT_ID,
                       .team_id = e->team_id,
                       .object_id = is_new ? s->seq.distinct_id + 1 : e->row_id,
                       .person_id = to->pub.id,
                       .version = is_new ? 0 : e->version + 1,
                       .uuid = to->pub.uuid,
                       .key = e->key};

    if (!change_log_add(s, &c, e->hash, err))
        return false;
    if (is_new)
        s->seq.distinct_id = c.object_id;
    e->row_id = c.object_id;
    e->person_id = c.person_id;
    e->version = c.version;
    e->person = to;
    e->is_dirty = true;
    e->next_own = to->own_ids;
    to->own_ids = e;
    return true;
}

/* --- all ids of a person */

static void list_add(struct pointers *list, struct id_entry *e)
{
    if (!e->is_listed)
        store_pointers_add(list, e);
    e->is_listed = true;
}

static bool list_logged(struct store_sqlite *s, struct person_entry *person, struct pointers *list,
                        struct err *err)
{
    uint32_t walk = 0;

    for (const struct log_entry *l; (l = change_log_next_of(s, person->pub.id, &walk));) {
        struct id_entry *e;
        struct change c;
        bool found;

        if (!change_log_read(s, l->seq, &c, &found, err))
            return false;
        /* By its key: the newest state decides, wherever it stands. */
        if (!found || !distinct_id_find(s, c.team_id, c.key, &e, err))
            return found ? false
                         : err_set(err, ERR_IO, "change %lld is missing", (long long)l->seq);
        if (!e->is_dirty && e->person_id == person->pub.id)
            list_add(list, e);
    }
    return true;
}

static bool list_folded(struct store_sqlite *s, struct person_entry *person, struct pointers *list,
                        struct err *err)
{
    struct db_stmt *q = s->ids.of_person;
    enum db_step step;

    db_bind_i64(q, 1, person->pub.id);
    while ((step = db_step(q, err)) == DB_ROW) {
        int64_t team_id = db_col_i64(q, 0);
        struct slice key = db_col_text(q, 1);
        uint64_t hash = distinct_id_hash(s, team_id, key);
        struct change c = {.kind = CHANGE_DISTINCT_ID, .team_id = team_id, .key = key};
        struct id_entry *e;
        bool is_logged;

        if (!change_log_find(s, &c, hash, &is_logged, err) ||
            (!is_logged && !distinct_id_find(s, team_id, key, &e, err))) {
            db_reset(q);
            return false;
        }
        /* The log or this batch know it better: then list_logged or own_ids have it, if it is here.
         */
        if (!is_logged && !e->is_dirty)
            list_add(list, e);
    }
    return step == DB_DONE || store_failed(s, err);
}

static int compare_row_ids(const void *a, const void *b)
{
    int64_t left = (*(struct id_entry *const *)a)->row_id,
            right = (*(struct id_entry *const *)b)->row_id;

    return (left > right) - (left < right);
}

bool distinct_id_list(struct store_sqlite *s, struct person_entry *person, struct pointers *list,
                      struct err *err)
{
    for (struct id_entry *e = person->own_ids; e; e = e->next_own)
        list_add(list, e);
    bool ok = list_logged(s, person, list, err) && list_folded(s, person, list, err);
    for (size_t i = 0; i < list->count; i++)
        ((struct id_entry *)list->items[i])->is_listed = false;
    if (!ok)
        return false;
    if (list->count > 1)
        qsort(list->items, list->count, sizeof(*list->items), compare_row_ids);
    return true;
}

/* --- end of the batch */

void distinct_id_forget(struct store_sqlite *s)
{
    s->ids.batch.count = 0;
    s->ids.last = NULL;
    hash_index_clear(&s->ids.batch_index);
}

void distinct_id_publish(struct store_sqlite *s)
{
    for (size_t i = 0; i < s->ids.batch.count; i++) {
        const struct id_entry *e = s->ids.batch.items[i];
        struct cached_id *c;

        if (e->person_id == 0 || (e->is_cached && !e->is_dirty))
            continue;
        c = mem_new(struct cached_id);
        *c = (struct cached_id){
            .row_id = e->row_id, .person_id = e->person_id, .version = e->version};
        lru_put(s->ids.lru, store_cache_key(s, e->team_id, 0, e->key), c,
                CACHE_ENTRY_BYTES + e->key.len);
    }
    distinct_id_forget(s);
}

bool distinct_id_op_add(void *self, struct person *person, struct slice distinct_id,
                        struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct person_entry *to = CONTAINER_OF(person, struct person_entry, pub);
    struct id_entry *e;

    if (!store_in_batch(s, err) || !distinct_id_find(s, person->team_id, distinct_id, &e, err))
        return false;
    if (to->is_deleted)
        return err_set(err, ERR_BUG, "person %lld was merged away", (long long)person->id);
    if (e->person_id != 0)
        return err_set(err, ERR_INPUT, "the distinct id belongs to person %lld already",
                       (long long)e->person_id);
    return distinct_id_give(s, e, to, err);
}
