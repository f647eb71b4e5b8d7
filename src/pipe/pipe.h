/* pipe.h - from the feed to the store: FEED deals records to PIPE threads by key, PIPE prepares
 * events, STORE decides and commits them in one transaction with the cursor.
 *
 * Order: events of one (team, distinct id) are stored in feed order; across ids any order.
 * Threads: pipe_start makes FEED, WORKER_CONCURRENCY PIPE threads and STORE; pipe_call, pipe_status
 * and the tail functions from any thread.
 */
#pragma once

#include "base/mpsc.h"
#include "metric/metric.h"
#include "model/event.h"
#include "model/team.h"
#include "plugin/plugin.h"
#include "ring/feed.h"
#include "store/store.h"

struct pipe;

struct pipe_options {
    struct feed_reader feed;
    struct store store;
    struct team_directory *teams;
    struct plugins *plugins; /* may be NULL */
    struct metrics *metrics; /* may be NULL */
    int workers;
    size_t read_ahead_events;
    size_t read_ahead_bytes;
    size_t batch_events; /* 5000 */
    size_t batch_bytes;  /* 8 MiB */
    int64_t batch_us;    /* 20 ms */
    bool merge_policy_2023;
    size_t properties_bytes_max;   /* of one person or group; 0: no limit */
    struct feed_position position; /* where to go on */
    struct feed_run *runs;         /* finished above it; copied */
    size_t run_count;
    /* The database cannot be trusted (ERR_IO): must not return. */
    void (*fatal)(const struct err *err, void *ctx);
    /* Tells capture to answer 503 while the store waits for disk space, and when it goes on. */
    void (*blocked)(bool is_blocked, const char *why, void *ctx);
    void *ctx;
};

MUST_CHECK struct pipe *pipe_start(const struct pipe_options *opt, struct err *err);
/* Stops reading, finishes what was read (up to timeout_us), commits, joins. What is left stays in
 * the feed. */
void pipe_stop(struct pipe *p, int64_t timeout_us);
void pipe_free(struct pipe *p);

/* Runs fn(store, ctx) on STORE between batches, inside begin/commit when it returns true, rolled
 * back when false; then done(ctx, ok, err) on STORE. While the pipe is stopping too, as long as
 * workers finish what was read; afterwards, and when it has given up, done gets ERR_STOP alone. */
typedef bool pipe_call_fn(struct store *store, void *ctx, struct err *err);
typedef void pipe_call_done_fn(void *ctx, bool ok, const struct err *err);
struct pipe_call {
    struct mpsc_node node;
    pipe_call_fn *fn;
    pipe_call_done_fn *done;
    void *ctx;
};
void pipe_call(struct pipe *p, struct pipe_call *call); /* the caller's memory until done */
/* The same, waiting for the end. Not on STORE. */
MUST_CHECK bool pipe_call_wait(struct pipe *p, pipe_call_fn *fn, void *ctx, struct err *err);

/* Live tail: after each commit every stored event as one JSON line goes to `fn` on STORE (must not
 * block). Formatting costs only while somebody listens. */
struct pipe_tail_event {
    int64_t team_id;
    struct slice event, distinct_id;
    struct slice json_line;
};
typedef void pipe_tail_fn(const struct pipe_tail_event *e, void *ctx);
void pipe_tail_set(struct pipe *p, pipe_tail_fn *fn, void *ctx); /* once, before events flow */
void pipe_tail_listeners(struct pipe *p, int delta);             /* +1 / -1 */

struct pipe_status {
    uint64_t read, stored, duplicates, dead_letters, dropped;
    uint64_t in_flight;
    int64_t last_commit_us; /* wall */
    int64_t last_progress_us;
    bool is_degraded; /* STORE waits and tries again */
    bool is_blocked;  /* for disk space: `blocked` was told */
    char why[200];
};
void pipe_status(struct pipe *p, struct pipe_status *out);
