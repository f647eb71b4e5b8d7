/* The current database: opening, swapping, looking whether its files have changed.
 *
 * Two locks: `load` for the slow work, one at a time; `swap` for the pointer and the texts of the
 * status, held for a moment only. Readers on the hot path compare one atomic pointer; the reference
 * that they hold keeps the address from being used again, so equal pointers mean the same database.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "geo/geo_priv.h"

#include <stdio.h>
#include <unistd.h>

struct geo {
    char *dir;
    struct lock load; /* over what stands up to `swap` */
    char *paths[GEO_FILES_MAX];
    size_t path_count;
    struct geo_identity identities[GEO_FILES_MAX]; /* of the newest try */
    struct lock swap;                              /* over status; current is changed under it */
    struct geo_db *_Atomic current;
    struct geo_status status;
};

struct geo *geo_new(const char *dir)
{
    struct geo *g = mem_new(struct geo);

    g->dir = mem_dup_str(dir);
    lock_init(&g->load, "geo load", RANK_GEO_LOAD);
    lock_init(&g->swap, "geo", RANK_GEO);
    return g;
}

static void forget_paths(struct geo *g)
{
    for (size_t i = 0; i < g->path_count; i++)
        mem_free(g->paths[i]);
    g->path_count = 0;
}

void geo_free(struct geo *g)
{
    if (!g)
        return;
    geo_drop(atomic_load(&g->current));
    forget_paths(g);
    lock_fini(&g->load);
    lock_fini(&g->swap);
    mem_free(g->dir);
    mem_free(g);
}

/* --- swapping --------------------------------------------------------------------------------- */

static void describe(const struct geo_db *db, const char *name, struct geo_status *out)
{
    *out = (struct geo_status){.is_loaded = true};
    (void)snprintf(out->path, sizeof(out->path), "%s", name);
    for (size_t i = 0; i < db->count; i++) {
        const MMDB_metadata_s *meta = &db->files[i].mmdb.metadata;
        int64_t built = meta->build_epoch > INT64_MAX ? 0 : (int64_t)meta->build_epoch;

        if (i == 0 || built < out->built_at_s)
            out->built_at_s = built;
        if (i == 0)
            (void)snprintf(out->type, sizeof(out->type), "%s", meta->database_type);
    }
}

static void swap_in(struct geo *g, struct geo_db *db, const char *name)
{
    struct geo_status status = {0};
    struct geo_db *old;

    if (db)
        describe(db, name, &status);
    lock_take(&g->swap);
    old = atomic_exchange(&g->current, db);
    g->status = status;
    lock_drop(&g->swap);
    geo_drop(old);
}

static bool keep_fault(struct geo *g, const struct err *err)
{
    lock_take(&g->swap);
    (void)snprintf(g->status.fault, sizeof(g->status.fault), "%s", err->text);
    lock_drop(&g->swap);
    return false;
}

/* --- opening ---------------------------------------------------------------------------------- */

static bool set_paths(struct geo *g, const char *paths, struct err *err)
{
    struct slice rest = slice_cstr(paths), part;

    forget_paths(g);
    while (slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (part.len == 0)
            continue;
        if (g->path_count == GEO_FILES_MAX)
            return err_set(err, ERR_INPUT,
                           "more than %d GeoIP files: one for IPv4 and one for IPv6, with a comma "
                           "between them",
                           GEO_FILES_MAX);
        g->identities[g->path_count] = (struct geo_identity){.is_there = false};
        g->paths[g->path_count++] = slice_dup(part);
    }
    return g->path_count > 0 || err_set(err, ERR_INPUT, "no GeoIP file is named");
}

static bool load_path(struct geo *g, size_t i, struct geo_db *db, struct err *err)
{
    int fd = geo_copy_file(g->paths[i], g->dir, &g->identities[i], err);
    bool ok = fd != -1 && geo_db_add(db, fd, g->paths[i], err);

    if (fd != -1)
        (void)close(fd);
    return ok;
}

static bool load_paths(struct geo *g, struct err *err)
{
    struct geo_db *db = geo_db_new();

    /* A file that is not looked at because the one before it is bad must not look new for ever. */
    for (size_t i = 0; i < g->path_count; i++)
        g->identities[i] = geo_identity_of(g->paths[i]);
    for (size_t i = 0; i < g->path_count; i++) {
        if (!load_path(g, i, db, err)) {
            geo_drop(db);
            return keep_fault(g, err);
        }
    }
    swap_in(g, db, g->paths[0]);
    return true;
}

bool geo_open(struct geo *g, const char *paths, struct err *err)
{
    bool ok;

    lock_take(&g->load);
    ok = set_paths(g, paths, err) ? load_paths(g, err) : keep_fault(g, err);
    lock_drop(&g->load);
    return ok;
}

bool geo_open_bytes(struct geo *g, const char *name, struct slice bytes, struct err *err)
{
    struct geo_db *db = geo_db_new();
    bool ok = false;
    int fd;

    lock_take(&g->load);
    forget_paths(g);
    fd = geo_copy_bytes(bytes, g->dir, err);
    ok = fd != -1 && geo_db_add(db, fd, name, err);
    if (fd != -1)
        (void)close(fd);
    if (ok) {
        swap_in(g, db, name);
    } else {
        geo_drop(db);
        keep_fault(g, err);
    }
    lock_drop(&g->load);
    return ok;
}

bool geo_check(struct geo *g, bool *changed, struct err *err)
{
    bool is_other = false, ok = true;

    *changed = false;
    lock_take(&g->load);
    for (size_t i = 0; i < g->path_count; i++) {
        struct geo_identity now = geo_identity_of(g->paths[i]);

        is_other |= !geo_identity_eq(&now, &g->identities[i]);
    }
    if (is_other) {
        ok = load_paths(g, err);
        *changed = ok;
    }
    lock_drop(&g->load);
    return ok;
}

void geo_close(struct geo *g)
{
    lock_take(&g->load);
    forget_paths(g);
    swap_in(g, NULL, "");
    lock_drop(&g->load);
}

/* --- using ------------------------------------------------------------------------------------ */

const struct geo_db *geo_take(struct geo *g)
{
    struct geo_db *db;

    lock_take(&g->swap);
    db = atomic_load(&g->current);
    if (db)
        atomic_fetch_add(&db->refs, 1);
    lock_drop(&g->swap);
    return db;
}

const struct geo_db *geo_cached(struct geo *g, const struct geo_db **cached)
{
    if (atomic_load(&g->current) != *cached) {
        geo_drop(*cached);
        *cached = geo_take(g);
    }
    return *cached;
}

void geo_status(struct geo *g, struct geo_status *out)
{
    int64_t age_s;

    lock_take(&g->swap);
    *out = g->status;
    lock_drop(&g->swap);
    age_s = clock_wall_us() / 1000000 - out->built_at_s;
    out->is_stale = out->is_loaded && age_s > (int64_t)GEO_STALE_DAYS * 24 * 3600;
}
