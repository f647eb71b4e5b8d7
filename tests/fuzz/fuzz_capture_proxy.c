/* Headers that tell who is behind the connection, one per line: TRUSTED_PROXIES, peer,
 * X-Forwarded-For, Host, X-Forwarded-Host, X-Forwarded-Proto, Origin. What comes out of them goes
 * into records and answers, so it must be clean whatever came in. */
#include "in/capture/capture_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_clean(struct slice s, size_t max)
{
    CHECK(s.len <= max);
    for (size_t i = 0; i < s.len; i++)
        CHECK(s.ptr[i] > ' ' && s.ptr[i] < 0x7f && s.ptr[i] != '"' && s.ptr[i] != '\\');
}

static void check_origin(struct slice header)
{
    struct slice origin = capture_reply_origin(header);

    CHECK(origin.len == 0 ||
          (origin.ptr >= header.ptr && origin.ptr + origin.len <= header.ptr + header.len));
    CHECK(slice_find(origin, '\0') == -1 && slice_find(origin, '?') == -1 &&
          slice_find(origin, '#') == -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size), line[7];
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(1024);
    struct capture_proxies *proxies;
    char *list;

    for (size_t i = 0; i < ARRAY_LEN(line); i++)
        if (!slice_split(&rest, '\n', &line[i]))
            line[i] = SLICE_NONE;
    list = arena_printf(arena, "%.*s", SLICE_ARG(line[0]));
    proxies = capture_proxies_new(list, &err);
    CHECK((proxies == NULL) == (err.code != ERR_NONE));
    for (int trusted = 0; trusted < 2; trusted++) {
        struct capture_site site = {.host = line[3],
                                    .forwarded_host = line[4],
                                    .forwarded_proto = line[5],
                                    .is_trusted = trusted};
        struct slice url = capture_proxy_site_url(&site, arena);

        if (proxies)
            capture_proxies_trust(proxies, line[1], trusted);
        check_clean(capture_proxy_client_ip(line[1], trusted, line[2]), 63);
        check_clean(url, 8 + 255);
        CHECK(url.len == 0 || slice_starts(url, SLICE("http")));
    }
    check_origin(line[6]);
    capture_proxies_free(proxies);
    arena_free(arena);
    return 0;
}
