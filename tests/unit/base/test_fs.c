#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "child.h"
#include "temp_dir.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char *dir, *file;
};

static int setup(void **state)
{
    struct place *p = mem_new(struct place);

    p->dir = temp_dir_new();
    p->file = temp_dir_path(p->dir, "file");
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = (struct place *)*state;

    fault_clear();
    temp_dir_free(p->dir);
    mem_free(p->file);
    mem_free(p);
    return 0;
}

static void assert_file(const char *path, const char *text)
{
    struct buf b = BUF_INIT(100000);
    struct err err = ERR_INIT;

    assert_true(fs_read_all(path, &b, &err));
    assert_string_equal(buf_cstr(&b), text);
    buf_free(&b);
}

static int files_in(const char *dir)
{
    DIR *d = opendir(dir);
    int count = 0;

    for (struct dirent *e; (e = readdir(d));)
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static void writing_and_reading(void **state)
{
    struct place *p = (struct place *)*state;
    struct err err = ERR_INIT;
    struct stat st;

    assert_false(fs_exists(p->file));
    assert_true(fs_write_atomic(p->file, SLICE("one"), 0600, &err));
    assert_file(p->file, "one");
    assert_int_equal(fs_bytes(p->file), 3);
    assert_int_equal(stat(p->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(fs_write_atomic(p->file, SLICE_NONE, 0600, &err));
    assert_file(p->file, "");
    assert_true(fs_exists(p->file));
    assert_int_equal(files_in(p->dir), 1);
    assert_true(fs_remove(p->file, &err));
    assert_true(fs_remove(p->file, &err)); // absent is fine
    assert_false(fs_exists(p->file));
    assert_int_equal(fs_bytes(p->file), 0);
}

static void the_maximum_of_a_read_is_exact(void **state)
{
    struct place *p = (struct place *)*state;

    temp_dir_write(p->dir, "file", "12345");
    for (size_t max = 1; max <= 7; max++) {
        struct buf b = BUF_INIT(max);
        struct err err = ERR_INIT;

        assert_true(buf_add_str(&b, "x"));
        assert_int_equal(fs_read_all(p->file, &b, &err), max >= 6);
        assert_int_equal(err.code, max >= 6 ? ERR_NONE : ERR_LIMIT);
        assert_int_equal(b.len, max >= 6 ? 6 : 1);
        buf_free(&b);
    }
}

static void a_large_file_is_read_whole(void **state)
{
    struct place *p = (struct place *)*state;
    struct buf text = BUF_INIT(1 << 20), b = BUF_INIT(1 << 20);
    struct err err = ERR_INIT;

    for (int i = 0; i < 50000; i++)
        buf_addf(&text, "%d ", i);
    assert_true(fs_write_atomic(p->file, buf_slice(&text), 0600, &err));
    assert_true(fs_read_all(p->file, &b, &err));
    assert_true(slice_eq(buf_slice(&text), buf_slice(&b)));
    buf_free(&text);
    buf_free(&b);
}

static void errors_say_what_to_do(void **state)
{
    struct place *p = (struct place *)*state;
    char *below = temp_dir_path(p->dir, "file/below");
    struct buf b = BUF_INIT(100);
    struct err err = ERR_INIT;
    uint64_t bytes;

    assert_false(fs_read_all(p->file, &b, &err));
    assert_int_equal(err.code, ERR_GONE);
    assert_non_null(strstr(err.text, p->file));
    assert_false(fs_read_all(p->dir, &b, &err)); // a directory
    assert_int_equal(err.code, ERR_IO);
    assert_false(fs_write_atomic(below, SLICE("x"), 0600, &err));
    assert_int_equal(err.code, ERR_GONE);
    assert_false(fs_sync_dir(p->file, &err));
    assert_int_equal(err.code, ERR_GONE);
    temp_dir_write(p->dir, "file", "x");
    assert_false(fs_mkdirs(below, 0700, &err)); // a file is in the way
    assert_non_null(strstr(err.text, "Not a directory"));
    assert_false(fs_mkdirs("", 0700, &err));
    assert_false(fs_remove(p->dir, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_false(fs_free_bytes("/does/not/exist", &bytes, &err));
    assert_int_equal(err.code, ERR_GONE);
    buf_free(&b);
    mem_free(below);
}

static void directories(void **state)
{
    struct place *p = (struct place *)*state;
    char *deep = temp_dir_path(p->dir, "a//b/c/");
    char *c = temp_dir_path(p->dir, "a/b/c");
    struct err err = ERR_INIT;
    uint64_t bytes = 0;

    assert_true(fs_mkdirs(deep, 0700, &err));
    assert_true(fs_exists(c));
    assert_true(fs_mkdirs(deep, 0700, &err)); // existing is fine
    assert_true(fs_mkdirs("/", 0700, &err));
    assert_true(fs_sync_dir(c, &err));
    assert_true(fs_free_bytes(c, &bytes, &err));
    assert_true(bytes > 0);
    mem_free(deep);
    mem_free(c);
}

static void at_offsets(void **state)
{
    struct place *p = (struct place *)*state;
    int fd = open(p->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct err err = ERR_INIT;
    char bytes[10];
    size_t got = 0;

    fault_arm("fs.pwrite.short", 1, 2);
    assert_true(fs_pwrite(fd, "abcdef", 6, 4, p->file, &err));
    assert_int_equal(fault_hits("fs.pwrite.short"), 3);
    assert_true(fs_pread(fd, bytes, 3, 5, &got, p->file, &err));
    assert_int_equal(got, 3);
    assert_memory_equal(bytes, "bcd", 3);
    assert_true(fs_pread(fd, bytes, 10, 8, &got, p->file, &err)); // the end comes first
    assert_int_equal(got, 2);
    assert_memory_equal(bytes, "ef", 2);
    assert_true(fs_pread(fd, bytes, 10, 100, &got, p->file, &err));
    assert_int_equal(got, 0);
    assert_false(fs_pread(-1, bytes, 1, 0, &got, p->file, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_false(fs_pwrite(-1, bytes, 1, 0, p->file, &err));
    close(fd);
}

// Every call that can fail fails once: the old content stays and nothing is left behind.
static void a_failed_write_changes_nothing(void **state)
{
    static const struct {
        const char *point;
        int nth;
        enum err_code code;
    } table[] = {
        {"fs.pwrite", 1, ERR_IO}, {"fs.pwrite.full", 1, ERR_FULL}, {"fs.fsync", 1, ERR_IO},
        {"fs.rename", 1, ERR_IO}, {"mem.try", 1, ERR_INPUT},
    };
    struct place *p = (struct place *)*state;

    temp_dir_write(p->dir, "file", "old");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = ERR_INIT;

        fault_arm(table[i].point, table[i].nth, 1);
        assert_false(fs_write_atomic(p->file, SLICE("new"), 0600, &err));
        assert_int_equal(err.code, table[i].code);
        fault_clear();
        assert_file(p->file, "old");
        assert_int_equal(files_in(p->dir), 1);
    }
}

static void a_failed_sync_of_the_directory_is_told(void **state)
{
    struct place *p = (struct place *)*state;
    struct err err = ERR_INIT;

    fault_arm("fs.fsync", 2, 1);
    assert_false(fs_write_atomic(p->file, SLICE("new"), 0600, &err));
    assert_non_null(strstr(err.text, "sync directory"));
}

static void failed_reads_change_nothing(void **state)
{
    struct place *p = (struct place *)*state;
    struct buf b = BUF_INIT(100);
    struct err err = ERR_INIT;

    temp_dir_write(p->dir, "file", "text");
    assert_true(buf_add_str(&b, "x"));
    for (int nth = 1; nth <= 2; nth++) {
        fault_arm("fs.read", nth, 1);
        assert_false(fs_read_all(p->file, &b, &err));
        assert_int_equal(err.code, ERR_IO);
        assert_int_equal(b.len, 1);
    }
    buf_free(&b);
}

static void crash_before_rename(void *ctx)
{
    struct err err = ERR_INIT;

    fault_arm("fs.before_rename", 1, 1);
    (void)!fs_write_atomic((const char *)ctx, SLICE("new"), 0600, &err);
}

static void a_crash_leaves_the_old_content(void **state)
{
    struct place *p = (struct place *)*state;

    temp_dir_write(p->dir, "file", "old");
    assert_true(child_killed_by(SIGKILL, crash_before_rename, p->file));
    assert_file(p->file, "old");
}

static void try_lock(void *ctx)
{
    struct err err = ERR_INIT;
    int fd = fs_lock((const char *)ctx, &err);

    dprintf(1, "%d %s %s", fd == -1, err_code_name(err.code), err.text);
}

static void one_process_holds_the_lock(void **state)
{
    struct place *p = (struct place *)*state;
    struct err err = ERR_INIT;
    struct buf expected = BUF_INIT(1000);
    struct stat st;
    int fd = fs_lock(p->file, &err);
    char *told = child_output(1, try_lock, p->file);

    assert_int_not_equal(fd, -1);
    buf_addf(&expected, "1 full %s is held by process %ld", p->file, (long)getpid());
    assert_string_equal(told, buf_cstr(&expected));
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    mem_free(told);
    close(fd);
    told = child_output(1, try_lock, p->file); // free again
    assert_string_equal(told, "0 none ");
    mem_free(told);
    buf_free(&expected);
}

static void a_lock_that_cannot_be_opened(void **state)
{
    struct place *p = (struct place *)*state;
    struct err err = ERR_INIT;

    assert_int_equal(fs_lock("/does/not/exist/LOCK", &err), -1);
    assert_int_equal(err.code, ERR_GONE);
    fault_arm("fs.pwrite", 1, 1);
    assert_int_equal(fs_lock(p->file, &err), -1);
    assert_int_equal(err.code, ERR_IO);
}

static void joining(void **state)
{
    static const struct {
        const char *dir, *name, *path;
    } table[] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a//", "b/c", "a/b/c"}, {"/", "b", "/b"},
        {"//", "b", "/b"}, {"a", "/b", "/b"},  {"", "b", "b"},          {"a", "", "a/"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char *path = fs_join(table[i].dir, table[i].name);

        assert_string_equal(path, table[i].path);
        mem_free(path);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writing_and_reading),
        TEST(the_maximum_of_a_read_is_exact),
        TEST(a_large_file_is_read_whole),
        TEST(errors_say_what_to_do),
        TEST(directories),
        TEST(at_offsets),
        TEST(a_failed_write_changes_nothing),
        TEST(a_failed_sync_of_the_directory_is_told),
        TEST(failed_reads_change_nothing),
        TEST(a_crash_leaves_the_old_content),
        TEST(one_process_holds_the_lock),
        TEST(a_lock_that_cannot_be_opened),
        cmocka_unit_test(joining),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
