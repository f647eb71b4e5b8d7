/* lru.h - bounded cache from bytes to a pointer; the least recently used entry goes first.
 *
 * Bounded by entries and by bytes (as stated at put). `drop` runs for a value that leaves (evicted,
 * replaced, removed, freed), and at once for one that is larger than bytes_max; it must not put
 * into the same cache. One thread.
 */
#pragma once

#include "base/str.h"

struct lru;
typedef void lru_drop_fn(void *value, void *ctx);

struct lru *lru_new(size_t entries_max, size_t bytes_max, lru_drop_fn *drop, void *ctx);
void lru_free(struct lru *l);
void *lru_get(struct lru *l, struct slice key); /* moves it to the front; NULL when absent */
void lru_put(struct lru *l, struct slice key, void *value, size_t bytes);
void lru_remove(struct lru *l, struct slice key);
void lru_clear(struct lru *l);
/* From the least recently used to the last; nothing moves. No change meanwhile. */
void lru_each(struct lru *l, void (*each)(void *ctx, struct slice key, void *value), void *ctx);
size_t lru_count(const struct lru *l);
size_t lru_bytes(const struct lru *l);
