/* A database file as a nameless copy in a directory of ours.
 *
 * Why a copy: look-ups want the file mapped, since a city database has 130 MB of which a server
 * touches little, and private memory for all of it would be a waste. But a mapping of the
 * operator's file dies with SIGBUS when somebody truncates it or writes over it, which is what `cp`
 * and half of all update scripts do. The copy has no name, so that nobody can change it, and
 * nothing is left behind when the process ends, however it ends. It costs one pass over the file at
 * start and as much disk as the file has.
 */
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "geo/geo_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((uint64_t)2 << 30) /* the largest databases known have 200 MB */
#define STEP_BYTES     ((size_t)256 << 10)

static int64_t nanoseconds(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static struct geo_identity identity_from(const struct stat *st)
{
    return (struct geo_identity){
        .is_there = true,
        .device = (uint64_t)st->st_dev,
        .inode = (uint64_t)st->st_ino,
        .bytes = (uint64_t)st->st_size,
        .changed_ns = nanoseconds(&st->st_ctim),
        .modified_ns = nanoseconds(&st->st_mtim),
    };
}

struct geo_identity geo_identity_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? identity_from(&st) : (struct geo_identity){.is_there = false};
}

bool geo_identity_eq(const struct geo_identity *a, const struct geo_identity *b)
{
    return a->is_there == b->is_there && a->device == b->device && a->inode == b->inode &&
           a->bytes == b->bytes && a->changed_ns == b->changed_ns &&
           a->modified_ns == b->modified_ns;
}

/* Some file systems have no nameless files: then the name goes away at once. */
static int open_nameless(const char *dir, struct err *err)
{
    char *path;
    int fd = -1;

#ifdef O_TMPFILE
    fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd != -1)
        return fd;
#endif
    path = fs_join(dir, "copy-XXXXXX");
    fd = mkostemp(path, O_CLOEXEC);
    if (fd == -1)
        err_errno(err, errno, "make a file in %s", dir);
    else
        (void)unlink(path);
    mem_free(path);
    return fd;
}

static int open_copy(const char *dir, struct err *err)
{
    const char *temp = getenv("TMPDIR");

    if (!dir)
        return open_nameless(temp && temp[0] ? temp : "/tmp", err);
    return fs_mkdirs(dir, 0700, err) ? open_nameless(dir, err) : -1;
}

static bool copy_all(int from, int to, const char *path, uint64_t bytes, struct err *err)
{
    char *step = mem_alloc(STEP_BYTES);
    uint64_t at = 0;
    size_t got = 1;
    bool ok = true;

    while (ok && got > 0 && at <= bytes) {
        ok = fs_pread(from, step, STEP_BYTES, at, &got, path, err) &&
             fs_pwrite(to, step, got, at, "the copy of the GeoIP database", err);
        at += got;
    }
    mem_free(step);
    return ok;
}

static int open_source(const char *path, struct geo_identity *identity, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd == -1 || fstat(fd, &st) == -1) {
        bool is_absent = errno == ENOENT || errno == ENOTDIR;

        err_errno(err, errno, "open %s", path);
        if (is_absent)
            err->code = ERR_GONE;
    } else if (!S_ISREG(st.st_mode)) {
        err_set(err, ERR_INPUT, "%s is not a file", path);
    } else if ((uint64_t)st.st_size > FILE_BYTES_MAX) {
        err_set(err, ERR_INPUT, "%s is longer than any GeoIP database (%llu bytes)", path,
                (unsigned long long)FILE_BYTES_MAX);
    } else {
        *identity = identity_from(&st);
        return fd;
    }
    if (fd != -1)
        (void)close(fd);
    return -1;
}

int geo_copy_file(const char *path, const char *dir, struct geo_identity *identity, struct err *err)
{
    struct geo_identity after;
    int from = open_source(path, identity, err), to = -1;
    bool ok = false;

    if (from == -1)
        return -1;
    to = open_copy(dir, err);
    if (to == -1 || !copy_all(from, to, path, identity->bytes, err))
        goto out;
    /* Somebody writes into it: the pieces might not fit. */
    after = geo_identity_of(path);
    if (!geo_identity_eq(identity, &after)) {
        *identity = (struct geo_identity){.is_there = false};
        err_set(err, ERR_RETRY, "%s is being written just now; it is read when that is over", path);
        goto out;
    }
    ok = true;
out:
    (void)close(from);
    if (!ok && to != -1) {
        (void)close(to);
        to = -1;
    }
    return to;
}

int geo_copy_bytes(struct slice bytes, const char *dir, struct err *err)
{
    int to = open_copy(dir, err);

    if (to != -1 &&
        !fs_pwrite(to, bytes.ptr, bytes.len, 0, "the copy of the GeoIP database", err)) {
        (void)close(to);
        to = -1;
    }
    return to;
}
