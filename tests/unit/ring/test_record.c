#include "base/mem.h"
#include "ring/ring_priv.h"
#include "unit.h"

static struct slice one_record(struct feed_group *g, uint64_t lap_id, uint64_t sequence)
{
    record_stamp(g->block->bytes, lap_id, sequence, RECORD_FLAG_FIRST | RECORD_FLAG_LAST);
    return slice_make(g->block->bytes, g->bytes);
}

static void test_sizes(void **state)
{
    UNUSED(state);
    assert_int_equal(record_bytes(0), 40);
    assert_int_equal(record_bytes(4), 40);
    assert_int_equal(record_bytes(5), 48);
    assert_int_equal(record_bytes(1000), 1040);
}

static void test_round_trip(void **state)
{
    const size_t sizes[] = {0, 1, 3, 4, 5, 100, 65536};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct feed_group *g = feed_group_new(10);
        char *payload = mem_zalloc(sizes[i] + 1);
        struct record_head head;
        struct slice s;

        memset(payload, 'x', sizes[i]);
        assert_true(
            feed_group_add(g, 77, RECORD_TYPE_EVENT, 123456, slice_make(payload, sizes[i])));
        assert_int_equal(feed_group_count(g), 1);
        assert_int_equal(feed_group_bytes(g), record_bytes(sizes[i]));
        s = one_record(g, 99, 5);
        assert_int_equal(record_check(s, 99, &head), RECORD_OK);
        assert_int_equal(head.length, sizes[i]);
        assert_int_equal(head.sequence, 5);
        assert_int_equal(head.key_hash, 77);
        assert_int_equal(head.time_us, 123456);
        assert_int_equal(head.type, RECORD_TYPE_EVENT);
        assert_int_equal(head.flags, RECORD_FLAG_FIRST | RECORD_FLAG_LAST);
        assert_memory_equal(s.ptr + RECORD_HEAD_BYTES, payload, sizes[i]);
        assert_int_equal(record_crc(99, &head, slice_make(payload, sizes[i])), head.crc32c);
        assert_int_equal(record_check(s, 98, &head), RECORD_BAD); /* another lap */
        mem_free(payload);
        feed_group_free(g);
    }
}

/* The bytes on disk are those of the drawing in record.h. */
static void test_layout(void **state)
{
    const unsigned char want[40] = {4, 0, 0,    0,    0, 0, 0, 0, 8,   7,   6,    5,  4, 3,
                                    2, 1, 0x18, 0x17, 0, 0, 0, 0, 0,   0,   0x2a, 0,  0, 0,
                                    0, 0, 0,    0,    1, 0, 7, 0, 'a', 'b', 'c',  'd'};
    struct feed_group *g = feed_group_new(0);

    UNUSED(state);
    assert_true(feed_group_add(g, 42, 1, 0x1718, SLICE("abcd")));
    record_stamp(g->block->bytes, 1, 0x0102030405060708u, 7);
    memset(g->block->bytes + 4, 0, 4); /* the checksum has its own test */
    assert_memory_equal(g->block->bytes, want, sizeof(want));
    feed_group_free(g);
}

static void test_bad_records(void **state)
{
    struct feed_group *g = feed_group_new(0);
    struct record_head head;
    char zeros[100] = {0};
    struct slice s;

    UNUSED(state);
    assert_true(feed_group_add(g, 1, 1, 1, SLICE("payload of 29 bytes, an event")));
    s = one_record(g, 7, 9);
    for (size_t len = 0; len < RECORD_HEAD_BYTES + 29; len++) {
        enum record_state want = len == 0 ? RECORD_END : RECORD_SHORT;

        assert_int_equal(record_check(slice_make(s.ptr, len), 7, &head), want);
    }
    for (size_t i = 0; i < RECORD_HEAD_BYTES + 29; i++) {
        g->block->bytes[i] ^= 4;
        assert_int_not_equal(record_check(s, 7, &head), RECORD_OK);
        g->block->bytes[i] ^= 4;
    }
    assert_int_equal(record_check(s, 7, &head), RECORD_OK);
    assert_int_equal(record_check(slice_make(zeros, 100), 7, &head), RECORD_END);
    assert_int_equal(record_check(slice_make(zeros, 20), 7, &head), RECORD_END);
    zeros[30] = 1;
    assert_int_equal(record_check(slice_make(zeros, 100), 7, &head), RECORD_BAD);
    feed_group_free(g);
}

static void test_open_and_close(void **state)
{
    struct feed_group *g = feed_group_new(0);
    char *at;

    UNUSED(state);
    at = feed_group_open(g, 1000);
    assert_non_null(at);
    memset(at, 'z', 1000);
    assert_int_equal(feed_group_count(g), 0);
    feed_group_close(g, 1, 2, 3, 10);
    assert_int_equal(feed_group_bytes(g), record_bytes(10));
    assert_int_equal(g->block->bytes[RECORD_HEAD_BYTES + 10], 0); /* the gap is zero */
    assert_non_null(feed_group_open(g, 5));                       /* given up: nothing is added */
    assert_int_equal(feed_group_count(g), 1);
    assert_null(feed_group_open(g, (size_t)2 << 30));
    assert_null(feed_group_open(g, SIZE_MAX));
    assert_int_equal(feed_group_bytes(g), record_bytes(10));
    assert_int_equal(g->largest, 10);
    feed_group_free(g);
    feed_group_free(NULL);
}

static void test_growing(void **state)
{
    struct feed_group *g = feed_group_new(0);
    size_t at = 0;

    UNUSED(state);
    for (size_t i = 0; i < 3000; i++) {
        char text[200];

        memset(text, (int)i, sizeof(text));
        assert_true(feed_group_add(g, i, 1, i, slice_make(text, i % 200)));
    }
    for (size_t i = 0; i < 3000; i++) {
        struct record_head head;

        memcpy(&head, g->block->bytes + at, sizeof(head));
        assert_int_equal(head.key_hash, i);
        assert_int_equal(head.length, i % 200);
        at += record_bytes(head.length);
    }
    assert_int_equal(at, feed_group_bytes(g));
    feed_group_free(g);
}

static void test_blocks(void **state)
{
    struct feed_block *b = feed_block_new(100);

    UNUSED(state);
    assert_false(feed_block_is_shared(b));
    feed_block_ref(b);
    assert_true(feed_block_is_shared(b));
    feed_block_unref(b);
    feed_block_unref(b);
    feed_block_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),          cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_layout),         cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_open_and_close), cmocka_unit_test(test_growing),
        cmocka_unit_test(test_blocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
