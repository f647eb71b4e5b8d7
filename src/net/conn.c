/* Sockets are used directly and not through bufferevents: reading into the place where the bytes
 * are parsed and writing at once, without a turn of the loop in between, halves the cost of a small
 * request. libevent's buffer holds what a slow client has not taken yet. */
#include "net/conn.h"

#include "base/fault.h"

#include <event2/buffer.h>
#include <event2/event.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define PARTS_MAX 16

static ssize_t plain_result(ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? CONN_AGAIN : CONN_BROKEN;
}

static ssize_t plain_read(struct conn *c, void *bytes, size_t len)
{
    return plain_result(recv(c->fd, bytes, len, 0));
}

static ssize_t plain_write(struct conn *c, const struct iovec *parts, int count)
{
    // sendmsg does not change the parts; its struct has no const for them.
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};
    ssize_t n;

    if (fault_point("net.write"))
        return CONN_AGAIN;
    n = plain_result(sendmsg(c->fd, &m, MSG_NOSIGNAL));
    return n == 0 ? CONN_AGAIN : n;
}

static void plain_finish(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
}

const struct conn_ops conn_plain = {plain_read, plain_write, plain_finish};

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct conn *c = ctx;

    UNUSED(fd);
    UNUSED(what);
    c->readable(c);
}

static void flush(struct conn *c)
{
    while (!c->is_broken && conn_queued(c)) {
        struct evbuffer_iovec parts[PARTS_MAX];
        int count = evbuffer_peek(c->queue, -1, NULL, parts, PARTS_MAX);
        ssize_t n = c->ops->write(c, parts, MIN(count, PARTS_MAX));

        if (n == CONN_AGAIN)
            return;
        if (n == CONN_BROKEN)
            c->is_broken = true;
        else
            evbuffer_drain(c->queue, (size_t)n);
    }
    event_del(&c->on_write);
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    struct conn *c = ctx;

    UNUSED(fd);
    UNUSED(what);
    flush(c);
    c->flushed(c);
}

void conn_open(struct conn *c, struct event_base *base, int fd, const struct conn_ops *ops,
               conn_fn *readable, conn_fn *flushed)
{
    *c = (struct conn){.ops = ops, .fd = fd, .readable = readable, .flushed = flushed};
    CHECK(event_assign(&c->on_read, base, fd, EV_READ | EV_PERSIST, on_readable, c) == 0);
    CHECK(event_assign(&c->on_write, base, fd, EV_WRITE | EV_PERSIST, on_writable, c) == 0);
    conn_set_reading(c, true);
}

void conn_close(struct conn *c)
{
    event_del(&c->on_read);
    event_del(&c->on_write);
    if (c->queue)
        evbuffer_free(c->queue);
    c->queue = NULL;
    close(c->fd);
    c->fd = -1;
}

ssize_t conn_read(struct conn *c, void *bytes, size_t len)
{
    ssize_t n = c->is_broken ? CONN_BROKEN : c->ops->read(c, bytes, len);

    if (n == CONN_BROKEN)
        c->is_broken = true;
    return n;
}

// Queues what is behind the first `done` bytes of the parts.
static bool enqueue(struct conn *c, const struct iovec *parts, int count, size_t done)
{
    if (!c->queue)
        c->queue = evbuffer_new();
    if (!c->queue)
        return false;
    for (int i = 0; i < count; i++) {
        size_t skip = MIN(done, parts[i].iov_len);

        done -= skip;
        if (skip == parts[i].iov_len)
            continue;
        if (evbuffer_add(c->queue, (const char *)parts[i].iov_base + skip,
                         parts[i].iov_len - skip) == -1)
            return false;
    }
    return event_add(&c->on_write, NULL) == 0;
}

void conn_send(struct conn *c, const struct iovec *parts, int count)
{
    size_t total = 0;
    ssize_t n = CONN_AGAIN;

    if (c->is_broken)
        return;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    if (total == 0)
        return;
    if (!conn_queued(c))
        n = c->ops->write(c, parts, count);
    if (n == CONN_BROKEN)
        c->is_broken = true;
    else if (n == CONN_AGAIN || (size_t)n < total)
        c->is_broken = !enqueue(c, parts, count, n == CONN_AGAIN ? 0 : (size_t)n);
}

size_t conn_queued(const struct conn *c)
{
    return c->queue ? evbuffer_get_length(c->queue) : 0;
}

void conn_set_reading(struct conn *c, bool is_on)
{
    if (c->is_reading == is_on)
        return;
    c->is_reading = is_on;
    if ((is_on ? event_add(&c->on_read, NULL) : event_del(&c->on_read)) == -1)
        c->is_broken = true; // the kernel has no room to watch it
}

void conn_finish(struct conn *c)
{
    c->ops->finish(c);
}

void conn_wake(struct conn *c)
{
    event_active(&c->on_write, EV_WRITE, 0);
}
