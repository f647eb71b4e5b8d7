/* crc32c.h - CRC-32C (Castagnoli, RFC 3720), by SSE4.2 or ARMv8 CRC where the CPU has it (found at
 * run time), else by tables. crc32c(0, ...) starts; the result of one call continues as the seed
 * of the next. Any thread. */
#pragma once

#include "base/check.h"

uint32_t crc32c(uint32_t seed, const void *bytes, size_t len);
/* The table version, for the test that compares both. */
uint32_t crc32c_portable(uint32_t seed, const void *bytes, size_t len);
