/* Looking things up in a request. Percent-decoding copies into the request's arena only when there
 * is something to decode. Malformed escapes stay as they are, as browsers and Django do. */
#include "net/net_priv.h"

struct slice http_header_get(const struct http_request *req, const char *name)
{
    struct slice wanted = slice_cstr(name);

    for (size_t i = 0; i < req->header_count; i++)
        if (req->headers[i].name.len == wanted.len && slice_eq_nocase(req->headers[i].name, wanted))
            return req->headers[i].value;
    return SLICE_NONE;
}

struct slice http_param_get(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->param_count; i++)
        if (slice_eq(req->params[i].name, slice_cstr(name)))
            return req->params[i].value;
    return SLICE_NONE;
}

struct slice http_decode(struct slice text, bool plus_is_space, struct arena *arena)
{
    size_t len = 0;
    char *out;

    if (slice_find(text, '%') == -1 && (!plus_is_space || slice_find(text, '+') == -1))
        return text;
    out = arena_alloc(arena, text.len);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int high = -1, low = -1;

        if (c == '%' && text.len - i > 2) {
            high = slice_hex_digit(text.ptr[i + 1]);
            low = slice_hex_digit(text.ptr[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[len++] = c;
    }
    return slice_make(out, len);
}

// Cuts the first "name=value" off; both are left encoded. A pair without = has an empty value.
static bool next_pair(struct slice *rest, struct slice *name, struct slice *value)
{
    struct slice pair;
    ptrdiff_t at;

    do
        if (!slice_split(rest, '&', &pair))
            return false;
    while (pair.len == 0);
    at = slice_find(pair, '=');
    *name = at >= 0 ? slice_make(pair.ptr, (size_t)at) : pair;
    *value = at >= 0 ? slice_make(pair.ptr + at + 1, pair.len - (size_t)at - 1)
                     : slice_make(pair.ptr + pair.len, 0);
    return true;
}

void http_form_each(struct slice text, struct arena *arena, http_form_fn *fn, void *ctx)
{
    struct slice name, value;

    while (next_pair(&text, &name, &value))
        if (!fn(http_decode(name, true, arena), http_decode(value, true, arena), ctx))
            return;
}

bool http_query_get(const struct http_request *req, const char *name, struct slice *value)
{
    struct slice rest = req->query, raw_name, raw_value, wanted = slice_cstr(name);

    while (next_pair(&rest, &raw_name, &raw_value)) {
        // A name is never shorter encoded than decoded: most need no decoding to be ruled out.
        if (raw_name.len < wanted.len || !slice_eq(http_decode(raw_name, true, req->arena), wanted))
            continue;
        *value = http_decode(raw_value, true, req->arena);
        return true;
    }
    return false;
}
