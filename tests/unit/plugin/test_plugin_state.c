#include "plugin_aid.h"

static void assert_json(struct plugin_state *s, const char *expected)
{
    struct buf out = BUF_INIT(10000);

    plugin_state_json(s, &out);
    if (!strstr(buf_cstr(&out), expected))
        fail_msg("no %s in %s", expected, buf_cstr(&out));
    buf_free(&out);
}

static void test_fresh(void **state)
{
    struct plugins *p = plugins_aid_new(NULL);

    UNUSED(state);
    assert_json(plugins_aid_state(p, 1),
                "{\"phase\":\"idle\",\"calls\":0,\"errors\":0,\"timeouts\":0,\"dropped\":0,"
                "\"cpu_ms\":0.000,\"p50_us\":0,\"p99_us\":0,\"memory_bytes\":0,"
                "\"circuit\":\"closed\",\"circuit_until\":null,\"circuit_why\":null,"
                "\"error\":null}");
    assert_ptr_equal(plugins_aid_state(p, 1), plugins_aid_state(p, 1));
    assert_ptr_not_equal(plugins_aid_state(p, 1), plugins_aid_state(p, 2));
    plugins_free(p);
}

/* Two threads: the worse phase is shown. A failure stays when its thread lets go of the config. */
static void test_phases(void **state)
{
    struct plugins *p = plugins_aid_new(NULL);
    struct plugin_state *s = plugins_aid_state(p, 1);

    UNUSED(state);
    plugin_state_phase(s, PLUGIN_IDLE, PLUGIN_SETTING_UP);
    plugin_state_phase(s, PLUGIN_IDLE, PLUGIN_READY);
    assert_json(s, "\"phase\":\"setting_up\"");
    plugin_state_phase(s, PLUGIN_SETTING_UP, PLUGIN_RETRYING);
    assert_json(s, "\"phase\":\"retrying\"");
    plugin_state_phase(s, PLUGIN_RETRYING, PLUGIN_READY);
    assert_json(s, "\"phase\":\"ready\"");
    plugin_state_phase(s, PLUGIN_READY, PLUGIN_IDLE);
    assert_json(s, "\"phase\":\"ready\"");
    plugin_state_phase(s, PLUGIN_READY, PLUGIN_IDLE);
    assert_json(s, "\"phase\":\"idle\"");
    plugin_state_phase(s, PLUGIN_IDLE, PLUGIN_FAILED);
    plugin_state_phase(s, PLUGIN_FAILED, PLUGIN_IDLE);
    assert_json(s, "\"phase\":\"failed\"");
    plugin_state_phase(s, PLUGIN_IDLE, PLUGIN_READY);
    assert_json(s, "\"phase\":\"ready\"");
    plugins_free(p);
}

static void test_texts(void **state)
{
    struct plugins *p = plugins_aid_new(NULL);
    struct plugin_state *s = plugins_aid_state(p, 1);

    UNUSED(state);
    plugin_state_set_error(s, "{\"message\":\"m\"}");
    assert_json(s, "\"error\":{\"message\":\"m\"}}");
    plugin_state_set_error(s, NULL);
    assert_json(s, "\"error\":null}");
    plugin_circuit_open(s, 1000000, "too \"slow\"");
    assert_json(s, "\"circuit\":\"open\",\"circuit_until\":\"1970-01-01T00:00:01.000Z\","
                   "\"circuit_why\":\"too \\\"slow\\\"\"");
    plugin_circuit_close(s);
    assert_json(s, "\"circuit\":\"closed\",\"circuit_until\":null,\"circuit_why\":null");
    plugins_free(p);
}

static void test_latency(void **state)
{
    struct plugins *p = plugins_aid_new(NULL);
    struct plugin_state *s = plugins_aid_state(p, 1);

    UNUSED(state);
    for (int i = 0; i < 98; i++)
        plugin_state_latency(s, 5);
    plugin_state_latency(s, 0);
    plugin_state_latency(s, INT64_MAX);
    assert_json(s, "\"p50_us\":6,\"p99_us\":8");
    for (int i = 0; i < 10; i++)
        plugin_state_latency(s, 1500);
    assert_json(s, "\"p50_us\":6,\"p99_us\":2037");
    plugins_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh),
        cmocka_unit_test(test_phases),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_latency),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
