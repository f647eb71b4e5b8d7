/* json_value.h - event JSON on yyjson: reading with limits, writing in the one canonical form,
 * JavaScript's views.
 *
 * Reading: strict JSON, UTF-8 (BOM skipped), at most JSON_DEPTH_MAX levels; NaN/Infinity literals
 * become null and lone surrogate escapes U+FFFD when `lenient` (capture). Memory comes from a
 * bounded allocator. Numbers: integers of 64 bits are exact, others doubles; `raw_numbers` keeps
 * every number's text untouched (capture). Writing: compact UTF-8; only " \ and control characters
 * are escaped (\b \f \n \r \t, others \u00xx), a repeated key keeps its first position and its last
 * value; doubles in JavaScript's shortest form (299.990 -> 299.99, 1.0 -> 1, 1e21 -> 1e+21), not
 * finite -> null; raw numbers as they are; U+0000 -> U+FFFD in the `_clean` forms. One thread per
 * document.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <yyjson.h>

#define JSON_DEPTH_MAX 100

struct json_doc {
    yyjson_doc *doc;
    yyjson_val *root;
    void *pool; /* private */
};

struct json_read_options {
    bool lenient;
    bool raw_numbers;
    size_t memory_max; /* bytes the parser may use; 0: 16 MiB */
};

/* ERR_INPUT: text says what and at which byte, or that the depth is over; ERR_LIMIT: memory. doc is
 * empty on failure.
 */
MUST_CHECK bool json_doc_read(struct slice text, const struct json_read_options *opt,
                              struct json_doc *doc, struct err *err);
void json_doc_free(
    struct json_doc *doc); /* an empty one is legal; a thread keeps one pool for reuse */

/* False when the buffer's maximum is reached; what was added before stays. */
bool json_value_write(yyjson_val *value, struct buf *out);
/* The same with U+FFFD for U+0000 in keys and strings. */
bool json_value_write_clean(yyjson_val *value, struct buf *out);
bool json_string_write(struct slice s, bool is_clean, struct buf *out); /* valid UTF-8 */
/* A member's name with the comma before it (unless it is the first) and the colon behind. */
bool json_name_write(struct slice name, bool is_first, bool is_clean, struct buf *out);
/* An object without the members named in `skip` (NULL-terminated list, may be NULL), and without
 * the closing brace when `is_open`, so that members can be added; *count is how many were written.
 */
bool json_object_write(yyjson_val *object, const char *const *skip, bool is_open, size_t *count,
                       struct buf *out);

bool json_is_truthy(yyjson_val *v); /* NULL, null, false, 0, "" are not */
/* S(v), JavaScript's String(): numbers in shortest form, arrays joined by commas, objects "[object
 * Object]", NULL "undefined". */
bool json_string_form(yyjson_val *v, struct buf *out);
/* Last member of that name, NULL when absent. */
yyjson_val *json_member(yyjson_val *object, struct slice key);
struct json_wanted {
    struct slice name;
    yyjson_val **value;
};
/* The same for several names in one walk; all NULL when `object` is none. */
void json_members(yyjson_val *object, const struct json_wanted *wanted, size_t count);
static inline struct slice json_text(yyjson_val *string) /* of a string value */
{
    return slice_make(yyjson_get_str(string), yyjson_get_len(string));
}
/* Deep equality: objects regardless of key order, numbers by value. */
bool json_equal(yyjson_val *a, yyjson_val *b);
bool json_number_js(double value, struct buf *out); /* JavaScript's Number.toString */
