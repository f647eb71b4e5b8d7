/* Every write and sync of the file fails once, the first, the second, and so on, with a full disk
 * and with an I/O error. What failed left nothing behind, in the file and in memory, and the same
 * work succeeds afterwards. */
#include "store_aid.h"

#include <sqlite3.h>

/* A VFS over the default one whose writes and syncs can fail. */
static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    int countdown; /* 1: the next write fails */
    int rc;
    bool sticks; /* all further ones fail too, until disarmed */
} disk;

struct disk_file {
    sqlite3_file base;
    sqlite3_io_methods methods;
    const sqlite3_io_methods *real_methods;
    char real[]; /* the sqlite3_file of the real VFS */
};

static sqlite3_file *real_of(sqlite3_file *f)
{
    return (sqlite3_file *)(void *)((struct disk_file *)(void *)f)->real;
}

static const sqlite3_io_methods *methods_of(sqlite3_file *f)
{
    return ((struct disk_file *)(void *)f)->real_methods;
}

static bool fails(void)
{
    if (disk.countdown == 0)
        return false;
    if (disk.countdown > 1) {
        disk.countdown--;
        return false;
    }
    if (!disk.sticks)
        disk.countdown = 0;
    return true;
}

static int disk_close(sqlite3_file *f)
{
    return methods_of(f)->xClose(real_of(f));
}

static int disk_read(sqlite3_file *f, void *to, int len, sqlite3_int64 at)
{
    return methods_of(f)->xRead(real_of(f), to, len, at);
}

static int disk_write(sqlite3_file *f, const void *from, int len, sqlite3_int64 at)
{
    return fails() ? disk.rc : methods_of(f)->xWrite(real_of(f), from, len, at);
}

static int disk_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return methods_of(f)->xTruncate(real_of(f), size);
}

static int disk_sync(sqlite3_file *f, int flags)
{
    return fails() ? (disk.rc == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_FSYNC)
                   : methods_of(f)->xSync(real_of(f), flags);
}

static int disk_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return methods_of(f)->xFileSize(real_of(f), size);
}

static int disk_lock(sqlite3_file *f, int how)
{
    return methods_of(f)->xLock(real_of(f), how);
}

static int disk_unlock(sqlite3_file *f, int how)
{
    return methods_of(f)->xUnlock(real_of(f), how);
}

static int disk_reserved(sqlite3_file *f, int *out)
{
    return methods_of(f)->xCheckReservedLock(real_of(f), out);
}

static int disk_control(sqlite3_file *f, int op, void *arg)
{
    return methods_of(f)->xFileControl(real_of(f), op, arg);
}

static int disk_sector(sqlite3_file *f)
{
    return methods_of(f)->xSectorSize(real_of(f));
}

static int disk_traits(sqlite3_file *f)
{
    return methods_of(f)->xDeviceCharacteristics(real_of(f));
}

static int disk_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return methods_of(f)->xShmMap(real_of(f), page, size, extend, out);
}

static int disk_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return methods_of(f)->xShmLock(real_of(f), at, n, flags);
}

static void disk_shm_barrier(sqlite3_file *f)
{
    methods_of(f)->xShmBarrier(real_of(f));
}

static int disk_shm_unmap(sqlite3_file *f, int remove)
{
    return methods_of(f)->xShmUnmap(real_of(f), remove);
}

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    struct disk_file *d = (struct disk_file *)(void *)f;
    sqlite3_file *real = real_of(f);
    int rc = disk.real->xOpen(disk.real, name, real, flags, out);

    UNUSED(vfs);
    f->pMethods = NULL;
    if (rc != SQLITE_OK || !real->pMethods)
        return rc;
    d->real_methods = real->pMethods;
    d->methods = (sqlite3_io_methods){
        2,           disk_close,   disk_read,     disk_write,       disk_truncate,  disk_sync,
        disk_size,   disk_lock,    disk_unlock,   disk_reserved,    disk_control,   disk_sector,
        disk_traits, disk_shm_map, disk_shm_lock, disk_shm_barrier, disk_shm_unmap, NULL,
        NULL};
    f->pMethods = &d->methods;
    return SQLITE_OK;
}

static void disk_install(void)
{
    disk.real = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.real;
    disk.vfs.zName = "faulty";
    disk.vfs.szOsFile = (int)sizeof(struct disk_file) + disk.real->szOsFile;
    disk.vfs.xOpen = disk_open;
    assert_int_equal(sqlite3_vfs_register(&disk.vfs, 1), SQLITE_OK);
}

/* --- the work */

struct outcome {
    int64_t events, persons, version, offset, last_change;
};

static bool batch(struct aid *aid, uint64_t round)
{
    const struct store_ops *ops = aid->ops;
    struct feed_position p = {.offset = round};
    struct person_change state = {.properties = SLICE("{\"x\":1}")};
    struct store_group g = {.properties = SLICE("{}"), .version = (int64_t)round};
    struct person *anna, *created;
    struct uuid uuid = aid_uuid(round);
    char id[16];
    struct slice slice;
    int64_t event_id;

    snprintf(id, sizeof(id), "p%d", (int)round);
    slice = slice_cstr(id);
    if (!ops->begin(aid->self, &aid->err))
        return false;
    ops->count(aid->self, STORE_COUNT_STORED, 1, 0, SLICE("a"));
    bool ok = ops->person_get(aid->self, 1, SLICE("anna"), &anna, &aid->err) &&
              ops->person_update(aid->self, anna, &state, &aid->err) &&
              ops->person_create(aid->self, 1, &uuid, &state, &slice, 1, &created, &aid->err) &&
              ops->group_put(aid->self, 1, 0, slice, &g, &aid->err);
    for (uint64_t i = 0; ok && i < 40; i++) {
        struct event_row row = aid_event(round * 1000 + i);
        ok = ops->event_insert(aid->self, &row, &event_id, &aid->err);
    }
    return ok && ops->commit(aid->self, &p, NULL, 0, &aid->err);
}

static struct outcome look(struct aid *aid)
{
    return (struct outcome){aid_number(aid, "SELECT count(*) FROM v_events"),
                            aid_number(aid, "SELECT count(*) FROM v_persons"),
                            aid_number(aid, "SELECT version FROM v_persons WHERE id = 1"),
                            aid_number(aid, "SELECT coalesce(max(offset), 0) FROM v_cursors"),
                            aid_number(aid, "SELECT change_seq FROM meta")};
}

static struct outcome expected(int64_t rounds)
{
    return (struct outcome){40 * rounds, 1 + rounds, rounds, rounds, 2 + 44 * rounds};
}

static void expect_state(struct aid *aid, int64_t rounds)
{
    struct outcome got = look(aid), wanted = expected(rounds);

    assert_memory_equal(&got, &wanted, sizeof(got));
    for (int64_t i = 1; i <= rounds; i++)
        assert_true(aid_is_stored(aid, (uint64_t)i * 1000 + 39));
    assert_false(aid_is_stored(aid, (uint64_t)(rounds + 1) * 1000));
}

static void open_small(struct aid *aid)
{
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.index_part_events = 100;
    aid->opt.cache_bytes_max = 256 << 10; /* dirty pages go to the log before the commit too */
    aid_open_again(aid);
    aid_begin(aid);
    aid_create(aid, 99, "anna", "{}");
    aid_commit(aid);
}

static void full_disk(bool sticks)
{
    struct aid a, *aid = &a;
    int64_t rounds = 0;
    int failed = 0, nth = 1;

    open_small(aid);
    for (bool was_hit = true; was_hit; nth++) {
        disk.rc = SQLITE_FULL;
        disk.sticks = sticks;
        disk.countdown = nth;
        if (!batch(aid, (uint64_t)rounds + 1)) {
            assert_int_equal(aid->err.code, ERR_FULL);
            failed++;
            disk.countdown = 0;
            aid->ops->rollback(aid->self);
            expect_state(aid, rounds);
            must(batch(aid, (uint64_t)rounds + 1));
            was_hit = true;
        } else {
            was_hit = disk.countdown == 0 || (sticks && disk.countdown == 1);
            disk.countdown = 0;
        }
        rounds++;
        expect_state(aid, rounds);
        if (nth % 3 == 0)
            aid_tidy(aid);
    }
    assert_true(failed > 1); /* the write and the sync */
    aid_reopen(aid);
    expect_state(aid, rounds);
    aid_close(aid);
}

static void full_once(void **state)
{
    UNUSED(state);
    full_disk(false);
}

static void full_for_a_while(void **state)
{
    UNUSED(state);
    full_disk(true);
}

static void full_in_upkeep(void **state)
{
    struct aid a, *aid = &a;
    int64_t rounds = 0;
    int failed = 0;

    UNUSED(state);
    open_small(aid);
    for (int nth = 1, hit = 1; hit; nth++) {
        bool more = true, ok = true;
        must(batch(aid, (uint64_t)++rounds));
        disk.rc = SQLITE_FULL;
        disk.sticks = false;
        disk.countdown = nth;
        while (ok && more)
            ok = aid->ops->tidy(aid->self, &more, &aid->err);
        if (!ok)
            assert_int_equal(aid->err.code, ERR_FULL);
        failed += !ok;
        hit = disk.countdown == 0;
        disk.countdown = 0;
        expect_state(aid, rounds);
        aid_tidy(aid);
        expect_state(aid, rounds);
    }
    assert_true(failed > 3);
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM changes"), 0);
    aid_close(aid);
}

/* After an I/O error the process ends; what the next one finds is the state before or after, never
 * between. */
static void io_error(void **state)
{
    struct aid a, *aid = &a;
    int64_t rounds = 0;
    int failed = 0;

    UNUSED(state);
    open_small(aid);
    for (int nth = 1, hit = 1; hit; nth++) {
        disk.rc = SQLITE_IOERR_WRITE;
        disk.sticks = true;
        disk.countdown = nth;
        bool ok = batch(aid, (uint64_t)rounds + 1);
        hit = disk.countdown == 1;
        if (!ok) {
            assert_int_equal(aid->err.code, ERR_IO);
            failed++;
            aid_close_store(aid);
            disk.countdown = 0;
            aid_open_again(aid);
            rounds += aid_number(aid, "SELECT coalesce(max(offset), 0) FROM v_cursors") > rounds;
        } else {
            disk.countdown = 0;
            rounds++;
        }
        expect_state(aid, rounds);
    }
    assert_true(failed > 1);
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_once),
        cmocka_unit_test(full_for_a_while),
        cmocka_unit_test(full_in_upkeep),
        cmocka_unit_test(io_error),
    };
    disk_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
