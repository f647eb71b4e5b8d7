/* b64.h - base64. Any thread.
 *
 * The lenient decoder takes what browsers and old SDKs send: `-` and space mean `+`, `_` means
 * `/`, line breaks and `=` are dropped, missing padding is fine. False when another byte occurs or
 * one character is left over, or `out` has no room; `out` is unchanged then.
 */
#pragma once

#include "base/buf.h"

bool b64_looks_like(struct slice text); /* only characters the lenient decoder takes */
MUST_CHECK bool b64_decode_lenient(struct slice text, struct buf *out);
bool b64_encode(struct slice bytes, struct buf *out); /* standard alphabet, padded */
