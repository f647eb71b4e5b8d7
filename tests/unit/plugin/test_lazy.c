#include "value_aid.h"

#define DATA                                                                                       \
    "{\"properties\":{\"b\":1,\"10\":2,\"a\":{\"x\":1},\"b\":3,\"2\":4,\"__proto__\":5,\"l\":[1]}" \
    "}"

/* Scripts see `p`, the lazy properties of a new event, and must be true. */
static void holds(struct value_aid *a, const char *data, const char *script)
{
    JSValue global = JS_GetGlobalObject(a->ctx);

    value_aid_open(a, data);
    JS_SetPropertyStr(a->ctx, global, "p",
                      JS_GetPropertyStr(a->ctx, event_object_value(a->object), "properties"));
    JS_FreeValue(a->ctx, global);
    assert_true(a->object->has_properties);
    value_aid_true(a, script);
    value_aid_run(a, "delete globalThis.p");
}

static void test_looks_plain(void **state)
{
    static const char *const scripts[] = {
        "p.b === 3 && p[10] === 2 && p['2'] === 4 && p.missing === undefined",
        "p.a === p.a && p.l === p.l && Array.isArray(p.l)",
        "p.__proto__ === 5 && Object.getPrototypeOf(p) === Object.prototype",
        "Object.keys(p).join() === '2,10,b,a,__proto__,l'",
        "p.b, p.l, Object.keys(p).join() === '2,10,b,a,__proto__,l'",
        "delete p.b, p.b = 1, Object.keys(p).join() === '2,10,a,__proto__,l,b'",
        "p.b, delete p.b, p.z = 0, p.b = 1, Object.keys(p).join() === '2,10,a,__proto__,l,z,b'",
        "p.z = 1, delete p.z, p.y = 1, p.z = 2, Object.keys(p).slice(-2).join() === 'y,z'",
        "p.b = 9, p[1] = 0, Object.keys(p).join() === '1,2,10,b,a,__proto__,l' && p.b === 9",
        "'b' in p && !('c' in p) && 'toString' in p && p.hasOwnProperty('__proto__')",
        "delete p.b && !('b' in p) && p.b === undefined && !Object.hasOwn(p, 'b')",
        "Object.prototype.toString.call(p) === '[object Object]' && typeof p === 'object'",
        "p instanceof Object && !Array.isArray(p) && p.constructor === Object",
        "JSON.stringify(p) === "
        "'{\"2\":4,\"10\":2,\"b\":3,\"a\":{\"x\":1},\"__proto__\":5,\"l\":[1]}'",
        "Object.isExtensible(p) && !Object.isFrozen(p) && !Object.isSealed(p)",
        "Object.freeze(p), Object.isFrozen(p) && (() => { 'use strict'; try { p.b = 1 } "
        "catch (e) { return e.name } })() === 'TypeError' && p.b === 3",
        "Object.preventExtensions(p), p.z = 1, !('z' in p)",
        "Object.defineProperty(p, 'b', {get: () => 7}), p.b === 7 && Object.keys(p).includes('b')",
        "Object.defineProperty(p, 'z', {value: 7}), p.z === 7 && !Object.keys(p).includes('z')",
        "JSON.stringify(Object.getOwnPropertyDescriptor(p, 'b')) === "
        "'{\"value\":3,\"writable\":true,\"enumerable\":true,\"configurable\":true}'",
        "Object.setPrototypeOf(p, null), p.toString === undefined && p.b === 3",
        "(p[Symbol.iterator] = 1, Object.getOwnPropertySymbols(p).length === 1 && "
        "Object.keys(p).length === 6)",
        "Object.create(p).b === 3 && Reflect.get(p, 'b', 1) === 3",
        "Reflect.ownKeys({...p, b: 0}).join() === '2,10,b,a,__proto__,l'",
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        holds(&a, DATA, scripts[i]);
    value_aid_fini(&a);
}

/* Setters and constants of prototypes are found where the object has nothing. */
static void test_prototypes(void **state)
{
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    value_aid_run(&a, "globalThis.log = []; Object.defineProperty(Object.prototype, 'hook', "
                      "{set(v) { log.push(this === p, v) }, get() { return 'got' }, "
                      "configurable: true}); "
                      "Object.defineProperty(Object.prototype, 'fixed', {value: 1})");
    holds(&a, DATA, "p.hook = 4, log.join() === 'true,4' && p.hook === 'got'");
    holds(&a, DATA, "p.fixed = 2, p.fixed === 1 && !Object.hasOwn(p, 'fixed')");
    holds(&a, "{\"properties\":{\"hook\":1,\"fixed\":3}}",
          "p.hook = 5, p.fixed = 6, p.hook === 5 && p.fixed === 6 && log.length === 2");
    value_aid_fini(&a);
}

/* --- when it stays lazy, and when not --------------------------------------------------------- */

static void stays_lazy(struct value_aid *a, const char *script, bool is_lazy)
{
    JSValue global = JS_GetGlobalObject(a->ctx);

    value_aid_open(a, DATA);
    JS_SetPropertyStr(a->ctx, global, "p",
                      JS_GetPropertyStr(a->ctx, event_object_value(a->object), "properties"));
    JS_FreeValue(a->ctx, global);
    value_aid_run(a, script);
    if (a->object->properties.is_lazy != is_lazy)
        fail_msg("%s: %s", script, is_lazy ? "was filled" : "is lazy still");
    assert_int_equal(lazy_of(a->object->properties.object) != NULL, is_lazy);
    value_aid_run(a, "delete globalThis.p");
}

static void test_stays_lazy(void **state)
{
    static const char *const cheap[] = {
        "p.b; p.c; p.b = 1; p.c = 1; p[7] = 1; delete p.a; delete p.c; 'b' in p; "
        "p.hasOwnProperty('l')",
        "p.x ||= 1; p.b += 1; p.l.push(2); Object.getPrototypeOf(p); Object.isExtensible(p)",
        "Object.getOwnPropertyDescriptor(p, 'b'); p[Symbol.iterator] = 1; String(p)",
        "Object.assign(p, {n: 1, b: 2}); Reflect.set(p, 'q', 1); ({b: 1}).__proto__ = p",
        "for (let i = 0; i < 1000; i++) p.b + p.l",
        "p.b; Object.defineProperty(p, 'b', {value: 1})",
    };
    static const char *const dear[] = {
        "Object.keys(p)",
        "for (const k in p) break",
        "({...p})",
        "JSON.stringify(p)",
        "Object.preventExtensions(p)",
        "p.__defineGetter__('g', () => 1)",
        "Object.defineProperty(p, 'n', {value: 1})",
        "Object.setPrototypeOf(p, null)",
        "for (let i = 0; i < 70; i++) p['n' + i] = i",
        "for (let i = 0; i < 70; i++) p['n' + i]",
        "for (let i = 0; i < 70; i++) delete p['n' + i]; for (let i = 0; i < 70; i++) i in p",
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(cheap); i++)
        stays_lazy(&a, cheap[i], true);
    for (size_t i = 0; i < ARRAY_LEN(dear); i++)
        stays_lazy(&a, dear[i], false);
    value_aid_fini(&a);
}

/* Lists of a lazy object are full: it fills itself in the middle of the operation. */
static void test_crowded(void **state)
{
    struct buf data = BUF_INIT(1 << 16);
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    buf_add_str(&data, "{\"properties\":{\"m\":0");
    for (int i = 0; i < 200; i++)
        buf_addf(&data, ",\"k%d\":%d", i, i);
    buf_add_str(&data, "}}");
    holds(&a, buf_cstr(&data),
          "(() => { let n = 0; for (let i = 0; i < 200; i++) n += p['k' + i]; return n === 19900 "
          "})()");
    holds(&a, buf_cstr(&data),
          "(() => { for (let i = 0; i < 200; i++) delete p['k' + i]; return Object.keys(p).join() "
          "=== 'm' })()");
    holds(&a, buf_cstr(&data),
          "(() => { for (let i = 199; i >= 0; i--) p['k' + i] = -i; return Object.keys(p)[1] === "
          "'k0' && p.k199 === -199 && p.k0 === 0 })()");
    holds(&a, buf_cstr(&data),
          "(() => { class A extends (function () { return p }) { }; for (let i = 0; i < 100; i++) "
          "{ p.z = i; delete p.z } return !('z' in p) && Object.keys(p).length === 201 })()");
    buf_free(&data);
    value_aid_fini(&a);
}

/* Wherever memory runs out: an exception or nothing, and an object that can be used and freed. */
static void test_without_memory(void **state)
{
    struct value_aid a;
    JSMemoryUsage usage;
    JSValue script;
    int failures = 0;

    UNUSED(state);
    value_aid_init(&a);
    script = value_aid_eval(
        &a, "() => { p.b; p.zz = 'new'; delete p.a; p.a = {}; return Object.keys(p) }");
    for (size_t more = 0; more < 8192; more += 64) {
        JSValue global = JS_GetGlobalObject(a.ctx);
        JSValue done;

        value_aid_open(&a, DATA);
        JS_SetPropertyStr(a.ctx, global, "p",
                          JS_GetPropertyStr(a.ctx, event_object_value(a.object), "properties"));
        JS_FreeValue(a.ctx, global);
        JS_ComputeMemoryUsage(a.rt, &usage);
        JS_SetMemoryLimit(a.rt, (size_t)usage.malloc_size + more);
        done = JS_Call(a.ctx, script, JS_UNDEFINED, 0, NULL);
        failures += JS_IsException(done);
        value_aid_end(&a);
        JS_SetMemoryLimit(a.rt, (size_t)64 << 20);
        JS_FreeValue(a.ctx, JS_GetException(a.ctx));
        JS_FreeValue(a.ctx, done);
        value_aid_run(&a, "Object.keys(p); p.more = 1; delete globalThis.p");
    }
    assert_true(failures > 5);
    JS_FreeValue(a.ctx, script);
    value_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_looks_plain),    cmocka_unit_test(test_prototypes),
        cmocka_unit_test(test_stays_lazy),     cmocka_unit_test(test_crowded),
        cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
