/* http_parse.h - requests out of bytes: llhttp in strict mode, with our limits. No I/O.
 *
 * The head of a request must lie in one piece of memory (`base`), which may grow and move until the
 * head is complete; the body goes to a callback piece by piece. http_parse_run stops behind the
 * head and behind the message, so that bytes of a following request stay untouched.
 * Threads: one. Errors: HTTP_STEP_BAD with status, detail and reason; nothing may be parsed after.
 */
#pragma once

#include "net/http_server.h"

#include <llhttp.h>

/* Why the server itself refused a request; the label `reason` of hedgerow_http_refused_total. */
enum http_refusal {
    HTTP_REFUSED_MALFORMED,
    HTTP_REFUSED_HEAD_TOO_LARGE,
    HTTP_REFUSED_BODY_TOO_LARGE,
    HTTP_REFUSED_MEMORY,
    HTTP_REFUSED_TIMEOUT,
    HTTP_REFUSED_CONNECTIONS,
    HTTP_REFUSED_EXPECTATION,
    HTTP_REFUSED_METHOD, /* not implemented here at all */
    HTTP_REFUSED_ROUTE,  /* 404, 405 */
    HTTP_REFUSED_COUNT
};

enum http_step {
    HTTP_STEP_MORE, /* all bytes taken, the message is not at its end */
    HTTP_STEP_HEAD, /* the head is complete; go on with http_parse_run, even with 0 bytes */
    HTTP_STEP_DONE, /* the message is complete */
    HTTP_STEP_BAD,
};

/* A header as offsets from the head's first byte. */
struct http_span {
    uint32_t name_at, name_len;
    uint32_t value_at, value_len;
};

struct http_spans {
    struct http_span *at; /* on the heap, the owner frees it */
    size_t count, cap;
};

/* What the head says about the message. */
struct http_frame {
    bool is_keep_alive;
    bool is_http10;
    bool is_chunked;
    bool expects_continue;
    bool expects_other; /* an Expect that nobody here can meet */
    uint64_t length;    /* Content-Length, 0 without one */
};

/* A piece of the body; false ends the parsing with HTTP_STEP_BAD (status 0). */
typedef bool http_body_fn(const char *at, size_t len, void *ctx);

struct http_parse {
    llhttp_t ll;
    const char *base;
    struct http_spans *spans;
    http_body_fn *body;
    void *ctx;
    uint32_t head_bytes_max, header_count_max;
    uint32_t head_len; /* bytes of the head seen so far; all of it from HTTP_STEP_HEAD on */
    uint32_t extra;    /* bytes of chunk extensions and trailers */
    struct http_span current;
    uint32_t url_at, url_len;
    bool has_head, is_done;
    int status; /* of HTTP_STEP_BAD */
    enum http_refusal reason;
    const char *detail;
};

/* Once per connection. head_bytes_max at most 2^30. */
void http_parse_init(struct http_parse *p, size_t head_bytes_max, size_t header_count_max,
                     http_body_fn *body, void *ctx);
/* Before the first byte of each request. */
void http_parse_next(struct http_parse *p, struct http_spans *spans);
/* Until HTTP_STEP_HEAD `bytes` must lie behind what was given before in the memory of the head,
 * which begins at `base` now. *taken is set unless bad. */
enum http_step http_parse_run(struct http_parse *p, const char *base, const char *bytes, size_t len,
                              size_t *taken);
/* After HTTP_STEP_HEAD: method, target and headers as slices of the memory at `base`; `headers` has
 * room for spans->count. False: refused, with status, detail and reason. */
MUST_CHECK bool http_parse_head(struct http_parse *p, const char *base, struct http_header *headers,
                                struct http_request *req, struct http_frame *frame);
