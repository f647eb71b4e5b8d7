/* Every route but the probes goes through one gate, `admin_gate`: it checks the token and calls the
 * handler of the table. The table is the whole API.
 */
#include "admin/admin_priv.h"
#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>

#define BODY_BYTES_MAX (16u << 20)
#define JSON_TYPE      "application/json"

typedef void admin_serve_fn(struct admin *a, struct http_request *req);

enum admin_gate { GATE_OPEN, GATE_LOOPBACK, GATE_TOKEN };

struct admin_entry {
    unsigned methods;
    const char *pattern;
    enum admin_gate gate; /* who comes in: everybody, loopback without a token, the token only */
    admin_serve_fn *serve;
};

static void serve_tail(struct admin *a, struct http_request *req)
{
    tail_serve(a->tail, req);
}

static void serve_config(struct admin *a, struct http_request *req)
{
    struct buf out = BUF_INIT(1 << 20);

    conf_print(a->opt.conf, &out);
    http_respond(req, 200, "text/plain; charset=utf-8", buf_slice(&out));
    buf_free(&out);
}

static const struct admin_entry entries[] = {
    {HTTP_M_GET | HTTP_M_HEAD, "/_health", GATE_OPEN, health_serve},
    {HTTP_M_GET | HTTP_M_HEAD, "/_ready", GATE_OPEN, health_serve_ready},
    {HTTP_M_GET | HTTP_M_HEAD, "/metrics", GATE_LOOPBACK, health_serve_metrics},
    {HTTP_M_GET | HTTP_M_HEAD, "/_metrics", GATE_LOOPBACK, health_serve_metrics},
    {HTTP_M_GET, "/api/status", GATE_TOKEN, health_serve_status},
    {HTTP_M_GET, "/api/config", GATE_TOKEN, serve_config},
    {HTTP_M_GET, "/api/tail", GATE_TOKEN, serve_tail},
    {HTTP_M_GET | HTTP_M_POST, "/api/teams", GATE_TOKEN, api_teams_serve},
    {HTTP_M_POST, "/api/teams/:id/rotate-token", GATE_TOKEN, api_teams_rotate},
    {HTTP_M_POST, "/api/apply", GATE_TOKEN, api_teams_apply},
    {HTTP_M_GET, "/api/export", GATE_TOKEN, api_teams_export},
    {HTTP_M_GET, "/api/events/:uuid", GATE_TOKEN, api_read_event},
    {HTTP_M_GET, "/api/persons", GATE_TOKEN, api_read_person},
};

static const struct admin_entry *entry_of(const struct admin *a, const struct http_request *req)
{
    size_t index = (size_t)(req->route - a->routes);

    CHECK(index < ARRAY_LEN(entries));
    return &entries[index];
}

bool admin_is_allowed(const struct admin *a, const struct http_request *req)
{
    struct slice value = http_header_get(req, "Authorization");
    struct slice scheme = SLICE("Bearer ");

    if (value.len < scheme.len || !slice_eq_nocase(slice_make(value.ptr, scheme.len), scheme))
        return false;
    value = slice_trim(slice_make(value.ptr + scheme.len, value.len - scheme.len));
    return value.len > 0 && slice_eq_secret(value, slice_cstr(a->token));
}

/* A page of another site can send a browser here under a name of its own that it makes stand for
 * 127.0.0.1, and read the answer. Such a request has that name in Host; ours have an address or
 * "localhost". */
static bool is_host_ours(const struct http_request *req)
{
    struct slice host = http_header_get(req, "Host");
    char text[INET6_ADDRSTRLEN];
    uint8_t address[16];

    if (!host.len)
        return true; /* no browser */
    bool is_v6 = host.ptr[0] == '[';
    ptrdiff_t end = slice_find(host, is_v6 ? ']' : ':');
    if (end == -1 && is_v6)
        return false;
    if (end != -1)
        host.len = (size_t)end;
    if (is_v6)
        host = slice_make(host.ptr + 1, host.len - 1);
    if (slice_eq_nocase(host, SLICE("localhost")))
        return !is_v6;
    if (host.len >= sizeof(text))
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, text, address) == 1;
}

static void answer_starting(const struct admin_entry *entry, struct http_request *req)
{
    http_answer_header(req, "Retry-After", SLICE("1"));
    if (entry->gate == GATE_OPEN)
        admin_answer_json(req, 503, SLICE("{\"status\":\"starting\"}"));
    else
        admin_answer_fault(req, 503, "starting", "the server is starting, ask again soon");
}

static void admin_gate(struct http_request *req, void *ctx)
{
    struct admin *a = ctx;
    const struct admin_entry *entry = entry_of(a, req);

    if (!atomic_load(&a->is_begun)) {
        answer_starting(entry, req);
        return;
    }
    bool is_open = entry->gate == GATE_OPEN ||
                   (entry->gate == GATE_LOOPBACK && req->peer_is_loopback && is_host_ours(req));

    if (!is_open && !admin_is_allowed(a, req)) {
        http_answer_header(req, "WWW-Authenticate", SLICE("Bearer"));
        admin_answer_fault(
            req, 401, "unauthorized",
            "send `Authorization: Bearer TOKEN`; the token is ADMIN_TOKEN or stands in "
            "DATA_DIR/admin.token");
        return;
    }
    entry->serve(a, req);
}

void admin_answer_json(struct http_request *req, int status, struct slice json)
{
    http_answer_header(req, "Cache-Control", SLICE("no-store"));
    http_respond(req, status, JSON_TYPE, json);
}

void admin_answer_fault(struct http_request *req, int status, const char *code, const char *message)
{
    struct buf out = BUF_INIT(1 << 20);

    buf_add_str(&out, "{\"error\":{\"code\":");
    buf_add_json_str(&out, slice_cstr(code));
    buf_add_str(&out, ",\"message\":");
    buf_add_json_str(&out, slice_cstr(message));
    buf_add_str(&out, "}}");
    admin_answer_json(req, status, buf_slice(&out));
    buf_free(&out);
}

int admin_status_of(const struct err *err)
{
    switch (err->code) {
    case ERR_INPUT:
        return 400;
    case ERR_GONE:
        return 404;
    case ERR_RETRY:
    case ERR_FULL:
    case ERR_STOP:
    case ERR_LIMIT:
        return 503;
    default:
        return 500;
    }
}

void admin_refuse(struct http_request *req, int status, const char *detail, void *ctx)
{
    UNUSED(ctx);
    admin_answer_fault(req, status, status == 404 ? "not_found" : "refused", detail);
}

struct admin *admin_new(const struct admin_options *opt, struct err *err)
{
    if (!opt->token || !*opt->token) {
        err_set(err, ERR_INPUT, "ADMIN_TOKEN is empty: the admin listener needs a token");
        return NULL;
    }
    struct admin *a = mem_new(struct admin);
    a->opt = *opt;
    a->token = mem_dup_str(opt->token);
    a->route_count = ARRAY_LEN(entries);
    a->routes = mem_new_array(struct http_route, a->route_count);
    for (size_t i = 0; i < a->route_count; i++)
        a->routes[i] = (struct http_route){.methods = entries[i].methods,
                                           .pattern = entries[i].pattern,
                                           .handler = admin_gate,
                                           .ctx = a,
                                           .body_bytes_max = BODY_BYTES_MAX,
                                           .slash = true};
    return a;
}

void admin_begin(struct admin *a, const struct admin_parts *parts)
{
    a->parts = *parts;
    a->tail = tail_new(parts->pipe);
    a->readers = api_read_new(a->opt.database_path, parts->store, net_loop_count(a->opt.net));
    atomic_store(&a->is_begun, true);
}

void admin_free(struct admin *a)
{
    if (!a)
        return;
    tail_free(a->tail);
    api_read_free(a->readers);
    mem_free(a->routes);
    mem_free(a->token);
    mem_free(a);
}

const struct http_route *admin_routes(struct admin *a, size_t *count)
{
    *count = a->route_count;
    return a->routes;
}

void admin_set_ready(struct admin *a, bool is_ready)
{
    atomic_store(&a->is_ready, is_ready);
}

void admin_stop(struct admin *a)
{
    atomic_store(&a->is_ready, false);
    if (a->tail)
        tail_stop(a->tail);
}
