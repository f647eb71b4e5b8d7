/* http_client.h - small blocking HTTP/1.1 client for the command line and the health check.
 *
 * Plain http only, one request per connection, llhttp parses. Any thread. Not for plugins or
 * deliveries: it follows no redirects and guards against no addresses.
 * Errors: ERR_INPUT (URL or header is not one), ERR_RETRY (nobody answers, too slow, broken off),
 * ERR_LIMIT (the body is larger than reply->body's maximum), ERR_CORRUPT (the answer is no HTTP).
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct http_call {
    const char *method;
    const char *url;            /* http://host:port/path?query */
    const char *const *headers; /* "Name: value", NULL-terminated, or NULL */
    struct slice body;
    int64_t timeout_us; /* for the whole call; looking up a name is not included */
    /* When set, body bytes go here as they come (false ends the call, which has then succeeded)
     * instead of into the reply. From the answer's head on the time limit is for each wait. */
    bool (*on_data)(struct slice bytes, void *ctx);
    void *ctx;
};

struct http_reply {
    int status;
    struct buf body;       /* give it a maximum before the call */
    int64_t retry_after_s; /* -1 when absent */
};

/* Any status is a success; reply->body belongs to the caller in any case. */
MUST_CHECK bool http_client_call(const struct http_call *call, struct http_reply *reply,
                                 struct err *err);
