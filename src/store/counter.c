/* Sums per (minute, team, name, what). They are added up in memory and written once per commit.
 *
 * Names come from clients, so a team has at most NAMES_MAX of them in one minute; the rest count as
 * `$other`. Which names a minute has is kept in memory, read from the table when it is not; a
 * failed batch that added names forgets that memory. retention.c deletes minutes that are too old.
 */
#include "base/mem.h"
#include "store/store_priv.h"

#define NAMES_MAX    1000
#define MINUTES_KEPT 256

static const char sql_upsert[] =
    "INSERT INTO counters (minute, team_id, name, what, count) VALUES (?,?,?,?,?) "
    "ON CONFLICT (minute, team_id, name, what) DO UPDATE SET count = count + excluded.count";
static const char sql_names[] =
    "SELECT DISTINCT name FROM counters WHERE minute = ? AND team_id = ?";

static void drop_names(void *value, void *ctx)
{
    UNUSED(ctx);
    map_free(value);
}

bool counter_open(struct store_sqlite *s, struct err *err)
{
    s->counters.names_of = lru_new(MINUTES_KEPT, MINUTES_KEPT, drop_names, NULL);
    return store_prepare(s, &s->counters.upsert, sql_upsert, err) &&
           store_prepare(s, &s->counters.names, sql_names, err);
}

void counter_close(struct store_sqlite *s)
{
    lru_free(s->counters.names_of);
    mem_free(s->counters.batch);
    hash_index_free(&s->counters.batch_index);
}

static int64_t minute_of(int64_t at_us)
{
    return at_us / COUNTER_MINUTE_US - (at_us % COUNTER_MINUTE_US < 0);
}

static struct counter_entry *add_entry(struct counters *c)
{
    if (c->count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->batch = mem_realloc(c->batch, c->cap * sizeof(*c->batch));
    }
    return &c->batch[c->count++];
}

static bool counts(const struct counter_entry *e, enum store_count what, int64_t team_id,
                   int64_t minute, struct slice event)
{
    return e->what == what && e->team_id == team_id && e->minute == minute &&
           slice_eq(e->name, event);
}

void counter_op_count(void *self, enum store_count what, int64_t team_id, int64_t at_us,
                      struct slice event)
{
    struct store_sqlite *s = store_self(self);
    struct counters *c = &s->counters;
    int64_t minute = minute_of(at_us);
    size_t walk = HASH_INDEX_START;
    uint64_t hash;

    if (c->count && counts(&c->batch[c->last], what, team_id, minute, event)) {
        c->batch[c->last].count++;
        return;
    }
    hash = store_hash(s, 0x200u + what, team_id, event) ^ store_hash_id(minute);
    for (uint32_t *at; (at = hash_index_next(&c->batch_index, hash, &walk));) {
        struct counter_entry *e = &c->batch[*at];
        if (e->hash == hash && counts(e, what, team_id, minute, event)) {
            e->count++;
            c->last = *at;
            return;
        }
    }
    hash_index_add(&c->batch_index, hash, (uint32_t)c->count);
    c->last = c->count;
    *add_entry(c) = (struct counter_entry){.minute = minute,
                                           .team_id = team_id,
                                           .name = store_arena_dup(s, event),
                                           .what = what,
                                           .hash = hash,
                                           .count = 1};
}

static struct map *names_of(struct store_sqlite *s, const struct counter_entry *e, struct err *err)
{
    struct slice key = store_cache_key(s, e->minute, e->team_id, SLICE_NONE);
    struct db_stmt *q = s->counters.names;
    struct map *names = lru_get(s->counters.names_of, key);
    enum db_step step;

    if (names)
        return names;
    names = map_new();
    db_bind_i64(q, 1, e->minute);
    db_bind_i64(q, 2, e->team_id);
    while ((step = db_step(q, err)) == DB_ROW)
        map_put(names, db_col_text(q, 0), names);
    if (step == DB_FAIL) {
        map_free(names);
        return NULL;
    }
    lru_put(s->counters.names_of, key, names, 1);
    return names;
}

/* The name under which it is counted. */
static bool choose_name(struct store_sqlite *s, const struct counter_entry *e, struct slice *name,
                        struct err *err)
{
    struct map *names = names_of(s, e, err);

    if (!names)
        return false;
    *name = e->name;
    if (map_get(names, e->name))
        return true;
    if (map_count(names) < NAMES_MAX) {
        map_put(names, e->name, names);
        s->counters.has_new_names = true;
    } else {
        *name = SLICE("$other");
    }
    return true;
}

bool counter_write(struct store_sqlite *s, struct err *err)
{
    struct db_stmt *q = s->counters.upsert;

    for (size_t i = 0; i < s->counters.count; i++) {
        const struct counter_entry *e = &s->counters.batch[i];
        struct slice name;

        if (!choose_name(s, e, &name, err))
            return false;
        db_bind_i64(q, 1, e->minute);
        db_bind_i64(q, 2, e->team_id);
        db_bind_text_or_empty(q, 3, name);
        db_bind_i64(q, 4, e->what);
        db_bind_i64(q, 5, e->count);
        if (!db_run(q, err))
            return false;
    }
    return true;
}

void counter_forget(struct store_sqlite *s, bool committed)
{
    if (!committed && s->counters.has_new_names)
        lru_clear(s->counters.names_of);
    s->counters.has_new_names = false;
    s->counters.count = s->counters.last = 0;
    hash_index_clear(&s->counters.batch_index);
}
