#include "app/mode_remote.c"
#include "app_aid.h"

typedef int mode_fn(const struct cli *cli, const struct conf *conf);

static int export_fn(const struct cli *cli, const struct conf *conf)
{
    UNUSED(cli);
    return mode_export(conf);
}

struct row {
    mode_fn *fn;
    struct cli cli;
    const char *answer;
    int status;
    const char *path; /* asked for; NULL: nothing is asked */
    const char *body;
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
    int code = row->fn(&cli, p.conf);
    char *out = printing_end(&printing);
    fake_stop(&f);
    if (code != row->code || !strstr(out, row->out))
        fail_msg("%d %s, not %s", code, out, row->out);
    assert_int_equal(f.count, row->path ? 1 : 0);
    if (row->path)
        assert_string_equal(f.asked[0].path, row->path);
    if (row->body)
        assert_string_equal(f.asked[0].body, row->body);
    mem_free(out);
    fake_close(&f);
    place_close(&p);
}

static void modes(void **state)
{
    static const char team[] = "{\"id\":7,\"name\":\"A \\\"b\\\"\",\"api_token\":\"phc_7\"}";
    static const char teams[] = "{\"teams\":[{\"id\":7,\"name\":\"A\",\"api_token\":\"phc_7\"}]}";
    static const struct row rows[] = {
        {.fn = export_fn, .answer = "{\"teams\":[]}", .path = "/api/export?", .out = "\"teams\""},
        {.fn = export_fn,
         .answer = "{\"error\":{\"message\":\"stopping\"}}",
         .status = 503,
         .path = "/api/export?",
         .code = 1,
         .out = "hedgerow export: stopping\n"},
        {.fn = mode_team,
         .cli = {.words = {"list"}},
         .answer = teams,
         .path = "/api/teams?",
         .out = "\n7      phc_7 "},
        {.fn = mode_team,
         .cli = {.words = {"list"}, .json = true},
         .answer = teams,
         .path = "/api/teams?",
         .out = "\"api_token\":"},
        {.fn = mode_team,
         .cli = {.words = {"add", "A \"b\""}},
         .answer = team,
         .path = "/api/teams?",
         .body = "{\"name\":\"A \\\"b\\\"\"}",
         .out = " A \"b\"\n"},
        {.fn = mode_team,
         .cli = {.words = {"add", "x"}, .id = "7"},
         .answer = team,
         .path = "/api/teams?",
         .body = "{\"name\":\"x\",\"id\":7}",
         .out = "phc_7"},
        {.fn = mode_team, .cli = {.words = {"add", "x"}, .id = "7,"}, .code = 1, .out = "--id"},
        {.fn = mode_team,
         .cli = {.words = {"rotate-token", "7"}, .json = true},
         .answer = team,
         .path = "/api/teams/7/rotate-token?",
         .body = "",
         .out = "\"phc_7\""},
        {.fn = mode_team, .cli = {.words = {"add"}}, .code = 1, .out = "team add NAME"},
        {.fn = mode_team, .cli = {.words = {"list", "x"}}, .code = 1, .out = "team add NAME"},
        {.fn = mode_team, .cli = {.words = {NULL}}, .code = 1, .out = "team add NAME"},
        {.fn = mode_tail,
         .answer = "{\"event\":\"x\"}\n",
         .path = "/api/tail?",
         .out = "{\"event\":\"x\"}\n"},
        {.fn = mode_tail,
         .cli = {.team = "2", .event = "a b"},
         .answer = "",
         .path = "/api/tail?team=2&event=a%20b",
         .out = ""},
        {.fn = mode_tail,
         .answer = "{\"error\":{\"message\":\"bad team\"}}",
         .status = 400,
         .path = "/api/tail?",
         .code = 1,
         .out = "hedgerow tail: bad team\n"},
        {.fn = mode_apply, .code = 1, .out = "hedgerow apply FILE"},
        {.fn = mode_apply, .cli = {.words = {"/no/such"}}, .code = 1, .out = "/no/such"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_row(&rows[i]);
}

static void apply(void **state)
{
    char *dir = temp_dir_new(), *file = temp_dir_path(dir, "p.json");
    char real[4096], path[8192];

    UNUSED(state);
    temp_dir_write(dir, "p.json", "{\"x\": 1}");
    assert_non_null(realpath(dir, real));
    struct buf query = BUF_INIT(8192);
    buf_addf(&query, "%s/", real);
    struct buf encoded = BUF_INIT(8192);
    remote_add_query(&encoded, "base_dir", buf_slice(&query));
    snprintf(path, sizeof(path), "/api/apply?%s", buf_cstr(&encoded));
    check_row(&(struct row){.fn = mode_apply,
                            .cli = {.words = {file}},
                            .answer = "{\"teams\":{\"added\":1,\"changed\":2,\"removed\":3},"
                                      "\"objects\":{\"added\":4,\"changed\":5,\"removed\":6}}",
                            .path = path,
                            .body = "{\"x\": 1}",
                            .out =
                                "teams: 1 added, 2 changed, 3 removed; other objects: 4 added, 5 "
                                "changed, 6 removed\n"});
    snprintf(path, sizeof(path), "/api/apply?prune=1&%s", buf_cstr(&encoded));
    check_row(&(struct row){.fn = mode_apply,
                            .cli = {.words = {file}, .prune = true},
                            .answer = "{\"error\":{\"message\":\"2 faults\",\"details\":[\"/a: "
                                      "b\",\"/c: d\"]}}",
                            .status = 400,
                            .path = path,
                            .code = 1,
                            .out = "/a: b\n/c: d\nhedgerow apply: 2 faults\n"});
    buf_free(&query);
    buf_free(&encoded);
    mem_free(file);
    temp_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes),
        cmocka_unit_test(apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
