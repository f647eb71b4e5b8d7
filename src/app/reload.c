/* The provision file: applied at the start, before STORE runs, and again on a reload, by STORE. */
#include "admin/provision_apply.h"
#include "app/app_priv.h"
#include "app/wire.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"

#include <signal.h>
#include <unistd.h>

#define DEFAULT_TEAM_ID   1
#define DEFAULT_TEAM_NAME "Default project"

/* --- at the start ------------------------------------------------------------------------------
 */

static bool default_team(struct store *store, struct err *err)
{
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
    return provision_apply(store, &p, false, &outcome, err);
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

static bool provision_run(struct store *store, void *ctx, struct err *err)
{
    struct provision_outcome o;

    return provision_apply(store, ctx, false, &o, err);
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
        ok = p ? provision_run(&app->store, p, err) : default_team(&app->store, err);
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
    struct app *app;
    struct provision *provision;
};

static bool reload_run(struct store *store, void *ctx, struct err *err)
{
    struct reload *r = ctx;

    return provision_run(store, r->provision, err);
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
    mem_free(r);
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
        log_info("app", "nothing to reload: PROVISION_FILE is not set");
        return;
    }
    /* One at a time: while STORE waits for the disk, signals must not pile up memory. */
    if (atomic_compare_exchange_strong(&app->reload, &runs, RELOAD_RUNS_AND_AGAIN) ||
        runs == RELOAD_RUNS_AND_AGAIN)
        return;
    if (!read_provision(path, &p, &err)) {
        log_error("app", "the reload failed, everything stays as it was", KV_ERR(&err));
        return;
    }
    CHECK(atomic_compare_exchange_strong(&app->reload, &idle, RELOAD_RUNS));
    struct reload *r = mem_new(struct reload);
    *r = (struct reload){
        .call = {.fn = reload_run, .done = reload_done, .ctx = r}, .app = app, .provision = p};
    pipe_call(app->pipe, &r->call);
}
