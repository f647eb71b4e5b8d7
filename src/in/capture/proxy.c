/* proxy.c - who is behind the connection: trusted proxies, the client's address, the site's URL.
 *
 * What X-Forwarded-For, -Proto and -Host say counts only when the peer is a proxy of ours: loopback
 * and private addresses are by default, others when TRUSTED_PROXIES lists them. Networks are
 * compared as IPv6 (IPv4 as
 * ::ffff:a.b.c.d), so one loop serves both.
 */
#include "base/mem.h"
#include "in/capture/capture_priv.h"

#include <arpa/inet.h>

#define NETWORKS_MAX     256
#define ADDRESS_TEXT_MAX 64
#define HOST_MAX         255

struct network {
    uint8_t address[16];
    unsigned bits;
};

struct capture_proxies {
    bool is_all;
    size_t count;
    struct network networks[NETWORKS_MAX];
};

static bool parse_address(struct slice text, uint8_t out[16], bool *is_v4)
{
    char copy[ADDRESS_TEXT_MAX];

    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, 0, text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    memset(out, 0, 10);
    memset(out + 10, 0xff, 2);
    *is_v4 = inet_pton(AF_INET, copy, out + 12) == 1;
    return *is_v4 || inet_pton(AF_INET6, copy, out) == 1;
}

/* "address" or "address/bits" */
static bool parse_network(struct slice text, struct network *n)
{
    struct slice rest = text, address = SLICE_NONE;
    uint64_t bits;
    bool is_v4;

    if (!slice_split(&rest, '/', &address) ||
        !parse_address(slice_trim(address), n->address, &is_v4))
        return false;
    bits = is_v4 ? 32 : 128;
    if (address.len < text.len &&
        (!slice_u64(slice_trim(rest), &bits) || bits > (is_v4 ? 32u : 128u)))
        return false;
    n->bits = (unsigned)bits + (is_v4 ? 96 : 0);
    return true;
}

static bool network_has(const struct network *n, const uint8_t address[16])
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;

    if (memcmp(n->address, address, whole) != 0)
        return false;
    return rest == 0 || (n->address[whole] >> (8 - rest)) == (address[whole] >> (8 - rest));
}

struct capture_proxies *capture_proxies_new(const char *list, struct err *err)
{
    struct capture_proxies *p = mem_new(struct capture_proxies);
    struct slice rest = slice_cstr(list), part = SLICE_NONE;

    while (slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (part.len == 0)
            continue;
        if (slice_eq_nocase(part, SLICE("all"))) {
            p->is_all = true;
            continue;
        }
        if (p->count == NETWORKS_MAX)
            err_set(err, ERR_LIMIT, "TRUSTED_PROXIES: at most %d addresses or networks",
                    NETWORKS_MAX);
        else if (!parse_network(part, &p->networks[p->count]))
            err_set(
                err, ERR_INPUT,
                "TRUSTED_PROXIES: \"%.*s\" is not an address, a network like 10.1.0.0/16, or all",
                SLICE_ARG(part));
        else {
            p->count++;
            continue;
        }
        capture_proxies_free(p);
        return NULL;
    }
    return p;
}

void capture_proxies_free(struct capture_proxies *p)
{
    mem_free(p);
}

bool capture_proxies_trust(const struct capture_proxies *p, struct slice peer, bool is_private)
{
    uint8_t address[16];
    bool is_v4;

    if (is_private || p->is_all)
        return true;
    if (p->count == 0 || !parse_address(peer, address, &is_v4))
        return false;
    for (size_t i = 0; i < p->count; i++)
        if (network_has(&p->networks[i], address))
            return true;
    return false;
}

/* --- client address --- */

/* "a.b.c.d:port" as some gateways write it loses the port; anything with more colons is IPv6. */
static struct slice cut_port(struct slice s)
{
    ptrdiff_t colon = slice_find(s, ':');

    if (colon > 0 &&
        slice_find(slice_make(s.ptr + colon + 1, s.len - (size_t)colon - 1), ':') == -1)
        s.len = (size_t)colon;
    return s;
}

/* Proxies also send "unknown" and made-up names; the pipeline looks addresses up, so only these
 * pass. */
static bool looks_like_address(struct slice s)
{
    static const char allowed[] = "0123456789abcdefABCDEF.:[]%";
    bool has_mark = false;

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == 0 || !strchr(allowed, s.ptr[i]))
            return false;
        has_mark = has_mark || s.ptr[i] == '.' || s.ptr[i] == ':';
    }
    return has_mark && s.len < ADDRESS_TEXT_MAX;
}

struct slice capture_proxy_client_ip(struct slice peer, bool is_trusted, struct slice forwarded_for)
{
    struct slice first = SLICE_NONE;

    if (is_trusted && slice_split(&forwarded_for, ',', &first)) {
        first = cut_port(slice_trim(first));
        if (looks_like_address(first))
            return first;
    }
    return looks_like_address(peer) ? peer : SLICE_NONE; /* a Unix socket has none */
}

/* --- site --- */

static struct slice first_part(struct slice list)
{
    struct slice part = SLICE_NONE;

    return slice_split(&list, ',', &part) ? slice_trim(part) : SLICE_NONE;
}

static bool is_host(struct slice s)
{
    if (s.len == 0 || s.len > HOST_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!is_word && (c == 0 || !strchr("-._:[]", c)))
            return false;
    }
    return true;
}

struct slice capture_proxy_site_url(const struct capture_site *site, struct arena *arena)
{
    struct slice scheme = SLICE("http://"), host = site->host;
    char *url;

    if (site->is_trusted && is_host(first_part(site->forwarded_host)))
        host = first_part(site->forwarded_host);
    if (site->is_trusted && slice_eq_nocase(first_part(site->forwarded_proto), SLICE("https")))
        scheme = SLICE("https://");
    if (!is_host(host))
        return SLICE_NONE;
    url = arena_alloc(arena, scheme.len + host.len);
    memcpy(url, scheme.ptr, scheme.len);
    memcpy(url + scheme.len, host.ptr, host.len);
    return slice_make(url, scheme.len + host.len);
}
