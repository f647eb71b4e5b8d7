/* The bytes of answers, and streams. */
#include "net_aid.h"

#define HOST "Host: x\r\n"

static void set_headers(struct http_request *req, void *ctx)
{
    UNUSED(ctx);
    http_answer_header(req, "X-Good", SLICE("yes"));
    http_answer_header(req, "X-Split", SLICE("a\r\nX-Evil: 1"));
    http_answer_header(req, "X-Feed", SLICE("a\nb"));
    http_answer_header(req, "X-Nul", slice_make("a\0b", 3));
    http_answer_header(req, "X-Empty", SLICE(""));
    http_respond(req, 201, "application/json", SLICE("{}"));
}

static void no_content(struct http_request *req, void *ctx)
{
    UNUSED(ctx);
    http_respond(req, 204, NULL, SLICE_NONE);
}

static void not_modified(struct http_request *req, void *ctx)
{
    UNUSED(ctx);
    http_answer_header(req, "ETag", SLICE("\"1\""));
    http_respond(req, 304, NULL, SLICE_NONE);
}

static void odd_status(struct http_request *req, void *ctx)
{
    UNUSED(ctx);
    http_respond(req, 299, NULL, SLICE("x"));
}

static void heads(void **state)
{
    static const struct http_route routes[] = {
        {.methods = HTTP_M_GET, .pattern = "/headers", .handler = set_headers},
        {.methods = HTTP_M_GET, .pattern = "/204", .handler = no_content},
        {.methods = HTTP_M_GET, .pattern = "/304", .handler = not_modified},
        {.methods = HTTP_M_GET, .pattern = "/299", .handler = odd_status},
    };
    static const struct {
        const char *path, *head, *body;
    } table[] = {
        {"/headers",
         "HTTP/1.1 201 Created\r\nDate: *\r\nContent-Type: application/json\r\n"
         "Content-Length: 2\r\nX-Good: yes\r\nX-Empty: \r\n",
         "{}"},
        {"/204", "HTTP/1.1 204 No Content\r\nDate: *\r\n", ""},
        {"/304", "HTTP/1.1 304 Not Modified\r\nDate: *\r\nETag: \"1\"\r\n", ""},
        {"/299", "HTTP/1.1 299 Unknown\r\nDate: *\r\nContent-Length: 1\r\n", "x"},
    };
    struct aid a;
    struct buf in = BUF_INIT(1u << 20);
    int fd;

    (void)state;
    aid_init(&a);
    a.opt.routes = routes;
    a.opt.route_count = ARRAY_LEN(routes);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char text[200], *date;
        const char *end;
        struct buf want = BUF_INIT(1000);

        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", table[i].path);
        aid_send(fd, text);
        buf_addf(&want, "%s\r\n%s", table[i].head, table[i].body);
        while (!(end = strstr(buf_cstr(&in), "\r\n\r\n")) ||
               strlen(end + 4) < strlen(table[i].body))
            assert_true(aid_recv(fd, &in) > 0);
        date = strstr(in.ptr, "Date: ") + 6; // e.g. "Sun, 06 Nov 1994 08:49:37 GMT"
        assert_memory_equal(date + 25, " GMT\r\n", 6);
        assert_true(date[3] == ',' && date[4] == ' ' && date[19] == ':' && date[22] == ':');
        date[0] = '*';
        memmove(date + 1, date + 29, in.len - (size_t)(date + 29 - in.ptr));
        in.len -= 28;
        assert_string_equal(buf_cstr(&in), buf_cstr(&want));
        buf_clear(&in);
        buf_free(&want);
    }
    close(fd);
    assert_int_equal(a.answers, ARRAY_LEN(table));
    buf_free(&in);
    aid_fini(&a);
}

static void head_requests_have_no_body(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "HEAD /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
                 "HEAD /nowhere HTTP/1.1\r\n" HOST "\r\n"
                 "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(aid_read(fd, &in, &r, true), 200);
    assert_string_equal(aid_header(&r, "Content-Length"), "5");
    assert_int_equal(aid_read(fd, &in, &r, true), 404);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    close(fd);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

/* --- streams --- */

struct stream_op {
    struct http_request *req;
    struct slice bytes;
    size_t queue_max;
    bool ok;
};

static void write_op(void *ctx)
{
    struct stream_op *op = ctx;

    op->ok = http_stream_write(op->req, op->bytes, op->queue_max);
}

static void end_op(void *ctx)
{
    struct stream_op *op = ctx;

    http_stream_end(op->req);
}

static void streams_are_chunked(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    struct stream_op op = {.queue_max = 1000};
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\nGET /echo HTTP/1.1\r\n" HOST "\r\n");
    op.req = aid_kept(&a, 0);
    op.bytes = SLICE("data: 1\n\n");
    aid_on_loop(&a, write_op, &op);
    assert_true(op.ok);
    op.bytes = SLICE(""); // would be the end of the chunks
    aid_on_loop(&a, write_op, &op);
    assert_true(op.ok);
    op.bytes = SLICE("data: 22\n\n");
    aid_on_loop(&a, write_op, &op);
    aid_on_loop(&a, end_op, &op);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    assert_string_equal(aid_header(&r, "Content-Type"), "text/event-stream");
    assert_string_equal(buf_cstr(&r.body), "data: 1\n\ndata: 22\n\n");
    assert_int_equal(aid_read(fd, &in, &r, false), 200); // the connection goes on
    assert_int_equal(a.closed, 0);
    close(fd);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
    assert_int_equal(a.closed, 0);
}

static void streams_of_old_clients_end_with_the_connection(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    struct stream_op op = {.queue_max = 1000, .bytes = SLICE("abc")};
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    op.req = aid_kept(&a, 0);
    aid_on_loop(&a, write_op, &op);
    aid_on_loop(&a, end_op, &op);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    assert_null(aid_header(&r, "Transfer-Encoding"));
    assert_string_equal(aid_header(&r, "Connection"), "close");
    assert_string_equal(buf_cstr(&r.body), "abc");
    close(fd);
    // and of one that wants the head only
    fd = aid_connect(&a);
    aid_send(fd, "HEAD /stream HTTP/1.1\r\n" HOST "\r\nGET /echo HTTP/1.1\r\n" HOST "\r\n");
    op.req = aid_kept(&a, 1);
    aid_on_loop(&a, write_op, &op);
    aid_on_loop(&a, end_op, &op);
    assert_int_equal(aid_read(fd, &in, &r, true), 200);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    close(fd);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

static void slow_readers_are_bounded(void **state)
{
    static char block[64 * 1024];
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(64u << 20);
    struct stream_op op = {.queue_max = 256 * 1024, .bytes = {block, sizeof(block)}};
    size_t written = 0;
    int fd;

    (void)state;
    memset(block, 'b', sizeof(block));
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    op.req = aid_kept(&a, 0);
    for (;;) {
        aid_on_loop(&a, write_op, &op);
        if (!op.ok)
            break;
        written += sizeof(block);
        assert_true(written < 60u << 20);
    }
    aid_on_loop(&a, end_op, &op);
    assert_int_equal(aid_read(fd, &in, &r, false), 200);
    assert_int_equal(r.body.len, written); // what was refused left no trace
    close(fd);
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

static void streams_learn_that_the_client_is_gone(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    for (int i = 0; i < 3; i++) {
        int fd = aid_connect(&a);

        aid_send(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
        aid_kept(&a, i);
        if (i == 0)
            close(fd);
        else if (i == 1)
            aid_reset(fd);
        else
            shutdown(fd, SHUT_WR);
        aid_await(&a, &a.closed, i + 1);
        aid_await_connections(&a, 0);
        if (i == 2)
            close(fd);
    }
    aid_reply_free(&r);
    aid_fini(&a);
    assert_int_equal(a.closed, 3);
}

struct late_stream {
    struct aid *aid;
    struct http_request *req;
    bool is_ended_at_once;
};

static void late_begin(void *ctx)
{
    struct late_stream *late = ctx;

    http_stream_begin(late->req, 200, NULL, aid_closed, late->aid);
    assert_true(http_stream_write(late->req, SLICE("x"), 10));
    if (late->is_ended_at_once)
        http_stream_end(late->req);
}

static void streams_of_clients_that_are_gone(void **state)
{
    struct aid a;
    struct late_stream late = {.aid = &a};

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    for (int i = 0; i < 2; i++) {
        int fd = aid_connect(&a);

        aid_send(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
        late.req = aid_kept(&a, i);
        aid_reset(fd);
        aid_await_connections(&a, 0);
        late.is_ended_at_once = i == 1;
        aid_on_loop(&a, late_begin, &late);
        aid_await(&a, &a.closed, 1);
    }
    assert_true(net_drain(a.net, 10000000)); // the second was freed too
    assert_int_equal(a.closed, 1);
    aid_fini(&a);
}

static void open_streams_are_closed_by_the_stop(void **state)
{
    struct aid a;
    struct buf in = BUF_INIT(1u << 20);
    int fd;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    fd = aid_connect(&a);
    aid_send(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    aid_kept(&a, 0);
    assert_false(net_drain(a.net, 1000)); // it runs on
    assert_int_equal(a.closed, 0);
    net_stop(a.net);
    assert_int_equal(a.closed, 1);
    aid_read_all(fd, &in);
    close(fd);
    buf_free(&in);
    aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),
        cmocka_unit_test(head_requests_have_no_body),
        cmocka_unit_test(streams_are_chunked),
        cmocka_unit_test(streams_of_old_clients_end_with_the_connection),
        cmocka_unit_test(slow_readers_are_bounded),
        cmocka_unit_test(streams_learn_that_the_client_is_gone),
        cmocka_unit_test(streams_of_clients_that_are_gone),
        cmocka_unit_test(open_streams_are_closed_by_the_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
