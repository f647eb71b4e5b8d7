#include "base/json.h"
#include "store/reader.h"
#include "store_aid.h"

static struct store_reader *open_reader(struct aid *aid)
{
    struct store_reader *r = store_reader_open(aid->path, &aid->err);

    must(r != NULL);
    return r;
}

/* --- plugin logs --- */

static void put_log(struct aid *aid, int64_t team_id, int64_t config_id, const char *type,
                    const char *message)
{
    struct store_plugin_log row = {.team_id = team_id,
                                   .config_id = config_id,
                                   .at_us = 5,
                                   .source = SLICE("CONSOLE"),
                                   .type = slice_cstr(type),
                                   .message = slice_cstr(message)};

    must(aid->ops->plugin_logs_insert(aid->self, &row, 1, &aid->err));
}

static void expect_logs(struct aid *aid, struct store_reader *r,
                        struct store_plugin_logs_query query, const char *ids)
{
    struct buf json = BUF_INIT(1 << 20), found = BUF_INIT(1 << 20);

    must(store_reader_plugin_logs(r, &query, &json, &aid->err));
    cJSON *answer = json_parse(buf_slice(&json), &aid->err);
    const cJSON *entry;
    must(answer != NULL);
    cJSON_ArrayForEach(entry, json_get(answer, "entries"))
    {
        int64_t id = 0;
        assert_true(json_int(json_get(entry, "id"), &id));
        buf_addf(&found, "%lld ", (long long)id);
    }
    json_free(answer);
    assert_string_equal(buf_cstr(&found), ids);
    buf_free(&json);
    buf_free(&found);
}

static void plugin_logs(void **state)
{
    struct aid a, *aid = &a;
    struct buf json = BUF_INIT(1 << 20);

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    put_log(aid, 1, 10, "LOG", "a \"quoted\" word");
    put_log(aid, 1, 10, "ERROR", "b");
    put_log(aid, 1, 11, "LOG", "c");
    put_log(aid, 2, 12, "ERROR", "d");
    put_log(aid, 1, 10, "LOG", "e");
    aid_commit(aid);
    struct store_reader *r = open_reader(aid);
    expect_logs(aid, r, (struct store_plugin_logs_query){.limit = 9}, "5 4 3 2 1 ");
    expect_logs(aid, r, (struct store_plugin_logs_query){.limit = 2}, "5 4 ");
    expect_logs(aid, r, (struct store_plugin_logs_query){.limit = 2, .before = 4}, "3 2 ");
    expect_logs(aid, r, (struct store_plugin_logs_query){.limit = 9, .after = 3}, "5 4 ");
    expect_logs(aid, r, (struct store_plugin_logs_query){.limit = 9, .config_id = 10}, "5 2 1 ");
    expect_logs(aid, r, (struct store_plugin_logs_query){.limit = 9, .config_id = 13}, "");
    expect_logs(aid, r, (struct store_plugin_logs_query){.limit = 9, .team_id = 2}, "4 ");
    expect_logs(aid, r, (struct store_plugin_logs_query){.limit = 9, .type = SLICE("ERROR")},
                "4 2 ");
    must(store_reader_plugin_logs(r, &(struct store_plugin_logs_query){.limit = 1, .before = 2},
                                  &json, &aid->err));
    assert_string_equal(buf_cstr(&json),
                        "{\"entries\":[{\"id\":1,\"team_id\":1,\"plugin_config_id\":10,\"at\":5,"
                        "\"source\":\"CONSOLE\",\"type\":\"LOG\",\"message\":\"a "
                        "\\\"quoted\\\" word\"}]}");
    buf_free(&json);
    store_reader_close(r);
    aid_close(aid);
}

/* --- the newest events --- */

static void expect_events(struct aid *aid, struct store_reader *r, int64_t team_id, int limit,
                          const char *last_digits)
{
    struct buf json = BUF_INIT(1 << 20), found = BUF_INIT(1000);

    must(store_reader_events(r, team_id, limit, &json, &aid->err));
    for (const char *at = buf_cstr(&json); (at = strstr(at, "{\"uuid\":\"")); at++)
        buf_add_char(&found, at[strlen("{\"uuid\":\"") + 35]);
    assert_string_equal(buf_cstr(&found), last_digits);
    buf_free(&json);
    buf_free(&found);
}

static void newest_events(void **state)
{
    struct aid a, *aid = &a;
    struct buf json = BUF_INIT(1 << 20), big = BUF_INIT(1 << 20);
    struct event_row row;
    int64_t id;

    UNUSED(state);
    aid_open(aid);
    aid_insert_many(aid, 1, 3);
    buf_add_char(&big, '"');
    while (big.len < 65537)
        buf_add_char(&big, 'x');
    buf_add_char(&big, '"');
    row = aid_event(4);
    row.team_id = 2;
    row.properties = buf_slice(&big);
    aid_begin(aid);
    must(aid->ops->event_insert(aid->self, &row, &id, &aid->err));
    aid_commit(aid);
    struct store_reader *r = open_reader(aid);
    expect_events(aid, r, 0, 9, "4321");
    expect_events(aid, r, 0, 2, "43");
    expect_events(aid, r, 1, 2, "32");
    expect_events(aid, r, 3, 2, "");
    must(store_reader_events(r, 2, 1, &json, &aid->err));
    assert_string_equal(buf_cstr(&json),
                        "{\"events\":[{\"uuid\":\"00000000-0000-0000-0000-000000000004\",\"event\":"
                        "\"$pageview\",\"distinct_id\":\"anna\",\"team_id\":2,\"timestamp\":"
                        "\"2023-11-14T22:13:20.000Z\",\"person_uuid\":null,\"properties\":null}]}");
    buf_free(&json);
    buf_free(&big);
    store_reader_close(r);
    aid_close(aid);
}

/* --- events per minute --- */

#define MINUTE ((int64_t)60000000)

static void expect_minutes(struct aid *aid, struct store_reader *r,
                           struct store_minutes_query query, const char *wanted)
{
    struct buf json = BUF_INIT(1 << 20);

    must(store_reader_minutes(r, &query, &json, &aid->err));
    assert_string_equal(buf_cstr(&json), wanted);
    buf_free(&json);
}

static void minutes(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    for (int i = 0; i < 3; i++)
        aid->ops->count(aid->self, STORE_COUNT_STORED, 1, 100 * MINUTE, SLICE("a"));
    aid->ops->count(aid->self, STORE_COUNT_STORED, 1, 100 * MINUTE + 1, SLICE("b"));
    aid->ops->count(aid->self, STORE_COUNT_DUPLICATE, 1, 100 * MINUTE, SLICE("a"));
    aid->ops->count(aid->self, STORE_COUNT_DROPPED, 2, 100 * MINUTE, SLICE("a"));
    aid->ops->count(aid->self, STORE_COUNT_DEAD, 2, 102 * MINUTE, SLICE("a"));
    aid->ops->count(aid->self, STORE_COUNT_STORED, 1, 103 * MINUTE, SLICE("a"));
    aid_commit(aid);
    struct store_reader *r = open_reader(aid);
    expect_minutes(
        aid, r, (struct store_minutes_query){.from = 99, .to = 102},
        "{\"from\":99,\"to\":102,\"minutes\":["
        "{\"minute\":100,\"stored\":4,\"duplicates\":1,\"dropped\":1,\"dead_letters\":0},"
        "{\"minute\":102,\"stored\":0,\"duplicates\":0,\"dropped\":0,\"dead_letters\":1}]}");
    expect_minutes(
        aid, r, (struct store_minutes_query){.from = 99, .to = 102, .team_id = 1},
        "{\"from\":99,\"to\":102,\"minutes\":["
        "{\"minute\":100,\"stored\":4,\"duplicates\":1,\"dropped\":0,\"dead_letters\":0}]}");
    expect_minutes(aid, r, (struct store_minutes_query){.from = 5, .to = 5},
                   "{\"from\":5,\"to\":5,\"minutes\":[]}");
    store_reader_close(r);
    aid_close(aid);
}

/* --- dead letters --- */

static void put_dead(struct aid *aid, int64_t team_id, const char *envelope)
{
    struct dead_letter d = {.team_id = team_id,
                            .at_us = 7,
                            .stage = SLICE("parse"),
                            .reason = SLICE("a \"reason\""),
                            .envelope = slice_cstr(envelope)};

    must(aid->ops->dead_letter_insert(aid->self, &d, &aid->err));
}

static void expect_dead(struct aid *aid, struct store_reader *r,
                        struct store_dead_letters_query query, const char *wanted)
{
    struct buf json = BUF_INIT(1 << 20);

    must(store_reader_dead_letters(r, &query, &json, &aid->err));
    assert_string_equal(buf_cstr(&json), wanted);
    buf_free(&json);
}

#define DEAD(id, team, bytes, who, uuid)                                             \
    "{\"id\":" id ",\"team_id\":" team ",\"at\":7,\"stage\":\"parse\","              \
    "\"reason\":\"a \\\"reason\\\"\",\"replayed_at\":null,\"envelope_bytes\":" bytes \
    ",\"distinct_id\":" who ",\"uuid\":" uuid "}"

static void dead_letters(void **state)
{
    struct aid a, *aid = &a;
    struct buf json = BUF_INIT(1 << 20), big = BUF_INIT(1 << 20);

    UNUSED(state);
    aid_open(aid);
    buf_add_str(&big, "{\"distinct_id\":\"big\",\"uuid\":\"");
    while (big.len < 65536)
        buf_add_char(&big, 'x');
    buf_add_str(&big, "\"}");
    aid_begin(aid);
    put_dead(aid, 1, "{\"distinct_id\":\"anna\",\"uuid\":\"u1\"}");
    put_dead(aid, 2, "no JSON");
    put_dead(aid, 1, buf_cstr(&big));
    aid_commit(aid);
    struct store_reader *r = open_reader(aid);
    expect_dead(
        aid, r, (struct store_dead_letters_query){.limit = 9},
        "{\"entries\":[" DEAD("3", "1", "65538", "null", "null") "," DEAD(
            "2", "2", "7", "null", "null") "," DEAD("1", "1", "34", "\"anna\"", "\"u1\"") "]}");
    expect_dead(aid, r, (struct store_dead_letters_query){.limit = 1, .before = 3},
                "{\"entries\":[" DEAD("2", "2", "7", "null", "null") "]}");
    expect_dead(aid, r, (struct store_dead_letters_query){.limit = 9, .team_id = 1, .before = 3},
                "{\"entries\":[" DEAD("1", "1", "34", "\"anna\"", "\"u1\"") "]}");
    must(store_reader_dead_letter(r, 1, &json, &aid->err));
    assert_non_null(strstr(buf_cstr(&json), ",\"envelope\":{\"distinct_id\":\"anna\",\"uuid\":"));
    buf_clear(&json);
    must(store_reader_dead_letter(r, 2, &json, &aid->err));
    assert_non_null(strstr(buf_cstr(&json), ",\"envelope\":\"no JSON\"}"));
    assert_false(store_reader_dead_letter(r, 4, &json, &aid->err));
    assert_int_equal(aid->err.code, ERR_GONE);
    buf_free(&json);
    buf_free(&big);
    store_reader_close(r);
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plugin_logs),
        cmocka_unit_test(newest_events),
        cmocka_unit_test(minutes),
        cmocka_unit_test(dead_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
