/* A binary heap of pointers, the earliest in place 1. Each timer knows its place, so that it can be
 * moved and taken out without a search. */
#include "plugin/timer.h"

#include "base/mem.h"

void timers_init(struct timers *t)
{
    *t = (struct timers){0};
}

void timers_fini(struct timers *t)
{
    for (size_t i = 0; i < t->count; i++)
        t->heap[i]->place = 0;
    mem_free(t->heap);
    *t = (struct timers){0};
}

static void put(struct timers *all, struct timer *t, size_t place)
{
    all->heap[place - 1] = t;
    t->place = place;
}

static struct timer *at(const struct timers *all, size_t place)
{
    return all->heap[place - 1];
}

static void move_up(struct timers *all, struct timer *t, size_t place)
{
    while (place > 1 && at(all, place / 2)->due_us > t->due_us) {
        put(all, at(all, place / 2), place);
        place /= 2;
    }
    put(all, t, place);
}

static void move_down(struct timers *all, struct timer *t, size_t place)
{
    for (;;) {
        size_t child = 2 * place;

        if (child > all->count)
            break;
        if (child < all->count && at(all, child + 1)->due_us < at(all, child)->due_us)
            child++;
        if (at(all, child)->due_us >= t->due_us)
            break;
        put(all, at(all, child), place);
        place = child;
    }
    put(all, t, place);
}

/* Where it belongs, from a place that may be too low or too high for it. */
static void settle(struct timers *all, struct timer *t, size_t place)
{
    if (place > 1 && at(all, place / 2)->due_us > t->due_us)
        move_up(all, t, place);
    else
        move_down(all, t, place);
}

void timer_set(struct timers *all, struct timer *t, int64_t due_us)
{
    t->due_us = due_us;
    if (t->place) {
        settle(all, t, t->place);
        return;
    }
    if (all->count == all->cap) {
        all->cap = all->cap ? 2 * all->cap : 16;
        all->heap = mem_realloc(all->heap, all->cap * sizeof(struct timer *));
    }
    all->count++;
    move_up(all, t, all->count);
}

void timer_cancel(struct timers *all, struct timer *t)
{
    size_t place = t->place;
    struct timer *last;

    if (!place)
        return;
    last = at(all, all->count);
    all->count--;
    t->place = 0;
    if (last != t)
        settle(all, last, place);
}

int64_t timers_due_us(const struct timers *t)
{
    return t->count ? at(t, 1)->due_us : INT64_MAX;
}

void timers_run(struct timers *t, int64_t now_us)
{
    while (timers_due_us(t) <= now_us) {
        struct timer *first = at(t, 1);

        timer_cancel(t, first);
        first->fn(first);
    }
}
