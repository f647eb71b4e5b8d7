/* Exchanges and input buffers are recycled, so that a small request allocates nothing: an exchange
 * keeps its arena, its header arrays and a small body buffer. */
#include "base/mem.h"
#include "net/net_priv.h"

#define IN_BYTES    (16 * 1024)
#define ARENA_BYTES (8 * 1024)
#define BODY_KEEP   (64 * 1024)
#define EXTRA_MAX   (256 * 1024)
#define EXTRA_KEEP  4096
#define POOLED_MAX  256

struct http_exchange *http_exchange_of(const struct http_request *req)
{
    CHECK(req->magic == HTTP_REQUEST_MAGIC);
    // Requests are const for readers only; each lies in an exchange that is not.
    return CONTAINER_OF((struct http_request *)(uintptr_t)req, struct http_exchange, req);
}

static void exchange_free(struct http_exchange *x)
{
    arena_free(x->req.arena);
    mem_free(x->spans.at);
    mem_free(x->headers);
    mem_free(x->body);
    buf_free(&x->extra);
    mem_free(x);
}

struct http_exchange *http_exchange_new(struct http_conn *c)
{
    struct net_loop *nl = c->door->nl;
    struct http_exchange *x = nl->exchange_pool;
    struct arena *arena;

    if (x) {
        nl->exchange_pool = x->next;
        nl->exchange_pooled--;
    } else {
        x = mem_new(struct http_exchange);
        x->req.arena = arena_new(ARENA_BYTES);
        x->extra = BUF_INIT(EXTRA_MAX);
    }
    list_push_back(&nl->exchanges, &x->link);
    x->nl = nl;
    x->listener = c->door->listener;
    x->peer = c->peer;
    x->frame = (struct http_frame){.length = 0};
    arena = x->req.arena;
    x->req = (struct http_request){.magic = HTTP_REQUEST_MAGIC,
                                   .method = HTTP_M_OTHER,
                                   .method_text = SLICE(""),
                                   .path = SLICE(""),
                                   .query = SLICE(""),
                                   .body = SLICE(""),
                                   .peer = slice_make(x->peer.text, x->peer.len),
                                   .peer_is_private = c->peer.is_private,
                                   .peer_is_loopback = c->peer.is_loopback,
                                   .arena = arena,
                                   .conn = c};
    return x;
}

void http_exchange_release(struct http_exchange *x)
{
    struct net_loop *nl = x->nl;

    list_remove(&x->link);
    x->req.magic = 0;
    if (x->body_counted)
        atomic_fetch_sub_explicit(&x->listener->body_bytes, x->body_counted, memory_order_relaxed);
    net_in_release(nl, x->in);
    if (nl->exchange_pooled >= POOLED_MAX) {
        exchange_free(x);
    } else {
        if (x->body_cap > BODY_KEEP) {
            mem_free(x->body);
            x->body = NULL;
            x->body_cap = 0;
        }
        if (x->extra.cap > EXTRA_KEEP)
            buf_free(&x->extra);
        buf_clear(&x->extra);
        arena_reset(x->req.arena);
        x->in = NULL;
        x->body_len = x->body_counted = 0;
        x->match.allow = 0;
        x->is_refused = x->is_stream = x->is_chunked_out = x->is_ended = false;
        x->closed = NULL;
        x->next = nl->exchange_pool;
        nl->exchange_pool = x;
        nl->exchange_pooled++;
    }
    if (nl->is_draining)
        net_loop_check_drained(nl);
}

void http_exchange_pools_free(struct net_loop *nl)
{
    while (nl->exchange_pool) {
        struct http_exchange *x = nl->exchange_pool;

        nl->exchange_pool = x->next;
        exchange_free(x);
    }
    while (nl->in_pool) {
        struct net_in *in = nl->in_pool;

        nl->in_pool = in->next;
        mem_free(in);
    }
    nl->exchange_pooled = nl->in_pooled = 0;
}

bool http_exchange_reserve(struct http_exchange *x, size_t len)
{
    char *moved;

    if (len <= x->body_cap)
        return true;
    moved = mem_try_realloc(x->body, len);
    if (!moved)
        return false;
    x->body = moved;
    x->body_cap = len;
    return true;
}

bool http_exchange_count(struct http_exchange *x, size_t len)
{
    struct http_listener *l = x->listener;
    size_t before = atomic_fetch_add_explicit(&l->body_bytes, len, memory_order_relaxed);

    if (len > l->limits.body_bytes_total_max || before > l->limits.body_bytes_total_max - len) {
        atomic_fetch_sub_explicit(&l->body_bytes, len, memory_order_relaxed);
        return false;
    }
    x->body_counted += len;
    return true;
}

struct net_in *net_in_new(struct net_loop *nl, size_t cap)
{
    struct net_in *in = nl->in_pool;

    if (cap <= IN_BYTES && in) {
        nl->in_pool = in->next;
        nl->in_pooled--;
        return in;
    }
    cap = MAX(cap, IN_BYTES);
    in = mem_alloc(sizeof(*in) + cap);
    in->cap = cap;
    return in;
}

void net_in_release(struct net_loop *nl, struct net_in *in)
{
    if (!in)
        return;
    if (in->cap > IN_BYTES || nl->in_pooled >= POOLED_MAX) {
        mem_free(in);
        return;
    }
    in->next = nl->in_pool;
    nl->in_pool = in;
    nl->in_pooled++;
}
