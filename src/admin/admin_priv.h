/* admin_priv.h - shared by the files of this folder. */
#pragma once

#include "admin/admin.h"
#include "base/json.h"

#include <stdatomic.h>

struct tail;
struct admin_readers;
struct login;

struct admin {
    struct admin_options opt;
    atomic_bool is_begun;
    /* valid from then on */
    struct admin_parts parts;
    struct tail *tail;
    struct admin_readers *readers;

    char *capture_url; /* NULL: not known */

    int64_t started_us; /* wall */
    struct login *login;
    atomic_bool is_ready;
    struct http_route *routes;
    size_t route_count;
};

/* Answers. `code` is a short word for programs, the message one sentence for people. */
void admin_answer_json(struct http_request *req, int status, struct slice json);
void admin_answer_fault(struct http_request *req, int status, const char *code,
                        const char *message);
/* A list of faults, each with its place; `what` has them. */
void admin_answer_faults(struct http_request *req, const char *what,
                         const struct json_faults *faults);
int admin_status_of(const struct err *err);

/* login.c: the token, the one-time link, sessions */
enum login_answer { LOGIN_RIGHT, LOGIN_WRONG, LOGIN_LATER };
struct login *login_new(const char *token);
void login_free(struct login *l);
/* LATER: there were too many wrong ones, this one was not looked at. */
enum login_answer login_try(struct login *l, const struct http_request *req, struct slice token);
/* Appends the path of a fresh link, which takes the place of the one before. */
void login_add_link(struct login *l, struct buf *out);
bool login_take_link(struct login *l, struct slice link);            /* true once */
void login_begin_session(struct login *l, struct http_request *req); /* sets the cookie */
bool login_has_session(struct login *l, const struct http_request *req);
void login_end_session(struct login *l, struct http_request *req);
/* The browser says that a page of another origin made this request. */
bool login_is_foreign(const struct http_request *req);
/* The browser says that a page of ours made this request. */
bool login_is_own_page(const struct http_request *req);

/* page.c: the files of the page, and the login form */
void page_serve_file(struct admin *a, struct http_request *req);
void page_serve_login(struct admin *a, struct http_request *req);
void page_take_login(struct admin *a, struct http_request *req);
void page_serve_logout(struct admin *a, struct http_request *req);
void page_ask_login(struct http_request *req);
void page_answer_starting(struct http_request *req);

/* tail.c */
struct tail *tail_new(struct pipe *pipe);
void tail_free(struct tail *t);
void tail_stop(struct tail *t);
void tail_serve(struct tail *t, struct http_request *req);

/* health.c */
void health_serve(struct admin *a, struct http_request *req);
void health_serve_ready(struct admin *a, struct http_request *req);
void health_serve_metrics(struct admin *a, struct http_request *req);
void health_serve_status(struct admin *a, struct http_request *req);

/* api_teams.c: teams, provision */
void api_teams_serve(struct admin *a, struct http_request *req);
void api_teams_rotate(struct admin *a, struct http_request *req);
void api_teams_apply(struct admin *a, struct http_request *req);
void api_teams_export(struct admin *a, struct http_request *req);

/* api_read.c: bounded reads beside the writer */
struct admin_readers *api_read_new(const char *database_path, struct store store, int loops);
void api_read_free(struct admin_readers *r);
void api_read_events(struct admin *a, struct http_request *req);
void api_read_event(struct admin *a, struct http_request *req);
void api_read_person(struct admin *a, struct http_request *req);
void api_read_minutes(struct admin *a, struct http_request *req);
void api_read_errors(struct admin *a, struct http_request *req);
void api_read_error(struct admin *a, struct http_request *req);
void api_read_plugin_logs(struct admin *a, struct http_request *req);

/* api_plugins.c */
void api_plugins_serve(struct admin *a, struct http_request *req);
void api_plugins_reload(struct admin *a, struct http_request *req);
void api_plugins_enable(struct admin *a, struct http_request *req);
void api_plugins_disable(struct admin *a, struct http_request *req);
