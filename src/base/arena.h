/* arena.h - memory that ends together (a request, a batch, a call).
 *
 * Nothing in an arena is freed by hand and nothing in it is stored in a longer-lived object.
 * Allocations are 16-byte aligned. arena_reset keeps the first block (block_bytes).
 * One thread. Ends the process when memory is out; sizes from outside are checked before.
 */
#pragma once

#include "base/str.h"

struct arena;

struct arena *arena_new(size_t block_bytes);
void arena_free(struct arena *a);
void arena_reset(struct arena *a);
void *arena_alloc(struct arena *a, size_t bytes);  /* not zeroed */
void *arena_zalloc(struct arena *a, size_t bytes); /* zeroed */
struct slice arena_dup(struct arena *a, struct slice s);
char *arena_dup_cstr(struct arena *a, struct slice s);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
size_t arena_bytes(const struct arena *a); /* held from the system */

#define arena_new_obj(a, type) ((type *)arena_zalloc((a), sizeof(type)))
