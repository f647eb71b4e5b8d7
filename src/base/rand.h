/* rand.h - the only door to randomness (the kernel's generator, buffered per thread). Any thread.
 */
#pragma once

#include "base/check.h"

void rand_bytes(void *out, size_t len);
uint64_t rand_u64(void);
/* From now on this thread's numbers come from a seeded generator: for tests only. */
void rand_fake_seed(uint64_t seed);
