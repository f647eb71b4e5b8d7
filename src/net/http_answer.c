/* Answers: the head is put together in a buffer of the loop and leaves with the body in one system
 * call. The Date header is made once a second.
 *
 * A stream is chunked for HTTP/1.1 and ends with the connection for HTTP/1.0. Its writer learns
 * about the end of the client by `closed`, never inside a call of its own: a connection that breaks
 * in http_stream_write is closed in the next turn of the loop, and one that was gone before
 * http_stream_begin is told by a message. */
#include "base/clock.h"
#include "net/net_priv.h"

#include <stdio.h>
#include <time.h>

static const struct {
    int status;
    const char *text;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Unknown";
}

/* --- the head --- */

static const struct {
    enum http_method method;
    const char *name;
} method_names[] = {
    {HTTP_M_GET, "GET"},     {HTTP_M_HEAD, "HEAD"},     {HTTP_M_POST, "POST"},
    {HTTP_M_PUT, "PUT"},     {HTTP_M_DELETE, "DELETE"}, {HTTP_M_OPTIONS, "OPTIONS"},
    {HTTP_M_PATCH, "PATCH"},
};

// RFC 9110 §5.6.7; the names of days and months do not follow the locale.
static void refresh_date(struct net_loop *nl)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = (time_t)(clock_wall_us() / 1000000);
    struct tm tm;
    int len;

    if (now == nl->date_s && nl->date_len)
        return;
    nl->date_s = now;
    if (!gmtime_r(&now, &tm))
        return;
    len = snprintf(nl->date, sizeof(nl->date), "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n",
                   days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], (tm.tm_year + 1900) % 10000,
                   tm.tm_hour, tm.tm_min, tm.tm_sec);
    nl->date_len = len > 0 && (size_t)len < sizeof(nl->date) ? (size_t)len : 0;
}

static bool has_header(const struct http_exchange *x, const char *name)
{
    struct slice rest = buf_slice(&x->extra), line, wanted = slice_cstr(name);

    while (slice_split(&rest, '\n', &line))
        if (line.len > wanted.len && line.ptr[wanted.len] == ':' &&
            slice_eq_nocase(slice_make(line.ptr, wanted.len), wanted))
            return true;
    return false;
}

static void add_allow(struct buf *out, unsigned allow)
{
    const char *between = "Allow: ";

    for (size_t i = 0; i < ARRAY_LEN(method_names); i++) {
        if (!(allow & method_names[i].method))
            continue;
        buf_add_str(out, between);
        buf_add_str(out, method_names[i].name);
        between = ", ";
    }
    buf_add_str(out, "\r\n");
}

// What the server promises about its own refusals, unless the refuser has said it.
static void add_refusal_headers(struct http_exchange *x, int status, struct buf *out)
{
    if (status == 405 && x->match.allow && !has_header(x, "Allow"))
        add_allow(out, x->match.allow);
    if (status == 503 && !has_header(x, "Retry-After"))
        buf_add_str(out, "Retry-After: 5\r\n");
}

enum framing { FRAME_NOTHING, FRAME_LENGTH, FRAME_CHUNKED };

static struct slice build_head(struct http_exchange *x, int status, const char *content_type,
                               enum framing framing, size_t length)
{
    struct net_loop *nl = x->nl;
    struct http_conn *c = x->req.conn;
    struct buf *out = &nl->head;

    if (!x->frame.is_keep_alive || nl->is_draining)
        c->is_last = true;
    refresh_date(nl);
    buf_clear(out);
    buf_add(out, "HTTP/1.1 ", 9);
    buf_add_u64(out, (uint64_t)status);
    buf_add_char(out, ' ');
    buf_add_str(out, reason_of(status));
    buf_add(out, "\r\n", 2);
    buf_add(out, nl->date, nl->date_len);
    if (content_type) {
        buf_add(out, "Content-Type: ", 14);
        buf_add_str(out, content_type);
        buf_add(out, "\r\n", 2);
    }
    if (framing == FRAME_LENGTH) {
        buf_add(out, "Content-Length: ", 16);
        buf_add_u64(out, length);
        buf_add(out, "\r\n", 2);
    } else if (framing == FRAME_CHUNKED) {
        buf_add_str(out, "Transfer-Encoding: chunked\r\n");
    }
    if (c->is_last)
        buf_add_str(out, "Connection: close\r\n");
    else if (x->frame.is_http10)
        buf_add_str(out, "Connection: keep-alive\r\n");
    if (x->is_refused)
        add_refusal_headers(x, status, out);
    buf_add_slice(out, buf_slice(&x->extra));
    buf_add(out, "\r\n", 2);
    return buf_slice(out);
}

static struct iovec part(struct slice s)
{
    // What is sent is not changed; iovec has no const for it.
    return (struct iovec){(void *)(uintptr_t)s.ptr, s.len};
}

static void announce(struct http_exchange *x, int status)
{
    const struct http_listener *l = x->listener;

    CHECK(status >= 200 && status <= 599);
    if (l->answer)
        l->answer(&x->req, status, l->ctx);
    metric_add(l->answers[status / 100], 1);
}

/* --- answers --- */

void http_answer_header(struct http_request *req, const char *name, struct slice value)
{
    struct http_exchange *x = http_exchange_of(req);
    size_t need = strlen(name) + value.len + 4;

    if (slice_find(value, '\r') != -1 || slice_find(value, '\n') != -1 ||
        slice_find(value, '\0') != -1 || !buf_reserve(&x->extra, need))
        return;
    buf_add_str(&x->extra, name);
    buf_add(&x->extra, ": ", 2);
    buf_add_slice(&x->extra, value);
    buf_add(&x->extra, "\r\n", 2);
}

void http_respond(struct http_request *req, int status, const char *content_type, struct slice body)
{
    struct http_exchange *x = http_exchange_of(req);
    struct http_conn *c = req->conn;
    bool is_bare = status == 204 || status == 304;
    struct iovec parts[2];

    CHECK(!x->is_stream);
    if (!c) { // the client is gone
        http_exchange_release(x);
        return;
    }
    announce(x, status);
    parts[0] =
        part(build_head(x, status, content_type, is_bare ? FRAME_NOTHING : FRAME_LENGTH, body.len));
    parts[1] = part(body);
    conn_send(&c->io, parts, is_bare || req->method == HTTP_M_HEAD ? 1 : 2);
    http_exchange_release(x);
    http_conn_answered(c);
}

void http_answer_continue(struct http_conn *c)
{
    struct iovec line = part(SLICE("HTTP/1.1 100 Continue\r\n\r\n"));

    conn_send(&c->io, &line, 1);
}

void http_answer_refusal(struct http_conn *c, int status, enum http_refusal reason,
                         const char *detail)
{
    struct http_exchange *x = c->exchange;
    const struct http_listener *l = x->listener;

    metric_add(l->refused[reason], 1);
    x->is_refused = true;
    CHECK(c->is_driving); // else c could be freed by the answer
    if (l->refuse)
        l->refuse(&x->req, status, detail, l->ctx);
    else
        http_respond(&x->req, status, "text/plain; charset=utf-8", slice_cstr(detail));
    CHECK(!c->exchange); // a refusal is answered at once
}

struct slice http_answer_overload(void)
{
    return SLICE("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\n"
                 "Connection: close\r\n\r\n");
}

void http_resume(struct http_request *req, loop_fn *fn, void *ctx)
{
    struct http_exchange *x = http_exchange_of(req);

    req->resume.fn = fn;
    req->resume.ctx = ctx;
    loop_post(x->nl->loop, &req->resume);
}

struct loop *http_request_loop(const struct http_request *req)
{
    return http_exchange_of(req)->nl->loop;
}

/* --- streams --- */

static void stream_gone(void *ctx)
{
    struct http_exchange *x = ctx;

    if (!x->is_ended && x->closed)
        x->closed(x->closed_ctx);
    http_exchange_release(x);
}

void http_answer_close_stream(struct http_exchange *x)
{
    stream_gone(x);
}

void http_stream_begin(struct http_request *req, int status, const char *content_type,
                       http_closed_fn *closed, void *ctx)
{
    struct http_exchange *x = http_exchange_of(req);
    struct http_conn *c = req->conn;
    bool has_body = req->method != HTTP_M_HEAD;
    struct iovec head;

    CHECK(!x->is_stream);
    x->is_stream = true;
    x->closed = closed;
    x->closed_ctx = ctx;
    if (!c) {
        http_resume(req, stream_gone, x);
        return;
    }
    announce(x, status);
    if (x->frame.is_http10)
        c->is_last = true;
    x->is_chunked_out = has_body && !x->frame.is_http10;
    head = part(
        build_head(x, status, content_type, x->frame.is_http10 ? FRAME_NOTHING : FRAME_CHUNKED, 0));
    c->phase = HTTP_PHASE_STREAM;
    conn_send(&c->io, &head, 1);
    if (c->io.is_broken)
        conn_wake(&c->io);
    http_conn_watch(c);
}

bool http_stream_write(struct http_request *req, struct slice bytes, size_t queue_max)
{
    struct http_exchange *x = http_exchange_of(req);
    struct http_conn *c = req->conn;
    struct iovec parts[3];
    char size[24];
    int len;

    CHECK(x->is_stream);
    if (!c || c->io.is_broken || bytes.len == 0 || req->method == HTTP_M_HEAD)
        return true;
    if (conn_queued(&c->io) + bytes.len > queue_max)
        return false;
    if (x->is_chunked_out) {
        len = snprintf(size, sizeof(size), "%zx\r\n", bytes.len);
        parts[0] = part(slice_make(size, (size_t)len));
        parts[1] = part(bytes);
        parts[2] = part(SLICE("\r\n"));
        conn_send(&c->io, parts, 3);
    } else {
        parts[0] = part(bytes);
        conn_send(&c->io, parts, 1);
    }
    if (c->io.is_broken)
        conn_wake(&c->io);
    http_conn_watch(c);
    return true;
}

void http_stream_end(struct http_request *req)
{
    struct http_exchange *x = http_exchange_of(req);
    struct http_conn *c = req->conn;

    CHECK(x->is_stream);
    if (!c) { // the message of http_stream_begin frees it
        x->is_ended = true;
        return;
    }
    if (x->is_chunked_out) {
        struct iovec end = part(SLICE("0\r\n\r\n"));

        conn_send(&c->io, &end, 1);
    }
    http_exchange_release(x);
    http_conn_answered(c);
}
