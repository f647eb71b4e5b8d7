/* Memory for yyjson's documents.
 *
 * yyjson takes two or three blocks per document (a copy of the text, the values). Each thread keeps
 * the last few blocks it gave back, so that a PIPE thread parses thousands of events a second
 * without the system allocator; a document counts what it takes against its own maximum. The pool
 * hangs on a pthread key and goes with its thread.
 */
#include "base/mem.h"
#include "model/json_priv.h"

#include <pthread.h>
#include <string.h>

#define BLOCK_MIN        1024
#define CACHED_BLOCKS    8
#define CACHED_BLOCK_MAX ((size_t)1 << 20)

struct block { /* 16 bytes in front of what yyjson gets */
    size_t cap;
    size_t asked;
};
_Static_assert(sizeof(struct block) == 16, "what follows stays 16-byte aligned");

struct json_pool {
    struct block *cached[CACHED_BLOCKS];
    size_t count;
    struct json_memory *spare;
};

struct json_memory { /* one document's share */
    struct json_pool *pool;
    size_t used, max;
};

static pthread_key_t json_pool_key;
static pthread_once_t json_pool_once = PTHREAD_ONCE_INIT;

static void pool_free(void *arg)
{
    struct json_pool *pool = arg;

    for (size_t i = 0; i < pool->count; i++)
        mem_free(pool->cached[i]);
    mem_free(pool->spare);
    mem_free(pool);
}

static void pool_key_make(void)
{
    CHECK(pthread_key_create(&json_pool_key, pool_free) == 0);
}

static struct json_pool *pool_of_thread(void)
{
    struct json_pool *pool;

    pthread_once(&json_pool_once, pool_key_make);
    pool = pthread_getspecific(json_pool_key);
    if (!pool) {
        pool = mem_new(struct json_pool);
        CHECK(pthread_setspecific(json_pool_key, pool) == 0);
    }
    return pool;
}

static struct block *block_take(struct json_pool *pool, size_t bytes)
{
    size_t best = pool->count;
    size_t cap = BLOCK_MIN;
    struct block *b;

    for (size_t i = 0; i < pool->count; i++) {
        if (pool->cached[i]->cap >= bytes &&
            (best == pool->count || pool->cached[i]->cap < pool->cached[best]->cap))
            best = i;
    }
    if (best < pool->count) {
        b = pool->cached[best];
        pool->cached[best] = pool->cached[--pool->count];
        return b;
    }
    while (cap < bytes && cap < CACHED_BLOCK_MAX)
        cap *= 2;
    cap = MAX(cap, bytes);
    b = mem_try(sizeof(*b) + cap);
    if (b)
        b->cap = cap;
    return b;
}

static void block_give(struct json_pool *pool, struct block *b)
{
    if (pool->count < CACHED_BLOCKS && b->cap <= CACHED_BLOCK_MAX)
        pool->cached[pool->count++] = b;
    else
        mem_free(b);
}

static void *memory_malloc(void *ctx, size_t bytes)
{
    struct json_memory *m = ctx;
    struct block *b;

    if (bytes > m->max - m->used)
        return NULL;
    b = block_take(m->pool, bytes);
    if (!b)
        return NULL;
    b->asked = bytes;
    m->used += bytes;
    return b + 1;
}

static void memory_free(void *ctx, void *ptr)
{
    struct json_memory *m = ctx;
    struct block *b = (struct block *)ptr - 1;

    m->used -= b->asked;
    block_give(m->pool, b);
}

static void *memory_realloc(void *ctx, void *ptr, size_t old_bytes, size_t bytes)
{
    struct json_memory *m = ctx;
    struct block *b = (struct block *)ptr - 1;
    void *moved;

    if (bytes > b->asked && bytes - b->asked > m->max - m->used)
        return NULL;
    if (bytes <= b->cap) {
        m->used = m->used - b->asked + bytes;
        b->asked = bytes;
        return ptr;
    }
    m->used -= b->asked; /* while it moves, only the new size counts */
    moved = memory_malloc(m, bytes);
    m->used += b->asked;
    if (!moved)
        return NULL;
    memcpy(moved, ptr, MIN(old_bytes, bytes));
    memory_free(m, ptr);
    return moved;
}

struct json_memory *json_memory_open(size_t bytes_max, yyjson_alc *alc)
{
    struct json_pool *pool = pool_of_thread();
    struct json_memory *m = pool->spare ? pool->spare : mem_new(struct json_memory);

    pool->spare = NULL;
    *m = (struct json_memory){.pool = pool, .max = bytes_max};
    *alc = (yyjson_alc){
        .malloc = memory_malloc, .realloc = memory_realloc, .free = memory_free, .ctx = m};
    return m;
}

void json_memory_close(struct json_memory *m)
{
    if (m && !m->pool->spare)
        m->pool->spare = m;
    else
        mem_free(m);
}
