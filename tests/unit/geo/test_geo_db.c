#include "base/rand.h"
#include "geo_aid.h"

#include <dirent.h>
#include <unistd.h>

/* --- MaxMind's own test databases ------------------------------------------------------------- */

static void city_database(void **state)
{
    struct aid *aid = *state;
    const struct geo_db *db;
    struct geo_record r;

    if (!geo_open(aid->geo, CITY_TEST, &aid->err))
        fail_msg("%s (scripts/vendor.sh test fetches it)", aid->err.text);
    db = geo_take(aid->geo);
    assert_true(geo_find(db, SLICE("89.160.20.129"), &r));
    assert_slice(r.city.name, "Linköping");
    assert_slice(r.country.code, "SE");
    assert_slice(r.subdivisions[0].name, "Östergötland County");
    assert_slice(r.time_zone, "Europe/Stockholm");
    assert_true(r.has_location && r.latitude == 58.4167 && r.longitude == 15.6167);
    assert_true(geo_find(db, SLICE("::ffff:89.160.20.129"), &r)); /* IPv4 inside IPv6 */
    assert_slice(r.country.code, "SE");
    assert_true(geo_find(db, SLICE("2001:218::1"), &r));
    assert_slice(r.country.code, "JP");
    assert_int_equal(r.city.name.len, 0);
    assert_false(geo_find(db, SLICE("10.0.0.1"), &r));
    assert_false(geo_find(db, SLICE("fe80::1"), &r));
    geo_drop(db);
}

static void equal_records_have_equal_ids(void **state)
{
    struct aid *aid = *state;
    const struct geo_db *db;
    struct geo_record a, b, other;

    assert_true(geo_open(aid->geo, CITY_TEST, &aid->err));
    db = geo_take(aid->geo);
    assert_true(geo_find(db, SLICE("89.160.20.129"), &a));
    assert_true(geo_find(db, SLICE("89.160.20.130"), &b));
    assert_true(geo_find(db, SLICE("81.2.69.142"), &other));
    assert_int_equal(a.id, b.id);
    assert_int_not_equal(a.id, other.id);
    geo_drop(db);
}

static void what_is_no_address_is_nowhere(void **state)
{
    static const char *const texts[] = {"",
                                        "x",
                                        "1.2.3",
                                        "1.2.3.4.5",
                                        "89.160.20.129:80",
                                        " 89.160.20.129",
                                        "89.160.20.129 ",
                                        "256.1.1.1",
                                        "[2001:218::1]",
                                        "2001:218:::1",
                                        "unix",
                                        "1111111111111111111111111111111111111111111111111111111"};
    struct aid *aid = *state;
    const struct geo_db *db;
    struct geo_record r;

    assert_true(geo_open(aid->geo, CITY_TEST, &aid->err));
    db = geo_take(aid->geo);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_false(geo_find(db, slice_cstr(texts[i]), &r));
    assert_false(geo_find(db, SLICE("89.160.20.129\0"), &r));
    assert_false(geo_find(db, SLICE_NONE, &r));
    assert_false(geo_find(NULL, SLICE("89.160.20.129"), &r));
    geo_drop(db);
}

static void kinds_of_databases(void **state)
{
    static const struct {
        const char *file, *address, *country;
    } good[] = {
        {"GeoIP2-Country-Test", "89.160.20.129", "SE"},
        {"GeoIP2-Enterprise-Test", "74.209.24.0", "US"},
        {"GeoIP2-Precision-Enterprise-Test", "74.209.24.0", "US"},
    };
    static const char *const without_places[] = {
        "GeoLite2-ASN-Test", "GeoIP2-ISP-Test", "GeoIP2-Anonymous-IP-Test",
        "GeoIP2-Connection-Type-Test", "GeoIP2-Domain-Test"};
    struct aid *aid = *state;
    char path[256], code[3];

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        (void)snprintf(path, sizeof(path), MAXMIND "test-data/%s.mmdb", good[i].file);
        if (!geo_open(aid->geo, path, &aid->err))
            fail_msg("%s", aid->err.text);
        assert_string_equal(country_at(aid->geo, good[i].address, code), good[i].country);
    }
    for (size_t i = 0; i < ARRAY_LEN(without_places); i++) {
        (void)snprintf(path, sizeof(path), MAXMIND "test-data/%s.mmdb", without_places[i]);
        assert_false(geo_open(aid->geo, path, &aid->err));
        assert_int_equal(aid->err.code, ERR_INPUT);
        assert_non_null(strstr(aid->err.text, "no countries or cities"));
    }
}

/* --- damage ----------------------------------------------------------------------------------- */

/* Opens the bytes; if that works, looks up addresses all over. Nothing may crash or hang. */
static bool use_up(struct aid *aid, struct slice bytes)
{
    const struct geo_db *db;

    if (!geo_open_bytes(aid->geo, "bad.mmdb", bytes, &aid->err)) {
        assert_non_null(strstr(aid->err.text, "bad.mmdb"));
        assert_int_equal(aid->err.code, ERR_INPUT);
        return false;
    }
    db = geo_take(aid->geo);
    for (unsigned i = 0; i < 200; i++) {
        struct geo_record r;
        char address[64];

        (void)snprintf(address, sizeof(address), i % 2 ? "%u.%u.20.129" : "2001:%x%02x::1",
                       i * 37 % 256, i * 11 % 256);
        (void)geo_find(db, slice_cstr(address), &r);
    }
    geo_drop(db);
    return true;
}

static void every_broken_file_of_maxmind(void **state)
{
    static const char *const folders[] = {MAXMIND "test-data", MAXMIND "bad-data/libmaxminddb",
                                          MAXMIND "bad-data/maxminddb-golang"};
    struct aid *aid = *state;
    int count = 0;

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        DIR *d = opendir(folders[i]);
        struct dirent *e;

        assert_non_null(d);
        while ((e = readdir(d))) {
            char path[512];
            struct buf bytes;

            if (!strstr(e->d_name, ".mmdb") && !strstr(e->d_name, ".raw"))
                continue;
            (void)snprintf(path, sizeof(path), "%s/%s", folders[i], e->d_name);
            read_bytes(path, &bytes);
            (void)use_up(aid, buf_slice(&bytes));
            buf_free(&bytes);
            count++;
        }
        closedir(d);
    }
    assert_true(count > 30);
}

static void known_damage_is_refused(void **state)
{
    static const char *const files[] = {
        "test-data/GeoIP2-City-Test-Broken-Double-Format.mmdb",
        "test-data/GeoIP2-City-Test-Invalid-Node-Count.mmdb",
        "test-data/MaxMind-DB-test-broken-search-tree-24.mmdb",
        "bad-data/libmaxminddb/libmaxminddb-offset-integer-overflow.mmdb",
        "bad-data/maxminddb-golang/cyclic-data-structure.mmdb",
        "bad-data/maxminddb-golang/invalid-data-record-offset.mmdb",
        "bad-data/maxminddb-golang/metadata-is-an-uint128.mmdb",
        "bad-data/README.md",
    };
    struct aid *aid = *state;

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[256];

        (void)snprintf(path, sizeof(path), MAXMIND "%s", files[i]);
        if (geo_open(aid->geo, path, &aid->err))
            fail_msg("%s was opened", files[i]);
        assert_int_equal(aid->err.code, ERR_INPUT);
        assert_non_null(strstr(aid->err.text, path));
    }
}

static void every_length(void **state)
{
    struct aid *aid = *state;
    struct buf bytes;

    read_bytes(CITY_TEST, &bytes);
    for (size_t len = 0; len < bytes.len; len += 1 + len % 97)
        assert_false(use_up(aid, slice_make(bytes.ptr, len)));
    for (size_t cut = 1; cut < 400; cut++) /* into the metadata */
        (void)use_up(aid, slice_make(bytes.ptr, bytes.len - cut));
    assert_true(use_up(aid, buf_slice(&bytes)));
    buf_free(&bytes);
}

static void flipped_bits(void **state)
{
    struct aid *aid = *state;
    struct buf bytes;

    read_bytes(CITY_TEST, &bytes);
    rand_fake_seed(7);
    for (int i = 0; i < 1500; i++) {
        /* Half of them in the metadata, where one bit says the most. */
        size_t tail = 450, at = (size_t)rand_u64() % (i % 2 ? bytes.len : tail);
        unsigned char bit = (unsigned char)(1u << (rand_u64() % 8));

        at = i % 2 ? at : bytes.len - tail + at;
        bytes.ptr[at] = (char)(bytes.ptr[at] ^ bit);
        (void)use_up(aid, buf_slice(&bytes));
        if (i % 5)
            bytes.ptr[at] = (char)(bytes.ptr[at] ^ bit); /* else the damage adds up */
        if (i % 50 == 0) {
            buf_free(&bytes);
            read_bytes(CITY_TEST, &bytes);
        }
    }
    buf_free(&bytes);
}

static void metadata_that_unfolds_without_end(void **state)
{
    /* languages: ten pointers to ten pointers to …, which the library would unfold. */
    struct aid *aid = *state;
    struct buf bytes;
    size_t base;

    make_country(&bytes, "1.0.0.0/8", "SE");
    bytes.len -= 2; /* the empty list of languages */
    base = bytes.len;
    while (memcmp(bytes.ptr + base - 11, "MaxMind.com", 11) != 0)
        base--;
    for (unsigned level = 0; level < 20; level++) {
        size_t next = bytes.len + 2 + 10 * 2 - base;

        assert_true(next < 2048);
        assert_true(buf_add(&bytes, "\x0a\x04", 2));
        for (int i = 0; i < 10; i++) {
            assert_true(buf_add_char(&bytes, (char)(0x20 | next >> 8)));
            assert_true(buf_add_char(&bytes, (char)next));
        }
    }
    assert_true(buf_add(&bytes, "\x41x", 2));
    assert_false(use_up(aid, buf_slice(&bytes)));
    assert_non_null(strstr(aid->err.text, "metadata"));
    buf_free(&bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, aid_setup, aid_teardown)
    const struct CMUnitTest tests[] = {
        TEST(city_database),
        TEST(equal_records_have_equal_ids),
        TEST(what_is_no_address_is_nowhere),
        TEST(kinds_of_databases),
        TEST(every_broken_file_of_maxmind),
        TEST(known_damage_is_refused),
        TEST(every_length),
        TEST(flipped_bits),
        TEST(metadata_that_unfolds_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
