/* chain_aid.h - a worker with plugins in their sources' texts, and events for it. One thread. */
#ifndef TESTS_UNIT_PLUGIN_CHAIN_AID_H
#define TESTS_UNIT_PLUGIN_CHAIN_AID_H

#include "base/arena.h"
#include "plugin/worker_priv.h"
#include "plugin_aid.h"

#define AID_TEAM    7
#define AID_WAIT_US (20 * (int64_t)1000000)

struct chain_aid {
    struct services_aid services;
    struct plugins_options opt;
    struct plugins *plugins;
    struct plugin_worker *worker;
};

struct event_aid {
    struct plugin_event e;
    struct event_envelope envelope;
    struct json_doc doc;
    const char *json;
    bool is_done;
    enum plugin_verdict verdict;
    int reloads;
    int *counter; /* counts ends; NULL: nobody asks */
    int order;    /* its number among them */
};

static inline void chain_aid_start(struct chain_aid *a)
{
    a->plugins = plugins_new(&a->opt);
    a->worker = plugin_worker_new(a->plugins, 0, NULL, NULL);
}

/* Limits may be changed in `opt` before chain_aid_start. */
static inline void chain_aid_init(struct chain_aid *a)
{
    services_aid_init(&a->services);
    a->opt = plugins_aid_options(&a->services);
}

static inline void chain_aid_stop(struct chain_aid *a)
{
    plugin_worker_stop(a->worker, clock_mono_us() + 1000000);
    plugin_worker_free(a->worker);
    a->worker = NULL;
}

static inline void chain_aid_fini(struct chain_aid *a)
{
    if (a->worker)
        chain_aid_stop(a);
    plugins_free(a->plugins);
    services_aid_fini(&a->services);
}

/* A plugin "pN" of config N, in the order given; of AID_TEAM when the team is 0. */
static inline void chain_aid_publish(struct chain_aid *a, const struct plugin_config *configs,
                                     size_t count)
{
    struct plugin_set *s = plugin_set_new();

    for (size_t i = 0; i < count; i++) {
        struct plugin_config c = configs[i];
        char name[32];

        snprintf(name, sizeof(name), "p%lld", (long long)c.id);
        c.plugin_name = c.plugin_name ? c.plugin_name : name;
        c.team_id = c.team_id ? c.team_id : AID_TEAM;
        c.order = c.order ? c.order : (int)i;
        c.plugin_id = c.id;
        plugins_aid_add(a->plugins, s, &c);
    }
    plugin_set_seal(s);
    plugins_publish(a->plugins, s);
}

/* Configs 1, 2, ... with these sources. */
#define chain_aid_sources(a, ...)                                      \
    chain_aid_publish_sources((a), (const char *const[]){__VA_ARGS__}, \
                              ARRAY_LEN(((const char *const[]){__VA_ARGS__})))
static inline void chain_aid_publish_sources(struct chain_aid *a, const char *const *sources,
                                             size_t count)
{
    struct plugin_config configs[16] = {0};

    assert_true(count <= ARRAY_LEN(configs));
    for (size_t i = 0; i < count; i++)
        configs[i] = (struct plugin_config){.id = (int64_t)i + 1, .source = slice_cstr(sources[i])};
    chain_aid_publish(a, configs, count);
}

static inline bool event_aid_reload(struct plugin_event *e)
{
    struct event_aid *v = CONTAINER_OF(e, struct event_aid, e);
    struct json_read_options opt = {.lenient = true};
    struct err err = ERR_INIT;

    v->reloads++;
    return json_doc_read(slice_cstr(v->json), &opt, &v->doc, &err);
}

static inline void event_aid_done(struct plugin_event *e, enum plugin_verdict verdict)
{
    struct event_aid *v = CONTAINER_OF(e, struct event_aid, e);

    assert_false(v->is_done);
    v->is_done = true;
    v->verdict = verdict;
    if (v->counter)
        v->order = (*v->counter)++;
}

/* `json` must outlive the event. */
static inline void event_aid_init(struct event_aid *v, const char *json)
{
    *v = (struct event_aid){.json = json};
    v->envelope = (struct event_envelope){.team_id = AID_TEAM,
                                          .distinct_id = SLICE("d"),
                                          .ip = SLICE("192.0.2.1"),
                                          .flags = EVENT_UUID_CHECKED,
                                          .now_us = 1600000000000000};
    v->e = (struct plugin_event){.envelope = &v->envelope,
                                 .doc = &v->doc,
                                 .reload = event_aid_reload,
                                 .done = event_aid_done};
    assert_true(event_aid_reload(&v->e));
    v->reloads = 0;
}

static inline void event_aid_fini(struct event_aid *v)
{
    plugin_event_release(&v->e);
    json_doc_free(&v->doc);
}

static inline void chain_aid_sleep(struct chain_aid *a)
{
    int64_t due = plugin_worker_due_us(a->worker);

    if (due > 0)
        mpsc_wait(&a->worker->inbox,
                  due == INT64_MAX ? AID_WAIT_US : MAX(due - clock_mono_us(), 0));
    plugin_worker_turn(a->worker);
}

static inline void chain_aid_send(struct chain_aid *a, struct event_aid *v)
{
    v->verdict = plugin_worker_run(a->worker, &v->e);
    if (v->verdict != PLUGIN_LATER)
        event_aid_done(&v->e, v->verdict);
}

static inline void chain_aid_wait(struct chain_aid *a, struct event_aid *v)
{
    int64_t end = clock_mono_real_us() + AID_WAIT_US;

    while (!v->is_done) {
        if (clock_mono_real_us() > end)
            fail_msg("the event does not end; logs:\n%s", buf_cstr(&a->services.logs));
        chain_aid_sleep(a);
    }
}

static inline void event_aid_properties(struct event_aid *v, struct buf *out)
{
    buf_clear(out);
    assert_true(json_value_write(json_member(v->doc.root, SLICE("properties")), out));
}

/* Sends, waits, compares verdict and `properties` (NULL: dropped), and ends the event. */
static inline void chain_aid_expect(struct chain_aid *a, const char *json, const char *properties)
{
    struct event_aid v;
    struct buf out = BUF_INIT(1000000);

    event_aid_init(&v, json);
    chain_aid_send(a, &v);
    chain_aid_wait(a, &v);
    assert_int_equal(v.verdict, properties ? PLUGIN_NEXT : PLUGIN_DROP);
    if (properties) {
        event_aid_properties(&v, &out);
        assert_string_equal(buf_cstr(&out), properties);
    }
    buf_free(&out);
    event_aid_fini(&v);
}

/* The markers of an event that is done; "" for none. */
static inline const char *event_aid_markers(struct event_aid *v, struct buf *out)
{
    buf_clear(out);
    if (v->e.markers)
        assert_true(json_value_write(v->e.markers, out));
    return buf_cstr(out);
}

#endif
