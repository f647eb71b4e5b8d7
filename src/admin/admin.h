/* admin.h - the operator's listener: health, metrics, the page, and the API behind the page and the
 * command line.
 *
 * Handlers run on NET threads; what changes the store goes to STORE by pipe_call and is answered
 * when it has committed. Everything but /_health, /_ready, the login form and (from loopback, asked
 * for by address or as localhost) /metrics needs `Authorization: Bearer TOKEN` or the cookie of a
 * session. Answers are JSON; a fault is {"error": {"code", "message", "details"?}}.
 */
#pragma once

#include "admin/plugin_keeper.h"
#include "conf/conf.h"
#include "geo/geo.h"
#include "metric/metric.h"
#include "net/http_server.h"
#include "pipe/pipe.h"

struct admin;

struct admin_options {
    const struct conf *conf;
    struct metrics *metrics;
    struct net *net;
    struct team_directory *teams;
    const char *database_path;
    const char *token; /* bearer token; copied */
    const char *version;
    bool has_geoip;   /* a GeoIP database is configured: new teams start with the plugin */
    int64_t stale_us; /* HEALTHCHECK_MAX_STALE_SECONDS */
};

/* What is there only when the start is nearly over. */
struct admin_parts {
    struct pipe *pipe;
    struct feed_reader feed; /* for its status */
    struct plugin_keeper keeper;
    struct store store;      /* for reads of what is not in the file yet; outlives the admin */
    const char *capture_url; /* as a client on this machine writes it; copied */
    struct geo *geo;         /* for its status; may be NULL */
};

MUST_CHECK struct admin *admin_new(const struct admin_options *opt, struct err *err);
/* Once. Until then every answer is 503 and says that the server is starting. */
void admin_begin(struct admin *a, const struct admin_parts *parts);
/* After net_stop: no handler runs any more. */
void admin_free(struct admin *a);
const struct http_route *admin_routes(struct admin *a, size_t *count);
void admin_refuse(struct http_request *req, int status, const char *detail, void *ctx);
/* Adds the headers that tell browsers what the page may do. */
void admin_answer(struct http_request *req, int status, void *ctx);
/* Appends "/login?once=SECRET", which goes behind the listener's URL: it lets its first user in,
 * within an hour. A new one ends the one before. Any thread. */
void admin_login_url(struct admin *a, struct buf *out);
/* False from start until everything runs, and again when stopping: /_ready. Any thread. */
void admin_set_ready(struct admin *a, bool is_ready);
/* Ends all live streams; before net_drain. */
void admin_stop(struct admin *a);
