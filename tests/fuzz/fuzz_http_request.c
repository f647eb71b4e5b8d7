/* The request parser, with the bytes in pieces of a size that the first byte gives. */
#include "base/mem.h"
#include "net/http_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool take(const char *at, size_t len, void *ctx)
{
    size_t *left = ctx;

    CHECK(at && len <= *left); // never more body than bytes
    *left -= len;
    return true;
}

static bool lies_in(struct slice part, struct slice whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.len <= whole.len &&
                             (size_t)(part.ptr - whole.ptr) <= whole.len - part.len);
}

static bool check_head(struct http_parse *p, struct slice text)
{
    struct http_header *headers = mem_new_array(struct http_header, p->spans->count + 1);
    struct http_request req = {.magic = 0};
    struct http_frame frame;
    bool ok = http_parse_head(p, text.ptr, headers, &req, &frame);

    for (size_t i = 0; i < req.header_count; i++)
        CHECK(lies_in(headers[i].name, text) && lies_in(headers[i].value, text));
    if (ok)
        CHECK(req.path.len > 0 && lies_in(req.query, text) && !(frame.is_chunked && frame.length));
    mem_free(headers);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data + 1, size ? size - 1 : 0);
    size_t piece = size ? (size_t)data[0] + 1 : 1, at = 0, begin = 0, left = text.len;
    struct http_spans spans = {.at = NULL};
    struct http_parse p;
    bool is_poised = false;

    if (size == 0)
        return 0;
    http_parse_init(&p, 4096, 20, take, &left);
    http_parse_next(&p, &spans);
    while (at < text.len || is_poised) {
        size_t taken = 0, len = MIN(piece, text.len - at);
        enum http_step step = http_parse_run(&p, text.ptr + begin, text.ptr + at, len, &taken);

        is_poised = step == HTTP_STEP_HEAD;
        if (step == HTTP_STEP_BAD)
            break;
        CHECK(taken <= len && (step != HTTP_STEP_MORE || taken == len));
        at += taken;
        if (step == HTTP_STEP_HEAD && !check_head(&p, slice_make(text.ptr + begin, p.head_len)))
            break;
        if (step == HTTP_STEP_DONE) {
            begin = at;
            http_parse_next(&p, &spans);
        }
    }
    mem_free(spans.at);
    return 0;
}
