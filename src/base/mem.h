/* mem.h - the allocation door.
 *
 * mem_new, mem_alloc, mem_dup and mem_grow end the process when memory is out: a pipeline with a
 * durable log restarts cleanly. Sizes that come from outside go through mem_try after a check
 * against an explicit maximum. mem_free(NULL) is legal. Any thread.
 */
#pragma once

#include "base/check.h"

#define mem_new(type)              ((type *)mem_zalloc(sizeof(type)))
#define mem_new_array(type, count) ((type *)mem_zalloc_array((count), sizeof(type)))

void *mem_alloc(size_t bytes);                     /* not zeroed */
void *mem_zalloc(size_t bytes);                    /* zeroed */
void *mem_zalloc_array(size_t count, size_t size); /* overflow-checked */
void *mem_realloc(void *ptr, size_t bytes);
MUST_CHECK void *mem_try(size_t bytes); /* NULL when out of memory */
MUST_CHECK void *mem_try_realloc(void *ptr, size_t bytes);
void *mem_dup(const void *ptr, size_t bytes);
char *mem_dup_str(const char *text); /* NULL stays NULL */
void mem_free(void *ptr);
size_t mem_usable(const void *ptr); /* bytes that the block really has, for counting */
