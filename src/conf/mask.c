/* What may be shown of a value. Rather too much is hidden than too little: in a URL everything
 * before the last @ goes, so that a password with / or ? in it is not half shown.
 */
#include "conf/conf_priv.h"

#define MASK "***"

static bool names_secret(struct slice name)
{
    static const struct slice words[] = {
        {"password", 8}, {"passwd", 6}, {"pwd", 3},  {"secret", 6},
        {"token", 5},    {"key", 3},    {"auth", 4}, {"dsn", 3},
    };

    for (size_t i = 0; i < name.len; i++)
        for (size_t w = 0; w < ARRAY_LEN(words); w++)
            if (name.len - i >= words[w].len &&
                slice_eq_nocase(slice_make(name.ptr + i, words[w].len), words[w]))
                return true;
    return false;
}

/* The text behind the first ?: values of parameters with telling names are hidden. */
static bool mask_query(struct slice query, struct buf *out)
{
    struct slice part;
    bool is_first = true;

    while (slice_split(&query, '&', &part)) {
        if (!is_first)
            buf_add_char(out, '&');
        is_first = false;
        ptrdiff_t equals = slice_find(part, '=');
        struct slice name = slice_make(part.ptr, equals == -1 ? part.len : (size_t)equals);
        if (equals != -1 && names_secret(name)) {
            buf_add_slice(out, name);
            buf_add_str(out, "=" MASK);
        } else {
            buf_add_slice(out, part);
        }
    }
    return !out->is_over;
}

static bool mask_url(struct slice url, struct buf *out)
{
    ptrdiff_t at = -1, colon = slice_find(url, ':');

    for (size_t i = 0; i < url.len; i++)
        if (url.ptr[i] == '@')
            at = (ptrdiff_t)i;
    bool has_scheme =
        colon != -1 &&
        slice_starts(slice_make(url.ptr + colon, url.len - (size_t)colon), SLICE("://"));
    /* `host=x password=y`, the other form that Postgres takes. */
    if (!has_scheme && names_secret(url))
        return buf_add_str(out, MASK);
    if (at != -1) {
        size_t start = has_scheme && colon + 3 <= at ? (size_t)colon + 3 : 0;
        buf_add(out, url.ptr, start);
        buf_add_str(out, MASK);
        url = slice_make(url.ptr + at, url.len - (size_t)at);
    }
    ptrdiff_t question = slice_find(url, '?');
    if (question == -1)
        return buf_add_slice(out, url);
    buf_add(out, url.ptr, (size_t)question + 1);
    return mask_query(slice_make(url.ptr + question + 1, url.len - (size_t)question - 1), out);
}

bool conf_mask(unsigned flags, struct slice text, struct buf *out)
{
    if (text.len == 0)
        return true;
    if (flags & CONF_SECRET)
        return buf_add_str(out, MASK);
    if (flags & CONF_URL)
        return mask_url(text, out);
    return buf_add_slice(out, text);
}

bool conf_quote(struct slice text, struct buf *out)
{
    size_t shown = MIN(text.len, 100);

    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        buf_add_char(out, c < 0x20 || c == 0x7f ? '?' : text.ptr[i]);
    }
    if (shown < text.len)
        buf_add_str(out, "...");
    return !out->is_over;
}
