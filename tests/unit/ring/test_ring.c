/* The ring as a feed: append, read, restart, positions, budget. */
#include "ring_aid.h"

static int setup(void **state)
{
    struct rig *g = mem_new(struct rig);

    rig_init(g);
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    rig_fini(*state);
    mem_free(*state);
    return 0;
}

static void test_first_start(void **state)
{
    struct rig *g = *state;
    struct feed_position p;
    struct stat st;
    char *path;

    rig_open(g);
    p = ring_position(g->ring);
    assert_int_equal(p.offset, 0);
    assert_int_equal(p.seen_end, 0);
    assert_int_equal(p.epoch, 1);
    assert_false(uuid_is_nil(&p.ring_id));
    path = file_of(g, 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 64 << 10);
    mem_free(path);
    assert_int_equal(read_some(g, 10, 0), 0);
    assert_true(status(g).is_writable);
}

static void test_round_trip(void **state)
{
    struct rig *g = *state;

    rig_open(g);
    put(g, 1, 100);
    put(g, 50, 500);
    put(g, 3, 8);
    drain(g);
    assert_got(g, 0, 54);
    assert_int_equal(g->got_at[53], 53);
    assert_int_equal(status(g).end, 54);
    assert_int_equal(count_of(g, "hedgerow_queue_appended_records_total"), 54);
}

static void test_order_over_many_segments(void **state)
{
    struct rig *g = *state;

    g->opt.tail_bytes_max = 10000;
    rig_open(g);
    for (int i = 0; i < 300; i++)
        put(g, 10, 900);
    drain(g);
    assert_got(g, 0, 3000);
}

static void test_memory_and_files_interleave(void **state)
{
    struct rig *g = *state;

    g->opt.tail_bytes_max = 20000;
    rig_open(g);
    for (int i = 0; i < 400; i++) {
        put(g, (size_t)(i % 7 + 1), 300);
        if (i % 3 == 0)
            read_some(g, (size_t)(i % 13 + 1), 0);
    }
    drain(g);
    assert_got(g, 0, g->next_number);
}

static void test_bytes_max_of_read(void **state)
{
    struct rig *g = *state;
    struct feed_reader rd;
    struct feed_record out[8];
    struct err err = ERR_INIT;

    for (int from_files = 0; from_files < 2; from_files++) {
        g->opt.tail_bytes_max = from_files ? 0 : 1 << 20;
        rig_open(g);
        rd = ring_reader(g->ring);
        put(g, 5, 1000);
        assert_int_equal(rd.ops->read(rd.self, out, 8, 2500, 0, &err), 2);
        assert_int_equal(rd.ops->read(rd.self, out + 2, 1, 1, 0, &err), 1);
        assert_int_equal(rd.ops->read(rd.self, out + 3, 5, 1 << 20, 0, &err), 2);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(out[i].offset, from_files * 5 + i);
            event_check(out[i].payload);
            feed_block_unref(out[i].block);
        }
        rig_close(g);
        set_position(g, 5, 5);
        g->opt.position.ring_id = head_of(g, 0).ring_id;
    }
}

/* Blocks outlive the ring. */
static void test_blocks_stay(void **state)
{
    struct rig *g = *state;
    struct feed_record out[4];
    struct err err = ERR_INIT;
    struct feed_reader rd;

    rig_open(g);
    rd = ring_reader(g->ring);
    put(g, 4, 200);
    assert_int_equal(rd.ops->read(rd.self, out, 4, 1 << 20, 0, &err), 4);
    rig_close(g);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(event_check(out[i].payload), i);
        feed_block_unref(out[i].block);
    }
}

static void test_restart_goes_on(void **state)
{
    struct rig *g = *state;

    rig_open(g);
    for (int i = 0; i < 20; i++)
        put(g, 5, 400);
    set_position(g, 30, 60);
    reopen(g);
    put(g, 5, 400);
    drain(g);
    assert_got(g, 30, 105);
    assert_int_equal(g->got_at[0], 30);
    assert_int_equal(g->got_at[74], 104);
    assert_true(ring_runs_hold(g->ring));
    assert_int_equal(count_of(g, TORN), 0);
    assert_int_equal(count_of(g, GAP), 0);
}

/* Restarts of an idle ring use the same file again and again. */
static void test_idle_restarts_cost_nothing(void **state)
{
    struct rig *g = *state;
    uint32_t slots[10];

    rig_open(g);
    set_position(g, 0, 0);
    for (int i = 0; i < 5; i++) {
        reopen(g);
        assert_int_equal(list_slots(g, slots, 10), 1);
        assert_int_equal(ring_position(g->ring).offset, 0);
        assert_int_equal(ring_position(g->ring).epoch, 1);
    }
    put(g, 1, 100);
    drain(g);
    assert_got(g, 0, 1);
}

static void test_wake_and_timeout(void **state)
{
    struct rig *g = *state;
    struct feed_reader rd;

    rig_open(g);
    rd = ring_reader(g->ring);
    assert_int_equal(read_some(g, 1, 1000), 0);
    rd.ops->wake(rd.self);
    assert_int_equal(read_some(g, 1, -1), 0);
    put(g, 1, 50);
    assert_int_equal(read_some(g, 1, -1), 1);
    ring_stop(g->ring);
    assert_int_equal(read_some(g, 1, -1), 0);
}

static void test_stop_answers_all(void **state)
{
    struct rig *g = *state;
    struct err err = ERR_INIT;

    rig_open(g);
    for (int i = 0; i < 100; i++)
        assert_true(post(g, 1, 200, &err));
    ring_stop(g->ring);
    await_answers(g);
    assert_int_equal(g->answer.ok, 100);
    assert_false(post(g, 1, 200, &err));
    assert_int_equal(err.code, ERR_STOP);
    drain(g);
    assert_got(g, 0, 100);
}

static void test_never_started_answers_stop(void **state)
{
    struct rig *g = *state;
    struct err err = ERR_INIT;

    assert_true(rig_try_open(g, &err));
    assert_true(post(g, 1, 200, &err));
    ring_stop(g->ring);
    await_answers(g);
    assert_int_equal(g->answer.last, ERR_STOP);
}

static void test_limits(void **state)
{
    struct rig *g = *state;
    enum err_code code;
    size_t most = (256 << 10) - SEGMENT_HEAD_BYTES - RECORD_HEAD_BYTES;

    g->opt.pending_bytes_max = 1 << 20;
    rig_open(g);
    assert_false(try_put(g, 1, most + 1, &code));
    assert_int_equal(code, ERR_LIMIT);
    g->next_number = 0;
    put(g, 1, most);
    put(g, 1, 100);
    assert_false(try_put(g, 11, 100000, &code));
    assert_int_equal(code, ERR_LIMIT);
    drain(g);
    assert_got(g, 0, 2);
    rig_close(g);
    g->opt.record_bytes_max = 1000;
    rig_open(g);
    assert_false(try_put(g, 1, 1001, &code));
    assert_int_equal(code, ERR_LIMIT);
    assert_int_equal(count_of(g, "hedgerow_queue_rejected_total{reason=\"limit\"}"), 1);
    put(g, 1, 1000);
}

/* Every record size around the size of a segment, one after the other. */
static void test_sizes_near_the_limit(void **state)
{
    struct rig *g = *state;
    size_t most = (256 << 10) - SEGMENT_HEAD_BYTES - RECORD_HEAD_BYTES;

    rig_open(g);
    for (size_t less = 0; less < 100; less += 7) {
        put(g, 1, most - less);
        drain(g);
        release(g, status(g).end);
    }
    assert_got(g, 0, g->next_number);
    set_position(g, g->next_number, g->next_number);
    reopen(g);
    assert_int_equal(status(g).end, g->next_number);
}

static void test_group_over_segments(void **state)
{
    struct rig *g = *state;

    rig_open(g);
    put(g, 1, 100);
    put(g, 1000, 1000); /* about 1 MB over segments of 256 KiB */
    put(g, 1, 100);
    drain(g);
    assert_got(g, 0, 1002);
    got_clear(g);
    reopen(g);
    drain(g);
    assert_got(g, 0, 1002);
}

static void test_pending_limit(void **state)
{
    struct rig *g = *state;
    struct err err = ERR_INIT;
    int taken = 0;

    g->opt.pending_bytes_max = 10000;
    assert_true(rig_try_open(g, &err));
    while (post(g, 1, 900, &err))
        taken++;
    assert_int_equal(err.code, ERR_FULL);
    assert_int_equal(taken, 10000 / record_bytes(900));
    assert_int_equal(count_of(g, "hedgerow_queue_rejected_total{reason=\"pending\"}"), 1);
    rig_start(g);
    await_answers(g);
    put(g, 1, 900);
}

/* Fills the budget, then works it off: takes events again without a restart, loses none. */
static void test_budget(void **state)
{
    struct rig *g = *state;
    enum err_code code = ERR_NONE;
    uint64_t acked = 0;
    uint64_t refused = 0;

    g->opt.bytes_max = 1 << 20;
    g->opt.tail_bytes_max = 0;
    rig_open(g);
    while (try_put(g, 1, 5000, &code))
        acked++;
    assert_int_equal(code, ERR_FULL);
    assert_true(acked * 5000 > (1 << 20) / 2);
    assert_true(status(g).bytes <= 1 << 20);
    assert_false(status(g).is_writable);
    assert_non_null(strstr(status(g).why_not, "QUEUE_MAX_BYTES"));
    for (int round = 0; round < 20; round++) {
        uint64_t before = g->got_count;

        read_some(g, 64, 0);
        release(g, g->got_at[g->got_count - 1] + 1);
        assert_true(g->got_count > before || round > 3);
        for (int i = 0; i < 90; i++) {
            if (try_put(g, 1, 5000, &code))
                acked++;
            else
                refused++;
        }
        assert_true(status(g).bytes <= 1 << 20);
    }
    assert_true(refused > 0);
    drain(g);
    assert_int_equal(g->got_count, acked);
    release(g, g->got_at[g->got_count - 1] + 1);
    AWAIT(status(g).is_writable);
    put(g, 1, 5000);
}

/* A start with a full budget comes up read-only, gives out what it has and writes again later. */
static void test_start_with_full_budget(void **state)
{
    struct rig *g = *state;
    enum err_code code = ERR_NONE;
    uint64_t acked = 0;

    g->opt.bytes_max = 1 << 20;
    rig_open(g);
    set_position(g, 0, 0);
    /* Each start takes a small segment for its lap, until not even that fits. */
    for (int i = 0; i < 10; i++) {
        reopen(g);
        while (try_put(g, 1, 5000, &code))
            acked++;
    }
    assert_false(status(g).is_writable);
    assert_false(try_put(g, 1, 10, &code));
    assert_int_equal(code, ERR_FULL);
    drain(g);
    assert_int_equal(g->got_count, acked);
    release(g, acked);
    AWAIT(status(g).is_writable);
    put(g, 1, 10);
    assert_int_equal(status(g).end, acked + 1);
}

static void test_small_disk(void **state)
{
    struct rig *g = *state;
    enum err_code code;

    rig_open(g);
    put(g, 1, 100);
    rig_close(g);
    set_position(g, 0, 0);
    g->opt.position.ring_id = head_of(g, 0).ring_id;
    g->opt.min_free_bytes = (uint64_t)1 << 60;
    rig_open(g);
    assert_false(try_put(g, 1, 100, &code));
    assert_int_equal(code, ERR_FULL);
    assert_false(status(g).is_writable);
    assert_non_null(strstr(status(g).why_not, "QUEUE_MIN_FREE_BYTES"));
    drain(g);
    assert_got(g, 0, 1);
    g->ring->opt.min_free_bytes = 0; /* space came back */
    AWAIT(status(g).is_writable);
    put(g, 1, 100);
}

static void test_pause_reuse(void **state)
{
    struct rig *g = *state;
    uint32_t slots[50];
    struct segment_use first;

    rig_open(g);
    put(g, 1, 100);
    first = head_of(g, 0);
    ring_pause_reuse(g->ring, true);
    for (int i = 0; i < 200; i++) {
        put(g, 1, 5000);
        drain(g);
        release(g, status(g).end);
    }
    assert_int_equal(head_of(g, 0).lap_id, first.lap_id);
    ring_pause_reuse(g->ring, false);
    AWAIT(list_slots(g, slots, 50) <= 1 + RING_SPARES);
    put(g, 1, 100);
}

/* A segment file that vanishes under the running ring is a gap, not an endless error. */
static void test_file_vanishes(void **state)
{
    struct rig *g = *state;
    char *path;

    g->opt.tail_bytes_max = 0;
    rig_open(g);
    for (int i = 0; i < 300; i++)
        put(g, 1, 1000);
    path = file_of(g, 0);
    assert_int_equal(unlink(path), 0);
    mem_free(path);
    drain(g);
    assert_true(count_of(g, GAP) > 10);
    assert_int_equal(count_of(g, GAP) + g->got_count, 300);
}

static void test_bad_directories(void **state)
{
    struct rig *g = *state;
    struct err err = ERR_INIT;
    char *seg;

    temp_dir_write(g->dir, "notes.txt", "hello");
    assert_false(rig_try_open(g, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "notes.txt"));
    remove_files(g->dir);
    temp_dir_write(g->top, "plain", "a file");
    g->opt.dir = seg = temp_dir_path(g->top, "plain");
    assert_false(rig_try_open(g, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, "plain"));
    mem_free(seg);
    g->opt.dir = g->dir;
    rig_open(g);
}

static void test_status_age(void **state)
{
    struct rig *g = *state;

    rig_open(g);
    assert_int_equal(status(g).oldest_unread_us, 0);
    put(g, 1, 100);
    put(g, 1, 100);
    assert_int_equal(status(g).oldest_unread_us, 1000000);
    assert_true(status(g).unread_bytes > 0);
    read_some(g, 1, 0);
    read_some(g, 1, 0);
    assert_int_equal(status(g).oldest_unread_us, 1000000);
    release(g, 1);
    assert_int_equal(status(g).oldest_unread_us, 1000001);
    assert_int_equal(status(g).cursor, 1);
    release(g, 2);
    assert_int_equal(status(g).oldest_unread_us, 0);
    assert_int_equal(status(g).unread_bytes, 0);
}

struct producer {
    struct rig *g;
    pthread_t id;
    uint64_t from;
    int count;
    atomic_int answered;
};

static void count_done(void *ctx, const struct err *err)
{
    CHECK(err->code == ERR_NONE);
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void *produce(void *arg)
{
    struct producer *p = arg;
    struct feed_writer w = ring_writer(p->g->ring);

    for (int i = 0; i < p->count; i++) {
        struct feed_group *group = feed_group_new(100);
        uint64_t number = p->from + (uint64_t)i;
        char *e = event_make(number, 64);
        struct err err = ERR_INIT;

        CHECK(feed_group_add(group, number * 3, RECORD_TYPE_EVENT, 1000000 + number,
                             slice_make(e, 64)));
        mem_free(e);
        while (!w.ops->append(w.self, group, count_done, &p->answered, &err)) {
            CHECK(err.code == ERR_FULL);
            usleep(100);
        }
    }
    return NULL;
}

/* Many producers and a reader that releases; each producer's events come in its order. */
static void test_many_producers(void **state)
{
    enum { PRODUCERS = 8, EACH = 1500 };
    struct rig *g = *state;
    struct producer p[PRODUCERS];
    uint64_t next[PRODUCERS];
    size_t total = 0;

    g->opt.tail_bytes_max = 30000;
    g->opt.bytes_max = 1 << 20;
    g->opt.pending_bytes_max = 50000;
    rig_open(g);
    for (int i = 0; i < PRODUCERS; i++) {
        p[i] = (struct producer){.g = g, .from = (uint64_t)i * 1000000, .count = EACH};
        next[i] = p[i].from;
        assert_int_equal(pthread_create(&p[i].id, NULL, produce, &p[i]), 0);
    }
    while (total < PRODUCERS * EACH) {
        got_clear(g);
        total += read_some(g, 64, 1000000);
        for (size_t i = 0; i < g->got_count; i++)
            assert_int_equal(g->got[i], next[g->got[i] / 1000000]++);
        if (g->got_count)
            release(g, g->got_at[g->got_count - 1] + 1);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(p[i].id, NULL);
        AWAIT(atomic_load(&p[i].answered) == EACH);
    }
    assert_int_equal(count_of(g, CORRUPT), 0);
    assert_int_equal(count_of(g, GAP), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_first_start),
        CASE(test_round_trip),
        CASE(test_order_over_many_segments),
        CASE(test_memory_and_files_interleave),
        CASE(test_bytes_max_of_read),
        CASE(test_blocks_stay),
        CASE(test_restart_goes_on),
        CASE(test_idle_restarts_cost_nothing),
        CASE(test_wake_and_timeout),
        CASE(test_stop_answers_all),
        CASE(test_never_started_answers_stop),
        CASE(test_limits),
        CASE(test_sizes_near_the_limit),
        CASE(test_group_over_segments),
        CASE(test_pending_limit),
        CASE(test_budget),
        CASE(test_start_with_full_budget),
        CASE(test_small_disk),
        CASE(test_pause_reuse),
        CASE(test_file_vanishes),
        CASE(test_bad_directories),
        CASE(test_status_age),
        CASE(test_many_producers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
