/* cJSON is lenient: it takes control characters in strings, numbers like 01, anything at a depth of
 * 1000, and cuts strings at \u0000. So the text is first read by a strict checker of our own, which
 * builds nothing and knows line and column; cJSON then makes the tree of a text that is known to be
 * right. */
#include "base/json.h"

#include "base/map.h"
#include "base/utf8.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 100
#define INT_LIMIT 9007199254740992.0 /* 2^53: from here on neighbours are rounded together */

struct checker {
    const char *start, *at, *end;
    struct err *err;
    int depth;
};

// --- checker ---------------------------------------------------------------------------------

static bool bad(const struct checker *c, const char *what)
{
    size_t line = 1;
    const char *line_start = c->start;

    for (const char *p = c->start; p < c->at; p++) {
        if (*p == '\n') {
            line++;
            line_start = p + 1;
        }
    }
    return err_set(c->err, ERR_INPUT, "line %zu, column %zu: %s", line,
                   utf8_count_points(slice_make(line_start, (size_t)(c->at - line_start))) + 1,
                   what);
}

static void skip_space(struct checker *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static bool next_is(const struct checker *c, char ch)
{
    return c->at < c->end && *c->at == ch;
}

static bool check_escape(struct checker *c)
{
    char hex[5] = "";

    if (c->at < c->end && *c->at != '\0' && strchr("\"\\/bfnrt", *c->at)) {
        c->at++;
        return true;
    }
    if (!next_is(c, 'u'))
        return bad(c, "unknown escape");
    c->at++;
    for (size_t i = 0; i < 4; i++, c->at++) {
        if (c->at == c->end || *c->at == '\0' || !strchr("0123456789abcdefABCDEF", *c->at))
            return bad(c, "\\u needs four hexadecimal digits");
        hex[i] = *c->at;
    }
    return strcmp(hex, "0000") != 0 || bad(c, "\\u0000 is not allowed");
}

static bool check_string(struct checker *c)
{
    c->at++; // the quote
    while (c->at < c->end && *c->at != '"') {
        uint32_t point;
        size_t step;

        if (*c->at == '\\') {
            c->at++;
            if (!check_escape(c))
                return false;
            continue;
        }
        step = utf8_get(slice_make(c->at, (size_t)(c->end - c->at)), &point);
        if (step == 0)
            return bad(c, "not UTF-8");
        if (point < 0x20)
            return bad(c, "control character in a string");
        c->at += step;
    }
    if (c->at == c->end)
        return bad(c, "the string does not end");
    c->at++;
    return true;
}

static size_t skip_digits(struct checker *c)
{
    const char *start = c->at;

    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return (size_t)(c->at - start);
}

static bool check_number(struct checker *c)
{
    if (next_is(c, '-'))
        c->at++;
    if (next_is(c, '0'))
        c->at++;
    else if (skip_digits(c) == 0)
        return bad(c, "a digit must follow");
    if (next_is(c, '.')) {
        c->at++;
        if (skip_digits(c) == 0)
            return bad(c, "a digit must follow");
    }
    if (next_is(c, 'e') || next_is(c, 'E')) {
        c->at++;
        if (next_is(c, '+') || next_is(c, '-'))
            c->at++;
        if (skip_digits(c) == 0)
            return bad(c, "a digit must follow");
    }
    return true;
}

static bool check_value(struct checker *c);

static bool check_member(struct checker *c)
{
    if (!next_is(c, '"'))
        return bad(c, "expected a key in quotes");
    if (!check_string(c))
        return false;
    skip_space(c);
    if (!next_is(c, ':'))
        return bad(c, "expected ':'");
    c->at++;
    return check_value(c);
}

// An object or an array: from its opening to its closing bracket.
static bool check_list(struct checker *c, char closing)
{
    bool is_object = closing == '}';

    if (c->depth == DEPTH_MAX)
        return bad(c, "nested too deeply");
    c->depth++;
    c->at++;
    skip_space(c);
    if (!next_is(c, closing)) {
        for (;;) {
            skip_space(c);
            if (!(is_object ? check_member(c) : check_value(c)))
                return false;
            skip_space(c);
            if (!next_is(c, ','))
                break;
            c->at++;
        }
    }
    if (!next_is(c, closing))
        return bad(c, is_object ? "expected ',' or '}'" : "expected ',' or ']'");
    c->at++;
    c->depth--;
    return true;
}

static bool check_word(struct checker *c, struct slice word)
{
    if (!slice_starts(slice_make(c->at, (size_t)(c->end - c->at)), word))
        return bad(c, "expected a value");
    c->at += word.len;
    return true;
}

static bool check_value(struct checker *c)
{
    skip_space(c);
    if (c->at == c->end)
        return bad(c, "the text ends too early");
    switch (*c->at) {
    case '{':
        return check_list(c, '}');
    case '[':
        return check_list(c, ']');
    case '"':
        return check_string(c);
    case 't':
        return check_word(c, SLICE("true"));
    case 'f':
        return check_word(c, SLICE("false"));
    case 'n':
        return check_word(c, SLICE("null"));
    default:
        if (*c->at == '-' || (*c->at >= '0' && *c->at <= '9'))
            return check_number(c);
        return bad(c, "expected a value");
    }
}

static bool check_text(struct slice text, struct err *err)
{
    struct checker c = {.start = text.ptr, .at = text.ptr, .end = text.ptr + text.len, .err = err};

    if (!check_value(&c))
        return false;
    skip_space(&c);
    return c.at == c.end || bad(&c, "something follows the value");
}

// --- duplicate keys --------------------------------------------------------------------------

static void add_pointer_part(struct buf *pointer, const char *part)
{
    buf_add_char(pointer, '/');
    for (; *part; part++) {
        if (*part == '~')
            buf_add_str(pointer, "~0");
        else if (*part == '/')
            buf_add_str(pointer, "~1");
        else
            buf_add_char(pointer, *part);
    }
}

// `pointer` is where we are; it is left as it was, except after a failure.
static bool keys_are_unique(const cJSON *json, struct buf *pointer)
{
    struct map *seen = cJSON_IsObject(json) ? map_new() : NULL;
    size_t here = pointer->len, index = 0;
    bool ok = true;

    for (const cJSON *child = json->child; ok && child; child = child->next, index++) {
        if (seen) {
            add_pointer_part(pointer, child->string);
            ok = !map_put(seen, slice_cstr(child->string), pointer);
        } else {
            buf_addf(pointer, "/%zu", index);
        }
        ok = ok && keys_are_unique(child, pointer);
        if (ok)
            pointer->len = here;
    }
    map_free(seen);
    return ok;
}

cJSON *json_parse(struct slice text, struct err *err)
{
    struct buf pointer = BUF_INIT(1 << 16); // a longer one is cut
    cJSON *json = NULL, *result = NULL;

    if (!text.ptr)
        text = SLICE("");
    if (!check_text(text, err))
        goto out;
    json = cJSON_ParseWithLengthOpts(text.ptr, text.len, NULL, 0);
    if (!json) {
        err_set(err, ERR_INPUT, "JSON text was not understood"); // lone surrogates, no memory
        goto out;
    }
    if (!keys_are_unique(json, &pointer)) {
        err_set(err, ERR_INPUT, "%s: duplicate key", buf_cstr(&pointer));
        goto out;
    }
    result = json;
    json = NULL;
out:
    json_free(json);
    buf_free(&pointer);
    return result;
}

void json_free(cJSON *json)
{
    cJSON_Delete(json);
}

// --- writer ----------------------------------------------------------------------------------

static bool write_number(double number, struct buf *out)
{
    char text[32];

    if (!isfinite(number))
        return buf_add_str(out, "null");
    if (fabs(number) < INT_LIMIT && number == floor(number))
        return buf_add_i64(out, (int64_t)number);
    // The shorter form when it reads back as the same number.
    snprintf(text, sizeof(text), "%.15g", number);
    if (strtod(text, NULL) != number)
        snprintf(text, sizeof(text), "%.17g", number);
    return buf_add_str(out, text);
}

static bool write_break(struct buf *out, int indent)
{
    bool ok = buf_add_char(out, '\n');

    while (ok && indent-- > 0)
        ok = buf_add_str(out, "  ");
    return ok;
}

// indent: -1 compact, else the depth of this value.
static bool write_value(const cJSON *json, struct buf *out, int indent);

static bool write_list(const cJSON *json, struct buf *out, int indent)
{
    bool is_object = cJSON_IsObject(json);
    int inner = indent == -1 ? -1 : indent + 1;
    bool ok = buf_add_char(out, is_object ? '{' : '[');

    for (const cJSON *child = json->child; ok && child; child = child->next) {
        if (indent != -1)
            ok = write_break(out, inner);
        if (is_object) {
            ok = ok && buf_add_json_str(out, slice_cstr(child->string));
            ok = ok && buf_add_str(out, indent == -1 ? ":" : ": ");
        }
        ok = ok && write_value(child, out, inner);
        if (child->next)
            ok = ok && buf_add_char(out, ',');
    }
    if (json->child && indent != -1)
        ok = ok && write_break(out, indent);
    return ok && buf_add_char(out, is_object ? '}' : ']');
}

static bool write_value(const cJSON *json, struct buf *out, int indent)
{
    switch (json->type & 0xff) {
    case cJSON_False:
        return buf_add_str(out, "false");
    case cJSON_True:
        return buf_add_str(out, "true");
    case cJSON_Number:
        return write_number(json->valuedouble, out);
    case cJSON_String:
        return buf_add_json_str(out, slice_cstr(json->valuestring));
    case cJSON_Raw:
        return buf_add_str(out, json->valuestring);
    case cJSON_Array:
    case cJSON_Object:
        return write_list(json, out, indent);
    default:
        return buf_add_str(out, "null");
    }
}

static bool write_whole(const cJSON *json, struct buf *out, int indent)
{
    size_t before = out->len;

    if (write_value(json, out, indent))
        return true;
    out->len = before;
    return false;
}

bool json_write(const cJSON *json, struct buf *out)
{
    return write_whole(json, out, -1);
}

bool json_write_pretty(const cJSON *json, struct buf *out)
{
    return write_whole(json, out, 0);
}

// --- getters ---------------------------------------------------------------------------------

const cJSON *json_get(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const char *json_str(const cJSON *object, const char *key)
{
    const cJSON *item = json_get(object, key);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

bool json_bool(const cJSON *object, const char *key, bool fallback)
{
    const cJSON *item = json_get(object, key);

    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}

bool json_int(const cJSON *item, int64_t *value)
{
    if (!cJSON_IsNumber(item))
        return false;
    if (!(fabs(item->valuedouble) < INT_LIMIT) || item->valuedouble != floor(item->valuedouble))
        return false;
    *value = (int64_t)item->valuedouble;
    return true;
}

// --- faults ----------------------------------------------------------------------------------

void json_fault(struct json_faults *f, const char *pointer, const char *fmt, ...)
{
    char text[400];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    buf_addf(&f->text, "%s: %s\n", pointer[0] ? pointer : "the document", text);
    f->count++;
}

void json_faults_free(struct json_faults *f)
{
    buf_free(&f->text);
    f->count = 0;
}
