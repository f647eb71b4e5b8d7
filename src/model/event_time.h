/* event_time.h - when an event happened: timestamp, offset, sent_at and the server's clock. Any
 * thread. */
#pragma once

#include "model/json_value.h"

#define EVENT_TIME_BAD_TIMESTAMP 1u /* ignored, the clock was taken */
#define EVENT_TIME_BAD_SENT_AT   2u
#define EVENT_TIME_IN_FUTURE     4u /* more than 23 h after now; kept */

struct event_time_input {
    yyjson_val *timestamp; /* NULL when absent */
    yyjson_val *offset;
    bool has_sent_at;
    int64_t sent_at_us;
    bool ignore_sent_at; /* $ignore_sent_at */
    int64_t now_us;      /* receive time */
    int64_t clock_us;    /* time of handling */
};

/* Returns the event's time (ms precision kept to us); sets bits in *warnings. */
int64_t event_time_resolve(const struct event_time_input *in, unsigned *warnings);
/* A client's time text (ISO 8601 forms, RFC 1123) or number of ms. */
MUST_CHECK bool event_time_parse(yyjson_val *value, int64_t *us);
/* sent_at of capture: digits (more than 11 characters: ms, else seconds; a fraction may follow) or
 * ISO 8601. */
MUST_CHECK bool event_time_parse_sent_at(struct slice text, int64_t *us);
