/* Life of the server: start, drain, stop; limits of connections; metrics. */
#include "net_aid.h"

#include <signal.h>

#define HOST "Host: x\r\n"
#define GET  "GET /echo HTTP/1.1\r\n" HOST "\r\n"

static void nothing_started(void **state)
{
    struct err err = ERR_INIT;
    struct net *n = net_new(3, NULL, &err);
    struct sigaction pipe_action;

    (void)state;
    assert_non_null(n);
    assert_int_equal(net_loop_count(n), 3);
    assert_non_null(net_loop(n, 2));
    assert_true(net_drain(n, 0));
    net_stop(n);
    net_free(n);
    net_free(NULL);
    assert_int_equal(sigaction(SIGPIPE, NULL, &pipe_action), 0);
    assert_true(pipe_action.sa_handler == SIG_IGN);
}

static void listeners_without_metrics(void **state)
{
    struct err err = ERR_INIT;
    struct aid a;
    struct aid_reply r = {.status = 0};

    (void)state;
    aid_init(&a);
    a.net = net_new(1, NULL, &err);
    a.opt.refuse = NULL;
    a.opt.answer = NULL;
    a.listener = net_listen(a.net, &a.opt, &err);
    assert_true(net_start(a.net, &err));
    assert_int_equal(aid_call(&a, GET, &r), 200);
    assert_int_equal(aid_call(&a, "GET /nowhere HTTP/1.1\r\n" HOST "\r\n", &r), 404);
    assert_string_equal(aid_header(&r, "Content-Type"), "text/plain; charset=utf-8");
    assert_string_equal(buf_cstr(&r.body), "There is nothing here.");
    aid_reply_free(&r);
    aid_fini(&a);
}

static void drain_answers_what_is_there(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    int idle, busy, half;

    (void)state;
    aid_init(&a);
    aid_start(&a, 2);
    idle = aid_connect(&a);
    aid_send(idle, GET);
    assert_int_equal(aid_read(idle, &in, &r, false), 200);
    busy = aid_connect(&a);
    aid_send(busy, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    aid_kept(&a, 0);
    half = aid_connect(&a);
    aid_send(half, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhe");
    aid_await_connections(&a, 3);
    assert_false(net_drain(a.net, 1000));
    // idle ones are closed, nobody new is let in, the others go on to their end
    assert_int_equal(aid_read_all(idle, &in), 0);
    assert_int_equal(in.len, 0);
    aid_await_connections(&a, 2);
    aid_send(half, "llo");
    assert_int_equal(aid_read(half, &in, &r, false), 200);
    assert_string_equal(aid_header(&r, "Connection"), "close");
    assert_int_equal(aid_read_all(half, &in), 0);
    aid_answer(&a, 0);
    assert_true(net_drain(a.net, 10000000));
    assert_int_equal(aid_read(busy, &in, &r, false), 200);
    assert_string_equal(aid_header(&r, "Connection"), "close");
    assert_int_equal(aid_read_all(busy, &in), 0);
    assert_true(net_drain(a.net, 0));
    assert_int_equal(http_listener_connections(a.listener), 0);
    close(idle);
    close(busy);
    close(half);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

static void drain_of_an_idle_server_is_immediate(void **state)
{
    struct aid a;
    int port, fd;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    (void)state;
    aid_init(&a);
    aid_start(&a, 2);
    port = http_listener_port(a.listener);
    assert_true(net_drain(a.net, 10000000));
    in.sin_port = htons((uint16_t)port);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    aid_fini(&a);
}

static void stop_closes_everything(void **state)
{
    struct aid a;
    struct buf in = BUF_INIT(1u << 20);
    int fds[3];

    (void)state;
    aid_init(&a);
    aid_start(&a, 2);
    for (int i = 0; i < 3; i++)
        fds[i] = aid_connect(&a);
    aid_send(fds[1], "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n");
    aid_send(fds[2], "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    aid_kept(&a, 0);
    aid_await_connections(&a, 3);
    net_stop(a.net);
    assert_int_equal(http_listener_connections(a.listener), 0);
    for (int i = 0; i < 3; i++) {
        aid_read_all(fds[i], &in);
        close(fds[i]);
    }
    assert_int_equal(in.len, 0);
    aid_answer(&a, 0);
    buf_free(&in);
    aid_fini(&a);
}

static void connections_over_the_limit_get_503(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    int fds[3];

    (void)state;
    aid_init(&a);
    a.opt.limits.connections_max = 2;
    aid_start(&a, 1);
    for (int i = 0; i < 2; i++) {
        fds[i] = aid_connect(&a);
        aid_send(fds[i], GET);
        assert_int_equal(aid_read(fds[i], &in, &r, false), 200);
    }
    fds[2] = aid_connect(&a);
    assert_int_equal(aid_read(fds[2], &in, &r, false), 503);
    assert_string_equal(aid_header(&r, "Connection"), "close");
    assert_string_equal(aid_header(&r, "Retry-After"), "5");
    assert_int_equal(aid_read_all(fds[2], &in), 0);
    assert_int_equal(aid_refused(&a, "connections"), 1);
    close(fds[2]);
    close(fds[1]);
    aid_await_connections(&a, 1);
    assert_int_equal(aid_call(&a, GET, &r), 200);
    close(fds[0]);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

static void metrics_tell_classes_and_connections(void **state)
{
    static const char *const lines[] = {
        "hedgerow_http_requests_total{listener=\"test\",code=\"2xx\"} 2\n",
        "hedgerow_http_requests_total{listener=\"test\",code=\"4xx\"} 1\n",
        "hedgerow_http_requests_total{listener=\"test\",code=\"5xx\"} 0\n",
        "hedgerow_http_connections{listener=\"test\"} 1\n",
    };
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20), text = BUF_INIT(1u << 20);
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, GET GET "GET /nowhere HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 3; i++)
        aid_read(fd, &in, &r, false);
    assert_true(metrics_prometheus(a.metrics, false, &text));
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (!strstr(buf_cstr(&text), lines[i]))
            fail_msg("%s is not in\n%s", lines[i], buf_cstr(&text));
    close(fd);
    buf_free(&in);
    buf_free(&text);
    aid_reply_free(&r);
    aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_started),
        cmocka_unit_test(listeners_without_metrics),
        cmocka_unit_test(drain_answers_what_is_there),
        cmocka_unit_test(drain_of_an_idle_server_is_immediate),
        cmocka_unit_test(stop_closes_everything),
        cmocka_unit_test(connections_over_the_limit_get_503),
        cmocka_unit_test(metrics_tell_classes_and_connections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
