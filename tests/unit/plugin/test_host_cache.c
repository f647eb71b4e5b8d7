/* meta.cache as plugins see it. */
#include "vm_aid.h"

static void test_table(void **state)
{
    static const struct {
        const char *script, *result;
    } table[] = {
        {"return await c.get('k')", "null"},
        {"return await c.get('k', 5)", "null"},
        {"return (await c.get('k', 0)) + 1", "1"},
        {"await c.set('k', { a: [1] }); return c.get('k')", "{\"a\":[1]}"},
        {"await c.set('k', 'text'); return [await c.get('k'), await c.get('k', 0,"
         " { jsonSerialize: false })]",
         "[\"text\",\"\\\"text\\\"\"]"},
        {"await c.set('k', 'raw {', 0, { jsonSerialize: false }); return [await c.get('k'),"
         " await c.get('k', 0, { jsonSerialize: false })]",
         "[null,\"raw {\"]"},
        {"await c.set('k', '', 0, { jsonSerialize: false }); return c.get('k')", "null"},
        {"await c.set('k', undefined); return c.get('k')", "null"},
        {"await c.set('k', null); return c.get('k', 1)", "null"},
        {"await c.set('k', 0); return [await c.incr('k'), await c.incr('k'), await c.get('k')]",
         "[1,2,2]"},
        {"return [await c.incr('k'), await c.incr('k'), await c.incr('k')]", "[1,2,3]"},
        {"await c.set('k', 'x'); return c.incr('k')",
         "!ERR value is not an integer or out of range"},
        {"await c.lpush('k', ['1', '2', '3']); return [await c.lrange('k', 0, -1),"
         " await c.llen('k')]",
         "[[\"3\",\"2\",\"1\"],3]"},
        {"return [await c.lpush('k', 'a'), await c.lpush('k', [1, null])]", "[1,3]"},
        {"await c.lpush('k', ['1', '2', '3']); return [await c.lpop('k', 1),"
         " await c.lrem('k', 1, '2'), await c.lrange('k', 0, 9)]",
         "[[\"3\"],1,[\"1\"]]"},
        {"await c.lpush('k', 'a'); return [await c.expire('k', 0), await c.lrange('k', 0, 1),"
         " await c.expire('k', 1)]",
         "[true,[],false]"},
        {"return [await c.lrange('k', 0, 1), await c.llen('k'), await c.lpop('k', 2),"
         " await c.lrem('k', 1, 'x')]",
         "[[],0,null,0]"},
        {"await c.lpush('k', 'a'); return c.get('k')",
         "!WRONGTYPE Operation against a key holding the wrong kind of value"},
        {"await c.set('k', 1); return c.lpush('k', 'a')",
         "!WRONGTYPE Operation against a key holding the wrong kind of value"},
        {"return c.lpush('k', 5)", "!cache.lpush expects a string value or an array of strings"},
        {"return c.lpush('k', Array(1001).fill('x'))",
         "!Too many elements in array for cache.lpush. Maximum: 1000"},
        {"return c.lpush('k', Array(1000).fill('x'))", "1000"},
        {"return c.lrange('k', '0', 1)",
         "!cache.lrange expects a number for the start and end indexes"},
        {"return c.lpop('k')", "!cache.lpop expects a number for the \"count\" argument"},
        {"return c.lrem('k', '1', 'x')", "!cache.lrem expects a number for the \"count\" argument"},
        {"await c.lpush('k', ['a', 'b']); return [await c.lrange('k', NaN, Infinity),"
         " await c.lpop('k', -1)]",
         "[[\"b\",\"a\"],[]]"},
        {"const o = {}; o.o = o; return c.set('k', o)", "!circular reference"},
        {"return c.set(Symbol(), 1)", "!cannot convert symbol to string"},
        {"return c.get({ toString() { throw new Error('key') } })", "!key"},
        {"await c.set(1, 'a'); return c.get('1')", "\"a\""},
        {"const { set, get } = c; await set('k', 1); return get('k')", "1"},
        {"const p = c.lpush(); p.catch(() => 0); return c.get() instanceof Promise &&"
         " p instanceof Promise",
         "true"},
        {"await c.set('k', '\\u00e9\\u0000\\ud83d\\ude00'); return c.get('k')",
         "\"\xC3\xA9\\u0000\xF0\x9F\x98\x80\""},
        {"await c.lpush('k', '\\u0000x'); return (await c.lpop('k', 1))[0].length", "2"},
        {"return [c.del, c.getset]", "[null,null]"},
        {"try { await c.lpush('k', 1) } catch (e) { return [e.name, e instanceof Error] }",
         "[\"IllegalOperationError\",true]"},
    };
    char script[600];

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct vm_aid a;

        vm_aid_init(&a);
        snprintf(script, sizeof(script), "const c = meta.cache; %s", table[i].script);
        vm_aid_eval(&a, script);
        if (strncmp(a.text, table[i].result,
                    table[i].result[0] == '!' ? strlen(table[i].result) : sizeof(a.text)) != 0)
            fail_msg("%s: %s", table[i].script, a.text);
        vm_aid_fini(&a);
    }
}

static void test_ttl(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    clock_fake_set(1000000);
    vm_aid_init(&a);
    vm_aid_run(
        &a, "exports.setupPlugin = async ({ cache: c }) => { await c.set('one', 1, 1);"
            " await c.set('ever', 1, 0); await c.set('cleared', 1, 1); await c.set('cleared', 2);"
            " await c.set('expire', 1); await c.expire('expire', 1) };"
            "exports.processEvent = async (e, { cache: c }) => [await c.get('one'),"
            " await c.get('ever'), await c.get('cleared'), await c.get('expire')]");
    vm_aid_call_named(&a, "setupPlugin", NULL);
    clock_fake_add(999999);
    vm_aid_event(&a, "1");
    assert_string_equal(a.text, "[1,1,2,1]");
    clock_fake_add(1);
    vm_aid_event(&a, "1");
    assert_string_equal(a.text, "[null,1,2,null]");
    vm_aid_fini(&a);
    clock_fake_off();
}

/* Private to plugin and team: another config of the plugin shares, another plugin does not. */
static void test_private(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_eval(&a, "await meta.cache.set('k', 1)");
    a.config.id = 8;
    assert_string_equal(vm_aid_eval(&a, "return meta.cache.get('k')"), "1");
    a.config.team_id = 9;
    assert_string_equal(vm_aid_eval(&a, "return meta.cache.get('k')"), "null");
    a.config.team_id = 2;
    a.config.plugin_id = 4;
    assert_string_equal(vm_aid_eval(&a, "return meta.cache.get('k')"), "null");
    vm_aid_fini(&a);
}

static void test_huge(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    assert_string_equal(vm_aid_eval(&a, "await meta.cache.set('k', 'x'.repeat(2e6));"
                                        "return meta.cache.get('k')"),
                        "null"); /* larger than the whole cache: it vanishes */
    assert_non_null(strstr(vm_aid_eval(&a, "return meta.cache.set('x'.repeat(1e5), 1)"),
                           "!cache: more than 65536 bytes"));
    vm_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_private),
        cmocka_unit_test(test_huge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
