/* STORE between batches: upkeep when idle and under load. */
#include "pipe_aid.h"

static void test_tidy_when_idle(void **state)
{
    struct world w;
    uint64_t before;

    UNUSED(state);
    world_init(&w);
    world_start(&w);
    assert_true(fake_store_wait_calls(w.store, FAKE_TIDY, 1));
    before = fake_store_calls(w.store, FAKE_TIDY);
    world_event(&w, "a", "e", "{}");
    world_settle(&w);
    assert_true(fake_store_wait_calls(w.store, FAKE_TIDY, before + 1));
    world_stop(&w);
    world_fini(&w);
}

static void test_tidy_under_load(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    w.opt.workers = 1;
    w.opt.batch_events = 1;
    for (int i = 0; i < 128 * 40; i++)
        world_event(&w, "a", "e", "{}");
    world_start(&w);
    world_settle(&w);
    assert_true(fake_store_calls(w.store, FAKE_TIDY) >= 40 / 8);
    world_stop(&w);
    world_fini(&w);
}

/* Upkeep that fails is no reason to stop. */
static void test_tidy_fails(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    fake_store_fail(w.store, FAKE_TIDY, 1, -1, ERR_RETRY);
    world_start(&w);
    assert_true(fake_store_wait_calls(w.store, FAKE_TIDY, 1));
    world_event(&w, "a", "e", "{}");
    world_settle(&w);
    world_stop(&w);
    assert_int_equal(fake_store_event_count(w.store), 1);
    world_fini(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tidy_when_idle),
        cmocka_unit_test(test_tidy_under_load),
        cmocka_unit_test(test_tidy_fails),
    };

    log_setup(LOG_NONE, LOG_CLASSIC, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
