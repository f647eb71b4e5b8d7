/* capture.c - routes, and the flow of one request from the socket to the feed and back.
 *
 * Everything up to the append happens in one call on the request's NET thread; then the request
 * waits, without a thread, until the SYNC thread says that its group is on disk. That callback only
 * notes the result and posts the request back to its loop, where the answer is written. So a 2xx
 * cannot overtake the disk: nothing answers between the append and the callback.
 *
 *   NET   on_capture -> take_request -> feed append ─┐
 *   SYNC                                  on_done  <─┘ http_resume ─┐
 *   NET                                            on_durable     <─┘ answer
 *
 * The set of teams is looked up through a reference that each NET thread keeps in a slot of its
 * own. It outlives the call, not the wait: what waits holds no team.
 */
#include "in/capture/capture.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "in/capture/capture_priv.h"

#include <stdatomic.h>

#define CAPTURE_MAGIC   0x63617074u
#define WAITING_MAGIC   0x77616974u
#define THREADS_MAX     256
#define TRACEPARENT_LEN 55
#define GROUP_BYTES_MAX ((size_t)64 << 20)

enum { PATH_CAPTURE, PATH_E, PATH_TRACK, PATH_BATCH, PATH_I_V0_E, PATH_COUNT };
#define PATH_OTHER PATH_COUNT

static const char *const paths[PATH_COUNT + 1] = {
    [PATH_CAPTURE] = "/capture", [PATH_E] = "/e",           [PATH_TRACK] = "/track",
    [PATH_BATCH] = "/batch",     [PATH_I_V0_E] = "/i/v0/e", [PATH_OTHER] = "other",
};

static const int statuses[] = {200, 204, 400, 401, 404, 405, 408, 413, 417, 431, 501, 503};
#define STATUS_COUNT ARRAY_LEN(statuses)

static const char *const drop_causes[CAPTURE_DROP_COUNT] = {
    [CAPTURE_DROP_NO_ID] = "missing_distinct_id",
    [CAPTURE_DROP_NO_NAME] = "missing_event_name",
    [CAPTURE_DROP_TOO_BIG] = "event_too_big",
    [CAPTURE_DROP_LISTED] = "token_dropper",
    [CAPTURE_DROP_EVENT_QUOTA] = "over_quota",
    [CAPTURE_DROP_RECORDING_QUOTA] = "recordings_over_quota",
};

struct capture_metrics {
    struct metric_counter *requests[PATH_COUNT + 1][STATUS_COUNT];
    struct metric_counter *refused[CAPTURE_REPLY_COUNT];
    struct metric_counter *received;
    struct metric_counter *accepted;
    struct metric_counter *dropped[CAPTURE_DROP_COUNT];
    struct metric_counter *bad_sent_at;
    struct metric_histogram *batch_size[2]; /* under our name and under the usual one */
    struct metric_histogram *duration;
};

struct capture_path {
    struct capture *capture;
    int path;
};

/* One per NET thread, as far apart as cache lines are wide. */
struct capture_slot {
    const struct team_set *teams;
    char pad[64 - sizeof(void *)];
};

struct capture {
    uint32_t magic;
    struct capture_options opt; /* its texts are not kept */
    struct capture_proxies *proxies;
    struct capture_metrics metrics;
    _Atomic(const char *) blocked;
    struct http_route routes[PATH_COUNT];
    struct capture_path path[PATH_COUNT];
    struct capture_slot *slots; /* THREADS_MAX */
};

/* A request between append and answer, in its arena. */
struct waiting {
    uint32_t magic;
    struct capture *capture;
    struct http_request *req;
    size_t accepted;
    bool is_beacon;
    bool recordings_limited;
    struct err err; /* written by SYNC, read after http_resume */
};

/* --- one request --- */

static const struct team_set *find_teams(struct capture *c, const struct team_set **own)
{
    int number = thread_number();

    if (number >= 0 && number < THREADS_MAX)
        return team_directory_cached(c->opt.teams, &c->slots[number].teams);
    *own = team_directory_get(c->opt.teams);
    return *own;
}

static struct slice traceparent(const struct http_request *req)
{
    struct slice value = slice_trim(http_header_get(req, "traceparent"));

    return value.len == TRACEPARENT_LEN ? value : SLICE_NONE;
}

static void fill_origin(const struct capture *c, const struct http_request *req,
                        struct capture_events_input *in)
{
    struct capture_site site = {.host = http_header_get(req, "Host")};
    struct slice forwarded_for = SLICE_NONE;

    site.is_trusted = capture_proxies_trust(c->proxies, req->peer, req->peer_is_private);
    if (site.is_trusted) {
        forwarded_for = http_header_get(req, "X-Forwarded-For");
        site.forwarded_host = http_header_get(req, "X-Forwarded-Host");
        site.forwarded_proto = http_header_get(req, "X-Forwarded-Proto");
    }
    in->ip = capture_proxy_client_ip(req->peer, site.is_trusted, forwarded_for);
    in->site_url = capture_proxy_site_url(&site, req->arena);
    in->traceparent = traceparent(req);
    in->now_us = req->received_us;
}

static void fill_source(struct http_request *req, struct capture_source *src)
{
    *src = (struct capture_source){
        .is_get = req->method == HTTP_M_GET,
        .body = req->body,
        .content_type = http_header_get(req, "Content-Type"),
        .content_encoding = http_header_get(req, "Content-Encoding"),
    };
    capture_form_read(req->query, req->arena, &src->query);
}

/* The tree is there: find the team and fill a group. */
static enum capture_reply read_events(struct capture *c, struct http_request *req,
                                      const struct capture_source *src, yyjson_val *root,
                                      struct slice json, struct capture_events *events,
                                      struct err *err)
{
    const struct team_set *own = NULL;
    struct capture_token_input who = {
        .src = src, .root = root, .teams = find_teams(c, &own), .any_token = c->opt.any_token};
    struct capture_events_input in = {.root = root,
                                      .text_bytes = json.len,
                                      .event_bytes_max = c->opt.event_bytes_max,
                                      .group_bytes_max = c->opt.group_bytes_max};
    enum capture_reply reply = capture_token_team(&who, &in.team);
    bool is_bad_time = false;

    if (reply == CAPTURE_OK) {
        fill_origin(c, req, &in);
        in.has_sent_at = capture_events_sent_at(src, root, &in.sent_at_us, &is_bad_time);
        reply = capture_events_read(&in, events, err);
    }
    if (is_bad_time)
        metric_add(c->metrics.bad_sent_at, 1);
    team_set_unref(own);
    return reply;
}

static enum capture_reply take_request(struct capture *c, struct http_request *req,
                                       struct capture_source *src, struct capture_events *events,
                                       struct err *err)
{
    struct capture_unpacked unpacked = CAPTURE_UNPACKED_INIT(c->opt.decoded_bytes_max);
    struct json_doc doc = {.doc = NULL};
    enum capture_reply reply = CAPTURE_NO_DATA;
    struct slice raw, json;

    fill_source(req, src);
    raw = capture_body_choose(src, req->arena);
    if (raw.len > 0)
        reply = capture_body_unpack(raw, capture_body_hint(src), &unpacked, &json, err);
    if (reply == CAPTURE_OK)
        reply = capture_body_parse(json, c->opt.parse_bytes_max, &doc, err);
    if (reply == CAPTURE_OK)
        reply = read_events(c, req, src, doc.root, json, events, err);
    json_doc_free(&doc);
    capture_unpacked_free(&unpacked);
    return reply;
}

/* --- answers --- */

static void answer_error(struct capture *c, struct http_request *req, enum capture_reply reply,
                         const struct err *err)
{
    struct slice detail = SLICE_NONE;

    metric_add(c->metrics.refused[reply], 1);
    if (reply == CAPTURE_INVALID_PAYLOAD)
        detail = slice_cstr(err->text);
    capture_reply_error(req, reply, detail);
}

/* With a line at the usual level: who set a client up wrongly looks into the log first. A storm of
 * them is collapsed there. */
static void refuse(struct capture *c, struct http_request *req, enum capture_reply reply,
                   const struct err *err)
{
    log_info("capture", "request refused", KV_STR("reason", capture_reply_code(reply)),
             KV_STR("why", *err->text ? err->text : capture_reply_detail(reply)),
             KV_SLICE("path", req->path), KV_SLICE("peer", req->peer));
    answer_error(c, req, reply, err);
}

static void count_events(const struct capture *c, const struct capture_events *events)
{
    if (events->received == 0)
        return;
    metric_add(c->metrics.received, events->received);
    for (int i = 0; i < CAPTURE_DROP_COUNT; i++)
        if (events->dropped[i])
            metric_add(c->metrics.dropped[i], events->dropped[i]);
    for (size_t i = 0; i < ARRAY_LEN(c->metrics.batch_size); i++)
        if (c->metrics.batch_size[i])
            metric_observe(c->metrics.batch_size[i], (double)events->received);
}

/* NET, after the sync. */
static void on_durable(void *ctx)
{
    struct waiting *w = OBJ(ctx, struct waiting, WAITING_MAGIC);

    ASSERT_THREAD(NET);
    if (w->err.code == ERR_NONE) {
        metric_add(w->capture->metrics.accepted, w->accepted);
        capture_reply_ok(w->req, w->is_beacon, w->recordings_limited);
        return;
    }
    log_warn("capture", "events could not be made durable, answered 503", KV_ERR(&w->err));
    answer_error(w->capture, w->req, CAPTURE_UNAVAILABLE, &w->err);
}

/* SYNC. The request may be answered and gone as soon as it is resumed. */
static void on_done(void *ctx, const struct err *err)
{
    struct waiting *w = OBJ(ctx, struct waiting, WAITING_MAGIC);

    if (err->code != ERR_NONE)
        w->err = *err;
    http_resume(w->req, on_durable, w);
}

static void append(struct capture *c, struct waiting *w, struct feed_group *group)
{
    struct http_request *req = w->req;
    struct err err = ERR_INIT;

    /* `w` belongs to the callback from here on, which may already have run when this returns. */
    if (c->opt.feed.ops->append(c->opt.feed.self, group, on_done, w, &err))
        return;
    feed_group_free(group);
    if (err.code == ERR_LIMIT) {
        refuse(c, req, CAPTURE_TOO_LARGE, &err);
        return;
    }
    log_warn("capture", "events not taken, answered 503", KV_ERR(&err));
    answer_error(c, req, CAPTURE_UNAVAILABLE, &err);
}

static void on_capture(struct http_request *req, void *ctx)
{
    const struct capture_path *path = ctx;
    struct capture *c = OBJ(path->capture, struct capture, CAPTURE_MAGIC);
    struct capture_source src;
    struct capture_events events = {.group = NULL};
    struct err err = ERR_INIT;
    enum capture_reply reply;
    struct waiting *w;
    const char *why;

    ASSERT_THREAD(NET);
    if (req->method == HTTP_M_OPTIONS) {
        capture_reply_ok(req, false, false);
        return;
    }
    why = atomic_load_explicit(&c->blocked, memory_order_acquire);
    if (why) {
        err_set(&err, ERR_FULL, "%s", why);
        refuse(c, req, CAPTURE_UNAVAILABLE, &err);
        return;
    }
    reply = take_request(c, req, &src, &events, &err);
    count_events(c, &events);
    if (reply != CAPTURE_OK) {
        refuse(c, req, reply, &err);
        return;
    }
    w = arena_new_obj(req->arena, struct waiting);
    *w = (struct waiting){
        .magic = WAITING_MAGIC,
        .capture = c,
        .req = req,
        .accepted = events.accepted,
        .is_beacon = slice_eq(src.query.beacon, SLICE("1")),
        .recordings_limited = events.dropped[CAPTURE_DROP_RECORDING_QUOTA] > 0,
        .err = ERR_INIT,
    };
    if (events.group)
        append(c, w, events.group);
    else
        capture_reply_ok(req, w->is_beacon, w->recordings_limited); /* nothing is left to store */
}

/* --- hooks of the listener --- */

const struct http_route *capture_routes(struct capture *c, size_t *count)
{
    *count = PATH_COUNT;
    return c->routes;
}

void capture_refuse(struct http_request *req, int status, const char *detail, void *ctx)
{
    struct capture *c = OBJ(ctx, struct capture, CAPTURE_MAGIC);

    metric_add(c->metrics.refused[capture_reply_of_status(status)], 1);
    log_info("capture", "request refused by the server", KV_I64("status", status),
             KV_STR("why", detail), KV_SLICE("path", req->path), KV_SLICE("peer", req->peer));
    capture_reply_refusal(req, status, detail);
}

/* Routes of others on the same listener answer for themselves. */
void capture_answer(struct http_request *req, int status, void *ctx)
{
    struct capture *c = OBJ(ctx, struct capture, CAPTURE_MAGIC);
    const struct capture_path *path = NULL;
    size_t i = 0;

    if (req->route && req->route->handler != on_capture)
        return;
    if (req->route)
        path = req->route->ctx;
    capture_reply_cors(req);
    while (i < STATUS_COUNT && statuses[i] != status)
        i++;
    if (i < STATUS_COUNT)
        metric_add(c->metrics.requests[path ? path->path : PATH_OTHER][i], 1);
    if (path && c->metrics.duration)
        metric_observe(c->metrics.duration, (double)(clock_wall_us() - req->received_us) / 1e6);
}

void capture_set_blocked(struct capture *c, const char *why)
{
    atomic_store_explicit(&c->blocked, why, memory_order_release);
}

/* --- life --- */

static void make_request_metrics(struct capture_metrics *cm, struct metrics *m)
{
    struct buf label = BUF_INIT(128);

    for (int path = 0; path <= PATH_OTHER; path++)
        for (size_t i = 0; i < STATUS_COUNT; i++) {
            buf_clear(&label);
            buf_addf(&label, "path=\"%s\",code=\"%d\"", paths[path], statuses[i]);
            cm->requests[path][i] =
                metric_new_counter(m, "hedgerow_capture_requests_total", buf_cstr(&label),
                                   "Requests to the capture API by path and status.");
        }
    for (int i = CAPTURE_OK + 1; i < CAPTURE_REPLY_COUNT; i++) {
        buf_clear(&label);
        buf_addf(&label, "reason=\"%s\"", capture_reply_code((enum capture_reply)i));
        cm->refused[i] = metric_new_counter(m, "hedgerow_capture_refused_total", buf_cstr(&label),
                                            "Requests that were refused, by reason.");
    }
    buf_free(&label);
}

static void make_event_metrics(struct capture_metrics *cm, struct metrics *m)
{
    static const char events_help[] = "Events by what became of them: accepted means durable.";
    static const char dropped_help[] = "Events left out of requests that were answered with 200.";
    struct buf label = BUF_INIT(128);

    cm->received = metric_new_counter(m, "hedgerow_capture_events_received_total", NULL,
                                      "Events of accepted requests, those left out included.");
    cm->accepted =
        metric_new_counter(m, "hedgerow_capture_events_total", "outcome=\"accepted\"", events_help);
    metric_new_alias(m, "capture_events_received_total", NULL,
                     "Alias of hedgerow_capture_events_received_total.", cm->received);
    metric_new_alias(m, "capture_events_ingested_total", NULL,
                     "Alias of hedgerow_capture_events_total, outcome accepted.", cm->accepted);
    for (int i = 0; i < CAPTURE_DROP_COUNT; i++) {
        buf_clear(&label);
        buf_addf(&label, "outcome=\"dropped\",cause=\"%s\"", drop_causes[i]);
        cm->dropped[i] =
            metric_new_counter(m, "hedgerow_capture_events_total", buf_cstr(&label), events_help);
        buf_clear(&label);
        buf_addf(&label, "cause=\"%s\"", drop_causes[i]);
        metric_new_alias(m, "capture_events_dropped_total", buf_cstr(&label), dropped_help,
                         cm->dropped[i]);
    }
    buf_free(&label);
}

static void make_metrics(struct capture_metrics *cm, struct metrics *m)
{
    static const double sizes[] = {1, 10, 25, 50, 75, 100, 250, 500, 750, 1000};
    static const double seconds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                     0.5,   1,      2.5,   5,    10,    30,   60};
    static const char size_help[] = "Events per request.";

    if (!m)
        return;
    make_request_metrics(cm, m);
    make_event_metrics(cm, m);
    cm->bad_sent_at =
        metric_new_counter(m, "hedgerow_capture_invalid_sent_at_total", NULL,
                           "Requests whose sent_at could not be read and was ignored.");
    cm->batch_size[0] = metric_new_histogram(m, "hedgerow_capture_event_batch_size", NULL,
                                             size_help, sizes, ARRAY_LEN(sizes));
    cm->batch_size[1] = metric_new_histogram(m, "capture_event_batch_size", NULL, size_help, sizes,
                                             ARRAY_LEN(sizes));
    cm->duration =
        metric_new_histogram(m, "hedgerow_capture_request_duration_seconds", NULL,
                             "From the end of the request's head to its answer, sync included.",
                             seconds, ARRAY_LEN(seconds));
}

static void make_routes(struct capture *c)
{
    for (int i = 0; i < PATH_COUNT; i++) {
        c->path[i] = (struct capture_path){.capture = c, .path = i};
        c->routes[i] = (struct http_route){
            .methods = HTTP_M_GET | HTTP_M_POST | HTTP_M_OPTIONS,
            .pattern = paths[i],
            .handler = on_capture,
            .ctx = &c->path[i],
            .body_bytes_max = c->opt.body_bytes_max,
            .slash = true,
        };
    }
}

struct capture *capture_new(const struct capture_options *opt, struct err *err)
{
    struct capture_proxies *proxies = capture_proxies_new(opt->trusted_proxies, err);
    struct capture *c;

    if (!proxies)
        return NULL;
    c = mem_new(struct capture);
    c->magic = CAPTURE_MAGIC;
    c->opt = *opt;
    c->opt.trusted_proxies = NULL;
    if (c->opt.group_bytes_max == 0)
        c->opt.group_bytes_max = GROUP_BYTES_MAX;
    c->proxies = proxies;
    c->slots = mem_new_array(struct capture_slot, THREADS_MAX);
    atomic_init(&c->blocked, NULL);
    make_metrics(&c->metrics, opt->metrics);
    make_routes(c);
    return c;
}

void capture_free(struct capture *c)
{
    if (!c)
        return;
    for (int i = 0; i < THREADS_MAX; i++)
        team_set_unref(c->slots[i].teams);
    capture_proxies_free(c->proxies);
    mem_free(c->slots);
    c->magic = 0;
    mem_free(c);
}
