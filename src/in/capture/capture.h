/* capture.h - the PostHog capture API: request bodies become event groups in the feed.
 *
 * Runs on NET threads. A 2xx is sent only after the feed said the group is durable (the 204 of a
 * beacon too).
 */
#pragma once

#include "metric/metric.h"
#include "model/team.h"
#include "net/http_server.h"
#include "ring/feed.h"

struct capture;

struct capture_options {
    struct feed_writer feed;
    struct team_directory *teams;
    struct metrics *metrics;  /* may be NULL */
    size_t body_bytes_max;    /* on the wire */
    size_t decoded_bytes_max; /* after decompression */
    size_t parse_bytes_max;   /* memory of one request's JSON tree */
    size_t event_bytes_max;
    size_t group_bytes_max;      /* records of one request; 0: 64 MiB. More than the feed takes at
                                    once is made in vain */
    bool any_token;              /* unknown tokens are taken as team 1 */
    const char *trusted_proxies; /* comma list of addresses, networks, or "all" */
};

MUST_CHECK struct capture *capture_new(const struct capture_options *opt, struct err *err);
void capture_free(struct capture *c);
/* Routes, refusals and the answer hook for a listener of net (ctx is the capture). */
const struct http_route *capture_routes(struct capture *c, size_t *count);
void capture_refuse(struct http_request *req, int status, const char *detail, void *ctx);
void capture_answer(struct http_request *req, int status, void *ctx);
/* While set, every capture request is answered 503 with Retry-After (disk full, stopping). Any
 * thread; static text. */
void capture_set_blocked(struct capture *c, const char *why); /* NULL: open again */
