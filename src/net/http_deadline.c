/* A timer per connection would cost a heap operation for each change of state. Instead each door
 * has one list per kind of wait; all members of a list wait equally long, so it is ordered by
 * deadline when newcomers are put at its end. One timer per loop fires at the earliest deadline of
 * all. It is set forward only when a nearer deadline comes up; a deadline that went away meanwhile
 * costs one sweep that finds nothing. A loop without connections has no timer at all.
 *
 * How long a body may take as a whole differs from body to body, which has no place in such a list.
 * So it is looked at when bytes come in: who has used up its time then goes to the front of the
 * list and is ended by the next sweep. Without bytes the stall limit ends it, so that a body
 * overstays by one such pause at most. */
#include "base/clock.h"
#include "net/net_priv.h"

#include <event2/event.h>

#define SWEEP_GAP_US 50000               /* many deadlines close together are one sweep */
#define BYTES_MAX    ((uint64_t)1 << 42) /* so that their time can be reckoned */

static void arm(struct net_loop *nl, int64_t now, int64_t deadline)
{
    int64_t at = MAX(deadline, nl->swept_at + SWEEP_GAP_US), wait = MAX(at - now, 0);
    struct timeval tv;

    // libevent rounds down to what the kernel's clock gives: a little later finds it expired.
    wait += 1000;
    tv = (struct timeval){.tv_sec = wait / 1000000, .tv_usec = wait % 1000000};
    nl->sweep_at = at;
    CHECK(event_add(&nl->on_sweep, &tv) == 0);
}

static struct http_conn *first_of(struct list *waits)
{
    return list_is_empty(waits) ? NULL : list_entry(waits->next, struct http_conn, wait_link);
}

static void sweep_list(struct list *waits, int kind, int64_t now)
{
    struct http_conn *c;

    while ((c = first_of(waits)) && c->deadline_us <= now) {
        http_deadline_set(c, HTTP_WAIT_NONE);
        http_conn_expired(c, (enum http_wait)kind);
    }
}

static void sweep(evutil_socket_t fd, short what, void *ctx)
{
    struct net_loop *nl = ctx;
    int64_t now = clock_mono_real_us(), next = INT64_MAX;

    UNUSED(fd);
    UNUSED(what);
    nl->swept_at = now;
    for (int i = 0; i < nl->door_count; i++)
        for (int kind = HTTP_WAIT_NONE + 1; kind < HTTP_WAIT_COUNT; kind++)
            sweep_list(&nl->doors[i]->waits[kind], kind, now);
    for (int i = 0; i < nl->door_count; i++) {
        for (int kind = HTTP_WAIT_NONE + 1; kind < HTTP_WAIT_COUNT; kind++) {
            const struct http_conn *c = first_of(&nl->doors[i]->waits[kind]);

            if (c && c->deadline_us < next)
                next = c->deadline_us;
        }
    }
    nl->sweep_at = INT64_MAX;
    if (next == INT64_MAX)
        event_del(&nl->on_sweep); // one that expired may have armed it
    else
        arm(nl, now, next);
}

void http_deadline_start(struct net_loop *nl)
{
    nl->sweep_at = INT64_MAX;
    nl->swept_at = INT64_MIN / 2;
    CHECK(event_assign(&nl->on_sweep, loop_base(nl->loop), -1, 0, sweep, nl) == 0);
}

void http_deadline_stop(struct net_loop *nl)
{
    event_del(&nl->on_sweep);
}

// Whether a body, or what is read and dropped, has taken longer than its bytes justify.
static bool is_too_slow(struct http_conn *c, enum http_wait wait, int64_t now)
{
    const struct http_listener *l = c->door->listener;
    uint64_t bytes = c->body_seen;

    if (l->limits.body_rate_min < 0 || (wait != HTTP_WAIT_BODY && wait != HTTP_WAIT_LINGER))
        return false;
    if (c->slow_since == 0)
        c->slow_since = now;
    if (c->phase == HTTP_PHASE_BODY && !c->exchange->frame.is_chunked)
        bytes = c->exchange->frame.length;
    return now - c->slow_since - l->wait_us[wait] >
           (int64_t)(MIN(bytes, BYTES_MAX) * 1000000 / (uint64_t)l->limits.body_rate_min);
}

void http_deadline_set(struct http_conn *c, enum http_wait wait)
{
    struct net_loop *nl = c->door->nl;
    int64_t now;

    if (wait == c->wait && (!c->has_progress || wait == HTTP_WAIT_NONE))
        return;
    if (c->wait != HTTP_WAIT_NONE)
        list_remove(&c->wait_link);
    c->wait = wait;
    c->has_progress = false;
    if (wait == HTTP_WAIT_NONE)
        return;
    now = clock_mono_real_us();
    if (is_too_slow(c, wait, now)) {
        c->deadline_us = now;
        list_push_front(&c->door->waits[wait], &c->wait_link);
    } else {
        c->deadline_us = now + c->door->listener->wait_us[wait];
        list_push_back(&c->door->waits[wait], &c->wait_link);
    }
    if (c->deadline_us < nl->sweep_at)
        arm(nl, now, c->deadline_us);
}
