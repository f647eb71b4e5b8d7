/* cache.h - meta.cache: what plugins keep for a while, shared by all threads, as a Redis would.
 *
 * Values are bytes or lists of bytes, with an optional time to live. The least recently used go
 * first when `bytes_max` is reached; a value that alone is larger vanishes at once. Keys are the
 * caller's to prefix. Any thread. Errors: plugin_cache_text tells them as Redis does.
 */
#pragma once

#include "base/buf.h"

enum plugin_cache_result {
    CACHE_OK,
    CACHE_NONE, /* no such key */
    CACHE_WRONG_TYPE,
    CACHE_NOT_INTEGER,
};

struct plugin_cache;

struct plugin_cache *plugin_cache_new(size_t bytes_max);
void plugin_cache_free(struct plugin_cache *c); /* NULL is legal */
size_t plugin_cache_bytes(struct plugin_cache *c);

/* live_us: 0 = for ever; an older time to live ends with the old value. */
void plugin_cache_set(struct plugin_cache *c, struct slice key, struct slice value,
                      int64_t live_us);
enum plugin_cache_result plugin_cache_get(struct plugin_cache *c, struct slice key,
                                          struct buf *out);
enum plugin_cache_result plugin_cache_incr(struct plugin_cache *c, struct slice key,
                                           int64_t *value);
/* False: no such key. 0 or less: gone at once. */
bool plugin_cache_expire(struct plugin_cache *c, struct slice key, int64_t live_us);

/* Lists; the first of `items` is put in front first. */
enum plugin_cache_result plugin_cache_push(struct plugin_cache *c, struct slice key,
                                           const struct slice *items, size_t count, size_t *length);
enum plugin_cache_result plugin_cache_length(struct plugin_cache *c, struct slice key,
                                             size_t *length);
/* Up to `count` from the front; CACHE_NONE when there is no list. */
enum plugin_cache_result plugin_cache_pop(struct plugin_cache *c, struct slice key, size_t count,
                                          void (*each)(void *ctx, struct slice item), void *ctx);
/* Inclusive, negative ones count from the end. `each` runs under the lock: it only copies. */
enum plugin_cache_result plugin_cache_range(struct plugin_cache *c, struct slice key, int64_t start,
                                            int64_t end, void (*each)(void *ctx, struct slice item),
                                            void *ctx);
/* count > 0: from the front, < 0: from the end, 0: all. */
enum plugin_cache_result plugin_cache_remove(struct plugin_cache *c, struct slice key,
                                             int64_t count, struct slice item, size_t *removed);
/* What stands in front of the keys of a plugin in a team. */
bool plugin_cache_add_prefix(struct buf *out, int64_t plugin_id, int64_t team_id);
/* Every living key with its bytes, or the items of its list from the front. `each` runs under the
 * lock: it only copies. */
struct plugin_cache_entry {
    struct slice key, value;
    bool is_list;
    const struct slice *items; /* the front is the last one */
    size_t count;
};
void plugin_cache_each(struct plugin_cache *c,
                       void (*each)(void *ctx, const struct plugin_cache_entry *e), void *ctx);
const char *plugin_cache_text(enum plugin_cache_result result);
