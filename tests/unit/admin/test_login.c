#include "admin/login.c"
#include "lib/unit.h"

#include <stdio.h>

/* A request of our own making; nothing is answered to it. */
struct ask {
    struct http_header headers[4];
    struct http_request req;
};

static void ask_init(struct ask *q, const char *peer)
{
    *q = (struct ask){.req = {.headers = q->headers, .peer = slice_cstr(peer)}};
}

static void ask_add(struct ask *q, const char *name, const char *value)
{
    q->headers[q->req.header_count++] = (struct http_header){slice_cstr(name), slice_cstr(value)};
}

/* --- the link --- */

static char *link_of(struct login *l)
{
    struct buf out = BUF_INIT(1000);
    struct slice head = SLICE("/login?once=");

    login_add_link(l, &out);
    assert_true(slice_starts(buf_slice(&out), head));
    char *secret = slice_dup(slice_make(out.ptr + head.len, out.len - head.len));
    buf_free(&out);
    return secret;
}

static void a_link_works_once(void **state)
{
    struct login *l = login_new("t");

    UNUSED(state);
    assert_false(login_take_link(l, SLICE("")));
    assert_false(login_take_link(l, slice_make(l->link, SECRET_TEXT_LEN))); /* none was made */
    char *first = link_of(l), *second = link_of(l);
    assert_int_equal(strlen(first), 64);
    assert_string_not_equal(first, second);
    assert_false(login_take_link(l, slice_cstr(first)));
    assert_false(login_take_link(l, slice_make(second, 63)));
    assert_true(login_take_link(l, slice_cstr(second)));
    assert_false(login_take_link(l, slice_cstr(second)));
    mem_free(first);
    mem_free(second);
    login_free(l);
    login_free(NULL);
}

static void a_link_grows_old(void **state)
{
    struct login *l = login_new("t");

    UNUSED(state);
    clock_fake_set(clock_wall_us());
    char *link = link_of(l);
    clock_fake_add(LINK_US);
    assert_false(login_take_link(l, slice_cstr(link)));
    mem_free(link);
    link = link_of(l);
    clock_fake_add(LINK_US - 1);
    assert_true(login_take_link(l, slice_cstr(link)));
    clock_fake_off();
    mem_free(link);
    login_free(l);
}

/* --- wrong tokens --- */

static void guess(struct login *l, const char *peer, const char *token, enum login_answer wanted)
{
    struct ask q;

    ask_init(&q, peer);
    enum login_answer got = login_try(l, &q.req, slice_cstr(token));
    if (got != wanted)
        fail_msg("%s %s: %d, not %d", peer, token, (int)got, (int)wanted);
}

static void who_guesses_waits(void **state)
{
    struct login *l = login_new("right");

    UNUSED(state);
    clock_fake_set(clock_wall_us());
    guess(l, "192.0.2.1", "", LOGIN_WRONG);
    for (int i = 1; i < GUESS_BURST; i++)
        guess(l, "192.0.2.1", "wrong", LOGIN_WRONG);
    guess(l, "192.0.2.1", "wrong", LOGIN_LATER);
    guess(l, "192.0.2.1", "right", LOGIN_LATER); /* else guessing would go on */
    guess(l, "192.0.2.2", "right", LOGIN_RIGHT);
    clock_fake_add(GUESS_EVERY_US);
    guess(l, "192.0.2.1", "right", LOGIN_RIGHT);
    guess(l, "192.0.2.1", "wrong", LOGIN_WRONG);
    guess(l, "192.0.2.1", "wrong", LOGIN_LATER);
    clock_fake_add(GUESS_BURST * GUESS_EVERY_US);
    for (int i = 0; i < GUESS_BURST; i++)
        guess(l, "192.0.2.1", "wrong", LOGIN_WRONG);
    guess(l, "192.0.2.1", "wrong", LOGIN_LATER);
    clock_fake_off();
    login_free(l);
}

static void a_network_is_one_guesser(void **state)
{
    struct login *l = login_new("right");
    char peer[INET6_ADDRSTRLEN];

    UNUSED(state);
    clock_fake_set(clock_wall_us());
    for (int i = 0; i < GUESS_BURST; i++) {
        snprintf(peer, sizeof(peer), "2001:db8::%x:1", i + 1);
        guess(l, peer, "wrong", LOGIN_WRONG);
    }
    guess(l, "2001:db8::ffff:1", "right", LOGIN_LATER);
    guess(l, "2001:db8:0:1::1", "right", LOGIN_RIGHT);
    clock_fake_off();
    login_free(l);
}

static void the_table_keeps_the_worst(void **state)
{
    struct login *l = login_new("right");
    char peer[32];

    UNUSED(state);
    clock_fake_set(clock_wall_us());
    for (int i = 0; i < GUESS_BURST; i++)
        guess(l, "192.0.2.1", "wrong", LOGIN_WRONG);
    for (int i = 0; i < 3 * GUESSERS_MAX; i++) {
        snprintf(peer, sizeof(peer), "10.0.%d.%d", i / 200, i % 200);
        guess(l, peer, "wrong", LOGIN_WRONG);
    }
    assert_int_equal(l->guesser_count, GUESSERS_MAX);
    guess(l, "192.0.2.1", "right", LOGIN_LATER);
    clock_fake_off();
    login_free(l);
}

/* --- sessions --- */

/* As login_begin_session, without an answer to put the cookie into. */
static void session_put(struct login *l, char fill)
{
    struct session *s = session_place(l, clock_mono_us());

    memset(s->id, fill, sizeof(s->id));
    s->begun_us = s->used_us = clock_mono_us();
}

static bool session_is(struct login *l, char fill)
{
    char cookie[100];
    struct ask q;

    snprintf(cookie, sizeof(cookie), "a=b; hedgerow_6738=%064d; c", 0);
    memset(cookie + strlen("a=b; hedgerow_6738="), fill, SECRET_TEXT_LEN);
    ask_init(&q, "192.0.2.1");
    ask_add(&q, "Host", "localhost:6738");
    ask_add(&q, "Cookie", cookie);
    return login_has_session(l, &q.req);
}

static void sessions_end(void **state)
{
    struct login *l = login_new("t");

    UNUSED(state);
    clock_fake_set(clock_wall_us());
    session_put(l, 'a');
    assert_true(session_is(l, 'a'));
    assert_false(session_is(l, 'b'));
    clock_fake_add(SESSION_IDLE_US - 1);
    assert_true(session_is(l, 'a'));
    clock_fake_add(SESSION_IDLE_US);
    assert_false(session_is(l, 'a'));
    session_put(l, 'b');
    for (int64_t t = 0; t + SESSION_IDLE_US / 2 < SESSION_US; t += SESSION_IDLE_US / 2) {
        assert_true(session_is(l, 'b'));
        clock_fake_add(SESSION_IDLE_US / 2);
    }
    clock_fake_add(SESSION_IDLE_US / 2);
    assert_false(session_is(l, 'b')); /* used all the time, but too old */
    clock_fake_off();
    login_free(l);
}

static void the_longest_unused_session_goes(void **state)
{
    struct login *l = login_new("t");

    UNUSED(state);
    clock_fake_set(clock_wall_us());
    session_put(l, 'a');
    clock_fake_add(1);
    session_put(l, 'b');
    clock_fake_add(1);
    for (int i = 2; i < SESSIONS_MAX; i++)
        session_put(l, 'z');
    assert_true(session_is(l, 'a')); /* used now: b is the oldest */
    session_put(l, 'c');
    assert_true(session_is(l, 'a'));
    assert_false(session_is(l, 'b'));
    assert_true(session_is(l, 'c'));
    clock_fake_off();
    login_free(l);
}

static void whose_cookie(void **state)
{
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    static const struct {
        const char *host, *cookie;
        bool is_ours;
    } table[] = {
        {"h:6738", "hedgerow_6738=" ID, true},
        {"h:6738", "x=y;hedgerow_6738=" ID " ; z", true},
        {"h:6738", "hedgerow_6738=" ID "; hedgerow_6739=" ID, true},
        {"h", "hedgerow_0=" ID, true},
        {"[::1]:6738", "hedgerow_6738=" ID, true},
        {"[::1]", "hedgerow_0=" ID, true},
        {"h:6739", "hedgerow_6738=" ID, false},
        {"h:6738", "hedgerow_6738=" ID "0", false},
        {"h:6738", "hedgerow_6738=", false},
        {"h:6738", "hedgerow_6738", false},
        {"h:6738", "xhedgerow_6738=" ID, false},
        {"h:123456", "hedgerow_123456=" ID, false},
        {"h:6738", "", false},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct ask q;
        ask_init(&q, "192.0.2.1");
        ask_add(&q, "Host", table[i].host);
        ask_add(&q, "Cookie", table[i].cookie);
        bool is_ours = slice_eq(cookie_value(&q.req), SLICE(ID));
        if (is_ours != table[i].is_ours)
            fail_msg("%s %s", table[i].host, table[i].cookie);
    }
}

static void whose_page(void **state)
{
    static const struct {
        const char *site, *origin;
        bool is_foreign, is_own;
    } table[] = {
        {"same-origin", "", false, true},
        {"same-origin", "null", false, true},
        {"none", "", false, false}, /* typed: no page has made it */
        {"same-site", "http://h:1", true, false},
        {"cross-site", "http://h:1", true, false},
        {"", "http://h:1", false, true},
        {"", "https://H:1", false, true},
        {"", "http://h:2", false, false},
        {"", "http://evil.h:1", false, false},
        {"", "null", false, false},
        {"", "http:", false, false},
        {"", "", false, false},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct ask q;
        ask_init(&q, "192.0.2.1");
        ask_add(&q, "Host", "h:1");
        if (*table[i].site)
            ask_add(&q, "Sec-Fetch-Site", table[i].site);
        if (*table[i].origin)
            ask_add(&q, "Origin", table[i].origin);
        if (login_is_foreign(&q.req) != table[i].is_foreign ||
            login_is_own_page(&q.req) != table[i].is_own)
            fail_msg("%s %s", table[i].site, table[i].origin);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_works_once),
        cmocka_unit_test(a_link_grows_old),
        cmocka_unit_test(who_guesses_waits),
        cmocka_unit_test(a_network_is_one_guesser),
        cmocka_unit_test(the_table_keeps_the_worst),
        cmocka_unit_test(sessions_end),
        cmocka_unit_test(the_longest_unused_session_goes),
        cmocka_unit_test(whose_cookie),
        cmocka_unit_test(whose_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
