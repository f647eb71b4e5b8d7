/* net_priv.h - what the files of the HTTP server share.
 *
 * struct net has one net_loop per NET thread; an http_listener has one net_door on each; a door
 * lets in http_conns. While a request is being read or answered, its connection has an
 * http_exchange, which holds all that the handler sees and may outlive the connection. Everything
 * below a net_loop belongs to its thread; http_listener's counters are atomic.
 */
#pragma once

#include "base/list.h"
#include "net/conn.h"
#include "net/http_parse.h"
#include "net/http_route.h"
#include "net/http_server.h"
#include "net/peer.h"

#define HTTP_CONN_MAGIC    0x48434f4eu
#define HTTP_REQUEST_MAGIC 0x48524551u

struct net_loop;

/* Input of a connection: heads lie in it in one piece, small bodies too. */
struct net_in {
    struct net_in *next; /* in the pool */
    size_t cap;
    char bytes[];
};

/* What a connection waits for; each has a time limit of its own per listener. */
enum http_wait {
    HTTP_WAIT_NONE, /* for a handler */
    HTTP_WAIT_IDLE,
    HTTP_WAIT_HEAD,
    HTTP_WAIT_BODY,
    HTTP_WAIT_WRITE,
    HTTP_WAIT_LINGER,
    HTTP_WAIT_COUNT
};

struct http_listener {
    struct net *net;
    char *name;
    char *unix_path; /* NULL: host and port */
    char *prefix;
    char *place; /* "host:port" or the path, for messages */
    int port;
    struct http_router *router;
    size_t drop_bytes_max; /* of a body that no route wants: the largest body of any route */
    http_refuse_fn *refuse;
    http_answer_fn *answer;
    void *ctx;
    struct http_limits limits;
    int64_t wait_us[HTTP_WAIT_COUNT];
    struct net_door *doors;
    int door_count;
    atomic_size_t connections;
    atomic_size_t body_bytes;          /* held in memory now */
    struct metric_counter *answers[6]; /* by status / 100 */
    struct metric_counter *refused[HTTP_REFUSED_COUNT];
    struct metric_gauge *connections_gauge;
};

/* A listener on one loop. */
struct net_door {
    struct http_listener *listener;
    struct net_loop *nl;
    int fd; /* -1: closed */
    struct event on_accept, on_pause;
    bool is_open;
    struct list waits[HTTP_WAIT_COUNT]; /* connections, the earliest deadline first */
};

struct net_loop {
    struct net *net;
    struct loop *loop;
    struct thread thread;
    struct net_door **doors; /* of all listeners on this loop */
    int door_count;
    struct list conns;
    struct list exchanges; /* that are in use */
    struct http_conn *conn_pool;
    struct http_exchange *exchange_pool;
    struct net_in *in_pool;
    size_t conn_pooled, exchange_pooled, in_pooled;
    struct event on_sweep;
    int64_t sweep_at, swept_at;
    struct buf head; /* of the answer being built */
    char date[40];   /* "Date: ...\r\n" of date_s */
    size_t date_len;
    int64_t date_s;
    char scratch[64 * 1024]; /* for bytes that are dropped */
    struct loop_msg drain_msg, stop_msg;
    bool is_draining, is_drained;
};

struct net {
    struct net_loop **loops;
    int loop_count;
    struct metrics *metrics;
    struct http_listener **listeners;
    int listener_count;
    struct lock lock; /* guards busy_loops and is_draining */
    struct cond drained;
    int busy_loops;
    bool is_draining;
    bool is_started;
};

struct http_exchange {
    struct http_request req;    /* first: what the handler sees */
    struct http_exchange *next; /* in the pool */
    struct list link;           /* in nl->exchanges */
    struct net_loop *nl;
    struct http_listener *listener;
    struct http_spans spans;
    struct http_header *headers;
    size_t header_cap;
    struct http_frame frame;
    struct net_in *in; /* the head and a small body, once the connection is gone */
    char *body;        /* a body that is not in the input */
    size_t body_len, body_cap;
    size_t body_counted; /* of listener->body_bytes */
    struct buf extra;    /* headers of the answer, each with CR LF */
    struct http_match match;
    bool is_refused;
    bool is_stream, is_chunked_out;
    bool is_ended; /* a stream whose client was gone at the start has been ended */
    http_closed_fn *closed;
    void *closed_ctx;
    struct peer peer;
};

/* Where a connection stands with its current request. */
enum http_phase {
    HTTP_PHASE_IDLE,    /* between requests: no exchange */
    HTTP_PHASE_HEAD,    /* the head is on its way */
    HTTP_PHASE_BODY,    /* the body is */
    HTTP_PHASE_HANDLE,  /* the handler has it */
    HTTP_PHASE_STREAM,  /* the handler writes a stream */
    HTTP_PHASE_DISCARD, /* answered, the rest of the body is dropped: no exchange */
    HTTP_PHASE_LINGER,  /* said goodbye, waits for the client to read it: no exchange */
};

enum http_body_place { HTTP_BODY_IN_INPUT, HTTP_BODY_ON_HEAP, HTTP_BODY_DROPPED };

struct http_conn {
    uint32_t magic;
    struct conn io;
    struct net_door *door;
    struct list link;       /* in nl->conns */
    struct http_conn *next; /* in the pool */
    struct list wait_link;
    enum http_wait wait;
    int64_t deadline_us;
    struct net_in *in;         /* NULL while there is nothing in it */
    size_t begin, parsed, end; /* of the current request; of what llhttp has seen; of the bytes */
    struct http_parse parse;
    enum http_phase phase;
    struct http_exchange *exchange;
    enum http_body_place body_place;
    size_t body_at;     /* in the input: behind the head */
    uint64_t body_seen; /* bytes of the body so far */
    uint64_t body_max;  /* over: 413 */
    uint64_t drop_max;  /* over: close */
    int64_t slow_since; /* when the body, or the goodbye, was first waited for; 0: not yet */
    size_t linger_left; /* bytes to be dropped in HTTP_PHASE_LINGER */
    int late_status;    /* a refusal found inside the parser, to be said behind it */
    bool is_poised;     /* the parser can go on without more bytes */
    bool is_whole;      /* the message is complete */
    bool is_last;       /* close when this is answered */
    bool is_abrupt;     /* close without lingering */
    bool is_driving;
    bool is_eof;
    bool has_progress; /* since the deadline was set */
    struct peer peer;
};

/* http_exchange.c: pools of exchanges and input buffers. */
struct http_exchange *http_exchange_new(struct http_conn *c);
void http_exchange_release(struct http_exchange *x); /* answered or given up */
void http_exchange_pools_free(struct net_loop *nl);
struct http_exchange *http_exchange_of(const struct http_request *req);
/* Room for `len` bytes of body in all; false when memory is out. */
MUST_CHECK bool http_exchange_reserve(struct http_exchange *x, size_t len);
/* Counts body bytes that are held; false (nothing counted) when all bodies together are too many.
 */
MUST_CHECK bool http_exchange_count(struct http_exchange *x, size_t len);
struct net_in *net_in_new(struct net_loop *nl, size_t cap);
void net_in_release(struct net_loop *nl, struct net_in *in);

/* http_conn.c */
void http_conn_new(struct net_door *door, int fd, const struct sockaddr_storage *address);
void http_conn_close(struct http_conn *c); /* not from inside a handler */
void http_conn_drive(struct http_conn *c);
void http_conn_answered(struct http_conn *c); /* by http_answer.c, behind an answer */
void http_conn_watch(struct http_conn *c);    /* sets deadline and reading to what is so now */
void http_conn_expired(struct http_conn *c, enum http_wait wait);
void http_conn_drain(struct http_conn *c);
void http_conn_pool_free(struct net_loop *nl);

/* http_message.c */
bool http_message_body(const char *at, size_t len,
                       void *ctx); /* an http_body_fn of the http_conn */
void http_message_start(struct http_conn *c);
void http_message_act(struct http_conn *c, enum http_step what); /* what follows from a step */
void http_message_end(struct http_conn *c);
/* Where the next bytes go; false when they have to wait in the socket. */
bool http_input_room(struct http_conn *c, char **to, size_t *room);
/* True when the next bytes are the body's and go straight to its place. */
bool http_body_room(struct http_conn *c, char **to, size_t *room);

/* http_answer.c */
void http_answer_continue(struct http_conn *c);
/* Says what was refused; the answer is given and the exchange gone when this returns. */
void http_answer_refusal(struct http_conn *c, int status, enum http_refusal reason,
                         const char *detail);
void http_answer_close_stream(struct http_exchange *x); /* its connection is gone */
/* The whole answer to a connection over the limit. */
struct slice http_answer_overload(void);

/* http_deadline.c */
void http_deadline_start(struct net_loop *nl);
void http_deadline_stop(struct net_loop *nl);
/* The same wait again keeps its deadline unless there was progress; a body that is slower than
 * body_rate_min is over with its next progress. */
void http_deadline_set(struct http_conn *c, enum http_wait wait);

/* http_request.c: text itself when there is nothing to decode. */
struct slice http_decode(struct slice text, bool plus_is_space, struct arena *arena);

/* listener.c */
MUST_CHECK bool listener_bind(struct http_listener *l, const char *host, int port, struct err *err);
void listener_open(struct net_door *door);  /* begins to accept */
void listener_drain(struct net_door *door); /* accepts who waits already, then closes */
void listener_close(struct net_door *door);
void listener_fini(struct http_listener *l); /* closes all doors */

/* http_server.c: tells net_drain when the last request of a loop is gone. */
void net_loop_check_drained(struct net_loop *nl);
