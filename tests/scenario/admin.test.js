// The admin listener, and the modes that talk to it: health, metrics, teams, provision file, tail, send.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { request, startHedgerow, waitFor } = require('../lib/hedgerow.js');
const { killAll, launch, run } = require('../lib/cli.js');
const { parsePrometheus } = require('../lib/prometheus.js');

after(killAll);

const TEAMS = [1, 2, 3].map((id) => ({ id, name: `Team ${id}`, api_token: `phc_${id}` }));

// A running server's settings for the command line.
const cliEnv = (server) => ({ DATA_DIR: server.dataDir });
const uuid = (n) => `0190a0b0-0000-7000-8000-${String(n).padStart(12, '0')}`;

async function events(server, list, token = 'phc_1') {
  const answer = await server.post('/batch/', { api_key: token, batch: list });
  assert.equal(answer.status, 200, answer.text);
}

const stored = (server, where = '1') =>
  server.sql(`SELECT uuid, team_id, event, distinct_id, properties FROM v_events WHERE ${where} ORDER BY id`);

describe('health and metrics', () => {
  let server;
  before(async () => (server = await startHedgerow({ provision: { teams: TEAMS } })));
  after(() => server.stop());
  const open = (target, options) => request(server.adminUrl, target, options);

  test('health and readiness need no login', async () => {
    for (const target of ['/_health', '/_health/', '/_ready']) {
      const answer = await open(target);
      assert.equal(answer.status, 200, target);
      assert.equal(answer.json.status, 'ok');
      const head = await open(target, { method: 'HEAD' });
      assert.equal(head.status, 200);
      assert.equal(head.text, '');
      assert.equal(Number(head.headers['content-length']), Buffer.byteLength(answer.text));
    }
    const { json } = await open('/_health');
    assert.deepEqual(json.checks, { queue: 'ok', pipeline: 'ok', store: 'ok' });
    assert.match(json.version, /^\d+\.\d+\.\d+/);
  });

  test('metrics are open to loopback', async () => {
    for (const target of ['/metrics', '/_metrics']) {
      const answer = await open(target);
      assert.equal(answer.status, 200);
      assert.match(answer.headers['content-type'], /^text\/plain; version=0\.0\.4/);
      assert.equal((await open(target, { method: 'HEAD' })).status, 200);
    }
  });

  test('metrics are not open to a page that a browser shows', async () => {
    assert.equal((await open('/metrics', { headers: { Host: 'evil.example.org' } })).status, 401);
    assert.equal((await open('/metrics', { headers: { Host: 'localhost:1' } })).status, 200);
    assert.equal((await server.admin('/metrics', { headers: { Host: 'evil.example.org' } })).status, 200);
  });

  test('everything else needs the token', async () => {
    const routes = [['GET', '/api/status'], ['GET', '/api/config'], ['GET', '/api/tail'], ['GET', '/api/teams'], ['POST', '/api/teams'],
      ['POST', '/api/teams/1/rotate-token'], ['POST', '/api/apply'], ['GET', '/api/export'], ['GET', `/api/events/${uuid(1)}`],
      ['GET', '/api/persons?distinct_id=x']];
    const { adminToken } = await server.admin('/_health').then(() => server);
    const wrong = [undefined, 'Bearer', 'Bearer ', `Bearer ${adminToken}x`, `Bearer ${adminToken.slice(1)}`, `Basic ${adminToken}`, adminToken];
    for (const [method, target] of routes)
      for (const Authorization of wrong) {
        const answer = await open(target, { method, headers: Authorization === undefined ? {} : { Authorization } });
        assert.equal(answer.status, 401, `${method} ${target} ${Authorization}`);
        assert.equal(answer.json.error.code, 'unauthorized');
        assert.equal(answer.headers['www-authenticate'], 'Bearer');
      }
    assert.equal((await open('/api/status', { headers: { authorization: `bearer ${adminToken}` } })).status, 200);
    assert.deepEqual((await server.admin('/api/teams')).json.teams.map((t) => t.api_token), ['phc_1', 'phc_2', 'phc_3']);
  });

  test('what is not there is 404, what is not done is 405', async () => {
    for (const target of ['/nope', '/api', '/api/nope', '/_healthy', '/e/', '/api/teams/1']) {
      assert.equal((await open(target)).status, 404, target);
      assert.equal((await server.admin(target)).status, 404, target);
    }
    const answer = await server.admin('/api/teams', { method: 'DELETE' });
    assert.equal(answer.status, 405);
    assert.deepEqual(answer.headers.allow.split(', ').sort(), ['GET', 'POST']);
  });

  test('the metrics are in order, and count', async () => {
    await events(server, [{ event: 'counted', distinct_id: 'm' }, { event: 'counted', distinct_id: 'm' }]);
    await waitFor(() => stored(server, "event = 'counted'").length === 2);
    for (const body of ['{', { event: 'x', distinct_id: 'd', api_key: 'phc_none' }]) await server.post('/e/', body);
    const families = parsePrometheus((await open('/metrics')).text);
    for (const name of families.keys()) assert.match(name, /^(hedgerow|process|capture|eventgate)_[a-z0-9_]+$|^latest_processed_timestamp_ms$/);
    const value = (name, want = {}) => families.get(name)?.samples.find((s) => Object.entries(want).every(([k, v]) => s.labels.get(k) === v))?.value;
    assert.equal(value('hedgerow_build_info'), 1);
    assert.ok(value('process_resident_memory_bytes') > 1e6);
    assert.ok(value('hedgerow_capture_requests_total', { path: '/batch', code: '200' }) >= 1);
    assert.ok(value('hedgerow_capture_requests_total', { path: '/e', code: '401' }) >= 1);
    assert.ok(families.get('hedgerow_capture_request_duration_seconds').type === 'histogram');
    const opened = await open('/metrics', { headers: { Accept: 'application/openmetrics-text; version=1.0.0' } });
    assert.match(opened.headers['content-type'], /^application\/openmetrics-text/);
    assert.ok(opened.text.endsWith('# EOF\n'));
  });

  test('status shows queue and pipeline', async () => {
    const { json } = await server.admin('/api/status');
    assert.equal(json.is_ready, true);
    assert.equal(json.queue.lag_events, 0);
    assert.equal(json.queue.is_writable, true);
    assert.equal(json.pipeline.stored, stored(server).length);
    assert.equal(json.pipeline.dead_letters, 0);
  });

  test('the stored event and its person can be asked for', async () => {
    await events(server, [{ event: 'asked', distinct_id: 'who is it?', uuid: uuid(7), properties: { n: 1, $set: { name: 'Ann' } } }], 'phc_2');
    await waitFor(() => stored(server, "event = 'asked'").length === 1);
    const { status, json } = await server.admin(`/api/events/${uuid(7).toUpperCase()}`);
    assert.equal(status, 200);
    assert.equal(json.uuid, uuid(7));
    assert.equal(json.team_id, 2);
    assert.equal(json.event, 'asked');
    const person = await server.admin(`/api/persons?team=2&distinct_id=${encodeURIComponent('who is it?')}`);
    assert.equal(person.status, 200, person.text);
    assert.equal(person.json.uuid, json.person_uuid);
    assert.deepEqual(person.json.properties, { name: 'Ann' });
    for (const [target, code] of [[`/api/events/${uuid(8)}`, 404], ['/api/events/not-a-uuid', 400], ['/api/persons', 400],
      ['/api/persons?team=x&distinct_id=y', 400], ['/api/persons?team=1&distinct_id=who%20is%20it%3F', 404], ['/api/persons?team=2&distinct_id=nobody', 404]]) {
      const answer = await server.admin(target);
      assert.equal(answer.status, code, target);
      assert.ok(answer.json.error.message, target);
    }
  });
});

test('from another address than loopback metrics need the token', async (t) => {
  const address = Object.values(os.networkInterfaces()).flat().find((a) => a.family === 'IPv4' && !a.internal)?.address;
  if (!address) return t.skip('this machine has loopback only');
  const server = await startHedgerow({ env: { HTTP_SERVER_HOST: '0.0.0.0', ADMIN_TOKEN: 'long-enough' } });
  t.after(() => server.stop());
  const url = `http://${address}:${new URL(server.adminUrl).port}`;
  assert.equal((await request(url, '/metrics')).status, 401);
  assert.equal((await request(url, '/_metrics')).status, 401);
  assert.equal((await request(url, '/_health')).status, 200);
  assert.equal((await request(url, '/_ready')).status, 200);
  assert.equal((await request(url, '/metrics', { headers: { Authorization: 'Bearer long-enough' } })).status, 200);
});

test('health: idle is healthy, stuck with a backlog is not', async (t) => {
  const server = await startHedgerow({ provision: { teams: TEAMS }, env: { HEALTHCHECK_MAX_STALE_SECONDS: '0.3' } });
  t.after(() => server.stop());
  const health = () => request(server.adminUrl, '/_health');
  await events(server, [{ event: 'x', distinct_id: 'a' }]);
  await waitFor(() => stored(server).length === 1);
  const quiet = performance.now();
  await waitFor(() => performance.now() - quiet > 700);
  assert.equal((await health()).status, 200);
  const release = await server.holdDatabase(); // as somebody's own sqlite3 might
  await events(server, [{ event: 'x', distinct_id: 'b' }]); // acknowledged all the same
  const sick = await waitFor(async () => {
    const answer = await health();
    return answer.status === 503 && answer;
  });
  assert.equal(sick.json.status, 'error');
  assert.equal(sick.json.checks.pipeline, 'error');
  assert.equal(sick.json.checks.queue, 'ok');
  await release();
  await waitFor(async () => (await health()).status === 200);
  await waitFor(() => stored(server).length === 2);
});

describe('provision file', () => {
  const full = {
    teams: [
      { id: 1, name: 'Shop', api_token: 'phc_shop', anonymize_ips: true, session_recording_opt_in: true,
        slack_incoming_webhook: 'https://hooks.example.org/x', bucket: 'default', class: 'paid', organization: 'org',
        over_quota: ['recordings'], drop: ['bot'], quota: { per_second: 10, burst: 20, per_day: 30 } },
      { id: 2, name: 'Blog "ünï"', api_token: 'phc_blog' },
    ],
    organizations: [{ id: 'org', name: 'Org', for_internal_metrics: true }],
    plugins: [{ name: 'GeoIP', source: 'builtin:geoip' }, { name: 'mine', source: 'dir:plugins/mine' },
      { name: 'inline', source: 'inline', files: { 'index.js': 'export {}', 'plugin.json': '{}' } }],
    plugin_configs: [{ plugin: 'mine', team: 1, order: 1, enabled: true, config: { k: 'v' }, attachments: { db: 'files/x.mmdb' } }],
    feature_flags: [{ team: 1, key: 'flag', active: true, rollout_percentage: 50 }],
    personal_api_keys: [{ key: 'phx_1', team: 1 }],
    sinks: [{ name: 'lake', type: 'http', team: 1, url: 'https://example.org/in', format: 'ndjson', headers: { 'X-Key': 'k' },
      hmac_secret: 's', batch_events: 500, batch_bytes: 1000000, events: ['$pageview'], enabled: true }],
  };
  let server, dir;
  before(async () => {
    server = await startHedgerow();
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'hedgerow-apply-'));
  });
  after(async () => {
    fs.rmSync(dir, { recursive: true });
    await server.stop();
  });
  const write = (name, value) => {
    const file = path.join(dir, name);
    fs.writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
    return file;
  };
  const cli = (...args) => run(args, { env: cliEnv(server) });
  const status = async (token) => (await server.post('/e/', { event: 'x', distinct_id: 'd', api_key: token })).status;
  const NOTHING = /^teams: 0 added, 0 changed, 0 removed; other objects: 0 added, 0 changed, 0 removed\n$/;

  test('the first export can be applied and changes nothing', async () => {
    const out = await cli('export');
    assert.equal(out.code, 0, out.output);
    const { teams } = JSON.parse(out.stdout);
    assert.equal(teams.length, 1);
    assert.equal(teams[0].name, 'Default project');
    const applied = await cli('apply', write('first.json', out.stdout));
    assert.equal(applied.code, 0, applied.output);
    assert.match(applied.stdout, NOTHING);
  });

  test('apply, export, apply: the same again', async () => {
    const file = write('full.json', full);
    const first = await cli('apply', file);
    assert.equal(first.code, 0, first.output);
    assert.match(first.stdout, /^teams: 1 added, 1 changed, 0 removed; other objects: 8 added, 0 changed, 0 removed\n$/);
    assert.deepEqual(await Promise.all([status('phc_shop'), status('phc_blog')]), [200, 200]);
    assert.match((await cli('apply', file)).stdout, NOTHING);
    const out = await cli('export');
    const back = JSON.parse(out.stdout);
    const [shop, blog] = back.teams;
    assert.deepEqual({ ...full.teams[0] }, shop);
    assert.equal(blog.name, 'Blog "ünï"');
    for (const part of ['organizations', 'personal_api_keys', 'feature_flags', 'sinks']) assert.deepEqual(back[part], full[part], part);
    assert.equal(back.plugins.find((p) => p.name === 'mine').source, `dir:${fs.realpathSync(dir)}/plugins/mine`);
    assert.equal(back.plugin_configs[0].attachments.db, `${fs.realpathSync(dir)}/files/x.mmdb`);
    const elsewhere = path.join(dir, 'sub');
    fs.mkdirSync(elsewhere);
    const again = await cli('apply', write('sub/again.json', out.stdout));
    assert.match(again.stdout, NOTHING);
    assert.equal((await cli('export')).stdout, out.stdout);
  });

  test('one fault and nothing is changed', async () => {
    const before = (await cli('export')).stdout;
    const cases = [
      [{ teams: [{ id: 8, name: 'x', api_token: 'phc_8' }, { id: 9, name: 'y', api_token: 'phc_8' }] }, ['/teams/1/api_token']],
      [{ teams: [{ id: 8, name: 'x', api_token: 'phc_8' }, { id: '9' }], nope: 1 }, ['/teams/1/id', '/nope']],
      [{ teams: [{ id: 8, name: 'x' }], sinks: [{ name: 'a', type: 'http', url: 5 }] }, ['/sinks/0/url']],
      [{ teams: [{ id: 8, name: 'x', api_token: 'phc_8' }, { id: 9, name: 'y', api_token: 'phc_blog' }] }, ['/teams/1']], // a token of team 2
      ['{"teams": [', []],
      ['[]', []],
    ];
    for (const [value, pointers] of cases) {
      const p = await cli('apply', write('bad.json', value));
      assert.equal(p.code, 1, JSON.stringify(value));
      for (const pointer of pointers) assert.ok(p.stderr.includes(`${pointer}`), `${pointer} is not in ${p.stderr}`);
      assert.equal((await cli('export')).stdout, before);
    }
    const api = await server.admin('/api/apply', { body: cases[1][0] });
    assert.equal(api.status, 400);
    assert.equal(api.json.error.code, 'invalid');
    assert.equal(api.json.error.details.length, 2 + 0);
    assert.equal(await status('phc_8'), 401);
  });

  test('teams may swap their tokens', async () => {
    const swap = (a, b) => cli('apply', write('swap.json', { teams: [{ ...full.teams[0], api_token: a }, { ...full.teams[1], api_token: b }] }));
    assert.match((await swap('phc_blog', 'phc_shop')).stdout, /^teams: 0 added, 2 changed, 0 removed/);
    assert.equal(await status('phc_blog'), 200);
    assert.match((await swap('phc_shop', 'phc_blog')).stdout, /^teams: 0 added, 2 changed, 0 removed/);
  });

  test('prune removes what the file does not name, and only then', async () => {
    const small = write('small.json', { teams: [{ id: 5, name: 'Five', api_token: 'phc_five' }, full.teams[0]], plugins: [full.plugins[0]] });
    const kept = await cli('apply', small);
    assert.match(kept.stdout, /^teams: 1 added, 0 changed, 0 removed; other objects: 0 added, 0 changed, 0 removed\n$/);
    assert.equal(await status('phc_blog'), 200);
    const pruned = await cli('apply', small, '--prune');
    assert.match(pruned.stdout, /^teams: 0 added, 0 changed, 1 removed; other objects: 0 added, 0 changed, 7 removed\n$/);
    assert.deepEqual(await Promise.all(['phc_blog', 'phc_shop', 'phc_five'].map(status)), [401, 200, 200]);
    // The token of a removed team is free again.
    const taken = await cli('apply', write('taken.json', { teams: [{ id: 6, name: 'Six', api_token: 'phc_blog' }] }));
    assert.equal(taken.code, 0, taken.output);
    assert.equal(await status('phc_blog'), 200);
  });

  test('a team without a token gets one and keeps it', async () => {
    const file = write('none.json', { teams: [{ id: 30, name: 'Thirty' }] });
    assert.match((await cli('apply', file)).stdout, /^teams: 1 added/);
    const token = () => server.sql('SELECT api_token FROM teams WHERE id = 30')[0].api_token;
    const first = token();
    assert.match(first, /^phc_[A-Za-z0-9]{43}$/);
    assert.match((await cli('apply', file)).stdout, NOTHING);
    assert.equal(token(), first);
    assert.equal(await status(first), 200);
  });

  test('it survives a restart', async () => {
    const before = (await cli('export')).stdout;
    const other = await startHedgerow({ provision: JSON.parse(before) });
    assert.equal((await run(['export'], { env: cliEnv(other) })).stdout, before);
    await other.stop({ keep: true });
    const again = await startHedgerow({ dataDir: other.dataDir });
    assert.equal((await run(['export'], { env: cliEnv(again) })).stdout, before);
    await again.stop();
    fs.rmSync(other.dataDir, { recursive: true });
  });
});

describe('teams', () => {
  let server;
  before(async () => (server = await startHedgerow({ provision: { teams: TEAMS } })));
  after(() => server.stop());
  const cli = (...args) => run(args, { env: cliEnv(server) });
  const status = async (token) => (await server.post('/e/', { event: 'x', distinct_id: 'd', api_key: token })).status;

  test('list', async () => {
    const plain = await cli('team', 'list');
    assert.equal(plain.code, 0);
    assert.deepEqual(plain.stdout.trim().split('\n').map((line) => line.split(/ {1,}/).slice(0, 2)),
      [['ID', 'TOKEN'], ['1', 'phc_1'], ['2', 'phc_2'], ['3', 'phc_3']]);
    assert.deepEqual(JSON.parse((await cli('team', 'list', '--json')).stdout).teams.map((t) => [t.id, t.name]),
      TEAMS.map((t) => [t.id, t.name]));
  });

  test('add', async () => {
    const plain = await cli('team', 'add', 'A "new" team');
    assert.equal(plain.code, 0, plain.output);
    const [, id, token] = /^(\d+) +(phc_\w+) +A "new" team\n$/.exec(plain.stdout);
    assert.equal(id, '4');
    assert.equal(await status(token), 200);
    const json = JSON.parse((await cli('team', 'add', 'Ten', '--id', '10', '--json')).stdout);
    assert.deepEqual([json.id, json.name, json.anonymize_ips], [10, 'Ten', false]);
    assert.equal(await status(json.api_token), 200);
    assert.equal(JSON.parse((await cli('team', 'add', 'Next', '--json')).stdout).id, 11);
    for (const [args, expect] of [[['Again', '--id', '10'], /team 10 exists already/], [['', '--id', '12'], /\/name/], [['x', '--id', '0'], /--id|\/id/],
      [['x', '--id', 'ten'], /--id|\/id/], [['x'.repeat(401)], /\/name/]]) {
      const p = await cli('team', 'add', ...args);
      assert.equal(p.code, 1, args);
      assert.match(p.stderr, expect);
    }
  });

  test('rotate-token: the old one is refused from the answer on, the new one works', async () => {
    for (const flags of [[], ['--json']]) {
      const old = server.sql('SELECT api_token FROM teams WHERE id = 2')[0].api_token;
      assert.equal(await status(old), 200);
      const p = await cli('team', 'rotate-token', '2', ...flags);
      assert.equal(p.code, 0, p.output);
      const token = /phc_\w{43}/.exec(p.stdout)[0];
      assert.deepEqual(await Promise.all([status(old), status(token)]), [401, 200]);
    }
    const p = await cli('team', 'rotate-token', '99');
    assert.equal(p.code, 1);
    assert.match(p.stderr, /no team 99/);
    assert.equal((await cli('team', 'rotate-token', 'x')).code, 1);
    assert.equal((await cli('team', 'nonsense')).code, 1);
    assert.deepEqual(server.sql('SELECT name FROM teams WHERE id = 2'), [{ name: 'Team 2' }]);
  });

  test('API: bad bodies change nothing', async () => {
    const before = server.sql('SELECT * FROM teams');
    for (const body of ['', '{', '[]', '{}', '{"name": 5}', '{"name": ""}', '{"name": "x", "id": -1}', '{"name": "x", "id": 1.5}', '{"name": "x", "name": "y"}']) {
      const answer = await server.admin('/api/teams', { method: 'POST', body });
      assert.equal(answer.status, 400, body);
      assert.ok(answer.json.error.message);
    }
    assert.deepEqual(server.sql('SELECT * FROM teams'), before);
  });
});

// A listener of /api/tail: its lines as objects.
class Tail {
  constructor(server, query = '') {
    this.lines = [];
    this.text = '';
    this.req = http.get({ ...urlParts(server.adminUrl), path: `/api/tail${query}`, agent: false,
      headers: { Authorization: `Bearer ${server.adminToken}` } });
    this.opened = new Promise((resolve, reject) => {
      this.req.on('error', reject);
      this.req.on('response', (res) => {
        res.on('data', (part) => this.take(part));
        res.on('end', () => (this.isEnded = true));
        res.on('error', () => {});
        resolve(res);
      });
    });
  }

  take(part) {
    this.text += part;
    const lines = this.text.split('\n');
    this.text = lines.pop();
    this.lines.push(...lines.map((line) => JSON.parse(line)));
  }

  close() {
    this.req.destroy();
  }
}

const urlParts = (url) => ({ host: new URL(url).hostname, port: new URL(url).port });

describe('tail', () => {
  let server;
  before(async () => {
    server = await startHedgerow({ provision: { teams: TEAMS } });
    await server.admin('/_health'); // finds the token
  });
  after(() => server.stop());
  async function open(query) {
    const tail = new Tail(server, query);
    const res = await tail.opened;
    assert.equal(res.statusCode, 200);
    return tail;
  }

  test('stored events of everybody, of one team, of one name', async () => {
    const queries = ['', '?team=2', '?event=b%20c', '?team=1&event=b%20c', '?team=3', '?event='];
    const tails = await Promise.all(queries.map(open));
    await events(server, [{ event: 'a', distinct_id: 'x', properties: { big: 9007199254740993 } }, { event: 'b c', distinct_id: 'y' }], 'phc_1');
    await events(server, [{ event: 'a', distinct_id: 'z' }, { event: 'b c', distinct_id: 'z' }], 'phc_2');
    const names = (tail) => tail.lines.map((line) => `${line.team_id} ${line.event}`).sort();
    const want = [['1 a', '1 b c', '2 a', '2 b c'], ['2 a', '2 b c'], ['1 b c', '2 b c'], ['1 b c'], [], []];
    for (const [i, tail] of tails.entries()) await waitFor(() => tail.lines.length >= want[i].length, { what: queries[i] });
    for (const [i, tail] of tails.entries()) assert.deepEqual(names(tail), want[i], queries[i]);
    const rows = new Map(stored(server).map((row) => [row.uuid, row]));
    for (const line of tails[0].lines) { // what it shows is stored, and the same
      const row = rows.get(line.uuid);
      assert.deepEqual([line.event, line.distinct_id, line.properties], [row.event, row.distinct_id, JSON.parse(row.properties)]);
      assert.match(line.person_uuid, /^[0-9a-f-]{36}$/);
    }
    for (const tail of tails) tail.close();
    assert.equal((await server.admin('/api/tail?team=x')).status, 400);
  });

  test('duplicates are not shown', async () => {
    const tail = await open('?team=3');
    for (let i = 0; i < 3; i++) await events(server, [{ event: 'once', distinct_id: 'q', uuid: uuid(99) }], 'phc_3');
    await events(server, [{ event: 'last', distinct_id: 'q' }], 'phc_3');
    await waitFor(() => tail.lines.at(-1)?.event === 'last');
    assert.deepEqual(tail.lines.map((line) => line.event), ['once', 'last']);
    tail.close();
  });

  test('the command line', async (t) => {
    const p = launch(['tail', '--team', '2', '--event', 'wanted'], { env: cliEnv(server) });
    t.after(() => p.child.kill('SIGKILL'));
    let n = 0;
    await waitFor(async () => { // it listens when it shows the first one
      await events(server, [{ event: 'wanted', distinct_id: `w${n++}` }], 'phc_2');
      return p.stdout.includes('\n');
    });
    await events(server, [{ event: 'wanted', distinct_id: 'no' }], 'phc_1');
    await events(server, [{ event: 'other', distinct_id: 'no' }, { event: 'wanted', distinct_id: 'end' }], 'phc_2');
    await p.says('"end"');
    const seen = p.stdout.trim().split('\n').map((line) => JSON.parse(line));
    assert.ok(seen.every((line) => line.team_id === 2 && line.event === 'wanted'));
    await p.signalled('SIGINT');
    const bad = await run(['tail', '--team', 'x'], { env: cliEnv(server) });
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /400|team/);
    assert.equal(bad.stdout, '');
    const wrong = await run(['tail'], { env: { ...cliEnv(server), ADMIN_TOKEN: 'wrong' } });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /401|token/);
    assert.equal(wrong.stdout, '');
  });

  test('a slow listener costs nobody anything', async (t) => {
    const slow = net.connect(urlParts(server.adminUrl));
    t.after(() => slow.destroy());
    slow.pause();
    slow.write(`GET /api/tail?team=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${server.adminToken}\r\n\r\n`);
    const quick = await open('?team=1&event=small');
    const before = stored(server).length;
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]) * 1024;
    const text = 'x'.repeat(400 << 10);
    const start = rss();
    for (let i = 0; i < 80; i++) { // more than sockets and queues hold
      await events(server, [{ event: 'large', distinct_id: `l${i}`, properties: { text } }]);
      if (i % 10 === 9) await events(server, [{ event: 'small', distinct_id: `s${i}` }]);
    }
    await waitFor(() => server.sql('SELECT count(*) n FROM v_events')[0].n === before + 88);
    await waitFor(() => quick.lines.length === 8);
    assert.equal((await request(server.adminUrl, '/_health')).status, 200);
    if (!process.env.HEDGEROW_SAN) assert.ok(rss() - start < 256 << 20, `${start} to ${rss()}`); // shadow memory counts too
    let got = '';
    slow.on('data', (part) => (got += part));
    slow.resume();
    await waitFor(async () => { // it hears that it missed some
      await events(server, [{ event: 'tick', distinct_id: 't' }]);
      return got.includes('"skipped":') && got.includes('"tick"');
    });
    for (const line of got.split('\r\n').filter((part) => part.startsWith('{'))[0].trim().split('\n')) JSON.parse(line);
    quick.close();
  });

  test('listeners end when the server stops', async () => {
    const other = await startHedgerow();
    await other.admin('/_health');
    const tails = [new Tail(other), new Tail(other)];
    await Promise.all(tails.map((tail) => tail.opened));
    const p = launch(['tail'], { env: cliEnv(other) });
    let n = 0;
    await waitFor(async () => {
      await events(other, [{ event: 'x', distinct_id: `w${n++}` }], other.token);
      return p.stdout.includes('\n');
    });
    await other.stop();
    await waitFor(() => tails.every((tail) => tail.isEnded));
    assert.equal((await p.exited).code, 0, p.output);
  });
});

describe('send', () => {
  let server, dir;
  before(async () => {
    server = await startHedgerow({ provision: { teams: TEAMS } });
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'hedgerow-send-'));
  });
  after(async () => {
    fs.rmSync(dir, { recursive: true });
    await server.stop();
  });
  const file = (list, end = '\n') => {
    const name = path.join(dir, `${Math.random()}.jsonl`);
    fs.writeFileSync(name, list.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n') + end);
    return name;
  };
  const send = (args, options) => run(['send', ...args], { env: cliEnv(server), ...options });
  const count = (event) => server.sql(`SELECT count(*) n, count(DISTINCT distinct_id) d FROM v_events WHERE event = '${event}'`)[0];

  test('a file', async () => {
    const list = Array.from({ length: 1203 }, (_, i) => ({ event: 'filed', distinct_id: `f${i}`, properties: { i } }));
    const p = await send([file(list, '')]);
    assert.equal(p.code, 0, p.output);
    assert.match(p.stdout, /^1203 events sent, 0 lines refused, \d+\.\d s\n$/);
    assert.equal(p.stderr, '');
    await waitFor(() => count('filed').n === 1203);
    assert.equal(count('filed').d, 1203);
  });

  test('standard input, another team, numbers to the digit', async () => {
    const input = '\n  {"event":"piped","distinct_id":"p","properties":{"n":9007199254740993,"x":299.990}}\r\n\n' +
      `{"uuid":"${uuid(55)}","event":"piped","distinct_id":"q"}`;
    const p = await send(['-', '--token', 'phc_3', '--url', server.captureUrl], { input });
    assert.equal(p.code, 0, p.output);
    assert.match(p.stdout, /^2 events sent, 0 lines refused/);
    await waitFor(() => count('piped').n === 2);
    const rows = stored(server, "event = 'piped'");
    assert.match(rows.find((row) => row.distinct_id === 'p').properties, /"n":9007199254740993,"x":299.99\b/);
    assert.deepEqual(rows.map((row) => row.team_id), [3, 3]);
    assert.equal(rows.find((row) => row.distinct_id === 'q').uuid, uuid(55));
  });

  test('refused lines are named, the others go through', async () => {
    const good = (i) => ({ event: 'mixed', distinct_id: `g${i}` });
    const p = await send([file([good(0), 'not json', '[1]', good(1), { distinct_id: 'no event' }, good(2), '{"event":"mixed","properties":5,"distinct_id":"p"}'])]);
    assert.equal(p.code, 1);
    assert.match(p.stdout, /^3 events sent, 4 lines refused/);
    assert.deepEqual(p.stderr.trim().split('\n').map((line) => /^line (\d+): ./.exec(line)?.[1]).sort(), ['2', '3', '5', '7']);
    await waitFor(() => count('mixed').n === 3);
  });

  test('faults', async () => {
    const name = file([{ event: 'x', distinct_id: 'y' }]);
    for (const [args, expect] of [[[path.join(dir, 'absent')], /absent/], [[name, '--token', 'phc_none'], /401/], [[name, '--url', 'http://127.0.0.1:1/x', '--token'], /--token/],
      [[], /hedgerow send FILE/], [[dir], /directory|read/i]]) {
      const p = await send(args);
      assert.equal(p.code, 1, args);
      assert.match(p.stderr, expect);
    }
    assert.match((await send([file([], '')])).stdout, /^0 events sent/);
  });

  test('503 and a lost answer: the same batch with the same uuids again', async (t) => {
    const bodies = [];
    const fake = http.createServer((req, res) => {
      let text = '';
      req.on('data', (part) => (text += part));
      req.on('end', () => {
        bodies.push(JSON.parse(text));
        assert.equal(req.url, '/batch/');
        if (bodies.length === 1) res.writeHead(503, { 'Retry-After': '1' }).end();
        else if (bodies.length === 2) req.socket.destroy();
        else res.writeHead(200).end('{"status": 1}');
      });
    }).listen(0, '127.0.0.1');
    await new Promise((done) => fake.once('listening', done));
    t.after(() => fake.close());
    const url = `http://127.0.0.1:${fake.address().port}`;
    const p = await send([file([{ event: 'a', distinct_id: 'x' }, { uuid: uuid(1), event: 'b', distinct_id: 'y' }]), '--token', 'phc_t', '--url', url]);
    assert.equal(p.code, 0, p.output);
    assert.match(p.stdout, /^2 events sent, 0 lines refused/);
    assert.equal(bodies.length, 3);
    assert.deepEqual(bodies[1], bodies[0]);
    assert.deepEqual(bodies[2], bodies[0]);
    assert.equal(bodies[0].api_key, 'phc_t');
    assert.match(bodies[0].batch[0].uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    assert.equal(bodies[0].batch[1].uuid, uuid(1));
  });
});
