#include "base/check.h"

#include "base/thread.h"

#include <stdio.h>
#include <stdlib.h>

NORETURN void check_failed(const char *expr, const char *file, int line)
{
    // dprintf writes at once: nothing buffered is lost by the abort.
    dprintf(2, "CHECK failed: %s, %s:%d, thread %s %d\n", expr, file, line,
            thread_role_name(thread_role()), thread_number());
    abort();
}

void *check_object(void *ptr, uint32_t magic, const char *type, const char *file, int line)
{
    if (!ptr || *(const uint32_t *)ptr != magic)
        check_failed(type, file, line);
    return ptr;
}
