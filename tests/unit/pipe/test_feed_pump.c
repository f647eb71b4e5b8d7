/* FEED: every offset is accounted for once, read-ahead is bounded, errors and holes do not stop it.
 */
#include "pipe_aid.h"

static void send_many(struct world *w, int count)
{
    for (int i = 0; i < count; i++)
        world_event(w, i % 2 ? "a" : "b", "e", "{}");
}

static void leave_out(struct world *w, uint64_t count)
{
    fake_feed_skip(w->feed, count);
    w->sent += count;
}

static void assert_whole(struct world *w, size_t events)
{
    const struct feed_run *runs;
    size_t count;
    struct feed_position p = fake_store_position(w->store, &runs, &count);

    assert_int_equal(fake_store_event_count(w->store), events);
    assert_int_equal(p.offset, w->sent);
    assert_int_equal(p.seen_end, w->sent);
    assert_int_equal(count, 0);
    assert_int_equal(fake_feed_released(w->feed), w->sent);
}

static void test_gaps(void **state)
{
    static const uint64_t gaps[] = {1, 100, GAP_SMALL, GAP_SMALL + 1, 1000000, UINT64_C(1) << 40};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(gaps); i++) {
        struct world w;

        world_init(&w);
        leave_out(&w, gaps[i]); /* before the first */
        send_many(&w, 10);
        leave_out(&w, gaps[i]);
        send_many(&w, 1);
        leave_out(&w, gaps[i]);
        send_many(&w, 10);
        world_start(&w);
        world_settle(&w);
        world_stop(&w);
        assert_whole(&w, 21);
        world_fini(&w);
    }
}

/* Many small holes add up to more than the window. */
static void test_many_gaps(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    for (int i = 0; i < 200; i++) {
        send_many(&w, 2);
        leave_out(&w, GAP_SMALL);
    }
    send_many(&w, 1);
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_whole(&w, 401);
    world_fini(&w);
}

static void test_runs(void **state)
{
    struct feed_run runs[] = {{30, 40}, {10, 20}};
    struct world w;

    UNUSED(state);
    world_init(&w);
    send_many(&w, 50);
    w.opt.position.offset = 5; /* the feed gives what is below once more */
    w.opt.position.epoch = 3;
    w.opt.runs = runs;
    w.opt.run_count = 2;
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_whole(&w, 50 - 5 - 20);
    {
        const struct feed_run *left;
        size_t count;

        assert_int_equal(fake_store_position(w.store, &left, &count).epoch, 3);
    }
    world_fini(&w);
}

/* Runs that nothing stands before, then a hole: nothing was committed yet, and still it goes on. */
static void test_runs_then_gap(void **state)
{
    struct feed_run runs[] = {{0, 10}};
    struct world w;

    UNUSED(state);
    world_init(&w);
    send_many(&w, 10);
    leave_out(&w, 1000000);
    send_many(&w, 1);
    w.opt.runs = runs;
    w.opt.run_count = 1;
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_whole(&w, 1);
    world_fini(&w);
}

/* Holes of every size before a finished run, inside one, across its end and across several: the
 * cursor passes them all. */
static void test_holes_around_runs(void **state)
{
    static const uint64_t holes[] = {1, 100, GAP_SMALL, GAP_SMALL + 1, 1000000};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(holes); i++) {
        uint64_t h = holes[i];
        uint64_t first = 10 + h;              /* behind the hole before it: ten, a hole, ten */
        uint64_t second = first + 30 + 2 * h; /* only a hole before it, and one across its end */
        uint64_t third = second + 10 + h;     /* never seen */
        struct feed_run runs[] = {
            {first, first + 20 + h}, {second, second + 10 + h / 2}, {third, third + 10}};
        struct world w;

        world_init(&w);
        send_many(&w, 10);
        leave_out(&w, h);
        send_many(&w, 10); /* first */
        leave_out(&w, h);
        send_many(&w, 10);
        send_many(&w, 10);
        leave_out(&w, h);
        assert_int_equal(w.sent, second);
        send_many(&w, 10);
        leave_out(&w, h + 10 + 7);
        send_many(&w, 5);
        w.opt.runs = runs;
        w.opt.run_count = ARRAY_LEN(runs);
        world_start(&w);
        world_settle(&w);
        world_stop(&w);
        assert_whole(&w, 25);
        world_fini(&w);
    }
}

/* A hole that no record ever follows is finished, committed and released all the same. */
static void test_hole_at_the_end(void **state)
{
    static const uint64_t holes[] = {1, 100, GAP_SMALL + 1, UINT64_C(1) << 40};

    UNUSED(state);
    for (size_t i = 0; i < 2 * ARRAY_LEN(holes); i++) {
        struct world w;
        int before = i % 2 ? 10 : 0;

        world_init(&w);
        send_many(&w, before);
        leave_out(&w, holes[i / 2]);
        world_start(&w);
        world_settle(&w); /* while it runs: nobody has to stop it or to send more */
        leave_out(&w, 1);
        world_settle(&w);
        send_many(&w, 1);
        world_settle(&w);
        world_stop(&w);
        assert_whole(&w, (size_t)before + 1);
        world_fini(&w);
    }
}

/* The store fails while there is only a hole to commit. */
static void test_hole_waits_for_store(void **state)
{
    static const enum fake_op ops[] = {FAKE_BEGIN, FAKE_COMMIT};
    static const enum err_code codes[] = {ERR_RETRY, ERR_FULL, ERR_INPUT, ERR_BUG};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(ops) * ARRAY_LEN(codes); i++) {
        struct pipe_status s;
        struct world w;

        world_init(&w);
        leave_out(&w, 5);
        fake_store_fail(w.store, ops[i % 2], 1, 2, codes[i / 2]);
        world_start(&w);
        world_settle(&w);
        pipe_stop(w.pipe, STOP_US);
        pipe_status(w.pipe, &s);
        assert_false(s.is_degraded);
        pipe_free(w.pipe);
        assert_whole(&w, 0);
        world_fini(&w);
    }
}

/* What cannot be committed is not released: the next start finds it. */
static void test_hole_is_not_released_early(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    leave_out(&w, 5);
    fake_store_fail(w.store, FAKE_COMMIT, 1, -1, ERR_RETRY);
    world_start(&w);
    assert_true(fake_store_wait_calls(w.store, FAKE_COMMIT, 2));
    assert_int_equal(fake_feed_released(w.feed), 0);
    pipe_stop(w.pipe, 0);
    pipe_free(w.pipe);
    assert_int_equal(fake_feed_released(w.feed), 0);
    world_fini(&w);
}

static void test_read_ahead(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    w.opt.read_ahead_events = 20;
    fake_store_fail(w.store, FAKE_COMMIT, 1, -1, ERR_RETRY);
    send_many(&w, 300);
    world_start(&w);
    assert_true(fake_store_wait_calls(w.store, FAKE_COMMIT, 3));
    assert_true(fake_feed_given(w.feed) <= 20);
    fake_store_heal(w.store);
    world_settle(&w);
    world_stop(&w);
    assert_whole(&w, 300);
    world_fini(&w);

    world_init(&w);
    w.opt.read_ahead_bytes = 500; /* a few records; one at a time is always read */
    fake_store_fail(w.store, FAKE_COMMIT, 1, -1, ERR_RETRY);
    send_many(&w, 300);
    world_start(&w);
    assert_true(fake_store_wait_calls(w.store, FAKE_COMMIT, 3));
    assert_true(fake_feed_given(w.feed) <= 10);
    fake_store_heal(w.store);
    world_settle(&w);
    world_stop(&w);
    assert_whole(&w, 300);
    world_fini(&w);
}

static void test_errors(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    fake_feed_fail(w.feed, 1);
    send_many(&w, 5);
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_whole(&w, 5);
    world_fini(&w);
}

static void test_other_records(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    fake_feed_add_raw(w.feed, 77, 1, SLICE("\x01\xff something"));
    fake_feed_add_raw(w.feed, RECORD_TYPE_EVENT, 1, SLICE("\x01garbage"));
    fake_feed_add_raw(w.feed, RECORD_TYPE_EVENT, 1, SLICE(""));
    w.sent += 3;
    send_many(&w, 2);
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_whole(&w, 2);
    assert_int_equal(fake_store_dead_count(w.store), 3);
    for (size_t i = 0; i < 3; i++) {
        const struct dead_letter *d = fake_store_dead_at(w.store, i);

        assert_slice(d->stage, "parse_message");
        assert_int_equal(d->team_id, 0);
        assert_contains(d->envelope, "\"base64\":\"");
    }
    assert_contains(fake_store_dead_at(w.store, 0)->reason, "queue record of type 77");
    assert_slice(fake_store_dead_at(w.store, 0)->envelope,
                 "{\"type\":77,\"base64\":\"Af8gc29tZXRoaW5n\"}");
    world_fini(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_many_gaps),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_runs_then_gap),
        cmocka_unit_test(test_holes_around_runs),
        cmocka_unit_test(test_hole_at_the_end),
        cmocka_unit_test(test_hole_waits_for_store),
        cmocka_unit_test(test_hole_is_not_released_early),
        cmocka_unit_test(test_read_ahead),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_other_records),
    };

    log_setup(LOG_NONE, LOG_CLASSIC, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
