/* map.h - hash map from bytes to a pointer, with copied keys. One thread.
 *
 * Keys are hashed by SipHash with a random seed per map, so that clients cannot build collisions.
 * Values are the caller's; map_free does not free them (walk first with map_next).
 */
#pragma once

#include "base/str.h"

struct map;

struct map *map_new(void);
void map_free(struct map *m);
size_t map_count(const struct map *m);
void *map_get(const struct map *m, struct slice key); /* NULL when absent */
void *map_put(struct map *m, struct slice key,
              void *value); /* returns the old value or NULL; value != NULL */
void *map_remove(struct map *m, struct slice key);
void map_clear(struct map *m);
/* Walk: `struct map_iter it = {0}; while (map_next(m, &it, &key, &value))`. No change meanwhile. */
struct map_iter {
    size_t at;
};
bool map_next(const struct map *m, struct map_iter *it, struct slice *key, void **value);
