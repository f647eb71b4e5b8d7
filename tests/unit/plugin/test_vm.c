/* Runtimes and contexts: what a plugin finds, loading, entries. */
#include "vm_aid.h"

static void test_sync(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_run(&a, "function processEvent(e) { e.a = 1; return e }");
    assert_true(vm_has(a.vm, HOOK_PROCESS_EVENT));
    assert_false(vm_has(a.vm, HOOK_SETUP_PLUGIN));
    assert_int_equal(vm_aid_event(&a, "{\"b\":2}"), VM_DONE);
    assert_string_equal(a.text, "{\"b\":2,\"a\":1}");
    vm_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sync)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
