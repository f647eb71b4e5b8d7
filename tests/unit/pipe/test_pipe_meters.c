/* Status and metrics after events of every outcome, and the lag while the store hangs. */
#include "metric/metric.h"
#include "pipe_aid.h"

static void test_status_and_metrics(void **state)
{
    struct world w;
    struct pipe_status s;
    struct metrics *m = metrics_new();
    struct buf text = BUF_INIT(1 << 20);
    struct uuid uuid = uuid_v7(1);

    UNUSED(state);
    world_init(&w);
    w.opt.metrics = m;
    w.opt.properties_bytes_max = 40;
    w.opt.workers = 1;
    for (int i = 0; i < 200; i++)
        world_event(&w, "a", "e", "{}");
    world_send(&w, &(struct sent){.id = "a", .data = "{\"event\":\"e\"}", .uuid = &uuid});
    world_send(&w, &(struct sent){.id = "a", .data = "{\"event\":\"e\"}", .uuid = &uuid});
    world_send(&w, &(struct sent){.id = "a", .data = "{\"event\":\"e\"}", .team_id = 99});
    world_send(&w, &(struct sent){.id = "a", .data = "{\"event\":\"e\",\"timestamp\":\"x\"}"});
    world_send(&w, &(struct sent){.id = "a", .data = "{"});
    world_event(&w, "a", "$identify", "{\"$anon_distinct_id\":\"null\"}");
    world_event(&w, "i", "$identify", "{\"$anon_distinct_id\":\"j\"}");
    world_event(&w, "a", "e", "{\"$set\":{\"long\":\"0123456789012345678901234567890123456789\"}}");
    world_event(&w, "a", "$identify", "{\"$anon_distinct_id\":\"i\"}");
    world_send(&w, &(struct sent){.id = "a", .data = "{\"event\":\"$snapshot\"}", .team_id = 3});
    world_start(&w);
    world_settle(&w);
    pipe_stop(w.pipe, STOP_US);
    pipe_status(w.pipe, &s);
    assert_int_equal(s.read, w.sent);
    assert_int_equal(s.stored, 206);
    assert_int_equal(s.duplicates, 1);
    assert_int_equal(s.dead_letters, 2);
    assert_int_equal(s.dropped, 1);
    assert_int_equal(s.in_flight, 0);
    assert_true(s.last_commit_us > 0);
    assert_true(s.last_progress_us >= s.last_commit_us);
    assert_true(metrics_prometheus(m, false, &text));
    assert_contains(buf_slice(&text), "hedgerow_events_processed_total{outcome=\"stored\"} 206\n");
    assert_contains(buf_slice(&text), "hedgerow_events_processed_total{outcome=\"duplicate\"} 1\n");
    assert_contains(buf_slice(&text), "hedgerow_events_dead_letter_total{reason=\"team\"} 1\n");
    assert_contains(buf_slice(&text),
                    "hedgerow_events_dead_letter_total{reason=\"unparsable\"} 1\n");
    assert_contains(buf_slice(&text),
                    "hedgerow_ingestion_warnings_total{type=\"ignored_invalid_timestamp\"} 1\n");
    assert_contains(
        buf_slice(&text),
        "hedgerow_ingestion_warnings_total{type=\"cannot_merge_with_illegal_distinct_id\"} 1\n");
    assert_contains(
        buf_slice(&text),
        "hedgerow_ingestion_warnings_total{type=\"cannot_merge_already_identified\"} 1\n");
    assert_contains(buf_slice(&text),
                    "hedgerow_ingestion_warnings_total{type=\"properties_over_limit\"} 1\n");
    assert_contains(buf_slice(&text), "hedgerow_queue_lag_records 0\n");
    assert_contains(buf_slice(&text), "hedgerow_queue_lag_seconds 0\n");
    assert_contains(buf_slice(&text), "hedgerow_events_in_flight 0\n");
    assert_contains(buf_slice(&text),
                    "hedgerow_event_processing_duration_seconds_count{step=\"prepareEvent\"} ");
    assert_contains(buf_slice(&text), "hedgerow_store_batch_events_count ");
    assert_int_equal(fake_store_counted(w.store, STORE_COUNT_DUPLICATE, TEAM), 1);
    assert_int_equal(fake_store_counted(w.store, STORE_COUNT_DEAD, 99), 1);
    pipe_free(w.pipe);
    metrics_free(m);
    buf_free(&text);
    world_fini(&w);
}

static void test_lag(void **state)
{
    struct world w;
    struct metrics *m = metrics_new();
    struct buf text = BUF_INIT(1 << 20);

    UNUSED(state);
    clock_fake_set(1651320000000000);
    world_init(&w);
    w.opt.metrics = m;
    fake_store_fail(w.store, FAKE_COMMIT, 1, -1, ERR_RETRY);
    world_event(&w, "a", "e", "{}");
    world_event(&w, "a", "e", "{}");
    clock_fake_add(5000000);
    world_start(&w);
    assert_true(metrics_prometheus(m, false, &text));
    assert_contains(buf_slice(&text), "hedgerow_queue_lag_records 2\n");
    assert_contains(buf_slice(&text), "hedgerow_queue_lag_seconds 5\n");
    fake_store_heal(w.store);
    world_settle(&w);
    clock_fake_off();
    world_stop(&w);
    metrics_free(m);
    buf_free(&text);
    world_fini(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_and_metrics),
        cmocka_unit_test(test_lag),
    };

    log_setup(LOG_NONE, LOG_CLASSIC, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
