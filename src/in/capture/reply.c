/* reply.c - what clients get to read: status, error JSON, CORS headers.
 *
 * Clients decide by the status alone whether to send again, so the table below is behaviour, not
 * wording: 4xx is final for most of them, 413 makes some send halves, 503 brings the whole request
 * back.
 */
#include "in/capture/capture_priv.h"

#define RETRY_AFTER_S "5"
#define DETAIL_MAX    1024

static const struct {
    int status;
    const char *type, *code, *detail, *attr;
} replies[CAPTURE_REPLY_COUNT] = {
    [CAPTURE_OK] = {200, "", "", "", NULL},
    [CAPTURE_NO_DATA] = {400, "validation_error", "no_data",
                         "No data found. Make sure to use a POST request when sending the payload "
                         "in the body of the request.",
                         NULL},
    [CAPTURE_INVALID_PAYLOAD] = {400, "validation_error", "invalid_payload",
                                 "Malformed request data: The payload could not be read.", NULL},
    [CAPTURE_INVALID_PROJECT] = {400, "validation_error", "invalid_project", "Invalid Project ID.",
                                 "project_id"},
    [CAPTURE_MISSING_KEY] = {401, "authentication_error", "missing_api_key",
                             "API key not provided. You can find your project API key in PostHog "
                             "project settings.",
                             NULL},
    [CAPTURE_INVALID_KEY] =
        {401, "authentication_error", "invalid_api_key",
         "Project API key invalid. You can find your project API key in PostHog "
         "project settings.",
         NULL},
    [CAPTURE_INVALID_PERSONAL_KEY] = {401, "authentication_error", "invalid_personal_api_key",
                                      "Invalid Personal API key.", NULL},
    [CAPTURE_INCONSISTENT_KEY] = {401, "authentication_error", "inconsistent_api_key",
                                  "The events of one request must belong to one project, but they "
                                  "carry the API keys of several.",
                                  NULL},
    [CAPTURE_BAD_REQUEST] = {400, "invalid_request", "bad_request", "Bad request.", NULL},
    [CAPTURE_NOT_FOUND] = {404, "invalid_request", "not_found", "Endpoint not found.", NULL},
    [CAPTURE_METHOD] = {405, "invalid_request", "method_not_allowed", "Method not allowed.", NULL},
    [CAPTURE_TIMEOUT] = {408, "client_error", "request_timeout",
                         "The request was not sent completely in time.", NULL},
    [CAPTURE_TOO_LARGE] = {413, "client_error", "request_too_large", "Request too large.", NULL},
    [CAPTURE_BAD_EXPECTATION] = {417, "invalid_request", "expectation_failed",
                                 "Only \"Expect: 100-continue\" is understood.", NULL},
    [CAPTURE_HEAD_TOO_LARGE] = {431, "client_error", "headers_too_large",
                                "The headers of the request are too large.", NULL},
    [CAPTURE_NOT_IMPLEMENTED] = {501, "invalid_request", "not_implemented",
                                 "This way of sending a request is not supported.", NULL},
    [CAPTURE_UNAVAILABLE] =
        {503, "server_error", "server_error",
         "Unable to store event. Please try again. If you are the owner of this "
         "app you can check the logs for further details.",
         NULL},
};

const char *capture_reply_code(enum capture_reply reply)
{
    return replies[reply].code;
}

const char *capture_reply_detail(enum capture_reply reply)
{
    return replies[reply].detail;
}

enum capture_reply capture_reply_of_status(int status)
{
    for (int i = CAPTURE_BAD_REQUEST; i < CAPTURE_REPLY_COUNT; i++)
        if (replies[i].status == status)
            return (enum capture_reply)i;
    return CAPTURE_BAD_REQUEST;
}

void capture_reply_ok(struct http_request *req, bool is_beacon, bool recordings_limited)
{
    if (is_beacon)
        http_respond(req, 204, NULL, SLICE_NONE);
    else if (recordings_limited)
        http_respond(req, 200, "application/json",
                     SLICE("{\"status\": 1, \"quota_limited\": [\"recordings\"]}"));
    else
        http_respond(req, 200, "application/json", SLICE("{\"status\": 1}"));
}

static void respond(struct http_request *req, int status, enum capture_reply reply,
                    struct slice detail)
{
    struct buf body = BUF_INIT(8 * DETAIL_MAX);

    if (detail.len == 0)
        detail = slice_cstr(replies[reply].detail);
    buf_addf(&body, "{\"type\": \"%s\", \"code\": \"%s\", \"detail\": ", replies[reply].type,
             replies[reply].code);
    buf_add_json_str(&body, slice_make(detail.ptr, MIN(detail.len, (size_t)DETAIL_MAX)));
    buf_add_str(&body, ", \"attr\": ");
    if (replies[reply].attr)
        buf_addf(&body, "\"%s\"}", replies[reply].attr);
    else
        buf_add_str(&body, "null}");
    if (status == 503)
        http_answer_header(req, "Retry-After", SLICE(RETRY_AFTER_S));
    http_respond(req, status, "application/json", buf_slice(&body));
    buf_free(&body);
}

void capture_reply_error(struct http_request *req, enum capture_reply reply, struct slice detail)
{
    respond(req, replies[reply].status, reply, detail);
}

void capture_reply_refusal(struct http_request *req, int status, const char *detail)
{
    enum capture_reply reply = capture_reply_of_status(status);
    struct slice text = SLICE_NONE;

    if (reply == CAPTURE_METHOD)
        text = slice_cstr(
            arena_printf(req->arena, "Method \"%.*s\" not allowed.", SLICE_ARG(req->method_text)));
    else if (reply == CAPTURE_BAD_REQUEST)
        text = slice_cstr(detail);
    respond(req, status, reply, text);
}

/* --- CORS --- */

/* RFC 3986 §3.1 */
static bool is_scheme(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!is_letter && (i == 0 || c == 0 || !strchr("0123456789+-.", c)))
            return false;
    }
    return s.len > 0;
}

struct slice capture_reply_origin(struct slice header)
{
    struct slice origin = slice_trim(header), rest;
    ptrdiff_t colon = slice_find(origin, ':');
    size_t len;

    if (slice_eq(origin, SLICE("null")))
        return origin;
    if (colon < 1 || !is_scheme(slice_make(origin.ptr, (size_t)colon)))
        return SLICE_NONE;
    rest = slice_make(origin.ptr + colon, origin.len - (size_t)colon);
    if (!slice_starts(rest, SLICE("://")))
        return SLICE_NONE;
    for (len = 3; len < rest.len; len++)
        if (strchr("/?#", rest.ptr[len])) /* NUL too: it ends what an origin can be */
            break;
    return len > 3 ? slice_make(origin.ptr, (size_t)colon + len) : SLICE_NONE;
}

void capture_reply_cors(struct http_request *req)
{
    struct slice header = http_header_get(req, "Origin");
    struct slice origin, asked;

    if (!header.ptr)
        return;
    origin = capture_reply_origin(header);
    if (origin.len == 0)
        return;
    /* Never `*`: browsers refuse it for requests with credentials, which posthog-js makes. */
    http_answer_header(req, "Access-Control-Allow-Origin", origin);
    http_answer_header(req, "Access-Control-Allow-Credentials", SLICE("true"));
    http_answer_header(req, "Access-Control-Allow-Methods", SLICE("GET, POST, OPTIONS"));
    asked = http_header_get(req, "Access-Control-Request-Headers");
    http_answer_header(req, "Access-Control-Allow-Headers",
                       asked.len > 0 ? asked : SLICE("X-Requested-With,Content-Type"));
    http_answer_header(req, "Vary", SLICE("Origin"));
    if (slice_eq_nocase(http_header_get(req, "Access-Control-Request-Private-Network"),
                        SLICE("true")))
        http_answer_header(req, "Access-Control-Allow-Private-Network", SLICE("true"));
}
