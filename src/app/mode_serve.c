/* Serving: build, tell, wait for signals, stop.
 *
 * MAIN does nothing but wait for signals. Both the start, which may take long after a crash, and
 * the stop, down to the last checkpoint of the database, run on a thread of their own, so that MAIN
 * still hears signals: the first stops gracefully (a start that is under way is let to its end),
 * the second is a reminder, the third ends the process at once. STOP_TIMEOUT holds for all of it.
 * What was acknowledged is on disk whenever the process ends.
 */
#include "app/app_priv.h"
#include "app/wire.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define LOG_FLUSH_S 60 /* until the end of a storm of log lines is told at the latest */

static void block_signals(sigset_t *set)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGPIPE};

    sigemptyset(set);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaddset(set, signals[i]);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    sigdelset(set, SIGPIPE); /* blocked for good: writes tell by EPIPE */
}

static bool write_ports(struct app *app, struct err *err)
{
    struct buf text = BUF_INIT(256);

    buf_addf(&text, "{\"capture\":%d,\"admin\":%d,\"pid\":%ld}\n",
             http_listener_port(app->capture_listener), http_listener_port(app->admin_listener),
             (long)getpid());
    bool ok = fs_write_atomic(app->ports_path, buf_slice(&text), 0600, err);
    buf_free(&text);
    return ok;
}

static void tell_team(const struct team *t, const char *capture)
{
    log_line("Project   %s (team %lld, %s)", t->api_token, (long long)t->id, t->name);
    log_line("Try it    curl -sS %s/capture/ -H 'Content-Type: application/json' "
             "-H 'X-Forwarded-For: 89.160.20.129' -d "
             "'{\"api_key\":\"%s\",\"event\":\"hello\",\"distinct_id\":\"me\"}'",
             capture, t->api_token);
}

static void tell(struct app *app)
{
    const struct team_set *teams = team_directory_get(app->teams);
    struct buf capture = BUF_INIT(1024), admin = BUF_INIT(1024);

    app_add_url(&capture, conf_str(app->conf, CONF_CAPTURE_HOST),
                http_listener_port(app->capture_listener));
    buf_add_str(&capture, conf_str(app->conf, CONF_CAPTURE_PATH_PREFIX));
    app_add_url(&admin, conf_str(app->conf, CONF_HTTP_SERVER_HOST),
                http_listener_port(app->admin_listener));
    log_line("%d workers, %lld tasks per worker", app->workers,
             (long long)conf_int(app->conf, CONF_TASKS_PER_WORKER));
    log_line("All systems go");
    log_line("Capture   %s", buf_cstr(&capture));
    log_line("Admin     %s (%s)", buf_cstr(&admin),
             conf_is_set(app->conf, CONF_ADMIN_TOKEN) ? "token: ADMIN_TOKEN" : app->token_path);
    admin_login_url(app->admin, &admin);
    log_line("Page      %s (logs in once, within an hour)", buf_cstr(&admin));
    if (team_set_count(teams))
        tell_team(team_set_at(teams, 0), buf_cstr(&capture));
    team_set_unref(teams);
    buf_free(&capture);
    buf_free(&admin);
}

/* Work that MAIN starts and watches. */
struct task {
    void (*run)(struct task *t);
    struct app *app;
    const struct cli *cli;
    const struct conf *conf;
    bool ok;
    struct err err;
    pthread_t main_thread;
    struct thread thread;
    atomic_bool is_done;
};

static void task_run(void *ctx)
{
    struct task *t = ctx;

    t->run(t);
    atomic_store(&t->is_done, true);
    pthread_kill(t->main_thread, SIGUSR1); /* wakes MAIN */
}

static void task_start(struct task *t)
{
    struct err err = ERR_INIT;

    t->main_thread = pthread_self();
    if (thread_start(&t->thread, THREAD_NONE, 0, task_run, t, &err))
        return;
    log_error("app", "cannot start a thread, ending now", KV_ERR(&err));
    _exit(1);
}

/* The signal that woke MAIN may have come after MAIN saw the end. */
static void task_end(struct task *t)
{
    sigset_t wake;

    thread_join(&t->thread);
    sigemptyset(&wake);
    sigaddset(&wake, SIGUSR1);
    sigtimedwait(&wake, NULL, &(struct timespec){.tv_sec = 0});
}

/* Waits for the end of a task after the first signal; false when it took too long or a third signal
 * came. */
static bool wait_stopped(struct task *t, const sigset_t *set, int64_t limit_us)
{
    int64_t end = clock_mono_us() + limit_us;
    int signals = 1;

    while (!atomic_load(&t->is_done)) {
        int64_t left = end - clock_mono_us();
        if (left <= 0) {
            log_error("app", "the stop took longer than STOP_TIMEOUT, ending now; what was "
                             "acknowledged is on disk");
            return false;
        }
        struct timespec wait = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
        int sig = sigtimedwait(set, NULL, &wait);
        if (sig != SIGINT && sig != SIGTERM)
            continue;
        if (++signals >= 3)
            return false;
        log_warn("app", "already stopping; once more ends at once");
    }
    return true;
}

static void wait_or_exit(struct task *t, const sigset_t *set)
{
    int64_t limit_us = (int64_t)(conf_num(t->conf, CONF_STOP_TIMEOUT) * 1e6);

    if (!wait_stopped(t, set, limit_us)) {
        log_flush();
        _exit(1);
    }
    task_end(t);
}

static void stop_run(struct task *t)
{
    app_stop(t->app);
    app_free(t->app);
}

static void stop_gracefully(struct app *app, const sigset_t *set)
{
    struct task t = {.run = stop_run, .app = app, .conf = app->conf};

    task_start(&t);
    wait_or_exit(&t, set);
}

static void build_run(struct task *t)
{
    t->ok = app_build(t->app, t->cli, t->conf, &t->err);
    if (!t->ok)
        return;
    admin_set_ready(t->app->admin, true); /* who reads the ports finds it so */
    t->ok = write_ports(t->app, &t->err);
}

/* Builds everything. A signal to stop that comes meanwhile is put back for later; SIGHUP waits. */
static bool build(struct task *t)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    task_start(t);
    while (!atomic_load(&t->is_done)) {
        int sig = sigwaitinfo(&set, NULL);
        if (sig != SIGINT && sig != SIGTERM)
            continue;
        log_warn("app", "stopping as soon as the start is over");
        wait_or_exit(t, &set);
        raise(sig);
        return t->ok;
    }
    task_end(t);
    return t->ok;
}

static void wait_for_stop(struct app *app, const sigset_t *set)
{
    for (;;) {
        int sig = sigtimedwait(set, NULL, &(struct timespec){.tv_sec = LOG_FLUSH_S});
        log_flush();
        if (sig == SIGINT || sig == SIGTERM)
            return;
        if (sig == SIGHUP)
            app_reload(app);
        else if (sig == SIGUSR1)
            keeper_reload(app->keeper, NULL);
    }
}

int mode_serve(const struct cli *cli, const struct conf *conf)
{
    struct app app;
    struct task start = {.run = build_run, .app = &app, .cli = cli, .conf = conf, .err = ERR_INIT};
    sigset_t set;

    block_signals(&set);
    log_line("hedgerow v%s", HEDGEROW_VERSION);
    conf_log_start(conf);
    if (!build(&start)) {
        log_error("app", "Launchpad failure!", KV_ERR(&start.err));
        stop_gracefully(&app, &set);
        return 1;
    }
    thread_set_role(THREAD_MAIN, 0);
    tell(&app);
    wait_for_stop(&app, &set);
    log_line("Shutting down gracefully...");
    stop_gracefully(&app, &set);
    log_flush(); /* the line below is the last */
    log_line("Over and out!");
    return 0;
}
