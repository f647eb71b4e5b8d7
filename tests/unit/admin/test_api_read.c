#include "admin_aid.h"

static void event_and_person(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    aid_send(aid, 2, "anna & bob", "bought");
    aid_settle(aid);
    expect("GET", "/api/events/00000000-0000-0000-0000-000000000001", NULL, 200,
           "\"team_id\":2,\"event\":\"bought\",\"distinct_id\":\"anna & bob\"");
    expect("GET", "/api/events/00000000000000000000000000000001", NULL, 200, "\"bought\"");
    expect("GET", "/api/events?team=2&limit=1", NULL, 200,
           "\"event\":\"bought\",\"distinct_id\":\"anna & bob\",\"team_id\":2,\"timestamp\":");
    expect("GET", "/api/events?team=1", NULL, 200, "{\"events\":[]}");
    expect("GET", "/api/persons?team=2&distinct_id=anna+%26%20bob", NULL, 200, "anna & bob");
    aid_end(aid);
}

static void what_is_not_there(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    expect("GET", "/api/events/00000000-0000-0000-0000-000000000009", NULL, 404, "\"message\":\"");
    expect("GET", "/api/events", NULL, 200, "{\"events\":[]}");
    expect("GET", "/api/events?limit=201", NULL, 400, "`limit`");
    expect("GET", "/api/events?team=-1", NULL, 400, "`team`");
    expect("GET", "/api/events/nine", NULL, 400, "UUID");
    expect("GET", "/api/persons?team=1&distinct_id=nobody", NULL, 404, "\"message\":\"");
    expect("GET", "/api/persons?distinct_id=nobody", NULL, 404, "\"message\":\""); /* team 1 */
    expect("GET", "/api/persons?team=1", NULL, 400, "distinct_id=");
    expect("GET", "/api/persons?team=one&distinct_id=x", NULL, 400, "team=");
    expect("GET", "/api/persons?team=-1&distinct_id=x", NULL, 400, "team=");
    expect("GET", "/api/persons?team=18446744073709551615&distinct_id=x", NULL, 400, "team=");
    aid_end(aid);
}

static void minutes_and_errors(void **state)
{
    struct aid a, *aid = &a;
    char path[100], part[100];

    UNUSED(state);
    aid_serve(aid);
    aid_send(aid, 2, "anna", "bought");
    aid_settle(aid);
    int64_t minute = clock_wall_us() / 60000000;
    snprintf(path, sizeof(path), "/api/minutes?team=2&minutes=2&to=%lld", (long long)minute);
    snprintf(part, sizeof(part), "{\"from\":%lld,\"to\":%lld,", (long long)minute - 1,
             (long long)minute);
    expect("GET", path, NULL, 200, part);
    expect("GET", path, NULL, 200, "\"stored\":");
    expect("GET", "/api/minutes?team=1", NULL, 200, "\"minutes\":[]}");
    expect("GET", "/api/minutes?minutes=0", NULL, 200, "\"minutes\":[]}");
    expect("GET", "/api/minutes?minutes=1441", NULL, 400, "`minutes`");
    expect("GET", "/api/minutes?team=x", NULL, 400, "`team`");
    expect("GET", "/api/minutes?to=9223372036854775807", NULL, 400, "`to`");
    expect("GET", "/api/errors?team=1", NULL, 200, "{\"entries\":[]}");
    expect("GET", "/api/errors?limit=201", NULL, 400, "`limit`");
    expect("GET", "/api/errors?before=-1", NULL, 400, "`before`");
    expect("GET", "/api/errors/1000", NULL, 404, "error");
    expect("GET", "/api/errors/x", NULL, 400, "number");
    aid_end(aid);
}

static void without_a_database(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    /* The connection is opened at the first use; a path that is gone is a fault of that request. */
    struct admin_readers *own = aid->admin->readers;
    aid->admin->readers = api_read_new("/nonexistent/hedgerow.db", aid->store, 1);
    expect("GET", "/api/events/00000000-0000-0000-0000-000000000001", NULL, 500, "nonexistent");
    api_read_free(aid->admin->readers);
    aid->admin->readers = own;
    expect("GET", "/api/events/00000000-0000-0000-0000-000000000001", NULL, 404, "error");
    aid_end(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_and_person),
        cmocka_unit_test(what_is_not_there),
        cmocka_unit_test(minutes_and_errors),
        cmocka_unit_test(without_a_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
