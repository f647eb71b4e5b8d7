/* str.h - slices: borrowed bytes with a length. Never NUL-terminated, may hold NUL bytes. */
#pragma once

#include "base/check.h"

#include <string.h>

struct slice {
    const char *ptr;
    size_t len;
};

#define SLICE(literal) ((struct slice){.ptr = ("" literal), .len = sizeof(literal) - 1})
#define SLICE_NONE     ((struct slice){.ptr = NULL, .len = 0})
/* For printf: "%.*s", SLICE_ARG(s) */
#define SLICE_ARG(s) ((int)(s).len), ((s).ptr ? (s).ptr : "")

static inline struct slice slice_make(const void *ptr, size_t len)
{
    return (struct slice){.ptr = (const char *)ptr, .len = len};
}

static inline struct slice slice_cstr(const char *text)
{
    return text ? slice_make(text, strlen(text)) : SLICE_NONE;
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool slice_eq_nocase(struct slice a, struct slice b); /* ASCII only */
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
struct slice slice_trim(struct slice s); /* ASCII white space on both ends */
/* Cuts the part before the first `sep` off *rest; false at the end (*rest is SLICE_NONE then).
 * Empty parts are returned: "a," has two, "" with a pointer one, SLICE_NONE none. */
bool slice_split(struct slice *rest, char sep, struct slice *part);
/* Position of a byte, or -1. */
ptrdiff_t slice_find(struct slice s, char byte);
int slice_compare(struct slice a, struct slice b); /* memcmp order, shorter first */
/* Heap copy with a NUL behind it; the caller frees with mem_free. */
char *slice_dup(struct slice s);
/* Strict decimal: the whole slice, no sign for u64, no spaces. False when not a number or too big.
 */
MUST_CHECK bool slice_u64(struct slice s, uint64_t *value);
MUST_CHECK bool slice_i64(struct slice s, int64_t *value);
/* 0..15 of a hexadecimal digit of any case, else -1. */
int slice_hex_digit(char c);
/* Compares secrets in time that depends on the lengths only. */
bool slice_eq_secret(struct slice a, struct slice b);
