/* inspect.c - read-only looks at ring directories: the walk for `queue inspect`, verify and export,
 * and the search for a ring that was left behind. */
#include "base/fs.h"
#include "base/mem.h"
#include "ring/ring_priv.h"

#include <dirent.h>

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

/* --- elsewhere --- */

static bool has_unread(const struct recover *rec, const struct ring_options *opt, bool has_position)
{
    uint64_t at = has_position ? opt->position.offset : 0;

    if (list_is_empty(&rec->chain))
        return false;
    at = MAX(at, list_entry(rec->chain.next, const struct segment, node)->use.base);
    for (size_t i = 0; has_position && i < opt->run_count; i++) {
        if (opt->runs[i].from <= at)
            at = MAX(at, opt->runs[i].to);
    }
    return at < rec->end;
}

/* Does the directory hold the cursor's ring? *is_unread: and events of it that are not stored? */
static bool look_into(const char *dir, const struct ring_options *opt, bool *is_unread)
{
    bool has_position = opt->has_position && !uuid_is_nil(&opt->position.ring_id);
    struct err err = ERR_INIT;
    struct recover rec;
    bool is_it;

    *is_unread = false;
    if (!fs_exists(dir))
        return false;
    is_it = recover_load(dir, has_position ? &opt->position.ring_id : NULL, &rec, &err) &&
            rec.has_ring && (!has_position || uuid_eq(&rec.ring_id, &opt->position.ring_id));
    *is_unread = is_it && has_unread(&rec, opt, has_position);
    recover_fini(&rec);
    return is_it;
}

char *ring_elsewhere(const struct ring_options *opt)
{
    const char *slash = strrchr(opt->dir, '/');
    const char *name = slash ? slash + 1 : opt->dir;
    char *parent =
        slash ? slice_dup(slice_make(opt->dir, (size_t)(name - opt->dir))) : mem_dup_str(".");
    char *found = NULL;
    bool is_unread;
    DIR *d = look_into(opt->dir, opt, &is_unread) ? NULL : opendir(parent);
    struct dirent *e;

    while (d && !found && (e = readdir(d)) != NULL) {
        char *path;

        if (e->d_name[0] == '.' || strcmp(e->d_name, name) == 0)
            continue;
        path = fs_join(parent, e->d_name);
        if (look_into(path, opt, &is_unread) && is_unread)
            found = mem_dup_str(e->d_name);
        mem_free(path);
    }
    if (d)
        closedir(d);
    mem_free(parent);
    return found;
}
