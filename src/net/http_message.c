/* The input of a connection and the request that comes out of it, up to the call of its handler.
 *
 * Bytes are read to in->bytes[end]; llhttp has seen those before `parsed`; the request begins
 * at `begin`. From the end of the head until the answer the input does not move, because slices
 * point into it. A body that fits behind its head stays there (nothing is copied); a longer one
 * with Content-Length is read straight into a buffer of its own; a chunked one is copied there.
 *
 * Refusals that come up inside the parser (on its way through the body) are kept in late_status and
 * said behind it. */
#include "base/clock.h"
#include "base/mem.h"
#include "net/net_priv.h"

#define ROOM_MIN     2048              /* behind the head of a chunked message */
#define BODY_AT_ONCE ((size_t)1 << 20) /* announced bodies up to here get their memory at once */
#define BODY_CHUNKED 4096

static const struct http_limits *limits_of(const struct http_conn *c)
{
    return &c->door->listener->limits;
}

/* --- body --- */

static bool append_body(struct http_exchange *x, const char *at, size_t len, size_t max)
{
    size_t need = x->body_len + len;

    if (len == 0)
        return true;
    if (x->body && at == x->body + x->body_len) { // it was read into its place
        x->body_len = need;
        return true;
    }
    if (need > x->body_cap &&
        !http_exchange_reserve(x, MIN(MAX(MAX(need, BODY_CHUNKED), x->body_cap * 2), max)))
        return false;
    memcpy(x->body + x->body_len, at, len);
    x->body_len = need;
    return true;
}

static void drop_body(struct http_conn *c, int status)
{
    c->body_place = HTTP_BODY_DROPPED;
    c->late_status = status;
}

// Called by the parser: must not answer or close, so a refusal is left for step().
bool http_message_body(const char *at, size_t len, void *ctx)
{
    struct http_conn *c = ctx;
    struct http_exchange *x = c->exchange;

    c->body_seen += len;
    if (c->body_place != HTTP_BODY_DROPPED) {
        if (c->body_seen > c->body_max) {
            drop_body(c, 413);
        } else if (!http_exchange_count(x, len)) {
            drop_body(c, 503);
        } else if (c->body_place == HTTP_BODY_IN_INPUT) {
            x->body_len += len;
        } else if (!append_body(x, at, len, (size_t)c->body_max)) {
            drop_body(c, 503);
        }
    }
    return c->body_place != HTTP_BODY_DROPPED || c->body_seen <= c->drop_max;
}

/* --- input --- */

static bool may_move_input(const struct http_conn *c)
{
    return c->phase == HTTP_PHASE_IDLE || c->phase == HTTP_PHASE_HEAD ||
           c->phase == HTTP_PHASE_DISCARD;
}

static void compact_input(struct http_conn *c)
{
    if (c->begin == 0)
        return;
    memmove(c->in->bytes, c->in->bytes + c->begin, c->end - c->begin);
    c->parsed -= c->begin;
    c->end -= c->begin;
    c->begin = 0;
}

static void grow_input(struct http_conn *c, size_t cap)
{
    struct net_in *in = net_in_new(c->door->nl, cap);

    memcpy(in->bytes, c->in->bytes + c->begin, c->end - c->begin);
    net_in_release(c->door->nl, c->in);
    c->in = in;
    c->parsed -= c->begin;
    c->end -= c->begin;
    c->begin = 0;
}

// Where the next bytes go; false when there is no room and they have to wait in the socket.
bool http_input_room(struct http_conn *c, char **to, size_t *room)
{
    if (!c->in) {
        c->in = net_in_new(c->door->nl, 0);
        c->begin = c->parsed = c->end = 0;
    }
    if (c->phase == HTTP_PHASE_BODY && c->parsed == c->end && c->body_place != HTTP_BODY_IN_INPUT)
        c->parsed = c->end = c->body_at; // chunks that were copied
    if (may_move_input(c) && c->parsed == c->end && c->phase != HTTP_PHASE_HEAD)
        c->begin = c->parsed = c->end = 0;
    if (c->end == c->in->cap && may_move_input(c)) {
        if (c->begin > 0)
            compact_input(c);
        else if (c->phase == HTTP_PHASE_HEAD) // the head's limit ends this
            grow_input(c, c->in->cap * 2);
    }
    *to = c->in->bytes + c->end;
    *room = c->in->cap - c->end;
    return *room > 0;
}

// A body with Content-Length that is not in the input goes straight to its place.
bool http_body_room(struct http_conn *c, char **to, size_t *room)
{
    struct http_exchange *x = c->exchange;
    size_t left;

    if (c->phase != HTTP_PHASE_BODY || c->body_place != HTTP_BODY_ON_HEAP || x->frame.is_chunked ||
        c->parsed != c->end)
        return false;
    left = (size_t)x->frame.length - x->body_len;
    if (x->body_len == x->body_cap &&
        !http_exchange_reserve(x, MIN(x->body_cap * 2, x->body_len + left)))
        return false; // the parser's callback will fail too, and refuse
    *to = x->body + x->body_len;
    *room = MIN(left, x->body_cap - x->body_len);
    return *room > 0;
}

/* --- one request --- */

// Finds the place for the body while the input may still move.
static void place_body(struct http_conn *c)
{
    const llhttp_t *ll = &c->parse.ll;
    size_t head = c->parse.head_len;

    c->body_place = HTTP_BODY_ON_HEAP;
    if (ll->flags & F_CHUNKED) {
        if (c->in->cap - c->parsed < ROOM_MIN)
            grow_input(c, c->end - c->begin + ROOM_MIN);
    } else if (ll->content_length <= c->in->cap - head) {
        c->body_place = HTTP_BODY_IN_INPUT;
        if (ll->content_length > c->in->cap - c->parsed)
            compact_input(c);
    }
    c->body_at = c->parsed;
}

static void find_route(struct http_conn *c)
{
    struct http_exchange *x = c->exchange;
    const struct http_listener *l = c->door->listener;
    struct slice path = x->req.path, prefix = slice_cstr(l->prefix);

    if (prefix.len && slice_starts(path, prefix)) {
        struct slice rest = slice_make(path.ptr + prefix.len, path.len - prefix.len);

        if (rest.len == 0)
            path = SLICE("/");
        else if (rest.ptr[0] == '/')
            path = rest;
    }
    http_router_find(l->router, path, x->req.method, &x->match);
    x->req.route = x->match.route;
    x->req.param_count = x->match.param_count;
    for (size_t i = 0; i < x->match.param_count; i++) {
        x->req.params[i] = x->match.params[i];
        x->req.params[i].value = http_decode(x->match.params[i].value, false, x->req.arena);
    }
}

static void set_body_limits(struct http_conn *c)
{
    const struct http_listener *l = c->door->listener;
    const struct http_route *route = c->exchange->match.route;
    uint64_t max = route ? route->body_bytes_max : l->drop_bytes_max;
    uint64_t factor = l->limits.body_discard_factor;

    c->body_max = route ? max : 0;
    c->drop_max = factor && max > UINT64_MAX / factor ? UINT64_MAX : max * factor;
}

// What can be refused before the body comes; 0 when nothing.
static int check_head(const struct http_conn *c, enum http_refusal *reason, const char **detail)
{
    const struct http_exchange *x = c->exchange;
    size_t total_max = limits_of(c)->body_bytes_total_max;
    size_t held = atomic_load_explicit(&x->listener->body_bytes, memory_order_relaxed);

    *reason = HTTP_REFUSED_ROUTE;
    if (!x->match.route) {
        *detail = x->match.allow ? "The method is not allowed here." : "There is nothing here.";
        return x->match.allow ? 405 : 404;
    }
    *reason = HTTP_REFUSED_EXPECTATION;
    *detail = "Only the expectation 100-continue can be met.";
    if (x->frame.expects_other)
        return 417;
    *reason = HTTP_REFUSED_BODY_TOO_LARGE;
    *detail = "The body is too large.";
    if (x->frame.length > c->body_max)
        return 413;
    *reason = HTTP_REFUSED_MEMORY;
    *detail = "Too many request bodies are being read.";
    if (x->frame.length && (x->frame.length > total_max || held > total_max - x->frame.length))
        return 503;
    return 0;
}

// Answers now and drops the body behind the answer, if it is worth that.
static void refuse_early(struct http_conn *c, int status, enum http_refusal reason,
                         const char *detail)
{
    const struct http_frame *f = &c->exchange->frame;

    c->body_place = HTTP_BODY_DROPPED;
    // A client that waits for 100 may send its body or not: nobody knows what comes next.
    if (f->length > c->drop_max || (f->expects_continue && c->parsed == c->end))
        c->is_last = true;
    http_answer_refusal(c, status, reason, detail);
}

// The head is complete: makes the request, finds its route, prepares for its body.
static void begin_request(struct http_conn *c)
{
    struct http_exchange *x = c->exchange;
    struct http_frame *f = &x->frame;
    enum http_refusal reason;
    const char *detail;
    int status;

    c->is_poised = true;
    c->slow_since = 0;
    place_body(c);
    c->phase = HTTP_PHASE_BODY;
    x->req.received_us = clock_wall_us();
    if (x->header_cap < x->spans.count) {
        mem_free(x->headers);
        x->header_cap = x->spans.cap;
        x->headers = mem_new_array(struct http_header, x->header_cap);
    }
    if (!http_parse_head(&c->parse, c->in->bytes + c->begin, x->headers, &x->req, f)) {
        c->is_last = true;
        http_answer_refusal(c, c->parse.status, c->parse.reason, c->parse.detail);
        return;
    }
    find_route(c);
    set_body_limits(c);
    status = check_head(c, &reason, &detail);
    if (status == 0 && c->body_place == HTTP_BODY_ON_HEAP && !f->is_chunked &&
        !http_exchange_reserve(x, (size_t)MIN(f->length, BODY_AT_ONCE))) {
        status = 503;
        reason = HTTP_REFUSED_MEMORY;
    }
    if (status)
        refuse_early(c, status, reason, detail);
    else if (f->expects_continue && (f->length || f->is_chunked) && c->parsed == c->end)
        http_answer_continue(c);
}

static void handle(struct http_conn *c)
{
    struct http_exchange *x = c->exchange;

    if (x->body_len)
        x->req.body = slice_make(
            c->body_place == HTTP_BODY_IN_INPUT ? c->in->bytes + c->body_at : x->body, x->body_len);
    if (c->body_place != HTTP_BODY_IN_INPUT && c->parsed == c->end)
        c->parsed = c->end = c->body_at; // room to notice what the client does meanwhile
    c->phase = HTTP_PHASE_HANDLE;
    x->match.route->handler(&x->req, x->match.route->ctx);
}

void http_message_end(struct http_conn *c)
{
    c->phase = HTTP_PHASE_IDLE;
    c->is_whole = c->is_poised = false;
    c->body_seen = 0;
    c->begin = c->parsed;
    c->has_progress = true;
}

void http_message_start(struct http_conn *c)
{
    c->exchange = http_exchange_new(c);
    c->phase = HTTP_PHASE_HEAD;
    c->begin = c->parsed;
    c->late_status = 0;
    http_parse_next(&c->parse, &c->exchange->spans);
}

// What the parser could not go on with.
static void act_bad(struct http_conn *c)
{
    struct http_parse *p = &c->parse;

    c->is_last = true;
    c->parsed = c->end;
    if (!c->exchange) // answered already, this was the rest of a body
        return;
    if (!p->has_head && p->reason == HTTP_REFUSED_METHOD)
        c->exchange->req.method_text =
            slice_make(p->base + p->current.name_at, p->current.name_len);
    c->exchange->req.received_us = clock_wall_us();
    if (c->late_status == 0)
        http_answer_refusal(c, p->status, p->reason, p->detail);
}

void http_message_act(struct http_conn *c, enum http_step what)
{
    int late = c->late_status;

    c->is_whole = what == HTTP_STEP_DONE;
    if (what == HTTP_STEP_BAD)
        act_bad(c);
    if (late) {
        c->late_status = 0;
        http_answer_refusal(
            c, late, late == 413 ? HTTP_REFUSED_BODY_TOO_LARGE : HTTP_REFUSED_MEMORY,
            late == 413 ? "The body is too large." : "Too many request bodies are being read.");
    } else if (what == HTTP_STEP_HEAD) {
        begin_request(c);
    } else if (what == HTTP_STEP_DONE && c->phase == HTTP_PHASE_BODY) {
        handle(c);
    } else if (what == HTTP_STEP_DONE) {
        http_message_end(c);
    }
}
