/* Blocks in a chain, newest first; a request that does not fit a block gets one of its own size,
 * put behind the current block so that the room left there is not lost. */
#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define ALIGN     16
#define BLOCK_MIN 256

struct arena_block {
    struct arena_block *next;
    size_t cap, used;
    _Alignas(ALIGN) char bytes[];
};

struct arena {
    struct arena_block *current; // the first block is the last of the chain
    struct arena_block *first;
    size_t block_bytes;
    size_t bytes;
};

static struct arena_block *block_new(struct arena *a, size_t cap)
{
    struct arena_block *block;

    CHECK(cap <= SIZE_MAX - sizeof(*block));
    block = (struct arena_block *)mem_alloc(sizeof(*block) + cap);
    block->next = NULL;
    block->cap = cap;
    block->used = 0;
    a->bytes += sizeof(*block) + cap;
    return block;
}

struct arena *arena_new(size_t block_bytes)
{
    struct arena *a = mem_new(struct arena);

    CHECK(block_bytes <= SIZE_MAX / 2);
    a->block_bytes = (MAX(block_bytes, BLOCK_MIN) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    a->first = a->current = block_new(a, a->block_bytes);
    return a;
}

void arena_reset(struct arena *a)
{
    struct arena_block *next;

    for (struct arena_block *block = a->current; block; block = next) {
        next = block->next;
        if (block == a->first)
            continue;
        a->bytes -= sizeof(*block) + block->cap;
        mem_free(block);
    }
    a->current = a->first;
    a->current->used = 0;
    a->current->next = NULL;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    arena_reset(a);
    mem_free(a->first);
    mem_free(a);
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    struct arena_block *block = a->current;
    size_t need;
    void *ptr;

    CHECK(bytes <= SIZE_MAX / 2);
    need = (MAX(bytes, 1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (need > block->cap - block->used) {
        if (need > a->block_bytes / 4) {
            struct arena_block *own = block_new(a, need);

            own->next = block->next;
            block->next = own;
            own->used = need;
            return own->bytes;
        }
        block = block_new(a, a->block_bytes);
        block->next = a->current;
        a->current = block;
    }
    ptr = block->bytes + block->used;
    block->used += need;
    return ptr;
}

void *arena_zalloc(struct arena *a, size_t bytes)
{
    return memset(arena_alloc(a, bytes), 0, bytes);
}

struct slice arena_dup(struct arena *a, struct slice s)
{
    char *copy = (char *)arena_alloc(a, s.len);

    if (s.len)
        memcpy(copy, s.ptr, s.len);
    return slice_make(copy, s.len);
}

char *arena_dup_cstr(struct arena *a, struct slice s)
{
    char *copy = (char *)arena_alloc(a, s.len + 1);

    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    char *text;
    int len;

    va_start(args, fmt);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, fmt, args);
    CHECK(len >= 0);
    text = (char *)arena_alloc(a, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}

size_t arena_bytes(const struct arena *a)
{
    return a->bytes;
}
