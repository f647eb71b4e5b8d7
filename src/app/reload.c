/* The provision file: applied at the start, before STORE runs, and again on a reload, by STORE. */
#include "admin/plugin_change.h"
#include "admin/provision_apply.h"
#include "app/app_priv.h"
#include "app/wire.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

#include <signal.h>
#include <unistd.h>

#define DEFAULT_TEAM_ID   1
#define DEFAULT_TEAM_NAME "Default project"

/* --- at the start ------------------------------------------------------------------------------
 */

/* No database is used when DISABLE_MMDB is set, whatever else is. */
bool app_has_geoip(const struct conf *conf)
{
    bool is_named = *conf_str(conf, CONF_MMDB_FILE_LOCATION) || *conf_str(conf, CONF_MMDB_URL);

    return is_named && !conf_bool(conf, CONF_DISABLE_MMDB);
}

static bool default_team(struct app *app, struct err *err)
{
    struct store *store = &app->store;
    struct provision_options opt = {.has_geoip = app_has_geoip(app->conf)};
    struct team_set *set = NULL;

    if (!store->ops->teams_load(store->self, &set, err))
        return false;
    bool is_empty = team_set_count(set) == 0;
    team_set_unref(set);
    if (!is_empty)
        return true;
    struct team team = provision_team_new(DEFAULT_TEAM_ID, DEFAULT_TEAM_NAME, NULL);
    struct provision p = {.teams = &team, .team_count = 1};
    struct provision_outcome outcome;
    return provision_apply(store, &p, &opt, &outcome, err);
}

static bool read_provision(const char *path, struct provision **p, struct err *err)
{
    struct buf text = BUF_INIT(64 << 20);
    struct json_faults faults = JSON_FAULTS_INIT;
    bool ok = fs_read_all(path, &text, err);

    if (!ok)
        err_wrap(err, "PROVISION_FILE");
    if (ok) {
        char *dir = app_base_dir(path);
        *p = provision_parse(buf_slice(&text), dir, &faults);
        for (struct slice rest = buf_slice(&faults.text), line; slice_split(&rest, '\n', &line);)
            if (line.len)
                log_error("provision", "fault in the provision file", KV_SLICE("at", line));
        ok = *p || err_set(err, ERR_INPUT, "PROVISION_FILE %s has %zu fault%s, nothing was changed",
                           path, faults.count, faults.count == 1 ? "" : "s");
        mem_free(dir);
    }
    json_faults_free(&faults);
    buf_free(&text);
    return ok;
}

/* Plugins that are stored already, for configs of the file that name them. */
static bool keep_plugin(const struct store_object *o, void *ctx)
{
    if (slice_eq(slice_cstr(o->kind), SLICE(PLUGIN_KIND)))
        mem_free(map_put(ctx, slice_cstr(o->key), mem_dup_str(o->json)));
    return true;
}

static const char *find_stored(void *ctx, const char *name)
{
    return map_get(ctx, slice_cstr(name));
}

static void free_texts(struct map *m)
{
    struct map_iter it = {0};
    struct slice key;
    void *value;

    while (map_next(m, &it, &key, &value))
        mem_free(value);
    map_free(m);
}

static bool apply_at_start(struct app *app, const struct provision *p, struct err *err)
{
    struct store *store = &app->store;
    struct provision_options opt = {.has_geoip = app_has_geoip(app->conf)};
    struct plugin_defaults *defaults = NULL;
    struct map *stored = map_new();
    struct provision_outcome outcome;
    bool ok = store->ops->objects_each(store->self, keep_plugin, stored, err);

    if (ok) {
        opt.defaults = defaults = plugin_defaults_of(p, find_stored, stored);
        ok = provision_apply(store, p, &opt, &outcome, err);
    }
    plugin_defaults_free(defaults);
    free_texts(stored);
    return ok;
}

bool app_fill_store(struct app *app, struct err *err)
{
    const char *path = conf_str(app->conf, CONF_PROVISION_FILE);
    struct provision *p = NULL;
    const struct store_ops *ops = app->store.ops;

    if (*path && !read_provision(path, &p, err))
        return false;
    bool ok = ops->begin(app->store.self, err);
    if (ok) {
        ok = p ? apply_at_start(app, p, err) : default_team(app, err);
        if (ok)
            ok = ops->commit(app->store.self, NULL, NULL, 0, err);
        else
            ops->rollback(app->store.self);
    }
    provision_free(p);
    if (ok)
        provision_tell_unused(&app->store);
    return ok && provision_publish(&app->store, app->teams, err);
}

/* --- reload --------------------------------------------------------------------------------------
 */

enum { RELOAD_IDLE, RELOAD_RUNS, RELOAD_RUNS_AND_AGAIN };

struct reload {
    struct pipe_call call;
    struct plugin_task task;
    struct app *app;
    struct provision *provision;
    struct plugin_defaults *defaults;
};

/* On the keeper's thread, which knows the stored plugins and may read files. */
static void reload_begin(void *ctx)
{
    struct reload *r = ctx;
    struct plugin_keeper keeper = keeper_for_admin(r->app->keeper);

    r->defaults = plugin_defaults_of(r->provision, keeper.ops->find, keeper.self);
    pipe_call(r->app->pipe, &r->call);
}

static bool reload_run(struct store *store, void *ctx, struct err *err)
{
    const struct reload *r = ctx;
    struct provision_options opt = {.has_geoip = app_has_geoip(r->app->conf),
                                    .defaults = r->defaults};
    struct provision_outcome outcome;

    return provision_apply(store, r->provision, &opt, &outcome, err);
}

/* On STORE, after the commit: only what is committed may be seen. */
static void reload_done(void *ctx, bool ok, const struct err *err)
{
    struct reload *r = ctx;
    struct app *app = r->app;
    struct err fault = *err;

    if (ok && provision_publish(&app->store, app->teams, &fault)) {
        log_info("app", "the provision file was applied",
                 KV_STR("file", conf_str(app->conf, CONF_PROVISION_FILE)));
        provision_tell_unused(&app->store);
    } else {
        log_error("app", "the reload failed, everything stays as it was", KV_ERR(&fault));
    }
    provision_free(r->provision);
    plugin_defaults_free(r->defaults);
    mem_free(r);
    keeper_reload(app->keeper, NULL);
    if (atomic_exchange(&app->reload, RELOAD_IDLE) == RELOAD_RUNS_AND_AGAIN)
        kill(getpid(), SIGHUP); /* MAIN reads the file anew */
}

void app_reload(struct app *app)
{
    const char *path = conf_str(app->conf, CONF_PROVISION_FILE);
    struct err err = ERR_INIT;
    struct provision *p = NULL;
    int idle = RELOAD_IDLE, runs = RELOAD_RUNS;

    if (!*path) {
        keeper_reload(app->keeper, NULL);
        return;
    }
    /* One at a time: while STORE waits for the disk, signals must not pile up memory. */
    if (atomic_compare_exchange_strong(&app->reload, &runs, RELOAD_RUNS_AND_AGAIN) ||
        runs == RELOAD_RUNS_AND_AGAIN)
        return;
    if (!read_provision(path, &p, &err)) {
        log_error("app", "the reload failed, everything stays as it was", KV_ERR(&err));
        keeper_reload(app->keeper, NULL); /* the files of plugins may be new all the same */
        return;
    }
    CHECK(atomic_compare_exchange_strong(&app->reload, &idle, RELOAD_RUNS));
    struct reload *r = mem_new(struct reload);
    *r = (struct reload){.call = {.fn = reload_run, .done = reload_done, .ctx = r},
                         .task = {.fn = reload_begin, .ctx = r},
                         .app = app,
                         .provision = p};
    keeper_run(app->keeper, &r->task);
}
