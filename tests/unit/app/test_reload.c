#include "app/wire.h"
#include "app_aid.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#define PORTS "CAPTURE_PORT=0", "HTTP_SERVER_PORT=0"

static const struct cli serve = {.mode = CLI_SERVE};

static void app_end(struct app *app)
{
    app_stop(app);
    app_free(app);
}

static size_t team_count(struct app *app)
{
    const struct team_set *set = team_directory_get(app->teams);
    size_t count = team_set_count(set);

    team_set_unref(set);
    return count;
}

static void the_provision_file(void **state)
{
    static const struct {
        const char *text; /* NULL: no file */
        const char *fault;
    } table[] = {
        {"{\"teams\":[{\"id\":4,\"name\":\"Four\"},{\"id\":5,\"name\":\"Five\"}]}", NULL},
        {"{\"teams\":[{\"id\":6,\"name\":7}]}", "PROVISION_FILE"},
        {"{", "1 fault"},
        {NULL, "PROVISION_FILE"},
    };
    struct place p;
    struct app app;
    struct err err = ERR_INIT;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char *dir = temp_dir_new(), *file = temp_dir_path(dir, "p.json");
        char set[300];
        const char *sets[] = {PORTS, set, NULL};

        snprintf(set, sizeof(set), "PROVISION_FILE=%s", file);
        place_open(&p, sets);
        if (table[i].text)
            temp_dir_write(dir, "p.json", table[i].text);
        bool ok = app_build(&app, &serve, p.conf, &err);
        assert_true(ok == !table[i].fault);
        if (ok)
            assert_int_equal(team_count(&app), 2); /* no default team besides */
        else
            assert_has(err.text, table[i].fault);
        app_end(&app);
        place_close(&p);
        mem_free(file);
        temp_dir_free(dir);
    }
}

static bool nothing(struct store *store, void *ctx, struct err *err)
{
    UNUSED(store);
    UNUSED(ctx);
    UNUSED(err);
    return true;
}

static void set_true(void *ctx)
{
    atomic_store((atomic_bool *)ctx, true);
}

/* Everything that was asked for before is in force. */
static void wait_for_reloads(struct app *app)
{
    atomic_bool is_done = false;
    struct plugin_task task = {.fn = set_true, .ctx = &is_done};

    while (atomic_load(&app->reload))
        sched_yield();
    keeper_reload(app->keeper, &task);
    while (!atomic_load(&is_done))
        sched_yield();
}

static void reload_and_wait(struct app *app)
{
    app_reload(app);
    wait_for_reloads(app);
}

static void reloads(void **state)
{
    char *dir = temp_dir_new(), *file = temp_dir_path(dir, "p.json");
    char set[300];
    const char *sets[] = {PORTS, set, NULL};
    struct place p;
    struct app app;
    struct err err = ERR_INIT;

    UNUSED(state);
    snprintf(set, sizeof(set), "PROVISION_FILE=%s", file);
    temp_dir_write(dir, "p.json", "{\"teams\":[{\"id\":1,\"name\":\"a\"}]}");
    place_open(&p, sets);
    if (!app_build(&app, &serve, p.conf, &err))
        fail_msg("%s", err.text);
    temp_dir_write(dir, "p.json", "{\"teams\":[{\"id\":2,\"name\":\"b\"}]}");
    reload_and_wait(&app);
    assert_int_equal(team_count(&app), 2);
    temp_dir_write(dir, "p.json", "{\"teams\":[{\"id\":3,\"name\":4}]}");
    reload_and_wait(&app);
    assert_int_equal(team_count(&app), 2);
    app_end(&app);
    place_close(&p);
    mem_free(file);
    temp_dir_free(dir);
}

struct hold {
    struct pipe_call call;
    atomic_bool is_held, may_go;
};

static bool hold_run(struct store *store, void *ctx, struct err *err)
{
    struct hold *h = ctx;

    atomic_store(&h->is_held, true);
    while (!atomic_load(&h->may_go))
        sched_yield();
    return nothing(store, ctx, err);
}

static void hold_done(void *ctx, bool ok, const struct err *err)
{
    UNUSED(ctx);
    UNUSED(ok);
    UNUSED(err);
}

/* STORE may wait for the disk for hours: whoever asks for a reload goes on, and however often it
 * was asked for meanwhile, it is done once more. */
static void reloads_while_the_store_waits(void **state)
{
    char *dir = temp_dir_new(), *file = temp_dir_path(dir, "p.json");
    char set[300];
    const char *sets[] = {PORTS, set, NULL};
    struct hold h = {.call = {.fn = hold_run, .done = hold_done, .ctx = &h}};
    struct place p;
    struct app app;
    struct err err = ERR_INIT;
    sigset_t hup, old;

    UNUSED(state);
    sigemptyset(&hup);
    sigaddset(&hup, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &hup, &old);
    snprintf(set, sizeof(set), "PROVISION_FILE=%s", file);
    temp_dir_write(dir, "p.json", "{\"teams\":[{\"id\":1,\"name\":\"a\"}]}");
    place_open(&p, sets);
    if (!app_build(&app, &serve, p.conf, &err))
        fail_msg("%s", err.text);
    pipe_call(app.pipe, &h.call);
    while (!atomic_load(&h.is_held))
        sched_yield();
    temp_dir_write(dir, "p.json", "{\"teams\":[{\"id\":2,\"name\":\"b\"}]}");
    app_reload(&app);
    temp_dir_write(dir, "p.json", "{\"teams\":[{\"id\":3,\"name\":\"c\"}]}");
    app_reload(&app);
    app_reload(&app);
    assert_int_equal(team_count(&app), 1);
    atomic_store(&h.may_go, true);
    assert_int_equal(sigwaitinfo(&hup, NULL), SIGHUP);
    assert_int_equal(team_count(&app), 2);
    reload_and_wait(&app);
    assert_int_equal(team_count(&app), 3);
    assert_int_equal(sigtimedwait(&hup, NULL, &(struct timespec){0}), -1);
    app_end(&app);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    place_close(&p);
    mem_free(file);
    temp_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_provision_file),
        cmocka_unit_test(reloads),
        cmocka_unit_test(reloads_while_the_store_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
