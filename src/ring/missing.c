/* missing.c - tells of records that are not there, once, and keeps the damaged bytes.
 *
 * Damaged records are counted as corrupt and copied to quarantine/ (at most RING_QUARANTINE_BYTES
 * in all); holes between segments are counted as gaps; both without what the store had finished.
 * Runs on FEED.
 */
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "ring/ring_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_PIECE (64u << 10)

static uint64_t released(struct ring *r)
{
    uint64_t offset;

    lock_take(&r->lock);
    offset = r->released;
    lock_drop(&r->lock);
    return offset;
}

void missing_gap(struct ring *r, uint64_t from, uint64_t to)
{
    uint64_t first;
    uint64_t n;

    /* Part of it may have been told when the ring was opened. */
    if (from >= r->gap_from && from < r->gap_to)
        from = MIN(to, r->gap_to);
    n = position_unfinished(r, from, to, &first);
    if (!n)
        return;
    metric_add(r->metrics.gap, n);
    log_error("ring", "events are missing between segments", KV_STR("dir", r->dir),
              KV_U64("from_offset", first), KV_U64("to_offset", to - 1), KV_U64("count", n));
}

static uint64_t folder_bytes(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *e;
    uint64_t bytes = 0;

    if (!d)
        return 0;
    while ((e = readdir(d)) != NULL) {
        struct stat st;

        if (fstatat(dirfd(d), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    }
    closedir(d);
    return bytes;
}

static bool copy_range(const struct cursor *c, int to_fd, const char *path, struct err *err)
{
    char *piece = mem_alloc(COPY_PIECE);
    uint64_t at = c->bad_from;
    bool ok = true;

    while (ok && at < c->bad_to) {
        size_t want = (size_t)MIN(c->bad_to - at, COPY_PIECE);
        size_t got = 0;

        ok = fs_pread(c->fd, piece, want, at, &got, path, err) &&
             fs_pwrite(to_fd, piece, got, at - c->bad_from, path, err);
        if (got == 0)
            break;
        at += got;
    }
    mem_free(piece);
    return ok;
}

/* Keeps the damaged bytes for whoever wants to look; a help only, so failures are just told. */
static void quarantine(const struct ring *r, const struct cursor *c)
{
    char folder[RING_PATH_MAX];
    char path[RING_PATH_MAX + 64];
    struct err err = ERR_INIT;
    int fd;

    snprintf(folder, sizeof(folder), "%s/quarantine", r->dir);
    snprintf(path, sizeof(path), "%s/%08" PRIu64 "-%" PRIu64 ".corrupt", folder, r->reader.lap_no,
             c->bad_from);
    if (c->bad_to == c->bad_from || fs_exists(path) ||
        folder_bytes(folder) + (c->bad_to - c->bad_from) > RING_QUARANTINE_BYTES)
        return;
    if (!fs_mkdirs(folder, 0750, &err)) {
        log_warn("ring", "damaged bytes are not kept", KV_ERR(&err));
        return;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd == -1) {
        err_errno(&err, errno, "cannot create %s", path);
        log_warn("ring", "damaged bytes are not kept", KV_ERR(&err));
        return;
    }
    if (!copy_range(c, fd, path, &err))
        log_warn("ring", "damaged bytes are not kept whole", KV_ERR(&err));
    close(fd);
}

void missing_damage(struct ring *r, const struct cursor *c)
{
    /* What is released may be overwritten while we look at it: that is no damage. */
    uint64_t from = MAX(c->lost_from, r->reader.next);
    uint64_t done = released(r);
    uint64_t first;
    uint64_t n;

    from = MAX(from, done);
    if (c->is_gap) {
        missing_gap(r, from, c->lost_to);
        return;
    }
    n = position_unfinished(r, from, c->lost_to, &first);
    if (!n)
        return;
    metric_add(r->metrics.corrupt, n);
    log_error("ring", "damaged records are skipped", KV_STR("file", c->path),
              KV_U64("at", c->bad_from), KV_U64("bytes", c->bad_to - c->bad_from),
              KV_U64("from_offset", first), KV_U64("to_offset", c->lost_to - 1),
              KV_U64("count", n));
    quarantine(r, c);
}
