/* utf8.h - UTF-8 checks and cuts. Any thread. */
#pragma once

#include "base/str.h"

/* Whole slice well formed (no surrogates, no overlong forms, <= U+10FFFF). */
bool utf8_is_valid(struct slice s);
/* Length of the prefix that is well formed. */
size_t utf8_valid_prefix(struct slice s);
/* The first `max` code points of a well-formed slice. */
struct slice utf8_cut_points(struct slice s, size_t max);
/* The first `max` UTF-16 units of a well-formed slice; a pair is never split (one less then). */
struct slice utf8_cut_utf16(struct slice s, size_t max);
size_t utf8_count_points(struct slice s);
/* Writes one code point (<= U+10FFFF); returns its bytes (1..4). */
size_t utf8_put(uint32_t point, char out[4]);
/* Reads the code point at s.ptr; returns its bytes, 0 at a malformed sequence. */
size_t utf8_get(struct slice s, uint32_t *point);
