/* Includes the .c to look into the list of listeners. */
#include "admin/tail.c"
#include "admin_aid.h"
#include "base/thread.h"

/* A listener on a thread of its own; what came can be looked at while it goes on. */
struct ear {
    struct thread thread;
    struct aid *aid;
    const char *const *headers;
    char path[100];
    struct lock lock;
    struct cond changed;
    struct buf text;
    bool is_short; /* goes after the first bytes */
    bool is_over, ok;
};

static bool on_data(struct slice bytes, void *ctx)
{
    struct ear *e = ctx;

    lock_take(&e->lock);
    buf_add_slice(&e->text, bytes);
    cond_broadcast(&e->changed);
    lock_drop(&e->lock);
    return !e->is_short;
}

static void listen_run(void *ctx)
{
    struct ear *e = ctx;
    struct err err = ERR_INIT;
    struct http_reply reply = {.body = BUF_INIT(100)};
    char url[200];

    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", http_listener_port(e->aid->listener),
             e->path);
    struct http_call call = {.method = "GET",
                             .url = url,
                             .headers = e->headers,
                             .timeout_us = WAIT_US,
                             .on_data = on_data,
                             .ctx = e};
    bool ok = http_client_call(&call, &reply, &err) && reply.status == 200;
    lock_take(&e->lock);
    e->ok = ok;
    e->is_over = true;
    cond_broadcast(&e->changed);
    lock_drop(&e->lock);
    buf_free(&reply.body);
}

static void ear_open_as(struct ear *e, struct aid *aid, const char *const *headers,
                        const char *path, bool is_short)
{
    *e = (struct ear){
        .aid = aid, .headers = headers, .text = BUF_INIT(16 << 20), .is_short = is_short};
    snprintf(e->path, sizeof(e->path), "%s", path);
    lock_init(&e->lock, "ear", RANK_APP);
    cond_init(&e->changed);
    must(thread_start(&e->thread, THREAD_NONE, 0, listen_run, e, &aid->err));
}

static void ear_open(struct ear *e, struct aid *aid, const char *path, bool is_short)
{
    ear_open_as(e, aid, aid_bearer, path, is_short);
}

static void ear_wait(struct ear *e, const char *part)
{
    lock_take(&e->lock);
    while (!strstr(buf_cstr(&e->text), part) && !e->is_over)
        if (!cond_wait_us(&e->changed, &e->lock, WAIT_US))
            break;
    bool is_there = strstr(buf_cstr(&e->text), part) != NULL;
    lock_drop(&e->lock);
    if (!is_there)
        fail_msg("%s: no %s in %s", e->path, part, buf_cstr(&e->text));
}

static void ear_close(struct ear *e)
{
    thread_join(&e->thread);
    cond_fini(&e->changed);
    lock_fini(&e->lock);
    buf_free(&e->text);
}

/* Waits until so many listeners are known. */
static void listeners_are(struct aid *aid, size_t wanted)
{
    struct tail *t = aid->admin->tail;
    int64_t end = clock_mono_us() + WAIT_US;
    size_t count;

    do {
        count = 0;
        lock_take(&t->lock);
        list_each (node, &t->listeners)
            count++;
        lock_drop(&t->lock);
        must(pipe_call_wait(aid->pipe, wait_fn, NULL, &aid->err));
        if (clock_mono_us() >= end)
            fail_msg("%zu listeners, not %zu", count, wanted);
    } while (count != wanted);
}

static size_t count_lines(struct ear *e)
{
    size_t n = 0;

    for (struct slice rest = buf_slice(&e->text), line; slice_split(&rest, '\n', &line);)
        n += line.len > 0;
    return n;
}

static void each_hears_what_it_asked_for(void **state)
{
    static const char *const paths[] = {"/api/tail", "/api/tail?team=2", "/api/tail?event=b%20c",
                                        "/api/tail?team=1&event=b%20c",
                                        "/api/tail?distinct_id=y%20z"};
    static const size_t wanted[] = {6, 3, 2, 1, 1};
    struct ear ears[ARRAY_LEN(paths)];
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        ear_open(&ears[i], aid, paths[i], false);
    listeners_are(aid, ARRAY_LEN(paths));
    aid_send(aid, 1, "x", "a");
    aid_send(aid, 1, "x", "b c");
    aid_send(aid, 2, "x", "a");
    aid_send(aid, 2, "x", "b c");
    aid_send(aid, 1, "y z", "of y");
    aid_send(aid, 2, "x", "last");
    ear_wait(&ears[0], "\"last\"");
    ear_wait(&ears[1], "\"last\"");
    ear_wait(&ears[2], "\"team_id\":2");
    ear_wait(&ears[3], "\"b c\"");
    ear_wait(&ears[4], "\"of y\"");
    aid_end(aid); /* ends the streams */
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        thread_join(&ears[i].thread);
        assert_true(ears[i].ok);
        assert_int_equal(count_lines(&ears[i]), wanted[i]);
        ear_close(&ears[i]);
    }
}

static void listeners_may_go(void **state)
{
    struct aid a, *aid = &a;
    struct ear stays, goes;

    UNUSED(state);
    aid_serve(aid);
    ear_open(&stays, aid, "/api/tail?event=last", false);
    for (int i = 0; i < 20; i++) {
        ear_open(&goes, aid, "/api/tail?event=e", true);
        listeners_are(aid, 2);
        aid_send(aid, 1, "x", "e");
        ear_close(&goes);
        aid_send(aid, 1, "x", "e"); /* for one that is gone, or not yet */
        aid_settle(aid);
        listeners_are(aid, 1);
    }
    aid_send(aid, 1, "x", "last");
    ear_wait(&stays, "\"last\"");
    aid_end(aid);
    ear_close(&stays);
}

static void tell(struct tail *t, struct slice line)
{
    tail_line(&(struct pipe_tail_event){.team_id = 1, .event = SLICE("e"), .json_line = line}, t);
}

/* --- by hand, without a loop: what does not fit is counted --- */

static void too_much_is_skipped(void **state)
{
    struct aid a, *aid = &a;
    struct ear ear;
    struct buf line = BUF_INIT(1 << 20);

    UNUSED(state);
    aid_serve(aid);
    ear_open(&ear, aid, "/api/tail", false);
    listeners_are(aid, 1);
    struct tail *t = aid->admin->tail;
    while (line.len < 300000)
        buf_add_str(&line, "0123456789");
    /* The message to the loop cannot come through while the lock is held. */
    lock_take(&t->lock);
    struct listener *l = list_entry(t->listeners.next, struct listener, node);
    l->is_posted = true; /* as if one were under way */
    lock_drop(&t->lock);
    for (int i = 0; i < 5; i++)
        tell(t, buf_slice(&line));
    lock_take(&t->lock);
    assert_int_equal(l->pending_lines, 3); /* of 1 MiB */
    assert_int_equal(l->skipped, 2);
    l->is_posted = false;
    lock_drop(&t->lock);
    tell(t, SLICE("{\"last\":1}"));
    ear_wait(&ear, "{\"last\":1}\n{\"skipped\":2}\n");
    tell(t, SLICE("{\"end\":1}"));
    ear_wait(&ear, "{\"end\":1}\n");
    assert_null(strstr(strstr(buf_cstr(&ear.text), "\"end\""), "skipped")); /* told once */
    buf_free(&line);
    aid_end(aid);
    ear_close(&ear);
}

static void browsers_get_events_and_not_too_many(void **state)
{
    static const char *const headers[] = {"Authorization: Bearer " TOKEN,
                                          "Accept: text/event-stream", NULL};
    struct ear ear;
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    ear_open_as(&ear, aid, headers, "/api/tail", false);
    listeners_are(aid, 1);
    struct tail *t = aid->admin->tail;
    clock_fake_set(clock_wall_us());
    for (int i = 0; i < EVENTS_PER_SECOND; i++)
        tell(t, SLICE("{\"n\":1}"));
    tell(t, SLICE("{\"over\":1}"));
    ear_wait(&ear, "event: skipped\ndata: 1\n\n");
    tell(t, SLICE("{\"over\":2}")); /* not told at once */
    clock_fake_add(1000000);
    tell(t, SLICE("{\"n\":2}"));
    ear_wait(&ear, "data: {\"n\":2}\n\nevent: skipped\ndata: 1\n\n");
    assert_null(strstr(buf_cstr(&ear.text), "over"));
    clock_fake_off();
    aid_end(aid);
    assert_int_equal(count_lines(&ear), EVENTS_PER_SECOND + 1 + 4);
    ear_close(&ear);
}

static void refusals(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    expect("GET", "/api/tail?team=two", NULL, 400, "`team`");
    tail_stop(aid->admin->tail);
    expect("GET", "/api/tail", NULL, 503, "stopping");
    aid_end(aid);
    tail_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_hears_what_it_asked_for),
        cmocka_unit_test(listeners_may_go),
        cmocka_unit_test(too_much_is_skipped),
        cmocka_unit_test(browsers_get_events_and_not_too_many),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
