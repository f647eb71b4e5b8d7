/* http_route.h - finds the route of a request. The table is sorted once and then only read.
 *
 * Exact patterns come first, then those with `:name` segments (fixed segments before named ones),
 * then the longest prefix. The most specific pattern decides: if it is there but not for the
 * method, the answer is 405, whatever a less specific one says. Routes may share a pattern (one per
 * method). Ownership: the routes are the caller's and outlive the router.
 */
#pragma once

#include "net/http_server.h"

struct http_router;

struct http_match {
    const struct http_route *route; /* NULL: 404, or 405 when `allow` is not 0 */
    unsigned allow;                 /* HTTP_M_ bits of all routes with the matching pattern */
    struct http_param params[4];    /* values as sent, not decoded */
    size_t param_count;
};

/* NULL (ERR_BUG) for patterns that nothing can match: no leading /, empty or more than 4 names, a
 * name in a prefix, no method, no handler. */
MUST_CHECK struct http_router *http_router_new(const struct http_route *routes, size_t count,
                                               struct err *err);
void http_router_free(struct http_router *r);
void http_router_find(const struct http_router *r, struct slice path, enum http_method method,
                      struct http_match *match);
