/* Straight down: take the URL apart, connect, send, read. The socket does not block; every wait is
 * a poll up to the deadline of the call, which only the bytes of a stream put off. Only the look-up
 * of a name blocks as long as the system's resolver does. */
#include "net/http_client.h"

#include "base/clock.h"

#include <errno.h>
#include <llhttp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX ((size_t)1 << 20)

struct target {
    struct slice host; /* without brackets */
    struct slice authority;
    struct slice port;
    struct slice path; /* with the query */
};

struct client {
    llhttp_t ll;
    const struct http_call *call;
    struct http_reply *reply;
    int fd;
    int64_t deadline_us;    /* clock_mono_real_us */
    struct buf name, value; /* of the header being read */
    bool is_done;
    bool is_ended; /* on_data wants no more */
    bool is_odd;   /* the status is none */
    bool is_over;  /* the body is larger than the reply may hold */
};

/* --- the URL --- */

static bool is_port(struct slice s)
{
    uint64_t port;

    return slice_u64(s, &port) && port > 0 && port <= 65535;
}

// "host", "host:port", "[address]" or "[address]:port"; no user and password.
static bool split_authority(struct slice a, struct target *t)
{
    struct slice rest;
    ptrdiff_t end;

    t->authority = a;
    t->port = SLICE("80");
    if (slice_find(a, '@') >= 0)
        return false;
    if (a.len && a.ptr[0] == '[') {
        end = slice_find(a, ']');
        if (end < 0)
            return false;
        t->host = slice_make(a.ptr + 1, (size_t)end - 1);
        rest = slice_make(a.ptr + end + 1, a.len - (size_t)end - 1);
    } else {
        end = slice_find(a, ':');
        t->host = end < 0 ? a : slice_make(a.ptr, (size_t)end);
        rest = slice_make(a.ptr + t->host.len, a.len - t->host.len);
    }
    if (rest.len) {
        t->port = slice_make(rest.ptr + 1, rest.len - 1);
        if (rest.ptr[0] != ':' || !is_port(t->port))
            return false;
    }
    return t->host.len > 0;
}

static bool split_url(const char *url, struct target *t, struct err *err)
{
    struct slice rest = slice_cstr(url), scheme = SLICE("http://");
    size_t end = 0;
    ptrdiff_t mark;

    if (!slice_eq_nocase(slice_make(rest.ptr, MIN(rest.len, scheme.len)), scheme))
        return err_set(err, ERR_INPUT, "%s: the URL must begin with http://", url ? url : "");
    for (size_t i = 0; i < rest.len; i++)
        if ((unsigned char)rest.ptr[i] <= ' ' || rest.ptr[i] == 0x7f)
            return err_set(err, ERR_INPUT, "the URL must have no spaces or control characters");
    rest = slice_make(rest.ptr + scheme.len, rest.len - scheme.len);
    while (end < rest.len && !strchr("/?#", rest.ptr[end]))
        end++;
    t->path = slice_make(rest.ptr + end, rest.len - end);
    mark = slice_find(t->path, '#');
    if (mark >= 0)
        t->path.len = (size_t)mark;
    if (!split_authority(slice_make(rest.ptr, end), t))
        return err_set(err, ERR_INPUT, "%s: http://HOST:PORT/PATH is expected", url);
    return true;
}

/* --- the connection --- */

static bool is_late(int64_t deadline_us)
{
    if (clock_mono_real_us() < deadline_us)
        return false;
    errno = ETIMEDOUT;
    return true;
}

// Waits until the socket is ready; false when the time is over (errno ETIMEDOUT) or poll failed.
static bool wait_for(int fd, short events, int64_t deadline_us)
{
    while (!is_late(deadline_us)) {
        struct pollfd p = {.fd = fd, .events = events};
        int64_t left = MAX(deadline_us - clock_mono_real_us(), 0);
        int n = poll(&p, 1, (int)MIN((left + 999) / 1000, INT32_MAX));

        if (n > 0)
            return true;
        if (n == -1 && errno != EINTR)
            return false;
    }
    return false;
}

static int connect_one(const struct addrinfo *ai, int64_t deadline_us)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int fault = 0, one = 1;
    socklen_t len = sizeof(fault);

    if (fd == -1)
        return -1;
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) == -1) {
        if (errno != EINPROGRESS || !wait_for(fd, POLLOUT, deadline_us) ||
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &len) == -1)
            fault = errno;
    }
    if (fault) {
        close(fd);
        errno = fault;
        return -1;
    }
    // Only speed depends on it.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static bool connect_any(struct client *c, const struct target *t, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
    char host[256], port[8];
    int e, fault = EADDRNOTAVAIL;

    if (t->host.len >= sizeof(host))
        return err_set(err, ERR_INPUT, "the host name of the URL is too long");
    snprintf(host, sizeof(host), "%.*s", SLICE_ARG(t->host));
    snprintf(port, sizeof(port), "%.*s", SLICE_ARG(t->port));
    e = getaddrinfo(host, port, &hints, &all);
    if (e != 0)
        return err_set(err, ERR_RETRY, "%s: %s", host,
                       e == EAI_SYSTEM ? strerror(errno) : gai_strerror(e));
    for (const struct addrinfo *ai = all; ai && c->fd == -1; ai = ai->ai_next) {
        c->fd = connect_one(ai, c->deadline_us);
        fault = errno;
    }
    freeaddrinfo(all);
    if (c->fd == -1)
        return err_set(err, ERR_RETRY, "cannot connect to %.*s: %s", SLICE_ARG(t->authority),
                       strerror(fault));
    return true;
}

static bool send_all(struct client *c, struct slice bytes, struct err *err)
{
    while (bytes.len) {
        ssize_t n = send(c->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

        if (n >= 0)
            bytes = slice_make(bytes.ptr + n, bytes.len - (size_t)n);
        else if (errno == EPIPE || errno == ECONNRESET)
            return true; // the server may have answered without reading to the end
        else if ((errno != EAGAIN && errno != EINTR) || !wait_for(c->fd, POLLOUT, c->deadline_us))
            return err_set(err, ERR_RETRY, "sending the request: %s", strerror(errno));
    }
    return true;
}

static bool build_request(const struct http_call *call, const struct target *t, struct buf *out,
                          struct err *err)
{
    bool has_body = call->body.len || strcmp(call->method, "POST") == 0 ||
                    strcmp(call->method, "PUT") == 0 || strcmp(call->method, "PATCH") == 0;

    buf_addf(out, "%s %s%.*s HTTP/1.1\r\nHost: %.*s\r\nConnection: close\r\n", call->method,
             t->path.len && t->path.ptr[0] == '/' ? "" : "/", SLICE_ARG(t->path),
             SLICE_ARG(t->authority));
    if (has_body)
        buf_addf(out, "Content-Length: %zu\r\n", call->body.len);
    for (const char *const *h = call->headers; h && *h; h++) {
        if (strpbrk(*h, "\r\n") || !strchr(*h, ':'))
            return err_set(err, ERR_INPUT, "a header must be one line of the form Name: value");
        buf_addf(out, "%s\r\n", *h);
    }
    buf_add_str(out, "\r\n");
    return !out->is_over || err_set(err, ERR_LIMIT, "the head of the request is too large");
}

/* --- the answer --- */

static struct client *client_of(llhttp_t *ll)
{
    return CONTAINER_OF(ll, struct client, ll);
}

static int on_field(llhttp_t *ll, const char *at, size_t len)
{
    return buf_add(&client_of(ll)->name, at, len) ? 0 : HPE_USER;
}

static int on_value(llhttp_t *ll, const char *at, size_t len)
{
    return buf_add(&client_of(ll)->value, at, len) ? 0 : HPE_USER;
}

static int on_value_complete(llhttp_t *ll)
{
    struct client *c = client_of(ll);
    uint64_t seconds;

    if (slice_eq_nocase(buf_slice(&c->name), SLICE("Retry-After")) &&
        slice_u64(slice_trim(buf_slice(&c->value)), &seconds) && seconds <= INT32_MAX)
        c->reply->retry_after_s = (int64_t)seconds;
    buf_clear(&c->name);
    buf_clear(&c->value);
    return 0;
}

static int on_headers(llhttp_t *ll)
{
    struct client *c = client_of(ll);

    ll->upgrade = 0;
    c->reply->status = ll->status_code;
    c->is_odd = c->reply->status < 100;
    if (c->is_odd)
        return -1;
    return strcmp(c->call->method, "HEAD") == 0; // 1: no body follows, whatever the head says
}

static int on_body(llhttp_t *ll, const char *at, size_t len)
{
    struct client *c = client_of(ll);

    if (c->call->on_data) {
        c->is_ended = !c->call->on_data(slice_make(at, len), c->call->ctx);
        return c->is_ended ? HPE_USER : 0;
    }
    c->is_over = !buf_add(&c->reply->body, at, len);
    return c->is_over ? HPE_USER : 0;
}

static int on_message(llhttp_t *ll)
{
    struct client *c = client_of(ll);

    if (c->reply->status >= 200) { // 100 Continue and its like come before the answer
        c->is_done = true;
        return HPE_PAUSED;
    }
    return 0;
}

static bool fault(struct client *c, struct err *err)
{
    if (c->is_over)
        return err_set(err, ERR_LIMIT, "the answer is larger than %zu bytes", c->reply->body.max);
    if (c->is_odd)
        return err_set(err, ERR_CORRUPT, "the answer has the status %03d", c->reply->status);
    return err_set(err, ERR_CORRUPT, "the answer is not HTTP/1.1: %s",
                   llhttp_get_error_reason(&c->ll));
}

// Takes in what was received; false for an answer that is none.
static bool take_bytes(struct client *c, const char *bytes, size_t len, struct err *err)
{
    llhttp_errno_t e = llhttp_execute(&c->ll, bytes, len);

    return e == HPE_OK || c->is_done || c->is_ended || fault(c, err);
}

// The server has closed, which may be the end of a body without a length.
static bool take_end(struct client *c, struct err *err)
{
    llhttp_finish(&c->ll);
    return c->is_done ||
           err_set(err, ERR_RETRY, "the connection was closed before the answer ended");
}

static bool read_answer(struct client *c, struct err *err)
{
    char bytes[16 * 1024];

    while (!c->is_done && !c->is_ended) {
        ssize_t n = is_late(c->deadline_us) ? -1 : recv(c->fd, bytes, sizeof(bytes), 0);

        if (n == -1 && (errno == EAGAIN || errno == EINTR) &&
            wait_for(c->fd, POLLIN, c->deadline_us))
            continue;
        if (n == -1)
            return err_set(err, ERR_RETRY, "waiting for the answer: %s", strerror(errno));
        if (n == 0)
            return take_end(c, err);
        if (!take_bytes(c, bytes, (size_t)n, err))
            return false;
        if (c->call->on_data && c->reply->status >= 200)
            c->deadline_us = clock_mono_real_us() + c->call->timeout_us;
    }
    return true;
}

static void client_init(struct client *c, const struct http_call *call, struct http_reply *reply)
{
    static const llhttp_settings_t settings = {.on_header_field = on_field,
                                               .on_header_value = on_value,
                                               .on_header_value_complete = on_value_complete,
                                               .on_headers_complete = on_headers,
                                               .on_body = on_body,
                                               .on_message_complete = on_message};

    *c = (struct client){.call = call,
                         .reply = reply,
                         .fd = -1,
                         .deadline_us = clock_mono_real_us() + call->timeout_us,
                         .name = BUF_INIT(HEAD_MAX),
                         .value = BUF_INIT(HEAD_MAX)};
    reply->status = 0;
    reply->retry_after_s = -1;
    buf_clear(&reply->body);
    llhttp_init(&c->ll, HTTP_RESPONSE, &settings);
}

static void client_fini(struct client *c)
{
    if (c->fd != -1)
        close(c->fd);
    buf_free(&c->name);
    buf_free(&c->value);
}

bool http_client_call(const struct http_call *call, struct http_reply *reply, struct err *err)
{
    struct client c;
    struct buf head = BUF_INIT(HEAD_MAX);
    struct target t = {.host = SLICE_NONE};
    bool ok;

    client_init(&c, call, reply);
    ok = split_url(call->url, &t, err) && build_request(call, &t, &head, err) &&
         connect_any(&c, &t, err) && send_all(&c, buf_slice(&head), err) &&
         send_all(&c, call->body, err) && read_answer(&c, err);
    buf_free(&head);
    client_fini(&c);
    return ok;
}
