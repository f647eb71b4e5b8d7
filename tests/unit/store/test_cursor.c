#include "store_aid.h"

static void no_position(void **state)
{
    struct aid a, *aid = &a;
    struct feed_position p;
    struct feed_run *runs;
    size_t count;
    bool found;

    UNUSED(state);
    aid_open(aid);
    must(aid->ops->position(aid->self, &p, &runs, &count, &found, &aid->err));
    assert_false(found);
    aid_close(aid);
}

static void kept_with_the_batch(void **state)
{
    struct aid a, *aid = &a;
    struct feed_run runs[] = {{12, 15}, {15, 16}, {1000000, 2000000000000}}, *got;
    struct feed_position p = {
        .ring_id = {{1, 2, 3}}, .epoch = 4, .offset = 10, .seen_end = UINT64_MAX >> 1};
    size_t count;
    bool found;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    must(aid->ops->commit(aid->self, &p, runs, 3, &aid->err));
    aid_begin(aid);
    must(aid->ops->commit(aid->self, NULL, NULL, 0, &aid->err)); /* leaves it alone */
    aid_reopen(aid);
    p = (struct feed_position){.epoch = 0};
    must(aid->ops->position(aid->self, &p, &got, &count, &found, &aid->err));
    assert_true(found);
    assert_int_equal(p.ring_id.b[2], 3);
    assert_int_equal(p.epoch, 4);
    assert_int_equal(p.offset, 10);
    assert_int_equal(p.seen_end, INT64_MAX);
    assert_int_equal(count, 3);
    assert_memory_equal(got, runs, sizeof(runs));
    mem_free(got);
    expect_rows("SELECT * FROM v_cursors", 3, "ingestion|events|10");
    p.offset = 2000000000000;
    aid_begin(aid);
    must(aid->ops->commit(aid->self, &p, NULL, 0, &aid->err));
    must(aid->ops->position(aid->self, &p, &got, &count, &found, &aid->err));
    assert_int_equal(count, 0);
    assert_null(got);
    aid_close(aid);
}

static void runs_out_of_order(void **state)
{
    static const struct feed_run bad[][2] = {
        {{5, 6}, {20, 21}}, {{10, 10}, {20, 21}}, {{12, 15}, {14, 16}}, {{12, 11}, {20, 21}}};
    struct aid a, *aid = &a;
    struct feed_position p = {.offset = 10};

    UNUSED(state);
    aid_open(aid);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        aid_begin(aid);
        assert_false(aid->ops->commit(aid->self, &p, bad[i], 2, &aid->err));
        assert_int_equal(aid->err.code, ERR_BUG);
        aid->ops->rollback(aid->self);
    }
    expect_rows("SELECT * FROM v_cursors", 3, "");
    aid_close(aid);
}

static void damaged_runs(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {{"\x01", 1},
               {"\x01\x00", 2},
               {"\x81", 1},
               {"\x01\x01\x05", 3},
               {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x01", 11},
               {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01", 11},
               {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}};
    struct err err = ERR_INIT;
    struct feed_run *runs;
    size_t count;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(
            cursor_runs_decode(10, slice_make(bad[i].bytes, bad[i].len), &runs, &count, &err));
        assert_int_equal(err.code, ERR_IO);
        assert_null(runs);
        assert_int_equal(count, 0);
    }
    assert_true(cursor_runs_decode(10, SLICE_NONE, &runs, &count, &err));
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_position),
        cmocka_unit_test(kept_with_the_batch),
        cmocka_unit_test(runs_out_of_order),
        cmocka_unit_test(damaged_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
