// `plugin test DIR`: a plugin on events without a server. Each folder of tests/plugins is run as it is, then tables of
// what plugins do and of what people get wrong.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, describe, test } = require('node:test');
const { ROOT, SLOW, killAll, run, tempDir } = require('../lib/cli.js');

after(killAll);

const PLUGINS = path.join(ROOT, 'tests/plugins');
const NOON = '2022-05-10T12:00:00.000Z';
const EMPTY = { events: [], captured: [], logs: [], http: [], jobs: [], storage: {}, cache: {}, metrics: {}, error: null };

const lines = (events) => events.map((event) => `${typeof event === 'string' ? event : JSON.stringify(event)}\n`).join('');

// Writes the plugin (source, or files by name) and what belongs to it into an empty directory; gives the words.
function words(dir, { source, files = { 'index.js': source }, config, events, fixture, args = [] }) {
  const write = (name, value) => {
    const file = path.join(dir, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
    return file;
  };
  for (const [name, text] of Object.entries(files)) write(`plugin/${name}`, text);
  const all = ['plugin', 'test', path.join(dir, 'plugin'), ...args];
  if (config) all.push('--config', write('config.json', config));
  if (events) all.push('--event', write('events.jsonl', lines(events)));
  if (fixture) all.push('--fixture', write('fixture.json', fixture));
  return all;
}

const start = (t, given) => run(words(tempDir(t), given), { env: given.env });

// The document, of a run that worked.
async function trial(t, given) {
  const p = await start(t, given);
  assert.equal(p.code, 0, p.output);
  if (!given.mayWarn) assert.equal(p.stderr, '');
  return JSON.parse(p.stdout);
}

const event = (properties = {}, more = {}) => ({ event: 'e', distinct_id: 'd', properties, ...more });
const sets = (value) => `event.properties.x = ${value}; return event`;

describe('plugins as they are', () => {
  for (const name of fs.readdirSync(PLUGINS)) {
    test(name, async (t) => {
      const dir = path.join(PLUGINS, name);
      const place = tempDir(t); // where nothing may be left
      const fixture = path.join(dir, 'fixture.json');
      const p = await run(['plugin', 'test', dir, '--config', path.join(dir, 'config.json'), '--event',
        path.join(dir, 'events.jsonl'), '--clock', NOON, ...(fs.existsSync(fixture) ? ['--fixture', fixture] : [])], { cwd: place });
      assert.equal(p.code, 0, p.output);
      const expected = fs.readFileSync(path.join(dir, 'expected.json'), 'utf8');
      // As text: the order of members counts.
      assert.equal(`${JSON.stringify(JSON.parse(p.stdout), null, 2)}\n`, expected);
      assert.deepEqual(fs.readdirSync(place), []);
      assert.ok(p.ms < 2000 * SLOW, `${p.ms} ms: time jumps where nothing is to be done`);
    });
  }
});

describe('export styles', () => {
  const styles = {
    'named': `export function processEvent(event) { ${sets(1)} }`,
    'named, async': `export async function processEvent(event) { await null; ${sets(1)} }`,
    'default': `export default { processEvent(event) { ${sets(1)} } }`,
    'module.exports': `module.exports = { processEvent: (event) => { ${sets(1)} } }`,
    'module.exports.x': `module.exports.processEvent = (event) => { ${sets(1)} }`,
    'exports =': `exports = { processEvent(event) { ${sets(1)} } }`,
    'exports.x': `exports.processEvent = (event) => { ${sets(1)} }`,
    'bare': `function processEvent(event) { ${sets(1)} }`,
    'a batch': `export function processEventBatch([event]) { ${sets(1).replace('return event', 'return [event]')} }`,
  };
  for (const [name, source] of Object.entries(styles))
    test(name, async (t) =>
      assert.deepEqual(await trial(t, { source, events: [event()] }), { ...EMPTY, events: [event({ x: 1 })] }));
});

describe('what becomes of events', () => {
  const table = {
    'nothing changes, also what nobody knows': {
      body: 'return event', in: event({ z: 1, a: null }, { token: 't', timestamp: 'tomorrow', sent_at: '', team_id: 9 }) },
    'nothing is returned': { body: 'event.properties.x = 1', out: null },
    'false is returned': { body: 'return false', out: null },
    'a copy is returned': { body: 'return { ...event, event: "copy" }', out: event({}, { event: 'copy' }) },
    'no event is returned': { body: 'return 7', out: event(), error: /the result is not an event/ },
    'a throw keeps what was done before': { body: 'event.properties.x = 1; throw new TypeError("oh")', out: event({ x: 1 }), error: /^oh$/ },
    'a bare string is thrown': { body: 'throw "text"', out: event(), error: /^text$/ },
    'the team is another': { body: 'event.team_id = 5; event.properties.x = 1; return event', in: event({}, { team_id: 3 }),
      out: event({ x: 1 }, { team_id: 3 }), error: /^Plugin tried to change event\.team_id$/ },
    'what the server knows is there and stays out': {
      body: sets('[event.team_id, event.ip, event.site_url, typeof event.uuid, event.now]'), out: event({ x: [1, null, null, 'string', NOON] }) },
    'unless it is changed': { body: 'event.ip = "192.0.2.1"; event.distinct_id = "new"; return event', out: event({}, { distinct_id: 'new', ip: '192.0.2.1' }) },
    'or was given': { body: 'delete event.ip; event.now = "2020-01-01T00:00:00.000Z"; return event', in: event({}, { ip: '192.0.2.1', now: NOON }),
      out: event({}, { now: '2020-01-01T00:00:00.000Z' }) },
    'snapshots pass by': { body: sets(1), in: event({}, { event: '$snapshot' }) },
    'a fresh object without the team': { body: 'return { event: "bare" }', out: { event: 'bare' }, error: /^Plugin tried to change event\.team_id$/ },
    'a fresh object with it': { body: 'return { event: "bare", team_id: event.team_id }', out: { event: 'bare' } },
  };
  for (const [name, row] of Object.entries(table))
    test(name, async (t) => {
      const input = row.in ?? event();
      const result = await trial(t, { source: `export async function processEvent(event) { ${row.body} }`, events: [input], args: ['--clock', NOON] });
      assert.deepEqual(result.events, ['out' in row ? row.out : input]);
      if (row.error) assert.match(result.error.message, row.error);
      else assert.equal(result.error, null);
      assert.equal(result.logs.length, row.error ? 1 : 0);
    });

  test('one after the other, in order, and the last failure is told', async (t) => {
    const source = `let n = 0;
      export async function processEvent(event) {
        const at = ++n;
        await new Promise((resolve) => setTimeout(resolve, 20 - 5 * at));
        if (n !== at) throw new Error('overtaken');
        if (event.event === 'bad') throw new RangeError('bad ' + at);
        return { ...event, n };
      }`;
    const result = await trial(t, { source, events: [event(), event({}, { event: 'bad' }), event({}, { event: 'bad' }), event()] });
    assert.deepEqual(result.events, [event({}, { n: 1 }), event({}, { event: 'bad' }), event({}, { event: 'bad' }), event({}, { n: 4 })]);
    assert.deepEqual(result.logs, [{ type: 'ERROR', message: 'bad 2' }, { type: 'ERROR', message: 'bad 3' }]);
    assert.equal(result.error.name, 'RangeError');
    assert.equal(result.error.message, 'bad 3');
    assert.match(result.error.stack, /^RangeError: bad 3\n {4}at processEvent \(\/index\.js:6/);
  });

  test('empty lines are none, and the last needs no end', async (t) => {
    const dir = tempDir(t);
    const all = words(dir, { source: 'export const processEvent = (event) => event', events: [] });
    fs.writeFileSync(path.join(dir, 'events.jsonl'), '\n {"event":"a"} \r\n\n{"event":"b"}');
    const p = await run(all);
    assert.deepEqual(JSON.parse(p.stdout).events, [{ event: 'a' }, { event: 'b' }]);
  });
});

describe('what plugins find', () => {
  test('console of every kind', async (t) => {
    const source = 'export function setupPlugin() { for (const m of ["log", "info", "warn", "error", "debug"]) console[m](m, [1], { a: 1 }) }';
    const { logs } = await trial(t, { source });
    assert.deepEqual(logs, ['log', 'info', 'warn', 'error', 'debug'].map((m) => ({ type: m.toUpperCase(), message: `${m} [1] {"a":1}` })));
  });

  test('storage and cache, before and after', async (t) => {
    const source = `export async function processEvent(event, { storage, cache, utils }) {
      event.properties.was = [await storage.get('a'), await storage.get('none', 'x'), await cache.get('c')];
      storage.set('b', { n: event.event }); // not awaited
      await storage.del('gone');
      await utils.cursor.init('cursor', 5); await utils.cursor.init('a', 9);
      event.properties.sum = await utils.cursor.increment('cursor', 2);
      await cache.set('c', { d: 1 }); await cache.set('text', 'plain text', 0, { jsonSerialize: false });
      await cache.lpush('list', ['1', '2']); await cache.incr('n'); await cache.set('short', 1, 5);
      await cache.set('long', 1, 3600);
      await new Promise((resolve) => setTimeout(resolve, 6000));
      return event;
    }`;
    const result = await trial(t, { source, events: [event()], args: ['--clock', NOON],
      fixture: { storage: { a: [1, { b: null }], gone: 1 }, cache: { c: 'before', n: 6, kept: { x: [] } } } });
    assert.deepEqual(result.events[0].properties, { was: [[1, { b: null }], 'x', 'before'], sum: 7 });
    assert.deepEqual(result.storage, { a: [1, { b: null }], b: { n: 'e' }, cursor: 7 });
    assert.deepEqual(result.cache, { c: { d: 1 }, text: 'plain text', list: ['2', '1'], n: 7, kept: { x: [] }, long: 1 });
  });

  test('attachments, beside the fixture', async (t) => {
    const dir = tempDir(t);
    const source = 'export function setupPlugin({ attachments: { db, none } }) { console.log(db.contents.toString(), db.file_name, db.content_type, none) }';
    const all = words(dir, { source, fixture: { attachments: { db: 'sub/rows.csv' } } });
    fs.mkdirSync(path.join(dir, 'sub'));
    fs.writeFileSync(path.join(dir, 'sub/rows.csv'), 'a;b');
    const p = await run(all, { cwd: '/' });
    assert.equal(JSON.parse(p.stdout).logs[0].message, 'a;b rows.csv text/csv undefined');
  });

  test('jobs', async (t) => {
    const source = `export async function setupPlugin({ jobs }) {
      await jobs.now({ a: 1 }).runNow(); await jobs.later().runIn(2, 'hours'); await jobs.then_(null).runAt(new Date(0));
      await jobs.x().runIn(1, 'moons').catch((error) => console.log(error.message));
    }`;
    const { jobs, logs } = await trial(t, { source, args: ['--clock', NOON] });
    assert.deepEqual(jobs, [
      { type: 'now', payload: { a: 1 }, run_at: NOON },
      { type: 'later', payload: null, run_at: '2022-05-10T14:00:00.000Z' },
      { type: 'then_', payload: null, run_at: '1970-01-01T00:00:00.000Z' },
    ]);
    assert.deepEqual(logs, [{ type: 'LOG', message: 'Unknown time unit: moons' }]);
  });

  test('config, with the defaults of the manifest', async (t) => {
    const manifest = { name: 'Named', main: 'src/main.js', config: [{ key: 'a', default: '1' }, { key: 'b', default: '2' }, { markdown: 'text' }] };
    const source = 'export function setupPlugin({ config }) { console.log(config) }';
    const given = { files: { 'plugin.json': manifest, 'src/main.js': source } };
    assert.equal((await trial(t, given)).logs[0].message, '{"a":"1","b":"2"}');
    assert.equal((await trial(t, { ...given, config: { b: 3, c: [1] } })).logs[0].message, '{"b":3,"c":[1],"a":"1"}');
  });

  test('the team of the fixture, else of the first event, else 1', async (t) => {
    const source = `export function processEvent(event) { ${sets('event.team_id')} }`;
    const of = async (given, events) => (await trial(t, { source, events, ...given })).events.map((e) => [e.properties.x, e.team_id]);
    assert.deepEqual(await of({}, [event()]), [[1, undefined]]);
    assert.deepEqual(await of({}, [event(), event({}, { team_id: 4 }), event({}, { team_id: 5 })]), [[4, undefined], [4, 4], [4, 4]]);
    assert.deepEqual(await of({ fixture: { team: { id: 8, api_token: 'phc' } } }, [event({}, { team_id: 4 })]), [[8, 8]]);
  });

  test('one clock for all that tells time', async (t) => {
    const source = `const at = new Date();
      export async function setupPlugin() {
        console.log(at.toISOString(), Date.now(), new Date(0).getTime(), new Date(2022, 0).getMonth(), Date.UTC(1970, 0), Date.parse('1970-01-01'));
        console.log(at instanceof Date, at.constructor === Date, Date.name, Date.length, typeof Date(), class extends Date {}.name, new (class X extends Date {})().getTime());
        await new Promise((resolve) => setTimeout(resolve, 3600 * 1000));
        console.log(new Date().toISOString());
      }`;
    const p = await trial(t, { source, args: ['--clock', NOON], env: { TASK_TIMEOUT: '86400' } });
    const ms = Date.parse(NOON);
    assert.deepEqual(p.logs.map((l) => l.message), [`${NOON} ${ms} 0 0 0 0`, `true true Date 7 string  ${ms}`, '2022-05-10T13:00:00.000Z']);
  });
});

describe('failures of the plugin are results', () => {
  const passes = 'export const processEvent = (event) => event; ';
  const table = {
    'setupPlugin throws': { source: `${passes} export function setupPlugin() { throw new Error('no key') }`, error: { name: 'Error', message: 'no key' },
      logs: ['setupPlugin failed (instance ID plugin-test). Retrying in 5 s.', 'no key'] },
    'setupPlugin never ends': { source: `${passes} export const setupPlugin = () => new Promise(() => {})`, args: ['--clock', NOON], env: { TASK_TIMEOUT: '2' },
      error: { name: 'TimeoutError', message: 'Script execution timed out after promise waited for 2 seconds (plugin, name: setupPlugin, pluginConfigId: 1)' } },
    'teardownPlugin throws': { source: `${passes} export function teardownPlugin() { throw new Error('late') }`, error: { name: 'Error', message: 'late' },
      logs: ['late', 'Plugin failed to unload (instance ID plugin-test).'] },
    'teardownPlugin never ends': { source: `${passes} export const teardownPlugin = () => new Promise(() => {})`, args: ['--clock', NOON],
      error: { name: 'TimeoutError', message: /waited for 30 seconds \(plugin, name: teardownPlugin/ } },
    'the top level throws': { source: 'throw new RangeError("top")', error: { name: 'RangeError', message: 'top' } },
    'the syntax is wrong': { source: 'export function (', error: { name: 'SyntaxError', message: /^\/index\.js: / } },
    'a package is not there': { source: `import x from 'lodash'; ${passes} x()`,
      error: { message: /Cannot import 'lodash'! This package is not provided by PostHog in plugins\./ } },
    'the manifest is broken': { files: { 'index.js': passes, 'plugin.json': '{' },
      error: { message: /^Could not load "plugin\.json" for plugin plugin ID 1 \(organization ID default\): / } },
    'no source': { files: { 'plugin.json': '{}' },
      error: { message: /^No "main" config key or "index\.js" file found for plugin plugin ID 1/ } },
    'main is not there': { files: { 'plugin.json': '{"main":"dist/x.js"}' }, error: { message: /^Could not load source code for .*Tried: dist\/x\.js$/ } },
    'main lies outside': { files: { 'index.js': passes, 'plugin.json': '{"main":"../x.js"}' }, error: { message: /must be a path inside of the plugin/ } },
    'an unhandled rejection': { source: `${passes} export function setupPlugin() { Promise.reject(new Error('unseen')) }`, error: { name: 'Error', message: 'unseen' } },
    'a loop': { source: 'export function processEvent() { for (;;); }', env: { PLUGIN_RUN_TIMEOUT: '0.05' }, count: 5,
      error: { name: 'TimeoutError', message: 'Script execution timed out after looping for 0.05 seconds' } },
    'a promise that never settles': { source: 'export const processEvent = () => new Promise(() => {})', args: ['--clock', NOON], mayWarn: true,
      error: { name: 'TimeoutError', message: 'Script execution timed out after promise waited for 30 seconds (plugin, name: processEvent, pluginConfigId: 1)' } },
    'the same by the real clock': { source: 'export const processEvent = () => new Promise(() => {})', env: { TASK_TIMEOUT: '1' }, mayWarn: true,
      error: { name: 'TimeoutError', message: 'Script execution timed out after promise waited for 1 second (plugin, name: processEvent, pluginConfigId: 1)' } },
    'memory without end': { source: 'const a = []; export function processEvent() { for (;;) a.push("x".repeat(1e5) + a.length) }', env: { PLUGIN_MEMORY_BYTES: '4MiB' },
      error: { name: 'InternalError', message: /^out of memory/ } },
  };
  for (const [name, row] of Object.entries(table))
    test(name, async (t) => {
      const events = Array.from({ length: row.count ?? 1 }, () => event());
      const result = await trial(t, { ...row, events });
      assert.deepEqual(result.events, events); // they pass it by
      assert.deepEqual(Object.keys(result.error), ['name', 'message', 'stack']);
      for (const [member, wanted] of Object.entries(row.error))
        if (wanted instanceof RegExp) assert.match(result.error[member], wanted);
        else assert.equal(result.error[member], wanted);
      if (row.logs) assert.deepEqual(result.logs, row.logs.map((message) => ({ type: 'ERROR', message })));
    });
});

describe('other hooks', () => {
  const source = `
    export async function onEvent(event) { console.log('onEvent', event) }
    export async function onSnapshot(event) { console.log('onSnapshot', event.event); throw new Error('snap') }
    export function exportEvents(events) { console.log('exportEvents', events) }
    export function runEveryMinute({ config }) { console.log('minute', config) }
    export async function runEveryDay() { await null; console.log('day') }
    export const jobs = { work(payload, meta) { console.log('work', payload.config ? 'meta first' : payload, !!meta) } };
    export function teardownPlugin() { console.log('bye') }`;
  const two = [{ event: 'a', n: 1 }, { event: 'b' }];
  const table = [
    ['onEvent', two, ['onEvent {"event":"a","n":1}', 'onEvent {"event":"b"}']],
    ['exportEvents', two, ['exportEvents [{"event":"a","n":1},{"event":"b"}]']],
    ['exportEvents', undefined, ['exportEvents []']],
    ['runEveryMinute', undefined, ['minute {}']],
    ['runEveryDay', two, ['day']],
    ['job:work', [{ p: 1 }], ['work {"p":1} true']],
    ['job:work', ['[1]', '"text"'], ['work [1] true', 'work text true']],
    ['job:work', undefined, ['work meta first false']],
    ['job:work', ['null'], ['work meta first false']],
    ['teardownPlugin', undefined, []],
    [undefined, two, ['onEvent {"event":"a","n":1}', 'onEvent {"event":"b"}']],
    [undefined, undefined, ['minute {}']],
  ];
  for (const [hook, events, said] of table)
    test(`${hook} ${JSON.stringify(events)}`, async (t) => {
      const result = await trial(t, { source, events, args: hook ? ['--hook', hook] : [] });
      assert.deepEqual(result, { ...EMPTY, logs: [...said, 'bye'].map((message) => ({ type: 'LOG', message })) });
    });

  test('their failures', async (t) => {
    const { error, logs } = await trial(t, { source, events: two, args: ['--hook=onSnapshot'] });
    assert.equal(error.message, 'snap');
    assert.deepEqual(logs.map((l) => l.message), ['onSnapshot a', 'snap', 'onSnapshot b', 'snap', 'bye']);
  });

  test('without setupPlugin none is called', async (t) => {
    const result = await trial(t, { source: 'export function setupPlugin() { throw "no" }; export function runEveryHour() { console.log("called") }' });
    assert.deepEqual(result.error, { name: null, message: 'no', stack: null });
    assert.ok(!result.logs.some((l) => l.message === 'called'));
  });

  test('a job, when there is nothing else', async (t) => {
    const result = await trial(t, { source: 'export const jobs = { only: () => console.log("done") }' });
    assert.deepEqual(result, { ...EMPTY, logs: [{ type: 'LOG', message: 'done' }] });
  });

  test('nothing, when there is nothing', async (t) => assert.deepEqual(await trial(t, { source: '', events: two }), EMPTY));
});

describe('what is asked for wrongly', () => {
  const source = 'export const processEvent = (event) => event; export const jobs = { a() {} }';
  const table = {
    'no such directory': [{ args: [] }, /there is no directory .*\/nowhere$/, (all) => all.with(2, path.join(all[2], 'nowhere'))],
    'no directory': [{}, /index\.js is no directory$/, (all) => all.with(2, path.join(all[2], 'index.js'))],
    'no word': [{}, /say `plugin test DIR /, (all) => all.slice(0, 2)],
    'too many words': [{ args: ['more'] }, /say `plugin test DIR /],
    'the config is broken': [{ config: '{\n"a":1,\n}' }, /--config: .*config\.json: line 3, column 1: /],
    'the config is a list': [{ config: [] }, /--config: .*config\.json: line 1: must be an object$/],
    'no config': [{ args: ['--config', '/nonexistent/c'] }, /--config: open \/nonexistent\/c/],
    'an event is broken': [{ events: [event(), '{"event":'] }, /--event: .*events\.jsonl: line 2: /],
    'an event is no object': [{ events: [event(), event(), '[]'] }, /--event: .*events\.jsonl: line 3: an event must be a JSON object$/],
    'no events': [{ args: ['--event', '/nonexistent/e'] }, /--event: open \/nonexistent\/e/],
    'a payload is broken': [{ events: ['{'], args: ['--hook', 'job:a'] }, /line 1: /],
    'the fixture is broken': [{ fixture: 'x' }, /--fixture: .*fixture\.json: line 1, column 1: /],
    'storage is a text': [{ fixture: { storage: 'x' } }, /--fixture: .*fixture\.json: \/storage: must be an object$/],
    'storage is a list': [{ fixture: { storage: [] } }, /\/storage: must be an object$/],
    'http is an object': [{ fixture: { http: {} } }, /\/http: must be a list$/],
    'the team is a text': [{ fixture: { team: { id: '1' } } }, /\/team\/id: must be a whole number from 1$/],
    'an attachment is not there': [{ fixture: { attachments: { db: 'none' } } }, /The attachment "db" cannot be read: open .*\/none/],
    'an attachment is a number': [{ fixture: { attachments: { db: 1 } } }, /\/attachments\/db: must be the path of a file$/],
    'the clock': [{ args: ['--clock', 'noon'] }, /--clock must be a time as 2022-05-10T12:00:00Z, not noon$/],
    'a hook that nobody has': [{ args: ['--hook', 'onMonday'] }, /--hook: there is no hook onMonday; it is processEvent, onEvent, /],
    'a hook that it has not': [{ args: ['--hook', 'onEvent'] }, /--hook: the plugin has no onEvent; it has processEvent, job:a$/],
    'a job that it has not': [{ args: ['--hook', 'job:b'] }, /--hook: the plugin has no job:b; it has processEvent, job:a$/],
  };
  for (const [name, [given, says, change]] of Object.entries(table))
    test(name, async (t) => {
      const all = words(tempDir(t), { source, ...given });
      const p = await run(change ? change(all) : all);
      assert.equal(p.code, 1, p.output);
      assert.equal(p.stdout, '');
      assert.match(p.stderr, /^hedgerow plugin test: .*\n$/); // one line
      assert.match(p.stderr.trim(), says);
    });

  test('members of a fixture that nobody knows are named', async (t) => {
    const p = await start(t, { source, fixture: { storge: {}, http: [] } });
    assert.equal(p.code, 0, p.output);
    assert.match(p.stderr, /^warning: --fixture: \/storge is not known and ignored\n$/);
    assert.deepEqual(JSON.parse(p.stdout), EMPTY);
  });
});

test('no data directory is made or looked at', async (t) => {
  const dir = tempDir(t), place = tempDir(t);
  const all = words(dir, { source: 'export const processEvent = (event) => event', events: [event()] });
  const p = await run(all, { cwd: place, env: { DATA_DIR: '/proc/nowhere', LOG_LEVEL: 'debug' } });
  assert.equal(p.code, 0, p.output);
  assert.deepEqual(JSON.parse(p.stdout).events, [event()]); // and nothing else stands there
  assert.deepEqual(fs.readdirSync(place), []);
  assert.deepEqual(fs.readdirSync(dir).sort(), ['events.jsonl', 'plugin']);
});
