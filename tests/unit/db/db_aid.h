/* db_aid.h - a database in a folder of its own. */
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/db_priv.h"
#include "temp_dir.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define AID     __attribute__((unused)) static
#define must(x) must_be((x), &aid->err, __FILE__, __LINE__)

struct aid {
    char *dir, *path;
    struct db_options opt;
    struct db *db;
    struct err err;
};

AID void must_be(bool ok, const struct err *err, const char *file, int line)
{
    if (!ok)
        print_error("%s\n", err->text);
    _assert_true(ok, err->text, file, line);
}

AID void aid_open(struct aid *aid)
{
    *aid = (struct aid){.opt = {.busy_us = 1000}};
    log_setup(LOG_NONE, LOG_CLASSIC, false);
    aid->dir = temp_dir_new();
    aid->path = temp_dir_path(aid->dir, "test.db");
    aid->opt.path = aid->path;
    aid->db = db_open(&aid->opt, &aid->err);
    must(aid->db != NULL);
}

AID void aid_close(struct aid *aid)
{
    db_close(aid->db);
    mem_free(aid->path);
    temp_dir_free(aid->dir);
}

AID int64_t aid_number(struct db *db, const char *sql)
{
    struct err err = ERR_INIT;
    int64_t value;

    must_be(db_query_i64(db, sql, &value, &err), &err, __FILE__, __LINE__);
    return value;
}
