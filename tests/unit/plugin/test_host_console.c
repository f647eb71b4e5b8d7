/* console: formatting, cutting, rate. */
#include "vm_aid.h"

/* What one call of console.log with `arguments` writes. */
static const char *logged(struct vm_aid *a, const char *arguments)
{
    static char text[1024];
    char script[600];

    buf_clear(&a->services.logs);
    snprintf(script, sizeof(script), "console.log(%s)", arguments);
    vm_aid_eval(a, script);
    snprintf(text, sizeof(text), "%s", buf_cstr(&a->services.logs));
    return text;
}

static void test_format(void **state)
{
    static const struct {
        const char *arguments, *text;
    } table[] = {
        {"", ""},
        {"'a', 1, true", "a 1 true"},
        {"undefined, null", "undefined null"},
        {"{ a: 1, b: undefined, c: [undefined] }", "{\"a\":1,\"c\":[null]}"},
        {"[1, 'x', [2]]", "[1,\"x\",[2]]"},
        {"new Error('msg')", "Error: msg"},
        {"new RetryError('msg')", "RetryError: msg"},
        {"new Map([[1, 2]])", "[object Map]"},
        {"new (class A { x = 1 })()", "{\"x\":1}"},
        {"{ toString() { return 'mine' } }", "mine"},
        {"() => 1", "() => 1"},
        {"Symbol('s')", "Symbol(s)"},
        {"10n", "10"},
        {"'%s', 1", "%s 1"},
        {"NaN, -0, 1e21", "NaN 0 1e+21"},
        {"'\\ud83d\\ude00 \\ud83d'", "\xF0\x9F\x98\x80 \xEF\xBF\xBD"},
        {"'two\\nlines'", "two\nlines"},
        {"new Date(0).toISOString()", "1970-01-01T00:00:00.000Z"},
    };
    struct vm_aid a;
    char line[200];

    UNUSED(state);
    vm_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        snprintf(line, sizeof(line), "7 CONSOLE LOG %s\n", table[i].text);
        assert_string_equal(logged(&a, table[i].arguments), line);
    }
    vm_aid_fini(&a);
}

static void test_methods(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_eval(&a, "const { log, info, warn, error, debug } = console;"
                    "log('l'); info('i'); warn('w'); error('e'); debug('d');"
                    "return [Object.getOwnPropertyNames(console).length, log() instanceof Promise,"
                    " await log()]");
    assert_string_equal(a.text, "[5,true,null]");
    assert_true(services_aid_logged(&a.services, "7 CONSOLE LOG l\n7 CONSOLE INFO i\n"
                                                 "7 CONSOLE WARN w\n7 CONSOLE ERROR e\n"
                                                 "7 CONSOLE DEBUG d\n"));
    vm_aid_fini(&a);
}

/* What cannot be formatted rejects, it does not throw. */
static void test_faults(void **state)
{
    static const char *const bad[] = {
        "const o = {}; o.o = o; return console.log(o)",
        "return console.log(Object.create(null))",
        "return console.log({ toString() { throw new TypeError('x') } })",
        "return console.log([10n])",
        "return console.log({ toJSON() { throw new TypeError('x') } })",
        "return console.log(new Proxy({}, { get() { throw new TypeError('x') } }))",
    };
    struct vm_aid a;
    char script[300];

    UNUSED(state);
    vm_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(script, sizeof(script),
                 "const f = () => { %s }; const p = f(); try { await p } catch (e)"
                 " { return e.name }",
                 bad[i]);
        assert_string_equal(vm_aid_eval(&a, script), "\"TypeError\"");
    }
    assert_int_equal(a.services.log_count, 0);
    vm_aid_fini(&a);
}

static void test_cut(void **state)
{
    struct plugins_options opt = plugins_aid_options(NULL);
    struct vm_aid a;

    UNUSED(state);
    opt.limits.log_message_units = 5;
    vm_aid_init_with(&a, &opt);
    assert_string_equal(logged(&a, "'123456789'"), "7 CONSOLE LOG 12345\n");
    assert_string_equal(logged(&a, "'1234', '56'"), "7 CONSOLE LOG 1234 \n");
    assert_string_equal(logged(&a, "'1234\\ud83d\\ude00'"), "7 CONSOLE LOG 1234\n");
    assert_string_equal(logged(&a, "'\\u20ac'.repeat(9)"),
                        "7 CONSOLE LOG \xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82"
                        "\xAC\n");
    vm_aid_fini(&a);
}

static void test_rate(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    clock_fake_set(1000000);
    vm_aid_init(&a);
    vm_aid_run(&a, "exports.processEvent = (n) => { for (let i = 0; i < n; i++) console.log(i) }");
    vm_aid_event(&a, "1000");
    assert_int_equal(a.services.log_count, 200);
    clock_fake_add(10000);
    vm_aid_event(&a, "2");
    assert_true(services_aid_logged(&a.services, "7 SYSTEM WARN 800 more entries within a second"
                                                 " were left out\n7 CONSOLE LOG 0\n"));
    assert_int_equal(a.services.log_count, 203);
    clock_fake_add(10000000);
    vm_aid_event(&a, "1000");
    assert_int_equal(a.services.log_count, 403);
    vm_aid_fini(&a);
    clock_fake_off();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format), cmocka_unit_test(test_methods),
        cmocka_unit_test(test_faults), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
