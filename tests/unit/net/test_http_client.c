/* The client against our server, and against bytes of a server that the test plays. */
#include "net/http_client.h"
#include "net_aid.h"

#define TIMEOUT_US 10000000

/* One connection: reads up to the end of the head (or `read_all`), then sends `answer` and closes.
 */
struct fake {
    struct thread thread;
    int fd, port;
    const char *answer;
    bool stays; /* open until the client closes */
    struct buf request;
};

static void fake_run(void *ctx)
{
    struct fake *f = ctx;
    int fd = accept(f->fd, NULL, NULL);
    char bytes[1000];

    CHECK(fd != -1);
    while (!strstr(buf_cstr(&f->request), "\r\n\r\n")) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

        CHECK(n >= 0);
        if (n == 0)
            break;
        buf_add(&f->request, bytes, (size_t)n);
    }
    if (send(fd, f->answer, strlen(f->answer), MSG_NOSIGNAL) > 0 && f->stays)
        while (recv(fd, bytes, sizeof(bytes), 0) > 0)
            ;
    close(fd);
}

static void fake_start(struct fake *f, const char *answer, bool stays)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    struct err err = ERR_INIT;

    *f = (struct fake){.answer = answer, .stays = stays, .request = BUF_INIT(1u << 20)};
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(f->fd, 1), 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&in, &len), 0);
    f->port = ntohs(in.sin_port);
    assert_true(thread_start(&f->thread, THREAD_NET, 0, fake_run, f, &err));
}

static void fake_stop(struct fake *f)
{
    thread_join(&f->thread);
    close(f->fd);
    buf_free(&f->request);
}

static void against_our_server(void **state)
{
    static char body[300000];
    struct err err = ERR_INIT;
    const char *headers[] = {"X-Any: thing", NULL};
    struct http_reply reply = {.body = BUF_INIT(1u << 20)};
    struct aid a;
    char url[100];

    (void)state;
    memset(body, 'x', sizeof(body));
    aid_init(&a);
    aid_start(&a, 1);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/echo?a=b#c", http_listener_port(a.listener));
    struct http_call call = {.method = "POST",
                             .url = url,
                             .headers = headers,
                             .body = {body, sizeof(body)},
                             .timeout_us = TIMEOUT_US};
    assert_true(http_client_call(&call, &reply, &err));
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.retry_after_s, -1);
    assert_true(slice_eq(buf_slice(&reply.body), call.body));
    // without a path; the reply is used again
    snprintf(url, sizeof(url), "http://localhost:%d", http_listener_port(a.listener));
    call.method = "GET";
    call.body = SLICE_NONE;
    call.headers = NULL;
    assert_true(http_client_call(&call, &reply, &err));
    assert_int_equal(reply.status, 404);
    assert_string_equal(buf_cstr(&reply.body), "There is nothing here.");
    call.method = "HEAD";
    assert_true(http_client_call(&call, &reply, &err));
    assert_int_equal(reply.status, 404);
    assert_int_equal(reply.body.len, 0);
    buf_free(&reply.body);
    aid_fini(&a);
}

static void answers(void **state)
{
    static const struct {
        const char *answer, *body;
        int status, retry_after;
        enum err_code code; /* ERR_NONE: succeeds */
    } table[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "abc", 200, -1, ERR_NONE},
        {"HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", 200, -1, ERR_NONE},
        {"HTTP/1.0 200 OK\r\n\r\n", "", 200, -1, ERR_NONE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
         "abcd", 200, -1, ERR_NONE},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", "x",
         201, -1, ERR_NONE},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", 204, -1, ERR_NONE},
        {"HTTP/1.1 503 Busy\r\nretry-after: 17\r\nContent-Length: 0\r\n\r\n", "", 503, 17,
         ERR_NONE},
        {"HTTP/1.1 503 Busy\r\nRetry-After: tomorrow\r\nContent-Length: 0\r\n\r\n", "", 503, -1,
         ERR_NONE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", NULL, 200, -1, ERR_RETRY},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", NULL, 200, -1, ERR_RETRY},
        {"HTTP/1.1 200", NULL, 0, -1, ERR_RETRY},
        {"", NULL, 0, -1, ERR_RETRY},
        {"SSH-2.0-x\r\n", NULL, 0, -1, ERR_CORRUPT},
        {"HTTP/1.1 006 x\r\nContent-Length: 1\r\n\r\nx", NULL, 6, -1, ERR_CORRUPT},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"
         "0123456789012345678901234567890123456789012345678901234567890123456789",
         NULL, 200, -1, ERR_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = ERR_INIT;
        struct http_reply reply = {.body = BUF_INIT(50)};
        struct fake f;
        char url[100];

        fake_start(&f, table[i].answer, false);
        snprintf(url, sizeof(url), "http://127.0.0.1:%d/a?b", f.port);
        struct http_call call = {.method = "GET", .url = url, .timeout_us = TIMEOUT_US};
        bool ok = http_client_call(&call, &reply, &err);
        fake_stop(&f);
        if (ok != (table[i].code == ERR_NONE) || err.code != table[i].code)
            fail_msg("answer %zu: %s", i, err.text);
        assert_int_equal(reply.status, table[i].status);
        assert_int_equal(reply.retry_after_s, table[i].retry_after);
        if (ok)
            assert_string_equal(buf_cstr(&reply.body), table[i].body);
        buf_free(&reply.body);
    }
}

static void the_request_as_sent(void **state)
{
    struct err err = ERR_INIT;
    const char *headers[] = {"Authorization: Bearer x", "Content-Type: a/b", NULL};
    struct http_reply reply = {.body = BUF_INIT(50)};
    struct fake f;
    char url[100], want[300];

    (void)state;
    fake_start(&f, "HTTP/1.1 204 x\r\n\r\n", false);
    snprintf(url, sizeof(url), "HTTP://127.0.0.1:%d?q", f.port);
    snprintf(want, sizeof(want),
             "POST /?q HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\nContent-Length: 0\r\n"
             "Authorization: Bearer x\r\nContent-Type: a/b\r\n\r\n",
             f.port);
    struct http_call call = {
        .method = "POST", .url = url, .headers = headers, .timeout_us = TIMEOUT_US};
    assert_true(http_client_call(&call, &reply, &err));
    thread_join(&f.thread);
    f.thread.is_started = false;
    assert_string_equal(buf_cstr(&f.request), want);
    fake_stop(&f);
    buf_free(&reply.body);
}

static void a_server_that_is_silent(void **state)
{
    static const char *const table[] = {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", " "};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = ERR_INIT;
        struct http_reply reply = {.body = BUF_INIT(50)};
        struct fake f;
        char url[100];

        fake_start(&f, i ? "HTTP" : table[0], true);
        snprintf(url, sizeof(url), "http://127.0.0.1:%d/", f.port);
        struct http_call call = {.method = "GET", .url = url, .timeout_us = 20000};
        assert_false(http_client_call(&call, &reply, &err));
        assert_int_equal(err.code, ERR_RETRY);
        assert_non_null(strstr(err.text, "timed out"));
        fake_stop(&f);
        buf_free(&reply.body);
    }
}

/* A server that sends its answer byte by byte, for as long as the client listens. */
struct dripper {
    struct thread thread;
    int fd;
    const char *head, *piece;
    int pieces; /* at most */
    int sent;
};

static void dripper_run(void *ctx)
{
    struct dripper *d = ctx;
    int fd = accept(d->fd, NULL, NULL);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char bytes[1000];

    CHECK(fd != -1 && recv(fd, bytes, sizeof(bytes), 0) > 0);
    CHECK(send(fd, d->head, strlen(d->head), MSG_NOSIGNAL) > 0);
    while (d->sent < d->pieces && poll(&p, 1, 10) == 0 && // the client closes: readable
           send(fd, d->piece, strlen(d->piece), MSG_NOSIGNAL) > 0)
        d->sent++;
    close(fd);
}

static int dripper_start(struct dripper *d)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    struct err err = ERR_INIT;

    d->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(d->fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(d->fd, 1), 0);
    assert_int_equal(getsockname(d->fd, (struct sockaddr *)&in, &len), 0);
    assert_true(thread_start(&d->thread, THREAD_NET, 0, dripper_run, d, &err));
    return ntohs(in.sin_port);
}

// The limit counted anew with every byte, so a slow answer took as long as it liked.
static void an_answer_in_drips_does_not_put_the_limit_off(void **state)
{
    static const char *const table[][2] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", "x"},
        {"HTTP/1.1 200 OK\r\nX-Long: ", "x"},
        {"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = ERR_INIT;
        struct http_reply reply = {.body = BUF_INIT(10000)};
        struct dripper d = {.head = table[i][0], .piece = table[i][1], .pieces = 300};
        char url[100];

        snprintf(url, sizeof(url), "http://127.0.0.1:%d/", dripper_start(&d));
        struct http_call call = {.method = "GET", .url = url, .timeout_us = 200000};
        assert_false(http_client_call(&call, &reply, &err));
        thread_join(&d.thread);
        assert_true(d.sent < d.pieces);
        assert_int_equal(err.code, ERR_RETRY);
        assert_non_null(strstr(err.text, "timed out"));
        close(d.fd);
        buf_free(&reply.body);
    }
}

static bool count_data(struct slice bytes, void *ctx)
{
    size_t *left = ctx;

    *left -= MIN(*left, bytes.len);
    return *left > 0;
}

// A stream may be endless: there the limit is for each wait, once the answer has begun.
static void a_stream_has_time_while_bytes_come(void **state)
{
    struct err err = ERR_INIT;
    struct http_reply reply = {.body = BUF_INIT(10)};
    struct dripper d = {.head = "HTTP/1.1 200 OK\r\n\r\n", .piece = "x", .pieces = 300};
    size_t left = 60;
    char url[100];
    int64_t start = clock_mono_real_us();

    (void)state;
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", dripper_start(&d));
    struct http_call call = {
        .method = "GET", .url = url, .timeout_us = 300000, .on_data = count_data, .ctx = &left};
    assert_true(http_client_call(&call, &reply, &err));
    assert_true(clock_mono_real_us() - start > call.timeout_us);
    thread_join(&d.thread);
    assert_int_equal(left, 0);
    close(d.fd);
    buf_free(&reply.body);
}

static void nobody_there(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    struct err err = ERR_INIT;
    struct http_reply reply = {.body = BUF_INIT(50)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); // bound, but does not listen
    char url[100];

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(in.sin_port));
    struct http_call call = {.method = "GET", .url = url, .timeout_us = TIMEOUT_US};
    assert_false(http_client_call(&call, &reply, &err));
    assert_int_equal(err.code, ERR_RETRY);
    assert_non_null(strstr(err.text, "cannot connect to 127.0.0.1:"));
    assert_non_null(strstr(err.text, "refused"));
    close(fd);
}

static void calls_that_are_none(void **state)
{
    static const char *const urls[] = {
        "",
        "127.0.0.1/",
        "https://127.0.0.1/",
        "http://",
        "http:///a",
        "http://a b/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
        "http://a:x/",
        "http://user@host/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[]/",
        "http://a/\r\nX: y",
        "http://::1/",
    };
    static const char *const bad[] = {"No colon", NULL};
    struct http_reply reply = {.body = BUF_INIT(50)};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct err err = ERR_INIT;
        struct http_call call = {.method = "GET", .url = urls[i], .timeout_us = TIMEOUT_US};

        assert_false(http_client_call(&call, &reply, &err));
        if (err.code != ERR_INPUT)
            fail_msg("%s: %s", urls[i], err.text);
    }
    struct err err = ERR_INIT;
    struct http_call call = {
        .method = "GET", .url = "http://127.0.0.1/", .headers = bad, .timeout_us = TIMEOUT_US};
    assert_false(http_client_call(&call, &reply, &err));
    assert_int_equal(err.code, ERR_INPUT);
}

struct lines {
    struct buf got;
    int calls, calls_max;
};

static bool on_data(struct slice bytes, void *ctx)
{
    struct lines *l = ctx;

    buf_add_slice(&l->got, bytes);
    return ++l->calls < l->calls_max;
}

static void data_as_it_comes(void **state)
{
    (void)state;
    for (int max = 1; max <= 3; max++) {
        struct err err = ERR_INIT;
        struct http_reply reply = {.body = BUF_INIT(0)};
        struct lines lines = {.got = BUF_INIT(100), .calls_max = max};
        struct fake f;
        char url[100];

        // with max 3 the answer ends before the reader has enough
        fake_start(&f,
                   max == 3 ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n"
                              "2\r\nb\n\r\n0\r\n\r\n"
                            : "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n"
                              "2\r\nb\n\r\n",
                   true);
        snprintf(url, sizeof(url), "http://127.0.0.1:%d/", f.port);
        struct http_call call = {.method = "GET",
                                 .url = url,
                                 .timeout_us = TIMEOUT_US,
                                 .on_data = on_data,
                                 .ctx = &lines};
        assert_true(http_client_call(&call, &reply, &err));
        fake_stop(&f);
        assert_int_equal(reply.status, 200);
        assert_int_equal(lines.calls, MIN(max, 2));
        assert_string_equal(buf_cstr(&lines.got), max == 1 ? "a\n" : "a\nb\n");
        buf_free(&lines.got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_our_server),
        cmocka_unit_test(answers),
        cmocka_unit_test(the_request_as_sent),
        cmocka_unit_test(a_server_that_is_silent),
        cmocka_unit_test(an_answer_in_drips_does_not_put_the_limit_off),
        cmocka_unit_test(a_stream_has_time_while_bytes_come),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(calls_that_are_none),
        cmocka_unit_test(data_as_it_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
