#include "base/utf8.h"

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t utf8_get(struct slice s, uint32_t *point)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    uint32_t value, lowest;
    size_t len;

    if (s.len == 0)
        return 0;
    if (p[0] < 0x80) {
        *point = p[0];
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        len = 2;
        lowest = 0x80;
    } else if ((p[0] & 0xf0) == 0xe0) {
        len = 3;
        lowest = 0x800;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        len = 4;
        lowest = 0x10000;
    } else {
        return 0;
    }
    if (s.len < len)
        return 0;
    value = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (!is_tail(p[i]))
            return 0;
        value = value << 6 | (p[i] & 0x3f);
    }
    if (value < lowest || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *point = value;
    return len;
}

// Eight ASCII bytes at once: most texts are ASCII nearly throughout.
static bool is_ascii8(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return (word & 0x8080808080808080u) == 0;
}

size_t utf8_valid_prefix(struct slice s)
{
    size_t at = 0;

    while (at < s.len) {
        uint32_t point;
        size_t step;

        if (s.len - at >= 8 && is_ascii8(s.ptr + at)) {
            at += 8;
            continue;
        }
        step = utf8_get(slice_make(s.ptr + at, s.len - at), &point);
        if (step == 0)
            break;
        at += step;
    }
    return at;
}

bool utf8_is_valid(struct slice s)
{
    return utf8_valid_prefix(s) == s.len;
}

// Bytes of the sequence that this first byte announces; malformed text counts byte by byte.
static size_t sequence_length(unsigned char c)
{
    return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

struct slice utf8_cut_points(struct slice s, size_t max)
{
    size_t at = 0;

    while (at < s.len && max > 0) {
        at += MIN(sequence_length((unsigned char)s.ptr[at]), s.len - at);
        max--;
    }
    return slice_make(s.ptr, at);
}

struct slice utf8_cut_utf16(struct slice s, size_t max)
{
    size_t at = 0;

    while (at < s.len) {
        size_t step = sequence_length((unsigned char)s.ptr[at]);
        size_t units = step == 4 ? 2 : 1;

        if (units > max)
            break;
        max -= units;
        at += MIN(step, s.len - at);
    }
    return slice_make(s.ptr, at);
}

size_t utf8_count_points(struct slice s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.len; i++)
        count += !is_tail((unsigned char)s.ptr[i]);
    return count;
}

size_t utf8_put(uint32_t point, char out[4])
{
    CHECK(point <= 0x10ffff);
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}
