/* conn.h - the bytes of one connection, below HTTP.
 *
 * What differs between plain and encrypted connections stands in one table, struct conn_ops. A conn
 * is embedded in what uses it; `readable` and `flushed` are that user's. Bytes that the socket does
 * not take at once wait in a queue, whose length conn_queued tells: bounding it is the user's.
 * Threads: the loop's. Errors: a connection that failed is `is_broken`; it takes and gives nothing
 * more and waits for conn_close. No function here calls back.
 */
#pragma once

#include "base/check.h"

#include <event2/event_struct.h>

#include <sys/types.h>
#include <sys/uio.h>

struct conn;
struct event_base;
struct evbuffer;

#define CONN_AGAIN  (-1) /* nothing now */
#define CONN_BROKEN (-2)

struct conn_ops {
    /* Bytes moved (> 0), CONN_AGAIN, CONN_BROKEN; read: 0 at the end of the input. */
    ssize_t (*read)(struct conn *c, void *bytes, size_t len);
    ssize_t (*write)(struct conn *c, const struct iovec *parts, int count);
    void (*finish)(struct conn *c); /* tells the other side that no more comes */
};

typedef void conn_fn(struct conn *c);

struct conn {
    const struct conn_ops *ops;
    conn_fn *readable; /* bytes or the end of the input are there: call conn_read */
    conn_fn *flushed;  /* the socket took some of the queue, or conn_wake was called */
    struct event on_read, on_write;
    struct evbuffer *queue; /* NULL until something had to wait */
    int fd;
    bool is_reading;
    bool is_broken;
};

extern const struct conn_ops conn_plain;

/* Takes the non-blocking socket `fd` over and starts reading. */
void conn_open(struct conn *c, struct event_base *base, int fd, const struct conn_ops *ops,
               conn_fn *readable, conn_fn *flushed);
void conn_close(struct conn *c);
ssize_t conn_read(struct conn *c, void *bytes, size_t len);
/* Sends all parts in one call if the socket takes them, and queues a copy of the rest. */
void conn_send(struct conn *c, const struct iovec *parts, int count);
size_t conn_queued(const struct conn *c);
void conn_set_reading(struct conn *c, bool is_on);
void conn_finish(struct conn *c); /* after the queue is empty */
void conn_wake(struct conn *c);   /* `flushed` is called soon, from the loop */
