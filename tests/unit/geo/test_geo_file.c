#include "base/fault.h"
#include "geo_aid.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static void copies_have_no_name_and_stay(void **state)
{
    struct aid *aid = *state;
    char *source = temp_dir_path(aid->dir, "source"), *dir = temp_dir_path(aid->dir, "a/b");
    struct geo_identity identity;
    struct stat st;
    char bytes[8];
    int fd, count = 0;
    DIR *d;

    write_file(source, SLICE("content"));
    fd = geo_copy_file(source, dir, &identity, &aid->err);
    assert_int_not_equal(fd, -1);
    assert_int_equal(identity.bytes, 7);
    assert_int_equal(truncate(source, 0), 0);
    assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), 7);
    assert_memory_equal(bytes, "content", 7);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 0);
    d = opendir(dir);
    while (readdir(d))
        count++;
    closedir(d);
    assert_int_equal(count, 2); /* . and .. */
    close(fd);
    mem_free(source);
    mem_free(dir);
}

static void long_files_and_bytes(void **state)
{
    struct aid *aid = *state;
    size_t size = 700001;
    char *bytes = mem_alloc(size), *read = mem_alloc(size + 1);
    char *source = temp_dir_path(aid->dir, "source");
    struct geo_identity identity;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 31 >> 3);
    write_file(source, slice_make(bytes, size));
    for (int round = 0; round < 2; round++) {
        int fd = round ? geo_copy_bytes(slice_make(bytes, size), NULL, &aid->err)
                       : geo_copy_file(source, aid->dir, &identity, &aid->err);

        assert_int_not_equal(fd, -1);
        assert_int_equal(pread(fd, read, size + 1, 0), size);
        assert_memory_equal(read, bytes, size);
        close(fd);
    }
    mem_free(bytes);
    mem_free(read);
    mem_free(source);
}

static void what_is_no_file_is_refused(void **state)
{
    struct aid *aid = *state;
    char *source = temp_dir_path(aid->dir, "source"), *pipe = temp_dir_path(aid->dir, "pipe");
    struct geo_identity identity;

    assert_int_equal(geo_copy_file(source, aid->dir, &identity, &aid->err), -1);
    assert_int_equal(aid->err.code, ERR_GONE);
    assert_non_null(strstr(aid->err.text, source));
    assert_int_equal(geo_copy_file(aid->dir, aid->dir, &identity, &aid->err), -1);
    assert_int_equal(aid->err.code, ERR_INPUT);
    assert_int_equal(mkfifo(pipe, 0600), 0); /* not a wait for a writer either */
    assert_int_equal(geo_copy_file(pipe, aid->dir, &identity, &aid->err), -1);
    assert_int_equal(aid->err.code, ERR_INPUT);
    write_file(source, SLICE("x"));
    assert_int_equal(truncate(source, (off_t)3 << 30), 0);
    assert_int_equal(geo_copy_file(source, aid->dir, &identity, &aid->err), -1);
    assert_int_equal(aid->err.code, ERR_INPUT);
    mem_free(source);
    mem_free(pipe);
}

static void a_directory_that_cannot_be_used(void **state)
{
    struct aid *aid = *state;
    char *source = temp_dir_path(aid->dir, "source"), *below = temp_dir_path(aid->dir, "source/x");
    struct geo_identity identity;

    write_file(source, SLICE("x"));
    assert_int_equal(geo_copy_file(source, below, &identity, &aid->err), -1);
    assert_int_not_equal(aid->err.code, ERR_NONE);
    assert_int_equal(geo_copy_bytes(SLICE("x"), below, &aid->err), -1);
    mem_free(source);
    mem_free(below);
}

static void every_failed_copy_is_told(void **state)
{
    static const char *const points[] = {"fs.pwrite", "fs.pwrite.full", "fs.pread"};
    struct aid *aid = *state;
    char *source = temp_dir_path(aid->dir, "source");
    struct geo_identity identity;

    write_file(source, SLICE("x"));
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        fault_arm(points[i], 1, 1);
        assert_int_equal(geo_copy_file(source, aid->dir, &identity, &aid->err), -1);
        fault_clear();
        assert_int_equal(aid->err.code, i == 1 ? ERR_FULL : ERR_IO);
    }
    fault_arm("fs.pwrite", 1, 1);
    assert_int_equal(geo_copy_bytes(SLICE("x"), aid->dir, &aid->err), -1);
    fault_clear();
    mem_free(source);
}

static void identities_tell_changes(void **state)
{
    struct aid *aid = *state;
    char *path = temp_dir_path(aid->dir, "f"), *other = temp_dir_path(aid->dir, "g");
    struct geo_identity absent = geo_identity_of(path), before, after;

    assert_false(absent.is_there);
    write_file(path, SLICE("12345"));
    before = geo_identity_of(path);
    after = geo_identity_of(path);
    assert_true(before.is_there && geo_identity_eq(&before, &after));
    assert_false(geo_identity_eq(&before, &absent));
    write_file(other, SLICE("54321"));
    assert_int_equal(rename(other, path), 0);
    after = geo_identity_of(path);
    assert_false(geo_identity_eq(&before, &after));
    before = after;
    assert_int_equal(truncate(path, 2), 0);
    after = geo_identity_of(path);
    assert_false(geo_identity_eq(&before, &after));
    mem_free(path);
    mem_free(other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, aid_setup, aid_teardown)
    const struct CMUnitTest tests[] = {
        TEST(copies_have_no_name_and_stay), TEST(long_files_and_bytes),
        TEST(what_is_no_file_is_refused),   TEST(a_directory_that_cannot_be_used),
        TEST(every_failed_copy_is_told),    TEST(identities_tell_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
