#include "base/b64.h"

#define SKIP 0xfe /* dropped: line breaks and padding */
#define BAD  0xff

static unsigned value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    switch (c) {
    case '+':
    case '-':
    case ' ':
        return 62;
    case '/':
    case '_':
        return 63;
    case '=':
    case '\r':
    case '\n':
        return SKIP;
    default:
        return BAD;
    }
}

bool b64_looks_like(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (value_of(text.ptr[i]) == BAD)
            return false;
    }
    return true;
}

// Decodes into room that was reserved; false at a bad byte or a single character at the end.
static bool decode(struct slice text, unsigned char *to, size_t *written)
{
    unsigned char *start = to;
    uint32_t bits = 0;
    unsigned count = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned value = value_of(text.ptr[i]);

        if (value == BAD)
            return false;
        if (value == SKIP)
            continue;
        bits = bits << 6 | value;
        if (++count < 4)
            continue;
        *to++ = (unsigned char)(bits >> 16);
        *to++ = (unsigned char)(bits >> 8);
        *to++ = (unsigned char)bits;
        bits = count = 0;
    }
    if (count == 1)
        return false;
    if (count >= 2)
        *to++ = (unsigned char)(count == 2 ? bits >> 4 : bits >> 10);
    if (count == 3)
        *to++ = (unsigned char)(bits >> 2);
    *written = (size_t)(to - start);
    return true;
}

static size_t decoded_length(struct slice text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += value_of(text.ptr[i]) < 64;
    return count / 4 * 3 + (count % 4 == 3 ? 2 : count % 4 == 2 ? 1 : 0);
}

bool b64_decode_lenient(struct slice text, struct buf *out)
{
    size_t need = decoded_length(text), written;

    // Counted, not estimated from text.len: a maximum that just fits must be enough.
    if (!buf_reserve(out, need))
        return false;
    if (need == 0) // out->ptr may still be NULL
        return decode(text, NULL, &written);
    if (!decode(text, (unsigned char *)out->ptr + out->len, &written))
        return false;
    out->len += written;
    return true;
}

bool b64_encode(struct slice bytes, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    size_t left = bytes.len;
    char *to;

    if (left > SIZE_MAX / 4 || !buf_reserve(out, (left + 2) / 3 * 4)) {
        out->is_over = true;
        return false;
    }
    if (left == 0)
        return true;
    to = out->ptr + out->len;
    for (; left >= 3; left -= 3, p += 3) {
        *to++ = digits[p[0] >> 2];
        *to++ = digits[(p[0] & 3) << 4 | p[1] >> 4];
        *to++ = digits[(p[1] & 15) << 2 | p[2] >> 6];
        *to++ = digits[p[2] & 63];
    }
    if (left > 0) {
        unsigned second = left == 2 ? p[1] : 0;

        *to++ = digits[p[0] >> 2];
        *to++ = digits[(p[0] & 3) << 4 | second >> 4];
        *to++ = left == 2 ? digits[(second & 15) << 2] : '=';
        *to++ = '=';
    }
    out->len = (size_t)(to - out->ptr);
    return true;
}
