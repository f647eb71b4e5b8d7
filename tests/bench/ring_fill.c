/* ring_fill DIR MIB: a ring directory with that much unread data, to measure the start with a
 * backlog.
 *
 * Written by the ring itself, unsynced, in groups of 100 events of about 700 bytes.
 */
#include "base/log.h"
#include "base/mem.h"
#include "model/event.h"
#include "ring/ring.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define GROUP_EVENTS 100

static void on_done(void *ctx, const struct err *err)
{
    atomic_size_t *waiting = ctx;

    CHECK(err->code == ERR_NONE);
    atomic_fetch_sub(waiting, 1);
}

static struct feed_group *make_group(struct slice data)
{
    struct feed_group *g = feed_group_new(GROUP_EVENTS * 1024);

    for (int i = 0; i < GROUP_EVENTS; i++) {
        struct event_envelope e = {.team_id = 1,
                                   .uuid = uuid_v7(1767225600000000),
                                   .distinct_id = SLICE("user-1"),
                                   .site_url = SLICE("http://localhost"),
                                   .token = SLICE("phc_bench"),
                                   .now_us = 1767225600000000,
                                   .data = data};
        size_t bytes = event_encoded_bytes(&e);
        event_encode(&e, feed_group_open(g, bytes));
        feed_group_close(g, (uint64_t)i, RECORD_TYPE_EVENT, 1767225600000000, bytes);
    }
    return g;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    atomic_size_t waiting = 0;
    struct buf data = BUF_INIT(4096);
    uint64_t target = argc == 3 ? strtoull(argv[2], NULL, 10) << 20 : 0, written = 0;

    if (!target) {
        fprintf(stderr, "usage: ring_fill DIR MIB\n");
        return 2;
    }
    buf_addf(&data, "{\"event\":\"e\",\"properties\":{\"padding\":\"%0500d\"}}", 0);
    struct ring_options opt = {.dir = argv[1],
                               .segment_bytes = 64u << 20,
                               .first_segment_bytes = 4u << 20,
                               .bytes_max = (uint64_t)1 << 40,
                               .record_bytes_max = 20u << 20,
                               .pending_bytes_max = 64u << 20,
                               .tail_bytes_max = 1u << 20,
                               .sync = RING_SYNC_NEVER};
    struct ring *ring = ring_open(&opt, &err);
    if (!ring || !ring_start(ring, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    struct feed_writer w = ring_writer(ring);
    while (written < target) {
        struct feed_group *g = make_group(buf_slice(&data));
        size_t bytes = feed_group_bytes(g);
        atomic_fetch_add(&waiting, 1);
        err = ERR_INIT;
        if (w.ops->append(w.self, g, on_done, &waiting, &err)) {
            written += bytes;
            continue;
        }
        atomic_fetch_sub(&waiting, 1);
        feed_group_free(g);
        if (err.code != ERR_FULL) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
    }
    ring_stop(ring);
    ring_free(ring);
    buf_free(&data);
    printf("{\"bytes\":%llu}\n", (unsigned long long)written);
    return 0;
}
