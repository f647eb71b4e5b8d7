#include "lib/unit.h"
#include "net/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static void addresses(void **state)
{
    static const struct {
        const char *address, *text;
        bool is_private, is_loopback;
    } table[] = {
        {"127.0.0.1", "127.0.0.1", true, true},
        {"127.255.0.9", "127.255.0.9", true, true},
        {"10.0.0.1", "10.0.0.1", true, false},
        {"11.0.0.1", "11.0.0.1", false, false},
        {"172.16.0.1", "172.16.0.1", true, false},
        {"172.31.255.255", "172.31.255.255", true, false},
        {"172.32.0.1", "172.32.0.1", false, false},
        {"192.168.3.4", "192.168.3.4", true, false},
        {"192.169.3.4", "192.169.3.4", false, false},
        {"169.254.1.1", "169.254.1.1", true, false},
        {"8.8.8.8", "8.8.8.8", false, false},
        {"::1", "::1", true, true},
        {"::2", "::2", false, false},
        {"fe80::1", "fe80::1", true, false},
        {"fd00::1", "fd00::1", true, false},
        {"fc00::1", "fc00::1", true, false},
        {"2001:db8::1", "2001:db8::1", false, false},
        {"::ffff:10.1.2.3", "10.1.2.3", true, false},
        {"::ffff:127.0.0.1", "127.0.0.1", true, true},
        {"::ffff:8.8.8.8", "8.8.8.8", false, false},
        {"2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:1111:2222:3333:4444:5555:6666", false,
         false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct sockaddr_storage s = {.ss_family = AF_INET};
        void *any = &s;
        struct peer p;

        if (strchr(table[i].address, ':')) {
            s.ss_family = AF_INET6;
            assert_int_equal(
                inet_pton(AF_INET6, table[i].address, &((struct sockaddr_in6 *)any)->sin6_addr), 1);
        } else {
            assert_int_equal(
                inet_pton(AF_INET, table[i].address, &((struct sockaddr_in *)any)->sin_addr), 1);
        }
        peer_set(&p, &s);
        assert_true(slice_eq(slice_make(p.text, p.len), slice_cstr(table[i].text)));
        assert_int_equal(p.is_private, table[i].is_private);
        assert_int_equal(p.is_loopback, table[i].is_loopback);
    }
}

static void unix_sockets(void **state)
{
    struct sockaddr_storage s = {.ss_family = AF_UNIX};
    struct peer p;

    (void)state;
    peer_set(&p, &s);
    assert_true(slice_eq(slice_make(p.text, p.len), SLICE("unix")));
    assert_true(p.is_private && p.is_loopback);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(unix_sockets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
