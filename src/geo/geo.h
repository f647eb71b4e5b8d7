/* geo.h - where an address is: MaxMind databases (.mmdb), in MaxMind's own layout (nested:
 * city.names, country.iso_code, …) and in the flat one (country_code, city, state1, …).
 *
 * A `struct geo` is the process's current database (or two files: one that has IPv4 only and one
 * that has IPv6). Swapping one in is atomic: a reader takes a reference, looks up, drops it. A
 * database that cannot be read leaves the one before in place, or none, and says why.
 *
 * Files are copied before use (geo_file.c says why): whatever happens to the operator's file
 * afterwards, the database in use stays as it was.
 *
 * Threads: geo_take, geo_cached, geo_drop and geo_status from any thread; geo_open, geo_open_bytes
 * and geo_check from any thread, one at a time inside.
 * Ownership: a record's slices live as long as the reference.
 * Errors: ERR_INPUT, with the file's name and what to do; ERR_GONE when the file is not there;
 * ERR_RETRY when it is being written just now; ERR_IO, ERR_FULL for the copy.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define GEO_SUBDIVISIONS_MAX 8
#define GEO_STALE_DAYS       45
#define GEO_FILES_MAX        2

struct geo;
struct geo_db; /* immutable, counted */

struct geo_place { /* a level of a record; what it lacks is an empty slice, 0, or -1 */
    struct slice code;
    struct slice name;   /* English */
    uint32_t geoname_id; /* 0: none */
    int confidence;      /* -1: none */
};

struct geo_record {
    uint32_t id; /* of one database: equal ids mean equal records */
    struct geo_place city, country, continent, registered_country, represented_country;
    struct geo_place subdivisions[GEO_SUBDIVISIONS_MAX]; /* largest first */
    size_t subdivision_count;
    struct slice postal_code;
    int postal_confidence; /* -1: none */
    bool has_location;     /* latitude and longitude */
    bool has_accuracy, has_metro, has_is_in_eu, is_in_eu;
    double latitude, longitude;
    int accuracy_radius, metro_code;
    struct slice time_zone;
};

/* `dir` is where copies are kept while they are in use, made when it is missing; NULL: $TMPDIR. */
struct geo *geo_new(const char *dir);
void geo_free(struct geo *g); /* after the last geo_drop; NULL is legal */
/* Reads the database (a second file with the other address family may be named behind a comma) and
 * swaps it in. */
MUST_CHECK bool geo_open(struct geo *g, const char *paths, struct err *err);
/* The same with the bytes of a file; `name` is for messages. Nothing to check for later. */
MUST_CHECK bool geo_open_bytes(struct geo *g, const char *name, struct slice bytes,
                               struct err *err);
/* Looks whether the files have changed since, and reads them again then; *changed tells that a new
 * database is in use. What is there stays when the new one is bad; the same bad file is told once.
 */
MUST_CHECK bool geo_check(struct geo *g, bool *changed, struct err *err);
void geo_close(struct geo *g); /* back to no database */
/* NULL: there is no database. */
const struct geo_db *geo_take(struct geo *g);
void geo_drop(const struct geo_db *db); /* NULL is legal */
/* For hot paths: keeps *cached (a reference of the caller's thread, NULL at first, given back with
 * geo_drop at the end) fresh; one atomic load when nothing has changed. */
const struct geo_db *geo_cached(struct geo *g, const struct geo_db **cached);
/* False when the address is not one, or nothing is known about it. */
bool geo_find(const struct geo_db *db, struct slice address, struct geo_record *out);

struct geo_status {
    bool is_loaded;
    char path[256];
    char type[64];      /* database_type of its metadata */
    int64_t built_at_s; /* its build time, s since 1970; of two files the older one */
    bool is_stale;      /* older than GEO_STALE_DAYS */
    char fault[400];    /* why the newest try failed; empty: fine */
};
void geo_status(struct geo *g, struct geo_status *out);
