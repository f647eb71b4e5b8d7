#include "model/json_index.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"

void json_index_init(struct json_index *x)
{
    x->keys = x->small_keys;
    x->hashes = x->small_hashes;
    x->slots = x->small_slots;
    x->count = 0;
    x->cap = JSON_INDEX_SMALL;
    x->mask = ARRAY_LEN(x->small_slots) - 1;
    x->seed = 0;
    memset(x->small_slots, 0, sizeof(x->small_slots));
}

void json_index_fini(struct json_index *x)
{
    if (x->keys == x->small_keys)
        return;
    mem_free(x->keys);
    mem_free(x->hashes);
    mem_free(x->slots);
    x->keys = NULL;
    x->hashes = NULL;
    x->slots = NULL;
}

uint64_t json_key_fingerprint(struct slice key)
{
    uint64_t head = 0;
    uint64_t tail = 0;
    uint64_t mixed;

    if (key.len >= 8) {
        memcpy(&head, key.ptr, 8);
        memcpy(&tail, key.ptr + key.len - 8, 8);
    } else if (key.len > 0) {
        memcpy(&head, key.ptr, key.len);
    }
    mixed = (head ^ (tail * UINT64_C(0x9e3779b97f4a7c15)) ^ key.len) * UINT64_C(0xff51afd7ed558ccd);
    return mixed ^ (mixed >> 32);
}

static uint64_t hash_of(const struct json_index *x, struct slice key)
{
    return x->seed ? hash64(key.ptr, key.len, x->seed) : json_key_fingerprint(key);
}

static void place(struct json_index *x, size_t number)
{
    size_t at = (size_t)x->hashes[number] & x->mask;

    while (x->slots[at] != 0)
        at = (at + 1) & x->mask;
    x->slots[at] = (uint32_t)number + 1;
}

/* Twice the room; from the first growth on the keys are hashed with a seed. */
static void grow(struct json_index *x)
{
    size_t cap = 2 * x->cap;
    bool was_small = x->keys == x->small_keys;
    struct slice *keys = mem_realloc(was_small ? NULL : x->keys, cap * sizeof(*keys));
    uint64_t *hashes = mem_realloc(was_small ? NULL : x->hashes, cap * sizeof(*hashes));

    if (was_small) {
        memcpy(keys, x->small_keys, sizeof(x->small_keys));
        memcpy(hashes, x->small_hashes, sizeof(x->small_hashes));
        x->seed = rand_u64() | 1;
        for (size_t i = 0; i < x->count; i++)
            hashes[i] = hash_of(x, keys[i]);
    } else {
        mem_free(x->slots);
    }
    x->keys = keys;
    x->hashes = hashes;
    x->cap = cap;
    x->mask = 2 * cap - 1;
    x->slots = mem_zalloc_array(2 * cap, sizeof(*x->slots));
    for (size_t i = 0; i < x->count; i++)
        place(x, i);
}

static ptrdiff_t find(const struct json_index *x, struct slice key, uint64_t hash)
{
    size_t at = (size_t)hash & x->mask;

    for (; x->slots[at] != 0; at = (at + 1) & x->mask) {
        size_t number = x->slots[at] - 1;

        if (x->hashes[number] == hash && slice_eq(x->keys[number], key))
            return (ptrdiff_t)number;
    }
    return -1;
}

size_t json_index_add(struct json_index *x, struct slice key, bool *is_new)
{
    uint64_t hash = hash_of(x, key);
    ptrdiff_t number = find(x, key, hash);

    *is_new = number == -1;
    if (number != -1)
        return (size_t)number;
    if (x->count == x->cap) {
        grow(x);
        hash = hash_of(x, key);
    }
    x->keys[x->count] = key;
    x->hashes[x->count] = hash;
    place(x, x->count);
    return x->count++;
}

ptrdiff_t json_index_find(const struct json_index *x, struct slice key)
{
    return find(x, key, hash_of(x, key));
}
