/* What plugins keep, by the number of their config: meta.storage, log entries, the last error and
 * an open circuit. */
#include "base/mem.h"
#include "store/store_priv.h"

static const char sql_get[] =
    "SELECT value FROM plugin_storage WHERE plugin_config_id = ? AND key = ?";
static const char sql_set[] =
    "INSERT INTO plugin_storage (plugin_config_id, key, value) VALUES (?,?,?) "
    "ON CONFLICT (plugin_config_id, key) DO UPDATE SET value = excluded.value";
static const char sql_remove[] =
    "DELETE FROM plugin_storage WHERE plugin_config_id = ? AND key = ?";
static const char sql_log[] = "INSERT INTO plugin_logs (team_id, plugin_config_id, at, source, "
                              "type, message, instance_id) VALUES (?,?,?,?,?,?,?)";
static const char sql_error[] =
    "INSERT INTO plugin_state (plugin_config_id, error) VALUES (?,?) "
    "ON CONFLICT (plugin_config_id) DO UPDATE SET error = excluded.error";
static const char sql_circuit[] =
    "INSERT INTO plugin_state (plugin_config_id, circuit_until, circuit_why) VALUES (?,?,?) "
    "ON CONFLICT (plugin_config_id) DO UPDATE SET circuit_until = excluded.circuit_until, "
    "circuit_why = excluded.circuit_why";
static const char sql_states[] =
    "SELECT plugin_config_id, error, coalesce(circuit_until, 0), circuit_why FROM plugin_state "
    "WHERE error IS NOT NULL OR circuit_until IS NOT NULL ORDER BY plugin_config_id";

bool plugin_rows_open(struct store_sqlite *s, struct err *err)
{
    return store_prepare(s, &s->small.plugin_get, sql_get, err) &&
           store_prepare(s, &s->small.plugin_set, sql_set, err) &&
           store_prepare(s, &s->small.plugin_remove, sql_remove, err) &&
           store_prepare(s, &s->small.plugin_log, sql_log, err) &&
           store_prepare(s, &s->small.plugin_error, sql_error, err) &&
           store_prepare(s, &s->small.plugin_circuit, sql_circuit, err) &&
           store_prepare(s, &s->small.plugin_states, sql_states, err);
}

/* --- storage */

static void bind_key(struct db_stmt *q, int64_t config_id, struct slice key)
{
    db_bind_i64(q, 1, config_id);
    db_bind_text_or_empty(q, 2, key);
}

bool plugin_rows_storage_get(void *self, int64_t config_id, struct slice key, struct buf *value,
                             bool *found, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.plugin_get;

    bind_key(q, config_id, key);
    enum db_step step = db_step(q, err);
    if (step == DB_FAIL)
        return store_failed(s, err);
    *found = step == DB_ROW;
    bool fits = !*found || buf_add_slice(value, db_col_text(q, 0));
    db_reset(q);
    return fits || err_set(err, ERR_LIMIT, "the stored value is longer than %zu bytes", value->max);
}

bool plugin_rows_storage_set(void *self, int64_t config_id, struct slice key, struct slice value,
                             struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.plugin_set;

    if (!store_in_batch(s, err))
        return false;
    bind_key(q, config_id, key);
    db_bind_text_or_empty(q, 3, value);
    return db_run(q, err) || store_failed(s, err);
}

bool plugin_rows_storage_remove(void *self, int64_t config_id, struct slice key, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.plugin_remove;

    if (!store_in_batch(s, err))
        return false;
    bind_key(q, config_id, key);
    return db_run(q, err) || store_failed(s, err);
}

/* --- log */

static bool insert_log(struct db_stmt *q, const struct store_plugin_log *row, struct err *err)
{
    db_bind_i64(q, 1, row->team_id);
    db_bind_i64(q, 2, row->config_id);
    db_bind_i64(q, 3, row->at_us);
    db_bind_text_or_empty(q, 4, row->source);
    db_bind_text_or_empty(q, 5, row->type);
    db_bind_text_or_empty(q, 6, row->message);
    db_bind_text_or_empty(q, 7, row->instance_id);
    return db_run(q, err);
}

bool plugin_rows_logs_insert(void *self, const struct store_plugin_log *rows, size_t count,
                             struct err *err)
{
    struct store_sqlite *s = store_self(self);

    if (!store_in_batch(s, err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!insert_log(s->small.plugin_log, &rows[i], err))
            return store_failed(s, err);
    return true;
}

/* --- state */

bool plugin_rows_error_put(void *self, int64_t config_id, const char *error_json, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.plugin_error;

    if (!store_in_batch(s, err))
        return false;
    db_bind_i64(q, 1, config_id);
    db_bind_text(q, 2, slice_cstr(error_json));
    return db_run(q, err) || store_failed(s, err);
}

bool plugin_rows_circuit_put(void *self, int64_t config_id, int64_t until_us, const char *why,
                             struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.plugin_circuit;

    if (!store_in_batch(s, err))
        return false;
    db_bind_i64(q, 1, config_id);
    if (until_us)
        db_bind_i64(q, 2, until_us);
    else
        db_bind_null(q, 2);
    db_bind_text(q, 3, slice_cstr(why));
    return db_run(q, err) || store_failed(s, err);
}

bool plugin_rows_states_each(void *self, bool (*fn)(const struct store_plugin_state *, void *),
                             void *ctx, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.plugin_states;
    enum db_step step;
    bool goes_on = true;

    while (goes_on && (step = db_step(q, err)) != DB_DONE) {
        if (step == DB_FAIL)
            return store_failed(s, err);
        char *error = db_col_is_null(q, 1) ? NULL : slice_dup(db_col_text(q, 1));
        char *why = db_col_is_null(q, 3) ? NULL : slice_dup(db_col_text(q, 3));
        goes_on = fn(&(struct store_plugin_state){.config_id = db_col_i64(q, 0),
                                                  .error_json = error,
                                                  .circuit_until_us = db_col_i64(q, 2),
                                                  .circuit_why = why},
                     ctx);
        mem_free(error);
        mem_free(why);
    }
    db_reset(q);
    return true;
}
