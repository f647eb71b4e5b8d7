/* uuid.h - 16-byte identifiers. Any thread. */
#pragma once

#include "base/str.h"

struct uuid {
    uint8_t b[16];
};

#define UUID_TEXT_LEN 36

/* Exactly 8-4-4-4-12 hexadecimal digits, any case. */
MUST_CHECK bool uuid_parse(struct slice text, struct uuid *out);
/* Hyphens anywhere or nowhere, braces around, `urn:uuid:` in front: what is left must be 32 hex
 * digits. */
MUST_CHECK bool uuid_parse_loose(struct slice text, struct uuid *out);
void uuid_format(const struct uuid *u, char out[UUID_TEXT_LEN + 1]); /* lower case, NUL behind */
/* RFC 9562 version 7 of the present (clock_wall_us()). Ordered within the process, also when the
 * clock goes back by up to ten seconds. */
struct uuid uuid_v7(int64_t wall_us);
/* PostHog's UUIDT: 6 bytes ms, 2 bytes counter within the ms, 8 random bytes; no version bits.
 * Ordered like uuid_v7. */
struct uuid uuid_uuidt(int64_t wall_us);
/* RFC 9562 version 5 (SHA-1) in hedgerow's own name space. */
struct uuid uuid_v5(struct slice name);
bool uuid_eq(const struct uuid *a, const struct uuid *b);
bool uuid_is_nil(const struct uuid *u);
