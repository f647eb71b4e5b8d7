/* json_index.h - the keys of objects as small numbers: 0, 1, 2 … in order of first appearance.
 *
 * For everything that must find members by name in objects of any size: repeated keys, deep
 * equality, merging of person properties. A short list is compared by a cheap fingerprint; a long
 * one is hashed with a random seed, so that a client cannot make it slow with chosen keys. The
 * index borrows the key bytes. One thread.
 */
#pragma once

#include "base/str.h"

#define JSON_INDEX_SMALL 64

struct json_index {
    struct slice *keys; /* in order of first appearance */
    size_t count;
    /* private */
    size_t cap;
    uint64_t *hashes;
    uint32_t *slots; /* number + 1, 0 is free */
    size_t mask;
    uint64_t seed; /* 0: cheap fingerprint */
    struct slice small_keys[JSON_INDEX_SMALL];
    uint64_t small_hashes[JSON_INDEX_SMALL];
    uint32_t small_slots[2 * JSON_INDEX_SMALL];
};

void json_index_init(struct json_index *x); /* embedded; must not be moved afterwards */
void json_index_fini(struct json_index *x);
/* The key's number; *is_new tells whether it came just now. */
size_t json_index_add(struct json_index *x, struct slice key, bool *is_new);
/* Of first and last eight bytes and the length: enough to tell a few dozen property names apart,
 * and easy to meet on purpose. */
uint64_t json_key_fingerprint(struct slice key);
/* The key's number, or -1. */
ptrdiff_t json_index_find(const struct json_index *x, struct slice key);
