/* feed.h - the only contact between `in` and `pipe`: write event groups, read them back in order.
 *
 * Two op tables, so that the ring (embedded mode) or Kafka topics can stand behind them.
 *
 * Writer. append: from any thread. The group is not empty. Returns false (and never calls done)
 * when it was not queued; it then still belongs to the caller: ERR_FULL or ERR_IO (budget, disk,
 * failed writes: answer 503 with Retry-After), ERR_LIMIT (a record over the maximum), ERR_STOP. On
 * true the group belongs to the feed and `done` runs once. Reader. Belongs to one thread (FEED),
 * except release, status and wake, which any thread may call.
 */
#pragma once

#include "model/feed_position.h"
#include "ring/record.h"

struct feed_writer_ops {
    bool (*append)(void *self, struct feed_group *group, feed_done_fn *done, void *ctx,
                   struct err *err);
};

struct feed_writer {
    const struct feed_writer_ops *ops;
    void *self;
};

struct feed_record {
    uint64_t offset;
    uint64_t time_us;
    uint64_t key_hash;
    uint16_t type;
    struct slice payload;     /* valid while the block is held */
    struct feed_block *block; /* one reference per record; drop it with feed_block_unref */
};

struct feed_status {
    uint64_t first;  /* oldest offset that can be read */
    uint64_t end;    /* offset of the next append */
    uint64_t cursor; /* released up to here */
    uint64_t bytes;  /* on disk */
    uint64_t budget_bytes;
    uint64_t unread_bytes;    /* about */
    int64_t oldest_unread_us; /* time of the oldest unfinished record (about), 0 when none */
    bool is_writable;
    const char *why_not; /* static text when not writable, else NULL */
};

struct feed_reader_ops {
    /* Fills up to `max` records, waits up to timeout_us (negative: for ever) for the first. Returns
     * the count, 0 on time-out, wake or stop, and when the end was reached by passing missing
     * offsets only, -1 with err. Missing offsets (reported gaps, quarantined records) are simply
     * not there. `bytes_max` bounds the payloads of one call; one record is given out even when it
     * is larger. */
    int (*read)(void *self, struct feed_record *out, size_t max, size_t bytes_max,
                int64_t timeout_us, struct err *err);
    /* Offsets below were given out by `read` or will never come. FEED. */
    uint64_t (*passed)(void *self);
    /* Everything below offset is durable in the store: its space may be reused. Any thread. */
    void (*release)(void *self, uint64_t offset);
    void (*status)(void *self, struct feed_status *out); /* any thread */
    void (*wake)(void *self);                            /* ends a waiting read; any thread */
};

struct feed_reader {
    const struct feed_reader_ops *ops;
    void *self;
};
