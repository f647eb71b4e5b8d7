/* geo.h - where an address is: MaxMind databases (.mmdb), in MaxMind's own layout (nested:
 * city.names, country.iso_code, …) and in the flat one (country_code, city, state1, …).
 *
 * A `struct geo` is the process's current database (or two: one that has IPv4 only and one that has
 * IPv6). Swapping one in is atomic: a reader takes a reference, looks up, drops it. A database that
 * cannot be read leaves the one before in place, or none, and says why.
 *
 * Threads: geo_take and geo_drop from any thread; geo_open, geo_check, geo_status from any thread,
 * one at a time inside.
 * Ownership: a record's slices live as long as the reference.
 * Errors: ERR_INPUT, with the file's name and what to do.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define GEO_SUBDIVISIONS_MAX 8
#define GEO_STALE_DAYS       45

struct geo;
struct geo_db; /* immutable, counted */

struct geo_place { /* a level of a record; what it lacks is an empty slice or has_… false */
    struct slice code;
    struct slice name; /* English */
    uint32_t geoname_id;
    int confidence; /* -1: none */
};

struct geo_record {
    struct geo_place city, country, continent, registered_country, represented_country;
    struct geo_place subdivisions[GEO_SUBDIVISIONS_MAX]; /* largest first */
    size_t subdivision_count;
    struct slice postal_code;
    int postal_confidence;
    bool has_location, has_accuracy, has_metro, has_is_in_eu, is_in_eu;
    double latitude, longitude;
    int accuracy_radius, metro_code;
    struct slice time_zone;
};

struct geo *geo_new(void);
void geo_free(struct geo *g);
/* Reads the database (a second file with the other address family may be named behind a comma) and
 * swaps it in. */
MUST_CHECK bool geo_open(struct geo *g, const char *paths, struct err *err);
/* Looks whether the files have changed since, and reads them again then; *changed tells. What is
 * there stays when the new one is bad. */
MUST_CHECK bool geo_check(struct geo *g, bool *changed, struct err *err);
/* NULL: there is no database. */
const struct geo_db *geo_take(struct geo *g);
void geo_drop(const struct geo_db *db); /* NULL is legal */
/* For hot paths: keeps *cached (a reference of the caller's thread) fresh; one atomic load when
 * nothing changed. */
const struct geo_db *geo_cached(struct geo *g, const struct geo_db **cached);
/* False when the address is not one, or nothing is known about it. */
bool geo_find(const struct geo_db *db, struct slice address, struct geo_record *out);

struct geo_status {
    bool is_loaded;
    char path[256];
    char type[64];      /* database_type of its metadata */
    int64_t built_at_s; /* its build time, s since 1970 */
    bool is_stale;      /* older than GEO_STALE_DAYS */
    char fault[200];    /* why the newest try failed; empty: fine */
};
void geo_status(struct geo *g, struct geo_status *out);
