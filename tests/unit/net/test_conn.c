#include "base/err.h"
#include "base/fault.h"
#include "base/mem.h"
#include "lib/unit.h"
#include "net/conn.h"
#include "net/loop.h"

#include <event2/event.h>

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
    struct conn c;
    int readable, flushed;
};

static void on_readable(struct conn *c)
{
    CONTAINER_OF(c, struct end, c)->readable++;
}

static void on_flushed(struct conn *c)
{
    CONTAINER_OF(c, struct end, c)->flushed++;
}

// A conn on one end of a pair, the other end as a plain descriptor.
static void open_pair(struct loop *l, struct end *e, int *other)
{
    int fds[2], small = 4096;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    *e = (struct end){.readable = 0};
    conn_open(&e->c, loop_base(l), fds[0], &conn_plain, on_readable, on_flushed);
    *other = fds[1];
}

static void turn(struct loop *l)
{
    event_base_loop(loop_base(l), EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void small_sends_go_out_at_once(void **state)
{
    struct err err = ERR_INIT;
    struct loop *l = loop_new(&err);
    struct iovec parts[] = {{(char[]){"head "}, 5}, {NULL, 0}, {(char[]){"body"}, 4}};
    struct end e;
    char bytes[100];
    int other;

    (void)state;
    open_pair(l, &e, &other);
    conn_send(&e.c, parts, 3);
    assert_int_equal(recv(other, bytes, sizeof(bytes), 0), 9);
    assert_memory_equal(bytes, "head body", 9);
    assert_int_equal(conn_queued(&e.c), 0);
    conn_send(&e.c, parts + 1, 1); // nothing
    assert_int_equal(recv(other, bytes, sizeof(bytes), 0), -1);
    // input
    assert_int_equal(conn_read(&e.c, bytes, sizeof(bytes)), CONN_AGAIN);
    assert_int_equal(send(other, "abc", 3, 0), 3);
    turn(l);
    assert_int_equal(e.readable, 1);
    assert_int_equal(conn_read(&e.c, bytes, sizeof(bytes)), 3);
    // the other side ends; ours may still send
    shutdown(other, SHUT_WR);
    turn(l);
    assert_int_equal(e.readable, 2);
    assert_int_equal(conn_read(&e.c, bytes, sizeof(bytes)), 0);
    conn_send(&e.c, parts, 1);
    assert_int_equal(recv(other, bytes, sizeof(bytes), 0), 5);
    conn_finish(&e.c);
    assert_int_equal(recv(other, bytes, sizeof(bytes), 0), 0);
    conn_close(&e.c);
    close(other);
    loop_free(l);
}

// Whatever the socket takes at a time, the bytes arrive in order and once.
static void large_sends_are_queued(void **state)
{
    enum { COUNT = 200, SIZE = 3001 };
    struct err err = ERR_INIT;
    struct loop *l = loop_new(&err);
    struct end e;
    size_t got = 0;
    int other;

    (void)state;
    open_pair(l, &e, &other);
    for (int i = 0; i < COUNT; i++) {
        char block[SIZE];
        struct iovec parts[] = {{block, 1}, {block + 1, 1000}, {block + 1001, 2000}};

        for (size_t k = 0; k < SIZE; k++)
            block[k] = (char)((size_t)i * SIZE + k);
        conn_send(&e.c, parts, 3);
    }
    assert_true(conn_queued(&e.c) > 100000);
    while (got < (size_t)COUNT * SIZE) {
        char bytes[5000];
        ssize_t n = recv(other, bytes, sizeof(bytes), 0);

        if (n == -1) {
            turn(l);
            continue;
        }
        for (ssize_t k = 0; k < n; k++)
            assert_int_equal((unsigned char)bytes[k], (unsigned char)(got + (size_t)k));
        got += (size_t)n;
    }
    assert_int_equal(conn_queued(&e.c), 0);
    assert_true(e.flushed > 0);
    e.flushed = 0;
    turn(l);
    assert_int_equal(e.flushed, 0); // nothing left to watch for
    conn_close(&e.c);
    close(other);
    loop_free(l);
}

static void broken_connections_say_so(void **state)
{
    struct err err = ERR_INIT;
    struct loop *l = loop_new(&err);
    struct iovec part = {(char[]){"abc"}, 3};
    struct end e;
    char byte;
    int other;

    (void)state;
    open_pair(l, &e, &other);
    close(other);
    conn_send(&e.c, &part, 1); // must not end the process by SIGPIPE
    assert_true(e.c.is_broken);
    assert_int_equal(conn_read(&e.c, &byte, 1), CONN_BROKEN);
    conn_send(&e.c, &part, 1);
    assert_int_equal(conn_queued(&e.c), 0);
    conn_set_reading(&e.c, false);
    turn(l);
    assert_int_equal(e.flushed, 0);
    conn_wake(&e.c);
    turn(l);
    assert_int_equal(e.flushed, 1);
    conn_close(&e.c);
    loop_free(l);
}

static void reading_can_be_paused(void **state)
{
    struct err err = ERR_INIT;
    struct loop *l = loop_new(&err);
    struct end e;
    int other;

    (void)state;
    open_pair(l, &e, &other);
    conn_set_reading(&e.c, false);
    conn_set_reading(&e.c, false);
    assert_int_equal(send(other, "abc", 3, 0), 3);
    turn(l);
    assert_int_equal(e.readable, 0);
    conn_set_reading(&e.c, true);
    turn(l);
    assert_int_equal(e.readable, 1);
    conn_close(&e.c);
    close(other);
    loop_free(l);
}

static void a_socket_that_takes_nothing(void **state)
{
    struct err err = ERR_INIT;
    struct loop *l = loop_new(&err);
    struct iovec part = {(char[]){"abc"}, 3};
    struct end e;
    char bytes[10];
    int other;

    (void)state;
    open_pair(l, &e, &other);
    fault_arm("net.write", 1, 2);
    conn_send(&e.c, &part, 1);
    conn_send(&e.c, &part, 1);
    assert_int_equal(conn_queued(&e.c), 6);
    turn(l);
    turn(l);
    fault_clear();
    assert_int_equal(recv(other, bytes, sizeof(bytes), 0), 6);
    assert_memory_equal(bytes, "abcabc", 6);
    conn_close(&e.c);
    close(other);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_sends_go_out_at_once),  cmocka_unit_test(large_sends_are_queued),
        cmocka_unit_test(broken_connections_say_so),   cmocka_unit_test(reading_can_be_paused),
        cmocka_unit_test(a_socket_that_takes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
