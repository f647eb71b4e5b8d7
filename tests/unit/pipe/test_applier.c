/* One event against the store: duplicates, counters, what happens when an op fails. */
#include "pipe_aid.h"

static void test_duplicates(void **state)
{
    struct uuid one = uuid_v7(1);
    struct uuid two = uuid_v7(2);
    struct world w;

    UNUSED(state);
    world_init(&w);
    w.opt.workers = 1;
    world_send(&w, &(struct sent){.id = "a",
                                  .data = "{\"event\":\"first\",\"$set\":{\"n\":1}}",
                                  .uuid = &one});
    world_send(&w, &(struct sent){.id = "a",
                                  .data = "{\"event\":\"second\",\"$set\":{\"n\":2}}",
                                  .uuid = &one});
    world_send(&w, &(struct sent){.id = "b", .data = "{\"event\":\"other id\"}", .uuid = &one});
    world_send(&w, &(struct sent){.id = "a", .data = "{\"event\":\"other uuid\"}", .uuid = &two});
    world_send(&w,
               &(struct sent){
                   .id = "a", .data = "{\"event\":\"other team\"}", .uuid = &one, .team_id = 3});
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_int_equal(fake_store_event_count(w.store), 3);
    assert_slice(fake_store_event_at(w.store, 0)->event, "first");
    assert_slice(fake_store_event_at(w.store, 1)->event, "other uuid");
    assert_slice(fake_store_event_at(w.store, 2)->event, "other team");
    assert_persons(&w, "P[a] {\"n\":1} ident=0 v=0"); /* a duplicate changes nobody */
    assert_int_equal(fake_store_counted(w.store, STORE_COUNT_DUPLICATE, TEAM), 2);
    assert_int_equal(fake_store_counted(w.store, STORE_COUNT_STORED, TEAM), 2);
    world_fini(&w);
}

static void test_recording_twice(void **state)
{
    struct uuid one = uuid_v7(1);
    struct world w;

    UNUSED(state);
    world_init(&w);
    w.opt.workers = 1;
    for (int n = 1; n <= 2; n++)
        world_send(&w, &(struct sent){.id = n == 1 ? "a" : "b",
                                      .data = "{\"event\":\"$snapshot\"}",
                                      .uuid = &one});
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_int_equal(fake_store_recording_count(w.store), 1);
    assert_persons(&w, "P[a] {} ident=0 v=0"); /* a duplicate makes nobody */
    assert_int_equal(fake_store_counted(w.store, STORE_COUNT_DUPLICATE, TEAM), 1);
    assert_int_equal(fake_store_counted(w.store, STORE_COUNT_STORED, TEAM), 1);
    world_fini(&w);
}

/* Own uuids are not looked up. */
static void test_unchecked(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    for (int i = 0; i < 5; i++)
        world_event(&w, "a", "e", "{}");
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_int_equal(fake_store_calls(w.store, FAKE_EVENT_SEEN), 0);
    assert_int_equal(fake_store_event_count(w.store), 5);
    world_fini(&w);
}

/* An op that always fails kills exactly the events that need it. */
static void test_op_always_fails(void **state)
{
    static const struct {
        enum fake_op op;
        size_t events, dead, recordings;
        const char *stage;
    } t[] = {
        {FAKE_EVENT_SEEN, 4, 1, 1, "plugin_server_ingest_event:prepareEvent"},
        {FAKE_GROUP_TYPE, 3, 2, 1, "plugin_server_ingest_event:prepareEvent"},
        {FAKE_GROUP_PUT, 4, 1, 1, "plugin_server_ingest_event:prepareEvent"},
        {FAKE_PERSON_UPDATE, 4, 1, 1, "plugin_server_ingest_event:prepareEvent"},
        {FAKE_PERSON_CREATE, 0, 6, 0, "plugin_server_ingest_event:prepareEvent"},
        {FAKE_RECORDING_INSERT, 5, 1, 0, "plugin_server_ingest_event:createEvent"},
        {FAKE_EVENT_INSERT, 0, 5, 1, "plugin_server_ingest_event:createEvent"},
    };
    struct uuid uuid = uuid_v7(1);

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct world w;

        world_init(&w);
        w.opt.workers = 1;
        world_event(&w, "a", "plain", "{}");
        world_event(&w, "a", "grouped", "{\"$groups\":{\"t\":1}}");
        world_event(&w, "a", "$groupidentify", "{\"$group_type\":\"t\",\"$group_key\":\"k\"}");
        world_event(&w, "a", "set", "{\"$set\":{\"x\":1}}");
        world_send(&w, &(struct sent){.id = "a", .data = "{\"event\":\"checked\"}", .uuid = &uuid});
        world_event(&w, "a", "$snapshot", "{}");
        fake_store_fail(w.store, t[i].op, 1, -1, ERR_INPUT);
        world_start(&w);
        world_settle(&w);
        world_stop(&w);
        print_message("  op %d\n", (int)t[i].op);
        assert_int_equal(fake_store_event_count(w.store), t[i].events);
        assert_int_equal(fake_store_dead_count(w.store), t[i].dead);
        assert_int_equal(fake_store_recording_count(w.store), t[i].recordings);
        assert_slice(fake_store_dead_at(w.store, 0)->stage, t[i].stage);
        world_fini(&w);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_recording_twice),
        cmocka_unit_test(test_unchecked),
        cmocka_unit_test(test_op_always_fails),
    };

    log_setup(LOG_NONE, LOG_CLASSIC, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
