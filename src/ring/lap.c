/* lap.c - changes of the segment that is written: the next one, a failed one, none.
 *
 * Failure. A segment whose write or sync failed is never written again: the kernel may have dropped
 * the pages and a second sync could report success. The next segment begins with the sequence of
 * the first record of the failed groups, which makes whatever reached the disk of them invalid for
 * good; they are answered after its head is on disk. When that fails as well there is no segment
 * (`why` tells the appenders) until TIDY asks for another try. Those that hold nothing else are
 * deleted.
 *
 * All of this runs on SYNC, and in ring_open before there is one.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/rand.h"
#include "ring/ring_priv.h"

#include <unistd.h>

/* Everything from sequence `end` on is given up: segments that only hold such are deleted. */
static void cut_chain(struct ring *r, uint64_t end)
{
    struct ring_writer_state *w = &r->writer;

    lock_take(&r->lock);
    while (!list_is_empty(&r->chain)) {
        struct segment *s = list_entry(r->chain.prev, struct segment, node);

        s->end = MIN(s->end, end);
        if (s->use.base < end)
            break;
        list_remove(&s->node);
        list_push_back(&r->doomed, &s->node);
        w->chain_lap = s->use.previous_lap_no;
    }
    retain_recount(r);
    cond_signal(&r->tidy_cond);
    lock_drop(&r->lock);
}

static void adopt(struct ring *r, struct segment *s, int fd)
{
    struct ring_writer_state *w = &r->writer;

    if (w->fd != -1)
        close(w->fd);
    lock_take(&r->lock);
    if (w->seg)
        w->seg->end = w->next;
    s->end = SEGMENT_OPEN;
    s->used = SEGMENT_HEAD_BYTES;
    s->mark_count = 0;
    list_remove(&s->node);
    list_push_back(&r->chain, &s->node);
    w->seg = s;
    retain_reap(r);
    retain_recount(r);
    lock_drop(&r->lock);
    w->fd = fd;
    segment_path(r->dir, s->slot, ".seg", w->path);
    w->at = SEGMENT_HEAD_BYTES;
    w->bound = w->next;
    w->chain_lap = s->use.lap_no;
    w->is_clean = r->opt.sync != RING_SYNC_NEVER;
    w->has_mark = false;
    atomic_store(&r->why, RING_WHY_NOT);
}

bool lap_start(struct ring *r, struct segment *s, uint64_t group_first, struct err *err)
{
    struct ring_writer_state *w = &r->writer;
    char path[RING_PATH_MAX];
    int fd = segment_open(r->dir, s->slot, true, err);

    if (fd == -1)
        return false;
    s->use = (struct segment_use){
        .ring_id = r->ring_id,
        .lap_no = ++w->lap_no,
        .lap_id = rand_u64(),
        .base = w->next,
        .previous_end = MIN(w->bound, w->next),
        .previous_lap_no = w->chain_lap,
        .group_first = group_first,
        .created_us = (uint64_t)clock_wall_us(),
    };
    lock_take(&r->lock);
    s->use.released = r->released;
    lock_drop(&r->lock);
    segment_path(r->dir, s->slot, ".seg", path);
    fault_crash("ring.before_head");
    if (!segment_write_head(fd, &s->use, path, err)) {
        close(fd);
        return false;
    }
    fault_crash("ring.head_synced");
    adopt(r, s, fd);
    return true;
}

bool lap_open_fresh(struct ring *r, uint64_t need, uint64_t group_first, int tries, struct err *err)
{
    for (int i = 0; i < tries; i++) {
        struct segment *s = retain_take(r, need, i == 0 && r->writer.lap_no == 0, err);

        if (!s)
            return false;
        if (lap_start(r, s, group_first, err))
            return true;
        log_error("ring", "segment given up", KV_STR("dir", r->dir), KV_U64("slot", s->slot),
                  KV_ERR(err));
        retain_bury(r, s);
    }
    return false;
}

void lap_lose(struct ring *r, const struct err *err)
{
    int why = RING_WHY_IO;

    if (err->code == ERR_FULL)
        why = atomic_load(&r->short_of) == RING_WHY_BUDGET ? RING_WHY_BUDGET : RING_WHY_DISK;
    atomic_store(&r->why, why);
    log_error("ring", "ring is read-only", KV_STR("dir", r->dir), KV_ERR(err));
    lock_take(&r->lock);
    retain_recount(r);
    cond_signal(&r->tidy_cond);
    lock_drop(&r->lock);
}

void lap_break(struct ring *r, uint64_t first, const struct err *err)
{
    struct ring_writer_state *w = &r->writer;
    struct err again = ERR_INIT;

    log_error("ring", "segment closed after a failed write", KV_STR("file", w->path),
              KV_U64("from_offset", first), KV_ERR(err));
    lock_take(&r->lock);
    w->seg->is_dead = true;
    lock_drop(&r->lock);
    w->seg = NULL;
    close(w->fd);
    w->fd = -1;
    cut_chain(r, first);
    w->next = first;
    w->bound = first;
    w->is_clean = true;
    if (!lap_open_fresh(r, 1, first, 1, &again))
        lap_lose(r, &again);
}

void lap_close(struct ring *r, const struct err *err)
{
    struct ring_writer_state *w = &r->writer;

    lock_take(&r->lock);
    w->seg->end = w->next;
    lock_drop(&r->lock);
    w->seg = NULL;
    close(w->fd);
    w->fd = -1;
    lap_lose(r, err);
}

void lap_reopen(struct ring *r)
{
    struct err err = ERR_INIT;

    if (!r->writer.seg && lap_open_fresh(r, 1, r->writer.next, 1, &err))
        log_info("ring", "writing goes on", KV_STR("dir", r->dir),
                 KV_U64("offset", r->writer.next));
}
