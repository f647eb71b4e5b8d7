#include "app/cli.h"
#include "base/str.h"
#include "lib/unit.h"

#define ARGS_MAX 20

static int parse(struct cli *cli, struct buf *fault, const char *const *words)
{
    char *argv[ARGS_MAX + 2] = {(char *)(uintptr_t) "hedgerow"};
    int argc = 1;

    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    return cli_parse(argc, argv, cli, fault);
}

static void test_modes(void **state)
{
    static const struct {
        const char *words[ARGS_MAX];
        enum cli_mode mode;
    } table[] = {
        {{NULL}, CLI_SERVE},
        {{"serve", NULL}, CLI_SERVE},
        {{"--help", "--version", NULL}, CLI_HELP},
        {{"--version", "-h", NULL}, CLI_HELP},
        {{"--version", "--healthcheck", NULL}, CLI_VERSION},
        {{"--idle", "--migrate", NULL}, CLI_MIGRATE},
        {{"--migrate", "--healthcheck", NULL}, CLI_HEALTHCHECK},
        {{"--idle", NULL}, CLI_IDLE},
        {{"nonsense", "--unknown", "-v", NULL}, CLI_VERSION}, /* the rest is ignored */
        {{"config", "print", NULL}, CLI_CONFIG},
        {{"apply", "x.json", "--prune", NULL}, CLI_APPLY},
        {{"--set", "A=b", "tail", NULL}, CLI_TAIL},
        {{"--test-mode", NULL}, CLI_SERVE},
        {{"send", "-", NULL}, CLI_SEND},
        {{"plugin", "list", NULL}, CLI_PLUGIN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf fault = BUF_INIT(4096);
        struct cli cli;
        assert_int_equal(parse(&cli, &fault, table[i].words), 0);
        assert_int_equal(cli.mode, table[i].mode);
        buf_free(&fault);
    }
}

static void test_options(void **state)
{
    const char *words[] = {"team", "add", "A shop", "--id", "7", "--set=X=1", "--json", NULL};
    struct buf fault = BUF_INIT(4096);
    struct cli cli;

    (void)state;
    assert_int_equal(parse(&cli, &fault, words), 0);
    assert_int_equal(cli.mode, CLI_TEAM);
    assert_int_equal(cli.word_count, 2);
    assert_string_equal(cli.words[1], "A shop");
    assert_string_equal(cli.id, "7");
    assert_int_equal(cli.set_count, 1);
    assert_string_equal(cli.sets[0], "X=1");
    assert_true(cli.json);
    assert_false(cli.prune);
    buf_free(&fault);
}

static void test_plugin_options(void **state)
{
    const char *words[] = {"plugin", "add",      "p",  "--source=inline", "p.js", "--team",
                           "2",      "--order",  "-1", "--plugin-config", "{}",   "--limit",
                           "5",      "--follow", NULL};
    struct buf fault = BUF_INIT(4096);
    struct cli cli;

    (void)state;
    assert_int_equal(parse(&cli, &fault, words), 0);
    assert_int_equal(cli.mode, CLI_PLUGIN);
    assert_int_equal(cli.word_count, 3);
    assert_string_equal(cli.words[2], "p.js");
    assert_string_equal(cli.source, "inline");
    assert_string_equal(cli.order, "-1");
    assert_string_equal(cli.plugin_config, "{}");
    assert_string_equal(cli.limit, "5");
    assert_true(cli.follow);
    assert_null(cli.config_file);
    buf_free(&fault);
}

/* Its --config is the plugin's. */
static void test_plugin_test(void **state)
{
    const char *words[] = {"plugin",  "--config",   "c.json",      "test",
                           "dir",     "--event=e",  "--hook",      "job:x",
                           "--clock", "2022-05-10", "--fixture=f", NULL};
    const char *other[] = {"plugin", "list", "--config", "c", NULL};
    struct buf fault = BUF_INIT(4096);
    struct cli cli;

    (void)state;
    assert_int_equal(parse(&cli, &fault, words), 0);
    assert_true(cli_is_plugin_test(&cli));
    assert_int_equal(cli.word_count, 2);
    assert_null(cli.config_file);
    assert_string_equal(cli.tested_config, "c.json");
    assert_string_equal(cli.event, "e");
    assert_string_equal(cli.hook, "job:x");
    assert_string_equal(cli.clock, "2022-05-10");
    assert_string_equal(cli.fixture, "f");
    assert_int_equal(parse(&cli, &fault, other), 0);
    assert_false(cli_is_plugin_test(&cli));
    assert_string_equal(cli.config_file, "c");
    assert_null(cli.tested_config);
    buf_free(&fault);
}

static void test_faults(void **state)
{
    static const struct {
        const char *words[ARGS_MAX];
        int code;
        const char *names;
    } table[] = {
        {{"serv", NULL}, 2, "serv"},
        {{"--hepl", NULL}, 1, "--hepl"},
        {{"--set", NULL}, 1, "--set"},
        {{"tail", "--team", NULL}, 1, "--team"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf fault = BUF_INIT(4096);
        struct cli cli;
        assert_int_equal(parse(&cli, &fault, table[i].words), table[i].code);
        assert_non_null(strstr(buf_cstr(&fault), table[i].names));
        assert_null(strchr(buf_cstr(&fault), '\n')); /* one line */
        buf_free(&fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),          cmocka_unit_test(test_options),
        cmocka_unit_test(test_plugin_options), cmocka_unit_test(test_plugin_test),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
