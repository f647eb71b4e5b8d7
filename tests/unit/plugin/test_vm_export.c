/* Where hooks, schedules and jobs are found. */
#include "vm_aid.h"

static const char *capabilities(struct vm_aid *a, const char *source)
{
    static char text[1024];
    struct buf out = BUF_INIT(1000);

    vm_aid_run(a, source);
    vm_capabilities(a->vm, &out);
    snprintf(text, sizeof(text), "%s", buf_cstr(&out));
    buf_free(&out);
    return text;
}

#define METHODS(list) "{\"scheduled_tasks\":[],\"jobs\":[],\"methods\":[" list "]}"

static void test_styles(void **state)
{
    static const char *const styles[] = {
        "function processEvent(e) { return e }",
        "async function processEvent(e) { return e }",
        "var processEvent = (e) => e",
        "module.exports = { processEvent: (e) => e }",
        "module.exports.processEvent = (e) => e",
        "exports = { processEvent: (e) => e }",
        "exports.processEvent = (e) => e",
        "exports.default = { processEvent: (e) => e }",
        "globalThis.processEvent = (e) => e",
        "export function processEvent(e) { return e }",
        "export const processEvent = (e) => e",
        "export default { processEvent: (e) => e }",
        "function processEvent(e) { return e }\nexport { processEvent }",
        "import '@posthog/plugin-scaffold'; module.exports = { processEvent: (e) => e }",
        "class P { processEvent(e) { return e } }\nmodule.exports = new P()",
    };
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(styles); i++) {
        /* The last has its hook on a prototype: no own key, so the global object is asked too. */
        if (strcmp(capabilities(&a, styles[i]), METHODS("\"processEvent\"")) != 0)
            fail_msg("%s: %s", styles[i], capabilities(&a, styles[i]));
        if (vm_aid_event(&a, "{\"a\":1}") == VM_LATER)
            vm_aid_await(&a);
        assert_string_equal(a.text, "{\"a\":1}");
    }
    vm_aid_fini(&a);
}

static void test_not_found(void **state)
{
    static const char *const sources[] = {
        "",
        "const processEvent = (e) => e",
        "let processEvent = (e) => e",
        "exports.other = 1; function processEvent(e) { return e }",
        "exports.processEvent = 0",
        "exports = 5; module.exports = null",
        "function randomFunction() { }",
    };
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        assert_string_equal(capabilities(&a, sources[i]), METHODS(""));
        assert_false(vm_has(a.vm, HOOK_PROCESS_EVENT));
        assert_false(vm_has_named(a.vm, "processEvent"));
    }
    assert_int_equal(vm_aid_event(&a, "{}"), VM_FAILED);
    assert_string_equal(a.text, "the plugin has no processEvent");
    vm_aid_fini(&a);
}

static void test_first_place_wins(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "exports = { processEvent: () => 1, default: { processEvent: () => 2,"
                   " setupPlugin: () => 3 } }; module.exports = { processEvent: () => 4,"
                   " setupPlugin: () => 5, teardownPlugin: () => 6 }");
    vm_aid_event(&a, "{}");
    assert_string_equal(a.text, "1");
    vm_aid_call_named(&a, "setupPlugin", NULL);
    assert_string_equal(a.text, "3");
    vm_aid_call_named(&a, "teardownPlugin", NULL);
    assert_string_equal(a.text, "6");
    vm_aid_fini(&a);
}

static void test_batch(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    assert_string_equal(
        capabilities(&a, "exports.processEventBatch = (all, meta) =>"
                         " { all[0].n = [all.length, typeof meta.config]; return all }"),
        METHODS("\"processEvent\""));
    assert_int_equal(vm_aid_event(&a, "{}"), VM_DONE);
    assert_string_equal(a.text, "{\"n\":[1,\"object\"]}");
    vm_aid_run(&a, "exports.processEventBatch = async (all) => { await null; return [] }");
    assert_int_equal(vm_aid_event(&a, "{}"), VM_DONE);
    assert_string_equal(a.text, "undefined");
    vm_aid_run(&a, "exports.processEventBatch = () => undefined");
    assert_int_equal(vm_aid_event(&a, "{}"), VM_DONE);
    assert_string_equal(a.text, "undefined");
    vm_aid_run(&a, "exports.processEventBatch = () => { throw new Error('b') }");
    assert_int_equal(vm_aid_event(&a, "{}"), VM_FAILED);
    assert_string_equal(a.text, "b");
    vm_aid_run(&a, "exports.processEventBatch = () => [1]; exports.processEvent = () => 2");
    vm_aid_event(&a, "{}");
    assert_string_equal(a.text, "2");
    vm_aid_fini(&a);
}

static void test_schedules_and_jobs(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    assert_string_equal(
        capabilities(&a, "exports = { runEveryMinute() { return 1 }, runEveryHour: async () => 2,"
                         " runEveryDay(meta) { return Object.keys(meta).length }, runEveryTwo: 5,"
                         " jobs: { a: (p, m) => [p, typeof m], 'b c': () => 4, bad: 1 } };"
                         "module.exports = { runEveryMinute() { return 9 },"
                         " jobs: { a: () => 9, d: (p, m) => [p, m === undefined] } }"),
        "{\"scheduled_tasks\":[\"runEveryMinute\",\"runEveryHour\",\"runEveryDay\"],"
        "\"jobs\":[\"a\",\"b c\",\"d\"],\"methods\":[]}");
    assert_true(vm_has_named(a.vm, "runEveryHour"));
    assert_false(vm_has_named(a.vm, "runEveryTwo"));
    assert_true(vm_has_named(a.vm, "job:a"));
    assert_false(vm_has_named(a.vm, "a"));
    assert_false(vm_has_named(a.vm, "job:bad"));
    vm_aid_call_named(&a, "runEveryMinute", NULL);
    assert_string_equal(a.text, "1");
    vm_aid_call_named(&a, "runEveryHour", NULL);
    assert_string_equal(a.text, "2");
    vm_aid_call_named(&a, "runEveryDay", NULL);
    assert_string_equal(a.text, "8");
    vm_aid_call_named(&a, "job:a", "{\"x\":1}");
    assert_string_equal(a.text, "[{\"x\":1},\"object\"]");
    vm_aid_call_named(&a, "job:b c", "1");
    assert_string_equal(a.text, "4");
    assert_int_equal(vm_aid_call_named(&a, "job:none", "1"), VM_FAILED);
    assert_string_equal(a.text, "the plugin has no job:none");
    vm_aid_fini(&a);
}

/* A payload that is falsy is left out: the job gets meta first. */
static void test_job_without_payload(void **state)
{
    static const char *const payloads[] = {NULL, "null", "0", "\"\"", "false"};
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a,
               "exports.jobs = { j: (first, second) => [!!first.config, second === undefined] }");
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        vm_aid_call_named(&a, "job:j", payloads[i]);
        assert_string_equal(a.text, "[true,true]");
    }
    vm_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_styles),
        cmocka_unit_test(test_not_found),
        cmocka_unit_test(test_first_place_wins),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_schedules_and_jobs),
        cmocka_unit_test(test_job_without_payload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
