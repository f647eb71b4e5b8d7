#include "app/app.c"
#include "app_aid.h"

static void urls(void **state)
{
    static const struct {
        const char *host, *url;
    } table[] = {
        {"127.0.0.1", "http://127.0.0.1:80"},
        {"0.0.0.0", "http://127.0.0.1:80"},
        {"", "http://127.0.0.1:80"},
        {"*", "http://127.0.0.1:80"},
        {"::", "http://[::1]:80"},
        {"fe80::1", "http://[fe80::1]:80"},
        {"localhost", "http://localhost:80"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf out = BUF_INIT(1000);
        app_add_url(&out, table[i].host, 80);
        assert_string_equal(buf_cstr(&out), table[i].url);
        buf_free(&out);
    }
}

static void levels(void **state)
{
    UNUSED(state);
    assert_int_equal(level_of("debug"), LOG_DEBUG);
    assert_int_equal(level_of("Warn"), LOG_WARN);
    assert_int_equal(level_of("none"), LOG_NONE);
}

static void paths(void **state)
{
    struct place p;

    UNUSED(state);
    place_open(&p, NULL);
    char *path = app_data_path(p.conf, APP_DATABASE);
    char *wanted = temp_dir_path(p.dir, "data/hedgerow.db");
    assert_string_equal(path, wanted);
    mem_free(path);
    mem_free(wanted);
    place_close(&p);
}

static int run(char **out, const char *const *words)
{
    char *argv[8] = {(char *)(uintptr_t) "hedgerow"};
    struct printing printing;
    int argc = 1;

    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    printing_begin(&printing);
    int code = app_main(argc, argv);
    *out = printing_end(&printing);
    return code;
}

static void exit_codes(void **state)
{
    static const struct {
        const char *words[6];
        int code;
        const char *says;
    } table[] = {
        {{"--version", NULL}, 0, "hedgerow v"},
        {{"-h", NULL}, 0, "       - DATA_DIR - "},
        {{"nonsense", NULL}, 2, "unknown mode nonsense"},
        {{"--nonsense", NULL}, 1, "unknown option --nonsense"},
        {{"check", "--set", "LOG_LEVEL=loud", NULL}, 1, "LOG_LEVEL=loud (--set): must be"},
        {{"check", "--set", "LOG_LEVEL=none", NULL}, 0, "settings are fine\n"},
        {{"check", "--set", "LOG_LEVEL=loud", "/no/such/file", NULL}, 1, "2 faults\n"},
        {{"config", "check", "--set", "LOG_LEVEL=loud", NULL}, 1, "LOG_LEVEL=loud (--set)"},
        {{"check", "--set", "QUEUE_PARTITIONS=2", NULL}, 0, "warning: QUEUE_PARTITIONS (--set)"},
        {{"config", "docs", NULL}, 0, "| `LOG_LEVEL` |"},
        {{"config", "print", "--set", "ADMIN_TOKEN=marker", NULL}, 0, "ADMIN_TOKEN=*** # --set"},
        {{"config", "print", "--test-mode", NULL}, 0, "LOG_LEVEL=warn # default"},
        {{"config", NULL}, 1, "config print"},
        {{"--migrate", "--set", "JOB_QUEUES=fs", NULL}, 0, "nothing to migrate"},
        {{"--healthcheck", "--set", "HTTP_SERVER_PORT=1", NULL}, 1, "does not answer"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char *out;
        int code = run(&out, table[i].words);
        if (code != table[i].code || !strstr(out, table[i].says))
            fail_msg("%s: %d %s", table[i].words[0], code, out);
        mem_free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(levels),
        cmocka_unit_test(paths),
        cmocka_unit_test(exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
