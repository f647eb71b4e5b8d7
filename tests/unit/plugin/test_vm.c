/* Contexts: what a plugin finds in its world, loading, unloading. */
#include "vm_aid.h"

static void test_globals(void **state)
{
    static const char *const present[] = {
        "console.log", "RetryError",   "global",      "globalThis",    "module",         "exports",
        "setTimeout",  "clearTimeout", "setInterval", "clearInterval", "queueMicrotask", "Promise",
        "Proxy",       "BigInt",       "WeakRef",     "Map",           "Uint8Array",     "JSON",
        "Reflect",     "Symbol",       "eval",        "Date",          "RegExp",
    };
    static const char *const absent[] = {
        "process",
        "require",
        "window",
        "self",
        "std",
        "os",
        "scriptArgs",
        "Worker",
        "SharedArrayBuffer",
        "Atomics",
        "print",
        "load",
        "FinalizationRegistry",
        "hedgerow",
        "fetch",
        "posthog",
        "Buffer",
        "URL",
    };
    struct vm_aid a;
    char script[200];

    UNUSED(state);
    vm_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(present); i++) {
        snprintf(script, sizeof(script), "return typeof %s !== 'undefined'", present[i]);
        if (strcmp(vm_aid_eval(&a, script), "true") != 0)
            fail_msg("%s is missing", present[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
        snprintf(script, sizeof(script), "return [typeof %s, '%s' in globalThis]", absent[i],
                 absent[i]);
        if (strcmp(vm_aid_eval(&a, script), "[\"undefined\",false]") != 0)
            fail_msg("%s is there", absent[i]);
    }
    vm_aid_fini(&a);
}

static void test_read_only(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    assert_string_equal(vm_aid_eval(&a, "console = 1"), "!'console' is read-only");
    assert_string_equal(vm_aid_eval(&a, "RetryError = 1"), "!'RetryError' is read-only");
    /* A plugin may declare its own. */
    vm_aid_run(&a, "class RetryError extends Error { }\nconst fetch = 1, URL = 2;\n"
                   "function processEvent() { return new RetryError('x') instanceof"
                   " globalThis.RetryError }");
    vm_aid_event(&a, "{}");
    assert_string_equal(a.text, "false");
    vm_aid_fini(&a);
}

static void test_retry_error(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_eval(&a, "const e = new RetryError('m'); const before = [e instanceof Error, e.name,"
                    " e.message, String(e), e.nameWithAttempts, typeof e.stack];"
                    "e._attempt = 2; e._maxAttempts = 5;"
                    "class Mine extends RetryError { }"
                    "return [...before, String(e), new Mine() instanceof RetryError,"
                    " String(new Error('x'))]");
    assert_string_equal(a.text, "[true,\"RetryError\",\"m\",\"RetryError: m\",\"RetryError\","
                                "\"string\",\"RetryError (attempt 2/5): m\",true,\"Error: x\"]");
    vm_aid_fini(&a);
}

static void test_cannot_block(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    assert_string_equal(vm_aid_eval(&a, "return typeof Atomics"), "\"undefined\"");
    vm_aid_fini(&a);
}

/* Two configs of a team share a runtime and nothing else. */
static void test_apart(void **state)
{
    struct vm_aid a;
    struct vm *first;
    struct vm_call call;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "globalThis.secret = 1; Object.prototype.leak = 2;"
                   "Array.prototype.map = null; exports.processEvent = () => 1");
    first = a.vm;
    a.vm = NULL;
    a.config.id = 8;
    vm_aid_run(&a, "exports.processEvent = () => [typeof secret, typeof ({}).leak,"
                   " typeof [].map]");
    vm_aid_event(&a, "{}");
    assert_string_equal(a.text, "[\"undefined\",\"undefined\",\"function\"]");
    call = (struct vm_call){.vm = first};
    assert_int_equal(vm_call(&call, HOOK_PROCESS_EVENT, JS_NewInt32(vm_context(first), 1)),
                     VM_DONE);
    vm_unref(first);
    vm_aid_event(&a, "{}");
    assert_string_equal(a.text, "[\"undefined\",\"undefined\",\"function\"]");
    vm_aid_fini(&a);
}

static void test_load_error(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    a.config.load_error = "Could not load \"plugin.json\" for plugin x";
    vm_aid_load(&a, "exports.processEvent = 1");
    assert_string_equal(vm_error(a.vm)->message, "Could not load \"plugin.json\" for plugin x");
    assert_false(vm_has(a.vm, HOOK_PROCESS_EVENT));
    assert_false(vm_has_named(a.vm, "processEvent"));
    assert_null(vm_context(a.vm));
    a.config.load_error = NULL;
    vm_aid_load(&a, "exports.processEvent = (e) => e; throw new Error('x')");
    assert_string_equal(vm_error(a.vm)->message, "x");
    assert_false(vm_has(a.vm, HOOK_PROCESS_EVENT));
    a.config.config_json = "{broken";
    vm_aid_load(&a, "exports.processEvent = (e) => e");
    assert_non_null(vm_error(a.vm));
    vm_aid_fini(&a);
}

/* The vm keeps what it needs of its config. */
static void test_config_copy(void **state)
{
    struct vm_aid a;
    char name[] = "short-lived", path[] = "/main.js";

    UNUSED(state);
    vm_aid_init(&a);
    a.config.plugin_name = name;
    a.config.source_path = path;
    vm_aid_run(&a, "exports.processEvent = () => { throw new Error('x') }");
    memset(name, 'x', sizeof(name) - 1);
    memset(path, 'x', sizeof(path) - 1);
    assert_string_equal(vm_config(a.vm)->plugin_name, "short-lived");
    vm_aid_event(&a, "{}");
    assert_non_null(strstr(a.error.stack, "/main.js:1"));
    assert_true(strncmp(a.error.stack, "Error: x\n    at ", 16) == 0);
    vm_aid_fini(&a);
}

/* Loading and unloading again and again leaves nothing behind. */
static void test_unload_frees(void **state)
{
    struct vm_aid a;
    size_t after_first = 0;

    UNUSED(state);
    vm_aid_init(&a);
    for (int i = 0; i < 20; i++) {
        vm_aid_run(&a, "const all = []; class A { }; exports.processEvent = (e) => { all.push(e);"
                       " setTimeout(() => all, 1000); return new Promise(() => all) }");
        vm_aid_event(&a, "{\"a\":[1,2,3]}");
        vm_call_cancel(&a.call);
        vm_aid_unload(&a);
        if (i == 0)
            after_first = runtime_memory(a.runtime);
    }
    assert_in_range(runtime_memory(a.runtime), 0, after_first + 4096);
    assert_in_range(atomic_load(&a.config.state->memory_bytes) + 4096, 0, 8192);
    vm_aid_fini(&a);
}

static void test_charged(void **state)
{
    struct vm_aid a;
    struct plugin_state *s;
    int64_t memory;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "const all = []; exports.processEvent = (e) => { for (let i = 0; i < 1e5; i++)"
                   " all.push(i) }");
    s = a.config.state;
    memory = atomic_load(&s->memory_bytes);
    assert_true(memory > 10000);
    vm_aid_event(&a, "{}");
    assert_true(atomic_load(&s->memory_bytes) > memory + 500000);
    assert_true(atomic_load(&s->cpu_ns) > 100000);
    vm_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_globals),     cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_retry_error), cmocka_unit_test(test_cannot_block),
        cmocka_unit_test(test_apart),       cmocka_unit_test(test_load_error),
        cmocka_unit_test(test_config_copy), cmocka_unit_test(test_unload_frees),
        cmocka_unit_test(test_charged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
