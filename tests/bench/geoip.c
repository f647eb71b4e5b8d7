/* geoip DATABASE [EVENTS]
 *
 * What the GeoIP plugin adds to an event of a browser (about 700 bytes, 20 properties): finding the
 * address and writing the new text; then reading that text again for whoever is next. Beside it the
 * bare look-up, as the library's documentation has it, with seven fields. Processor time; prints
 * one JSON line. */
#include "base/mem.h"
#include "plugin/builtin.h"

#include <maxminddb.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define ADDRESSES 4096
#define ROUNDS    5

static const char event_json[] =
    "{\"event\":\"$pageview\",\"timestamp\":\"2023-09-15T09:15:02.325Z\",\"properties\":{\"$os\":"
    "\"Mac OS X\",\"$os_version\":\"10.15.7\",\"$browser\":\"Chrome\",\"$device_type\":\"Desktop\","
    "\"$browser_version\":116,\"$current_url\":\"https://shop.example.com/products/"
    "shoes?page=2&sort=price\",\"$host\":\"shop.example.com\",\"$pathname\":\"/products/shoes\","
    "\"$screen_height\":1117,\"$screen_width\":1728,\"$viewport_height\":968,\"$viewport_width\":"
    "1728,\"$lib\":\"web\",\"$lib_version\":\"1.78.5\",\"$insert_id\":\"8lb3ub0vpndbkf2k\","
    "\"$device_id\":\"018a981f-4b2d-78ae-947d-b48bb0f02b88\",\"$referrer\":\"$direct\","
    "\"$session_id\":\"018a981f-4c9a-72c6-988a-3ac97bdf7d92\",\"price\":299.99,\"title\":\"Shoes "
    "\\\"Run\\\" & more\"}}";

static double cpu_us(void)
{
    struct rusage u;

    CHECK(getrusage(RUSAGE_SELF, &u) == 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Addresses that the database knows: all over it, or where MaxMind's test databases have some. */
static char (*known_addresses(const struct geo_db *db))[16]
{
    static const char *const tested[] = {"89.160.20", "81.2.69",    "175.16.199", "67.43.156",
                                         "2.125.160", "216.160.83", "74.209.24",  "202.196.224"};
    char(*out)[16] = mem_zalloc_array(ADDRESSES, 16);
    struct geo_record r;
    uint32_t at = 1;

    for (size_t n = 0, tries = 0; n < ADDRESSES; tries++) {
        at = at * 2654435761u + 12345;
        if (tries % 2)
            (void)snprintf(out[n], 16, "%s.%u", tested[at >> 29], at >> 8 & 255);
        else
            (void)snprintf(out[n], 16, "%u.%u.%u.%u", at >> 24, at >> 16 & 255, at >> 8 & 255,
                           at >> 1 & 255);
        n += geo_find(db, slice_cstr(out[n]), &r);
    }
    return out;
}

static double bare(const char *path, char (*addresses)[16], uint64_t events)
{
    static const char *const fields[][5] = {
        {"city", "names", "en", NULL},   {"country", "names", "en", NULL},
        {"country", "iso_code", NULL},   {"continent", "names", "en", NULL},
        {"location", "latitude", NULL},  {"location", "longitude", NULL},
        {"location", "time_zone", NULL},
    };
    double before = cpu_us();
    MMDB_s mmdb;

    CHECK(MMDB_open(path, MMDB_MODE_MMAP, &mmdb) == MMDB_SUCCESS);
    for (uint64_t i = 0; i < events; i++) {
        int gai, status;
        MMDB_lookup_result_s r = MMDB_lookup_string(&mmdb, addresses[i % ADDRESSES], &gai, &status);

        for (size_t k = 0; r.found_entry && k < ARRAY_LEN(fields); k++) {
            MMDB_entry_data_s data;

            (void)MMDB_aget_value(&r.entry, &data, fields[k]);
        }
    }
    MMDB_close(&mmdb);
    return (cpu_us() - before) / (double)events;
}

static double find(const struct geo_db *db, char (*addresses)[16], uint64_t events)
{
    double before = cpu_us();
    struct geo_record r;

    for (uint64_t i = 0; i < events; i++)
        CHECK(geo_find(db, slice_cstr(addresses[i % ADDRESSES]), &r));
    return (cpu_us() - before) / (double)events;
}

static double run(const struct geo_db *db, char (*addresses)[16], uint64_t events, bool reads_again)
{
    struct buf text = BUF_INIT((size_t)1 << 20);
    struct json_read_options opt = {.lenient = false};
    struct event_envelope envelope = {.team_id = 1};
    struct err err = ERR_INIT;
    struct json_doc doc, again;
    struct builtin_run r = {.envelope = &envelope, .geo = db, .text = &text, .err = &err};
    double before;

    CHECK(json_doc_read(slice_cstr(event_json), &opt, &doc, &err));
    r.root = doc.root;
    before = cpu_us();
    for (uint64_t i = 0; i < events; i++) {
        envelope.ip = slice_cstr(addresses[i % ADDRESSES]);
        CHECK(builtin_geoip_run(&r) == BUILTIN_CHANGED);
        if (reads_again) {
            CHECK(json_doc_read(buf_slice(&text), &opt, &again, &err));
            json_doc_free(&again);
        }
    }
    before = (cpu_us() - before) / (double)events;
    json_doc_free(&doc);
    buf_free(&text);
    return before;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    uint64_t events = argc > 2 ? strtoull(argv[2], NULL, 10) : 200000;
    double us[4][ROUNDS];
    struct geo *g = geo_new(NULL);
    struct err err = ERR_INIT;
    char(*addresses)[16];
    const struct geo_db *db;

    if (argc < 2 || !geo_open(g, argv[1], &err)) {
        fprintf(stderr, "usage: geoip DATABASE [EVENTS] %s\n", err.text);
        return 1;
    }
    db = geo_take(g);
    addresses = known_addresses(db);
    for (size_t i = 0; i < ROUNDS; i++) {
        us[0][i] = bare(argv[1], addresses, events);
        us[1][i] = find(db, addresses, events);
        us[2][i] = run(db, addresses, events, false);
        us[3][i] = run(db, addresses, events, true);
    }
    for (size_t i = 0; i < ARRAY_LEN(us); i++)
        qsort(us[i], ROUNDS, sizeof(us[i][0]), compare);
    printf(
        "{\"name\":\"geoip\",\"events\":%llu,\"bare_us\":%.3f,\"find_us\":%.3f,\"event_us\":%.3f,"
        "\"event_read_again_us\":%.3f}\n",
        (unsigned long long)events, us[0][ROUNDS / 2], us[1][ROUNDS / 2], us[2][ROUNDS / 2],
        us[3][ROUNDS / 2]);
    geo_drop(db);
    geo_free(g);
    mem_free(addresses);
    return 0;
}
