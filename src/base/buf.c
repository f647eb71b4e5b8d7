#include "base/buf.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

#define CAP_FIRST 64

void buf_free(struct buf *b)
{
    mem_free(b->ptr);
    *b = BUF_INIT(b->max);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->is_over = false;
}

static bool over(struct buf *b)
{
    b->is_over = true;
    return false;
}

// Makes room for `more` bytes of content and `extra` (0 or 1) for a NUL, which max does not count.
static bool grow(struct buf *b, size_t more, size_t extra)
{
    size_t need, cap;
    char *moved;

    if (b->len > b->max || more > b->max - b->len)
        return over(b);
    if (more > SIZE_MAX - extra - b->len)
        return over(b);
    need = b->len + more + extra;
    if (need <= b->cap)
        return true;
    cap = MAX(b->cap, CAP_FIRST / 2);
    cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
    cap = MAX(MIN(cap, b->max), need);
    moved = (char *)mem_try_realloc(b->ptr, cap);
    if (!moved)
        return over(b);
    b->ptr = moved;
    b->cap = cap;
    return true;
}

bool buf_grow(struct buf *b, size_t more)
{
    return grow(b, more, 0);
}

bool buf_add(struct buf *b, const void *bytes, size_t len)
{
    if (!grow(b, len, 0))
        return false;
    if (len)
        memcpy(b->ptr + b->len, bytes, len);
    b->len += len;
    return true;
}

bool buf_add_slice(struct buf *b, struct slice s)
{
    return buf_add(b, s.ptr, s.len);
}

bool buf_add_str(struct buf *b, const char *text)
{
    return buf_add(b, text, strlen(text));
}

bool buf_add_char(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

bool buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    int len;
    bool ok = false;

    va_start(args, fmt);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, fmt, args);
    if (len >= 0 && grow(b, (size_t)len, 1)) {
        vsnprintf(b->ptr + b->len, (size_t)len + 1, fmt, again);
        b->len += (size_t)len;
        ok = true;
    } else {
        over(b);
    }
    va_end(again);
    va_end(args);
    return ok;
}

bool buf_add_u64(struct buf *b, uint64_t value)
{
    char text[20];
    size_t at = sizeof(text);

    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return buf_add(b, text + at, sizeof(text) - at);
}

bool buf_add_i64(struct buf *b, int64_t value)
{
    size_t before = b->len;

    if (value >= 0)
        return buf_add_u64(b, (uint64_t)value);
    if (buf_add_char(b, '-') && buf_add_u64(b, 0 - (uint64_t)value))
        return true;
    b->len = before;
    return false;
}

static bool add_escape(struct buf *b, unsigned char c)
{
    static const char short_names[32] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    static const char digits[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    char name = c < 32 ? short_names[c] : (char)c;

    if (name) {
        text[1] = name;
        return buf_add(b, text, 2);
    }
    return buf_add(b, text, sizeof(text));
}

static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

// Bytes from s.ptr that go out as they are.
static size_t plain_prefix(struct slice s)
{
    size_t len = 0;

    while (len < s.len) {
        unsigned char c = (unsigned char)s.ptr[len];
        uint32_t point;
        size_t step = 1;

        if (needs_escape(c))
            break;
        if (c >= 0x80)
            step = utf8_get(slice_make(s.ptr + len, s.len - len), &point);
        if (step == 0)
            break;
        len += step;
    }
    return len;
}

bool buf_add_json_str(struct buf *b, struct slice s)
{
    size_t before = b->len;
    bool ok = buf_add_char(b, '"');

    while (ok && s.len > 0) {
        size_t len = plain_prefix(s);

        ok = buf_add(b, s.ptr, len);
        s = slice_make(s.ptr + len, s.len - len);
        if (!ok || s.len == 0)
            break;
        if (needs_escape((unsigned char)s.ptr[0]))
            ok = add_escape(b, (unsigned char)s.ptr[0]);
        else
            ok = buf_add_str(b, "\xef\xbf\xbd"); // U+FFFD for each byte that fits nowhere
        s = slice_make(s.ptr + 1, s.len - 1);
    }
    if (ok && buf_add_char(b, '"'))
        return true;
    b->len = before;
    return false;
}

const char *buf_cstr(struct buf *b)
{
    if (!grow(b, 0, 1))
        return "";
    b->ptr[b->len] = '\0';
    return b->ptr;
}
