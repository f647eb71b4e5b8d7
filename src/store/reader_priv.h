/* reader_priv.h - shared by reader.c (one thing found by its name) and reader_list.c (lists). */
#pragma once

#include "store/reader.h"
#include "store/store_priv.h"

struct store_reader {
    struct db *db;
    struct store_sqlite *store; /* NULL: not attached */
    struct db_stmt *parts, *index, *uuid, *scan, *event, *owner_logged, *owner_folded;
    struct db_stmt *person_logged, *person_folded, *ids;
    struct db_stmt *logs, *logs_of, *minute, *minute_of, *events, *dead_letters, *dead_letter;
    uint64_t hash_key[2];
};

MUST_CHECK bool reader_list_prepare(struct store_reader *r, struct err *err);

/* Runs fn in one read transaction with the deadline. */
typedef bool reader_fn(struct store_reader *r, const void *what, struct buf *json, struct err *err);
MUST_CHECK bool reader_bounded(struct store_reader *r, reader_fn *fn, const void *what,
                               struct buf *json, struct err *err);

/* Members of an object. */
void reader_add_key(struct buf *json, const char *key);
void reader_add_text(struct buf *json, const char *key, struct slice text);
void reader_add_i64(struct buf *json, const char *key, int64_t value);
/* JSON text as it is when it is valid, else as a string. */
void reader_add_json(struct buf *json, const char *key, bool is_valid, struct slice text);
