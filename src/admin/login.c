/* Who may come in: the token, or a session that began with the token or with the one-time link.
 *
 * A session is a random number in a cookie. It lives in memory only, ends SESSION_IDLE_US after its
 * last use and SESSION_US after its begin, and when there are too many the longest unused one goes.
 * The link is good for one use within LINK_US; a new one takes the old one's place.
 *
 * Wrong tokens cost their sender time: each moves its `busy_until` on by GUESS_EVERY_US, and who is
 * more than GUESS_BURST ahead of the clock is told to wait before anything is compared. Senders are
 * told apart by address (IPv6: by network, everybody has 2^64 addresses there); the table keeps the
 * GUESSERS_MAX that are furthest ahead.
 *
 * Browsers send a cookie to every port of a host, and with requests that pages on other ports make:
 * its name has the port, and what changes something must come from our own page, which the browser
 * proves by Sec-Fetch-Site or, where the connection is not to be trusted, by Origin.
 *
 * Threads: everything from any thread, under one lock.
 */
#include "admin/admin_priv.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/thread.h"

#include <arpa/inet.h>

#define SECRET_BYTES    32
#define SECRET_TEXT_LEN (2 * SECRET_BYTES)
#define SESSIONS_MAX    64
#define SESSION_IDLE_US ((int64_t)12 * 3600 * 1000000)
#define SESSION_US      ((int64_t)7 * 24 * 3600 * 1000000)
#define LINK_US         ((int64_t)3600 * 1000000)
#define GUESSERS_MAX    256
#define GUESS_EVERY_US  ((int64_t)3 * 1000000)
#define GUESS_BURST     50
#define COOKIE_NAME     "hedgerow_"
#define PORT_LEN_MAX    5

struct session {
    char id[SECRET_TEXT_LEN]; /* all zero: a free place */
    int64_t begun_us, used_us;
};

struct guesser {
    uint64_t who;
    int64_t busy_until_us;
};

struct login {
    struct lock lock;
    char *token;
    char link[SECRET_TEXT_LEN];
    int64_t link_until_us; /* 0: there is none */
    struct session sessions[SESSIONS_MAX];
    struct guesser guessers[GUESSERS_MAX];
    size_t guesser_count;
};

static void secret_make(char text[SECRET_TEXT_LEN])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[SECRET_BYTES];

    rand_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
}

struct login *login_new(const char *token)
{
    struct login *l = mem_new(struct login);

    lock_init(&l->lock, "login", RANK_APP);
    l->token = mem_dup_str(token);
    return l;
}

void login_free(struct login *l)
{
    if (!l)
        return;
    lock_fini(&l->lock);
    mem_free(l->token);
    mem_free(l);
}

void login_add_link(struct login *l, struct buf *out)
{
    lock_take(&l->lock);
    secret_make(l->link);
    l->link_until_us = clock_mono_us() + LINK_US;
    buf_add_str(out, "/login?once=");
    buf_add(out, l->link, SECRET_TEXT_LEN);
    lock_drop(&l->lock);
}

/* --- wrong tokens --- */

static uint64_t guesser_of(const struct http_request *req)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t address[16];
    struct slice who = req->peer;

    if (slice_find(who, ':') != -1 && who.len < sizeof(text)) {
        memcpy(text, who.ptr, who.len);
        text[who.len] = '\0';
        if (inet_pton(AF_INET6, text, address) == 1)
            who = slice_make(address, sizeof(address) / 2);
    }
    return hash64(who.ptr, who.len, 0);
}

static struct guesser *guesser_find(struct login *l, uint64_t who)
{
    for (size_t i = 0; i < l->guesser_count; i++)
        if (l->guessers[i].who == who)
            return &l->guessers[i];
    return NULL;
}

/* A place for somebody new: a free one, or that of the one who is least ahead. */
static struct guesser *guesser_place(struct login *l)
{
    struct guesser *least = &l->guessers[0];

    if (l->guesser_count < GUESSERS_MAX)
        return &l->guessers[l->guesser_count++];
    for (size_t i = 1; i < l->guesser_count; i++)
        if (l->guessers[i].busy_until_us < least->busy_until_us)
            least = &l->guessers[i];
    return least;
}

static void guess_count(struct login *l, uint64_t who, int64_t now)
{
    struct guesser *g = guesser_find(l, who);

    if (!g) {
        g = guesser_place(l);
        *g = (struct guesser){.who = who, .busy_until_us = now};
    }
    g->busy_until_us = MAX(g->busy_until_us, now) + GUESS_EVERY_US;
}

enum login_answer login_try(struct login *l, const struct http_request *req, struct slice token)
{
    uint64_t who = guesser_of(req);
    enum login_answer answer = LOGIN_LATER;

    lock_take(&l->lock);
    int64_t now = clock_mono_us();
    const struct guesser *g = guesser_find(l, who);
    if (!g || g->busy_until_us - now < GUESS_BURST * GUESS_EVERY_US) {
        bool is_right = token.len > 0 && slice_eq_secret(token, slice_cstr(l->token));
        answer = is_right ? LOGIN_RIGHT : LOGIN_WRONG;
        if (!is_right)
            guess_count(l, who, now);
    }
    lock_drop(&l->lock);
    return answer;
}

bool login_take_link(struct login *l, struct slice link)
{
    lock_take(&l->lock);
    bool ok = l->link_until_us > clock_mono_us() &&
              slice_eq_secret(link, slice_make(l->link, SECRET_TEXT_LEN));
    if (ok)
        l->link_until_us = 0;
    lock_drop(&l->lock);
    return ok;
}

/* --- sessions --- */

static bool session_lives(const struct session *s, int64_t now)
{
    return s->id[0] && now - s->used_us < SESSION_IDLE_US && now - s->begun_us < SESSION_US;
}

/* Looks at all of them, whatever it has found. */
static struct session *session_find(struct login *l, struct slice id)
{
    int64_t now = clock_mono_us();
    struct session *found = NULL;

    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *s = &l->sessions[i];
        bool is_it = slice_eq_secret(id, slice_make(s->id, SECRET_TEXT_LEN));
        if (session_lives(s, now) && is_it)
            found = s;
    }
    return found;
}

static struct session *session_place(struct login *l, int64_t now)
{
    struct session *oldest = &l->sessions[0];

    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        if (!session_lives(&l->sessions[i], now))
            return &l->sessions[i];
        if (l->sessions[i].used_us < oldest->used_us)
            oldest = &l->sessions[i];
    }
    return oldest;
}

/* The port in Host, behind the last colon of a host that is no bare IPv6 address. */
static struct slice host_port(const struct http_request *req)
{
    struct slice host = http_header_get(req, "Host");
    size_t at = host.len;

    while (at > 0 && host.ptr[at - 1] >= '0' && host.ptr[at - 1] <= '9')
        at--;
    if (at == 0 || host.ptr[at - 1] != ':' || host.len - at > PORT_LEN_MAX)
        return SLICE("0");
    return slice_make(host.ptr + at, host.len - at);
}

static void add_cookie(struct http_request *req, struct slice id, const char *more)
{
    struct buf text = BUF_INIT(512);
    bool is_tls = slice_eq_nocase(http_header_get(req, "X-Forwarded-Proto"), SLICE("https"));

    buf_add_str(&text, COOKIE_NAME);
    buf_add_slice(&text, host_port(req));
    buf_add_char(&text, '=');
    buf_add_slice(&text, id);
    buf_addf(&text, "; Path=/; HttpOnly; SameSite=Strict%s%s", is_tls ? "; Secure" : "", more);
    http_answer_header(req, "Set-Cookie", buf_slice(&text));
    buf_free(&text);
}

void login_begin_session(struct login *l, struct http_request *req)
{
    char id[SECRET_TEXT_LEN];

    secret_make(id);
    lock_take(&l->lock);
    int64_t now = clock_mono_us();
    struct session *s = session_place(l, now);
    *s = (struct session){.begun_us = now, .used_us = now};
    memcpy(s->id, id, sizeof(id));
    lock_drop(&l->lock);
    add_cookie(req, slice_make(id, sizeof(id)), "");
}

/* The value of our cookie, or SLICE_NONE. */
static struct slice cookie_value(const struct http_request *req)
{
    struct slice rest = http_header_get(req, "Cookie"), part, name = SLICE(COOKIE_NAME),
                 port = host_port(req);

    while (slice_split(&rest, ';', &part)) {
        part = slice_trim(part);
        size_t head = name.len + port.len;
        if (part.len == head + 1 + SECRET_TEXT_LEN && part.ptr[head] == '=' &&
            slice_starts(part, name) && slice_eq(slice_make(part.ptr + name.len, port.len), port))
            return slice_make(part.ptr + head + 1, SECRET_TEXT_LEN);
    }
    return SLICE_NONE;
}

bool login_has_session(struct login *l, const struct http_request *req)
{
    struct slice id = cookie_value(req);

    if (!id.len)
        return false;
    lock_take(&l->lock);
    struct session *s = session_find(l, id);
    if (s)
        s->used_us = clock_mono_us();
    lock_drop(&l->lock);
    return s != NULL;
}

void login_end_session(struct login *l, struct http_request *req)
{
    struct slice id = cookie_value(req);

    lock_take(&l->lock);
    struct session *s = id.len ? session_find(l, id) : NULL;
    if (s)
        *s = (struct session){.used_us = 0};
    lock_drop(&l->lock);
    add_cookie(req, SLICE(""), "; Max-Age=0");
}

/* --- whose page it is --- */

bool login_is_foreign(const struct http_request *req)
{
    struct slice site = http_header_get(req, "Sec-Fetch-Site");

    return site.len > 0 && !slice_eq(site, SLICE("same-origin")) && !slice_eq(site, SLICE("none"));
}

bool login_is_own_page(const struct http_request *req)
{
    struct slice site = http_header_get(req, "Sec-Fetch-Site");
    struct slice origin = http_header_get(req, "Origin");

    if (site.len > 0)
        return slice_eq(site, SLICE("same-origin"));
    ptrdiff_t colon = slice_find(origin, ':');
    if (colon == -1 || origin.len < (size_t)colon + 3)
        return false;
    origin = slice_make(origin.ptr + colon + 3, origin.len - (size_t)colon - 3);
    return slice_eq_nocase(origin, http_header_get(req, "Host"));
}
