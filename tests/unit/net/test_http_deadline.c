/* Time limits of every state, with limits of some milliseconds. */
#include "net_aid.h"

#define HOST  "Host: x\r\n"
#define SHORT 30000 /* microseconds */
#define LONG  60000000

static void set_limits(struct aid *a, int64_t head, int64_t body, int64_t idle, int64_t write)
{
    a->opt.limits.head_us = head;
    a->opt.limits.body_stall_us = body;
    a->opt.limits.idle_us = idle;
    a->opt.limits.write_stall_us = write;
}

static void slow_heads_and_bodies_get_408(void **state)
{
    static const struct {
        const char *request;
        bool is_body;
    } table[] = {
        {"GET /echo HTTP/1.1\r\nHo", false},
        {"\r\n", false},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n", true},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\nabc", true},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nab", true},
    };
    struct aid_reply r = {.status = 0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf in = BUF_INIT(1u << 20);
        struct aid a;
        int fd;

        aid_init(&a);
        if (table[i].is_body)
            set_limits(&a, LONG, SHORT, LONG, LONG);
        else
            set_limits(&a, SHORT, LONG, LONG, LONG);
        aid_start(&a, 1);
        fd = aid_connect(&a);
        aid_send(fd, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(aid_read(fd, &in, &r, false), 200);
        aid_send(fd, table[i].request);
        assert_int_equal(aid_read(fd, &in, &r, false), 408);
        assert_string_equal(aid_header(&r, "Connection"), "close");
        assert_int_equal(aid_read_all(fd, &in), 0);
        assert_int_equal(aid_refused(&a, "timeout"), 1);
        close(fd);
        buf_free(&in);
        aid_fini(&a);
    }
    aid_reply_free(&r);
}

static void idle_connections_are_closed(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    int fresh, used;

    (void)state;
    aid_init(&a);
    set_limits(&a, LONG, LONG, SHORT, LONG);
    aid_start(&a, 1);
    fresh = aid_connect(&a);
    assert_int_equal(aid_read_all(fresh, &in), 0);
    assert_int_equal(in.len, 0);
    used = aid_connect(&a);
    aid_send(used, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    aid_kept(&a, 0);
    // a handler may take as long as it likes
    close(fresh);
    fresh = aid_connect(&a);
    assert_int_equal(aid_read_all(fresh, &in), 0);
    aid_answer(&a, 0);
    assert_int_equal(aid_read(used, &in, &r, false), 200);
    assert_int_equal(aid_read_all(used, &in), 0);
    aid_await_connections(&a, 0);
    close(fresh);
    close(used);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

// Bytes of a body put the deadline off; those of a head do not.
static void progress_counts_for_bodies_only(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    int64_t start;
    int fd;

    (void)state;
    aid_init(&a);
    set_limits(&a, 300000, 300000, LONG, LONG);
    a.opt.limits.body_rate_min = 8; // a second on top
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 8\r\n\r\n");
    start = clock_mono_real_us();
    for (int i = 0; i < 8; i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        assert_int_equal(poll(&p, 1, 60), 0); // nothing comes: that is what is tested
        aid_send(fd, "x");
    }
    assert_true(clock_mono_real_us() - start > 400000);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        aid_send(fd, "G");
        if (poll(&p, 1, 60))
            break;
    }
    aid_read_all(fd, &in);
    assert_non_null(strstr(buf_cstr(&in), "HTTP/1.1 "));
    close(fd);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

// Sends `piece` again and again; false when the server said or did something before the last one.
static bool drip(int fd, const char *piece, int times)
{
    while (times-- > 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (send(fd, piece, strlen(piece), MSG_NOSIGNAL) == -1 || poll(&p, 1, 20))
            return false;
    }
    return true;
}

// One byte now and then kept a body, a refused body and a goodbye open nearly for ever.
static void drips_do_not_hold_a_connection(void **state)
{
    static const struct {
        const char *request, *piece;
        int status; // before the drips
    } table[] = {
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n", "x", 0},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 0},
        {"POST /small HTTP/1.1\r\n" HOST "Content-Length: 199\r\n\r\n", "x", 413},
        {"POST /small HTTP/1.1\r\n" HOST "Content-Length: 15000\r\n\r\n", "x", 413},
    };
    struct aid_reply r = {.status = 0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf in = BUF_INIT(1u << 20);
        struct aid a;
        int fd;

        aid_init(&a);
        set_limits(&a, LONG, 200000, LONG, LONG);
        aid_start(&a, 1);
        fd = aid_connect(&a);
        aid_send(fd, table[i].request);
        if (table[i].status)
            assert_int_equal(aid_read(fd, &in, &r, false), table[i].status);
        if (drip(fd, table[i].piece, 150))
            fail_msg("request %zu was never ended", i);
        if (table[i].status == 0)
            assert_int_equal(aid_read(fd, &in, &r, false), 408);
        aid_await_connections(&a, 0);
        close(fd);
        buf_free(&in);
        aid_fini(&a);
    }
    aid_reply_free(&r);
}

// Turned off, only the pauses count.
static void the_rate_may_be_off(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    int fd;

    (void)state;
    aid_init(&a);
    set_limits(&a, LONG, 200000, LONG, LONG);
    a.opt.limits.body_rate_min = -1;
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 21\r\n\r\n");
    assert_true(drip(fd, "x", 20));
    aid_send(fd, "x");
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    close(fd);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

// The time begins anew with each body of a connection.
static void each_body_has_its_own_time(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    int fd;

    (void)state;
    aid_init(&a);
    set_limits(&a, LONG, 200000, LONG, LONG);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n");
    for (int i = 0; i < 8; i++) {
        assert_true(drip(fd, "x", 2));
        // the end of one body and the beginning of the next in one piece
        aid_send(fd, "yPOST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n");
        assert_int_equal(aid_read(fd, &in, &r, false), 200);
    }
    close(fd);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

static void clients_that_take_nothing_are_closed(void **state)
{
    struct aid a;
    struct buf body = BUF_INIT(8u << 20);
    int fd, small = 4096;

    (void)state;
    aid_init(&a);
    set_limits(&a, LONG, LONG, LONG, SHORT);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    buf_add_str(&body, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4000000\r\n\r\n");
    assert_true(buf_reserve(&body, 4000000));
    memset(body.ptr + body.len, 'x', 4000000);
    body.len += 4000000;
    for (int i = 0; i < 4; i++) // together more than the kernel's buffers
        if (send(fd, body.ptr, body.len, MSG_NOSIGNAL) == -1)
            break;
    aid_await_connections(&a, 0);
    close(fd);
    buf_free(&body);
    aid_fini(&a);
}

static void write_much(void *ctx)
{
    static char block[1u << 20];

    while (http_stream_write(ctx, slice_make(block, sizeof(block)), 16u << 20))
        ;
}

static void streams_that_nobody_reads_are_closed(void **state)
{
    struct aid a;
    int fd;

    (void)state;
    aid_init(&a);
    set_limits(&a, LONG, LONG, LONG, SHORT);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    aid_on_loop(&a, write_much, aid_kept(&a, 0));
    aid_await(&a, &a.closed, 1);
    aid_await_connections(&a, 0);
    close(fd);
    aid_fini(&a);
}

// A body that is dropped after its refusal has a time limit too, and so has the goodbye.
static void dropped_bodies_and_goodbyes_end(void **state)
{
    static const char *const table[] = {
        "POST /small HTTP/1.1\r\n" HOST "Content-Length: 150\r\n\r\n",
        "POST /small HTTP/1.1\r\n" HOST "Content-Length: 15000\r\n\r\n",
        "GET /echo HTTP/1.1\r\nbad\r\n\r\n",
    };
    static const int status_of[] = {413, 413, 400};
    struct aid a;
    struct aid_reply r = {.status = 0};

    (void)state;
    aid_init(&a);
    set_limits(&a, LONG, SHORT, LONG, LONG);
    aid_start(&a, 1);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf in = BUF_INIT(1u << 20);
        int fd = aid_connect(&a);

        aid_send(fd, table[i]);
        assert_int_equal(aid_read(fd, &in, &r, false), status_of[i]);
        aid_await_connections(&a, 0); // though the client keeps its side open
        close(fd);
        buf_free(&in);
    }
    aid_reply_free(&r);
    aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_heads_and_bodies_get_408),
        cmocka_unit_test(idle_connections_are_closed),
        cmocka_unit_test(progress_counts_for_bodies_only),
        cmocka_unit_test(drips_do_not_hold_a_connection),
        cmocka_unit_test(the_rate_may_be_off),
        cmocka_unit_test(each_body_has_its_own_time),
        cmocka_unit_test(clients_that_take_nothing_are_closed),
        cmocka_unit_test(streams_that_nobody_reads_are_closed),
        cmocka_unit_test(dropped_bodies_and_goodbyes_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
