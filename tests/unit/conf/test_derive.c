#include "conf_aid.h"

static void expect_str(struct conf *c, enum conf_key key, const char *expected)
{
    assert_string_equal(conf_str(c, key), expected);
    conf_free(c);
}

/* O-49. */
static void database_url(void **state)
{
    UNUSED(state);
    expect_str(LOAD(.environ = ENV("POSTHOG_DB_NAME=posthog", "POSTHOG_DB_PASSWORD=p@ss/w:rd")),
               CONF_DATABASE_URL, "postgres://postgres:p%40ss%2Fw%3Ard@localhost:5432/posthog");
    expect_str(LOAD(.environ = ENV("POSTHOG_DB_NAME=a b", "POSTHOG_DB_USER=\xc3\xbc@x",
                                   "POSTHOG_POSTGRES_HOST=::1", "POSTHOG_POSTGRES_PORT=1")),
               CONF_DATABASE_URL, "postgres://%C3%BC%40x@[::1]:1/a%20b");
    expect_str(LOAD(.environ = ENV("POSTHOG_DB_NAME=x", "DATABASE_URL=postgres://a/b")),
               CONF_DATABASE_URL, "postgres://a/b");
    expect_str(LOAD(.environ = ENV()), CONF_DATABASE_URL, "");

    struct conf *c = LOAD(.environ = ENV("POSTHOG_DB_NAME=x", "DATABASE_URL="));
    assert_true(conf_is_set(c, CONF_DATABASE_URL));
    assert_int_equal(conf_origin(c, CONF_DATABASE_URL), CONF_FROM_ENV);
    conf_free(c);
    c = LOAD(.environ = ENV("POSTHOG_DB_PASSWORD=x"));
    assert_false(conf_is_set(c, CONF_DATABASE_URL));
    expect_warning(c, "POSTHOG_DB_PASSWORD (environment) has no effect without POSTHOG_DB_NAME");
    conf_free(c);
}

/* O-48. */
static void redis_host_wins(void **state)
{
    UNUSED(state);
    expect_str(LOAD(.environ = ENV("REDIS_URL=redis://other", "POSTHOG_REDIS_HOST=h")),
               CONF_REDIS_URL, "redis://h:6379");
    expect_str(LOAD(.environ = ENV("POSTHOG_REDIS_HOST=h", "POSTHOG_REDIS_PASSWORD=p:w",
                                   "POSTHOG_REDIS_PORT=1")),
               CONF_REDIS_URL, "redis://:p%3Aw@h:1");
    expect_str(LOAD(.environ = ENV("REDIS_URL=redis://other", "POSTHOG_REDIS_HOST=")),
               CONF_REDIS_URL, "redis://other");
}

static void small_corrections(void **state)
{
    UNUSED(state);
    expect_str(LOAD(.environ = ENV("KAFKA_HOSTS=kafka://a:9092, b:1,")), CONF_KAFKA_HOSTS,
               "a:9092,b:1");
    expect_str(LOAD(.environ = ENV("CAPTURE_PATH_PREFIX=/x/y//")), CONF_CAPTURE_PATH_PREFIX,
               "/x/y");
    expect_str(LOAD(.environ = ENV("CAPTURE_PATH_PREFIX=/")), CONF_CAPTURE_PATH_PREFIX, "");
    expect_str(LOAD(SETS("CAPTURE_SINK=file:/x")), CONF_CAPTURE_SINK, "file:/x");

    struct conf *c = LOAD(SETS("TASKS_PER_WORKER=-3"));
    assert_int_equal(conf_int(c, CONF_TASKS_PER_WORKER), 1);
    conf_free(c);
}

static void faults_of_several_settings(void **state)
{
    static const struct {
        const char *environ[6];
        const char *faults;
    } table[] = {
        {{"KAFKA_ENABLED=true"}, "You must set KAFKA_HOSTS to process events from Kafka!\n"},
        {{"KAFKA_CLIENT_CERT_B64=x"},
         "KAFKA_CLIENT_CERT_KEY_B64 and KAFKA_TRUSTED_CERT_B64 are missing: needed with "
         "KAFKA_CLIENT_CERT_B64 (environment)\n"},
        {{"CAPTURE_TLS_KEY=x"},
         "CAPTURE_TLS_CERT is missing: needed with CAPTURE_TLS_KEY (environment)\n"},
        {{"REDIS_POOL_MIN_SIZE=5"},
         "REDIS_POOL_MIN_SIZE=5: must not be greater than REDIS_POOL_MAX_SIZE=3\n"},
        {{"JOB_QUEUES=graphile,s3", "JOB_QUEUE_S3_AWS_ACCESS_KEY=x",
          "JOB_QUEUE_S3_AWS_SECRET_ACCESS_KEY=x"},
         "JOB_QUEUE_S3_BUCKET_NAME is missing: needed with s3 in JOB_QUEUES\n"},
        {{"CAPTURE_SINK=paper"},
         "CAPTURE_SINK=paper (environment): must be ring, print or file:PATH\n"},
        {{"CAPTURE_SINK=file:"},
         "CAPTURE_SINK=file: (environment): must be ring, print or file:PATH\n"},
        {{"CAPTURE_PATH_PREFIX=x"}, "CAPTURE_PATH_PREFIX=x (environment): must begin with /\n"},
        {{"KAFKA_CONSUMPTION_TOPIC=../x"},
         "KAFKA_CONSUMPTION_TOPIC=../x (environment): must be 1 to 200 letters, digits, . _ - and "
         "not begin "
         "with a dot\n"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        EXPECT_FAULTS(table[i].faults, .environ = (char **)(uintptr_t)table[i].environ);
}

static void odd_combinations_warn(void **state)
{
    UNUSED(state);
    struct conf *c = LOAD(SETS("PLUGIN_SERVER_MODE=async", "OBJECT_STORAGE_ENABLED=true"));
    expect_warning(c, "PLUGIN_SERVER_MODE=async turns other parts off, which makes sense only with "
                      "KAFKA_ENABLED");
    expect_warning(c, "OBJECT_STORAGE_SECRET_ACCESS_KEY is still the default that everybody knows");
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(database_url),          cmocka_unit_test(redis_host_wins),
        cmocka_unit_test(small_corrections),     cmocka_unit_test(faults_of_several_settings),
        cmocka_unit_test(odd_combinations_warn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
