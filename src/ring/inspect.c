/* inspect.c - read-only walk over a ring directory, for `queue inspect`, verify and export. */
#include "base/mem.h"
#include "ring/ring_priv.h"

struct walk {
    ring_walk_fn *fn;
    void *ctx;
    uint64_t next; /* sequence expected */
    uint64_t damaged, missing;
    bool is_stopped;
};

static bool walk_segment(const char *dir, const struct segment *s, struct walk *w, struct err *err)
{
    struct cursor c;
    struct feed_record rec;
    enum cursor_step step = CURSOR_RECORD;

    cursor_init(&c);
    if (!cursor_open(&c, dir, s, SEGMENT_HEAD_BYTES, s->use.base, s->end, err))
        return false;
    if (s->use.base > w->next)
        w->missing += s->use.base - w->next;
    while (!w->is_stopped && (step = cursor_next(&c, &rec)) != CURSOR_END) {
        if (step == CURSOR_LOST)
            *(c.is_gap ? &w->missing : &w->damaged) += c.lost_to - c.lost_from;
        else if (!w->fn(&rec, w->ctx))
            w->is_stopped = true;
    }
    w->next = s->end;
    cursor_close(&c);
    return true;
}

bool ring_inspect(const char *dir, ring_walk_fn *fn, void *ctx, struct err *err)
{
    struct walk w = {.fn = fn, .ctx = ctx};
    struct recover rec;
    bool ok = recover_load(dir, NULL, &rec, err);

    if (ok && !list_is_empty(&rec.chain))
        w.next = list_entry(rec.chain.next, const struct segment, node)->use.base;
    if (ok) {
        list_each (n, &rec.chain) {
            ok = ok && !w.is_stopped &&
                 walk_segment(dir, list_entry(n, const struct segment, node), &w, err);
        }
        ok = ok || w.is_stopped;
    }
    if (ok && (w.damaged || w.missing || !list_is_empty(&rec.damaged)))
        ok = err_set(err, ERR_CORRUPT, "ring %s: %llu records are damaged, %llu are missing%s", dir,
                     (unsigned long long)w.damaged, (unsigned long long)w.missing,
                     list_is_empty(&rec.damaged) ? "" : ", a segment has no readable head");
    recover_fini(&rec);
    return ok;
}
