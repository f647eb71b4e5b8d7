/* losewrites.c - a preloaded library that remembers what a power cut would take away, and who did
 * what when.
 *
 * After `kill -9` everything that was written is still there, because the kernel keeps it. A power
 * cut loses whatever was not synced. To get the second out of the first, this library notes how to
 * undo each change below LOSEWRITES_DIR before it happens; undo.js applies those notes after the
 * kill.
 *
 *   LOSEWRITES_DIR      absolute path of the data directory
 *   LOSEWRITES_JOURNAL  undo journal, outside of it (on a memory file system)
 *   LOSEWRITES_STASH    directory on the same file system, for files that are deleted or replaced
 *   LOSEWRITES_TRACE    text file of events in their order, see below
 *   LOSEWRITES_MARK     prefix of the marks that the trace names when they are written
 *   LOSEWRITES_KILL     SUFFIX:N, SIGKILL instead of the N-th sync of a file whose name ends so
 *
 * The journal is only appended to. An entry is a head and maybe old bytes:
 *   WRITE   `length` bytes at `at` are about to change; old bytes follow (none: they are zeros)
 *   SIZE    the file is `at` bytes long and about to change that
 *   CUT     `length` bytes at `at` that the next entry, a SIZE, is going to cut off
 *   SYNC    entries with this key before journal offset `at` are durable: fsync returned
 *   CREATE, MKDIR   the path that follows is about to appear
 *   RENAME  from NUL to; `at` is not 0: what `to` was is kept under that number in the stash
 *   UNLINK  the path that follows; the file is kept under the number `at` in the stash
 * The key is the inode of the file, for the last four of the directory, so that the fsync of a
 * directory settles them. A sync covers what had been done when it was called, not when it
 * returned.
 *
 * One lock is held over "note, then change": the order of the journal is the order of the changes,
 * also with several writing threads. Syncs run beside each other.
 *
 * Left out, because the program does not do it: mmap (SQLite's -shm is rebuilt, it is ignored),
 * copies of descriptors, stdio on files of the data directory, links, relative paths.
 *
 * Trace, one line each: `write+ INODE OFFSET LENGTH [MARK...]` before and `write- INODE OFFSET`
 * after a write; `sync+ INODE THREAD`, `sync- INODE THREAD RESULT`; `answer PORT STATUS` before
 * bytes that begin with "HTTP/1.1 " go to the socket whose peer has that port.
 */
#undef _FILE_OFFSET_BITS /* both forms of each call are defined here */
#undef _FORTIFY_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX    65536
#define CHUNK      65536
#define MARK_BYTES 16
#define MARKS_TEXT 3000

enum entry_type {
    ENTRY_WRITE = 1,
    ENTRY_SIZE,
    ENTRY_SYNC,
    ENTRY_CREATE,
    ENTRY_RENAME,
    ENTRY_UNLINK,
    ENTRY_MKDIR,
    ENTRY_CUT
};

#define ENTRY_MAGIC 0x45534f4cu

struct entry {
    uint32_t magic, type;
    uint64_t key;
    uint64_t at;
    uint64_t length;
    uint64_t bytes; /* that follow */
};

struct state {
    pthread_mutex_t lock;
    const char *dir, *stash, *mark, *kill;
    int journal, trace;
    int syncs;       /* of the files that `kill` names */
    char old[CHUNK]; /* under the lock */
};

static struct state state = {.lock = PTHREAD_MUTEX_INITIALIZER, .journal = -1, .trace = -1};
static atomic_bool is_ours[FDS_MAX]; /* descriptors of files and directories below dir */

__attribute__((constructor)) static void begin(void)
{
    const char *journal = getenv("LOSEWRITES_JOURNAL");
    const char *trace = getenv("LOSEWRITES_TRACE");
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;

    state.stash = getenv("LOSEWRITES_STASH");
    state.mark = getenv("LOSEWRITES_MARK");
    state.kill = getenv("LOSEWRITES_KILL");
    if (journal)
        state.journal = (int)syscall(SYS_openat, AT_FDCWD, journal, flags, 0600);
    if (trace)
        state.trace = (int)syscall(SYS_openat, AT_FDCWD, trace, flags, 0600);
    if ((journal && (state.journal == -1 || !state.stash)) || (trace && state.trace == -1)) {
        static const char text[] = "losewrites: cannot open the journal, the stash or the trace\n";
        syscall(SYS_write, 2, text, sizeof(text) - 1);
        _exit(99);
    }
    state.dir = getenv("LOSEWRITES_DIR");
}

/* --- which files --- */

static bool is_below(const char *path)
{
    size_t n = state.dir ? strlen(state.dir) : 0;
    size_t len = strlen(path);

    if (n == 0 || strncmp(path, state.dir, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return false;
    return len < 4 || strcmp(path + len - 4, "-shm") != 0;
}

static bool path_of(int fd, char path[PATH_MAX])
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static void note_fd(int fd)
{
    char path[PATH_MAX];

    if (fd >= 0 && fd < FDS_MAX && state.dir && path_of(fd, path))
        atomic_store(&is_ours[fd], is_below(path));
}

static bool is_file(int fd)
{
    return fd >= 0 && fd < FDS_MAX && atomic_load(&is_ours[fd]);
}

static uint64_t inode_of(int fd, uint64_t *size)
{
    struct stat st;

    if (fstat(fd, &st) == -1)
        return 0;
    if (size)
        *size = (uint64_t)st.st_size;
    return st.st_ino;
}

static uint64_t parent_inode(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    struct stat st;

    snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
    return stat(dir, &st) == 0 ? st.st_ino : 0;
}

/* --- journal, all with the lock held --- */

static uint64_t journal_end(void)
{
    uint64_t size = 0;

    inode_of(state.journal, &size);
    return size;
}

static void append(const struct entry *e, const void *bytes)
{
    struct iovec iov[2] = {{.iov_base = (void *)(uintptr_t)e, .iov_len = sizeof(*e)},
                           {.iov_base = (void *)(uintptr_t)bytes, .iov_len = e->bytes}};
    ssize_t n = syscall(SYS_writev, state.journal, iov, e->bytes ? 2 : 1);

    if (n != (ssize_t)(sizeof(*e) + e->bytes)) {
        static const char text[] = "losewrites: the journal cannot be written\n";
        syscall(SYS_write, 2, text, sizeof(text) - 1);
        _exit(99);
    }
}

static void append_simple(enum entry_type type, uint64_t key, uint64_t at)
{
    struct entry e = {.magic = ENTRY_MAGIC, .type = type, .key = key, .at = at};

    append(&e, NULL);
}

static void append_path(enum entry_type type, uint64_t at, const char *path, const char *to)
{
    char text[2 * PATH_MAX];
    int n = snprintf(text, sizeof(text), "%s%c%s", path, '\0', to ? to : "");
    struct entry e = {.magic = ENTRY_MAGIC,
                      .type = type,
                      .key = parent_inode(to ? to : path),
                      .at = at,
                      .bytes = to ? (uint64_t)n : strlen(path)};

    append(&e, text);
}

static bool is_zero(const char *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* A descriptor that can be read: this one, or the same file opened again. */
static int readable(int fd)
{
    char link[64];
    int flags = fcntl(fd, F_GETFL);

    if (flags == -1 || (flags & O_ACCMODE) != O_WRONLY)
        return fd;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    return (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
}

static void note_bytes(int fd, enum entry_type type, uint64_t key, uint64_t at, uint64_t len)
{
    int in = readable(fd);

    while (len > 0) {
        size_t want = len < CHUNK ? (size_t)len : CHUNK;
        ssize_t got = pread(in, state.old, want, (off_t)at);
        struct entry e = {.magic = ENTRY_MAGIC, .type = type, .key = key, .at = at, .length = want};

        if (got < 0)
            got = 0;
        memset(state.old + got, 0, want - (size_t)got);
        e.bytes = is_zero(state.old, want) ? 0 : want;
        append(&e, state.old);
        at += want;
        len -= want;
    }
    if (in != fd)
        syscall(SYS_close, in);
}

static void note_write(int fd, uint64_t at, uint64_t len)
{
    uint64_t size = 0;
    uint64_t key = inode_of(fd, &size);

    if (state.journal == -1)
        return;
    if (at + len > size)
        append_simple(ENTRY_SIZE, key, size);
    note_bytes(fd, ENTRY_WRITE, key, at, len);
}

static void note_resize(int fd, uint64_t to)
{
    uint64_t size = 0;
    uint64_t key = inode_of(fd, &size);

    if (state.journal == -1 || size == to)
        return;
    if (to < size)
        note_bytes(fd, ENTRY_CUT, key, to, size - to);
    append_simple(ENTRY_SIZE, key, size);
}

/* Keeps a file under another name; its number, 0 when there is none. */
static uint64_t stash(const char *path)
{
    char kept[PATH_MAX];
    uint64_t number = journal_end() + 1;
    struct stat st;

    if (stat(path, &st) == -1 || !S_ISREG(st.st_mode))
        return 0;
    snprintf(kept, sizeof(kept), "%s/%llu", state.stash, (unsigned long long)number);
    return link(path, kept) == 0 ? number : 0;
}

/* --- trace, all with the lock held --- */

__attribute__((format(printf, 1, 2))) static void trace(const char *format, ...)
{
    char line[MARKS_TEXT + 200];
    va_list args;
    int n;

    if (state.trace == -1)
        return;
    va_start(args, format);
    n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    syscall(SYS_write, state.trace, line, (size_t)n);
}

static size_t add_marks(const char *bytes, size_t len, char *out, size_t at)
{
    size_t prefix = strlen(state.mark);
    const char *end = bytes + len;

    while ((bytes = memmem(bytes, (size_t)(end - bytes), state.mark, prefix)) != NULL) {
        if ((size_t)(end - bytes) < prefix + MARK_BYTES || at + MARK_BYTES + 2 > MARKS_TEXT)
            break;
        out[at++] = ' ';
        memcpy(out + at, bytes + prefix, MARK_BYTES);
        at += MARK_BYTES;
        bytes += prefix + MARK_BYTES;
    }
    return at;
}

static void trace_write(int fd, const struct iovec *iov, int count, uint64_t at, uint64_t len)
{
    char marks[MARKS_TEXT];
    size_t used = 0;

    if (state.trace == -1)
        return;
    for (int i = 0; state.mark && i < count; i++)
        used = add_marks(iov[i].iov_base, iov[i].iov_len, marks, used);
    trace("write+ %llu %llu %llu%.*s\n", (unsigned long long)inode_of(fd, NULL),
          (unsigned long long)at, (unsigned long long)len, (int)used, marks);
}

static void trace_answer(int fd, const void *bytes, size_t len)
{
    struct sockaddr_in peer;
    socklen_t peer_len = sizeof(peer);
    int saved = errno;

    if (state.trace == -1 || len < 12 || memcmp(bytes, "HTTP/1.1 ", 9) != 0)
        return;
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0) {
        pthread_mutex_lock(&state.lock);
        trace("answer %u %.3s\n", ntohs(peer.sin_port), (const char *)bytes + 9);
        pthread_mutex_unlock(&state.lock);
    }
    errno = saved;
}

/* --- writing --- */

static uint64_t length_of(const struct iovec *iov, int count)
{
    uint64_t n = 0;

    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    return n;
}

static ssize_t write_at(int fd, const struct iovec *iov, int count, uint64_t at, int flags)
{
    ssize_t n;

    pthread_mutex_lock(&state.lock);
    note_write(fd, at, length_of(iov, count));
    trace_write(fd, iov, count, at, length_of(iov, count));
    n = syscall(SYS_pwritev2, fd, iov, count, at, 0, flags);
    trace("write- %llu %llu\n", (unsigned long long)inode_of(fd, NULL), (unsigned long long)at);
    pthread_mutex_unlock(&state.lock);
    return n;
}

/* At the descriptor's own place. */
static ssize_t write_here(int fd, const struct iovec *iov, int count)
{
    int flags = fcntl(fd, F_GETFL);
    uint64_t size = 0;
    uint64_t at;
    ssize_t n;

    pthread_mutex_lock(&state.lock);
    inode_of(fd, &size);
    at = flags & O_APPEND ? size : (uint64_t)lseek(fd, 0, SEEK_CUR);
    note_write(fd, at, length_of(iov, count));
    trace_write(fd, iov, count, at, length_of(iov, count));
    n = syscall(SYS_writev, fd, iov, count);
    trace("write- %llu %llu\n", (unsigned long long)inode_of(fd, NULL), (unsigned long long)at);
    pthread_mutex_unlock(&state.lock);
    return n;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};

    if (is_file(fd))
        return write_here(fd, &iov, 1);
    trace_answer(fd, bytes, len);
    return syscall(SYS_write, fd, bytes, len);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    if (is_file(fd))
        return write_here(fd, iov, count);
    if (count > 0)
        trace_answer(fd, iov[0].iov_base, iov[0].iov_len);
    return syscall(SYS_writev, fd, iov, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};

    if (is_file(fd))
        return write_at(fd, &iov, 1, (uint64_t)at, 0);
    return syscall(SYS_pwrite64, fd, bytes, len, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    return pwrite(fd, bytes, len, at);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t at, int flags)
{
    if (is_file(fd))
        return at == -1 ? write_here(fd, iov, count)
                        : write_at(fd, iov, count, (uint64_t)at, flags);
    return syscall(SYS_pwritev2, fd, iov, count, at, 0, flags);
}

ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t at, int flags)
{
    return pwritev2(fd, iov, count, at, flags);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
    return pwritev2(fd, iov, count, at, 0);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t at)
{
    return pwritev2(fd, iov, count, at, 0);
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    trace_answer(fd, bytes, len);
    return syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    if (m->msg_iovlen > 0)
        trace_answer(fd, m->msg_iov[0].iov_base, m->msg_iov[0].iov_len);
    return syscall(SYS_sendmsg, fd, m, flags);
}

/* --- sizes --- */

int ftruncate(int fd, off_t to)
{
    int rc;

    if (!is_file(fd))
        return (int)syscall(SYS_ftruncate, fd, to);
    pthread_mutex_lock(&state.lock);
    note_resize(fd, (uint64_t)to);
    rc = (int)syscall(SYS_ftruncate, fd, to);
    pthread_mutex_unlock(&state.lock);
    return rc;
}

int ftruncate64(int fd, off64_t to)
{
    return ftruncate(fd, to);
}

int truncate(const char *path, off_t to)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int rc = fd == -1 ? -1 : ftruncate(fd, to);

    close(fd);
    return rc;
}

int truncate64(const char *path, off64_t to)
{
    return truncate(path, to);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
    uint64_t size = 0;
    int rc;

    if (!is_file(fd))
        return (int)syscall(SYS_fallocate, fd, mode, at, len);
    pthread_mutex_lock(&state.lock);
    inode_of(fd, &size);
    if (mode & ~FALLOC_FL_KEEP_SIZE)
        note_write(fd, (uint64_t)at, (uint64_t)len);
    else if (!(mode & FALLOC_FL_KEEP_SIZE) && (uint64_t)(at + len) > size)
        note_resize(fd, (uint64_t)(at + len));
    rc = (int)syscall(SYS_fallocate, fd, mode, at, len);
    pthread_mutex_unlock(&state.lock);
    return rc;
}

int fallocate64(int fd, int mode, off64_t at, off64_t len)
{
    return fallocate(fd, mode, at, len);
}

int posix_fallocate(int fd, off_t at, off_t len)
{
    int saved = errno;
    int rc = fallocate(fd, 0, at, len) == 0 ? 0 : errno;

    errno = saved;
    return rc;
}

int posix_fallocate64(int fd, off64_t at, off64_t len)
{
    return posix_fallocate(fd, at, len);
}

/* --- syncing --- */

/* Lock held. */
static void kill_when_due(int fd)
{
    const char *colon = state.kill ? strrchr(state.kill, ':') : NULL;
    size_t n = colon ? (size_t)(colon - state.kill) : 0;
    char path[PATH_MAX];
    size_t len;

    if (!colon || !path_of(fd, path) || (len = strlen(path)) < n ||
        strncmp(path + len - n, state.kill, n) != 0)
        return;
    if (++state.syncs == atoi(colon + 1)) {
        kill(getpid(), SIGKILL);
        pause();
    }
}

static int sync_with(long number, int fd)
{
    uint64_t covered = 0;
    uint64_t key;
    long thread;
    int rc;
    int saved;

    if (!is_file(fd))
        return (int)syscall(number, fd);
    thread = syscall(SYS_gettid);
    key = inode_of(fd, NULL);
    pthread_mutex_lock(&state.lock);
    kill_when_due(fd);
    if (state.journal != -1)
        covered = journal_end();
    trace("sync+ %llu %ld\n", (unsigned long long)key, thread);
    pthread_mutex_unlock(&state.lock);
    rc = (int)syscall(number, fd);
    saved = errno;
    pthread_mutex_lock(&state.lock);
    if (rc == 0 && state.journal != -1)
        append_simple(ENTRY_SYNC, key, covered);
    trace("sync- %llu %ld %d\n", (unsigned long long)key, thread, rc);
    pthread_mutex_unlock(&state.lock);
    errno = saved;
    return rc;
}

int fsync(int fd)
{
    return sync_with(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_with(SYS_fdatasync, fd);
}

/* --- names --- */

/* Lock held. */
static void note_open(const char *path, int flags)
{
    struct stat st;
    int fd;

    if (state.journal == -1 || !is_below(path))
        return;
    if (stat(path, &st) == -1) {
        if (flags & O_CREAT)
            append_path(ENTRY_CREATE, 0, path, NULL);
    } else if (flags & O_TRUNC) {
        fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
        note_resize(fd, 0);
        syscall(SYS_close, fd);
    }
}

int openat(int dir, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;
    int fd;

    if (flags & (O_CREAT | O_TMPFILE)) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    pthread_mutex_lock(&state.lock);
    note_open(path, flags);
    fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    note_fd(fd);
    pthread_mutex_unlock(&state.lock);
    return fd;
}

int openat64(int dir, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    va_start(args, flags);
    if (flags & (O_CREAT | O_TMPFILE))
        mode = va_arg(args, mode_t);
    va_end(args);
    return openat(dir, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    va_start(args, flags);
    if (flags & (O_CREAT | O_TMPFILE))
        mode = va_arg(args, mode_t);
    va_end(args);
    return openat(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    va_start(args, flags);
    if (flags & (O_CREAT | O_TMPFILE))
        mode = va_arg(args, mode_t);
    va_end(args);
    return openat(AT_FDCWD, path, flags, mode);
}

/* What open becomes with _FORTIFY_SOURCE. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);

int __open_2(const char *path, int flags)
{
    return openat(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
    return openat(AT_FDCWD, path, flags, 0);
}

int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        atomic_store(&is_ours[fd], false);
    return (int)syscall(SYS_close, fd);
}

int rename(const char *from, const char *to)
{
    int rc;

    pthread_mutex_lock(&state.lock);
    if (state.journal != -1 && is_below(from) && is_below(to))
        append_path(ENTRY_RENAME, stash(to), from, to);
    rc = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    pthread_mutex_unlock(&state.lock);
    return rc;
}

int unlink(const char *path)
{
    uint64_t number;
    int rc;

    pthread_mutex_lock(&state.lock);
    if (state.journal != -1 && is_below(path) && (number = stash(path)) != 0)
        append_path(ENTRY_UNLINK, number, path, NULL);
    rc = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_unlock(&state.lock);
    return rc;
}

int remove(const char *path)
{
    int rc = unlink(path);

    return rc == -1 && errno == EISDIR ? rmdir(path) : rc;
}

int mkdir(const char *path, mode_t mode)
{
    struct stat st;
    int rc;

    pthread_mutex_lock(&state.lock);
    if (state.journal != -1 && is_below(path) && stat(path, &st) == -1)
        append_path(ENTRY_MKDIR, 0, path, NULL);
    rc = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    pthread_mutex_unlock(&state.lock);
    return rc;
}
