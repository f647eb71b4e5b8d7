/* pipe_prepare [EVENTS]
 *
 * What a PIPE thread does with an event of a browser (about 700 bytes of properties): decode and
 * prepare, without queues. Prints one JSON line: CPU time in microseconds and bytes per event. */
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "pipe/pipe_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static const char event_json[] =
    "{\"event\":\"$pageview\",\"timestamp\":\"2023-09-15T09:15:02.325Z\",\"properties\":{\"$os\":"
    "\"Mac OS X\","
    "\"$os_version\":\"10.15.7\",\"$browser\":\"Chrome\",\"$device_type\":\"Desktop\",\"$browser_"
    "version\":116,"
    "\"$current_url\":\"https://shop.example.com/products/"
    "shoes?page=2&sort=price\",\"$host\":\"shop.example.com\","
    "\"$pathname\":\"/products/"
    "shoes\",\"$screen_height\":1117,\"$screen_width\":1728,\"$viewport_height\":968,"
    "\"$viewport_width\":1728,\"$lib\":\"web\",\"$lib_version\":\"1.78.5\",\"$insert_id\":"
    "\"8lb3ub0vpndbkf2k\","
    "\"$time\":1694769302.325,\"distinct_id\":\"018a981f-4b2d-78ae-947d-b48bb0f02b88\","
    "\"$device_id\":\"018a981f-4b2d-78ae-947d-b48bb0f02b88\",\"$referrer\":\"$direct\",\"$"
    "referring_domain\":\"$direct\","
    "\"token\":\"phc_test_token_0001\",\"$session_id\":\"018a981f-4c9a-72c6-988a-3ac97bdf7d92\","
    "\"$window_id\":\"018a981f-4c9a-72c6-988a-3ac9fcf6d4f9\",\"price\":299.99,\"title\":\"Shoes "
    "\\\"Run\\\" & more\"}}";

static struct team_directory *teams(void)
{
    struct team_directory *d = team_directory_new();
    struct team_set *set = team_set_new();
    struct team team = {.id = 1, .name = "t", .api_token = "phc_test_token_0001"};
    struct err err = ERR_INIT;

    CHECK(team_set_add(set, &team, &err));
    team_set_seal(set);
    team_directory_publish(d, set);
    return d;
}

/* One chunk of events, as worker.c fills it. */
static void run_chunk(struct worker *w, struct chunk *c, const struct feed_record *record)
{
    c->count = 0;
    arena_reset(c->arena);
    w->out = c;
    for (size_t i = 0; i < CHUNK_MAX; i++) {
        struct step_work work = {.worker = w, .record = *record};
        struct err err = ERR_INIT;

        CHECK(decode_step(&work, &err) == STEP_NEXT);
        CHECK(prepare_step(&work, &err) == STEP_NEXT);
        json_doc_free(&work.doc);
    }
    w->out = NULL;
}

static int64_t cpu_us(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000) + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

int main(int argc, char **argv)
{
    uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    struct event_envelope e = {
        .team_id = 1,
        .distinct_id = SLICE("018a981f-4b2d-78ae-947d-b48bb0f02b88"),
        .ip = SLICE("203.0.113.7"),
        .token = SLICE("phc_test_token_0001"),
        .now_us = clock_wall_us(),
        .has_sent_at = true,
        .sent_at_us = clock_wall_us(),
        .data = slice_cstr(event_json),
    };
    size_t bytes = event_encoded_bytes(&e);
    char *payload = mem_alloc(bytes);
    struct feed_record record = {.type = RECORD_TYPE_EVENT, .payload = slice_make(payload, bytes)};
    struct pipe p = {.opt.teams = teams()};
    struct worker *w = mem_new(struct worker);
    struct chunk c = {.worker = w, .arena = arena_new(CHUNK_ARENA_BYTES)};
    int64_t before;
    double us;

    event_encode(&e, payload);
    worker_init(w, &p, 0);
    for (uint64_t i = 0; i < 100000; i += CHUNK_MAX)
        run_chunk(w, &c, &record);
    before = cpu_us();
    for (uint64_t i = 0; i < events; i += CHUNK_MAX)
        run_chunk(w, &c, &record);
    us = (double)(cpu_us() - before) / (double)events;
    printf(
        "{\"name\":\"pipe_prepare\",\"events\":%llu,\"record_bytes\":%zu,\"us_per_event\":%.3f}\n",
        (unsigned long long)events, bytes, us);
    arena_free(c.arena);
    worker_fini(w);
    mem_free(w);
    team_directory_free(p.opt.teams);
    mem_free(payload);
    return 0;
}
