/* Plugins over HTTP: what is in force and what it costs, changes, logs. A change goes NET -> a
 * thread that may read files (defaults of the manifest) -> STORE -> the keeper (a new set) -> NET:
 * when it is answered, it is in force.
 */
#include "admin/admin_priv.h"
#include "admin/plugin_change.h"
#include "base/mem.h"

#define LIST_BYTES_MAX (64u << 20)
#define PLUGIN_PLACE   "/plugins/0"
#define CONFIG_PLACE   "/plugin_configs/0"

/* --- the list --------------------------------------------------------------------------------- */

static void add_config(struct buf *out, const struct plugin_config *c)
{
    struct buf state = BUF_INIT(LIST_BYTES_MAX);

    buf_addf(out, "{\"id\":%lld,\"team_id\":%lld,\"order\":%d,\"enabled\":%s,\"load_error\":",
             (long long)c->id, (long long)c->team_id, c->order, c->is_enabled ? "true" : "false");
    if (c->load_error)
        buf_add_json_str(out, slice_cstr(c->load_error));
    else
        buf_add_str(out, "null");
    plugin_state_json(c->state, &state);
    buf_add_char(out, ',');
    buf_add_slice(out, slice_make(state.ptr + 1, state.len - 1)); /* without its { */
    buf_free(&state);
}

struct listing {
    struct buf *out;
    const struct plugin_set *set;
    const char *only; /* NULL: all */
    bool has_some;
};

static void add_plugin(const struct plugin_listed *p, void *ctx)
{
    struct listing *l = ctx;
    bool is_first = true;

    if (l->only && !slice_eq(slice_cstr(l->only), slice_cstr(p->name)))
        return;
    buf_addf(l->out, "%s{\"id\":%lld,\"name\":", l->has_some ? "," : "", (long long)p->id);
    buf_add_json_str(l->out, slice_cstr(p->name));
    buf_add_str(l->out, ",\"source\":");
    buf_add_json_str(l->out, slice_cstr(p->source));
    buf_addf(l->out, ",\"builtin\":%s,\"about\":", p->is_builtin ? "true" : "false");
    buf_add_json_str(l->out, slice_cstr(p->about));
    buf_add_str(l->out, ",\"configs\":[");
    for (size_t i = 0; i < plugin_set_count(l->set); i++) {
        const struct plugin_config *c = plugin_set_at(l->set, i);
        if (c->plugin_id != p->id ||
            (!p->id && !slice_eq(slice_cstr(c->plugin_name), slice_cstr(p->name))))
            continue;
        if (!is_first)
            buf_add_char(l->out, ',');
        is_first = false;
        add_config(l->out, c);
    }
    buf_add_str(l->out, "]}");
    l->has_some = true;
}

/* Configs whose plugin is not there stand under its name, with id 0. */
static void add_orphans(struct listing *l)
{
    for (size_t i = 0; i < plugin_set_count(l->set); i++) {
        const struct plugin_config *c = plugin_set_at(l->set, i);
        bool is_told = c->plugin_id != 0;
        for (size_t k = 0; k < i && !is_told; k++)
            is_told = !plugin_set_at(l->set, k)->plugin_id &&
                      slice_eq(slice_cstr(plugin_set_at(l->set, k)->plugin_name),
                               slice_cstr(c->plugin_name));
        if (!is_told)
            add_plugin(&(struct plugin_listed){.name = c->plugin_name, .source = "", .about = ""},
                       l);
    }
}

static void add_plugins(const struct admin *a, const char *only, struct buf *out)
{
    const struct plugin_keeper *keeper = &a->parts.keeper;
    struct listing l = {.out = out, .set = plugins_get(keeper->plugins), .only = only};

    keeper->ops->each(keeper->self, add_plugin, &l);
    if (!only)
        add_orphans(&l);
    plugin_set_unref(l.set);
}

static void serve_list(struct admin *a, struct http_request *req)
{
    struct buf out = BUF_INIT(LIST_BYTES_MAX);

    buf_add_str(&out, "{\"plugins\":[");
    add_plugins(a, NULL, &out);
    buf_add_str(&out, "]}");
    admin_answer_json(req, 200, buf_slice(&out));
    buf_free(&out);
}

/* --- changes ---------------------------------------------------------------------------------- */

struct change {
    struct pipe_call call;
    struct plugin_task task;
    struct admin *admin;
    struct http_request *req;
    bool ok;
    struct err err;
    /* of a put */
    struct provision *provision; /* the plugin, and what is given of a config */
    struct plugin_defaults *defaults;
    int64_t team_id;
    /* of a config */
    int64_t config_id;
    bool is_enabled;
};

static void change_free(struct change *c)
{
    provision_free(c->provision);
    plugin_defaults_free(c->defaults);
    mem_free(c);
}

static void add_answer(const struct change *c, struct buf *out)
{
    const struct plugin_set *set;
    const struct plugin_config *config;

    if (c->provision) {
        buf_add_str(out, "{\"plugin\":");
        add_plugins(c->admin, c->provision->objects[0].key, out);
        buf_add_char(out, '}');
    } else if (c->config_id) {
        set = plugins_get(c->admin->parts.keeper.plugins);
        config = plugin_set_find(set, c->config_id);
        buf_add_str(out, "{\"config\":");
        if (config)
            add_config(out, config);
        else
            buf_add_str(out, "null");
        buf_add_char(out, '}');
        plugin_set_unref(set);
    } else {
        buf_add_str(out, "{\"ok\":true}");
    }
}

static void change_answer(void *ctx)
{
    struct change *c = ctx;
    struct buf out = BUF_INIT(LIST_BYTES_MAX);

    if (c->ok) {
        add_answer(c, &out);
        admin_answer_json(c->req, 200, buf_slice(&out));
    } else {
        admin_answer_fault(c->req, admin_status_of(&c->err), err_code_name(c->err.code),
                           c->err.text);
    }
    buf_free(&out);
    change_free(c);
}

static void change_resume(void *ctx)
{
    struct change *c = ctx;

    http_resume(c->req, change_answer, c);
}

static void change_reload(struct change *c)
{
    const struct plugin_keeper *keeper = &c->admin->parts.keeper;

    c->task = (struct plugin_task){.fn = change_resume, .ctx = c};
    keeper->ops->reload(keeper->self, &c->task);
}

static void change_done(void *ctx, bool ok, const struct err *err)
{
    struct change *c = ctx;

    c->ok = ok;
    c->err = *err;
    if (ok)
        change_reload(c);
    else
        change_resume(c);
}

static struct change *change_new(struct admin *a, struct http_request *req, pipe_call_fn *fn)
{
    struct change *c = mem_new(struct change);

    c->call = (struct pipe_call){.fn = fn, .done = change_done, .ctx = c};
    c->admin = a;
    c->req = req;
    return c;
}

void api_plugins_reload(struct admin *a, struct http_request *req)
{
    struct change *c = change_new(a, req, NULL);

    c->ok = true;
    change_reload(c);
}

static bool run_switch(struct store *store, void *ctx, struct err *err)
{
    const struct change *c = ctx;

    return plugin_change_enable(store, c->config_id, c->is_enabled, err) &&
           (!c->is_enabled ||
            store->ops->plugin_circuit_put(store->self, c->config_id, 0, NULL, err));
}

/* Whoever enables a plugin wants it tried now, also when its circuit is open. */
static void switch_done(void *ctx, bool ok, const struct err *err)
{
    const struct change *c = ctx;

    if (ok && c->is_enabled) {
        struct plugin_state *s = plugins_state(c->admin->parts.keeper.plugins, c->config_id);
        atomic_store(&s->circuit_until_us, 0);
        plugin_state_unref(s);
    }
    change_done(ctx, ok, err);
}

static void serve_switch(struct admin *a, struct http_request *req, bool is_enabled)
{
    uint64_t id = 0;

    if (!slice_u64(http_param_get(req, "id"), &id) || id > INT64_MAX || !id) {
        admin_answer_fault(req, 400, "invalid", "the plugin config in the path must be a number");
        return;
    }
    struct change *c = change_new(a, req, run_switch);
    c->call.done = switch_done;
    c->config_id = (int64_t)id;
    c->is_enabled = is_enabled;
    pipe_call(a->parts.pipe, &c->call);
}

void api_plugins_enable(struct admin *a, struct http_request *req)
{
    serve_switch(a, req, true);
}

void api_plugins_disable(struct admin *a, struct http_request *req)
{
    serve_switch(a, req, false);
}

/* --- put -------------------------------------------------------------------------------------- */

/* What is given of the config: the parsed object without what makes its key. */
static cJSON *given_config(const struct provision *p, struct err *err)
{
    cJSON *config = json_parse(slice_cstr(p->objects[1].json), err);

    if (config) {
        cJSON_DeleteItemFromObjectCaseSensitive(config, "plugin");
        cJSON_DeleteItemFromObjectCaseSensitive(config, "team");
    }
    return config;
}

static bool run_put(struct store *store, void *ctx, struct err *err)
{
    const struct change *c = ctx;
    struct plugin_put put = {.plugin = &c->provision->objects[0],
                             .team_id = c->team_id,
                             .config = given_config(c->provision, err),
                             .defaults = c->defaults};
    bool ok = put.config && plugin_change_put(store, &put, err);

    json_free(put.config);
    return ok;
}

static void begin_put(void *ctx)
{
    struct change *c = ctx;
    const struct plugin_keeper *keeper = &c->admin->parts.keeper;

    c->defaults = plugin_defaults_of(c->provision, keeper->ops->find, keeper->self);
    pipe_call(c->admin->parts.pipe, &c->call);
}

/* The same plugin and config as a provision file would have them, so that the same is checked.
 * Takes the members out of `body`. */
static cJSON *document_of(cJSON *body)
{
    static const char *const of_config[] = {"team", "order", "enabled", "config", "attachments"};
    cJSON *root = cJSON_CreateObject(), *plugin = cJSON_CreateObject(),
          *config = cJSON_CreateObject();
    const char *name = json_str(body, "name");

    CHECK(root && plugin && config);
    CHECK(cJSON_AddItemToArray(cJSON_AddArrayToObject(root, "plugins"), plugin));
    CHECK(cJSON_AddItemToArray(cJSON_AddArrayToObject(root, "plugin_configs"), config));
    CHECK(cJSON_AddStringToObject(config, "plugin", name && *name ? name : "?"));
    while (body->child) {
        cJSON *member = cJSON_DetachItemViaPointer(body, body->child);
        bool is_config = false;
        for (size_t i = 0; i < ARRAY_LEN(of_config); i++)
            is_config |= slice_eq(slice_cstr(member->string), slice_cstr(of_config[i]));
        CHECK(cJSON_AddItemToObject(is_config ? config : plugin, member->string, member));
    }
    if (!json_get(config, "team"))
        CHECK(cJSON_AddNumberToObject(config, "team", 1)); /* chosen later */
    return root;
}

/* Faults name places of the document that was made; the caller sent one object. */
static void answer_faults(struct http_request *req, const struct json_faults *faults)
{
    static const struct slice places[] = {{PLUGIN_PLACE, sizeof(PLUGIN_PLACE) - 1},
                                          {CONFIG_PLACE, sizeof(CONFIG_PLACE) - 1}};
    struct json_faults mine = JSON_FAULTS_INIT;
    struct slice rest = buf_slice(&faults->text), line;

    while (slice_split(&rest, '\n', &line)) {
        for (size_t i = 0; i < ARRAY_LEN(places); i++)
            if (slice_starts(line, places[i]))
                line = slice_make(line.ptr + places[i].len, line.len - places[i].len);
        buf_add_slice(&mine.text, line);
        buf_add_char(&mine.text, '\n');
    }
    mine.count = faults->count;
    admin_answer_faults(req, "the plugin", &mine);
    json_faults_free(&mine);
}

static void put_document(struct admin *a, struct http_request *req, const cJSON *document,
                         int64_t team_id)
{
    const struct plugin_keeper *keeper = &a->parts.keeper;
    struct json_faults faults = JSON_FAULTS_INIT;
    struct buf text = BUF_INIT(LIST_BYTES_MAX);

    json_write(document, &text);
    struct provision *p =
        provision_parse(buf_slice(&text), conf_str(a->opt.conf, CONF_BASE_DIR), &faults);
    if (!p) {
        answer_faults(req, &faults);
    } else {
        struct change *c = change_new(a, req, run_put);
        c->provision = p;
        c->team_id = team_id;
        c->task = (struct plugin_task){.fn = begin_put, .ctx = c};
        keeper->ops->run(keeper->self, &c->task);
    }
    json_faults_free(&faults);
    buf_free(&text);
}

static void serve_put(struct admin *a, struct http_request *req)
{
    struct err err = ERR_INIT;
    cJSON *body = json_parse(req->body, &err);
    int64_t team_id = 0;

    if (!cJSON_IsObject(body)) {
        admin_answer_fault(req, 400, "invalid", body ? "send a JSON object" : err.text);
    } else {
        if (!json_int(json_get(body, "team"), &team_id))
            team_id = 0; /* none, or one that the check refuses */
        cJSON *document = document_of(body);
        put_document(a, req, document, team_id);
        json_free(document);
    }
    json_free(body);
}

void api_plugins_serve(struct admin *a, struct http_request *req)
{
    if (req->method == HTTP_M_POST)
        serve_put(a, req);
    else
        serve_list(a, req);
}
