/* NET threads and their life: listeners are bound before the threads start; drain and stop are
 * messages to each loop, so that everything of a loop is done by its own thread. What is still owed
 * to requests after the threads ended (messages of http_resume) is run by loop_free; then
 * the requests that nobody answered are freed. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/net_priv.h"

#include <event2/event.h>

#include <signal.h>

#define HEAD_MAX       ((size_t)1 << 20) /* of an answer */
#define LINGER_US      5000000
#define BODY_BYTES_MAX ((size_t)1 << 40)

/* --- making --- */

static struct net_loop *net_loop_new(struct net *n, struct err *err)
{
    struct net_loop *nl = mem_new(struct net_loop);

    nl->net = n;
    list_init(&nl->conns);
    list_init(&nl->exchanges);
    nl->head = BUF_INIT(HEAD_MAX);
    nl->loop = loop_new(err);
    if (!nl->loop) {
        mem_free(nl);
        return NULL;
    }
    http_deadline_start(nl);
    return nl;
}

static void net_loop_free(struct net_loop *nl)
{
    size_t lost = 0;

    http_deadline_stop(nl);
    loop_free(nl->loop); // runs what was posted: late answers
    while (!list_is_empty(&nl->exchanges)) {
        http_exchange_release(list_entry(nl->exchanges.next, struct http_exchange, link));
        lost++;
    }
    if (lost)
        log_warn("net", "requests were never answered", KV_U64("count", lost));
    http_exchange_pools_free(nl);
    http_conn_pool_free(nl);
    buf_free(&nl->head);
    mem_free(nl->doors);
    mem_free(nl);
}

struct net *net_new(int threads, struct metrics *metrics, struct err *err)
{
    struct net *n = mem_new(struct net);

    CHECK(threads > 0);
    // A client that goes away while it is written to must not end the process.
    signal(SIGPIPE, SIG_IGN);
    n->metrics = metrics;
    lock_init(&n->lock, "net", RANK_NET);
    cond_init(&n->drained);
    n->loops = mem_new_array(struct net_loop *, (size_t)threads);
    for (; n->loop_count < threads; n->loop_count++) {
        n->loops[n->loop_count] = net_loop_new(n, err);
        if (!n->loops[n->loop_count]) {
            net_free(n);
            return NULL;
        }
    }
    return n;
}

static void listener_free(struct http_listener *l)
{
    if (!l)
        return;
    listener_fini(l);
    http_router_free(l->router);
    mem_free(l->name);
    mem_free(l->unix_path);
    mem_free(l->prefix);
    mem_free(l->place);
    mem_free(l->doors);
    mem_free(l);
}

void net_free(struct net *n)
{
    if (!n)
        return;
    net_stop(n);
    for (int i = 0; i < n->listener_count; i++)
        listener_fini(n->listeners[i]);
    for (int i = 0; i < n->loop_count; i++)
        net_loop_free(n->loops[i]);
    for (int i = 0; i < n->listener_count; i++)
        listener_free(n->listeners[i]);
    mem_free(n->listeners);
    mem_free(n->loops);
    cond_fini(&n->drained);
    lock_fini(&n->lock);
    mem_free(n);
}

struct loop *net_loop(struct net *n, int index)
{
    CHECK(index >= 0 && index < n->loop_count);
    return n->loops[index]->loop;
}

int net_loop_count(const struct net *n)
{
    return n->loop_count;
}

/* --- listeners --- */

static struct metric_counter *counter(struct http_listener *l, const char *name, const char *label,
                                      const char *value, const char *help)
{
    char labels[160];

    if (!l->net->metrics)
        return NULL;
    snprintf(labels, sizeof(labels), "listener=\"%s\",%s=\"%s\"", l->name, label, value);
    return metric_new_counter(l->net->metrics, name, labels, help);
}

static void make_metrics(struct http_listener *l)
{
    static const char *const codes[] = {NULL, NULL, "2xx", "3xx", "4xx", "5xx"};
    static const char *const reasons[HTTP_REFUSED_COUNT] = {
        [HTTP_REFUSED_MALFORMED] = "malformed",
        [HTTP_REFUSED_HEAD_TOO_LARGE] = "head_too_large",
        [HTTP_REFUSED_BODY_TOO_LARGE] = "body_too_large",
        [HTTP_REFUSED_MEMORY] = "memory",
        [HTTP_REFUSED_TIMEOUT] = "timeout",
        [HTTP_REFUSED_CONNECTIONS] = "connections",
        [HTTP_REFUSED_EXPECTATION] = "expectation",
        [HTTP_REFUSED_METHOD] = "method",
        [HTTP_REFUSED_ROUTE] = "route",
    };
    char labels[100];

    for (size_t i = 2; i < ARRAY_LEN(codes); i++)
        l->answers[i] = counter(l, "hedgerow_http_requests_total", "code", codes[i],
                                "Answers to HTTP requests by class of their status.");
    for (size_t i = 0; i < HTTP_REFUSED_COUNT; i++)
        l->refused[i] = counter(l, "hedgerow_http_refused_total", "reason", reasons[i],
                                "Requests that the HTTP server itself refused.");
    if (!l->net->metrics)
        return;
    snprintf(labels, sizeof(labels), "listener=\"%s\"", l->name);
    l->connections_gauge = metric_new_gauge(l->net->metrics, "hedgerow_http_connections", labels,
                                            "Open HTTP connections.");
}

static size_t size_or(size_t value, size_t fallback)
{
    return value ? value : fallback;
}

static int64_t time_or(int64_t value, int64_t fallback)
{
    return value > 0 ? value : fallback;
}

static void take_limits(struct http_listener *l, const struct http_limits *given)
{
    l->limits = (struct http_limits){
        .head_bytes_max = MIN(size_or(given->head_bytes_max, 32 * 1024), (size_t)1 << 30),
        .header_count_max = size_or(given->header_count_max, 100),
        .head_us = time_or(given->head_us, 10000000),
        .body_stall_us = time_or(given->body_stall_us, 30000000),
        .body_rate_min = given->body_rate_min ? given->body_rate_min : 4096,
        .idle_us = time_or(given->idle_us, 75000000),
        .write_stall_us = time_or(given->write_stall_us, 30000000),
        .connections_max = size_or(given->connections_max, 10000),
        .body_bytes_total_max = size_or(given->body_bytes_total_max, (size_t)256 << 20),
        .body_discard_factor = size_or(given->body_discard_factor, 2),
    };
    l->wait_us[HTTP_WAIT_IDLE] = l->limits.idle_us;
    l->wait_us[HTTP_WAIT_HEAD] = l->limits.head_us;
    l->wait_us[HTTP_WAIT_BODY] = l->limits.body_stall_us;
    l->wait_us[HTTP_WAIT_WRITE] = l->limits.write_stall_us;
    l->wait_us[HTTP_WAIT_LINGER] = MIN(l->limits.body_stall_us, LINGER_US);
}

static void make_doors(struct http_listener *l)
{
    struct net *n = l->net;

    l->door_count = n->loop_count;
    l->doors = mem_new_array(struct net_door, (size_t)l->door_count);
    for (int i = 0; i < l->door_count; i++) {
        struct net_door *door = &l->doors[i];

        door->listener = l;
        door->nl = n->loops[i];
        door->fd = -1;
        for (int kind = 0; kind < HTTP_WAIT_COUNT; kind++)
            list_init(&door->waits[kind]);
    }
}

struct http_listener *net_listen(struct net *n, const struct http_listener_options *opt,
                                 struct err *err)
{
    struct http_listener *l = mem_new(struct http_listener);
    struct slice prefix = slice_cstr(opt->path_prefix);

    CHECK(!n->is_started);
    l->net = n;
    l->name = mem_dup_str(opt->name);
    l->unix_path = mem_dup_str(opt->unix_path);
    if (slice_ends(prefix, SLICE("/")))
        prefix.len--;
    l->prefix = slice_dup(prefix);
    l->refuse = opt->refuse;
    l->answer = opt->answer;
    l->ctx = opt->ctx;
    take_limits(l, &opt->limits);
    for (size_t i = 0; i < opt->route_count; i++) {
        CHECK(opt->routes[i].body_bytes_max <= BODY_BYTES_MAX);
        l->drop_bytes_max = MAX(l->drop_bytes_max, opt->routes[i].body_bytes_max);
    }
    l->router = http_router_new(opt->routes, opt->route_count, err);
    make_doors(l);
    if (!l->router || !listener_bind(l, opt->host, opt->port, err)) {
        listener_free(l);
        return NULL;
    }
    make_metrics(l);
    n->listeners =
        mem_realloc(n->listeners, (size_t)(n->listener_count + 1) * sizeof(*n->listeners));
    n->listeners[n->listener_count++] = l;
    for (int i = 0; i < l->door_count; i++) {
        struct net_loop *nl = n->loops[i];

        nl->doors = mem_realloc(nl->doors, (size_t)(nl->door_count + 1) * sizeof(*nl->doors));
        nl->doors[nl->door_count++] = &l->doors[i];
    }
    return l;
}

int http_listener_port(const struct http_listener *l)
{
    return l->port;
}

size_t http_listener_connections(const struct http_listener *l)
{
    return atomic_load_explicit(&l->connections, memory_order_relaxed);
}

/* --- running --- */

static void run(void *ctx)
{
    struct net_loop *nl = ctx;

    loop_run(nl->loop);
}

bool net_start(struct net *n, struct err *err)
{
    CHECK(!n->is_started);
    for (int i = 0; i < n->listener_count; i++)
        for (int k = 0; k < n->listeners[i]->door_count; k++)
            listener_open(&n->listeners[i]->doors[k]);
    n->is_started = true;
    for (int i = 0; i < n->loop_count; i++) {
        if (!thread_start(&n->loops[i]->thread, THREAD_NET, i + 1, run, n->loops[i], err)) {
            net_stop(n);
            return false;
        }
    }
    return true;
}

void net_loop_check_drained(struct net_loop *nl)
{
    struct net *n = nl->net;

    if (nl->is_drained || !list_is_empty(&nl->conns) || !list_is_empty(&nl->exchanges))
        return;
    nl->is_drained = true;
    lock_take(&n->lock);
    n->busy_loops--;
    cond_signal(&n->drained);
    lock_drop(&n->lock);
}

static void drain_loop(void *ctx)
{
    struct net_loop *nl = ctx;
    struct list all;

    nl->is_draining = nl->is_drained = true; // nobody looks until all have had their turn
    for (int i = 0; i < nl->door_count; i++)
        listener_drain(nl->doors[i]);
    // Draining one may close others (a handler that answers several), so no pointer is kept.
    list_init(&all);
    while (!list_is_empty(&nl->conns)) {
        struct list *node = nl->conns.next;

        list_remove(node);
        list_push_back(&all, node);
    }
    while (!list_is_empty(&all)) {
        struct list *node = all.next;

        list_remove(node);
        list_push_back(&nl->conns, node);
        http_conn_drain(list_entry(node, struct http_conn, link));
    }
    nl->is_drained = false;
    net_loop_check_drained(nl);
}

bool net_drain(struct net *n, int64_t timeout_us)
{
    int64_t deadline = clock_mono_real_us() + timeout_us;
    bool is_first, is_drained;

    if (!n->is_started)
        return true;
    lock_take(&n->lock);
    is_first = !n->is_draining;
    n->is_draining = true;
    if (is_first)
        n->busy_loops = n->loop_count;
    lock_drop(&n->lock);
    for (int i = 0; is_first && i < n->loop_count; i++) {
        n->loops[i]->drain_msg = (struct loop_msg){.fn = drain_loop, .ctx = n->loops[i]};
        loop_post(n->loops[i]->loop, &n->loops[i]->drain_msg);
    }
    lock_take(&n->lock);
    while (n->busy_loops > 0) {
        int64_t left = deadline - clock_mono_real_us();

        if (left <= 0 || !cond_wait_us(&n->drained, &n->lock, left))
            break;
    }
    is_drained = n->busy_loops == 0;
    lock_drop(&n->lock);
    return is_drained;
}

static void stop_loop(void *ctx)
{
    struct net_loop *nl = ctx;

    for (int i = 0; i < nl->door_count; i++)
        listener_close(nl->doors[i]);
    while (!list_is_empty(&nl->conns))
        http_conn_close(list_entry(nl->conns.next, struct http_conn, link));
    http_deadline_stop(nl);
    loop_stop(nl->loop);
}

void net_stop(struct net *n)
{
    if (!n->is_started)
        return;
    n->is_started = false;
    for (int i = 0; i < n->loop_count; i++) {
        struct net_loop *nl = n->loops[i];

        nl->stop_msg = (struct loop_msg){.fn = stop_loop, .ctx = nl};
        if (nl->thread.is_started)
            loop_post(nl->loop, &nl->stop_msg);
    }
    for (int i = 0; i < n->loop_count; i++)
        thread_join(&n->loops[i]->thread);
}
