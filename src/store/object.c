/* Parts of the provision file, kept as JSON text. Each gets a number in its kind when it is new;
 * object_ids has the last one given, so that no number stands for two objects one after another. */
#include "base/mem.h"
#include "store/store_priv.h"

static const char sql_update[] = "UPDATE objects SET json = ?3 WHERE kind = ?1 AND key = ?2";
static const char sql_next_id[] = "INSERT INTO object_ids (kind, last_id) VALUES (?, 1) "
                                  "ON CONFLICT (kind) DO UPDATE SET last_id = last_id + 1";
static const char sql_insert[] = "INSERT INTO objects (kind, key, json, id) VALUES (?1, ?2, ?3, "
                                 "(SELECT last_id FROM object_ids WHERE kind = ?1))";
static const char sql_remove[] = "DELETE FROM objects WHERE kind = ? AND key = ?";
#define COLUMNS "SELECT kind, key, json, id FROM objects "
static const char sql_get[] = COLUMNS "WHERE kind = ? AND id = ?";
static const char sql_each[] = COLUMNS "ORDER BY kind, key";

bool object_open(struct store_sqlite *s, struct err *err)
{
    return store_prepare(s, &s->small.object_update, sql_update, err) &&
           store_prepare(s, &s->small.object_next_id, sql_next_id, err) &&
           store_prepare(s, &s->small.object_insert, sql_insert, err) &&
           store_prepare(s, &s->small.object_remove, sql_remove, err) &&
           store_prepare(s, &s->small.object, sql_get, err) &&
           store_prepare(s, &s->small.objects, sql_each, err);
}

static bool write_row(struct db_stmt *q, const struct store_object *o, struct err *err)
{
    db_bind_text(q, 1, slice_cstr(o->kind));
    db_bind_text(q, 2, slice_cstr(o->key));
    db_bind_text(q, 3, slice_cstr(o->json));
    return db_run(q, err);
}

static bool insert(struct store_sqlite *s, const struct store_object *o, struct err *err)
{
    db_bind_text(s->small.object_next_id, 1, slice_cstr(o->kind));
    return db_run(s->small.object_next_id, err) && write_row(s->small.object_insert, o, err);
}

bool object_op_put(void *self, const struct store_object *o, struct err *err)
{
    struct store_sqlite *s = store_self(self);

    if (!store_may_write(s, err))
        return false;
    if (!write_row(s->small.object_update, o, err) ||
        (db_changes(s->db) == 0 && !insert(s, o, err)))
        return store_failed(s, err);
    return true;
}

bool object_op_remove(void *self, const char *kind, const char *key, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.object_remove;

    if (!store_may_write(s, err))
        return false;
    db_bind_text(q, 1, slice_cstr(kind));
    db_bind_text(q, 2, slice_cstr(key));
    return db_run(q, err) || store_failed(s, err);
}

struct copy {
    char *kind, *key, *json;
    int64_t id;
};

static struct copy copy_row(struct db_stmt *q)
{
    return (struct copy){.kind = slice_dup(db_col_text(q, 0)),
                         .key = slice_dup(db_col_text(q, 1)),
                         .json = slice_dup(db_col_text(q, 2)),
                         .id = db_col_i64(q, 3)};
}

static bool call(struct copy c, store_object_fn *fn, void *ctx)
{
    struct store_object o = {.kind = c.kind, .key = c.key, .json = c.json, .id = c.id};
    bool goes_on = fn(&o, ctx);

    mem_free(c.kind);
    mem_free(c.key);
    mem_free(c.json);
    return goes_on;
}

bool object_op_each(void *self, store_object_fn *fn, void *ctx, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.objects;
    enum db_step step;

    while ((step = db_step(q, err)) == DB_ROW)
        if (!call(copy_row(q), fn, ctx)) {
            db_reset(q);
            return true;
        }
    return step == DB_DONE || store_failed(s, err);
}

bool object_op_get(void *self, const char *kind, int64_t id, store_object_fn *fn, void *ctx,
                   struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.object;

    db_bind_text(q, 1, slice_cstr(kind));
    db_bind_i64(q, 2, id);
    enum db_step step = db_step(q, err);
    if (step == DB_FAIL)
        return store_failed(s, err);
    if (step == DB_ROW) {
        struct copy c = copy_row(q);
        db_reset(q);
        call(c, fn, ctx);
    }
    return true;
}
