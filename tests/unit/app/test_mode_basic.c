#include "app/mode_basic.c"
#include "app_aid.h"

static void job_queues(void **state)
{
    UNUSED(state);
    assert_true(has_graphile("graphile"));
    assert_true(has_graphile("fs, graphile"));
    assert_false(has_graphile("fs,s3"));
    assert_false(has_graphile("graphile2"));
    assert_false(has_graphile(""));
}

static void base_dirs(void **state)
{
    char *dir = temp_dir_new();
    char real[PATH_MAX], wanted[PATH_MAX + 8];

    UNUSED(state);
    temp_dir_write(dir, "sub/x.json", "{}");
    char *path = temp_dir_path(dir, "sub/../sub/x.json");
    assert_non_null(realpath(dir, real));
    snprintf(wanted, sizeof(wanted), "%s/sub/", real);
    char *base = app_base_dir(path);
    assert_string_equal(base, wanted);
    mem_free(base);
    base = app_base_dir("/no/such/file"); /* does not exist: as it is written */
    assert_string_equal(base, "/no/such/");
    mem_free(base);
    base = app_base_dir("no-such-file");
    assert_string_equal(base, ".");
    mem_free(base);
    mem_free(path);
    temp_dir_free(dir);
}

static void migrations(void **state)
{
    struct place p;
    struct err err = ERR_INIT;

    UNUSED(state);
    place_open(&p, NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mode_migrate(p.conf), 0);
    char *lock_path = app_data_path(p.conf, APP_LOCK);
    int lock = fs_lock(lock_path, &err); /* as a server that runs */
    assert_true(lock != -1);
    assert_int_equal(mode_migrate(p.conf), 1);
    close(lock);
    assert_int_equal(mode_migrate(p.conf), 0);
    mem_free(lock_path);
    place_close(&p);
}

static void migration_without_a_place(void **state)
{
    static const char *const sets[] = {"DATA_DIR=/proc/nowhere", NULL};
    struct place p;

    UNUSED(state);
    place_open(&p, sets);
    assert_int_equal(mode_migrate(p.conf), 1);
    place_close(&p);
}

static int check(struct place *p, const char *file, char **out)
{
    struct cli cli = {.mode = CLI_CHECK, .words = {file}, .word_count = file ? 1 : 0};
    struct printing printing;

    printing_begin(&printing);
    int code = mode_check(&cli, p->conf, SLICE_NONE);
    *out = printing_end(&printing);
    return code;
}

static void checks(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *says[3];
    } table[] = {
        {"{}", 0, {"settings and provision file are fine\n"}},
        {"{\"teams\":[{\"id\":1}]}", 0, {"fine"}},
        {"{\"teams\":[{\"id\":0}],\"x\":1}",
         1,
         {"/teams/0/id: ", "/x: unknown key", "\n2 faults\n"}},
        {"{", 1, {"line 1", "\n1 fault\n"}},
        {"{\"plugins\":[{\"name\":\"G\",\"source\":\"builtin:geoip\"},{\"name\":\"p\",\"source\":"
         "\"inline\",\"files\":{\"index.js\":\"\"}}]}",
         0,
         {"fine"}},
        /* What may be there where the server runs is no fault. */
        {"{\"plugins\":[{\"name\":\"p\",\"source\":\"dir:nowhere\"}],\"plugin_configs\":[{"
         "\"plugin\":"
         "\"p\",\"team\":1,\"attachments\":{\"a\":\"no.csv\"}}]}",
         0,
         {"warning: ", "plugin \"p\": there is no /", "config \"1/p\": there is no /"}},
        {"{\"plugins\":[{\"name\":\"p\",\"source\":\"inline\",\"files\":{\"plugin.json\":\"{\"}},"
         "{\"name\":\"q\",\"source\":\"builtin:nothing\"}]}",
         1,
         {"plugin \"p\": Could not load \"plugin.json\"", "plugin \"q\": There is no plugin",
          "\n2 faults\n"}},
    };
    struct place p;
    char *out;

    UNUSED(state);
    place_open(&p, NULL);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        temp_dir_write(p.dir, "p.json", table[i].text);
        char *file = temp_dir_path(p.dir, "p.json");
        assert_int_equal(check(&p, file, &out), table[i].code);
        for (size_t k = 0; k < ARRAY_LEN(table[i].says) && table[i].says[k]; k++)
            assert_has(out, table[i].says[k]);
        mem_free(out);
        mem_free(file);
    }
    assert_int_equal(check(&p, NULL, &out), 0);
    assert_string_equal(out, "settings are fine\n");
    mem_free(out);
    assert_int_equal(check(&p, "/no/such/file", &out), 1);
    assert_has(out, "/no/such/file");
    mem_free(out);
    place_close(&p);
}

static void health_checks(void **state)
{
    static const struct {
        int status, code;
    } table[] = {{200, 0}, {503, 1}, {404, 1}};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char port[64];
        const char *sets[] = {port, NULL};
        struct place p;
        struct fake f;

        fake_open(&f, "{}");
        f.statuses[0] = table[i].status;
        snprintf(port, sizeof(port), "HTTP_SERVER_PORT=%d", fake_port(&f));
        place_open(&p, sets);
        assert_int_equal(mode_healthcheck(p.conf), table[i].code);
        fake_stop(&f);
        assert_string_equal(f.asked[0].path, "/_health?");
        fake_close(&f);
        place_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_queues), cmocka_unit_test(base_dirs),
        cmocka_unit_test(migrations), cmocka_unit_test(migration_without_a_place),
        cmocka_unit_test(checks),     cmocka_unit_test(health_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
