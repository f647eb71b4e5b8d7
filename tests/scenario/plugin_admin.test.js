// Plugins as an operator sees them: adding, listing, switching, reloading, logs, defaults of the manifest, GeoIP for new
// teams, what survives a restart and what a broken plugin does (nothing but tell).
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { startHedgerow, waitFor } = require('../lib/hedgerow.js');
const { ROOT, killAll, launch, run, tempDir } = require('../lib/cli.js');

after(killAll);

const TEAMS = [1, 2].map((id) => ({ id, name: `Team ${id}`, api_token: `phc_${id}` }));
const CITY = path.join(ROOT, 'build/vendor/geoip-test-data/test-data/GeoIP2-City-Test.mmdb');
const ADDRESS = '89.160.20.129'; // Linköping in that database

// A plugin that sets a property on every event.
const setter = (name, value = JSON.stringify(name)) =>
  `export function processEvent(event) { event.properties.${name} = ${value}; return event }\n`;

function writePlugin(dir, files) {
  fs.mkdirSync(dir, { recursive: true });
  for (const [name, text] of Object.entries(files))
    fs.writeFileSync(path.join(dir, name), typeof text === 'string' ? text : JSON.stringify(text));
  return dir;
}

const cliEnv = (server) => ({ DATA_DIR: server.dataDir });

async function plugin(server, args, options = {}) {
  return run(['plugin', ...args], { env: cliEnv(server), ...options });
}

async function pluginOk(server, args, options) {
  const p = await plugin(server, args, options);
  assert.equal(p.code, 0, p.output);
  return p;
}

const list = async (server) => (await server.admin('/api/plugins')).json.plugins;
const configOf = async (server, name, team = 1) =>
  (await list(server)).find((p) => p.name === name)?.configs.find((c) => c.team_id === team);
const post = (server, target, body) => server.admin(target, { method: 'POST', body: body ?? '' });

async function send(server, event, { token = 'phc_1', id = 'me', properties = {}, ip = ADDRESS } = {}) {
  const answer = await server.post('/capture/', { api_key: token, event, distinct_id: id, properties }, { 'X-Forwarded-For': ip });
  assert.equal(answer.status, 200, answer.text);
}

const stored = (server, event) =>
  server.sql(`SELECT properties FROM v_events WHERE event = '${event}' ORDER BY id`).map((row) => JSON.parse(row.properties));

// Sends one event and gives its stored properties.
async function through(server, event, options) {
  await send(server, event, options);
  return (await waitFor(() => stored(server, event).length && stored(server, event)))[0];
}

describe('the command line', () => {
  let server, dir;
  before(async () => {
    server = await startHedgerow({ provision: { teams: TEAMS } });
    dir = fs.mkdtempSync(path.join(server.dataDir, 'plugins-'));
  });
  after(() => server.stop());

  test('a plugin of a directory, named relative to where one is', async () => {
    writePlugin(path.join(dir, 'mine'), { 'index.js': setter('mine'), 'plugin.json': { description: 'sets mine' } });
    const added = await pluginOk(server, ['add', 'mine', '--source', 'dir:mine', '--team', '1'], { cwd: dir });
    assert.match(added.stdout, /^\d+ +1 +0 +idle .* mine \(dir:\/.*mine\)$/m);
    assert.equal((await through(server, 'dir')).mine, 'mine');
    assert.equal((await through(server, 'dir2', { token: 'phc_2' })).mine, undefined);
    const [one] = (await list(server)).filter((p) => p.name === 'mine');
    assert.equal(one.source, `dir:${fs.realpathSync(dir)}/mine`);
    assert.equal(one.builtin, false);
    assert.equal(one.about, 'sets mine');
    assert.equal(one.configs.length, 1);
    const [config] = one.configs;
    assert.deepEqual([config.team_id, config.order, config.enabled, config.phase, config.circuit, config.calls, config.errors, config.error],
      [1, 0, true, 'ready', 'closed', 1, 0, null]);
    assert.ok(config.memory_bytes > 0 && config.cpu_ms > 0 && config.p50_us <= config.p99_us);
  });

  test('a file kept inline goes behind what is there, and its order can be changed', async () => {
    fs.writeFileSync(path.join(dir, 'last.js'), 'export function processEvent(e) { e.properties.seen = e.properties.mine ?? null; return e }');
    const added = await pluginOk(server, ['add', 'last', '--source', 'inline', path.join(dir, 'last.js'), '--team=1', '--json']);
    const { plugin: answer } = JSON.parse(added.stdout);
    assert.equal(answer.configs[0].order, 1);
    assert.equal((await through(server, 'inline')).seen, 'mine');
    await pluginOk(server, ['add', 'last', '--source', 'inline', path.join(dir, 'last.js'), '--team', '1', '--order', '-1']);
    const config = await configOf(server, 'last');
    assert.deepEqual([config.id, config.order], [answer.configs[0].id, -1]);
    assert.equal((await through(server, 'inline first')).seen, null);
  });

  test('switched off and on by name and by id', async () => {
    const { id } = await configOf(server, 'mine');
    assert.match((await pluginOk(server, ['disable', 'mine'])).stdout, new RegExp(`^plugin config ${id} is disabled$`, 'm'));
    assert.equal((await through(server, 'off')).mine, undefined);
    assert.match((await pluginOk(server, ['list'])).stdout, new RegExp(`^${id} +1 +0 +disabled .* mine `, 'm'));
    assert.equal((await configOf(server, 'mine')).enabled, false);
    await pluginOk(server, ['disable', String(id)]); // again: nothing
    assert.equal(JSON.parse((await pluginOk(server, ['enable', String(id), '--json'])).stdout).config.enabled, true);
    assert.equal((await through(server, 'on')).mine, 'mine');
  });

  test('the log, oldest first, as lines or JSON, followed', async () => {
    const talk = writePlugin(path.join(dir, 'talk'), {
      'index.js': 'export function processEvent(e) { console.warn("saw", e.event, { a: 1 }); if (e.event === "bad") throw new Error("no good"); return e }' });
    await pluginOk(server, ['add', 'talk', '--source', `dir:${talk}`, '--team', '1']);
    const { id } = await configOf(server, 'talk');
    for (const event of ['log1', 'bad', 'log2']) await through(server, event);
    const lines = await waitFor(async () => {
      const { stdout } = await pluginOk(server, ['logs', 'talk']);
      return stdout.includes('saw log2') && stdout.trim().split('\n');
    });
    const kinds = lines.map((line) => /^\d{4}-\d\d-\d\dT[\d:.]+Z {2}(\d+) +(\w+) +(\w+) +(.*)$/.exec(line).slice(1));
    assert.ok(kinds.every(([config]) => config === String(id)));
    assert.deepEqual(kinds.filter(([, source]) => source !== 'SYSTEM').map(([, ...rest]) => rest), [
      ['CONSOLE', 'WARN', 'saw log1 {"a":1}'], ['CONSOLE', 'WARN', 'saw bad {"a":1}'], ['PLUGIN', 'ERROR', 'no good'],
      ['CONSOLE', 'WARN', 'saw log2 {"a":1}']]);
    const last = JSON.parse((await pluginOk(server, ['logs', String(id), '--limit', '1', '--json'])).stdout);
    assert.deepEqual([last.plugin_config_id, last.team_id, last.message], [id, 1, 'saw log2 {"a":1}']);
    assert.deepEqual((await server.admin(`/api/plugins/logs?config=${id}&type=ERROR`)).json.entries.map((e) => e.message), ['no good']);
    assert.deepEqual((await server.admin(`/api/plugins/logs?team=2`)).json.entries, []);
    const before = await server.admin(`/api/plugins/logs?config=${id}&before=${last.id}&limit=1`);
    assert.equal(before.json.entries[0].message, 'no good');
    const follow = launch(['plugin', 'logs', 'talk', '--follow', '--limit', '1'], { env: cliEnv(server) });
    await follow.says('saw log2');
    await send(server, 'later');
    await follow.says('saw later');
    await follow.signalled('SIGTERM');
    assert.doesNotMatch(follow.stdout, /saw log1/);
    // The last failure stays with the config and is listed.
    assert.match((await pluginOk(server, ['list'])).stdout, /Z: no good/);
    assert.equal((await configOf(server, 'talk')).error.message, 'no good');
  });

  test('what cannot be done is told, and changes nothing', async () => {
    fs.writeFileSync(path.join(dir, 'x.js'), setter('x'));
    const inline = ['--source', 'inline', path.join(dir, 'x.js')];
    const before = await list(server);
    for (const [args, text] of [
      [['add', 'x'], /--source dir:PATH/],
      [['add', '--source', 'dir:.'], /--source dir:PATH/],
      [['add', 'x', '--source', 'inline'], /inline FILE/],
      [['add', 'x', '--source', 'inline', '/nonexistent.js', '--team', '1'], /nonexistent/],
      [['add', 'x', '--source', 'dir:/nonexistent', '--team', '1'], /no such directory/],
      [['add', 'x', '--source', 'npm:x', '--team', '1'], /\/source: must be builtin:NAME, dir:PATH/],
      [['add', 'x', ...inline], /\/team: there are 2 teams/],
      [['add', 'x', ...inline, '--team', '7'], /\/team: there is no team 7/],
      [['add', 'x', ...inline, '--team', 'one'], /--team must be a whole number/],
      [['add', 'x', ...inline, '--team', '1', '--order', '1.5'], /--order must be a whole number/],
      [['add', 'x', ...inline, '--team', '1', '--plugin-config', '{'], /--plugin-config: line 1/],
      [['add', 'x', ...inline, '--team', '1', '--plugin-config', '[]'], /\/config: must be an object/],
      [['add', 'x', ...inline, '--team', '1', '--plugin-config', '@/nonexistent'], /--plugin-config/],
      [['enable'], /plugin enable ID\|NAME/],
      [['enable', 'nobody'], /no plugin "nobody" is configured/],
      [['disable', '4711'], /no plugin config 4711/],
      [['logs', 'nobody'], /no plugin "nobody"/],
      [['logs', '--limit', '0'], /--limit/],
      [['frobnicate'], /plugin add NAME/],
      [[], /plugin add NAME/],
    ]) {
      const p = await plugin(server, args);
      assert.equal(p.code, 1, `${args}: ${p.output}`);
      assert.match(p.stderr, text, args.join(' '));
      assert.equal(p.stdout, '');
    }
    const names = (plugins) => plugins.map((p) => [p.id, p.name, p.configs.map((c) => [c.id, c.order, c.enabled])]);
    assert.deepEqual(names(await list(server)), names(before));
  });

  test('the API refuses what is no plugin', async () => {
    for (const [body, text] of [
      ['{', /line 1/],
      ['[]', /JSON object/],
      [{}, /\/name: is missing|\/name/],
      [{ name: 'x', source: 'inline', team: 1 }, /\/files: is missing/],
      [{ name: 'x', source: 'dir:/x', team: 0 }, /\/team: must be 1 or more/],
      [{ name: 'x', source: 'dir:/x', team: 1, enabled: 'yes' }, /\/enabled/],
      [{ name: 'x', source: 'dir:/x', team: 1, colour: 'red' }, /\/colour: unknown key/],
    ]) {
      const answer = await post(server, '/api/plugins', body);
      assert.equal(answer.status, 400, answer.text);
      assert.match(JSON.stringify(answer.json.error), text);
    }
    for (const [target, status] of [['configs/0/enable', 400], ['configs/x/disable', 400], ['configs/999/enable', 404]])
      assert.equal((await post(server, `/api/plugins/${target}`)).status, status, target);
    for (const query of ['limit=x', 'config=-1', 'before=1.5'])
      assert.equal((await server.admin(`/api/plugins/logs?${query}`)).status, 400, query);
  });
});

test('one team needs no naming, and several configs of a plugin go by their ids', async (t) => {
  const server = await startHedgerow();
  t.after(() => server.stop());
  const dir = writePlugin(path.join(tempDir(t), 'p'), { 'index.js': setter('p') });
  await pluginOk(server, ['add', 'p', '--source', `dir:${dir}`]);
  assert.equal((await through(server, 'one', { token: server.token })).p, 'p');
  await run(['team', 'add', 'Second'], { env: cliEnv(server) });
  await pluginOk(server, ['add', 'p', '--source', `dir:${dir}`, '--team', '2']);
  const many = await plugin(server, ['logs', 'p']);
  assert.equal(many.code, 1);
  assert.match(many.stderr, /p has 2 configs/);
  await pluginOk(server, ['logs', 'p', '--team', '2']);
  await pluginOk(server, ['disable', 'p', '--team', '2']);
  assert.deepEqual((await list(server))[0].configs.map((c) => [c.team_id, c.enabled]), [[1, true], [2, false]]);
  assert.equal((await pluginOk(server, ['disable', 'p'])).stdout.trim().split('\n').length, 2);
  // Only the plugin's code: its configs stay as they are, whichever team they are of.
  writePlugin(dir, { 'index.js': setter('p', '2') });
  await pluginOk(server, ['add', 'p', '--source', `dir:${dir}`]);
  assert.deepEqual((await list(server))[0].configs.map((c) => [c.team_id, c.enabled]), [[1, false], [2, false]]);
});

test('a plugin that is broken is told, lets events pass, and works when it is mended', async (t) => {
  const dir = tempDir(t);
  const files = path.join(dir, 'files');
  const server = await startHedgerow({
    provision: {
      teams: TEAMS,
      plugins: [
        { name: 'gone', source: `dir:${files}/gone` }, { name: 'manifest', source: `dir:${files}/manifest` },
        { name: 'packed', source: 'file:packed.zip' }, { name: 'empty', source: 'inline', files: {} },
        { name: 'good', source: 'inline', files: { 'index.js': setter('good') } },
        { name: 'unknown', source: 'builtin:nonsense' }, { name: 'attached', source: 'inline', files: { 'index.js': setter('attached') } }],
      plugin_configs: [
        ...['gone', 'manifest', 'packed', 'empty', 'unknown', 'orphan'].map((name) => ({ plugin: name, team: 1 })),
        { plugin: 'attached', team: 1, attachments: { list: 'nothing.csv' } }, { plugin: 'good', team: 1, order: 9 }],
    },
  });
  t.after(() => server.stop());
  const properties = await through(server, 'first');
  assert.equal(properties.good, 'good');
  assert.match(properties.$plugins_succeeded[0], /^good \(\d+\)$/);
  const errors = Object.fromEntries((await list(server)).map((p) => [p.name, p.configs[0]]));
  for (const [name, text] of [
    ['gone', /^No "main" config key or "index.js" file found for plugin gone ID \d+ \(organization ID default\): there is no directory /],
    ['manifest', /^No "main" config key/], ['packed', /file:.*packed.zip is not supported yet/],
    ['empty', /^Could not load source code for plugin empty .* Tried: index.js, index.ts$/],
    ['unknown', /no plugin "nonsense" in this program/], ['orphan', /^There is no plugin "orphan"$/],
    ['attached', /^The attachment "list" cannot be read: .*nothing.csv/]]) {
    assert.match(errors[name].load_error, text);
    assert.equal(errors[name].error.message, errors[name].load_error);
  }
  assert.equal(errors.good.load_error, null);
  assert.match(server.output, /a plugin cannot be loaded.*plugin=gone/);
  assert.match((await pluginOk(server, ['list'])).stdout, /failed .* gone /);

  writePlugin(path.join(files, 'gone'), { 'index.js': setter('gone') });
  writePlugin(path.join(files, 'manifest'), { 'index.js': setter('manifest'), 'plugin.json': '{"name":' });
  assert.equal((await post(server, '/api/plugins/reload')).status, 200);
  const mended = await through(server, 'second');
  assert.equal(mended.gone, 'gone');
  assert.equal(mended.manifest, undefined);
  assert.match((await configOf(server, 'manifest')).load_error, /^Could not load "plugin.json" for plugin manifest /);
  await waitFor(async () => (await configOf(server, 'gone')).error === null);
});

test('reloads by signal and by API lose no event and keep the order', async (t) => {
  const dir = writePlugin(path.join(tempDir(t), 'p'), { 'index.js': setter('version', '0') });
  const server = await startHedgerow({ provision: { teams: TEAMS,
    plugins: [{ name: 'p', source: `dir:${dir}` }],
    plugin_configs: [{ plugin: 'p', team: 1 }, { plugin: 'p', team: 2 }] } });
  t.after(() => server.stop());
  const IDS = 4, EVENTS = 300, RELOADS = 12;
  const senders = Array.from({ length: IDS }, async (_, id) => {
    for (let n = 0; n < EVENTS; n++) {
      await send(server, 'counted', { id: `id${id}`, properties: { n } });
    }
  });
  for (let version = 1; version <= RELOADS; version++) {
    // An asynchronous one every other time, so that events are inside when the set changes.
    writePlugin(dir, { 'index.js': version % 2
      ? `export async function processEvent(e) { await new Promise((done) => setTimeout(done, 1)); e.properties.version = ${version}; return e }`
      : setter('version', String(version)) });
    if (version % 3) {
      assert.equal((await post(server, '/api/plugins/reload')).status, 200);
    } else {
      server.child.kill('SIGUSR1');
      let probes = 0;
      await waitFor(async () => (await through(server, `probe${version}.${probes++}`, { token: 'phc_2' })).version === version);
    }
  }
  await Promise.all(senders);
  const rows = await waitFor(() => stored(server, 'counted').length === IDS * EVENTS && server.sql(
    "SELECT distinct_id, properties FROM v_events WHERE event = 'counted' ORDER BY id"));
  for (let id = 0; id < IDS; id++) {
    const mine = rows.filter((row) => row.distinct_id === `id${id}`).map((row) => JSON.parse(row.properties));
    assert.deepEqual(mine.map((p) => p.n), Array.from({ length: EVENTS }, (_, n) => n));
    assert.ok(mine.every((p) => typeof p.version === 'number'), 'every event went through the plugin');
  }
  assert.equal((await through(server, 'after')).version, RELOADS);
});

test('SIGHUP applies the provision file and loads plugins anew', async (t) => {
  const dir = writePlugin(path.join(tempDir(t), 'p'), { 'index.js': setter('version', '1') });
  const provision = { teams: TEAMS, plugins: [{ name: 'p', source: `dir:${dir}` }], plugin_configs: [{ plugin: 'p', team: 1 }] };
  const server = await startHedgerow({ provision });
  t.after(() => server.stop());
  assert.equal((await through(server, 'e1')).version, 1);
  writePlugin(dir, { 'index.js': setter('version', '2') });
  provision.plugin_configs.push({ plugin: 'p', team: 2 });
  fs.writeFileSync(path.join(server.dataDir, 'provision.json'), JSON.stringify(provision));
  server.child.kill('SIGHUP');
  await waitFor(() => /the plugins were loaded anew/.test(server.output));
  assert.equal((await through(server, 'e2')).version, 2);
  assert.equal((await through(server, 'e3', { token: 'phc_2' })).version, 2);
});

describe('defaults of the manifest', () => {
  const manifest = (...keys) => ({ config: keys.map((key) => ({ key, type: 'string', default: `default ${key}` })) });
  const show = 'export function processEvent(e, { config }) { e.properties.config = config; return e }';

  test('are given when a config is saved, not when it is read', async (t) => {
    const dir = writePlugin(path.join(tempDir(t), 'p'), { 'index.js': show, 'plugin.json': manifest('a', 'b') });
    const server = await startHedgerow({ provision: { teams: TEAMS } });
    t.after(() => server.stop());
    const add = (...more) => pluginOk(server, ['add', 'p', '--source', `dir:${dir}`, '--team', '1', ...more]);
    await add('--plugin-config', '{"a":"mine","n":5}');
    assert.deepEqual((await through(server, 'e1')).config, { a: 'mine', n: 5, b: 'default b' });
    writePlugin(dir, { 'plugin.json': manifest('a', 'b', 'c') });
    await post(server, '/api/plugins/reload');
    assert.deepEqual((await through(server, 'e2')).config, { a: 'mine', n: 5, b: 'default b' });
    await add(); // saved again, as it is
    assert.deepEqual((await through(server, 'e3')).config, { a: 'mine', n: 5, b: 'default b', c: 'default c' });
    fs.writeFileSync(path.join(dir, 'settings.json'), '{"b":"file"}');
    await add('--plugin-config', `@${dir}/settings.json`);
    assert.deepEqual((await through(server, 'e4')).config, { b: 'file', a: 'default a', c: 'default c' });
  });

  test('count when the provision file is compared with what is stored', async (t) => {
    const dir = tempDir(t);
    writePlugin(path.join(dir, 'p'), { 'index.js': show, 'plugin.json': manifest('a') });
    const provision = { teams: TEAMS, plugins: [{ name: 'p', source: 'dir:p' }], plugin_configs: [{ plugin: 'p', team: 1, config: { b: 1 } }] };
    const file = path.join(dir, 'provision.json');
    fs.writeFileSync(file, JSON.stringify(provision));
    const server = await startHedgerow({ env: { PROVISION_FILE: file }, dataDir: path.join(dir, 'data') });
    t.after(() => server.stop());
    server.token = 'phc_1';
    assert.deepEqual((await through(server, 'e1')).config, { b: 1, a: 'default a' });
    const apply = async () => (await run(['apply', file], { env: cliEnv(server) })).stdout;
    assert.match(await apply(), /other objects: 0 added, 0 changed/);
    // A config alone, for a plugin that is stored already.
    fs.writeFileSync(file, JSON.stringify({ plugin_configs: [{ plugin: 'p', team: 2, config: {} }] }));
    assert.match(await apply(), /other objects: 1 added, 0 changed/);
    assert.deepEqual((await through(server, 'e2', { token: 'phc_2' })).config, { a: 'default a' });
    const exported = JSON.parse((await run(['export'], { env: cliEnv(server) })).stdout);
    assert.deepEqual(exported.plugin_configs.map((c) => c.config), [{ b: 1, a: 'default a' }, { a: 'default a' }]);
    assert.equal(exported.plugins[0].source, `dir:${fs.realpathSync(dir)}/p`);
  });
});

test('storage, errors and switches survive a crash, numbers stay with their configs', async (t) => {
  const source = `export async function processEvent(e, { storage }) {
      const n = await storage.get('n', 0) + 1;
      await storage.set('n', n);
      if (e.event === 'bad') throw new Error('kept');
      e.properties.n = n;
      return e;
    }`;
  const server = await startHedgerow({ provision: { teams: TEAMS } });
  t.after(() => server.stop());
  const add = async (name, index) => (await post(server, '/api/plugins',
    { name, source: 'inline', files: { 'index.js': index }, team: 1 })).json.plugin.configs[0].id;
  const id = await add('counter', source), off = await add('off', setter('off'));
  await post(server, `/api/plugins/configs/${off}/disable`);
  for (let i = 1; i <= 20; i++) assert.equal((await through(server, `e${i}`)).n, i);
  await through(server, 'bad');
  await waitFor(() => server.sql(`SELECT 1 FROM plugin_state WHERE error LIKE '%kept%'`).length);
  await server.kill();
  const again = await startHedgerow({ dataDir: server.dataDir, provision: { teams: TEAMS } });
  t.after(() => again.stop());
  const config = await configOf(again, 'counter');
  assert.equal(config.id, id);
  assert.equal(config.error.message, 'kept');
  assert.equal((await configOf(again, 'off')).enabled, false);
  assert.equal((await through(again, 'later')).n, 22);
  await waitFor(async () => (await configOf(again, 'counter')).error === null); // it was loaded without a fault
  // A config that goes takes its storage along; the next one of that name begins anew under another number.
  const none = path.join(tempDir(t), 'none.json');
  fs.writeFileSync(none, JSON.stringify({ teams: TEAMS }));
  assert.equal((await run(['apply', none, '--prune'], { env: cliEnv(again) })).code, 0);
  assert.deepEqual(await list(again), []);
  assert.deepEqual(again.sql('SELECT * FROM plugin_storage'), []);
  const answer = await post(again, '/api/plugins', { name: 'counter', source: 'inline', files: { 'index.js': source }, team: 1 });
  assert.ok(answer.json.plugin.configs[0].id > off);
  assert.equal((await through(again, 'anew')).n, 1);
});

test('an open circuit that a file tells of is in force, until somebody enables the plugin', async (t) => {
  const provision = { teams: TEAMS, plugins: [{ name: 'p', source: 'inline', files: { 'index.js': setter('p') } }],
    plugin_configs: [{ plugin: 'p', team: 1 }] };
  const first = await startHedgerow({ provision });
  const { id } = await configOf(first, 'p');
  await first.stop({ keep: true });
  const until = Date.now() * 1000 + 3600e6;
  fs.writeFileSync(path.join(first.dataDir, 'plugin-circuit.json'), JSON.stringify({ plugin_config_id: id, until, why: 'it hung' }));
  const server = await startHedgerow({ dataDir: first.dataDir, provision });
  t.after(() => server.stop());
  t.after(() => fs.rmSync(first.dataDir, { recursive: true, force: true }));
  const config = await configOf(server, 'p');
  assert.deepEqual([config.circuit, config.circuit_why], ['open', 'it hung']);
  const passed = await through(server, 'passed');
  assert.equal(passed.p, undefined);
  assert.equal(passed.$plugins_failed, undefined);
  assert.match((await pluginOk(server, ['list'])).stdout, /circuit open .*\n +it hung/);
  await pluginOk(server, ['enable', 'p']);
  assert.equal((await through(server, 'tried')).p, 'p');
  assert.equal((await configOf(server, 'p')).circuit, 'closed');
});

describe('GeoIP for new teams', { skip: !fs.existsSync(CITY) }, () => {
  const geo = { MMDB_FILE_LOCATION: CITY };

  test('the first team has it when a database is configured, and so has every new one', async (t) => {
    const server = await startHedgerow({ env: geo });
    t.after(() => server.stop());
    assert.equal((await through(server, 'e1', { token: server.token })).$geoip_city_name, 'Linköping');
    const [builtin] = await list(server);
    assert.deepEqual([builtin.name, builtin.source, builtin.builtin, builtin.configs.length], ['GeoIP', 'builtin:geoip', true, 1]);
    assert.ok(builtin.about.length > 0);
    const added = JSON.parse((await run(['team', 'add', 'Second', '--json'], { env: cliEnv(server) })).stdout);
    assert.equal((await through(server, 'e2', { token: added.api_token })).$geoip_country_code, 'SE');
    await pluginOk(server, ['disable', 'GeoIP', '--team', '1']);
    assert.equal((await through(server, 'e3', { token: server.token })).$geoip_city_name, undefined);
  });

  test('a provision file that says otherwise is heard, and old teams stay as they are', async (t) => {
    const provision = { teams: TEAMS, plugins: [{ name: 'Places', source: 'builtin:geoip' }],
      plugin_configs: [{ plugin: 'Places', team: 1, enabled: false }] };
    const server = await startHedgerow({ env: geo, provision });
    t.after(() => server.stop());
    const [places] = await list(server);
    assert.equal(places.name, 'Places');
    assert.deepEqual(places.configs.map((c) => [c.team_id, c.enabled]), [[1, false], [2, true]]);
    assert.equal((await through(server, 'e1')).$geoip_city_name, undefined);
    assert.equal((await through(server, 'e2', { token: 'phc_2' })).$geoip_city_name, 'Linköping');
  });

  test('no database, no GeoIP', async (t) => {
    for (const env of [{}, { ...geo, DISABLE_MMDB: 'true' }]) {
      const server = await startHedgerow({ env });
      t.after(() => server.stop());
      assert.deepEqual(await list(server), []);
      assert.equal((await through(server, 'e1', { token: server.token })).$geoip_city_name, undefined);
    }
  });

  test('a database that is no database is told and harms nobody', async (t) => {
    const file = path.join(tempDir(t), 'x.mmdb');
    fs.writeFileSync(file, fs.readFileSync(CITY).subarray(0, 5000));
    const server = await startHedgerow({ env: { MMDB_FILE_LOCATION: file } });
    t.after(() => server.stop());
    assert.match(server.output, /the GeoIP database cannot be used/);
    const properties = await through(server, 'e1', { token: server.token });
    assert.equal(properties.$geoip_city_name, undefined);
    // Replaced by a good one, it is in use after a reload.
    fs.copyFileSync(CITY, `${file}.new`);
    fs.renameSync(`${file}.new`, file);
    await post(server, '/api/plugins/reload');
    assert.equal((await through(server, 'e2', { token: server.token })).$geoip_city_name, 'Linköping');
  });

  test('the database may be the attachment of a config', async (t) => {
    const server = await startHedgerow({ provision: { teams: TEAMS, plugins: [{ name: 'GeoIP', source: 'builtin:geoip' }],
      plugin_configs: [{ plugin: 'GeoIP', team: 1, attachments: { db: CITY } }] } });
    t.after(() => server.stop());
    assert.equal((await through(server, 'e1')).$geoip_city_name, 'Linköping');
  });
});
