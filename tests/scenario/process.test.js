// The process and the machine it runs on: files, descriptors, listeners, names.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const net = require('node:net');
const { after, test } = require('node:test');
const { startHedgerow, waitFor } = require('../lib/hedgerow.js');
const { killAll, launch, run, tempDir } = require('../lib/cli.js');

after(killAll);

const FREE = { CAPTURE_PORT: '0', HTTP_SERVER_PORT: '0' };

test('what it makes is for its user alone', async (t) => {
  const dir = path.join(tempDir(t), 'data');
  fs.mkdirSync(dir);
  fs.writeFileSync(path.join(dir, 'admin.token'), 'found-here', { mode: 0o644 });
  const p = launch([], { env: { DATA_DIR: dir, ...FREE } });
  await p.ports(dir);
  assert.match(p.stderr, /admin token: chmod 600[^\n]*admin\.token/);
  const open = fs.readdirSync(dir, { recursive: true }).filter((name) => fs.statSync(path.join(dir, name)).mode & 0o77);
  assert.deepEqual(open, ['admin.token']);
  assert.ok(fs.existsSync(path.join(dir, 'hedgerow.db-wal')));
  fs.chmodSync(path.join(dir, 'admin.token'), 0o600);
  assert.equal((await p.signalled('SIGTERM')).code, 0);
  const again = launch([], { env: { DATA_DIR: dir, ...FREE } });
  await again.ports(dir);
  assert.doesNotMatch((await again.signalled('SIGTERM')).stderr, /chmod/);
});

test('idle connections leave descriptors for the queue', async () => {
  const server = await startHedgerow({ env: { QUEUE_SEGMENT_BYTES: '64KiB', HTTP_THREADS: '2' },
    wrap: ['sh', '-c', 'ulimit -n 256 && exec "$@"', 'sh'] });
  const idle = [];
  const post = (n) => server.post('/e/', { api_key: server.token, event: 'e', distinct_id: `${n}`, properties: { x: 'x'.repeat(30000) } });
  assert.match(server.output, /fewer connections.*limit=256/);
  const { port } = new URL(server.captureUrl);
  for (let i = 0; i < 300; i++) idle.push(net.connect(port, '127.0.0.1').on('error', () => {}));
  await Promise.all(idle.map((s) => s.connecting && new Promise((done) => s.once('connect', done))));
  assert.equal((await post(0)).status, 503);
  for (const s of idle.splice(0, 250)) s.destroy();
  await waitFor(async () => (await post(1)).status === 200);
  for (let i = 2; i < 30; i++) assert.equal((await post(i)).status, 200); // many segments further
  assert.equal((await server.admin('/_health')).status, 200);
  for (const s of idle) s.destroy();
  await server.stop();
});

test('the health check finds the server wherever it listens', async (t) => {
  const has6 = Object.values(os.networkInterfaces()).flat().some((a) => a.address === '::1');
  for (const host of ['127.0.0.3', '0.0.0.0', '*', ...(has6 ? ['::1'] : [])]) {
    const env = { DATA_DIR: tempDir(t), CAPTURE_PORT: '0', HTTP_SERVER_HOST: host, ADMIN_TOKEN: 'x' };
    const p = launch([], { env: { ...env, HTTP_SERVER_PORT: '0' } });
    await p.says('All systems go');
    const { admin } = JSON.parse(fs.readFileSync(path.join(env.DATA_DIR, 'ports.json'), 'utf8'));
    for (const port of [undefined, '0', String(admin)]) {
      const check = await run(['--healthcheck'], { env: port === undefined ? env : { ...env, HTTP_SERVER_PORT: port } });
      assert.equal(check.code, 0, `${host} ${port}: ${check.output}`);
    }
    assert.equal((await p.signalled('SIGTERM')).code, 0);
    assert.equal((await run(['--healthcheck'], { env: { ...env, HTTP_SERVER_PORT: String(admin) } })).code, 1);
  }
});

test('less than a sync before each answer is told once', async (t) => {
  for (const [mode, times] of [['always', 0], ['interval', 1], ['never', 1]]) {
    const dir = tempDir(t);
    const p = launch([], { env: { DATA_DIR: dir, ...FREE, QUEUE_SYNC: mode } });
    await p.ports(dir);
    assert.equal((await p.signalled('SIGTERM')).code, 0);
    assert.equal((p.stderr.match(/power failure may lose.*QUEUE_SYNC=/g) ?? []).length, times, p.stderr);
  }
});
