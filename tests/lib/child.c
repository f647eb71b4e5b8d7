#include "child.h"

#include "base/buf.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

// Runs fn in a child whose `fd` is a pipe; fills `out` and gives the wait status.
static int run(int fd, child_fn *fn, void *ctx, struct buf *out)
{
    int ends[2], status;
    pid_t pid;
    ssize_t got;

    fflush(NULL); // what is buffered must not come out twice
    CHECK(pipe(ends) == 0);
    pid = fork();
    CHECK(pid != -1);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        int null = open("/dev/null", O_WRONLY);

        setrlimit(RLIMIT_CORE, &no_core);
        // cmocka catches SIGABRT; here it has to end the process.
        signal(SIGABRT, SIG_DFL);
        dup2(null, fd == 1 ? 2 : 1);
        dup2(ends[1], fd);
        close(ends[0]);
        close(ends[1]);
        fn(ctx);
        exit(0); // not _exit: leaks and coverage of the child count too
    }
    close(ends[1]);
    do {
        CHECK(buf_reserve(out, 4096));
        got = read(ends[0], out->ptr + out->len, 4096);
        out->len += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    close(ends[0]);
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

bool child_killed_by(int signal, child_fn *fn, void *ctx)
{
    struct buf out = BUF_INIT(1 << 20);
    int status = run(2, fn, ctx, &out);

    buf_free(&out);
    return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

bool child_aborts(child_fn *fn, void *ctx, const char *part)
{
    struct buf out = BUF_INIT(1 << 20);
    int status = run(2, fn, ctx, &out);
    bool has_part = strstr(buf_cstr(&out), part);

    buf_free(&out);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && has_part;
}

char *child_output(int fd, child_fn *fn, void *ctx)
{
    struct buf out = BUF_INIT(1 << 20);
    int status = run(fd, fn, ctx, &out);

    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    buf_cstr(&out); // its memory is handed over
    return out.ptr;
}
