/* A whole connection of the server on one end of a socket pair: the first byte says in pieces of
 * which size the rest is sent. Nothing may be left behind. */
#include "net/net_priv.h"

#include <event2/event.h>

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_request(struct http_request *req, void *ctx)
{
    UNUSED(ctx);
    for (size_t i = 0; i < req->header_count; i++)
        http_answer_header(req, "X", req->headers[i].value); // reads all of it
    http_respond(req, 200, NULL, req->body);
}

static const struct http_route routes[] = {
    {.methods = HTTP_M_GET | HTTP_M_POST,
     .pattern = "/",
     .handler = on_request,
     .body_bytes_max = 30000},
    {.methods = HTTP_M_POST, .pattern = "/:small", .handler = on_request, .body_bytes_max = 10},
};

static struct net *start(void)
{
    struct http_listener_options opt = {
        .name = "fuzz",
        .host = "127.0.0.1",
        .routes = routes,
        .route_count = ARRAY_LEN(routes),
        .limits = {.head_bytes_max = 20000, .body_bytes_total_max = 25000}};
    struct err err = ERR_INIT;
    struct net *n = net_new(1, NULL, &err);

    CHECK(n && net_listen(n, &opt, &err));
    return n;
}

static void turn(struct net *n, int fd)
{
    char bytes[65536];

    event_base_loop(loop_base(net_loop(n, 0)), EVLOOP_ONCE | EVLOOP_NONBLOCK);
    while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sockaddr_storage address = {.ss_family = AF_UNIX};
    static struct net *n;
    size_t piece = size ? (size_t)data[0] * 64 + 1 : 1, sent;
    int fds[2];

    n = n ? n : start();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    http_conn_new(n->loops[0]->doors[0], fds[0], &address);
    for (size_t at = 1; at < size; at += sent) {
        ssize_t done = send(fds[1], data + at, MIN(piece, size - at), MSG_NOSIGNAL);

        turn(n, fds[1]);
        sent = done > 0 ? (size_t)done : size;
    }
    close(fds[1]);
    for (int i = 0; i < 10 && !list_is_empty(&n->loops[0]->conns); i++)
        event_base_loop(loop_base(net_loop(n, 0)), EVLOOP_ONCE | EVLOOP_NONBLOCK);
    CHECK(list_is_empty(&n->loops[0]->conns) && list_is_empty(&n->loops[0]->exchanges));
    CHECK(atomic_load(&n->listeners[0]->body_bytes) == 0);
    return 0;
}
