/* Runtimes: memory, entries, the watchdog's fields. */
#include "plugin/worker_priv.h"
#include "vm_aid.h"

static void test_memory_limit(void **state)
{
    struct plugins_options opt = plugins_aid_options(NULL);
    struct vm_aid a;

    UNUSED(state);
    opt.limits.memory_bytes = (size_t)4 << 20;
    vm_aid_init_with(&a, &opt);
    assert_false(runtime_is_spoilt(a.runtime));
    vm_aid_eval(&a, "return new Uint8Array(8 << 20)");
    assert_string_equal(a.text, "!out of memory: the plugins of a team have 4194304 bytes on each"
                                " thread (PLUGIN_MEMORY_BYTES)");
    assert_true(a.error.is_memory);
    assert_true(runtime_is_spoilt(a.runtime));
    vm_aid_fini(&a);
}

static void test_too_little_for_an_engine(void **state)
{
    struct plugins_options opt = plugins_aid_options(NULL);
    struct vm_aid a;

    UNUSED(state);
    opt.limits.memory_bytes = 60000;
    opt.services_self = &a.services;
    services_aid_init(&a.services);
    a.plugins = plugins_new(&opt);
    a.worker = plugin_worker_new(a.plugins, 0, NULL, NULL);
    for (; opt.limits.memory_bytes < 400000; opt.limits.memory_bytes += 10007) {
        struct err err = ERR_INIT;
        struct plugin_config c = {.id = 1,
                                  .team_id = 2,
                                  .plugin_name = "p",
                                  .source = SLICE("exports.processEvent = (e) => e"),
                                  .state = plugins_aid_state(a.plugins, 1)};
        struct plugins *p = plugins_new(&opt);
        struct runtime *rt = runtime_new(a.worker, p, 2, &err);
        struct vm *vm = rt ? vm_new(rt, &c) : NULL;

        assert_true(rt || err.code != ERR_NONE);
        if (vm && vm_error(vm))
            assert_true(vm_error(vm)->is_memory);
        vm_unref(vm);
        runtime_free(rt);
        plugins_free(p);
    }
    plugin_worker_free(a.worker);
    plugins_free(a.plugins);
    services_aid_fini(&a.services);
}

/* Memory ends anywhere: in the compiler, in a parser, among the small blocks of objects.
 * Some places of the limit for each way of using it. */
static void test_ends_anywhere(void **state)
{
    static const char *const users[] = {
        "eval('(() => {' + 'let a=1;'.repeat(2e5).replace(/a/g, (x, i) => 'v' + i) + '})')",
        "JSON.parse('[' + '{\"a\":[1,\"x\"]},'.repeat(1e5) + '1]')",
        "JSON.stringify(Array.from({ length: 1e5 }, (_, i) => ({ ['k' + i]: [i] })))",
        "new RegExp(Array.from({ length: 2e4 }, (_, i) => `(?<g${i}>a${i}|b[^c])`).join(''))",
        "new Function(...Array.from({ length: 3e4 }, (_, i) => 'a' + i), 'return 1')",
        "Array.from({ length: 1e6 }, (_, i) => 'x' + i).join().split(',').map((x) => ({ x }))",
        "class_chain = 1; eval(Array.from({ length: 1e4 }, (_, i) => `class C${i} { #p = ${i};"
        " m() { return () => this.#p } }`).join(';'))",
        "Promise.all(Array.from({ length: 1e5 }, async (_, i) => { await null; return { i } }))",
        "new Map(Array.from({ length: 2e5 }, (_, i) => [`k${i}`, Symbol(i)]))",
        "'x'.repeat(1e6).replace(/x/g, (x, i) => i + x)",
        "[...'ab'.repeat(1e6)].sort().reverse()",
        "(10n ** 100000n).toString()",
        "Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => ['p' + i, { get a() { } }]))",
        "let f = () => 1; for (let i = 0; i < 1e6; i++) { const g = f; f = () => g }",
    };
    struct plugins_options opt = plugins_aid_options(NULL);

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(users); i++)
        for (int place = 0; place < 5; place++) {
            struct vm_aid a;
            struct buf source = BUF_INIT(1 << 16);

            opt.limits.memory_bytes = ((size_t)1 << 20) + (size_t)place * 390007;
            opt.limits.run_us = 2000000;
            vm_aid_init_with(&a, &opt);
            buf_addf(&source,
                     "let class_chain; exports.processEvent = (e) => { try { %s }"
                     " catch { return 1 } }",
                     users[i]);
            vm_aid_run(&a, buf_cstr(&source));
            buf_free(&source);
            if (vm_aid_event(&a, "{}") == VM_LATER)
                vm_call_cancel(&a.call);
            if (a.outcome == VM_FAILED && !a.error.is_memory && !a.error.is_timeout)
                fail_msg("%s: %s", users[i], a.text);
            assert_in_range(runtime_memory(a.runtime), 0, 2 * opt.limits.memory_bytes + (16 << 20));
            vm_aid_fini(&a);
        }
}

/* Garbage in cycles does not count as memory that is used. */
static void test_garbage(void **state)
{
    struct plugins_options opt = plugins_aid_options(NULL);
    struct vm_aid a;

    UNUSED(state);
    opt.limits.memory_bytes = (size_t)8 << 20;
    vm_aid_init_with(&a, &opt);
    vm_aid_run(&a, "const kept = Array.from({ length: 80000 }, (_, i) => 'text ' + i);"
                   "exports.processEvent = (e) => { for (let i = 0; i < 100; i++) {"
                   " const a = [], b = { a }; a.push(b) } }");
    for (int i = 0; i < 1000; i++)
        if (vm_aid_event(&a, "{}") != VM_DONE)
            fail_msg("%d: %s", i, a.text);
    assert_false(runtime_is_spoilt(a.runtime));
    vm_aid_fini(&a);
}

static void test_watchdog_fields(void **state)
{
    struct vm_aid a;
    struct plugin_overdue overdue;
    int64_t now = clock_mono_real_us();

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "exports.processEvent = (e) => e");
    assert_int_equal(atomic_load(&a.worker->inside_until_us), 0);
    vm_enter(a.vm);
    vm_enter(a.vm);
    assert_int_equal(atomic_load(&a.worker->inside_config), 7);
    assert_in_range(atomic_load(&a.worker->inside_until_us), now + 1000000, now + 30000000);
    vm_leave(a.vm);
    assert_true(atomic_load(&a.worker->inside_until_us) != 0);
    assert_false(plugins_overdue(a.plugins, 0, &overdue));
    vm_leave(a.vm);
    assert_int_equal(atomic_load(&a.worker->inside_until_us), 0);
    vm_aid_fini(&a);
}

/* What stops a getter while the host reads holds outside of calls too. */
static void test_enter(void **state)
{
    struct plugins_options opt = plugins_aid_options(NULL);
    struct plugin_error e = {0};
    struct vm_aid a;
    JSValue value;

    UNUSED(state);
    opt.limits.run_us = 20000;
    vm_aid_init_with(&a, &opt);
    vm_aid_run(&a, "globalThis.o = { get x() { for (;;); } }");
    vm_enter(a.vm);
    value = JS_Eval(vm_context(a.vm), "o.x", 3, "x", JS_EVAL_TYPE_GLOBAL);
    assert_true(JS_IsException(value));
    vm_take_error(a.vm, &e);
    vm_leave(a.vm);
    assert_true(e.is_run_limit);
    plugin_error_fini(&e);
    vm_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_limit),    cmocka_unit_test(test_too_little_for_an_engine),
        cmocka_unit_test(test_ends_anywhere),   cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_watchdog_fields), cmocka_unit_test(test_enter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
