/* Calendar arithmetic of our own: libc's time functions know zones, locks and locales that have no
 * place here. Days are counted in eras of 400 years (146,097 days) that begin on 1 March, so that
 * the leap day is a year's last day (Howard Hinnant, "chrono-compatible low-level date
 * algorithms"). */
#include "base/iso8601.h"

#include <stdio.h>

#define SECOND_US        1000000LL
#define DAY_US           (86400 * SECOND_US)
#define YEAR_0000_US     (-62167219200LL * SECOND_US)
#define YEAR_9999_END_US (253402300800LL * SECOND_US - 1)

struct reader {
    const char *at, *end;
};

static int64_t days_from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    unsigned year_of_era = (unsigned)(y - era * 400);
    unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + (int64_t)day_of_era - 719468;
}

// Division that rounds down, for times before 1970.
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

void iso8601_to_civil(int64_t us, int *year, unsigned *month, unsigned *day)
{
    int64_t days = floor_div(us, DAY_US) + 719468;
    int64_t era = floor_div(days, 146097);
    unsigned doe = (unsigned)(days - era * 146097); // day of era, year of era, day of year
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned shifted = (5 * doy + 2) / 153; // 0 = March

    *day = doy - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = (int)((int64_t)yoe + era * 400 + (*month <= 2));
}

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && is_leap(year));
}

// Monday 1 .. Sunday 7. Day 0 (1 January 1970) was a Thursday.
static unsigned weekday(int64_t days)
{
    return (unsigned)(((days + 3) % 7 + 7) % 7) + 1;
}

// Weeks of an ISO year: 53 when 1 January is a Thursday, or a Wednesday of a leap year.
static unsigned year_weeks(unsigned year)
{
    unsigned first = weekday(days_from_civil(year, 1, 1));

    return first == 4 || (first == 3 && is_leap(year)) ? 53 : 52;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take(struct reader *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

// Exactly `count` digits, with a value in [low, high].
static bool take_number(struct reader *r, int count, unsigned low, unsigned high, unsigned *value)
{
    unsigned sum = 0;

    if (r->end - r->at < count)
        return false;
    for (int i = 0; i < count; i++) {
        if (!is_digit(r->at[i]))
            return false;
        sum = sum * 10 + (unsigned)(r->at[i] - '0');
    }
    if (sum < low || sum > high)
        return false;
    r->at += count;
    *value = sum;
    return true;
}

static size_t digits_ahead(const struct reader *r)
{
    const char *p = r->at;

    while (p < r->end && is_digit(*p))
        p++;
    return (size_t)(p - r->at);
}

static bool take_week(struct reader *r, unsigned year, int64_t *days)
{
    unsigned week, day = 1;
    int64_t fourth = days_from_civil(year, 1, 4); // always in week 1

    if (!take_number(r, 2, 1, year_weeks(year), &week))
        return false;
    if (take(r, '-') && !take_number(r, 1, 1, 7, &day))
        return false;
    *days = fourth - (int64_t)weekday(fourth) + (int64_t)(week - 1) * 7 + (int64_t)day;
    return true;
}

static bool take_date(struct reader *r, int64_t *days)
{
    unsigned year, month = 1, day = 1;

    if (!take_number(r, 4, 0, 9999, &year))
        return false;
    if (take(r, '-')) {
        if (take(r, 'W'))
            return take_week(r, year, days);
        if (digits_ahead(r) == 3) {
            if (!take_number(r, 3, 1, 365 + is_leap(year), &day))
                return false;
            *days = days_from_civil(year, 1, 1) + (int64_t)day - 1;
            return true;
        }
        if (!take_number(r, 2, 1, 12, &month))
            return false;
        if (take(r, '-') && !take_number(r, 2, 1, month_days(year, month), &day))
            return false;
    }
    *days = days_from_civil(year, month, day);
    return true;
}

static bool take_fraction(struct reader *r, int64_t *us)
{
    size_t count = digits_ahead(r);
    int64_t unit = 100000;

    if (count < 1 || count > 9)
        return false;
    for (; count > 0; count--, unit /= 10)
        *us += (*r->at++ - '0') * unit; // past the sixth digit the unit is 0: truncated
    return true;
}

// hh[:mm[:ss[.f]]], 24:00:00 being the end of the day.
static bool take_time(struct reader *r, int64_t *us)
{
    unsigned hour, minute = 0, second = 0;

    *us = 0;
    if (!take_number(r, 2, 0, 24, &hour))
        return false;
    if (take(r, ':')) {
        if (!take_number(r, 2, 0, 59, &minute))
            return false;
        if (take(r, ':')) {
            if (!take_number(r, 2, 0, 59, &second))
                return false;
            if (take(r, '.') && !take_fraction(r, us))
                return false;
        }
    }
    *us += (int64_t)(hour * 3600 + minute * 60 + second) * SECOND_US;
    return *us <= DAY_US;
}

// Z, +hh, +hhmm, +hh:mm; nothing is UTC.
static bool take_zone(struct reader *r, int64_t *us)
{
    unsigned hours, minutes = 0;
    bool is_west;

    *us = 0;
    if (r->at == r->end || take(r, 'Z') || take(r, 'z'))
        return true;
    is_west = take(r, '-');
    if (!is_west && !take(r, '+'))
        return false;
    if (!take_number(r, 2, 0, 23, &hours))
        return false;
    if (r->at < r->end) {
        take(r, ':');
        if (!take_number(r, 2, 0, 59, &minutes))
            return false;
    }
    *us = (int64_t)(hours * 60 + minutes) * 60 * SECOND_US;
    if (is_west)
        *us = -*us;
    return true;
}

static struct reader reader_of(struct slice text)
{
    struct slice s = slice_trim(text);

    return (struct reader){.at = s.ptr, .end = s.ptr ? s.ptr + s.len : NULL};
}

bool iso8601_parse(struct slice text, int64_t *us)
{
    struct reader r = reader_of(text);
    int64_t days, time = 0, zone = 0;

    if (!take_date(&r, &days))
        return false;
    if (r.at < r.end) {
        if (!take(&r, 'T') && !take(&r, 't') && !take(&r, ' '))
            return false;
        if (!take_time(&r, &time) || !take_zone(&r, &zone))
            return false;
    }
    if (r.at != r.end)
        return false;
    *us = days * DAY_US + time - zone;
    return true;
}

// One of `count` names of three letters, in any case; counted from 1.
static bool take_name(struct reader *r, const char *names, unsigned count, unsigned *number)
{
    for (unsigned i = 0; i < count && r->end - r->at >= 3; i++) {
        if (!slice_eq_nocase(slice_make(r->at, 3), slice_make(names + (size_t)i * 3, 3)))
            continue;
        r->at += 3;
        *number = i + 1;
        return true;
    }
    return false;
}

static bool take_rfc_zone(struct reader *r, int64_t *us)
{
    struct slice rest = slice_make(r->at, (size_t)(r->end - r->at));

    if (slice_eq_nocase(rest, SLICE("GMT")) || slice_eq_nocase(rest, SLICE("UTC")) ||
        slice_eq_nocase(rest, SLICE("UT"))) {
        *us = 0;
        r->at = r->end;
        return true;
    }
    return rest.len > 0 && take_zone(r, us);
}

bool iso8601_parse_rfc1123(struct slice text, int64_t *us)
{
    struct reader r = reader_of(text);
    unsigned day_name = 0, day, month, year;
    int64_t days, time, zone;

    if (take_name(&r, "MonTueWedThuFriSatSun", 7, &day_name) && (!take(&r, ',') || !take(&r, ' ')))
        return false;
    if (!take_number(&r, digits_ahead(&r) == 1 ? 1 : 2, 1, 31, &day) || !take(&r, ' '))
        return false;
    if (!take_name(&r, "JanFebMarAprMayJunJulAugSepOctNovDec", 12, &month) || !take(&r, ' '))
        return false;
    if (!take_number(&r, 4, 0, 9999, &year) || day > month_days(year, month) || !take(&r, ' '))
        return false;
    days = days_from_civil(year, month, day);
    if (day_name != 0 && day_name != weekday(days))
        return false;
    if (!take_time(&r, &time) || !take(&r, ' ') || !take_rfc_zone(&r, &zone) || r.at != r.end)
        return false;
    *us = days * DAY_US + time - zone;
    return true;
}

// Writes up to the seconds and gives back the microseconds within the second.
static unsigned put_seconds(int64_t us, char out[ISO8601_LEN_MAX], int *len)
{
    int64_t clamped = MAX(YEAR_0000_US, MIN(us, YEAR_9999_END_US));
    int64_t in_day = clamped - floor_div(clamped, DAY_US) * DAY_US;
    unsigned second = (unsigned)(in_day / SECOND_US);
    unsigned month, day;
    int year;

    iso8601_to_civil(clamped, &year, &month, &day);
    *len = snprintf(out, ISO8601_LEN_MAX, "%04d-%02u-%02uT%02u:%02u:%02u", year, month, day,
                    second / 3600, second / 60 % 60, second % 60);
    return (unsigned)(in_day % SECOND_US);
}

char *iso8601_ms(int64_t us, char out[ISO8601_LEN_MAX])
{
    int len;
    unsigned rest = put_seconds(us, out, &len);

    snprintf(out + len, (size_t)(ISO8601_LEN_MAX - len), ".%03uZ", rest / 1000);
    return out;
}

char *iso8601_python(int64_t us, char out[ISO8601_LEN_MAX])
{
    int len;
    unsigned rest = put_seconds(us, out, &len);

    if (rest != 0)
        len += snprintf(out + len, (size_t)(ISO8601_LEN_MAX - len), ".%06u", rest);
    snprintf(out + len, (size_t)(ISO8601_LEN_MAX - len), "+00:00");
    return out;
}
