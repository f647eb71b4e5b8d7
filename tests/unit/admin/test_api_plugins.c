#include "admin/plugin_change.h"
#include "admin_aid.h"

static void publish(struct aid *aid)
{
    struct plugin_set *set = plugin_set_new();
    struct plugin_config configs[] = {
        {.id = 5,
         .team_id = 1,
         .plugin_id = 1,
         .plugin_name = "one",
         .order = 3,
         .is_enabled = true},
        {.id = 6, .team_id = 2, .plugin_id = 1, .plugin_name = "one", .load_error = "no \"file\""},
        {.id = 7, .team_id = 1, .plugin_id = 0, .plugin_name = "gone", .is_enabled = true},
        {.id = 8, .team_id = 2, .plugin_id = 0, .plugin_name = "gone", .is_enabled = true},
    };

    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        configs[i].state = plugins_state(aid->plugins, configs[i].id);
        plugin_set_add(set, &configs[i]);
        plugin_state_unref(configs[i].state);
    }
    plugin_set_seal(set);
    plugins_publish(aid->plugins, set);
}

static void the_list(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    publish(aid);
    struct plugin_state *s = plugins_state(aid->plugins, 5);
    plugin_state_set_error(s, "{\"message\":\"m\"}");
    plugin_circuit_open(s, 1700000000000000, "it hung");
    plugin_state_unref(s);
    expect("GET", "/api/plugins", NULL, 200,
           "{\"plugins\":[{\"id\":1,\"name\":\"one\",\"source\":\"inline\",\"builtin\":false,"
           "\"about\":\"the \\\"first\\\"\",\"configs\":[{\"id\":5,\"team_id\":1,\"order\":3,"
           "\"enabled\":true,\"load_error\":null,\"phase\":\"idle\",\"calls\":0,");
    struct err err = ERR_INIT;
    cJSON *json = json_parse(buf_slice(&aid->body), &err);
    assert_non_null(json);
    const cJSON *plugins = json_get(json, "plugins");
    assert_int_equal(cJSON_GetArraySize(plugins), 3);
    const cJSON *five = json_get(cJSON_GetArrayItem(plugins, 0), "configs")->child;
    assert_string_equal(json_str(five, "circuit"), "open");
    assert_string_equal(json_str(five, "circuit_until"), "2023-11-14T22:13:20.000Z");
    assert_string_equal(json_str(five, "circuit_why"), "it hung");
    assert_string_equal(json_str(json_get(five, "error"), "message"), "m");
    assert_string_equal(json_str(five->next, "load_error"), "no \"file\"");
    const cJSON *geoip = cJSON_GetArrayItem(plugins, 1), *gone = cJSON_GetArrayItem(plugins, 2);
    assert_true(json_bool(geoip, "builtin", false));
    assert_int_equal(cJSON_GetArraySize(json_get(geoip, "configs")), 0);
    assert_string_equal(json_str(gone, "name"), "gone"); /* its plugin is not there */
    assert_int_equal(cJSON_GetArraySize(json_get(gone, "configs")), 2);
    json_free(json);
    aid_end(aid);
}

static void add_and_switch(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    expect("POST", "/api/plugins",
           "{\"name\":\"one\",\"source\":\"inline\",\"files\":{\"index.js\":\"1\"},\"team\":2,"
           "\"order\":4,\"config\":{\"k\":\"v\"}}",
           200, "{\"plugin\":{\"id\":1,\"name\":\"one\"");
    assert_int_equal(aid->reloads, 1); /* before it was answered */
    expect("POST", "/api/plugins", "{\"name\":\"two\",\"source\":\"dir:x\",\"team\":1}", 200, "");
    expect("POST", "/api/plugins/configs/1/disable", NULL, 200, "{\"config\":null}");
    expect("POST", "/api/plugins/configs/2/enable", NULL, 200, "");
    expect("POST", "/api/plugins/reload", NULL, 200, "{\"ok\":true}");
    assert_int_equal(aid->reloads, 5);
    expect("POST", "/api/plugins/configs/9/enable", NULL, 404, "there is no plugin config 9");
    assert_int_equal(aid->reloads, 5);
    char *out = aid_export(aid);
    assert_non_null(strstr(out, "\"source\": \"dir:./x\"")); /* relative to BASE_DIR */
    assert_non_null(strstr(out, "\"enabled\": false"));
    mem_free(out);
    aid_end(aid);
}

static void bad_requests(void **state)
{
    static const struct {
        const char *body, *part;
    } table[] = {
        {"", "line 1"},
        {"[]", "send a JSON object"},
        {"{}", "\"/name: "},
        {"{\"name\":\"\",\"source\":\"dir:x\",\"team\":1}", "\"/name: "},
        {"{\"name\":\"x\",\"team\":1}", "\"/source: "},
        {"{\"name\":\"x\",\"source\":\"ftp:x\",\"team\":1}", "\"/source: must be builtin:NAME"},
        {"{\"name\":\"x\",\"source\":\"inline\",\"team\":1}", "\"/files: is missing"},
        {"{\"name\":\"x\",\"source\":\"dir:x\",\"team\":\"1\"}", "\"/team: "},
        {"{\"name\":\"x\",\"source\":\"dir:x\",\"team\":3}", "/team: there is no team 3"},
        {"{\"name\":\"x\",\"source\":\"dir:x\"}", "/team: there are 2 teams"},
        {"{\"name\":\"x\",\"source\":\"dir:x\",\"team\":1,\"what\":1}", "\"/what: unknown key"},
        {"{\"name\":\"x\",\"source\":\"dir:x\",\"team\":1,\"plugin\":\"y\"}",
         "\"/plugin: unknown key"},
    };
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    char *before = aid_export(aid);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        expect("POST", "/api/plugins", table[i].body, 400, table[i].part);
    expect("POST", "/api/plugins/configs/0/enable", NULL, 400, "must be a number");
    expect("POST", "/api/plugins/configs/1x/disable", NULL, 400, "must be a number");
    char *after = aid_export(aid);
    assert_string_equal(after, before);
    assert_int_equal(aid->reloads, 0);
    mem_free(before);
    mem_free(after);
    aid_end(aid);
}

static bool put_logs(struct store *store, void *ctx, struct err *err)
{
    struct store_plugin_log rows[] = {
        {.team_id = 1, .config_id = 5, .at_us = 1, .type = SLICE("LOG"), .message = SLICE("a")},
        {.team_id = 2, .config_id = 6, .at_us = 2, .type = SLICE("ERROR"), .message = SLICE("b")},
        {.team_id = 1, .config_id = 5, .at_us = 3, .type = SLICE("ERROR"), .message = SLICE("c")},
    };

    UNUSED(ctx);
    return store->ops->plugin_logs_insert(store->self, rows, ARRAY_LEN(rows), err);
}

static void logs(void **state)
{
    static const struct {
        const char *query, *messages;
    } table[] = {
        {"", "c b a "},     {"?limit=2", "c b "},    {"?config=5", "c a "},
        {"?team=2", "b "},  {"?type=ERROR", "c b "}, {"?before=3&limit=1", "b "},
        {"?after=2", "c "}, {"?config=9", ""},       {"?config=5&type=LOG", "a "},
    };
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    must(pipe_call_wait(aid->pipe, put_logs, NULL, &aid->err));
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char path[100], found[100] = "";
        struct err err = ERR_INIT;
        const cJSON *entry;

        snprintf(path, sizeof(path), "/api/plugins/logs%s", table[i].query);
        expect("GET", path, NULL, 200, "{\"entries\":[");
        cJSON *json = json_parse(buf_slice(&aid->body), &err);
        assert_non_null(json);
        cJSON_ArrayForEach(entry, json_get(json, "entries"))
            snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s ",
                     json_str(entry, "message"));
        assert_string_equal(found, table[i].messages);
        json_free(json);
    }
    expect("GET", "/api/plugins/logs?limit=1001", NULL, 400, "`limit`");
    expect("GET", "/api/plugins/logs?config=x", NULL, 400, "`config`");
    aid_end(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_list), cmocka_unit_test(add_and_switch),
                                       cmocka_unit_test(bad_requests), cmocka_unit_test(logs)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
