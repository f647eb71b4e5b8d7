#include "ring/ring.h"
#include "store/store_sqlite.h"

#include <netdb.h>

static int look_up(const char *name, const char *service, const struct addrinfo *hints,
                   struct addrinfo **all);
static int newest_schema(void);
static struct ring *watched_ring_open(const struct ring_options *opt, struct err *err);
#define getaddrinfo         look_up
#define store_sqlite_schema newest_schema
#define ring_open           watched_ring_open
#include "app/wire.c"
#undef getaddrinfo
#undef store_sqlite_schema
#undef ring_open
#include "app_aid.h"
#include "base/fault.h"
#include "net/http_client.h"

#define PORTS "CAPTURE_PORT=0", "HTTP_SERVER_PORT=0"

/* Stands in for the name server. */
static int look_up(const char *name, const char *service, const struct addrinfo *hints,
                   struct addrinfo **all)
{
    static const char *const names[][2] = {{"127.example.org", "192.0.2.1"},
                                           {"here.example.org", "127.0.0.1"}};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i][0]) == 0)
            name = names[i][1];
    return getaddrinfo(name, service, hints, all);
}

static int schemas_ahead; /* of the library's */

static int newest_schema(void)
{
    return store_sqlite_schema() + schemas_ahead;
}

static struct app *watched; /* asked for answers while its ring is opened */

static void expect_503(int port, const char *method, const char *path, const char *part)
{
    struct http_reply reply = {.body = BUF_INIT(1 << 16)};
    struct err err = ERR_INIT;
    char url[100];

    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, path);
    struct http_call call = {.method = method,
                             .url = url,
                             .body = SLICE("{\"api_key\":\"x\",\"event\":\"e\"}"),
                             .timeout_us = WAIT_US};
    if (!http_client_call(&call, &reply, &err))
        fail_msg("%s", err.text);
    assert_int_equal(reply.status, 503);
    assert_true(reply.retry_after_s > 0);
    assert_has(buf_cstr(&reply.body), part);
    buf_free(&reply.body);
}

static struct ring *watched_ring_open(const struct ring_options *opt, struct err *err)
{
    if (watched) {
        int capture = http_listener_port(watched->capture_listener);
        int admin = http_listener_port(watched->admin_listener);
        expect_503(admin, "GET", "/_ready", "{\"status\":\"starting\"}");
        expect_503(admin, "GET", "/_health", "{\"status\":\"starting\"}");
        expect_503(admin, "GET", "/api/teams", "starting");
        expect_503(capture, "POST", "/capture/", "server_error");
    }
    return ring_open(opt, err);
}

static const struct cli serve = {.mode = CLI_SERVE};

static void app_end(struct app *app)
{
    app_stop(app);
    app_free(app);
}

/* Builds, and ends again what was built. */
static bool build(struct place *p, struct err *err)
{
    struct app app;

    *err = ERR_INIT;
    bool ok = app_build(&app, &serve, p->conf, err);
    app_end(&app);
    return ok;
}

static size_t team_count(struct app *app)
{
    const struct team_set *set = team_directory_get(app->teams);
    size_t count = team_set_count(set);

    team_set_unref(set);
    return count;
}

static void starts_and_ends(void **state)
{
    static const char *const sets[] = {PORTS, NULL};
    struct place p;
    struct app app;
    struct err err = ERR_INIT;
    char token[64];

    UNUSED(state);
    place_open(&p, sets);
    for (int i = 0; i < 3; i++) {
        if (!app_build(&app, &serve, p.conf, &err))
            fail_msg("%s", err.text);
        assert_int_equal(team_count(&app), 1);
        assert_true(http_listener_port(app.capture_listener) > 0);
        assert_int_equal(strlen(app.admin_token), 48);
        if (i > 0)
            assert_string_equal(app.admin_token, token); /* kept over starts */
        snprintf(token, sizeof(token), "%s", app.admin_token);
        app_end(&app);
    }
    place_close(&p);
}

static void answers_during_the_start(void **state)
{
    static const char *const sets[] = {PORTS, NULL};
    struct place p;
    struct app app;
    struct err err = ERR_INIT;

    UNUSED(state);
    place_open(&p, sets);
    watched = &app;
    if (!app_build(&app, &serve, p.conf, &err))
        fail_msg("%s", err.text);
    watched = NULL;
    app_end(&app);
    place_close(&p);
}

static void who_may_see_the_admin(void **state)
{
    static const struct {
        const char *sets[5];
        const char *fault;
    } table[] = {
        {{PORTS, "HTTP_SERVER_HOST=0.0.0.0", NULL}, "ADMIN_TOKEN"},
        {{PORTS, "HTTP_SERVER_HOST=192.0.2.1", NULL}, "ADMIN_TOKEN"},
        {{PORTS, "HTTP_SERVER_HOST=0.0.0.0", "ADMIN_TOKEN=x", NULL}, NULL},
        {{PORTS, "HTTP_SERVER_HOST=127.0.0.2", NULL}, NULL},
        {{PORTS, "HTTP_SERVER_HOST=localhost", NULL}, NULL},
    };
    struct err err;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct place p;

        place_open(&p, table[i].sets);
        if (build(&p, &err) != !table[i].fault)
            fail_msg("%zu: %s", i, err.text);
        if (table[i].fault)
            assert_has(err.text, table[i].fault);
        place_close(&p);
    }
}

/* Without AUTO_MIGRATE a new database is made, one of today is taken and one of yesterday refused.
 */
static void an_older_schema(void **state)
{
    static const char *const sets[] = {PORTS, "AUTO_MIGRATE=false", NULL};
    static const char *const parts[] = {"has schema", "--migrate", "AUTO_MIGRATE=true"};
    struct place p;
    struct err err;

    UNUSED(state);
    place_open(&p, sets);
    assert_true(build(&p, &err));
    assert_true(build(&p, &err));
    schemas_ahead = 1;
    assert_false(build(&p, &err));
    schemas_ahead = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        assert_has(err.text, parts[i]);
    assert_true(build(&p, &err));
    place_close(&p);
}

static void what_is_loopback(void **state)
{
    static const struct {
        const char *host;
        int is_loopback; /* -1: no address */
    } table[] = {
        {"127.0.0.1", 1},
        {"127.255.0.9", 1},
        {"::1", 1},
        {"localhost", 1},
        {"here.example.org", 1},
        {"::ffff:127.0.0.1", 1},
        {"127.1", 1},
        {"0.0.0.0", 0},
        {"::", 0},
        {"", 0},
        {"*", 0},
        {"192.0.2.1", 0},
        {"127.example.org", 0},
        {"2001:db8::1", 0},
        {"127.0.0.1.x", -1},
        {"127.0.0.", -1},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = ERR_INIT;
        bool is_loopback = true;
        bool ok = check_loopback(table[i].host, &is_loopback, &err);

        if (ok != (table[i].is_loopback >= 0) || is_loopback != (table[i].is_loopback == 1))
            fail_msg("%s: %s", table[i].host, err.text);
    }
}

static void another_process(void **state)
{
    static const char *const sets[] = {PORTS, NULL};
    struct place p;
    struct app app;
    struct err err;

    UNUSED(state);
    place_open(&p, sets);
    if (!app_build(&app, &serve, p.conf, &err))
        fail_msg("%s", err.text);
    temp_dir_write(p.dir, "data/ports.json", "{}");
    assert_false(build(&p, &err));
    assert_has(err.text, "LOCK is held by process");
    assert_has(err.text, "DATA_DIR");
    assert_true(fs_exists(app.ports_path)); /* it is not the second one's */
    app_end(&app);
    assert_true(build(&p, &err));
    place_close(&p);
}

static void a_port_is_taken(void **state)
{
    static const char *const names[] = {"CAPTURE_PORT", "HTTP_SERVER_PORT"};
    struct fake f;
    struct err err;

    UNUSED(state);
    fake_open(&f, "");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char set[64];
        const char *sets[] = {PORTS, set, NULL};
        struct place p;

        snprintf(set, sizeof(set), "%s=%d", names[i], fake_port(&f));
        place_open(&p, sets);
        assert_false(build(&p, &err));
        assert_has(err.text, names[i]);
        assert_has(err.text, strchr(set, '=') + 1);
        place_close(&p);
    }
    fake_stop(&f);
    fake_close(&f);
}

/* Whatever fails at the start: everything is taken down, and the next start finds it in order. */
static void every_step_fails_once(void **state)
{
    static const char *const points[] = {"fs.fsync",     "fs.rename",     "fs.pwrite",
                                         "store.commit", "ring.prealloc", "ring.write"};
    static const char *const sets[] = {PORTS, "ADMIN_TOKEN=", NULL};
    struct err err;
    int failures = 0;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        for (int nth = 1; nth < 20; nth++) {
            struct place p;

            place_open(&p, sets);
            fault_clear();
            fault_arm(points[i], nth, 1);
            bool ok = build(&p, &err);
            bool is_hit = fault_hits(points[i]) >= nth;
            fault_clear();
            failures += !ok;
            assert_true(ok || err.code != ERR_NONE);
            if (!ok && !build(&p, &err))
                fail_msg("after %s %d: %s", points[i], nth, err.text);
            place_close(&p);
            if (!is_hit)
                break;
        }
    assert_true(failures > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_and_ends),       cmocka_unit_test(answers_during_the_start),
        cmocka_unit_test(who_may_see_the_admin), cmocka_unit_test(an_older_schema),
        cmocka_unit_test(what_is_loopback),      cmocka_unit_test(another_process),
        cmocka_unit_test(a_port_is_taken),       cmocka_unit_test(every_step_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
