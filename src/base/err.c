#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Texts are built aside and copied: an argument may well be err->text itself.
PRINTF_LIKE(3, 0)
static void format(char *out, size_t len, const char *fmt, va_list args)
{
    if (vsnprintf(out, len, fmt, args) == -1)
        out[0] = '\0';
}

// Keeps a cut text from ending inside a UTF-8 sequence.
static void store(struct err *err, const char *text)
{
    size_t len = strlen(text);

    if (len >= sizeof(err->text)) {
        len = sizeof(err->text) - 1;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    memcpy(err->text, text, len);
    err->text[len] = '\0';
}

bool err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    char text[sizeof(err->text) * 2];
    va_list args;

    va_start(args, fmt);
    format(text, sizeof(text), fmt, args);
    va_end(args);
    store(err, text);
    err->code = code;
    return false;
}

static enum err_code code_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
        return ERR_FULL;
    default:
        return ERR_IO;
    }
}

static const char *errno_text(int errno_value, char *space, size_t len)
{
#ifdef __GLIBC__
    return strerror_r(errno_value, space, len);
#else
    return strerror_r(errno_value, space, len) == 0 ? space : "unknown error";
#endif
}

bool err_errno(struct err *err, int errno_value, const char *fmt, ...)
{
    char text[sizeof(err->text)];
    char whole[sizeof(err->text) * 2];
    char space[128];
    va_list args;

    va_start(args, fmt);
    format(text, sizeof(text), fmt, args);
    va_end(args);
    snprintf(whole, sizeof(whole), "%s: %s", text, errno_text(errno_value, space, sizeof(space)));
    store(err, whole);
    err->code = code_of_errno(errno_value);
    return false;
}

bool err_wrap(struct err *err, const char *fmt, ...)
{
    char context[sizeof(err->text)];
    char whole[sizeof(err->text) * 2 + 2];
    va_list args;

    va_start(args, fmt);
    format(context, sizeof(context), fmt, args);
    va_end(args);
    snprintf(whole, sizeof(whole), "%s: %s", context, err->text);
    store(err, whole);
    return false;
}

const char *err_code_name(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return "none";
    case ERR_INPUT:
        return "input";
    case ERR_RETRY:
        return "retry";
    case ERR_FULL:
        return "full";
    case ERR_LIMIT:
        return "limit";
    case ERR_CORRUPT:
        return "corrupt";
    case ERR_IO:
        return "io";
    case ERR_GONE:
        return "gone";
    case ERR_STOP:
        return "stop";
    case ERR_BUG:
        return "bug";
    }
    return "unknown";
}
