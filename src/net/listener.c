/* Listening sockets: one per loop with SO_REUSEPORT, so that the kernel deals out connections and
 * loops share nothing.
 *
 * SO_REUSEPORT would let a second process of ours share the port unnoticed. So the first socket is
 * bound without it, which fails when anyone else has the port, and gets the option only then; the
 * kernel looks at the option when the next socket is bound. A Unix socket cannot be shared that
 * way: all loops accept from one. */
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/net_priv.h"

#include <event2/event.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG         4096 /* the kernel cuts it to its own maximum */
#define ACCEPT_AT_ONCE  64
#define ACCEPT_PAUSE_US 100000

static void close_fd(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* --- TCP --- */

// A bound socket, not listening yet; -1 with errno.
static int bind_one(const struct sockaddr *address, socklen_t len, bool is_shared)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int kept;

    if (fd == -1)
        return -1;
    // Old connections in TIME_WAIT must not keep a restarted server from its port.
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
        (!is_shared || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
        (address->sa_family != AF_INET6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) &&
        bind(fd, address, len) == 0)
        return fd;
    kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

static int port_of(const struct sockaddr_storage *a)
{
    const void *any = a;

    if (a->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)any)->sin6_port);
    return ntohs(((const struct sockaddr_in *)any)->sin_port);
}

// Binds one socket per door to the address; false with errno.
static bool bind_doors(struct http_listener *l, const struct addrinfo *ai)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    int kept;

    l->doors[0].fd = bind_one(ai->ai_addr, ai->ai_addrlen, false);
    if (l->doors[0].fd == -1 || getsockname(l->doors[0].fd, (void *)&bound, &len) == -1 ||
        (l->door_count > 1 && !set_option(l->doors[0].fd, SOL_SOCKET, SO_REUSEPORT, 1)))
        goto fail;
    for (int i = 1; i < l->door_count; i++) {
        l->doors[i].fd = bind_one((const void *)&bound, len, true);
        if (l->doors[i].fd == -1)
            goto fail;
    }
    for (int i = 0; i < l->door_count; i++)
        if (listen(l->doors[i].fd, BACKLOG) == -1)
            goto fail;
    l->port = port_of(&bound);
    return true;
fail:
    kept = errno;
    for (int i = 0; i < l->door_count; i++)
        close_fd(&l->doors[i].fd);
    errno = kept;
    return false;
}

// Tries the addresses of one family; keeps the reason of the last that failed in *fault.
static bool bind_family(struct http_listener *l, const struct addrinfo *all, int family, int *fault)
{
    for (const struct addrinfo *ai = all; ai; ai = ai->ai_next) {
        if (ai->ai_family != family)
            continue;
        if (bind_doors(l, ai))
            return true;
        *fault = errno;
    }
    return false;
}

static bool bind_tcp(struct http_listener *l, struct slice host, int port, struct err *err)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *all = NULL;
    char *name = host.len ? slice_dup(host) : NULL;
    char service[16];
    int e, fault = EADDRNOTAVAIL;
    bool ok;

    snprintf(service, sizeof(service), "%d", port);
    e = getaddrinfo(name, service, &hints, &all);
    mem_free(name);
    if (e != 0)
        return err_set(err, ERR_IO, "%s: cannot listen on %s: %s", l->name, l->place,
                       e == EAI_SYSTEM ? strerror(errno) : gai_strerror(e));
    // Every address: the IPv6 socket takes IPv4 too. A name with both: IPv4 is what people expect.
    if (host.len == 0)
        ok = bind_family(l, all, AF_INET6, &fault) || bind_family(l, all, AF_INET, &fault);
    else
        ok = bind_family(l, all, AF_INET, &fault) || bind_family(l, all, AF_INET6, &fault);
    freeaddrinfo(all);
    if (!ok)
        err_errno(err, fault, "%s: cannot listen on %s", l->name, l->place);
    return ok;
}

/* --- Unix sockets --- */

static bool unix_address(const char *path, struct sockaddr_un *address)
{
    size_t len = strlen(path);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len == 0 || len >= sizeof(address->sun_path))
        return false;
    memcpy(address->sun_path, path, len);
    return true;
}

// Removes the socket of a process that is gone; one that answers stays.
static void remove_stale(const struct sockaddr_un *address)
{
    struct stat st;
    int fd;

    if (lstat(address->sun_path, &st) == -1 || !S_ISSOCK(st.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return;
    if (connect(fd, (const void *)address, sizeof(*address)) == -1 && errno == ECONNREFUSED)
        unlink(address->sun_path);
    close(fd);
}

static bool bind_unix(struct http_listener *l, struct err *err)
{
    struct sockaddr_un address;
    int fd;

    if (!unix_address(l->unix_path, &address))
        return err_set(err, ERR_INPUT, "%s: cannot listen on %s: the path must have 1 to %zu bytes",
                       l->name, l->unix_path, sizeof(address.sun_path) - 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return err_errno(err, errno, "%s: cannot listen on %s", l->name, l->place);
    remove_stale(&address);
    l->doors[0].fd = fd;
    if (bind(fd, (const void *)&address, sizeof(address)) == -1) {
        mem_free(l->unix_path); // it is not ours to remove
        l->unix_path = NULL;
        return err_errno(err, errno, "%s: cannot listen on %s", l->name, l->place);
    }
    if (listen(fd, BACKLOG) == -1)
        return err_errno(err, errno, "%s: cannot listen on %s", l->name, l->place);
    for (int i = 1; i < l->door_count; i++) {
        l->doors[i].fd = dup(fd);
        if (l->doors[i].fd == -1)
            return err_errno(err, errno, "%s: cannot listen on %s", l->name, l->place);
    }
    return true;
}

bool listener_bind(struct http_listener *l, const char *host, int port, struct err *err)
{
    struct slice name = slice_cstr(host);
    size_t size;

    if (l->unix_path) {
        l->place = mem_dup_str(l->unix_path);
        return bind_unix(l, err);
    }
    if (port < 0 || port > 65535)
        return err_set(err, ERR_INPUT, "%s: %d is not a port, it must be 0 to 65535", l->name,
                       port);
    if (name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = slice_make(name.ptr + 1, name.len - 2); // [::1] as in a URL
    if (slice_eq(name, SLICE("*")))
        name = SLICE("");
    size = name.len + 16;
    l->place = mem_alloc(size);
    snprintf(l->place, size, slice_find(name, ':') >= 0 ? "[%.*s]:%d" : "%.*s:%d",
             SLICE_ARG(name.len ? name : SLICE("*")), port);
    return bind_tcp(l, name, port, err);
}

void listener_fini(struct http_listener *l)
{
    for (int i = 0; i < l->door_count; i++)
        listener_close(&l->doors[i]);
    if (l->unix_path)
        unlink(l->unix_path);
}

/* --- accepting --- */

static void pause_accepting(struct net_door *door, int fault)
{
    static const struct timeval pause = {.tv_usec = ACCEPT_PAUSE_US};

    log_warn("net", "cannot accept connections, pausing", KV_STR("listener", door->listener->name),
             KV_STR("err", strerror(fault)));
    event_del(&door->on_accept);
    CHECK(event_add(&door->on_pause, &pause) == 0);
}

static void on_pause(evutil_socket_t fd, short what, void *ctx)
{
    struct net_door *door = ctx;

    UNUSED(fd);
    UNUSED(what);
    CHECK(event_add(&door->on_accept, NULL) == 0);
}

// Over the limit: the client gets to know it in words if that works at once.
static void turn_away(struct net_door *door, int fd)
{
    struct slice text = http_answer_overload();
    struct net_loop *nl = door->nl;

    metric_add(door->listener->refused[HTTP_REFUSED_CONNECTIONS], 1);
    if (send(fd, text.ptr, text.len, MSG_NOSIGNAL) > 0)
        shutdown(fd, SHUT_WR);
    // Closing with unread bytes would send a reset, which may overtake the answer.
    while (recv(fd, nl->scratch, sizeof(nl->scratch), MSG_DONTWAIT) > 0)
        ;
    close(fd);
}

// False when there is nobody left to be accepted now.
static bool accept_one(struct net_door *door)
{
    struct http_listener *l = door->listener;
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    socklen_t len = sizeof(address);
    int fd = -1;

    errno = EMFILE;
    if (!fault_point("net.accept"))
        fd = accept4(door->fd, (void *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd == -1) {
        switch (errno) {
        case EAGAIN:
            return false;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            pause_accepting(door, errno);
            return false;
        default: // that connection is gone already
            return true;
        }
    }
    if (atomic_load(&l->connections) >= l->limits.connections_max)
        turn_away(door, fd);
    else
        http_conn_new(door, fd, &address);
    return true;
}

static void on_accept(evutil_socket_t fd, short what, void *ctx)
{
    struct net_door *door = ctx;

    UNUSED(fd);
    UNUSED(what);
    for (int i = 0; i < ACCEPT_AT_ONCE && accept_one(door); i++)
        ;
}

void listener_open(struct net_door *door)
{
    struct event_base *base = loop_base(door->nl->loop);

    CHECK(event_assign(&door->on_accept, base, door->fd, EV_READ | EV_PERSIST, on_accept, door) ==
          0);
    CHECK(event_assign(&door->on_pause, base, -1, 0, on_pause, door) == 0);
    door->is_open = true;
    CHECK(event_add(&door->on_accept, NULL) == 0);
}

void listener_close(struct net_door *door)
{
    if (door->is_open) {
        event_del(&door->on_accept);
        event_del(&door->on_pause);
    }
    door->is_open = false;
    close_fd(&door->fd);
}

void listener_drain(struct net_door *door)
{
    // Who is in the queue has connected before the end: closing would reset them.
    while (door->is_open && event_pending(&door->on_accept, EV_READ, NULL) && accept_one(door))
        ;
    listener_close(door);
}
