/* geo_aid.h - databases for tests of geo/: our own small ones and MaxMind's. */
#pragma once

#include "base/fs.h"
#include "base/mem.h"
#include "geo/geo_priv.h"
#include "mmdb_make.h"
#include "temp_dir.h"
#include "unit.h"

#include <stdio.h>

#define AID       __attribute__((unused)) static
#define MAXMIND   "build/vendor/geoip-test-data/"
#define CITY_TEST MAXMIND "test-data/GeoIP2-City-Test.mmdb"
#define BYTES_MAX ((size_t)64 << 20)

#define assert_slice(s, text)                                                      \
    do {                                                                           \
        struct slice assert_s = (s);                                               \
        assert_int_equal(assert_s.len, strlen(text));                              \
        assert_memory_equal(assert_s.ptr ? assert_s.ptr : "", text, assert_s.len); \
    } while (0)

struct aid {
    char *dir;
    struct geo *geo;
    struct err err;
};

AID int aid_setup(void **state)
{
    struct aid *aid = mem_new(struct aid);

    aid->dir = temp_dir_new();
    aid->geo = geo_new(aid->dir);
    *state = aid;
    return 0;
}

AID int aid_teardown(void **state)
{
    struct aid *aid = *state;

    geo_free(aid->geo);
    temp_dir_free(aid->dir);
    mem_free(aid);
    return 0;
}

AID void write_file(const char *path, struct slice bytes)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
    assert_int_equal(fclose(f), 0);
}

AID void read_bytes(const char *path, struct buf *out)
{
    struct err err = ERR_INIT;

    *out = BUF_INIT(BYTES_MAX);
    if (!fs_read_all(path, out, &err))
        fail_msg("%s (scripts/vendor.sh test fetches it)", err.text);
}

/* One flat country database of one network. */
AID void make_country(struct buf *out, const char *network, const char *code)
{
    struct mmdb_make *m = mmdb_make_new(6, 24, "country test");
    char json[64];

    (void)snprintf(json, sizeof(json), "{\"country_code\":\"%s\"}", code);
    mmdb_make_add(m, network, json);
    *out = BUF_INIT(BYTES_MAX);
    mmdb_make_write(m, out);
    mmdb_make_free(m);
}

AID void write_country(const char *path, const char *network, const char *code)
{
    struct buf bytes;

    make_country(&bytes, network, code);
    write_file(path, buf_slice(&bytes));
    buf_free(&bytes);
}

/* The code of the country where the address is, "" when nothing is known. */
AID const char *country_at(struct geo *g, const char *address, char out[3])
{
    const struct geo_db *db = geo_take(g);
    struct geo_record r;

    out[0] = '\0';
    if (geo_find(db, slice_cstr(address), &r))
        (void)snprintf(out, 3, "%.*s", SLICE_ARG(r.country.code));
    geo_drop(db);
    return out;
}
