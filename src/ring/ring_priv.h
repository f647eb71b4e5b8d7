/* ring_priv.h - what the files of this folder share.
 *
 * Owners: `writer` belongs to SYNC (and to ring_open before it starts), `reader` to FEED,
 * everything under `lock` is guarded by it, likewise under `tail_lock`. `lock` may be held when
 * `tail_lock` is taken, not the other way round. No lock is held over a write or sync.
 */
#pragma once

#include "base/list.h"
#include "base/thread.h"
#include "ring/ring.h"

#include <limits.h>

#define SEGMENT_HEAD_BYTES    4096u
#define SEGMENT_COPY_AT       2048u /* second copy of the head, in another sector */
#define SEGMENT_VERSION       1u
#define SEGMENT_BYTES_MIN     (64u << 10)
#define SEGMENT_OPEN          UINT64_MAX /* `end` of the segment that is being written */
#define SEGMENT_SLOTS         100000000u /* file names have eight digits */
#define RING_PAGE             4096u
#define RING_SPARES           2
#define RING_PATH_MAX         4096
#define RING_BLOCK_BYTES      (1u << 20) /* one read of the reader */
#define RING_INTERVAL_US      500000
#define RING_QUARANTINE_BYTES (64u << 20)
#define RING_DELIVERED_MAX    4096

/* --- record.c --- */

struct feed_block {
    _Atomic uint64_t refs;
    uint64_t spare; /* keeps `bytes` 16-aligned */
    char bytes[];
};

struct feed_group {
    struct mpsc_node node; /* queue, run and tail */
    struct feed_block *block;
    size_t bytes, cap;
    size_t count;
    size_t largest; /* payload */
    uint64_t first; /* sequence of the first record, once written */
    feed_done_fn *done;
    void *ctx;
};

struct feed_block *feed_block_new(size_t bytes); /* NULL when out of memory */
bool feed_block_is_shared(struct feed_block *b);
/* Fills in sequence, flags and crc of a record in memory. */
void record_stamp(char *record, uint64_t lap_id, uint64_t sequence, uint16_t flags);

/* --- segment.c: one file --- */

/* What one use ("lap") of a segment file says about itself. */
struct segment_use {
    struct uuid ring_id;
    uint64_t lap_no;          /* grows by every use of any segment */
    uint64_t lap_id;          /* random; seeds the checksums */
    uint64_t base;            /* sequence of the first record */
    uint64_t previous_end;    /* older laps hold nothing valid from here on; <= base */
    uint64_t previous_lap_no; /* of the segment written before, 0 for none */
    uint64_t group_first;     /* where the group began that goes on at base; else base */
    uint64_t released;        /* finished by the store when this was written */
    uint64_t created_us;
};

struct segment_mark {
    uint64_t sequence, at;
};

struct segment {
    struct list node; /* chain, spares or doomed */
    uint32_t slot;    /* file name */
    uint64_t bytes;   /* file size */
    struct segment_use use;
    uint64_t end;           /* sequence behind the last valid record */
    uint64_t used;          /* file offset behind it (recovered segments: about) */
    bool is_next_missing;   /* recovery: the lap behind this one is not there */
    bool is_behind_missing; /* recovery: some newer lap is not there */
    bool is_dead;           /* a write or sync failed: read, then deleted, never written again */
    struct segment_mark *marks; /* where records begin, about every MiB */
    size_t mark_count, mark_cap;
};

enum segment_state {
    SEGMENT_VALID,
    SEGMENT_BLANK,   /* zeros: never used */
    SEGMENT_DAMAGED, /* neither copy of the head is whole */
    SEGMENT_NEWER,   /* a version that this program does not know */
};

struct segment *segment_new(uint32_t slot, uint64_t bytes);
void segment_free(struct segment *s); /* not in a list; NULL is legal */
void segment_path(const char *dir, uint32_t slot, const char *suffix, char out[RING_PATH_MAX]);
void segment_head_encode(const struct segment_use *use, char head[SEGMENT_HEAD_BYTES]);
enum segment_state segment_head_decode(const char head[SEGMENT_HEAD_BYTES],
                                       struct segment_use *use);
/* A zero-filled file under its final name, durable. Leaves nothing behind on failure. */
MUST_CHECK bool segment_create(const char *dir, uint32_t slot, uint64_t bytes, struct err *err);
MUST_CHECK int segment_open(const char *dir, uint32_t slot, bool is_writable, struct err *err);
/* Writes the head and a zero page behind it, and syncs. */
MUST_CHECK bool segment_write_head(int fd, const struct segment_use *use, const char *path,
                                   struct err *err);
struct iovec;
MUST_CHECK bool segment_write(int fd, struct iovec *iov, int count, uint64_t at, const char *path,
                              struct err *err); /* changes iov */
MUST_CHECK bool segment_sync(int fd, const char *path, struct err *err);
MUST_CHECK bool segment_unlink(const char *dir, uint32_t slot, struct err *err);
void segment_mark_add(struct segment *s, uint64_t sequence, uint64_t at);
/* The last mark not behind `sequence` (the beginning when there is none). */
struct segment_mark segment_mark_find(const struct segment *s, uint64_t sequence);

/* --- cursor.c: walks the records of one segment file --- */

enum cursor_step {
    CURSOR_RECORD,
    CURSOR_LOST, /* lost_from <= sequence < lost_to are not there; the walk goes on behind */
    CURSOR_END,  /* limit reached, or (limit SEGMENT_OPEN) nothing valid any more */
};

struct cursor {
    int fd; /* -1: closed */
    char path[RING_PATH_MAX];
    uint64_t lap_id;
    uint64_t file_bytes;
    uint64_t at;          /* file offset of the next record */
    uint64_t expect;      /* its sequence */
    uint64_t limit;       /* first sequence that is not wanted */
    uint16_t flags;       /* of the record just given */
    bool is_next_missing; /* of the segment */
    /* after CURSOR_LOST: */
    uint64_t lost_from, lost_to;
    uint64_t bad_from, bad_to; /* file offsets of the bytes between */
    bool is_gap;               /* they may have stood in a segment that is missing */
    /* after CURSOR_END with limit SEGMENT_OPEN: */
    bool is_marked; /* a mark says: everything before was synced and nothing came behind */
    bool is_torn;   /* something else than zeros follows */
    struct feed_block *block;
    uint64_t block_at;
    size_t block_len, block_cap;
};

void cursor_init(struct cursor *c);
MUST_CHECK bool cursor_open(struct cursor *c, const char *dir, const struct segment *s, uint64_t at,
                            uint64_t sequence, uint64_t limit, struct err *err);
/* More of the same segment may be read now. */
void cursor_extend(struct cursor *c, const struct segment *s, uint64_t limit);
void cursor_close(struct cursor *c); /* closed is legal */
/* The record's block carries no reference of its own: take one to keep it. */
enum cursor_step cursor_next(struct cursor *c, struct feed_record *rec);

/* --- recover.c: what a directory holds --- */

struct recover {
    const char *dir;
    struct uuid ring_id;
    bool has_ring;
    struct list chain;   /* valid, by lap, with `end`s that do not overlap */
    struct list spares;  /* blank, stale or duplicate */
    struct list foreign; /* of another ring */
    struct list damaged; /* head unreadable */
    uint64_t lap_no_max;
    uint64_t end;         /* sequence behind the last valid record */
    uint64_t released;    /* highest that a head remembers */
    uint64_t last_lap_no; /* of the newest use that counts, 0 for none */
    bool is_torn;
    uint64_t torn_at;      /* file offset in the newest segment */
    uint64_t bytes;        /* of all files */
    struct list leftovers; /* unfinished spare segments: NNNNNNNN.tmp */
};

/* Reads all heads, finds the newest ring (or `wanted`, when it is there) and its end. Changes
 * nothing on disk. recover_fini frees what was not taken out of the lists. */
MUST_CHECK bool recover_load(const char *dir, const struct uuid *wanted, struct recover *rec,
                             struct err *err);
void recover_fini(struct recover *rec);
/* For a store without cursor, which reads from the oldest: laps behind a missing one that an
 * earlier store had finished are old copies and stay out. */
void recover_drop_copies(struct recover *rec);
/* The ring found is not the cursor's. */
void recover_all_foreign(struct recover *rec);
/* Moves the segments of foreign rings and those with a damaged head out of the way, deletes
 * unfinished spares. */
MUST_CHECK bool recover_tidy(struct recover *rec, struct err *err);

/* --- the ring --- */

enum ring_why { RING_WHY_NOT, RING_WHY_IO, RING_WHY_DISK, RING_WHY_BUDGET };

struct ring_metrics {
    struct metric_counter *appended, *corrupt, *torn, *gap;
    struct metric_counter *rejected_pending, *rejected_budget, *rejected_disk, *rejected_io,
        *rejected_limit;
    struct metric_gauge *bytes, *segments_unread, *segments_spare;
    struct metric_histogram *fsync, *group_size;
};

struct ring_answer {
    feed_done_fn *done;
    void *ctx;
};

struct ring_writer_state {
    struct segment *seg; /* last of the chain; NULL: read-only */
    int fd;
    char path[RING_PATH_MAX];
    uint64_t at;        /* file offset of the next record */
    uint64_t next;      /* its sequence */
    uint64_t bound;     /* previous_end of the next lap: `next`, except after a gap at open */
    uint64_t lap_no;    /* highest used */
    uint64_t chain_lap; /* lap_no of the segment written last */
    bool is_clean;      /* everything written is on disk */
    bool has_mark;
    int64_t dirty_since_us;            /* RING_SYNC_INTERVAL */
    struct feed_group *run, *run_last; /* stamped, not yet written */
    uint64_t run_bytes;
    size_t run_groups;
    struct ring_answer *answers; /* space for those of one run */
    size_t answer_cap;
    struct iovec *iov;
    char *zeros; /* two pages */
};

struct ring_delivered {
    uint64_t first;
    int64_t time_us;
};

struct ring_reader_state {
    uint64_t next; /* offset of the next record to give out */
    struct cursor cursor;
    uint64_t lap_no;         /* of the segment under the cursor */
    struct feed_group *mine; /* taken from the tail, oldest first */
    size_t mine_at;          /* bytes of `mine` already given out */
    uint64_t mine_next;      /* sequence of the record there */
};

struct ring {
    /* constant after ring_open */
    char *dir;
    struct ring_options opt; /* dir, runs, metrics: not used from here */
    uint64_t segment_bytes, first_segment_bytes;
    struct uuid ring_id;
    struct feed_position position;
    bool do_runs_hold;
    struct feed_run *runs;
    size_t run_count;
    uint64_t gap_from, gap_to; /* reported when the ring was opened */
    struct ring_metrics metrics;
    int64_t probe_us; /* tests shorten it */

    /* appenders to SYNC */
    struct mpsc queue;
    _Atomic uint64_t pending; /* bytes queued or being written */
    _Atomic uint64_t room;    /* bytes that segments and budget can still take */
    atomic_int why;           /* enum ring_why: RING_WHY_NOT, or no segment to write to, and why */
    atomic_int short_of;      /* enum ring_why: why `room` is small */
    atomic_bool was_short;    /* an append was refused since the last look at the disk */
    atomic_bool is_stopping;
    atomic_bool wants_reopen; /* SYNC shall try to get a segment */
    atomic_bool is_reuse_paused;

    struct ring_writer_state writer;
    struct thread sync_thread, tidy_thread;

    struct lock lock;
    struct cond tidy_cond;
    struct list chain;    /* hold records, by lap */
    struct list spares;   /* may be overwritten */
    struct list doomed;   /* will be deleted */
    struct list in_hand;  /* being created, or taken and not yet in use */
    uint64_t total_bytes; /* of all these */
    uint32_t next_slot;   /* where the search for a free file name begins */
    uint64_t released;
    uint64_t disk_free;
    int64_t disk_seen_us; /* when disk_free was read */
    bool has_tidy_failed; /* wait for the next probe */
    bool is_tidy_stopping;
    struct ring_delivered *delivered; /* read calls not yet released, ascending */
    size_t delivered_count;
    uint64_t delivered_end;

    struct lock tail_lock;
    struct cond tail_cond;
    struct feed_group *tail, *tail_last; /* written, not yet read, oldest first */
    size_t tail_bytes;
    uint64_t durable_end; /* offsets below may be read */
    bool is_woken;
    bool is_read_stopping;

    struct ring_reader_state reader;
};

/* position.c */
/* Sets ring_id, position and what belongs to it, and *base, where the fresh lap begins. Changes
 * nothing on disk. */
MUST_CHECK bool position_decide(struct ring *r, struct recover *rec, uint64_t *base,
                                struct err *err);
/* Offsets in [from, to) that the store has not finished; *first is the first of them. */
uint64_t position_unfinished(const struct ring *r, uint64_t from, uint64_t to, uint64_t *first);

/* sync.c */
void sync_init(struct ring *r);
void sync_fini(struct ring *r);
void sync_main(void *ring);
void sync_fail_all(struct ring *r, struct err *err); /* completes what is queued with err */

/* lap.c */
/* Makes a fresh segment current: base = writer.next, bounded by writer.bound. Tries `tries`
 * candidates. On failure the current segment stays as it was. */
MUST_CHECK bool lap_open_fresh(struct ring *r, uint64_t need, uint64_t group_first, int tries,
                               struct err *err);
/* The same with a segment in hand, which stays in hand on failure. */
MUST_CHECK bool lap_start(struct ring *r, struct segment *s, uint64_t group_first, struct err *err);
/* A write or sync failed: nothing from sequence `first` on counts. A fresh segment, or none. */
void lap_break(struct ring *r, uint64_t first, const struct err *err);
/* No next segment could be opened: the current one ends here. */
void lap_close(struct ring *r, const struct err *err);
/* There is no segment to write to until TIDY asks for another try. */
void lap_lose(struct ring *r, const struct err *err);
void lap_reopen(struct ring *r); /* that try */

/* retain.c */
void retain_main(void *ring);
/* A spare, or a new file, for `need` bytes of records; it is in `in_hand` until it goes to the
 * chain, back or is buried. `is_first`: budget does not count. */
MUST_CHECK struct segment *retain_take(struct ring *r, uint64_t need, bool is_first,
                                       struct err *err);
void retain_give_back(struct ring *r, struct segment *s); /* unused: it is a spare again */
void retain_bury(struct ring *r, struct segment *s);      /* will be deleted */
void retain_release(struct ring *r, uint64_t offset);
/* The error that an appender gets. */
void retain_explain(int why, struct err *err);
void retain_recount(struct ring *r); /* lock held */
/* Records of the current segment now end at file offset `used`. Lock held. */
void retain_note_used(struct ring *r, struct segment *s, uint64_t used);
void retain_look_at_disk(struct ring *r, bool is_forced);
void retain_short(struct ring *r); /* an append was refused: look again soon */
size_t retain_spares_wanted(const struct segment *current);
void retain_reap(struct ring *r); /* lock held: passed segments become spares or doomed */

/* missing.c */
/* Offsets from <= o < to were in no segment. */
void missing_gap(struct ring *r, uint64_t from, uint64_t to);
void missing_damage(struct ring *r, const struct cursor *c); /* after CURSOR_LOST */

/* reader.c */
void reader_init(struct ring *r);
void reader_fini(struct ring *r);
int reader_read(struct ring *r, struct feed_record *out, size_t max, size_t bytes_max,
                int64_t timeout_us, struct err *err);
void reader_wake(struct ring *r, bool is_stop);
/* SYNC: groups (linked, ascending) are durable and the feed's; `end` is the offset behind. */
void reader_publish(struct ring *r, struct feed_group *first, struct feed_group *last, size_t bytes,
                    uint64_t end);
/* Time of the oldest record below `end` that is not released (about), 0 when there is none. */
int64_t reader_oldest_us(struct ring *r, uint64_t end);
