// Random operations on a lazy event and on a plain one made by JSON.parse; whatever a script can see must be the same.
//
// The host gives: random(n) -> 0..n-1; open(text) -> lazy event; readBack(result) -> 'same', 'failed' or JSON text;
// close() ends the lazy event. Each operation is made once, with all its choices, and run in both worlds.
'use strict'
;(function () {
  const head = {
    uuid: '018a981f-4b2d-78ae-947d-b48bb0f02b88', distinct_id: 'user-1', ip: '203.0.113.7', site_url: null,
    team_id: 2, now: '2023-11-14T22:13:20.123Z', sent_at: '2023-11-14T22:13:21.000Z',
  }
  const pick = (list) => list[random(list.length)]
  const chance = (n) => random(n) === 0
  const symbols = [Symbol('one'), Symbol.for('two'), Symbol.toStringTag, Symbol.toPrimitive, Symbol.iterator]
  const names = ['a', 'b', 'c', 'list', 'nested', '$set', '0', '1', '10', '4294967294', '4294967295', '01', '-1', '1.5', '',
    '__proto__', 'constructor', 'toString', 'valueOf', 'hasOwnProperty', 'length', 'toJSON', 'then', 'get', 'set',
    'key with space', '\u00e9', '\u20ac\ud83d\ude00', 'caf\u00e9 au lait long name that is not kept in the table of names at all',
    'properties', 'event', 'uuid', 'distinct_id', 'ip', 'team_id', 'now', 'sent_at', 'site_url', 'timestamp']

  // --- documents --------------------------------------------------------------------------------

  function makeText(depth) {
    switch (random(depth > 3 ? 8 : 11)) {
      case 0: return pick(['0', '1', '-1', '-0', '2147483647', '2147483648', '-2147483649', '9007199254740991'])
      case 1: return pick(['1.5', '1.0', '-0.0', '1e21', '1e-7', '299.990', '1E400', '123456.789e3'])
      case 2: return pick(['true', 'false', 'null'])
      case 3: case 4: return JSON.stringify(pick(['', 'x', 'text', '\u00e9', '\ud83d\ude00', 'a\u0000b', '"\\\n', '\u2028', 'y'.repeat(100)]))
      case 5: case 6: return JSON.stringify('v' + random(100))
      case 7: return pick(['[]', '{}'])
      case 8: return '[' + Array.from({ length: random(4) }, () => makeText(depth + 1)).join(chance(3) ? ' , ' : ',') + ']'
      default: return makeObjectText(depth + 1, chance(60) ? 70 : random(5))
    }
  }
  function makeObjectText(depth, count) {
    const members = []
    for (let i = 0; i < count; i++) {
      const name = chance(3) ? pick(names) : 'k' + random(count + 2)
      members.push(JSON.stringify(name) + ':' + makeText(depth))
    }
    return '{' + members.join(',') + '}'
  }
  function makeEventText() {
    const members = ['"event":"e"']
    if (!chance(12)) members.push('"properties":' + (chance(15) ? makeText(1) : makeObjectText(1, chance(25) ? 60 + random(20) : random(12))))
    if (chance(3)) members.push('"timestamp":"t"')
    if (chance(3)) members.push(makeObjectText(1, 3).slice(1, -1) || '"z":1')
    if (chance(4)) members.push('"$set":{"a":{"b":[1,2]}}')
    if (chance(6)) members.push('"distinct_id":"data"')
    return '{' + (chance(4) ? members.reverse() : members).join(',') + '}'
  }
  // 1E400 is read as null by the host, and by the text of an event.
  const parsed = (text) => JSON.parse(text.replace(/1E400/g, 'null'))

  // --- worlds -----------------------------------------------------------------------------------

  function World(event) {
    return { event, ids: new Map(), count: 0, saved: [], log: [], isQuiet: false }
  }
  // What both worlds share: told by name, and never changed by an operation.
  const known = new Map([[globalThis, 'globalThis']])
  for (const name of ['Object', 'Array', 'Function', 'Date', 'String', 'Number', 'Boolean', 'BigInt', 'Symbol', 'Error', 'Promise', 'Proxy']) {
    const holders = [globalThis[name], globalThis[name].prototype].filter((h) => h)
    holders.forEach((holder, i) => {
      known.set(holder, name + (i ? '.prototype' : ''))
      for (const k of Reflect.ownKeys(holder)) {
        const d = Object.getOwnPropertyDescriptor(holder, k)
        for (const f of [d.value, d.get, d.set]) if (typeof f === 'function' && !known.has(f)) known.set(f, name + '.' + String(k))
      }
    })
  }
  // By identity, and what can be told without listing members (that would fill a lazy object).
  function show(w, v) {
    switch (typeof v) {
      case 'string': return JSON.stringify(v.length > 1000 ? v.slice(0, 100) + v.length : v)
      case 'number': return Object.is(v, -0) ? '-0' : String(v)
      case 'bigint': return v + 'n'
      case 'symbol': return String(v)
      case 'object': case 'function':
        if (v === null) return 'null'
        if (known.has(v)) return known.get(v)
        if (w.ids.has(v)) return '#' + w.ids.get(v)
        w.ids.set(v, w.count++)
        if (Array.isArray(v)) {
          const items = []
          for (let i = 0; i < v.length && i < 200; i++) items.push(i in v ? show(w, v[i]) : 'hole')
          return '#' + w.ids.get(v) + '[' + items.join() + ']'
        }
        return '#' + w.ids.get(v) + (typeof v === 'function' ? 'f' : '')
      default: return String(v)
    }
  }
  // Not while a text is made: how often a getter runs then is not what we compare.
  function note(w, label, ...values) {
    if (!w.isQuiet) w.log.push(label + ' ' + values.map((v) => show(w, v)).join())
  }
  function showDescriptor(w, d) {
    if (!d) return 'none'
    return ['value', 'get', 'set', 'writable', 'enumerable', 'configurable']
      .map((k) => (Object.prototype.hasOwnProperty.call(d, k) ? k + '=' + show(w, d[k]) : '')).join(' ')
  }
  function attempt(w, op) {
    let result
    w.log = []
    try {
      result = show(w, op(w))
    } catch (e) {
      result = e instanceof Error ? 'threw ' + e.name + ': ' + e.message : 'threw ' + show(w, e)
    }
    return result + ' | ' + w.log.join(' ')
  }
  // Everything, all the way down.
  function dump(w) {
    const seen = new Set()
    const lines = []
    const walk = (v, path) => {
      if ((typeof v !== 'object' && typeof v !== 'function') || v === null || seen.has(v) || known.has(v) || lines.length > 400) return
      seen.add(v)
      let keys
      try { keys = Reflect.ownKeys(v) } catch (e) { lines.push(path + ' threw ' + e.message); return }
      lines.push(path + ' ' + show(w, v) + ' ' + Object.isExtensible(v) + Object.isFrozen(v) + Object.isSealed(v) + ' ' +
        show(w, Object.getPrototypeOf(v)) + ' ' + keys.map(String).join())
      if (typeof v === 'function') return
      for (const k of keys) {
        const d = Object.getOwnPropertyDescriptor(v, k)
        lines.push(path + '.' + String(k) + ' ' + showDescriptor(w, d))
        if (d && 'value' in d) walk(d.value, path + '.' + String(k))
      }
      walk(Object.getPrototypeOf(v), path + '^')
    }
    walk(w.event, 'event')
    w.saved.forEach((v, i) => walk(v, 'saved' + i))
    return lines.join('\n')
  }

  // --- the text of an event, as the specification says it ----------------------------------------

  function write(v, depth, isTop, root) {
    switch (typeof v) {
      case 'number': return Number.isFinite(v) ? String(v) : 'null'
      case 'string': return JSON.stringify(v.toWellFormed())
      case 'boolean': return String(v)
      case 'bigint': throw new Error('BigInt')
    }
    if (v === null) return 'null'
    if (depth > 100) throw new Error('deep')
    if (writing.has(v)) throw new Error('cyclic')
    writing.add(v)
    const done = arrayText(v, depth) ?? objectText(v, depth, isTop, root)
    writing.delete(v)
    return done
  }
  const writing = new Set()
  function arrayText(v, depth) {
    if (Array.isArray(v)) {
      const items = []
      if (v.length > 500000) throw new Error('large')
      for (let i = 0; i < v.length; i++) {
        const item = v[i]
        items.push(['undefined', 'function', 'symbol'].includes(typeof item) ? 'null' : write(item, depth + 1))
      }
      return '[' + items.join() + ']'
    }
  }
  function objectText(v, depth, isTop, root) {
    const members = []
    for (const k of Object.getOwnPropertyNames(v)) {
      const d = Object.getOwnPropertyDescriptor(v, k)
      if (!d || !d.enumerable) continue
      const value = v[k]
      if (['undefined', 'function', 'symbol'].includes(typeof value)) continue
      if (isTop && Object.hasOwn(head, k) && !Object.hasOwn(root, k)) continue
      const isOld = isTop && Object.hasOwn(head, k) && value === head[k]
      members.push(JSON.stringify(k.toWellFormed()) + ':' + write(isOld ? root[k] : value, depth + 1))
    }
    return '{' + members.join() + '}'
  }
  function text(event, root) {
    writing.clear()
    try {
      return write(event, 1, true, root)
    } catch (e) {
      return 'failed'
    }
  }

  // --- operations -------------------------------------------------------------------------------

  const key = () => (chance(12) ? pick(symbols) : chance(3) ? 'k' + random(16) : pick(names))
  function target(k) {
    const t = anyTarget()
    // An array of 2^32 - 1 elements would only make the test slow.
    const isHuge = k === '4294967294'
    return (w) => { const v = t(w); return known.has(v) || (isHuge && Array.isArray(v)) ? w.event : v }
  }
  function anyTarget() {
    const i = random(8)
    switch (random(12)) {
      case 0: case 1: case 2: return (w) => w.event
      case 3: return (w) => w.saved[i] ?? w.event
      case 4: return (w) => w.event.$set ?? w.event
      case 5: { const k = key(); return (w) => w.event.properties?.[k] ?? w.event.properties ?? w.event }
      case 6: return (w) => new Proxy(w.event.properties ?? w.event, {})
      case 7: return (w) => (w.child ??= Object.create(w.event.properties ?? w.event))
      default: return (w) => w.event.properties ?? w.event
    }
  }
  function value() {
    const i = random(8)
    const k = key()
    switch (random(14)) {
      case 0: return () => undefined
      case 1: return () => null
      case 2: return () => ({ fresh: i, nested: [i] })
      case 3: return () => [i, 'x', { y: i }]
      case 4: return (w) => w.saved[i]
      case 5: return (w) => w.event.properties
      case 6: return (w) => w.event.properties?.[k]
      case 7: return () => pick0([NaN, Infinity, -0, 1e300, 5n, Symbol.iterator], i)
      case 8: return (w) => function f() { note(w, 'called'); return i }
      case 9: return () => new Date(0)
      case 10: return () => 'lone \ud800 text'
      case 11: return () => 'text'.repeat(i)
      default: return () => i
    }
  }
  const pick0 = (list, i) => list[i % list.length]
  function descriptor() {
    const v = value()
    const bits = random(64)
    const kind = random(4)
    return (w) => {
      const d = {}
      if (kind === 0) {
        if (bits & 1) d.get = function () { note(w, 'get', this); return bits }
        if (bits & 2) d.set = function (x) { note(w, 'set', this, x) }
      } else {
        if (kind !== 1 || bits & 1) d.value = v(w)
        if (bits & 4) d.writable = (bits & 2) !== 0
      }
      if (bits & 8) d.enumerable = (bits & 16) !== 0
      if (bits & 32) d.configurable = (bits & 1) !== 0
      return d
    }
  }
  const sloppySet = new Function('t', 'k', 'v', 't[k] = v; return t[k]')
  const sloppyDelete = new Function('t', 'k', 'return delete t[k]')

  // Each takes [target, key, value, descriptor, small number] and gives a function of the world.
  const operations = {
    get: (t, k) => (w) => t(w)[k],
    save: (t, k) => (w) => { const v = t(w)[k]; if (w.saved.length < 8) w.saved.push(v); return v },
    saveTarget: (t) => (w) => { if (w.saved.length < 8) w.saved.push(t(w)) },
    getTwice: (t, k) => (w) => Object.is(t(w)[k], t(w)[k]),
    set: (t, k, v) => (w) => { const x = v(w); t(w)[k] = x; return x },
    setSloppy: (t, k, v) => (w) => sloppySet(t(w), k, v(w)),
    remove: (t, k) => (w) => delete t(w)[k],
    removeSloppy: (t, k) => (w) => sloppyDelete(t(w), k),
    removeAndAdd: (t, k, v) => (w) => { const o = t(w); const x = o[k]; delete o[k]; o[k] = x; return x },
    has: (t, k) => (w) => k in t(w),
    hasOwn: (t, k) => (w) => Object.hasOwn(t(w), k),
    hasOwnProperty: (t, k) => (w) => Object.prototype.hasOwnProperty.call(t(w), k),
    enumerable: (t, k) => (w) => Object.prototype.propertyIsEnumerable.call(t(w), k),
    plus: (t, k) => (w) => { t(w)[k] += 1; return t(w)[k] },
    increment: (t, k) => (w) => t(w)[k]++,
    nullish: (t, k, v) => (w) => (t(w)[k] ??= v(w)),
    or: (t, k, v) => (w) => (t(w)[k] ||= v(w)),
    keys: (t) => (w) => Object.keys(t(w)),
    values: (t) => (w) => Object.values(t(w)),
    entries: (t) => (w) => Object.entries(t(w)),
    ownKeys: (t) => (w) => Reflect.ownKeys(t(w)),
    ownNames: (t) => (w) => Object.getOwnPropertyNames(t(w)),
    ownSymbols: (t) => (w) => Object.getOwnPropertySymbols(t(w)),
    descriptor: (t, k) => (w) => showDescriptor(w, Object.getOwnPropertyDescriptor(t(w), k)),
    descriptors: (t) => (w) => { const d = Object.getOwnPropertyDescriptors(t(w)); return Reflect.ownKeys(d).map((k) => String(k) + showDescriptor(w, d[k])) },
    define: (t, k, v, d) => (w) => Object.defineProperty(t(w), k, d(w)) === t(w),
    reflectDefine: (t, k, v, d) => (w) => Reflect.defineProperty(t(w), k, d(w)),
    defineTwo: (t, k, v, d) => (w) => { Object.defineProperties(t(w), { [k]: d(w), two: { value: 2, enumerable: true } }) },
    defineGetter: (t, k) => (w) => t(w).__defineGetter__(k, () => { note(w, 'getter'); return 3 }),
    lookupGetter: (t, k) => (w) => t(w).__lookupGetter__(k),
    freeze: (t) => (w) => { Object.freeze(t(w)) },
    seal: (t) => (w) => { Object.seal(t(w)) },
    preventExtensions: (t) => (w) => { Object.preventExtensions(t(w)) },
    reflectPrevent: (t) => (w) => Reflect.preventExtensions(t(w)),
    isFrozen: (t) => (w) => [Object.isFrozen(t(w)), Object.isSealed(t(w)), Object.isExtensible(t(w)), Reflect.isExtensible(t(w))],
    isExtensible: (t) => (w) => Object.isExtensible(t(w)),
    setPrototype: (t, k, v, d, n) => (w) => { Object.setPrototypeOf(t(w), [null, Array.prototype, { inherited: 1, set a(x) { note(w, 'a', x) } }, w.event][n % 4]) },
    reflectPrototype: (t, k, v, d, n) => (w) => Reflect.setPrototypeOf(t(w), [null, Object.prototype, w.event.properties][n % 3] ?? null),
    protoSet: (t, k, v) => (w) => { t(w).__proto__ = v(w) },
    protoGet: (t) => (w) => t(w).__proto__,
    getPrototype: (t) => (w) => [Object.getPrototypeOf(t(w)), Reflect.getPrototypeOf(t(w))],
    isPrototype: (t) => (w) => [Object.prototype.isPrototypeOf(t(w)), t(w).isPrototypeOf?.(w.child ?? {}), t(w) instanceof Object],
    forIn: (t) => (w) => { const r = []; for (const k in t(w)) r.push(k); return r },
    forInChanging: (t, k, v) => (w) => { const r = []; const o = t(w); for (const x in o) { if (r.length === 1) { delete o[k]; o.during = 1 } r.push(x); if (r.length > 50) break } return r },
    forInChild: (t) => (w) => { const r = []; for (const k in Object.create(t(w), { a: { value: 1 } })) r.push(k); return r },
    spread: (t) => (w) => Object.entries({ first: 1, ...t(w), last: 1 }),
    rest: (t) => (w) => { const { a, k1, ...others } = t(w); return [a, k1, Object.keys(others)] },
    assignFrom: (t) => (w) => Object.entries(Object.assign({}, t(w))),
    assignTo: (t, k, v) => (w) => Object.assign(t(w), { [k]: v(w), assigned: 1 }) === t(w),
    assignBetween: (t) => (w) => { Object.assign(t(w), w.saved[0]) },
    stringify: (t) => (w) => JSON.stringify(t(w)),
    stringifyLong: (t) => (w) => JSON.stringify(t(w), (k, v) => (typeof v === 'number' ? v + 1 : v), 1),
    stringifySome: (t, k) => (w) => JSON.stringify(t(w), ['a', 'k1', 'k2', String(k)]),
    copy: (t) => (w) => { const c = JSON.parse(JSON.stringify(t(w))); if (w.saved.length < 8) w.saved.push(c) },
    fromEntries: (t) => (w) => Object.keys(Object.fromEntries(Object.entries(t(w)))),
    toString: (t) => (w) => [Object.prototype.toString.call(t(w)), typeof t(w), Array.isArray(t(w)), Object(t(w)) === t(w)],
    toText: (t) => (w) => String(t(w)),
    toPrimitive: (t) => (w) => t(w) + '',
    compare: (t, k, v) => (w) => [t(w) === t(w), t(w) == v(w), t(w) === v(w)],
    reflectGet: (t, k) => (w) => Reflect.get(t(w), k, w.saved[0] ?? 5),
    reflectSet: (t, k, v) => (w) => Reflect.set(t(w), k, v(w)),
    reflectSetOther: (t, k, v) => (w) => { const r = {}; return [Reflect.set(t(w), k, v(w), r), Object.keys(r)] },
    reflectSetInto: (t, k, v) => (w) => Reflect.set({ a: 1, set b(x) { note(w, 'b', x) } }, k, v(w), t(w)),
    reflectSetNumber: (t, k, v) => (w) => Reflect.set(t(w), k, v(w), 1),
    reflectHas: (t, k) => (w) => Reflect.has(t(w), k),
    reflectDelete: (t, k) => (w) => Reflect.deleteProperty(t(w), k),
    reflectDescriptor: (t, k) => (w) => showDescriptor(w, Reflect.getOwnPropertyDescriptor(t(w), k)),
    classField: (t, k, v) => (w) => { const B = function () { return t(w) }; const x = v(w); return new (class extends B { [k] = x; field = 1 })() === t(w) },
    privateField: (t) => (w) => { const B = function () { return t(w) }; class C extends B { #p = 7; static read(o) { return [#p in o, o.#p] } } const o = new C(); Object.keys(o); return C.read(t(w)) },
    superSet: (t, k, v) => (w) => { const o = { __proto__: t(w), m(x) { super[k] = x; return super[k] } }; return [o.m(v(w)), Object.keys(o)] },
    childSet: (t, k, v) => (w) => { const o = Object.create(t(w)); o[k] = v(w); return [Object.keys(o), o[k]] },
    arrayLike: (t) => (w) => { const o = t(w); Array.prototype.push.call(o, 'pushed'); return [o.length, o.length > 1000 ? 0 : Array.from(o)] },
    concat: (t) => (w) => [].concat(t(w)).length,
    proxyTraps: (t, k, v) => (w) => {
      const p = new Proxy(t(w), { get: (o, x, r) => { note(w, 'trap', x); return Reflect.get(o, x, r) }, defineProperty: (o, x, d) => { note(w, 'define', x); return Reflect.defineProperty(o, x, d) } })
      p[k] = v(w)
      return [p[k], Object.keys(p)]
    },
    weak: (t) => (w) => { w.weak ??= new WeakMap(); const had = w.weak.has(t(w)); w.weak.set(t(w), 1); return had },
    fillUp: (t, k, v, d, n) => (w) => { const o = t(w); for (let i = 0; i < 70; i++) o['n' + ((i * 7 + n) % 71)] = i },
    readUp: (t) => (w) => { const o = t(w); const r = []; for (let i = 0; i < 70; i++) r.push(o['k' + i]); return r },
    removeUp: (t) => (w) => { const o = t(w); for (let i = 0; i < 70; i++) delete o['k' + i] },
    replaceAll: (t) => (w) => { const o = t(w); for (const [k, v] of Object.entries(o)) o[k] = typeof v === 'string' ? v.trim() : v },
    pollutedSetter: (t, k, v) => (w) => polluted(k, { set(x) { note(w, 'set', this, x) }, get() { return 9 }, configurable: true }, () => { const o = t(w); const x = v(w); o[k] = x; return [o[k], Object.hasOwn(o, k)] }),
    pollutedConstant: (t, k, v) => (w) => polluted(k, { value: 1, writable: false, configurable: true }, () => { const o = t(w); const x = v(w); let threw = null; try { o[k] = x } catch (e) { threw = e.message } return [threw, o[k], Object.hasOwn(o, k)] }),
    pollutedValue: (t, k, v) => (w) => polluted(k, { value: 1, writable: true, enumerable: true, configurable: true }, () => { const o = t(w); const r = []; for (const x in o) r.push(x); o[k] = v(w); return [r, o[k], Object.hasOwn(o, k)] }),
    newProperties: (t, k, v) => (w) => { w.event.properties = v(w) },
    copyProperties: () => (w) => { w.event.properties = { ...w.event.properties } },
    replaceEvent: () => (w) => { w.saved.push(w.event.properties); w.result = { ...w.event } },
    sameProperties: () => (w) => { const p = w.event.properties; delete w.event.properties; w.event.properties = p },
    collect: () => () => undefined,
    functionName: (t) => (w) => { const f = t(w).toString; return typeof f },
    error: (t) => (w) => { throw t(w) },
    call: (t) => (w) => t(w)(),
    iterate: (t) => (w) => [...t(w)],
    template: (t, k) => (w) => t(w)[k].missing,
  }
  function polluted(k, d, body) {
    const was = Object.getOwnPropertyDescriptor(Object.prototype, k)
    if (was || /^\d+$/.test(String(k))) return 'no' // our own lists would run into it
    Object.defineProperty(Object.prototype, k, d)
    try {
      return body()
    } finally {
      delete Object.prototype[k]
    }
  }
  const operationNames = Object.keys(operations)

  // --- one sequence -----------------------------------------------------------------------------

  function fail(what, source, steps, a, b) {
    throw new Error(what + '\n' + source + '\n' + steps.join('\n') + '\nlazy:  ' + a + '\nplain: ' + b)
  }
  function compareText(source, steps, lazy, plain, root, original) {
    lazy.isQuiet = plain.isQuiet = true
    const got = readBack(lazy.result ?? lazy.event)
    const expected = text(plain.result ?? plain.event, root)
    lazy.isQuiet = plain.isQuiet = false
    // What was never read keeps its order; where indexes stand in it, no script can see.
    const isEqual = got === expected || (/"\d+":/.test(got) && JSON.stringify(JSON.parse(got)) === JSON.stringify(JSON.parse(expected)))
    if (got === 'same' ? expected !== original : !isEqual) fail('the text differs', source, steps, got, expected)
  }
  function newPlain(source) {
    return World(Object.assign(parsed(source), head))
  }
  const isPlainData = (v) => (typeof v === 'number' ? Number.isFinite(v) : typeof v !== 'object' || v === null || Object.keys(v).every((k) => isPlainData(v[k])))
  // `given`: JSON text of an object, or undefined.
  return function sequence(given) {
    const source = given !== undefined && isPlainData(JSON.parse(given)) ? given : makeEventText()
    const root = parsed(source)
    const lazy = World(open(source))
    const plain = newPlain(source)
    const original = text(plain.event, root)
    const steps = []
    const count = 1 + random(chance(10) ? 30 : 9)
    for (let i = 0; i < count; i++) {
      const name = pick(operationNames)
      const k = key()
      const op = operations[name](target(k), k, value(), descriptor(), random(8))
      const a = attempt(lazy, op)
      const b = attempt(plain, op)
      steps.push(name + ' ' + String(k) + ' ' + op + ' -> ' + a)
      if (a !== b) fail('the result differs', source, steps, a, b)
      if (chance(4)) compareText(source, steps, lazy, plain, root, original)
    }
    compareText(source, steps, lazy, plain, root, original)
    const isEndFirst = chance(3)
    if (isEndFirst) close()
    const a = dump(lazy)
    const b = dump(plain)
    if (a !== b) {
      const x = a.split('\n')
      const y = b.split('\n')
      const at = x.findIndex((line, i) => line !== y[i])
      fail('the dump differs at line ' + at, source, steps, x[at], y[at])
    }
    if (!isEndFirst) {
      compareText(source, steps, lazy, plain, root, original)
      close()
    }
  }
})()
