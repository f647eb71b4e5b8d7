/* retain.c - space: budget, spares, reuse, and the TIDY thread that works on them.
 *
 * Files are in one of four lists (under `lock`): chain (records that may be unread), spares (may be
 * overwritten), doomed (to be deleted), in_hand. A chain segment becomes a spare when the store has
 * released everything in it; a dead one, or one of another size, is doomed instead.
 *
 * TIDY sees to it that one spare is ready when the current segment is half full and a second at
 * three quarters. By then the segment before has usually been released and is one of them, so that
 * under steady load the same few files go round; and an idle or tiny installation never makes a
 * spare. What is above RING_SPARES is deleted, except that a backlog keeps as many more as it has
 * segments: they would be made again soon. When none is ready the SYNC thread makes a small segment
 * itself rather than wait for a large one.
 *
 * `room` is what may still be accepted: rest of the current segment, spares, and what budget and
 * disk allow to be created. Appends are refused when the queue would pass it, so the budget is
 * respected before anything is promised. The disk is looked at by SYNC, at most once a second and
 * only when it writes; while appends are refused or there is no segment, TIDY looks every second
 * (`probe_us`). Otherwise nobody wakes up.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "ring/ring_priv.h"

#define LOOK_US 1000000

/* --- room --- */

static size_t list_length(const struct list *l)
{
    size_t n = 0;

    list_each (pos, l)
        n++;
    return n;
}

static uint64_t creatable(const struct ring *r, int *why)
{
    uint64_t budget = r->opt.bytes_max > r->total_bytes ? r->opt.bytes_max - r->total_bytes : 0;
    uint64_t disk = r->disk_free > r->opt.min_free_bytes ? r->disk_free - r->opt.min_free_bytes : 0;

    *why = disk < budget ? RING_WHY_DISK : RING_WHY_BUDGET;
    return MIN(budget, disk);
}

void retain_recount(struct ring *r)
{
    int why;
    uint64_t space = creatable(r, &why);
    uint64_t whole = r->segment_bytes - SEGMENT_HEAD_BYTES;
    uint64_t room = space / r->segment_bytes * whole;
    size_t spares = 0;

    if (!list_is_empty(&r->chain)) {
        const struct segment *s = list_entry(r->chain.prev, struct segment, node);

        if (s->end == SEGMENT_OPEN)
            room += s->bytes - s->used;
    }
    list_each (n, &r->spares) {
        room += list_entry(n, struct segment, node)->bytes - SEGMENT_HEAD_BYTES;
        spares++;
    }
    if (r->disk_free < r->opt.min_free_bytes) {
        why = RING_WHY_DISK;
        room = 0;
    } else if (r->total_bytes > r->opt.bytes_max) {
        why = RING_WHY_BUDGET;
        room = 0;
    }
    atomic_store(&r->short_of, why);
    atomic_store(&r->room, room);
    metric_set(r->metrics.bytes, (double)r->total_bytes);
    metric_set(r->metrics.segments_spare, (double)spares);
    metric_set(r->metrics.segments_unread, (double)list_length(&r->chain));
}

void retain_note_used(struct ring *r, struct segment *s, uint64_t used)
{
    uint64_t room = atomic_load(&r->room);

    atomic_store(&r->room, room - MIN(room, used - s->used));
    s->used = used;
}

void retain_look_at_disk(struct ring *r, bool is_forced)
{
    int64_t now = clock_mono_us();
    struct err err = ERR_INIT;
    uint64_t bytes;
    bool is_due;

    lock_take(&r->lock);
    is_due = is_forced || now - r->disk_seen_us >= LOOK_US;
    if (is_due)
        r->disk_seen_us = now;
    lock_drop(&r->lock);
    if (!is_due)
        return;
    if (!fs_free_bytes(r->dir, &bytes, &err)) {
        log_warn("ring", "free disk space is unknown", KV_ERR(&err));
        return;
    }
    lock_take(&r->lock);
    r->disk_free = bytes;
    retain_recount(r);
    lock_drop(&r->lock);
}

void retain_short(struct ring *r)
{
    if (atomic_exchange(&r->was_short, true))
        return;
    lock_take(&r->lock);
    cond_signal(&r->tidy_cond);
    lock_drop(&r->lock);
}

void retain_explain(int why, struct err *err)
{
    switch (why) {
    case RING_WHY_BUDGET:
        err_set(err, ERR_FULL, "the ring is full of unread events (QUEUE_MAX_BYTES)");
        break;
    case RING_WHY_DISK:
        err_set(err, ERR_FULL, "the disk of the ring is full (QUEUE_MIN_FREE_BYTES)");
        break;
    default:
        err_set(err, ERR_IO, "writing to the ring failed, it is read-only for now");
    }
}

/* --- segments in and out --- */

static bool is_slot_used(const struct ring *r, uint32_t slot)
{
    const struct list *lists[] = {&r->chain, &r->spares, &r->doomed, &r->in_hand};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        list_each (n, lists[i]) {
            if (list_entry(n, const struct segment, node)->slot == slot)
                return true;
        }
    }
    return false;
}

/* Accounts for a new file and puts it into `in_hand`. Lock held. */
static struct segment *begin_making(struct ring *r, uint64_t bytes)
{
    struct segment *s;

    while (is_slot_used(r, r->next_slot))
        r->next_slot = (r->next_slot + 1) % SEGMENT_SLOTS;
    s = segment_new(r->next_slot, bytes);
    list_push_back(&r->in_hand, &s->node);
    r->total_bytes += bytes;
    return s;
}

/* Creates the file, without the lock. NULL when that fails. */
static struct segment *finish_making(struct ring *r, struct segment *s, struct err *err)
{
    bool ok = segment_create(r->dir, s->slot, s->bytes, err);

    lock_take(&r->lock);
    if (!ok) {
        r->total_bytes -= s->bytes;
        list_remove(&s->node);
    } else if (r->disk_free > s->bytes)
        r->disk_free -= s->bytes;
    else
        r->disk_free = 0;
    if (!ok && err->code == ERR_FULL)
        atomic_store(&r->short_of, RING_WHY_DISK);
    lock_drop(&r->lock);
    if (ok)
        return s;
    segment_free(s);
    return NULL;
}

static struct segment *best_spare(struct ring *r, uint64_t need)
{
    struct segment *best = NULL;

    if (atomic_load(&r->is_reuse_paused))
        return NULL;
    list_each (n, &r->spares) {
        struct segment *s = list_entry(n, struct segment, node);
        bool is_whole = s->bytes == r->segment_bytes;

        if (s->bytes < SEGMENT_BYTES_MIN || s->bytes % RING_PAGE ||
            s->bytes - SEGMENT_HEAD_BYTES < need)
            continue;
        /* Whole ones first; among equals the oldest, so that old records stay as long as can be. */
        if (!best || (is_whole && best->bytes != r->segment_bytes) ||
            (is_whole == (best->bytes == r->segment_bytes) && s->use.lap_no < best->use.lap_no))
            best = s;
    }
    return best;
}

struct segment *retain_take(struct ring *r, uint64_t need, bool is_first, struct err *err)
{
    struct segment *s;
    uint64_t bytes = r->first_segment_bytes;
    int why;

    lock_take(&r->lock);
    s = best_spare(r, need);
    if (s) {
        list_remove(&s->node);
        list_push_back(&r->in_hand, &s->node);
        retain_recount(r);
        lock_drop(&r->lock);
        return s;
    }
    if (need > bytes - SEGMENT_HEAD_BYTES)
        bytes = r->segment_bytes;
    if (!is_first && creatable(r, &why) < bytes) {
        atomic_store(&r->short_of, why);
        lock_drop(&r->lock);
        retain_explain(why, err);
        return NULL;
    }
    s = begin_making(r, bytes);
    lock_drop(&r->lock);
    return finish_making(r, s, err);
}

static bool is_spare_welcome(const struct ring *r, const struct segment *s)
{
    return !s->is_dead && s->bytes == r->segment_bytes;
}

void retain_give_back(struct ring *r, struct segment *s)
{
    lock_take(&r->lock);
    list_remove(&s->node);
    list_push_back(&r->spares, &s->node);
    retain_recount(r);
    cond_signal(&r->tidy_cond);
    lock_drop(&r->lock);
}

void retain_bury(struct ring *r, struct segment *s)
{
    lock_take(&r->lock);
    s->is_dead = true;
    list_remove(&s->node);
    list_push_back(&r->doomed, &s->node);
    cond_signal(&r->tidy_cond);
    lock_drop(&r->lock);
}

void retain_reap(struct ring *r)
{
    while (!list_is_empty(&r->chain)) {
        struct segment *s = list_entry(r->chain.next, struct segment, node);

        if (s->end == SEGMENT_OPEN || s->end > r->released)
            break;
        list_remove(&s->node);
        list_push_back(s->is_dead ? &r->doomed : &r->spares, &s->node);
    }
}

void retain_release(struct ring *r, uint64_t offset)
{
    bool wants_reopen = false;
    size_t keep = 0;

    lock_take(&r->lock);
    if (offset > r->released) {
        const struct list *head = r->chain.next;

        r->released = offset;
        while (keep + 1 < r->delivered_count && r->delivered[keep + 1].first <= offset)
            keep++;
        if (keep) {
            r->delivered_count -= keep;
            memmove(r->delivered, r->delivered + keep, r->delivered_count * sizeof(*r->delivered));
        }
        retain_reap(r);
        if (r->chain.next != head) {
            retain_recount(r);
            cond_signal(&r->tidy_cond);
            wants_reopen =
                atomic_load(&r->why) == RING_WHY_BUDGET || atomic_load(&r->why) == RING_WHY_DISK;
        }
    }
    lock_drop(&r->lock);
    if (wants_reopen) {
        atomic_store(&r->wants_reopen, true);
        mpsc_kick(&r->queue);
    }
}

/* --- TIDY --- */

static void delete_one(struct ring *r)
{
    struct segment *s = list_entry(r->doomed.next, struct segment, node);
    struct err err = ERR_INIT;
    bool ok;

    lock_drop(&r->lock);
    ok = segment_unlink(r->dir, s->slot, &err);
    lock_take(&r->lock);
    if (!ok) {
        log_error("ring", "segment cannot be deleted", KV_STR("dir", r->dir),
                  KV_U64("slot", s->slot), KV_ERR(&err));
        r->has_tidy_failed = true;
        return;
    }
    list_remove(&s->node);
    r->total_bytes -= s->bytes;
    segment_free(s);
    retain_recount(r);
}

static void make_spare(struct ring *r)
{
    struct segment *s = begin_making(r, r->segment_bytes);
    struct err err = ERR_INIT;

    lock_drop(&r->lock);
    s = finish_making(r, s, &err);
    lock_take(&r->lock);
    if (s) {
        list_remove(&s->node);
        list_push_back(&r->spares, &s->node);
        retain_recount(r);
    } else {
        log_error("ring", "no spare segment", KV_STR("dir", r->dir), KV_ERR(&err));
        r->has_tidy_failed = true;
    }
}

/* A spare that has no place any more goes to `doomed`. */
static bool doom_one(struct ring *r, size_t spares)
{
    size_t most = RING_SPARES + list_length(&r->chain) - 1;

    list_each (n, &r->spares) {
        struct segment *s = list_entry(n, struct segment, node);

        if (spares > most || !is_spare_welcome(r, s)) {
            list_remove(n);
            list_push_back(&r->doomed, n);
            return true;
        }
    }
    return false;
}

size_t retain_spares_wanted(const struct segment *current)
{
    return current->used >= current->bytes / 4 * 3 ? 2 : current->used >= current->bytes / 2;
}

static size_t spares_wanted(const struct ring *r)
{
    const struct segment *s = NULL;

    if (!list_is_empty(&r->chain))
        s = list_entry(r->chain.prev, const struct segment, node);
    return s && s->end == SEGMENT_OPEN ? retain_spares_wanted(s) : 1;
}

/* One piece of work; false when there is none. Lock held, dropped meanwhile. */
static bool tidy_step(struct ring *r)
{
    size_t spares = list_length(&r->spares);
    bool has_segment = atomic_load(&r->why) == RING_WHY_NOT;
    int why;

    if (r->has_tidy_failed || atomic_load(&r->is_reuse_paused))
        return false;
    if (!list_is_empty(&r->doomed)) {
        delete_one(r);
        return true;
    }
    /* Without a segment to write to, every spare of any size is welcome. */
    if (has_segment && doom_one(r, spares))
        return true;
    /* One in hand is about to become the current segment: what is wanted then is another question.
     */
    if (spares + list_length(&r->in_hand) < spares_wanted(r) &&
        creatable(r, &why) >= r->segment_bytes) {
        make_spare(r);
        return true;
    }
    return false;
}

static void probe(struct ring *r)
{
    r->has_tidy_failed = false;
    atomic_store(&r->was_short, false);
    lock_drop(&r->lock);
    retain_look_at_disk(r, true);
    if (atomic_load(&r->why) != RING_WHY_NOT) {
        atomic_store(&r->wants_reopen, true);
        mpsc_kick(&r->queue);
    }
    lock_take(&r->lock);
}

void retain_main(void *ring)
{
    struct ring *r = ring;
    int64_t due_us = 0;

    ASSERT_THREAD(TIDY);
    lock_take(&r->lock);
    while (!r->is_tidy_stopping) {
        bool is_probing;

        if (tidy_step(r))
            continue;
        is_probing = r->has_tidy_failed || atomic_load(&r->was_short) ||
                     atomic_load(&r->why) != RING_WHY_NOT;
        if (!is_probing) {
            due_us = 0;
            cond_wait(&r->tidy_cond, &r->lock);
            continue;
        }
        if (!due_us)
            due_us = clock_mono_us() + r->probe_us;
        if (clock_mono_us() < due_us &&
            cond_wait_us(&r->tidy_cond, &r->lock, due_us - clock_mono_us()))
            continue;
        due_us = 0;
        probe(r);
    }
    lock_drop(&r->lock);
}
