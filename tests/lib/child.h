/* child.h - runs a function in a child process, for what ends the process or writes to its output.
 */
#ifndef TESTS_LIB_CHILD_H
#define TESTS_LIB_CHILD_H

#include <stdbool.h>

typedef void child_fn(void *ctx);

/* True when `fn(ctx)` ended its process by `signal`. */
bool child_killed_by(int signal, child_fn *fn, void *ctx);
/* True when `fn(ctx)` aborted and its standard error has `part` in it. */
bool child_aborts(child_fn *fn, void *ctx, const char *part);
/* What `fn(ctx)` wrote to descriptor `fd` (1 or 2) of its process, on the heap (mem_free), NUL
 * behind; the other one goes to /dev/null. */
char *child_output(int fd, child_fn *fn, void *ctx);

#endif
