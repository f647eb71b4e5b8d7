/* How fast the store takes events through its operations, as the pipe calls them: look up the
 * person, ask for a duplicate, insert, count, commit with the cursor, a slice of upkeep between
 * batches.
 *
 *     store_insert PATH ROWS BATCH [UPDATES [PERSONS [TIDY]]]
 *
 * PERSONS known persons (10,000); UPDATES of 100 events also change their person (0); upkeep after
 * each TIDY-th batch (1). Prints one JSON line: rows a second on the whole and of the first and
 * last tenth, and STORE's CPU time per event. PATH is made anew and stays.
 */
#include "base/clock.h"
#include "store/store_sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PROPERTIES 704
#define START_US   1700000000000000

struct bench {
    struct store store;
    long long rows, batch, updates, persons, tidy_every;
    long long batches;
    char properties[PROPERTIES + 1];
};

static void check(bool ok, const struct err *err)
{
    if (ok)
        return;
    fprintf(stderr, "store_insert: %s\n", err->text);
    exit(1);
}

static struct slice distinct_id(const struct bench *b, char *text, size_t size, long long n)
{
    int len = snprintf(text, size, "user-%lld", n % b->persons);

    return slice_make(text, (size_t)len);
}

static void make_persons(struct bench *b)
{
    const struct store_ops *ops = b->store.ops;
    struct err err = ERR_INIT;
    char text[32];

    check(ops->begin(b->store.self, &err), &err);
    for (long long i = 0; i < b->persons; i++) {
        struct uuid uuid = uuid_uuidt(START_US);
        struct person_change state = {.properties = SLICE("{\"plan\":\"free\"}"),
                                      .created_at_us = START_US};
        struct slice id = distinct_id(b, text, sizeof(text), i);
        struct person *p;
        check(ops->person_create(b->store.self, 1, &uuid, &state, &id, 1, &p, &err), &err);
    }
    check(ops->commit(b->store.self, NULL, NULL, 0, &err), &err);
}

static void put_event(struct bench *b, long long n)
{
    const struct store_ops *ops = b->store.ops;
    struct err err = ERR_INIT;
    struct person *p;
    char text[32];
    bool seen;
    int64_t id;
    struct event_row row = {.uuid = uuid_v7(clock_wall_us()),
                            .is_uuid_checked = true,
                            .team_id = 1,
                            .event = SLICE("$pageview"),
                            .distinct_id = distinct_id(b, text, sizeof(text), n * 7919),
                            .has_person = true,
                            .properties = slice_make(b->properties, PROPERTIES),
                            .timestamp_us = START_US + n,
                            .created_at_us = clock_wall_us()};

    check(ops->person_get(b->store.self, 1, row.distinct_id, &p, &err), &err);
    if (n % 100 < b->updates) {
        struct person_change next = {.properties = SLICE("{\"plan\":\"paid\",\"seats\":3}"),
                                     .created_at_us = p->created_at_us};
        check(ops->person_update(b->store.self, p, &next, &err), &err);
    }
    row.person_uuid = p->uuid;
    check(ops->event_seen(b->store.self, 1, &row.uuid, &seen, &err) && !seen, &err);
    check(ops->event_insert(b->store.self, &row, &id, &err), &err);
    ops->count(b->store.self, STORE_COUNT_STORED, 1, row.created_at_us, row.event);
}

static void put_batch(struct bench *b, long long from, long long to)
{
    const struct store_ops *ops = b->store.ops;
    struct feed_position position = {.offset = (uint64_t)to, .seen_end = (uint64_t)to};
    struct err err = ERR_INIT;
    bool more;

    check(ops->begin(b->store.self, &err), &err);
    for (long long n = from; n < to; n++)
        put_event(b, n);
    check(ops->commit(b->store.self, &position, NULL, 0, &err), &err);
    if (++b->batches % b->tidy_every == 0)
        check(ops->tidy(b->store.self, &more, &err), &err);
}

static int64_t thread_cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static double rate(long long rows, int64_t us)
{
    return (double)rows * 1e6 / (double)(us ? us : 1);
}

struct span {
    long long rows;
    int64_t us, cpu_us;
};

static struct span since(long long rows, struct span start)
{
    return (struct span){rows - start.rows, clock_mono_us() - start.us,
                         thread_cpu_us() - start.cpu_us};
}

static double cpu_of(struct span s)
{
    return (double)s.cpu_us / (double)(s.rows ? s.rows : 1);
}

static void run(struct bench *b)
{
    struct span start = {0, clock_mono_us(), thread_cpu_us()}, first = {0, 0, 0}, last = start,
                whole;
    long long tenth = b->rows / 10, done = 0;

    while (done < b->rows) {
        long long to = done + b->batch < b->rows ? done + b->batch : b->rows;
        put_batch(b, done, to);
        done = to;
        if (first.rows == 0 && done >= tenth)
            first = since(done, start);
        if (done <= b->rows - tenth)
            last = (struct span){done, clock_mono_us(), thread_cpu_us()};
    }
    last = since(done, last);
    whole = since(done, start);
    printf("{\"bench\":\"store_insert\",\"rows\":%lld,\"batch\":%lld,\"updates_percent\":%lld,"
           "\"persons\":%lld,"
           "\"seconds\":%.3f,\"rows_per_second\":%.0f,\"first_tenth\":%.0f,\"last_tenth\":%.0f,"
           "\"cpu_us_per_event\":%.2f,\"cpu_first_tenth\":%.2f,\"cpu_last_tenth\":%.2f}\n",
           b->rows, b->batch, b->updates, b->persons, (double)whole.us / 1e6,
           rate(whole.rows, whole.us), rate(first.rows, first.us), rate(last.rows, last.us),
           cpu_of(whole), cpu_of(first), cpu_of(last));
}

int main(int argc, char **argv)
{
    struct bench b = {.rows = 0};
    struct store_sqlite_options opt = {
        .dedupe_window_us = 86400000000, .dedupe_bytes_max = 64 << 20, .busy_us = 5000000};
    struct err err = ERR_INIT;
    char side[4096];

    if (argc < 4) {
        fprintf(stderr, "usage: store_insert PATH ROWS BATCH [UPDATES [PERSONS [TIDY]]]\n");
        return 2;
    }
    opt.path = argv[1];
    b.rows = strtoll(argv[2], NULL, 10);
    b.batch = strtoll(argv[3], NULL, 10);
    b.updates = argc > 4 ? strtoll(argv[4], NULL, 10) : 0;
    b.persons = argc > 5 ? strtoll(argv[5], NULL, 10) : 10000;
    b.tidy_every = argc > 6 ? strtoll(argv[6], NULL, 10) : 1;
    memset(b.properties, 'x', PROPERTIES);
    memcpy(b.properties, "{\"p\":\"", 6);
    memcpy(b.properties + PROPERTIES - 2, "\"}", 2);
    remove(argv[1]);
    for (int i = 0; i < 2; i++) {
        snprintf(side, sizeof(side), "%s-%s", argv[1], i ? "shm" : "wal");
        remove(side);
    }
    check(store_sqlite_open(&opt, &b.store, &err) && store_sqlite_start(&b.store, &err), &err);
    make_persons(&b);
    run(&b);
    store_sqlite_close(&b.store);
    return 0;
}
