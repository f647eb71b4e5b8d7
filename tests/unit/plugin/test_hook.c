/* Hooks called from outside the chain. */
#include "chain_aid.h"

struct answer {
    bool has_come;
    char result[200];
    char error[400];
};

static void take_answer(void *ctx, struct slice result_json, const char *error_json)
{
    struct answer *to = ctx;

    assert_false(to->has_come);
    to->has_come = true;
    snprintf(to->result, sizeof(to->result), "%.*s", SLICE_ARG(result_json));
    snprintf(to->error, sizeof(to->error), "%s", error_json ? error_json : "");
}

static struct answer call(struct chain_aid *a, const char *hook, const char *argument)
{
    struct answer answer = {0};
    struct err err = ERR_INIT;

    assert_true(
        plugin_worker_hook(a->worker, 1, hook, slice_cstr(argument), take_answer, &answer, &err));
    while (!answer.has_come)
        chain_aid_sleep(a);
    return answer;
}

static void begin(struct chain_aid *a, const char *source)
{
    chain_aid_init(a);
    chain_aid_start(a);
    chain_aid_sources(a, source);
}

static void test_results(void **state)
{
    struct chain_aid a;
    struct answer answer;

    UNUSED(state);
    begin(&a, "async function setupPlugin({global}){await new Promise(r=>setTimeout(r,5));"
              "global.x=5}"
              "function processEvent(e,{global}){return {...e,x:global.x}}"
              "async function onEvent(e){await new Promise(r=>setTimeout(r,5));return e.a}"
              "function onSnapshot(){throw new TypeError('no')}"
              "async function exportEvents(e){await 0;throw 'text'}");
    answer = call(&a, "processEvent", "{\"a\":1}"); /* waits for the setup */
    assert_string_equal(answer.result, "{\"a\":1,\"x\":5}");
    assert_string_equal(answer.error, "");
    answer = call(&a, "onEvent", "{\"a\":[1,2]}");
    assert_string_equal(answer.result, "[1,2]");
    answer = call(&a, "onEvent", "{}");
    assert_string_equal(answer.result, "");
    assert_string_equal(answer.error, "");
    answer = call(&a, "onSnapshot", "{}");
    assert_non_null(strstr(answer.error, "\"name\":\"TypeError\""));
    answer = call(&a, "exportEvents", "[]");
    assert_non_null(strstr(answer.error, "\"message\":\"text\""));
    answer = call(&a, "noSuch", "");
    assert_non_null(strstr(answer.error, "noSuch"));
    answer = call(&a, "processEvent", "{broken");
    assert_true(answer.error[0] == '{');
    chain_aid_fini(&a);
}

static void test_refused(void **state)
{
    struct chain_aid a;
    struct answer answer = {0};
    struct err err = ERR_INIT;

    UNUSED(state);
    begin(&a, "throw new Error('broken at the top')");
    assert_false(plugin_worker_hook(a.worker, 9, "x", SLICE_NONE, take_answer, &answer, &err));
    assert_int_equal(err.code, ERR_GONE);
    answer = call(&a, "processEvent", "{}");
    assert_non_null(strstr(answer.error, "broken at the top"));
    chain_aid_publish(&a, &(struct plugin_config){.id = 1, .builtin = "geoip"}, 1);
    answer.has_come = false;
    assert_false(plugin_worker_hook(a.worker, 1, "x", SLICE_NONE, take_answer, &answer, &err));
    assert_int_equal(err.code, ERR_INPUT);
    chain_aid_fini(&a);
}

/* Under way at the end, or waiting for a setup: told that it is over. */
static void test_stop(void **state)
{
    static const char *const sources[] = {
        "function processEvent(e){return new Promise(()=>0)}",
        "function setupPlugin(){return new Promise(()=>0)}function processEvent(e){return e}",
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct chain_aid a;
        struct answer answer = {0};
        struct err err = ERR_INIT;

        begin(&a, sources[i]);
        assert_true(plugin_worker_hook(a.worker, 1, "processEvent", SLICE("{}"), take_answer,
                                       &answer, &err));
        plugin_worker_turn(a.worker);
        assert_false(answer.has_come);
        chain_aid_stop(&a);
        assert_non_null(strstr(answer.error, "being stopped"));
        chain_aid_fini(&a);
    }
}

static void test_capabilities(void **state)
{
    struct buf out = BUF_INIT(1000);
    struct chain_aid a;

    UNUSED(state);
    begin(&a, "exports.runEveryHour = exports.onEvent = () => 1; exports.jobs = {x(){}}");
    assert_false(plugin_worker_capabilities(a.worker, 9, &out));
    assert_true(plugin_worker_capabilities(a.worker, 1, &out));
    assert_string_equal(buf_cstr(&out), "{\"scheduled_tasks\":[\"runEveryHour\"],"
                                        "\"jobs\":[\"x\"],\"methods\":[\"onEvent\"]}");
    chain_aid_publish(&a, &(struct plugin_config){.id = 1, .builtin = "geoip"}, 1);
    assert_false(plugin_worker_capabilities(a.worker, 1, &out));
    chain_aid_sources(&a, "throw 1");
    assert_false(plugin_worker_capabilities(a.worker, 1, &out));
    chain_aid_fini(&a);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_capabilities),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
