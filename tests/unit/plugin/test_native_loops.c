/* What runs inside the engine's native code ends soon after its deadline, whatever it does, and
 * leaves nothing behind. Each line of the table is a way to keep a thread busy without running
 * JavaScript.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "lib/child.h"
#include "lib/unit.h"

#include <quickjs.h>

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEADLINE_US 50000
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LATE_US 2500000
#else
#define LATE_US 250000
#endif
#define EACH         7 /* of the places where a script may be interrupted, one in so many */
#define SMALL_MEMORY ((size_t)64 << 20)
#define LARGE_MEMORY ((size_t)1 << 30)

struct spin {
    const char *name;
    const char *before; /* runs without a deadline */
    const char *code;
    bool may_end; /* ends by itself: at the memory limit, or because the machine is quick */
};

#define EVIL "{length: 2 ** 53 - 1}"

static const struct spin spins[] = {
    /* lengths without elements */
    {"forEach", "a = []; a.length = 2 ** 32 - 1", "a.forEach(f)", false},
    {"map", "a = []; a.length = 2 ** 32 - 1", "a.map(f)", false},
    {"filter", "a = []; a.length = 2 ** 32 - 1", "a.filter(f)", false},
    {"every", "a = []; a.length = 2 ** 32 - 1", "a.every(f)", false},
    {"some", "a = []; a.length = 2 ** 32 - 1", "a.some(f)", false},
    {"reduce", "a = []; a.length = 2 ** 32 - 1", "a.reduce(f)", false},
    {"reduceRight", "a = []; a.length = 2 ** 32 - 1", "a.reduceRight(f)", false},
    {"find", "", "[].find.call(" EVIL ", x => false)", false},
    {"findIndex", "", "[].findIndex.call(" EVIL ", Boolean)", false},
    {"findLast", "", "[].findLast.call(" EVIL ", Boolean)", false},
    {"findLastIndex", "", "[].findLastIndex.call(" EVIL ", Boolean)", false},
    {"indexOf", "a = []; a.length = 2 ** 32 - 1", "a.indexOf(1)", false},
    {"lastIndexOf", "a = []; a.length = 2 ** 32 - 1", "a.lastIndexOf(1)", false},
    {"includes", "a = []; a.length = 2 ** 32 - 1", "a.includes(1)", false},
    {"join", "a = []; a.length = 2 ** 32 - 1", "a.join('')", false},
    {"join with commas", "a = []; a.length = 2 ** 32 - 1", "a.join()", true},
    {"toString", "a = []; a.length = 2 ** 32 - 1", "String(a)", true},
    {"toLocaleString", "a = []; a.length = 2 ** 32 - 1", "a.toLocaleString()", true},
    {"sort", "a = []; a.length = 2 ** 32 - 1", "a.sort()", false},
    {"sort of an object", "", "[].sort.call(" EVIL ")", false},
    {"toSorted", "a = []; a.length = 2 ** 31 - 1", "a.toSorted()", true},
    {"splice", "a = []; a.length = 2 ** 32 - 1", "a.splice(0, 2 ** 31)", false},
    {"splice of an object", "", "[].splice.call(" EVIL ", 1, 1)", false},
    {"toSpliced", "", "[].toSpliced.call({length: 2 ** 31}, 0, 1)", true},
    {"slice", "a = []; a.length = 2 ** 32 - 1", "a.slice(1)", false},
    {"flat", "a = []; a.length = 2 ** 32 - 1", "a.flat()", false},
    {"flat of twins", "a = []; for (let i = 0; i < 60; i++) a = [a, a]", "a.flat(Infinity)", false},
    {"flatMap", "a = []; a.length = 2 ** 32 - 1", "a.flatMap(f)", false},
    {"concat", "a = []; a.length = 2 ** 32 - 1", "a.concat(a)", false},
    {"fill", "", "[].fill.call(" EVIL ", 0)", true},
    {"fill of a proxy", "", "[].fill.call(new Proxy(" EVIL ", {set: Boolean}), 0)", false},
    {"copyWithin", "", "[].copyWithin.call(" EVIL ", 1, 0)", false},
    {"reverse", "", "[].reverse.call(" EVIL ")", false},
    {"reverse of an array", "a = []; a.length = 2 ** 32 - 1", "a.reverse()", false},
    {"toReversed", "", "[].toReversed.call({length: 2 ** 31 - 1})", true},
    {"shift", "", "[].shift.call(" EVIL ")", false},
    {"unshift", "", "[].unshift.call({length: 2 ** 53 - 3}, 1)", false},
    {"with", "", "[].with.call({length: 2 ** 31 - 1}, 0, 1)", true},
    {"Array.from", "", "Array.from(" EVIL ")", true},
    {"Array.from into nothing", "function N() { return new Proxy({}, {defineProperty: Boolean}) }",
     "Array.from.call(N, " EVIL ")", false},
    {"Array.from of an iterator", "i = {[Symbol.iterator]() { return this }, next: Object}",
     "Array.from(i)", true},
    {"spread of an iterator", "i = {[Symbol.iterator]() { return this }, next: Object}", "[...i]",
     true},
    {"destructuring", "i = {[Symbol.iterator]() { return this }, next: Object}",
     "for (;;) { let [a, b, ...c] = i }", true},
    {"String.raw", "", "String.raw({raw: {length: 2 ** 53 - 1}})", false},
    {"apply in a loop", "a = new Array(65000).fill(0)", "for (;;) f.apply(null, a)", false},
    {"spread call in a loop", "a = new Array(65000).fill(0)", "for (;;) f(...a)", false},
    {"Math.max of many", "a = new Array(65000).fill(0)", "for (;;) Math.max(...a)", false},
    {"arrays that are searched in a loop", "a = new Array(1e6).fill(0)", "for (;;) a.indexOf(1)",
     false},
    {"includes in a loop", "a = new Array(1e6).fill(0)", "for (;;) a.includes(1)", false},
    {"equal strings in an array",
     "s = 'x'.repeat(1e6); a = []; "
     "for (let i = 0; i < 20; i++) a.push(s + 'y'.repeat(2e5) + i)",
     "t = a[0].slice(0, -1) + '!'; for (;;) a.includes(t)", false},
    {"shift in a loop", "a = new Array(1e6).fill(0)", "for (;;) a.push(a.shift())", false},
    {"reverse in a loop", "a = new Array(1e6).fill(0)", "for (;;) a.reverse()", false},
    {"slices in a loop", "a = new Array(1e6).fill(0)", "for (;;) a.slice()", false},
    {"sort of many", "a = []; for (let i = 0; i < 5e5; i++) a.push((i * 7919) % 500009)",
     "for (;;) a.slice().sort()", false},
    {"sort of long strings",
     "s = 'x'.repeat(4e5); a = []; for (let i = 0; i < 50; i++) a.push(s + i)", "for (;;) a.sort()",
     true},
    {"sort by a native function", "a = []; for (let i = 0; i < 5e5; i++) a.push(i)",
     "for (;;) a.sort(Math.min)", false},
    {"JSON of a long array", "a = []; a.length = 2 ** 32 - 1", "JSON.stringify(a)", true},
    {"JSON of nothing",
     "p = new Proxy([], {get: (o, k) => k === 'length' ? 2 ** 53 - 1 : undefined})",
     "JSON.stringify(p, f)", true},
    {"JSON of a filter list", "a = []; for (let i = 0; i < 3e5; i++) a.push('k' + i)",
     "JSON.stringify({}, a)", false},
    {"JSON of a large string", "s = 'é'.repeat(5e6)", "for (;;) JSON.stringify(s)", true},
    {"JSON text of many objects", "s = '[' + '{\"a\":1},'.repeat(4e5) + '1]'",
     "for (;;) JSON.parse(s)", true},
    {"JSON text of spaces", "s = ' '.repeat(1e7) + '1'", "for (;;) JSON.parse(s)", true},
    {"JSON text of a string", "s = '\"' + 'x'.repeat(1e7) + '\"'", "for (;;) JSON.parse(s)", true},
    {"JSON reviver", "s = '[' + '1,'.repeat(1e5) + '1]'", "for (;;) JSON.parse(s, Object)", true},
    {"JSON of twins", "a = []; for (let i = 0; i < 40; i++) a = [a, a]", "JSON.stringify(a)", true},

    /* strings */
    {"string indexOf", "s = 'x'.repeat(1e7); t = 'x'.repeat(5e6) + 'y'", "s.indexOf(t)", false},
    {"string lastIndexOf", "s = 'x'.repeat(1e7); t = 'x'.repeat(5e6) + 'y'", "s.lastIndexOf(t)",
     false},
    {"string includes", "s = 'x'.repeat(1e7); t = 'x'.repeat(5e6) + 'y'", "s.includes(t)", false},
    {"string replace", "s = 'x'.repeat(1e7); t = 'x'.repeat(5e6) + 'y'", "s.replace(t, '')", false},
    {"string replaceAll", "s = 'x'.repeat(1e7); t = 'x'.repeat(5e6) + 'y'", "s.replaceAll(t, '')",
     false},
    {"replaceAll of much", "s = 'x'.repeat(2e6)", "for (;;) s.replaceAll('x', 'y')", true},
    {"replaceAll with patterns", "s = 'x'.repeat(2e6)", "for (;;) s.replaceAll('x', '$1$2$3$&')",
     true},
    {"replace with open names", "t = '$<'.repeat(5e6)", "'x'.replace(/(?<a>x)/, t)", false},
    {"string split", "s = 'x'.repeat(1e7); t = 'x'.repeat(5e6) + 'y'", "s.split(t)", false},
    {"split into letters", "s = 'x'.repeat(1e6)", "for (;;) s.split('')", true},
    {"repeat", "", "for (;;) 'xy'.repeat(2e7)", true},
    {"repeat of a letter", "", "for (;;) 'x'.repeat(5e7)", true},
    {"padStart", "", "for (;;) ''.padStart(4e7)", true},
    {"padEnd", "", "for (;;) ''.padEnd(4e7, 'abc')", true},
    {"concat of strings", "s = 'x'.repeat(1e7)", "for (;;) s.concat(s)", true},
    {"substrings", "s = 'x'.repeat(2e7)", "for (;;) s.slice(1)", false},
    {"equal strings", "s = 'x'.repeat(1e7); t = 'x'.repeat(1e7)", "for (;;) s === t", false},
    {"ordered strings", "s = 'x'.repeat(1e7) + 'a'; t = 'x'.repeat(1e7) + 'b'", "for (;;) s < t",
     false},
    {"equal wide strings", "s = 'é€'.repeat(4e6); t = 'é€'.repeat(4e6)", "for (;;) s === t", false},
    {"ropes", "s = ''; t = ''; for (let i = 0; i < 2e5; i++) { s += 'ab' + i; t = t + 'ab' + i }",
     "for (;;) s == t + ''", false},
    {"endless rope", "s = 'abcdefghijklmnop'", "for (;;) s = s + s.length", true},
    {"rope from the front", "s = 'abcdefghijklmnop'.repeat(20)", "for (;;) s = 'x' + s", true},
    {"at", "s = 'x'.repeat(1e7)", "for (;;) s.at(-1)", false},
    {"normalize", "s = 'é'.repeat(3e6)", "for (;;) s.normalize('NFD')", true},
    {"normalize of marks", "s = 'a' + '\\u0301\\u0316'.repeat(1e6)", "s.normalize('NFD')", false},
    {"localeCompare", "s = 'a' + '\\u0301\\u0316'.repeat(1e6)", "s.localeCompare('a')", false},
    {"toLowerCase", "s = 'Σ'.repeat(5e6)", "for (;;) s.toLowerCase()", true},
    {"toUpperCase", "s = 'ß'.repeat(5e6)", "for (;;) s.toUpperCase()", true},
    {"trim", "s = ' '.repeat(2e7) + 'x'", "for (;;) s.trimStart()", false},
    {"isWellFormed", "s = '€'.repeat(5e6)", "for (;;) s.isWellFormed()", false},
    {"toWellFormed", "s = '€'.repeat(5e6)", "for (;;) s.toWellFormed()", false},
    {"encodeURIComponent", "s = '€'.repeat(1e6)", "for (;;) encodeURIComponent(s)", true},
    {"decodeURIComponent", "s = '%41'.repeat(2e6)", "for (;;) decodeURIComponent(s)", true},
    {"escape", "s = '€'.repeat(1e6)", "for (;;) escape(s)", true},
    {"unescape", "s = '%41'.repeat(2e6)", "for (;;) unescape(s)", true},
    {"numbers from strings", "s = '1'.repeat(1e7)", "for (;;) +s", true},
    {"long property names", "s = 'x'.repeat(1e7); o = {}", "for (;;) o[s]", false},
    {"colliding names",
     "a = ['']; for (let i = 0; i < 13; i++) a = a.flatMap(s => [s + "
     "'\\u0200\\u0207', s + '\\u0201\\u0100']); o = {}; for (let k of a) o[k] = 1",
     "for (;;) for (let k of a) o[k + '']", true},

    /* objects */
    {"long prototype chain", "o = {}; for (let i = 0; i < 2e5; i++) o = Object.create(o)",
     "for (;;) o.x", false},
    {"in a long prototype chain", "o = {}; for (let i = 0; i < 2e5; i++) o = Object.create(o)",
     "for (;;) 'x' in o", false},
    {"set on a long prototype chain", "o = {}; for (let i = 0; i < 2e5; i++) o = Object.create(o)",
     "for (;;) { o.x = 1; delete o.x }", false},
    {"instanceof", "o = {}; for (let i = 0; i < 2e5; i++) o = Object.create(o)",
     "for (;;) o instanceof Map", false},
    {"setPrototypeOf", "o = {}; for (let i = 0; i < 2e5; i++) o = Object.create(o)",
     "for (;;) Object.setPrototypeOf({}, o) && Object.setPrototypeOf({a: 1}, o)", false},
    {"push below a long chain",
     "o = []; for (let i = 0; i < 1e5; i++) o = Object.create(o);"
     "b = []; Object.setPrototypeOf(b, o)",
     "for (;;) { b[b.length] = 1; b.length = 0 }", false},
    {"keys", "o = {}; for (let i = 0; i < 2e5; i++) o['k' + i] = 1", "for (;;) Object.keys(o)",
     false},
    {"integer keys", "o = {}; for (let i = 0; i < 3e5; i++) o[(i * 7919) % 300007] = 1",
     "for (;;) Object.keys(o)", true},
    {"entries", "o = {}; for (let i = 0; i < 1e5; i++) o['k' + i] = 1",
     "for (;;) Object.entries(o)", true},
    {"assign", "o = {}; for (let i = 0; i < 1e5; i++) o['k' + i] = 1",
     "for (;;) Object.assign({}, o)", true},
    {"spread of an object", "o = {}; for (let i = 0; i < 1e5; i++) o['k' + i] = 1",
     "for (;;) ({...o})", true},
    {"for in", "o = {}; for (let i = 0; i < 2e5; i++) o['k' + i] = 1; p = Object.create(o)",
     "for (;;) for (let k in p) ;", true},
    {"freeze", "o = {}; for (let i = 0; i < 1e5; i++) o['k' + i] = 1", "for (;;) Object.freeze(o)",
     true},
    {"isFrozen", "o = {}; for (let i = 0; i < 1e5; i++) o['k' + i] = 1; Object.freeze(o)",
     "for (;;) Object.isFrozen(o)", false},
    {"descriptors", "o = {}; for (let i = 0; i < 3e4; i++) o['k' + i] = 1",
     "for (;;) Object.getOwnPropertyDescriptors(o)", true},
    {"proxy keys",
     "a = []; for (let i = 0; i < 2e5; i++) a.push('k' + i); "
     "p = new Proxy({}, {ownKeys: () => a})",
     "Reflect.ownKeys(p)", false},
    {"iterators that do not close",
     "function it(n) { return {[Symbol.iterator]() { return this }, return() { for (;;) ; }, "
     "next() { if (n) Array.from(it(n - 1)); for (;;) ; }} }",
     "Array.from(it(300))", false},
    {"proxy storm", "p = new Proxy({}, {}); for (let i = 0; i < 500; i++) p = new Proxy(p, {})",
     "for (;;) p.x", false},
    {"map of long keys", "s = 'x'.repeat(1e7); m = new Map", "for (;;) m.get(s)", false},
    {"map of colliding keys",
     "a = ['']; for (let i = 0; i < 15; i++) a = a.flatMap(s => [s + "
     "'\\u0200\\u0207', s + '\\u0201\\u0100']); m = new Map",
     "for (let k of a) m.set(k, 1)", true},
    {"map from an endless iterator",
     "i = {[Symbol.iterator]() { return this }, next: () => "
     "({value: [1, 2]})}",
     "new Map(i)", false},
    {"set without end", "", "for (m = new Set;;) m.add({})", true},
    {"fromEntries", "i = {[Symbol.iterator]() { return this }, next: () => ({value: [1, 2]})}",
     "Object.fromEntries(i)", false},
    {"deep errors", "", "(function g(n) { if (n) g(n - 1); else for (;;) new Error })(200)", false},
    {"many captures",
     "g = Function(Array.from({length: 20000}, (x, i) => 'var v' + i).join(';') + "
     "';return () => [' + Array.from({length: 20000}, (x, i) => 'v' + i).join() + ']')",
     "for (;;) g()", false},

    /* typed arrays */
    {"typed fill", "a = new Uint32Array(5e6)", "for (;;) a.fill(1)", false},
    {"typed indexOf", "a = new Uint8Array(3e7)", "for (;;) a.indexOf(1)", false},
    {"typed lastIndexOf", "a = new Float64Array(5e6)", "for (;;) a.lastIndexOf(1)", false},
    {"typed includes", "a = new BigInt64Array(5e6)", "for (;;) a.includes(1n)", false},
    {"typed sort", "a = new Float64Array(4e6).map((x, i) => (i * 7919) % 1000003)",
     "for (;;) a.slice().sort()", false},
    {"typed sort of bytes", "a = new Uint8Array(3e7)", "for (;;) a.sort()", false},
    {"typed sort by a function", "a = new Uint32Array(2e6)", "a.sort(Math.min)", true},
    {"typed join", "a = new Uint8Array(1e7)", "for (;;) a.join()", true},
    {"typed reverse", "a = new Uint16Array(1e7)", "for (;;) a.reverse()", false},
    {"typed copyWithin", "a = new Uint8Array(3e7)", "for (;;) a.copyWithin(1, 0)", false},
    {"typed set", "a = new Uint8Array(1e7); b = new Float64Array(5e6)",
     "for (;;) b.set(a.subarray(0, 5e6))", false},
    {"typed set of an object", "a = new Uint8Array(3e7)", "a.set({length: 3e7})", false},
    {"typed from", "", "Uint8Array.from({length: 3e7})", false},
    {"typed of typed", "a = new Uint8Array(1e7)", "for (;;) new Uint16Array(a)", true},
    {"typed slice", "a = new Uint8Array(2e7)", "for (;;) a.slice()", false},
    {"array buffers", "", "for (;;) new ArrayBuffer(2e7)", false},
    {"typed every", "a = new Uint8Array(5e7)", "a.every(f)", true},

    /* numbers */
    {"BigInt product", "b = (1n << 500000n) - 1n", "for (;;) b * b", false},
    {"BigInt quotient", "b = (1n << 1000000n) - 1n; c = (1n << 500000n) - 3n", "for (;;) b / c",
     false},
    {"BigInt power", "", "for (;;) 3n ** 600000n", false},
    {"BigInt to string", "b = (1n << 1000000n) - 1n", "for (;;) String(b)", false},
    {"BigInt from string", "s = '9'.repeat(300000)", "for (;;) BigInt(s)", false},
    {"BigInt sums", "b = (1n << 1000000n) - 1n", "for (;;) b + b", false},
    {"dates", "s = '1 '.repeat(5e6)", "for (;;) Date.parse(s)", true},

    /* regular expressions and source text */
    {"backtracking", "", "/(a*)*b/.exec('a'.repeat(40))", false},
    {"greedy everywhere", "s = 'a'.repeat(1e6)", "/a*b/.exec(s)", false},
    {"back references", "s = 'a'.repeat(1e6)", "/(a+)\\1b/.exec(s)", false},
    {"global replace", "s = 'ab'.repeat(1e6)", "for (;;) s.replace(/a/g, 'x')", true},
    {"global delete", "s = 'ab'.repeat(1e6)", "for (;;) s.replace(/a/g, '')", false},
    {"matchAll", "s = 'ab'.repeat(1e6)", "for (;;) [...s.matchAll(/a/g)]", true},
    {"split by a pattern", "s = 'ab'.repeat(1e6)", "for (;;) s.split(/a/)", true},
    {"test", "s = 'a'.repeat(1e7)", "for (;;) /b/.test(s)", false},
    {"pattern of a large class",
     "s = ''; for (let i = 256; i < 55000; i += 2) s += "
     "String.fromCharCode(i)",
     "new RegExp('[' + s + s + s + ']')", true},
    {"pattern of many alternatives", "s = 'a|'.repeat(1e6)", "new RegExp(s)", false},
    {"pattern of late names", "s = '\\\\k<a>'.repeat(1e5) + 'b'.repeat(1e5) + '(?<a>x)'",
     "new RegExp(s)", true},
    {"pattern that looks behind", "s = '(?<=' + 'ab'.repeat(1e6) + ')'", "new RegExp(s)", true},
    {"patterns of properties", "s = '\\\\p{L}'.repeat(2e3)", "for (;;) new RegExp(s, 'u')", true},
    {"pattern that ignores case", "s = '[^a]'.repeat(1e4)", "new RegExp(s, 'iu')", true},
    {"source of many tokens", "s = 'a;'.repeat(3e6)", "Function(s)", true},
    {"source of many variables",
     "s = 'var ' + Array.from({length: 60000}, (x, i) => 'v' + i).join()", "for (;;) Function(s)",
     true},
    {"source of many globals", "s = Array.from({length: 1e5}, (x, i) => 'var v' + i).join(';')",
     "(0, eval)(s)", true},
    {"source of many branches", "s = 'if (f) f();'.repeat(60000)", "Function(s)", true},
};

/* A line that hangs ends the program with its name instead of being waited for. */
static const char *running;

static void on_hang(int signal)
{
    (void)signal;
    (void)!write(STDERR_FILENO, running, strlen(running));
    (void)!write(STDERR_FILENO, ": hangs\n", 8);
    _exit(1);
}

struct engine {
    JSRuntime *rt;
    JSContext *ctx;
    int64_t deadline_us; /* INT64_MAX: none */
    int64_t asked_us;    /* processor time when the handler was last asked before the deadline */
    bool is_late;        /* the handler said so */
};

/* Of this thread: other programs on the machine make nobody late. */
static int64_t processor_us(void)
{
    struct rusage u;

    assert_int_equal(getrusage(RUSAGE_THREAD, &u), 0);
    return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

static int on_poll(JSRuntime *rt, void *opaque)
{
    struct engine *e = opaque;

    (void)rt;
    if (clock_mono_real_us() < e->deadline_us) {
        e->asked_us = processor_us();
        return 0;
    }
    e->is_late = true;
    return 1;
}

static void engine_start(struct engine *e, size_t memory)
{
    e->deadline_us = INT64_MAX;
    e->is_late = false;
    e->rt = JS_NewRuntime();
    assert_non_null(e->rt);
    JS_SetMemoryLimit(e->rt, memory);
    JS_SetMaxStackSize(e->rt, (size_t)1 << 20);
    JS_SetInterruptHandler(e->rt, on_poll, e);
    e->ctx = JS_NewContext(e->rt);
    assert_non_null(e->ctx);
}

static JSValue engine_eval(struct engine *e, const char *code)
{
    return JS_Eval(e->ctx, code, strlen(code), "test.js", JS_EVAL_TYPE_GLOBAL);
}

/* The first question comes only when the counter that a context begins with is used up. */
static void engine_ask_now(struct engine *e)
{
    JS_FreeValue(e->ctx, engine_eval(e, "for (let i = 0; i < 10000; i++) ;"));
}

static void engine_must_eval(struct engine *e, const char *code)
{
    JSValue v = engine_eval(e, code);

    if (JS_IsException(v)) {
        JSValue x = JS_GetException(e->ctx);
        const char *text = JS_ToCString(e->ctx, x);

        print_error("%s: %s\n", code, text ? text : "?");
        JS_FreeCString(e->ctx, text);
        JS_FreeValue(e->ctx, x);
        fail();
    }
    JS_FreeValue(e->ctx, v);
}

static size_t engine_stop(struct engine *e)
{
    JS_FreeContext(e->ctx);
    return JS_FreeRuntime2(e->rt);
}

/* Runs the line; true when it ended in time and as it must. */
static bool spin_run(const struct spin *s, size_t memory)
{
    struct engine e;
    struct buf code = BUF_INIT(8192);
    int64_t late_us;
    bool is_late, is_fit = true;
    size_t left;
    JSValue v, x;

    assert_true(buf_addf(&code, "try { %s } catch (x) { caught = x }", s->code));
    engine_start(&e, memory);
    engine_must_eval(&e, "var a, b, c, g, i, m, o, p, s, t, caught; function f() {}");
    engine_must_eval(&e, s->before);

    e.deadline_us = clock_mono_real_us() + DEADLINE_US;
    e.asked_us = processor_us();
    v = engine_eval(&e, buf_cstr(&code));
    late_us = processor_us() - e.asked_us;
    e.deadline_us = INT64_MAX;
    is_late = e.is_late;

    x = JS_GetException(e.ctx);
    if (late_us > LATE_US) {
        print_error("%s: ended only after %lld ms\n", s->name, (long long)late_us / 1000);
        is_fit = false;
    }
    if (is_late != JS_IsException(v) || is_late != (bool)JS_IsUncatchableError(e.ctx, x)) {
        print_error("%s: late: %d, but thrown: %d, uncatchable: %d\n", s->name, is_late,
                    JS_IsException(v), (int)JS_IsUncatchableError(e.ctx, x));
        is_fit = false;
    }
    if (!is_late && !s->may_end) {
        print_error("%s: ended by itself\n", s->name);
        is_fit = false;
    }
    JS_FreeValue(e.ctx, x);
    JS_FreeValue(e.ctx, v);

    engine_must_eval(
        &e, "a = b = c = g = i = m = o = p = s = t = caught = undefined; [1, 2].map(String)");
    left = engine_stop(&e);
    if (left) {
        print_error("%s: left %zu blocks\n", s->name, left);
        is_fit = false;
    }
    buf_free(&code);
    return is_fit;
}

static void run_all(size_t memory)
{
    size_t bad = 0;

    assert_true(signal(SIGALRM, on_hang) != SIG_ERR);
    for (size_t i = 0; i < sizeof(spins) / sizeof(spins[0]); i++) {
        running = spins[i].name;
        alarm(60);
        bad += !spin_run(&spins[i], memory);
    }
    alarm(0);
    assert_int_equal(bad, 0);
}

static void ends_in_time_with_little_memory(void **state)
{
    (void)state;
    run_all(SMALL_MEMORY);
}

static void ends_in_time_with_much_memory(void **state)
{
    (void)state;
    run_all(LARGE_MEMORY);
}

/* Ends by SIGALRM when the loop goes on long after its deadline. */
static void spin_unguarded(void *ctx)
{
    struct engine e;

    engine_start(&e, SMALL_MEMORY);
    JS_SetNativeInterrupts(e.rt, false);
    e.deadline_us = clock_mono_real_us() + DEADLINE_US;
    assert_true(signal(SIGALRM, SIG_DFL) != SIG_ERR);
    alarm(1);
    JS_FreeValue(e.ctx, engine_eval(&e, ctx));
    _exit(0);
}

static void runs_on_when_native_polls_are_off(void **state)
{
    char native[] = "var a = []; a.length = 2 ** 32 - 1; a.indexOf(1)";
    char script[] = "for (;;) ;";

    (void)state;
    assert_true(child_killed_by(SIGALRM, spin_unguarded, native));
    assert_false(child_killed_by(SIGALRM, spin_unguarded, script));
}

/* In processes of their own, because a leak is one for the sanitizers too. */
static void leave_text(void *ctx)
{
    struct engine e;

    (void)ctx;
    engine_start(&e, SMALL_MEMORY);
    if (JS_IsException(JS_NewString(e.ctx, "a text that nobody frees")) || engine_stop(&e) != 1)
        abort();
    _exit(0);
}

static void leave_object(void *ctx)
{
    struct engine e;

    (void)ctx;
    engine_start(&e, SMALL_MEMORY);
    /* and with it what it holds: its context, all prototypes */
    if (JS_IsException(JS_NewObject(e.ctx)) || engine_stop(&e) < 2)
        abort();
    _exit(0);
}

static void counts_what_is_left_at_the_end(void **state)
{
    struct engine e;

    (void)state;
    engine_start(&e, SMALL_MEMORY);
    engine_must_eval(&e, "var o = {}; o.self = o; new Map([[o, 1]])");
    assert_int_equal(engine_stop(&e), 0);
    assert_false(child_killed_by(SIGABRT, leave_text, NULL));
    assert_false(child_killed_by(SIGABRT, leave_object, NULL));
}

/* --- interrupted anywhere -------------------------------------------------------------------- */

/* A little of everything. */
static const char all_sorts[] =
    "(function(){\n"
    "let o={a:1,b:[1,2,{c:3}],d:'text'.repeat(20)};for(let i=0;i<30;i++)o['k'+i]=i;\n"
    "JSON.parse(JSON.stringify(o,null,2),(k,v)=>v);JSON.stringify(o,['a','b','d']);\n"
    "[3,1,2,5,4].map(x=>x*2).sort().sort((a,b)=>b-a).flat().concat([1,2]).join('-');\n"
    "let sp=[];sp.length=20;sp[7]=1;sp.forEach(x=>x);sp.indexOf(1);sp.lastIndexOf(0);"
    "sp.slice(2);sp.splice(1,3,'x');sp.reverse();sp.flatMap(x=>[x]);[].concat(sp,sp);"
    "sp.fill(1,2,5);sp.copyWithin(0,3);sp.toSorted();sp.with(1,2);sp.toSpliced(1,1);"
    "sp.toReversed();\n"
    "Array.from({length:9});Array.from(new Set([1,2,3]));[...'hello'];"
    "Object.fromEntries(Object.entries(o));({...o});Object.assign({},o);"
    "Object.freeze({...o});Object.isFrozen(o);Object.getOwnPropertyDescriptors(o);"
    "Object.defineProperties({},{x:{value:1},y:{get(){return 1}}});\n"
    "for(let k in Object.create(o));\n"
    "let m=new Map(Object.entries(o));m.forEach((v,k)=>v);m.delete('a');[...m.keys()];"
    "Object.groupBy([1,2,3],x=>x%2);\n"
    "String.raw`a${1}b`;'abcabc'.replaceAll('b','$&x');"
    "'aXbX'.replace(/x/gi,(m)=>m+'!');'a-b-c'.split('-');'a1b2'.split(/\\d/);"
    "'xx'.padStart(40,'ab');'ab'.repeat(30).lastIndexOf('ba');"
    "'ÀÉ\\u0301'.normalize('NFD').localeCompare('x');'ΑΣ'.toLowerCase();"
    "encodeURIComponent('ü€😀');decodeURIComponent('%C3%BC');escape('ü');"
    "unescape('%u1234%20');\n"
    "[...'a1b2c3'.matchAll(/(?<l>[a-z])(\\d)/g)];/(a+)+$/.test('aaaaaa!');"
    "/(a)\\1/.exec('aa');new RegExp('[a-z\\\\d_]|(?<n>x)\\\\k<n>|(?<=y)z','iu');"
    "'aXb'.replace(/(?<q>x)/gi,'$<q>$1');'aaa'.replace(/a/g,'');\n"
    "let b=(1n<<700n)-1n;String(b*b/3n);BigInt('9'.repeat(100))**3n;b.toString(7);\n"
    "let t=new Float64Array([3,1,2]);t.sort();t.sort((a,b)=>a-b);t.join();"
    "Uint8Array.from([1,2,3]);new Uint8Array({length:5});new Uint16Array(t);"
    "t.set([1,2]);t.indexOf(2);t.slice();\n"
    "let p=new Proxy({a:1,b:2},{ownKeys:()=>['a','b'],getOwnPropertyDescriptor:(o,"
    "k)=>Reflect.getOwnPropertyDescriptor(o,k)});Object.keys(p);({...p});\n"
    "class A{#x=1;static s=2;get y(){return this.#x}*g(){yield 1;yield* [1,2]}};"
    "[...new A().g()];\n"
    "let f=Function('a','b','let c=a;for(let i=0;i<3;"
    "i++){if(i&1){c+=b}else{c-=b}switch(i){case 1:c++;break;"
    "default:c--}try{c()}catch(e){}finally{c=1}}return ()=>c+a');f(1,2)();\n"
    "eval('var q1=1;let q2=2;(function(){return q1+q2})();label:for(;;){break label}');\n"
    "Promise.all([1,Promise.resolve(2)]).then(async x=>{await null;"
    "for await(let y of [1,2]);});\n"
    "let [d1,{e1,...r1},...d2]=[1,{e1:2,z:3},4,5];f.apply(null,[1,2]);"
    "Math.max(...[1,2,3]);new (function(){}.bind(null,1))();\n"
    "try{null.x}catch(e){e.stack}\n"
    "let r='';for(let i=0;i<300;i++)r+='abcdefghijklmnopqrstuvwxyz'+i;r===r+'';\n"
    "})()\n";

struct countdown {
    long asked, until; /* the handler says yes from question `until` on */
};

static int on_countdown(JSRuntime *rt, void *opaque)
{
    struct countdown *c = opaque;

    (void)rt;
    return ++c->asked >= c->until;
}

static void countdown_run(struct countdown *c, long until)
{
    struct engine e;
    JSContext *ran;
    JSValue v, x;

    engine_start(&e, SMALL_MEMORY);
    *c = (struct countdown){.until = until};
    JS_SetInterruptInterval(e.rt, 1);
    JS_SetInterruptHandler(e.rt, on_countdown, c);
    engine_ask_now(&e);
    v = engine_eval(&e, all_sorts);
    x = JS_GetException(e.ctx);
    if (JS_IsException(v) != (c->asked >= until) ||
        (JS_IsException(v) && !JS_IsUncatchableError(e.ctx, x)))
        fail_msg("interrupted at question %ld: thrown: %d, uncatchable: %d", until,
                 JS_IsException(v), (int)JS_IsUncatchableError(e.ctx, x));
    JS_FreeValue(e.ctx, x);
    JS_FreeValue(e.ctx, v);
    JS_SetInterruptHandler(e.rt, NULL, NULL);
    while (JS_IsJobPending(e.rt))
        JS_ExecutePendingJob(e.rt, &ran);
    if (engine_stop(&e))
        fail_msg("interrupted at question %ld: something is left", until);
}

static void leaves_nothing_wherever_it_ends(void **state)
{
    struct countdown whole, c;

    (void)state;
    countdown_run(&whole, LONG_MAX);
    assert_true(whole.asked > 5000);
    for (long until = 1; until <= whole.asked; until += EACH)
        countdown_run(&c, until);
}

/* The highest limb of such a number is only its sign, which made the size of its text a matter of
 * luck. */
static void prints_numbers_of_whole_limbs(void **state)
{
    struct engine e;

    (void)state;
    engine_start(&e, SMALL_MEMORY);
    engine_must_eval(
        &e, "for (let i = 64n; i <= 640n; i += 64n) { let n = (1n << i) - 1n, h = n.toString(16);"
            "if (h !== 'f'.repeat(Number(i) / 4) || BigInt(String(n)) !== n ||"
            "BigInt('0b' + n.toString(2)) !== n) throw h }");
    assert_int_equal(engine_stop(&e), 0);
}

/* --- jobs ------------------------------------------------------------------------------------ */

static void knows_whose_job_comes_next(void **state)
{
    struct engine e;
    JSContext *other, *ran;

    (void)state;
    engine_start(&e, SMALL_MEMORY);
    other = JS_NewContext(e.rt);
    assert_non_null(other);
    assert_null(JS_GetPendingJobContext(e.rt));
    JS_FreeValue(other, JS_Eval(other, "Promise.resolve().then(() => { ran = 1 })", 41, "a.js",
                                JS_EVAL_TYPE_GLOBAL));
    engine_must_eval(&e,
                     "var n = 0; for (let i = 0; i < 3; i++) Promise.resolve().then(() => n++)");
    assert_ptr_equal(JS_GetPendingJobContext(e.rt), other);

    assert_int_equal(JS_ExecutePendingJob(e.rt, &ran), 1);
    assert_ptr_equal(ran, other);
    assert_ptr_equal(JS_GetPendingJobContext(e.rt), e.ctx);
    JS_FreePendingJobs(e.ctx);
    assert_null(JS_GetPendingJobContext(e.rt));
    engine_must_eval(&e, "if (n) throw n");
    JS_FreeContext(other);
    assert_int_equal(engine_stop(&e), 0);
}

static void keeps_a_context_for_its_jobs(void **state)
{
    struct engine e;
    JSContext *ran;

    (void)state;
    engine_start(&e, SMALL_MEMORY);
    engine_must_eval(&e, "Promise.resolve().then(() => { throw [1, 2].map(String) })");
    JS_FreeContext(e.ctx);
    while (JS_IsJobPending(e.rt))
        assert_true(JS_ExecutePendingJob(e.rt, &ran) != 0);
    assert_int_equal(JS_FreeRuntime2(e.rt), 0);

    engine_start(&e, SMALL_MEMORY); /* a job that never runs */
    engine_must_eval(&e, "Promise.resolve().then(() => 1)");
    assert_int_equal(engine_stop(&e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_in_time_with_little_memory),
        cmocka_unit_test(ends_in_time_with_much_memory),
        cmocka_unit_test(runs_on_when_native_polls_are_off),
        cmocka_unit_test(counts_what_is_left_at_the_end),
        cmocka_unit_test(leaves_nothing_wherever_it_ends),
        cmocka_unit_test(prints_numbers_of_whole_limbs),
        cmocka_unit_test(knows_whose_job_comes_next),
        cmocka_unit_test(keeps_a_context_for_its_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
