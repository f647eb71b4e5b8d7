/* A map finds the entry, a list orders them: front = just used, back = next to go. `drop` runs
 * after the entry has left both, so that it sees a consistent cache. */
#include "base/lru.h"

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

struct lru_entry {
    struct list node;
    void *value;
    size_t bytes;
    size_t key_len;
    char key[];
};

struct lru {
    struct map *map;
    struct list order;
    size_t entries_max, bytes_max;
    size_t bytes;
    lru_drop_fn *drop;
    void *ctx;
};

struct lru *lru_new(size_t entries_max, size_t bytes_max, lru_drop_fn *drop, void *ctx)
{
    struct lru *l = mem_new(struct lru);

    l->map = map_new();
    list_init(&l->order);
    l->entries_max = entries_max;
    l->bytes_max = bytes_max;
    l->drop = drop;
    l->ctx = ctx;
    return l;
}

static struct slice entry_key(const struct lru_entry *e)
{
    return slice_make(e->key, e->key_len);
}

static void drop_value(struct lru *l, void *value)
{
    if (l->drop)
        l->drop(value, l->ctx);
}

static void drop_entry(struct lru *l, struct lru_entry *e)
{
    void *value = e->value;

    map_remove(l->map, entry_key(e));
    list_remove(&e->node);
    l->bytes -= e->bytes;
    mem_free(e);
    drop_value(l, value);
}

void lru_clear(struct lru *l)
{
    while (!list_is_empty(&l->order))
        drop_entry(l, list_entry(l->order.prev, struct lru_entry, node));
}

void lru_free(struct lru *l)
{
    if (!l)
        return;
    lru_clear(l);
    map_free(l->map);
    mem_free(l);
}

void *lru_get(struct lru *l, struct slice key)
{
    struct lru_entry *e = (struct lru_entry *)map_get(l->map, key);

    if (!e)
        return NULL;
    list_remove(&e->node);
    list_push_front(&l->order, &e->node);
    return e->value;
}

void lru_put(struct lru *l, struct slice key, void *value, size_t bytes)
{
    struct lru_entry *e;

    CHECK(value);
    lru_remove(l, key);
    if (bytes > l->bytes_max || l->entries_max == 0) {
        drop_value(l, value); // would push out everything and still not fit
        return;
    }
    while (map_count(l->map) >= l->entries_max || l->bytes > l->bytes_max - bytes)
        drop_entry(l, list_entry(l->order.prev, struct lru_entry, node));
    e = (struct lru_entry *)mem_alloc(sizeof(*e) + key.len);
    e->value = value;
    e->bytes = bytes;
    e->key_len = key.len;
    if (key.len)
        memcpy(e->key, key.ptr, key.len);
    list_push_front(&l->order, &e->node);
    map_put(l->map, key, e);
    l->bytes += bytes;
}

void lru_remove(struct lru *l, struct slice key)
{
    struct lru_entry *e = (struct lru_entry *)map_get(l->map, key);

    if (e)
        drop_entry(l, e);
}

void lru_each(struct lru *l, void (*each)(void *ctx, struct slice key, void *value), void *ctx)
{
    for (struct list *at = l->order.prev; at != &l->order; at = at->prev) {
        struct lru_entry *e = list_entry(at, struct lru_entry, node);

        each(ctx, entry_key(e), e->value);
    }
}

size_t lru_count(const struct lru *l)
{
    return map_count(l->map);
}

size_t lru_bytes(const struct lru *l)
{
    return l->bytes;
}
