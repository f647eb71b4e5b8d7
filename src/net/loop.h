/* loop.h - one event loop per NET thread (libevent), and posting work to it.
 *
 * Threads: everything about a loop belongs to its thread, except loop_post and loop_stop. Loops are
 * made by one thread at a time. A loop that waits for nothing sleeps: there is no tick.
 * Messages posted after the loop ended run in loop_free, so that nothing leaks.
 * Ownership: a message belongs to the loop from loop_post until its fn is called.
 */
#pragma once

#include "base/mpsc.h"

struct loop;
struct event_base;

typedef void loop_fn(void *ctx);

struct loop_msg {
    struct mpsc_node node;
    loop_fn *fn;
    void *ctx;
};

MUST_CHECK struct loop *loop_new(struct err *err);
void loop_free(struct loop *l);
void loop_run(struct loop *l);  /* until loop_stop */
void loop_stop(struct loop *l); /* any thread; a loop that does not run yet ends at once later */
/* Any thread; runs m->fn(m->ctx) on the loop, in order of posts. Many posts between two turns of
 * the loop cost one wake-up. */
void loop_post(struct loop *l, struct loop_msg *m);
struct event_base *loop_base(struct loop *l);
