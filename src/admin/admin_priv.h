/* admin_priv.h - shared by the files of this folder. */
#pragma once

#include "admin/admin.h"
#include "base/json.h"

#include <stdatomic.h>

struct tail;
struct admin_readers;

struct admin {
    struct admin_options opt;
    atomic_bool is_begun;
    /* valid from then on */
    struct admin_parts parts;
    struct tail *tail;
    struct admin_readers *readers;

    char *token;
    atomic_bool is_ready;
    struct http_route *routes;
    size_t route_count;
};

/* Answers. `code` is a short word for programs, the message one sentence for people. */
void admin_answer_json(struct http_request *req, int status, struct slice json);
void admin_answer_fault(struct http_request *req, int status, const char *code,
                        const char *message);
int admin_status_of(const struct err *err);
bool admin_is_allowed(const struct admin *a, const struct http_request *req);

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
void api_read_event(struct admin *a, struct http_request *req);
void api_read_person(struct admin *a, struct http_request *req);
