/* admin_aid.h - a database in a folder of its own, and on demand the whole admin listener on it: a
 * pipeline over a feed in memory, one NET thread, requests by the blocking client. */
#pragma once

#include "admin/admin_priv.h"
#include "admin/provision_apply.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fake_feed.h"
#include "lib/unit.h"
#include "net/http_client.h"
#include "store/store_sqlite.h"
#include "temp_dir.h"

#include <stdio.h>

#define AID     __attribute__((unused)) static
#define TOKEN   "secret-token"
#define WAIT_US ((int64_t)20000000)
#define STOP_US ((int64_t)10000000)

struct aid {
    char *dir, *path;
    struct store store;
    struct err err;
    /* of aid_serve */
    struct metrics *metrics;
    struct team_directory *teams;
    struct fake_feed *feed;
    struct feed_status status; /* what the health check is told */
    struct conf *conf;
    struct pipe *pipe;
    struct net *net;
    struct plugins *plugins;
    int reloads; /* that were asked for */
    struct admin *admin;
    struct http_listener *listener;
    struct buf body; /* of the last answer */
    uint64_t sent;
};

#define must(x) must_be((x), &aid->err, __FILE__, __LINE__)

AID void must_be(bool ok, const struct err *err, const char *file, int line)
{
    if (!ok)
        print_error("%s\n", err->text);
    _assert_true(ok, err->text, file, line);
}

/* --- the database --- */

AID void aid_open(struct aid *aid)
{
    *aid = (struct aid){.body = BUF_INIT(1 << 20)};
    log_setup(LOG_NONE, LOG_CLASSIC, false);
    aid->dir = temp_dir_new();
    aid->path = temp_dir_path(aid->dir, "hedgerow.db");
    struct store_sqlite_options opt = {.path = aid->path,
                                       .dedupe_window_us = 3600000000,
                                       .dedupe_bytes_max = 1 << 20,
                                       .busy_us = 1000000};
    must(store_sqlite_open(&opt, &aid->store, &aid->err));
}

AID void aid_close(struct aid *aid)
{
    store_sqlite_close(&aid->store);
    buf_free(&aid->body);
    mem_free(aid->path);
    temp_dir_free(aid->dir);
}

/* Applies a file in a transaction of its own; what was refused is rolled back. */
AID bool aid_apply(struct aid *aid, const char *text, bool prune, struct provision_outcome *outcome)
{
    struct json_faults faults = JSON_FAULTS_INIT;
    struct provision *p = provision_parse(slice_cstr(text), "/base", &faults);

    if (!p)
        fail_msg("%s", buf_cstr(&faults.text));
    aid->err = ERR_INIT;
    must(aid->store.ops->begin(aid->store.self, &aid->err));
    bool ok = provision_apply(&aid->store, p, &(struct provision_options){.prune = prune}, outcome,
                              &aid->err);
    if (ok)
        must(aid->store.ops->commit(aid->store.self, NULL, NULL, 0, &aid->err));
    else
        aid->store.ops->rollback(aid->store.self);
    provision_free(p);
    json_faults_free(&faults);
    return ok;
}

static bool aid_collect(struct store *store, void *ctx, struct err *err)
{
    return provision_collect(store, ctx, err);
}

/* Freed by the caller. Once the pipe runs, its STORE thread owns the store. */
AID char *aid_export(struct aid *aid)
{
    struct buf out = BUF_INIT(1 << 20);

    must(aid->pipe ? pipe_call_wait(aid->pipe, aid_collect, &out, &aid->err)
                   : provision_collect(&aid->store, &out, &aid->err));
    buf_cstr(&out);
    return out.ptr;
}

/* --- the listener --- */

static void aid_status(void *self, struct feed_status *out)
{
    *out = ((struct aid *)self)->status;
}

AID const struct feed_reader_ops aid_status_ops = {.status = aid_status};

static void aid_fatal(const struct err *err, void *ctx)
{
    UNUSED(ctx);
    fail_msg("fatal: %s", err->text);
}

static void aid_blocked(bool is_blocked, const char *why, void *ctx)
{
    UNUSED(is_blocked);
    UNUSED(why);
    UNUSED(ctx);
}

/* A keeper that keeps nothing: tests that want to see plugins publish a set. */
static void aid_run(void *self, struct plugin_task *task)
{
    UNUSED(self);
    task->fn(task->ctx);
}

static void aid_reload(void *self, struct plugin_task *task)
{
    ((struct aid *)self)->reloads++;
    task->fn(task->ctx);
}

static const char *aid_find(void *self, const char *name)
{
    UNUSED(self);
    UNUSED(name);
    return NULL;
}

static void aid_each(void *self, void (*fn)(const struct plugin_listed *p, void *ctx), void *ctx)
{
    UNUSED(self);
    fn(
        &(struct plugin_listed){
            .id = 1, .name = "one", .source = "inline", .about = "the \"first\"", .json = "{}"},
        ctx);
    fn(&(struct plugin_listed){.id = 2,
                               .name = "GeoIP",
                               .source = "builtin:geoip",
                               .about = "",
                               .is_builtin = true,
                               .json = "{}"},
       ctx);
}

AID const struct plugin_keeper_ops aid_keeper_ops = {
    .run = aid_run, .reload = aid_reload, .find = aid_find, .each = aid_each};

static void start_pipe(struct aid *aid)
{
    struct pipe_options opt = {.feed = fake_feed_reader(aid->feed),
                               .store = aid->store,
                               .teams = aid->teams,
                               .metrics = aid->metrics,
                               .workers = 1,
                               .read_ahead_events = 4096,
                               .read_ahead_bytes = 8 << 20,
                               .batch_events = 1000,
                               .batch_bytes = 8 << 20,
                               .batch_us = 1000,
                               .fatal = aid_fatal,
                               .blocked = aid_blocked};

    aid->pipe = pipe_start(&opt, &aid->err);
    must(aid->pipe != NULL);
}

static void start_net(struct aid *aid)
{
    struct http_listener_options opt = {.name = "admin",
                                        .host = "127.0.0.1",
                                        .path_prefix = "",
                                        .refuse = admin_refuse,
                                        .answer = admin_answer,
                                        .ctx = aid->admin,
                                        .limits = {.head_bytes_max = 32768,
                                                   .header_count_max = 100,
                                                   .head_us = WAIT_US,
                                                   .body_stall_us = WAIT_US,
                                                   .idle_us = WAIT_US,
                                                   .write_stall_us = WAIT_US,
                                                   .connections_max = 100,
                                                   .body_bytes_total_max = 64 << 20,
                                                   .body_discard_factor = 2}};

    opt.routes = admin_routes(aid->admin, &opt.route_count);
    aid->listener = net_listen(aid->net, &opt, &aid->err);
    must(aid->listener != NULL && net_start(aid->net, &aid->err));
}

/* Teams 1 "One" (phc_1) and 2 "Two" (phc_2) are there. */
AID void aid_serve_begun(struct aid *aid, bool is_begun)
{
    struct provision_outcome outcome;
    struct buf faults = BUF_INIT(4096);

    aid_open(aid);
    must(aid_apply(aid,
                   "{\"teams\":[{\"id\":1,\"name\":\"One\",\"api_token\":\"phc_1\"},"
                   "{\"id\":2,\"name\":\"Two\",\"api_token\":\"phc_2\"}]}",
                   false, &outcome));
    aid->metrics = metrics_new();
    aid->teams = team_directory_new();
    must(provision_publish(&aid->store, aid->teams, &aid->err));
    aid->feed = fake_feed_new(0);
    aid->status = (struct feed_status){.is_writable = true};
    aid->conf = conf_load(&(struct conf_sources){.set_count = 0}, &faults);
    assert_non_null(aid->conf);
    aid->plugins = plugins_new(&(struct plugins_options){.instance_id = "here"});
    start_pipe(aid);
    aid->net = net_new(1, aid->metrics, &aid->err);
    must(aid->net != NULL);
    struct admin_options opt = {.conf = aid->conf,
                                .metrics = aid->metrics,
                                .net = aid->net,
                                .teams = aid->teams,
                                .database_path = aid->path,
                                .token = TOKEN,
                                .version = "1.2.3",
                                .stale_us = 1000000};
    aid->admin = admin_new(&opt, &aid->err);
    must(aid->admin != NULL);
    start_net(aid);
    if (!is_begun)
        return;
    admin_begin(aid->admin,
                &(struct admin_parts){
                    .pipe = aid->pipe,
                    .feed = {.ops = &aid_status_ops, .self = aid},
                    .keeper = {.ops = &aid_keeper_ops, .self = aid, .plugins = aid->plugins},
                    .store = aid->store,
                    .capture_url = "http://capture"});
    admin_set_ready(aid->admin, true);
}

AID void aid_serve(struct aid *aid)
{
    aid_serve_begun(aid, true);
}

AID void aid_stop_pipe(struct aid *aid)
{
    if (aid->pipe)
        pipe_stop(aid->pipe, STOP_US);
}

AID void aid_end(struct aid *aid)
{
    admin_stop(aid->admin);
    assert_true(net_drain(aid->net, STOP_US));
    aid_stop_pipe(aid);
    net_stop(aid->net);
    admin_free(aid->admin);
    net_free(aid->net);
    pipe_free(aid->pipe);
    plugins_free(aid->plugins);
    fake_feed_free(aid->feed);
    team_directory_free(aid->teams);
    metrics_free(aid->metrics);
    conf_free(aid->conf);
    aid_close(aid);
}

/* --- requests --- */

AID const char *const aid_bearer[] = {"Authorization: Bearer " TOKEN, NULL};

/* The status; the answer's body is in aid->body. */
AID int aid_ask_as(struct aid *aid, const char *const *headers, const char *method,
                   const char *path, const char *body)
{
    struct http_reply reply = {.body = BUF_INIT(1 << 20)};
    char url[1024];

    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", http_listener_port(aid->listener), path);
    struct http_call call = {.method = method,
                             .url = url,
                             .headers = headers,
                             .body = slice_cstr(body),
                             .timeout_us = WAIT_US};
    must(http_client_call(&call, &reply, &aid->err));
    buf_free(&aid->body);
    aid->body = reply.body;
    return reply.status;
}

AID int aid_ask(struct aid *aid, const char *method, const char *path, const char *body)
{
    return aid_ask_as(aid, aid_bearer, method, path, body);
}

#define expect(method, path, body, status, part) \
    expect_at(aid, aid_bearer, method, path, body, status, part, __LINE__)
#define expect_as(headers, method, path, status, part) \
    expect_at(aid, headers, method, path, NULL, status, part, __LINE__)

AID void expect_at(struct aid *aid, const char *const *headers, const char *method,
                   const char *path, const char *body, int status, const char *part, int line)
{
    int got = aid_ask_as(aid, headers, method, path, body);

    if (got != status || !strstr(buf_cstr(&aid->body), part))
        fail_msg("line %d: %s %s: %d %s", line, method, path, got, buf_cstr(&aid->body));
}

/* One event into the feed. */
AID void aid_send(struct aid *aid, int64_t team_id, const char *id, const char *event)
{
    char data[256];
    struct event_envelope e = {.uuid = {.b = {[15] = (uint8_t)++aid->sent}},
                               .flags = EVENT_UUID_CHECKED,
                               .team_id = team_id,
                               .distinct_id = slice_cstr(id),
                               .token = SLICE("phc"),
                               .now_us = clock_wall_us()};

    snprintf(data, sizeof(data), "{\"event\":\"%s\",\"properties\":{}}", event);
    e.data = slice_cstr(data);
    fake_feed_add(aid->feed, &e);
}

static bool wait_fn(struct store *store, void *ctx, struct err *err)
{
    UNUSED(store);
    UNUSED(ctx);
    UNUSED(err);
    return true;
}

/* Everything sent is stored, and those who listen have been told. */
AID void aid_settle(struct aid *aid)
{
    struct pipe_status s;
    int64_t end = clock_mono_us() + WAIT_US;

    do {
        must(pipe_call_wait(aid->pipe, wait_fn, NULL, &aid->err)); /* a turn of STORE */
        pipe_status(aid->pipe, &s);
        assert_true(clock_mono_us() < end);
    } while (s.stored + s.duplicates + s.dead_letters < aid->sent);
    must(pipe_call_wait(aid->pipe, wait_fn, NULL, &aid->err));
}
