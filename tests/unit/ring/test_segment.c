#include "base/crc32c.h"
#include "ring_aid.h"

static struct segment_use sample(void)
{
    struct segment_use use = {.lap_no = 7,
                              .lap_id = 0x1122334455667788u,
                              .base = 1000,
                              .previous_end = 990,
                              .previous_lap_no = 6,
                              .group_first = 980,
                              .released = 500,
                              .created_us = 1234567};

    use.ring_id.b[3] = 9;
    return use;
}

static void test_head_round_trip(void **state)
{
    struct segment_use use = sample();
    struct segment_use back;
    char head[SEGMENT_HEAD_BYTES];

    UNUSED(state);
    segment_head_encode(&use, head);
    memset(&back, 0xff, sizeof(back));
    assert_int_equal(segment_head_decode(head, &back), SEGMENT_VALID);
    assert_memory_equal(&use, &back, sizeof(use));
    assert_memory_equal(head, "HEDGRING\1\0\0\0", 12);
}

/* Any one bad byte, and any torn mix with an older head, still gives a whole head. */
static void test_head_damage(void **state)
{
    struct segment_use use = sample();
    struct segment_use older = sample();
    struct segment_use back;
    char head[SEGMENT_HEAD_BYTES];
    char old[SEGMENT_HEAD_BYTES];

    UNUSED(state);
    segment_head_encode(&use, head);
    for (size_t i = 0; i < SEGMENT_HEAD_BYTES; i++) {
        head[i] ^= 1;
        assert_int_equal(segment_head_decode(head, &back), SEGMENT_VALID);
        assert_memory_equal(&use, &back, sizeof(use));
        head[i] ^= 1;
    }
    older.lap_no = 3;
    older.base = older.previous_end = older.group_first = 20;
    segment_head_encode(&older, old);
    for (size_t sector = 0; sector < 8; sector++) {
        memcpy(old + sector * 512, head + sector * 512, 512);
        assert_int_equal(segment_head_decode(old, &back), SEGMENT_VALID);
        assert_int_equal(back.lap_no, 7);
    }
    segment_head_encode(&older, old);
    for (size_t sector = 8; sector-- > 0;) {
        memcpy(old + sector * 512, head + sector * 512, 512);
        assert_int_equal(segment_head_decode(old, &back), SEGMENT_VALID);
        assert_int_equal(back.lap_no, sector > 4 ? 3 : 7);
    }
}

static void test_heads_that_are_none(void **state)
{
    struct segment_use use = sample();
    char head[SEGMENT_HEAD_BYTES] = {0};
    struct segment_use back;

    UNUSED(state);
    assert_int_equal(segment_head_decode(head, &back), SEGMENT_BLANK);
    head[4095] = 1;
    assert_int_equal(segment_head_decode(head, &back), SEGMENT_DAMAGED);
    segment_head_encode(&use, head);
    head[8] = 2;
    head[SEGMENT_COPY_AT + 8] = 2;
    assert_int_equal(segment_head_decode(head, &back), SEGMENT_NEWER);
    segment_head_encode(&use, head);
    head[20] ^= 1;
    head[SEGMENT_COPY_AT + 40] ^= 1;
    assert_int_equal(segment_head_decode(head, &back), SEGMENT_DAMAGED);
    /* Whole, but against the rules. */
    use.previous_end = use.base + 1;
    segment_head_encode(&use, head);
    assert_int_equal(segment_head_decode(head, &back), SEGMENT_DAMAGED);
    use = sample();
    use.group_first = use.base + 1;
    segment_head_encode(&use, head);
    assert_int_equal(segment_head_decode(head, &back), SEGMENT_DAMAGED);
}

static void test_create(void **state)
{
    char *dir = temp_dir_new();
    char *path = temp_dir_path(dir, "00000012.seg");
    char *temp = temp_dir_path(dir, "00000012.tmp");
    struct buf bytes = BUF_INIT(16 << 20);
    struct err err = ERR_INIT;
    const char *points[] = {"ring.prealloc", "ring.write", "ring.fdatasync"};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        fault_arm(points[i], 1, 1);
        assert_false(segment_create(dir, 12, 5 << 20, &err));
        fault_clear();
        assert_false(fs_exists(path)); /* nothing is left */
        assert_false(fs_exists(temp));
    }
    assert_true(segment_create(dir, 12, 5 << 20, &err));
    assert_false(fs_exists(temp));
    assert_true(fs_read_all(path, &bytes, &err));
    assert_int_equal(bytes.len, 5 << 20);
    for (size_t i = 0; i < bytes.len; i++)
        assert_true(bytes.ptr[i] == 0);
    buf_free(&bytes);
    fault_arm("ring.unlink", 1, 1);
    assert_false(segment_unlink(dir, 12, &err));
    assert_true(fs_exists(path));
    fault_clear();
    assert_true(segment_unlink(dir, 12, &err));
    assert_false(fs_exists(path));
    assert_int_equal(segment_open(dir, 12, true, &err), -1);
    mem_free(path);
    mem_free(temp);
    temp_dir_free(dir);
}

static void test_marks(void **state)
{
    struct segment *s = segment_new(1, 64 << 20);

    UNUSED(state);
    s->use.base = 100;
    assert_int_equal(segment_mark_find(s, 5000).at, SEGMENT_HEAD_BYTES);
    assert_int_equal(segment_mark_find(s, 5000).sequence, 100);
    for (uint64_t i = 0; i < 60000; i++)
        segment_mark_add(s, 100 + i, SEGMENT_HEAD_BYTES + i * 1000);
    assert_int_equal(s->mark_count, 57);
    for (uint64_t sequence = 100; sequence < 60100; sequence += 97) {
        struct segment_mark m = segment_mark_find(s, sequence);

        assert_true(m.sequence <= sequence);
        assert_true(sequence - m.sequence <= 1050);
        assert_int_equal(m.at, SEGMENT_HEAD_BYTES + (m.sequence - 100) * 1000);
    }
    segment_free(s);
    segment_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_round_trip),
        cmocka_unit_test(test_head_damage),
        cmocka_unit_test(test_heads_that_are_none),
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_marks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
