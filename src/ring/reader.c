/* reader.c - the reading end: records in order, from memory near the head, else from the files.
 *
 * The tail is a list of groups that are durable and not yet read; the reader takes whole groups out
 * of it and gives out slices of their memory. When it grows past tail_bytes_max the oldest groups
 * are dropped; a reader that finds the tail beginning behind its place reads the segment files
 * until it has caught up. Files are found by sequence through the chain; places inside a segment by
 * its marks. What is missing is left to missing.c.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "ring/ring_priv.h"

static struct feed_group *next_of(const struct feed_group *g)
{
    return (struct feed_group *)(void *)g->node.next;
}

void reader_init(struct ring *r)
{
    lock_init(&r->tail_lock, "ring tail", RANK_RING_TAIL);
    cond_init(&r->tail_cond);
    cursor_init(&r->reader.cursor);
    r->delivered = mem_new_array(struct ring_delivered, RING_DELIVERED_MAX);
}

static void free_groups(struct feed_group *g)
{
    while (g) {
        struct feed_group *next = next_of(g);

        feed_group_free(g);
        g = next;
    }
}

void reader_fini(struct ring *r)
{
    cursor_close(&r->reader.cursor);
    free_groups(r->reader.mine);
    free_groups(r->tail);
    mem_free(r->delivered);
    cond_fini(&r->tail_cond);
    lock_fini(&r->tail_lock);
}

/* --- the tail --- */

static struct feed_group *pop_tail(struct ring *r)
{
    struct feed_group *g = r->tail;

    r->tail = next_of(g);
    if (!r->tail)
        r->tail_last = NULL;
    r->tail_bytes -= g->bytes;
    g->node.next = NULL;
    return g;
}

static void push_dropped(struct feed_group **dropped, struct feed_group *g)
{
    g->node.next = *dropped ? &(*dropped)->node : NULL;
    *dropped = g;
}

void reader_publish(struct ring *r, struct feed_group *first, struct feed_group *last, size_t bytes,
                    uint64_t end)
{
    struct feed_group *dropped = NULL;

    last->node.next = NULL;
    lock_take(&r->tail_lock);
    if (r->tail)
        r->tail_last->node.next = &first->node;
    else
        r->tail = first;
    r->tail_last = last;
    r->tail_bytes += bytes;
    r->durable_end = end;
    while (r->tail && r->tail_bytes > r->opt.tail_bytes_max)
        push_dropped(&dropped, pop_tail(r));
    cond_signal(&r->tail_cond);
    lock_drop(&r->tail_lock);
    free_groups(dropped);
}

/* Takes groups from the tail when it holds `next`, about `bytes_max` of them. True when the reader
 * has groups now. */
static bool take_tail(struct ring *r, size_t bytes_max)
{
    struct ring_reader_state *rd = &r->reader;
    struct feed_group *passed = NULL;
    struct feed_group *last = NULL;
    size_t bytes = 0;

    lock_take(&r->tail_lock);
    while (r->tail && r->tail->first + r->tail->count <= rd->next)
        push_dropped(&passed, pop_tail(r));
    if (r->tail && r->tail->first <= rd->next)
        rd->mine = r->tail;
    while (rd->mine && r->tail && (!last || bytes < bytes_max)) {
        struct feed_group *g = pop_tail(r);

        if (last)
            last->node.next = &g->node;
        last = g;
        bytes += g->bytes;
    }
    lock_drop(&r->tail_lock);
    free_groups(passed);
    rd->mine_at = 0;
    rd->mine_next = rd->mine ? rd->mine->first : 0;
    return rd->mine != NULL;
}

/* Where the files need not be read any more. */
static uint64_t tail_begin(struct ring *r)
{
    uint64_t first;

    lock_take(&r->tail_lock);
    first = r->tail ? r->tail->first : UINT64_MAX;
    lock_drop(&r->tail_lock);
    return first;
}

/* --- giving out --- */

/* What one call gives out. */
struct reading {
    struct feed_record *out;
    size_t max, count;
    size_t bytes_max, bytes;
};

/* False when the record would pass bytes_max. */
static bool take_record(struct reading *want, const struct feed_record *rec)
{
    if (want->count && want->bytes + rec->payload.len > want->bytes_max)
        return false;
    feed_block_ref(rec->block);
    want->out[want->count++] = *rec;
    want->bytes += rec->payload.len;
    return true;
}

/* Gives out records of `mine` until it is empty or the caller has enough. */
static void give_mine(struct ring *r, struct reading *want)
{
    struct ring_reader_state *rd = &r->reader;

    while (rd->mine && want->count < want->max) {
        struct feed_group *g = rd->mine;
        const char *at = g->block->bytes + rd->mine_at;
        struct record_head head;
        struct feed_record rec;

        memcpy(&head, at, sizeof(head));
        rec = (struct feed_record){
            .offset = rd->mine_next,
            .time_us = head.time_us,
            .key_hash = head.key_hash,
            .type = head.type,
            .payload = slice_make(at + RECORD_HEAD_BYTES, head.length),
            .block = g->block,
        };
        if (rec.offset >= rd->next) {
            if (!take_record(want, &rec))
                return;
            rd->next = rec.offset + 1;
        }
        rd->mine_next++;
        rd->mine_at += record_bytes(head.length);
        if (rd->mine_at == g->bytes) {
            rd->mine = next_of(g);
            rd->mine_at = 0;
            rd->mine_next = rd->mine ? rd->mine->first : 0;
            feed_group_free(g);
        }
    }
}

/* --- the files --- */

enum seek { SEEK_THERE, SEEK_AGAIN, SEEK_FAILED };

/* Puts the cursor on the segment that holds `next`, to read up to `end`. SEEK_AGAIN when `next` was
 * moved instead, over a hole or over what is released. */
static enum seek seek(struct ring *r, uint64_t end, struct err *err)
{
    struct ring_reader_state *rd = &r->reader;
    struct segment copy = {0};
    struct segment_mark mark = {0};
    uint64_t hole_to = end;

    lock_take(&r->lock);
    rd->next = MAX(rd->next, r->released);
    list_each (n, &r->chain) {
        const struct segment *s = list_entry(n, const struct segment, node);

        if (s->end <= rd->next)
            continue;
        copy = *s;
        mark = segment_mark_find(s, rd->next);
        hole_to = MIN(end, s->use.base);
        break;
    }
    lock_drop(&r->lock);
    if (hole_to > rd->next) {
        cursor_close(&rd->cursor);
        missing_gap(r, rd->next, hole_to);
        rd->next = hole_to;
        return SEEK_AGAIN;
    }
    if (rd->next >= end)
        return SEEK_AGAIN;
    if (rd->cursor.fd != -1 && rd->lap_no == copy.use.lap_no && rd->cursor.expect == rd->next) {
        cursor_extend(&rd->cursor, &copy, MIN(copy.end, end));
        return SEEK_THERE;
    }
    rd->lap_no = copy.use.lap_no;
    if (cursor_open(&rd->cursor, r->dir, &copy, mark.at, mark.sequence, MIN(copy.end, end), err))
        return SEEK_THERE;
    if (fs_exists(rd->cursor.path))
        return SEEK_FAILED;
    /* Somebody deleted it. */
    missing_gap(r, rd->next, MIN(copy.end, end));
    rd->next = MIN(copy.end, end);
    return SEEK_AGAIN;
}

/* Records from the files up to `end`, until the caller has enough. */
static bool give_files(struct ring *r, uint64_t end, struct reading *want, struct err *err)
{
    struct ring_reader_state *rd = &r->reader;
    struct cursor *c = &rd->cursor;
    struct feed_record rec;

    while (want->count < want->max && want->bytes < want->bytes_max && rd->next < end) {
        /* The cursor is of no use when the tail or a release moved `next` meanwhile. */
        bool is_placed = c->fd != -1 && c->expect <= rd->next;

        switch (is_placed ? cursor_next(c, &rec) : CURSOR_END) {
        case CURSOR_RECORD:
            if (rec.offset < rd->next)
                break;
            if (!take_record(want, &rec)) {
                c->at -= record_bytes(rec.payload.len);
                c->expect--;
                return true;
            }
            rd->next = rec.offset + 1;
            break;
        case CURSOR_LOST:
            missing_damage(r, c);
            rd->next = MAX(rd->next, c->lost_to);
            if (c->expect >= c->limit)
                cursor_close(c); /* it does not know where the next record will be: by the marks */
            break;
        case CURSOR_END:
            if (seek(r, end, err) == SEEK_FAILED)
                return false;
            break;
        }
    }
    return true;
}

/* --- read --- */

static void note_delivered(struct ring *r, const struct feed_record *first)
{
    struct ring_delivered d = {.first = first->offset, .time_us = (int64_t)first->time_us};

    lock_take(&r->lock);
    if (r->delivered_count == RING_DELIVERED_MAX) {
        /* Half of them, evenly: the answer stays right to within a few reads. */
        for (size_t i = 0; i < RING_DELIVERED_MAX / 2; i++)
            r->delivered[i] = r->delivered[2 * i];
        r->delivered_count = RING_DELIVERED_MAX / 2;
    }
    r->delivered[r->delivered_count++] = d;
    r->delivered_end = r->reader.next;
    lock_drop(&r->lock);
}

/* Time of the record at `offset`, which was not given out yet; about. */
static int64_t waiting_since(struct ring *r, uint64_t offset)
{
    int64_t time_us = 0;

    lock_take(&r->tail_lock);
    if (r->tail && r->tail->first <= offset) {
        struct record_head head;

        memcpy(&head, r->tail->block->bytes, sizeof(head));
        time_us = (int64_t)head.time_us;
    }
    lock_drop(&r->tail_lock);
    if (time_us)
        return time_us;
    lock_take(&r->lock);
    list_each (n, &r->chain) {
        const struct segment *s = list_entry(n, const struct segment, node);

        if (s->end > offset) {
            time_us = (int64_t)s->use.created_us;
            break;
        }
    }
    if (r->delivered_count)
        time_us = MAX(time_us, r->delivered[r->delivered_count - 1].time_us);
    lock_drop(&r->lock);
    return time_us;
}

int64_t reader_oldest_us(struct ring *r, uint64_t end)
{
    uint64_t offset;
    int64_t time_us = 0;

    lock_take(&r->lock);
    offset = r->released;
    if (r->delivered_count && offset < r->delivered_end)
        time_us = r->delivered[0].time_us;
    lock_drop(&r->lock);
    if (offset >= end)
        return 0;
    return time_us ? time_us : waiting_since(r, offset);
}

/* Waits until `next` may be read; *end: offsets below may. False: time is over, wake or stop. */
static bool wait_for_some(struct ring *r, int64_t timeout_us, uint64_t *end)
{
    int64_t until = timeout_us > 0 ? clock_mono_us() + timeout_us : 0;
    bool is_there;

    lock_take(&r->tail_lock);
    while (r->durable_end <= r->reader.next && !r->is_woken && !r->is_read_stopping &&
           timeout_us != 0) {
        if (timeout_us < 0)
            cond_wait(&r->tail_cond, &r->tail_lock);
        else if (!cond_wait_us(&r->tail_cond, &r->tail_lock, MAX(0, until - clock_mono_us())))
            break;
    }
    is_there = r->durable_end > r->reader.next;
    r->is_woken = false;
    *end = r->durable_end;
    lock_drop(&r->tail_lock);
    return is_there;
}

int reader_read(struct ring *r, struct feed_record *out, size_t max, size_t bytes_max,
                int64_t timeout_us, struct err *err)
{
    struct ring_reader_state *rd = &r->reader;
    struct reading want = {
        .out = out, .max = MIN(max, (size_t)INT_MAX), .bytes_max = MAX(bytes_max, 1)};
    uint64_t began = rd->next;
    bool ok = true;

    ASSERT_THREAD(FEED);
    while (ok && want.count == 0 && max > 0) {
        uint64_t end;
        size_t before;

        /* Nobody would hear of a hole at the end while we wait. */
        if (!wait_for_some(r, rd->next > began ? 0 : timeout_us, &end))
            return 0;
        do {
            before = want.count;
            give_mine(r, &want);
            if (rd->mine)
                break;
            if (take_tail(r, bytes_max))
                give_mine(r, &want);
            else
                ok = give_files(r, MIN(end, tail_begin(r)), &want, err);
        } while (ok && want.count > before && want.count < want.max &&
                 want.bytes < want.bytes_max && rd->next < end);
    }
    if (want.count)
        note_delivered(r, &out[0]);
    return want.count || ok ? (int)want.count : -1;
}

void reader_wake(struct ring *r, bool is_stop)
{
    lock_take(&r->tail_lock);
    r->is_woken = true;
    r->is_read_stopping = r->is_read_stopping || is_stop;
    cond_broadcast(&r->tail_cond);
    lock_drop(&r->tail_lock);
}
