/* hash_index.h - from a 64-bit hash to positions in somebody's array.
 *
 * Several positions may stand under one hash; the caller compares the real keys. Hashes of outside
 * keys must be keyed (hash_keyed), so that nobody can pile entries up. Positions are below 2^32
 * - 1. One thread.
 *
 *     size_t walk = HASH_INDEX_START;
 *     for (uint32_t *at; (at = hash_index_next(x, hash, &walk));)
 *         ... *at may be replaced ...
 */
#pragma once

#include "base/check.h"

#define HASH_INDEX_START SIZE_MAX

struct hash_slot {
    uint32_t tag;
    uint32_t at; /* UINT32_MAX: free */
};

struct hash_index {
    struct hash_slot *slots;
    size_t cap; /* 0 or a power of two */
    size_t count;
};

void hash_index_add(struct hash_index *x, uint64_t hash, uint32_t at);
/* The next candidate, NULL at the end. A candidate's true hash may differ: tags have 32 bits. */
uint32_t *hash_index_next(const struct hash_index *x, uint64_t hash, size_t *walk);
void hash_index_prefetch(const struct hash_index *x, uint64_t hash); /* hash_index_add follows */
void hash_index_clear(struct hash_index *x);                         /* keeps small memory */
void hash_index_free(struct hash_index *x);
size_t hash_index_bytes(const struct hash_index *x);
