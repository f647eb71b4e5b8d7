#include "admin/admin.c"
#include "admin_aid.h"

static const char *const none[] = {NULL};

static void a_token_is_needed(void **state)
{
    static const char *const bad[] = {NULL, ""};
    struct err err = ERR_INIT;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_null(admin_new(&(struct admin_options){.token = bad[i]}, &err));
        assert_int_equal(err.code, ERR_INPUT);
        assert_non_null(strstr(err.text, "ADMIN_TOKEN"));
    }
    admin_free(NULL);
}

static void who_is_let_in(void **state)
{
    static const struct {
        const char *header;
        bool is_allowed;
    } table[] = {
        {"Authorization: Bearer " TOKEN, true},
        {"authorization: BEARER   " TOKEN "  ", true},
        {"Authorization: Bearer " TOKEN "x", false},
        {"Authorization: Bearer secret-toke", false},
        {"Authorization: Bearer", false},
        {"Authorization: Bearer ", false},
        {"Authorization: Basic " TOKEN, false},
        {"Authorization: " TOKEN, false},
        {"X-Authorization: Bearer " TOKEN, false},
    };
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *headers[] = {table[i].header, NULL};
        int status = aid_ask_as(aid, headers, "GET", "/api/teams", NULL);
        if (status != (table[i].is_allowed ? 200 : 401))
            fail_msg("%s: %d", table[i].header, status);
    }
    aid_end(aid);
}

/* `path` is an example of the entry's pattern: equal up to the first named part or the query. */
static bool is_for(const struct admin_entry *e, const char *method, const char *path)
{
    size_t fixed = strcspn(e->pattern, ":"), len = strcspn(path, "?");
    bool is_post = strcmp(method, "POST") == 0;

    return is_post == ((e->methods & HTTP_M_POST) && !strchr("GH", method[0])) &&
           (is_post || (e->methods & HTTP_M_GET)) && strncmp(e->pattern, path, fixed) == 0 &&
           (e->pattern[fixed] ? true : len == fixed || path[fixed] == '/');
}

static void each_route_has_its_gate(void **state)
{
    static const struct {
        const char *method, *path;
        int status; /* without a login */
    } table[] = {
        {"GET", "/_health", 200},
        {"HEAD", "/_health/", 200},
        {"GET", "/_ready", 200},
        {"GET", "/metrics", 200}, /* from loopback */
        {"HEAD", "/_metrics", 200},
        {"GET", "/", 303}, /* to the login */
        {"GET", "/page.js", 303},
        {"GET", "/page.css", 200},
        {"GET", "/icon.svg", 200},
        {"GET", "/login", 200},
        {"POST", "/login", 401},
        {"POST", "/logout", 401},
        {"GET", "/api/status", 401},
        {"GET", "/api/config", 401},
        {"GET", "/api/settings", 401},
        {"GET", "/api/tail", 401},
        {"GET", "/api/minutes", 401},
        {"GET", "/api/errors", 401},
        {"GET", "/api/errors/1", 401},
        {"GET", "/api/teams", 401},
        {"POST", "/api/teams", 401},
        {"POST", "/api/teams/1/rotate-token", 401},
        {"POST", "/api/apply", 401},
        {"GET", "/api/export", 401},
        {"GET", "/api/plugins", 401},
        {"POST", "/api/plugins", 401},
        {"POST", "/api/plugins/reload", 401},
        {"POST", "/api/plugins/configs/1/enable", 401},
        {"POST", "/api/plugins/configs/1/disable", 401},
        {"GET", "/api/plugins/logs", 401},
        {"GET", "/api/events", 401},
        {"GET", "/api/events/00000000-0000-0000-0000-000000000001", 401},
        {"GET", "/api/persons?distinct_id=x", 401},
    };
    struct aid a, *aid = &a;
    bool is_seen[ARRAY_LEN(entries)] = {false};

    UNUSED(state);
    aid_serve(aid);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        expect_as(none, table[i].method, table[i].path, table[i].status,
                  table[i].status == 401 && table[i].path[1] == 'a' ? "\"unauthorized\"" : "");
        for (size_t k = 0; k < ARRAY_LEN(entries); k++)
            is_seen[k] = is_seen[k] || is_for(&entries[k], table[i].method, table[i].path);
    }
    for (size_t k = 0; k < ARRAY_LEN(entries); k++)
        if (!is_seen[k])
            fail_msg("%s is not in the table above", entries[k].pattern);
    expect("GET", "/nope", NULL, 404, "\"not_found\"");
    expect("DELETE", "/api/teams", NULL, 405, "\"refused\"");
    aid_end(aid);
}

/* Metrics are open to programs on this machine, not to pages that a browser on it shows. */
static void whose_host(void **state)
{
    static const struct {
        const char *host;
        bool is_ours;
    } table[] = {
        {"", true},
        {"localhost", true},
        {"LOCALHOST:6738", true},
        {"127.0.0.1", true},
        {"127.0.0.1:6738", true},
        {"192.0.2.1:80", true},
        {"[::1]:6738", true},
        {"[::1]", true},
        {"evil", false},
        {"evil:6738", false},
        {"127.0.0.1.evil", false},
        {"localhost.evil:1", false},
        {"[::1", false},
        {"[localhost]", false},
        {"::1", false},
        {"[]", false},
        {"127.0.0.1x:6738", false},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct http_header header = {SLICE("Host"), slice_cstr(table[i].host)};
        struct http_request req = {.headers = &header, .header_count = 1};
        if (is_host_ours(&req) != table[i].is_ours)
            fail_msg("%s", table[i].host);
    }
}

static void nothing_but_503_at_the_start(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve_begun(aid, false);
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        expect_as(none, entries[i].methods & HTTP_M_GET ? "GET" : "POST", entries[i].pattern, 503,
                  entries[i].gate == GATE_PAGE   ? "http-equiv=\"refresh\""
                  : entries[i].gate == GATE_OPEN ? "{\"status\":\"starting\"}"
                                                 : "\"code\":\"starting\"");
    expect("GET", "/nope", NULL, 404, "\"not_found\"");
    aid_end(aid);
}

static void the_config_is_masked(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    expect("GET", "/api/config", NULL, 200, "CAPTURE_PORT=8000 # default\n");
    expect("GET", "/api/settings", NULL, 200,
           "{\"name\":\"CAPTURE_PORT\",\"group\":\"Listeners\",\"value\":\"8000\",\"default\":"
           "\"8000\","
           "\"origin\":\"default\",\"effect\":\"native\",\"is_secret\":false,\"is_built\":true,"
           "\"help\":\"port of the capture listener; 0: a free one\"}");
    aid_end(aid);
}

static void codes_have_their_status(void **state)
{
    static const struct {
        enum err_code code;
        int status;
    } table[] = {{ERR_INPUT, 400}, {ERR_GONE, 404}, {ERR_RETRY, 503},
                 {ERR_FULL, 503},  {ERR_STOP, 503}, {ERR_LIMIT, 503},
                 {ERR_IO, 500},    {ERR_BUG, 500},  {ERR_CORRUPT, 500}};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(admin_status_of(&(struct err){.code = table[i].code}), table[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_needed),
        cmocka_unit_test(who_is_let_in),
        cmocka_unit_test(each_route_has_its_gate),
        cmocka_unit_test(the_config_is_masked),
        cmocka_unit_test(codes_have_their_status),
        cmocka_unit_test(whose_host),
        cmocka_unit_test(nothing_but_503_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
