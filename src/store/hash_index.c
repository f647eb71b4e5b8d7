/* Open addressing with linear probing, at most 3/4 full, 8 bytes a slot. The tag alone finds the
 * slot, so that growing needs no look at the array behind. A free slot has all bits set. */
#include "store/hash_index.h"

#include "base/mem.h"

#include <string.h>

#define CAP_FIRST 64
#define CAP_KEEP  16384
#define AT_FREE   UINT32_MAX

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32);
}

static void place(struct hash_index *x, struct hash_slot slot)
{
    size_t at = slot.tag & (x->cap - 1);

    while (x->slots[at].at != AT_FREE)
        at = (at + 1) & (x->cap - 1);
    x->slots[at] = slot;
}

static void resize(struct hash_index *x, size_t cap)
{
    x->cap = cap;
    x->slots = mem_alloc(cap * sizeof(*x->slots));
    memset(x->slots, 0xff, cap * sizeof(*x->slots));
}

static void grow(struct hash_index *x)
{
    struct hash_slot *old = x->slots;
    size_t old_cap = x->cap;

    resize(x, old_cap ? old_cap * 2 : CAP_FIRST);
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].at != AT_FREE)
            place(x, old[i]);
    mem_free(old);
}

void hash_index_add(struct hash_index *x, uint64_t hash, uint32_t at)
{
    CHECK(at != AT_FREE);
    if (x->count >= x->cap / 4 * 3)
        grow(x);
    place(x, (struct hash_slot){.tag = tag_of(hash), .at = at});
    x->count++;
}

void hash_index_prefetch(const struct hash_index *x, uint64_t hash)
{
    if (x->cap)
        __builtin_prefetch(&x->slots[tag_of(hash) & (x->cap - 1)]);
}

uint32_t *hash_index_next(const struct hash_index *x, uint64_t hash, size_t *walk)
{
    uint32_t tag = tag_of(hash);
    size_t mask = x->cap - 1;

    if (x->count == 0)
        return NULL;
    *walk = *walk == HASH_INDEX_START ? tag & mask : (*walk + 1) & mask;
    for (; x->slots[*walk].at != AT_FREE; *walk = (*walk + 1) & mask)
        if (x->slots[*walk].tag == tag)
            return &x->slots[*walk].at;
    return NULL;
}

void hash_index_clear(struct hash_index *x)
{
    if (x->cap > CAP_KEEP)
        hash_index_free(x);
    else if (x->count)
        memset(x->slots, 0xff, x->cap * sizeof(*x->slots));
    x->count = 0;
}

void hash_index_free(struct hash_index *x)
{
    mem_free(x->slots);
    *x = (struct hash_index){.slots = NULL};
}

size_t hash_index_bytes(const struct hash_index *x)
{
    return x->cap * sizeof(*x->slots);
}
