/* recover.c - what a ring directory holds, found from the segment heads and one scan.
 *
 * Every use of a segment ("lap") has a number that only grows. Walking the laps from the newest to
 * the oldest, each head says where everything older ends (previous_end): a lap that begins at or
 * behind that place was given up (a failed group, a cut tail, an old copy of the file) and counts
 * as blank. So only the newest lap has an end that must be searched for, and start-up time does not
 * depend on the backlog. Before a head is written, all records of older laps below its base are on
 * disk; what is missing there later was damaged, it is not a torn tail.
 *
 * The end of the newest lap. A power cut may have kept any part of what was written and not synced;
 * those groups were not acknowledged and may vanish, but only as a whole. Damage to what was
 * acknowledged must cost no more than the damaged records. Two things tell them apart: the first
 * record of each write carries RECORD_FLAG_SYNCED when everything before it was on disk, and before
 * the writer sleeps it leaves a mark record behind the last one. So:
 *   - a hole before the last such proof is damage: reading goes on behind it, the reader counts it;
 *   - behind the last proof the lap ends with the last complete group before the first hole.
 * A group that began in an earlier segment (group_first) and has no last record is cut there.
 */
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "ring/ring_priv.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_DIGITS 8

static bool is_segment_name(const char *name, const char *suffix, uint32_t *slot)
{
    uint64_t value;

    if (strlen(name) != NAME_DIGITS + 4 || strcmp(name + NAME_DIGITS, suffix) != 0 ||
        !slice_u64(slice_make(name, NAME_DIGITS), &value))
        return false;
    *slot = (uint32_t)value;
    return true;
}

static bool is_ours(const char *name)
{
    return name[0] == '.' || strcmp(name, "lost+found") == 0 || strcmp(name, "quarantine") == 0 ||
           strncmp(name, "foreign-", 8) == 0;
}

/* Into `list`, ascending by lap. Of two with one number (a copied file) the later made comes last.
 */
static void insert_by_lap(struct list *list, struct segment *s)
{
    struct list *pos = list;

    while (pos->prev != list) {
        const struct segment *o = list_entry(pos->prev, struct segment, node);

        if (o->use.lap_no < s->use.lap_no ||
            (o->use.lap_no == s->use.lap_no && o->use.created_us <= s->use.created_us))
            break;
        pos = pos->prev;
    }
    list_insert_before(pos, &s->node);
}

static bool load_segment(struct recover *rec, uint32_t slot, struct list *valid, struct err *err)
{
    char head[SEGMENT_HEAD_BYTES] = {0};
    char path[RING_PATH_MAX];
    struct segment *s = NULL;
    struct stat st;
    size_t got = 0;
    bool ok = false;
    int fd = segment_open(rec->dir, slot, false, err);

    segment_path(rec->dir, slot, ".seg", path);
    if (fd == -1)
        return false;
    if (fstat(fd, &st) == -1) {
        err_errno(err, errno, "cannot stat %s", path);
        goto out;
    }
    s = segment_new(slot, (uint64_t)st.st_size);
    if (!fs_pread(fd, head, sizeof(head), 0, &got, path, err))
        goto out;
    rec->bytes += s->bytes;
    switch (segment_head_decode(head, &s->use)) {
    case SEGMENT_VALID:
        insert_by_lap(valid, s);
        break;
    case SEGMENT_BLANK:
        list_push_back(&rec->spares, &s->node);
        break;
    case SEGMENT_DAMAGED:
        list_push_back(&rec->damaged, &s->node);
        break;
    case SEGMENT_NEWER:
        err_set(err, ERR_CORRUPT, "%s was written by a newer version of this program", path);
        goto out;
    }
    s = NULL;
    ok = true;
out:
    segment_free(s);
    close(fd);
    return ok;
}

static bool load_heads(struct recover *rec, struct list *valid, struct err *err)
{
    DIR *d = opendir(rec->dir);
    struct dirent *e;
    bool ok = false;
    uint32_t slot;

    if (!d)
        return err_set(err, ERR_IO, "cannot read ring directory %s: %s", rec->dir, strerror(errno));
    while (errno = 0, (e = readdir(d)) != NULL) {
        if (is_segment_name(e->d_name, ".seg", &slot)) {
            if (!load_segment(rec, slot, valid, err))
                goto out;
        } else if (is_segment_name(e->d_name, ".tmp", &slot)) {
            list_push_back(&rec->leftovers, &segment_new(slot, 0)->node);
        } else if (!is_ours(e->d_name)) {
            err_set(err, ERR_CORRUPT, "ring %s: %s does not belong here, move it away", rec->dir,
                    e->d_name);
            goto out;
        }
    }
    if (errno) {
        err_errno(err, errno, "cannot read ring directory %s", rec->dir);
        goto out;
    }
    ok = true;
out:
    closedir(d);
    return ok;
}

static void choose_ring(struct recover *rec, const struct list *valid, const struct uuid *wanted)
{
    uint64_t newest = 0;

    list_each (n, valid) {
        const struct segment *s = list_entry(n, struct segment, node);

        if (wanted && uuid_eq(&s->use.ring_id, wanted)) {
            rec->ring_id = *wanted;
            rec->has_ring = true;
            return;
        }
        if (!rec->has_ring || s->use.created_us >= newest) {
            newest = s->use.created_us;
            rec->ring_id = s->use.ring_id;
            rec->has_ring = true;
        }
    }
}

static void split_valid(struct recover *rec, struct list *valid)
{
    list_each_safe (n, next, valid) {
        struct segment *s = list_entry(n, struct segment, node);

        list_remove(n);
        if (!uuid_eq(&s->use.ring_id, &rec->ring_id)) {
            list_push_back(&rec->foreign, n);
            continue;
        }
        rec->lap_no_max = MAX(rec->lap_no_max, s->use.lap_no);
        rec->released = MAX(rec->released, s->use.released);
        if (!list_is_empty(&rec->chain)) {
            struct segment *last = list_entry(rec->chain.prev, struct segment, node);

            if (last->use.lap_no == s->use.lap_no) {
                log_warn("ring", "two segments with one lap, the later made counts",
                         KV_STR("dir", rec->dir), KV_U64("ignored", last->slot),
                         KV_U64("used", s->slot));
                list_remove(&last->node);
                list_push_back(&rec->spares, &last->node);
            }
        }
        list_push_back(&rec->chain, n);
    }
}

/* Ends of all laps when nothing is valid from `limit` on; what has nothing valid becomes a spare.
 */
static void bound(struct recover *rec, uint64_t limit)
{
    for (struct list *n = rec->chain.prev, *before = n->prev; n != &rec->chain;
         n = before, before = n->prev) {
        struct segment *s = list_entry(n, struct segment, node);

        if (s->use.base >= limit) {
            list_remove(n);
            list_push_front(&rec->spares, n);
        } else {
            s->end = limit;
            if (!s->used)
                s->used = s->bytes;
        }
        /* Also of an empty or given-up lap: what it says about older ones stays true. */
        limit = MIN(limit, s->use.previous_end);
    }
}

struct tail_scan {
    uint64_t end;    /* behind the last complete group */
    uint64_t end_at; /* file offset there */
    bool has_hole;   /* since the last proof */
    bool is_torn;
};

static void scan_record(struct tail_scan *t, const struct cursor *c, const struct feed_record *rec,
                        uint64_t at)
{
    if (c->flags & RECORD_FLAG_SYNCED) {
        t->has_hole = false;
        if (c->flags & RECORD_FLAG_FIRST && rec->offset > t->end) {
            t->end = rec->offset;
            t->end_at = at;
        }
    }
    if (c->flags & RECORD_FLAG_LAST && !t->has_hole) {
        t->end = rec->offset + 1;
        t->end_at = c->at;
    }
}

/* Finds the end of the newest lap. */
static bool scan_newest(struct recover *rec, struct segment *s, struct tail_scan *t,
                        struct err *err)
{
    struct cursor c;
    struct feed_record record;
    enum cursor_step step;
    uint64_t at = SEGMENT_HEAD_BYTES;

    *t = (struct tail_scan){.end = s->use.group_first, .end_at = SEGMENT_HEAD_BYTES};
    cursor_init(&c);
    if (!cursor_open(&c, rec->dir, s, at, s->use.base, SEGMENT_OPEN, err))
        return false;
    while ((step = cursor_next(&c, &record)) != CURSOR_END) {
        if (step == CURSOR_LOST)
            t->has_hole = true;
        else {
            segment_mark_add(s, record.offset, at);
            scan_record(t, &c, &record, at);
        }
        at = c.at;
    }
    if (c.is_marked && c.expect > t->end) {
        /* The mark proves what stands before it, even when the last record is damaged. */
        t->end = c.expect;
        t->end_at = c.at;
    }
    t->is_torn = !c.is_marked && (c.is_torn || t->has_hole || c.expect != t->end);
    cursor_close(&c);
    return true;
}

static bool find_end(struct recover *rec, struct err *err)
{
    struct tail_scan t;
    struct segment *s;

    if (list_is_empty(&rec->chain))
        return true;
    s = list_entry(rec->chain.prev, struct segment, node);
    if (!scan_newest(rec, s, &t, err))
        return false;
    rec->end = t.end;
    rec->is_torn = t.is_torn;
    rec->torn_at = t.end_at;
    s->used = t.end_at;
    bound(rec, t.end);
    if (!list_is_empty(&rec->chain))
        rec->last_lap_no = list_entry(rec->chain.prev, struct segment, node)->use.lap_no;
    return true;
}

/* Notes where laps are missing: their files were deleted, damaged or overwritten with something
 * old. */
static void find_missing(struct recover *rec)
{
    uint64_t expect = rec->lap_no_max;
    bool is_missing = false;

    for (struct list *n = rec->chain.prev; n != &rec->chain; n = n->prev) {
        struct segment *s = list_entry(n, struct segment, node);

        /* Above `expect`: a head that was written without the writer learning that it was. */
        if (s->use.lap_no <= expect) {
            s->is_next_missing = s->use.lap_no < expect;
            is_missing = is_missing || s->is_next_missing;
            expect = s->use.previous_lap_no;
        }
        s->is_behind_missing = is_missing;
    }
}

void recover_drop_copies(struct recover *rec)
{
    list_each_safe (n, next, &rec->chain) {
        struct segment *s = list_entry(n, struct segment, node);

        if (s->is_behind_missing && s->end <= rec->released) {
            list_remove(n);
            list_push_back(&rec->spares, n);
        }
    }
}

bool recover_load(const char *dir, const struct uuid *wanted, struct recover *rec, struct err *err)
{
    struct list valid;
    bool ok;

    memset(rec, 0, sizeof(*rec));
    rec->dir = dir;
    list_init(&valid);
    list_init(&rec->chain);
    list_init(&rec->spares);
    list_init(&rec->foreign);
    list_init(&rec->damaged);
    list_init(&rec->leftovers);
    ok = load_heads(rec, &valid, err);
    choose_ring(rec, &valid, wanted);
    split_valid(rec, &valid);
    find_missing(rec);
    return ok && find_end(rec, err);
}

static void free_list(struct list *list)
{
    list_each_safe (n, next, list) {
        list_remove(n);
        segment_free(list_entry(n, struct segment, node));
    }
}

void recover_fini(struct recover *rec)
{
    free_list(&rec->chain);
    free_list(&rec->spares);
    free_list(&rec->foreign);
    free_list(&rec->damaged);
    free_list(&rec->leftovers);
}

/* Moves one file to <dir>/<folder>/. */
static bool move_away(struct recover *rec, struct segment *s, const char *folder, struct err *err)
{
    char from[RING_PATH_MAX];
    char to_dir[RING_PATH_MAX];
    char to[RING_PATH_MAX + 32];
    int n = snprintf(to_dir, sizeof(to_dir), "%s/%s", rec->dir, folder);

    if (n < 0 || (size_t)n >= sizeof(to_dir))
        return err_set(err, ERR_IO, "the path %s is too long", rec->dir);
    if (!fs_mkdirs(to_dir, 0750, err))
        return false;
    segment_path(rec->dir, s->slot, ".seg", from);
    for (unsigned i = 0;; i++) {
        snprintf(to, sizeof(to), "%s/%08" PRIu32 ".%u.seg", to_dir, s->slot, i);
        if (!fs_exists(to))
            break;
    }
    if (rename(from, to) == -1)
        return err_errno(err, errno, "cannot move %s to %s", from, to_dir);
    rec->bytes -= s->bytes;
    return fs_sync_dir(to_dir, err) && fs_sync_dir(rec->dir, err);
}

static bool move_list(struct recover *rec, struct list *list, bool is_foreign, struct err *err)
{
    list_each_safe (n, next, list) {
        struct segment *s = list_entry(n, struct segment, node);
        char folder[64] = "quarantine";

        if (is_foreign) {
            char id[UUID_TEXT_LEN + 1];

            uuid_format(&s->use.ring_id, id);
            snprintf(folder, sizeof(folder), "foreign-%s", id);
            log_warn("ring", "segment of another ring is moved away", KV_STR("dir", rec->dir),
                     KV_U64("slot", s->slot), KV_STR("to", folder));
        } else {
            log_error("ring", "segment head is damaged, the file is moved to quarantine",
                      KV_STR("dir", rec->dir), KV_U64("slot", s->slot));
        }
        if (!move_away(rec, s, folder, err))
            return false;
        list_remove(n);
        segment_free(s);
    }
    return true;
}

void recover_all_foreign(struct recover *rec)
{
    struct list *lists[] = {&rec->chain, &rec->spares};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        list_each_safe (n, next, lists[i]) {
            if (list_entry(n, struct segment, node)->use.lap_no == 0)
                continue; /* blank */
            list_remove(n);
            list_push_back(&rec->foreign, n);
        }
    }
    rec->end = 0;
    rec->last_lap_no = 0;
    rec->lap_no_max = 0;
}

static bool remove_leftovers(struct recover *rec, struct err *err)
{
    list_each (n, &rec->leftovers) {
        char path[RING_PATH_MAX];

        segment_path(rec->dir, list_entry(n, struct segment, node)->slot, ".tmp", path);
        if (!fs_remove(path, err))
            return false;
    }
    return true;
}

bool recover_tidy(struct recover *rec, struct err *err)
{
    return move_list(rec, &rec->foreign, true, err) && move_list(rec, &rec->damaged, false, err) &&
           remove_leftovers(rec, err);
}
