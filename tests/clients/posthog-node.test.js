// The official client for Node, unmodified, against the program.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');
const { PostHog } = require('posthog-node');
const { killAll, startHedgerow, waitFor } = require('../lib/hedgerow.js');

after(killAll);

const TOKEN = 'phc_node_client';
const provision = { teams: [{ id: 1, name: 'Node', api_token: TOKEN }] };

function client(server, options = {}) {
  const it = new PostHog(TOKEN, { host: server.captureUrl, flushAt: 100, flushInterval: 60000, fetchRetryDelay: 50, ...options });
  it.errors = [];
  it.on('error', (error) => it.errors.push(error));
  return it;
}

const rows = (server) =>
  server.sql('SELECT * FROM v_events ORDER BY id').map((row) => ({ ...row, properties: JSON.parse(row.properties) }));
const idsOf = (server, uuid) =>
  server.sql(`SELECT distinct_id FROM v_person_distinct_ids WHERE person_uuid = '${uuid}' ORDER BY id`).map((row) => row.distinct_id);

test('capture, identify, alias, groupIdentify', async () => {
  const server = await startHedgerow({ provision });
  const node = client(server);
  const when = new Date('2024-05-06T07:08:09.123Z');
  const store = async (n) => {
    await node.flush();
    await waitFor(() => rows(server).length === n);
  };

  node.capture({ distinctId: 'anon', event: 'visited', properties: { page: '/', big: Number.MAX_SAFE_INTEGER, nested: { list: [1, 'zwei', null] } } });
  node.capture({ distinctId: 'anon', event: 'bought', timestamp: when, uuid: '0190a0b0-1234-7000-8000-000000000001', properties: { price: 299.99 } });
  await store(2);
  node.identify({ distinctId: 'user', properties: { $set: { email: 'a@example.org' }, $set_once: { first: 1 }, plan: 'free' } });
  await store(3);
  node.alias({ distinctId: 'user', alias: 'anon' });
  await store(4);
  node.groupIdentify({ groupType: 'company', groupKey: 'hedge', properties: { size: 3 }, distinctId: 'user' });
  await store(5);
  node.capture({ distinctId: 'user', event: 'worked', groups: { company: 'hedge', project: 'one' }, disableGeoip: true });
  await store(6);
  await node.captureImmediate({ distinctId: 'user', event: 'now', properties: { $set: { plan: 'paid' } } });
  await store(7);
  await node.shutdown();
  assert.deepEqual(node.errors, []);

  const [visited, bought, identified, aliased, group, worked, now] = rows(server);
  assert.deepEqual([visited.event, visited.distinct_id, visited.team_id], ['visited', 'anon', 1]);
  assert.equal(visited.properties.page, '/');
  assert.equal(visited.properties.big, Number.MAX_SAFE_INTEGER);
  assert.deepEqual(visited.properties.nested, { list: [1, 'zwei', null] });
  assert.equal(visited.properties.$lib, 'posthog-node');
  assert.ok(Math.abs(Date.parse(visited.timestamp) - Date.now()) < 60000);
  assert.deepEqual([bought.uuid, bought.properties.price], ['0190a0b0-1234-7000-8000-000000000001', 299.99]);
  // The server's clock is the same, so the correction by sent_at is at most the time on the way.
  assert.ok(Math.abs(Date.parse(bought.timestamp) - when.getTime()) < 5000, bought.timestamp);
  assert.deepEqual([identified.event, identified.distinct_id], ['$identify', 'user']);
  assert.deepEqual([aliased.event, aliased.distinct_id, aliased.properties.alias], ['$create_alias', 'user', 'anon']);
  assert.deepEqual([group.event, group.properties.$group_type, group.properties.$group_key], ['$groupidentify', 'company', 'hedge']);
  assert.deepEqual([worked.group_0_key, worked.group_1_key, worked.properties.$group_1], ['hedge', 'one', 'one']);
  assert.equal(now.event, 'now');

  const [person, ...others] = server.sql('SELECT * FROM v_persons');
  assert.deepEqual(others, []);
  assert.deepEqual(idsOf(server, person.uuid), ['anon', 'user']);
  const properties = JSON.parse(person.properties);
  assert.equal(properties.email, 'a@example.org');
  assert.equal(properties.first, 1);
  assert.equal(properties.plan, 'paid');
  assert.deepEqual(server.sql('SELECT group_type_index, group_type FROM v_group_types ORDER BY 1'),
    [{ group_type_index: 0, group_type: 'company' }, { group_type_index: 1, group_type: 'project' }]);
  assert.deepEqual(server.sql('SELECT group_key, group_properties FROM v_groups'), [{ group_key: 'hedge', group_properties: '{"size":3}' }]);
  assert.deepEqual(server.sql('SELECT * FROM v_dead_letters'), []);
  await server.stop();
});

test('the same through a chain of two plugins from a provision file', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'hedgerow-chain-'));
  after(() => fs.rmSync(dir, { recursive: true, force: true }));
  fs.writeFileSync(path.join(dir, 'plugin.json'), JSON.stringify({ name: 'count', main: 'count.js' }));
  fs.writeFileSync(path.join(dir, 'count.js'), `
    export async function setupPlugin({ config, global }) {
      await new Promise((done) => setTimeout(done, 5));
      global.prefix = config.prefix;
      global.seen = {};
    }
    export async function processEvent(event, { global }) {
      const n = (global.seen[event.distinct_id] = (global.seen[event.distinct_id] ?? 0) + 1);
      await new Promise((done) => setTimeout(done, 20 - 3 * n)); // later ones would overtake, if they could
      event.properties.nth = global.prefix + n;
      return event;
    }`);
  const server = await startHedgerow({
    provision: {
      ...provision,
      plugins: [
        { name: 'count', source: `dir:${dir}` },
        { name: 'mark', source: 'inline', files: { 'index.js': `
          function processEvent(event) {
            if (event.event === 'secret') return null;
            if (event.event === '$identify') event.$set = { ...event.$set, marked: true };
            if (event.properties.$group_set) event.properties.$group_set.seats = 5;
            return { ...event, properties: { ...event.properties, marked: event.properties.nth } };
          }` } },
      ],
      plugin_configs: [
        { plugin: 'mark', team: 1, order: 2, enabled: true },
        { plugin: 'count', team: 1, order: 1, enabled: true, config: { prefix: '#' } },
      ],
    },
  });
  const node = client(server);

  node.capture({ distinctId: 'anon', event: 'visited', properties: { page: '/', big: Number.MAX_SAFE_INTEGER } });
  node.capture({ distinctId: 'anon', event: 'secret' });
  node.identify({ distinctId: 'user', properties: { email: 'a@example.org' } });
  node.alias({ distinctId: 'user', alias: 'anon' });
  node.groupIdentify({ groupType: 'company', groupKey: 'hedge', properties: { size: 3 }, distinctId: 'user' });
  node.capture({ distinctId: 'user', event: 'worked', groups: { company: 'hedge' } });
  await node.shutdown();
  await waitFor(() => rows(server).length === 5);
  assert.deepEqual(node.errors, []);

  const told = rows(server).filter((row) => row.distinct_id === 'user');
  assert.deepEqual(told.map((row) => [row.event, row.properties.nth, row.properties.marked]), [
    ['$identify', '#1', '#1'], ['$create_alias', '#2', '#2'], ['$groupidentify', '#3', '#3'], ['worked', '#4', '#4'],
  ]);
  const visited = rows(server).find((row) => row.event === 'visited');
  assert.deepEqual([visited.properties.page, visited.properties.big, visited.properties.nth], ['/', Number.MAX_SAFE_INTEGER, '#1']);
  assert.equal(told[3].group_0_key, 'hedge');
  const [person, ...others] = server.sql('SELECT * FROM v_persons');
  assert.deepEqual(others, []);
  assert.deepEqual(idsOf(server, person.uuid).sort(), ['anon', 'user']);
  const { email, marked } = JSON.parse(person.properties);
  assert.deepEqual({ email, marked }, { email: 'a@example.org', marked: true });
  assert.deepEqual(server.sql('SELECT group_key, group_properties FROM v_groups'), [{ group_key: 'hedge', group_properties: '{"size":3,"seats":5}' }]);
  assert.deepEqual(server.sql('SELECT * FROM v_dead_letters'), []);
  await server.stop();
});

test('shutdown sends what is left; compressed batches too', async () => {
  const server = await startHedgerow({ provision });
  for (const disableCompression of [false, true]) {
    const node = client(server, { disableCompression });
    for (let i = 0; i < 250; i++) node.capture({ distinctId: `d${i % 10}`, event: `bulk ${disableCompression}`, properties: { i, text: 'lorem ipsum '.repeat(20) } });
    await node.shutdown();
    assert.deepEqual(node.errors, []);
  }
  await waitFor(() => rows(server).length === 500);
  for (const name of ['bulk false', 'bulk true']) {
    const seen = rows(server).filter((row) => row.event === name).map((row) => row.properties.i).sort((a, b) => a - b);
    assert.deepEqual(seen, Array.from({ length: 250 }, (_, i) => i));
  }
  await server.stop();
});

test('questions about feature flags do not break it', async () => {
  const server = await startHedgerow({ provision });
  const node = client(server);
  assert.equal(await node.getFeatureFlag('none', 'user'), undefined);
  assert.ok(!(await node.isFeatureEnabled('none', 'user')));
  assert.deepEqual(await node.getAllFlags('user'), {});
  node.capture({ distinctId: 'user', event: 'asked', sendFeatureFlags: true });
  node.capture({ distinctId: 'user', event: 'plain' });
  await node.shutdown();
  const names = () => rows(server).map((row) => row.event).filter((name) => !name.startsWith('$'));
  await waitFor(() => names().length === 2);
  assert.deepEqual(names().sort(), ['asked', 'plain']);
  await server.stop();
});

test('a wrong token is an error for the client and stores nothing', async () => {
  const server = await startHedgerow({ provision });
  const node = new PostHog('phc_wrong', { host: server.captureUrl, flushAt: 100, fetchRetryCount: 0 });
  const errors = [];
  node.on('error', (error) => errors.push(error));
  node.capture({ distinctId: 'd', event: 'lost' });
  await node.flush().catch((error) => errors.push(error));
  await node.shutdown();
  assert.ok(errors.length > 0);
  assert.deepEqual(rows(server), []);
  await server.stop();
});

test('captures go on while the server restarts, and arrive exactly once', async () => {
  let server = await startHedgerow({ provision });
  const { dataDir } = server;
  const env = { CAPTURE_PORT: new URL(server.captureUrl).port };
  const node = client(server, { flushAt: 5, fetchRetryCount: 100, fetchRetryDelay: 20, maxQueueSize: 100000 });
  let sent = 0;
  const capture = (n) => {
    for (let i = 0; i < n; i++) node.capture({ distinctId: `d${sent % 7}`, event: 'through', properties: { i: sent++ } });
  };
  const going = setInterval(() => capture(3), 5);
  for (const end of ['stop', 'kill', 'stop']) {
    await waitFor(() => rows(server).length >= 20); // something is under way
    const next = sent + 60;
    if (end === 'stop') await server.stop({ keep: true });
    else await server.kill();
    await waitFor(() => sent >= next); // nobody listens
    server = await startHedgerow({ dataDir, provision, env });
  }
  clearInterval(going);
  await node.shutdown(20000);
  await waitFor(() => rows(server).length >= sent, { what: `${sent} events` });
  const seen = rows(server).map((row) => row.properties.i).sort((a, b) => a - b);
  assert.deepEqual(seen, Array.from({ length: sent }, (_, i) => i));
  await server.stop();
  fs.rmSync(dataDir, { recursive: true });
});
