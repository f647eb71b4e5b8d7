/* keeper_aid.h - a keeper over a pipeline with a feed and a store in memory. */
#pragma once

#include "app/keeper_priv.h"
#include "app_aid.h"
#include "fake_feed.h"
#include "fake_store.h"

#include <sched.h>

#define STOP_US ((int64_t)10000000)

struct kept {
    struct place place;
    struct fake_feed *feed;
    struct fake_store *fake;
    struct store store;
    struct team_directory *teams;
    struct pipe *pipe;
    struct keeper *k;
    struct err err;
};

static void kept_fatal(const struct err *err, void *ctx)
{
    UNUSED(ctx);
    fail_msg("fatal: %s", err->text);
}

/* Neither pipe nor thread yet. */
AID void kept_open(struct kept *w, const char *const *sets)
{
    *w = (struct kept){.err = ERR_INIT};
    place_open(&w->place, sets);
    w->feed = fake_feed_new(0);
    w->fake = fake_store_new();
    w->store = fake_store_ops(w->fake);
    w->teams = team_directory_new();
    w->k = keeper_new(w->place.conf);
}

AID void kept_start(struct kept *w)
{
    struct pipe_options opt = {.feed = fake_feed_reader(w->feed),
                               .store = w->store,
                               .teams = w->teams,
                               .workers = 1,
                               .read_ahead_events = 4096,
                               .read_ahead_bytes = 8 << 20,
                               .batch_events = 1000,
                               .batch_bytes = 8 << 20,
                               .batch_us = 1000,
                               .fatal = kept_fatal};

    if (!keeper_load(w->k, &w->store, &w->err))
        fail_msg("%s", w->err.text);
    w->pipe = pipe_start(&opt, &w->err);
    if (!w->pipe || !keeper_start(w->k, w->pipe, &w->err))
        fail_msg("%s", w->err.text);
}

/* The store may be looked at from here on. */
AID void kept_stop(struct kept *w)
{
    if (w->pipe)
        pipe_stop(w->pipe, STOP_US);
    keeper_stop(w->k, &w->store);
}

AID void kept_close(struct kept *w)
{
    pipe_free(w->pipe);
    keeper_free(w->k);
    team_directory_free(w->teams);
    fake_feed_free(w->feed);
    fake_store_free(w->fake);
    place_close(&w->place);
}

AID void kept_put(struct kept *w, const char *kind, const char *key, const char *json)
{
    struct store_object o = {.kind = kind, .key = key, .json = json};

    if (!w->store.ops->object_put(w->store.self, &o, &w->err))
        fail_msg("%s", w->err.text);
}

/* An inline plugin "p", and a config of team 1: objects 1 and 2. */
AID void kept_put_plugin(struct kept *w, const char *source)
{
    struct buf json = BUF_INIT(1 << 16);

    buf_add_str(&json, "{\"name\":\"p\",\"source\":\"inline\",\"files\":{\"index.js\":");
    buf_add_json_str(&json, slice_cstr(source));
    buf_add_str(&json, "}}");
    kept_put(w, "plugins", "p", buf_cstr(&json));
    kept_put(w, "plugin_configs", "1/p", "{\"plugin\":\"p\",\"team\":1}");
    buf_free(&json);
}

/* --- STORE held still --- */

struct hold {
    struct pipe_call call;
    atomic_bool is_held, may_go, is_over;
};

static bool hold_run(struct store *store, void *ctx, struct err *err)
{
    struct hold *h = ctx;

    UNUSED(store);
    UNUSED(err);
    atomic_store(&h->is_held, true);
    while (!atomic_load(&h->may_go))
        sched_yield();
    return false;
}

static void hold_done(void *ctx, bool ok, const struct err *err)
{
    UNUSED(ok);
    UNUSED(err);
    atomic_store(&((struct hold *)ctx)->is_over, true);
}

AID void hold_begin(struct hold *h, struct pipe *pipe)
{
    *h = (struct hold){.call = {.fn = hold_run, .done = hold_done, .ctx = h}};
    pipe_call(pipe, &h->call);
    while (!atomic_load(&h->is_held))
        sched_yield();
}

AID void hold_end(struct hold *h)
{
    atomic_store(&h->may_go, true);
    while (!atomic_load(&h->is_over))
        sched_yield();
}

/* --- tasks --- */

static void task_set_true(void *ctx)
{
    atomic_store((atomic_bool *)ctx, true);
}

/* What was stored before is in force. */
AID void kept_reload(struct kept *w)
{
    atomic_bool is_done = false;
    struct plugin_task task = {.fn = task_set_true, .ctx = &is_done};

    keeper_reload(w->k, &task);
    while (!atomic_load(&is_done))
        sched_yield();
}
