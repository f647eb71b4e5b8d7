/* Plugins that loop, eat memory, recurse, throw what cannot be read, never settle, or rewrite the
 * world: the call fails with a named limit or error, and a plugin of the same team goes on. */
#include "vm_aid.h"

#define RUN_US 40000

static const char *const good = "function processEvent(e) { e.ok = true; return e }";

static void bad_init_with(struct vm_aid *a, int64_t run_us)
{
    struct plugins_options opt = plugins_aid_options(NULL);

    opt.limits.run_us = run_us;
    opt.limits.wait_us = 10000;
    opt.limits.memory_bytes = (size_t)16 << 20;
    opt.limits.stack_bytes = (size_t)512 << 10;
    vm_aid_init_with(a, &opt);
}

static void bad_init(struct vm_aid *a)
{
    bad_init_with(a, RUN_US);
}

/* Where the run limit is not what is tested. */
static void bad_init_patient(struct vm_aid *a)
{
    bad_init_with(a, 5000000);
}

/* Whatever the plugin did, one of the same runtime works (a spoilt runtime is made anew first, as
 * its owner does). */
static void assert_neighbour_works(struct vm_aid *a)
{
    struct err err = ERR_INIT;
    int64_t run_us = a->plugins->opt.limits.run_us;

    vm_aid_unload(a);
    if (runtime_is_spoilt(a->runtime)) {
        runtime_free(a->runtime);
        a->runtime = runtime_new(a->worker, a->plugins, 2, &err);
        assert_non_null(a->runtime);
    }
    vm_aid_run(a, good);
    a->plugins->opt.limits.run_us = 60000000;
    if (vm_aid_event(a, "{}") != VM_DONE)
        fail_msg("%s", a->text);
    a->plugins->opt.limits.run_us = run_us;
    assert_string_equal(a->text, "{\"ok\":true}");
}

/* --- limits ----------------------------------------------------------------------------------- */

static const char *const loops[] = {
    "function processEvent(e) { for (;;); }",
    "function processEvent(e) { try { for (;;); } catch (x) { return e } finally { return e } }",
    "function processEvent(e) { for (;;) { try { for (;;); } catch {} } }",
    "async function processEvent(e) { for (;;); }",
    "async function processEvent(e) { await null; for (;;); }",
    "async function f() { await null; for (;;); }\n"
    "async function processEvent(e) { try { await f() } catch {} ; return e }",
    "async function f() { await null; for (;;); }\n"
    "async function processEvent(e) { for (;;) { try { await f() } catch {} } }",
    "function processEvent(e) { return new Proxy(e, { get() { for (;;); } }) }",
    "function processEvent(e) { return { get then() { for (;;); } } }",
    "function processEvent(e) { return { then() { for (;;); } } }",
    "function processEvent(e) { throw { get message() { for (;;); } } }",
    "function* g() { for (;;) yield 1 }\nfunction processEvent(e) { return [...g()].length }",
    "function processEvent(e) { return /^(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!') "
    "}",
    "function processEvent(e) { return new Promise(() => { for (;;); }) }",
    "async function processEvent(e) { for await (const x of { async *[Symbol.asyncIterator]()"
    " { for (;;) yield 1 } }); }",
    "function processEvent(e) { const f = () => Promise.resolve().then(f); return f() }",
    "function processEvent(e) { (function f() { Promise.resolve().then(f) })(); return e }",
    "function processEvent(e) { const f = () => queueMicrotask(f); f(); return new Promise(() => "
    "0) }",
    "async function processEvent(e) { for (;;) await null }",
    "function processEvent(e) { eval('for (;;);') }",
    "function processEvent(e) { new Function('for (;;);')() }",
};

static void test_loops(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    bad_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(loops); i++) {
        int64_t began = clock_mono_real_us();

        vm_aid_run(&a, loops[i]);
        vm_aid_event(&a, "{}");
        if (a.outcome == VM_LATER)
            vm_aid_await(&a);
        if (clock_mono_real_us() - began > 100 * RUN_US)
            fail_msg("%s: ended only after %lld us", loops[i],
                     (long long)(clock_mono_real_us() - began));
        if (a.outcome == VM_FAILED && !a.error.is_timeout && !a.error.is_memory &&
            strcmp(a.text, "[object Object]") != 0)
            fail_msg("%s: %s", loops[i], a.text);
        assert_neighbour_works(&a);
    }
    vm_aid_fini(&a);
}

/* The text, and that the flag is set, for the ones that must fail by the run limit. */
static void test_loop_text(void **state)
{
    static const size_t must[] = {0, 1, 2, 3, 4, 5, 8, 9, 12, 13, 15, 16, 18, 19, 20};
    struct vm_aid a;

    UNUSED(state);
    bad_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(must); i++) {
        vm_aid_run(&a, loops[must[i]]);
        vm_aid_event(&a, "{}");
        if (a.outcome != VM_FAILED && must[i] != 5)
            fail_msg("%s: %d %s", loops[must[i]], a.outcome, a.text);
        if (a.outcome == VM_FAILED && (!a.error.is_run_limit || !a.error.is_timeout))
            fail_msg("%s: %s", loops[must[i]], a.text);
        if (a.outcome == VM_FAILED)
            assert_string_equal(a.text,
                                "Script execution timed out after looping for 0.04 seconds");
    }
    vm_aid_fini(&a);
}

/* A chain of jobs without end that nobody waits for is cut off, and the call that began it fails.
 */
static void test_storm_unawaited(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    bad_init(&a);
    vm_aid_run(&a, "let n = 0; exports.processEvent = (e) => { if (!n) (function f() { n++;"
                   " Promise.resolve().then(f) })(); return { n } }");
    assert_int_equal(vm_aid_event(&a, "{}"), VM_FAILED);
    assert_true(a.error.is_run_limit);
    assert_int_equal(vm_aid_event(&a, "{}"), VM_DONE);
    vm_aid_run(&a, "let n = 0; exports.processEvent = async (e) => { if (!n) (function f() { n++;"
                   " Promise.resolve().then(f) })(); return { n } }");
    assert_int_equal(vm_aid_event(&a, "{}"), VM_FAILED);
    assert_true(a.error.is_run_limit);
    runtime_turn(a.runtime);
    assert_neighbour_works(&a);
    vm_aid_fini(&a);
}

static const char *const eaters[] = {
    "function processEvent(e) { const a = []; for (;;) a.push(new Array(1000).fill(1)) }",
    "function processEvent(e) { let s = 'x'; for (;;) s += s + s.length }",
    "function processEvent(e) { const m = new Map(); for (let i = 0;; i++) m.set(i, {}) }",
    "function processEvent(e) { return new Uint8Array(1e9) }",
    "function processEvent(e) { return new ArrayBuffer(2e9) }",
    "function processEvent(e) { return 'x'.repeat(500000000) }",
    "function processEvent(e) { let a = []; for (;;) a = [a, a] }",
    "function processEvent(e) { const a = []; try { for (;;) a.push({ a }) } catch { return a } }",
    "function processEvent(e) { for (let i = 0;; i++) e['k' + i] = i }",
    "function processEvent(e) { for (let i = 0;; i++) globalThis['k' + i] = [i] }",
    "function processEvent(e) { for (let i = 0;; i++) Symbol.for('k' + i) }",
    "async function processEvent(e) { const a = []; for (;;) a.push(new Promise(() => 0)) }",
    "async function processEvent(e, m) { for (;;) m.cache.set('k', 'x'.repeat(1e5)) }",
    "async function processEvent(e, m) { for (;;) m.storage.set('k', 'x'.repeat(1e5)) }",
    "function processEvent(e, m) { for (;;) console.log('x'.repeat(1e6)) }",
    "function processEvent(e, m) { for (;;) Promise.reject(new Error('x')) }",
    "function processEvent(e, m) { for (;;) setTimeout(() => 0, 1000) }",
    "function processEvent(e) { return JSON.stringify(Array(1e7).fill('x'.repeat(100))) }",
};

static void test_eaters(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    bad_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(eaters); i++) {
        vm_aid_run(&a, eaters[i]);
        vm_aid_event(&a, "{}");
        if (a.outcome != VM_FAILED && i != 7)
            fail_msg("%s: %d %.100s", eaters[i], a.outcome, a.text);
        if (a.error.is_memory) {
            assert_true(runtime_is_spoilt(a.runtime));
            assert_non_null(strstr(a.error.message, "PLUGIN_MEMORY_BYTES"));
        }
        assert_true(runtime_memory(a.runtime) <= (size_t)48 << 20);
        assert_neighbour_works(&a);
    }
    vm_aid_fini(&a);
}

static const char *const recursions[] = {
    "function processEvent(e) { return processEvent(e) }",
    "function processEvent(e) { return { get then() { return this.then } } }",
    "function processEvent(e) { let a = []; for (let i = 0; i < 1e5; i++) a = [a];"
    " return JSON.stringify(a) }",
    "function processEvent(e) { let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a.join() "
    "}",
    "function processEvent(e) { let a = []; for (let i = 0; i < 1e5; i++) a = [a];"
    " return String(a.flat(Infinity)) }",
    "function processEvent(e) { return JSON.parse('['.repeat(1e6)) }",
    "function processEvent(e) { return JSON.parse('{\"a\":'.repeat(1e5) + '1' + '}'.repeat(1e5)) }",
    "function processEvent(e) { return new RegExp('('.repeat(1e5) + ')'.repeat(1e5)) }",
    "function processEvent(e) { return eval('('.repeat(1e6)) }",
    "function processEvent(e) { return eval('['.repeat(1e6)) }",
    "function processEvent(e) { return eval('-'.repeat(1e6) + '1') }",
    "function processEvent(e) { return eval('!'.repeat(1e6) + '1') }",
    "function processEvent(e) { return eval('a=>'.repeat(1e5) + '1') }",
    "function processEvent(e) { return eval('if(1)'.repeat(1e5) + ';') }",
    "function processEvent(e) { return eval('`${'.repeat(1e5)) }",
    "function processEvent(e) { return eval('1' + '**1'.repeat(1e5)) }",
    "function processEvent(e) { const o = { toString() { return '' + this } }; return '' + o }",
    "function processEvent(e) { const o = { get a() { return this.a } }; return o.a }",
    "function processEvent(e) { let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {});"
    " return p.x }",
    "function processEvent(e) { let p = {}; for (let i = 0; i < 1e5; i++) p = Object.create(p);"
    " return { x: p.x } }",
    "function processEvent(e) { let f = () => 1; for (let i = 0; i < 1e5; i++) f = f.bind(null);"
    " return f() }",
    "function processEvent(e) { throw { toString() { return String(this) } } }",
    "function processEvent(e) { const a = []; a[0] = a; return a.join() }",
    "function processEvent(e) { let s = ''; for (let i = 0; i < 1e5; i++) s = 'ab' + s + 'c';"
    " return s.length }",
    "function processEvent(e) { class A { constructor() { return new A() } } ; new A() }",
    "function processEvent(e) { [1].map(function f() { return [1].map(f) }) }",
    "function processEvent(e) { 'x'.replace(/x/, function f() { return 'x'.replace(/x/, f) }) }",
    "function processEvent(e) { JSON.parse('[1]', function f() { return JSON.parse('[1]', f) }) }",
    "function processEvent(e) { const o = { toJSON() { return JSON.stringify(o) } };"
    " return JSON.stringify(o) }",
    "function processEvent(e) { let p = Promise.resolve(); const f = () => { p = p.then(f); f() }; "
    "f() }",
    "function processEvent(e) { [2, 1].sort(function f() { [2, 1].sort(f) }) }",
    "function processEvent(e) { console.log({ toString() { console.log(this); return '' } }) }",
};

/* Each fails, or not, but none takes the process with it. */
static void test_recursions(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    bad_init_with(&a, 300000);
    for (size_t i = 0; i < ARRAY_LEN(recursions); i++) {
        vm_aid_run(&a, recursions[i]);
        if (vm_aid_event(&a, "{}") == VM_LATER)
            vm_aid_await(&a);
        assert_neighbour_works(&a);
    }
    vm_aid_run(&a, recursions[0]);
    vm_aid_event(&a, "{}");
    assert_non_null(strstr(a.text, "stack"));
    assert_false(a.error.is_timeout || a.error.is_memory);
    assert_false(runtime_is_spoilt(a.runtime));
    vm_aid_fini(&a);
}

/* --- thrown values ---------------------------------------------------------------------------- */

static void test_thrown(void **state)
{
    static const struct {
        const char *source, *message;
        const char *name;
    } table[] = {
        {"throw 'a text'", "a text", NULL},
        {"throw null", "null", NULL},
        {"throw undefined", "undefined", NULL},
        {"throw 42", "42", NULL},
        {"throw Symbol('x')", "a symbol was thrown", NULL},
        {"throw 10n", "10", NULL},
        {"throw new TypeError('m')", "m", "TypeError"},
        {"throw new RetryError('again')", "again", "RetryError"},
        {"throw {}", "[object Object]", NULL},
        {"throw { message: 'm', name: 'N' }", "m", "N"},
        {"throw { get message() { throw 1 }, name: 'N' }", "[object Object]", "N"},
        {"throw { get message() { throw 1 }, toString() { throw 2 } }",
         "something was thrown that cannot be read", NULL},
        {"throw { get message() { for (;;); } }", "[object Object]", NULL},
        {"throw Object.create(null)", "something was thrown that cannot be read", NULL},
        {"throw Object.assign(new Error('m'), { stack: { toString() { throw 1 } } })", "m",
         "Error"},
        {"const x = new Error('m'); Object.defineProperty(x, 'stack', { get() { throw x } }); "
         "throw x",
         "m", "Error"},
        {"throw new Proxy({}, { get() { throw 1 } })", "something was thrown that cannot be read",
         NULL},
        {"throw new Proxy(new Error('m'), {})", "m", "Error"},
        {"throw [1, 2]", "1,2", NULL},
        {"throw '\\ud800x'", "\xEF\xBF\xBDx", NULL},
        {"nothing = 1", "'nothing' is not defined", "ReferenceError"},
        {"throw new Error('interrupted')", "interrupted", "Error"},
        {"return Promise.reject('a text')", "a text", NULL},
        {"return Promise.reject()", "undefined", NULL},
        {"return (async () => { await null; throw new RangeError('late') })()", "late",
         "RangeError"},
        {"return { then(yes, no) { no(new Error('thenable')) } }", "thenable", "Error"},
        {"return { get then() { throw new Error('getter') } }", "getter", "Error"},
    };
    struct vm_aid a;

    UNUSED(state);
    bad_init_patient(&a);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char source[512];

        snprintf(source, sizeof(source), "exports.processEvent = (e) => { 'use strict'; %s }",
                 table[i].source);
        vm_aid_run(&a, source);
        if (vm_aid_event(&a, "{}") != VM_FAILED || strcmp(a.text, table[i].message) != 0)
            fail_msg("%s: %d %s", table[i].source, a.outcome, a.text);
        if (strcmp(a.error.name ? a.error.name : "-", table[i].name ? table[i].name : "-") != 0)
            fail_msg("%s: name %s", table[i].source, a.error.name);
        assert_false(a.error.is_timeout);
    }
    assert_false(runtime_is_spoilt(a.runtime));
    vm_aid_fini(&a);
}

/* --- a rewritten world ------------------------------------------------------------------------ */

static const char *const rewrites[] = {
    "Object.prototype.then = function (yes) { yes(1) }",
    "Object.prototype.message = 1; Object.prototype.name = 2; Object.prototype.stack = 3",
    "Object.defineProperty(Object.prototype, 'then', { get() { throw 1 } })",
    "Object.defineProperty(Object.prototype, '0', { set() { throw 1 } })",
    "Object.prototype.toJSON = () => { throw 1 }",
    "Object.prototype.__proto__ = null; delete Object.prototype.toString",
    "Array.prototype.push = Array.prototype.map = null; delete Array.prototype[Symbol.iterator]",
    "Promise.prototype.then = () => { throw new Error('mine') }",
    "Promise.prototype.then = undefined; Promise.resolve = null; globalThis.Promise = 1",
    "Promise.prototype.constructor = null",
    "Object.defineProperty(Promise, Symbol.species, { get() { throw 1 } })",
    "Function.prototype.call = Function.prototype.apply = () => { throw 1 }",
    "for (const k of Object.getOwnPropertyNames(globalThis)) try { delete globalThis[k] } catch {}",
    "Object.freeze(Object.prototype); Object.freeze(Array.prototype); Object.freeze(globalThis)",
    "globalThis.exports = null; globalThis.module = 5",
    "Object.setPrototypeOf(globalThis, null)",
    "Error.prototype.toString = () => { throw 1 }; Error = null",
    "JSON.stringify = JSON.parse = () => { throw 1 }",
    "Proxy = null; Symbol.iterator; delete globalThis.Symbol",
};

static const char *const uses[] = {
    "(e) => e",
    "async (e) => e",
    "async (e) => { await null; return e }",
    "(e) => ({ then(yes) { yes(e) } })",
    "(e) => { throw new Error('x') }",
    "async (e, m) => { await m.cache.set('a', 1); return m.cache.get('a') }",
    "async (e, m) => { await m.storage.set('a', [1]); return m.storage.get('a', {}) }",
    "async (e, m) => { m.jobs.x({}).runNow(); return m.jobs.x([]).runIn(1, 'day') }",
    "async (e, m) => { return m.geoip.locate('1.1.1.1') }",
    "(e) => new Promise((yes) => setTimeout(() => yes(e), 1))",
    "(e) => new Promise(() => 0)",
    "(e) => { console.log(e, [e], new Error('x')); return e }",
};

static void test_rewritten(void **state)
{
    struct vm_aid a;
    char source[1024];

    UNUSED(state);
    bad_init_patient(&a);
    for (size_t i = 0; i < ARRAY_LEN(rewrites); i++)
        for (size_t k = 0; k < ARRAY_LEN(uses); k++) {
            snprintf(source, sizeof(source),
                     "const hook = %s;\n"
                     "exports.setupPlugin = () => { %s };\nexports.processEvent = hook;\n",
                     uses[k], rewrites[i]);
            vm_aid_run(&a, source);
            if (vm_aid_call_named(&a, "setupPlugin", NULL) == VM_LATER)
                vm_aid_await(&a);
            if (vm_aid_event(&a, "{\"properties\":{\"a\":[1]}}") == VM_LATER)
                vm_aid_await(&a);
            plugin_worker_turn(a.worker);
            assert_neighbour_works(&a);
        }
    assert_false(runtime_is_spoilt(a.runtime));
    vm_aid_fini(&a);
}

/* The same at the top level: loading fails or not, nothing else. */
static void test_rewritten_at_load(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    bad_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(rewrites); i++) {
        struct buf source = BUF_INIT(1 << 16);

        buf_addf(&source, "exports.processEvent = (e) => e;\n%s", rewrites[i]);
        vm_aid_load(&a, buf_cstr(&source));
        buf_free(&source);
        if (vm_has(a.vm, HOOK_PROCESS_EVENT))
            vm_aid_event(&a, "{}");
        if (a.outcome == VM_LATER)
            vm_aid_await(&a);
        assert_neighbour_works(&a);
    }
    vm_aid_fini(&a);
}

static void test_bad_load(void **state)
{
    static const char *const sources[] = {
        "for (;;);",
        "const a = []; for (;;) a.push(new Array(1e4).fill(1))",
        "(function f() { f() })()",
        "throw null",
        "(function f() { Promise.resolve().then(f) })()",
        "export default {}; await new Promise(() => 0)",
        "export const a = 1; for (;;);",
        "Promise.reject(new Error('nobody'))",
        "exports = new Proxy({}, { get() { throw 1 }, ownKeys() { throw 2 } })",
        "exports = new Proxy({}, { get() { for (;;); } })",
        "exports = { get processEvent() { throw new Error('x') } }",
        "module = null",
        "{",
        "}",
        "`${",
        "/*",
        "'",
        "\\",
        "/[",
        "import",
        "export",
        "import {",
        "require('",
        "require(",
        "",
        "\xff\xfe",
        "#!",
        "await 1",
        "return 1",
        "<!--",
    };
    struct vm_aid a;

    UNUSED(state);
    bad_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        vm_aid_load(&a, sources[i]);
        assert_neighbour_works(&a);
    }
    vm_aid_load(&a, sources[0]);
    assert_true(vm_error(a.vm)->is_run_limit);
    a.plugins->opt.limits.run_us = 60000000; /* on a slow machine it takes a while */
    vm_aid_load(&a, sources[1]);
    assert_true(vm_error(a.vm)->is_memory);
    vm_aid_fini(&a);
}

/* --- many ------------------------------------------------------------------------------------- */

static void test_many_timers(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    bad_init_patient(&a);
    vm_aid_eval(&a, "let n = 0; try { for (; n < 1e6; n++) setTimeout(() => 0, 1e6) }"
                    " catch (x) { return [n, x.message] }");
    assert_string_equal(a.text, "[10000,\"setTimeout: a plugin may have 10000 timers at once\"]");
    assert_int_equal(timers_due_us(vm_timers(a.vm)) == INT64_MAX, false);
    vm_aid_unload(&a); /* takes them along */
    assert_true(timers_due_us(plugin_worker_timers(a.worker)) == INT64_MAX);
    vm_aid_fini(&a);
}

static void test_huge_output(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    bad_init_patient(&a);
    clock_fake_set(1000000); /* no room comes back */
    vm_aid_eval(&a, "console.log('x'.repeat(1e6)); for (let i = 0; i < 1e4; i++) console.log(i)");
    assert_int_equal(a.services.log_count, 200);
    assert_in_range(a.services.logs.len, 50000, 60000);
    clock_fake_off();
    vm_aid_fini(&a);
}

/* Many rejections that nobody handles: told, bounded. */
static void test_rejections(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    bad_init_patient(&a);
    clock_fake_set(1000000);
    vm_aid_eval(&a, "for (let i = 0; i < 1000; i++) Promise.reject(new Error('r' + i));"
                    "for (let i = 0; i < 1000; i++) Promise.reject(1).catch(() => 0); return 1");
    assert_string_equal(a.text, "1");
    assert_true(services_aid_logged(&a.services, "7 PLUGIN ERROR r0\n"));
    assert_int_equal(a.services.log_count, 50);
    clock_fake_off();
    vm_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loops),           cmocka_unit_test(test_loop_text),
        cmocka_unit_test(test_storm_unawaited), cmocka_unit_test(test_eaters),
        cmocka_unit_test(test_recursions),      cmocka_unit_test(test_thrown),
        cmocka_unit_test(test_rewritten),       cmocka_unit_test(test_rewritten_at_load),
        cmocka_unit_test(test_bad_load),        cmocka_unit_test(test_many_timers),
        cmocka_unit_test(test_huge_output),     cmocka_unit_test(test_rejections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
