/* app_aid.h - settings in a folder of their own, what a call prints, and a fake server that answers
 * as told. */
#pragma once

#include "app/app_priv.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "lib/unit.h"
#include "net/http_server.h"
#include "temp_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AID      __attribute__((unused)) static
#define SETS_MAX 16
#define WAIT_US  ((int64_t)20000000)

/* --- settings --- */

struct place {
    char *dir;
    char sets[SETS_MAX][300];
    size_t set_count;
    struct conf *conf;
};

/* "NAME=value" each, NULL at the end; DATA_DIR is <dir>/data. */
AID void place_open(struct place *p, const char *const *sets)
{
    const char *list[SETS_MAX];
    struct buf faults = BUF_INIT(1 << 16);

    *p = (struct place){.dir = temp_dir_new()};
    log_setup(LOG_NONE, LOG_CLASSIC, false);
    snprintf(p->sets[p->set_count++], sizeof(p->sets[0]), "DATA_DIR=%s/data", p->dir);
    for (; sets && *sets; sets++)
        snprintf(p->sets[p->set_count++], sizeof(p->sets[0]), "%s", *sets);
    for (size_t i = 0; i < p->set_count; i++)
        list[i] = p->sets[i];
    p->conf = conf_load(&(struct conf_sources){.sets = list, .set_count = p->set_count}, &faults);
    if (!p->conf)
        fail_msg("%s", buf_cstr(&faults));
    buf_free(&faults);
}

AID void place_close(struct place *p)
{
    conf_free(p->conf);
    temp_dir_free(p->dir);
}

/* --- output --- */

struct printing {
    int kept[2];
    FILE *file;
};

/* From here to printing_end standard output and standard error go to a file. */
AID void printing_begin(struct printing *p)
{
    fflush(NULL);
    p->file = tmpfile();
    assert_non_null(p->file);
    for (int i = 0; i < 2; i++) {
        p->kept[i] = dup(i + 1);
        assert_int_equal(dup2(fileno(p->file), i + 1), i + 1);
    }
}

/* Freed by the caller. */
AID char *printing_end(struct printing *p)
{
    struct buf out = BUF_INIT(1 << 20);
    char bytes[4096];
    size_t n;

    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(p->kept[i], i + 1);
        close(p->kept[i]);
    }
    rewind(p->file);
    while ((n = fread(bytes, 1, sizeof(bytes), p->file)) > 0)
        buf_add(&out, bytes, n);
    fclose(p->file);
    buf_cstr(&out);
    return out.ptr;
}

/* --- a server --- */

#define ASKED_MAX 64

struct asked {
    char *path, *body, *authorization;
};

struct fake {
    struct net *net;
    struct http_listener *listener;
    struct http_route route;
    struct lock lock;
    struct asked asked[ASKED_MAX];
    size_t count;
    int statuses[ASKED_MAX]; /* 0: 200 */
    const char *answer;
};

static char *text_of(struct slice s)
{
    return s.ptr ? slice_dup(s) : mem_dup_str("");
}

static void fake_serve(struct http_request *req, void *ctx)
{
    struct fake *f = ctx;

    lock_take(&f->lock);
    CHECK(f->count < ASKED_MAX);
    struct asked *a = &f->asked[f->count];
    int status = f->statuses[f->count++];
    struct buf path = BUF_INIT(4096);
    buf_addf(&path, "%.*s?%.*s", SLICE_ARG(req->path), SLICE_ARG(req->query));
    buf_cstr(&path);
    a->path = path.ptr;
    a->body = text_of(req->body);
    a->authorization = text_of(http_header_get(req, "Authorization"));
    lock_drop(&f->lock);
    http_respond(req, status ? status : 200, "application/json", slice_cstr(f->answer));
}

static void fake_refuse(struct http_request *req, int status, const char *detail, void *ctx)
{
    UNUSED(ctx);
    http_respond(req, status, "text/plain", slice_cstr(detail));
}

AID void fake_open(struct fake *f, const char *answer)
{
    struct err err = ERR_INIT;

    *f = (struct fake){.answer = answer};
    lock_init(&f->lock, "fake", RANK_APP);
    f->route = (struct http_route){.methods = HTTP_M_GET | HTTP_M_POST,
                                   .pattern = "/",
                                   .handler = fake_serve,
                                   .ctx = f,
                                   .body_bytes_max = 64 << 20,
                                   .is_prefix = true};
    struct http_listener_options opt = {.name = "fake",
                                        .host = "127.0.0.1",
                                        .path_prefix = "",
                                        .routes = &f->route,
                                        .route_count = 1,
                                        .refuse = fake_refuse,
                                        .limits = {.head_bytes_max = 32768,
                                                   .header_count_max = 100,
                                                   .head_us = WAIT_US,
                                                   .body_stall_us = WAIT_US,
                                                   .idle_us = WAIT_US,
                                                   .write_stall_us = WAIT_US,
                                                   .connections_max = 100,
                                                   .body_bytes_total_max = 128 << 20,
                                                   .body_discard_factor = 2}};
    f->net = net_new(1, NULL, &err);
    f->listener = f->net ? net_listen(f->net, &opt, &err) : NULL;
    if (!f->listener || !net_start(f->net, &err))
        fail_msg("%s", err.text);
}

AID int fake_port(const struct fake *f)
{
    return http_listener_port(f->listener);
}

/* What was asked may be looked at from here on. */
AID void fake_stop(struct fake *f)
{
    net_drain(f->net, WAIT_US);
    net_stop(f->net);
}

AID void fake_close(struct fake *f)
{
    net_free(f->net);
    lock_fini(&f->lock);
    for (size_t i = 0; i < f->count; i++) {
        mem_free(f->asked[i].path);
        mem_free(f->asked[i].body);
        mem_free(f->asked[i].authorization);
    }
}

AID void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("%s\nhas no %s", text, part);
}
