/* What host objects need: clean texts, settled promises, calls that are counted, time in host
 * calls. */
#include "vm_aid.h"

static const char *clean(const char *bytes, size_t len, size_t units)
{
    static char text[64];
    struct buf out = BUF_INIT(60);

    assert_true(vm_text_clean(slice_make(bytes, len), units, &out));
    snprintf(text, sizeof(text), "%s", buf_cstr(&out));
    buf_free(&out);
    return text;
}

static void test_clean(void **state)
{
    UNUSED(state);
    assert_string_equal(clean("abc", 3, 9), "abc");
    assert_string_equal(clean("abc", 3, 2), "ab");
    assert_string_equal(clean("abc", 3, 0), "");
    assert_string_equal(clean("", 0, 9), "");
    assert_string_equal(clean("\xED\xA0\x80x", 4, 9),
                        "\xEF\xBF\xBDx"); /* one surrogate, one mark */
    assert_string_equal(clean("\xED\xA0", 2, 9), "\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_string_equal(clean("\xFF\xFE", 2, 9), "\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_string_equal(clean("\xF0\x9F\x98\x80", 4, 2), "\xF0\x9F\x98\x80");
    assert_string_equal(clean("\xF0\x9F\x98\x80", 4, 1), "");
    assert_string_equal(clean("\xC3\xA9\xE2\x82\xAC", 5, 1), "\xC3\xA9");
}

static void test_clean_is_bounded(void **state)
{
    struct buf out = BUF_INIT(4);

    UNUSED(state);
    assert_false(vm_text_clean(SLICE("12345"), 9, &out));
    assert_int_equal(out.len, 4);
    buf_free(&out);
}

static void test_promise_of(void **state)
{
    struct vm_aid a;
    JSContext *ctx;
    JSValue p;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "");
    ctx = vm_context(a.vm);
    vm_enter(a.vm);
    p = vm_promise_of(ctx, JS_NewInt32(ctx, 5));
    assert_int_equal(JS_PromiseState(ctx, p), JS_PROMISE_FULFILLED);
    JS_FreeValue(ctx, p);
    p = vm_promise_of(ctx, vm_throw(ctx, "Name", "text %d", 1));
    assert_int_equal(JS_PromiseState(ctx, p), JS_PROMISE_REJECTED);
    assert_false(JS_HasException(ctx));
    JS_FreeValue(ctx, p);
    vm_leave(a.vm);
    runtime_turn(a.runtime);
    assert_true(services_aid_logged(&a.services, "7 PLUGIN ERROR text 1\n"));
    vm_aid_fini(&a);
}

static void test_counted(void **state)
{
    struct vm_aid a;
    int count = 0;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "");
    while (vm_host_call_begin(a.vm, 10))
        count++;
    assert_int_equal(count, VM_HOST_CALLS_MAX);
    JS_FreeValue(vm_context(a.vm), JS_GetException(vm_context(a.vm)));
    while (count--)
        vm_host_call_end(a.runtime, 10);
    assert_int_equal(runtime_host_calls(a.runtime), 0);
    assert_true(vm_host_call_begin(a.vm, (size_t)60 << 20));
    assert_false(vm_host_call_begin(a.vm, (size_t)10 << 20));
    JS_FreeValue(vm_context(a.vm), JS_GetException(vm_context(a.vm)));
    vm_host_call_end(a.runtime, (size_t)60 << 20);
    vm_aid_fini(&a);
}

/* A host call whose entry is over throws what nobody catches. */
static void test_overdue(void **state)
{
    struct plugins_options opt = plugins_aid_options(NULL);
    struct vm_aid a;
    int64_t began = clock_mono_real_us();

    UNUSED(state);
    opt.limits.run_us = 20000;
    vm_aid_init_with(&a, &opt);
    vm_aid_run(&a, "exports.processEvent = (e, { cache }) => { const big = 'x'.repeat(1e5);"
                   " for (;;) try { cache.set('k', big) } catch { } }");
    assert_int_equal(vm_aid_event(&a, "1"), VM_FAILED);
    assert_true(a.error.is_run_limit);
    assert_true(clock_mono_real_us() - began < 5000000);
    vm_aid_fini(&a);
}

static void test_unloaded(void **state)
{
    struct vm_aid a;
    JSContext *ctx;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "");
    ctx = JS_DupContext(vm_context(a.vm));
    vm_aid_unload(&a);
    assert_null(vm_of(ctx));
    assert_null(vm_of_call(ctx));
    JS_FreeValue(ctx, JS_GetException(ctx));
    JS_FreeContext(ctx);
    vm_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),      cmocka_unit_test(test_clean_is_bounded),
        cmocka_unit_test(test_promise_of), cmocka_unit_test(test_counted),
        cmocka_unit_test(test_overdue),    cmocka_unit_test(test_unloaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
