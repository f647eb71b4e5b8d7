/* ring_append DIR APPENDERS RECORDS_PER_GROUP RECORD_BYTES SECONDS [IN_FLIGHT]
 *
 * Throughput of ring appends, synced before they are answered, with a reader that reads and
 * releases all of it. Each appender keeps IN_FLIGHT groups (default 1) waiting for their answer.
 * Prints one JSON line. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ring/ring.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define APPENDERS_MAX 256
#define FLIGHT_MAX    64
#define SAMPLES       (1 << 18)

struct bench;

struct flight {
    struct bench *b;
    int64_t since_us;
    struct appender *of;
};

struct appender {
    struct bench *b;
    pthread_t id;
    struct lock lock;
    struct cond cond;
    size_t waiting;
    struct flight flights[FLIGHT_MAX];
    struct flight *free[FLIGHT_MAX];
    size_t free_count;
};

struct bench {
    struct ring *ring;
    size_t records, record_bytes, in_flight;
    char *payload;
    atomic_bool is_over;
    atomic_ullong groups, failed, refused;
    atomic_uint sample;
    int64_t took[SAMPLES];
    struct appender appenders[APPENDERS_MAX];
};

static void on_done(void *ctx, const struct err *err)
{
    struct flight *f = ctx;
    struct appender *a = f->of;

    atomic_fetch_add(err->code == ERR_NONE ? &f->b->groups : &f->b->failed, 1);
    f->b->took[atomic_fetch_add(&f->b->sample, 1) % SAMPLES] = clock_mono_us() - f->since_us;
    lock_take(&a->lock);
    a->free[a->free_count++] = f;
    cond_signal(&a->cond);
    lock_drop(&a->lock);
}

static struct flight *take_flight(struct appender *a)
{
    struct flight *f;

    lock_take(&a->lock);
    while (a->free_count == 0)
        cond_wait(&a->cond, &a->lock);
    f = a->free[--a->free_count];
    lock_drop(&a->lock);
    return f;
}

static void *append(void *arg)
{
    struct appender *a = arg;
    struct bench *b = a->b;
    struct feed_writer w = ring_writer(b->ring);

    while (!atomic_load(&b->is_over)) {
        struct flight *f = take_flight(a);
        struct feed_group *g = feed_group_new(b->records * (b->record_bytes + 48));
        struct err err = ERR_INIT;

        for (size_t i = 0; i < b->records; i++) {
            if (!feed_group_add(g, i, RECORD_TYPE_EVENT, 1,
                                slice_make(b->payload, b->record_bytes)))
                abort();
        }
        f->since_us = clock_mono_us();
        while (!w.ops->append(w.self, g, on_done, f, &err)) {
            atomic_fetch_add(&b->refused, 1);
            usleep(1000);
        }
    }
    lock_take(&a->lock);
    while (a->free_count < b->in_flight)
        cond_wait(&a->cond, &a->lock);
    lock_drop(&a->lock);
    return NULL;
}

static void *consume(void *arg)
{
    struct bench *b = arg;
    struct feed_reader rd = ring_reader(b->ring);
    struct feed_record out[4096];
    struct err err = ERR_INIT;
    int n;

    while ((n = rd.ops->read(rd.self, out, 4096, 8 << 20, 100000, &err)) > 0 ||
           !atomic_load(&b->is_over)) {
        for (int i = 0; i < n; i++)
            feed_block_unref(out[i].block);
        if (n > 0)
            rd.ops->release(rd.self, out[n - 1].offset + 1);
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void report(struct bench *b, size_t appenders, double seconds)
{
    double groups = (double)atomic_load(&b->groups);
    size_t n = MIN(atomic_load(&b->sample), SAMPLES);

    qsort(b->took, n, sizeof(*b->took), compare);
    printf("{\"bench\":\"ring_append\",\"appenders\":%zu,\"in_flight\":%zu,"
           "\"records_per_group\":%zu,\"record_bytes\":%zu,\"groups_per_s\":%.0f,"
           "\"records_per_s\":%.0f,\"mb_per_s\":%.1f,\"p50_us\":%lld,\"p99_us\":%lld,"
           "\"failed\":%llu,\"refused\":%llu}\n",
           appenders, b->in_flight, b->records, b->record_bytes, groups / seconds,
           groups * (double)b->records / seconds,
           groups * (double)(b->records * b->record_bytes) / seconds / 1e6,
           (long long)b->took[n / 2], (long long)b->took[n * 99 / 100],
           (unsigned long long)atomic_load(&b->failed),
           (unsigned long long)atomic_load(&b->refused));
}

int main(int argc, char **argv)
{
    struct bench *b = mem_new(struct bench);
    struct err err = ERR_INIT;
    size_t appenders;
    pthread_t reader;
    int64_t start;

    if (argc < 6) {
        fprintf(stderr, "usage: ring_append DIR APPENDERS RECORDS_PER_GROUP RECORD_BYTES SECONDS "
                        "[IN_FLIGHT]\n");
        return 2;
    }
    log_setup(LOG_WARN, LOG_CLASSIC, false);
    appenders = MIN(strtoull(argv[2], NULL, 10), APPENDERS_MAX);
    b->records = strtoull(argv[3], NULL, 10);
    b->record_bytes = strtoull(argv[4], NULL, 10);
    b->in_flight = argc > 6 ? MIN(strtoull(argv[6], NULL, 10), FLIGHT_MAX) : 1;
    b->payload = mem_zalloc(b->record_bytes);
    for (size_t i = 0; i < b->record_bytes; i++)
        b->payload[i] = (char)(i * 31);
    b->ring = ring_open(&(struct ring_options){.dir = argv[1],
                                               .segment_bytes = 64 << 20,
                                               .first_segment_bytes = 4 << 20,
                                               .bytes_max = (uint64_t)2 << 30,
                                               .record_bytes_max = 20 << 20,
                                               .pending_bytes_max = 64 << 20,
                                               .tail_bytes_max = 64 << 20},
                        &err);
    if (!b->ring || !ring_start(b->ring, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    start = clock_mono_us();
    pthread_create(&reader, NULL, consume, b);
    for (size_t i = 0; i < appenders; i++) {
        struct appender *a = &b->appenders[i];

        a->b = b;
        lock_init(&a->lock, "appender", RANK_APP);
        cond_init(&a->cond);
        for (size_t k = 0; k < b->in_flight; k++) {
            a->flights[k] = (struct flight){.b = b, .of = a};
            a->free[a->free_count++] = &a->flights[k];
        }
        pthread_create(&a->id, NULL, append, a);
    }
    usleep((useconds_t)(atof(argv[5]) * 1e6));
    atomic_store(&b->is_over, true);
    for (size_t i = 0; i < appenders; i++)
        pthread_join(b->appenders[i].id, NULL);
    report(b, appenders, (double)(clock_mono_us() - start) / 1e6);
    pthread_join(reader, NULL);
    ring_free(b->ring);
    mem_free(b->payload);
    mem_free(b);
    return 0;
}
