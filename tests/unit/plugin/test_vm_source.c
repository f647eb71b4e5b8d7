/* The scan of sources: what is a module, what is imported, what only looks like it. */
#include "plugin/vm_source.h"
#include "vm_aid.h"

#define UNKNOWN(name) \
    "Cannot import '" name "'! This package is not provided by PostHog in plugins."

/* The scanned text, or "!" and the error; "M " before a module. */
static const char *scan(const char *source)
{
    static char text[2048];
    struct buf out = BUF_INIT(1 << 16);
    struct err err = ERR_INIT;
    bool is_module = false;

    if (vm_source_scan(slice_cstr(source), &out, &is_module, &err))
        snprintf(text, sizeof(text), "%s%s", is_module ? "M " : "", buf_cstr(&out));
    else
        snprintf(text, sizeof(text), "!%s", err.text);
    buf_free(&out);
    return text;
}

static void test_kept(void **state)
{
    static const char *const table[] = {
        "",
        "a",
        "require",
        "x.require('fs')",
        "x?.require('fs')",
        "requires('fs')",
        "require('a', 'b')",
        "require(a, b)",
        "require()",
        "typeof require === 'function'",
        "'require(\"fs\")'",
        "\"require('fs')\"",
        "`require('fs')`",
        "`\\`require('fs')`",
        "// require('fs')",
        "/* require('fs') */",
        "/require('fs')/",
        "a = /[/]require('fs')/",
        "return /require('fs')/.test(x)",
        "function require(x) { return x }",
        "class A { require(x) { } }",
        "({ require(x) { } })",
        "`${'require(1)'}`",
        "`${`${1}require('fs')`}require('fs')`",
        "x = { import: 1, export: 2 }",
        "import('x')",
        "a.import",
        "{ export }",
        "'\\'require(\"fs\")'",
        "'",
        "`${",
        "/",
        "/*",
        "\\",
        "import.meta",
        "(import)",
        "f(function (require) { })",
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_string_equal(scan(table[i]), table[i]);
}

static void test_refused(void **state)
{
    static const struct {
        const char *source, *name;
    } table[] = {
        {"require('fs')", "fs"},
        {"require(\"fs\")", "fs"},
        {"require(`fs`)", "fs"},
        {"require ( /* c */ 'fs' )", "fs"},
        {"if (false) require('dead')", "dead"},
        {"require(name)", "undefined"},
        {"require('a' + 'b')", "undefined"},
        {"require(`${x}`)", "undefined"},
        {"require(f(1, 2))", "undefined"},
        {"require([1, 2])", "undefined"},
        {"`${require('in')}`", "in"},
        {"`${`${require('deep')}`}`", "deep"},
        {"a / b; require('behind')", "behind"},
        {"a = b / c / require('behind')", "behind"},
        {"x = /re/; require('behind')", "behind"},
        {"`a${1}b`; require('behind')", "behind"},
        {"'a'; // '\nrequire('behind')", "behind"},
        {"require(require('inner'))", "inner"},
        {"require('')", ""},
    };
    char expected[300];

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        snprintf(expected, sizeof(expected), "!" UNKNOWN("%s"), table[i].name);
        assert_string_equal(scan(table[i].source), expected);
    }
}

static void test_modules(void **state)
{
    static const struct {
        const char *source;
        bool is_module;
    } table[] = {
        {"export const a = 1", true},
        {"const a = 1; export { a }", true},
        {"x = /}/; export default {}", true},
        {"import { a } from 'b'", true},
        {"import 'b'", true},
        {"\n// c\nimport a from 'b'", true},
        {"{ } export function f() { }", true},
        {"exports.a = 1", false},
        {"module.exports = { export: 1 }", false},
        {"const f = () => { 'export' }", false},
        {"`export default 1`", false},
        {"import('b').then(f)", false},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if ((strncmp(scan(table[i].source), "M ", 2) == 0) != table[i].is_module)
            fail_msg("%s", table[i].source);
}

static void test_too_large(void **state)
{
    struct buf out = BUF_INIT(10);
    struct err err = ERR_INIT;
    bool is_module;

    UNUSED(state);
    assert_false(vm_source_scan(SLICE("0123456789a"), &out, &is_module, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    buf_free(&out);
}

/* --- loading ---------------------------------------------------------------------------------- */

/* The error of a load, or what processEvent gives. */
static const char *load(struct vm_aid *a, const char *source)
{
    vm_aid_load(a, source);
    if (vm_error(a->vm))
        return vm_error(a->vm)->message;
    if (vm_aid_event(a, "{}") == VM_LATER)
        vm_aid_await(a);
    return a->text;
}

static void test_scaffold(void **state)
{
    static const char *const same[] = {
        "import { RetryError as R } from '@posthog/plugin-scaffold';\n"
        "export const processEvent = () => R === RetryError",
        "import s from '@posthog/plugin-scaffold';\n"
        "export function processEvent() { return s.RetryError === RetryError }",
        "import * as s from '@posthog/plugin-scaffold';\n"
        "export function processEvent() { return s.RetryError === RetryError }",
        "const { RetryError } = require('@posthog/plugin-scaffold');\n"
        "module.exports = { processEvent: () => RetryError === globalThis.RetryError }",
        "const s = require(\"@posthog/plugin-scaffold\");\n"
        "exports.processEvent = () => s.RetryError === RetryError",
        "import { RetryError as R } from '@posthog/plugin-scaffold';\n"
        "module.exports = { processEvent: () => R === RetryError }",
    };
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        assert_string_equal(load(&a, same[i]), "true");
    vm_aid_fini(&a);
}

static void test_load_errors(void **state)
{
    static const struct {
        const char *source, *message;
    } table[] = {
        {"require('fs')", "/index.js: " UNKNOWN("fs")},
        {"import fs from 'fs'", "/index.js: " UNKNOWN("fs")},
        {"import { x } from './other.js'; export const a = 1", "/index.js: " UNKNOWN("./other.js")},
        {"import 'std'", "/index.js: " UNKNOWN("std")},
        {"export * from 'os'", "/index.js: " UNKNOWN("os")},
        {"throw new Error('top')", "top"},
        {"export const a = 1; throw new Error('top')", "top"},
        {"export default await new Promise(() => 0)",
         "/index.js: the top level awaits something that does not come by itself"},
    };
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_string_equal(load(&a, table[i].source), table[i].message);
    vm_aid_fini(&a);
}

static void test_syntax_error(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_load(&a, "const a = 1;\nconst b = ;");
    assert_non_null(vm_error(a.vm));
    assert_string_equal(vm_error(a.vm)->name, "SyntaxError");
    assert_true(strncmp(vm_error(a.vm)->message, "/index.js: ", 11) == 0);
    assert_non_null(strstr(vm_error(a.vm)->message, "(2:"));
    a.config.source_path = "/index.ts";
    vm_aid_load(&a, "const a: number = 1");
    assert_non_null(strstr(vm_error(a.vm)->message, "TypeScript is not supported yet"));
    assert_true(strncmp(vm_error(a.vm)->message, "/index.ts: ", 11) == 0);
    vm_aid_fini(&a);
}

/* Sources are strict, whatever their form; imports at run time are refused. */
static void test_run_time(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    assert_non_null(strstr(load(&a, "function processEvent() { x = 1 }"), "not defined"));
    assert_string_equal(load(&a, "async function processEvent() { return import('fs') }"),
                        "/index.js: " UNKNOWN("fs"));
    assert_string_equal(
        load(&a, "async function processEvent() {"
                 " return (await import('@posthog/plugin-scaffold')).RetryError === RetryError }"),
        "true");
    assert_string_equal(load(&a, "export const processEvent = async () => await 5"), "5");
    assert_string_equal(load(&a, "const v = await 6; export const processEvent = () => v"), "6");
    vm_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_modules),      cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_scaffold),     cmocka_unit_test(test_load_errors),
        cmocka_unit_test(test_syntax_error), cmocka_unit_test(test_run_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
