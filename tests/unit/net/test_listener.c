/* Listening sockets: addresses, ports that are taken, Unix sockets, no descriptors left. */
#include "base/fault.h"
#include "net_aid.h"
#include "temp_dir.h"

#include <sys/stat.h>
#include <sys/un.h>

#define GET "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"

static void expect_fault(struct net *n, const struct http_listener_options *opt, enum err_code code,
                         const char *text)
{
    struct err err = ERR_INIT;

    assert_null(net_listen(n, opt, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" is not in \"%s\"", text, err.text);
}

static void a_port_that_is_taken(void **state)
{
    struct err err = ERR_INIT;
    struct aid a, b;
    char text[100];

    (void)state;
    aid_init(&a);
    aid_start(&a, 2); // with SO_REUSEPORT, which must not let others in
    aid_init(&b);
    b.net = net_new(2, b.metrics, &err);
    b.opt.port = http_listener_port(a.listener);
    snprintf(text, sizeof(text), "test: cannot listen on 127.0.0.1:%d: Address already in use",
             b.opt.port);
    expect_fault(b.net, &b.opt, ERR_IO, text);
    // the failure left nothing behind: the port can be had later
    net_free(a.net);
    a.net = NULL;
    b.listener = net_listen(b.net, &b.opt, &err);
    assert_non_null(b.listener);
    aid_fini(&a);
    aid_fini(&b);
}

static void addresses_that_are_none(void **state)
{
    struct err err = ERR_INIT;
    struct aid a;

    (void)state;
    aid_init(&a);
    a.net = net_new(1, a.metrics, &err);
    a.opt.host = "192.0.2.1"; // RFC 5737: nobody's
    expect_fault(a.net, &a.opt, ERR_IO, "test: cannot listen on 192.0.2.1:0: ");
    a.opt.host = "no such host";
    expect_fault(a.net, &a.opt, ERR_IO, "test: cannot listen on no such host:0: ");
    a.opt.port = 65536;
    expect_fault(a.net, &a.opt, ERR_INPUT, "65536 is not a port");
    a.opt.port = 0;
    a.routes[0].pattern = "echo";
    a.opt.host = "127.0.0.1";
    expect_fault(a.net, &a.opt, ERR_BUG, "route \"echo\"");
    aid_fini(&a);
}

static void hosts(void **state)
{
    static const char *const table[] = {"127.0.0.1", "localhost", "", "*", "0.0.0.0", NULL};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct aid a;
        struct aid_reply r = {.status = 0};

        aid_init(&a);
        a.opt.host = table[i];
        aid_start(&a, 2);
        assert_true(http_listener_port(a.listener) > 0);
        for (int k = 0; k < 6; k++) // on both loops
            assert_int_equal(aid_call(&a, GET, &r), 200);
        aid_reply_free(&r);
        aid_fini(&a);
    }
}

static void ip6(void **state)
{
    static const char *const table[] = {"::1", "[::1]", ""};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    if (probe == -1 || bind(probe, (struct sockaddr *)&in6, sizeof(in6)) == -1) {
        close(probe);
        skip(); // this machine has no IPv6
    }
    close(probe);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct aid a;
        struct aid_reply r = {.status = 0};
        struct buf in = BUF_INIT(1u << 20);
        int fd;

        aid_init(&a);
        a.opt.host = table[i];
        aid_start(&a, 2);
        in6.sin6_port = htons((uint16_t)http_listener_port(a.listener));
        fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
        aid_send(fd, GET);
        assert_int_equal(aid_read(fd, &in, &r, false), 200);
        close(fd);
        buf_free(&in);
        aid_reply_free(&r);
        aid_fini(&a);
    }
}

static int connect_unix(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(strlen(path) < sizeof(un.sun_path));
    memcpy(un.sun_path, path, strlen(path));
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    return fd;
}

static void unix_sockets(void **state)
{
    char *dir = temp_dir_new(), *path = temp_dir_path(dir, "s");
    struct err err = ERR_INIT;
    struct aid a, b;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    struct http_request *req;
    struct stat st;
    int fd, stale;

    (void)state;
    // one that a dead process left is replaced
    stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    {
        struct sockaddr_un un = {.sun_family = AF_UNIX};

        memcpy(un.sun_path, path, strlen(path));
        assert_int_equal(bind(stale, (struct sockaddr *)&un, sizeof(un)), 0);
    }
    close(stale);
    aid_init(&a);
    a.opt.unix_path = path;
    aid_start(&a, 2);
    for (int i = 0; i < 6; i++) {
        fd = connect_unix(path);
        aid_send(fd, GET);
        assert_int_equal(aid_read(fd, &in, &r, false), 200);
        close(fd);
    }
    fd = connect_unix(path);
    aid_send(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    req = aid_kept(&a, 0);
    assert_true(slice_eq(req->peer, SLICE("unix")));
    assert_true(req->peer_is_private);
    aid_answer(&a, 0);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    close(fd);
    // one that is in use stays
    aid_init(&b);
    b.net = net_new(1, b.metrics, &err);
    b.opt.unix_path = path;
    expect_fault(b.net, &b.opt, ERR_IO, "Address already in use");
    assert_int_equal(stat(path, &st), 0);
    // so does a file
    b.opt.unix_path = dir;
    expect_fault(b.net, &b.opt, ERR_IO, "test: cannot listen on ");
    assert_int_equal(stat(dir, &st), 0);
    b.opt.unix_path =
        "/a/path/that/is/longer/than/what/the/address/of/a/unix/socket/can/hold/which/"
        "is/about/one/hundred/bytes/on/all/systems";
    expect_fault(b.net, &b.opt, ERR_INPUT, "the path must have");
    aid_fini(&b);
    aid_fini(&a);
    assert_int_equal(stat(path, &st), -1);
    buf_free(&in);
    aid_reply_free(&r);
    mem_free(path);
    temp_dir_free(dir);
}

static void no_descriptors_left(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};

    (void)state;
    aid_init(&a);
    fault_arm("net.accept", 1, 2); // twice: two pauses
    aid_start(&a, 1);
    assert_int_equal(aid_call(&a, GET, &r), 200);
    assert_true(fault_hits("net.accept") >= 3);
    fault_clear();
    aid_reply_free(&r);
    aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_that_is_taken),
        cmocka_unit_test(addresses_that_are_none),
        cmocka_unit_test(hosts),
        cmocka_unit_test(ip6),
        cmocka_unit_test(unix_sockets),
        cmocka_unit_test(no_descriptors_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
