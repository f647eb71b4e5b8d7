/* The pipeline's life: options, stopping, calls, tail. Status and metrics are in
 * test_pipe_meters.c. */
#include "metric/metric.h"
#include "pipe_aid.h"

#include <stdio.h>

static void test_options(void **state)
{
    struct world w;
    struct err err = ERR_INIT;
    struct feed_run bad_runs[] = {{5, 5}, {7, 3}, {10, UINT64_MAX}};

    UNUSED(state);
    world_init(&w);
    w.opt.workers = 0;
    assert_null(pipe_start(&w.opt, &err));
    assert_contains(slice_cstr(err.text), "WORKER_CONCURRENCY");
    w.opt.workers = 100000;
    assert_null(pipe_start(&w.opt, &err));
    w.opt.workers = 1;
    w.opt.batch_events = 0;
    assert_null(pipe_start(&w.opt, &err));
    w.opt.batch_events = 1;
    for (size_t i = 0; i < ARRAY_LEN(bad_runs); i++) {
        w.opt.runs = &bad_runs[i];
        w.opt.run_count = 1;
        assert_null(pipe_start(&w.opt, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
    pipe_free(NULL);
    world_fini(&w);
}

static void test_start_stop(void **state)
{
    UNUSED(state);
    for (int i = 0; i < 20; i++) {
        struct world w;

        world_init(&w);
        world_start(&w);
        pipe_stop(w.pipe, STOP_US);
        pipe_stop(w.pipe, STOP_US); /* again: nothing */
        pipe_free(w.pipe);
        world_fini(&w);
    }
}

/* Stopped at a random moment under load: what is committed is consistent, the rest is still in the
 * feed. */
static void test_stop_while_busy(void **state)
{
    UNUSED(state);
    for (int round = 0; round < 10; round++) {
        struct world w;
        const struct feed_run *runs;
        size_t count;
        uint64_t finished;

        world_init(&w);
        w.opt.workers = 3;
        w.opt.batch_events = 50;
        for (int i = 0; i < 3000; i++) {
            char id[16];

            snprintf(id, sizeof(id), "%d", i % 13);
            world_event(&w, id, "e", "{\"$set\":{\"a\":1}}");
        }
        world_start(&w);
        assert_true(fake_store_wait(w.store, (uint64_t)(100 + 200 * round)));
        world_stop(&w);
        finished = fake_store_position(w.store, &runs, &count).offset;
        assert_int_equal(count, 0); /* what was read is finished */
        assert_int_equal(finished, fake_feed_given(w.feed));
        assert_int_equal(fake_store_event_count(w.store), finished);
        world_fini(&w);
    }
}

/* --- calls ------------------------------------------------------------------------------------ */

static bool put_object(struct store *store, void *ctx, struct err *err)
{
    struct store_object o = {.kind = "kind", .key = ctx, .json = "{}"};

    return store->ops->object_put(store->self, &o, err);
}

static bool put_and_fail(struct store *store, void *ctx, struct err *err)
{
    return put_object(store, ctx, err) && err_set(err, ERR_INPUT, "no");
}

static bool count_object(const struct store_object *o, void *ctx)
{
    UNUSED(o);
    ++*(int *)ctx;
    return true;
}

static int objects(struct world *w)
{
    int count = 0;
    struct err err = ERR_INIT;

    assert_true(w->opt.store.ops->objects_each(w->opt.store.self, count_object, &count, &err));
    return count;
}

static void test_calls(void **state)
{
    struct world w;
    struct err err = ERR_INIT;
    char a[] = "a", b[] = "b", c[] = "c";

    UNUSED(state);
    world_init(&w);
    w.opt.batch_us = 3600 * (int64_t)1000000;
    world_event(&w, "x", "e", "{}");
    world_start(&w);
    assert_true(fake_store_wait_calls(w.store, FAKE_EVENT_INSERT, 1));
    assert_true(pipe_call_wait(w.pipe, put_object, a, &err)); /* ends the open batch first */
    assert_int_equal(fake_store_event_count(w.store), 1);
    assert_true(fake_store_wait(w.store, 1));
    assert_false(pipe_call_wait(w.pipe, put_and_fail, b, &err));
    assert_string_equal(err.text, "no");
    fake_store_fail(w.store, FAKE_BEGIN, 1, 1, ERR_RETRY);
    assert_false(pipe_call_wait(w.pipe, put_object, c, &err));
    assert_int_equal(err.code, ERR_RETRY);
    fake_store_fail(w.store, FAKE_COMMIT, 1, 1, ERR_FULL);
    assert_false(pipe_call_wait(w.pipe, put_object, c, &err));
    assert_int_equal(err.code, ERR_FULL);
    pipe_stop(w.pipe, STOP_US);
    assert_int_equal(objects(&w), 1);
    assert_false(pipe_call_wait(w.pipe, put_object, c, &err));
    assert_int_equal(err.code, ERR_STOP);
    pipe_free(w.pipe);
    world_fini(&w);
}

struct caller {
    struct world *w;
    struct thread thread;
    int number;
    int done;
};

static void call_often(void *arg)
{
    struct caller *c = arg;
    char key[32];

    for (int i = 0; i < 100; i++) {
        struct err err = ERR_INIT;

        snprintf(key, sizeof(key), "%d-%d", c->number, i);
        c->done += pipe_call_wait(c->w->pipe, put_object, key, &err);
    }
}

static void test_calls_from_threads(void **state)
{
    struct caller callers[4];
    struct world w;
    struct err err = ERR_INIT;

    UNUSED(state);
    world_init(&w);
    for (int i = 0; i < 2000; i++)
        world_event(&w, i % 2 ? "a" : "b", "e", "{}");
    world_start(&w);
    for (int i = 0; i < 4; i++) {
        callers[i] = (struct caller){.w = &w, .number = i};
        assert_true(thread_start(&callers[i].thread, THREAD_NET, i, call_often, &callers[i], &err));
    }
    for (int i = 0; i < 4; i++)
        thread_join(&callers[i].thread);
    world_settle(&w);
    world_stop(&w);
    assert_int_equal(objects(&w), 400);
    assert_int_equal(fake_store_event_count(w.store), 2000);
    world_fini(&w);
}

/* --- tail ------------------------------------------------------------------------------------- */

static void note_line(const struct pipe_tail_event *e, void *ctx)
{
    assert_int_equal(e->team_id, TEAM);
    assert_slice(e->event, "e");
    assert_slice(e->distinct_id, "a\\\"b");
    assert_true(buf_add_slice(ctx, e->json_line) && buf_add_char(ctx, '\n'));
}

/* STORE is done with the last commit, the tail included. */
static void after_tail(struct world *w)
{
    struct err err = ERR_INIT;
    char key[] = "x";

    world_settle(w);
    assert_true(pipe_call_wait(w->pipe, put_object, key, &err));
}

static void test_tail(void **state)
{
    struct world w;
    struct buf lines = BUF_INIT(1 << 16);

    UNUSED(state);
    world_init(&w);
    w.now_us = 1651320000123456;
    world_start(&w);
    pipe_tail_set(w.pipe, note_line, &lines);
    world_event(&w, "a", "nobody listens", "{}");
    after_tail(&w);
    pipe_tail_listeners(w.pipe, 1);
    world_event(&w, "a\\\"b", "e", "{\"$groups\":{\"t\":\"k\"}}");
    world_event(&w, "a", "$snapshot", "{}");
    after_tail(&w);
    pipe_tail_listeners(w.pipe, -1);
    world_event(&w, "a", "nobody listens", "{}");
    after_tail(&w);
    world_stop(&w);
    assert_int_equal(lines.ptr[lines.len - 1], '\n');
    assert_null(memchr(lines.ptr, '\n', lines.len - 1));
    assert_contains(buf_slice(&lines), "{\"uuid\":\"");
    assert_contains(buf_slice(&lines),
                    "\",\"event\":\"e\",\"distinct_id\":\"a\\\\\\\"b\",\"team_id\":2,"
                    "\"timestamp\":\"2022-04-30T12:00:00.123Z\",\"person_uuid\":\"");
    assert_contains(buf_slice(&lines),
                    "\"properties\":{\"$groups\":{\"t\":\"k\"},\"$group_0\":\"k\"}}");
    buf_free(&lines);
    world_fini(&w);
}

/* A team that appears while events flow. */
static void test_new_team(void **state)
{
    struct world w;
    struct team_set *set = team_set_new();
    struct team team = {.id = 50, .api_token = "phc_50"};
    struct err err = ERR_INIT;

    UNUSED(state);
    world_init(&w);
    world_start(&w);
    world_send(&w, &(struct sent){.id = "a", .data = "{\"event\":\"e\"}", .team_id = 50});
    world_settle(&w);
    assert_true(team_set_add(set, &team, &err));
    team_set_seal(set);
    team_directory_publish(w.teams, set);
    world_send(&w, &(struct sent){.id = "a", .data = "{\"event\":\"e\"}", .team_id = 50});
    world_settle(&w);
    world_stop(&w);
    assert_int_equal(fake_store_dead_count(w.store), 1);
    assert_int_equal(fake_store_event_count(w.store), 1);
    world_fini(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_start_stop),
        cmocka_unit_test(test_stop_while_busy),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_calls_from_threads),
        cmocka_unit_test(test_tail),
        cmocka_unit_test(test_new_team),
    };

    log_setup(LOG_NONE, LOG_CLASSIC, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
