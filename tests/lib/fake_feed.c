#include "fake_feed.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/thread.h"
#include "ring/ring_priv.h"

struct fake_record {
    uint64_t offset;
    uint64_t time_us;
    uint64_t key_hash;
    uint16_t type;
    char *payload;
    size_t len;
};

struct fake_feed {
    struct lock lock;
    struct cond changed;
    struct fake_record *records;
    size_t count, cap;
    size_t next; /* to be read */
    uint64_t end;
    uint64_t released;
    uint64_t passed; /* at the last read */
    int failures;
    bool is_woken;
};

struct fake_feed *fake_feed_new(uint64_t first_offset)
{
    struct fake_feed *f = mem_new(struct fake_feed);

    lock_init(&f->lock, "fake feed", RANK_RING);
    cond_init(&f->changed);
    f->end = f->released = first_offset;
    return f;
}

void fake_feed_free(struct fake_feed *f)
{
    for (size_t i = 0; i < f->count; i++)
        mem_free(f->records[i].payload);
    mem_free(f->records);
    cond_fini(&f->changed);
    lock_fini(&f->lock);
    mem_free(f);
}

uint64_t fake_feed_add_raw(struct fake_feed *f, uint16_t type, uint64_t key_hash,
                           struct slice payload)
{
    uint64_t offset;

    lock_take(&f->lock);
    if (f->count == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 64;
        f->records = mem_realloc(f->records, f->cap * sizeof(*f->records));
    }
    offset = f->end++;
    f->records[f->count++] = (struct fake_record){
        .offset = offset,
        .time_us = (uint64_t)clock_wall_us(),
        .key_hash = key_hash,
        .type = type,
        .payload = mem_dup(payload.ptr, payload.len),
        .len = payload.len,
    };
    cond_signal(&f->changed);
    lock_drop(&f->lock);
    return offset;
}

uint64_t fake_feed_add(struct fake_feed *f, const struct event_envelope *e)
{
    size_t len = event_encoded_bytes(e);
    char *bytes = mem_alloc(len);
    uint64_t offset;

    event_encode(e, bytes);
    offset = fake_feed_add_raw(f, RECORD_TYPE_EVENT, hash_event_key(e->team_id, e->distinct_id),
                               slice_make(bytes, len));
    mem_free(bytes);
    return offset;
}

void fake_feed_skip(struct fake_feed *f, uint64_t count)
{
    lock_take(&f->lock);
    f->end += count;
    cond_signal(&f->changed);
    lock_drop(&f->lock);
}

void fake_feed_rewind(struct fake_feed *f, uint64_t offset)
{
    lock_take(&f->lock);
    f->next = 0;
    while (f->next < f->count && f->records[f->next].offset < offset)
        f->next++;
    f->passed = offset;
    f->is_woken = false;
    lock_drop(&f->lock);
}

void fake_feed_fail(struct fake_feed *f, int times)
{
    lock_take(&f->lock);
    f->failures = times;
    f->is_woken = true;
    cond_broadcast(&f->changed);
    lock_drop(&f->lock);
}

uint64_t fake_feed_released(struct fake_feed *f)
{
    uint64_t released;

    lock_take(&f->lock);
    released = f->released;
    lock_drop(&f->lock);
    return released;
}

uint64_t fake_feed_given(struct fake_feed *f)
{
    uint64_t given;

    lock_take(&f->lock);
    given = f->next > 0 ? f->records[f->next - 1].offset + 1 : 0;
    lock_drop(&f->lock);
    return given;
}

/* As many records as fit, all in one block. */
static int give(struct fake_feed *f, struct feed_record *out, size_t max, size_t bytes_max)
{
    size_t count = 0;
    size_t bytes = 0;
    struct feed_block *block;

    while (count < max && f->next + count < f->count && (count == 0 || bytes < bytes_max))
        bytes += f->records[f->next + count++].len;
    block = feed_block_new(bytes + 1);
    bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct fake_record *r = &f->records[f->next + i];

        if (i > 0)
            feed_block_ref(block);
        memcpy(block->bytes + bytes, r->payload, r->len);
        out[i] = (struct feed_record){
            .offset = r->offset,
            .time_us = r->time_us,
            .key_hash = r->key_hash,
            .type = r->type,
            .payload = slice_make(block->bytes + bytes, r->len),
            .block = block,
        };
        bytes += r->len;
    }
    f->next += count;
    return (int)count;
}

/* Offsets below were given, or left out by the test. */
static uint64_t passed(const struct fake_feed *f)
{
    return f->next < f->count ? f->records[f->next].offset : f->end;
}

static int fake_read(void *self, struct feed_record *out, size_t max, size_t bytes_max,
                     int64_t timeout_us, struct err *err)
{
    struct fake_feed *f = self;
    int got = 0;

    lock_take(&f->lock);
    while (f->next == f->count && passed(f) == f->passed && !f->is_woken) {
        if (!cond_wait_us(&f->changed, &f->lock, timeout_us))
            break;
    }
    f->is_woken = false;
    if (f->failures > 0) {
        f->failures--;
        err_set(err, ERR_IO, "the fake feed fails");
        got = -1;
    } else if (f->next < f->count) {
        got = give(f, out, max, bytes_max);
    }
    if (got != -1)
        f->passed = passed(f);
    lock_drop(&f->lock);
    return got;
}

static uint64_t fake_passed(void *self)
{
    struct fake_feed *f = self;
    uint64_t offset;

    lock_take(&f->lock);
    offset = f->passed;
    lock_drop(&f->lock);
    return offset;
}

static void fake_release(void *self, uint64_t offset)
{
    struct fake_feed *f = self;

    lock_take(&f->lock);
    CHECK(offset >= f->released);
    f->released = offset;
    lock_drop(&f->lock);
}

static void fake_status(void *self, struct feed_status *out)
{
    struct fake_feed *f = self;

    lock_take(&f->lock);
    *out = (struct feed_status){.end = f->end, .cursor = f->released, .is_writable = true};
    for (size_t i = 0; i < f->count && !out->oldest_unread_us; i++) {
        if (f->records[i].offset >= f->released)
            out->oldest_unread_us = (int64_t)f->records[i].time_us;
    }
    lock_drop(&f->lock);
}

static void fake_wake(void *self)
{
    struct fake_feed *f = self;

    lock_take(&f->lock);
    f->is_woken = true;
    cond_broadcast(&f->changed);
    lock_drop(&f->lock);
}

static const struct feed_reader_ops reader_ops = {
    .read = fake_read,
    .passed = fake_passed,
    .release = fake_release,
    .status = fake_status,
    .wake = fake_wake,
};

struct feed_reader fake_feed_reader(struct fake_feed *f)
{
    return (struct feed_reader){.ops = &reader_ops, .self = f};
}
