#include "app/plugin_recorder.h"
#include "base/mem.h"
#include "lib/unit.h"

#include <stdio.h>

static const struct plugin_services *const host = &plugin_recorder_services;

static void on_done(struct plugin_storage_call *call, bool ok, const struct err *err)
{
    UNUSED(err);
    assert_true(ok);
    *(bool *)call->ctx = true;
}

/* What a call answers: its value, "-" when the key is not there. */
static const char *ask(struct plugin_recorder *r, enum plugin_storage_op op, const char *key,
                       const char *value)
{
    static char text[100];
    bool is_done = false;
    struct plugin_storage_call call = {
        .op = op, .key = slice_cstr(key), .value = BUF_INIT(100), .done = on_done, .ctx = &is_done};

    buf_add_str(&call.value, value);
    host->storage(r, &call);
    assert_true(is_done);
    (void)snprintf(text, sizeof(text), "%s",
                   call.is_found || op == PLUGIN_STORAGE_ADD ? buf_cstr(&call.value) : "-");
    buf_free(&call.value);
    return text;
}

static void check_storage(struct plugin_recorder *r, const char *expected)
{
    struct buf out = BUF_INIT(1000);

    plugin_recorder_add_storage(r, &out);
    assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
}

static void storage(void **state)
{
    struct plugin_recorder r;

    UNUSED(state);
    plugin_recorder_init(&r);
    check_storage(&r, "{}");
    assert_string_equal(ask(&r, PLUGIN_STORAGE_GET, "a", ""), "-");
    ask(&r, PLUGIN_STORAGE_DEL, "a", "");
    ask(&r, PLUGIN_STORAGE_SET, "b", "{\"x\":[1]}");
    ask(&r, PLUGIN_STORAGE_SET, "a", "1");
    assert_string_equal(ask(&r, PLUGIN_STORAGE_GET, "b", "old"), "{\"x\":[1]}");
    ask(&r, PLUGIN_STORAGE_INIT, "a", "5");
    ask(&r, PLUGIN_STORAGE_INIT, "c", "5");
    check_storage(&r, "{\"b\":{\"x\":[1]},\"a\":1,\"c\":5}");
    assert_string_equal(ask(&r, PLUGIN_STORAGE_ADD, "c", "-7.5"), "-2.5");
    assert_string_equal(ask(&r, PLUGIN_STORAGE_ADD, "b", "2"), "2"); /* no number: 0 */
    assert_string_equal(ask(&r, PLUGIN_STORAGE_ADD, "d", "3"), "3");
    ask(&r, PLUGIN_STORAGE_DEL, "b", "");
    assert_string_equal(ask(&r, PLUGIN_STORAGE_GET, "b", ""), "-");
    assert_string_equal(ask(&r, PLUGIN_STORAGE_ADD, "a", "1"), "2");
    check_storage(&r, "{\"a\":2,\"c\":-2.5,\"d\":3}");
    plugin_recorder_set(&r, SLICE("b"), SLICE("no json"));
    check_storage(&r, "{\"b\":\"no json\",\"a\":2,\"c\":-2.5,\"d\":3}");
    plugin_recorder_fini(&r);
}

static void many_keys(void **state)
{
    struct plugin_recorder r;
    char key[20];

    UNUSED(state);
    plugin_recorder_init(&r);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        ask(&r, PLUGIN_STORAGE_SET, key, key);
    }
    assert_string_equal(ask(&r, PLUGIN_STORAGE_GET, "777", ""), "777");
    plugin_recorder_fini(&r);
}

static void say(struct plugin_recorder *r, const char *source, const char *type, const char *text)
{
    host->log(
        r, &(struct plugin_log_entry){.source = source, .type = type, .message = slice_cstr(text)});
}

static void logs_and_jobs(void **state)
{
    struct plugin_recorder r;
    struct err err = ERR_INIT;

    UNUSED(state);
    plugin_recorder_init(&r);
    say(&r, "SYSTEM", "DEBUG", "Plugin loaded");
    say(&r, "CONSOLE", "DEBUG", "a \"b\"");
    say(&r, "SYSTEM", "ERROR", "late");
    assert_string_equal(buf_cstr(&r.logs), "{\"type\":\"DEBUG\",\"message\":\"a \\\"b\\\"\"},"
                                           "{\"type\":\"ERROR\",\"message\":\"late\"}");
    assert_true(host->job(
        &r, &(struct plugin_job){.type = "j", .payload = SLICE("{\"a\":1}"), .run_at_us = 1},
        &err));
    assert_true(host->job(&r, &(struct plugin_job){.type = "k", .run_at_us = 1000000}, &err));
    assert_string_equal(
        buf_cstr(&r.jobs),
        "{\"type\":\"j\",\"payload\":{\"a\":1},\"run_at\":\"1970-01-01T00:00:00.000Z\"},"
        "{\"type\":\"k\",\"payload\":null,\"run_at\":\"1970-01-01T00:00:01.000Z\"}");
    assert_false(plugin_recorder_is_over(&r));
    r.jobs.max = r.jobs.len;
    assert_false(host->job(&r, &(struct plugin_job){.type = "l"}, &err));
    assert_true(plugin_recorder_is_over(&r));
    host->disable(&r, 1);
    plugin_recorder_fini(&r);
}

static void check_error(struct plugin_recorder *r, const char *expected)
{
    struct buf out = BUF_INIT(1000);

    plugin_recorder_add_error(r, &out);
    assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
}

static void errors(void **state)
{
    struct plugin_recorder r;

    UNUSED(state);
    plugin_recorder_init(&r);
    check_error(&r, "null");
    host->error(&r, 1,
                "{\"message\":\"m\",\"time\":\"t\",\"name\":\"N\",\"stack\":\"s\",\"event\":{}}");
    check_error(&r, "{\"name\":\"N\",\"message\":\"m\",\"stack\":\"s\"}");
    host->error(&r, 1, "{\"message\":\"bare\",\"time\":\"t\"}");
    host->error(&r, 1, NULL); /* cleared: it was there all the same */
    check_error(&r, "{\"name\":null,\"message\":\"bare\",\"stack\":null}");
    plugin_recorder_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storage),
        cmocka_unit_test(many_keys),
        cmocka_unit_test(logs_and_jobs),
        cmocka_unit_test(errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
