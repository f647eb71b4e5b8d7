#include "base/log.h"
#include "child.h"
#include "conf_aid.h"

/* O-01, O-02. */
static void types_follow_the_table(void **state)
{
    UNUSED(state);
    struct conf *c =
        LOAD(.environ = ENV("TASK_TIMEOUT=3008", "KAFKA_ENABLED=false", "CLICKHOUSE_HOST=0.0.0.0"));
    assert_true(conf_num(c, CONF_TASK_TIMEOUT) > 3007.9 && conf_num(c, CONF_TASK_TIMEOUT) < 3008.1);
    assert_false(conf_bool(c, CONF_KAFKA_ENABLED));
    assert_string_equal(conf_str(c, CONF_CLICKHOUSE_HOST), "0.0.0.0");
    assert_string_equal(conf_str(c, CONF_BASE_DIR), ".");
    conf_free(c);
    c = LOAD(.environ = ENV("KAFKA_ENABLED=1", "TASK_TIMEOUT=3008.12", "KAFKA_HOSTS=k"));
    assert_true(conf_bool(c, CONF_KAFKA_ENABLED));
    assert_true(conf_num(c, CONF_TASK_TIMEOUT) > 3008.119 &&
                conf_num(c, CONF_TASK_TIMEOUT) < 3008.121);
    conf_free(c);
}

static void defaults_without_any_source(void **state)
{
    UNUSED(state);
    struct conf *c = LOAD(.environ = NULL);
    assert_int_equal(conf_int(c, CONF_CAPTURE_PORT), 8000);
    assert_int_equal(conf_int(c, CONF_QUEUE_SEGMENT_BYTES), 67108864);
    assert_int_equal(conf_int(c, CONF_QUEUE_MAX_BYTES), INT64_C(10) << 30);
    assert_string_equal(conf_str(c, CONF_DATA_DIR), "./data");
    assert_string_equal(conf_str(c, CONF_CAPTURE_EXPOSE), "capture,flags,intake");
    assert_int_equal(c->warning_count, 0);
    for (int i = 0; i < CONF_KEY_COUNT; i++)
        assert_false(conf_is_set(c, (enum conf_key)i));
    conf_free(c);
    conf_free(NULL);
}

/* O-04, O-13, O-18. */
static void faults_name_setting_source_and_what_is_allowed(void **state)
{
    UNUSED(state);
    EXPECT_FAULTS(
        "Invalid PLUGIN_SERVER_MODE foo\n"
        "TASKS_PER_WORKER=abc (environment): must be a whole number, at most 10000\n"
        "CAPTURE_PORT=99999 (--set): must be a whole number from 0 to 65535\n"
        "HTTP_THREADS= (environment): must be a whole number from 0 to 256\n"
        "LOG_LEVEL=verbose (environment): must be one of none, debug, info, log, warn, error\n"
        "Unknown job queue \"redis\"\n"
        "KAFKA_SASL_MECHANISM=gssapi (--set): must be one of plain, scram-sha-256, scram-sha-512\n",
        .environ = ENV("TASKS_PER_WORKER=abc", "LOG_LEVEL=verbose", "PLUGIN_SERVER_MODE=foo",
                       "HTTP_THREADS="),
        SETS("CAPTURE_PORT=99999", "JOB_QUEUES=fs, redis", "KAFKA_SASL_MECHANISM=gssapi"));
}

static void only_the_value_in_force_is_judged(void **state)
{
    UNUSED(state);
    struct conf *c = LOAD(.environ = ENV("CAPTURE_PORT=abc"), SETS("CAPTURE_PORT=1"));
    assert_int_equal(conf_int(c, CONF_CAPTURE_PORT), 1);
    conf_free(c);
}

static void an_odd_boolean_warns(void **state)
{
    UNUSED(state);
    struct conf *c = LOAD(.environ = ENV("METRICS_PER_TEAM=maybe", "AUTO_MIGRATE=no"));
    assert_false(conf_bool(c, CONF_METRICS_PER_TEAM));
    assert_false(conf_bool(c, CONF_AUTO_MIGRATE));
    assert_int_equal(c->warning_count, 1);
    expect_warning(
        c, "METRICS_PER_TEAM=maybe (environment) is neither true (y yes t true on 1) nor false "
           "(n no f false off 0): taken as false");
    conf_free(c);
}

static void config_file_is_found(void **state)
{
    char *dir = temp_dir_new(), *path = temp_dir_path(dir, "conf");
    struct buf env = BUF_INIT(1000);
    const char *name;

    UNUSED(state);
    temp_dir_write(dir, "conf", "CAPTURE_PORT = 7 # seven\n");
    buf_addf(&env, "CONFIG_FILE=%s", path);
    name = buf_cstr(&env);
    struct conf *c = LOAD(.environ = ENV(name));
    assert_int_equal(conf_int(c, CONF_CAPTURE_PORT), 7);
    conf_free(c);
    c = LOAD(.environ = ENV("CONFIG_FILE=/nonexistent"), SETS(name));
    assert_int_equal(conf_int(c, CONF_CAPTURE_PORT), 7);
    conf_free(c);

    struct buf faults = BUF_INIT(1000);
    assert_null(conf_load(&(struct conf_sources){.file = "/nonexistent/conf"}, &faults));
    assert_non_null(strstr(buf_cstr(&faults), "/nonexistent/conf"));
    buf_free(&faults);
    buf_free(&env);
    mem_free(path);
    temp_dir_free(dir);
}

static void test_mode_changes_four_defaults(void **state)
{
    UNUSED(state);
    struct conf *c = LOAD(.is_test_mode = true, SETS("KAFKA_FLUSH_FREQUENCY_MS=7"));
    assert_string_equal(conf_str(c, CONF_LOG_LEVEL), "warn");
    assert_true(conf_bool(c, CONF_DISABLE_MMDB));
    assert_int_equal(conf_int(c, CONF_KAFKA_PRODUCER_MAX_QUEUE_SIZE), 0);
    assert_int_equal(conf_int(c, CONF_KAFKA_FLUSH_FREQUENCY_MS), 7);
    assert_int_equal(conf_int(c, CONF_CAPTURE_PORT), 8000);
    conf_free(c);
}

static void a_wrong_getter_is_a_bug_of_ours(void *ctx)
{
    conf_int(ctx, CONF_DATA_DIR);
}

static void getters_check_the_type(void **state)
{
    UNUSED(state);
    struct conf *c = LOAD(.environ = NULL);
    assert_true(child_aborts(a_wrong_getter_is_a_bug_of_ours, c, "type"));
    conf_free(c);
}

static void log_start(void *ctx)
{
    log_setup(LOG_INFO, LOG_CLASSIC, false);
    conf_log_start(ctx);
}

static void the_start_lists_what_is_not_default(void **state)
{
    UNUSED(state);
    struct conf *c =
        LOAD(.environ = ENV("CAPTURE_PORT=1", "HTTP_SERVER_PORT=6738", "ADMIN_TOKEN=MARKER",
                            "CDP_A=1", "DATABASE_URL=postgres://u:MARKER@h/d"));
    char *out = child_output(1, log_start, c);
    char *err = child_output(2, log_start, c);
    assert_non_null(strstr(out, "setting CAPTURE_PORT=1 (environment)"));
    assert_non_null(strstr(out, "setting ADMIN_TOKEN=*** (environment)"));
    assert_non_null(strstr(out, "setting DATABASE_URL=postgres://***@h/d (environment)"));
    assert_null(strstr(out, "HTTP_SERVER_PORT"));
    assert_non_null(strstr(err, "CDP_A (environment) has no effect"));
    assert_null(strstr(out, "MARKER"));
    assert_null(strstr(err, "MARKER"));
    mem_free(out);
    mem_free(err);
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_follow_the_table),
        cmocka_unit_test(defaults_without_any_source),
        cmocka_unit_test(faults_name_setting_source_and_what_is_allowed),
        cmocka_unit_test(only_the_value_in_force_is_judged),
        cmocka_unit_test(an_odd_boolean_warns),
        cmocka_unit_test(config_file_is_found),
        cmocka_unit_test(test_mode_changes_four_defaults),
        cmocka_unit_test(getters_check_the_type),
        cmocka_unit_test(the_start_lists_what_is_not_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
