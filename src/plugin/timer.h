/* timer.h - timers of one thread: a heap of due times. Private to plugin/.
 *
 * Owned by one plugin worker. A timer is embedded in its user's struct and is set, moved and
 * cancelled in logarithmic time; `fn` runs inside timers_run, with the timer not set any more.
 */
#pragma once

#include "base/check.h"

struct timer {
    int64_t due_us; /* monotonic */
    size_t place;   /* in the heap, from 1; 0: not set */
    void (*fn)(struct timer *t);
};

struct timers {
    struct timer **heap;
    size_t count, cap;
};

void timers_init(struct timers *t);
void timers_fini(struct timers *t);                                  /* set timers are forgotten */
void timer_set(struct timers *all, struct timer *t, int64_t due_us); /* again: moves it */
void timer_cancel(struct timers *all, struct timer *t);              /* not set: nothing */
int64_t timers_due_us(const struct timers *t);                       /* INT64_MAX: none */
void timers_run(struct timers *t, int64_t now_us);                   /* those due, in order */
