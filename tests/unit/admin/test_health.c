#include "admin_aid.h"
#include "pipe/pipe_priv.h"

static const char *const none[] = {NULL};

#define OPEN(path, status, part) expect_as(none, "GET", path, status, part)

static void well(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    OPEN("/_health", 200,
         "{\"status\":\"ok\",\"checks\":{\"queue\":\"ok\",\"pipeline\":\"ok\",\"store\":\"ok\"},"
         "\"version\":\"1.2.3\"}");
    OPEN("/_ready", 200, "{\"status\":\"ok\"}");
    aid_end(aid);
}

/* Three hours without an event are no reason to be ill, a backlog that does not move is. */
static void stale(void **state)
{
    static const struct {
        uint64_t cursor, end;
        int64_t oldest_s; /* age of the oldest unread one; 0: none */
        int status;
    } table[] = {
        {5, 5, 0, 200}, {5, 5, 10000, 200}, {5, 6, 0, 200}, {5, 6, 10000, 503}, {5, 6, -5, 200},
    };
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    clock_fake_set(clock_wall_us() + (int64_t)3 * 3600 * 1000000);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int64_t age = table[i].oldest_s * 1000000;
        aid->status.cursor = table[i].cursor;
        aid->status.end = table[i].end;
        aid->status.oldest_unread_us = age ? clock_wall_us() - age : 0;
        OPEN("/_health", table[i].status,
             table[i].status == 200 ? "\"pipeline\":\"ok\"" : "\"pipeline\":\"error\"");
        OPEN("/_ready", 200, "ok");
    }
    clock_fake_off();
    aid_end(aid);
}

static void queue_cannot_be_written(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    aid->status.is_writable = false;
    aid->status.why_not = "the disk is \"full\"";
    OPEN("/_health", 503, "\"queue\":\"error\"");
    OPEN("/_health", 503, "\"queue_error\":\"the disk is \\\"full\\\"\"");
    OPEN("/_ready", 503, "{\"status\":\"error\"}");
    aid->status.is_writable = true;
    OPEN("/_health", 200, "\"queue\":\"ok\"");
    aid_end(aid);
}

/* Capture refuses everything while the database has no room, so that traffic has to go elsewhere; a
 * restart would not help, and what the queue holds is safe. */
static void the_store_has_no_room(void **state)
{
    struct aid a, *aid = &a;
    struct err full = ERR_INIT, busy = ERR_INIT;

    UNUSED(state);
    aid_serve(aid);
    err_set(&busy, ERR_RETRY, "the database is busy");
    err_set(&full, ERR_FULL, "the disk is full");
    pipe_waiting(aid->pipe, &busy);
    OPEN("/_ready", 200, "ok");
    OPEN("/_health", 200, "\"store\":\"degraded\"");
    pipe_waiting(aid->pipe, &full);
    OPEN("/_ready", 503, "{\"status\":\"error\"}");
    OPEN("/_health", 200, "\"store_error\":\"the disk is full\"");
    pipe_waiting(aid->pipe, &busy); /* tried again, and not got as far */
    OPEN("/_ready", 503, "error");
    pipe_waiting(aid->pipe, NULL);
    OPEN("/_ready", 200, "ok");
    aid_end(aid);
}

static void not_ready(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    admin_set_ready(aid->admin, false); /* as at the start and at the end */
    OPEN("/_ready", 503, "{\"status\":\"error\"}");
    OPEN("/_health", 200, "ok");
    expect("GET", "/api/status", NULL, 200, "\"is_ready\":false");
    admin_set_ready(aid->admin, true);
    OPEN("/_ready", 200, "{\"status\":\"ok\"}");
    aid_end(aid);
}

static void status_adds_up(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    aid_send(aid, 1, "x", "e");
    aid_send(aid, 1, "y", "e");
    aid_settle(aid);
    aid->status.first = 1;
    aid->status.cursor = 7;
    aid->status.end = 9;
    aid->status.bytes = 4096;
    expect("GET", "/api/status", NULL, 200, "\"lag_events\":2");
    expect("GET", "/api/status", NULL, 200, "\"stored\":2,\"duplicates\":0,\"dead_letters\":0");
    expect("GET", "/api/status", NULL, 200, "\"process\":{\"started_at\":");
    expect("GET", "/api/status", NULL, 200, "\"resident_bytes\":");
    expect("GET", "/api/status", NULL, 200, "\"disk\":{\"database_bytes\":");
    assert_null(strstr(buf_cstr(&aid->body), "\"free_bytes\":null"));
    expect("GET", "/api/status", NULL, 200,
           "\"geoip\":null,\"capture\":{\"url\":\"http://capture\",\"is_everywhere\":false}}");
    aid->status.is_writable = false;
    aid->status.why_not = "full";
    expect("GET", "/api/status", NULL, 200, "\"queue_error\":\"full\"");
    aid_end(aid);
}

static void metrics_in_both_forms(void **state)
{
    static const char *const open_metrics[] = {
        "Accept: text/plain;q=0.5, application/openmetrics-text; version=1.0.0", NULL};
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    metric_add(metric_new_counter(aid->metrics, "hedgerow_test_total", "", "A test."), 3);
    OPEN("/metrics", 200, "# TYPE hedgerow_test_total counter\nhedgerow_test_total 3\n");
    assert_null(strstr(buf_cstr(&aid->body), "# EOF"));
    expect_as(open_metrics, "GET", "/_metrics", 200, "\n# EOF\n");
    aid_end(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_has_no_room),
        cmocka_unit_test(well),
        cmocka_unit_test(stale),
        cmocka_unit_test(not_ready),
        cmocka_unit_test(queue_cannot_be_written),
        cmocka_unit_test(status_adds_up),
        cmocka_unit_test(metrics_in_both_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
