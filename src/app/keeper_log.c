/* Log entries and errors of plugins on their way into the store: gathered, and written once a
 * second at most, all in one transaction. What is written is allowed to be lost in a crash.
 *
 * A noisy plugin has a share of its own: what goes over it, or over what may wait in all, is
 * counted, and the count is written as an entry of that plugin.
 */
#include "app/keeper_priv.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

#define ERRORS_MAX 10000 /* configs with an error that waits */

struct keeper_entry {
    struct keeper_entry *next;
    int64_t team_id, config_id, at_us;
    char source[16], type[16];
    size_t len;
    char message[];
};

struct keeper_share { /* of one config, since the last flush */
    int64_t team_id, config_id;
    size_t count, left_out;
};

struct keeper_error {
    int64_t config_id;
    char *json; /* NULL: none any more */
};

/* What goes to STORE together. */
struct flush {
    struct pipe_call call;
    struct keeper *keeper;
    struct keeper_entry *entries;
    size_t count;
    struct map *shares, *errors;
};

static struct slice key_of(const int64_t *config_id)
{
    return slice_make(config_id, sizeof(*config_id));
}

static void log_clear(struct keeper_log *l)
{
    l->first = NULL;
    l->last = &l->first;
    l->count = l->bytes = 0;
    l->configs = map_new();
    l->errors = map_new();
}

void keeper_log_init(struct keeper_log *l)
{
    log_clear(l);
    l->flushed_us = -KEEPER_FLUSH_US;
}

static void free_shares(struct map *shares)
{
    struct map_iter it = {0};
    struct slice key;
    void *value;

    while (map_next(shares, &it, &key, &value))
        mem_free(value);
    map_free(shares);
}

static void free_error(struct keeper_error *e)
{
    if (e)
        mem_free(e->json);
    mem_free(e);
}

static void free_errors(struct map *errors)
{
    struct map_iter it = {0};
    struct slice key;
    void *value;

    while (map_next(errors, &it, &key, &value))
        free_error(value);
    map_free(errors);
}

static void free_entries(struct keeper_entry *e)
{
    while (e) {
        struct keeper_entry *next = e->next;

        mem_free(e);
        e = next;
    }
}

void keeper_log_fini(struct keeper_log *l)
{
    free_entries(l->first);
    free_shares(l->configs);
    free_errors(l->errors);
}

/* --- gathering: any thread -------------------------------------------------------------------- */

static struct keeper_entry *entry_new(const struct plugin_log_entry *from)
{
    struct keeper_entry *e = mem_alloc(sizeof(*e) + from->message.len);

    *e = (struct keeper_entry){.team_id = from->team_id,
                               .config_id = from->config_id,
                               .at_us = from->at_us,
                               .len = from->message.len};
    (void)snprintf(e->source, sizeof(e->source), "%s", from->source);
    (void)snprintf(e->type, sizeof(e->type), "%s", from->type);
    for (size_t i = 0; i < e->len; i++) /* SQL text cannot hold NUL */
        e->message[i] = from->message.ptr[i] ? from->message.ptr[i] : ' ';
    return e;
}

static struct keeper_share *share_of(struct keeper_log *l, const struct plugin_log_entry *entry)
{
    struct keeper_share *share = map_get(l->configs, key_of(&entry->config_id));

    if (!share) {
        share = mem_new(struct keeper_share);
        share->team_id = entry->team_id;
        share->config_id = entry->config_id;
        map_put(l->configs, key_of(&entry->config_id), share);
    }
    return share;
}

static bool has_room(const struct keeper_log *l, const struct keeper_share *share, size_t len)
{
    return share->count < KEEPER_LOG_PER_FLUSH && l->count < KEEPER_LOG_ENTRIES &&
           l->bytes + len <= KEEPER_LOG_BYTES;
}

void keeper_log_add(void *keeper, const struct plugin_log_entry *entry)
{
    struct keeper *k = keeper;
    struct keeper_log *l = &k->log;

    lock_take(&k->lock);
    struct keeper_share *share = share_of(l, entry);
    if (!has_room(l, share, entry->message.len)) {
        share->left_out++;
        lock_drop(&k->lock);
        return;
    }
    share->count++;
    l->count++;
    l->bytes += entry->message.len;
    struct keeper_entry *e = entry_new(entry);
    *l->last = e;
    l->last = &e->next;
    if (l->count == 1)
        keeper_wake(k);
    lock_drop(&k->lock);
}

void keeper_log_error(void *keeper, int64_t config_id, const char *error_json)
{
    struct keeper *k = keeper;
    struct keeper_log *l = &k->log;
    struct keeper_error *e = mem_new(struct keeper_error);

    *e = (struct keeper_error){.config_id = config_id, .json = mem_dup_str(error_json)};
    lock_take(&k->lock);
    bool is_first = map_count(l->errors) == 0;
    if (map_count(l->errors) < ERRORS_MAX || map_get(l->errors, key_of(&config_id)))
        e = map_put(l->errors, key_of(&config_id), e); /* what it replaces, if anything */
    if (is_first)
        keeper_wake(k);
    lock_drop(&k->lock);
    free_error(e);
}

/* --- writing: STORE --------------------------------------------------------------------------- */

static struct store_plugin_log row_of(const struct keeper *k, const struct keeper_entry *e)
{
    return (struct store_plugin_log){.team_id = e->team_id,
                                     .config_id = e->config_id,
                                     .at_us = e->at_us,
                                     .source = slice_cstr(e->source),
                                     .type = slice_cstr(e->type),
                                     .message = slice_make(e->message, e->len),
                                     .instance_id = slice_cstr(k->instance_id)};
}

static bool write_entries(struct store *store, const struct flush *f, struct err *err)
{
    struct store_plugin_log *rows = mem_new_array(struct store_plugin_log, f->count + 1);
    size_t count = 0;

    for (const struct keeper_entry *e = f->entries; e; e = e->next)
        rows[count++] = row_of(f->keeper, e);
    bool ok = store->ops->plugin_logs_insert(store->self, rows, count, err);
    mem_free(rows);
    return ok;
}

static bool write_left_out(struct store *store, const struct flush *f, struct err *err)
{
    struct map_iter it = {0};
    struct slice key;
    void *value;
    char text[160];

    while (map_next(f->shares, &it, &key, &value)) {
        const struct keeper_share *share = value;
        if (!share->left_out)
            continue;
        int len = snprintf(text, sizeof(text),
                           "%zu more entries were left out: at most %d a second are kept of a "
                           "plugin, and %d of all",
                           share->left_out, KEEPER_LOG_PER_FLUSH, KEEPER_LOG_ENTRIES);
        struct store_plugin_log row = {.team_id = share->team_id,
                                       .config_id = share->config_id,
                                       .at_us = clock_wall_us(),
                                       .source = SLICE("SYSTEM"),
                                       .type = SLICE("WARN"),
                                       .message = slice_make(text, (size_t)len),
                                       .instance_id = slice_cstr(f->keeper->instance_id)};
        if (!store->ops->plugin_logs_insert(store->self, &row, 1, err))
            return false;
    }
    return true;
}

static bool write_errors(struct store *store, const struct flush *f, struct err *err)
{
    struct map_iter it = {0};
    struct slice key;
    void *value;

    while (map_next(f->errors, &it, &key, &value)) {
        const struct keeper_error *e = value;
        if (!store->ops->plugin_error_put(store->self, e->config_id, e->json, err))
            return false;
    }
    return true;
}

static bool flush_run(struct store *store, void *ctx, struct err *err)
{
    return write_entries(store, ctx, err) && write_left_out(store, ctx, err) &&
           write_errors(store, ctx, err);
}

static void flush_done(void *ctx, bool ok, const struct err *err)
{
    struct flush *f = ctx;
    struct keeper *k = f->keeper;

    if (!ok && err->code == ERR_STOP) {
        lock_take(&k->lock);
        k->log.refused = f; /* and no other is sent: is_flushing stays */
        lock_drop(&k->lock);
        return;
    }
    if (!ok)
        log_warn("plugin", "log entries of plugins were lost", KV_U64("entries", f->count),
                 KV_ERR(err));
    free_entries(f->entries);
    free_shares(f->shares);
    free_errors(f->errors);
    mem_free(f);
    lock_take(&k->lock);
    k->log.is_flushing = false;
    keeper_wake(k);
    lock_drop(&k->lock);
}

/* --- when: the keeper's thread ---------------------------------------------------------------- */

int64_t keeper_log_due(const struct keeper *k)
{
    const struct keeper_log *l = &k->log;
    bool has_some = l->count > 0 || map_count(l->errors) > 0;

    return has_some && !l->is_flushing ? l->flushed_us + KEEPER_FLUSH_US : INT64_MAX;
}

/* Under the lock: what has gathered, as one flush. */
static struct flush *take_flush(struct keeper *k)
{
    struct flush *f = mem_new(struct flush);
    struct keeper_log *l = &k->log;

    *f = (struct flush){.call = {.fn = flush_run, .done = flush_done, .ctx = f},
                        .keeper = k,
                        .entries = l->first,
                        .count = l->count,
                        .shares = l->configs,
                        .errors = l->errors};
    log_clear(l);
    l->is_flushing = true;
    return f;
}

void keeper_log_flush(struct keeper *k)
{
    struct flush *f = NULL;
    int64_t now = keeper_now_us();

    lock_take(&k->lock);
    if (keeper_log_due(k) <= now) {
        f = take_flush(k);
        k->log.flushed_us = now;
    }
    lock_drop(&k->lock);
    if (f)
        pipe_call(k->pipe, &f->call);
}

static void write_now(struct store *store, struct flush *f)
{
    const struct store_ops *ops = store->ops;
    struct err err = ERR_INIT;
    bool ok = ops->begin(store->self, &err);
    if (ok && !(flush_run(store, f, &err) && ops->commit(store->self, NULL, NULL, 0, &err))) {
        ops->rollback(store->self);
        ok = false;
    }
    flush_done(f, ok, &err);
}

void keeper_log_finish(struct keeper *k, struct store *store)
{
    lock_take(&k->lock);
    struct flush *refused = k->log.refused;
    k->log.refused = NULL;
    k->log.is_flushing &= !refused;
    struct flush *rest = keeper_log_due(k) == INT64_MAX ? NULL : take_flush(k);
    lock_drop(&k->lock);
    if (refused)
        write_now(store, refused);
    if (rest)
        write_now(store, rest);
}
