/* Text to value. Stricter than the plugin server, which parsed the leading number of anything:
 * `900_000` is 900000, `.5` is 0.5, everything that is not one number is refused. Booleans keep its
 * rule: what is not true-like is false; odd texts are marked, so that they can be warned about.
 *
 * Ranges stand in the table as text and are read by the same functions: one grammar for both.
 */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <math.h>
#include <stdlib.h>

#define NUMBER_BYTES_MAX 60

/* Copies digits without the underscores between them. False on anything else. */
static bool copy_digits(struct slice s, char *out, size_t *len)
{
    char before = 0;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && (c != '_' || before == '_' || before == 0 || i + 1 == s.len))
            return false;
        if (is_digit) {
            if (*len + 1 >= NUMBER_BYTES_MAX)
                return false;
            out[(*len)++] = c;
        }
        before = c;
    }
    return true;
}

static bool parse_int(struct slice s, int64_t *value)
{
    char digits[NUMBER_BYTES_MAX];
    size_t len = 0;

    if (s.len > 0 && s.ptr[0] == '-') {
        digits[len++] = '-';
        s = slice_make(s.ptr + 1, s.len - 1);
    }
    return s.len > 0 && copy_digits(s, digits, &len) && slice_i64(slice_make(digits, len), value);
}

static bool parse_num(struct slice s, double *value)
{
    char digits[NUMBER_BYTES_MAX];
    size_t len = 0;

    if (s.len > 0 && s.ptr[0] == '-') {
        digits[len++] = '-';
        s = slice_make(s.ptr + 1, s.len - 1);
    }
    ptrdiff_t dot = slice_find(s, '.');
    struct slice whole = slice_make(s.ptr, dot == -1 ? s.len : (size_t)dot);
    struct slice part = dot == -1 ? SLICE_NONE : slice_make(s.ptr + dot + 1, s.len - whole.len - 1);
    if (dot == -1 ? whole.len == 0 : part.len == 0)
        return false;
    if (!copy_digits(whole, digits, &len))
        return false;
    if (dot != -1) {
        if (len + 1 >= NUMBER_BYTES_MAX)
            return false;
        digits[len++] = '.';
        if (!copy_digits(part, digits, &len))
            return false;
    }
    digits[len] = '\0';
    *value = strtod(digits, NULL);
    return isfinite(*value);
}

static bool parse_bytes(struct slice s, int64_t *value)
{
    static const struct {
        struct slice suffix;
        int64_t factor;
    } units[] = {
        {{"KiB", 3}, INT64_C(1) << 10},
        {{"MiB", 3}, INT64_C(1) << 20},
        {{"GiB", 3}, INT64_C(1) << 30},
        {{"TiB", 3}, INT64_C(1) << 40},
        {{"KB", 2}, 1000},
        {{"MB", 2}, 1000000},
        {{"GB", 2}, 1000000000},
        {{"TB", 2}, INT64_C(1000000000000)},
    };
    int64_t factor = 1;

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        size_t len = units[i].suffix.len;
        if (s.len <= len || !slice_eq_nocase(slice_make(s.ptr + s.len - len, len), units[i].suffix))
            continue;
        factor = units[i].factor;
        s = slice_trim(slice_make(s.ptr, s.len - len));
        break;
    }
    return parse_int(s, value) && !__builtin_mul_overflow(*value, factor, value);
}

static bool parse_bool(struct slice s, struct conf_value *v)
{
    static const char *const yes[] = {"y", "yes", "t", "true", "on", "1"};
    static const char *const no[] = {"n", "no", "f", "false", "off", "0", ""};

    v->b = false;
    v->is_odd = true;
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (slice_eq_nocase(s, slice_cstr(yes[i])))
            v->b = true;
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (slice_eq_nocase(s, slice_cstr(no[i])))
            v->is_odd = false;
    v->is_odd = v->is_odd && !v->b;
    return true;
}

static bool parse_number(const struct conf_info *info, struct slice s, struct conf_value *v)
{
    if (info->type == CONF_NUM)
        return parse_num(s, &v->n);
    return info->flags & CONF_BYTES ? parse_bytes(s, &v->i) : parse_int(s, &v->i);
}

/* Splits "1..10"; a missing end is an empty slice. False when `allowed` is no range. */
static bool range_ends(const char *allowed, struct slice *low, struct slice *high)
{
    const char *dots = strstr(allowed, "..");

    if (!dots)
        return false;
    *low = slice_make(allowed, (size_t)(dots - allowed));
    *high = slice_cstr(dots + 2);
    return true;
}

static bool in_range(const struct conf_info *info, const struct conf_value *v)
{
    struct slice low, high;
    struct conf_value end = {.i = 0};

    if (!range_ends(info->allowed, &low, &high))
        return true;
    if (low.len > 0) {
        CHECK(parse_number(info, low, &end));
        if (info->type == CONF_NUM ? v->n < end.n : v->i < end.i)
            return false;
    }
    if (high.len > 0) {
        CHECK(parse_number(info, high, &end));
        if (info->type == CONF_NUM ? v->n > end.n : v->i > end.i)
            return false;
    }
    return true;
}

/* The table's spelling of an allowed text, SLICE_NONE when it is not one. */
static struct slice allowed_find(const struct conf_info *info, struct slice text)
{
    struct slice rest = slice_cstr(info->allowed), one;

    while (slice_split(&rest, '|', &one))
        if (info->flags & CONF_NOCASE ? slice_eq_nocase(one, text) : slice_eq(one, text))
            return one;
    return SLICE_NONE;
}

static bool parse_list(const struct conf_info *info, struct slice text, struct buf *out)
{
    struct slice rest = text, item;

    while (slice_split(&rest, ',', &item)) {
        item = slice_trim(item);
        if (item.len == 0)
            continue;
        if (info->allowed[0] != '\0') {
            item = allowed_find(info, item);
            if (item.len == 0)
                return false;
        }
        if (out->len > 0)
            buf_add_char(out, ',');
        buf_add_slice(out, item);
    }
    return true;
}

/* An empty text is always fine for a string: it means unset. */
static bool parse_str(const struct conf_info *info, struct slice text, struct conf_value *v)
{
    struct buf list = BUF_INIT(text.len + 1);
    bool ok = true;

    if (info->flags & CONF_LIST) {
        ok = parse_list(info, text, &list);
        if (ok)
            v->text = slice_dup(buf_slice(&list));
    } else if (info->allowed[0] != '\0' && text.len > 0) {
        struct slice one = allowed_find(info, text);
        ok = one.len > 0;
        if (ok)
            v->text = slice_dup(one);
    } else {
        v->text = slice_dup(text);
    }
    buf_free(&list);
    return ok;
}

bool conf_value_parse(const struct conf_info *info, struct slice text, struct conf_value *out)
{
    struct conf_value v = {.text = NULL};
    struct buf number = BUF_INIT(400);

    switch (info->type) {
    case CONF_STR:
        if (!parse_str(info, text, &v))
            return false;
        break;
    case CONF_BOOL:
        if (!parse_bool(text, &v))
            return false;
        v.text = mem_dup_str(v.b ? "true" : "false");
        break;
    case CONF_INT:
    case CONF_NUM:
        if (!parse_number(info, text, &v) || !in_range(info, &v))
            return false;
        if (info->type == CONF_NUM)
            buf_addf(&number, "%.15g", v.n);
        else
            buf_add_i64(&number, v.i);
        v.text = mem_dup_str(buf_cstr(&number));
        buf_free(&number);
        break;
    }
    *out = v;
    return true;
}

void conf_value_free(struct conf_value *v)
{
    mem_free(v->text);
    v->text = NULL;
}

static void add_choices(const struct conf_info *info, struct buf *out)
{
    struct slice rest = slice_cstr(info->allowed), one;
    bool is_first = true;

    while (slice_split(&rest, '|', &one)) {
        if (!is_first)
            buf_add_str(out, ", ");
        buf_add_slice(out, one);
        is_first = false;
    }
}

void conf_value_expected(const struct conf_info *info, struct buf *out)
{
    struct slice low, high;

    switch (info->type) {
    case CONF_BOOL:
        buf_add_str(out, "true or false");
        return;
    case CONF_STR:
        if (info->flags & CONF_LIST)
            buf_add_str(out, "a comma list of ");
        if (info->allowed[0] == '\0')
            buf_add_str(out, info->flags & CONF_LIST ? "texts" : "any text");
        else if (!(info->flags & CONF_LIST))
            buf_add_str(out, "one of ");
        add_choices(info, out);
        return;
    case CONF_INT:
    case CONF_NUM:
        buf_add_str(out, info->flags & CONF_BYTES ? "a number of bytes (KiB, MiB, GiB may follow)"
                         : info->type == CONF_INT ? "a whole number"
                                                  : "a number");
        break;
    }
    if (!range_ends(info->allowed, &low, &high))
        return;
    if (low.len > 0)
        buf_addf(out, high.len > 0 ? " from %.*s" : ", at least %.*s", SLICE_ARG(low));
    if (high.len > 0)
        buf_addf(out, low.len > 0 ? " to %.*s" : ", at most %.*s", SLICE_ARG(high));
}
