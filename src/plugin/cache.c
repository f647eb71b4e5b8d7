/* One lock over an LRU of entries. A list is an array whose last item is its front, so that pushing
 * and popping move nothing. An entry that changes its size is put into the LRU again, which first
 * drops the old place: `is_moving` tells that the value stays. */
#include "plugin/cache.h"

#include "base/clock.h"
#include "base/lru.h"
#include "base/mem.h"
#include "base/thread.h"

#include <stdio.h>

#define ENTRIES_MAX    (16u << 20)
#define ENTRY_OVERHEAD 160 /* of the entry, its place in the LRU and in the map, about */
#define ITEM_OVERHEAD  32

struct entry {
    bool is_list, is_moving;
    int64_t dies_us; /* monotonic; 0: never */
    char *value;     /* bytes */
    size_t len;
    struct slice *items; /* list: heap copies */
    size_t count, cap;
    size_t bytes; /* of the content */
};

struct plugin_cache {
    struct lock lock;
    struct lru *lru;
};

/* --- entries ---------------------------------------------------------------------------------- */

static void item_free(struct slice item)
{
    mem_free((char *)(uintptr_t)item.ptr); // our own copy
}

static void entry_drop(void *value, void *ctx)
{
    struct entry *e = (struct entry *)value;

    UNUSED(ctx);
    if (e->is_moving)
        return;
    for (size_t i = 0; i < e->count; i++)
        item_free(e->items[i]);
    mem_free(e->items);
    mem_free(e->value);
    mem_free(e);
}

struct plugin_cache *plugin_cache_new(size_t bytes_max)
{
    struct plugin_cache *c = mem_new(struct plugin_cache);

    lock_init(&c->lock, "plugin cache", RANK_PLUGIN_CACHE);
    c->lru = lru_new(ENTRIES_MAX, bytes_max, entry_drop, NULL);
    return c;
}

void plugin_cache_free(struct plugin_cache *c)
{
    if (!c)
        return;
    lru_free(c->lru);
    lock_fini(&c->lock);
    mem_free(c);
}

size_t plugin_cache_bytes(struct plugin_cache *c)
{
    size_t bytes;

    lock_take(&c->lock);
    bytes = lru_bytes(c->lru);
    lock_drop(&c->lock);
    return bytes;
}

static struct entry *find(struct plugin_cache *c, struct slice key)
{
    struct entry *e = (struct entry *)lru_get(c->lru, key);

    if (!e || e->dies_us == 0 || clock_mono_us() < e->dies_us)
        return e;
    lru_remove(c->lru, key);
    return NULL;
}

/* Puts the entry, new or changed, where its size counts. It may be gone afterwards. */
static void put(struct plugin_cache *c, struct slice key, struct entry *e)
{
    bool is_known = lru_get(c->lru, key) == e;

    if (is_known) {
        e->is_moving = true;
        lru_remove(c->lru, key);
        e->is_moving = false;
    }
    lru_put(c->lru, key, e, ENTRY_OVERHEAD + key.len + e->bytes);
}

static struct entry *entry_of_text(struct slice value)
{
    struct entry *e = mem_new(struct entry);

    e->value = slice_dup(value);
    e->len = e->bytes = value.len;
    return e;
}

const char *plugin_cache_text(enum plugin_cache_result result)
{
    switch (result) {
    case CACHE_WRONG_TYPE:
        return "WRONGTYPE Operation against a key holding the wrong kind of value";
    case CACHE_NOT_INTEGER:
        return "ERR value is not an integer or out of range";
    default:
        return "";
    }
}

/* --- bytes ------------------------------------------------------------------------------------ */

void plugin_cache_set(struct plugin_cache *c, struct slice key, struct slice value, int64_t live_us)
{
    struct entry *e = entry_of_text(value);

    e->dies_us = live_us ? clock_mono_us() + live_us : 0;
    lock_take(&c->lock);
    put(c, key, e);
    lock_drop(&c->lock);
}

enum plugin_cache_result plugin_cache_get(struct plugin_cache *c, struct slice key, struct buf *out)
{
    enum plugin_cache_result result = CACHE_OK;
    struct entry *e;

    lock_take(&c->lock);
    e = find(c, key);
    if (!e)
        result = CACHE_NONE;
    else if (e->is_list)
        result = CACHE_WRONG_TYPE;
    else if (!buf_add(out, e->value, e->len))
        result = CACHE_NONE;
    lock_drop(&c->lock);
    return result;
}

static enum plugin_cache_result incr(struct plugin_cache *c, struct slice key, int64_t *value)
{
    struct entry *e = find(c, key);
    char text[24];
    int len;

    *value = 0;
    if (e && e->is_list)
        return CACHE_WRONG_TYPE;
    if (e && (!slice_i64(slice_make(e->value, e->len), value) || *value == INT64_MAX))
        return CACHE_NOT_INTEGER;
    len = snprintf(text, sizeof(text), "%lld", (long long)++*value);
    if (e) {
        mem_free(e->value);
        e->value = slice_dup(slice_make(text, (size_t)len));
        e->len = e->bytes = (size_t)len;
    } else {
        e = entry_of_text(slice_make(text, (size_t)len));
    }
    put(c, key, e);
    return CACHE_OK;
}

enum plugin_cache_result plugin_cache_incr(struct plugin_cache *c, struct slice key, int64_t *value)
{
    enum plugin_cache_result result;

    lock_take(&c->lock);
    result = incr(c, key, value);
    lock_drop(&c->lock);
    return result;
}

bool plugin_cache_expire(struct plugin_cache *c, struct slice key, int64_t live_us)
{
    struct entry *e;

    lock_take(&c->lock);
    e = find(c, key);
    if (e && live_us <= 0)
        lru_remove(c->lru, key);
    else if (e)
        e->dies_us = clock_mono_us() + live_us;
    lock_drop(&c->lock);
    return e != NULL;
}

/* --- lists ------------------------------------------------------------------------------------ */

static void push(struct entry *e, struct slice item)
{
    if (e->count == e->cap) {
        e->cap = e->cap ? 2 * e->cap : 4;
        e->items = mem_realloc(e->items, e->cap * sizeof(*e->items));
    }
    e->items[e->count++] = slice_make(slice_dup(item), item.len);
    e->bytes += item.len + ITEM_OVERHEAD;
}

static void take_out(struct entry *e, size_t at)
{
    e->bytes -= e->items[at].len + ITEM_OVERHEAD;
    item_free(e->items[at]);
    memmove(e->items + at, e->items + at + 1, (--e->count - at) * sizeof(*e->items));
}

/* An empty list is no key. */
static void put_or_remove(struct plugin_cache *c, struct slice key, struct entry *e)
{
    if (e->count > 0)
        put(c, key, e);
    else
        lru_remove(c->lru, key);
}

/* The list under the key, with the lock held: CACHE_OK, CACHE_NONE or CACHE_WRONG_TYPE. */
static enum plugin_cache_result list_take(struct plugin_cache *c, struct slice key,
                                          struct entry **e)
{
    lock_take(&c->lock);
    *e = find(c, key);
    if (!*e)
        return CACHE_NONE;
    return (*e)->is_list ? CACHE_OK : CACHE_WRONG_TYPE;
}

enum plugin_cache_result plugin_cache_push(struct plugin_cache *c, struct slice key,
                                           const struct slice *items, size_t count, size_t *length)
{
    struct entry *e;
    enum plugin_cache_result result = list_take(c, key, &e);

    if (result == CACHE_NONE && count > 0) {
        e = mem_new(struct entry);
        e->is_list = true;
        result = CACHE_OK;
    }
    *length = 0;
    if (result == CACHE_OK) {
        for (size_t i = 0; i < count; i++)
            push(e, items[i]);
        *length = e->count;
        put(c, key, e);
    }
    lock_drop(&c->lock);
    return result == CACHE_NONE ? CACHE_OK : result;
}

enum plugin_cache_result plugin_cache_length(struct plugin_cache *c, struct slice key,
                                             size_t *length)
{
    struct entry *e;
    enum plugin_cache_result result = list_take(c, key, &e);

    *length = result == CACHE_OK ? e->count : 0;
    lock_drop(&c->lock);
    return result == CACHE_NONE ? CACHE_OK : result;
}

enum plugin_cache_result plugin_cache_pop(struct plugin_cache *c, struct slice key, size_t count,
                                          void (*each)(void *ctx, struct slice item), void *ctx)
{
    struct entry *e;
    enum plugin_cache_result result = list_take(c, key, &e);

    if (result == CACHE_OK) {
        for (; count > 0 && e->count > 0; count--) {
            each(ctx, e->items[e->count - 1]);
            take_out(e, e->count - 1);
        }
        put_or_remove(c, key, e);
    }
    lock_drop(&c->lock);
    return result;
}

enum plugin_cache_result plugin_cache_range(struct plugin_cache *c, struct slice key, int64_t start,
                                            int64_t end, void (*each)(void *ctx, struct slice item),
                                            void *ctx)
{
    struct entry *e;
    enum plugin_cache_result result = list_take(c, key, &e);
    int64_t count = result == CACHE_OK ? (int64_t)e->count : 0;

    if (start < 0)
        start = MAX(start + count, 0);
    if (end < 0)
        end += count;
    for (int64_t i = start; i <= end && i < count; i++)
        each(ctx, e->items[count - 1 - i]);
    lock_drop(&c->lock);
    return result == CACHE_NONE ? CACHE_OK : result;
}

enum plugin_cache_result plugin_cache_remove(struct plugin_cache *c, struct slice key,
                                             int64_t count, struct slice item, size_t *removed)
{
    struct entry *e;
    enum plugin_cache_result result = list_take(c, key, &e);
    uint64_t left = count == 0 ? UINT64_MAX : count < 0 ? 0 - (uint64_t)count : (uint64_t)count;

    *removed = 0;
    // The front is at the end of the array.
    for (size_t i = result == CACHE_OK ? e->count : 0, at; i > 0 && left > 0; i--) {
        at = count < 0 ? e->count - i : i - 1;
        if (!slice_eq(e->items[at], item))
            continue;
        take_out(e, at);
        ++*removed;
        left--;
    }
    if (result == CACHE_OK)
        put_or_remove(c, key, e);
    lock_drop(&c->lock);
    return result == CACHE_NONE ? CACHE_OK : result;
}

/* --- looking at all --------------------------------------------------------------------------- */

bool plugin_cache_add_prefix(struct buf *out, int64_t plugin_id, int64_t team_id)
{
    return buf_addf(out, "@plugin/%lld/%lld/", (long long)plugin_id, (long long)team_id);
}

struct visit {
    void (*each)(void *ctx, const struct plugin_cache_entry *e);
    void *ctx;
    int64_t now_us;
};

static void visit_entry(void *ctx, struct slice key, void *value)
{
    const struct visit *v = (const struct visit *)ctx;
    const struct entry *e = (const struct entry *)value;
    struct plugin_cache_entry seen = {.key = key,
                                      .value = slice_make(e->value, e->len),
                                      .is_list = e->is_list,
                                      .items = e->items,
                                      .count = e->count};

    if (e->dies_us == 0 || v->now_us < e->dies_us)
        v->each(v->ctx, &seen);
}

void plugin_cache_each(struct plugin_cache *c,
                       void (*each)(void *ctx, const struct plugin_cache_entry *e), void *ctx)
{
    struct visit v = {.each = each, .ctx = ctx, .now_us = clock_mono_us()};

    lock_take(&c->lock);
    lru_each(c->lru, visit_entry, &v);
    lock_drop(&c->lock);
}
