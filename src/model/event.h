/* event.h - the event on its way: the envelope that capture puts into the feed.
 *
 * Encoded form (payload of a RECORD_TYPE_EVENT record), little endian:
 *
 *   +---------+----------------------------------------------+------------------------+
 *   | version | fields: tag u8, length u32, bytes ...        | tag DATA, length, JSON |
 *   |  u8 = 1 |  (optional, any order; unknown tags skipped) | always the last field  |
 *   +---------+----------------------------------------------+------------------------+
 *
 * Tags never change their meaning; new ones are added. `data` is the JSON text of the event as the
 * client sent it (one object, `properties` ensured), UTF-8, at most 100 levels deep. Slices of a
 * decoded envelope point into the encoded bytes. Any thread.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "base/uuid.h"

#define EVENT_UUID_CHECKED \
    1u /* uuid came from the client or was derived from $insert_id: duplicates are found by it */
#define EVENT_HISTORICAL 2u /* historical_migration */

struct event_envelope {
    struct uuid uuid;
    int64_t team_id;
    struct slice distinct_id; /* 1..200 code points, no NUL */
    struct slice ip;          /* empty: none */
    struct slice site_url;    /* empty: none */
    struct slice token;
    struct slice traceparent; /* W3C, empty: none */
    int64_t now_us;           /* when the request came in */
    int64_t sent_at_us;       /* valid when has_sent_at */
    bool has_sent_at;
    uint32_t flags; /* EVENT_ */
    struct slice data;
};

size_t event_encoded_bytes(const struct event_envelope *e);
void event_encode(const struct event_envelope *e, char *out); /* exactly event_encoded_bytes */
/* ERR_CORRUPT when the bytes are not such an envelope (version, lengths, missing fields). */
MUST_CHECK bool event_decode(struct slice bytes, struct event_envelope *out, struct err *err);
/* The envelope as one JSON object (fields of the capture record: uuid, distinct_id, ip, site_url,
 * data as a string, team_id, now, sent_at, token), for dead letters and print sinks. */
struct buf;
bool event_envelope_json(const struct event_envelope *e, struct buf *out);
