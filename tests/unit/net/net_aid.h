/* net_aid.h - a real server on a free port, and a client that sends raw bytes.
 *
 * Routes of the server:
 *     /echo          GET POST, any slash: the body back, with X-Method, X-Path and X-Query
 *     /small         POST, body up to 100 bytes: its length as text
 *     /wait          GET POST: kept until aid_answer
 *     /stream        GET HEAD: a stream that the test writes (aid_on_loop, aid->streams)
 *     /user/:id      GET: the id
 * Everything waits for an event and gives up after 10 s.
 */
#pragma once

#include "base/clock.h"
#include "base/mem.h"
#include "lib/unit.h"
#include "net/http_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AID_WAIT_MS  10000
#define AID_KEPT_MAX 16

struct aid {
    struct metrics *metrics;
    struct net *net;
    struct http_listener *listener;
    struct http_listener_options opt;
    struct http_route routes[5];
    struct lock lock;
    struct cond changed;
    struct http_request *kept[AID_KEPT_MAX];
    int kept_count;
    int answers; /* calls of the answer hook */
    int closed;  /* calls of a stream's `closed` */
    int done;    /* of aid_on_loop */
    size_t body_max_seen;
};

/* --- the server --- */

static inline void aid_echo(struct http_request *req, void *ctx)
{
    UNUSED(ctx);
    http_answer_header(req, "X-Method", req->method_text);
    http_answer_header(req, "X-Path", req->path);
    http_answer_header(req, "X-Query", req->query);
    http_respond(req, 200, "text/plain", req->body);
}

static inline void aid_small(struct http_request *req, void *ctx)
{
    UNUSED(ctx);
    http_respond(req, 200, "text/plain",
                 slice_cstr(arena_printf(req->arena, "%zu", req->body.len)));
}

static inline void aid_user(struct http_request *req, void *ctx)
{
    UNUSED(ctx);
    http_respond(req, 200, NULL, http_param_get(req, "id"));
}

static inline void aid_keep(struct aid *a, struct http_request *req)
{
    lock_take(&a->lock);
    CHECK(a->kept_count < AID_KEPT_MAX);
    a->kept[a->kept_count++] = req;
    cond_broadcast(&a->changed);
    lock_drop(&a->lock);
}

static inline void aid_wait(struct http_request *req, void *ctx)
{
    aid_keep(ctx, req);
}

static inline void aid_closed(void *ctx)
{
    struct aid *a = ctx;

    lock_take(&a->lock);
    a->closed++;
    cond_broadcast(&a->changed);
    lock_drop(&a->lock);
}

static inline void aid_stream(struct http_request *req, void *ctx)
{
    http_stream_begin(req, 200, "text/event-stream", aid_closed, ctx);
    aid_keep(ctx, req);
}

static inline void aid_count(struct http_request *req, int status, void *ctx)
{
    struct aid *a = ctx;

    UNUSED(req);
    UNUSED(status);
    lock_take(&a->lock);
    a->answers++;
    lock_drop(&a->lock);
}

static inline void aid_refuse(struct http_request *req, int status, const char *detail, void *ctx)
{
    UNUSED(ctx);
    http_answer_header(req, "X-Refused", req->method_text);
    http_respond(req, status, "text/plain", slice_cstr(detail));
}

/* Fills everything in; the test may change opt before aid_start. */
static inline void aid_init(struct aid *a)
{
    *a = (struct aid){.metrics = metrics_new()};
    lock_init(&a->lock, "aid", RANK_APP);
    cond_init(&a->changed);
    a->routes[0] = (struct http_route){.methods = HTTP_M_GET | HTTP_M_POST | HTTP_M_HEAD,
                                       .pattern = "/echo",
                                       .handler = aid_echo,
                                       .body_bytes_max = 4u << 20,
                                       .slash = true};
    a->routes[1] = (struct http_route){
        .methods = HTTP_M_POST, .pattern = "/small", .handler = aid_small, .body_bytes_max = 100};
    a->routes[2] = (struct http_route){.methods = HTTP_M_GET | HTTP_M_POST,
                                       .pattern = "/wait",
                                       .handler = aid_wait,
                                       .ctx = a,
                                       .body_bytes_max = 1u << 20};
    a->routes[3] = (struct http_route){
        .methods = HTTP_M_GET | HTTP_M_HEAD, .pattern = "/stream", .handler = aid_stream, .ctx = a};
    a->routes[4] =
        (struct http_route){.methods = HTTP_M_GET, .pattern = "/user/:id", .handler = aid_user};
    a->opt = (struct http_listener_options){.name = "test",
                                            .host = "127.0.0.1",
                                            .routes = a->routes,
                                            .route_count = ARRAY_LEN(a->routes),
                                            .refuse = aid_refuse,
                                            .answer = aid_count,
                                            .ctx = a};
}

static inline void aid_start(struct aid *a, int threads)
{
    struct err err = ERR_INIT;

    a->net = net_new(threads, a->metrics, &err);
    assert_non_null(a->net);
    a->listener = net_listen(a->net, &a->opt, &err);
    assert_string_equal(err.text, "");
    assert_non_null(a->listener);
    assert_true(net_start(a->net, &err));
}

static inline void aid_fini(struct aid *a)
{
    net_free(a->net);
    metrics_free(a->metrics);
    cond_fini(&a->changed);
    lock_fini(&a->lock);
}

/* Waits until *what, which is changed under the lock, is at least `value`. */
static inline void aid_await(struct aid *a, const int *what, int value)
{
    lock_take(&a->lock);
    while (*what < value)
        assert_true(cond_wait_us(&a->changed, &a->lock, AID_WAIT_MS * 1000));
    lock_drop(&a->lock);
}

/* The request that came as number `index` (from 0) to /wait or /stream. */
static inline struct http_request *aid_kept(struct aid *a, int index)
{
    aid_await(a, &a->kept_count, index + 1);
    return a->kept[index];
}

struct aid_call {
    struct aid *aid;
    loop_fn *fn;
    void *ctx;
    struct loop_msg msg;
};

static inline void aid_called(void *ctx)
{
    struct aid_call *call = ctx;
    struct aid *a = call->aid;

    call->fn(call->ctx);
    lock_take(&a->lock);
    a->done++;
    cond_broadcast(&a->changed);
    lock_drop(&a->lock);
}

/* Runs fn(ctx) on the first loop and waits for its end. */
static inline void aid_on_loop(struct aid *a, loop_fn *fn, void *ctx)
{
    struct aid_call call = {.aid = a, .fn = fn, .ctx = ctx};
    int before = a->done;

    call.msg = (struct loop_msg){.fn = aid_called, .ctx = &call};
    loop_post(net_loop(a->net, 0), &call.msg);
    aid_await(a, &a->done, before + 1);
}

static inline void aid_answer_now(void *ctx)
{
    struct http_request *req = ctx;

    http_respond(req, 200, "text/plain", req->body.len ? req->body : SLICE("late"));
}

static inline void aid_answer(struct aid *a, int index)
{
    struct http_request *req = aid_kept(a, index);

    http_resume(req, aid_answer_now, req);
}

/* Waits until the server has that many connections. */
static inline void aid_await_connections(struct aid *a, size_t count)
{
    int64_t end = clock_mono_real_us() + AID_WAIT_MS * 1000;

    while (http_listener_connections(a->listener) != count) {
        assert_true(clock_mono_real_us() < end);
        sched_yield();
    }
}

static inline uint64_t aid_refused(struct aid *a, const char *reason)
{
    struct buf text = BUF_INIT(1 << 20);
    char line[200];
    const char *at;
    unsigned long long value = 0;

    assert_true(metrics_prometheus(a->metrics, false, &text));
    snprintf(line, sizeof(line), "hedgerow_http_refused_total{listener=\"test\",reason=\"%s\"} ",
             reason);
    at = strstr(buf_cstr(&text), line);
    assert_non_null(at);
    assert_int_equal(sscanf(at + strlen(line), "%llu", &value), 1);
    buf_free(&text);
    return value;
}

/* --- the client --- */

static inline int aid_connect(struct aid *a)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_listener_port(a->listener)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_not_equal(fd, -1);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    return fd;
}

static inline void aid_send_slice(int fd, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

        assert_true(n > 0);
        bytes = slice_make(bytes.ptr + n, bytes.len - (size_t)n);
    }
}

static inline void aid_send(int fd, const char *text)
{
    aid_send_slice(fd, slice_cstr(text));
}

/* Closes so that the server sees a reset. */
static inline void aid_reset(int fd)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
}

/* Next bytes into *in; 0 at the end, -1 when the connection was reset. */
static inline ssize_t aid_recv(int fd, struct buf *in)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char bytes[4096];
    ssize_t n;

    assert_int_equal(poll(&p, 1, AID_WAIT_MS), 1);
    n = recv(fd, bytes, sizeof(bytes), 0);
    if (n > 0)
        assert_true(buf_add(in, bytes, (size_t)n));
    return n;
}

struct aid_reply {
    int status;
    struct buf head, body;
};

static inline void aid_reply_free(struct aid_reply *r)
{
    buf_free(&r->head);
    buf_free(&r->body);
}

/* Value of a header of the reply, or NULL; valid until the next call. */
static inline const char *aid_header(struct aid_reply *r, const char *name)
{
    static char value[1000];
    struct slice rest = buf_slice(&r->head), line;

    while (slice_split(&rest, '\n', &line)) {
        ptrdiff_t colon = slice_find(line, ':');
        struct slice v;

        if (colon < 0 || !slice_eq_nocase(slice_make(line.ptr, (size_t)colon), slice_cstr(name)))
            continue;
        v = slice_trim(slice_make(line.ptr + colon + 1, line.len - (size_t)colon - 1));
        snprintf(value, sizeof(value), "%.*s", SLICE_ARG(v));
        return value;
    }
    return NULL;
}

static inline void aid_drop_front(struct buf *in, size_t len)
{
    memmove(in->ptr, in->ptr + len, in->len - len);
    in->len -= len;
}

static inline void aid_need(int fd, struct buf *in, size_t len)
{
    while (in->len < len)
        assert_true(aid_recv(fd, in) > 0);
}

static inline void aid_chunks(int fd, struct buf *in, struct buf *body)
{
    unsigned long size;

    do {
        char *end;

        while (!strstr(buf_cstr(in), "\r\n"))
            assert_true(aid_recv(fd, in) > 0);
        size = strtoul(buf_cstr(in), &end, 16);
        assert_true(end[0] == '\r' && end > in->ptr);
        aid_drop_front(in, (size_t)(end - in->ptr) + 2);
        aid_need(fd, in, size + 2);
        assert_true(buf_add(body, in->ptr, size));
        assert_memory_equal(in->ptr + size, "\r\n", 2);
        aid_drop_front(in, size + 2);
    } while (size);
}

/* One reply out of *in (bytes that came before) and the socket; its end by length or chunks. */
static inline int aid_read(int fd, struct buf *in, struct aid_reply *r, bool is_head)
{
    const char *end;

    aid_reply_free(r);
    r->head = r->body = BUF_INIT(64u << 20);
    while (!(end = strstr(buf_cstr(in), "\r\n\r\n")))
        assert_true(aid_recv(fd, in) > 0);
    assert_true(buf_add(&r->head, in->ptr, (size_t)(end - in->ptr) + 2));
    aid_drop_front(in, r->head.len + 2);
    assert_int_equal(sscanf(buf_cstr(&r->head), "HTTP/1.1 %d ", &r->status), 1);
    if (is_head || r->status == 204 || r->status < 200)
        return r->status;
    if (aid_header(r, "Transfer-Encoding")) {
        aid_chunks(fd, in, &r->body);
    } else if (aid_header(r, "Content-Length")) {
        size_t len = strtoul(aid_header(r, "Content-Length"), NULL, 10);

        aid_need(fd, in, len);
        assert_true(buf_add(&r->body, in->ptr, len));
        aid_drop_front(in, len);
    } else {
        while (aid_recv(fd, in) > 0)
            ;
        assert_true(buf_add_slice(&r->body, buf_slice(in)));
        buf_clear(in);
    }
    return r->status;
}

/* Everything until the server closes. */
static inline ssize_t aid_read_all(int fd, struct buf *in)
{
    ssize_t n;

    do
        n = aid_recv(fd, in);
    while (n > 0);
    return n;
}

/* Sends on a new connection, reads one reply, closes. The status. */
static inline int aid_call(struct aid *a, const char *request, struct aid_reply *r)
{
    struct buf in = BUF_INIT(64u << 20);
    int fd = aid_connect(a), status;

    aid_send(fd, request);
    status = aid_read(fd, &in, r, strncmp(request, "HEAD", 4) == 0);
    close(fd);
    buf_free(&in);
    return status;
}
