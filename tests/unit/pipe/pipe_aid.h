/* pipe_aid.h - a whole pipeline over a feed and a store in memory. */
#ifndef TESTS_UNIT_PIPE_PIPE_AID_H
#define TESTS_UNIT_PIPE_PIPE_AID_H

#include "base/clock.h"
#include "base/iso8601.h"
#include "base/log.h"
#include "base/mem.h"
#include "fake_feed.h"
#include "fake_store.h"
#include "pipe/pipe_priv.h"
#include "unit.h"

#define TEAM    2
#define STOP_US (10 * (int64_t)1000000)

struct world {
    struct fake_feed *feed;
    struct fake_store *store;
    struct team_directory *teams;
    struct pipe_options opt;
    struct pipe *pipe;
    int64_t now_us;
    uint64_t sent; /* records, and offsets left out */
    struct lock lock;
    int blocked, unblocked;
};

static inline void world_fatal(const struct err *err, void *ctx)
{
    UNUSED(err);
    UNUSED(ctx);
    fail_msg("fatal called");
}

static inline void world_blocked(bool is_blocked, const char *why, void *ctx)
{
    struct world *w = ctx;

    UNUSED(why);
    lock_take(&w->lock);
    w->blocked += is_blocked;
    w->unblocked += !is_blocked;
    lock_drop(&w->lock);
}

static inline void world_teams(struct world *w)
{
    struct team_set *set = team_set_new();
    struct err err = ERR_INIT;
    struct team teams[] = {
        {.id = 2, .name = "two", .api_token = "phc_2", .session_recording_opt_in = true},
        {.id = 3, .name = "three", .api_token = "phc_3"},
        {.id = 4, .name = "four", .api_token = "phc_4", .anonymize_ips = true},
    };

    for (size_t i = 0; i < ARRAY_LEN(teams); i++)
        assert_true(team_set_add(set, &teams[i], &err));
    team_set_seal(set);
    team_directory_publish(w->teams, set);
}

static inline void world_init(struct world *w)
{
    *w = (struct world){.now_us = clock_wall_us()};
    lock_init(&w->lock, "world", RANK_APP);
    w->feed = fake_feed_new(0);
    w->store = fake_store_new();
    w->teams = team_directory_new();
    world_teams(w);
    w->opt = (struct pipe_options){
        .feed = fake_feed_reader(w->feed),
        .store = fake_store_ops(w->store),
        .teams = w->teams,
        .workers = 2,
        .read_ahead_events = 4096,
        .read_ahead_bytes = 8 << 20,
        .batch_events = 1000,
        .batch_bytes = 8 << 20,
        .batch_us = 2000,
        .fatal = world_fatal,
        .blocked = world_blocked,
        .ctx = w,
    };
}

static inline void world_start(struct world *w)
{
    struct err err = ERR_INIT;

    w->pipe = pipe_start(&w->opt, &err);
    if (!w->pipe)
        fail_msg("%s", err.text);
}

static inline void world_stop(struct world *w)
{
    pipe_stop(w->pipe, STOP_US);
    pipe_free(w->pipe);
    w->pipe = NULL;
}

static inline void world_fini(struct world *w)
{
    fake_feed_free(w->feed);
    fake_store_free(w->store);
    team_directory_free(w->teams);
    lock_fini(&w->lock);
}

/* Everything sent so far is finished. */
static inline void world_settle(struct world *w)
{
    assert_true(fake_store_wait(w->store, w->sent));
}

struct sent {
    const char *id;
    const char *data;
    int64_t team_id; /* 0: TEAM */
    const char *ip;
    bool has_sent_at;
    int64_t sent_at_us;
    const struct uuid *uuid; /* as given by the client */
};

static inline void world_send(struct world *w, const struct sent *s)
{
    struct event_envelope e = {
        .uuid = s->uuid ? *s->uuid : uuid_v7(w->now_us),
        .flags = s->uuid ? EVENT_UUID_CHECKED : 0,
        .team_id = s->team_id ? s->team_id : TEAM,
        .distinct_id = slice_cstr(s->id),
        .ip = slice_cstr(s->ip),
        .token = SLICE("phc_2"),
        .now_us = w->now_us,
        .has_sent_at = s->has_sent_at,
        .sent_at_us = s->sent_at_us,
        .data = slice_cstr(s->data),
    };

    fake_feed_add(w->feed, &e);
    w->sent++;
}

static inline void world_event(struct world *w, const char *id, const char *event,
                               const char *properties)
{
    struct buf data = BUF_INIT(1 << 20);

    buf_addf(&data, "{\"event\":\"%s\",\"properties\":%s}", event, properties);
    world_send(w, &(struct sent){.id = id, .data = buf_cstr(&data)});
    buf_free(&data);
}

/* P[ids in order] {properties} ident=… v=…, one line per living person of the team. */
static inline void world_persons(const struct world *w, int64_t team_id, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < fake_store_person_count(w->store); i++) {
        const struct fake_person *p = fake_store_person_at(w->store, i);
        bool is_first = true;

        if (p->is_deleted || p->p.team_id != team_id)
            continue;
        buf_addf(out, "%sP[", out->len ? "\n" : "");
        for (size_t k = 0; k < fake_store_distinct_id_count(w->store); k++) {
            const struct fake_distinct_id *d = fake_store_distinct_id_at(w->store, k);

            if (d->person_id != p->p.id)
                continue;
            buf_addf(out, "%s%.*s", is_first ? "" : ",", SLICE_ARG(d->id));
            is_first = false;
        }
        buf_addf(out, "] %.*s ident=%d v=%lld", SLICE_ARG(p->p.properties), p->p.is_identified,
                 (long long)p->p.version);
    }
}

static inline void assert_slice(struct slice s, const char *text)
{
    if (!slice_eq(s, slice_cstr(text)))
        fail_msg("got      %.*s\nexpected %s", SLICE_ARG(s), text);
}

static inline void assert_persons(const struct world *w, const char *expected)
{
    struct buf text = BUF_INIT(1 << 20);

    world_persons(w, TEAM, &text);
    assert_slice(buf_slice(&text), expected);
    buf_free(&text);
}

static inline void assert_contains(struct slice s, const char *part)
{
    if (!memmem(s.ptr, s.len, part, strlen(part)))
        fail_msg("%.*s\ndoes not contain %s", SLICE_ARG(s), part);
}

#endif
