/* record.h - the ring's record on disk, and the group of records that one request appends.
 *
 *   0       4       8               16              24              32      34      36
 *   +-------+-------+---------------+---------------+---------------+-------+-------+---------
 *   |length | crc32c|   sequence    |    time_us    |   key_hash    | type  | flags | payload…
 *   +-------+-------+---------------+---------------+---------------+-------+-------+---------
 * little endian; `length` counts the payload; the next record begins at the next multiple of 8
 * (the gap is zero). crc32c covers everything behind itself (28 bytes of head, then the payload),
 * seeded with the segment's lap id, so that records of an earlier use of the file never pass for
 * new ones. `sequence` is dense within a ring. A head of 36 zero bytes ends what was written.
 * Changing this: raise the version in the segment header and keep reading the old one.
 *
 * A feed_group is the memory form: records back to back, exactly as on disk, only sequence, crc and
 * flags still open. The writer fills those in; readers near the head get slices of the same memory.
 * Threads: a group is built by one thread, then handed over; blocks are reference-counted (atomic).
 */
#pragma once

#include "base/err.h"
#include "base/mpsc.h"
#include "base/str.h"

struct record_head {
    uint32_t length;
    uint32_t crc32c;
    uint64_t sequence;
    uint64_t time_us;
    uint64_t key_hash;
    uint16_t type;
    uint16_t flags;
} __attribute__((packed));

#define RECORD_HEAD_BYTES 36
_Static_assert(sizeof(struct record_head) == RECORD_HEAD_BYTES, "disk format");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "heads are copied as they are in memory");

#define RECORD_TYPE_EVENT 1u /* payload: model/event envelope */
#define RECORD_TYPE_MARK                                                                      \
    0xffffu                   /* no payload; the place of the next record, see the flag below \
                               */
#define RECORD_FLAG_FIRST  1u /* first of its group */
#define RECORD_FLAG_LAST   2u /* last of its group: the group counts only when this one is there */
#define RECORD_FLAG_SYNCED 4u /* everything before this record was on disk when it was written */
#define RECORD_FLAGS_ALL   7u

static inline size_t record_bytes(size_t payload) /* on disk */
{
    return (RECORD_HEAD_BYTES + payload + 7) & ~(size_t)7;
}

/* Memory that holds records, shared by reference. */
struct feed_block;
void feed_block_ref(struct feed_block *b);
void feed_block_unref(struct feed_block *b); /* NULL is legal */

struct feed_group;
/* Runs exactly once on the writer's thread: err->code is ERR_NONE when every record is durable. The
 * callback must not block. The group itself is freed by the feed. */
typedef void feed_done_fn(void *ctx, const struct err *err);

struct feed_group *feed_group_new(size_t bytes_hint);
/* Copies the payload. False when the group would pass 2 GiB. */
MUST_CHECK bool feed_group_add(struct feed_group *g, uint64_t key_hash, uint16_t type,
                               uint64_t time_us, struct slice payload);
/* The same in two steps, to encode in place: room for `bytes_max` (NULL when the group would pass
 * 2 GiB), then the real length. An open that is not closed adds nothing. */
char *feed_group_open(struct feed_group *g, size_t bytes_max);
void feed_group_close(struct feed_group *g, uint64_t key_hash, uint16_t type, uint64_t time_us,
                      size_t bytes);
size_t feed_group_count(const struct feed_group *g);
size_t feed_group_bytes(const struct feed_group *g);
void feed_group_free(struct feed_group *g); /* only when it was not appended; NULL is legal */

/* The checks of one record inside `bytes` (which begins at a record). `head` is filled whenever 36
 * bytes are there.
 *   RECORD_OK     whole and valid
 *   RECORD_END    nothing was written here (zeros)
 *   RECORD_SHORT  `bytes` ends before the record does
 *   RECORD_BAD    the checksum is wrong */
enum record_state { RECORD_OK, RECORD_END, RECORD_SHORT, RECORD_BAD };
enum record_state record_check(struct slice bytes, uint64_t lap_id, struct record_head *head);
uint32_t record_crc(uint64_t lap_id, const struct record_head *head, struct slice payload);
