#include "keeper_aid.h"

static void say(struct kept *w, int64_t config_id, struct slice message)
{
    struct plugin_log_entry entry = {.team_id = 7,
                                     .config_id = config_id,
                                     .at_us = 5,
                                     .source = "CONSOLE",
                                     .type = "WARN",
                                     .message = message};

    keeper_log_add(w->k, &entry);
}

static void say_many(struct kept *w, int64_t config_id, int count)
{
    for (int i = 0; i < count; i++)
        say(w, config_id, SLICE("again"));
}

static size_t count_of(struct kept *w, int64_t config_id)
{
    size_t count = 0;

    for (size_t i = 0; i < fake_store_plugin_log_count(w->fake); i++)
        count += fake_store_plugin_log_at(w->fake, i)->config_id == config_id;
    return count;
}

static const struct store_plugin_log *last_of(struct kept *w, int64_t config_id)
{
    for (size_t i = fake_store_plugin_log_count(w->fake); i-- > 0;)
        if (fake_store_plugin_log_at(w->fake, i)->config_id == config_id)
            return fake_store_plugin_log_at(w->fake, i);
    fail();
    return NULL;
}

static void entries_are_written_together(void **state)
{
    struct kept w;

    UNUSED(state);
    kept_open(&w, NULL);
    kept_start(&w);
    say(&w, 1, SLICE("first"));
    assert_true(fake_store_wait_calls(w.fake, FAKE_LOGS_INSERT, 1));
    say_many(&w, 1, 50);
    say(&w, 2, slice_make("a\0b", 3));
    assert_true(fake_store_wait_calls(w.fake, FAKE_LOGS_INSERT, 2));
    kept_stop(&w);
    assert_int_equal(fake_store_calls(w.fake, FAKE_LOGS_INSERT), 2);
    assert_int_equal(count_of(&w, 1), 51);
    const struct store_plugin_log *row = last_of(&w, 2);
    assert_int_equal(row->team_id, 7);
    assert_int_equal(row->at_us, 5);
    assert_true(slice_eq(row->source, SLICE("CONSOLE")) && slice_eq(row->type, SLICE("WARN")));
    assert_true(slice_eq(row->message, SLICE("a b"))); /* no NUL in SQL text */
    assert_true(slice_eq(row->instance_id, slice_cstr(w.k->instance_id)));
    kept_close(&w);
}

static void expect_left_out(struct kept *w, int64_t config_id, size_t kept, const char *text)
{
    const struct store_plugin_log *row = last_of(w, config_id);

    assert_int_equal(count_of(w, config_id), kept + 1);
    assert_true(slice_eq(row->source, SLICE("SYSTEM")) && slice_eq(row->type, SLICE("WARN")));
    assert_true(slice_starts(row->message, slice_cstr(text)));
}

static void a_noisy_plugin_has_a_share(void **state)
{
    struct kept w;

    UNUSED(state);
    kept_open(&w, NULL);
    say_many(&w, 1, KEEPER_LOG_PER_FLUSH + 500);
    say_many(&w, 2, 3);
    kept_start(&w);
    assert_true(fake_store_wait_calls(w.fake, FAKE_LOGS_INSERT, 2)); /* the second: what is told */
    say_many(&w, 1, 2);                                              /* a new share */
    kept_stop(&w);
    assert_int_equal(count_of(&w, 2), 3);
    assert_int_equal(count_of(&w, 1), KEEPER_LOG_PER_FLUSH + 1 + 2);
    kept_close(&w);

    kept_open(&w, NULL);
    say_many(&w, 1, KEEPER_LOG_PER_FLUSH + 500);
    kept_start(&w);
    assert_true(fake_store_wait_calls(w.fake, FAKE_LOGS_INSERT, 2));
    kept_stop(&w);
    expect_left_out(&w, 1, KEEPER_LOG_PER_FLUSH, "500 more entries were left out");
    kept_close(&w);
}

static void what_waits_is_bounded(void **state)
{
    struct kept w;
    struct buf large = BUF_INIT(2 << 20);

    UNUSED(state);
    kept_open(&w, NULL);
    for (int64_t id = 1; id <= KEEPER_LOG_ENTRIES / KEEPER_LOG_PER_FLUSH + 1; id++)
        say_many(&w, id, KEEPER_LOG_PER_FLUSH);
    assert_int_equal(w.k->log.count, KEEPER_LOG_ENTRIES);
    kept_start(&w);
    kept_stop(&w);
    expect_left_out(&w, KEEPER_LOG_ENTRIES / KEEPER_LOG_PER_FLUSH + 1, 0,
                    "1000 more entries were left out");
    kept_close(&w);

    kept_open(&w, NULL);
    assert_true(buf_reserve(&large, 1 << 20));
    memset(large.ptr, 'x', 1 << 20);
    for (int64_t i = 0; i < 20; i++)
        say(&w, i, slice_make(large.ptr, 1 << 20));
    assert_int_equal(w.k->log.bytes, KEEPER_LOG_BYTES);
    say(&w, 1, SLICE(""));
    assert_int_equal(w.k->log.count, 17);
    kept_stop(&w);
    buf_free(&large);
    kept_close(&w);
}

static const struct store_plugin_state *state_of(struct kept *w, int64_t config_id)
{
    for (size_t i = 0; i < fake_store_plugin_state_count(w->fake); i++)
        if (fake_store_plugin_state_at(w->fake, i)->config_id == config_id)
            return fake_store_plugin_state_at(w->fake, i);
    fail();
    return NULL;
}

static void the_newest_error_is_stored(void **state)
{
    struct kept w;

    UNUSED(state);
    kept_open(&w, NULL);
    keeper_log_error(w.k, 1, "{\"message\":\"old\"}");
    keeper_log_error(w.k, 1, "{\"message\":\"new\"}");
    keeper_log_error(w.k, 2, "{\"message\":\"x\"}");
    keeper_log_error(w.k, 2, NULL);
    kept_start(&w);
    kept_stop(&w);
    assert_string_equal(state_of(&w, 1)->error_json, "{\"message\":\"new\"}");
    assert_null(state_of(&w, 2)->error_json);
    kept_close(&w);
}

static void the_last_words_are_kept(void **state)
{
    struct kept w;

    UNUSED(state);
    kept_open(&w, NULL);
    kept_start(&w);
    pipe_stop(w.pipe, STOP_US);
    say(&w, 1, SLICE("Plugin unloaded"));
    keeper_log_error(w.k, 1, "{}");
    keeper_stop(w.k, &w.store);
    assert_int_equal(count_of(&w, 1), 1);
    assert_string_equal(state_of(&w, 1)->error_json, "{}");
    kept_close(&w);
}

static void a_store_that_refuses_costs_entries_only(void **state)
{
    struct kept w;

    UNUSED(state);
    kept_open(&w, NULL);
    fake_store_fail(w.fake, FAKE_LOGS_INSERT, 1, 1, ERR_FULL);
    say(&w, 1, SLICE("lost"));
    kept_start(&w);
    assert_true(fake_store_wait_calls(w.fake, FAKE_LOGS_INSERT, 1));
    say(&w, 1, SLICE("kept"));
    assert_true(fake_store_wait_calls(w.fake, FAKE_LOGS_INSERT, 2));
    kept_stop(&w);
    assert_int_equal(count_of(&w, 1), 1);
    kept_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_written_together),
        cmocka_unit_test(a_noisy_plugin_has_a_share),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(the_newest_error_is_stored),
        cmocka_unit_test(the_last_words_are_kept),
        cmocka_unit_test(a_store_that_refuses_costs_entries_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
