/* capture_priv.h - what the files of this folder share.
 *
 * The way of a request:
 *
 *   http_request -> fields (form.c) -> raw bytes -> JSON text -> tree (body.c)
 *                -> team (token.c) -> feed group (event_in.c) -> answer (reply.c)
 *
 * The parsers work on slices and trees, do no I/O and know no sockets. What they refuse comes back
 * as an enum capture_reply, because the answer is more than an error code: status, type, code.
 * `err->text` then holds the detail for the client, or stays empty where the table in reply.c has
 * it.
 */
#pragma once

#include "in/capture/capture.h"
#include "model/event.h"
#include "model/json_value.h"

/* --- answers (reply.c) --- */

enum capture_reply {
    CAPTURE_OK,
    CAPTURE_NO_DATA,
    CAPTURE_INVALID_PAYLOAD,
    CAPTURE_INVALID_PROJECT,
    CAPTURE_MISSING_KEY,
    CAPTURE_INVALID_KEY,
    CAPTURE_INVALID_PERSONAL_KEY,
    CAPTURE_INCONSISTENT_KEY,
    CAPTURE_BAD_REQUEST, /* what the HTTP server refuses, by status */
    CAPTURE_NOT_FOUND,
    CAPTURE_METHOD,
    CAPTURE_TIMEOUT,
    CAPTURE_TOO_LARGE,
    CAPTURE_BAD_EXPECTATION,
    CAPTURE_HEAD_TOO_LARGE,
    CAPTURE_NOT_IMPLEMENTED,
    CAPTURE_UNAVAILABLE,
    CAPTURE_REPLY_COUNT
};

/* The word that stands in `code` and in the metric's label. */
const char *capture_reply_code(enum capture_reply reply);
/* The usual sentence for the client. */
const char *capture_reply_detail(enum capture_reply reply);
/* The reply for a status that the HTTP server refuses with; BAD_REQUEST when there is none of its
 * own. */
enum capture_reply capture_reply_of_status(int status);
/* 200 or, for beacons, 204. */
void capture_reply_ok(struct http_request *req, bool is_beacon, bool recordings_limited);
/* An empty detail means the usual one of this reply. */
void capture_reply_error(struct http_request *req, enum capture_reply reply, struct slice detail);
/* What the HTTP server refuses itself; its own words only where this API has none. */
void capture_reply_refusal(struct http_request *req, int status, const char *detail);
/* The CORS headers for an answer to `req`: none without Origin. */
void capture_reply_cors(struct http_request *req);
/* SCHEME://HOST[:PORT] of an Origin header, or "null"; empty when it is neither. */
struct slice capture_reply_origin(struct slice header);

/* --- query and form fields (form.c) --- */

struct capture_fields {
    struct slice data, api_key, token, compression, sent_at, underscore, project_id, beacon;
};

/* Of each known name the first value, percent-decoded, in the arena; the others stay as they are.
 */
void capture_form_read(struct slice text, struct arena *arena, struct capture_fields *fields);

/* --- bytes to tree (body.c) --- */

enum capture_hint { CAPTURE_HINT_NONE, CAPTURE_HINT_GZIP, CAPTURE_HINT_LZ64, CAPTURE_HINT_BASE64 };

struct capture_source {
    bool is_get;
    struct slice body;
    struct slice content_type;     /* header, may be empty */
    struct slice content_encoding; /* header, may be empty */
    struct capture_fields query;
    struct capture_fields form; /* filled by capture_body_choose */
};

/* The raw payload; empty when the request holds none. */
struct slice capture_body_choose(struct capture_source *src, struct arena *arena);
/* How the client says it packed the payload: query, form, header. */
enum capture_hint capture_body_hint(const struct capture_source *src);

/* Where unpacked bytes live; two, because each layer is read out of the other one. */
struct capture_unpacked {
    struct buf work[2];
};
#define CAPTURE_UNPACKED_INIT(max_bytes) \
    ((struct capture_unpacked){.work = {BUF_INIT(max_bytes), BUF_INIT(max_bytes)}})
void capture_unpacked_free(struct capture_unpacked *u);

/* Takes gzip and base64 off until JSON text is left. *json points into raw or `u`. */
MUST_CHECK enum capture_reply capture_body_unpack(struct slice raw, enum capture_hint hint,
                                                  struct capture_unpacked *u, struct slice *json,
                                                  struct err *err);
/* The tree: an object or array that is not empty. */
MUST_CHECK enum capture_reply capture_body_parse(struct slice json, size_t memory_max,
                                                 struct json_doc *doc, struct err *err);
/* Python's idea of true, which the clients' servers always had: null, false, 0, "", [] and {} are
 * not. */
bool capture_body_is_filled(yyjson_val *v);

/* --- whose events (token.c) --- */

struct capture_token_input {
    const struct capture_source *src;
    yyjson_val *root;
    const struct team_set *teams;
    bool any_token;
};

/* *team lives as long as the set. */
MUST_CHECK enum capture_reply capture_token_team(const struct capture_token_input *in,
                                                 const struct team **team);

/* --- events (event_in.c) --- */

enum capture_drop {
    CAPTURE_DROP_NO_ID,
    CAPTURE_DROP_NO_NAME,
    CAPTURE_DROP_TOO_BIG,
    CAPTURE_DROP_LISTED,
    CAPTURE_DROP_EVENT_QUOTA,
    CAPTURE_DROP_RECORDING_QUOTA,
    CAPTURE_DROP_COUNT
};

struct capture_events_input {
    yyjson_val *root;
    size_t text_bytes; /* of the JSON text: how much room the group may need */
    size_t event_bytes_max;
    size_t group_bytes_max; /* of the records together; over: CAPTURE_TOO_LARGE at once */
    const struct team *team;
    struct slice ip, site_url, traceparent;
    int64_t now_us;
    bool has_sent_at;
    int64_t sent_at_us;
};

struct capture_events {
    struct feed_group *group; /* the caller's; NULL when no event is left */
    size_t received;
    size_t accepted;
    size_t dropped[CAPTURE_DROP_COUNT];
};

/* On anything but CAPTURE_OK there is no group, and nothing to free. */
MUST_CHECK enum capture_reply capture_events_read(const struct capture_events_input *in,
                                                  struct capture_events *out, struct err *err);

/* When the client sent the request: false when it does not say; *is_bad when it says so unreadably.
 */
bool capture_events_sent_at(const struct capture_source *src, yyjson_val *root, int64_t *us,
                            bool *is_bad);

/* --- who is behind the connection (proxy.c) --- */

struct capture_proxies;

/* ERR_INPUT names the part of TRUSTED_PROXIES that is no address or network. */
MUST_CHECK struct capture_proxies *capture_proxies_new(const char *list, struct err *err);
void capture_proxies_free(struct capture_proxies *p);
bool capture_proxies_trust(const struct capture_proxies *p, struct slice peer, bool is_private);
/* The client's address: out of X-Forwarded-For when the peer is trusted, else the peer. */
struct slice capture_proxy_client_ip(struct slice peer, bool is_trusted,
                                     struct slice forwarded_for);

struct capture_site {
    struct slice host;           /* header Host */
    struct slice forwarded_host; /* both only looked at when is_trusted */
    struct slice forwarded_proto;
    bool is_trusted;
};
/* Scheme and host that the client used, in the arena; empty when unknown. */
struct slice capture_proxy_site_url(const struct capture_site *site, struct arena *arena);
