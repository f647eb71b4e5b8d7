/* Live tail: stored events, one JSON line each, to any number of listeners. Programs get lines,
 * browsers (who ask for text/event-stream) get server-sent events, and not more of them than a
 * person can follow: what is over EVENTS_PER_SECOND is skipped as well.
 *
 * STORE hands every line to tail_line after the commit (only while somebody listens). A listener
 * has a buffer of at most TAIL_PENDING_MAX; lines that do not fit are left out and counted, and the
 * listener is told with a `{"skipped":N}` line, so that a slow reader costs nobody anything. The
 * first line into an empty buffer posts one message to the listener's NET loop, which moves the
 * buffer into the connection.
 *
 * Lifetime: a listener is freed on its loop only: by `closed` (client gone) or at the stop, when no
 * message is under way; with one under way, the message frees it.
 */
#include "admin/admin_priv.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"

#define TAIL_PENDING_MAX (1u << 20)
#define TAIL_QUEUE_MAX   (4u << 20)

#define EVENTS_PER_SECOND 100
#define SKIPPED_EVERY_US  250000 /* while events are skipped, their number is told so often */

struct tail {
    struct lock lock;
    struct list listeners;
    struct pipe *pipe;
    bool is_stopped;
};

struct listener {
    struct list node;
    struct tail *tail;
    struct http_request *req; /* NULL once the stream is closed; the loop's */
    struct loop *loop;
    struct loop_msg msg;
    bool is_posted;     /* under the lock */
    bool is_closing;    /* under the lock: end the stream, then free */
    int64_t team_id;    /* 0: all */
    char *event;        /* NULL: all */
    char *distinct_id;  /* likewise */
    bool is_browser;    /* server-sent events, not too many */
    int64_t second_us;  /* when the running second began */
    unsigned in_second; /* events of it */
    int64_t told_us;    /* when `skipped` was last told because of too many events */
    struct buf pending;
    uint64_t pending_lines;
    uint64_t skipped; /* lines that the client was not told yet */
};

static void listener_free(struct listener *l)
{
    buf_free(&l->pending);
    mem_free(l->event);
    mem_free(l->distinct_id);
    mem_free(l);
}

/* The rest of an end: called with the lock held, drops it. */
static void listener_leave(struct listener *l)
{
    struct tail *t = l->tail;
    bool is_free = !l->is_posted;

    list_remove(&l->node);
    lock_drop(&t->lock);
    pipe_tail_listeners(t->pipe, -1);
    if (is_free)
        listener_free(l);
}

static void on_closed(void *ctx)
{
    struct listener *l = ctx;

    lock_take(&l->tail->lock);
    l->req = NULL;
    if (l->is_closing) { /* tail_stop has taken it off the list and its message frees it */
        lock_drop(&l->tail->lock);
        return;
    }
    listener_leave(l);
}

static void on_loop(void *ctx)
{
    struct listener *l = ctx;
    struct tail *t = l->tail;
    struct buf bytes = BUF_INIT(TAIL_PENDING_MAX + 64);

    lock_take(&t->lock);
    l->is_posted = false;
    if (!l->req || l->is_closing) {
        struct http_request *req = l->req;
        lock_drop(&t->lock);
        if (req)
            http_stream_end(req);
        listener_free(l);
        return;
    }
    buf_add_slice(&bytes, buf_slice(&l->pending));
    buf_clear(&l->pending);
    if (l->skipped)
        buf_addf(&bytes, l->is_browser ? "event: skipped\ndata: %llu\n\n" : "{\"skipped\":%llu}\n",
                 (unsigned long long)l->skipped);
    uint64_t lost = l->pending_lines + l->skipped; /* if the client does not read */
    l->pending_lines = l->skipped = 0;
    struct http_request *req = l->req;
    lock_drop(&t->lock);
    if (!http_stream_write(req, buf_slice(&bytes), TAIL_QUEUE_MAX)) {
        lock_take(&t->lock);
        l->skipped += lost;
        lock_drop(&t->lock);
    }
    buf_free(&bytes);
}

static void listener_post(struct listener *l)
{
    if (l->is_posted)
        return;
    l->is_posted = true;
    l->msg.fn = on_loop;
    l->msg.ctx = l;
    loop_post(l->loop, &l->msg);
}

static bool listener_wants(const struct listener *l, const struct pipe_tail_event *e)
{
    return (l->team_id == 0 || l->team_id == e->team_id) &&
           (!l->event || slice_eq(slice_cstr(l->event), e->event)) &&
           (!l->distinct_id || slice_eq(slice_cstr(l->distinct_id), e->distinct_id));
}

/* False: the listener is a browser that has had enough for this second. */
static bool take_turn(struct listener *l, int64_t now)
{
    if (!l->is_browser)
        return true;
    if (now - l->second_us >= 1000000) {
        l->second_us = now;
        l->in_second = 0;
    }
    return l->in_second++ < EVENTS_PER_SECOND;
}

static void add_line(struct listener *l, struct slice line)
{
    const char *begin = l->is_browser ? "data: " : "", *end = l->is_browser ? "\n\n" : "\n";

    buf_add_str(&l->pending, begin);
    buf_add_slice(&l->pending, line);
    buf_add_str(&l->pending, end);
    l->pending_lines++;
}

static void tail_line(const struct pipe_tail_event *e, void *ctx)
{
    struct tail *t = ctx;
    int64_t now = clock_mono_us();

    lock_take(&t->lock);
    list_each (node, &t->listeners) {
        struct listener *l = list_entry(node, struct listener, node);
        if (!listener_wants(l, e))
            continue;
        if (!take_turn(l, now)) {
            l->skipped++;
            if (now - l->told_us < SKIPPED_EVERY_US)
                continue;
            l->told_us = now;
        } else if (l->pending.len + e->json_line.len + sizeof("data: \n\n") > TAIL_PENDING_MAX) {
            l->skipped++;
        } else {
            add_line(l, e->json_line);
        }
        listener_post(l);
    }
    lock_drop(&t->lock);
}

static char *query_text(const struct http_request *req, const char *name)
{
    struct slice value;

    return http_query_get(req, name, &value) ? slice_dup(value) : NULL;
}

void tail_serve(struct tail *t, struct http_request *req)
{
    struct slice team = SLICE_NONE;
    uint64_t team_id = 0;
    bool is_browser = slice_starts(http_header_get(req, "Accept"), SLICE("text/event-stream"));

    if (http_query_get(req, "team", &team) && (!slice_u64(team, &team_id) || team_id > INT64_MAX)) {
        admin_answer_fault(req, 400, "bad_team",
                           "the query parameter `team` must be a team's number");
        return;
    }
    lock_take(&t->lock);
    if (t->is_stopped) {
        lock_drop(&t->lock);
        admin_answer_fault(req, 503, "stopping", "the server is stopping");
        return;
    }
    struct listener *l = mem_new(struct listener);
    l->tail = t;
    l->req = req;
    l->loop = http_request_loop(req);
    l->team_id = (int64_t)team_id;
    l->event = query_text(req, "event");
    l->distinct_id = query_text(req, "distinct_id");
    l->is_browser = is_browser;
    l->pending = BUF_INIT(TAIL_PENDING_MAX);
    list_push_back(&t->listeners, &l->node);
    lock_drop(&t->lock);
    pipe_tail_listeners(t->pipe, 1);
    http_answer_header(req, "Cache-Control", SLICE("no-store"));
    http_answer_header(req, "X-Accel-Buffering", SLICE("no")); /* proxies pass events on at once */
    http_stream_begin(req, 200, is_browser ? "text/event-stream" : "application/x-ndjson",
                      on_closed, l);
}

struct tail *tail_new(struct pipe *pipe)
{
    struct tail *t = mem_new(struct tail);

    lock_init(&t->lock, "tail", RANK_APP);
    list_init(&t->listeners);
    t->pipe = pipe;
    pipe_tail_set(pipe, tail_line, t);
    return t;
}

void tail_stop(struct tail *t)
{
    lock_take(&t->lock);
    t->is_stopped = true;
    list_each_safe (node, next, &t->listeners) {
        struct listener *l = list_entry(node, struct listener, node);
        list_remove(&l->node);
        l->is_closing = true;
        listener_post(l);
        pipe_tail_listeners(t->pipe, -1);
    }
    lock_drop(&t->lock);
}

void tail_free(struct tail *t)
{
    if (!t)
        return;
    CHECK(list_is_empty(&t->listeners));
    lock_fini(&t->lock);
    mem_free(t);
}
