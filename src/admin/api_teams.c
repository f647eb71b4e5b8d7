/* Teams and the provision file over HTTP. Changes run on STORE in one transaction; the answer goes
 * out on the request's NET thread after the commit, when the new team directory is already
 * published.
 */
#include "admin/admin_priv.h"
#include "admin/plugin_change.h"
#include "admin/provision_apply.h"
#include "base/mem.h"

#define NAME_BYTES_MAX 400 /* as in the provision file */

/* One change on its way: NET -> STORE -> NET. */
struct change {
    struct pipe_call call;
    struct admin *admin;
    struct http_request *req;
    struct provision *provision;
    struct plugin_defaults *defaults; /* of its plugins */
    struct plugin_task task;
    bool prune;
    struct provision_outcome outcome;
    bool publishes; /* the teams changed: the directory is made anew after the commit */
    bool reloads;   /* plugins may have changed */
    struct store store;
    int64_t team_id;
    char *team_name;
    char token[PROVISION_TOKEN_LEN + 1];
    struct buf answer;
    bool ok;
    struct err err;
};

static void change_free(struct change *c)
{
    provision_free(c->provision);
    plugin_defaults_free(c->defaults);
    buf_free(&c->answer);
    mem_free(c->team_name);
    mem_free(c);
}

static void change_answer(void *ctx)
{
    struct change *c = ctx;

    if (c->ok)
        admin_answer_json(c->req, 200, buf_slice(&c->answer));
    else
        admin_answer_fault(c->req, admin_status_of(&c->err), err_code_name(c->err.code),
                           c->err.text);
    change_free(c);
}

static void change_resume(void *ctx)
{
    struct change *c = ctx;

    http_resume(c->req, change_answer, c);
}

/* What was stored is in force before it is answered. */
static void change_done(void *ctx, bool ok, const struct err *err)
{
    struct change *c = ctx;

    c->ok = ok;
    c->err = *err;
    if (ok && c->publishes)
        c->ok = provision_publish(&c->store, c->admin->opt.teams, &c->err);
    if (ok && c->provision)
        provision_tell_unused(&c->store);
    c->task = (struct plugin_task){.fn = change_resume, .ctx = c};
    if (ok && c->reloads)
        c->admin->parts.keeper.ops->reload(c->admin->parts.keeper.self, &c->task);
    else
        change_resume(c);
}

static struct change *change_new(struct admin *a, struct http_request *req, pipe_call_fn *fn)
{
    struct change *c = mem_new(struct change);

    c->call = (struct pipe_call){.fn = fn, .done = change_done, .ctx = c};
    c->admin = a;
    c->req = req;
    c->answer = BUF_INIT(64 << 20);
    return c;
}

/* --- the provision file --------------------------------------------------------------------------
 */

static bool run_apply(struct store *store, void *ctx, struct err *err)
{
    struct change *c = ctx;
    const struct provision_outcome *o = &c->outcome;

    struct provision_options opt = {
        .prune = c->prune, .has_geoip = c->admin->opt.has_geoip, .defaults = c->defaults};

    if (!provision_apply(store, c->provision, &opt, &c->outcome, err))
        return false;
    c->publishes = c->reloads = true;
    c->store = *store;
    buf_addf(&c->answer,
             "{\"teams\":{\"added\":%zu,\"changed\":%zu,\"removed\":%zu},"
             "\"objects\":{\"added\":%zu,\"changed\":%zu,\"removed\":%zu}}",
             o->teams_added, o->teams_changed, o->teams_removed, o->objects_added,
             o->objects_changed, o->objects_removed);
    return true;
}

/* On a thread that may read plugin files. */
static void begin_apply(void *ctx)
{
    struct change *c = ctx;
    const struct plugin_keeper *keeper = &c->admin->parts.keeper;

    c->defaults = plugin_defaults_of(c->provision, keeper->ops->find, keeper->self);
    pipe_call(c->admin->parts.pipe, &c->call);
}

void admin_answer_faults(struct http_request *req, const char *what,
                         const struct json_faults *faults)
{
    struct buf out = BUF_INIT(2 << 20);
    struct slice rest = buf_slice(&faults->text), line;
    bool is_first = true;

    buf_addf(&out,
             "{\"error\":{\"code\":\"invalid\",\"message\":\"%s has %zu fault%s; "
             "nothing was changed\",\"details\":[",
             what, faults->count, faults->count == 1 ? "" : "s");
    while (slice_split(&rest, '\n', &line)) {
        if (!line.len)
            continue;
        if (!is_first)
            buf_add_char(&out, ',');
        is_first = false;
        buf_add_json_str(&out, line);
    }
    buf_add_str(&out, "]}}");
    admin_answer_json(req, 400, buf_slice(&out));
    buf_free(&out);
}

void api_teams_apply(struct admin *a, struct http_request *req)
{
    struct json_faults faults = JSON_FAULTS_INIT;
    struct slice base = SLICE("."), prune = SLICE_NONE;

    http_query_get(req, "base_dir", &base);
    bool is_prune = http_query_get(req, "prune", &prune) && slice_eq(prune, SLICE("1"));
    struct provision *p = provision_parse(req->body, arena_dup_cstr(req->arena, base), &faults);
    if (!p) {
        admin_answer_faults(req, "the provision file", &faults);
    } else {
        struct change *c = change_new(a, req, run_apply);
        c->provision = p;
        c->prune = is_prune;
        c->task = (struct plugin_task){.fn = begin_apply, .ctx = c};
        a->parts.keeper.ops->run(a->parts.keeper.self, &c->task);
    }
    json_faults_free(&faults);
}

static bool run_export(struct store *store, void *ctx, struct err *err)
{
    struct change *c = ctx;

    return provision_collect(store, &c->answer, err);
}

void api_teams_export(struct admin *a, struct http_request *req)
{
    pipe_call(a->parts.pipe, &change_new(a, req, run_export)->call);
}

/* --- teams ---------------------------------------------------------------------------------------
 */

static void add_team(struct buf *out, const struct team *t)
{
    buf_addf(out, "{\"id\":%lld,\"name\":", (long long)t->id);
    buf_add_json_str(out, slice_cstr(t->name));
    buf_add_str(out, ",\"api_token\":");
    buf_add_json_str(out, slice_cstr(t->api_token));
    buf_addf(out, ",\"anonymize_ips\":%s,\"session_recording_opt_in\":%s}",
             t->anonymize_ips ? "true" : "false", t->session_recording_opt_in ? "true" : "false");
}

static void serve_list(struct admin *a, struct http_request *req)
{
    const struct team_set *set = team_directory_get(a->opt.teams);
    struct buf out = BUF_INIT(64 << 20);

    buf_add_str(&out, "{\"teams\":[");
    for (size_t i = 0; i < team_set_count(set); i++) {
        if (i)
            buf_add_char(&out, ',');
        add_team(&out, team_set_at(set, i));
    }
    buf_add_str(&out, "]}");
    team_set_unref(set);
    admin_answer_json(req, 200, buf_slice(&out));
    buf_free(&out);
}

static int64_t next_team_id(const struct team_set *set)
{
    size_t n = team_set_count(set);

    return n ? team_set_at(set, n - 1)->id + 1 : 1;
}

static bool put_team(struct change *c, struct store *store, const struct team *team,
                     struct err *err)
{
    if (!store->ops->team_put(store->self, team, err))
        return false;
    c->publishes = true;
    c->store = *store;
    add_team(&c->answer, team);
    return true;
}

static bool run_add(struct store *store, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct team_set *set = NULL;

    if (!store->ops->teams_load(store->self, &set, err))
        return false;
    int64_t id = c->team_id ? c->team_id : next_team_id(set);
    bool is_taken = team_by_id(set, id) != NULL;
    team_set_unref(set);
    if (is_taken)
        return err_set(err, ERR_INPUT, "team %lld exists already", (long long)id);
    provision_token_generate(c->token);
    c->reloads = c->admin->opt.has_geoip;
    struct team team = provision_team_new(id, c->team_name, c->token);
    return put_team(c, store, &team, err) && (!c->reloads || plugin_change_geoip(store, id, err));
}

static void serve_add(struct admin *a, struct http_request *req)
{
    struct err err = ERR_INIT;
    cJSON *json = json_parse(req->body, &err);
    const char *name = json ? json_str(json, "name") : NULL;
    const cJSON *id = json ? json_get(json, "id") : NULL;
    int64_t team_id = 0;

    if (!json) {
        admin_answer_fault(req, 400, "invalid", err.text);
    } else if (!name || !*name || strlen(name) > NAME_BYTES_MAX) {
        admin_answer_fault(req, 400, "invalid", "/name: must be a text of 1 to 400 bytes");
    } else if (id && (!json_int(id, &team_id) || team_id < 1)) {
        admin_answer_fault(req, 400, "invalid", "/id: must be a whole number from 1");
    } else {
        struct change *c = change_new(a, req, run_add);
        c->team_id = team_id;
        c->team_name = mem_dup_str(name);
        pipe_call(a->parts.pipe, &c->call);
    }
    json_free(json);
}

void api_teams_serve(struct admin *a, struct http_request *req)
{
    if (req->method == HTTP_M_POST)
        serve_add(a, req);
    else
        serve_list(a, req);
}

static bool run_rotate(struct store *store, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct team_set *set = NULL;
    bool ok = false;

    if (!store->ops->teams_load(store->self, &set, err))
        return false;
    const struct team *old = team_by_id(set, c->team_id);
    if (old) {
        struct team team = *old;
        provision_token_generate(c->token);
        team.api_token = c->token;
        ok = put_team(c, store, &team, err);
    } else {
        err_set(err, ERR_GONE, "there is no team %lld", (long long)c->team_id);
    }
    team_set_unref(set);
    return ok;
}

void api_teams_rotate(struct admin *a, struct http_request *req)
{
    uint64_t id = 0;

    if (!slice_u64(http_param_get(req, "id"), &id) || id > INT64_MAX) {
        admin_answer_fault(req, 400, "invalid", "the team in the path must be a number");
        return;
    }
    struct change *c = change_new(a, req, run_rotate);
    c->team_id = (int64_t)id;
    pipe_call(a->parts.pipe, &c->call);
}
