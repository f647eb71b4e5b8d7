/* Open addressing with linear probing; at most 3/4 full. Removal shifts the followers back instead
 * of leaving tombstones, so a long-lived map does not slow down. Each entry keeps its hash: growing
 * needs no second look at the keys. */
#include "base/map.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"

#define CAP_FIRST 8

struct map_entry {
    uint64_t hash;
    char *key; // NULL: free place; else the map's copy
    size_t key_len;
    void *value;
};

struct map {
    struct map_entry *entries;
    size_t cap; // 0 or a power of two
    size_t count;
    uint64_t seed[2];
};

struct map *map_new(void)
{
    struct map *m = mem_new(struct map);

    m->seed[0] = rand_u64();
    m->seed[1] = rand_u64();
    return m;
}

void map_clear(struct map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        mem_free(m->entries[i].key);
    mem_free(m->entries);
    m->entries = NULL;
    m->cap = m->count = 0;
}

void map_free(struct map *m)
{
    if (!m)
        return;
    map_clear(m);
    mem_free(m);
}

size_t map_count(const struct map *m)
{
    return m->count;
}

// The place of the key, or the free place where it belongs. Needs cap > 0.
static size_t place(const struct map *m, uint64_t hash, struct slice key)
{
    size_t at = (size_t)hash & (m->cap - 1);

    for (;; at = (at + 1) & (m->cap - 1)) {
        const struct map_entry *e = &m->entries[at];

        if (!e->key || (e->hash == hash && slice_eq(slice_make(e->key, e->key_len), key)))
            return at;
    }
}

void *map_get(const struct map *m, struct slice key)
{
    if (m->count == 0)
        return NULL;
    return m->entries[place(m, hash_keyed(m->seed, key), key)].value;
}

static void grow(struct map *m)
{
    struct map_entry *old = m->entries;
    size_t old_cap = m->cap;

    m->cap = old_cap ? old_cap * 2 : CAP_FIRST;
    m->entries = mem_new_array(struct map_entry, m->cap);
    for (size_t i = 0; i < old_cap; i++) {
        size_t at = (size_t)old[i].hash & (m->cap - 1);

        if (!old[i].key)
            continue;
        while (m->entries[at].key)
            at = (at + 1) & (m->cap - 1);
        m->entries[at] = old[i];
    }
    mem_free(old);
}

void *map_put(struct map *m, struct slice key, void *value)
{
    uint64_t hash = hash_keyed(m->seed, key);
    struct map_entry *e;
    void *old;

    CHECK(value);
    if (m->count >= m->cap / 4 * 3)
        grow(m);
    e = &m->entries[place(m, hash, key)];
    old = e->value;
    if (!e->key) {
        e->hash = hash;
        e->key = slice_dup(key);
        e->key_len = key.len;
        m->count++;
    }
    e->value = value;
    return old;
}

// Closes the gap at `hole`: every follower that may not stand behind a free place moves up.
static void close_gap(struct map *m, size_t hole)
{
    size_t mask = m->cap - 1;
    size_t at = hole;

    for (;;) {
        size_t home;

        at = (at + 1) & mask;
        if (!m->entries[at].key)
            break;
        home = (size_t)m->entries[at].hash & mask;
        // Movable when its home is not cyclically within (hole, at].
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            m->entries[hole] = m->entries[at];
            hole = at;
        }
    }
    m->entries[hole] = (struct map_entry){.key = NULL};
}

void *map_remove(struct map *m, struct slice key)
{
    size_t at;
    void *old;

    if (m->count == 0)
        return NULL;
    at = place(m, hash_keyed(m->seed, key), key);
    if (!m->entries[at].key)
        return NULL;
    old = m->entries[at].value;
    mem_free(m->entries[at].key);
    close_gap(m, at);
    m->count--;
    return old;
}

bool map_next(const struct map *m, struct map_iter *it, struct slice *key, void **value)
{
    while (it->at < m->cap) {
        const struct map_entry *e = &m->entries[it->at++];

        if (!e->key)
            continue;
        *key = slice_make(e->key, e->key_len);
        *value = e->value;
        return true;
    }
    return false;
}
