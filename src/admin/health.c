/* Health is "can this process make progress": the ring takes writes, the pipeline moved or has
 * nothing to do, the store is not stuck. An idle installation is healthy. Nothing here waits for
 * anything.
 */
#include "admin/admin_priv.h"
#include "base/clock.h"
#include "base/fs.h"
#include "metric/process.h"

#include <math.h>

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

static void add_faults(struct buf *out, const struct feed_status *feed,
                       const struct pipe_status *pipe)
{
    if (!feed->is_writable && feed->why_not) {
        buf_add_str(out, ",\"queue_error\":");
        buf_add_json_str(out, slice_cstr(feed->why_not));
    }
    if (pipe->is_degraded) {
        buf_add_str(out, ",\"store_error\":");
        buf_add_json_str(out, slice_cstr(pipe->why));
    }
}

void health_serve(struct admin *a, struct http_request *req)
{
    struct feed_status feed;
    struct pipe_status pipe;
    struct health h = health_check(a, &feed, &pipe);
    struct buf out = BUF_INIT(4096);

    buf_addf(&out, "{\"status\":\"%s\",", h.is_ok ? "ok" : "error");
    add_checks(&out, &h);
    add_faults(&out, &feed, &pipe);
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
    buf_addf(
        out,
        "\"queue\":{\"first\":%llu,\"end\":%llu,\"cursor\":%llu,\"bytes\":%llu,\"budget_"
        "bytes\":%llu,"
        "\"unread_bytes\":%llu,\"lag_events\":%llu,\"oldest_unread_us\":%lld,\"is_writable\":%s}",
        (unsigned long long)f->first, (unsigned long long)f->end, (unsigned long long)f->cursor,
        (unsigned long long)f->bytes, (unsigned long long)f->budget_bytes,
        (unsigned long long)f->unread_bytes,
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

static void add_geo(struct buf *out, struct geo *geo)
{
    struct geo_status s;

    if (!geo) {
        buf_add_str(out, "\"geoip\":null");
        return;
    }
    geo_status(geo, &s);
    buf_addf(out, "\"geoip\":{\"is_loaded\":%s,\"is_stale\":%s,\"built_at\":%lld,\"path\":",
             s.is_loaded ? "true" : "false", s.is_stale ? "true" : "false",
             (long long)s.built_at_s * 1000000);
    buf_add_json_str(out, slice_cstr(s.path));
    buf_add_str(out, ",\"type\":");
    buf_add_json_str(out, slice_cstr(s.type));
    buf_add_str(out, ",\"fault\":");
    buf_add_json_str(out, slice_cstr(s.fault));
    buf_add_char(out, '}');
}

static void add_disk(struct buf *out, const struct admin *a)
{
    struct err err = ERR_INIT;
    uint64_t free_bytes = 0;
    struct buf wal = BUF_INIT(8192);

    buf_addf(&wal, "%s-wal", a->opt.database_path);
    /* The database's own folder is there whatever DATA_DIR says. */
    bool is_known = fs_free_bytes(a->opt.database_path, &free_bytes, &err);
    buf_addf(out, "\"disk\":{\"database_bytes\":%llu,\"wal_bytes\":%llu,\"free_bytes\":",
             (unsigned long long)fs_bytes(a->opt.database_path),
             (unsigned long long)fs_bytes(buf_cstr(&wal)));
    if (is_known)
        buf_add_u64(out, free_bytes);
    else
        buf_add_str(out, "null");
    buf_add_char(out, '}');
    buf_free(&wal);
}

/* Times are microseconds, as everywhere; `now` is the server's, so that ages do not depend on the
 * reader's clock. */
static void add_process(struct buf *out, const struct admin *a)
{
    double cpu = process_cpu_seconds(), resident = process_resident_bytes();

    buf_addf(out, "\"process\":{\"started_at\":%lld,\"now\":%lld", (long long)a->started_us,
             (long long)clock_wall_us());
    if (isfinite(cpu))
        buf_addf(out, ",\"cpu_ms\":%.0f", cpu * 1e3);
    if (isfinite(resident))
        buf_addf(out, ",\"resident_bytes\":%.0f", resident);
    buf_add_char(out, '}');
}

static void add_capture(struct buf *out, const struct admin *a)
{
    struct slice host = slice_cstr(conf_str(a->opt.conf, CONF_CAPTURE_HOST));
    bool is_everywhere = host.len == 0 || slice_eq(host, SLICE("*")) ||
                         slice_eq(host, SLICE("0.0.0.0")) || slice_eq(host, SLICE("::"));

    buf_add_str(out, "\"capture\":{\"url\":");
    buf_add_json_str(out, slice_cstr(a->capture_url ? a->capture_url : ""));
    buf_addf(out, ",\"is_everywhere\":%s}", is_everywhere ? "true" : "false");
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
    add_faults(&out, &feed, &pipe);
    buf_add_char(&out, ',');
    add_process(&out, a);
    buf_add_char(&out, ',');
    add_feed(&out, &feed);
    buf_add_char(&out, ',');
    add_pipe(&out, &pipe);
    buf_add_char(&out, ',');
    add_disk(&out, a);
    buf_add_char(&out, ',');
    add_geo(&out, a->parts.geo);
    buf_add_char(&out, ',');
    add_capture(&out, a);
    buf_add_char(&out, '}');
    admin_answer_json(req, 200, buf_slice(&out));
    buf_free(&out);
}
