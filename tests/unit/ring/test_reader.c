/* The reading end by itself: groups are published by hand. */
#include "base/clock.h"
#include "ring_aid.h"

static int setup(void **state)
{
    struct rig *g = mem_new(struct rig);
    struct err err = ERR_INIT;

    rig_init(g);
    g->opt.tail_bytes_max = 5000;
    assert_true(rig_try_open(g, &err)); /* not started: no threads */
    *state = g;
    return 0;
}

static int setup_closed(void **state)
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

static void publish(struct rig *g, size_t count, size_t bytes)
{
    struct feed_group *group = group_make(g, count, bytes);

    group->first = g->next_number - count;
    reader_publish(g->ring, group, group, group->bytes, g->next_number);
}

static void test_tail_is_bounded(void **state)
{
    struct rig *g = *state;

    for (int i = 0; i < 100; i++)
        publish(g, 1, 500);
    assert_true(g->ring->tail_bytes <= 5000);
    assert_int_equal(g->ring->tail->first, 91);
    publish(g, 20, 500); /* larger than the tail: not kept at all */
    assert_null(g->ring->tail);
    assert_int_equal(g->ring->tail_bytes, 0);
}

static void test_parts_of_a_group(void **state)
{
    struct rig *g = *state;

    publish(g, 10, 100);
    assert_int_equal(read_some(g, 3, 0), 3);
    assert_int_equal(read_some(g, 3, 0), 3);
    publish(g, 2, 100);
    assert_int_equal(read_some(g, 64, 0), 6);
    assert_got(g, 0, 12);
    assert_int_equal(read_some(g, 64, 0), 0);
}

/* The tail begins in the middle of what the reader wants next; what it passed is dropped. */
static void test_starts_inside_a_group(void **state)
{
    struct rig *g = *state;

    publish(g, 5, 100);
    publish(g, 5, 100);
    g->ring->reader.next = 7;
    assert_int_equal(read_some(g, 64, 0), 3);
    assert_got(g, 7, 10);
    assert_null(g->ring->tail);
}

static void *wake_later(void *arg)
{
    struct rig *g = arg;

    usleep(2000);
    reader_wake(g->ring, false);
    return NULL;
}

static void *publish_later(void *arg)
{
    usleep(2000);
    publish(arg, 1, 100);
    return NULL;
}

static void test_waits(void **state)
{
    struct rig *g = *state;
    pthread_t id;

    assert_int_equal(pthread_create(&id, NULL, wake_later, g), 0);
    assert_int_equal(read_some(g, 1, -1), 0);
    pthread_join(id, NULL);
    assert_int_equal(pthread_create(&id, NULL, publish_later, g), 0);
    assert_int_equal(read_some(g, 1, 10000000), 1);
    pthread_join(id, NULL);
    reader_wake(g->ring, true);
    assert_int_equal(read_some(g, 1, -1), 0);
    assert_int_equal(read_some(g, 1, -1), 0); /* stop lasts */
}

/* Ages stay right to within a read even with very many reads not yet released. */
static void test_many_reads_in_flight(void **state)
{
    struct rig *g = *state;

    for (int i = 0; i < 3 * RING_DELIVERED_MAX; i++) {
        publish(g, 1, 8);
        read_some(g, 1, 0);
    }
    assert_true(g->ring->delivered_count <= RING_DELIVERED_MAX);
    assert_int_equal(reader_oldest_us(g->ring, g->next_number), 1000000);
    for (uint64_t offset = 1; offset < g->next_number; offset += 100) {
        int64_t age;

        release(g, offset);
        age = reader_oldest_us(g->ring, g->next_number);
        assert_true(age <= 1000000 + (int64_t)offset);
        assert_true(age > 1000000 + (int64_t)offset - 40);
    }
    release(g, g->next_number);
    assert_int_equal(reader_oldest_us(g->ring, g->next_number), 0);
}

static uint64_t passed(struct rig *g)
{
    struct feed_reader rd = ring_reader(g->ring);

    return rd.ops->passed(rd.self);
}

/* A damaged record that nothing follows: a read does not wait before it has said so. */
static void test_hole_at_the_end(void **state)
{
    struct rig *g = *state;
    int64_t before = clock_mono_us();

    g->opt.tail_bytes_max = 0;
    rig_open(g);
    for (int i = 0; i < 4; i++)
        put(g, 1, 500);
    flip(g, 0, place_of(g, 0, 3) + 100);
    assert_int_equal(passed(g), 0);
    assert_int_equal(read_some(g, 2, 0), 2);
    assert_int_equal(passed(g), 2);
    assert_int_equal(read_some(g, 1, 0), 1);
    assert_int_equal(read_some(g, 1, 60000000), 0);
    assert_int_equal(passed(g), 4);
    assert_true(clock_mono_us() - before < 30000000);
    assert_int_equal(read_some(g, 1, 0), 0);
    put(g, 1, 500);
    assert_int_equal(read_some(g, 1, 60000000), 1);
    assert_int_equal(passed(g), 5);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_tail_is_bounded),
        CASE(test_parts_of_a_group),
        CASE(test_starts_inside_a_group),
        CASE(test_waits),
        CASE(test_many_reads_in_flight),
        cmocka_unit_test_setup_teardown(test_hole_at_the_end, setup_closed, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
