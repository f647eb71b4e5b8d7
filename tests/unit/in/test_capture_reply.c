#include "fake_http.h"
#include "in/capture/capture_priv.h"
#include "lib/unit.h"

static void assert_slice(struct slice got, const char *expected)
{
    if (!slice_eq(got, slice_cstr(expected)))
        fail_msg("'%.*s' is not '%s'", SLICE_ARG(got), expected);
}

static void assert_answer(const struct fake_exchange *x, int status, const char *body)
{
    assert_int_equal(x->answers, 1);
    assert_int_equal(x->status, status);
    assert_slice(slice_make(x->body, x->body_len), body);
    if (body[0])
        assert_string_equal(x->content_type, "application/json");
    else
        assert_null(x->content_type);
}

static void says_ok(void **state)
{
    static const struct {
        bool is_beacon, recordings_limited;
        int status;
        const char *body;
    } table[] = {
        {false, false, 200, "{\"status\": 1}"},
        {false, true, 200, "{\"status\": 1, \"quota_limited\": [\"recordings\"]}"},
        {true, false, 204, ""},
        {true, true, 204, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct fake_exchange x;

        fake_http_init(&x, HTTP_M_POST, "/e", "", SLICE_NONE);
        capture_reply_ok(&x.req, table[i].is_beacon, table[i].recordings_limited);
        assert_answer(&x, table[i].status, table[i].body);
        fake_http_fini(&x);
    }
}

static void says_what_is_wrong(void **state)
{
    static const struct {
        enum capture_reply reply;
        const char *detail;
        int status;
        const char *body;
    } table[] = {
        {CAPTURE_NO_DATA, "", 400,
         "{\"type\": \"validation_error\", \"code\": \"no_data\", \"detail\": \"No data found. "
         "Make sure to use a POST "
         "request when sending the payload in the body of the request.\", \"attr\": null}"},
        {CAPTURE_INVALID_PAYLOAD, "say \"x\"", 400,
         "{\"type\": \"validation_error\", \"code\": \"invalid_payload\", \"detail\": \"say "
         "\\\"x\\\"\", \"attr\": null}"},
        {CAPTURE_INVALID_PROJECT, "", 400,
         "{\"type\": \"validation_error\", \"code\": \"invalid_project\", \"detail\": \"Invalid "
         "Project ID.\", \"attr\": "
         "\"project_id\"}"},
        {CAPTURE_MISSING_KEY, "", 401,
         "{\"type\": \"authentication_error\", \"code\": \"missing_api_key\", \"detail\": \"API "
         "key not provided. You can "
         "find your project API key in PostHog project settings.\", \"attr\": null}"},
        {CAPTURE_INVALID_KEY, "", 401,
         "{\"type\": \"authentication_error\", \"code\": \"invalid_api_key\", \"detail\": "
         "\"Project API key invalid. You "
         "can find your project API key in PostHog project settings.\", \"attr\": null}"},
        {CAPTURE_INVALID_PERSONAL_KEY, "", 401,
         "{\"type\": \"authentication_error\", \"code\": \"invalid_personal_api_key\", \"detail\": "
         "\"Invalid Personal API "
         "key.\", \"attr\": null}"},
        {CAPTURE_TOO_LARGE, "", 413,
         "{\"type\": \"client_error\", \"code\": \"request_too_large\", \"detail\": \"Request too "
         "large.\", \"attr\": "
         "null}"},
        {CAPTURE_UNAVAILABLE, "", 503,
         "{\"type\": \"server_error\", \"code\": \"server_error\", \"detail\": \"Unable to store "
         "event. Please try again. "
         "If you are the owner of this app you can check the logs for further details.\", "
         "\"attr\": null}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct fake_exchange x;

        fake_http_init(&x, HTTP_M_POST, "/e", "", SLICE_NONE);
        capture_reply_error(&x.req, table[i].reply, slice_cstr(table[i].detail));
        assert_answer(&x, table[i].status, table[i].body);
        assert_slice(fake_http_answer_header(&x, "Retry-After"), table[i].status == 503 ? "5" : "");
        fake_http_fini(&x);
    }
}

static void every_reply_is_complete(void **state)
{
    (void)state;
    for (int i = CAPTURE_OK + 1; i < CAPTURE_REPLY_COUNT; i++) {
        struct fake_exchange x;

        fake_http_init(&x, HTTP_M_POST, "/e", "", SLICE_NONE);
        capture_reply_error(&x.req, (enum capture_reply)i, SLICE_NONE);
        assert_true(x.status >= 400 && x.status < 600);
        assert_true(strlen(capture_reply_code((enum capture_reply)i)) > 0);
        fake_http_fini(&x);
    }
}

static void bounds_the_detail(void **state)
{
    struct buf detail = BUF_INIT(1 << 16);
    struct fake_exchange x;

    (void)state;
    for (int i = 0; i < 10000; i++)
        buf_add_char(&detail, 'x');
    fake_http_init(&x, HTTP_M_POST, "/e", "", SLICE_NONE);
    capture_reply_error(&x.req, CAPTURE_INVALID_PAYLOAD, buf_slice(&detail));
    assert_true(x.body_len < 1200);
    assert_memory_equal(x.body + x.body_len - 16, "\", \"attr\": null}", 16);
    fake_http_fini(&x);
    buf_free(&detail);
}

static void answers_refusals_of_the_server(void **state)
{
    static const struct {
        int status;
        const char *code, *detail;
    } table[] = {
        {404, "\"not_found\"", "\"Endpoint not found.\""},
        {405, "\"method_not_allowed\"", "\"Method \\\"PUT\\\" not allowed.\""},
        {408, "\"request_timeout\"", "in time"},
        {413, "\"request_too_large\"", "\"Request too large.\""},
        {431, "\"headers_too_large\"", "headers"},
        {503, "\"server_error\"", "Unable to store event."},
        {400, "\"bad_request\"", "\"why\""},
        {505, "\"bad_request\"",
         "\"why\""}, /* a status that this API does not know keeps its number */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct fake_exchange x;

        fake_http_init(&x, HTTP_M_PUT, "/e", "", SLICE_NONE);
        capture_reply_refusal(&x.req, table[i].status, "why");
        x.body[x.body_len] = 0;
        assert_int_equal(x.status, table[i].status);
        assert_non_null(strstr(x.body, table[i].code));
        assert_non_null(strstr(x.body, table[i].detail));
        fake_http_fini(&x);
    }
}

/* --- CORS --- */

static void cuts_origins(void **state)
{
    static const char *const table[][2] = {
        {"https://shop.example.com", "https://shop.example.com"},
        {"http://localhost:3000", "http://localhost:3000"},
        {"http://localhost:3000/path?x", "http://localhost:3000"},
        {"https://a.example?x", "https://a.example"},
        {"capacitor://localhost", "capacitor://localhost"},
        {"null", "null"},
        {"", ""},
        {"*", ""},
        {"shop.example.com", ""},
        {"https://", ""},
        {"https:///x", ""},
        {"://x", ""},
        {"a:b", ""},
        {"chrome-extension://abc", "chrome-extension://abc"},
        {"1a://b", ""},
        {"a b://c", ""},
        {"\"a\"://c", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_slice(capture_reply_origin(slice_cstr(table[i][0])), table[i][1]);
    assert_slice(capture_reply_origin(SLICE("a\0b://c")), "");
}

static void adds_cors_headers(void **state)
{
    struct fake_exchange x;

    (void)state;
    fake_http_init(&x, HTTP_M_POST, "/e", "", SLICE_NONE);
    fake_http_header(&x, "origin", "https://shop.example.com/page");
    capture_reply_cors(&x.req);
    assert_slice(fake_http_answer_header(&x, "Access-Control-Allow-Origin"),
                 "https://shop.example.com");
    assert_slice(fake_http_answer_header(&x, "Access-Control-Allow-Credentials"), "true");
    assert_slice(fake_http_answer_header(&x, "Access-Control-Allow-Methods"), "GET, POST, OPTIONS");
    assert_slice(fake_http_answer_header(&x, "Access-Control-Allow-Headers"),
                 "X-Requested-With,Content-Type");
    assert_slice(fake_http_answer_header(&x, "Vary"), "Origin");
    assert_int_equal(x.answer_header_count, 5);
    fake_http_fini(&x);
}

static void mirrors_what_a_preflight_asks(void **state)
{
    struct fake_exchange x;

    (void)state;
    fake_http_init(&x, HTTP_M_OPTIONS, "/e", "", SLICE_NONE);
    fake_http_header(&x, "Origin", "null");
    fake_http_header(&x, "Access-Control-Request-Headers", "content-type,x-custom");
    fake_http_header(&x, "Access-Control-Request-Private-Network", "true");
    capture_reply_cors(&x.req);
    assert_slice(fake_http_answer_header(&x, "Access-Control-Allow-Origin"), "null");
    assert_slice(fake_http_answer_header(&x, "Access-Control-Allow-Headers"),
                 "content-type,x-custom");
    assert_slice(fake_http_answer_header(&x, "Access-Control-Allow-Private-Network"), "true");
    fake_http_fini(&x);
}

static void adds_nothing_without_origin(void **state)
{
    struct fake_exchange x;

    (void)state;
    fake_http_init(&x, HTTP_M_OPTIONS, "/e", "", SLICE_NONE);
    fake_http_header(&x, "Access-Control-Request-Headers", "content-type");
    capture_reply_cors(&x.req);
    assert_int_equal(x.answer_header_count, 0);
    fake_http_header(&x, "Origin", "nonsense");
    capture_reply_cors(&x.req);
    assert_int_equal(x.answer_header_count, 0);
    fake_http_fini(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_ok),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(every_reply_is_complete),
        cmocka_unit_test(bounds_the_detail),
        cmocka_unit_test(answers_refusals_of_the_server),
        cmocka_unit_test(cuts_origins),
        cmocka_unit_test(adds_cors_headers),
        cmocka_unit_test(mirrors_what_a_preflight_asks),
        cmocka_unit_test(adds_nothing_without_origin),
    };
    return cmocka_run_group_tests_name("capture_reply", tests, NULL, NULL);
}
