/* What STORE does when the store fails: nothing is lost, nothing twice, and only what cannot be
 * stored becomes a dead letter. */
#include "pipe_aid.h"

#include <stdio.h>

#define EVENTS 300

/* `count` events of `ids` distinct ids; event number n of an id has the property n. */
static void send_numbered(struct world *w, int first, int count, int ids, const char *event)
{
    for (int i = first; i < first + count; i++) {
        char id[32];
        char properties[64];

        snprintf(id, sizeof(id), "user %d", i % ids);
        snprintf(properties, sizeof(properties), "{\"n\":%d,\"$set\":{\"last\":%d}}", i, i);
        world_event(w, id, event, properties);
    }
}

/* Every number once, each id's in order, and the person shows the last. */
static void assert_numbered(const struct world *w, int count, int ids)
{
    int seen = 0;
    int *last = mem_new_array(int, (size_t)ids);

    for (int i = 0; i < ids; i++)
        last[i] = -1;
    for (size_t i = 0; i < fake_store_event_count(w->store); i++) {
        const struct event_row *row = fake_store_event_at(w->store, i);
        char text[256];
        int n;

        if (row->properties.len < 5 || memcmp(row->properties.ptr, "{\"n\":", 5) != 0)
            continue;
        assert_true(row->properties.len < sizeof(text));
        memcpy(text, row->properties.ptr, row->properties.len);
        text[row->properties.len] = '\0';
        assert_int_equal(sscanf(text, "{\"n\":%d", &n), 1);
        assert_true(n > last[n % ids]);
        assert_true(last[n % ids] == -1 || n == last[n % ids] + ids);
        last[n % ids] = n;
        seen++;
    }
    assert_int_equal(seen, count);
    mem_free(last);
}

static void send_one(struct world *w, const char *id, const char *event)
{
    world_event(w, id, event, "{}");
}

static void test_poison(void **state)
{
    UNUSED(state);
    /* alone, first, in the middle, last */
    for (int at = 0; at <= EVENTS; at += EVENTS / 3) {
        struct world w;

        world_init(&w);
        fake_store_poison(w.store, "poison");
        send_numbered(&w, 0, at, 7, "e");
        send_one(&w, "user 3", "poison");
        send_numbered(&w, at, EVENTS - at, 7, "e");
        world_start(&w);
        world_settle(&w);
        world_stop(&w);
        assert_numbered(&w, EVENTS, 7);
        assert_int_equal(fake_store_event_count(w.store), EVENTS);
        assert_int_equal(fake_store_dead_count(w.store), 1);
        assert_slice(fake_store_dead_at(w.store, 0)->stage,
                     "plugin_server_ingest_event:createEvent");
        assert_slice(fake_store_dead_at(w.store, 0)->reason,
                     "Event ingestion failed. Error: this event cannot be stored");
        assert_contains(fake_store_dead_at(w.store, 0)->envelope, "poison");
        assert_int_equal(fake_store_counted(w.store, STORE_COUNT_STORED, TEAM), EVENTS);
        assert_int_equal(fake_store_counted(w.store, STORE_COUNT_DEAD, TEAM), 1);
        assert_int_equal(fake_feed_released(w.feed), EVENTS + 1);
        world_fini(&w);
    }
}

static void test_all_poison(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    fake_store_poison(w.store, "poison");
    for (int i = 0; i < 50; i++)
        send_one(&w, "a", "poison");
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_int_equal(fake_store_dead_count(w.store), 50);
    assert_int_equal(fake_store_person_count(w.store), 0);
    world_fini(&w);
}

/* A fault that happens once is no reason for a dead letter, wherever it happens. */
static void test_once(void **state)
{
    static const enum fake_op ops[] = {FAKE_BEGIN,         FAKE_COMMIT,         FAKE_PERSON_GET,
                                       FAKE_PERSON_CREATE, FAKE_PERSON_UPDATE,  FAKE_EVENT_INSERT,
                                       FAKE_GROUP_TYPE,    FAKE_DISTINCT_ID_ADD};
    static const enum err_code codes[] = {ERR_INPUT, ERR_BUG, ERR_RETRY};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        for (size_t k = 0; k < ARRAY_LEN(codes); k++) {
            struct world w;

            world_init(&w);
            w.opt.batch_events = 40;
            send_numbered(&w, 0, 100, 3, "e");
            world_event(&w, "g", "e", "{\"$groups\":{\"a\":1}}");
            world_event(&w, "g", "$identify", "{\"$anon_distinct_id\":\"h\"}");
            world_event(&w, "i", "$identify", "{\"$anon_distinct_id\":\"h\"}");
            fake_store_fail(w.store, ops[i],
                            ops[i] == FAKE_BEGIN || ops[i] == FAKE_GROUP_TYPE ||
                                    ops[i] == FAKE_DISTINCT_ID_ADD
                                ? 1
                                : 2,
                            1, codes[k]);
            world_start(&w);
            world_settle(&w);
            world_stop(&w);
            assert_numbered(&w, 100, 3);
            assert_int_equal(fake_store_event_count(w.store), 103);
            assert_int_equal(fake_store_dead_count(w.store), 0);
            world_fini(&w);
        }
    }
}

/* COMMIT refuses for a reason that nobody can name: each event alone. */
static void test_commit_fails(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    w.opt.workers = 1;
    w.opt.batch_us = 1000000;
    w.opt.batch_events = 20;
    send_numbered(&w, 0, 20, 20, "e");
    fake_store_fail(w.store, FAKE_COMMIT, 1, 3,
                    ERR_BUG); /* twice the batch, then the first event alone */
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_int_equal(fake_store_event_count(w.store), 19);
    assert_int_equal(fake_store_dead_count(w.store), 1);
    assert_contains(fake_store_dead_at(w.store, 0)->reason, "the fake store fails");
    world_fini(&w);
}

static void test_dead_letter_fails(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    fake_store_poison(w.store, "poison");
    fake_store_fail(w.store, FAKE_DEAD_LETTER_INSERT, 1, -1, ERR_INPUT);
    send_numbered(&w, 0, 10, 2, "e");
    send_one(&w, "a", "poison");
    send_numbered(&w, 10, 10, 2, "e");
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_numbered(&w, 20, 2);
    assert_int_equal(fake_store_dead_count(w.store), 0);
    assert_int_equal(fake_feed_released(w.feed), 21);
    world_fini(&w);
}

/* That a dead letter cannot be stored says nothing about the event when the store is ill: it waits,
 * and is stored when the store is well. */
static void test_dead_letter_must_wait(void **state)
{
    static const enum fake_op ops[] = {FAKE_DEAD_LETTER_INSERT, FAKE_COMMIT};
    static const enum err_code codes[] = {ERR_BUG, ERR_GONE};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(ops) * ARRAY_LEN(codes); i++) {
        enum fake_op op = ops[i / ARRAY_LEN(codes)];
        struct pipe_status s;
        struct world w;

        world_init(&w);
        fake_store_poison(w.store, "poison");
        send_one(&w, "a", "poison");
        fake_store_fail(w.store, op, 1, -1, codes[i % ARRAY_LEN(codes)]);
        world_start(&w);
        assert_true(fake_store_wait_calls(w.store, op, 3));
        pipe_status(w.pipe, &s);
        assert_true(s.is_degraded);
        assert_int_equal(fake_feed_released(w.feed), 0);
        fake_store_heal(w.store);
        world_settle(&w);
        world_stop(&w);
        assert_int_equal(fake_store_dead_count(w.store), 1);
        world_fini(&w);
    }
}

static void test_busy(void **state)
{
    struct world w;
    struct pipe_status s;

    UNUSED(state);
    world_init(&w);
    send_numbered(&w, 0, 50, 5, "e");
    fake_store_fail(w.store, FAKE_EVENT_INSERT, 10, -1, ERR_RETRY);
    world_start(&w);
    assert_true(fake_store_wait_calls(w.store, FAKE_BEGIN, 3));
    pipe_status(w.pipe, &s);
    assert_true(s.is_degraded);
    assert_string_not_equal(s.why, "");
    assert_int_equal(s.stored, 0);
    assert_true(s.in_flight > 0);
    fake_store_heal(w.store);
    world_settle(&w);
    pipe_stop(w.pipe, STOP_US);
    pipe_status(w.pipe, &s);
    assert_false(s.is_degraded);
    assert_string_equal(s.why, "");
    assert_int_equal(s.stored, 50);
    assert_int_equal(s.in_flight, 0);
    pipe_free(w.pipe);
    assert_numbered(&w, 50, 5);
    assert_int_equal(fake_store_dead_count(w.store), 0);
    assert_int_equal(w.blocked, 0);
    world_fini(&w);
}

static void test_full(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    send_numbered(&w, 0, 50, 5, "e");
    fake_store_fail(w.store, FAKE_COMMIT, 1, 2, ERR_FULL);
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_numbered(&w, 50, 5);
    assert_int_equal(w.blocked, 1);
    assert_int_equal(w.unblocked, 1);
    assert_int_equal(fake_store_dead_count(w.store), 0);
    world_fini(&w);
}

struct fatal {
    struct lock lock;
    struct cond cond;
    int calls;
};

static void note_fatal(const struct err *err, void *ctx)
{
    struct fatal *f = ctx;

    assert_int_equal(err->code, ERR_IO);
    lock_take(&f->lock);
    f->calls++;
    cond_signal(&f->cond);
    lock_drop(&f->lock);
}

static void test_io(void **state)
{
    static const enum fake_op ops[] = {FAKE_BEGIN, FAKE_EVENT_INSERT, FAKE_COMMIT};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        struct fatal f = {.calls = 0};
        struct world w;

        world_init(&w);
        lock_init(&f.lock, "fatal", RANK_APP);
        cond_init(&f.cond);
        w.opt.fatal = note_fatal;
        w.opt.blocked = NULL;
        w.opt.ctx = &f;
        send_numbered(&w, 0, 10, 2, "e");
        fake_store_fail(w.store, ops[i], 1, -1, ERR_IO);
        world_start(&w);
        lock_take(&f.lock);
        while (f.calls == 0)
            cond_wait(&f.cond, &f.lock);
        lock_drop(&f.lock);
        world_stop(&w);
        assert_int_equal(f.calls, 1);
        assert_int_equal(fake_store_event_count(w.store), 0);
        assert_int_equal(fake_store_dead_count(w.store), 0);
        assert_int_equal(fake_feed_released(w.feed), 0);
        cond_fini(&f.cond);
        lock_fini(&f.lock);
        world_fini(&w);
    }
}

/* The store hangs, the process is stopped, and started again: no event twice, none lost. */
static void test_restart(void **state)
{
    UNUSED(state);
    for (int round = 0; round < 6; round++) {
        struct world w;
        struct feed_run *runs;
        bool found;
        struct err err = ERR_INIT;

        world_init(&w);
        w.opt.workers = 3;
        w.opt.batch_events = 30;
        w.opt.read_ahead_events = 500;
        send_numbered(&w, 0, 2000, 17, "e");
        fake_feed_skip(w.feed, 10);
        w.sent += 10;
        send_numbered(&w, 2000, 500, 17, "e");
        fake_store_fail(w.store, round % 2 ? FAKE_EVENT_INSERT : FAKE_COMMIT,
                        round % 2 ? 400 * round : 2 * round + 1, -1, ERR_RETRY);
        world_start(&w);
        assert_true(fake_store_wait_calls(w.store, FAKE_BEGIN, 2));
        pipe_stop(w.pipe, 0);
        pipe_free(w.pipe);
        fake_store_heal(w.store);
        assert_true(fake_store_event_count(w.store) < 2500);
        assert_true(w.opt.store.ops->position(w.opt.store.self, &w.opt.position, &runs,
                                              &w.opt.run_count, &found, &err));
        w.opt.runs = runs;
        fake_feed_rewind(w.feed, w.opt.position.offset);
        world_start(&w);
        world_settle(&w);
        world_stop(&w);
        mem_free(runs);
        assert_numbered(&w, 2500, 17);
        assert_int_equal(fake_feed_released(w.feed), 2510);
        world_fini(&w);
    }
}

/* Batches end by count, by bytes, by time. */
static void test_batch_ends(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    w.opt.workers = 1;
    w.opt.batch_events = 100;
    w.opt.batch_us = 3600 * (int64_t)1000000;
    send_numbered(&w, 0, 1000, 5, "e");
    world_start(&w);
    assert_true(fake_store_wait(w.store, 1000 - 100));
    world_stop(&w); /* the rest goes with the end */
    assert_numbered(&w, 1000, 5);
    assert_in_range(fake_store_calls(w.store, FAKE_COMMIT), 5, 11);
    world_fini(&w);

    world_init(&w);
    w.opt.workers = 1;
    w.opt.batch_bytes = 1000;
    w.opt.batch_us = 3600 * (int64_t)1000000;
    send_numbered(&w, 0, 100, 5, "e");
    world_start(&w);
    assert_true(fake_store_wait(w.store, 100 - 10)); /* less than the last 1000 bytes wait */
    world_stop(&w);
    assert_numbered(&w, 100, 5);
    world_fini(&w);
}

/* What events make of their persons counts, and may end a batch inside of a chunk: few small events
 * of a large person would fill memory and log. */
static void test_batch_ends_by_what_is_written(void **state)
{
    static const char *const ids[] = {"user 0"};
    struct buf large = BUF_INIT(1 << 20);
    struct world w;

    UNUSED(state);
    buf_add_str(&large, "{\"large\":\"");
    for (int i = 0; i < 50000; i++)
        buf_add_char(&large, 'x');
    buf_add_str(&large, "\"}");
    world_init(&w);
    w.opt.workers = 1;
    w.opt.batch_bytes = 200000;
    w.opt.batch_us = 3600 * (int64_t)1000000;
    fake_store_person(w.store, TEAM, ids, 1, buf_cstr(&large), 0);
    send_numbered(&w, 0, 2 * CHUNK_MAX, 1, "e");
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_numbered(&w, 2 * CHUNK_MAX, 1);
    assert_in_range(fake_store_calls(w.store, FAKE_COMMIT), 2 * CHUNK_MAX / 4, 2 * CHUNK_MAX / 3);
    buf_free(&large);
    world_fini(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poison),
        cmocka_unit_test(test_all_poison),
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_commit_fails),
        cmocka_unit_test(test_dead_letter_fails),
        cmocka_unit_test(test_dead_letter_must_wait),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_io),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_batch_ends),
        cmocka_unit_test(test_batch_ends_by_what_is_written),
    };

    log_setup(LOG_NONE, LOG_CLASSIC, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
