// The last line behind the engine's own limits: a plugin that spins where nothing can interrupt it. The program with fault
// points plays an engine without our patch. The process must end by itself, with the plugin's circuit open where the next
// start finds it, and nothing lost or doubled.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, test } = require('node:test');
const { killAll, startHedgerow, waitFor } = require('../lib/hedgerow.js');

after(killAll);

const program = process.env.HEDGEROW_TEST_BIN ?? path.join(__dirname, '../../build/test/hedgerow');

const provision = {
  teams: [{ id: 1, name: 'Bad', api_token: 'phc_bad' }, { id: 2, name: 'Good', api_token: 'phc_good' }],
  plugins: [
    { name: 'spin', source: 'inline', files: { 'index.js': `
      function processEvent(event) {
        if (event.event === 'spin') { const a = []; a.length = 2 ** 32 - 1; a.forEach(() => 0) }
        event.properties.passed = true;
        return event;
      }` } },
    { name: 'mark', source: 'inline', files: { 'index.js': 'function processEvent(event) { event.properties.marked = true; return event }' } },
  ],
  plugin_configs: [
    { plugin: 'spin', team: 1, order: 1, enabled: true },
    { plugin: 'mark', team: 1, order: 2, enabled: true },
    { plugin: 'mark', team: 2, order: 1, enabled: true },
  ],
};

const rows = (server, team) => server.sql(`SELECT event, distinct_id, properties FROM v_events WHERE team_id = ${team} ORDER BY id`)
  .map((row) => ({ ...row, properties: JSON.parse(row.properties) }));

async function send(server, token, batch) {
  const { status, text } = await server.post('/batch/', { api_key: token, batch });
  assert.equal(status, 200, text);
}

const events = (from, to, distinct) => Array.from({ length: to - from }, (_, i) => ({
  event: 'fine', distinct_id: distinct, properties: { i: from + i } }));

test('a plugin that cannot be interrupted: circuit open, process ended, nothing lost or doubled', async () => {
  const env = { PLUGIN_RUN_TIMEOUT: '0.2', HEDGEROW_FAULTS: 'plugin.native_loops:1:1000000', WORKER_CONCURRENCY: '1' };
  let server = await startHedgerow({ provision, env, program });
  const { dataDir } = server;

  await send(server, 'phc_bad', events(0, 50, 'a'));
  await send(server, 'phc_good', events(0, 50, 'b'));
  await waitFor(() => rows(server, 1).length === 50 && rows(server, 2).length === 50);
  await send(server, 'phc_bad', [...events(50, 100, 'a'), { event: 'spin', distinct_id: 'a' }, ...events(100, 150, 'a')]);
  await send(server, 'phc_good', events(50, 150, 'b'));
  const how = await server.exited;
  assert.equal(how.signal, 'SIGABRT', server.describe());
  assert.match(server.output, /a plugin does not end, ending the process now/);

  server = await startHedgerow({ dataDir, provision, env, program });
  await waitFor(() => rows(server, 1).length === 151 && rows(server, 2).length === 150);
  const bad = rows(server, 1);
  assert.deepEqual(bad.filter((row) => row.event === 'fine').map((row) => row.properties.i), Array.from({ length: 150 }, (_, i) => i));
  assert.equal(bad.filter((row) => row.event === 'spin').length, 1);
  assert.deepEqual(rows(server, 2).map((row) => row.properties.i), Array.from({ length: 150 }, (_, i) => i));
  // Passed by, untouched and unmarked; the next in the chain goes on.
  const spun = bad.find((row) => row.event === 'spin').properties;
  assert.deepEqual([spun.passed, spun.marked, spun.$plugins_failed], [undefined, true, []]);
  assert.ok(spun.$plugins_succeeded.every((name) => name.startsWith('mark')));

  const { json } = await server.admin('/api/plugins');
  const [config] = json.plugins.find((p) => p.name === 'spin').configs;
  assert.equal(config.circuit, 'open');
  assert.match(config.circuit_why, /ran on for \d+ s after its time limit/);
  assert.deepEqual(server.sql('SELECT * FROM v_dead_letters'), []);
  await server.stop({ keep: true });
  fs.rmSync(dataDir, { recursive: true });
});
