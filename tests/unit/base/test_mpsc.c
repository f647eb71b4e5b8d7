#include "base/clock.h"
#include "base/mpsc.h"
#include "unit.h"

struct message {
    struct mpsc_node node;
    int from, number;
};

static void count_wake(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void taking_gives_the_order_of_pushes(void **state)
{
    struct mpsc q;
    struct message m[5];

    UNUSED(state);
    mpsc_init(&q, "test", NULL, NULL);
    assert_true(mpsc_is_empty(&q));
    assert_null(mpsc_take_all(&q));
    for (int round = 0; round < 2; round++) {
        struct mpsc_node *at;

        for (int i = 0; i < 5; i++)
            mpsc_push(&q, &m[i].node);
        assert_false(mpsc_is_empty(&q));
        at = mpsc_take_all(&q);
        for (int i = 0; i < 5; i++, at = at->next)
            assert_ptr_equal(at, &m[i].node);
        assert_null(at);
        assert_true(mpsc_is_empty(&q));
    }
    mpsc_fini(&q);
}

static void the_first_push_wakes(void **state)
{
    struct mpsc q;
    struct message m[3];
    atomic_int wakes = 0;

    UNUSED(state);
    mpsc_init(&q, "test", count_wake, &wakes);
    for (int i = 0; i < 3; i++)
        mpsc_push(&q, &m[i].node);
    assert_int_equal(wakes, 1);
    mpsc_take_all(&q);
    mpsc_push(&q, &m[0].node);
    assert_int_equal(wakes, 2);
    mpsc_take_all(&q);
    mpsc_kick(&q);
    assert_int_equal(wakes, 3);
    mpsc_fini(&q);
}

static void waits_that_need_not_wait(void **state)
{
    struct mpsc q;
    struct message m;

    UNUSED(state);
    mpsc_init(&q, "test", NULL, NULL);
    mpsc_push(&q, &m.node);
    mpsc_wait(&q, -1); // something is there
    mpsc_take_all(&q);
    mpsc_kick(&q);
    mpsc_wait(&q, -1); // kicked before
    mpsc_wait(&q, 0);
    mpsc_wait(&q, 1000);
    clock_fake_set(0); // a clock that stands still does not make it wait for ever
    mpsc_wait(&q, 1000);
    clock_fake_off();
    mpsc_fini(&q);
}

enum { PRODUCERS = 4, EACH = 20000 };

struct producer {
    struct mpsc *q;
    struct message messages[EACH];
    int from;
};

static void produce(void *ctx)
{
    struct producer *p = (struct producer *)ctx;

    for (int i = 0; i < EACH; i++) {
        p->messages[i].from = p->from;
        p->messages[i].number = i;
        mpsc_push(p->q, &p->messages[i].node);
    }
}

// A wake-up that is lost makes this hang.
static void nothing_is_lost_or_out_of_order(void **state)
{
    static struct producer producers[PRODUCERS];
    struct thread threads[PRODUCERS];
    struct mpsc q;
    struct err err = ERR_INIT;
    int next[PRODUCERS] = {0}, sum = 0;

    UNUSED(state);
    mpsc_init(&q, "test", NULL, NULL);
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i].q = &q;
        producers[i].from = i;
        assert_true(thread_start(&threads[i], THREAD_NET, i, produce, &producers[i], &err));
    }
    while (sum < PRODUCERS * EACH) {
        mpsc_wait(&q, -1);
        for (struct mpsc_node *at = mpsc_take_all(&q); at; at = at->next, sum++) {
            struct message *m = CONTAINER_OF(at, struct message, node);

            assert_int_equal(m->number, next[m->from]++);
        }
    }
    for (int i = 0; i < PRODUCERS; i++)
        thread_join(&threads[i]);
    mpsc_fini(&q);
}

struct pair {
    struct mpsc there, back;
    struct message message;
};

static void answer(void *ctx)
{
    struct pair *p = (struct pair *)ctx;

    for (int i = 0; i < 5000; i++) {
        struct mpsc_node *node;

        while (!(node = mpsc_take_all(&p->there)))
            mpsc_wait(&p->there, -1);
        mpsc_push(&p->back, node);
    }
}

// One message to and fro: each side sleeps nearly every time.
static void two_threads_wake_each_other(void **state)
{
    struct pair p;
    struct thread t;
    struct err err = ERR_INIT;

    UNUSED(state);
    mpsc_init(&p.there, "there", NULL, NULL);
    mpsc_init(&p.back, "back", NULL, NULL);
    assert_true(thread_start(&t, THREAD_PIPE, 1, answer, &p, &err));
    for (int i = 0; i < 5000; i++) {
        mpsc_push(&p.there, &p.message.node);
        while (!mpsc_take_all(&p.back))
            mpsc_wait(&p.back, -1);
    }
    thread_join(&t);
    mpsc_fini(&p.there);
    mpsc_fini(&p.back);
}

static void kick(void *ctx)
{
    mpsc_kick((struct mpsc *)ctx);
}

static void a_kick_ends_a_wait(void **state)
{
    struct mpsc q;
    struct err err = ERR_INIT;

    UNUSED(state);
    mpsc_init(&q, "test", NULL, NULL);
    for (int i = 0; i < 100; i++) {
        struct thread t;

        assert_true(thread_start(&t, THREAD_JOB, 0, kick, &q, &err));
        mpsc_wait(&q, -1); // before, at or after the kick
        thread_join(&t);
    }
    mpsc_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taking_gives_the_order_of_pushes),
        cmocka_unit_test(the_first_push_wakes),
        cmocka_unit_test(waits_that_need_not_wait),
        cmocka_unit_test(nothing_is_lost_or_out_of_order),
        cmocka_unit_test(two_threads_wake_each_other),
        cmocka_unit_test(a_kick_ends_a_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
