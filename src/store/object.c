/* Parts of the provision file, kept as JSON text. */
#include "base/mem.h"
#include "store/store_priv.h"

static const char sql_put[] = "INSERT OR REPLACE INTO objects (kind, key, json) VALUES (?,?,?)";
static const char sql_remove[] = "DELETE FROM objects WHERE kind = ? AND key = ?";
static const char sql_each[] = "SELECT kind, key, json FROM objects ORDER BY kind, key";

bool object_open(struct store_sqlite *s, struct err *err)
{
    return store_prepare(s, &s->small.object_put, sql_put, err) &&
           store_prepare(s, &s->small.object_remove, sql_remove, err) &&
           store_prepare(s, &s->small.objects, sql_each, err);
}

bool object_op_put(void *self, const struct store_object *o, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.object_put;

    if (!store_may_write(s, err))
        return false;
    db_bind_text(q, 1, slice_cstr(o->kind));
    db_bind_text(q, 2, slice_cstr(o->key));
    db_bind_text(q, 3, slice_cstr(o->json));
    return db_run(q, err) || store_failed(s, err);
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

static bool call(struct db_stmt *q, bool (*fn)(const struct store_object *o, void *ctx), void *ctx)
{
    char *kind = slice_dup(db_col_text(q, 0)), *key = slice_dup(db_col_text(q, 1)),
         *json = slice_dup(db_col_text(q, 2));
    bool goes_on = fn(&(struct store_object){.kind = kind, .key = key, .json = json}, ctx);

    mem_free(kind);
    mem_free(key);
    mem_free(json);
    return goes_on;
}

bool object_op_each(void *self, bool (*fn)(const struct store_object *o, void *ctx), void *ctx,
                    struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.objects;
    enum db_step step;

    while ((step = db_step(q, err)) == DB_ROW)
        if (!call(q, fn, ctx)) {
            db_reset(q);
            return true;
        }
    return step == DB_DONE || store_failed(s, err);
}
