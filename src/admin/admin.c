/* Every route but the probes goes through one gate, `admin_gate`: it looks for the token or a
 * session and calls the handler of the table. The table is the whole API.
 */
#include "admin/admin_priv.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>

#define BODY_BYTES_MAX (16u << 20)
#define OPEN_BYTES_MAX 4096 /* of who did not log in: the form */
#define JSON_TYPE      "application/json"
/* The page needs its own files and its own API, nothing else. */
#define CONTENT_POLICY                                                                             \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' " \
    "data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

typedef void admin_serve_fn(struct admin *a, struct http_request *req);

/* Who comes in: everybody, loopback without a token, the token or a session alone. A browser that
 * asks for a page (GATE_PAGE) is sent to the login instead of being refused. */
enum admin_gate { GATE_OPEN, GATE_LOOPBACK, GATE_TOKEN, GATE_PAGE };

struct admin_entry {
    unsigned methods;
    const char *pattern;
    enum admin_gate gate;
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

static void serve_settings(struct admin *a, struct http_request *req)
{
    struct buf out = BUF_INIT(1 << 20);

    conf_print_json(a->opt.conf, &out);
    admin_answer_json(req, 200, buf_slice(&out));
    buf_free(&out);
}

static const struct admin_entry entries[] = {
    {HTTP_M_GET | HTTP_M_HEAD, "/_health", GATE_OPEN, health_serve},
    {HTTP_M_GET | HTTP_M_HEAD, "/_ready", GATE_OPEN, health_serve_ready},
    {HTTP_M_GET | HTTP_M_HEAD, "/metrics", GATE_LOOPBACK, health_serve_metrics},
    {HTTP_M_GET | HTTP_M_HEAD, "/_metrics", GATE_LOOPBACK, health_serve_metrics},
    {HTTP_M_GET | HTTP_M_HEAD, "/", GATE_PAGE, page_serve_file},
    {HTTP_M_GET | HTTP_M_HEAD, "/page.js", GATE_PAGE, page_serve_file},
    {HTTP_M_GET | HTTP_M_HEAD, "/page.css", GATE_OPEN, page_serve_file},
    {HTTP_M_GET | HTTP_M_HEAD, "/icon.svg", GATE_OPEN, page_serve_file},
    {HTTP_M_GET | HTTP_M_HEAD, "/login", GATE_OPEN, page_serve_login},
    {HTTP_M_POST, "/login", GATE_OPEN, page_take_login},
    {HTTP_M_POST, "/logout", GATE_TOKEN, page_serve_logout},
    {HTTP_M_GET, "/api/status", GATE_TOKEN, health_serve_status},
    {HTTP_M_GET, "/api/config", GATE_TOKEN, serve_config},
    {HTTP_M_GET, "/api/settings", GATE_TOKEN, serve_settings},
    {HTTP_M_GET, "/api/tail", GATE_TOKEN, serve_tail},
    {HTTP_M_GET, "/api/minutes", GATE_TOKEN, api_read_minutes},
    {HTTP_M_GET, "/api/errors", GATE_TOKEN, api_read_errors},
    {HTTP_M_GET, "/api/errors/:id", GATE_TOKEN, api_read_error},
    {HTTP_M_GET | HTTP_M_POST, "/api/teams", GATE_TOKEN, api_teams_serve},
    {HTTP_M_POST, "/api/teams/:id/rotate-token", GATE_TOKEN, api_teams_rotate},
    {HTTP_M_POST, "/api/apply", GATE_TOKEN, api_teams_apply},
    {HTTP_M_GET, "/api/export", GATE_TOKEN, api_teams_export},
    {HTTP_M_GET | HTTP_M_POST, "/api/plugins", GATE_TOKEN, api_plugins_serve},
    {HTTP_M_POST, "/api/plugins/reload", GATE_TOKEN, api_plugins_reload},
    {HTTP_M_POST, "/api/plugins/configs/:id/enable", GATE_TOKEN, api_plugins_enable},
    {HTTP_M_POST, "/api/plugins/configs/:id/disable", GATE_TOKEN, api_plugins_disable},
    {HTTP_M_GET, "/api/plugins/logs", GATE_TOKEN, api_read_plugin_logs},
    {HTTP_M_GET, "/api/events", GATE_TOKEN, api_read_events},
    {HTTP_M_GET, "/api/events/:uuid", GATE_TOKEN, api_read_event},
    {HTTP_M_GET, "/api/persons", GATE_TOKEN, api_read_person},
};

static const struct admin_entry *entry_of(const struct admin *a, const struct http_request *req)
{
    size_t index = (size_t)(req->route - a->routes);

    CHECK(index < ARRAY_LEN(entries));
    return &entries[index];
}

/* The token of `Authorization: Bearer TOKEN`, or SLICE_NONE. */
static struct slice bearer_of(const struct http_request *req)
{
    struct slice value = http_header_get(req, "Authorization");
    struct slice scheme = SLICE("Bearer ");

    if (value.len < scheme.len || !slice_eq_nocase(slice_make(value.ptr, scheme.len), scheme))
        return SLICE_NONE;
    return slice_trim(slice_make(value.ptr + scheme.len, value.len - scheme.len));
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
    if (entry->gate == GATE_PAGE)
        page_answer_starting(req);
    else if (entry->gate == GATE_OPEN)
        admin_answer_json(req, 503, SLICE("{\"status\":\"starting\"}"));
    else
        admin_answer_fault(req, 503, "starting", "the server is starting, ask again soon");
}

static void answer_unauthorized(const struct admin_entry *entry, struct http_request *req)
{
    if (entry->gate == GATE_PAGE) {
        page_ask_login(req);
        return;
    }
    http_answer_header(req, "WWW-Authenticate", SLICE("Bearer"));
    admin_answer_fault(req, 401, "unauthorized",
                       "send `Authorization: Bearer TOKEN`; the token is ADMIN_TOKEN or stands in "
                       "DATA_DIR/admin.token");
}

/* What a session may do depends on whose page asks. False: refused, and answered. */
static bool check_session_use(struct http_request *req)
{
    struct slice type = http_header_get(req, "Content-Type");
    bool is_read = req->method == HTTP_M_GET || req->method == HTTP_M_HEAD;

    if (is_read && !login_is_foreign(req))
        return true;
    if (!is_read && login_is_own_page(req) && slice_starts(type, SLICE(JSON_TYPE)))
        return true;
    admin_answer_fault(req, 403, "foreign",
                       "with a session instead of the token, requests must come from the page "
                       "itself, and what changes something must be JSON");
    return false;
}

static bool is_session_good(struct admin *a, const struct http_request *req)
{
    return (!req->peer_is_loopback || is_host_ours(req)) && login_has_session(a->login, req);
}

/* False: refused, and answered. */
static bool check_login(struct admin *a, const struct admin_entry *entry, struct http_request *req)
{
    struct slice bearer = bearer_of(req);

    if (!bearer.len) {
        if (is_session_good(a, req))
            return entry->gate == GATE_PAGE || check_session_use(req);
        answer_unauthorized(entry, req);
        return false;
    }
    switch (login_try(a->login, req, bearer)) {
    case LOGIN_RIGHT:
        return true;
    case LOGIN_LATER:
        http_answer_header(req, "Retry-After", SLICE("3"));
        admin_answer_fault(req, 429, "too_many",
                           "too many wrong tokens came from this address, ask again later");
        return false;
    case LOGIN_WRONG:
        answer_unauthorized(entry, req);
    }
    return false;
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

    if (is_open || check_login(a, entry, req))
        entry->serve(a, req);
}

void admin_answer(struct http_request *req, int status, void *ctx)
{
    UNUSED(status);
    UNUSED(ctx);
    http_answer_header(req, "Content-Security-Policy", SLICE(CONTENT_POLICY));
    http_answer_header(req, "X-Content-Type-Options", SLICE("nosniff"));
    http_answer_header(req, "Referrer-Policy", SLICE("no-referrer"));
    http_answer_header(req, "Cross-Origin-Opener-Policy", SLICE("same-origin"));
    http_answer_header(req, "Cross-Origin-Resource-Policy", SLICE("same-origin"));
}

void admin_login_url(struct admin *a, struct buf *out)
{
    login_add_link(a->login, out);
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
    a->login = login_new(opt->token);
    a->started_us = clock_wall_us();
    a->route_count = ARRAY_LEN(entries);
    a->routes = mem_new_array(struct http_route, a->route_count);
    for (size_t i = 0; i < a->route_count; i++)
        a->routes[i] = (struct http_route){
            .methods = entries[i].methods,
            .pattern = entries[i].pattern,
            .handler = admin_gate,
            .ctx = a,
            .body_bytes_max = entries[i].gate == GATE_OPEN ? OPEN_BYTES_MAX : BODY_BYTES_MAX,
            .slash = true};
    return a;
}

void admin_begin(struct admin *a, const struct admin_parts *parts)
{
    a->parts = *parts;
    a->capture_url = mem_dup_str(parts->capture_url);
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
    mem_free(a->capture_url);
    login_free(a->login);
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
