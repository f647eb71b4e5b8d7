/* gzip.h - one-shot gzip on libdeflate. Any thread (one decompressor per thread, kept).
 *
 * gzip_decode appends the first member's content to `out`, whose maximum is the bomb limit:
 * ERR_LIMIT when the content would pass it, ERR_INPUT when the data is cut short or wrong (header,
 * CRC, length). Bytes behind the first member are ignored.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

bool gzip_is(struct slice bytes); /* begins with 1f 8b */
MUST_CHECK bool gzip_decode(struct slice bytes, struct buf *out, struct err *err);
MUST_CHECK bool gzip_encode(struct slice bytes, int level, struct buf *out, struct err *err);
