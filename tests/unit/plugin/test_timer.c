#include "base/rand.h"
#include "plugin/timer.h"
#include "unit.h"

#define TIMERS 300

struct counted {
    struct timer timer;
    struct timers *all;
    int64_t *last_due;
    int fired;
};

static void fire(struct timer *t)
{
    struct counted *c = CONTAINER_OF(t, struct counted, timer);

    assert_int_equal(t->place, 0);
    assert_true(t->due_us >= *c->last_due);
    *c->last_due = t->due_us;
    c->fired++;
}

static void test_order(void **state)
{
    static struct counted all[TIMERS];
    struct timers timers;
    int64_t last = 0;
    int64_t earliest = INT64_MAX;

    UNUSED(state);
    timers_init(&timers);
    assert_true(timers_due_us(&timers) == INT64_MAX);
    for (int i = 0; i < TIMERS; i++) {
        all[i] = (struct counted){.timer.fn = fire, .all = &timers, .last_due = &last};
        timer_set(&timers, &all[i].timer, (int64_t)(rand_u64() % 1000) + 1);
    }
    for (int i = 0; i < TIMERS; i += 3) /* moved, both ways */
        timer_set(&timers, &all[i].timer, (int64_t)(rand_u64() % 1000) + 1);
    for (int i = 1; i < TIMERS; i += 3) {
        timer_cancel(&timers, &all[i].timer);
        timer_cancel(&timers, &all[i].timer);
    }
    for (int i = 0; i < TIMERS; i++) {
        if (all[i].timer.place)
            earliest = MIN(earliest, all[i].timer.due_us);
    }
    assert_true(timers_due_us(&timers) == earliest);
    timers_run(&timers, 500);
    assert_true(last <= 500 && timers_due_us(&timers) > 500);
    timers_run(&timers, 2000);
    for (int i = 0; i < TIMERS; i++)
        assert_int_equal(all[i].fired, i % 3 == 1 ? 0 : 1);
    timers_fini(&timers);
}

static void fire_again(struct timer *t)
{
    struct counted *c = CONTAINER_OF(t, struct counted, timer);

    if (++c->fired < 3)
        timer_set(c->all, t, t->due_us + 10);
}

/* A timer may set itself anew, and those that are set at the end are forgotten. */
static void test_again(void **state)
{
    struct timers timers;
    struct counted c = {.timer.fn = fire_again, .all = &timers};

    UNUSED(state);
    timers_init(&timers);
    timer_set(&timers, &c.timer, 10);
    timers_run(&timers, 25);
    assert_int_equal(c.fired, 2);
    assert_true(timers_due_us(&timers) == 30);
    timers_fini(&timers);
    assert_int_equal(c.timer.place, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
