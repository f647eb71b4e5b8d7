/* segment.c - one segment file: create, head, write, sync, delete.
 *
 *   0                 4096
 *   +-----------------+--------+--------+-----+---------------+
 *   | head (2 copies) | record | record | ... | zeros / older |
 *   +-----------------+--------+--------+-----+---------------+
 *
 * A file is zero-filled under a temporary name and renamed when it is durable, so a *.seg file
 * always has all its blocks: overwriting then costs no extent or inode update, which makes
 * fdatasync several times faster than on growing files. The head lies twice in different sectors,
 * each with its own CRC32C, so that neither a torn write nor one bad byte takes a whole segment
 * away. Copies are chosen by the higher lap number.
 *
 * Head, little endian:
 *   magic 8, version u32, crc32c u32 (of everything behind), ring id 16, lap_no, lap_id, base,
 *   previous_end, previous_lap_no, group_first, released, created_us (u64 each)
 */
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "ring/ring_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

struct disk_head {
    char magic[8];
    uint32_t version;
    uint32_t crc32c;
    struct segment_use use;
};

#define HEAD_MAGIC "HEDGRING"
#define FILL_BYTES (64u << 10)
#define FILL_IOVS  16
#define FILL_SYNC  (2u << 20)
#define MARK_STEP  (1u << 20)

_Static_assert(sizeof(struct disk_head) == 96, "disk format");
_Static_assert(2 * sizeof(struct disk_head) <= SEGMENT_HEAD_BYTES, "both copies fit");

struct segment *segment_new(uint32_t slot, uint64_t bytes)
{
    struct segment *s = mem_new(struct segment);

    list_init(&s->node);
    s->slot = slot;
    s->bytes = bytes;
    return s;
}

void segment_free(struct segment *s)
{
    if (!s)
        return;
    mem_free(s->marks);
    mem_free(s);
}

void segment_path(const char *dir, uint32_t slot, const char *suffix, char out[RING_PATH_MAX])
{
    snprintf(out, RING_PATH_MAX, "%s/%08" PRIu32 "%s", dir, slot, suffix);
}

static uint32_t head_crc(const struct disk_head *d)
{
    return crc32c(0, &d->use, sizeof(d->use));
}

void segment_head_encode(const struct segment_use *use, char head[SEGMENT_HEAD_BYTES])
{
    struct disk_head d = {.version = SEGMENT_VERSION, .use = *use};

    memcpy(d.magic, HEAD_MAGIC, sizeof(d.magic));
    d.crc32c = head_crc(&d);
    memset(head, 0, SEGMENT_HEAD_BYTES);
    memcpy(head, &d, sizeof(d));
    memcpy(head + SEGMENT_COPY_AT, &d, sizeof(d));
}

static enum segment_state copy_decode(const char *at, struct segment_use *use)
{
    struct disk_head d;

    memcpy(&d, at, sizeof(d));
    if (memcmp(d.magic, HEAD_MAGIC, sizeof(d.magic)) != 0)
        return SEGMENT_DAMAGED;
    if (d.version > SEGMENT_VERSION)
        return SEGMENT_NEWER;
    if (d.version != SEGMENT_VERSION || head_crc(&d) != d.crc32c)
        return SEGMENT_DAMAGED;
    /* What the writer promises; later arithmetic relies on it. */
    if (d.use.previous_end > d.use.base || d.use.group_first > d.use.base ||
        d.use.base >= SEGMENT_OPEN / 2 || d.use.lap_no == 0)
        return SEGMENT_DAMAGED;
    *use = d.use;
    return SEGMENT_VALID;
}

enum segment_state segment_head_decode(const char head[SEGMENT_HEAD_BYTES], struct segment_use *use)
{
    struct segment_use second;
    enum segment_state a = copy_decode(head, use);
    enum segment_state b = copy_decode(head + SEGMENT_COPY_AT, &second);

    if (b == SEGMENT_VALID && (a != SEGMENT_VALID || second.lap_no > use->lap_no)) {
        *use = second;
        return b;
    }
    if (a != SEGMENT_DAMAGED)
        return a;
    if (b != SEGMENT_DAMAGED)
        return b;
    for (size_t i = 0; i < SEGMENT_HEAD_BYTES; i++) {
        if (head[i] != 0)
            return SEGMENT_DAMAGED;
    }
    return SEGMENT_BLANK;
}

static bool fill(int fd, uint64_t bytes, const char *path, struct err *err)
{
    char *zeros = mem_zalloc(FILL_BYTES);
    uint64_t at = 0;
    uint64_t synced = 0;
    bool ok = false;

    while (at < bytes) {
        struct iovec iov[FILL_IOVS];
        int count = 0;

        for (uint64_t end = at; count < FILL_IOVS && end < bytes; count++) {
            iov[count].iov_base = zeros;
            iov[count].iov_len = MIN(bytes - end, FILL_BYTES);
            end += iov[count].iov_len;
        }
        if (!segment_write(fd, iov, count, at, path, err))
            goto out;
        at = MIN(bytes, at + (uint64_t)FILL_IOVS * FILL_BYTES);
        /* In portions, so that group commits of the current segment do not wait behind all of it.
         */
        if (at - synced >= FILL_SYNC && at < bytes) {
            if (!segment_sync(fd, path, err))
                goto out;
            synced = at;
        }
    }
    ok = true;
out:
    mem_free(zeros);
    return ok;
}

/* Of a file that never counted; when it stays, recovery deletes it or takes it as a spare. */
static void discard(const char *path)
{
    struct err err = ERR_INIT;

    if (!fs_remove(path, &err))
        log_warn("ring", "unfinished segment stays", KV_ERR(&err));
}

static bool make_file(const char *path, uint64_t bytes, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    bool ok = false;

    if (fd == -1)
        return err_errno(err, errno, "cannot create %s", path);
    if (fault_point("ring.prealloc")) {
        err_errno(err, ENOSPC, "cannot allocate %s", path);
        goto out;
    }
    /* Finds out at once that there is no room; file systems without it find out by the filling. */
    if (fallocate(fd, 0, 0, (off_t)bytes) == -1 && errno != EOPNOTSUPP && errno != ENOSYS &&
        errno != EINVAL) {
        err_errno(err, errno, "cannot allocate %s", path);
        goto out;
    }
    if (!fill(fd, bytes, path, err))
        goto out;
    if (fsync(fd) == -1) {
        err_errno(err, errno, "cannot sync %s", path);
        goto out;
    }
    ok = true;
out:
    close(fd);
    return ok;
}

bool segment_create(const char *dir, uint32_t slot, uint64_t bytes, struct err *err)
{
    char temp[RING_PATH_MAX];
    char path[RING_PATH_MAX];

    segment_path(dir, slot, ".tmp", temp);
    segment_path(dir, slot, ".seg", path);
    if (!make_file(temp, bytes, err)) {
        discard(temp);
        return false;
    }
    fault_crash("ring.created");
    if (rename(temp, path) == -1) {
        err_errno(err, errno, "cannot rename %s", temp);
        discard(temp);
        return false;
    }
    fault_crash("ring.renamed");
    if (!fs_sync_dir(dir, err)) {
        discard(path);
        return false;
    }
    return true;
}

int segment_open(const char *dir, uint32_t slot, bool is_writable, struct err *err)
{
    char path[RING_PATH_MAX];
    int fd;

    segment_path(dir, slot, ".seg", path);
    fd = open(path, (is_writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd == -1)
        err_errno(err, errno, "cannot open %s", path);
    return fd;
}

bool segment_write_head(int fd, const struct segment_use *use, const char *path, struct err *err)
{
    /* The page behind ends the lap: without it older records there would look like a torn tail. */
    char *pages = mem_zalloc(SEGMENT_HEAD_BYTES + RING_PAGE);
    bool ok = false;

    segment_head_encode(use, pages);
    if (fault_point("ring.header"))
        err_errno(err, EIO, "cannot write %s", path);
    else
        ok = fs_pwrite(fd, pages, SEGMENT_HEAD_BYTES + RING_PAGE, 0, path, err);
    mem_free(pages);
    fault_crash("ring.head_written");
    return ok && segment_sync(fd, path, err);
}

bool segment_write(int fd, struct iovec *iov, int count, uint64_t at, const char *path,
                   struct err *err)
{
    if (fault_point("ring.write"))
        return err_errno(err, EIO, "cannot write %s", path);
    if (fault_point("ring.write_full"))
        return err_errno(err, ENOSPC, "cannot write %s", path);
    while (count > 0) {
        ssize_t n = pwritev(fd, iov, count, (off_t)at);

        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno(err, n == 0 ? ENOSPC : errno, "cannot write %s", path);
        at += (uint64_t)n;
        while (count > 0 && (size_t)n >= iov->iov_len) {
            n -= (ssize_t)iov->iov_len;
            iov++;
            count--;
        }
        if (count > 0) {
            iov->iov_base = (char *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return true;
}

bool segment_sync(int fd, const char *path, struct err *err)
{
    int result;

    if (fault_point("ring.fdatasync"))
        return err_errno(err, EIO, "cannot sync %s", path);
    /* An interrupted call has not reported a failure yet; any other is never repeated, because the
     * kernel may have dropped the pages and would then report success. */
    do
        result = fdatasync(fd);
    while (result == -1 && errno == EINTR);
    if (result == -1)
        return err_errno(err, errno, "cannot sync %s", path);
    return true;
}

bool segment_unlink(const char *dir, uint32_t slot, struct err *err)
{
    char path[RING_PATH_MAX];
    struct err ignored = ERR_INIT;

    segment_path(dir, slot, ".seg", path);
    if (fault_point("ring.unlink"))
        return err_errno(err, EIO, "cannot delete %s", path);
    if (!fs_remove(path, err))
        return false;
    fault_crash("ring.unlinked");
    /* When this is lost the file comes back after a power cut, as a passed segment. */
    if (!fs_sync_dir(dir, &ignored))
        log_warn("ring", "directory not synced after a deletion", KV_ERR(&ignored));
    return true;
}

void segment_mark_add(struct segment *s, uint64_t sequence, uint64_t at)
{
    uint64_t last = s->mark_count ? s->marks[s->mark_count - 1].at : SEGMENT_HEAD_BYTES;

    if (at < last + MARK_STEP)
        return;
    if (s->mark_count == s->mark_cap) {
        s->mark_cap = s->mark_cap ? s->mark_cap * 2 : 16;
        s->marks = mem_realloc(s->marks, s->mark_cap * sizeof(*s->marks));
    }
    s->marks[s->mark_count++] = (struct segment_mark){.sequence = sequence, .at = at};
}

struct segment_mark segment_mark_find(const struct segment *s, uint64_t sequence)
{
    struct segment_mark best = {.sequence = s->use.base, .at = SEGMENT_HEAD_BYTES};

    for (size_t i = 0; i < s->mark_count && s->marks[i].sequence <= sequence; i++)
        best = s->marks[i];
    return best;
}
