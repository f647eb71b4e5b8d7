/* err.h - the one error type.
 *
 * Ownership: the caller owns the struct; it is the last parameter of every fallible function and
 * never NULL. Functions that fail set it and return false (or NULL); functions that succeed leave
 * it alone. The code says what the caller can do about it, the text is one sentence for people.
 */
#pragma once

#include "base/check.h"

enum err_code {
    ERR_NONE,
    ERR_INPUT,   /* the data is wrong: reject, dead letter */
    ERR_RETRY,   /* try the same again later (busy, connection lost) */
    ERR_FULL,    /* no room (disk, budget, queue): push back */
    ERR_LIMIT,   /* a named limit was reached */
    ERR_CORRUPT, /* stored bytes are not what was written */
    ERR_IO,      /* the operating system refused */
    ERR_GONE,    /* the thing does not exist (any more) */
    ERR_STOP,    /* the process is stopping */
    ERR_BUG,     /* cannot happen */
};

struct err {
    enum err_code code;
    char text[400];
};

#define ERR_INIT ((struct err){.code = ERR_NONE, .text = ""})

/* Sets code and text. Always returns false, so that `return err_set(...)` reads well. */
bool err_set(struct err *err, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As err_set with ": <strerror(errno_value)>" appended; ENOSPC and EDQUOT become ERR_FULL. */
bool err_errno(struct err *err, int errno_value, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Puts "<context>: " in front of the text; keeps the code. Always returns false. */
bool err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *err_code_name(enum err_code code);
