/* http_server.h - HTTP/1.1 server: NET threads, listeners, requests, answers.
 *
 * One event loop per NET thread; each listener is bound on every loop with SO_REUSEPORT (the first
 * bind is made without it to prove that the port is free). llhttp in strict mode parses; requests
 * of one connection are handled one after the other (pipelined bytes wait). Every state has a
 * deadline and a limit: head bytes and count, head time, body bytes, body stall, idle, write stall,
 * connections, body bytes of all connections together.
 *
 * A handler runs on the connection's NET thread once the whole body is there. It answers at once
 * with http_respond, or keeps the request and answers later on that thread (http_resume brings one
 * there from any thread). A request lives until it is answered, even when its client is gone;
 * answering then only frees it. Everything in `req->arena` and all slices of the request live as
 * long.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "metric/metric.h"
#include "net/loop.h"

enum http_method {
    HTTP_M_GET = 1,
    HTTP_M_HEAD = 2,
    HTTP_M_POST = 4,
    HTTP_M_PUT = 8,
    HTTP_M_DELETE = 16,
    HTTP_M_OPTIONS = 32,
    HTTP_M_PATCH = 64,
    HTTP_M_OTHER = 128,
};

struct http_header {
    struct slice name, value;
};

struct http_conn;
struct http_route;
struct http_param {
    struct slice name, value;
};

struct http_request {
    uint32_t magic;
    enum http_method method;
    struct slice method_text;
    struct slice path;  /* as sent, without query, not decoded */
    struct slice query; /* behind the ?, not decoded; may be empty */
    const struct http_header *headers;
    size_t header_count;
    struct slice body;    /* whole, chunked framing removed */
    struct slice peer;    /* address as text, without port; "unix" for a Unix socket */
    bool peer_is_private; /* loopback, private, link-local or Unix: trusted as a proxy by default */
    bool peer_is_loopback;
    int64_t received_us;            /* wall clock when the head was complete */
    const struct http_route *route; /* NULL when none matched */
    struct http_param params[4];
    size_t param_count;
    struct arena *arena;
    struct http_conn *conn; /* private to net */
    struct loop_msg resume; /* private to net */
    void *user;             /* the handler's */
};

/* NULL-pointer slice when absent; the name in any case. First one wins. */
struct slice http_header_get(const struct http_request *req, const char *name);
/* First value of a query parameter, percent-decoded (+ is a space), in the arena. False when
 * absent. */
bool http_query_get(const struct http_request *req, const char *name, struct slice *value);
/* Decodes a form or query text: calls back for each pair, values decoded in the arena. */
typedef bool http_form_fn(struct slice name, struct slice value, void *ctx); /* false stops */
void http_form_each(struct slice text, struct arena *arena, http_form_fn *fn, void *ctx);
struct slice http_param_get(const struct http_request *req, const char *name);

/* Adds a header to the answer (before http_respond). Values with CR, LF or NUL are refused
 * silently. Date, Content-Type, Content-Length, Transfer-Encoding and Connection are the server's.
 */
void http_answer_header(struct http_request *req, const char *name, struct slice value);
/* Sends the answer and ends the request; body is copied. content_type NULL: none. Loop's thread. */
void http_respond(struct http_request *req, int status, const char *content_type,
                  struct slice body);
/* From any thread: fn(ctx) on the request's NET thread. One at a time per request. */
void http_resume(struct http_request *req, loop_fn *fn, void *ctx);
struct loop *http_request_loop(const struct http_request *req);

/* Streams (SSE, JSON lines): after http_stream_begin the request stays open until http_stream_end
 * or until `closed` runs (client gone, write stall, server stop), after which it must not be
 * touched. `closed` never runs inside one of these calls. A client that closes its sending side is
 * gone as well: a stream may be silent for long, and nothing else would tell. */
typedef void http_closed_fn(void *ctx);
void http_stream_begin(struct http_request *req, int status, const char *content_type,
                       http_closed_fn *closed, void *ctx);
/* False when more than `queue_max` bytes wait for a slow client (nothing is added then). */
MUST_CHECK bool http_stream_write(struct http_request *req, struct slice bytes, size_t queue_max);
void http_stream_end(struct http_request *req);

typedef void http_handler_fn(struct http_request *req, void *ctx);

/* `pattern`: "/batch", "/array/:token/config"; matched exactly, with one optional trailing slash
 * when `slash` is set. Other methods than `methods` get 405 with Allow. */
struct http_route {
    unsigned methods; /* HTTP_M_ bits */
    const char *pattern;
    http_handler_fn *handler;
    void *ctx;
    size_t body_bytes_max;
    bool slash;
    bool is_prefix; /* matches everything that begins with the pattern */
};

/* Makes the answer for what the server itself refuses (400 404 405 408 413 417 431 501 503 505).
 * It must answer with http_respond before it returns; `detail` is one sentence. After a malformed
 * head the method is HTTP_M_OTHER and the slices are empty. Allow (405) and Retry-After (503) are
 * added unless it does. */
typedef void http_refuse_fn(struct http_request *req, int status, const char *detail, void *ctx);
/* Called just before every answer's head is written, e.g. to add CORS headers and count. */
typedef void http_answer_fn(struct http_request *req, int status, void *ctx);

/* 0: the value named first. */
struct http_limits {
    size_t head_bytes_max;   /* 32 KiB; over: 431, close */
    size_t header_count_max; /* 100; over: 431, close */
    int64_t head_us;         /* 10 s from the first byte to the end of the head: 408, close */
    int64_t body_stall_us;   /* 30 s without a byte: 408, close */
    /* 4096 bytes a second, negative: none. A body may take body_stall_us and the time that its
     * length (chunked: what has come) needs at this rate; over when bytes come in: 408, close */
    int64_t body_rate_min;
    int64_t idle_us;             /* 75 s keep-alive without a request: close */
    int64_t write_stall_us;      /* 30 s without a byte taken by the client: close */
    size_t connections_max;      /* 10,000 per listener; over: 503, close */
    size_t body_bytes_total_max; /* 256 MiB, bodies of all connections of the listener; over: 503 */
    size_t body_discard_factor;  /* 2: after 413 that many times the limit is read and dropped */
};

struct http_listener_options {
    const char *name;                /* "capture", "admin": for logs and metrics */
    const char *host;                /* name or address; "" or "*": every address */
    int port;                        /* 0: any free one */
    const char *unix_path;           /* instead of host and port, or NULL */
    const char *path_prefix;         /* cut off before routing where a path has it, or "" */
    const struct http_route *routes; /* must outlive the listener */
    size_t route_count;
    http_refuse_fn *refuse; /* NULL: plain text */
    http_answer_fn *answer; /* may be NULL */
    void *ctx;
    struct http_limits limits;
};

struct net;
struct http_listener;

/* Makes the loops; SIGPIPE is ignored in the whole process from then on. `metrics` may be NULL. */
MUST_CHECK struct net *net_new(int threads, struct metrics *metrics, struct err *err);
/* Before net_start. Binds at once: ERR_IO names host and port. NULL on failure. */
MUST_CHECK struct http_listener *net_listen(struct net *n, const struct http_listener_options *opt,
                                            struct err *err);
int http_listener_port(const struct http_listener *l);
size_t http_listener_connections(const struct http_listener *l); /* any thread */
MUST_CHECK bool net_start(struct net *n, struct err *err);
/* Accepts no more connections, closes idle ones, lets running requests and streams end (answers
 * carry Connection: close). True when all are answered, false after timeout_us. */
bool net_drain(struct net *n, int64_t timeout_us);
/* Closes all connections and ends the threads. Requests that handlers still keep may be answered
 * (to nobody) until net_free, which frees the rest. */
void net_stop(struct net *n);
void net_free(struct net *n);
struct loop *net_loop(struct net *n, int index);
int net_loop_count(const struct net *n);
