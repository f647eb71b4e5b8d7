#include "app/remote.c"
#include "app_aid.h"

static void where_the_server_is(void **state)
{
    static const struct {
        const char *sets[5], *ports, *base, *capture;
    } table[] = {
        {{NULL}, NULL, "http://127.0.0.1:6738", "http://127.0.0.1:8000"},
        {{"HTTP_SERVER_PORT=7000", "CAPTURE_PORT=7001", NULL},
         NULL,
         "http://127.0.0.1:7000",
         "http://127.0.0.1:7001"},
        {{NULL},
         "{\"capture\":1234,\"admin\":1235}",
         "http://127.0.0.1:1235",
         "http://127.0.0.1:1234"},
        {{"HTTP_SERVER_PORT=7000", NULL},
         "{\"capture\":1234,\"admin\":1235}",
         "http://127.0.0.1:7000",
         "http://127.0.0.1:1234"},
        {{NULL}, "{\"capture\":", "http://127.0.0.1:6738", "http://127.0.0.1:8000"},
        {{"HTTP_SERVER_HOST=0.0.0.0", "CAPTURE_HOST=::", NULL},
         NULL,
         "http://127.0.0.1:6738",
         "http://[::1]:8000"},
        {{"HTTP_SERVER_HOST=example.org", "CAPTURE_HOST=2001:db8::1", NULL},
         NULL,
         "http://example.org:6738",
         "http://[2001:db8::1]:8000"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct place p;
        struct remote r;
        struct err err = ERR_INIT;

        place_open(&p, table[i].sets);
        temp_dir_write(p.dir, "data/admin.token", "abc\n");
        if (table[i].ports)
            temp_dir_write(p.dir, "data/ports.json", table[i].ports);
        assert_true(remote_open(&r, p.conf, &err));
        assert_string_equal(buf_cstr(&r.base), table[i].base);
        assert_string_equal(buf_cstr(&r.capture), table[i].capture);
        assert_string_equal(buf_cstr(&r.authorization), "Authorization: Bearer abc");
        remote_close(&r);
        place_close(&p);
    }
}

static void whose_token(void **state)
{
    static const char *const sets[] = {"ADMIN_TOKEN=given", NULL};
    struct place p;
    struct remote r;
    struct err err = ERR_INIT;

    UNUSED(state);
    place_open(&p, NULL);
    assert_false(remote_open(&r, p.conf, &err));
    assert_int_equal(err.code, ERR_GONE);
    assert_has(err.text, "admin.token");
    assert_has(err.text, "ADMIN_TOKEN");
    remote_close(&r);
    place_close(&p);
    place_open(&p, sets);
    temp_dir_write(p.dir, "data/admin.token", "other\n");
    assert_true(remote_open(&r, p.conf, &err));
    assert_string_equal(buf_cstr(&r.authorization), "Authorization: Bearer given");
    remote_close(&r);
    place_close(&p);
}

static void queries_are_encoded(void **state)
{
    struct buf path = BUF_INIT(1000);

    UNUSED(state);
    buf_add_str(&path, "/x?");
    remote_add_query(&path, "a", SLICE("Az09-._~"));
    buf_add_char(&path, '&');
    remote_add_query(&path, "b", SLICE("a b&c=d/%\xc3\xa4\n"));
    assert_string_equal(buf_cstr(&path), "/x?a=Az09-._~&b=a%20b%26c%3Dd%2F%25%C3%A4%0A");
    buf_free(&path);
}

static void open_to(struct remote *r, struct place *p, const struct fake *f)
{
    static char port[64];
    const char *sets[] = {"ADMIN_TOKEN=t", port, NULL};
    struct err err = ERR_INIT;

    snprintf(port, sizeof(port), "HTTP_SERVER_PORT=%d", fake_port(f));
    place_open(p, sets);
    assert_true(remote_open(r, p->conf, &err));
}

static void calls(void **state)
{
    static const struct {
        int status;
        const char *answer, *text, *details;
    } table[] = {
        {200, "{\"a\":1}", NULL, ""},
        {200, "no JSON", "line 1", ""},
        {404, "{\"error\":{\"code\":\"x\",\"message\":\"it is gone\"}}", "it is gone", ""},
        {400, "{\"error\":{\"message\":\"2 faults\",\"details\":[\"/a: x\",5,\"/b: y\"]}}",
         "2 faults", "/a: x\n/b: y\n"},
        {500, "oops", "the server answered 500", ""},
        {503, "{\"error\":7}", "the server answered 503", ""},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf details = BUF_INIT(1000);
        struct err err = ERR_INIT;
        struct place p;
        struct remote r;
        struct fake f;

        fake_open(&f, table[i].answer);
        f.statuses[0] = table[i].status;
        open_to(&r, &p, &f);
        cJSON *json = remote_call(&r, "POST", "/api/x?y=z", SLICE("body"), &details, &err);
        assert_true(!json == !!table[i].text);
        if (table[i].text)
            assert_has(err.text, table[i].text);
        assert_string_equal(buf_cstr(&details), table[i].details);
        fake_stop(&f);
        assert_string_equal(f.asked[0].path, "/api/x?y=z");
        assert_string_equal(f.asked[0].body, "body");
        assert_string_equal(f.asked[0].authorization, "Bearer t");
        json_free(json);
        buf_free(&details);
        fake_close(&f);
        remote_close(&r);
        place_close(&p);
    }
}

static bool take(struct slice bytes, void *ctx)
{
    return buf_add_slice(ctx, bytes);
}

static void streams(void **state)
{
    static const struct {
        int status;
        const char *answer, *text;
    } table[] = {
        {200, "line\n", NULL},
        {401, "{\"error\":{\"message\":\"who are you\"}}", "who are you"},
        {404, "nothing", "the server answered 404"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf got = BUF_INIT(1000);
        struct err err = ERR_INIT;
        struct place p;
        struct remote r;
        struct fake f;

        fake_open(&f, table[i].answer);
        f.statuses[0] = table[i].status;
        open_to(&r, &p, &f);
        assert_true(remote_stream(&r, "/api/tail?", take, &got, &err) == !table[i].text);
        assert_string_equal(buf_cstr(&got), table[i].text ? "" : "line\n");
        if (table[i].text)
            assert_has(err.text, table[i].text);
        fake_stop(&f);
        fake_close(&f);
        buf_free(&got);
        remote_close(&r);
        place_close(&p);
    }
}

static void nobody_answers(void **state)
{
    static const char *const sets[] = {"ADMIN_TOKEN=t", "HTTP_SERVER_PORT=1", NULL};
    struct buf got = BUF_INIT(1000);
    struct err err = ERR_INIT;
    struct place p;
    struct remote r;

    UNUSED(state);
    place_open(&p, sets);
    assert_true(remote_open(&r, p.conf, &err));
    assert_null(remote_call(&r, "GET", "/api/x", SLICE_NONE, NULL, &err));
    assert_has(err.text, "no server answers at http://127.0.0.1:1 (is hedgerow running?");
    assert_false(remote_stream(&r, "/api/tail?", take, &got, &err));
    assert_has(err.text, "no server answers at http://127.0.0.1:1 (is hedgerow running?");
    buf_free(&got);
    remote_close(&r);
    place_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_the_server_is),
        cmocka_unit_test(whose_token),
        cmocka_unit_test(queries_are_encoded),
        cmocka_unit_test(calls),
        cmocka_unit_test(streams),
        cmocka_unit_test(nobody_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
