/* Reading event JSON, and JavaScript's views of a value.
 *
 * Lenient reading costs nothing for proper JSON: the strict parser runs first, and only when it
 * refuses are NaN, Infinity and lone surrogate escapes looked for. A lone \ud800 is turned into
 * \ufffd in a copy of the text (same length, so that positions in messages stay right).
 *
 * yyjson keeps all values of a document in one array, parents before children. One pass over it
 * checks the depth and brings what yyjson left as text (integers over 64 bits, reals over the
 * double range, NaN) to a number or null.
 */
#include "model/json_value.h"

#include "base/mem.h"
#include "model/json_index.h"
#include "model/json_priv.h"

#include <math.h>
#include <stdlib.h>

#define MEMORY_DEFAULT ((size_t)16 << 20)

/* --- reading ---------------------------------------------------------------------------------- */

static bool is_hex4(const char *p, unsigned *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = slice_hex_digit(p[i]);

        if (digit == -1)
            return false;
        *value = *value << 4 | (unsigned)digit;
    }
    return true;
}

static bool is_escape_in(struct slice text, size_t at, unsigned low, unsigned high)
{
    unsigned unit;

    return at + 6 <= text.len && text.ptr[at] == '\\' && text.ptr[at + 1] == 'u' &&
           is_hex4(text.ptr + at + 2, &unit) && unit >= low && unit <= high;
}

/* Lone surrogate escapes become \ufffd. A backslash stands only in strings, so no other state is
 * needed. */
static char *replace_surrogates(struct slice text)
{
    char *copy = mem_try(text.len + 1);
    size_t at = 0;

    if (!copy)
        return NULL;
    memcpy(copy, text.ptr, text.len);
    while (at < text.len) {
        const char *found = memchr(text.ptr + at, '\\', text.len - at);

        if (!found)
            break;
        at = (size_t)(found - text.ptr);
        if (is_escape_in(text, at, 0xd800, 0xdbff) && is_escape_in(text, at + 6, 0xdc00, 0xdfff)) {
            at += 12;
        } else if (is_escape_in(text, at, 0xd800, 0xdfff)) {
            memcpy(copy + at, "\\ufffd", 6);
            at += 6;
        } else {
            at += 2;
        }
    }
    return copy;
}

/* What yyjson left as text: an integer over 64 bits, a real over the double range, or NaN and
 * Infinity. */
static void settle_raw(yyjson_val *v, bool keep_raw)
{
    const char *text = yyjson_get_raw(v);
    size_t len = yyjson_get_len(v);
    size_t digits_at = len > 0 && text[0] == '-' ? 1 : 0;
    double value;

    if (len == digits_at || text[digits_at] < '0' || text[digits_at] > '9') {
        yyjson_set_null(v);
        return;
    }
    if (keep_raw)
        return;
    value = strtod(text, NULL);
    if (isfinite(value))
        yyjson_set_real(v, value);
    else
        yyjson_set_null(v);
}

/* One pass over all values; false when a container stands deeper than JSON_DEPTH_MAX. */
static bool settle(yyjson_doc *doc, bool keep_raw)
{
    yyjson_val *v = doc->root;
    yyjson_val *end = v + yyjson_doc_get_val_count(doc);
    yyjson_val *ends[JSON_DEPTH_MAX];
    size_t depth = 0;

    for (; v < end; v++) {
        while (depth > 0 && v >= ends[depth - 1])
            depth--;
        if (yyjson_is_ctn(v)) {
            if (depth == JSON_DEPTH_MAX)
                return false;
            ends[depth++] = unsafe_yyjson_get_next(v);
        } else if (yyjson_is_raw(v)) {
            settle_raw(v, keep_raw);
        } else if (yyjson_is_real(v) && !isfinite(yyjson_get_real(v))) {
            yyjson_set_null(v);
        }
    }
    return true;
}

static yyjson_doc *read_lenient(struct slice text, yyjson_read_flag flags, const yyjson_alc *alc,
                                yyjson_read_err *why)
{
    char *copy = replace_surrogates(text);
    yyjson_doc *doc;

    if (!copy) {
        why->code = YYJSON_READ_ERROR_MEMORY_ALLOCATION;
        return NULL;
    }
    doc = yyjson_read_opts(copy, text.len, flags | YYJSON_READ_ALLOW_INF_AND_NAN, alc, why);
    mem_free(copy);
    return doc;
}

bool json_doc_read(struct slice text, const struct json_read_options *opt, struct json_doc *doc,
                   struct err *err)
{
    size_t memory_max = opt->memory_max ? opt->memory_max : MEMORY_DEFAULT;
    yyjson_alc alc;
    struct json_memory *memory = json_memory_open(memory_max, &alc);
    yyjson_read_flag flags =
        opt->raw_numbers ? YYJSON_READ_NUMBER_AS_RAW : YYJSON_READ_BIGNUM_AS_RAW;
    size_t bom = slice_starts(text, SLICE("\xef\xbb\xbf")) ? 3 : 0;
    yyjson_read_err why = {0};
    char *bytes;

    *doc = (struct json_doc){0};
    text = slice_make(text.ptr + bom, text.len - bom);
    /* Not written to: that takes the INSITU flag. */
    bytes = (char *)(uintptr_t)text.ptr;
    doc->doc = yyjson_read_opts(bytes, text.len, flags, &alc, &why);
    if (!doc->doc && opt->lenient && why.code != YYJSON_READ_ERROR_MEMORY_ALLOCATION &&
        why.code != YYJSON_READ_ERROR_EMPTY_CONTENT &&
        why.code != YYJSON_READ_ERROR_INVALID_PARAMETER)
        doc->doc = read_lenient(text, flags, &alc, &why);
    if (!doc->doc) {
        if (why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
            err_set(err, ERR_LIMIT, "JSON text of %zu bytes needs more than %zu bytes of memory",
                    text.len, memory_max);
        else
            err_set(err, ERR_INPUT, "not JSON: %s at byte %zu", why.msg ? why.msg : "empty",
                    why.pos + bom);
        json_memory_close(memory);
        return false;
    }
    doc->root = yyjson_doc_get_root(doc->doc);
    doc->pool = memory;
    if (!settle(doc->doc, opt->raw_numbers)) {
        json_doc_free(doc);
        return err_set(err, ERR_INPUT, "JSON is nested deeper than %d levels", JSON_DEPTH_MAX);
    }
    return true;
}

void json_doc_free(struct json_doc *doc)
{
    yyjson_doc_free(doc->doc);
    json_memory_close(doc->pool);
    *doc = (struct json_doc){0};
}

/* --- views ------------------------------------------------------------------------------------ */

/* The double that a number's text stands for; yyjson ends every raw text with NUL. */
static double raw_number(yyjson_val *v)
{
    return strtod(yyjson_get_raw(v), NULL);
}

bool json_is_truthy(yyjson_val *v)
{
    if (!v || yyjson_is_null(v) || yyjson_is_false(v))
        return false;
    if (yyjson_is_str(v))
        return yyjson_get_len(v) > 0;
    if (yyjson_is_num(v))
        return yyjson_is_real(v) ? yyjson_get_real(v) != 0 : yyjson_get_uint(v) != 0;
    if (yyjson_is_raw(v))
        return raw_number(v) != 0;
    return true;
}

static bool is_integer_text(struct slice text)
{
    for (size_t i = text.len > 0 && text.ptr[0] == '-' ? 1 : 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    }
    return true;
}

static bool raw_string_form(yyjson_val *v, struct buf *out)
{
    struct slice text = slice_make(yyjson_get_raw(v), yyjson_get_len(v));
    uint64_t u;
    int64_t i;

    if (is_integer_text(text) && (slice_u64(text, &u) || (slice_i64(text, &i) && i != 0)))
        return buf_add_slice(out, text);
    return json_number_js(raw_number(v), out);
}

static bool array_string_form(yyjson_val *array, struct buf *out)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(array);
    yyjson_val *item;
    bool is_first = true;

    while ((item = yyjson_arr_iter_next(&it))) {
        if (!is_first && !buf_add_char(out, ','))
            return false;
        if (!yyjson_is_null(item) && !json_string_form(item, out))
            return false;
        is_first = false;
    }
    return true;
}

bool json_string_form(yyjson_val *v, struct buf *out)
{
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_STR:
        return buf_add_slice(out, json_text(v));
    case YYJSON_TYPE_NUM:
        return json_value_write(v, out);
    case YYJSON_TYPE_RAW:
        return raw_string_form(v, out);
    case YYJSON_TYPE_BOOL:
        return buf_add_str(out, yyjson_get_bool(v) ? "true" : "false");
    case YYJSON_TYPE_ARR:
        return array_string_form(v, out);
    case YYJSON_TYPE_OBJ:
        return buf_add_str(out, "[object Object]");
    default:
        return buf_add_str(out, v ? "null" : "undefined");
    }
}

void json_members(yyjson_val *object, const struct json_wanted *wanted, size_t count)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *name;

    for (size_t i = 0; i < count; i++)
        *wanted[i].value = NULL;
    while ((name = yyjson_obj_iter_next(&it))) {
        size_t len = unsafe_yyjson_get_len(name);

        for (size_t i = 0; i < count; i++)
            if (len == wanted[i].name.len &&
                memcmp(unsafe_yyjson_get_str(name), wanted[i].name.ptr, len) == 0)
                *wanted[i].value = yyjson_obj_iter_get_val(name);
    }
}

yyjson_val *json_member(yyjson_val *object, struct slice key)
{
    yyjson_val *found;

    json_members(object, &(struct json_wanted){key, &found}, 1);
    return found;
}

static double double_of(yyjson_val *number)
{
    return yyjson_is_raw(number) ? raw_number(number) : yyjson_get_num(number);
}

/* Exact: 2^53 + 1 as an integer is not the double next to it. */
static bool is_int_of(yyjson_val *integer, double value)
{
    if (value != trunc(value))
        return false;
    if (yyjson_is_sint(integer) && yyjson_get_sint(integer) < 0)
        return value >= -9223372036854775808.0 && value < 0 &&
               (int64_t)value == yyjson_get_sint(integer);
    return value >= 0 && value < 18446744073709551616.0 &&
           (uint64_t)value == yyjson_get_uint(integer);
}

static bool number_equal(yyjson_val *a, yyjson_val *b)
{
    if (yyjson_is_int(a) && yyjson_is_int(b)) {
        bool negative = yyjson_is_sint(a) && yyjson_get_sint(a) < 0;

        return negative == (yyjson_is_sint(b) && yyjson_get_sint(b) < 0) &&
               yyjson_get_uint(a) == yyjson_get_uint(b);
    }
    if (yyjson_is_int(a))
        return is_int_of(a, double_of(b));
    if (yyjson_is_int(b))
        return is_int_of(b, double_of(a));
    return double_of(a) == double_of(b);
}

static bool array_equal(yyjson_val *a, yyjson_val *b)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(a);
    yyjson_arr_iter other = yyjson_arr_iter_with(b);
    yyjson_val *item;

    if (yyjson_arr_size(a) != yyjson_arr_size(b))
        return false;
    while ((item = yyjson_arr_iter_next(&it))) {
        if (!json_equal(item, yyjson_arr_iter_next(&other)))
            return false;
    }
    return true;
}

/* Last value of each key of `object`, by the key's number in `keys`. */
static yyjson_val **last_values(yyjson_val *object, struct json_index *keys)
{
    yyjson_val **values = mem_new_array(yyjson_val *, yyjson_obj_size(object) + 1);
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *name;
    bool is_new;

    while ((name = yyjson_obj_iter_next(&it)))
        values[json_index_add(keys, json_text(name), &is_new)] = yyjson_obj_iter_get_val(name);
    return values;
}

static bool object_equal(yyjson_val *a, yyjson_val *b)
{
    struct json_index x, y;
    yyjson_val **x_values, **y_values;
    bool is_equal;

    json_index_init(&x);
    json_index_init(&y);
    x_values = last_values(a, &x);
    y_values = last_values(b, &y);
    is_equal = x.count == y.count;
    for (size_t i = 0; is_equal && i < x.count; i++) {
        ptrdiff_t other = json_index_find(&y, x.keys[i]);

        is_equal = other != -1 && json_equal(x_values[i], y_values[other]);
    }
    mem_free(x_values);
    mem_free(y_values);
    json_index_fini(&x);
    json_index_fini(&y);
    return is_equal;
}

bool json_equal(yyjson_val *a, yyjson_val *b)
{
    bool a_is_number = yyjson_is_num(a) || yyjson_is_raw(a);

    if (a_is_number)
        return (yyjson_is_num(b) || yyjson_is_raw(b)) && number_equal(a, b);
    if (yyjson_get_type(a) != yyjson_get_type(b))
        return false;
    switch (yyjson_get_type(a)) {
    case YYJSON_TYPE_STR:
        return slice_eq(json_text(a), json_text(b));
    case YYJSON_TYPE_BOOL:
        return yyjson_get_bool(a) == yyjson_get_bool(b);
    case YYJSON_TYPE_ARR:
        return array_equal(a, b);
    case YYJSON_TYPE_OBJ:
        return object_equal(a, b);
    default:
        return true; /* null, or both absent */
    }
}
