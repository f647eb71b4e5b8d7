/* commit_priv.h - the batch that STORE is working on: commit.c brings it into the store,
 * store_loop.c feeds it. */
#pragma once

#include "pipe/pipe_priv.h"

#define IDLE_FIRST_US (1 * (int64_t)1000000)

struct committer {
    struct pipe *p;
    const struct store *store;
    struct finished *finished;
    struct applier applier;
    struct buf line; /* of the tail */

    struct mpsc_node *pending; /* messages taken and not yet handled */
    int workers_ended;
    bool is_abandoned; /* stopping took too long, or `fatal` came back: nothing more is stored */

    struct prepared **events; /* of the open batch */
    size_t count, cap;
    size_t bytes; /* of the events, and what they made of persons and groups */
    bool is_open; /* begin was called */
    bool has_gap; /* finished offsets of a gap are not yet committed */
    int64_t opened_us;
    struct mpsc_node *chunks; /* all their events are in the batch */
    bool is_blocked;

    size_t batches_since_tidy;
    int64_t idle_us;
    uint64_t logged_events;
    int64_t logged_us;
};

/* Applies the event in the open transaction, or opens one. When that fails the whole batch is
 * brought to an end. */
void committer_add(struct committer *c, struct prepared *e);
/* The batch that is open, or one without events, takes the cursor over a gap. */
void committer_add_gap(struct committer *c);
/* Commits the open batch, if there is one, whatever it takes. */
void committer_commit(struct committer *c);
void committer_give_back(struct committer *c); /* chunks whose events are done with */
MUST_CHECK bool committer_begin(struct committer *c, struct err *err);
void committer_roll_back(struct committer *c);
void committer_die(struct committer *c, const struct err *err);
void committer_publish(struct pipe *p, uint64_t cursor, uint64_t bytes); /* FEED may go on */
void committer_log_progress(struct committer *c);
