/* Group types and groups. Types are few and change almost never: they are written at once and kept
 * per team in memory; a rolled back batch that made one forgets that memory. Groups go through
 * overlay, cache, change log and table like persons. */
#include "base/mem.h"
#include "store/store_priv.h"

#define CACHE_ENTRY_BYTES 200
#define TEAMS_KEPT        10000

static const char sql_find[] =
    "SELECT version, created_at, group_properties FROM groups WHERE team_id = ? AND "
    "group_type_index = ? AND group_key = ?";
static const char sql_types[] = "SELECT group_type_index, group_type FROM group_types WHERE "
                                "team_id = ? ORDER BY group_type_index";
static const char sql_type_insert[] =
    "INSERT INTO group_types (team_id, group_type_index, group_type) VALUES (?,?,?)";

struct group_types {
    char *names[STORE_GROUP_TYPES_MAX]; /* NULL: free */
    size_t lengths[STORE_GROUP_TYPES_MAX];
};

struct cached_group {
    struct store_group pub; /* properties point behind it */
    char properties[];
};

static void drop_cached(void *value, void *ctx)
{
    UNUSED(ctx);
    mem_free(value);
}

bool group_open(struct store_sqlite *s, struct err *err)
{
    struct groups *g = &s->groups;

    g->lru =
        lru_new(s->opt.distinct_id_cache_entries, s->opt.cache_bytes_max / 8, drop_cached, NULL);
    g->types_of = map_new();
    return store_prepare(s, &g->find, sql_find, err) &&
           store_prepare(s, &g->types, sql_types, err) &&
           store_prepare(s, &g->type_insert, sql_type_insert, err);
}

static void types_free(struct group_types *t)
{
    for (int i = 0; i < STORE_GROUP_TYPES_MAX; i++)
        mem_free(t->names[i]);
    mem_free(t);
}

static void forget_types(struct store_sqlite *s)
{
    struct map_iter it = {0};
    struct slice key;
    void *types;

    while (map_next(s->groups.types_of, &it, &key, &types))
        types_free(types);
    map_clear(s->groups.types_of);
}

void group_close(struct store_sqlite *s)
{
    lru_free(s->groups.lru);
    if (s->groups.types_of)
        forget_types(s);
    map_free(s->groups.types_of);
    store_pointers_free(&s->groups.batch);
    hash_index_free(&s->groups.batch_index);
}

/* --- types */

static bool load_types(struct store_sqlite *s, int64_t team_id, struct group_types *t,
                       struct err *err)
{
    struct db_stmt *q = s->groups.types;
    enum db_step step;

    db_bind_i64(q, 1, team_id);
    while ((step = db_step(q, err)) == DB_ROW) {
        int64_t i = db_col_i64(q, 0);
        struct slice name = db_col_text(q, 1);

        if (i < 0 || i >= STORE_GROUP_TYPES_MAX || t->names[i])
            continue;
        t->names[i] = slice_dup(name);
        t->lengths[i] = name.len;
    }
    return step == DB_DONE || store_failed(s, err);
}

static struct group_types *types_of(struct store_sqlite *s, int64_t team_id, struct err *err)
{
    struct slice key = slice_make(&team_id, sizeof(team_id));
    struct group_types *t = map_get(s->groups.types_of, key);

    if (t)
        return t;
    t = mem_new(struct group_types);
    if (!load_types(s, team_id, t, err)) {
        types_free(t);
        return NULL;
    }
    if (map_count(s->groups.types_of) >= TEAMS_KEPT)
        forget_types(s);
    map_put(s->groups.types_of, key, t);
    return t;
}

static bool insert_type(struct store_sqlite *s, int64_t team_id, struct slice type, int index,
                        struct err *err)
{
    struct db_stmt *q = s->groups.type_insert;

    db_bind_i64(q, 1, team_id);
    db_bind_i64(q, 2, index);
    db_bind_text_or_empty(q, 3, type);
    return db_run(q, err) || store_failed(s, err);
}

bool group_op_type(void *self, int64_t team_id, struct slice type, int *index, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct group_types *t;
    int i;

    if (!store_in_batch(s, err))
        return false;
    t = types_of(s, team_id, err);
    if (!t)
        return false;
    *index = -1;
    for (i = 0; i < STORE_GROUP_TYPES_MAX && t->names[i]; i++)
        if (slice_eq(slice_make(t->names[i], t->lengths[i]), type)) {
            *index = i;
            return true;
        }
    if (i == STORE_GROUP_TYPES_MAX)
        return true;
    if (!insert_type(s, team_id, type, i, err))
        return false;
    t->names[i] = slice_dup(type);
    t->lengths[i] = type.len;
    s->groups.has_new_type = true;
    *index = i;
    return true;
}

/* --- groups */

static bool load_cached(struct store_sqlite *s, struct group_entry *e)
{
    const struct cached_group *c =
        lru_get(s->groups.lru, store_cache_key(s, e->team_id, e->type_index, e->key));

    if (!c)
        return false;
    e->pub = c->pub;
    e->exists = e->is_cached = true;
    return true;
}

static bool load_logged(struct store_sqlite *s, struct group_entry *e, struct err *err)
{
    struct change c = {
        .kind = CHANGE_GROUP, .team_id = e->team_id, .object_id = e->type_index, .key = e->key};

    if (!change_log_find(s, &c, e->hash, &e->exists, err))
        return false;
    if (e->exists)
        e->pub = (struct store_group){
            .properties = c.properties, .created_at_us = c.created_at_us, .version = c.version};
    return true;
}

static bool load_folded(struct store_sqlite *s, struct group_entry *e, struct err *err)
{
    struct db_stmt *q = s->groups.find;

    db_bind_i64(q, 1, e->team_id);
    db_bind_i64(q, 2, e->type_index);
    db_bind_text_or_empty(q, 3, e->key);
    enum db_step step = db_step(q, err);
    e->exists = step == DB_ROW;
    if (step != DB_ROW)
        return step == DB_DONE || store_failed(s, err);
    e->pub.version = db_col_i64(q, 0);
    e->pub.created_at_us = db_col_i64(q, 1);
    e->pub.properties = store_arena_dup(s, db_col_text(q, 2));
    db_reset(q);
    return true;
}

static struct group_entry *find_overlay(const struct store_sqlite *s,
                                        const struct group_entry *wanted)
{
    size_t walk = HASH_INDEX_START;

    for (uint32_t *at; (at = hash_index_next(&s->groups.batch_index, wanted->hash, &walk));) {
        struct group_entry *e = s->groups.batch.items[*at];
        if (e->hash == wanted->hash && e->team_id == wanted->team_id &&
            e->type_index == wanted->type_index && slice_eq(e->key, wanted->key))
            return e;
    }
    return NULL;
}

static bool find_group(struct store_sqlite *s, int64_t team_id, int type_index, struct slice key,
                       struct group_entry **entry, struct err *err)
{
    struct group_entry found = {.team_id = team_id, .type_index = type_index, .key = key};

    if (!store_in_batch(s, err))
        return false;
    if (type_index < 0 || type_index >= STORE_GROUP_TYPES_MAX)
        return err_set(err, ERR_BUG, "there is no group type with index %d", type_index);
    found.hash = store_hash(s, CHANGE_GROUP | (unsigned)type_index << 8, team_id, key);
    *entry = find_overlay(s, &found);
    if (*entry)
        return true;
    if (!load_cached(s, &found) &&
        (!load_logged(s, &found, err) || (!found.exists && !load_folded(s, &found, err))))
        return false;
    *entry = arena_new_obj(s->arena, struct group_entry);
    found.key = store_arena_dup(s, key);
    **entry = found;
    hash_index_add(&s->groups.batch_index, found.hash, (uint32_t)s->groups.batch.count);
    store_pointers_add(&s->groups.batch, *entry);
    return true;
}

bool group_op_get(void *self, int64_t team_id, int type_index, struct slice key,
                  struct store_group **group, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct group_entry *e;

    if (!find_group(s, team_id, type_index, key, &e, err))
        return false;
    *group = e->exists ? &e->pub : NULL;
    return true;
}

bool group_op_put(void *self, int64_t team_id, int type_index, struct slice key,
                  const struct store_group *state, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct group_entry *e;

    if (!find_group(s, team_id, type_index, key, &e, err))
        return false;
    struct change c = {.kind = CHANGE_GROUP,
                       .team_id = team_id,
                       .object_id = type_index,
                       .version = state->version,
                       .created_at_us = state->created_at_us,
                       .key = e->key,
                       .properties = store_arena_dup(s, state->properties)};
    if (!change_log_add(s, &c, e->hash, err))
        return false;
    e->pub = (struct store_group){.properties = c.properties,
                                  .created_at_us = state->created_at_us,
                                  .version = state->version};
    e->exists = e->is_dirty = true;
    return true;
}

/* --- end of the batch */

static void forget_overlay(struct store_sqlite *s)
{
    s->groups.batch.count = 0;
    hash_index_clear(&s->groups.batch_index);
    s->groups.has_new_type = false;
}

void group_rollback(struct store_sqlite *s)
{
    if (s->groups.has_new_type)
        forget_types(s);
    forget_overlay(s);
}

void group_publish(struct store_sqlite *s)
{
    for (size_t i = 0; i < s->groups.batch.count; i++) {
        const struct group_entry *e = s->groups.batch.items[i];
        struct cached_group *c;

        if (!e->exists || (e->is_cached && !e->is_dirty))
            continue;
        c = mem_alloc(sizeof(*c) + e->pub.properties.len);
        c->pub = e->pub;
        if (e->pub.properties.len)
            memcpy(c->properties, e->pub.properties.ptr, e->pub.properties.len);
        c->pub.properties = slice_make(c->properties, e->pub.properties.len);
        lru_put(s->groups.lru, store_cache_key(s, e->team_id, e->type_index, e->key), c,
                CACHE_ENTRY_BYTES + e->key.len + e->pub.properties.len);
    }
    forget_overlay(s);
}
