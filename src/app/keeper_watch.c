/* The last line behind the engine's own limits. A call that is still running long after its
 * deadline will not come back, and its thread with it: the config's circuit is opened where the
 * next start finds it, and the process ends. The queue has the events; the supervisor starts it
 * again, and the plugin is passed by until the circuit closes.
 */
#include "app/app_priv.h"
#include "app/keeper_priv.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define STORE_US        2000000 /* for the store to take it, then a file does */
#define CIRCUIT_FACTOR  10      /* x PLUGIN_CIRCUIT_SECONDS: this costs everybody a restart */
#define FILE_BYTES_MAX  4096
#define CIRCUIT_WHY_FMT "it ran on for %lld s after its time limit and the process had to be ended"

struct opening {
    struct pipe_call call;
    int64_t config_id, until_us;
    char why[160];
    struct lock lock;
    struct cond done;
    bool is_done, ok;
};

static bool opening_run(struct store *store, void *ctx, struct err *err)
{
    const struct opening *o = ctx;

    return store->ops->plugin_circuit_put(store->self, o->config_id, o->until_us, o->why, err);
}

static void opening_done(void *ctx, bool ok, const struct err *err)
{
    struct opening *o = ctx;

    UNUSED(err);
    lock_take(&o->lock);
    o->is_done = true;
    o->ok = ok;
    cond_signal(&o->done);
    lock_drop(&o->lock);
}

/* STORE may be stuck as well, or wait for the disk. */
static bool tell_store(struct keeper *k, struct opening *o)
{
    int64_t end = keeper_now_us() + STORE_US, left;
    bool ok;

    o->call = (struct pipe_call){.fn = opening_run, .done = opening_done, .ctx = o};
    pipe_call(k->pipe, &o->call);
    lock_take(&o->lock);
    while (!o->is_done && (left = end - keeper_now_us()) > 0)
        cond_wait_us(&o->done, &o->lock, left);
    ok = o->is_done && o->ok;
    lock_drop(&o->lock);
    return ok;
}

static void tell_file(struct keeper *k, const struct opening *o)
{
    struct buf text = BUF_INIT(FILE_BYTES_MAX);
    struct err err = ERR_INIT;

    buf_addf(&text, "{\"plugin_config_id\":%lld,\"until\":%lld,\"why\":", (long long)o->config_id,
             (long long)o->until_us);
    buf_add_json_str(&text, slice_cstr(o->why));
    buf_add_str(&text, "}\n");
    if (!fs_write_atomic(k->circuit_path, buf_slice(&text), 0600, &err))
        log_error("plugin", "the circuit of a plugin that hangs cannot be kept", KV_ERR(&err));
    buf_free(&text);
}

/* The same call as at the look before: its thread has not left it, so it is as late as then or
 * later. */
static bool is_given_up(struct keeper *k, const struct plugin_overdue *now)
{
    const struct plugin_overdue *seen = &k->seen;
    bool is_same = k->looks > 0 && seen->worker == now->worker &&
                   seen->config_id == now->config_id && seen->overdue_us <= now->overdue_us;

    k->looks = is_same ? k->looks + 1 : 1;
    k->seen = *now;
    return k->looks >= KEEPER_LOOKS;
}

void keeper_watch(struct keeper *k)
{
    struct plugin_overdue overdue;

    if (!plugins_overdue(k->plugins, KEEPER_SEEN_US, &overdue)) {
        k->looks = 0;
        return;
    }
    if (!is_given_up(k, &overdue))
        return;
    struct opening *o = mem_new(struct opening);
    o->config_id = overdue.config_id;
    o->until_us = clock_wall_us() +
                  (int64_t)(conf_num(k->conf, CONF_PLUGIN_CIRCUIT_SECONDS) * CIRCUIT_FACTOR * 1e6);
    (void)snprintf(o->why, sizeof(o->why), CIRCUIT_WHY_FMT,
                   (long long)(overdue.overdue_us / 1000000));
    lock_init(&o->lock, "plugin circuit", RANK_APP);
    cond_init(&o->done);
    if (!tell_store(k, o))
        tell_file(k, o);
    log_error("plugin",
              "a plugin does not end, ending the process now; at the next start it is passed by "
              "for a while, and the queue keeps every event",
              KV_I64("plugin_config", o->config_id), KV_I64("worker", overdue.worker),
              KV_I64("overdue_ms", overdue.overdue_us / 1000));
    log_flush();
    abort();
}

static bool read_file(struct keeper *k, struct opening *o, struct err *err)
{
    struct buf text = BUF_INIT(FILE_BYTES_MAX);
    cJSON *json =
        fs_read_all(k->circuit_path, &text, err) ? json_parse(buf_slice(&text), err) : NULL;
    const char *why = json ? json_str(json, "why") : NULL;
    bool ok = why && json_int(json_get(json, "plugin_config_id"), &o->config_id) &&
              json_int(json_get(json, "until"), &o->until_us);

    if (ok)
        (void)snprintf(o->why, sizeof(o->why), "%s", why);
    else if (err->code == ERR_NONE)
        err_set(err, ERR_INPUT, "%s does not name a plugin config", k->circuit_path);
    json_free(json);
    buf_free(&text);
    return ok;
}

/* The file's word counts until a new one comes; it is not worth a place in the store. */
void keeper_watch_load(struct keeper *k)
{
    struct opening o = {.config_id = 0};
    struct err err = ERR_INIT;

    if (!fs_exists(k->circuit_path))
        return;
    if (!read_file(k, &o, &err)) {
        log_warn("plugin", "which plugin hung before cannot be read", KV_ERR(&err));
    } else if (o.until_us > clock_wall_us()) {
        struct plugin_state *s = plugins_state(k->plugins, o.config_id);
        plugin_circuit_open(s, o.until_us, o.why);
        plugin_state_unref(s);
        return;
    }
    if (!fs_remove(k->circuit_path, &err))
        log_warn("plugin", "a file stays behind", KV_ERR(&err));
}
