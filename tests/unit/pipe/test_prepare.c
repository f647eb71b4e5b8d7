/* Name, uuid, ip and time: W1 to W25 of the ingestion specification, as far as the envelope can
 * carry them, seen in the stored rows. */
#include "pipe_aid.h"

struct row_case {
    const char *name;
    struct sent sent;
    const char *event; /* NULL: a dead letter */
    const char *properties;
    const char *dead; /* part of the reason */
    const char *stage;
};

#define E300                                                                                       \
    "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE" \
    "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE"                                                             \
    "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE" \
    "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE"                                                             \
    "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE"
#define E200                                                                                       \
    "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE" \
    "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE"                                                             \
    "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE"
#define E199                                                                                       \
    "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE" \
    "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE"                                                             \
    "EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE"

static const struct row_case cases[] = {
    {"W4",
     {.id = "a", .data = "{\"event\":\"e\"}", .team_id = 1337},
     NULL,
     NULL,
     "Error: No team found with ID 1337. Can't ingest event.",
     "plugin_server_ingest_event:prepareEvent"},
    {"W5",
     {.id = "a", .data = "{\"event\":{\"event name\": \"as object\"}}"},
     "{\"event name\":\"as object\"}",
     "{}",
     NULL,
     NULL},
    {"W6",
     {.id = "a", .data = "{\"event\":[\"event name\", \"a list\"]}"},
     "[\"event name\",\"a list\"]",
     "{}",
     NULL,
     NULL},
    {"number as name", {.id = "a", .data = "{\"event\":12}"}, "12", "{}", NULL, NULL},
    {"null as name", {.id = "a", .data = "{\"event\":null}"}, "null", "{}", NULL, NULL},
    {"no name",
     {.id = "a", .data = "{\"properties\":{}}"},
     NULL,
     NULL,
     "Error: Missing event name",
     "plugin_server_ingest_event:prepareEvent"},
    {"W7", {.id = "a", .data = "{\"event\":\"" E300 "\"}"}, E200, "{}", NULL, NULL},
    {"half a pair",
     {.id = "a", .data = "{\"event\":\"" E199 "\xf0\x9f\x98\x80\"}"},
     E199,
     "{}",
     NULL,
     NULL},
    {"W8",
     {.id = "a", .data = "{\"event\":\"e\",\"properties\":{\"x\":1}}", .ip = "11.12.13.14"},
     "e",
     "{\"x\":1,\"$ip\":\"11.12.13.14\"}",
     NULL,
     NULL},
    {"ip alone",
     {.id = "a", .data = "{\"event\":\"e\"}", .ip = "11.12.13.14"},
     "e",
     "{\"$ip\":\"11.12.13.14\"}",
     NULL,
     NULL},
    {"W9", {.id = "a", .data = "{\"event\":\"e\",\"properties\":{}}"}, "e", "{}", NULL, NULL},
    {"W10",
     {.id = "a",
      .data = "{\"event\":\"e\",\"properties\":{\"$ip\":\"1.0.0.1\"}}",
      .ip = "11.12.13.14"},
     "e",
     "{\"$ip\":\"1.0.0.1\"}",
     NULL,
     NULL},
    {"null is the client's",
     {.id = "a", .data = "{\"event\":\"e\",\"properties\":{\"$ip\":null}}", .ip = "11.12.13.14"},
     "e",
     "{\"$ip\":null}",
     NULL,
     NULL},
    {"W11",
     {.id = "a", .data = "{\"event\":\"e\"}", .ip = "11.12.13.14", .team_id = 4},
     "e",
     "{}",
     NULL,
     NULL},
    {"W11 client's",
     {.id = "a",
      .data = "{\"event\":\"e\",\"properties\":{\"$ip\":\"1.0.0.1\"}}",
      .ip = "11.12.13.14",
      .team_id = 4},
     "e",
     "{\"$ip\":\"1.0.0.1\"}",
     NULL,
     NULL},
    {"W12",
     {.id = "2", .data = "{\"event\":\"e\",\"distinct_id\":2,\"properties\":{\"distinct_id\":2}}"},
     "e",
     "{\"distinct_id\":2}",
     NULL,
     NULL},
    {"W13", {.id = "a", .data = "{\"event\":\"e\",\"team_id\":3}"}, "e", "{}", NULL, NULL},
    {"properties that are none",
     {.id = "a", .data = "{\"event\":\"e\",\"properties\":[1]}"},
     "e",
     "{}",
     NULL,
     NULL},
    {"repeated keys",
     {.id = "a",
      .data = "{\"event\":\"x\",\"event\":\"e\",\"properties\":{\"a\":1,\"b\":2,\"a\":{\"c\":1,"
              "\"c\":2}}}"},
     "e",
     "{\"a\":{\"c\":2},\"b\":2}",
     NULL,
     NULL},
    {"numbers",
     {.id = "a",
      .data = "{\"event\":\"e\",\"properties\":{\"a\":299.990,\"b\":9007199254740993,\"c\":1e400,"
              "\"d\":1.0}}"},
     "e",
     "{\"a\":299.99,\"b\":9007199254740993,\"c\":null,\"d\":1}",
     NULL,
     NULL},
    {"NUL",
     {.id = "a",
      .data = "{\"event\":\"e\\u0000\",\"properties\":{\"k\\u0000\":[\"v\\u0000\"],\"$set\":{"
              "\"s\\u0000\":1}}}"},
     "e\xef\xbf\xbd",
     "{\"k\xef\xbf\xbd\":[\"v\xef\xbf\xbd\"],\"$set\":{\"s\xef\xbf\xbd\":1}}",
     NULL,
     NULL},
    {"not JSON",
     {.id = "a", .data = "{\"event\":"},
     NULL,
     NULL,
     "Error: not JSON",
     "parse_message"},
    {"not an object",
     {.id = "a", .data = "[1]"},
     NULL,
     NULL,
     "Error: the event's data is not a JSON object",
     "parse_message"},
    {"invalid UTF-8",
     {.id = "a", .data = "{\"event\":\"e\xff\xe2\x82x\xc0\x80\"}"},
     "e\xef\xbf\xbd\xef\xbf\xbdx\xef\xbf\xbd",
     "{}",
     NULL,
     NULL},
    {"lone surrogate",
     {.id = "a", .data = "{\"event\":\"e\",\"properties\":{\"a\":\"\\ud83d\"}}"},
     "e",
     "{\"a\":\"\xef\xbf\xbd\"}",
     NULL,
     NULL},
    {"elements stay",
     {.id = "a", .data = "{\"event\":\"e\",\"properties\":{\"$elements\":[{\"tag_name\":\"a\"}]}}"},
     "e",
     "{\"$elements\":[{\"tag_name\":\"a\"}]}",
     NULL,
     NULL},
};

static void test_rows(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct row_case *c = &cases[i];
        struct world w;

        print_message("  %s\n", c->name);
        world_init(&w);
        world_send(&w, &c->sent);
        world_start(&w);
        world_settle(&w);
        world_stop(&w);
        assert_int_equal(fake_store_event_count(w.store), c->event != NULL);
        assert_int_equal(fake_store_dead_count(w.store), c->event == NULL);
        assert_int_equal(fake_store_person_count(w.store), c->event != NULL);
        if (c->event) {
            const struct event_row *row = fake_store_event_at(w.store, 0);

            assert_slice(row->event, c->event);
            assert_slice(row->properties, c->properties);
            assert_slice(row->distinct_id, c->sent.id);
            assert_int_equal(row->team_id, c->sent.team_id ? c->sent.team_id : TEAM);
            assert_slice(row->elements_chain, "");
            assert_true(row->has_person);
            assert_true(uuid_eq(&row->person_uuid, &fake_store_person_at(w.store, 0)->p.uuid));
        } else {
            const struct dead_letter *d = fake_store_dead_at(w.store, 0);

            assert_contains(d->reason, c->dead);
            assert_contains(d->reason, "Event ingestion failed. ");
            assert_slice(d->stage, c->stage);
            assert_contains(d->envelope, "\"distinct_id\":\"a\"");
            assert_int_equal(d->team_id, c->sent.team_id ? c->sent.team_id : TEAM);
        }
        world_fini(&w);
    }
}

static void test_uuid_stays(void **state)
{
    struct world w;
    struct uuid uuid;

    UNUSED(state);
    assert_true(uuid_parse(SLICE("ABCDEF01-0000-0000-0000-00000000000F"), &uuid)); /* W3 */
    world_init(&w);
    world_send(&w, &(struct sent){.id = "a", .data = "{\"event\":\"e\"}", .uuid = &uuid});
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_true(uuid_eq(&fake_store_event_at(w.store, 0)->uuid, &uuid));
    assert_true(fake_store_event_at(w.store, 0)->is_uuid_checked);
    world_fini(&w);
}

/* The table of times is in model/test_event_time.c; here: that the right fields get there. */
static void test_times(void **state)
{
    static const struct {
        const char *data;
        bool has_sent_at;
        int64_t sent_at_ms, result_ms;
    } t[] = {
        {"{\"event\":\"e\"}", false, 0, 1000000},
        {"{\"event\":\"e\",\"offset\":150}", false, 0, 999850},
        {"{\"event\":\"e\",\"timestamp\":500000}", true, 600000, 900000},
        {"{\"event\":\"e\",\"timestamp\":500000,\"properties\":{\"$ignore_sent_at\":true}}", true,
         600000, 500000},
        {"{\"event\":\"e\",\"timestamp\":\"1970-01-01T00:08:20Z\"}", false, 0, 500000},
        {"{\"event\":\"e\",\"timestamp\":\"x\"}", false, 0, 77000},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct world w;

        clock_fake_set(77000 * (int64_t)1000);
        world_init(&w);
        w.now_us = 1000000 * (int64_t)1000;
        world_send(&w, &(struct sent){.id = "a",
                                      .data = t[i].data,
                                      .has_sent_at = t[i].has_sent_at,
                                      .sent_at_us = t[i].sent_at_ms * 1000});
        world_start(&w);
        world_settle(&w);
        world_stop(&w);
        assert_int_equal(fake_store_event_at(w.store, 0)->timestamp_us, t[i].result_ms * 1000);
        assert_int_equal(fake_store_event_at(w.store, 0)->created_at_us, 77000 * (int64_t)1000);
        assert_int_equal(fake_store_person_at(w.store, 0)->p.created_at_us,
                         t[i].result_ms * 1000); /* W26 */
        world_fini(&w);
        clock_fake_off();
    }
}

static void test_snapshot(void **state)
{
    struct world w;
    const struct recording_row *row;

    UNUSED(state);
    world_init(&w);
    world_event(&w, "some-id", "$snapshot",
                "{\"$session_id\":\"abcf-efg\",\"$snapshot_data\":{\"timestamp\": "
                "123},\"$set\":{\"a\":1},\"$browser\":\"b\"}");
    world_send(&w, &(struct sent){.id = "nobody",
                                  .data = "{\"event\":\"$snapshot\"}",
                                  .team_id = 3}); /* W81 */
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_int_equal(fake_store_event_count(w.store), 0);
    assert_int_equal(fake_store_recording_count(w.store), 1);
    row = fake_store_recording_at(w.store, 0); /* W80 */
    assert_slice(row->session_id, "abcf-efg");
    assert_slice(row->window_id, "");
    assert_slice(row->snapshot_data, "{\"timestamp\":123}");
    assert_slice(row->distinct_id, "some-id");
    assert_persons(&w, "P[some-id] {} ident=0 v=0");
    assert_int_equal(fake_store_person_count(w.store), 1);
    assert_int_equal(fake_store_counted(w.store, STORE_COUNT_DROPPED, 3), 1);
    world_fini(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_uuid_stays),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_snapshot),
    };

    log_setup(LOG_NONE, LOG_CLASSIC, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
