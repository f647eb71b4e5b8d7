#include "base/clock.h"
#include "base/thread.h"
#include "geo_aid.h"

#include <stdatomic.h>
#include <unistd.h>

static void assert_at(struct geo *g, const char *address, const char *country)
{
    char code[3];

    assert_string_equal(country_at(g, address, code), country);
}

static void without_a_database(void **state)
{
    struct aid *aid = *state;
    const struct geo_db *cached = NULL;
    struct geo_status status;
    bool changed = true;

    assert_null(geo_take(aid->geo));
    assert_null(geo_cached(aid->geo, &cached));
    geo_drop(NULL);
    assert_true(geo_check(aid->geo, &changed, &aid->err));
    assert_false(changed);
    geo_status(aid->geo, &status);
    assert_false(status.is_loaded || status.is_stale);
    assert_string_equal(status.fault, "");
    geo_free(NULL);
}

static void opening_and_closing(void **state)
{
    struct aid *aid = *state;
    char *path = temp_dir_path(aid->dir, "c.mmdb");
    struct geo_status status;

    write_country(path, "1.0.0.0/8", "SE");
    assert_true(geo_open(aid->geo, path, &aid->err));
    assert_at(aid->geo, "1.2.3.4", "SE");
    geo_status(aid->geo, &status);
    assert_true(status.is_loaded);
    assert_string_equal(status.path, path);
    assert_string_equal(status.type, "country test");
    assert_int_equal(status.built_at_s, 1700000000);
    geo_close(aid->geo);
    assert_at(aid->geo, "1.2.3.4", "");
    geo_status(aid->geo, &status);
    assert_false(status.is_loaded);
    mem_free(path);
}

static void a_bad_file_leaves_the_one_before(void **state)
{
    struct aid *aid = *state;
    char *good = temp_dir_path(aid->dir, "good"), *bad = temp_dir_path(aid->dir, "bad");
    struct geo_status status;

    write_country(good, "1.0.0.0/8", "SE");
    write_file(bad, SLICE("something else"));
    assert_false(geo_open(aid->geo, bad, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    assert_null(geo_take(aid->geo));
    assert_true(geo_open(aid->geo, good, &aid->err));
    assert_false(geo_open(aid->geo, bad, &aid->err));
    assert_at(aid->geo, "1.2.3.4", "SE");
    geo_status(aid->geo, &status);
    assert_true(status.is_loaded);
    assert_non_null(strstr(status.fault, bad));
    assert_true(geo_open(aid->geo, good, &aid->err));
    geo_status(aid->geo, &status);
    assert_string_equal(status.fault, "");
    mem_free(good);
    mem_free(bad);
}

static void two_files_by_address_family(void **state)
{
    struct aid *aid = *state;
    char *v4 = temp_dir_path(aid->dir, "v4"), *v6 = temp_dir_path(aid->dir, "v6"), paths[1024];
    struct mmdb_make *m = mmdb_make_new(4, 32, "v4");
    struct buf bytes = BUF_INIT(BYTES_MAX);
    struct geo_status status;

    mmdb_make_add(m, "1.0.0.0/8", "{\"country_code\":\"SE\"}");
    mmdb_make_built_at(m, 1600000000);
    mmdb_make_write(m, &bytes);
    write_file(v4, buf_slice(&bytes));
    write_country(v6, "2001:db8::/32", "NO");
    for (int order = 0; order < 2; order++) {
        (void)snprintf(paths, sizeof(paths), " %s , %s,", order ? v6 : v4, order ? v4 : v6);
        assert_true(geo_open(aid->geo, paths, &aid->err));
        assert_at(aid->geo, "1.2.3.4", "SE");
        assert_at(aid->geo, "::ffff:1.2.3.4", "SE");
        assert_at(aid->geo, "2001:db8::1", "NO");
        geo_status(aid->geo, &status);
        assert_int_equal(status.built_at_s, 1600000000);
    }
    assert_true(geo_open(aid->geo, v4, &aid->err));
    assert_at(aid->geo, "2001:db8::1", "");
    (void)snprintf(paths, sizeof(paths), "%s,%s,%s", v4, v6, v4);
    assert_false(geo_open(aid->geo, paths, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    assert_false(geo_open(aid->geo, " , ", &aid->err));
    assert_false(geo_open(aid->geo, "", &aid->err));
    mmdb_make_free(m);
    buf_free(&bytes);
    mem_free(v4);
    mem_free(v6);
}

static bool check(struct aid *aid, bool expected)
{
    bool changed, ok = geo_check(aid->geo, &changed, &aid->err);

    assert_int_equal(changed, expected);
    return ok;
}

static void changed_files_are_swapped_in(void **state)
{
    struct aid *aid = *state;
    char *path = temp_dir_path(aid->dir, "c.mmdb"), *next = temp_dir_path(aid->dir, "next");
    const struct geo_db *held, *cached = NULL;
    struct geo_record r;

    write_country(path, "1.0.0.0/8", "SE");
    assert_true(geo_open(aid->geo, path, &aid->err));
    assert_true(check(aid, false));
    held = geo_cached(aid->geo, &cached);
    assert_ptr_equal(geo_cached(aid->geo, &cached), held);

    write_country(next, "1.0.0.0/8", "NO");
    assert_int_equal(rename(next, path), 0);
    assert_true(check(aid, true));
    assert_true(check(aid, false));
    assert_at(aid->geo, "1.2.3.4", "NO");
    assert_true(geo_find(held, SLICE("1.2.3.4"), &r)); /* whoever holds the old one goes on */
    assert_slice(r.country.code, "SE");
    assert_ptr_not_equal(geo_cached(aid->geo, &cached), held);
    assert_true(geo_find(cached, SLICE("1.2.3.4"), &r));
    assert_slice(r.country.code, "NO");

    write_country(path, "1.0.0.0/8", "DK"); /* over it, in place */
    assert_true(check(aid, true));
    assert_at(aid->geo, "1.2.3.4", "DK");
    geo_drop(cached);
    mem_free(path);
    mem_free(next);
}

static void damage_in_place_is_told_once(void **state)
{
    struct aid *aid = *state;
    char *path = temp_dir_path(aid->dir, "c.mmdb");
    struct geo_status status;

    write_country(path, "1.0.0.0/8", "SE");
    assert_true(geo_open(aid->geo, path, &aid->err));
    assert_int_equal(truncate(path, 40), 0);
    assert_false(check(aid, false));
    assert_non_null(strstr(aid->err.text, path));
    assert_true(check(aid, false));
    assert_at(aid->geo, "1.2.3.4", "SE");
    assert_int_equal(unlink(path), 0);
    assert_false(check(aid, false));
    assert_int_equal(aid->err.code, ERR_GONE);
    assert_true(check(aid, false));
    assert_at(aid->geo, "1.2.3.4", "SE");
    geo_status(aid->geo, &status);
    assert_true(status.is_loaded && status.fault[0]);
    write_country(path, "1.0.0.0/8", "FI");
    assert_true(check(aid, true));
    assert_at(aid->geo, "1.2.3.4", "FI");
    geo_status(aid->geo, &status);
    assert_string_equal(status.fault, "");
    mem_free(path);
}

static void a_file_that_comes_later(void **state)
{
    struct aid *aid = *state;
    char *path = temp_dir_path(aid->dir, "c.mmdb");

    assert_false(geo_open(aid->geo, path, &aid->err));
    assert_int_equal(aid->err.code, ERR_GONE);
    assert_true(check(aid, false));
    write_country(path, "1.0.0.0/8", "SE");
    assert_true(check(aid, true));
    assert_at(aid->geo, "1.2.3.4", "SE");
    mem_free(path);
}

static void bytes_have_no_file_to_check(void **state)
{
    struct aid *aid = *state;
    struct geo_status status;
    struct buf bytes;

    make_country(&bytes, "1.0.0.0/8", "SE");
    assert_true(geo_open_bytes(aid->geo, "attachment db.mmdb", buf_slice(&bytes), &aid->err));
    memset(bytes.ptr, 0, bytes.len);
    assert_at(aid->geo, "1.2.3.4", "SE");
    assert_true(check(aid, false));
    assert_false(geo_open_bytes(aid->geo, "other", buf_slice(&bytes), &aid->err));
    assert_false(geo_open_bytes(aid->geo, "empty", SLICE_NONE, &aid->err));
    geo_status(aid->geo, &status);
    assert_string_equal(status.path, "attachment db.mmdb");
    buf_free(&bytes);
}

static void staleness(void **state)
{
    const int64_t day_us = INT64_C(86400) * 1000000, built_us = INT64_C(1700000000) * 1000000;
    struct aid *aid = *state;
    struct geo_status status;
    struct buf bytes;

    make_country(&bytes, "1.0.0.0/8", "SE");
    assert_true(geo_open_bytes(aid->geo, "x", buf_slice(&bytes), &aid->err));
    clock_fake_set(built_us + GEO_STALE_DAYS * day_us);
    geo_status(aid->geo, &status);
    assert_false(status.is_stale);
    clock_fake_add(1000000);
    geo_status(aid->geo, &status);
    assert_true(status.is_stale);
    clock_fake_off();
    buf_free(&bytes);
}

struct reading {
    struct geo *geo;
    atomic_bool is_over;
    _Atomic uint64_t found;
};

static void read_on(void *ctx)
{
    struct reading *reading = ctx;
    const struct geo_db *cached = NULL;
    struct geo_record r;

    while (!atomic_load(&reading->is_over)) {
        if (geo_find(geo_cached(reading->geo, &cached), SLICE("1.2.3.4"), &r) &&
            r.country.code.len == 2)
            atomic_fetch_add(&reading->found, 1);
    }
    geo_drop(cached);
}

static void readers_go_on_while_it_is_swapped(void **state)
{
    struct aid *aid = *state;
    struct reading reading = {.geo = aid->geo};
    struct thread threads[2] = {{0}, {0}};
    struct buf bytes[2];
    uint64_t before;

    make_country(&bytes[0], "1.0.0.0/8", "SE");
    make_country(&bytes[1], "1.0.0.0/8", "NO");
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_true(
            thread_start(&threads[i], THREAD_PIPE, (int)i + 1, read_on, &reading, &aid->err));
    for (int i = 0; i < 300; i++) {
        before = atomic_load(&reading.found);
        assert_true(geo_open_bytes(aid->geo, "x", buf_slice(&bytes[i % 2]), &aid->err));
        while (atomic_load(&reading.found) < before + 3)
            ;
    }
    atomic_store(&reading.is_over, true);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        thread_join(&threads[i]);
    buf_free(&bytes[0]);
    buf_free(&bytes[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, aid_setup, aid_teardown)
    const struct CMUnitTest tests[] = {
        TEST(without_a_database),
        TEST(opening_and_closing),
        TEST(a_bad_file_leaves_the_one_before),
        TEST(two_files_by_address_family),
        TEST(changed_files_are_swapped_in),
        TEST(damage_in_place_is_told_once),
        TEST(a_file_that_comes_later),
        TEST(bytes_have_no_file_to_check),
        TEST(staleness),
        TEST(readers_go_on_while_it_is_swapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
