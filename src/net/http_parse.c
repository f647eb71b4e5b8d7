/* llhttp decides what a well-formed request is (no lenient flag is set): it refuses Content-Length
 * beside Transfer-Encoding, two Content-Lengths, bare LF, folded headers, bad chunk sizes, and so
 * on. On top of that this file refuses what two servers in a row could read differently: any
 * transfer coding but a single "chunked", one in HTTP/1.0 (RFC 9112 §6.1), and a missing or second
 * Host (§3.2).
 *
 * Both stops are pauses of llhttp; the parser is reset between requests instead of being resumed,
 * so that no state of one request reaches the next. */
#include "net/http_parse.h"

#include "base/mem.h"

#define SPANS_FIRST 16
#define EXTRA_MAX   16384 /* chunk extensions and trailers of a request */

static int refuse(struct http_parse *p, int status, enum http_refusal reason, const char *detail)
{
    p->status = status;
    p->reason = reason;
    p->detail = detail;
    return HPE_USER;
}

static bool bad(struct http_parse *p, int status, enum http_refusal reason, const char *detail)
{
    refuse(p, status, reason, detail);
    return false;
}

static struct http_parse *parse_of(llhttp_t *ll)
{
    return CONTAINER_OF(ll, struct http_parse, ll);
}

static uint32_t offset(const struct http_parse *p, const char *at)
{
    return (uint32_t)(at - p->base);
}

static int on_url(llhttp_t *ll, const char *at, size_t len)
{
    struct http_parse *p = parse_of(ll);

    if (p->url_len == 0)
        p->url_at = offset(p, at);
    p->url_len += (uint32_t)len;
    return 0;
}

static int on_extra(llhttp_t *ll, const char *at, size_t len)
{
    struct http_parse *p = parse_of(ll);

    UNUSED(at);
    if (len > EXTRA_MAX - p->extra)
        return refuse(p, 400, HTTP_REFUSED_MALFORMED,
                      "The chunk extensions and trailers are too long.");
    p->extra += (uint32_t)len;
    return 0;
}

static int on_header_field(llhttp_t *ll, const char *at, size_t len)
{
    struct http_parse *p = parse_of(ll);

    if (p->has_head)
        return on_extra(ll, at, len);
    if (p->current.name_len == 0)
        p->current.name_at = offset(p, at);
    p->current.name_len += (uint32_t)len;
    return 0;
}

static int on_header_value(llhttp_t *ll, const char *at, size_t len)
{
    struct http_parse *p = parse_of(ll);

    if (p->has_head)
        return on_extra(ll, at, len);
    if (p->current.value_len == 0)
        p->current.value_at = offset(p, at);
    p->current.value_len += (uint32_t)len;
    return 0;
}

static int on_header_value_complete(llhttp_t *ll)
{
    struct http_parse *p = parse_of(ll);
    struct http_spans *s = p->spans;

    if (p->has_head)
        return 0;
    if (s->count >= p->header_count_max)
        return refuse(p, 431, HTTP_REFUSED_HEAD_TOO_LARGE, "The request has too many headers.");
    if (s->count == s->cap) {
        s->cap = MAX(SPANS_FIRST, s->cap * 2);
        s->at = mem_realloc(s->at, s->cap * sizeof(*s->at));
    }
    s->at[s->count++] = p->current;
    p->current = (struct http_span){0};
    return 0;
}

static int on_headers_complete(llhttp_t *ll)
{
    parse_of(ll)->has_head = true;
    // An upgrade is never granted: the request is one like others, and bytes behind it too.
    ll->upgrade = 0;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *ll, const char *at, size_t len)
{
    struct http_parse *p = parse_of(ll);

    return p->body(at, len, p->ctx) ? 0 : HPE_USER;
}

static int on_message_complete(llhttp_t *ll)
{
    parse_of(ll)->is_done = true;
    return HPE_PAUSED;
}

// llhttp's member for settings is not const, but it only reads them.
static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_chunk_extension_name = on_extra,
    .on_chunk_extension_value = on_extra,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http_parse_init(struct http_parse *p, size_t head_bytes_max, size_t header_count_max,
                     http_body_fn *body, void *ctx)
{
    CHECK(head_bytes_max <= 1u << 30);
    *p = (struct http_parse){.head_bytes_max = (uint32_t)head_bytes_max,
                             .header_count_max = (uint32_t)MIN(header_count_max, UINT32_MAX),
                             .body = body,
                             .ctx = ctx};
    llhttp_init(&p->ll, HTTP_REQUEST, (llhttp_settings_t *)(uintptr_t)&settings);
}

void http_parse_next(struct http_parse *p, struct http_spans *spans)
{
    llhttp_reset(&p->ll);
    p->spans = spans;
    spans->count = 0;
    p->head_len = p->extra = p->url_at = p->url_len = 0;
    p->current = (struct http_span){0};
    p->has_head = p->is_done = false;
    p->status = 0;
}

static bool is_token_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

// llhttp gives up at the first byte that fits no method it knows. A word in the right place is a
// method that we do not implement (RFC 9110 §9.1); anything else is no HTTP.
static int refuse_method(struct http_parse *p, const char *end)
{
    const char *at = p->base;
    size_t len = 0;

    while (at < end && (*at == '\r' || *at == '\n'))
        at++;
    while (at + len < end && is_token_char(at[len]))
        len++;
    if (len == 0 || (at + len < end && at[len] != ' '))
        return refuse(p, 400, HTTP_REFUSED_MALFORMED, "The bytes are not an HTTP request.");
    p->current.name_at = offset(p, at);
    p->current.name_len = (uint32_t)len;
    return refuse(p, 501, HTTP_REFUSED_METHOD, "The method is not known.");
}

static void refuse_error(struct http_parse *p, llhttp_errno_t e, const char *end)
{
    const char *detail = "The request is malformed.";
    int status = 400;

    switch (e) {
    case HPE_INVALID_METHOD:
        refuse_method(p, end);
        return;
    case HPE_INVALID_URL:
        detail = "The request target has a character that is not allowed.";
        break;
    case HPE_INVALID_VERSION:
    case HPE_INVALID_CONSTANT:
    case HPE_PAUSED_H2_UPGRADE:
        if (e == HPE_INVALID_VERSION && p->ll.http_major == 1 && p->ll.http_minor <= 1) {
            detail = "Lines must end with CR LF."; // the version is good, what follows is not
            break;
        }
        detail = "Only HTTP/1.1 and HTTP/1.0 are spoken here.";
        status = 505;
        break;
    case HPE_INVALID_HEADER_TOKEN:
    case HPE_UNEXPECTED_SPACE:
        detail = "A header is malformed.";
        break;
    case HPE_CR_EXPECTED:
    case HPE_LF_EXPECTED:
    case HPE_STRICT:
        detail = "Lines must end with CR LF.";
        break;
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        detail = "Content-Length must be one number, and not stand beside Transfer-Encoding.";
        break;
    case HPE_INVALID_TRANSFER_ENCODING:
        detail = "Transfer-Encoding must be chunked, and not stand beside Content-Length.";
        break;
    case HPE_INVALID_CHUNK_SIZE:
        detail = "A chunk is malformed.";
        break;
    default:
        break;
    }
    refuse(p, status, HTTP_REFUSED_MALFORMED, detail);
}

enum http_step http_parse_run(struct http_parse *p, const char *base, const char *bytes, size_t len,
                              size_t *taken)
{
    bool had_head = p->has_head;
    llhttp_errno_t e;

    p->base = base;
    e = llhttp_execute(&p->ll, bytes, len);
    *taken = e == HPE_OK ? len : (size_t)(llhttp_get_error_pos(&p->ll) - bytes);
    if (!had_head && (e == HPE_OK || e == HPE_PAUSED)) {
        p->head_len += (uint32_t)*taken;
        if (p->head_len > p->head_bytes_max) {
            refuse(p, 431, HTTP_REFUSED_HEAD_TOO_LARGE, "The head of the request is too large.");
            return HTTP_STEP_BAD;
        }
    }
    if (e == HPE_OK)
        return HTTP_STEP_MORE;
    if (e == HPE_PAUSED) {
        llhttp_resume(&p->ll);
        return p->is_done ? HTTP_STEP_DONE : HTTP_STEP_HEAD;
    }
    if (e != HPE_USER && p->status == 0) // else a callback has said why, or nothing is to be said
        refuse_error(p, e, bytes + len);
    return HTTP_STEP_BAD;
}

static enum http_method method_of(uint8_t method)
{
    switch (method) {
    case HTTP_GET:
        return HTTP_M_GET;
    case HTTP_HEAD:
        return HTTP_M_HEAD;
    case HTTP_POST:
        return HTTP_M_POST;
    case HTTP_PUT:
        return HTTP_M_PUT;
    case HTTP_DELETE:
        return HTTP_M_DELETE;
    case HTTP_OPTIONS:
        return HTTP_M_OPTIONS;
    case HTTP_PATCH:
        return HTTP_M_PATCH;
    default:
        return HTTP_M_OTHER;
    }
}

// The four forms of RFC 9112 §3.2, without the one of CONNECT.
static bool read_target(struct slice target, struct http_request *req)
{
    static const char http[] = "http://", https[] = "https://";
    ptrdiff_t mark = slice_find(target, '#');

    if (mark >= 0)
        target.len = (size_t)mark;
    if (target.len == 0)
        return false;
    if (target.ptr[0] != '/' && !(slice_eq(target, SLICE("*")) && req->method == HTTP_M_OPTIONS)) {
        size_t skip = 0;

        if (slice_eq_nocase(slice_make(target.ptr, MIN(target.len, 7)), slice_cstr(http)))
            skip = 7;
        else if (slice_eq_nocase(slice_make(target.ptr, MIN(target.len, 8)), slice_cstr(https)))
            skip = 8;
        else
            return false;
        while (skip < target.len && target.ptr[skip] != '/' && target.ptr[skip] != '?')
            skip++;
        target = slice_make(target.ptr + skip, target.len - skip);
    }
    mark = slice_find(target, '?');
    req->query = mark >= 0 ? slice_make(target.ptr + mark + 1, target.len - (size_t)mark - 1)
                           : slice_make(target.ptr + target.len, 0);
    req->path = slice_make(target.ptr, mark >= 0 ? (size_t)mark : target.len);
    if (req->path.len == 0)
        req->path = SLICE("/");
    return true;
}

static void fill_headers(const struct http_parse *p, const char *base, struct http_header *headers,
                         struct http_request *req)
{
    for (size_t i = 0; i < p->spans->count; i++) {
        const struct http_span *s = &p->spans->at[i];

        headers[i].name = slice_make(base + s->name_at, s->name_len);
        headers[i].value = slice_trim(slice_make(base + s->value_at, s->value_len));
    }
    req->headers = headers;
    req->header_count = p->spans->count;
}

// Looks at the headers that frame the message; false when they contradict each other.
static bool read_frame(struct http_parse *p, struct http_request *req, struct http_frame *frame)
{
    size_t hosts = 0, codings = 0;

    for (size_t i = 0; i < req->header_count; i++) {
        const struct http_header *h = &req->headers[i];

        if (h->name.len == 4 && slice_eq_nocase(h->name, SLICE("Host"))) {
            hosts++;
        } else if (h->name.len == 6 && slice_eq_nocase(h->name, SLICE("Expect"))) {
            if (slice_eq_nocase(h->value, SLICE("100-continue")))
                frame->expects_continue = !frame->is_http10;
            else
                frame->expects_other = true;
        } else if (h->name.len == 17 && slice_eq_nocase(h->name, SLICE("Transfer-Encoding"))) {
            codings++;
            if (!slice_eq_nocase(h->value, SLICE("chunked")))
                return bad(p, 501, HTTP_REFUSED_MALFORMED, "Transfer-Encoding must be chunked.");
        }
    }
    if (codings > 1 || (codings && frame->is_http10))
        return bad(p, 400, HTTP_REFUSED_MALFORMED,
                   "Transfer-Encoding must stand once, and not in HTTP/1.0.");
    if (hosts > 1 || (hosts == 0 && !frame->is_http10))
        return bad(p, 400, HTTP_REFUSED_MALFORMED, "The header Host must stand exactly once.");
    return true;
}

bool http_parse_head(struct http_parse *p, const char *base, struct http_header *headers,
                     struct http_request *req, struct http_frame *frame)
{
    const llhttp_t *ll = &p->ll;

    *frame = (struct http_frame){.is_keep_alive = llhttp_should_keep_alive(ll),
                                 .is_http10 = ll->http_minor == 0,
                                 .is_chunked = (ll->flags & F_CHUNKED) != 0,
                                 .length = ll->content_length};
    req->method = method_of(ll->method);
    req->method_text = slice_cstr(llhttp_method_name((llhttp_method_t)ll->method));
    fill_headers(p, base, headers, req);
    // llhttp knows relatives of HTTP too (RTSP, ICE) and takes several spaces for one.
    if (ll->http_major != 1 || ll->http_minor > 1 ||
        memcmp(base + p->url_at + p->url_len, " HTTP/", 6) != 0)
        return bad(p, 505, HTTP_REFUSED_MALFORMED, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
    if (ll->method == HTTP_CONNECT)
        return bad(p, 501, HTTP_REFUSED_METHOD, "CONNECT is not done here.");
    if (p->url_at < 2 || base[p->url_at - 2] == ' ' ||
        !read_target(slice_make(base + p->url_at, p->url_len), req))
        return bad(p, 400, HTTP_REFUSED_MALFORMED, "The request target is not a path.");
    return read_frame(p, req, frame);
}
