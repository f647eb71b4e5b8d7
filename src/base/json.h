/* json.h - JSON that people write (settings, provision file, admin API), on cJSON. One thread per
 * tree.
 *
 * Not for events: those go through yyjson (model/). Numbers are doubles; integers that a double may
 * have rounded (2^53 and more) are refused by json_int. Paths in faults are JSON pointers (RFC
 * 6901).
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <cJSON.h>

/* Strict RFC 8259 (UTF-8, no comments, no trailing commas), depth <= 100, no NUL in strings.
 * ERR_INPUT with line and column on bad text or trailing bytes, with the pointer on a duplicate
 * key. */
MUST_CHECK cJSON *json_parse(struct slice text, struct err *err);
void json_free(cJSON *json);                                /* NULL is legal */
bool json_write(const cJSON *json, struct buf *out);        /* compact */
bool json_write_pretty(const cJSON *json, struct buf *out); /* two spaces */
/* Getters: NULL / false when absent or of another type. */
const cJSON *json_get(const cJSON *object, const char *key);
const char *json_str(const cJSON *object, const char *key);
bool json_bool(const cJSON *object, const char *key, bool fallback);
MUST_CHECK bool json_int(const cJSON *item, int64_t *value); /* whole number, |x| < 2^53 */

/* A list of faults, each with its JSON pointer, so that a file is refused with all of them at once.
 */
struct json_faults {
    struct buf text; /* one fault per line: "/teams/0/name: must be a string" */
    size_t count;
};
#define JSON_FAULTS_INIT ((struct json_faults){.text = BUF_INIT(1 << 20), .count = 0})
void json_fault(struct json_faults *f, const char *pointer, const char *fmt, ...) PRINTF_LIKE(3, 4);
void json_faults_free(struct json_faults *f);
