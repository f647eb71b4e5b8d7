/* check.h - always-on and debug assertions, compiler attributes, checked objects.
 *
 * CHECK(x) is always compiled in: a false x prints the expression, its place and the thread's
 * role, then aborts. DCHECK(x) only in debug, test and sanitizer builds. Input from outside is
 * never checked with these, it is validated and answered with an error.
 *
 * Objects that travel through `void *` begin with a magic number and are opened with OBJ().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK                      __attribute__((warn_unused_result))
#define NORETURN                        __attribute__((noreturn))
#define PRINTF_LIKE(fmt, args)          __attribute__((format(printf, fmt, args)))
#define UNUSED(x)                       ((void)(x))
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

NORETURN void check_failed(const char *expr, const char *file, int line);

#define CHECK(x) ((x) ? (void)0 : check_failed(#x, __FILE__, __LINE__))

#if defined(HEDGEROW_DEBUG) || defined(HEDGEROW_TEST)
#define DCHECK(x) \
    ((x) ? (void)0 : check_failed(#x, __FILE__, __LINE__)) /* not CHECK(x): #x as written */
#else
#define DCHECK(x) ((void)sizeof(!(x)))
#endif

/* Opens a `void *` handed through a callback: the struct's first member is `uint32_t magic`. */
#define OBJ(ptr, type, magic_value) \
    ((type *)check_object((ptr), (magic_value), #type, __FILE__, __LINE__))

void *check_object(void *ptr, uint32_t magic, const char *type, const char *file, int line);
