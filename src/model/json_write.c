/* The one canonical text of a JSON value.
 *
 * Strings are copied by words of eight bytes, and only a word with a quote, a backslash or a
 * control character is taken apart. Repeated keys are rare, so an object is first asked whether it
 * has any (a fingerprint per key); only then the slower writer runs, which knows each key's last
 * value.
 */
#include "base/mem.h"
#include "model/json_index.h"
#include "model/json_value.h"

#include <math.h>
#include <stdlib.h>

#define REAL_TEXT_MAX 512 /* room for yyjson's writer */
#define FILTER_BITS   2048
#define FILTER_KEYS   32 /* more would often meet by chance */
#define ONES          UINT64_C(0x0101010101010101)
#define HIGHS         UINT64_C(0x8080808080808080)

static bool write_value(yyjson_val *v, bool is_clean, struct buf *out);

/* --- numbers ---------------------------------------------------------------------------------- */

/* Shortest digits that read back as `value` (positive, finite), without point and outer zeros, and
 * the place of the point: value = 0.DIGITS * 10^point. */
static size_t shortest_digits(double value, char digits[32], int *point)
{
    char room[REAL_TEXT_MAX];
    yyjson_alc alc;
    yyjson_val number = {0};
    size_t len = 0;
    size_t count = 0;
    int exponent = 0;
    bool is_behind_point = false;
    char *text;

    yyjson_set_real(&number, value);
    CHECK(yyjson_alc_pool_init(&alc, room, sizeof(room)));
    text = yyjson_val_write_opts(&number, 0, &alc, &len, NULL);
    CHECK(text);
    *point = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c == '.') {
            is_behind_point = true;
        } else if (c == 'e' || c == 'E') {
            exponent = (int)strtol(text + i + 1, NULL, 10);
            break;
        } else if (count > 0 || c != '0') {
            digits[count++] = c;
            *point += !is_behind_point;
        } else {
            *point -= is_behind_point; /* 0.00x */
        }
    }
    while (count > 1 && digits[count - 1] == '0')
        count--;
    *point += exponent;
    return count;
}

/* ECMA-262, Number::toString: plain up to 21 digits before the point and 6 zeros behind it, else
 * with an exponent. */
static size_t format_digits(const char *digits, size_t count, int point, char *out)
{
    char *p = out;

    if (point > 0 && point <= 21) {
        for (int i = 0; i < point; i++)
            *p++ = (size_t)i < count ? digits[i] : '0';
        if ((size_t)point < count) {
            *p++ = '.';
            memcpy(p, digits + point, count - (size_t)point);
            p += count - (size_t)point;
        }
    } else if (point > -6 && point <= 0) {
        *p++ = '0';
        *p++ = '.';
        for (int i = point; i < 0; i++)
            *p++ = '0';
        memcpy(p, digits, count);
        p += count;
    } else {
        int exponent = point - 1;
        char reversed[8];
        size_t len = 0;

        *p++ = digits[0];
        if (count > 1) {
            *p++ = '.';
            memcpy(p, digits + 1, count - 1);
            p += count - 1;
        }
        *p++ = 'e';
        *p++ = exponent < 0 ? '-' : '+';
        for (int rest = abs(exponent); rest > 0; rest /= 10)
            reversed[len++] = (char)('0' + rest % 10);
        while (len > 0)
            *p++ = reversed[--len];
    }
    return (size_t)(p - out);
}

bool json_number_js(double value, struct buf *out)
{
    char digits[32];
    char text[64];
    size_t count;
    int point;

    if (!isfinite(value))
        return buf_add_str(out, "null");
    if (value == trunc(value) && fabs(value) < 9007199254740992.0)
        return buf_add_i64(out, (int64_t)value); /* also makes 0 of -0 */
    count = shortest_digits(fabs(value), digits, &point);
    text[0] = '-';
    count = format_digits(digits, count, point, text + 1);
    return value < 0 ? buf_add(out, text, count + 1) : buf_add(out, text + 1, count);
}

/* --- strings ---------------------------------------------------------------------------------- */

/* A byte of the word is a quote, a backslash or below 0x20. The quote is the one byte behind the
 * control characters once bit 1 is turned round, which moves those only among themselves. */
static bool has_special(uint64_t word)
{
    uint64_t below = (word ^ (ONES * 0x02)) - ONES * 0x21;
    uint64_t slash = (word ^ (ONES * '\\')) - ONES;

    return ((below | slash) & ~word & HIGHS) != 0;
}

static bool is_special(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

/* Copies bytes up to the first special one; their number. `out` has room for len. The last word of
 * a text of eight bytes and more lies over the one before it, so that no byte is looked at alone.
 */
static size_t copy_plain(char *out, const char *p, size_t len)
{
    size_t at = 0;
    uint64_t word;

    while (len >= 8 && at < len) {
        size_t from = MIN(at, len - 8);

        memcpy(&word, p + from, 8);
        if (has_special(word))
            break;
        memcpy(out + from, &word, 8);
        at = from + 8;
    }
    for (; at < len && !is_special((unsigned char)p[at]); at++)
        out[at] = p[at];
    return at;
}

static size_t put_escape(char *out, unsigned char c, bool is_clean)
{
    static const char names[] = "btn\0fr"; /* from \b on; \v has no short form */
    static const char hex[] = "0123456789abcdef";

    if (c == 0 && is_clean) {
        memcpy(out, "\xef\xbf\xbd", 3);
        return 3;
    }
    out[0] = '\\';
    if (c == '"' || c == '\\') {
        out[1] = (char)c;
        return 2;
    }
    if (c >= '\b' && c <= '\r' && names[c - '\b'] != '\0') {
        out[1] = names[c - '\b'];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

/* What comes behind the first special byte. The quote at the end has its room already. */
static bool write_escaped(const char *p, size_t len, bool is_clean, struct buf *out)
{
    while (len > 0) {
        size_t run;

        if (!buf_reserve(out, len + 6)) /* one escape instead of one byte, the rest, the quote */
            return false;
        out->len += put_escape(out->ptr + out->len, (unsigned char)*p, is_clean);
        p++;
        len--;
        run = copy_plain(out->ptr + out->len, p, len);
        out->len += run;
        p += run;
        len -= run;
    }
    return true;
}

/* The buffer has room for the text and two quotes. */
static bool put_string(const char *p, size_t len, bool is_clean, struct buf *out)
{
    size_t run;

    out->ptr[out->len++] = '"';
    run = copy_plain(out->ptr + out->len, p, len);
    out->len += run;
    if (run < len && !write_escaped(p + run, len - run, is_clean, out))
        return false;
    out->ptr[out->len++] = '"';
    return true;
}

static bool write_string(const char *p, size_t len, bool is_clean, struct buf *out)
{
    return buf_reserve(out, len + 2) && put_string(p, len, is_clean, out);
}

bool json_string_write(struct slice s, bool is_clean, struct buf *out)
{
    return write_string(s.len ? s.ptr : "", s.len, is_clean, out);
}

bool json_name_write(struct slice name, bool is_first, bool is_clean, struct buf *out)
{
    /* Room for all of it at once: names hardly ever hold anything to escape. */
    if (!buf_reserve(out, name.len + 4))
        return false;
    if (!is_first)
        out->ptr[out->len++] = ',';
    if (!put_string(name.len ? name.ptr : "", name.len, is_clean, out) || !buf_reserve(out, 1))
        return false;
    out->ptr[out->len++] = ':';
    return true;
}

/* --- containers ------------------------------------------------------------------------------- */

static bool write_array(yyjson_val *array, bool is_clean, struct buf *out)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(array);
    yyjson_val *item;
    char before = '[';

    while ((item = yyjson_arr_iter_next(&it))) {
        if (!buf_add_char(out, before) || !write_value(item, is_clean, out))
            return false;
        before = ',';
    }
    return before == '[' ? buf_add_str(out, "[]") : buf_add_char(out, ']');
}

static bool write_member(yyjson_val *key, yyjson_val *value, bool is_first, bool is_clean,
                         struct buf *out)
{
    return json_name_write(json_text(key), is_first, is_clean, out) &&
           write_value(value, is_clean, out);
}

/* A bit per fingerprint: false is certain, true means that the keys have to be looked at. */
static bool may_repeat_keys(yyjson_val *object)
{
    uint64_t seen[FILTER_BITS / 64] = {0};
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;

    if (yyjson_obj_size(object) > FILTER_KEYS)
        return true;
    while ((key = yyjson_obj_iter_next(&it))) {
        uint64_t bit = json_key_fingerprint(json_text(key)) % FILTER_BITS;

        if (seen[bit / 64] >> (bit % 64) & 1)
            return true;
        seen[bit / 64] |= UINT64_C(1) << (bit % 64);
    }
    return false;
}

static bool has_repeated_keys(yyjson_val *object)
{
    struct json_index keys;
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;
    bool is_new = true;

    if (yyjson_obj_size(object) < 2 || !may_repeat_keys(object))
        return false;
    json_index_init(&keys);
    while (is_new && (key = yyjson_obj_iter_next(&it)))
        json_index_add(&keys, json_text(key), &is_new);
    json_index_fini(&keys);
    return !is_new;
}

/* First positions, last values. The result is the members' keys with the values to write. */
struct member {
    yyjson_val *key, *value;
};

static struct member *last_members(yyjson_val *object, size_t *count)
{
    struct member *members = mem_new_array(struct member, yyjson_obj_size(object));
    struct json_index keys;
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;
    bool is_new;

    json_index_init(&keys);
    while ((key = yyjson_obj_iter_next(&it))) {
        struct member *m = &members[json_index_add(&keys, json_text(key), &is_new)];

        if (is_new)
            m->key = key;
        m->value = yyjson_obj_iter_get_val(key);
    }
    *count = keys.count;
    json_index_fini(&keys);
    return members;
}

static bool is_skipped(yyjson_val *key, const char *const *skip)
{
    for (; skip && *skip; skip++) {
        if (yyjson_equals_str(key, *skip))
            return true;
    }
    return false;
}

static bool write_last_members(yyjson_val *object, const char *const *skip, bool is_clean,
                               size_t *written, struct buf *out)
{
    size_t count;
    struct member *members = last_members(object, &count);
    bool ok = true;

    for (size_t i = 0; ok && i < count; i++) {
        if (is_skipped(members[i].key, skip))
            continue;
        ok = write_member(members[i].key, members[i].value, *written == 0, is_clean, out);
        ++*written;
    }
    mem_free(members);
    return ok;
}

static bool write_members(yyjson_val *object, const char *const *skip, bool is_clean,
                          size_t *written, struct buf *out)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;

    *written = 0;
    if (has_repeated_keys(object))
        return write_last_members(object, skip, is_clean, written, out);
    while ((key = yyjson_obj_iter_next(&it))) {
        if (is_skipped(key, skip))
            continue;
        if (!write_member(key, yyjson_obj_iter_get_val(key), *written == 0, is_clean, out))
            return false;
        ++*written;
    }
    return true;
}

static bool write_object(yyjson_val *object, bool is_clean, struct buf *out)
{
    size_t written;

    return buf_add_char(out, '{') && write_members(object, NULL, is_clean, &written, out) &&
           buf_add_char(out, '}');
}

static bool write_number(yyjson_val *v, struct buf *out)
{
    if (yyjson_is_uint(v))
        return buf_add_u64(out, yyjson_get_uint(v));
    if (yyjson_is_sint(v))
        return buf_add_i64(out, yyjson_get_sint(v));
    return json_number_js(yyjson_get_real(v), out);
}

static bool write_value(yyjson_val *v, bool is_clean, struct buf *out)
{
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_STR:
        return write_string(unsafe_yyjson_get_str(v), unsafe_yyjson_get_len(v), is_clean, out);
    case YYJSON_TYPE_NUM:
        return write_number(v, out);
    case YYJSON_TYPE_RAW:
        return buf_add(out, yyjson_get_raw(v), yyjson_get_len(v));
    case YYJSON_TYPE_BOOL:
        return buf_add_str(out, yyjson_get_bool(v) ? "true" : "false");
    case YYJSON_TYPE_ARR:
        return write_array(v, is_clean, out);
    case YYJSON_TYPE_OBJ:
        return write_object(v, is_clean, out);
    default:
        return buf_add_str(out, "null");
    }
}

bool json_value_write(yyjson_val *value, struct buf *out)
{
    return write_value(value, false, out);
}

bool json_value_write_clean(yyjson_val *value, struct buf *out)
{
    return write_value(value, true, out);
}

bool json_object_write(yyjson_val *object, const char *const *skip, bool is_open, size_t *count,
                       struct buf *out)
{
    return buf_add_char(out, '{') && write_members(object, skip, false, count, out) &&
           (is_open || buf_add_char(out, '}'));
}
