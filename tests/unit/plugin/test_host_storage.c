/* meta.storage and utils.cursor. */
#include "storage_aid.h"

static void test_table(void **state)
{
    static const struct {
        const char *script, *result;
    } table[] = {
        {"return s.get('k')", "undefined"},
        {"return s.get('k', null)", "null"},
        {"return s.get('k', { a: 1 })", "{\"a\":1}"},
        {"await s.set('k', { a: [1, 'x'] }); return s.get('k')", "{\"a\":[1,\"x\"]}"},
        {"s.set('k', 1); s.set('k', 2); return s.get('k')", "2"},
        {"await s.set('k', 1); await s.del('k'); return s.get('k', null)", "null"},
        {"await s.set('k', 1); await s.set('k', undefined); return s.get('k', 'gone')", "\"gone\""},
        {"await s.set('k', null); return s.get('k', 5)", "null"},
        {"await s.set('', 1); return s.get('')", "1"},
        {"await s.set(5, 1); return s.get('5')", "1"},
        {"return s.set('k'.repeat(201), 1)", "!storage: a key has at most 200 characters"},
        {"return s.set('k\\0a', 1)", "!storage: a key must not contain the character NUL"},
        {"await s.set('\\u00e9'.repeat(200), 1); return s.get('\\u00e9'.repeat(200))", "1"},
        {"await s.set('\\ud83d\\ude00'.repeat(100), 1); return s.get('\\ud83d\\ude00'.repeat(100))",
         "1"},
        {"const o = {}; o.o = o; return s.set('k', o)", "!circular reference"},
        {"return s.set('k', 10n)", "!"},
        {"return s.set('k', () => 1)", "undefined"},
        {"return s.set(Symbol(), 1)", "!cannot convert symbol to string"},
        {"return [await s.set('k', 1), await s.del('k')]", "[null,null]"},
        {"const { set, get } = s; set('k', 7); return get('k')", "7"},
        {"return [await u.init('c'), await s.get('c'), await u.increment('c'),"
         " await u.increment('c', 5), await u.init('c', 9), await s.get('c')]",
         "[null,0,1,6,null,6]"},
        {"return [await u.increment('n', 2.5), await u.increment('n', -1)]", "[2.5,1.5]"},
        {"return u.init('c', 'x')", "!The cursor's initial value must be a number!"},
        {"return u.increment('c', '1')", "!The incrementBy value must be a number!"},
        {"return u.increment('c', NaN)", "!The incrementBy value must be a number!"},
        {"await Promise.all([u.increment('c'), u.increment('c'), u.increment('c')]);"
         "return s.get('c')",
         "3"},
    };
    char script[600];

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct storage_aid s;

        storage_aid_init(&s);
        snprintf(script, sizeof(script), "const s = meta.storage, u = meta.utils.cursor; %s",
                 table[i].script);
        storage_aid_eval(&s, script);
        if (strncmp(s.vm.text, table[i].result,
                    table[i].result[0] == '!' ? strlen(table[i].result) : sizeof(s.vm.text)) != 0)
            fail_msg("%s: %s", table[i].script, s.vm.text);
        storage_aid_fini(&s);
    }
}

/* Nobody awaits them: they are asked for all the same, in the order of the calls. */
static void test_unawaited(void **state)
{
    struct storage_aid s;

    UNUSED(state);
    storage_aid_init(&s);
    vm_aid_run(&s.vm, "exports.processEvent = (e, { storage }) => { storage.set('a', 1);"
                      " storage.del('b'); storage.set('c', 'x') }");
    assert_int_equal(vm_aid_event(&s.vm, "{}"), VM_DONE);
    assert_int_equal(s.count, 3);
    assert_int_equal(runtime_host_calls(s.vm.runtime), 3);
    assert_int_equal(s.waiting[0]->op, PLUGIN_STORAGE_SET);
    assert_true(slice_eq(s.waiting[0]->key, SLICE("a")));
    assert_int_equal(s.waiting[0]->config_id, 7);
    assert_int_equal(s.waiting[1]->op, PLUGIN_STORAGE_DEL);
    assert_true(slice_eq(buf_slice(&s.waiting[2]->value), SLICE("\"x\"")));
    storage_aid_answer(&s);
    plugin_worker_turn(s.vm.worker);
    assert_int_equal(runtime_host_calls(s.vm.runtime), 0);
    storage_aid_fini(&s);
}

static void test_failure(void **state)
{
    struct storage_aid s;

    UNUSED(state);
    storage_aid_init(&s);
    s.is_failing = true;
    assert_string_equal(storage_aid_eval(&s, "return meta.storage.get('k', 1)"),
                        "!storage: no disk");
    assert_string_equal(storage_aid_eval(&s, "try { await meta.storage.set('k', 1) } catch (e)"
                                             " { return 'caught ' + e.message }"),
                        "\"caught storage: no disk\"");
    /* Un-awaited: an unhandled rejection. */
    vm_aid_run(&s.vm, "exports.processEvent = (e, { storage }) => { storage.set('a', 1) }");
    vm_aid_event(&s.vm, "{}");
    storage_aid_answer(&s);
    plugin_worker_turn(s.vm.worker);
    assert_true(services_aid_logged(&s.vm.services, "7 PLUGIN ERROR storage: no disk\n"));
    storage_aid_fini(&s);
}

static void test_wait_limit(void **state)
{
    struct storage_aid s;

    UNUSED(state);
    clock_fake_set(1000000);
    storage_aid_init(&s);
    vm_aid_run(&s.vm, "exports.processEvent = async (e, { storage }) => { try { await"
                      " storage.get('a') } catch (x) { return [x.name, x.message] } }");
    assert_int_equal(vm_aid_event(&s.vm, "{}"), VM_LATER);
    s.vm.call.started_us += 1; /* the timer of the storage call comes before that of the hook */
    clock_fake_add(2000000);
    plugin_worker_turn(s.vm.worker);
    assert_true(s.vm.is_done);
    storage_aid_answer(&s); /* too late */
    plugin_worker_turn(s.vm.worker);
    assert_int_equal(runtime_host_calls(s.vm.runtime), 0);
    storage_aid_fini(&s);
    clock_fake_off();
}

/* The answer comes when the plugin, and its runtime, are gone. */
static void test_unloaded(void **state)
{
    struct storage_aid s;
    struct err err = ERR_INIT;

    UNUSED(state);
    storage_aid_init(&s);
    vm_aid_run(&s.vm, "exports.processEvent = async (e, { storage }) => {"
                      " await storage.get('a', e); console.log('no') }");
    assert_int_equal(vm_aid_event(&s.vm, "{}"), VM_LATER);
    vm_call_cancel(&s.vm.call);
    vm_aid_unload(&s.vm);
    assert_int_equal(runtime_host_calls(s.vm.runtime), 0);
    runtime_free(s.vm.runtime);
    s.vm.runtime = runtime_new(s.vm.worker, s.vm.plugins, 2, &err);
    storage_aid_answer(&s);
    plugin_worker_turn(s.vm.worker);
    assert_int_equal(s.vm.services.log_count, 0);
    storage_aid_fini(&s);
}

static void test_broken_row(void **state)
{
    struct storage_aid s;

    UNUSED(state);
    storage_aid_init(&s);
    map_put(s.rows, SLICE("k"), mem_dup_str("{broken"));
    assert_int_equal(storage_aid_eval(&s, "return meta.storage.get('k')")[0], '!');
    storage_aid_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),    cmocka_unit_test(test_unawaited),
        cmocka_unit_test(test_failure),  cmocka_unit_test(test_wait_limit),
        cmocka_unit_test(test_unloaded), cmocka_unit_test(test_broken_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
