/* Requests that outlive their connection, and what is recycled. */
#include "net_aid.h"

#define HOST "Host: x\r\n"

static void check_kept(void *ctx)
{
    struct http_request *req = ctx;

    assert_null(req->conn);
    assert_true(slice_eq(req->path, SLICE("/wait")));
    assert_true(slice_eq(http_header_get(req, "x-Key"), SLICE("value")));
    assert_true(slice_eq(req->peer, SLICE("127.0.0.1")));
    assert_true(req->peer_is_loopback && req->peer_is_private);
    for (size_t i = 0; i < req->body.len; i++)
        assert_int_equal(req->body.ptr[i], 'b');
    http_answer_header(req, "X-Late", SLICE("1")); // legal, goes nowhere
    http_respond(req, 200, NULL, SLICE("too late"));
}

// The client goes while the handler has the request: small body, large body, none.
static void kept_requests_survive_their_client(void **state)
{
    static const size_t sizes[] = {0, 10, 15000, 200000};
    struct aid a;
    int before = 0;

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct buf text = BUF_INIT(1u << 20);
        struct http_request *req;
        int fd = aid_connect(&a);

        buf_addf(&text,
                 "POST /wait HTTP/1.1\r\n" HOST "X-Key: value\r\nContent-Length: %zu\r\n\r\n",
                 sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            buf_add_char(&text, 'b');
        buf_add_str(&text, "GET /echo HTTP/1.1\r\n"); // bytes of a next request
        aid_send_slice(fd, buf_slice(&text));
        req = aid_kept(&a, (int)i);
        aid_reset(fd);
        aid_await_connections(&a, 0);
        // other requests use the pools meanwhile
        for (int k = 0; k < 3; k++) {
            struct aid_reply r = {.status = 0};

            assert_int_equal(aid_call(&a, "GET /echo HTTP/1.1\r\n" HOST "\r\n", &r), 200);
            aid_reply_free(&r);
        }
        assert_int_equal(req->body.len, sizes[i]);
        before = a.answers;
        aid_on_loop(&a, check_kept, req);
        assert_int_equal(a.answers, before); // there was nobody to answer
        buf_free(&text);
    }
    assert_true(net_drain(a.net, 10000000));
    aid_fini(&a);
}

static void resume_runs_on_the_loop_of_the_request(void **state)
{
    struct aid a;
    struct aid_reply r = {.status = 0};
    struct buf in = BUF_INIT(1u << 20);
    int fds[8];

    (void)state;
    aid_init(&a);
    aid_start(&a, 2);
    for (int i = 0; i < 8; i++) {
        fds[i] = aid_connect(&a);
        aid_send(fds[i], "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    }
    for (int i = 0; i < 8; i++) {
        struct loop *loop = http_request_loop(aid_kept(&a, i));

        assert_true(loop == net_loop(a.net, 0) || loop == net_loop(a.net, 1));
        aid_answer(&a, i);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(aid_read(fds[i], &in, &r, false), 200);
        assert_string_equal(buf_cstr(&r.body), "late");
        close(fds[i]);
    }
    buf_free(&in);
    aid_reply_free(&r);
    aid_fini(&a);
}

// Answered after the threads ended, or never: nothing leaks (the leak check of the build tells).
static void requests_left_at_the_end_are_freed(void **state)
{
    struct aid a;
    struct buf in = BUF_INIT(1u << 20);
    int fds[3];

    (void)state;
    aid_init(&a);
    aid_start(&a, 1);
    for (int i = 0; i < 3; i++) {
        fds[i] = aid_connect(&a);
        aid_send(fds[i], "POST /wait HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi");
        aid_kept(&a, i);
    }
    assert_false(net_drain(a.net, 1000));
    net_stop(a.net);
    aid_answer(&a, 0);
    aid_answer(&a, 1);
    for (int i = 0; i < 3; i++) {
        aid_read_all(fds[i], &in);
        close(fds[i]);
    }
    assert_int_equal(in.len, 0);
    buf_free(&in);
    aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_requests_survive_their_client),
        cmocka_unit_test(resume_runs_on_the_loop_of_the_request),
        cmocka_unit_test(requests_left_at_the_end_are_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
