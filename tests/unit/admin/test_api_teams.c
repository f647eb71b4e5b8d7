#include "admin_aid.h"

static bool is_known(struct aid *aid, const char *token)
{
    const struct team_set *set = team_directory_get(aid->teams);
    bool known = team_by_token(set, slice_cstr(token)) != NULL;

    team_set_unref(set);
    return known;
}

static void list_and_add(void **state)
{
    struct aid a, *aid = &a;
    char token[64];

    UNUSED(state);
    aid_serve(aid);
    expect("GET", "/api/teams", NULL, 200,
           "{\"teams\":[{\"id\":1,\"name\":\"One\",\"api_token\":\"phc_1\",\"anonymize_ips\":false,"
           "\"session_recording_opt_in\":false},{\"id\":2,");
    expect("POST", "/api/teams", "{\"name\":\"T\\u00e4st \\\"x\\\"\"}", 200,
           "{\"id\":3,\"name\":\"T\xc3\xa4st \\\"x\\\"\",\"api_token\":\"phc_");
    /* It is known to all threads when the answer is there. */
    const char *at = strstr(buf_cstr(&aid->body), "phc_");
    snprintf(token, sizeof(token), "%.*s", PROVISION_TOKEN_LEN, at);
    assert_true(is_known(aid, token));
    expect("POST", "/api/teams", "{\"name\":\"Ten\",\"id\":10}", 200, "{\"id\":10,");
    expect("POST", "/api/teams", "{\"name\":\"Next\"}", 200, "{\"id\":11,");
    aid_end(aid);
}

static void bad_teams(void **state)
{
    static const struct {
        const char *body, *names;
    } table[] = {
        {"", "line 1"},
        {"{", "line 1"},
        {"[1]", "/name"},
        {"{}", "/name"},
        {"{\"name\":\"\"}", "/name"},
        {"{\"name\":7}", "/name"},
        {"{\"name\":\"x\",\"id\":0}", "/id"},
        {"{\"name\":\"x\",\"id\":\"7\"}", "/id"},
        {"{\"name\":\"x\",\"id\":1.5}", "/id"},
        {"{\"name\":\"x\",\"id\":9007199254740993}", "/id"},
        {"{\"name\":\"x\",\"id\":2}", "team 2 exists already"},
    };
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    char *before = aid_export(aid);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        expect("POST", "/api/teams", table[i].body, 400, table[i].names);
    expect("POST", "/api/teams/9/rotate-token", NULL, 404, "no team 9");
    expect("POST", "/api/teams/x/rotate-token", NULL, 400, "must be a number");
    expect("POST", "/api/teams/99999999999999999999/rotate-token", NULL, 400, "must be a number");
    char *after = aid_export(aid);
    assert_string_equal(after, before);
    mem_free(before);
    mem_free(after);
    aid_end(aid);
}

static void rotate(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    expect("POST", "/api/teams/2/rotate-token", NULL, 200, "{\"id\":2,\"name\":\"Two\"");
    assert_false(is_known(aid, "phc_2"));
    assert_true(is_known(aid, "phc_1"));
    aid_end(aid);
}

static void apply_and_export(void **state)
{
    static const char file[] = "{\"teams\":[{\"id\":2,\"name\":\"Two\",\"api_token\":\"phc_x\"},"
                               "{\"id\":5,\"api_token\":\"phc_5\"}],"
                               "\"plugins\":[{\"name\":\"p\",\"source\":\"dir:p\"}]}";
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    expect("POST", "/api/apply?base_dir=%2Fsome%2Fplace", file, 200,
           "{\"teams\":{\"added\":1,\"changed\":1,\"removed\":0},"
           "\"objects\":{\"added\":1,\"changed\":0,\"removed\":0}}");
    assert_true(is_known(aid, "phc_x") && is_known(aid, "phc_5") && is_known(aid, "phc_1"));
    assert_false(is_known(aid, "phc_2"));
    expect("GET", "/api/export", NULL, 200, "\"dir:/some/place/p\"");
    expect("POST", "/api/apply?prune=1&base_dir=/some/place", file, 200, "\"removed\":1}");
    assert_false(is_known(aid, "phc_1"));
    aid_end(aid);
}

static void a_refused_file(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    char *before = aid_export(aid);
    expect("POST", "/api/apply", "{\"teams\":[{\"id\":\"a\"},{\"id\":3,\"x\":1}]}", 400,
           "\"message\":\"the provision file has 2 faults; nothing was changed\",\"details\":["
           "\"/teams/0/id: ");
    assert_non_null(strstr(buf_cstr(&aid->body), "\"/teams/1/x: unknown key\"]}}"));
    expect("POST", "/api/apply", "{", 400, "has 1 fault;");
    /* What only the store can know. */
    expect("POST", "/api/apply",
           "{\"teams\":[{\"id\":8,\"api_token\":\"phc_8\"},{\"id\":9,\"api_token\":\"phc_1\"}]}",
           400, "/teams/1: ");
    char *after = aid_export(aid);
    assert_string_equal(after, before);
    assert_false(is_known(aid, "phc_8"));
    mem_free(before);
    mem_free(after);
    aid_end(aid);
}

static void a_stopped_pipeline(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    aid_stop_pipe(aid);
    expect("POST", "/api/teams", "{\"name\":\"x\"}", 503, "\"error\"");
    expect("POST", "/api/apply", "{}", 503, "\"error\"");
    expect("GET", "/api/export", NULL, 503, "\"error\"");
    expect("GET", "/api/teams", NULL, 200, "phc_1"); /* from memory */
    aid_end(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_and_add),   cmocka_unit_test(bad_teams),
        cmocka_unit_test(rotate),         cmocka_unit_test(apply_and_export),
        cmocka_unit_test(a_refused_file), cmocka_unit_test(a_stopped_pipeline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
