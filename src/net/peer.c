/* Networks that are not on the public internet: RFC 1122 (loopback), 1918, 3927, 4193, 4291. */
#include "net/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static void set_text(struct peer *p, int family, const void *address)
{
    if (!inet_ntop(family, address, p->text, sizeof(p->text)))
        p->text[0] = '\0';
    p->len = (uint8_t)strlen(p->text);
}

static void set_ip4(struct peer *p, const uint8_t b[4])
{
    p->is_loopback = b[0] == 127;
    p->is_private = p->is_loopback || b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) ||
                    (b[0] == 192 && b[1] == 168) || (b[0] == 169 && b[1] == 254);
    set_text(p, AF_INET, b);
}

static void set_ip6(struct peer *p, const struct in6_addr *a)
{
    if (IN6_IS_ADDR_V4MAPPED(a)) {
        set_ip4(p, a->s6_addr + 12);
        return;
    }
    p->is_loopback = IN6_IS_ADDR_LOOPBACK(a);
    p->is_private = p->is_loopback || (a->s6_addr[0] & 0xfe) == 0xfc || IN6_IS_ADDR_LINKLOCAL(a);
    set_text(p, AF_INET6, a);
}

void peer_set(struct peer *p, const struct sockaddr_storage *address)
{
    const void *any = address;

    *p = (struct peer){.len = 0};
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = any;
        uint8_t b[4];

        memcpy(b, &in->sin_addr, sizeof(b));
        set_ip4(p, b);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = any;

        set_ip6(p, &in6->sin6_addr);
    } else {
        memcpy(p->text, "unix", 5);
        p->len = 4;
        p->is_private = p->is_loopback = true;
    }
}
