/* When an event happened.
 *
 * The client's clock may be wrong, but it is wrong by the same amount in `timestamp` and `sent_at`,
 * so their difference is the age of the event when it was sent, and `now` minus that age is when it
 * happened on the server's clock. Everything is brought down to whole milliseconds first, as
 * clients and the analytics store count in them.
 */
#include "model/event_time.h"

#include "base/iso8601.h"

#include <math.h>
#include <stdlib.h>

#define MS        1000
#define HOUR_US   (3600 * (int64_t)1000000)
#define FUTURE_US (23 * HOUR_US)
/* Years 0..9999 in microseconds since 1970. */
#define TIME_MIN_US (-62167219200 * (int64_t)1000000)
#define TIME_MAX_US (253402300800 * (int64_t)1000000 - 1)

static int64_t floor_ms(int64_t us)
{
    int64_t rest = us % MS;

    return us - (rest < 0 ? rest + MS : rest);
}

static bool is_in_calendar(int64_t us)
{
    return us >= TIME_MIN_US && us <= TIME_MAX_US;
}

/* Milliseconds since 1970 as a client counts them; not NaN, not outside the calendar. */
static bool from_ms(double ms, int64_t *us)
{
    if (!(ms >= (double)(TIME_MIN_US / MS) && ms <= (double)(TIME_MAX_US / MS)))
        return false;
    *us = (int64_t)trunc(ms) * MS;
    return true;
}

bool event_time_parse(yyjson_val *value, int64_t *us)
{
    int64_t at;

    if (yyjson_is_num(value))
        return from_ms(yyjson_get_num(value), us);
    if (!yyjson_is_str(value))
        return false;
    if (!iso8601_parse(json_text(value), &at) &&
        !iso8601_parse_rfc1123(slice_trim(json_text(value)), &at))
        return false;
    if (!is_in_calendar(at))
        return false;
    *us = floor_ms(at);
    return true;
}

/* Digits with an optional fraction, as microseconds when one unit is `scale` of them. */
static bool parse_decimal(struct slice text, size_t digits, int64_t scale, int64_t *us)
{
    uint64_t whole = 0;
    int64_t fraction = 0;
    int64_t unit = scale;

    if (!slice_u64(slice_make(text.ptr, digits), &whole) || whole > (uint64_t)(TIME_MAX_US / scale))
        return false;
    for (size_t i = digits + 1; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        unit /= 10;
        fraction += unit * (text.ptr[i] - '0');
    }
    *us = (int64_t)whole * scale + fraction;
    return is_in_calendar(*us);
}

bool event_time_parse_sent_at(struct slice text, int64_t *us)
{
    size_t digits = 0;
    int64_t at;

    text = slice_trim(text);
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    /* Four digits could be a year, but nobody sends one: they are seconds like every bare number.
     */
    if (digits > 0 && (digits == text.len || text.ptr[digits] == '.'))
        return parse_decimal(text, digits, digits > 11 ? MS : (int64_t)1000000, us);
    if (!iso8601_parse(text, &at) || !is_in_calendar(at))
        return false;
    *us = at;
    return true;
}

int64_t event_time_resolve(const struct event_time_input *in, unsigned *warnings)
{
    int64_t now = floor_ms(in->now_us);
    bool has_sent_at = in->has_sent_at && !in->ignore_sent_at;
    int64_t result = now;
    int64_t stamp;

    if (has_sent_at && !is_in_calendar(in->sent_at_us)) {
        *warnings |= EVENT_TIME_BAD_SENT_AT;
        has_sent_at = false;
    }
    if (json_is_truthy(in->timestamp)) {
        if (!event_time_parse(in->timestamp, &stamp))
            goto bad;
        result = has_sent_at ? now + (stamp - floor_ms(in->sent_at_us)) : stamp;
    } else if (json_is_truthy(in->offset) && yyjson_is_num(in->offset)) {
        double ms = trunc(yyjson_get_num(in->offset));

        if (!(fabs(ms) < 1e15))
            goto bad;
        result = now - (int64_t)ms * MS;
    }
    if (!is_in_calendar(result))
        goto bad;
    if (result > now + FUTURE_US)
        *warnings |= EVENT_TIME_IN_FUTURE;
    return result;
bad:
    *warnings |= EVENT_TIME_BAD_TIMESTAMP;
    return floor_ms(in->clock_us);
}
