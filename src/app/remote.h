/* remote.h - calls of the command line to the running server's admin listener. MAIN. */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "conf/conf.h"
#include "net/http_client.h"

struct remote {
    struct buf base;          /* http://host:port */
    struct buf authorization; /* Authorization: Bearer … */
    struct buf capture;       /* http://host:port of the capture listener */
};

/* Where the server is: settings, or DATA_DIR/ports.json of a running one when the port is not set
 * or 0. capture_url may be NULL. */
void remote_add_urls(const struct conf *conf, struct buf *admin_url, struct buf *capture_url);
/* The same, and the token from ADMIN_TOKEN or DATA_DIR/admin.token. */
MUST_CHECK bool remote_open(struct remote *r, const struct conf *conf, struct err *err);
void remote_close(struct remote *r);
/* One call. The answer's JSON (caller: json_free), NULL with a sentence that tells what to do.
 * Faults that the server lists are in err->text, one per line, as far as they fit; *details (may be
 * NULL) receives all of them. */
MUST_CHECK cJSON *remote_call(struct remote *r, const char *method, const char *path,
                              struct slice body, struct buf *details, struct err *err);
/* A stream: on_data for every piece; ends when the server or the callback ends it. */
MUST_CHECK bool remote_stream(struct remote *r, const char *path,
                              bool (*on_data)(struct slice, void *), void *ctx, struct err *err);
/* name=value for a query, percent-encoded; the caller puts ? or & in front. */
void remote_add_query(struct buf *path, const char *name, struct slice value);
