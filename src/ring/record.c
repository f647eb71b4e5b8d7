/* record.c - see record.h.
 *
 * A block is one allocation that begins with its reference count. A group owns a block of its own
 * and grows it by realloc, which is safe because nobody else can hold a reference before the group
 * is appended.
 */
#include "ring/record.h"

#include "base/crc32c.h"
#include "base/mem.h"
#include "ring/ring_priv.h"

#define GROUP_BYTES_MAX ((size_t)2 << 30)

struct feed_block *feed_block_new(size_t bytes)
{
    struct feed_block *b = mem_try(sizeof(*b) + bytes);

    if (b)
        atomic_init(&b->refs, 1);
    return b;
}

void feed_block_ref(struct feed_block *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

void feed_block_unref(struct feed_block *b)
{
    if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
        mem_free(b);
}

bool feed_block_is_shared(struct feed_block *b)
{
    return atomic_load_explicit(&b->refs, memory_order_acquire) > 1;
}

struct feed_group *feed_group_new(size_t bytes_hint)
{
    struct feed_group *g = mem_new(struct feed_group);

    g->cap = record_bytes(MIN(bytes_hint, (size_t)1 << 20));
    g->block = mem_alloc(sizeof(*g->block) + g->cap);
    atomic_init(&g->block->refs, 1);
    return g;
}

static bool group_reserve(struct feed_group *g, size_t more)
{
    size_t cap = g->cap;
    struct feed_block *block;

    if (more > GROUP_BYTES_MAX || g->bytes + more > GROUP_BYTES_MAX)
        return false;
    if (g->bytes + more <= cap)
        return true;
    while (cap < g->bytes + more)
        cap = MIN(cap * 2, GROUP_BYTES_MAX);
    block = mem_try_realloc(g->block, sizeof(*block) + cap);
    if (!block)
        return false;
    g->block = block;
    g->cap = cap;
    return true;
}

char *feed_group_open(struct feed_group *g, size_t bytes_max)
{
    if (bytes_max > GROUP_BYTES_MAX || !group_reserve(g, record_bytes(bytes_max)))
        return NULL;
    return g->block->bytes + g->bytes + RECORD_HEAD_BYTES;
}

void feed_group_close(struct feed_group *g, uint64_t key_hash, uint16_t type, uint64_t time_us,
                      size_t bytes)
{
    struct record_head head = {
        .length = (uint32_t)bytes, .time_us = time_us, .key_hash = key_hash, .type = type};
    char *at = g->block->bytes + g->bytes;
    size_t whole = record_bytes(bytes);

    CHECK(g->bytes + whole <= g->cap);
    memcpy(at, &head, sizeof(head));
    memset(at + RECORD_HEAD_BYTES + bytes, 0, whole - RECORD_HEAD_BYTES - bytes);
    g->bytes += whole;
    g->count++;
    g->largest = MAX(g->largest, bytes);
}

bool feed_group_add(struct feed_group *g, uint64_t key_hash, uint16_t type, uint64_t time_us,
                    struct slice payload)
{
    char *at = feed_group_open(g, payload.len);

    if (!at)
        return false;
    if (payload.len)
        memcpy(at, payload.ptr, payload.len);
    feed_group_close(g, key_hash, type, time_us, payload.len);
    return true;
}

size_t feed_group_count(const struct feed_group *g)
{
    return g->count;
}

size_t feed_group_bytes(const struct feed_group *g)
{
    return g->bytes;
}

void feed_group_free(struct feed_group *g)
{
    if (!g)
        return;
    feed_block_unref(g->block);
    mem_free(g);
}

static uint32_t record_seed(uint64_t lap_id)
{
    return crc32c(0, &lap_id, sizeof(lap_id));
}

uint32_t record_crc(uint64_t lap_id, const struct record_head *head, struct slice payload)
{
    const char *covered = (const char *)head + offsetof(struct record_head, sequence);
    uint32_t crc = crc32c(record_seed(lap_id), covered,
                          RECORD_HEAD_BYTES - offsetof(struct record_head, sequence));

    return crc32c(crc, payload.ptr, payload.len);
}

void record_stamp(char *record, uint64_t lap_id, uint64_t sequence, uint16_t flags)
{
    struct record_head head;

    memcpy(&head, record, sizeof(head));
    head.sequence = sequence;
    head.flags = flags;
    memcpy(record, &head, sizeof(head));
    /* Head and payload are contiguous here: one call over both. */
    head.crc32c = crc32c(record_seed(lap_id), record + offsetof(struct record_head, sequence),
                         RECORD_HEAD_BYTES - offsetof(struct record_head, sequence) + head.length);
    memcpy(record + offsetof(struct record_head, crc32c), &head.crc32c, sizeof(head.crc32c));
}

static bool is_zero(const char *bytes, size_t len)
{
    while (len && *bytes == 0) {
        bytes++;
        len--;
    }
    return len == 0;
}

enum record_state record_check(struct slice bytes, uint64_t lap_id, struct record_head *head)
{
    struct slice payload;

    if (bytes.len < RECORD_HEAD_BYTES)
        return bytes.len == 0 || is_zero(bytes.ptr, bytes.len) ? RECORD_END : RECORD_SHORT;
    memcpy(head, bytes.ptr, sizeof(*head));
    if (head->length == 0 && is_zero(bytes.ptr, RECORD_HEAD_BYTES))
        return RECORD_END;
    if (head->length > bytes.len - RECORD_HEAD_BYTES)
        return RECORD_SHORT;
    payload = slice_make(bytes.ptr + RECORD_HEAD_BYTES, head->length);
    return record_crc(lap_id, head, payload) == head->crc32c ? RECORD_OK : RECORD_BAD;
}
