#include "app/mode_serve.c"
#include "app_aid.h"

static const struct cli serve = {.mode = CLI_SERVE};

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
    static const char *const says[] = {"", "", "nothing to reload"};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        struct place p;
        char *out;

        place_open(&p, sets);
        if (serve_with(&p, signals[i], &out) != 0)
            fail_msg("%s", out);
        assert_has(out, "All systems go\n");
        assert_has(out, "Project   phc_");
        assert_has(out, says[i]);
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
    struct stopper stopper;
    sigset_t set;
    bool is_stopped;
};

static void wait_run(void *ctx)
{
    struct waiting *w = ctx;

    w->stopper.main_thread = pthread_self();
    w->is_stopped = wait_stopped(&w->stopper, &w->set, (int64_t)20000000);
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
    assert_false(wait_stopped(&w.stopper, &w.set, 1000));
    atomic_store(&w.stopper.is_done, true);
    assert_true(wait_stopped(&w.stopper, &w.set, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_by_either_signal),
        cmocka_unit_test(cannot_start),
        cmocka_unit_test(the_third_signal_ends_it),
        cmocka_unit_test(a_stop_may_take_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
