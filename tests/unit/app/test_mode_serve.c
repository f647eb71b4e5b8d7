#include "app/wire.h"

static bool build_app(struct app *app, const struct cli *cli, const struct conf *conf,
                      struct err *err);
static void free_app(struct app *app);

/* So that a start or a stop can be made to take for ever. */
#define app_build build_app
#define app_free  free_app
#include "app/mode_serve.c"
#undef app_build
#undef app_free
#include "app_aid.h"
#include "child.h"

#include <sys/wait.h>

static const struct cli serve = {.mode = CLI_SERVE};
static const struct cli slow_start = {.mode = CLI_SERVE, .token = "slow"};
static bool is_stop_slow;

static bool build_app(struct app *app, const struct cli *cli, const struct conf *conf,
                      struct err *err)
{
    while (cli == &slow_start)
        pause();
    return app_build(app, cli, conf, err);
}

static void free_app(struct app *app)
{
    while (is_stop_slow)
        pause();
    app_free(app);
}

/* Serves with these signals waiting before it begins; what was printed is freed by the caller. */
static int serve_with(struct place *p, const int *signals, char **out)
{
    struct printing printing;
    sigset_t set, old;

    pthread_sigmask(SIG_SETMASK, NULL, &old);
    block_signals(&set);
    for (; *signals; signals++)
        raise(*signals);
    log_setup(LOG_INFO, LOG_CLASSIC, false);
    printing_begin(&printing);
    int code = mode_serve(&serve, p->conf);
    *out = printing_end(&printing);
    log_setup(LOG_NONE, LOG_CLASSIC, false);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    thread_set_role(THREAD_NONE, 0); /* mode_serve made it MAIN */
    return code;
}

static void stops_by_either_signal(void **state)
{
    static const char *const sets[] = {"CAPTURE_PORT=0", "HTTP_SERVER_PORT=0", NULL};
    static const int signals[][4] = {{SIGTERM, 0}, {SIGINT, 0}, {SIGHUP, SIGUSR1, SIGTERM, 0}};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        struct place p;
        char *out;

        place_open(&p, sets);
        if (serve_with(&p, signals[i], &out) != 0)
            fail_msg("%s", out);
        assert_has(out, "All systems go\n");
        assert_has(out, "Project   phc_");
        assert_has(out, "Shutting down gracefully...\n");
        assert_has(out, "Over and out!\n");
        char *ports = app_data_path(p.conf, APP_PORTS);
        assert_false(fs_exists(ports));
        mem_free(ports);
        mem_free(out);
        place_close(&p);
    }
}

static void cannot_start(void **state)
{
    static const char *const sets[] = {"CAPTURE_PORT=0", "HTTP_SERVER_HOST=0.0.0.0", NULL};
    static const int none[] = {0};
    struct place p;
    char *out;

    UNUSED(state);
    place_open(&p, sets);
    assert_int_equal(serve_with(&p, none, &out), 1);
    assert_has(out, "Launchpad failure!");
    assert_has(out, "ADMIN_TOKEN");
    mem_free(out);
    place_close(&p);
}

/* --- the wait for the stop --- */

struct waiting {
    struct task task;
    sigset_t set;
    bool is_stopped;
};

static void wait_run(void *ctx)
{
    struct waiting *w = ctx;

    w->task.main_thread = pthread_self();
    w->is_stopped = wait_stopped(&w->task, &w->set, (int64_t)20000000);
}

/* Signals of one kind do not add up while they wait, so each is taken before the next is sent. */
static void the_third_signal_ends_it(void **state)
{
    struct waiting w = {.is_stopped = true};
    struct thread thread;
    struct err err = ERR_INIT;

    UNUSED(state);
    log_setup(LOG_NONE, LOG_CLASSIC, false);
    block_signals(&w.set);
    assert_true(thread_start(&thread, THREAD_NONE, 0, wait_run, &w, &err));
    pthread_kill(thread.id, SIGHUP); /* not one of them */
    pthread_kill(thread.id, SIGTERM);
    pthread_kill(thread.id, SIGINT);
    thread_join(&thread);
    assert_false(w.is_stopped);
}

static void a_stop_may_take_too_long(void **state)
{
    struct waiting w = {.is_stopped = true};

    UNUSED(state);
    block_signals(&w.set);
    assert_false(wait_stopped(&w.task, &w.set, 1000));
    atomic_store(&w.task.is_done, true);
    assert_true(wait_stopped(&w.task, &w.set, 0));
}

/* A storm of lines before the stop: how many were left out is told. */
static void storm(void *ctx)
{
    UNUSED(ctx);
    log_setup(LOG_INFO, LOG_CLASSIC, false);
    clock_fake_set(1700000000000000);
    for (int i = 0; i < 13; i++)
        log_warn("test", "a storm");
    sigset_t set;
    block_signals(&set);
    raise(SIGTERM);
    wait_for_stop(NULL, &set);
}

static void a_storm_that_is_over_is_told(void **state)
{
    UNUSED(state);
    char *out = child_output(2, storm, NULL);
    assert_has(out, "suppressed=3");
    mem_free(out);
}

struct slow {
    const struct cli *cli;
    bool is_stop_slow;
    const struct conf *conf;
};

static void serve_slowly(void *ctx)
{
    struct slow *s = ctx;
    sigset_t set;

    is_stop_slow = s->is_stop_slow;
    block_signals(&set);
    raise(SIGTERM);
    log_setup(LOG_INFO, LOG_CLASSIC, false);
    mode_serve(s->cli, s->conf);
}

static void ends_with_1(void *ctx)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        serve_slowly(ctx);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

/* STOP_TIMEOUT holds for a start under way and for the very end of a stop. */
static void neither_start_nor_stop_holds_the_process(void **state)
{
    static const char *const sets[] = {"CAPTURE_PORT=0", "HTTP_SERVER_PORT=0", "STOP_TIMEOUT=0.5",
                                       NULL};
    struct slow table[] = {{&slow_start, false, NULL}, {&serve, true, NULL}};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct place p;

        place_open(&p, sets);
        table[i].conf = p.conf;
        char *out = child_output(2, ends_with_1, &table[i]);
        assert_has(out, "longer than STOP_TIMEOUT");
        mem_free(out);
        place_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_by_either_signal),
        cmocka_unit_test(cannot_start),
        cmocka_unit_test(the_third_signal_ends_it),
        cmocka_unit_test(a_stop_may_take_too_long),
        cmocka_unit_test(a_storm_that_is_over_is_told),
        cmocka_unit_test(neither_start_nor_stop_holds_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
