#include "base/buf.h"
#include "base/mem.h"
#include "lib/unit.h"
#include "net/http_parse.h"

#include <stdio.h>

struct parsed {
    enum http_step last;
    int status;
    size_t head_len, taken;
    struct http_request req;
    struct http_frame frame;
    struct http_header headers[128];
    char body[4096];
    size_t body_len;
};

static bool take_body(const char *at, size_t len, void *ctx)
{
    struct parsed *p = ctx;

    assert_true(p->body_len + len <= sizeof(p->body));
    memcpy(p->body + p->body_len, at, len);
    p->body_len += len;
    return true;
}

// Parses one message given in pieces of `piece` bytes, up to its end or its fault.
static void parse(struct slice text, size_t piece, size_t head_max, struct parsed *out)
{
    struct http_spans spans = {.at = NULL};
    struct http_parse p;
    size_t at = 0;
    bool is_poised = false;

    *out = (struct parsed){.last = HTTP_STEP_MORE};
    http_parse_init(&p, head_max, 100, take_body, out);
    http_parse_next(&p, &spans);
    while (at < text.len || is_poised) {
        size_t taken = 0;

        out->last = http_parse_run(&p, text.ptr, text.ptr + at, MIN(piece, text.len - at), &taken);
        is_poised = false;
        if (out->last == HTTP_STEP_BAD)
            break;
        at += taken;
        if (out->last == HTTP_STEP_DONE)
            break;
        if (out->last == HTTP_STEP_HEAD) {
            out->head_len = p.head_len;
            is_poised = true;
            if (!http_parse_head(&p, text.ptr, out->headers, &out->req, &out->frame)) {
                out->last = HTTP_STEP_BAD;
                break;
            }
        }
    }
    out->taken = at;
    out->status = p.status;
    if (out->last == HTTP_STEP_BAD)
        assert_true(p.detail && p.detail[0]);
    mem_free(spans.at);
}

#define HOST "Host: x\r\n"

static void good_requests(void **state)
{
    static const struct {
        const char *text, *method, *path, *query, *body;
        bool keep_alive;
    } table[] = {
        {"GET / HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "", "", true},
        {"\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "", "", true},
        {"GET /a?b=c#d HTTP/1.1\r\n" HOST "\r\n", "GET", "/a", "b=c", "", true},
        {"GET /a#d?b HTTP/1.1\r\n" HOST "\r\n", "GET", "/a", "", "", true},
        {"GET http://y/a?b HTTP/1.1\r\n" HOST "\r\n", "GET", "/a", "b", "", true},
        {"GET HTTPS://y:8/a HTTP/1.1\r\n" HOST "\r\n", "GET", "/a", "", "", true},
        {"GET http://y HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "", "", true},
        {"GET http://y?q HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "q", "", true},
        {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS", "*", "", "", true},
        {"GET /a HTTP/1.0\r\n\r\n", "GET", "/a", "", "", false},
        {"GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/a", "", "", true},
        {"GET /a HTTP/1.1\r\nConnection: close\r\n" HOST "\r\n", "GET", "/a", "", "", false},
        {"POST / HTTP/1.1\r\n" HOST "Content-length: 3\r\n\r\nabc", "POST", "/", "", "abc", true},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0"
         "\r\n\r\n",
         "POST", "/", "", "abcde", true},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n"
         "Trailer: x\r\n\r\n",
         "POST", "/", "", "0123456789", true},
        {"PROPFIND / HTTP/1.1\r\n" HOST "\r\n", "PROPFIND", "/", "", "", true},
        {"GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "GET", "/", "",
         "", true},
        {"POST / HTTP/1.1\r\n" HOST
         "Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nab",
         "POST", "/", "", "ab", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct slice text = slice_cstr(table[i].text);

        for (size_t piece = 1; piece <= text.len; piece++) {
            struct parsed p;

            parse(text, piece, 4096, &p);
            if (p.last != HTTP_STEP_DONE || p.taken != text.len)
                print_error("request %zu in pieces of %zu\n", i, piece);
            assert_int_equal(p.last, HTTP_STEP_DONE);
            assert_int_equal(p.taken, text.len);
            assert_true(slice_eq(p.req.method_text, slice_cstr(table[i].method)));
            assert_true(slice_eq(p.req.path, slice_cstr(table[i].path)));
            assert_true(slice_eq(p.req.query, slice_cstr(table[i].query)));
            assert_true(slice_eq(slice_make(p.body, p.body_len), slice_cstr(table[i].body)));
            assert_int_equal(p.frame.is_keep_alive, table[i].keep_alive);
        }
    }
}

// What two servers in a row might read differently, and what is no HTTP at all.
static void bad_requests(void **state)
{
    static const struct {
        const char *text;
        size_t len; /* 0: text has no NUL */
        int status;
    } table[] = {
        // Content-Length and Transfer-Encoding
        {"POST / HTTP/1.1\r\n" HOST
         "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         0, 400},
        {"POST / HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
         0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\nabc", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\nabc", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0x3\r\n\r\nabc", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3 3\r\n\r\nabc", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\nabc", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 0, 501},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0, 501},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0, 501},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 0, 501},
        {"POST / HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         0, 400},
        {"POST / HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
         0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\x0b"
         "chunked\r\n\r\n0\r\n\r\n",
         0, 400},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400},
        // chunks
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nx\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\na\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n", 0, 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\n", 0,
         400},
        // lines and headers
        {"GET / HTTP/1.1\n" HOST "\r\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\n\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\r\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\n Host: x\r\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nA\t: b\r\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", 38, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nA\0: b\r\n\r\n", 37, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nA\xc3\xa4: b\r\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 0, 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n", 0, 400},
        // request lines
        {"GET /\0a HTTP/1.1\r\n" HOST "\r\n", 28, 400},
        {"GET / a HTTP/1.1\r\n" HOST "\r\n", 0, 505},
        {"GET a HTTP/1.1\r\n" HOST "\r\n", 0, 400},
        {"GET * HTTP/1.1\r\n" HOST "\r\n", 0, 400},
        {"GET ftp://x/ HTTP/1.1\r\n" HOST "\r\n", 0, 400},
        {"GET  / HTTP/1.1\r\n" HOST "\r\n", 0, 400},
        {"GET /\r\n" HOST "\r\n", 0, 505},
        {"GET / HTTP/0.9\r\n\r\n", 0, 505},
        {"GET / HTTP/1.2\r\n" HOST "\r\n", 0, 505},
        {"GET / HTTP/2.0\r\n" HOST "\r\n", 0, 505},
        {"GET / http/1.1\r\n" HOST "\r\n", 0, 505},
        {"GET / RTSP/1.0\r\n" HOST "\r\n", 0, 505},
        {"GET /  HTTP/1.1\r\n" HOST "\r\n", 0, 505},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 505},
        {"CONNECT x:80 HTTP/1.1\r\n" HOST "\r\n", 0, 501},
        {"FETCH / HTTP/1.1\r\n" HOST "\r\n", 0, 501},
        {"get / HTTP/1.1\r\n" HOST "\r\n", 0, 501},
        {"GETS / HTTP/1.1\r\n" HOST "\r\n", 0, 501},
        {"{\"a\":1}", 0, 400},
        {"\x16\x03\x01\x02", 0, 400},
        {" GET / HTTP/1.1\r\n" HOST "\r\n", 0, 400},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct slice text =
            table[i].len ? slice_make(table[i].text, table[i].len) : slice_cstr(table[i].text);

        for (size_t piece = 1; piece <= text.len; piece++) {
            struct parsed p;

            parse(text, piece, 4096, &p);
            if (p.last != HTTP_STEP_BAD || p.status != table[i].status)
                fail_msg("request %zu in pieces of %zu: step %d, status %d\n%.*s", i, piece,
                         (int)p.last, p.status, SLICE_ARG(text));
        }
    }
}

static void limits_of_the_head(void **state)
{
    static const char fixed[] = "GET / HTTP/1.1\r\n" HOST "A: \r\n\r\n";
    char text[1000];

    (void)state;
    // the head may have exactly its maximum, however it comes
    for (size_t more = 0; more < 2; more++) {
        size_t len = 500 + more;

        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST "A: %0*d\r\n\r\n",
                 (int)(len - (sizeof(fixed) - 1)), 0);
        assert_int_equal(strlen(text), len);
        for (size_t piece = 1; piece <= len; piece++) {
            struct parsed p;

            parse(slice_cstr(text), piece, 500, &p);
            assert_int_equal(p.last, more ? HTTP_STEP_BAD : HTTP_STEP_DONE);
            assert_int_equal(p.status, more ? 431 : 0);
        }
    }
}

static void limit_of_headers(void **state)
{
    (void)state;
    for (size_t count = 99; count <= 101; count++) {
        struct buf text = BUF_INIT(10000);
        struct parsed p;

        buf_add_str(&text, "GET / HTTP/1.1\r\n" HOST);
        for (size_t i = 1; i < count; i++)
            buf_addf(&text, "H%zu: %zu\r\n", i, i);
        buf_add_str(&text, "\r\n");
        parse(buf_slice(&text), text.len, 32768, &p);
        assert_int_equal(p.last, count > 100 ? HTTP_STEP_BAD : HTTP_STEP_DONE);
        assert_int_equal(p.status, count > 100 ? 431 : 0);
        if (count <= 100) {
            assert_int_equal(p.req.header_count, count);
            assert_true(slice_eq(p.req.headers[98].name, SLICE("H98")));
            assert_true(slice_eq(p.req.headers[98].value, SLICE("98")));
        }
        buf_free(&text);
    }
}

static void chunk_extras_are_bounded(void **state)
{
    char name[2000];

    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (size_t kind = 0; kind < 2; kind++) {
        struct buf text = BUF_INIT(100000);
        struct parsed p;

        buf_add_str(&text, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 5; i++)
            buf_addf(&text, "1;%s=x\r\na\r\n", name);
        if (kind == 1) {
            buf_add_str(&text, "0\r\n");
            for (int i = 0; i < 5; i++)
                buf_addf(&text, "A: %s\r\n", name);
            buf_add_str(&text, "\r\n");
        } else {
            buf_add_str(&text, "0\r\n\r\n");
        }
        parse(buf_slice(&text), text.len, 32768, &p);
        assert_int_equal(p.last, kind ? HTTP_STEP_BAD : HTTP_STEP_DONE);
        assert_int_equal(p.status, kind ? 400 : 0);
        assert_int_equal(p.body_len, 5);
        // trailers are no headers
        assert_int_equal(p.req.header_count, 2);
        buf_free(&text);
    }
}

static void expectations(void **state)
{
    struct parsed p;

    (void)state;
    parse(SLICE("GET / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\n\r\n"), 100, 4096, &p);
    assert_true(p.frame.expects_continue && !p.frame.expects_other);
    parse(SLICE("GET / HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n"), 100, 4096, &p);
    assert_true(!p.frame.expects_continue && p.frame.expects_other);
    parse(SLICE("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), 100, 4096, &p);
    assert_true(!p.frame.expects_continue && !p.frame.expects_other);
}

static void values_are_trimmed(void **state)
{
    struct parsed p;

    (void)state;
    parse(SLICE("GET / HTTP/1.1\r\nHost:  x \t\r\nEmpty:\r\nBlank:  \r\nA:b c\r\n\r\n"), 100, 4096,
          &p);
    assert_int_equal(p.last, HTTP_STEP_DONE);
    assert_int_equal(p.req.header_count, 4);
    assert_true(slice_eq(p.req.headers[0].value, SLICE("x")));
    assert_true(slice_eq(p.req.headers[1].name, SLICE("Empty")));
    assert_int_equal(p.req.headers[1].value.len, 0);
    assert_int_equal(p.req.headers[2].value.len, 0);
    assert_true(slice_eq(p.req.headers[3].value, SLICE("b c")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests),
        cmocka_unit_test(bad_requests),
        cmocka_unit_test(limits_of_the_head),
        cmocka_unit_test(limit_of_headers),
        cmocka_unit_test(chunk_extras_are_bounded),
        cmocka_unit_test(expectations),
        cmocka_unit_test(values_are_trimmed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
