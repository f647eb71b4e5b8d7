/* Bodies: where they go, what is too much, and that the connection stays usable. */
#include "net_aid.h"

#define HOST "Host: x\r\n"

static void send_body(int fd, size_t len, char fill)
{
    char bytes[8192];

    memset(bytes, fill, sizeof(bytes));
    while (len) {
        size_t n = MIN(len, sizeof(bytes));

        aid_send_slice(fd, slice_make(bytes, n));
        len -= n;
    }
}

static void assert_filled(struct slice body, size_t len, char fill)
{
    assert_int_equal(body.len, len);
    for (size_t i = 0; i < len; i++)
        if (body.ptr[i] != fill)
            fail_msg("byte %zu of %zu is wrong", i, len);
}

// The next request on the same connection works.
static void assert_usable(int fd, struct buf *in)
{
    struct aid_reply r = {.status = 0};

    aid_send(fd, "GET /echo?next HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(aid_read(fd, in, &r, false), 200);
    assert_string_equal(aid_header(&r, "X-Query"), "next");
    aid_reply_free(&r);
}

static void bodies_of_all_sizes(void **state)
{
    static const size_t sizes[] = {0,     1,      100,      8000,           16000,   16200,
                                   16300, 16383,  16384,    16385,          20000,   65536,
                                   70000, 300000, 1u << 20, (1u << 20) + 1, 3000000, 4u << 20};
    struct aid a;
    struct buf in = BUF_INIT(16u << 20);
    struct aid_reply r = {.status = 0};
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char head[200];
        char fill = (char)('a' + i);

        snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n",
                 sizes[i]);
        aid_send(fd, head);
        send_body(fd, sizes[i], fill);
        assert_int_equal(aid_read(fd, &in, &r, false), 200);
        assert_filled(buf_slice(&r.body), sizes[i], fill);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char size[32];

        aid_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
        for (size_t left = sizes[i], chunk = 1; left; left -= chunk, chunk = chunk * 3 + 1) {
            chunk = MIN(chunk, left);
            snprintf(size, sizeof(size), "%zx\r\n", chunk);
            aid_send(fd, size);
            send_body(fd, chunk, 'z');
            aid_send(fd, "\r\n");
        }
        aid_send(fd, "0\r\n\r\n");
        assert_int_equal(aid_read(fd, &in, &r, false), 200);
        assert_filled(buf_slice(&r.body), sizes[i], 'z');
    }
    close(fd);
    aid_reply_free(&r);
    buf_free(&in);
    aid_fini(&a);
}

// A body that comes in one piece with its head, behind another request in the same bytes.
static void body_behind_a_pipelined_request(void **state)
{
    static const size_t sizes[] = {10, 8000, 12000, 15500, 16000, 17000, 40000};
    struct aid a;
    struct buf in = BUF_INIT(1u << 20), out = BUF_INIT(1u << 20);
    struct aid_reply r = {.status = 0};
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        buf_clear(&out);
        for (int k = 0; k < 2; k++) {
            buf_addf(&out, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", sizes[i]);
            for (size_t n = 0; n < sizes[i]; n++)
                buf_add_char(&out, (char)('a' + k));
        }
        aid_send_slice(fd, buf_slice(&out));
        for (int k = 0; k < 2; k++) {
            assert_int_equal(aid_read(fd, &in, &r, false), 200);
            assert_filled(buf_slice(&r.body), sizes[i], (char)('a' + k));
        }
    }
    close(fd);
    aid_reply_free(&r);
    buf_free(&in);
    buf_free(&out);
    aid_fini(&a);
}

static void too_large_is_told_at_once_and_dropped(void **state)
{
    struct aid a;
    struct buf in = BUF_INIT(1u << 20);
    struct aid_reply r = {.status = 0};
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    // announced: the answer comes before the body
    aid_send(fd, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 200\r\n\r\n");
    assert_int_equal(aid_read(fd, &in, &r, false), 413);
    assert_null(aid_header(&r, "Connection"));
    assert_string_equal(buf_cstr(&r.body), "The body is too large.");
    send_body(fd, 200, 'x');
    assert_usable(fd, &in);
    // exactly the limit is fine
    aid_send(fd, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\n");
    send_body(fd, 100, 'x');
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    assert_string_equal(buf_cstr(&r.body), "100");
    // chunked: the answer comes when the limit is passed
    aid_send(fd, "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n65\r\n");
    send_body(fd, 101, 'x');
    assert_int_equal(aid_read(fd, &in, &r, false), 413);
    aid_send(fd, "\r\n20\r\n");
    send_body(fd, 32, 'x');
    aid_send(fd, "\r\n0\r\n\r\n");
    assert_usable(fd, &in);
    // all of it in one piece
    aid_send(fd, "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                 "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n"
                 "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n"
                 "0\r\n\r\nGET /echo?next HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(aid_read(fd, &in, &r, false), 413);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    assert_int_equal(aid_refused(&a, "body_too_large"), 3);
    close(fd);
    aid_reply_free(&r);
    buf_free(&in);
    aid_fini(&a);
}

static void far_too_large_closes_after_the_answer(void **state)
{
    static const char *const heads[] = {
        "POST /small HTTP/1.1\r\n" HOST "Content-Length: 201\r\n\r\n",
        "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1000\r\n",
    };
    struct aid a;
    struct aid_reply r = {.status = 0};

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct buf in = BUF_INIT(1u << 20);
        int fd = aid_connect(&a);

        aid_send(fd, heads[i]);
        send_body(fd, 201, 'x');
        assert_int_equal(aid_read(fd, &in, &r, false), 413);
        if (i == 0)
            assert_string_equal(aid_header(&r, "Connection"), "close");
        assert_int_equal(aid_read_all(fd, &in), 0);
        assert_int_equal(in.len, 0);
        close(fd);
        buf_free(&in);
    }
    aid_reply_free(&r);
    aid_fini(&a);
}

static void bodies_without_a_route_are_dropped(void **state)
{
    struct aid a;
    struct buf in = BUF_INIT(1u << 20);
    struct aid_reply r = {.status = 0};
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 50000\r\n\r\n");
    send_body(fd, 50000, 'x');
    assert_int_equal(aid_read(fd, &in, &r, false), 404);
    assert_usable(fd, &in);
    aid_send(fd, "PUT /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_int_equal(aid_read(fd, &in, &r, false), 405);
    assert_string_equal(aid_header(&r, "Allow"), "GET, HEAD, POST");
    aid_send(fd, "0\r\n\r\n");
    assert_usable(fd, &in);
    close(fd);
    aid_reply_free(&r);
    buf_free(&in);
    aid_fini(&a);
}

static void expectations(void **state)
{
    struct aid a;
    struct buf in = BUF_INIT(1u << 20);
    struct aid_reply r = {.status = 0};
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd,
             "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(aid_read(fd, &in, &r, false), 100);
    aid_send(fd, "hello");
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    assert_string_equal(buf_cstr(&r.body), "hello");
    // a large one, chunked
    aid_send(fd, "POST /echo HTTP/1.1\r\n" HOST
                 "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(aid_read(fd, &in, &r, false), 100);
    aid_send(fd, "5\r\nhello\r\n0\r\n\r\n");
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    // the client did not wait: nothing to say
    aid_send(fd, "POST /echo HTTP/1.1\r\n" HOST
                 "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    // nothing to continue with
    aid_send(fd, "GET /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n");
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    // other expectations; the connection goes on
    aid_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(aid_read(fd, &in, &r, false), 417);
    assert_usable(fd, &in);
    // refused instead of 100: whether the body comes is unknown, so the connection ends
    aid_send(fd,
             "POST /small HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 150\r\n\r\n");
    assert_int_equal(aid_read(fd, &in, &r, false), 413);
    assert_string_equal(aid_header(&r, "Connection"), "close");
    assert_int_equal(aid_read_all(fd, &in), 0);
    close(fd);
    aid_reply_free(&r);
    buf_free(&in);
    aid_fini(&a);
}

static void all_bodies_together_are_bounded(void **state)
{
    struct aid a;
    struct buf in = BUF_INIT(1u << 20);
    struct aid_reply r = {.status = 0};
    int first, second;

    (void)state;
    aid_init(&a);
    a.opt.limits.body_bytes_total_max = 1000;
    aid_start(&a, 1);
    first = aid_connect(&a);
    second = aid_connect(&a);
    aid_send(first, "POST /wait HTTP/1.1\r\n" HOST "Content-Length: 800\r\n\r\n");
    send_body(first, 800, 'x');
    aid_kept(&a, 0);
    // announced
    aid_send(second, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 201\r\n\r\n");
    assert_int_equal(aid_read(second, &in, &r, false), 503);
    assert_string_equal(aid_header(&r, "Retry-After"), "5");
    send_body(second, 201, 'x');
    assert_usable(second, &in);
    // not announced
    aid_send(second, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nC9\r\n");
    send_body(second, 201, 'x');
    assert_int_equal(aid_read(second, &in, &r, false), 503);
    assert_string_equal(aid_header(&r, "Retry-After"), "5");
    aid_send(second, "\r\n0\r\n\r\n");
    assert_usable(second, &in);
    assert_int_equal(aid_refused(&a, "memory"), 2);
    // room enough, and again after the first is answered
    aid_send(second, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 200\r\n\r\n");
    send_body(second, 200, 'y');
    assert_int_equal(aid_read(second, &in, &r, false), 200);
    aid_answer(&a, 0);
    assert_int_equal(aid_read(first, &in, &r, false), 200);
    aid_send(second, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n");
    send_body(second, 1000, 'y');
    assert_int_equal(aid_read(second, &in, &r, false), 200);
    close(first);
    close(second);
    aid_reply_free(&r);
    buf_free(&in);
    aid_fini(&a);
}

static void the_path_prefix_is_cut_off(void **state)
{
    static const struct {
        const char *path;
        int status;
    } table[] = {
        {"/in/echo", 200}, {"/in/echo/", 200}, {"/echo", 200},       {"/in", 404},
        {"/in/", 404},     {"/inecho", 404},   {"/in/in/echo", 404}, {"/in/user/%41b", 200},
    };
    struct aid a;
    struct aid_reply r = {.status = 0};

    (void)state;
    aid_init(&a);
    a.opt.path_prefix = "/in/";
    aid_start(&a, 1);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char text[200];

        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", table[i].path);
        assert_int_equal(aid_call(&a, text, &r), table[i].status);
    }
    assert_string_equal(buf_cstr(&r.body), "Ab");
    aid_call(&a, "GET /in/echo HTTP/1.1\r\n" HOST "\r\n", &r);
    assert_string_equal(aid_header(&r, "X-Path"), "/in/echo");
    aid_reply_free(&r);
    aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_of_all_sizes),
        cmocka_unit_test(body_behind_a_pipelined_request),
        cmocka_unit_test(too_large_is_told_at_once_and_dropped),
        cmocka_unit_test(far_too_large_closes_after_the_answer),
        cmocka_unit_test(bodies_without_a_route_are_dropped),
        cmocka_unit_test(expectations),
        cmocka_unit_test(all_bodies_together_are_bounded),
        cmocka_unit_test(the_path_prefix_is_cut_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
