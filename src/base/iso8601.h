/* iso8601.h - calendar texts. Proleptic Gregorian calendar, UTC, microseconds since 1970. Any
 * thread.
 *
 * iso8601_parse takes `YYYY-MM-DD[(T| )hh[:mm[:ss[.f{1,9}]]][Z|+hh|+hhmm|+hh:mm]]` (t and z too)
 * and the dates that JavaScript date libraries take: `YYYY`, `YYYY-MM`, `YYYY-DDD`, `YYYY-Www[-D]`,
 * each with or without a time; 24:00:00; a time without zone is UTC; spaces around are ignored.
 * Ranges are checked; digits behind the microsecond are cut off.
 */
#pragma once

#include "base/str.h"

#define ISO8601_LEN_MAX 40

MUST_CHECK bool iso8601_parse(struct slice text, int64_t *us);
/* RFC 822/1123: `Fri, 29 Oct 2021 00:00:00 GMT` (zone GMT, UTC, UT, Z or a numeric offset;
 * the day's name may be missing but must be right). */
MUST_CHECK bool iso8601_parse_rfc1123(struct slice text, int64_t *us);
/* 2020-01-01T12:00:05.050Z; truncates to ms; clamps to the years 0..9999. Returns out. */
char *iso8601_ms(int64_t us, char out[ISO8601_LEN_MAX]);
/* 2022-04-30T12:00:00.123456+00:00; the fraction is left out when zero (Python's isoformat). */
char *iso8601_python(int64_t us, char out[ISO8601_LEN_MAX]);
void iso8601_to_civil(int64_t us, int *year, unsigned *month, unsigned *day);
