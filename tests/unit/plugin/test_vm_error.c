/* Errors: their texts and JSON, and storms of them. */
#include "vm_aid.h"

static void test_json(void **state)
{
    struct plugin_error e = {0};
    char *json;

    UNUSED(state);
    plugin_error_set(&e, NULL, "a \"text\" of %d", 1);
    json = plugin_error_json(&e, 1600000000123000, SLICE_NONE);
    assert_string_equal(json, "{\"message\":\"a \\\"text\\\" of 1\","
                              "\"time\":\"2020-09-13T12:26:40.123Z\"}");
    mem_free(json);
    plugin_error_set(&e, "TypeError", "m");
    e.stack = mem_dup_str("TypeError: m\n    at f");
    json = plugin_error_json(&e, 0, SLICE("{\"a\":1}"));
    assert_string_equal(json, "{\"message\":\"m\",\"time\":\"1970-01-01T00:00:00.000Z\","
                              "\"name\":\"TypeError\",\"stack\":\"TypeError: m\\n    at f\","
                              "\"event\":{\"a\":1}}");
    mem_free(json);
    plugin_error_fini(&e);
    plugin_error_fini(&e);
}

/* An event that is too large for the error's row is left out, and the rest stays JSON. */
static void test_huge_event(void **state)
{
    struct plugin_error e = {0};
    size_t len = (size_t)1 << 20;
    char *event = mem_alloc(len), *json;

    UNUSED(state);
    memset(event, ' ', len);
    plugin_error_set(&e, "Error", "m");
    json = plugin_error_json(&e, 0, slice_make(event, len));
    assert_null(strstr(json, "event"));
    assert_int_equal(json[strlen(json) - 1], '}');
    mem_free(json);
    mem_free(event);
    plugin_error_fini(&e);
}

static void test_long_texts(void **state)
{
    struct vm_aid a;
    char *json;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_eval(&a, "const e = new Error('\\u0001'.repeat(1e6)); e.stack = '\\u0001'.repeat(1e6);"
                    " e.name = '\\ud800'.repeat(1e6); throw e");
    assert_int_equal(strlen(a.error.message), 10000);
    assert_int_equal(strlen(a.error.name), 30000);
    json = plugin_error_json(&a.error, 0, SLICE_NONE);
    assert_int_equal(json[strlen(json) - 1], '}');
    mem_free(json);
    vm_aid_fini(&a);
}

static void test_report(void **state)
{
    struct vm_aid a;
    struct plugin_error e = {0};

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "");
    plugin_error_set(&e, "Error", "broken");
    vm_report(a.vm, &e, SLICE("{\"event\":\"x\"}"));
    assert_true(services_aid_logged(&a.services, "7 PLUGIN ERROR broken\n"));
    assert_int_equal(a.services.error_config, 7);
    assert_non_null(strstr(a.services.error_json, "\"event\":{\"event\":\"x\"}"));
    plugin_error_fini(&e);
    vm_aid_fini(&a);
}

/* Of a thousand errors a few are written, and in the end the last one is what is stored. */
static void test_storm(void **state)
{
    struct vm_aid a;
    struct plugin_error e = {0};

    UNUSED(state);
    clock_fake_set(1000000);
    vm_aid_init(&a);
    vm_aid_run(&a, "");
    for (int i = 0; i < 1000; i++) {
        plugin_error_set(&e, "Error", "number %d", i);
        vm_report(a.vm, &e, SLICE_NONE);
    }
    assert_int_equal(a.services.error_count, 50);
    assert_non_null(strstr(a.config.state->error_json, "number 999"));
    clock_fake_add(100000);
    plugin_worker_turn(a.worker);
    assert_int_equal(a.services.error_count, 51);
    assert_non_null(strstr(a.services.error_json, "number 999"));
    clock_fake_add(1000000);
    vm_report(a.vm, &e, SLICE_NONE);
    assert_true(services_aid_logged(&a.services,
                                    "7 SYSTEM WARN 950 more errors within a second were left out"));
    for (int i = 0; i < 100; i++) /* and what waits is stored when the vm goes */
        vm_report(a.vm, &e, SLICE_NONE);
    plugin_error_set(&e, "Error", "the last");
    vm_report(a.vm, &e, SLICE_NONE);
    vm_aid_unload(&a);
    assert_non_null(strstr(a.services.error_json, "the last"));
    plugin_error_fini(&e);
    vm_aid_fini(&a);
    clock_fake_off();
}

/* A plugin that is good again clears the error that waits to be written. */
static void test_cleared_meanwhile(void **state)
{
    struct vm_aid a;
    struct plugin_error e = {0};

    UNUSED(state);
    clock_fake_set(1000000);
    vm_aid_init(&a);
    vm_aid_run(&a, "");
    plugin_error_set(&e, "Error", "old");
    for (int i = 0; i < 100; i++)
        vm_report(a.vm, &e, SLICE_NONE);
    plugins_clear_error(a.plugins, vm_config(a.vm));
    clock_fake_add(1000000);
    plugin_worker_turn(a.worker);
    assert_null(a.services.error_json);
    plugin_error_fini(&e);
    vm_aid_fini(&a);
    clock_fake_off();
}

static void test_seconds(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } table[] = {
        {1000000, "Script execution timed out after looping for 1 second"},
        {5000000, "Script execution timed out after looping for 5 seconds"},
        {1500000, "Script execution timed out after looping for 1.5 seconds"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct plugins_options opt = plugins_aid_options(NULL);
        struct plugin_error e = {0};
        struct vm_aid a;

        opt.limits.run_us = table[i].us;
        opt.task_timeout_s = 1;
        vm_aid_init_with(&a, &opt);
        vm_aid_run(&a, "");
        vm_error_run_limit(a.vm, &e);
        assert_string_equal(e.message, table[i].text);
        vm_error_wait_limit(a.vm, "onEvent", &e);
        assert_string_equal(e.message, "Script execution timed out after promise waited for 1"
                                       " second (test plugin, name: onEvent, pluginConfigId: 7)");
        plugin_error_fini(&e);
        vm_aid_fini(&a);
    }
}

/* There may be none to take. */
static void test_no_exception(void **state)
{
    struct vm_aid a;
    struct plugin_error e = {0};

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "");
    vm_take_error(a.vm, &e);
    assert_string_equal(e.message, "the plugin failed without an exception");
    plugin_error_fini(&e);
    vm_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),       cmocka_unit_test(test_huge_event),
        cmocka_unit_test(test_long_texts), cmocka_unit_test(test_report),
        cmocka_unit_test(test_storm),      cmocka_unit_test(test_cleared_meanwhile),
        cmocka_unit_test(test_seconds),    cmocka_unit_test(test_no_exception),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
