/* Power cuts. Writes and syncs of the ring's files are recorded here (this program's own pwrite,
 * pwritev, fdatasync, fsync, rename and unlink stand before libc's); at many moments an image of
 * the directory is made as a power cut could leave it: what was synced is there, of what was not
 * every sector may be old or new, a file's name may be missing or back again. Each image must open,
 * hold every acknowledged event above the cursor, hold groups whole or not at all, and show no
 * damage. */
#include "ring_aid.h"

#include <sys/syscall.h>
#include <sys/uio.h>

#define SECTOR     512
#define FILES_MAX  256
#define GROUPS_MAX 4000

struct pending {
    struct pending *next;
    size_t at, len;
    char bytes[];
};

struct shadow {
    ino_t inode;
    char *durable; /* what a power cut leaves for sure */
    size_t size;
    struct pending *first, *last; /* written, not synced */
    char name[32];                /* "" when the file has none */
    char old_name[32];            /* durable name, while that is another one */
};

struct power {
    atomic_bool is_on;
    pthread_mutex_t mutex;
    struct rig *g;
    struct shadow files[FILES_MAX];
    size_t count;
    int calls, next_image, images;
    uint64_t seed;
    /* what the store and the clients knew when the image was made */
    uint64_t released, seen_end;
    int acked_groups;
};

static struct power power = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static uint64_t group_end[GROUPS_MAX]; /* offset behind each group */
static int group_count;

static uint64_t dice(void)
{
    power.seed = power.seed * 6364136223846793005u + 1442695040888963407u;
    return power.seed >> 33;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The path of a descriptor when it lies in the recorded directory. */
static bool path_of(int fd, char path[RING_PATH_MAX])
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, RING_PATH_MAX - 1);
    if (!power.is_on || n < 0)
        return false;
    path[n] = '\0';
    return strncmp(path, power.g->dir, strlen(power.g->dir)) == 0;
}

static struct shadow *shadow_of(int fd, const char *path)
{
    struct stat st;
    struct shadow *s;

    CHECK(fstat(fd, &st) == 0);
    for (size_t i = 0; i < power.count; i++) {
        s = &power.files[i];
        if (s->inode == st.st_ino && strcmp(s->name, base_name(path)) == 0) {
            if ((size_t)st.st_size > s->size) {
                s->durable = mem_realloc(s->durable, (size_t)st.st_size);
                memset(s->durable + s->size, 0, (size_t)st.st_size - s->size);
                s->size = (size_t)st.st_size;
            }
            return s;
        }
    }
    CHECK(power.count < FILES_MAX);
    s = &power.files[power.count++];
    memset(s, 0, sizeof(*s));
    s->inode = st.st_ino;
    s->size = (size_t)st.st_size;
    s->durable = mem_zalloc(MAX(s->size, 1));
    snprintf(s->name, sizeof(s->name), "%s", base_name(path));
    return s;
}

static void note_write(int fd, const void *bytes, size_t len, off_t at)
{
    char path[RING_PATH_MAX];
    struct shadow *s;
    struct pending *p;

    if (!path_of(fd, path))
        return;
    pthread_mutex_lock(&power.mutex);
    s = shadow_of(fd, path);
    p = mem_alloc(sizeof(*p) + len);
    p->next = NULL;
    p->at = (size_t)at;
    p->len = len;
    memcpy(p->bytes, bytes, len);
    if (s->last)
        s->last->next = p;
    else
        s->first = p;
    s->last = p;
    pthread_mutex_unlock(&power.mutex);
}

static void apply(char *to, size_t size, const struct pending *p, bool is_random)
{
    for (size_t at = p->at; at < p->at + p->len;) {
        size_t end = MIN((at / SECTOR + 1) * SECTOR, p->at + p->len);

        if (end <= size && (!is_random || dice() % 3 > 0))
            memcpy(to + at, p->bytes + (at - p->at), end - at);
        at = end;
    }
}

static void drop_pending(struct shadow *s, bool do_apply)
{
    while (s->first) {
        struct pending *p = s->first;

        if (do_apply)
            apply(s->durable, s->size, p, false);
        s->first = p->next;
        mem_free(p);
    }
    s->last = NULL;
}

static void forget(size_t i)
{
    drop_pending(&power.files[i], false);
    mem_free(power.files[i].durable);
    power.files[i] = power.files[--power.count];
}

static void write_image_file(const char *dir, const char *name, const struct shadow *s)
{
    char *path = temp_dir_path(dir, name);
    char *bytes = mem_dup(s->durable, MAX(s->size, 1));
    bool is_all = dice() % 4 == 0;
    int fd;

    for (const struct pending *p = s->first; p; p = p->next)
        apply(bytes, s->size, p, !is_all);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd != -1);
    CHECK(syscall(SYS_pwrite64, fd, bytes, s->size, 0) == (ssize_t)s->size);
    close(fd);
    mem_free(bytes);
    mem_free(path);
}

static void make_image(void)
{
    char name[32];
    char *dir;

    snprintf(name, sizeof(name), "image%d", power.images++);
    dir = temp_dir_path(power.g->top, name);
    CHECK(mkdir(dir, 0700) == 0);
    for (size_t i = 0; i < power.count; i++) {
        const struct shadow *s = &power.files[i];
        bool is_changed = strcmp(s->name, s->old_name) != 0;
        const char *as = is_changed && dice() % 2 ? s->old_name : s->name;

        if (as[0])
            write_image_file(dir, as, s);
    }
    snprintf(name, sizeof(name), "known%d", power.images - 1);
    mem_free(dir);
    dir = temp_dir_path(power.g->top, name);
    {
        uint64_t known[3] = {power.released, power.seen_end, (uint64_t)power.acked_groups};
        int fd = open(dir, O_WRONLY | O_CREAT, 0600);

        CHECK(syscall(SYS_pwrite64, fd, known, sizeof(known), 0) == sizeof(known));
        close(fd);
    }
    mem_free(dir);
}

/* A moment at which the power may go. */
static void moment(void)
{
    if (++power.calls < power.next_image)
        return;
    power.next_image = power.calls + 1 + (int)(dice() % 24);
    make_image();
}

static int on_sync(int fd, int number)
{
    char path[RING_PATH_MAX];
    struct stat st;
    int result;

    if (!path_of(fd, path))
        return (int)syscall(number, fd);
    pthread_mutex_lock(&power.mutex);
    moment();
    result = (int)syscall(number, fd);
    CHECK(fstat(fd, &st) == 0);
    if (S_ISDIR(st.st_mode)) {
        for (size_t i = power.count; i-- > 0;) {
            struct shadow *s = &power.files[i];

            memcpy(s->old_name, s->name, sizeof(s->name));
            if (!s->name[0])
                forget(i);
        }
    } else {
        drop_pending(shadow_of(fd, path), true);
    }
    moment();
    pthread_mutex_unlock(&power.mutex);
    return result;
}

int fdatasync(int fd)
{
    return on_sync(fd, SYS_fdatasync);
}

int fsync(int fd)
{
    return on_sync(fd, SYS_fsync);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    ssize_t n = syscall(SYS_pwrite64, fd, bytes, len, at);

    if (n > 0)
        note_write(fd, bytes, (size_t)n, at);
    return n;
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t at)
{
    ssize_t n = syscall(SYS_pwritev, fd, iov, count, at, 0);
    size_t left = n > 0 ? (size_t)n : 0;

    for (int i = 0; i < count && left; i++) {
        size_t len = MIN(left, iov[i].iov_len);

        note_write(fd, iov[i].iov_base, len, at);
        at += (off64_t)len;
        left -= len;
    }
    return n;
}

static void name_changes(const char *from, const char *to)
{
    pthread_mutex_lock(&power.mutex);
    for (size_t i = 0; power.is_on && i < power.count; i++) {
        if (strcmp(power.files[i].name, base_name(from)) == 0)
            snprintf(power.files[i].name, sizeof(power.files[i].name), "%s", base_name(to));
    }
    pthread_mutex_unlock(&power.mutex);
}

int rename(const char *from, const char *to)
{
    int result = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);

    if (result == 0)
        name_changes(from, to);
    return result;
}

int unlink(const char *path)
{
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);

    if (result == 0)
        name_changes(path, "");
    return result;
}

/* --- the run --- */

static void check_image(int number)
{
    struct rig *h = mem_new(struct rig);
    char name[32];
    char *path;
    uint64_t known[3];
    uint64_t must, end;
    bool is_end_of_group = false;
    int fd;

    rig_init(h);
    snprintf(name, sizeof(name), "known%d", number);
    path = temp_dir_path(power.g->top, name);
    fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, known, sizeof(known)), sizeof(known));
    close(fd);
    mem_free(path);
    snprintf(name, sizeof(name), "image%d", number);
    mem_free(h->dir);
    h->dir = temp_dir_path(power.g->top, name);
    h->opt = power.g->opt;
    h->opt.dir = h->dir;
    /* The store learns the ring's id when ring_open has returned. */
    h->opt.has_position = known[1] > 0 || known[2] > 0;
    h->opt.position = ring_position(power.g->ring);
    h->opt.position.offset = known[0];
    h->opt.position.seen_end = known[1];
    must = known[2] ? group_end[known[2] - 1] : 0;
    for (int round = 0; round < 2; round++) {
        got_clear(h);
        rig_open(h);
        assert_int_equal(ring_position(h->ring).epoch, 1);
        end = status(h).end;
        drain(h);
        if (end < must)
            fail_msg("image %d: ends at %" PRIu64 ", acknowledged up to %" PRIu64, number, end,
                     must);
        for (size_t i = 0; i < h->got_count; i++) {
            assert_int_equal(h->got_at[i], known[0] + i);
            assert_int_equal(h->got[i], h->got_at[i]);
        }
        assert_int_equal(h->got_count, end - known[0]);
        assert_int_equal(count_of(h, CORRUPT), 0);
        assert_int_equal(count_of(h, GAP), 0);
        /* And a second start finds the same. */
        if (round == 0) {
            for (int i = 0; i < group_count; i++)
                is_end_of_group = is_end_of_group || group_end[i] == end;
            assert_true(is_end_of_group || end == 0);
            h->next_number = end;
            put(h, 3, 200);
            must = end + 3;
        }
        rig_close(h);
    }
    rig_fini(h);
    mem_free(h);
}

static void know(struct rig *g)
{
    pthread_mutex_lock(&power.mutex);
    lock_take(&g->answer.lock);
    power.acked_groups = g->answer.ok;
    lock_drop(&g->answer.lock);
    power.released = status(g).cursor;
    pthread_mutex_unlock(&power.mutex);
}

static void run(struct rig *g, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        struct err err = ERR_INIT;
        int burst = 1 + (int)(rand_u64() % 4);

        for (int k = 0; k < burst; k++) {
            size_t count = 1 + rand_u64() % 30;
            size_t bytes = 50 + rand_u64() % 1500;

            if (i % 25 == 20 && k == 0)
                count = 400, bytes = 1000; /* over segments */
            group_end[group_count++] = g->next_number + count;
            assert_true(post(g, count, bytes, &err));
        }
        await_answers(g);
        know(g);
        if (i % 3 == 0) {
            drain(g);
            pthread_mutex_lock(&power.mutex);
            power.seen_end = g->got_at[g->got_count - 1] + 1;
            pthread_mutex_unlock(&power.mutex);
        }
        if (i % 7 == 0) {
            /* The store first, then the ring. */
            uint64_t offset = g->got_at[g->got_count / 2 + g->got_count / 4];

            pthread_mutex_lock(&power.mutex);
            power.released = offset;
            pthread_mutex_unlock(&power.mutex);
            release(g, offset);
        }
    }
}

static void test_power_cuts(void **state)
{
    UNUSED(state);
    for (int seed = 1; seed <= 3; seed++) {
        struct rig *g = mem_new(struct rig);

        rig_init(g);
        rand_fake_seed((uint64_t)seed);
        power.g = g;
        power.seed = (uint64_t)seed;
        power.is_on = true;
        power.calls = power.next_image = power.images = 0;
        power.released = power.seen_end = 0;
        power.acked_groups = 0;
        group_count = 0;
        g->opt.bytes_max = 3 << 20;
        rig_open(g);
        run(g, 60);
        set_position(g, status(g).cursor, power.seen_end);
        got_clear(g);
        reopen(g); /* a fresh lap */
        run(g, 60);
        pthread_mutex_lock(&power.mutex);
        power.is_on = false;
        pthread_mutex_unlock(&power.mutex);
        assert_true(power.images > 20);
        for (int i = 0; i < power.images; i++)
            check_image(i);
        rig_fini(g);
        mem_free(g);
        while (power.count)
            forget(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_power_cuts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
