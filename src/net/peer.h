/* peer.h - who is at the other end of a connection, as text and by kind of network. */
#pragma once

#include "base/str.h"

#include <sys/socket.h>

struct peer {
    char text[48]; /* not NUL-terminated for anyone: use len */
    uint8_t len;
    bool is_private; /* loopback, private, link-local or Unix */
    bool is_loopback;
};

/* An IPv4 address inside IPv6 is told as the IPv4 address it is. Unix sockets, which always are on
 * this machine, are "unix". */
void peer_set(struct peer *p, const struct sockaddr_storage *address);
