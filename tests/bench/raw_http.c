/* raw_http.c - the HTTP layer alone: what the machine can do before any event is looked at.
 *
 *     raw_http [PORT [THREADS]]      port 0: a free one; the port is printed
 *
 * Every POST and GET is answered with {"status":1} at once. SIGTERM or SIGINT prints the CPU time
 * per request and ends it.
 */
#include "net/http_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void on_request(struct http_request *req, void *ctx)
{
    UNUSED(ctx);
    http_respond(req, 200, "application/json", SLICE("{\"status\":1}"));
}

static void count(struct http_request *req, int status, void *ctx)
{
    UNUSED(req);
    UNUSED(status);
    metric_add(ctx, 1);
}

static void report(struct metric_counter *answers)
{
    struct rusage use;
    double us;

    getrusage(RUSAGE_SELF, &use);
    us = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
         (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
    fprintf(stderr, "%llu requests, %.2f us CPU each\n", (unsigned long long)metric_value(answers),
            metric_value(answers) ? us / (double)metric_value(answers) : 0);
}

int main(int argc, char **argv)
{
    static const struct http_route routes[] = {{.methods = HTTP_M_GET | HTTP_M_POST,
                                                .pattern = "/",
                                                .handler = on_request,
                                                .body_bytes_max = 20u << 20,
                                                .is_prefix = true}};
    struct metrics *metrics = metrics_new();
    struct metric_counter *answers =
        metric_new_counter(metrics, "raw_answers_total", NULL, "Answers.");
    struct http_listener_options opt = {.name = "raw",
                                        .host = "127.0.0.1",
                                        .port = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0,
                                        .routes = routes,
                                        .route_count = ARRAY_LEN(routes),
                                        .answer = count,
                                        .ctx = answers};
    struct err err = ERR_INIT;
    struct net *net = net_new(argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1, metrics, &err);
    struct http_listener *listener = net ? net_listen(net, &opt, &err) : NULL;
    sigset_t ends;
    int signal_number;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    if (!listener || !net_start(net, &err)) {
        fprintf(stderr, "raw_http: %s\n", err.text);
        return 1;
    }
    printf("%d\n", http_listener_port(listener));
    fflush(stdout);
    sigwait(&ends, &signal_number);
    report(answers);
    net_stop(net);
    net_free(net);
    metrics_free(metrics);
    return 0;
}
