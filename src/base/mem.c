#include "base/mem.h"

#include "base/fault.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static NORETURN void out_of_memory(size_t bytes)
{
    dprintf(2, "out of memory: %zu bytes\n", bytes);
    abort();
}

// malloc(0) may give NULL, which must not look like a failure.
static size_t at_least_one(size_t bytes)
{
    return bytes ? bytes : 1;
}

void *mem_alloc(size_t bytes)
{
    void *ptr = malloc(at_least_one(bytes));

    if (!ptr)
        out_of_memory(bytes);
    return ptr;
}

void *mem_zalloc(size_t bytes)
{
    return mem_zalloc_array(1, bytes);
}

void *mem_zalloc_array(size_t count, size_t size)
{
    void *ptr = calloc(at_least_one(count), at_least_one(size)); // calloc checks the product

    if (!ptr)
        out_of_memory(size && count > SIZE_MAX / size ? SIZE_MAX : count * size);
    return ptr;
}

void *mem_realloc(void *ptr, size_t bytes)
{
    void *moved = realloc(ptr, at_least_one(bytes));

    if (!moved)
        out_of_memory(bytes);
    return moved;
}

void *mem_try(size_t bytes)
{
    if (fault_point("mem.try"))
        return NULL;
    return malloc(at_least_one(bytes));
}

void *mem_try_realloc(void *ptr, size_t bytes)
{
    if (fault_point("mem.try"))
        return NULL;
    return realloc(ptr, at_least_one(bytes));
}

void *mem_dup(const void *ptr, size_t bytes)
{
    void *copy = mem_alloc(bytes);

    if (bytes)
        memcpy(copy, ptr, bytes);
    return copy;
}

char *mem_dup_str(const char *text)
{
    return text ? (char *)mem_dup(text, strlen(text) + 1) : NULL;
}

void mem_free(void *ptr)
{
    free(ptr);
}

size_t mem_usable(const void *ptr)
{
    return malloc_usable_size((void *)(uintptr_t)ptr); // glibc takes it without const
}
