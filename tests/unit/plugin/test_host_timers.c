/* setTimeout and its like. */
#include "vm_aid.h"

static void turn_after(struct vm_aid *a, int64_t ms)
{
    clock_fake_add(ms * 1000);
    plugin_worker_turn(a->worker);
}

/* What `script` has put into the array `seen` by now. */
static const char *seen(struct vm_aid *a)
{
    vm_aid_call_named(a, "onEvent", "1");
    return a->text;
}

static void begin(struct vm_aid *a, const char *script)
{
    struct buf source = BUF_INIT(1 << 16);

    clock_fake_set(1000000);
    vm_aid_init(a);
    buf_addf(&source,
             "const seen = []; exports.onEvent = () => seen;"
             "exports.processEvent = () => { %s }",
             script);
    vm_aid_run(a, buf_cstr(&source));
    buf_free(&source);
    vm_aid_event(a, "1");
}

static void end(struct vm_aid *a)
{
    vm_aid_fini(a);
    clock_fake_off();
}

static void test_order(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    begin(&a,
          "setTimeout((...x) => seen.push(x), 20, 'a', 1); setTimeout(() => seen.push('b'), 10);"
          "setTimeout(() => seen.push('c')); setTimeout(() => seen.push('d'), -5);"
          "seen.push('now')");
    assert_string_equal(seen(&a), "[\"now\"]");
    turn_after(&a, 1);
    assert_string_equal(seen(&a), "[\"now\",\"c\",\"d\"]");
    turn_after(&a, 9);
    assert_string_equal(seen(&a), "[\"now\",\"c\",\"d\",\"b\"]");
    turn_after(&a, 10);
    assert_string_equal(seen(&a), "[\"now\",\"c\",\"d\",\"b\",[\"a\",1]]");
    assert_true(timers_due_us(plugin_worker_timers(a.worker)) == INT64_MAX);
    end(&a);
}

static void test_clear(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    begin(&a, "const id = setTimeout(() => seen.push('no'), 5); clearTimeout(id); clearTimeout(id);"
              "clearTimeout(); clearTimeout(null); clearTimeout({}); clearTimeout('x'); "
              "clearTimeout(NaN);"
              "clearTimeout(1e300); const self = setTimeout(() => { clearTimeout(self);"
              " seen.push('yes') }, 5); seen.push(typeof id)");
    turn_after(&a, 10);
    assert_string_equal(seen(&a), "[\"number\",\"yes\"]");
    end(&a);
}

static void test_interval(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    begin(&a, "let n = 0; const id = setInterval(() => { seen.push(++n); if (n == 3)"
              " clearInterval(id) }, 10)");
    for (int i = 0; i < 10; i++)
        turn_after(&a, 10);
    assert_string_equal(seen(&a), "[1,2,3]");
    assert_true(timers_due_us(plugin_worker_timers(a.worker)) == INT64_MAX);
    end(&a);
}

static void test_microtasks_between(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    begin(&a, "setTimeout(() => { seen.push(1); Promise.resolve().then(() => seen.push(2)) }, 1);"
              "setTimeout(() => seen.push(3), 1); queueMicrotask(() => seen.push(0))");
    turn_after(&a, 1);
    assert_string_equal(seen(&a), "[0,1,2,3]");
    end(&a);
}

static void test_bad_callbacks(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    assert_string_equal(vm_aid_eval(&a, "setTimeout()"),
                        "!setTimeout: the callback must be a function");
    assert_string_equal(vm_aid_eval(&a, "setTimeout('code', 1)"),
                        "!setTimeout: the callback must be a function");
    assert_string_equal(
        vm_aid_eval(&a, "setTimeout(() => 0, { valueOf() { throw new Error('v') } })"), "!v");
    assert_string_equal(vm_aid_eval(&a, "queueMicrotask(1)"), "!queueMicrotask: not a function");
    vm_aid_fini(&a);
}

/* A callback that fails is an error of the plugin, in its log. */
static void test_failing_callbacks(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    begin(&a, "setTimeout(() => { throw new Error('thrown') }, 1);"
              "setTimeout(async () => { throw new Error('rejected') }, 1);"
              "queueMicrotask(() => { throw new Error('microtask') })");
    turn_after(&a, 1);
    assert_true(services_aid_logged(&a.services, "7 PLUGIN ERROR microtask\n"
                                                 "7 PLUGIN ERROR thrown\n"
                                                 "7 PLUGIN ERROR rejected\n"));
    end(&a);
}

static void test_looping_callback(void **state)
{
    struct plugins_options opt = plugins_aid_options(NULL);
    struct vm_aid a;

    UNUSED(state);
    opt.limits.run_us = 20000;
    vm_aid_init_with(&a, &opt);
    vm_aid_run(&a, "exports.processEvent = () => { setTimeout(() => { for (;;); }, 1) }");
    vm_aid_event(&a, "1");
    while (a.services.log_count == 0)
        plugin_worker_turn(a.worker);
    assert_true(services_aid_logged(&a.services, "7 PLUGIN ERROR Script execution timed out after"
                                                 " looping for 0.02 seconds"));
    vm_aid_fini(&a);
}

/* The callback may unload what it belongs to, by way of the host. */
static void test_unload(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    begin(&a, "setTimeout(() => seen.push(1), 1); setInterval(() => seen.push(1), 1)");
    vm_aid_unload(&a);
    turn_after(&a, 100);
    assert_int_equal(a.services.log_count, 0);
    end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_microtasks_between),
        cmocka_unit_test(test_bad_callbacks),
        cmocka_unit_test(test_failing_callbacks),
        cmocka_unit_test(test_looping_callback),
        cmocka_unit_test(test_unload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
