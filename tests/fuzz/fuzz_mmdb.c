/* A GeoIP database of any bytes: opened, or refused; then addresses all over the tree, with what
 * the file itself says at its beginning as one more. */
#include "base/mem.h"
#include "geo/geo.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void find(const struct geo_db *db, struct slice address)
{
    struct geo_record r;

    if (!geo_find(db, address, &r))
        return;
    CHECK(r.subdivision_count <= GEO_SUBDIVISIONS_MAX);
    CHECK(r.country.name.len <= 1024 && r.city.name.len <= 1024);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct geo *g = geo_new("/dev/shm");
    struct err err = ERR_INIT;
    const struct geo_db *db;
    char address[64];

    if (geo_open_bytes(g, "fuzz.mmdb", slice_make(data, size), &err)) {
        db = geo_take(g);
        for (unsigned i = 0; i < 256; i += 5) {
            (void)snprintf(address, sizeof(address), "%u.%u.3.4", i, 255 - i);
            find(db, slice_cstr(address));
            (void)snprintf(address, sizeof(address), "%x%02x:db8::%x", i, 255 - i, i);
            find(db, slice_cstr(address));
        }
        find(db, SLICE("1.2.3.4"));
        find(db, SLICE("2001:db8::1"));
        geo_drop(db);
    } else {
        CHECK(err.code == ERR_INPUT || err.code == ERR_RETRY);
    }
    geo_free(g);
    return 0;
}
