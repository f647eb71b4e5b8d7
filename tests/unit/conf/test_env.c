#include "conf_aid.h"

static void names(void **state)
{
    static const struct {
        const char *name;
        int key; /* -1: none */
        bool is_path;
    } table[] = {
        {"CAPTURE_PORT", CONF_CAPTURE_PORT, false},
        {"ADMIN_TOKEN_FILE", CONF_ADMIN_TOKEN, true},
        {"DATABASE_URL_FILE", CONF_DATABASE_URL, true},
        {"PROVISION_FILE", CONF_PROVISION_FILE, false},
        {"CA_FILE", CONF_CA_FILE, false},
        {"CAPTURE_PORT_FILE", -1, false},
        {"capture_port", -1, false},
        {"_FILE", -1, false},
        {"", -1, false},
        {"HOME", -1, false},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        enum conf_key key = CONF_KEY_COUNT;
        bool is_path = false;
        bool found = conf_name_find(slice_cstr(table[i].name), &key, &is_path);
        assert_int_equal(found, table[i].key != -1);
        if (!found)
            continue;
        assert_int_equal(key, table[i].key);
        assert_int_equal(is_path, table[i].is_path);
    }
}

static void foreign_names(void **state)
{
    static const char *const known[] = {"CDP_REDIS_HOST",
                                        "APP_METRICS_FLUSH_FREQUENCY_MS",
                                        "SESSION_RECORDING_KAFKA_HOSTS",
                                        "PLUGIN_LOAD_SEQUENTIALLY",
                                        "KAFKA_URL",
                                        "INGESTION_CONCURRENCY"};
    static const char *const unknown[] = {
        "HOME", "PATH", "CDP", "KAFKA_PORT", "PLUGIN_LOAD_SEQUENTIALLY2", ""};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        assert_non_null(conf_name_foreign(slice_cstr(known[i])));
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_null(conf_name_foreign(slice_cstr(unknown[i])));
}

static void nearest_names(void **state)
{
    static const struct {
        const char *name, *nearest;
    } table[] = {
        {"CAPTURE_PRT", "CAPTURE_PORT"},
        {"CAPTRUE_PORT", "CAPTURE_PORT"},
        {"capture_port", "CAPTURE_PORT"},
        {"LOGLEVEL", "LOG_LEVEL"},
        {"DATADIR", "DATA_DIR"},
        {"STOREE", "STORE"},
        {"SOMETHING_ELSE_ENTIRELY", NULL},
        {"X", NULL},
        {"", NULL},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", NULL},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *nearest = conf_name_nearest(slice_cstr(table[i].name));
        if (table[i].nearest)
            assert_string_equal(nearest, table[i].nearest);
        else
            assert_null(nearest);
    }
}

/* O-51. */
static void higher_sources_win(void **state)
{
    char *dir = temp_dir_new(), *path = temp_dir_path(dir, "conf");
    struct conf *c;

    UNUSED(state);
    temp_dir_write(dir, "conf", "CAPTURE_PORT=1\nHTTP_THREADS=1\nSITE_URL=file\n");
    c = LOAD(.file = path, .environ = ENV("CAPTURE_PORT=2", "HTTP_THREADS=2"),
             SETS("CAPTURE_PORT=3"));
    assert_int_equal(conf_int(c, CONF_CAPTURE_PORT), 3);
    assert_int_equal(conf_int(c, CONF_HTTP_THREADS), 2);
    assert_string_equal(conf_str(c, CONF_SITE_URL), "file");
    assert_int_equal(conf_origin(c, CONF_CAPTURE_PORT), CONF_FROM_SET);
    assert_int_equal(conf_origin(c, CONF_HTTP_THREADS), CONF_FROM_ENV);
    assert_int_equal(conf_origin(c, CONF_SITE_URL), CONF_FROM_FILE);
    assert_int_equal(conf_origin(c, CONF_LOG_LEVEL), CONF_FROM_DEFAULT);
    assert_true(conf_is_set(c, CONF_SITE_URL));
    assert_false(conf_is_set(c, CONF_LOG_LEVEL));
    assert_string_equal(conf_str(c, CONF_CONFIG_FILE), path);
    conf_free(c);

    c = LOAD(.environ = ENV("SITE_URL=", "CONFIG_FILE=/nonexistent"),
             SETS("SITE_URL=x", "SITE_URL=y"), .file = path);
    assert_string_equal(conf_str(c, CONF_SITE_URL), "y");
    conf_free(c);
    mem_free(path);
    temp_dir_free(dir);
}

static void an_empty_text_replaces_and_counts_as_unset(void **state)
{
    char *dir = temp_dir_new(), *path = temp_dir_path(dir, "conf");

    UNUSED(state);
    temp_dir_write(dir, "conf", "SITE_URL=file\n");
    struct conf *c = LOAD(.file = path, .environ = ENV("SITE_URL=", "METRICS_PER_TEAM="));
    assert_string_equal(conf_str(c, CONF_SITE_URL), "");
    assert_false(conf_is_set(c, CONF_SITE_URL));
    assert_false(conf_bool(c, CONF_METRICS_PER_TEAM));
    assert_false(conf_is_set(c, CONF_METRICS_PER_TEAM));
    assert_int_equal(c->warning_count, 0);
    conf_free(c);
    mem_free(path);
    temp_dir_free(dir);
}

/* O-47. */
static void foreign_and_retired_settings_warn_once_each(void **state)
{
    UNUSED(state);
    struct conf *c =
        LOAD(.environ = ENV("CDP_REDIS_HOST=x", "PISCINA_USE_ATOMICS=true", "HOME=/root",
                            "CELERY_DEFAULT_QUEUE=", "STATSD_HOST=s", "STATSD_PORT=8125"),
             SETS("APP_METRICS_X=1"));
    assert_int_equal(c->warning_count, 4);
    expect_warning(
        c, "CDP_REDIS_HOST (environment) has no effect: a setting of another release of the "
           "plugin server");
    expect_warning(
        c, "APP_METRICS_X (--set) has no effect: a setting of another release of the plugin "
           "server");
    expect_warning(c,
                   "PISCINA_USE_ATOMICS (environment) has no effect: there is no such thread pool");
    expect_warning(c, "STATSD_HOST (environment) has no effect: its part is not built yet");
    conf_free(c);
}

static void unknown_names_are_faults_where_they_were_meant(void **state)
{
    char *dir = temp_dir_new(), *path = temp_dir_path(dir, "conf");
    struct buf expected = BUF_INIT(10000);

    UNUSED(state);
    temp_dir_write(dir, "conf",
                   "CAPTURE_PROT=1\nbroken\nCAPTURE_PORT=2\nCAPTURE_PORT=3\nCONFIG_FILE=x\n");
    buf_addf(
        &expected,
        "CAPTURE_PROT (config file %s, line 1): no such setting; did you mean CAPTURE_PORT?\n"
        "config file %s, line 2: must be NAME=value or begin with #\n"
        "CAPTURE_PORT (config file %s, line 4): given twice, before in config file %s, line 3\n"
        "CONFIG_FILE (config file %s, line 5): a config file cannot name another one\n"
        "NO_SUCH_THING (--set): no such setting; `hedgerow --help` lists them\n"
        "CAPTURE_PORT (--set): must be NAME=value\n"
        "=1 (--set): must be NAME=value\n",
        path, path, path, path, path);
    EXPECT_FAULTS(buf_cstr(&expected), .file = path, .environ = ENV("CAPTURE_PROT=1", "odd"),
                  SETS("NO_SUCH_THING=1", "CAPTURE_PORT", "=1"));
    buf_free(&expected);
    mem_free(path);
    temp_dir_free(dir);
}

static void secrets_come_from_files(void **state)
{
    char *dir = temp_dir_new(), *path = temp_dir_path(dir, "token");
    struct buf env = BUF_INIT(10000);
    struct conf *c;

    UNUSED(state);
    temp_dir_write(dir, "token", " s3cret \r\n");
    buf_addf(&env, "ADMIN_TOKEN_FILE=%s", path);
    c = LOAD(.environ = ENV(buf_cstr(&env), "ADMIN_TOKEN="));
    assert_string_equal(conf_str(c, CONF_ADMIN_TOKEN), " s3cret ");
    assert_int_equal(conf_origin(c, CONF_ADMIN_TOKEN), CONF_FROM_ENV);
    assert_true(conf_is_set(c, CONF_ADMIN_TOKEN));
    conf_free(c);
    c = LOAD(.environ = ENV("ADMIN_TOKEN=", buf_cstr(&env)), SETS("ADMIN_TOKEN=higher"));
    assert_string_equal(conf_str(c, CONF_ADMIN_TOKEN), "higher");
    conf_free(c);
    c = LOAD(.environ = ENV("ADMIN_TOKEN=direct", "ADMIN_TOKEN_FILE="));
    assert_string_equal(conf_str(c, CONF_ADMIN_TOKEN), "direct");
    conf_free(c);

    EXPECT_FAULTS(
        "ADMIN_TOKEN_FILE (environment): value and _FILE exclude each other, also given in "
        "environment\n",
        .environ = ENV("ADMIN_TOKEN=x", buf_cstr(&env)));
    struct buf faults = BUF_INIT(10000);
    assert_null(conf_load(&(struct conf_sources){.environ = ENV("ADMIN_TOKEN_FILE=/nonexistent/x")},
                          &faults));
    assert_memory_equal(buf_cstr(&faults), "ADMIN_TOKEN_FILE (environment): ", 32);
    assert_non_null(strstr(buf_cstr(&faults), "/nonexistent/x"));
    buf_free(&faults);
    buf_free(&env);
    mem_free(path);
    temp_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(foreign_names),
        cmocka_unit_test(nearest_names),
        cmocka_unit_test(higher_sources_win),
        cmocka_unit_test(an_empty_text_replaces_and_counts_as_unset),
        cmocka_unit_test(foreign_and_retired_settings_warn_once_each),
        cmocka_unit_test(unknown_names_are_faults_where_they_were_meant),
        cmocka_unit_test(secrets_come_from_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
