/* A plugin worker on this thread, which sleeps here until something is due. */
#include "app/plugin_trial.h"

#include "app/keeper.h"
#include "app/plugin_recorder.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/iso8601.h"
#include "base/mem.h"
#include "plugin/cache.h"
#include "plugin/worker.h"

#include <limits.h>

#define CONFIG_ID         1
#define PLUGIN_ID         1
#define INSTANCE_ID       "plugin-test"
#define RESULTS_BYTES_MAX (1u << 30)

struct plugin_trial {
    struct plugin_trial_options opt;
    struct plugin_recorder recorder;
    struct plugins *plugins;
    struct plugin_worker *worker;
    struct plugin_state *state;
    struct mpsc sleeper; /* only for its sleep */
    struct arena *arena; /* of the event at hand */
    cJSON *capabilities;
    struct buf events; /* members of a list */
};

/* --- life ------------------------------------------------------------------------------------- */

static void wake(void *ctx)
{
    struct plugin_trial *t = ctx;

    mpsc_kick(&t->sleeper);
}

static void fill_storage(struct plugin_trial *t)
{
    struct buf text = BUF_INIT(RESULTS_BYTES_MAX);
    const cJSON *item;

    cJSON_ArrayForEach(item, t->opt.storage)
    {
        buf_clear(&text);
        json_write(item, &text);
        plugin_recorder_set(&t->recorder, slice_cstr(item->string), buf_slice(&text));
    }
    buf_free(&text);
}

static void fill_cache(struct plugin_trial *t)
{
    struct buf text = BUF_INIT(RESULTS_BYTES_MAX), key = BUF_INIT(RESULTS_BYTES_MAX);
    const cJSON *item;

    cJSON_ArrayForEach(item, t->opt.cache)
    {
        buf_clear(&text);
        buf_clear(&key);
        json_write(item, &text);
        plugin_cache_add_prefix(&key, PLUGIN_ID, t->opt.team_id);
        buf_add_str(&key, item->string);
        plugin_cache_set(plugins_cache(t->plugins), buf_slice(&key), buf_slice(&text), 0);
    }
    buf_free(&text);
    buf_free(&key);
}

/* Each event is tried for itself: nothing is unloaded or taken off the chain. */
static struct plugins *make_plugins(struct plugin_trial *t)
{
    struct plugins_options opt = {
        .limits = keeper_limits(t->opt.conf),
        .services = &plugin_recorder_services,
        .services_self = &t->recorder,
        .instance_id = INSTANCE_ID,
        .task_timeout_s = (int)conf_num(t->opt.conf, CONF_TASK_TIMEOUT),
        .has_own_clock = t->opt.has_clock,
    };

    opt.limits.idle_unload_us = 0;
    opt.limits.circuit_failures = INT_MAX;
    return plugins_new(&opt);
}

static void publish(struct plugin_trial *t, const struct plugin_config *config)
{
    struct plugin_set *set = plugin_set_new();

    if (config)
        plugin_set_add(set, config);
    plugin_set_seal(set);
    plugins_publish(t->plugins, set);
}

struct plugin_trial *plugin_trial_new(const struct plugin_trial_options *opt)
{
    struct plugin_trial *t = mem_new(struct plugin_trial);
    struct plugin_config config = opt->config;

    t->opt = *opt;
    t->opt.config = (struct plugin_config){.id = 0};
    t->arena = arena_new(4096);
    t->events = BUF_INIT(RESULTS_BYTES_MAX);
    mpsc_init(&t->sleeper, "plugin trial", NULL, NULL);
    plugin_recorder_init(&t->recorder);
    t->plugins = make_plugins(t);
    fill_storage(t);
    fill_cache(t);
    t->state = plugins_state(t->plugins, CONFIG_ID);
    config.id = CONFIG_ID;
    config.plugin_id = PLUGIN_ID;
    config.team_id = opt->team_id;
    config.is_enabled = true;
    config.state = t->state;
    publish(t, &config);
    t->worker = plugin_worker_new(t->plugins, 0, wake, t);
    return t;
}

void plugin_trial_free(struct plugin_trial *t)
{
    if (!t)
        return;
    plugin_worker_stop(t->worker, clock_mono_us());
    plugin_worker_free(t->worker);
    plugin_state_unref(t->state);
    plugins_free(t->plugins);
    plugin_recorder_fini(&t->recorder);
    mpsc_fini(&t->sleeper);
    arena_free(t->arena);
    json_free(t->capabilities);
    buf_free(&t->events);
    mem_free(t);
}

/* --- turns ------------------------------------------------------------------------------------ */

/* Sleeps, or lets the fake clock jump, until something is due, and does it. */
static void step(struct plugin_trial *t)
{
    int64_t due_us = plugin_worker_due_us(t->worker);
    int64_t wait_us = due_us - clock_mono_us();

    CHECK(due_us < INT64_MAX); /* whatever waits has a limit to its wait */
    if (wait_us > 0 && t->opt.has_clock)
        clock_fake_add(wait_us);
    else if (wait_us > 0)
        mpsc_wait(&t->sleeper, wait_us);
    plugin_worker_turn(t->worker);
}

/* What nobody awaits but is ready: answers of storage. */
static void settle(struct plugin_trial *t)
{
    while (plugin_worker_due_us(t->worker) <= clock_mono_us())
        step(t);
}

const cJSON *plugin_trial_load(struct plugin_trial *t)
{
    struct buf text = BUF_INIT(16u << 20);
    struct err err = ERR_INIT;

    if (plugin_worker_capabilities(t->worker, CONFIG_ID, &text))
        t->capabilities = json_parse(buf_slice(&text), &err);
    buf_free(&text);
    while (atomic_load(&t->state->phase) == PLUGIN_SETTING_UP)
        step(t);
    settle(t);
    return t->capabilities;
}

void plugin_trial_end(struct plugin_trial *t)
{
    settle(t);
    publish(t, NULL);
    while (plugin_worker_due_us(t->worker) < INT64_MAX)
        step(t);
}

/* --- events ----------------------------------------------------------------------------------- */

struct trial_event {
    struct plugin_event e;
    struct event_envelope envelope, before;
    struct json_doc doc;
    struct slice text;
    enum plugin_verdict verdict;
};

static bool read_doc(struct trial_event *v, struct err *err)
{
    struct json_read_options opt = {.memory_max = MAX((size_t)16 << 20, 32 * v->text.len)};

    return json_doc_read(v->text, &opt, &v->doc, err);
}

static bool reload(struct plugin_event *e)
{
    struct err err = ERR_INIT;

    return read_doc(CONTAINER_OF(e, struct trial_event, e), &err);
}

static void event_done(struct plugin_event *e, enum plugin_verdict verdict)
{
    CONTAINER_OF(e, struct trial_event, e)->verdict = verdict;
}

/* A string or number; the document may go before the envelope. */
static struct slice text_of(struct plugin_trial *t, yyjson_val *value)
{
    struct buf text = BUF_INIT(RESULTS_BYTES_MAX);
    struct slice copy = SLICE_NONE;

    if ((yyjson_is_str(value) || yyjson_is_num(value)) && json_string_form(value, &text))
        copy = arena_dup(t->arena, buf_slice(&text));
    buf_free(&text);
    return copy;
}

static bool time_of(struct plugin_trial *t, yyjson_val *value, int64_t *us)
{
    return yyjson_is_str(value) && iso8601_parse(text_of(t, value), us);
}

/* The members that travel in the envelope, as capture would have filled them. */
static void fill_envelope(struct plugin_trial *t, struct trial_event *v)
{
    struct event_envelope *e = &v->envelope;
    yyjson_val *uuid, *id, *ip, *site_url, *now, *sent_at, *properties;
    const struct json_wanted wanted[] = {
        {SLICE("uuid"), &uuid},
        {SLICE("distinct_id"), &id},
        {SLICE("ip"), &ip},
        {SLICE("site_url"), &site_url},
        {SLICE("now"), &now},
        {SLICE("sent_at"), &sent_at},
        {SLICE("properties"), &properties},
    };

    json_members(v->doc.root, wanted, ARRAY_LEN(wanted));
    *e = (struct event_envelope){.team_id = t->opt.team_id,
                                 .token = slice_cstr(t->opt.api_token),
                                 .now_us = clock_wall_us()};
    if (!id)
        id = json_member(properties, SLICE("distinct_id"));
    if (!uuid_parse(text_of(t, uuid), &e->uuid))
        e->uuid = uuid_v7(clock_wall_us());
    e->distinct_id = text_of(t, id);
    e->ip = text_of(t, ip);
    e->site_url = text_of(t, site_url);
    if (!time_of(t, now, &e->now_us))
        e->now_us = clock_wall_us();
    e->has_sent_at = time_of(t, sent_at, &e->sent_at_us);
    v->before = *e;
}

struct head_texts { /* members of the envelope as texts; empty: none */
    char uuid[UUID_TEXT_LEN + 1], now[ISO8601_LEN_MAX], sent_at[ISO8601_LEN_MAX];
};

static void head_members(const struct event_envelope *e, struct head_texts *texts,
                         struct slice out[6])
{
    uuid_format(&e->uuid, texts->uuid);
    out[0] = slice_cstr(texts->uuid);
    out[1] = e->distinct_id;
    out[2] = e->ip;
    out[3] = e->site_url;
    out[4] = slice_cstr(iso8601_ms(e->now_us, texts->now));
    out[5] = e->has_sent_at ? slice_cstr(iso8601_ms(e->sent_at_us, texts->sent_at)) : SLICE_NONE;
}

/* The event as the plugin left it. Members that were only lent to it (the line had none) are left
 * out again, unless it changed them; the team is what it was. */
static void add_event(struct plugin_trial *t, struct trial_event *v)
{
    static const char *const names[] = {"uuid", "distinct_id", "ip", "site_url", "now", "sent_at"};
    static const char *const team[] = {"team_id", NULL};
    struct buf *out = &t->events;
    yyjson_val *root = v->doc.root, *team_id = json_member(root, SLICE("team_id"));
    bool is_other = team_id && yyjson_get_num(team_id) != (double)t->opt.team_id;
    struct head_texts old_texts, new_texts;
    struct slice olds[ARRAY_LEN(names)], news[ARRAY_LEN(names)];
    size_t count = 0;

    head_members(&v->before, &old_texts, olds);
    head_members(&v->envelope, &new_texts, news);
    json_object_write(root, is_other ? team : NULL, true, &count, out);
    if (is_other)
        buf_addf(out, "%s\"team_id\":%lld", count++ ? "," : "", (long long)t->opt.team_id);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!news[i].len || slice_eq(olds[i], news[i]) || json_member(root, slice_cstr(names[i])))
            continue;
        buf_addf(out, "%s\"%s\":", count++ ? "," : "", names[i]);
        buf_add_json_str(out, news[i]);
    }
    buf_add_char(out, '}');
}

bool plugin_trial_event(struct plugin_trial *t, struct slice event, struct err *err)
{
    struct trial_event v = {.text = event};

    if (!read_doc(&v, err))
        return false;
    if (!yyjson_is_obj(v.doc.root)) {
        json_doc_free(&v.doc);
        return err_set(err, ERR_INPUT, "an event must be a JSON object");
    }
    fill_envelope(t, &v);
    v.e = (struct plugin_event){
        .envelope = &v.envelope, .doc = &v.doc, .reload = reload, .done = event_done};
    v.verdict = plugin_worker_run(t->worker, &v.e);
    while (v.verdict == PLUGIN_LATER)
        step(t);
    if (t->events.len)
        buf_add_char(&t->events, ',');
    if (v.verdict == PLUGIN_DROP || !v.doc.root)
        buf_add_str(&t->events, "null");
    else
        add_event(t, &v);
    plugin_event_release(&v.e);
    json_doc_free(&v.doc);
    arena_reset(t->arena);
    settle(t);
    return true;
}

/* --- hooks ------------------------------------------------------------------------------------ */

struct trial_hook {
    struct plugin_trial *trial;
    bool is_done;
};

static void hook_done(void *ctx, struct slice result_json, const char *error_json)
{
    struct trial_hook *h = ctx;

    UNUSED(result_json); /* nobody takes it, there neither */
    if (error_json)
        plugin_recorder_error(&h->trial->recorder, error_json);
    h->is_done = true;
}

bool plugin_trial_hook(struct plugin_trial *t, const char *name, struct slice argument,
                       struct err *err)
{
    struct trial_hook h = {.trial = t};

    if (!plugin_worker_hook(t->worker, CONFIG_ID, name, argument, hook_done, &h, err))
        return false;
    while (!h.is_done)
        step(t);
    settle(t);
    return true;
}

/* --- the document ----------------------------------------------------------------------------- */

struct cache_writer {
    struct buf prefix, *out;
    const char *comma;
};

static void add_cached(void *ctx, const struct plugin_cache_entry *e)
{
    struct cache_writer *w = ctx;
    struct buf *out = w->out;

    if (!slice_starts(e->key, buf_slice(&w->prefix)))
        return;
    buf_add_str(out, w->comma);
    w->comma = ",";
    buf_add_json_str(out, slice_make(e->key.ptr + w->prefix.len, e->key.len - w->prefix.len));
    buf_add_char(out, ':');
    if (!e->is_list) {
        plugin_recorder_add_value(e->value, out);
        return;
    }
    buf_add_char(out, '[');
    for (size_t i = e->count; i-- > 0;) {
        buf_add_json_str(out, e->items[i]);
        buf_add_str(out, i ? "," : "");
    }
    buf_add_char(out, ']');
}

static void add_cache(struct plugin_trial *t, struct buf *out)
{
    struct cache_writer w = {.prefix = BUF_INIT(100), .out = out, .comma = ""};

    plugin_cache_add_prefix(&w.prefix, PLUGIN_ID, t->opt.team_id);
    buf_add_char(out, '{');
    plugin_cache_each(plugins_cache(t->plugins), add_cached, &w);
    buf_add_char(out, '}');
    buf_free(&w.prefix);
}

bool plugin_trial_write(struct plugin_trial *t, struct buf *out, struct err *err)
{
    const struct plugin_recorder *r = &t->recorder;

    buf_add_str(out, "{\"events\":[");
    buf_add_slice(out, buf_slice(&t->events));
    buf_add_str(out, "],\"captured\":[],\"logs\":[");
    buf_add_slice(out, buf_slice(&r->logs));
    buf_add_str(out, "],\"http\":[],\"jobs\":[");
    buf_add_slice(out, buf_slice(&r->jobs));
    buf_add_str(out, "],\"storage\":");
    plugin_recorder_add_storage(r, out);
    buf_add_str(out, ",\"cache\":");
    add_cache(t, out);
    buf_add_str(out, ",\"metrics\":{},\"error\":");
    plugin_recorder_add_error(r, out);
    buf_add_char(out, '}');
    return !(out->is_over || t->events.is_over || plugin_recorder_is_over(r)) ||
           err_set(err, ERR_LIMIT, "the results have more than %u bytes: give it fewer events",
                   RESULTS_BYTES_MAX);
}
