/* One connection: reads, parses one request after the other, hands it to its handler.
 *
 *            +--------------------------- next request --------------------------+
 *            v                                                                   |
 *   IDLE -> HEAD -> BODY -> HANDLE -> answered -----------------------------> IDLE
 *            |       |         |  \-> STREAM -> ended --------------------------^
 *            |       +- refused (413, 503): answered -> DISCARD -> message ends -^
 *            +- refused (400, 408, 431): answered -> LINGER -> closed
 *
 * http_conn_drive is the only loop: it runs step() until the connection has to wait, and then
 * settle() decides what it waits for, or closes it. Handlers run inside the loop; an answer given
 * there only marks the request as answered, one given later starts the loop again. So pipelined
 * requests cost no stack, and a connection is never freed under a function that works on it.
 *
 * Nothing of the next request is parsed while one is being handled or an answer is queued; what the
 * client sends meanwhile fills the input, and then the socket is not read any more. */
#include "base/clock.h"
#include "base/mem.h"
#include "net/net_priv.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define POOLED_MAX   1024
#define LINGER_BYTES ((size_t)256 * 1024)

static void on_readable(struct conn *io);
static void on_flushed(struct conn *io);

static struct http_conn *conn_of(struct conn *io)
{
    return OBJ(CONTAINER_OF(io, struct http_conn, io), struct http_conn, HTTP_CONN_MAGIC);
}

/* --- birth and death --- */

static void count_connections(struct http_listener *l, int change)
{
    size_t before =
        change > 0 ? atomic_fetch_add(&l->connections, 1) : atomic_fetch_sub(&l->connections, 1);

    if (l->connections_gauge)
        metric_set(l->connections_gauge, (double)(change > 0 ? before + 1 : before - 1));
}

void http_conn_new(struct net_door *door, int fd, const struct sockaddr_storage *address)
{
    struct net_loop *nl = door->nl;
    struct http_conn *c = nl->conn_pool;
    const struct http_limits *limits = &door->listener->limits;

    if (c) {
        nl->conn_pool = c->next;
        nl->conn_pooled--;
    } else {
        c = mem_alloc(sizeof(*c));
    }
    *c = (struct http_conn){.magic = HTTP_CONN_MAGIC, .door = door};
    peer_set(&c->peer, address);
    http_parse_init(&c->parse, limits->head_bytes_max, limits->header_count_max, http_message_body,
                    c);
    list_push_back(&nl->conns, &c->link);
    count_connections(door->listener, 1);
    if (address->ss_family != AF_UNIX) {
        int one = 1;

        // A failure only costs time: answers are written in one piece anyway.
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    conn_open(&c->io, loop_base(nl->loop), fd, &conn_plain, on_readable, on_flushed);
    if (c->io.is_broken)
        http_conn_close(c);
    else
        http_deadline_set(c, HTTP_WAIT_IDLE);
}

// The exchange loses its connection: a handler's lives on, others end here.
static void leave_exchange(struct http_conn *c)
{
    struct http_exchange *x = c->exchange;

    if (!x)
        return;
    c->exchange = NULL;
    x->req.conn = NULL;
    if (c->phase == HTTP_PHASE_HANDLE) {
        x->in = c->in;
        c->in = NULL;
    } else if (c->phase == HTTP_PHASE_STREAM) {
        http_answer_close_stream(x);
    } else {
        http_exchange_release(x);
    }
}

void http_conn_close(struct http_conn *c)
{
    struct net_loop *nl = c->door->nl;

    CHECK(!c->is_driving);
    http_deadline_set(c, HTTP_WAIT_NONE);
    list_remove(&c->link);
    conn_close(&c->io);
    count_connections(c->door->listener, -1);
    leave_exchange(c);
    net_in_release(nl, c->in);
    c->magic = 0;
    if (nl->conn_pooled >= POOLED_MAX) {
        mem_free(c);
    } else {
        c->next = nl->conn_pool;
        nl->conn_pool = c;
        nl->conn_pooled++;
    }
    if (nl->is_draining)
        net_loop_check_drained(nl);
}

void http_conn_pool_free(struct net_loop *nl)
{
    while (nl->conn_pool) {
        struct http_conn *c = nl->conn_pool;

        nl->conn_pool = c->next;
        mem_free(c);
    }
    nl->conn_pooled = 0;
}

/* --- the loop --- */

// One call of the parser and what follows from it; false when the connection has to wait.
static bool step(struct http_conn *c)
{
    size_t taken = 0;
    enum http_step what;

    if (c->io.is_broken || conn_queued(&c->io) || c->phase == HTTP_PHASE_HANDLE ||
        c->phase == HTTP_PHASE_STREAM || c->phase == HTTP_PHASE_LINGER)
        return false;
    if (c->is_last && !c->exchange) // the last answer is given
        return false;
    if (!c->is_poised && c->parsed == c->end)
        return false;
    if (c->phase == HTTP_PHASE_IDLE)
        http_message_start(c);
    c->is_poised = false;
    what = http_parse_run(&c->parse, c->in->bytes + c->begin, c->in->bytes + c->parsed,
                          c->end - c->parsed, &taken);
    if (what != HTTP_STEP_BAD)
        c->parsed += taken;
    http_message_act(c, what);
    return true;
}

static void finish(struct http_conn *c)
{
    bool is_unread = c->phase == HTTP_PHASE_DISCARD || c->parsed < c->end;

    if (!is_unread || c->is_abrupt || c->is_eof) {
        http_conn_close(c);
        return;
    }
    // Closing with unread bytes would send a reset, which may overtake the answer.
    conn_finish(&c->io);
    c->phase = HTTP_PHASE_LINGER;
    c->slow_since = 0;
    c->body_seen = 0;
    c->linger_left = (size_t)MIN(MAX(c->drop_max, LINGER_BYTES), SIZE_MAX);
    net_in_release(c->door->nl, c->in);
    c->in = NULL;
    c->begin = c->parsed = c->end = 0;
    http_conn_watch(c);
}

// Decides what an idle connection waits for, or closes it: the last thing done to it in a turn.
static void settle(struct http_conn *c)
{
    bool is_handled = c->phase == HTTP_PHASE_HANDLE || c->phase == HTTP_PHASE_STREAM;

    if (c->io.is_broken || (c->is_eof && c->phase == HTTP_PHASE_STREAM)) {
        http_conn_close(c);
        return;
    }
    if (!conn_queued(&c->io) && !is_handled) {
        if (c->is_last && !c->exchange && c->phase != HTTP_PHASE_LINGER) {
            finish(c);
            return;
        }
        if (c->is_eof || (c->door->nl->is_draining && c->phase == HTTP_PHASE_IDLE)) {
            http_conn_close(c);
            return;
        }
    }
    if (c->phase == HTTP_PHASE_IDLE && c->in && c->parsed == c->end) {
        net_in_release(c->door->nl, c->in);
        c->in = NULL;
        c->begin = c->parsed = c->end = 0;
    }
    http_conn_watch(c);
    if (c->io.is_broken)
        http_conn_close(c);
}

void http_conn_drive(struct http_conn *c)
{
    CHECK(!c->is_driving);
    c->is_driving = true;
    while (step(c))
        ;
    c->is_driving = false;
    settle(c);
}

void http_conn_answered(struct http_conn *c)
{
    c->exchange = NULL;
    if (c->is_whole)
        http_message_end(c);
    else
        c->phase = HTTP_PHASE_DISCARD;
    if (!c->is_driving)
        http_conn_drive(c);
}

static enum http_wait wait_of(const struct http_conn *c)
{
    if (conn_queued(&c->io))
        return HTTP_WAIT_WRITE;
    switch (c->phase) {
    case HTTP_PHASE_IDLE:
        return HTTP_WAIT_IDLE;
    case HTTP_PHASE_HEAD:
        return HTTP_WAIT_HEAD;
    case HTTP_PHASE_BODY:
    case HTTP_PHASE_DISCARD:
        return HTTP_WAIT_BODY;
    case HTTP_PHASE_LINGER:
        return HTTP_WAIT_LINGER;
    case HTTP_PHASE_HANDLE:
    case HTTP_PHASE_STREAM:
        break;
    }
    return HTTP_WAIT_NONE;
}

void http_conn_watch(struct http_conn *c)
{
    bool is_held = c->phase == HTTP_PHASE_HANDLE || c->phase == HTTP_PHASE_STREAM;
    bool is_full = c->in && c->end == c->in->cap && (is_held || c->parsed < c->end);

    http_deadline_set(c, wait_of(c));
    conn_set_reading(&c->io, !c->is_eof && !is_full);
}

static void linger(struct http_conn *c)
{
    struct net_loop *nl = c->door->nl;
    ssize_t n = conn_read(&c->io, nl->scratch, MIN(sizeof(nl->scratch), c->linger_left));

    if (n == CONN_AGAIN)
        return;
    if (n > 0 && (size_t)n < c->linger_left) {
        c->linger_left -= (size_t)n;
        c->body_seen += (size_t)n;
        c->has_progress = true;
        http_conn_watch(c);
        return;
    }
    http_conn_close(c);
}

static void on_readable(struct conn *io)
{
    struct http_conn *c = conn_of(io);
    bool is_direct;
    size_t room;
    ssize_t n;
    char *to;

    if (c->phase == HTTP_PHASE_LINGER) {
        linger(c);
        return;
    }
    is_direct = http_body_room(c, &to, &room);
    if (!is_direct && !http_input_room(c, &to, &room)) {
        conn_set_reading(&c->io, false);
        return;
    }
    n = conn_read(&c->io, to, room);
    if (n == 0) {
        c->is_eof = true;
    } else if (n > 0) {
        c->has_progress |= c->phase == HTTP_PHASE_BODY || c->phase == HTTP_PHASE_DISCARD;
        if (is_direct) {
            size_t taken;

            c->is_driving = true;
            http_message_act(
                c, http_parse_run(&c->parse, c->in->bytes + c->begin, to, (size_t)n, &taken));
            c->is_driving = false;
        } else {
            c->end += (size_t)n;
        }
    }
    http_conn_drive(c);
}

static void on_flushed(struct conn *io)
{
    struct http_conn *c = conn_of(io);

    c->has_progress = true;
    http_conn_drive(c);
}

void http_conn_expired(struct http_conn *c, enum http_wait wait)
{
    bool is_body = wait == HTTP_WAIT_BODY;

    if (!c->exchange || (wait != HTTP_WAIT_HEAD && !is_body)) {
        http_conn_close(c);
        return;
    }
    c->is_last = c->is_abrupt = c->is_driving = true;
    c->exchange->req.received_us = clock_wall_us();
    http_answer_refusal(c, 408, HTTP_REFUSED_TIMEOUT,
                        is_body ? "The body stalled or came too slowly."
                                : "The head of the request did not come in time.");
    c->is_driving = false;
    http_conn_drive(c);
}

void http_conn_drain(struct http_conn *c)
{
    // A request that is in the socket already is answered; without one the connection is closed.
    if (c->phase == HTTP_PHASE_IDLE && c->io.is_reading)
        on_readable(&c->io);
}
