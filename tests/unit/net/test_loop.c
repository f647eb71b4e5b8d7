#include "base/clock.h"
#include "base/mem.h"
#include "lib/unit.h"
#include "net/loop.h"

#include <event2/event.h>

#include <time.h>

struct ran {
    struct loop *loop;
    struct loop_msg msg;
    int *order, *count;
    int number;
};

static void note(void *ctx)
{
    struct ran *r = ctx;

    r->order[(*r->count)++] = r->number;
}

static void note_and_stop(void *ctx)
{
    struct ran *r = ctx;

    note(ctx);
    loop_stop(r->loop);
}

static void run(void *ctx)
{
    loop_run(ctx);
}

static void posts_run_in_order(void **state)
{
    enum { COUNT = 1000 };
    static struct ran posts[COUNT];
    static int order[COUNT];
    struct err err = ERR_INIT;
    struct loop *l = loop_new(&err);
    struct thread t = {.is_started = false};
    int count = 0;

    (void)state;
    assert_non_null(l);
    assert_non_null(loop_base(l));
    assert_true(thread_start(&t, THREAD_NET, 0, run, l, &err));
    for (int i = 0; i < COUNT; i++) {
        posts[i] = (struct ran){.loop = l, .order = order, .count = &count, .number = i};
        posts[i].msg =
            (struct loop_msg){.fn = i == COUNT - 1 ? note_and_stop : note, .ctx = &posts[i]};
        loop_post(l, &posts[i].msg);
    }
    thread_join(&t);
    assert_int_equal(count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(order[i], i);
    loop_free(l);
}

static void posts_after_the_end_run_in_free(void **state)
{
    struct err err = ERR_INIT;
    struct loop *l = loop_new(&err);
    int order[2], count = 0;
    struct ran a = {.loop = l, .order = order, .count = &count, .number = 7}, b = a;

    (void)state;
    a.msg = (struct loop_msg){.fn = note, .ctx = &a};
    b.msg = (struct loop_msg){.fn = note, .ctx = &b};
    loop_stop(l);
    loop_run(l); // was stopped before: ends at once
    loop_post(l, &a.msg);
    loop_post(l, &b.msg);
    assert_int_equal(count, 0);
    loop_free(l);
    assert_int_equal(count, 2);
    loop_free(NULL);
}

// A post that posts: runs in a later turn, also when the loop is freed.
static void again(void *ctx)
{
    struct ran *r = ctx;

    if (++*r->count < 5)
        loop_post(r->loop, &r->msg);
    else
        loop_stop(r->loop);
}

static void posts_may_post(void **state)
{
    struct err err = ERR_INIT;
    struct loop *l = loop_new(&err);
    int count = 0;
    struct ran r = {.loop = l, .count = &count};

    (void)state;
    r.msg = (struct loop_msg){.fn = again, .ctx = &r};
    loop_post(l, &r.msg);
    loop_run(l);
    assert_int_equal(count, 5);
    count = 0;
    loop_post(l, &r.msg);
    loop_free(l);
    assert_int_equal(count, 5);
}

static void nothing(evutil_socket_t fd, short what, void *ctx)
{
    UNUSED(fd);
    UNUSED(what);
    UNUSED(ctx);
}

static void stop(evutil_socket_t fd, short what, void *ctx)
{
    UNUSED(fd);
    UNUSED(what);
    loop_stop(ctx);
}

// A loop with nothing to do must not use the CPU.
static void an_idle_loop_sleeps(void **state)
{
    static const struct timeval later = {.tv_usec = 100000};
    struct err err = ERR_INIT;
    struct loop *l = loop_new(&err);
    struct timespec used;
    struct event *end = event_new(loop_base(l), -1, 0, stop, l);
    struct event *e = event_new(loop_base(l), -1, EV_PERSIST, nothing, NULL);

    (void)state;
    assert_int_equal(event_add(end, &later), 0);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    int64_t before = (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
    loop_run(l);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    assert_true((int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000 - before < 20000);
    event_free(e);
    event_free(end);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_run_in_order),
        cmocka_unit_test(posts_after_the_end_run_in_free),
        cmocka_unit_test(posts_may_post),
        cmocka_unit_test(an_idle_loop_sleeps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
