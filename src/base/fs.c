#include "base/fs.h"

#include "base/fault.h"
#include "base/mem.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define READ_STEP 65536

static bool fail(struct err *err, int errno_value, const char *verb, const char *path)
{
    err_errno(err, errno_value, "%s %s", verb, path);
    if (errno_value == ENOENT || errno_value == ENOTDIR)
        err->code = ERR_GONE;
    return false;
}

static int open_retry(const char *path, int flags, unsigned mode)
{
    int fd;

    do
        fd = open(path, flags | O_CLOEXEC, (mode_t)mode);
    while (fd == -1 && errno == EINTR);
    return fd;
}

// read(), repeated on EINTR; -1 with errno.
static ssize_t read_retry(int fd, void *bytes, size_t len)
{
    ssize_t got;

    if (fault_point("fs.read")) {
        errno = EIO;
        return -1;
    }
    do
        got = read(fd, bytes, len);
    while (got == -1 && errno == EINTR);
    return got;
}

static bool read_all(int fd, const char *path, struct buf *out, struct err *err)
{
    for (;;) {
        // One byte more than the maximum allows is asked for aside, to tell "full" from "too long".
        size_t room = out->max - out->len;
        char extra;
        ssize_t got;

        if (room == 0) {
            got = read_retry(fd, &extra, 1);
            if (got > 0)
                return err_set(err, ERR_LIMIT, "%s is longer than %zu bytes", path, out->max);
        } else {
            size_t step = MIN(room, READ_STEP);

            if (!buf_reserve(out, step))
                return err_set(err, ERR_RETRY, "out of memory while reading %s", path);
            got = read_retry(fd, out->ptr + out->len, step);
        }
        if (got == -1)
            return fail(err, errno, "read", path);
        if (got == 0)
            return true;
        out->len += (size_t)got;
    }
}

bool fs_read_all(const char *path, struct buf *out, struct err *err)
{
    size_t before = out->len;
    int fd = open_retry(path, O_RDONLY, 0);
    bool ok;

    if (fd == -1)
        return fail(err, errno, "open", path);
    ok = read_all(fd, path, out, err);
    if (!ok)
        out->len = before;
    close(fd);
    return ok;
}

static int sync_fd(int fd)
{
    if (fault_point("fs.fsync")) {
        errno = EIO;
        return -1;
    }
    return fsync(fd);
}

// The folder that holds `path`, on the heap.
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return mem_dup_str(".");
    return slice_dup(slice_make(path, slash == path ? 1 : (size_t)(slash - path)));
}

static bool sync_parent(const char *path, struct err *err)
{
    char *parent = parent_of(path);
    bool ok = fs_sync_dir(parent, err);

    mem_free(parent);
    return ok;
}

static bool write_new(const char *path, struct slice bytes, unsigned mode, struct err *err)
{
    int fd = open_retry(path, O_WRONLY | O_CREAT | O_EXCL, mode);
    bool ok = false;

    if (fd == -1)
        return fail(err, errno, "create", path);
    if (!fs_pwrite(fd, bytes.ptr, bytes.len, 0, path, err))
        goto out;
    if (sync_fd(fd) == -1) {
        fail(err, errno, "sync", path);
        goto out;
    }
    ok = true;
out:
    if (close(fd) == -1 && ok)
        ok = fail(err, errno, "close", path);
    return ok;
}

static int rename_file(const char *from, const char *to)
{
    if (fault_point("fs.rename")) {
        errno = EIO;
        return -1;
    }
    return rename(from, to);
}

bool fs_write_atomic(const char *path, struct slice bytes, unsigned mode, struct err *err)
{
    struct buf temp = BUF_INIT(PATH_MAX);
    bool ok = false, is_there = false;

    // A random name: two threads that write the same file must not meet in one temporary file.
    if (!buf_addf(&temp, "%s.%016llx.tmp", path, (unsigned long long)rand_u64())) {
        err_set(err, ERR_INPUT, "path is too long: %s", path);
        goto out;
    }
    is_there = true;
    if (!write_new(buf_cstr(&temp), bytes, mode, err))
        goto out;
    fault_crash("fs.before_rename");
    if (rename_file(buf_cstr(&temp), path) == -1) {
        fail(err, errno, "replace", path);
        goto out;
    }
    is_there = false;
    ok = sync_parent(path, err);
out:
    if (is_there)
        unlink(buf_cstr(&temp));
    buf_free(&temp);
    return ok;
}

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool make_dir(const char *path, unsigned mode, struct err *err)
{
    if (mkdir(path, (mode_t)mode) == 0)
        return sync_parent(path, err);
    if (errno == EEXIST || errno == EISDIR || is_dir(path))
        return is_dir(path) || fail(err, ENOTDIR, "create directory", path);
    return fail(err, errno, "create directory", path);
}

bool fs_mkdirs(const char *path, unsigned mode, struct err *err)
{
    char *part = mem_dup_str(path);
    size_t len = strlen(part);
    bool ok = len > 0;

    if (!ok)
        err_set(err, ERR_INPUT, "create directory: the path is empty");
    for (size_t i = 1; ok && i <= len; i++) {
        if ((part[i] != '/' && part[i] != '\0') || part[i - 1] == '/')
            continue;
        part[i] = '\0';
        ok = make_dir(part, mode, err);
        part[i] = i < len ? '/' : '\0';
    }
    mem_free(part);
    return ok;
}

bool fs_sync_dir(const char *path, struct err *err)
{
    int fd = open_retry(path, O_RDONLY | O_DIRECTORY, 0);
    bool ok;

    if (fd == -1)
        return fail(err, errno, "open directory", path);
    ok = sync_fd(fd) == 0;
    // Some file systems cannot sync a directory and say so; there is nothing to be done then.
    if (!ok && errno == EINVAL)
        ok = true;
    if (!ok)
        fail(err, errno, "sync directory", path);
    close(fd);
    return ok;
}

bool fs_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

uint64_t fs_bytes(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

bool fs_remove(const char *path, struct err *err)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return true;
    return fail(err, errno, "remove", path);
}

bool fs_free_bytes(const char *path, uint64_t *bytes, struct err *err)
{
    struct statvfs st;

    if (statvfs(path, &st) == -1)
        return fail(err, errno, "free space of", path);
    *bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return true;
}

static ssize_t pwrite_some(int fd, const char *bytes, size_t len, uint64_t at)
{
    if (fault_point("fs.pwrite")) {
        errno = EIO;
        return -1;
    }
    if (fault_point("fs.pwrite.full")) {
        errno = ENOSPC;
        return -1;
    }
    if (fault_point("fs.pwrite.short"))
        len = (len + 1) / 2;
    return pwrite(fd, bytes, len, (off_t)at);
}

bool fs_pwrite(int fd, const void *bytes, size_t len, uint64_t at, const char *path,
               struct err *err)
{
    const char *from = (const char *)bytes;

    while (len > 0) {
        ssize_t done = pwrite_some(fd, from, len, at);

        if (done == -1 && errno == EINTR)
            continue;
        if (done == -1)
            return fail(err, errno, "write", path);
        if (done == 0)
            return fail(err, ENOSPC, "write", path);
        from += done;
        at += (uint64_t)done;
        len -= (size_t)done;
    }
    return true;
}

bool fs_pread(int fd, void *bytes, size_t len, uint64_t at, size_t *got, const char *path,
              struct err *err)
{
    char *to = (char *)bytes;
    size_t sum = 0;

    while (sum < len) {
        ssize_t done;

        if (fault_point("fs.pread"))
            return fail(err, EIO, "read", path);
        done = pread(fd, to + sum, len - sum, (off_t)(at + sum));
        if (done == -1 && errno == EINTR)
            continue;
        if (done == -1)
            return fail(err, errno, "read", path);
        if (done == 0)
            break;
        sum += (size_t)done;
    }
    *got = sum;
    return true;
}

// The pid in a lock file that somebody else holds; 0 when it cannot be told.
static uint64_t holder_pid(int fd)
{
    char text[32];
    ssize_t got = pread(fd, text, sizeof(text), 0);
    uint64_t pid = 0;

    if (got <= 0 || !slice_u64(slice_trim(slice_make(text, (size_t)got)), &pid))
        return 0;
    return pid;
}

int fs_lock(const char *path, struct err *err)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    int fd = open_retry(path, O_RDWR | O_CREAT, 0600);

    if (fd == -1) {
        fail(err, errno, "open lock", path);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
        if (errno == EWOULDBLOCK)
            err_set(err, ERR_FULL, "%s is held by process %llu", path,
                    (unsigned long long)holder_pid(fd));
        else
            fail(err, errno, "lock", path);
        goto fail;
    }
    if (ftruncate(fd, 0) == -1) {
        fail(err, errno, "truncate", path);
        goto fail;
    }
    if (!fs_pwrite(fd, text, (size_t)len, 0, path, err))
        goto fail;
    return fd;
fail:
    close(fd);
    return -1;
}

char *fs_join(const char *dir, const char *name)
{
    size_t dir_len = strlen(dir), name_len = strlen(name);
    char *path;

    if (name[0] == '/' || dir_len == 0)
        return mem_dup_str(name);
    while (dir_len > 1 && dir[dir_len - 1] == '/')
        dir_len--;
    path = (char *)mem_alloc(dir_len + 1 + name_len + 1);
    memcpy(path, dir, dir_len);
    if (path[dir_len - 1] != '/')
        path[dir_len++] = '/';
    memcpy(path + dir_len, name, name_len + 1);
    return path;
}
