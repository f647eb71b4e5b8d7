#include "app/mode_plugin_test.c"
#include "app_aid.h"

static void lines(void **state)
{
    struct slice rest = SLICE("\n {\"a\":1} \r\n\n\n2"), line;
    size_t number = 0;

    UNUSED(state);
    assert_true(next_line(&rest, &number, &line));
    assert_true(slice_eq(line, SLICE("{\"a\":1}")));
    assert_int_equal(number, 2);
    assert_true(next_line(&rest, &number, &line));
    assert_true(slice_eq(line, SLICE("2")));
    assert_int_equal(number, 5);
    assert_false(next_line(&rest, &number, &line));
}

static void which_hook(void **state)
{
    static const struct {
        const char *capabilities, *event, *hook;
    } table[] = {
        {NULL, NULL, "processEvent"},
        {"{\"methods\":[\"onEvent\",\"processEvent\"]}", NULL, "processEvent"},
        {"{\"methods\":[\"exportEvents\",\"onEvent\"]}", "e", "onEvent"},
        {"{\"methods\":[\"exportEvents\"],\"scheduled_tasks\":[\"runEveryDay\"]}", "e",
         "exportEvents"},
        {"{\"methods\":[\"exportEvents\"],\"scheduled_tasks\":[\"runEveryDay\"]}", NULL,
         "runEveryDay"},
        {"{\"methods\":[\"setupPlugin\"],\"scheduled_tasks\":[],\"jobs\":[\"a\",\"b\"]}", NULL,
         "job:a"},
        {"{\"methods\":[\"setupPlugin\"],\"jobs\":[]}", "e", NULL},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = ERR_INIT;
        struct cli cli = {.event = table[i].event};
        struct plugin_test p = {.cli = &cli, .arena = arena_new(1024)};
        cJSON *all =
            table[i].capabilities ? json_parse(slice_cstr(table[i].capabilities), &err) : NULL;
        const char *hook = usual_hook(&p, all);

        if (!table[i].hook)
            assert_null(hook);
        else
            assert_string_equal(hook, table[i].hook);
        json_free(all);
        arena_free(p.arena);
    }
}

static void runs(void **state)
{
    struct printing printing;
    struct place p;

    UNUSED(state);
    place_open(&p, NULL);
    temp_dir_write(p.dir, "p/index.js",
                   "exports.processEvent = (e, {config}) => ({...e, ...config})");
    temp_dir_write(p.dir, "p/plugin.json", "{\"config\":[{\"key\":\"b\",\"default\":\"2\"}]}");
    temp_dir_write(p.dir, "c.json", "{\"a\":1}");
    temp_dir_write(p.dir, "e.jsonl", "{\"event\":\"x\"}\n");
    char *dir = temp_dir_path(p.dir, "p"), *config = temp_dir_path(p.dir, "c.json"),
         *events = temp_dir_path(p.dir, "e.jsonl");
    struct cli cli = {.mode = CLI_PLUGIN,
                      .words = {"test", dir},
                      .word_count = 2,
                      .tested_config = config,
                      .event = events};
    printing_begin(&printing);
    assert_int_equal(mode_plugin_test(&cli, p.conf), 0);
    cli.hook = "onEvent";
    assert_int_equal(mode_plugin_test(&cli, p.conf), 1);
    char *out = printing_end(&printing);
    assert_string_equal(out, "{\"events\":[{\"event\":\"x\",\"a\":1,\"b\":\"2\"}],\"captured\":[],"
                             "\"logs\":[],\"http\":[],\"jobs\":[],\"storage\":{},\"cache\":{},"
                             "\"metrics\":{},\"error\":null}\n"
                             "hedgerow plugin test: --hook: the plugin has no onEvent; it has "
                             "processEvent\n");
    char *data = temp_dir_path(p.dir, "data");
    assert_false(fs_exists(data));
    mem_free(data);
    mem_free(out);
    mem_free(dir);
    mem_free(config);
    mem_free(events);
    place_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(which_hook),
        cmocka_unit_test(runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
