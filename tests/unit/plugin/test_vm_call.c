/* Calls: arguments, promises, what settles when, limits, cancelling. */
#include "vm_aid.h"

static void turn_after(struct vm_aid *a, int64_t us)
{
    clock_fake_add(us);
    plugin_worker_turn(a->worker);
}

static void test_arguments(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "function show(...all) { return [this === undefined, all.length,"
                   " typeof all[all.length - 1].config, meta === all[all.length - 1]] }\n"
                   "let meta; exports = { setupPlugin(m) { meta = m; return show.apply(this,"
                   " arguments) }, processEvent(e, m) { return show.apply(this, arguments) } }");
    vm_aid_call_named(&a, "setupPlugin", NULL);
    assert_string_equal(a.text, "[true,1,\"object\",true]");
    vm_aid_event(&a, "{}");
    assert_string_equal(a.text, "[true,2,\"object\",true]");
    vm_aid_fini(&a);
}

static void test_same_object(void **state)
{
    struct vm_aid a;
    struct vm_call call = {0};
    JSValue event;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "async function processEvent(e) { await null; return e }");
    event = JS_NewObject(vm_context(a.vm));
    call.vm = a.vm;
    assert_int_equal(vm_call(&call, HOOK_PROCESS_EVENT, event), VM_DONE);
    assert_ptr_equal(JS_VALUE_GET_PTR(call.result), JS_VALUE_GET_PTR(event));
    JS_FreeValue(vm_context(a.vm), call.result);
    JS_FreeValue(vm_context(a.vm), event);
    vm_aid_fini(&a);
}

/* What settles by itself is there when the call returns. */
static void test_at_once(void **state)
{
    static const struct {
        const char *body;
        enum vm_outcome outcome;
        const char *text;
    } table[] = {
        {"return 1", VM_DONE, "1"},
        {"return undefined", VM_DONE, "undefined"},
        {"return null", VM_DONE, "null"},
        {"return Promise.resolve(2)", VM_DONE, "2"},
        {"return (async () => 3)()", VM_DONE, "3"},
        {"return (async () => { await 1; await 2; return 4 })()", VM_DONE, "4"},
        {"return { then(yes) { yes(5) } }", VM_DONE, "5"},
        {"return { then(yes) { yes(Promise.resolve(6)) } }", VM_DONE, "6"},
        {"return { then: 7 }", VM_DONE, "{\"then\":7}"},
        {"return Promise.reject(new Error('no'))", VM_FAILED, "no"},
        {"return (async () => { throw new Error('no') })()", VM_FAILED, "no"},
        {"return Promise.all([1, (async () => 2)()])", VM_DONE, "[1,2]"},
        {"return new (class P extends Promise { })((yes) => yes(8))", VM_DONE, "8"},
        {"const f = () => 1; f.then = (yes) => yes(9); return f", VM_DONE, "9"},
        {"return new Promise(() => 0)", VM_LATER, ""},
        {"return { then() { } }", VM_LATER, ""},
    };
    struct vm_aid a;
    char source[512];

    UNUSED(state);
    vm_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        snprintf(source, sizeof(source), "exports.processEvent = (e) => { %s }", table[i].body);
        vm_aid_run(&a, source);
        if (vm_aid_event(&a, "{}") != table[i].outcome)
            fail_msg("%s: %d %s", table[i].body, a.outcome, a.text);
        if (a.outcome == VM_LATER)
            vm_call_cancel(&a.call);
        else
            assert_string_equal(a.text, table[i].text);
        assert_int_equal(a.services.log_count, 0); /* and nothing is told twice */
    }
    vm_aid_fini(&a);
}

static void test_later(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    clock_fake_set(1000000);
    vm_aid_init(&a);
    vm_aid_run(&a, "exports.processEvent = (e) => new Promise((yes, no) => setTimeout(() =>"
                   " e.fail ? no(new Error('late')) : yes(e), 100))");
    assert_int_equal(vm_aid_event(&a, "{\"a\":1}"), VM_LATER);
    turn_after(&a, 99000);
    assert_false(a.is_done);
    turn_after(&a, 1000);
    assert_true(a.is_done);
    assert_int_equal(a.outcome, VM_DONE);
    assert_string_equal(a.text, "{\"a\":1}");
    assert_int_equal(vm_aid_event(&a, "{\"fail\":1}"), VM_LATER);
    turn_after(&a, 100000);
    assert_int_equal(a.outcome, VM_FAILED);
    assert_string_equal(a.text, "late");
    assert_int_equal(a.services.log_count, 0);
    vm_aid_fini(&a);
    clock_fake_off();
}

static void test_wait_limit(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    clock_fake_set(1000000);
    vm_aid_init(&a);
    vm_aid_run(&a, "let yes; exports.processEvent = (e) => new Promise((y) => { yes = y });"
                   "exports.onEvent = () => { yes(1); return 'told' }");
    assert_int_equal(vm_aid_event(&a, "{}"), VM_LATER);
    turn_after(&a, 1999999);
    assert_false(a.is_done);
    turn_after(&a, 1);
    assert_true(a.is_done);
    assert_int_equal(a.outcome, VM_FAILED);
    assert_string_equal(a.error.name, "TimeoutError");
    assert_string_equal(a.text, "Script execution timed out after promise waited for 2 seconds"
                                " (test plugin, name: processEvent, pluginConfigId: 7)");
    assert_true(a.error.is_timeout);
    assert_false(a.error.is_run_limit);
    /* What comes too late is dropped. */
    assert_int_equal(vm_aid_call_named(&a, "onEvent", "{}"), VM_DONE);
    plugin_worker_turn(a.worker);
    assert_string_equal(a.text, "\"told\"");
    vm_aid_fini(&a);
    clock_fake_off();
}

static void test_cancel(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    clock_fake_set(1000000);
    vm_aid_init(&a);
    vm_aid_run(&a, "exports.processEvent = (e) => new Promise((yes) => setTimeout(yes, 100))");
    assert_int_equal(vm_aid_event(&a, "{}"), VM_LATER);
    vm_call_cancel(&a.call);
    vm_call_cancel(&a.call); /* nothing any more */
    turn_after(&a, 10000000);
    assert_false(a.is_done);
    vm_aid_fini(&a);
    clock_fake_off();
}

/* Many at once, told in the order in which they settle, each with its own. */
#define MANY 500

struct many {
    struct vm_call call;
    int *told;
    int number;
};

static void many_done(struct vm_call *call, JSValueConst result, const struct plugin_error *error)
{
    struct many *m = call->ctx;
    int32_t number = -1;

    assert_null(error);
    JS_ToInt32(vm_context(call->vm), &number, result);
    assert_int_equal(number, m->number);
    assert_int_equal(*m->told, MANY - 1 - m->number); /* the last one first */
    ++*m->told;
}

static void test_many(void **state)
{
    struct vm_aid a;
    static struct many all[MANY];
    int told = 0;

    UNUSED(state);
    clock_fake_set(1000000);
    vm_aid_init(&a);
    vm_aid_run(&a, "exports.processEvent = async (n) => { await new Promise((yes) =>"
                   " setTimeout(yes, 1000 - n)); return n }");
    for (int i = 0; i < MANY; i++) {
        all[i] = (struct many){.told = &told, .number = i};
        all[i].call = (struct vm_call){.vm = a.vm, .done = many_done, .ctx = &all[i]};
        assert_int_equal(
            vm_call(&all[i].call, HOOK_PROCESS_EVENT, JS_NewInt32(vm_context(a.vm), i)), VM_LATER);
    }
    for (int i = 0; i < 1000; i++)
        turn_after(&a, 1000);
    assert_int_equal(told, MANY);
    vm_aid_fini(&a);
    clock_fake_off();
}

/* A call that settles while another one runs is told in the worker's next turn, not inside. */
static void test_told_outside(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "let yes; exports.processEvent = (e) => new Promise((y) => { yes = y });"
                   "exports.onEvent = () => { yes(1) }");
    assert_int_equal(vm_aid_event(&a, "{}"), VM_LATER);
    {
        struct vm_call other = {.vm = a.vm};

        assert_int_equal(vm_call(&other, HOOK_ON_EVENT, JS_NewInt32(vm_context(a.vm), 1)), VM_DONE);
    }
    assert_false(a.is_done);
    assert_true(plugin_worker_due_us(a.worker) <= clock_mono_us());
    plugin_worker_turn(a.worker);
    assert_true(a.is_done);
    assert_string_equal(a.text, "1");
    vm_aid_fini(&a);
}

static void again(struct vm_call *call, JSValueConst result, const struct plugin_error *error)
{
    struct vm_aid *a = call->ctx;
    int32_t n = 0;

    assert_null(error);
    JS_ToInt32(vm_context(a->vm), &n, result);
    if (n == 3) {
        a->is_done = true;
        return;
    }
    a->call = (struct vm_call){.vm = a->vm, .done = again, .ctx = a};
    assert_int_equal(vm_call(&a->call, HOOK_PROCESS_EVENT, result), VM_LATER);
}

/* `done` may call again. */
static void test_calls_from_done(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "exports.processEvent = (n) => new Promise((yes) => setTimeout(() =>"
                   " yes(n + 1), 1))");
    a.call = (struct vm_call){.vm = a.vm, .done = again, .ctx = &a};
    assert_int_equal(vm_call(&a.call, HOOK_PROCESS_EVENT, JS_NewInt32(vm_context(a.vm), 0)),
                     VM_LATER);
    vm_aid_await(&a);
    vm_aid_fini(&a);
}

/* One of the calls under way is to blame for a run limit; the others of the plugin go on. */
static void test_run_limit_of_one(void **state)
{
    struct vm_aid a;
    struct plugins_options opt = plugins_aid_options(NULL);
    struct vm_call bad = {0};

    UNUSED(state);
    opt.limits.run_us = 30000;
    vm_aid_init_with(&a, &opt);
    vm_aid_run(&a, "let go; const gate = new Promise((yes) => { go = yes });"
                   "exports.processEvent = async (e) => { await gate; return 'good' };"
                   "exports.onEvent = async () => { go(); await null; await null; for (;;); }");
    assert_int_equal(vm_aid_event(&a, "{}"), VM_LATER);
    bad.vm = a.vm;
    assert_int_equal(vm_call(&bad, HOOK_ON_EVENT, JS_NewInt32(vm_context(a.vm), 1)), VM_FAILED);
    assert_true(bad.error.is_run_limit);
    plugin_error_fini(&bad.error);
    vm_aid_await(&a);
    assert_int_equal(a.outcome, VM_DONE);
    assert_string_equal(a.text, "\"good\"");
    vm_aid_fini(&a);
}

static void test_unhandled(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_eval(&a, "Promise.reject(new Error('lost')); Promise.reject(1).catch(() => 0);"
                    "const p = Promise.reject(new Error('late but handled'));"
                    "await null; p.catch(() => 0); return 1");
    assert_string_equal(a.text, "1");
    assert_int_equal(a.services.log_count, 1);
    assert_true(services_aid_logged(&a.services, "7 PLUGIN ERROR lost\n"));
    assert_non_null(strstr(a.services.error_json, "\"message\":\"lost\""));
    vm_aid_fini(&a);
}

/* Jobs and promises of a plugin that is gone come to nothing. */
static void test_unload_with_jobs(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "exports.processEvent = () => { setTimeout(() => console.log('no'), 1);"
                   "return new Promise(() => 0) }");
    assert_int_equal(vm_aid_event(&a, "{}"), VM_LATER);
    vm_enter(a.vm); /* a job that no turn has run */
    JS_FreeValue(vm_context(a.vm),
                 JS_Eval(vm_context(a.vm), "queueMicrotask(() => console.log('no'))", 39, "x", 0));
    vm_leave(a.vm);
    vm_call_cancel(&a.call);
    vm_aid_unload(&a);
    runtime_turn(a.runtime);
    plugin_worker_turn(a.worker);
    assert_int_equal(a.services.log_count, 0);
    vm_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_same_object),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_later),
        cmocka_unit_test(test_wait_limit),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_told_outside),
        cmocka_unit_test(test_calls_from_done),
        cmocka_unit_test(test_run_limit_of_one),
        cmocka_unit_test(test_unhandled),
        cmocka_unit_test(test_unload_with_jobs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
