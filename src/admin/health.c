/* Health is "can this process make progress": the ring takes writes, the pipeline moved or has
 * nothing to do, the store is not stuck. An idle installation is healthy. Nothing here waits for
 * anything.
 */
#include "admin/admin_priv.h"
#include "base/clock.h"

struct health {
    const char *queue, *pipeline, *store;
    bool is_ok;
};

static bool is_stale(const struct admin *a, const struct feed_status *feed,
                     const struct pipe_status *pipe)
{
    bool has_backlog = feed->end > feed->cursor && feed->oldest_unread_us > 0;
    int64_t now = clock_wall_us();

    return has_backlog &&
           now - MAX(pipe->last_progress_us, feed->oldest_unread_us) > a->opt.stale_us;
}

static struct health health_check(struct admin *a, struct feed_status *feed,
                                  struct pipe_status *pipe)
{
    struct health h = {.queue = "ok", .pipeline = "ok", .store = "ok"};

    a->parts.feed.ops->status(a->parts.feed.self, feed);
    pipe_status(a->parts.pipe, pipe);
    if (!feed->is_writable)
        h.queue = "error";
    if (is_stale(a, feed, pipe))
        h.pipeline = "error";
    if (pipe->is_degraded)
        h.store = "degraded";
    h.is_ok = feed->is_writable && !is_stale(a, feed, pipe);
    return h;
}

static void add_checks(struct buf *out, const struct health *h)
{
    buf_addf(out, "\"checks\":{\"queue\":\"%s\",\"pipeline\":\"%s\",\"store\":\"%s\"}", h->queue,
             h->pipeline, h->store);
}

void health_serve(struct admin *a, struct http_request *req)
{
    struct feed_status feed;
    struct pipe_status pipe;
    struct health h = health_check(a, &feed, &pipe);
    struct buf out = BUF_INIT(4096);

    buf_addf(&out, "{\"status\":\"%s\",", h.is_ok ? "ok" : "error");
    add_checks(&out, &h);
    if (!feed.is_writable && feed.why_not) {
        buf_add_str(&out, ",\"queue_error\":");
        buf_add_json_str(&out, slice_cstr(feed.why_not));
    }
    if (pipe.is_degraded) {
        buf_add_str(&out, ",\"store_error\":");
        buf_add_json_str(&out, slice_cstr(pipe.why));
    }
    buf_addf(&out, ",\"version\":\"%s\"}", a->opt.version);
    admin_answer_json(req, h.is_ok ? 200 : 503, buf_slice(&out));
    buf_free(&out);
}

void health_serve_ready(struct admin *a, struct http_request *req)
{
    struct feed_status feed;
    struct pipe_status pipe;

    a->parts.feed.ops->status(a->parts.feed.self, &feed);
    pipe_status(a->parts.pipe, &pipe);
    /* While the store has no room capture refuses everything. A store that is only busy is another
     * matter: events are still taken. */
    bool ok = atomic_load(&a->is_ready) && feed.is_writable && !pipe.is_blocked;
    admin_answer_json(req, ok ? 200 : 503,
                      ok ? SLICE("{\"status\":\"ok\"}") : SLICE("{\"status\":\"error\"}"));
}

void health_serve_metrics(struct admin *a, struct http_request *req)
{
    struct slice accept = http_header_get(req, "Accept");
    struct buf out = BUF_INIT(64 << 20);
    bool is_open = false;

    for (struct slice rest = accept, part; slice_split(&rest, ',', &part);)
        is_open = is_open || slice_starts(slice_trim(part), SLICE("application/openmetrics-text"));
    metrics_prometheus(a->opt.metrics, is_open, &out);
    http_respond(req, 200,
                 is_open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                         : "text/plain; version=0.0.4; charset=utf-8",
                 buf_slice(&out));
    buf_free(&out);
}

static void add_feed(struct buf *out, const struct feed_status *f)
{
    buf_addf(out,
             "\"queue\":{\"first\":%llu,\"end\":%llu,\"cursor\":%llu,\"bytes\":%llu,\"budget_"
             "bytes\":%llu,"
             "\"lag_events\":%llu,\"oldest_unread_us\":%lld,\"is_writable\":%s}",
             (unsigned long long)f->first, (unsigned long long)f->end,
             (unsigned long long)f->cursor, (unsigned long long)f->bytes,
             (unsigned long long)f->budget_bytes,
             (unsigned long long)(f->end > f->cursor ? f->end - f->cursor : 0),
             (long long)f->oldest_unread_us, f->is_writable ? "true" : "false");
}

static void add_pipe(struct buf *out, const struct pipe_status *p)
{
    buf_addf(
        out,
        "\"pipeline\":{\"read\":%llu,\"stored\":%llu,\"duplicates\":%llu,\"dead_letters\":%llu,"
        "\"dropped\":%llu,\"in_flight\":%llu,\"last_commit_us\":%lld}",
        (unsigned long long)p->read, (unsigned long long)p->stored,
        (unsigned long long)p->duplicates, (unsigned long long)p->dead_letters,
        (unsigned long long)p->dropped, (unsigned long long)p->in_flight,
        (long long)p->last_commit_us);
}

void health_serve_status(struct admin *a, struct http_request *req)
{
    struct feed_status feed;
    struct pipe_status pipe;
    struct health h = health_check(a, &feed, &pipe);
    struct buf out = BUF_INIT(64 << 10);

    buf_addf(&out, "{\"version\":\"%s\",\"is_ready\":%s,", a->opt.version,
             atomic_load(&a->is_ready) ? "true" : "false");
    add_checks(&out, &h);
    buf_add_char(&out, ',');
    add_feed(&out, &feed);
    buf_add_char(&out, ',');
    add_pipe(&out, &pipe);
    buf_add_char(&out, '}');
    admin_answer_json(req, 200, buf_slice(&out));
    buf_free(&out);
}
