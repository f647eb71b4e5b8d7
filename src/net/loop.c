/* The event base has no lock: only the loop's thread touches it. What other threads want goes
 * through the message list, and an eventfd brings the loop out of its sleep. The list calls `wake`
 * only when it was empty, so the eventfd is written once for all posts between two turns.
 *
 * The eventfd is read before the list is taken: a post that comes in between writes it again, which
 * costs an empty turn but loses nothing. */
#include "net/loop.h"

#include "base/mem.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/thread.h>

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct loop {
    struct event_base *base;
    struct event on_wake;
    int wake_fd;
    struct mpsc posts;
    atomic_bool is_stopping;
};

static void wake(void *ctx)
{
    struct loop *l = ctx;
    uint64_t one = 1;
    ssize_t n;

    do
        n = write(l->wake_fd, &one, sizeof(one));
    while (n == -1 && errno == EINTR); // EAGAIN: it is far from being read, and will be
}

static void run_posts(struct loop *l)
{
    struct mpsc_node *node = mpsc_take_all(&l->posts);

    while (node) {
        struct loop_msg *m = CONTAINER_OF(node, struct loop_msg, node);

        node = node->next; // m may be gone or posted again once its fn runs
        m->fn(m->ctx);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    struct loop *l = ctx;
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));

    UNUSED(what);
    UNUSED(n); // the number does not matter
    run_posts(l);
    if (atomic_load(&l->is_stopping))
        event_base_loopbreak(l->base);
}

static struct event_base *base_new(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
        base = event_base_new_with_config(config);
    if (config)
        event_config_free(config);
    return base;
}

struct loop *loop_new(struct err *err)
{
    struct loop *l = mem_new(struct loop);

    l->wake_fd = -1;
    mpsc_init(&l->posts, "loop", wake, l);
    // libevent's own globals are shared by all bases; a second call changes nothing.
    if (evthread_use_pthreads() == -1) {
        err_set(err, ERR_BUG, "event loop: no locks");
        goto fail;
    }
    l->base = base_new();
    if (!l->base) {
        err_errno(err, errno, "event loop");
        goto fail;
    }
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->wake_fd == -1) {
        err_errno(err, errno, "event loop: eventfd");
        goto fail;
    }
    if (event_assign(&l->on_wake, l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l) == -1 ||
        event_add(&l->on_wake, NULL) == -1) {
        err_set(err, ERR_IO, "event loop: the eventfd cannot be watched");
        goto fail;
    }
    return l;
fail:
    loop_free(l);
    return NULL;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    while (!mpsc_is_empty(&l->posts))
        run_posts(l);
    if (l->base && event_initialized(&l->on_wake))
        event_del(&l->on_wake);
    if (l->base)
        event_base_free(l->base);
    if (l->wake_fd != -1)
        close(l->wake_fd);
    mpsc_fini(&l->posts);
    mem_free(l);
}

void loop_run(struct loop *l)
{
    event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->is_stopping, true);
    wake(l);
}

void loop_post(struct loop *l, struct loop_msg *m)
{
    mpsc_push(&l->posts, &m->node);
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}
