#include "app/mode_plugin.c"
#include "app_aid.h"

struct row {
    struct cli cli;
    const char *answer;
    int status;
    const char *path; /* of the last thing asked for; NULL: nothing is asked */
    const char *body; /* its body has this */
    int code;
    const char *out;
};

static void check_row(const struct row *row)
{
    char port[64];
    const char *sets[] = {"ADMIN_TOKEN=t", port, NULL};
    struct printing printing;
    struct place p;
    struct fake f;
    struct cli cli = row->cli;

    fake_open(&f, row->answer ? row->answer : "{}");
    f.statuses[0] = row->status;
    snprintf(port, sizeof(port), "HTTP_SERVER_PORT=%d", fake_port(&f));
    place_open(&p, sets);
    for (; cli.words[cli.word_count]; cli.word_count++)
        ;
    printing_begin(&printing);
    int code = mode_plugin(&cli, p.conf);
    char *out = printing_end(&printing);
    fake_stop(&f);
    if (code != row->code || !strstr(out, row->out))
        fail_msg("%d %s, not %s", code, out, row->out);
    assert_int_equal(f.count > 0, row->path != NULL);
    if (row->path)
        assert_string_equal(f.asked[f.count - 1].path, row->path);
    if (row->body)
        assert_has(f.asked[f.count - 1].body, row->body);
    mem_free(out);
    fake_close(&f);
    place_close(&p);
}

#define CONFIG(id, team, more)                                                             \
    "{\"id\":" #id ",\"team_id\":" #team ",\"order\":1,\"phase\":\"ready\",\"calls\":12,"  \
    "\"errors\":3,\"p50_us\":8,\"p99_us\":90,\"circuit\":\"closed\",\"circuit_why\":null," \
    "\"load_error\":null," more "}"
#define ON "\"enabled\":true,\"error\":null"
#define LIST                                                                                       \
    "{\"plugins\":[{\"id\":1,\"name\":\"two teams\",\"source\":\"dir:/x\",\"configs\":[" CONFIG(   \
        5, 1, ON) "," CONFIG(6, 2,                                                                 \
                             "\"enabled\":false,\"error\":{\"time\":\"T\","                        \
                             "\"message\":\"oh\"}") "]},{\"id\":2,\"name\":\"unused\",\"source\":" \
                                                    "\"inline\",\"configs\":[]}]}"

static void lists(void **state)
{
    static const struct row rows[] = {
        {.cli = {.words = {"list"}},
         .answer = LIST,
         .path = "/api/plugins?",
         .out = "5      1     1      ready                12        3         8        90  two "
                "teams (dir:/x)\n6      2     1      disabled "},
        {.cli = {.words = {"list"}}, .answer = LIST, .path = "/api/plugins?", .out = " T: oh\n"},
        {.cli = {.words = {"list"}},
         .answer = LIST,
         .path = "/api/plugins?",
         .out = "not in use                                            unused (inline)\n"},
        {.cli = {.words = {"list"}, .json = true},
         .answer = LIST,
         .path = "/api/plugins?",
         .out = "\"name\": \"unused\""},
        {.cli = {.words = {"list"}},
         .answer = "{\"error\":{\"message\":\"not now\"}}",
         .status = 503,
         .path = "/api/plugins?",
         .code = 1,
         .out = "hedgerow plugin list: not now\n"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&rows[i]);
}

static void states(void **state)
{
    static const struct {
        const char *config, *state;
    } table[] = {
        {"{\"enabled\":false,\"load_error\":\"x\"}", "disabled"},
        {"{\"enabled\":true,\"load_error\":\"x\",\"circuit\":\"open\"}", "failed"},
        {"{\"enabled\":true,\"load_error\":null,\"circuit\":\"open\",\"phase\":\"ready\"}",
         "circuit open"},
        {"{\"enabled\":true,\"circuit\":\"closed\",\"phase\":\"retrying\"}", "retrying"},
        {"{}", "disabled"},
    };
    struct err err = ERR_INIT;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        cJSON *json = json_parse(slice_cstr(table[i].config), &err);
        assert_string_equal(state_of(json), table[i].state);
        json_free(json);
    }
}

static void switches(void **state)
{
    static const struct row rows[] = {
        {.cli = {.words = {"enable", "7"}},
         .path = "/api/plugins/configs/7/enable?",
         .out = "plugin config 7 is enabled\n"},
        {.cli = {.words = {"disable", "two teams"}},
         .answer = LIST,
         .path = "/api/plugins/configs/6/disable?",
         .out = "plugin config 5 is disabled\nplugin config 6 is disabled\n"},
        {.cli = {.words = {"disable", "two teams"}, .team = "1"},
         .answer = LIST,
         .path = "/api/plugins/configs/5/disable?",
         .out = "plugin config 5 is disabled\n"},
        {.cli = {.words = {"disable", "unused"}},
         .answer = LIST,
         .path = "/api/plugins?",
         .code = 1,
         .out = "no plugin \"unused\" is configured"},
        {.cli = {.words = {"disable", "x"}, .team = "x"}, .code = 1, .out = "--team"},
        {.cli = {.words = {"enable"}}, .code = 1, .out = "plugin enable ID|NAME"},
        {.cli = {.words = {"enable", "a", "b"}}, .code = 1, .out = "plugin enable ID|NAME"},
        {.cli = {.words = {"remove", "a"}}, .code = 1, .out = "plugin add NAME"},
        {.cli = {.words = {NULL}}, .code = 1, .out = "plugin add NAME"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&rows[i]);
}

static void logs(void **state)
{
    static const char entries[] =
        "{\"entries\":[{\"id\":9,\"team_id\":1,\"plugin_config_id\":5,\"at\":1700000000000000,"
        "\"source\":\"CONSOLE\",\"type\":\"LOG\",\"message\":\"later\"},"
        "{\"id\":8,\"team_id\":1,\"plugin_config_id\":5,\"at\":1699999999000000,"
        "\"source\":\"PLUGIN\",\"type\":\"ERROR\",\"message\":\"first\"}]}";
    static const struct row rows[] = {
        {.cli = {.words = {"logs"}},
         .answer = entries,
         .path = "/api/plugins/logs?config=0&limit=100&after=0",
         .out = "2023-11-14T22:13:19.000Z  5     PLUGIN  ERROR first\n"
                "2023-11-14T22:13:20.000Z  5     CONSOLE LOG   later\n"},
        {.cli = {.words = {"logs", "5"}, .limit = "7", .json = true},
         .answer = entries,
         .path = "/api/plugins/logs?config=5&limit=7&after=0",
         .out = "\"message\":\"first\"}\n{\"id\":9,"},
        {.cli = {.words = {"logs", "two teams"}},
         .answer = LIST,
         .path = "/api/plugins?",
         .code = 1,
         .out = "two teams has 2 configs: give --team N"},
        {.cli = {.words = {"logs"}, .limit = "0"}, .code = 1, .out = "--limit"},
        {.cli = {.words = {"logs"}, .limit = "x"}, .code = 1, .out = "--limit"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&rows[i]);
}

/* Paths are those of the one who types them. */
static void add(void **state)
{
    static const char added[] =
        "{\"plugin\":{\"name\":\"p\",\"source\":\"s\",\"configs\":[" CONFIG(5, 1, ON) "]}}";
    char *dir = temp_dir_new(), *js = temp_dir_path(dir, "a.js"), *ts = temp_dir_path(dir, "a.ts");
    char full[PATH_MAX], with_dir[PATH_MAX + 20], at_settings[PATH_MAX + 20], source[PATH_MAX + 40];

    UNUSED(state);
    temp_dir_write(dir, "a.js", "let \"x\"\n");
    temp_dir_write(dir, "a.ts", "typed");
    temp_dir_write(dir, "nul.js", "");
    temp_dir_write(dir, "settings.json", "{\"k\":\"v\"}");
    assert_non_null(realpath(dir, full));
    snprintf(with_dir, sizeof(with_dir), "dir:%s/../%s", dir, strrchr(full, '/') + 1);
    snprintf(source, sizeof(source), "\"source\":\"dir:%s\"", full);
    snprintf(at_settings, sizeof(at_settings), "@%s/settings.json", dir);
    const struct row rows[] = {
        {.cli = {.words = {"add", "p"}, .source = with_dir, .team = "2", .order = "-4"},
         .answer = added,
         .path = "/api/plugins?",
         .body = source,
         .out = "ready"},
        {.cli = {.words = {"add", "p"}, .source = with_dir, .team = "2", .order = "-4"},
         .answer = added,
         .path = "/api/plugins?",
         .body = "\"team\":2,\"order\":-4}",
         .out = "ready"},
        {.cli = {.words = {"add", "p", js}, .source = "inline", .json = true},
         .answer = added,
         .path = "/api/plugins?",
         .body = "{\"name\":\"p\",\"source\":\"inline\",\"files\":{\"index.js\":\"let "
                 "\\\"x\\\"\\n\"}}",
         .out = "\"plugin\": {"},
        {.cli = {.words = {"add", "p", ts}, .source = "inline"},
         .answer = added,
         .path = "/api/plugins?",
         .body = "{\"index.ts\":\"typed\"}",
         .out = "ready"},
        {.cli = {.words = {"add", "p"}, .source = "builtin:geoip", .plugin_config = "{\"a\":[1]}"},
         .answer = added,
         .path = "/api/plugins?",
         .body = "{\"name\":\"p\",\"source\":\"builtin:geoip\",\"config\":{\"a\":[1]}}",
         .out = "ready"},
        {.cli = {.words = {"add", "p"}, .source = "builtin:geoip", .plugin_config = at_settings},
         .answer = added,
         .path = "/api/plugins?",
         .body = "\"config\":{\"k\":\"v\"}}",
         .out = "ready"},
        {.cli = {.words = {"add", "p"}, .source = "npm:x"},
         .answer = "{\"error\":{\"message\":\"the plugin has 1 fault\",\"details\":[\"/source: "
                   "no\"]}}",
         .status = 400,
         .path = "/api/plugins?",
         .code = 1,
         .out = "/source: no\nhedgerow plugin add: the plugin has 1 fault\n"},
        {.cli = {.words = {"add", "p"}}, .code = 1, .out = "--source dir:PATH"},
        {.cli = {.words = {"add"}, .source = "dir:."}, .code = 1, .out = "--source dir:PATH"},
        {.cli = {.words = {"add", "p"}, .source = "inline"}, .code = 1, .out = "inline FILE"},
        {.cli = {.words = {"add", "p", "/nonexistent"}, .source = "inline"},
         .code = 1,
         .out = "/nonexistent"},
        {.cli = {.words = {"add", "p"}, .source = "dir:/nonexistent"},
         .code = 1,
         .out = "no such directory"},
        {.cli = {.words = {"add", "p"}, .source = "builtin:geoip", .team = "x"},
         .code = 1,
         .out = "--team must be a whole number, not x"},
        {.cli = {.words = {"add", "p"}, .source = "builtin:geoip", .plugin_config = "{"},
         .code = 1,
         .out = "--plugin-config: line 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&rows[i]);
    mem_free(js);
    mem_free(ts);
    temp_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists), cmocka_unit_test(states),
                                       cmocka_unit_test(switches), cmocka_unit_test(logs),
                                       cmocka_unit_test(add)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
