/* The process's plugins: the current set, the states of all configs, the workers. */
#include "plugin/plugin.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "plugin/cache.h"
#include "plugin/plugin_priv.h"
#include "plugin/worker_priv.h"

#include <stdarg.h>

#define LOG_TEXT_MAX 1000

struct plugins *plugins_new(const struct plugins_options *opt)
{
    struct plugins *p = mem_new(struct plugins);
    struct plugin_set *empty = plugin_set_new();

    p->opt = *opt;
    p->opt.instance_id = mem_dup_str(opt->instance_id ? opt->instance_id : "");
    lock_init(&p->set_lock, "plugin set", RANK_PLUGIN_SET);
    lock_init(&p->lock, "plugins", RANK_PLUGINS);
    p->states = map_new();
    p->cache = plugin_cache_new(opt->limits.cache_bytes);
    list_init(&p->workers);
    plugin_set_seal(empty);
    atomic_init(&p->current, empty);
    return p;
}

void plugins_free(struct plugins *p)
{
    struct map_iter it = {0};
    struct slice key;
    void *value;

    if (!p)
        return;
    CHECK(list_is_empty(&p->workers));
    plugin_set_unref(atomic_load(&p->current));
    while (map_next(p->states, &it, &key, &value))
        plugin_state_unref(value);
    map_free(p->states);
    plugin_cache_free(p->cache);
    lock_fini(&p->lock);
    lock_fini(&p->set_lock);
    mem_free((char *)(uintptr_t)p->opt.instance_id);
    mem_free(p);
}

const struct plugins_options *plugins_options(const struct plugins *p)
{
    return &p->opt;
}

struct plugin_cache *plugins_cache(struct plugins *p)
{
    return p->cache;
}

/* --- the set ---------------------------------------------------------------------------------- */

void plugins_publish(struct plugins *p, struct plugin_set *set)
{
    const struct plugin_set *old;

    lock_take(&p->set_lock);
    old = atomic_exchange_explicit(&p->current, set, memory_order_acq_rel);
    lock_drop(&p->set_lock);
    plugin_set_unref(old);
    lock_take(&p->lock);
    list_each (at, &p->workers)
        plugin_worker_wake(list_entry(at, struct plugin_worker, in_plugins));
    lock_drop(&p->lock);
}

const struct plugin_set *plugins_get(struct plugins *p)
{
    const struct plugin_set *s;

    lock_take(&p->set_lock);
    s = atomic_load_explicit(&p->current, memory_order_acquire);
    plugin_set_ref(s);
    lock_drop(&p->set_lock);
    return s;
}

const struct plugin_set *plugins_cached(struct plugins *p, const struct plugin_set **cached)
{
    const struct plugin_set *current = atomic_load_explicit(&p->current, memory_order_acquire);

    if (current != *cached) {
        const struct plugin_set *fresh = plugins_get(p);

        plugin_set_unref(*cached);
        *cached = fresh;
    }
    return *cached;
}

/* --- states ----------------------------------------------------------------------------------- */

struct plugin_state *plugins_state(struct plugins *p, int64_t config_id)
{
    struct slice key = slice_make(&config_id, sizeof(config_id));
    struct plugin_state *s;

    lock_take(&p->lock);
    s = map_get(p->states, key);
    if (!s) {
        s = plugin_state_new(config_id);
        map_put(p->states, key, s);
    }
    plugin_state_ref(s);
    lock_drop(&p->lock);
    return s;
}

void plugins_note_left(struct plugins *p, int64_t team_id, size_t blocks)
{
    if (blocks == 0)
        return;
    atomic_fetch_add_explicit(&p->left_blocks, blocks, memory_order_relaxed);
    log_error("plugin", "values were left when a team's plugins were unloaded",
              KV_I64("team", team_id), KV_U64("blocks", blocks));
    DCHECK(blocks == 0);
}

uint64_t plugins_left_blocks(const struct plugins *p)
{
    return atomic_load_explicit(&p->left_blocks, memory_order_relaxed);
}

bool plugins_overdue(struct plugins *p, int64_t grace_us, struct plugin_overdue *out)
{
    int64_t now = clock_mono_real_us();

    *out = (struct plugin_overdue){0};
    lock_take(&p->lock);
    list_each (at, &p->workers) {
        struct plugin_worker *w = list_entry(at, struct plugin_worker, in_plugins);
        int64_t deadline = atomic_load(&w->inside_until_us);
        int64_t config_id = atomic_load(&w->inside_config);

        if (deadline == 0 || now - deadline <= MAX(grace_us, out->overdue_us))
            continue;
        *out = (struct plugin_overdue){
            .config_id = config_id, .overdue_us = now - deadline, .worker = w->number};
    }
    lock_drop(&p->lock);
    return out->overdue_us > 0;
}

/* --- reports ---------------------------------------------------------------------------------- */

void plugins_log(struct plugins *p, const struct plugin_config *c, const char *source,
                 const char *type, struct slice message)
{
    struct plugin_log_entry entry = {
        .team_id = c->team_id,
        .config_id = c->id,
        .at_us = clock_wall_us(),
        .source = source,
        .type = type,
        .message = message,
    };

    p->opt.services->log(p->opt.services_self, &entry);
}

void plugins_logf(struct plugins *p, const struct plugin_config *c, const char *type,
                  const char *fmt, ...)
{
    char text[LOG_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    plugins_log(p, c, "SYSTEM", type, slice_cstr(text));
}

void plugins_report(struct plugins *p, const struct plugin_config *c, const char *message,
                    const char *error_json)
{
    plugin_state_set_error(c->state, error_json);
    plugins_log(p, c, "PLUGIN", "ERROR", slice_cstr(message));
    p->opt.services->error(p->opt.services_self, c->id, error_json);
}

void plugins_clear_error(struct plugins *p, const struct plugin_config *c)
{
    bool has_error;

    lock_take(&c->state->lock);
    has_error = c->state->error_json != NULL;
    lock_drop(&c->state->lock);
    if (!has_error)
        return;
    plugin_state_set_error(c->state, NULL);
    p->opt.services->error(p->opt.services_self, c->id, NULL);
}
