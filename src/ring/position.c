/* position.c - where reading goes on after a start, from the store's cursor and what the directory
 * holds.
 *
 *   no segments, the store knows a ring     deleted or replaced: new epoch
 *   segments of another ring                new epoch, theirs are moved away unread
 *   the same ring, ends before seen_end     an older copy: what it has is read, the rest is a gap
 *   the same ring, begins behind offset     ERR_GONE, or with accept_gap a gap
 *   no cursor in the store                  from the oldest record
 *
 * In every case the fresh lap begins where no offset was ever given out.
 */
#include "base/clock.h"
#include "base/log.h"
#include "ring/ring_priv.h"

#include <inttypes.h>

uint64_t position_unfinished(const struct ring *r, uint64_t from, uint64_t to, uint64_t *first)
{
    uint64_t n = 0;

    *first = from;
    for (size_t i = 0; i < r->run_count && from < to; i++) {
        const struct feed_run *run = &r->runs[i];

        if (run->to <= from)
            continue;
        if (run->from > from) {
            uint64_t upto = MIN(run->from, to);

            if (n == 0)
                *first = from;
            n += upto - from;
        }
        from = MAX(from, run->to);
    }
    if (from < to) {
        if (n == 0)
            *first = from;
        n += to - from;
    }
    return n;
}

static void new_id(struct ring *r)
{
    r->ring_id = uuid_v7(clock_wall_us());
}

/* The feed behind the cursor is another one: nothing of it counts for the store's old cursor. */
static void new_epoch(struct ring *r, uint64_t base, const char *why)
{
    uint64_t first;
    uint64_t lost = position_unfinished(r, r->position.offset,
                                        MAX(r->position.offset, r->position.seen_end), &first);

    log_warn("ring", why, KV_STR("dir", r->dir), KV_U64("epoch", r->position.epoch + 1),
             KV_U64("offset", base), KV_U64("unfinished_known", lost));
    new_id(r);
    r->position = (struct feed_position){
        .ring_id = r->ring_id, .epoch = r->position.epoch + 1, .offset = base, .seen_end = base};
    r->do_runs_hold = false;
}

static bool check_oldest(struct ring *r, const struct recover *rec, struct err *err)
{
    uint64_t oldest = rec->end;
    uint64_t first;
    uint64_t n;

    if (!list_is_empty(&rec->chain))
        oldest = list_entry(rec->chain.next, const struct segment, node)->use.base;
    if (oldest <= r->position.offset)
        return true;
    n = position_unfinished(r, r->position.offset, oldest, &first);
    if (n && !r->opt.accept_gap)
        return err_set(err, ERR_GONE,
                       "ring %s: events %" PRIu64 " to %" PRIu64
                       " are missing (unread); start with "
                       "--accept-gap to go on without them",
                       r->dir, first, oldest - 1);
    if (n) {
        log_warn("ring", "events are missing, going on without them as told", KV_STR("dir", r->dir),
                 KV_U64("from_offset", first), KV_U64("to_offset", oldest - 1), KV_U64("count", n));
        metric_add(r->metrics.gap, n);
    }
    r->position.offset = oldest;
    return true;
}

/* The same ring as the cursor's. *base: where the fresh lap begins. */
static bool same_ring(struct ring *r, const struct recover *rec, uint64_t *base, struct err *err)
{
    uint64_t first;
    uint64_t n;

    if (!check_oldest(r, rec, err))
        return false;
    *base = MAX(rec->end, MAX(r->position.seen_end, r->position.offset));
    if (*base == rec->end)
        return true;
    r->gap_from = rec->end;
    r->gap_to = *base;
    n = position_unfinished(r, MAX(rec->end, r->position.offset), *base, &first);
    metric_add(r->metrics.gap, n);
    log_warn("ring", "the ring is older than the store: its newest events are missing",
             KV_STR("dir", r->dir), KV_U64("ring_end", rec->end), KV_U64("seen_end", *base),
             KV_U64("unfinished", n));
    return true;
}

bool position_decide(struct ring *r, struct recover *rec, uint64_t *base, struct err *err)
{
    struct feed_position *p = &r->position;

    r->do_runs_hold = r->opt.has_position;
    *base = MAX(p->offset, p->seen_end);
    if (!r->opt.has_position) {
        *p = (struct feed_position){.epoch = 1};
        *base = rec->end;
        r->ring_id = rec->ring_id;
        recover_drop_copies(rec);
        if (!rec->has_ring)
            new_id(r);
        else if (!list_is_empty(&rec->chain))
            p->offset = list_entry(rec->chain.next, const struct segment, node)->use.base;
        else
            p->offset = rec->end;
        if (rec->has_ring)
            log_warn("ring", "the store has no cursor, reading from the oldest event",
                     KV_STR("dir", r->dir), KV_U64("offset", p->offset));
        p->ring_id = r->ring_id;
        p->seen_end = p->offset;
        return true;
    }
    if (!rec->has_ring) {
        new_epoch(r, *base, "the ring was deleted or replaced, its unread events are lost");
        return true;
    }
    if (!uuid_eq(&p->ring_id, &rec->ring_id)) {
        new_epoch(r, *base, "the ring is another one than before, its unread events are ignored");
        return true;
    }
    r->ring_id = rec->ring_id;
    if (!same_ring(r, rec, base, err))
        return false;
    p->seen_end = MAX(p->seen_end, p->offset);
    return true;
}
