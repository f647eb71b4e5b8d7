/* geo_priv.h - between the files of geo/. */
#pragma once

#include "geo/geo.h"

#include <maxminddb.h>

#include <stdatomic.h>

/* --- geo_value.c: values of the MaxMind DB format ----------------------------------------------
 *
 * Every step is checked against the bounds and counted, so that a damaged file ends a look-up and
 * nothing else: libmaxminddb follows pointers and nesting as far as they go.
 */

#define GEO_BUDGET_RECORD 4096 /* values of one record that are looked at */
#define GEO_BUDGET_META   65536
#define GEO_DEPTH_MAX     32

struct geo_reader {
    const uint8_t *data;
    size_t size;
    unsigned budget;
};

enum geo_type {
    GEO_POINTER = 1,
    GEO_STRING = 2,
    GEO_DOUBLE = 3,
    GEO_BYTES = 4,
    GEO_UINT16 = 5,
    GEO_UINT32 = 6,
    GEO_MAP = 7,
    GEO_INT32 = 8,
    GEO_UINT64 = 9,
    GEO_UINT128 = 10,
    GEO_ARRAY = 11,
    GEO_BOOLEAN = 14,
    GEO_FLOAT = 15,
};

struct geo_value {
    enum geo_type type;
    size_t at;         /* of the first element of a map or an array */
    uint32_t count;    /* of its elements */
    size_t next;       /* behind the value; 0: behind the elements, which have to be walked */
    struct slice text; /* of a string */
    double number;     /* of a number */
    uint64_t whole; /* of an unsigned number up to 64 bits, a boolean, an int32 that is not < 0 */
};

struct geo_walk {
    struct geo_reader *reader;
    struct geo_value *of, *last;
    size_t at;
    uint32_t left;
    bool is_bad; /* the end came too early */
};

/* The value at `at`, behind a pointer when there is one. False: damaged, or the budget is spent. */
bool geo_value_read(struct geo_reader *r, size_t at, struct geo_value *v);
/* Walks the members of a map or the elements of an array. `value` stays the walk's until the next
 * step; a walk to the end of an element tells its parent where that was. */
struct geo_walk geo_walk_start(struct geo_reader *r, struct geo_value *of);
bool geo_walk_member(struct geo_walk *w, struct slice *key, struct geo_value *value);
bool geo_walk_element(struct geo_walk *w, struct geo_value *value);
/* Passes what is left; false: damaged, now or before. */
bool geo_walk_finish(struct geo_walk *w);
/* Is everything under the value whole, and within the budget? */
bool geo_value_check(struct geo_reader *r, struct geo_value *v, int depth);

/* --- geo_record.c ------------------------------------------------------------------------------
 */

enum geo_layout { GEO_NESTED, GEO_FLAT, GEO_NO_PLACES };
/* False: damaged. `out` is empty in what the record lacks. */
bool geo_record_read(const uint8_t *data, size_t size, size_t at, struct geo_record *out,
                     enum geo_layout *layout);

/* --- geo_country.c -----------------------------------------------------------------------------
 */

struct geo_country {
    char code[3], continent[3];
    bool is_in_eu;
    const char *name;
};
const struct geo_country *geo_country_find(struct slice code); /* NULL: unknown */
const char *geo_continent_name(struct slice code);             /* NULL: unknown */

/* --- geo_file.c: one file, copied
 * ---------------------------------------------------------------*/

struct geo_identity { /* tells whether a file has changed */
    bool is_there;
    uint64_t device, inode, bytes;
    int64_t changed_ns, modified_ns;
};
struct geo_identity geo_identity_of(const char *path);
bool geo_identity_eq(const struct geo_identity *a, const struct geo_identity *b);

/* A descriptor of a nameless copy in `dir`, or -1. */
int geo_copy_file(const char *path, const char *dir, struct geo_identity *identity,
                  struct err *err);
int geo_copy_bytes(struct slice bytes, const char *dir, struct err *err);

/* --- geo_db.c ----------------------------------------------------------------------------------
 */

/* Decoded records: most events come from few places. Each slot keeps the first record that it met,
 * until the database goes; so readers need no lock, and it cannot grow. */
#define GEO_MEMO_BITS 9

struct geo_file {
    MMDB_s mmdb;
    _Atomic(struct geo_record *) memos[1 << GEO_MEMO_BITS]; /* their id: the place in the file */
};

struct geo_db {
    _Atomic uint32_t refs;
    size_t count;
    struct geo_file files[GEO_FILES_MAX];
};

struct geo_db *geo_db_new(void); /* with one reference and no file */
/* Adds the file of the descriptor, which stays the caller's. */
MUST_CHECK bool geo_db_add(struct geo_db *db, int fd, const char *name, struct err *err);
