/* Connections: keep-alive, pipelining, who closes when, clients that go away. */
#include "net_aid.h"

#define HOST "Host: x\r\n"
#define GET  "GET /echo HTTP/1.1\r\n" HOST "\r\n"

static void keep_alive_and_close(void **state)
{
    static const struct {
        const char *request, *connection;
        bool stays;
    } table[] = {
        {GET, NULL, true},
        {"GET /echo HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "close", false},
        {"GET /echo HTTP/1.0\r\n\r\n", "close", false},
        {"GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive", true},
        {"GET /nowhere HTTP/1.1\r\n" HOST "\r\n", NULL, true},
        {"GET /echo HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", NULL,
         true},
        {"BREW /echo HTTP/1.1\r\n" HOST "\r\n", "close", false},
        {"CONNECT x:1 HTTP/1.1\r\n" HOST "\r\n", "close", false},
        {"GET /echo HTTP/1.1\r\n\r\n", "close", false},
    };
    struct aid a;
    struct aid_reply r = {.status = 0};

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf in = BUF_INIT(1u << 20);
        int fd = aid_connect(&a);
        const char *connection;

        aid_send(fd, table[i].request);
        aid_read(fd, &in, &r, false);
        connection = aid_header(&r, "Connection");
        if (table[i].connection)
            assert_string_equal(connection, table[i].connection);
        else
            assert_null(connection);
        if (table[i].stays) {
            aid_send(fd, GET);
            assert_int_equal(aid_read(fd, &in, &r, false), 200);
        } else {
            assert_int_equal(aid_read_all(fd, &in), 0);
        }
        close(fd);
        buf_free(&in);
    }
    aid_reply_free(&r);
    aid_fini(&a);
}

static void refusals_carry_the_method(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    assert_int_equal(aid_call(&a, "BREW /echo HTTP/1.1\r\n" HOST "\r\n", &r), 501);
    assert_string_equal(aid_header(&r, "X-Refused"), "BREW");
    assert_int_equal(aid_call(&a, "PROPFIND /echo HTTP/1.1\r\n" HOST "\r\n", &r), 405);
    assert_string_equal(aid_header(&r, "X-Refused"), "PROPFIND");
    assert_string_equal(aid_header(&r, "Allow"), "GET, HEAD, POST");
    assert_int_equal(aid_call(&a, "CONNECT x:1 HTTP/1.1\r\n" HOST "\r\n", &r), 501);
    assert_int_equal(aid_call(&a, "no http\r\n\r\n", &r), 501);
    assert_int_equal(aid_call(&a, "{}\r\n\r\n", &r), 400);
    assert_int_equal(aid_call(&a, "GET /echo HTTP/3.0\r\n" HOST "\r\n", &r), 505);
    assert_int_equal(aid_refused(&a, "method"), 3);
    assert_int_equal(aid_refused(&a, "malformed"), 2);
    assert_int_equal(aid_refused(&a, "route"), 1);
    aid_reply_free(&r);
    aid_fini(&a);
}

static void malformed_requests_end_the_connection(void **state)
{
    static const char *const table[] = {
        "POST /echo HTTP/1.1\r\n" HOST
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET,
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" GET,
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n" GET,
        "GET /echo HTTP/1.1\n" HOST "\n" GET,
        "GET /echo HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n" GET,
        "GET /echo HTTP/1.1\r\n" HOST "A : b\r\n\r\n" GET,
        GET "\r\nGET /echo HTTP/1.1\r\nA: b\r\n\r\n" GET,
    };
    struct aid a;
    struct aid_reply r = {.status = 0};

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf in = BUF_INIT(1u << 20);
        int fd = aid_connect(&a);

        aid_send(fd, table[i]);
        if (i == ARRAY_LEN(table) - 1) // a good one before it is answered
            assert_int_equal(aid_read(fd, &in, &r, false), 200);
        assert_int_equal(aid_read(fd, &in, &r, false), 400);
        assert_string_equal(aid_header(&r, "Connection"), "close");
        assert_int_equal(aid_read_all(fd, &in), 0);
        assert_int_equal(in.len, 0); // nothing behind it was taken for a request
        close(fd);
        buf_free(&in);
    }
    assert_int_equal(aid_refused(&a, "malformed"), ARRAY_LEN(table));
    aid_reply_free(&r);
    aid_fini(&a);
}

static void large_heads(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf text = BUF_INIT(1u << 20), in = BUF_INIT(1u << 20);
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    // 31 KiB come through, in pieces and behind a request
    buf_add_str(&text, GET "GET /echo?");
    for (int i = 0; i < 31 * 1024; i++)
        buf_add_char(&text, 'q');
    buf_add_str(&text, " HTTP/1.1\r\n" HOST "\r\n");
    fd = aid_connect(&a);
    aid_send_slice(fd, slice_make(text.ptr, 9000));
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    aid_send_slice(fd, slice_make(text.ptr + 9000, text.len - 9000));
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    close(fd);
    // more than 32 KiB, and one that never ends
    buf_clear(&text);
    buf_add_str(&text, "GET /echo HTTP/1.1\r\n" HOST);
    while (text.len < 100000)
        buf_add_str(&text,
                    "X-Header: 0123456789012345678901234567890123456789012345678901234567890\r\n");
    assert_int_equal(aid_call(&a, buf_cstr(&text), &r), 431);
    assert_string_equal(aid_header(&r, "Connection"), "close");
    buf_clear(&text);
    buf_add_str(&text, "GET /echo HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 100; i++)
        buf_addf(&text, "H%d: x\r\n", i);
    buf_add_str(&text, "\r\n");
    assert_int_equal(aid_call(&a, buf_cstr(&text), &r), 431);
    assert_int_equal(aid_refused(&a, "head_too_large"), 2);
    buf_free(&text);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    enum { COUNT = 500 };
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf text = BUF_INIT(1u << 20), in = BUF_INIT(1u << 20);
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    for (int i = 0; i < COUNT; i++)
        buf_addf(&text, "POST /echo?%d HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", i);
    aid_send_slice(fd, buf_slice(&text));
    for (int i = 0; i < COUNT; i++) {
        char number[16];

        snprintf(number, sizeof(number), "%d", i);
        assert_int_equal(aid_read(fd, &in, &r, false), 200);
        assert_string_equal(aid_header(&r, "X-Query"), number);
    }
    close(fd);
    buf_free(&text);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

static void the_next_request_waits_for_the_answer(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "GET /wait?1 HTTP/1.1\r\n" HOST "\r\nGET /wait?2 HTTP/1.1\r\n" HOST "\r\n" GET);
    aid_kept(&a, 0);
    assert_int_equal(a.kept_count, 1);
    aid_answer(&a, 0);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    aid_kept(&a, 1);
    assert_int_equal(in.len, 0);
    aid_answer(&a, 1);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    close(fd);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

// What is sent while a request is handled is bounded by the input buffer and the socket's.
static void input_is_bounded_while_a_request_is_handled(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20), text = BUF_INIT(1u << 20);
    struct timeval short_time = {.tv_usec = 100000};
    size_t sent = 0, requests = 0;
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    aid_kept(&a, 0);
    for (int i = 0; i < 1000; i++)
        buf_add_str(&text, GET);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &short_time, sizeof(short_time));
    for (;;) {
        size_t from = sent % text.len;
        ssize_t n = send(fd, text.ptr + from, text.len - from, MSG_NOSIGNAL);

        if (n == -1)
            break;
        sent += (size_t)n;
        assert_true(sent < 100u << 20);
    }
    aid_answer(&a, 0);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    for (requests = 0; requests < sent / (sizeof(GET) - 1); requests++)
        assert_int_equal(aid_read(fd, &in, &r, false), 200);
    close(fd);
    buf_free(&in);
    buf_free(&text);
    aid_reply_free(&r);
    aid_fini(&a);
}

// A client that pipelines and never reads: the server stops reading, and drops nothing.
static void answers_that_nobody_reads_stop_the_reading(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(64u << 20), body = BUF_INIT(1u << 20);
    struct timeval short_time = {.tv_usec = 100000};
    size_t sent = 0;
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    buf_add_str(&body, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    for (int i = 0; i < 100000; i++)
        buf_add_char(&body, 'x');
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &short_time, sizeof(short_time));
    for (;;) {
        size_t from = sent % body.len;
        ssize_t n = send(fd, body.ptr + from, body.len - from, MSG_NOSIGNAL);

        if (n == -1)
            break;
        sent += (size_t)n;
        assert_true(sent < 100u << 20);
    }
    for (size_t i = 0; i < sent / body.len; i++) {
        assert_int_equal(aid_read(fd, &in, &r, false), 200);
        assert_int_equal(r.body.len, 100000);
    }
    close(fd);
    buf_free(&in);
    buf_free(&body);
    aid_reply_free(&r);
    aid_fini(&a);
}

static void half_closed_clients_get_their_answers(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n" GET);
    shutdown(fd, SHUT_WR);
    aid_answer(&a, 0);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    assert_int_equal(aid_read_all(fd, &in), 0);
    close(fd);
    aid_await_connections(&a, 0);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

static void incomplete_requests_end_with_the_client(void **state)
{
    static const char *const table[] = {
        "", "GET /ech", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhel",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 50000\r\n\r\nhel",
        "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nhe"};
    struct aid a;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    for (int hard = 0; hard < 2; hard++) {
        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
            struct buf in = BUF_INIT(1u << 20);
            int fd = aid_connect(&a);

            aid_send(fd, table[i]);
            aid_await_connections(&a, 1);
            if (hard) {
                aid_reset(fd);
            } else {
                shutdown(fd, SHUT_WR);
                assert_int_equal(aid_read_all(fd, &in), 0);
                assert_int_equal(in.len, 0);
                close(fd);
            }
            aid_await_connections(&a, 0);
            buf_free(&in);
        }
    }
    aid_fini(&a);
}

static void many_connections_come_and_go(void **state)
{
    enum { COUNT = 300 };
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    int fds[COUNT];

    (void)state;
    aid_init(&a);
    aid_start(&a, 2);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++)
            fds[i] = aid_connect(&a);
        for (int i = 0; i < COUNT; i++)
            aid_send(fds[i], "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi");
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(aid_read(fds[i], &in, &r, false), 200);
        aid_await_connections(&a, COUNT);
        for (int i = 0; i < COUNT; i++)
            close(fds[i]);
        aid_await_connections(&a, 0);
    }
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive_and_close),
        cmocka_unit_test(refusals_carry_the_method),
        cmocka_unit_test(malformed_requests_end_the_connection),
        cmocka_unit_test(large_heads),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(the_next_request_waits_for_the_answer),
        cmocka_unit_test(input_is_bounded_while_a_request_is_handled),
        cmocka_unit_test(answers_that_nobody_reads_stop_the_reading),
        cmocka_unit_test(half_closed_clients_get_their_answers),
        cmocka_unit_test(incomplete_requests_end_with_the_client),
        cmocka_unit_test(many_connections_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
