/* fake_http.h - answering and resuming requests (net/http_server.h) without sockets.
 *
 * A fake_exchange is one request and, once http_respond ran, its answer. http_resume keeps the
 * function until the test calls fake_http_run, so that a test can look between the sync and the
 * answer. Include it in one test file: it defines the functions.
 */
#pragma once

#include "base/mem.h"
#include "net/http_server.h"

#define FAKE_HEADERS_MAX 16

struct fake_exchange {
    struct http_request req;
    struct http_header headers[FAKE_HEADERS_MAX];
    struct http_header answer_headers[FAKE_HEADERS_MAX];
    size_t answer_header_count;
    int answers; /* calls of http_respond */
    int status;
    const char *content_type;
    char body[4096];
    size_t body_len;
    loop_fn *resume_fn;
    void *resume_ctx;
};

static inline struct fake_exchange *fake_of(struct http_request *req)
{
    return CONTAINER_OF(req, struct fake_exchange, req);
}

static inline void fake_http_init(struct fake_exchange *x, enum http_method method,
                                  const char *path, const char *query, struct slice body)
{
    *x = (struct fake_exchange){.req = {.method = method}};
    x->req.method_text = slice_cstr(method == HTTP_M_GET   ? "GET"
                                    : method == HTTP_M_PUT ? "PUT"
                                                           : "POST");
    x->req.path = slice_cstr(path);
    x->req.query = slice_cstr(query);
    x->req.body = body;
    x->req.headers = x->headers;
    x->req.peer = SLICE("127.0.0.1");
    x->req.peer_is_private = x->req.peer_is_loopback = true;
    x->req.received_us = 1651320000000000; /* 2022-04-30T12:00:00Z */
    x->req.arena = arena_new(4096);
}

static inline void fake_http_header(struct fake_exchange *x, const char *name, const char *value)
{
    CHECK(x->req.header_count < FAKE_HEADERS_MAX);
    x->headers[x->req.header_count++] = (struct http_header){slice_cstr(name), slice_cstr(value)};
}

static inline void fake_http_fini(struct fake_exchange *x)
{
    for (size_t i = 0; i < x->answer_header_count; i++) {
        mem_free((void *)(uintptr_t)x->answer_headers[i].name.ptr);
        mem_free((void *)(uintptr_t)x->answer_headers[i].value.ptr);
    }
    arena_free(x->req.arena);
}

/* The value of an answer's header, empty when absent. */
static inline struct slice fake_http_answer_header(const struct fake_exchange *x, const char *name)
{
    for (size_t i = 0; i < x->answer_header_count; i++)
        if (slice_eq_nocase(x->answer_headers[i].name, slice_cstr(name)))
            return x->answer_headers[i].value;
    return SLICE_NONE;
}

static inline bool fake_http_run(struct fake_exchange *x)
{
    loop_fn *fn = x->resume_fn;

    x->resume_fn = NULL;
    if (fn)
        fn(x->resume_ctx);
    return fn != NULL;
}

void http_answer_header(struct http_request *req, const char *name, struct slice value)
{
    struct fake_exchange *x = fake_of(req);

    CHECK(x->answer_header_count < FAKE_HEADERS_MAX);
    x->answer_headers[x->answer_header_count++] =
        (struct http_header){slice_cstr(mem_dup_str(name)), slice_cstr(slice_dup(value))};
}

void http_respond(struct http_request *req, int status, const char *content_type, struct slice body)
{
    struct fake_exchange *x = fake_of(req);

    CHECK(body.len <= sizeof x->body);
    x->answers++;
    x->status = status;
    x->content_type = content_type;
    x->body_len = body.len;
    if (body.len)
        memcpy(x->body, body.ptr, body.len);
}

void http_resume(struct http_request *req, loop_fn *fn, void *ctx)
{
    fake_of(req)->resume_ctx = ctx;
    fake_of(req)->resume_fn = fn;
}
