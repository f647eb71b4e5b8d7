/* PIPE threads: order per key with several workers, and events that a step holds. */
#include "pipe_aid.h"

#include <stdio.h>

#define KEYS   40
#define EVENTS 20000

static int number_of(const struct event_row *row)
{
    char text[32] = "";
    int n = -1;

    memcpy(text, row->properties.ptr, MIN(row->properties.len, sizeof(text) - 1));
    assert_int_equal(sscanf(text, "{\"n\":%d", &n), 1);
    return n;
}

static void send_numbers(struct world *w, int count, int keys)
{
    for (int i = 0; i < count; i++) {
        char id[16];
        char properties[32];

        snprintf(id, sizeof(id), "%d", i % keys);
        snprintf(properties, sizeof(properties), "{\"n\":%d}", i);
        world_event(w, id, "e", properties);
    }
}

static void assert_order(const struct world *w, int count, int keys)
{
    int next[KEYS];

    assert_int_equal(fake_store_event_count(w->store), count);
    for (int i = 0; i < keys; i++)
        next[i] = i;
    for (int i = 0; i < count; i++) {
        int n = number_of(fake_store_event_at(w->store, (size_t)i));

        assert_int_equal(n, next[n % keys]);
        next[n % keys] += keys;
    }
}

static void test_order(void **state)
{
    UNUSED(state);
    for (int workers = 1; workers <= 5; workers += 2) {
        struct world w;

        world_init(&w);
        w.opt.workers = workers;
        send_numbers(&w, EVENTS, KEYS);
        world_start(&w);
        world_settle(&w);
        world_stop(&w);
        assert_order(&w, EVENTS, KEYS);
        world_fini(&w);
    }
}

/* --- a step that holds ------------------------------------------------------------------------ */

static struct {
    struct lock lock;
    struct cond changed;
    struct step_work *held[64];
    size_t count;
    uint64_t passed;
} hold;

static bool has(struct step_work *work, const char *text)
{
    struct slice data = work->envelope.data;

    return memmem(data.ptr, data.len, text, strlen(text)) != NULL;
}

static enum step_result holding_step(struct step_work *work, struct err *err)
{
    if (has(work, "drop"))
        return STEP_DROP;
    if (has(work, "throw")) {
        err_set(err, ERR_INPUT, "thrown");
        return STEP_DEAD;
    }
    lock_take(&hold.lock);
    if (has(work, "hold")) {
        hold.held[hold.count++] = work;
        cond_signal(&hold.changed);
        lock_drop(&hold.lock);
        return STEP_HOLD;
    }
    hold.passed++;
    lock_drop(&hold.lock);
    return STEP_NEXT;
}

static const struct step steps[] = {
    {"parse", decode_step},
    {"pluginsProcessEvent", holding_step},
    {"prepareEvent", prepare_step},
};

static void start_holding(struct world *w)
{
    struct err err = ERR_INIT;

    hold.count = 0;
    hold.passed = 0;
    w->pipe = pipe_start_with(&w->opt, steps, ARRAY_LEN(steps), &err);
    assert_non_null(w->pipe);
}

static void wait_held(size_t count)
{
    lock_take(&hold.lock);
    while (hold.count < count)
        assert_true(cond_wait_us(&hold.changed, &hold.lock, STOP_US));
    lock_drop(&hold.lock);
}

/* One key waits behind its held event, the others pass; then it follows in order. */
static void test_hold(void **state)
{
    struct world w;
    static const char *const expected[] = {"b", "b", "first", "second", "third"};

    UNUSED(state);
    world_init(&w);
    w.opt.workers = 1;
    world_event(&w, "a", "first", "{\"hold\":1}");
    world_event(&w, "a", "second", "{}");
    world_event(&w, "b", "b", "{}");
    world_event(&w, "a", "third", "{}");
    world_event(&w, "b", "b", "{}");
    start_holding(&w);
    wait_held(1);
    assert_true(fake_store_wait(w.store, 2)); /* those of b, as a run above the cursor */
    {
        const struct feed_run *runs;
        size_t count;

        assert_int_equal(fake_store_position(w.store, &runs, &count).offset, 0);
        assert_int_equal(count, 2);
    }
    step_resume(hold.held[0], STEP_NEXT, NULL);
    world_settle(&w);
    world_stop(&w);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_slice(fake_store_event_at(w.store, i)->event, expected[i]);
    world_fini(&w);
}

/* Held again behind a held one, dropped, thrown: each ends as it should. */
static void test_hold_chain(void **state)
{
    struct world w;
    struct err thrown = ERR_INIT;

    UNUSED(state);
    world_init(&w);
    w.opt.workers = 1;
    world_event(&w, "a", "one", "{\"hold\":1}");
    world_event(&w, "a", "two", "{\"hold\":1}");
    world_event(&w, "a", "three", "{\"drop\":1}");
    world_event(&w, "a", "four", "{\"hold\":1}");
    world_event(&w, "a", "five", "{\"throw\":1}");
    world_event(&w, "a", "six", "{}");
    start_holding(&w);
    wait_held(1);
    step_resume(hold.held[0], STEP_DROP, NULL);
    wait_held(2);
    step_resume(hold.held[1], STEP_NEXT, NULL);
    wait_held(3);
    err_set(&thrown, ERR_INPUT, "thrown later");
    step_resume(hold.held[2], STEP_DEAD, &thrown);
    world_settle(&w);
    world_stop(&w);
    assert_int_equal(fake_store_event_count(w.store), 2);
    assert_slice(fake_store_event_at(w.store, 0)->event, "two");
    assert_slice(fake_store_event_at(w.store, 1)->event, "six");
    assert_int_equal(fake_store_counted(w.store, STORE_COUNT_DROPPED, TEAM), 2);
    assert_int_equal(fake_store_dead_count(w.store), 2);
    assert_slice(fake_store_dead_at(w.store, 0)->stage,
                 "plugin_server_ingest_event:pluginsProcessEvent");
    assert_slice(fake_store_dead_at(w.store, 0)->reason,
                 "Event ingestion failed. Error: thrown later");
    assert_slice(fake_store_dead_at(w.store, 1)->reason, "Event ingestion failed. Error: thrown");
    world_fini(&w);
}

/* Stopping waits for held events, but not longer than asked; what is held then stays in the feed.
 */
static void test_stop_with_held(void **state)
{
    struct world w;
    const struct feed_run *runs;
    size_t count;

    UNUSED(state);
    world_init(&w);
    world_event(&w, "a", "one", "{\"hold\":1}");
    world_event(&w, "a", "two", "{}");
    world_event(&w, "b", "three", "{}");
    start_holding(&w);
    wait_held(1);
    assert_true(fake_store_wait(w.store, 1));
    pipe_stop(w.pipe, 0);
    pipe_free(w.pipe);
    assert_int_equal(fake_store_event_count(w.store), 1);
    assert_int_equal(fake_store_position(w.store, &runs, &count).offset, 0);
    assert_int_equal(count, 1);
    assert_int_equal(runs[0].from, 2);
    world_fini(&w);
}

struct stopper {
    struct world *w;
    struct thread thread;
};

static void stop_later(void *arg)
{
    struct stopper *s = arg;

    pipe_stop(s->w->pipe, STOP_US);
}

static void test_stop_waits_for_held(void **state)
{
    struct world w;
    struct stopper s = {.w = &w};
    struct err err = ERR_INIT;

    UNUSED(state);
    world_init(&w);
    world_event(&w, "a", "one", "{\"hold\":1}");
    world_event(&w, "a", "two", "{}");
    start_holding(&w);
    wait_held(1);
    assert_true(thread_start(&s.thread, THREAD_JOB, 0, stop_later, &s, &err));
    step_resume(hold.held[0], STEP_NEXT, NULL);
    thread_join(&s.thread);
    pipe_free(w.pipe);
    assert_true(fake_store_event_count(w.store) >= 1);
    assert_slice(fake_store_event_at(w.store, 0)->event, "one");
    world_fini(&w);
}

/* While STORE is busy, chunks gather events instead of becoming many. */
static void test_holds_back(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    w.opt.workers = 2;
    w.opt.batch_events = 1;
    fake_store_fail(w.store, FAKE_COMMIT, 1, -1, ERR_RETRY);
    world_start(&w);
    for (int i = 0; i < 500; i++) {
        uint64_t before = atomic_load(&w.pipe->count_read);

        world_event(&w, i % 2 ? "a" : "b", "e", "{}");
        while (atomic_load(&w.pipe->count_read) == before)
            sched_yield();
    }
    assert_true(atomic_load(&w.pipe->chunks_waiting) <= CHUNKS_WAITING_MAX + 500 / CHUNK_MAX + 2);
    fake_store_heal(w.store);
    world_settle(&w);
    while (atomic_load(&w.pipe->chunks_waiting) != 0) /* the last one ends just behind its commit */
        sched_yield();
    world_stop(&w);
    assert_int_equal(fake_store_event_count(w.store), 500);
    world_fini(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_hold_chain),
        cmocka_unit_test(test_stop_with_held),
        cmocka_unit_test(test_stop_waits_for_held),
        cmocka_unit_test(test_holds_back),
    };

    log_setup(LOG_NONE, LOG_CLASSIC, false);
    lock_init(&hold.lock, "hold", RANK_APP);
    cond_init(&hold.changed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
