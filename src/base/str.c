#include "base/str.h"

#include "base/mem.h"

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;

    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + ('a' - 'A')) : u;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_make(s.ptr, prefix.len), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 ||
            slice_eq(slice_make(s.ptr + (s.len - suffix.len), suffix.len), suffix));
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool slice_split(struct slice *rest, char sep, struct slice *part)
{
    ptrdiff_t at;

    if (!rest->ptr)
        return false;
    at = slice_find(*rest, sep);
    if (at == -1) {
        *part = *rest;
        *rest = SLICE_NONE; // an empty rest with a pointer still is one (empty) part
        return true;
    }
    *part = slice_make(rest->ptr, (size_t)at);
    rest->ptr += at + 1;
    rest->len -= (size_t)at + 1;
    return true;
}

ptrdiff_t slice_find(struct slice s, char byte)
{
    const char *at = s.len ? (const char *)memchr(s.ptr, byte, s.len) : NULL;

    return at ? at - s.ptr : -1;
}

int slice_compare(struct slice a, struct slice b)
{
    size_t both = MIN(a.len, b.len);
    int order = both ? memcmp(a.ptr, b.ptr, both) : 0;

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

char *slice_dup(struct slice s)
{
    char *copy = (char *)mem_alloc(s.len + 1);

    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

bool slice_u64(struct slice s, uint64_t *value)
{
    uint64_t sum = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';

        if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

bool slice_i64(struct slice s, int64_t *value)
{
    bool is_negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t sum;

    if (!slice_u64(is_negative ? slice_make(s.ptr + 1, s.len - 1) : s, &sum))
        return false;
    if (sum > (uint64_t)INT64_MAX + is_negative)
        return false;
    // The detour over sum - 1 keeps INT64_MIN out of a signed overflow.
    *value = !is_negative ? (int64_t)sum : sum == 0 ? 0 : -(int64_t)(sum - 1) - 1;
    return true;
}

bool slice_eq_secret(struct slice a, struct slice b)
{
    volatile unsigned char difference = 0;

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        difference = (unsigned char)(difference | (a.ptr[i] ^ b.ptr[i]));
    return difference == 0;
}

int slice_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}
