#include "temp_dir.h"

#include "base/fs.h"
#include "base/mem.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char *temp_dir_new(void)
{
    const char *top = getenv("TMPDIR");
    char *dir = fs_join(top && top[0] ? top : "/tmp", "hedgerow-test-XXXXXX");

    CHECK(mkdtemp(dir));
    return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    UNUSED(st);
    UNUSED(type);
    UNUSED(ftw);
    return remove(path);
}

void temp_dir_free(char *dir)
{
    if (!dir)
        return;
    CHECK(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
    mem_free(dir);
}

char *temp_dir_path(const char *dir, const char *name)
{
    return fs_join(dir, name);
}

void temp_dir_write(const char *dir, const char *name, const char *text)
{
    struct err err = ERR_INIT;
    char *path = fs_join(dir, name);
    char *slash = strrchr(path, '/');

    *slash = '\0';
    CHECK(fs_mkdirs(path, 0700, &err));
    *slash = '/';
    CHECK(fs_write_atomic(path, slice_cstr(text), 0600, &err));
    mem_free(path);
}
