#include "chain_aid.h"

#define EVENT "{\"event\":\"e\",\"properties\":{}}"

static void expect_markers(struct chain_aid *a, const char *json, const char *markers)
{
    struct event_aid v;
    struct buf out = BUF_INIT(100000);

    event_aid_init(&v, json);
    chain_aid_send(a, &v);
    chain_aid_wait(a, &v);
    assert_string_equal(event_aid_markers(&v, &out), markers);
    buf_free(&out);
    event_aid_fini(&v);
}

static void begin(struct chain_aid *a)
{
    chain_aid_init(a);
    chain_aid_start(a);
}

static void test_lists(void **state)
{
    struct chain_aid a;
    struct plugin_config configs[] = {
        {.id = 11, .source = SLICE("function processEvent(e){return e}")},
        {.id = 12,
         .source = SLICE("function processEvent(e){if(e.event==='bad')throw 1;return e}"
                         "function onEvent(){}")},
        {.id = 13, .plugin_name = "say \"hi\"", .source = SLICE("function onSnapshot(){}")},
        {.id = 14, .source = SLICE("function setupPlugin(){}")},
    };

    UNUSED(state);
    begin(&a);
    chain_aid_publish(&a, configs, ARRAY_LEN(configs));
    for (int i = 0; i < 2; i++) { /* made, then found again */
        expect_markers(&a, EVENT,
                       "{\"$plugins_succeeded\":[\"p11 (11)\",\"p12 (12)\"],\"$plugins_failed\":[],"
                       "\"$plugins_deferred\":[\"p12 (12)\",\"say \\\"hi\\\" (13)\"]}");
        expect_markers(&a, "{\"event\":\"bad\",\"properties\":{}}",
                       "{\"$plugins_succeeded\":[\"p11 (11)\"],\"$plugins_failed\":[\"p12 (12)\"],"
                       "\"$plugins_deferred\":[\"p12 (12)\",\"say \\\"hi\\\" (13)\"]}");
    }
    chain_aid_fini(&a);
}

/* A copy loses the markers; plugins without a hook leave none. */
static void test_none(void **state)
{
    struct chain_aid a;

    UNUSED(state);
    begin(&a);
    chain_aid_sources(&a, "function processEvent(e){return {...e}}",
                      "function processEvent(e){return e}");
    expect_markers(&a, EVENT, "");
    chain_aid_sources(&a, "function setupPlugin(){}");
    expect_markers(&a, EVENT, "");
    chain_aid_fini(&a);
}

/* More kinds of lists than are kept. */
static void test_many(void **state)
{
    struct chain_aid a;
    struct plugin_config configs[12] = {0};

    UNUSED(state);
    begin(&a);
    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        configs[i].id = (int64_t)i + 1;
        configs[i].source = SLICE("function processEvent(e,{config}){"
                                  "if(e.properties.fail===config.me)throw 1;return e}");
    }
    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        static char texts[ARRAY_LEN(configs)][32];

        snprintf(texts[i], sizeof(texts[i]), "{\"me\":%d}", (int)i + 1);
        configs[i].config_json = texts[i];
    }
    chain_aid_publish(&a, configs, ARRAY_LEN(configs));
    for (int round = 0; round < 2; round++) {
        for (int i = 1; i <= (int)ARRAY_LEN(configs); i++) {
            struct event_aid v;
            struct buf out = BUF_INIT(10000);
            char json[100];
            char failed[60];

            snprintf(json, sizeof(json), "{\"event\":\"e\",\"properties\":{\"fail\":%d}}", i);
            snprintf(failed, sizeof(failed), "\"$plugins_failed\":[\"p%d (%d)\"]", i, i);
            event_aid_init(&v, json);
            chain_aid_send(&a, &v);
            assert_non_null(strstr(event_aid_markers(&v, &out), failed));
            buf_free(&out);
            event_aid_fini(&v);
        }
    }
    chain_aid_fini(&a);
}

/* They outlive the chain that made them. */
static void test_outlive(void **state)
{
    struct chain_aid a;
    struct event_aid v;
    struct buf out = BUF_INIT(10000);

    UNUSED(state);
    begin(&a);
    chain_aid_sources(&a, "function processEvent(e){return e}");
    event_aid_init(&v, EVENT);
    chain_aid_send(&a, &v);
    chain_aid_fini(&a);
    assert_string_equal(event_aid_markers(&v, &out),
                        "{\"$plugins_succeeded\":[\"p1 (1)\"],\"$plugins_failed\":[],"
                        "\"$plugins_deferred\":[]}");
    buf_free(&out);
    event_aid_fini(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_outlive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
