/* buf.h - growing bytes with a mandatory maximum.
 *
 * Nothing that is fed from outside can grow without a bound: every buffer names its maximum when
 * it is born. An add that would pass it (or run out of memory) returns false, changes nothing and
 * sets `is_over`, so that a writer may add many times and look once at the end. One thread.
 */
#pragma once

#include "base/str.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t max;
    bool is_over;
};

#define BUF_INIT(max_bytes) ((struct buf){.ptr = NULL, .len = 0, .cap = 0, .max = (max_bytes)})

void buf_free(struct buf *b);              /* leaves an empty buffer with the same maximum */
void buf_clear(struct buf *b);             /* keeps the memory; clears is_over */
bool buf_grow(struct buf *b, size_t more); /* what buf_reserve does when there is no room */
bool buf_add(struct buf *b, const void *bytes, size_t len);
bool buf_add_slice(struct buf *b, struct slice s);
bool buf_add_str(struct buf *b, const char *text);
bool buf_add_char(struct buf *b, char c);
bool buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool buf_add_u64(struct buf *b, uint64_t value); /* decimal text */
bool buf_add_i64(struct buf *b, int64_t value);
/* A JSON string with quotes: escapes " \ and control characters, invalid UTF-8 becomes U+FFFD. */
bool buf_add_json_str(struct buf *b, struct slice s);
/* Adds a NUL that does not count in len, and returns the text ("" when that is impossible). */
const char *buf_cstr(struct buf *b);

/* Room for `more` bytes behind len. */
static inline bool buf_reserve(struct buf *b, size_t more)
{
    return (more <= b->cap - b->len && b->len + more <= b->max) || buf_grow(b, more);
}

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_make(b->ptr, b->len);
}
