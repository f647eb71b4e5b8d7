#include "pipe_aid.h"

static void assert_state(struct finished *f, const char *expected)
{
    struct buf b = BUF_INIT(4096);
    const struct feed_run *runs;
    uint64_t cursor = finished_cursor(f);
    size_t count = finished_runs(f, cursor, &runs);

    buf_add_u64(&b, cursor);
    for (size_t i = 0; i < count; i++)
        buf_addf(&b, " %llu-%llu", (unsigned long long)runs[i].from,
                 (unsigned long long)runs[i].to);
    assert_string_equal(buf_cstr(&b), expected);
    buf_free(&b);
}

static void test_any_order(void **state)
{
    struct finished *f = finished_new(100, NULL, 0, 1000);

    UNUSED(state);
    assert_state(f, "100");
    finished_set(f, 102);
    assert_state(f, "100 102-103");
    finished_set(f, 105);
    finished_set(f, 103);
    assert_state(f, "100 102-104 105-106");
    finished_set(f, 100);
    assert_state(f, "101 102-104 105-106");
    finished_move(f, finished_cursor(f));
    assert_state(f, "101 102-104 105-106");
    finished_set(f, 101);
    assert_state(f, "104 105-106");
    finished_unset(f, 103);
    assert_state(f, "103 105-106");
    finished_set(f, 103);
    finished_set(f, 104);
    finished_move(f, finished_cursor(f));
    assert_state(f, "106");
    finished_free(f);
    finished_free(NULL);
}

static void test_words(void **state)
{
    struct finished *f = finished_new(0, NULL, 0, 1000);

    UNUSED(state);
    for (uint64_t round = 0; round < 5; round++) { /* around the ring */
        uint64_t base = round * 900;

        for (uint64_t i = 900; i > 0; i--)
            finished_set(f, base + i - 1);
        assert_int_equal(finished_cursor(f), base + 900);
        finished_unset(f, base + 500);
        assert_int_equal(finished_cursor(f), base + 500);
        finished_set(f, base + 500);
        finished_move(f, base + 900);
    }
    assert_state(f, "4500");
    finished_free(f);
}

static void test_runs_from_before(void **state)
{
    static const struct feed_run runs[] = {{105, 110}, {120, 5000}, {90, 95}};
    struct finished *f = finished_new(100, runs, ARRAY_LEN(runs), 64);

    UNUSED(state);
    assert_state(f, "100 105-110 120-5000");
    for (uint64_t o = 100; o < 105; o++)
        finished_set(f, o);
    assert_state(f, "110 120-5000");
    finished_gap(f, 110, 120);
    assert_state(f, "5000");
    finished_move(f, 5000);
    finished_set(f, 5001);
    assert_state(f, "5000 5001-5002");
    finished_free(f);
}

static void test_gaps(void **state)
{
    struct finished *f = finished_new(10, NULL, 0, 1024);

    UNUSED(state);
    finished_gap(f, 12, 20);
    assert_state(f, "10 12-20");
    finished_set(f, 10);
    finished_set(f, 11);
    assert_state(f, "20");
    finished_move(f, 20);
    finished_gap(f, 20, UINT64_C(1) << 40); /* of any size at the cursor */
    assert_state(f, "1099511627776");
    finished_set(f, (UINT64_C(1) << 40) + 1);
    assert_state(f, "1099511627776 1099511627777-1099511627778");
    finished_gap(f, UINT64_C(1) << 40, (UINT64_C(1) << 40) + 1);
    assert_state(f, "1099511627778");
    finished_gap(f, 5, 7); /* long past */
    assert_state(f, "1099511627778");
    finished_free(f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_runs_from_before),
        cmocka_unit_test(test_gaps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
