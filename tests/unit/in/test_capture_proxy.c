#include "in/capture/capture_priv.h"
#include "lib/unit.h"

static void trusts_what_is_listed(void **state)
{
    static const struct {
        const char *list, *peer;
        bool is_private, is_trusted;
    } table[] = {
        {"", "127.0.0.1", true, true},
        {NULL, "127.0.0.1", true, true},
        {"", "8.8.8.8", false, false},
        {"all", "8.8.8.8", false, true},
        {"ALL", "8.8.8.8", false, true},
        {"8.8.8.8", "8.8.8.8", false, true},
        {"8.8.8.8", "8.8.8.9", false, false},
        {"8.8.8.8", "10.0.0.1", true, true},
        {" 1.1.1.1 , 8.8.0.0/16 ", "8.8.8.9", false, true},
        {"8.8.0.0/16", "8.9.0.0", false, false},
        {"8.8.0.0/15", "8.9.0.0", false, true},
        {"128.0.0.0/1", "200.1.2.3", false, true},
        {"128.0.0.0/1", "100.1.2.3", false, false},
        {"0.0.0.0/0", "100.1.2.3", false, true},
        {"0.0.0.0/0", "2001:db8::1", false, false},
        {"2001:db8::/33", "2001:db8:7fff::1", false, true},
        {"2001:db8::/33", "2001:db8:8000::1", false, false},
        {"2001:db8::1", "2001:db8::1", false, true},
        {"8.8.8.8", "::ffff:8.8.8.8", false, true},
        {"8.8.8.8,,", "unix", false, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = ERR_INIT;
        struct capture_proxies *p = capture_proxies_new(table[i].list, &err);

        assert_non_null(p);
        if (capture_proxies_trust(p, slice_cstr(table[i].peer), table[i].is_private) !=
            table[i].is_trusted)
            fail_msg("list %s, peer %s", table[i].list, table[i].peer);
        capture_proxies_free(p);
    }
}

static void refuses_bad_lists(void **state)
{
    static const char *const table[] = {"nonsense", "1.2.3", "1.2.3.4/33", "1.2.3.4/x", "1.2.3.4/",
                                        "::1/129",  "/8",    "all,x",      "1.2.3.4/-1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = ERR_INIT;

        assert_null(capture_proxies_new(table[i], &err));
        assert_int_equal(err.code, ERR_INPUT);
        assert_non_null(strstr(err.text, "TRUSTED_PROXIES"));
    }
}

static void bounds_the_list(void **state)
{
    struct buf list = BUF_INIT(1 << 16);
    struct err err = ERR_INIT;

    (void)state;
    for (int i = 0; i < 257; i++)
        buf_addf(&list, "10.0.%d.%d,", i / 256, i % 256);
    assert_null(capture_proxies_new(buf_cstr(&list), &err));
    assert_int_equal(err.code, ERR_LIMIT);
    buf_free(&list);
}

static void finds_the_client(void **state)
{
    static const struct {
        const char *peer;
        bool is_trusted;
        const char *forwarded, *ip;
    } table[] = {
        {"127.0.0.1", true, NULL, "127.0.0.1"},
        {"127.0.0.1", true, "", "127.0.0.1"},
        {"127.0.0.1", true, "89.160.20.129, 10.0.0.1", "89.160.20.129"},
        {"127.0.0.1", true, "  89.160.20.129", "89.160.20.129"},
        {"127.0.0.1", true, "89.160.20.129:4711", "89.160.20.129"},
        {"127.0.0.1", true, "2001:db8::1", "2001:db8::1"},
        {"127.0.0.1", true, "[2001:db8::1]:443", "[2001:db8::1]:443"},
        {"127.0.0.1", true, "unknown", "127.0.0.1"},
        {"127.0.0.1", true, "<script>", "127.0.0.1"},
        {"127.0.0.1", true, ",1.2.3.4", "127.0.0.1"},
        {"8.8.8.8", false, "89.160.20.129", "8.8.8.8"},
        {"unix", true, NULL, ""},
        {"unix", true, "1.2.3.4", "1.2.3.4"},
        {"127.0.0.1", true, "1111111111111111111111111111111111111111111111111111111111111111.1",
         "127.0.0.1"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct slice ip = capture_proxy_client_ip(slice_cstr(table[i].peer), table[i].is_trusted,
                                                  slice_cstr(table[i].forwarded));

        if (!slice_eq(ip, slice_cstr(table[i].ip)))
            fail_msg("%s -> %.*s", table[i].forwarded, SLICE_ARG(ip));
    }
}

static void builds_the_site_url(void **state)
{
    static const struct {
        const char *host, *forwarded_host, *forwarded_proto;
        bool is_trusted;
        const char *url;
    } table[] = {
        {"localhost:8000", NULL, NULL, true, "http://localhost:8000"},
        {"[::1]:8000", NULL, NULL, true, "http://[::1]:8000"},
        {"in", "ph.example.org", "https", true, "https://ph.example.org"},
        {"in", "ph.example.org", "https", false, "http://in"},
        {"in", "a.example, b.example", "HTTPS, http", true, "https://a.example"},
        {"in", "", "ftp", true, "http://in"},
        {"in", "bad host", NULL, true, "http://in"},
        {"bad\"host", NULL, NULL, true, ""},
        {NULL, NULL, "https", true, ""},
    };
    struct arena *arena = arena_new(1024);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct capture_site site = {.host = slice_cstr(table[i].host),
                                    .forwarded_host = slice_cstr(table[i].forwarded_host),
                                    .forwarded_proto = slice_cstr(table[i].forwarded_proto),
                                    .is_trusted = table[i].is_trusted};
        struct slice url = capture_proxy_site_url(&site, arena);

        if (!slice_eq(url, slice_cstr(table[i].url)))
            fail_msg("%zu -> %.*s", i, SLICE_ARG(url));
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trusts_what_is_listed), cmocka_unit_test(refuses_bad_lists),
        cmocka_unit_test(bounds_the_list),       cmocka_unit_test(finds_the_client),
        cmocka_unit_test(builds_the_site_url),
    };
    return cmocka_run_group_tests_name("capture_proxy", tests, NULL, NULL);
}
