// Plugins on the road: provision file -> chain -> stored rows, order per distinct id, limits, bad plugins, reload under load.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { killAll, startHedgerow, waitFor } = require('../lib/hedgerow.js');

after(killAll);

const tokenOf = (team) => `phc_team_${team}`;

// Teams with their chains: { 1: ['source', { source, config, order, name }, …], … } -> a provision object. Plugin and
// config are named "tTEAM-NUMBER" unless they say how.
function provisionOf(chains) {
  const teams = Object.keys(chains).map((id) => ({ id: Number(id), name: `Team ${id}`, api_token: tokenOf(id) }));
  const plugins = [];
  const plugin_configs = [];
  for (const [team, chain] of Object.entries(chains)) {
    chain.forEach((entry, i) => {
      const p = typeof entry === 'string' ? { source: entry } : entry;
      const name = p.name ?? `t${team}-${i + 1}`;
      plugins.push({ name, ...(p.dir ? { source: `dir:${p.dir}` } : { source: 'inline', files: { 'index.js': p.source, 'plugin.json': JSON.stringify({ name }) } }) });
      plugin_configs.push({ plugin: name, team: Number(team), order: p.order ?? i + 1, enabled: p.enabled ?? true, config: p.config ?? {} });
    });
  }
  return { teams, plugins, plugin_configs };
}

async function send(server, team, events) {
  const { status, text } = await server.post('/batch/', { api_key: tokenOf(team), batch: events });
  assert.equal(status, 200, text);
}

const settled = (server, timeoutMs = 60000) => waitFor(async () => {
  const { json } = await server.admin('/api/status');
  return json.queue.lag_events === 0 && json.pipeline.in_flight === 0;
}, { timeoutMs, what: 'everything is stored' });

const rowsOf = (server, team) => server.sql(
  `SELECT event, distinct_id, properties FROM v_events WHERE team_id = ${team} ORDER BY id`)
  .map((row) => ({ ...row, properties: JSON.parse(row.properties) }));

// Properties without what the road itself adds; the markers with names only.
function stripped({ $ip, $plugins_succeeded, $plugins_failed, $plugins_deferred, ...rest }) {
  return rest;
}
const namesOf = (list) => list?.map((text) => text.replace(/ \(\d+\)$/, ''));
const markersOf = (row) => row.properties.$plugins_succeeded && [row.properties.$plugins_succeeded,
  row.properties.$plugins_failed, row.properties.$plugins_deferred].map(namesOf);

async function configOf(server, name) {
  const { json } = await server.admin('/api/plugins');
  return json.plugins.find((p) => p.name === name).configs[0];
}

const logsOf = (server, team) => server.sql(
  `SELECT source, type, message FROM v_plugin_logs WHERE team_id = ${team} ORDER BY at`);
const logged = (server, team, pattern) => waitFor(() => logsOf(server, team).some((e) => pattern.test(e.message)),
  { what: `team ${team} logs ${pattern}` });

const ADD = (name, value) => `export function processEvent(event) { event.properties.${name} = ${value}; return event }`;

// --- the chain --------------------------------------------------------------------------------------------------------

describe('a chain', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'hedgerow-plugins-'));
  fs.mkdirSync(path.join(dir, 'src'));
  fs.writeFileSync(path.join(dir, 'plugin.json'), JSON.stringify({ name: 'from a directory', main: 'src/main.js' }));
  fs.writeFileSync(path.join(dir, 'src/main.js'), ADD('dir', '1'));

  const cases = {
    1: {
      what: 'runs in its order, each plugin on what the one before made',
      chain: [{ source: ADD('b', 'event.properties.a + 1'), order: 2 }, { source: ADD('a', '1'), order: 1 }],
      properties: { x: 0, a: 1, b: 2 },
      markers: [['t1-2', 't1-1'], [], []],
    },
    2: {
      what: 'takes plugins from a directory',
      chain: [{ dir }],
      properties: { x: 0, dir: 1 },
      markers: [['t2-1'], [], []],
    },
    3: {
      what: 'ends with null: the event is dropped',
      chain: ['export function processEvent(e) { return e.event === "e" ? null : e }', ADD('a', '1')],
      properties: null,
    },
    4: {
      what: 'keeps what was done before a throw, and goes on',
      chain: ['export function processEvent(e) { e.properties.half = 1; throw new Error("on purpose") }', ADD('a', '1')],
      properties: { x: 0, half: 1, a: 1 },
      markers: [['t4-2'], ['t4-1'], []],
      error: /on purpose/,
    },
    5: {
      what: 'puts a changed team_id back',
      chain: ['export function processEvent(e) { e.team_id = 1; e.properties.a = 1; return e }'],
      properties: { x: 0, a: 1 },
      markers: [[], ['t5-1'], []],
      error: /Plugin tried to change event.team_id/,
    },
    6: {
      what: 'loses the markers with a copy',
      chain: ['export function processEvent(e) { return { ...e, properties: { ...e.properties, a: 1 } } }', ADD('b', '2')],
      properties: { x: 0, a: 1, b: 2 },
    },
    7: {
      what: 'names those that look at the event later',
      chain: ['export function onEvent() {}', 'export function processEvent(e) { return e }\nexport function onSnapshot() {}'],
      properties: { x: 0 },
      markers: [['t7-2'], [], ['t7-1', 't7-2']],
    },
    8: {
      what: 'awaits',
      chain: [`export async function processEvent(e) {
        await new Promise((done) => setTimeout(done, 20)); e.properties.a = 1; return e }`, ADD('b', '2')],
      properties: { x: 0, a: 1, b: 2 },
      markers: [['t8-1', 't8-2'], [], []],
    },
    9: {
      what: 'hands over config and global, sets up first',
      chain: [{ source: `export async function setupPlugin({ config, global }) {
          await new Promise((done) => setTimeout(done, 30)); global.word = config.word.toUpperCase() }
        export function processEvent(e, { global }) { e.properties.word = global.word; return e }`, config: { word: 'hello' } }],
      properties: { x: 0, word: 'HELLO' },
      markers: [['t9-1'], [], []],
    },
    10: {
      what: 'passes by what is disabled or cannot be loaded',
      chain: [{ source: ADD('off', '1'), enabled: false }, 'export function (', 'import x from "no-such-module"', ADD('a', '1')],
      properties: { x: 0, a: 1 },
      markers: [['t10-4'], [], []],
    },
    11: {
      what: 'passes by what failed to set up',
      chain: ['export function setupPlugin() { throw "no key" }\nexport function processEvent() { return null }', ADD('a', '1')],
      properties: { x: 0, a: 1 },
      markers: [['t11-2'], [], []],
      error: /no key/,
    },
    12: {
      what: 'may change whose event it is',
      chain: ['export function processEvent(e) { e.distinct_id = "other"; e.event = "renamed"; return e }'],
      properties: { x: 0 },
      markers: [['t12-1'], [], []],
      row: { distinct_id: 'other', event: 'renamed' },
    },
    13: {
      what: 'leaves recordings alone',
      chain: ['export function processEvent() { return null }'],
      event: '$snapshot',
      sent: { $snapshot_data: {}, $session_id: 's' },
      properties: null,
    },
    14: {
      what: 'is not there for a team without plugins',
      chain: [],
      properties: { x: 0 },
    },
  };
  let server;

  before(async () => {
    server = await startHedgerow({
      provision: provisionOf(Object.fromEntries(Object.entries(cases).map(([id, c]) => [id, c.chain]))) });
    for (const [team, c] of Object.entries(cases))
      await send(server, team, [{ event: c.event ?? 'e', distinct_id: 'd', properties: { x: 0, ...c.sent } }]);
    await settled(server);
  });
  after(async () => {
    await server.stop();
    fs.rmSync(dir, { recursive: true });
  });

  for (const [team, c] of Object.entries(cases)) {
    test(c.what, async () => {
      const rows = rowsOf(server, team);
      assert.equal(rows.length, c.properties ? 1 : 0);
      if (!c.properties) return;
      assert.deepEqual(stripped(rows[0].properties), c.properties);
      assert.deepEqual(markersOf(rows[0]), c.markers);
      for (const [name, value] of Object.entries(c.row ?? {})) assert.equal(rows[0][name], value);
      if (c.error) {
        assert.match((await configOf(server, `t${team}-1`)).error.message, c.error);
        await waitFor(() => logsOf(server, team).some((e) => e.source === 'PLUGIN' && e.type === 'ERROR' && c.error.test(e.message)));
      }
    });
  }

  test('counts what it did', async () => {
    const { calls, errors, phase, error } = await configOf(server, 't4-1');
    assert.deepEqual({ calls, errors, phase }, { calls: 1, errors: 1, phase: 'ready' });
    assert.equal(error.name, 'Error');
    assert.equal(error.event.properties.half, 1);
    assert.equal((await configOf(server, 't3-1')).dropped, 1);
    assert.equal((await configOf(server, 't10-2')).phase, 'failed');
    assert.equal((await configOf(server, 't11-1')).phase, 'retrying');
    assert.match((await configOf(server, 't10-3')).error.message, /Cannot import 'no-such-module'/);
    await logged(server, 11, /^setupPlugin failed \(instance ID .*\)\. Retrying in 5 s\.$/);
  });
});

// --- awaiting ---------------------------------------------------------------------------------------------------------

// Per distinct id the numbers go up, and each is there once.
function assertInOrder(rows, ids, perId) {
  const next = new Map();
  assert.equal(rows.length, ids * perId);
  for (const row of rows) {
    const expected = next.get(row.distinct_id) ?? 0;
    assert.equal(row.properties.n, expected, `of ${row.distinct_id}`);
    next.set(row.distinct_id, expected + 1);
  }
  assert.equal(next.size, ids);
}

const numbered = (ids, perId) => Array.from({ length: ids * perId }, (_, i) => (
  { event: 'e', distinct_id: `d${i % ids}`, properties: { n: Math.floor(i / ids) } }));

async function sendAll(server, team, events, size = 500) {
  for (let i = 0; i < events.length; i += size) await send(server, team, events.slice(i, i + size));
}

test('keeps the order of each distinct id across awaits', async () => {
  const source = `export async function processEvent(e) {
    const left = (e.properties.n * 7 + Number(e.distinct_id.slice(1))) % 13;
    if (left) await new Promise((done) => setTimeout(done, left));
    e.properties.waited = left;
    return e;
  }`;
  const server = await startHedgerow({ provision: provisionOf({ 1: [source, ADD('second', 'event.properties.waited')] }),
    env: { WORKER_CONCURRENCY: '2' } });
  await sendAll(server, 1, numbered(200, 15));
  await settled(server);
  const rows = rowsOf(server, 1);
  assertInOrder(rows, 200, 15);
  assert.ok(rows.every((row) => row.properties.second === row.properties.waited));
  await server.stop();
});

test('2,000 events await at once, and each thread has its limit', async () => {
  const source = `let inside = 0, most = 0;
  export async function processEvent(e) {
    most = Math.max(most, ++inside);
    await new Promise((done) => setTimeout(done, 1000));
    inside--;
    e.properties.most = most;
    return e;
  }`;
  const server = await startHedgerow({ provision: provisionOf({ 1: [source], 2: [ADD('a', '1')] }),
    env: { WORKER_CONCURRENCY: '1', AWAITING_EVENTS_PER_TEAM: '2000' } });
  const started = Date.now();
  await sendAll(server, 1, numbered(2500, 1));
  // Another team's events pass them.
  await send(server, 2, [{ event: 'e', distinct_id: 'd' }]);
  await waitFor(() => rowsOf(server, 2).length === 1);
  await settled(server);
  const rows = rowsOf(server, 1);
  assertInOrder(rows, 2500, 1);
  const most = Math.max(...rows.map((row) => row.properties.most));
  assert.ok(most > 1000 && most <= 2000, `${most} at once`);
  assert.ok(Date.now() - started < 30000);
  await server.stop();
});

test('a team has no more than its places; what waits for one starts in order', async () => {
  const source = `let inside = 0, started = 0;
  export async function processEvent(e) {
    e.properties.started = started++;
    e.properties.inside = ++inside;
    await new Promise((done) => setTimeout(done, 5));
    inside--;
    return e;
  }`;
  const server = await startHedgerow({ provision: provisionOf({ 1: [source] }),
    env: { WORKER_CONCURRENCY: '1', AWAITING_EVENTS_PER_TEAM: '10' } });
  await sendAll(server, 1, Array.from({ length: 300 }, (_, i) => ({ event: 'e', distinct_id: `d${i}`, properties: { i } })));
  await settled(server);
  const rows = rowsOf(server, 1);
  assert.equal(rows.length, 300);
  assert.equal(Math.max(...rows.map((row) => row.properties.inside)), 10);
  assert.ok(rows.every((row) => row.properties.started === row.properties.i));
  await server.stop();
});

// --- reload -----------------------------------------------------------------------------------------------------------

test('SIGUSR1 under load takes the new plugins and loses, doubles and reorders nothing', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'hedgerow-reload-'));
  const write = (version) => fs.writeFileSync(path.join(dir, 'index.js'), `
    export async function processEvent(e) {
      if (e.properties.n % 3) await new Promise((done) => setTimeout(done, (e.properties.n * 5) % 9));
      e.properties.version = ${version};
      return e;
    }
    export function teardownPlugin() { console.log('version ${version} ends') }`);
  write(0);
  fs.writeFileSync(path.join(dir, 'plugin.json'), '{"name":"versions"}');
  const server = await startHedgerow({ provision: provisionOf({ 1: [{ dir }, ADD('kept', '(globalThis.count = (globalThis.count || 0) + 1)')] }),
    env: { WORKER_CONCURRENCY: '2' } });
  const IDS = 100;
  let sent = 0;
  let isOver = false;
  const sending = (async () => {
    for (; !isOver; sent++)
      await send(server, 1, numbered(IDS, 1).map((e) => ({ ...e, properties: { n: sent } })));
  })();
  await waitFor(() => rowsOf(server, 1).length > 0);
  for (let version = 1; version <= 8; version++) {
    const before = sent;
    write(version);
    process.kill(server.pid, 'SIGUSR1');
    await waitFor(() => sent > before + 1);
    await waitFor(() => rowsOf(server, 1).some((row) => row.properties.version === version));
  }
  isOver = true;
  await sending;
  await settled(server);
  const rows = rowsOf(server, 1);
  assertInOrder(rows, IDS, sent);
  for (const version of [0, 4, 7]) await logged(server, 1, new RegExp(`version ${version} ends`));
  // Versions follow each other for each distinct id; the plugin that did not change kept its context.
  const last = new Map();
  for (const row of rows) {
    assert.ok(row.properties.version >= (last.get(row.distinct_id) ?? 0));
    last.set(row.distinct_id, row.properties.version);
  }
  assert.ok(Math.max(...rows.map((row) => row.properties.kept)) > rows.length / 4);
  await server.stop();
  fs.rmSync(dir, { recursive: true });
});

// --- bad plugins ------------------------------------------------------------------------------------------------------

describe('a bad plugin', () => {
  const bad = {
    loops: ['for (;;);', /timed out/],
    'loops behind an await': ['await 0; for (;;);', /timed out/],
    'loops in native code': ['const a = []; a.length = 2 ** 32 - 1; a.forEach((x) => x)', /timed out/],
    'loops in a regular expression': ['/^(a+)+$/.test("a".repeat(60) + "b")', /timed out/],
    'allocates without end': ['const a = []; for (;;) a.push(new Array(1000).fill(0))', /out of memory/i],
    'makes an endless string': ['let s = "x"; for (;;) s += s', /./],
    recurses: ['(function f() { f() })()', /stack|recursion/i],
    'throws a string': ['throw "just text"', /^just text$/],
    'throws null': ['throw null', /null/],
    'throws undefined': ['throw undefined', /undefined/],
    'throws a getter': ['throw { get message() { throw 1 } }', /./],
    'throws a looping getter': ['throw { get message() { for (;;); } }', /./],
    'never resolves': ['await new Promise(() => 0)', /timed out after promise waited/],
    rejects: ['await Promise.reject(new RangeError("no"))', /^no$/],
    'returns a number': ['return 5', /object/],
    'returns a string': ['return "text"', /object/],
    'returns true': ['return true', /object/],
    'returns an array': ['return [event]', /object/],
    'returns a cycle': ['event.properties.self = event; return event', /cycl|circular|deep/i],
    'returns a deep object': ['let o = {}; for (let i = 0; i < 5000; i++) o = { o }; return { ...event, o }', /deep/i],
    'returns a throwing getter': ['return { ...event, get x() { throw new Error("got") } }', /got/],
    'returns too much': ['return { ...event, x: "x".repeat(30e6) }', /large|memory|bytes/i],
    'returns a BigInt': ['return { ...event, x: 1n }', /BigInt/i],
    'calls what is not there': ['process.exit(1)', /process/],
  };
  // Damage to its own world: the call itself is well.
  const spoilt = {
    'rewrites Object.prototype': `Object.prototype.toString = () => { throw 1 }; Object.prototype.event = 'x';
      Object.defineProperty(Object.prototype, 'properties', { set() { throw 1 }, get() { return 5 } }); return event`,
    'rewrites Array.prototype': 'Array.prototype.push = Array.prototype.map = () => { throw 1 }; return event',
    'rewrites Promise': 'Promise.prototype.then = () => { throw 1 }; globalThis.Promise = null; return event',
    'freezes the event': 'Object.freeze(event); Object.freeze(event.properties); return event',
  };
  const names = [...Object.keys(bad), ...Object.keys(spoilt)];
  const HEALTHY = names.length + 1;
  let server;

  before(async () => {
    const chains = { [HEALTHY]: [ADD('a', '1')] };
    names.forEach((name, i) => {
      const body = (bad[name] ?? [spoilt[name]])[0];
      chains[i + 1] = [`export async function processEvent(event) { ${body} }`, ADD('next', '1')];
    });
    server = await startHedgerow({ provision: provisionOf(chains),
      env: { PLUGIN_RUN_TIMEOUT: '1', TASK_TIMEOUT: '2', PLUGIN_MEMORY_BYTES: '8MiB', WORKER_CONCURRENCY: '2' } });
    for (let i = 0; i < names.length; i++) {
      await send(server, i + 1, [{ event: 'e', distinct_id: 'd', properties: { x: 0 } }]);
      await send(server, HEALTHY, [{ event: 'e', distinct_id: `d${i}`, properties: { n: 0 } }]);
    }
    await settled(server);
  });
  after(() => server.stop());

  names.forEach((name, i) => {
    test(name, async () => {
      const rows = rowsOf(server, i + 1);
      assert.equal(rows.length, 1);
      assert.deepEqual({ ...stripped(rows[0].properties), self: undefined }, { x: 0, next: 1, self: undefined });
      const config = await configOf(server, `t${i + 1}-1`);
      if (!bad[name]) return assert.equal(config.errors, 0, JSON.stringify(config.error));
      assert.equal(config.errors, 1);
      assert.match(config.error.message, bad[name][1]);
      assert.deepEqual(markersOf(rows[0]), [[`t${i + 1}-2`], [`t${i + 1}-1`], []]);
      await waitFor(() => logsOf(server, i + 1).some((e) => e.type === 'ERROR' && bad[name][1].test(e.message)));
    });
  });

  test('does not touch another team', async () => {
    assertInOrder(rowsOf(server, HEALTHY), names.length, 1);
    assert.ok(rowsOf(server, HEALTHY).every((row) => row.properties.a === 1));
    const config = await configOf(server, `t${HEALTHY}-1`);
    assert.equal(config.calls, names.length);
    assert.equal(config.errors, 0);
    assert.equal(server.how, undefined);
  });
});

test('a plugin that loops again and again is taken off the chain for a while', async () => {
  const source = `export function processEvent(e) { if (e.properties.loop) for (;;); e.properties.a = 1; return e }`;
  const server = await startHedgerow({ provision: provisionOf({ 1: [source] }),
    env: { PLUGIN_RUN_TIMEOUT: '0.2', PLUGIN_CIRCUIT_FAILURES: '3', PLUGIN_CIRCUIT_SECONDS: '2', WORKER_CONCURRENCY: '1' } });
  const one = async (properties) => {
    await send(server, 1, [{ event: 'e', distinct_id: 'd', properties }]);
    await settled(server);
    return rowsOf(server, 1).at(-1);
  };
  for (let i = 0; i < 3; i++) assert.deepEqual(markersOf(await one({ loop: 1 })), [[], ['t1-1'], []]);
  const open = await configOf(server, 't1-1');
  assert.equal(open.circuit, 'open');
  assert.match(open.circuit_why, /3 calls in a row/);
  const passed = await one({ loop: 1 });
  assert.equal(markersOf(passed), undefined);
  assert.equal((await configOf(server, 't1-1')).calls, 3);
  await logged(server, 1, /^Plugin taken off the chain: 3 calls in a row .* then it is tried again/);
  await waitFor(() => new Date(open.circuit_until) < new Date());
  assert.equal((await one({})).properties.a, 1);
  assert.equal((await configOf(server, 't1-1')).circuit, 'closed');
  await logged(server, 1, /back on the chain/);
  await server.stop();
});

test('stopping tears plugins down and keeps what awaits for the next start', async () => {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'hedgerow-plugin-stop-'));
  const source = (ms) => `export async function processEvent(e) {
      await new Promise((done) => setTimeout(done, e.properties.wait ? ${ms} : 0)); e.properties.a = 1; return e }
    export async function teardownPlugin() { await 0; console.log('torn down') }`;
  const env = { TASK_TIMEOUT: '60' };
  let server = await startHedgerow({ dataDir, provision: provisionOf({ 1: [source(60000)] }), env });
  await send(server, 1, [{ event: 'quick', distinct_id: 'q' }]);
  await waitFor(() => rowsOf(server, 1).length === 1);
  await send(server, 1, [{ event: 'slow', distinct_id: 's', properties: { wait: 1 } }, { event: 'behind', distinct_id: 's' }]);
  await waitFor(async () => (await server.admin('/api/status')).json.pipeline.in_flight === 2);
  await server.stop({ keep: true });
  assert.deepEqual(rowsOf(server, 1).map((row) => row.event), ['quick']);
  assert.ok(logsOf(server, 1).some((e) => e.message === 'torn down'));
  assert.ok(logsOf(server, 1).some((e) => /^Plugin unloaded \(instance ID .*\)\.$/.test(e.message)));
  server = await startHedgerow({ dataDir, provision: provisionOf({ 1: [source(1)] }), env });
  await settled(server);
  assert.deepEqual(rowsOf(server, 1).map((row) => [row.event, row.properties.a]), [['quick', 1], ['slow', 1], ['behind', 1]]);
  await server.stop();
  fs.rmSync(dataDir, { recursive: true });
});
