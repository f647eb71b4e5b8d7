/* ring.h - the durable log between intake and pipeline, embedded form of feed.h.
 *
 * Groups appended from any thread go through a bounded in-memory queue to the SYNC thread, which
 * writes all that waits to the current segment, calls fdatasync once, and completes them:
 * acknowledged means on disk, checksummed. Segments are zero-filled once and overwritten; a helper
 * thread keeps spares ready. See docs/ARCHITECTURE.md.
 *
 * Threads:   as feed.h; ring_open, ring_start, ring_stop, ring_free by MAIN.
 * Ownership: the ring copies the options. Blocks handed to readers outlive the ring.
 * Errors of ring_open: ERR_IO, ERR_FULL (no room for the first segment of an empty ring),
 *   ERR_CORRUPT (the directory holds something else), ERR_GONE (unread events are missing and
 *   accept_gap is off: the text names the offsets). A failed open has changed nothing that was
 * read.
 */
#pragma once

#include "metric/metric.h"
#include "ring/feed.h"

struct ring;

struct ring_options {
    const char *dir;              /* data/ring/<topic>; created when absent */
    uint64_t segment_bytes;       /* 64 MiB; less when bytes_max has no room for four of them */
    uint64_t first_segment_bytes; /* 4 MiB */
    uint64_t bytes_max;           /* budget: QUEUE_MAX_BYTES */
    uint64_t min_free_bytes;      /* QUEUE_MIN_FREE_BYTES */
    size_t record_bytes_max;      /* QUEUE_MAX_RECORD_BYTES, of the payload */
    size_t pending_bytes_max;     /* appended but not yet synced: over -> ERR_FULL */
    size_t tail_bytes_max;        /* kept in memory for readers near the head */
    enum { RING_SYNC_ALWAYS, RING_SYNC_INTERVAL, RING_SYNC_NEVER } sync;
    int64_t group_commit_us; /* artificial delay, 0 */
    bool accept_gap;
    bool has_position;             /* false: a store without cursor, read from the oldest */
    struct feed_position position; /* the store's cursor */
    const struct feed_run *runs;   /* finished above it, ascending */
    size_t run_count;
    struct metrics *metrics; /* may be NULL */
};

/* Recovers (torn tail cut, see recover.c) and opens a fresh lap at an offset never used before. */
MUST_CHECK struct ring *ring_open(const struct ring_options *opt, struct err *err);
/* The cursor to go on with: as given, or moved to a new epoch (foreign or replaced ring), with a
 * log line why. */
struct feed_position ring_position(const struct ring *r);
/* True when the given runs still hold for ring_position (same epoch). */
bool ring_runs_hold(const struct ring *r);
MUST_CHECK bool ring_start(struct ring *r, struct err *err); /* SYNC and helper threads */
struct feed_writer ring_writer(struct ring *r);
struct feed_reader ring_reader(struct ring *r); /* one reader */
/* While paused no released segment is overwritten or deleted (for a copy of the directory). */
void ring_pause_reuse(struct ring *r, bool is_paused);
/* Appends fail with ERR_STOP; what was queued is synced and completed; joins the threads. Reads go
 * on giving out what is there, without waiting. */
void ring_stop(struct ring *r);
void ring_free(struct ring *r); /* stops first when that was not done; NULL is legal */

/* The name of a directory beside opt->dir that holds the cursor's ring with events the store has
 * not finished (without a cursor: any ring with events), while opt->dir does not hold that ring:
 * opening it would leave them behind. NULL when there is none. mem_free it. */
char *ring_elsewhere(const struct ring_options *opt);

/* Walks every record of a ring directory read-only (server stopped), oldest first; false from fn
 * stops (that is no error). A record is valid during the call. ERR_CORRUPT after the whole walk
 * when records were damaged or missing: the text tells how many. */
typedef bool ring_walk_fn(const struct feed_record *rec, void *ctx);
MUST_CHECK bool ring_inspect(const char *dir, ring_walk_fn *fn, void *ctx, struct err *err);
