#include "base/log.h"
#include "base/thread.h"
#include "capture_aid.h"
#include "fake_http.h"
#include "lib/child.h"
#include "lib/unit.h"

#define OK_EVENT "{\"event\":\"x\",\"distinct_id\":\"d\",\"token\":\"phc_test_token_0001\"}"

/* A feed that keeps the last group until the test says how it ended. */
struct fake_feed {
    enum err_code refuse; /* append fails with this */
    struct feed_group *group;
    feed_done_fn *done;
    void *ctx;
    int appends;
};

static bool fake_append(void *self, struct feed_group *group, feed_done_fn *done, void *ctx,
                        struct err *err)
{
    struct fake_feed *feed = self;

    feed->appends++;
    if (feed->refuse != ERR_NONE)
        return err_set(err, feed->refuse, "refused by the test");
    assert_null(feed->group);
    feed->group = group;
    feed->done = done;
    feed->ctx = ctx;
    return true;
}

static size_t fake_finish(struct fake_feed *feed, enum err_code code)
{
    struct err err = ERR_INIT;
    size_t count = feed_group_count(feed->group);

    if (code != ERR_NONE)
        err_set(&err, code, "by the test");
    feed->done(feed->ctx, &err);
    feed_group_free(feed->group);
    feed->group = NULL;
    return count;
}

struct fixture {
    struct fake_feed feed;
    struct team_directory *teams;
    struct metrics *metrics;
    struct capture *capture;
    struct http_route route;
};

static const struct feed_writer_ops fake_ops = {.append = fake_append};

static struct capture_options options_of(struct fixture *f)
{
    return (struct capture_options){
        .feed = {.ops = &fake_ops, .self = &f->feed},
        .teams = f->teams,
        .metrics = f->metrics,
        .body_bytes_max = 1 << 20,
        .decoded_bytes_max = 1 << 20,
        .parse_bytes_max = 8 << 20,
        .event_bytes_max = 1 << 16,
        .trusted_proxies = "",
    };
}

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);
    struct capture_options opt;
    struct err err = ERR_INIT;
    size_t count;

    f->teams = team_directory_new();
    team_directory_publish(f->teams, aid_team_set(false));
    f->metrics = metrics_new();
    opt = options_of(f);
    f->capture = capture_new(&opt, &err);
    assert_non_null(f->capture);
    f->route =
        capture_routes(f->capture, &count)[1]; /* a copy, as a listener with more routes has it */
    assert_string_equal(f->route.pattern, "/e");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    assert_null(f->feed.group);
    capture_free(f->capture);
    metrics_free(f->metrics);
    team_directory_free(f->teams);
    mem_free(f);
    return 0;
}

static void send(struct fixture *f, struct fake_exchange *x, enum http_method method,
                 const char *query, const char *body)
{
    fake_http_init(x, method, "/e", query, slice_cstr(body));
    x->req.route = &f->route;
    f->route.handler(&x->req, f->route.ctx);
}

static void assert_status(const struct fake_exchange *x, int status, const char *body)
{
    assert_int_equal(x->answers, 1);
    assert_int_equal(x->status, status);
    if (x->body_len != strlen(body) || memcmp(x->body, body, x->body_len) != 0)
        fail_msg("%.*s", (int)x->body_len, x->body);
}

static void assert_metric(struct fixture *f, const char *line)
{
    struct buf text = BUF_INIT(1 << 20);

    assert_true(metrics_prometheus(f->metrics, false, &text));
    if (!strstr(buf_cstr(&text), line))
        fail_msg("no line %s in\n%s", line, buf_cstr(&text));
    buf_free(&text);
}

/* --- the promise --- */

static void answers_only_after_the_sync(void **state)
{
    struct fixture *f = *state;
    struct fake_exchange x;

    send(f, &x, HTTP_M_POST, "", OK_EVENT);
    assert_int_equal(f->feed.appends, 1);
    assert_int_equal(x.answers, 0);
    assert_int_equal(fake_finish(&f->feed, ERR_NONE), 1);
    assert_int_equal(x.answers, 0); /* SYNC does not answer, it sends the request home */
    assert_true(fake_http_run(&x));
    assert_status(&x, 200, "{\"status\": 1}");
    assert_metric(f, "hedgerow_capture_events_total{outcome=\"accepted\"} 1\n");
    assert_metric(f, "capture_events_ingested_total 1\n");
    fake_http_fini(&x);
}

static void waits_with_beacons_and_gets_too(void **state)
{
    struct fixture *f = *state;
    struct fake_exchange x;

    send(f, &x, HTTP_M_POST, "beacon=1", OK_EVENT);
    assert_int_equal(x.answers, 0);
    fake_finish(&f->feed, ERR_NONE);
    fake_http_run(&x);
    assert_status(&x, 204, "");
    fake_http_fini(&x);
    send(f, &x, HTTP_M_GET,
         "data=%7B%22event%22:%22x%22,%22distinct_id%22:%22d%22,%22token%22:%22phc_test_token_0001%"
         "22%7D",
         "");
    assert_int_equal(x.answers, 0);
    fake_finish(&f->feed, ERR_NONE);
    fake_http_run(&x);
    assert_status(&x, 200, "{\"status\": 1}");
    fake_http_fini(&x);
}

#define UNAVAILABLE                                                                           \
    "{\"type\": \"server_error\", \"code\": \"server_error\", \"detail\": \"Unable to store " \
    "event. Please try again. If "                                                            \
    "you are the owner of this app you can check the logs for further details.\", \"attr\": null}"

static void a_failed_sync_is_503(void **state)
{
    struct fixture *f = *state;
    struct fake_exchange x;

    send(f, &x, HTTP_M_POST, "beacon=1", OK_EVENT);
    fake_finish(&f->feed, ERR_IO);
    fake_http_run(&x);
    assert_status(&x, 503, UNAVAILABLE);
    assert_true(slice_eq(fake_http_answer_header(&x, "Retry-After"), SLICE("5")));
    assert_metric(f, "hedgerow_capture_events_total{outcome=\"accepted\"} 0\n");
    fake_http_fini(&x);
}

static void a_feed_that_refuses(void **state)
{
    static const struct {
        enum err_code code;
        int status;
    } table[] = {{ERR_FULL, 503}, {ERR_IO, 503}, {ERR_STOP, 503}, {ERR_LIMIT, 413}};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct fake_exchange x;

        f->feed.refuse = table[i].code;
        send(f, &x, HTTP_M_POST, "", OK_EVENT);
        assert_int_equal(x.answers, 1);
        assert_int_equal(x.status, table[i].status);
        fake_http_fini(&x);
    }
    f->feed.refuse = ERR_NONE;
}

static void blocked_is_503_but_preflights_pass(void **state)
{
    struct fixture *f = *state;
    struct fake_exchange x;

    capture_set_blocked(f->capture, "the test says so");
    send(f, &x, HTTP_M_POST, "", OK_EVENT);
    assert_status(&x, 503, UNAVAILABLE);
    fake_http_fini(&x);
    send(f, &x, HTTP_M_OPTIONS, "", "");
    assert_status(&x, 200, "{\"status\": 1}");
    fake_http_fini(&x);
    assert_int_equal(f->feed.appends, 0);
    capture_set_blocked(f->capture, NULL);
    send(f, &x, HTTP_M_POST, "", OK_EVENT);
    fake_finish(&f->feed, ERR_NONE);
    fake_http_run(&x);
    assert_status(&x, 200, "{\"status\": 1}");
    fake_http_fini(&x);
}

/* --- without the feed --- */

static void nothing_left_answers_at_once(void **state)
{
    struct fixture *f = *state;
    struct fake_exchange x;

    send(f, &x, HTTP_M_POST, "", "{\"event\":\"x\",\"token\":\"phc_test_token_0001\"}");
    assert_status(&x, 200, "{\"status\": 1}");
    fake_http_fini(&x);
    send(f, &x, HTTP_M_POST, "beacon=1", "{\"event\":\"\",\"token\":\"phc_test_token_0001\"}");
    assert_status(&x, 204, "");
    fake_http_fini(&x);
    send(f, &x, HTTP_M_POST, "",
         "[{\"event\":\"$snapshot\",\"distinct_id\":\"d\",\"token\":\"phc_quota_token_03\"},{"
         "\"event\":\"x\"}]");
    assert_status(&x, 200, "{\"status\": 1, \"quota_limited\": [\"recordings\"]}");
    fake_http_fini(&x);
    assert_int_equal(f->feed.appends, 0);
    assert_metric(
        f, "hedgerow_capture_events_total{outcome=\"dropped\",cause=\"missing_distinct_id\"} 2\n");
    assert_metric(f, "capture_events_dropped_total{cause=\"missing_event_name\"} 1\n");
    assert_metric(f, "capture_events_received_total 4\n");
}

static void refusals_leave_no_trace(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *reason;
    } table[] = {
        {"", 400, "no_data"},
        {"{}", 400, "no_data"},
        {"{\"a\":1,}", 400, "invalid_payload"},
        {"{\"event\":\"x\",\"distinct_id\":\"d\"}", 401, "missing_api_key"},
        {"{\"event\":\"x\",\"token\":\"nobody\"}", 401, "invalid_api_key"},
        {"[" OK_EVENT ",{\"token\":\"legacy2022token\"}]", 401, "inconsistent_api_key"},
        {"[" OK_EVENT ",{\"x\":1}]", 400, "invalid_payload"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct fake_exchange x;
        char code[80];

        send(f, &x, HTTP_M_POST, "", table[i].body);
        assert_int_equal(x.answers, 1);
        assert_int_equal(x.status, table[i].status);
        x.body[x.body_len] = 0;
        snprintf(code, sizeof code, "\"code\": \"%s\"", table[i].reason);
        assert_non_null(strstr(x.body, code));
        fake_http_fini(&x);
    }
    assert_int_equal(f->feed.appends, 0);
    assert_metric(f, "hedgerow_capture_refused_total{reason=\"no_data\"} 2\n");
    assert_metric(f, "hedgerow_capture_refused_total{reason=\"invalid_payload\"} 2\n");
    assert_metric(f, "hedgerow_capture_events_received_total 0\n");
}

struct refusal {
    struct fixture *fixture;
    const char *body; /* NULL: the server itself refuses */
};

static void refuse_one(void *ctx)
{
    struct refusal *r = ctx;
    struct fake_exchange x;

    log_setup(LOG_INFO, LOG_CLASSIC, false);
    if (r->body) {
        send(r->fixture, &x, HTTP_M_POST, "", r->body);
    } else {
        fake_http_init(&x, HTTP_M_POST, "/e", "", SLICE_NONE);
        capture_refuse(&x.req, 413, "The body is too large.", r->fixture->capture);
    }
    fake_http_fini(&x);
}

/* They were told at the level debug only: a client set up wrongly left no line. */
static void refusals_leave_a_line(void **state)
{
    static const struct {
        const char *body, *line;
    } table[] = {
        {"{\"event\":\"x\",\"token\":\"nobody\"}",
         "request refused module=capture reason=invalid_api_key why=\"Project API key invalid."},
        {"{\"a\":1,}", "reason=invalid_payload why=\"Malformed request data: Invalid JSON"},
        {NULL, "request refused by the server module=capture status=413 why=\"The body is too "
               "large.\" path=/e peer=127.0.0.1\n"},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct refusal r = {.fixture = *state, .body = table[i].body};
        char *out = child_output(1, refuse_one, &r);

        if (!strstr(out, table[i].line))
            fail_msg("'%s' is not in '%s'", table[i].line, out);
        mem_free(out);
    }
}

static void a_sole_event_too_big_is_413(void **state)
{
    struct fixture *f = *state;
    struct buf body = BUF_INIT(1 << 18);
    struct fake_exchange x;

    buf_add_str(&body, "{\"event\":\"x\",\"distinct_id\":\"d\",\"token\":\"phc_test_token_0001\","
                       "\"properties\":{\"p\":\"");
    for (int i = 0; i < 70000; i++)
        buf_add_char(&body, 'p');
    buf_add_str(&body, "\"}}");
    send(f, &x, HTTP_M_POST, "", buf_cstr(&body));
    assert_int_equal(x.status, 413);
    assert_metric(f,
                  "hedgerow_capture_events_total{outcome=\"dropped\",cause=\"event_too_big\"} 1\n");
    fake_http_fini(&x);
    buf_free(&body);
}

/* --- what goes into the record --- */

static void teams_follow_the_directory(void **state)
{
    static const struct team late = {.id = 9, .name = "late", .api_token = "phc_late"};
    static const char event[] = "{\"event\":\"x\",\"distinct_id\":\"d\",\"token\":\"phc_late\"}";
    struct fixture *f = *state;
    struct team_set *set = team_set_new();
    struct err err = ERR_INIT;
    struct fake_exchange x;

    send(f, &x, HTTP_M_POST, "", event);
    assert_int_equal(x.status, 401);
    fake_http_fini(&x);
    assert_true(team_set_add(set, &late, &err));
    team_set_seal(set);
    team_directory_publish(f->teams, set);
    send(f, &x, HTTP_M_POST, "", event);
    assert_int_equal(fake_finish(&f->feed, ERR_NONE), 1);
    fake_http_run(&x);
    assert_int_equal(x.status, 200);
    fake_http_fini(&x);
}

static void reads_forms(void **state)
{
    struct fixture *f = *state;
    struct fake_exchange x;

    fake_http_init(
        &x, HTTP_M_POST, "/e", "compression=",
        SLICE("data=%7B%22event%22:%22x%22,%22distinct_id%22:1%7D&api_key=phc_test_token_0001"));
    fake_http_header(&x, "Content-Type", "application/x-www-form-urlencoded");
    x.req.route = &f->route;
    f->route.handler(&x.req, f->route.ctx);
    assert_int_equal(fake_finish(&f->feed, ERR_NONE), 1);
    fake_http_run(&x);
    assert_status(&x, 200, "{\"status\": 1}");
    fake_http_fini(&x);
}

/* --- hooks --- */

static void counts_and_allows_origins(void **state)
{
    struct fixture *f = *state;
    struct http_route other = {.pattern = "/other"};
    struct fake_exchange x;

    fake_http_init(&x, HTTP_M_POST, "/e", "", SLICE_NONE);
    fake_http_header(&x, "Origin", "https://shop.example.com");
    x.req.route = &f->route;
    capture_answer(&x.req, 200, f->capture);
    assert_int_equal(x.answer_header_count, 5);
    assert_metric(f, "hedgerow_capture_requests_total{path=\"/e\",code=\"200\"} 1\n");
    assert_metric(f, "hedgerow_capture_request_duration_seconds_count 1\n");
    x.req.route = NULL; /* an unknown path */
    capture_answer(&x.req, 404, f->capture);
    assert_int_equal(x.answer_header_count, 10);
    assert_metric(f, "hedgerow_capture_requests_total{path=\"other\",code=\"404\"} 1\n");
    x.req.route = &other; /* somebody else's */
    capture_answer(&x.req, 200, f->capture);
    assert_int_equal(x.answer_header_count, 10);
    fake_http_fini(&x);
}

static void answers_for_the_server(void **state)
{
    struct fixture *f = *state;
    struct fake_exchange x;

    fake_http_init(&x, HTTP_M_PUT, "/e", "", SLICE_NONE);
    capture_refuse(&x.req, 405, "no such method here", f->capture);
    assert_status(&x, 405,
                  "{\"type\": \"invalid_request\", \"code\": \"method_not_allowed\", \"detail\": "
                  "\"Method \\\"PUT\\\" not "
                  "allowed.\", \"attr\": null}");
    assert_metric(f, "hedgerow_capture_refused_total{reason=\"method_not_allowed\"} 1\n");
    fake_http_fini(&x);
}

static void has_its_routes(void **state)
{
    static const char *const patterns[] = {"/capture", "/e", "/track", "/batch", "/i/v0/e"};
    struct fixture *f = *state;
    size_t count;
    const struct http_route *routes = capture_routes(f->capture, &count);

    assert_int_equal(count, ARRAY_LEN(patterns));
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(routes[i].pattern, patterns[i]);
        assert_true(routes[i].slash);
        assert_int_equal(routes[i].methods, HTTP_M_GET | HTTP_M_POST | HTTP_M_OPTIONS);
        assert_int_equal(routes[i].body_bytes_max, 1 << 20);
    }
}

static void works_without_metrics(void **state)
{
    struct fixture *f = *state;
    struct capture_options opt = options_of(f);
    struct err err = ERR_INIT;
    struct capture *c;
    struct fake_exchange x;
    size_t count;

    opt.metrics = NULL;
    c = capture_new(&opt, &err);
    assert_non_null(c);
    fake_http_init(&x, HTTP_M_POST, "/e", "", SLICE(OK_EVENT));
    x.req.route = &capture_routes(c, &count)[0];
    x.req.route->handler(&x.req, x.req.route->ctx);
    fake_finish(&f->feed, ERR_NONE);
    fake_http_run(&x);
    capture_answer(&x.req, 200, c);
    assert_int_equal(x.status, 200);
    fake_http_fini(&x);
    capture_free(c);
    capture_free(NULL);
    opt.trusted_proxies = "nonsense";
    assert_null(capture_new(&opt, &err));
    assert_int_equal(err.code, ERR_INPUT);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(answers_only_after_the_sync),
        CASE(waits_with_beacons_and_gets_too),
        CASE(a_failed_sync_is_503),
        CASE(a_feed_that_refuses),
        CASE(nothing_left_answers_at_once),
        CASE(blocked_is_503_but_preflights_pass),
        CASE(refusals_leave_no_trace),
        CASE(refusals_leave_a_line),
        CASE(a_sole_event_too_big_is_413),
        CASE(teams_follow_the_directory),
        CASE(reads_forms),
        CASE(counts_and_allows_origins),
        CASE(answers_for_the_server),
        CASE(has_its_routes),
        CASE(works_without_metrics),
    };
    return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}
