/* The duplicate filter: 64-bit fingerprints of the uuids seen within the window.
 *
 * Two tables, `now` and `before`. When the oldest entry of `now` reaches the age of the window, or
 * `now` is full at its largest size, `before` is dropped and the two change places. So at least the
 * whole window is covered while memory allows; when it does not, dropping comes early and the
 * covered time shrinks, which dedupe_covered_us tells.
 *
 * A table starts small and doubles; at its largest it has half of the memory. The fingerprints are
 * keyed hashes, so clients cannot make them collide; a hit is confirmed by look-up in any case.
 */
#include "base/mem.h"
#include "store/store_priv.h"

#define CAP_FIRST 1024

void dedupe_init(struct dedupe *d, int64_t window_us, size_t bytes_max)
{
    *d = (struct dedupe){
        .window_us = window_us, .cap_max = CAP_FIRST, .complete_since_us = INT64_MIN};
    while (d->cap_max * 2 * sizeof(uint64_t) * 2 <= bytes_max)
        d->cap_max *= 2;
}

void dedupe_fini(struct dedupe *d)
{
    mem_free(d->now.slots);
    mem_free(d->before.slots);
    d->now = d->before = (struct dedupe_table){.slots = NULL};
}

static size_t room(size_t cap)
{
    return cap / 4 * 3;
}

static uint64_t *find(const struct dedupe_table *t, uint64_t fingerprint)
{
    size_t at = (size_t)(fingerprint >> 20) & (t->cap - 1);

    while (t->slots[at] && t->slots[at] != fingerprint)
        at = (at + 1) & (t->cap - 1);
    return &t->slots[at];
}

static void grow(struct dedupe_table *t)
{
    struct dedupe_table old = *t;

    t->cap = old.cap ? old.cap * 2 : CAP_FIRST;
    t->slots = mem_new_array(uint64_t, t->cap);
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i])
            *find(t, old.slots[i]) = old.slots[i];
    mem_free(old.slots);
}

static void rotate(struct dedupe *d)
{
    struct dedupe_table spare = d->before;

    if (spare.count)
        d->complete_since_us = MAX(d->complete_since_us, d->now.since_us);
    d->before = d->now;
    if (spare.cap)
        memset(spare.slots, 0, spare.cap * sizeof(*spare.slots));
    d->now = (struct dedupe_table){.slots = spare.slots, .cap = spare.cap};
}

static uint64_t fingerprint_of(uint64_t hash)
{
    return hash ? hash : 1;
}

void dedupe_add(struct dedupe *d, uint64_t hash, int64_t at_us)
{
    struct dedupe_table *t = &d->now;
    uint64_t fingerprint = fingerprint_of(hash), *slot;

    if (t->count && (at_us - t->since_us >= d->window_us || t->count >= room(d->cap_max)))
        rotate(d);
    if (t->count >= room(t->cap))
        grow(t);
    if (t->count == 0)
        t->since_us = at_us;
    slot = find(t, fingerprint);
    if (*slot)
        return;
    *slot = fingerprint;
    t->count++;
}

void dedupe_prefetch(const struct dedupe *d, uint64_t hash)
{
    if (d->now.cap)
        __builtin_prefetch(&d->now.slots[(size_t)(fingerprint_of(hash) >> 20) & (d->now.cap - 1)]);
}

bool dedupe_has(const struct dedupe *d, uint64_t hash)
{
    uint64_t fingerprint = fingerprint_of(hash);

    return (d->now.cap && *find(&d->now, fingerprint)) ||
           (d->before.cap && *find(&d->before, fingerprint));
}

size_t dedupe_count(const struct dedupe *d)
{
    return d->now.count + d->before.count;
}

size_t dedupe_count_max(const struct dedupe *d)
{
    return 2 * room(d->cap_max);
}

int64_t dedupe_covered_us(const struct dedupe *d, int64_t now_us)
{
    if (d->complete_since_us == INT64_MIN)
        return d->window_us;
    return MAX((int64_t)0, MIN(d->window_us, now_us - d->complete_since_us));
}
