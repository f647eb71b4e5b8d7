// A full disk, a data directory that cannot be used, and a database that somebody else holds.
//
// The full disk is a small memory file system in a mount namespace of its own, which a sleeping process keeps alive: the
// program is started inside, the test looks in through /proc. Without the right to mount these cases are skipped.
'use strict';

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');
const { Hedgerow, killAll, startHedgerow, waitFor } = require('../lib/hedgerow.js');

const TOKEN = 'phc_full';
const provision = { teams: [{ id: 1, name: 'one', api_token: TOKEN }] };
const top = fs.mkdtempSync(path.join(os.tmpdir(), 'hedgerow-full-'));
fs.chmodSync(top, 0o755);
after(() => {
  killAll();
  fs.rmSync(top, { recursive: true, force: true });
});

const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', top]).status === 0;
const uuidOf = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const range = (first, count) => [...Array(count)].map((_, i) => first + i);

// Numbered events in one request.
function batch(first, count, pad = '') {
  return { api_key: TOKEN, batch: [...Array(count)].map((_, i) => (
    { event: 'full', distinct_id: `d${i % 3}`, uuid: uuidOf(first + i), properties: { pad } })) };
}

async function settle(server) {
  await waitFor(async () => (await server.admin('/api/status')).json.queue.lag_events === 0, { timeoutMs: 20000 });
}

function numbersStored(server) {
  return server.sql('SELECT uuid FROM v_events').map((row) => Number(row.uuid.slice(24))).sort((a, b) => a - b);
}

class SmallDisk {
  async mount(bytes) {
    const dir = fs.mkdtempSync(path.join(top, 'disk-'));
    this.holder = spawn('unshare', ['-m', 'sh', '-c', `mount -t tmpfs -o size=${bytes} tmpfs "$0" && echo ready && exec sleep 1000`, dir],
      { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => this.holder.stdout.once('data', resolve));
    this.inside = path.join(dir, 'data');
    this.dataDir = `/proc/${this.holder.pid}/root${this.inside}`;
    this.filler = `/proc/${this.holder.pid}/root${dir}/filler`;
    return this;
  }

  start(env) {
    return startHedgerow({ dataDir: this.dataDir, provision, env: { DATA_DIR: this.inside, ...env },
      wrap: ['nsenter', '-t', String(this.holder.pid), '-m'] });
  }

  // Takes all that is left but `spare` bytes.
  fill(spare = 0) {
    const fd = fs.openSync(this.filler, 'a');
    const chunk = Buffer.alloc(4096);
    try {
      for (;;) fs.writeSync(fd, chunk);
    } catch (error) {
      assert.equal(error.code, 'ENOSPC');
    }
    fs.ftruncateSync(fd, Math.max(0, fs.fstatSync(fd).size - spare));
    fs.closeSync(fd);
  }

  free() {
    fs.rmSync(this.filler);
  }

  unmount() {
    this.holder.kill('SIGKILL');
  }
}

describe('a full disk', { skip: canMount ? false : 'needs the right to mount' }, () => {
  let disk;
  before(async () => { disk = await new SmallDisk().mount('40m'); });
  after(() => disk.unmount());

  it('is answered with 503 until there is room again; nothing acknowledged is lost', async () => {
    const server = await disk.start({ QUEUE_MIN_FREE_BYTES: '0', QUEUE_SEGMENT_BYTES: '1MiB' });
    const acknowledged = [];
    const refused = [];
    const post = async (first) => {
      const res = await server.post('/batch/', batch(first, 10, 'x'.repeat(2000)));
      (res.status === 200 ? acknowledged : refused).push(...range(first, 10));
      return res;
    };
    for (let n = 0; n < 200; n += 10) assert.equal((await post(n)).status, 200);
    await settle(server);
    disk.fill();
    // The segments that are there take some; the database grows until it has no room, then capture refuses.
    let n = 200;
    let last;
    for (; n < 20000 && last?.status !== 503; n += 10) last = await post(n);
    assert.equal(last.status, 503);
    assert.ok(Number(last.headers['retry-after']) > 0);
    const health = await server.admin('/_health');
    assert.ok(health.status === 503 || Object.values(health.json.checks).some((c) => c !== 'ok'), health.text);
    for (let i = 0; i < 20; i++, n += 10) await post(n); // it stays up
    assert.equal(server.how, undefined, server.output);
    disk.free();
    await waitFor(async () => (await post((n += 10))).status === 200, { everyMs: 100 });
    await settle(server);
    await waitFor(async () => (await server.admin('/_health')).json.status === 'ok');
    assert.deepEqual(numbersStored(server), acknowledged.sort((a, b) => a - b));
    assert.equal(server.sql('SELECT count(*) AS n FROM v_dead_letters')[0].n, 0);
    assert.ok(refused.length > 0);
    await server.stop({ keep: true });
  });

  it('in the database alone makes the pipeline wait, without a dead letter', async () => {
    fs.rmSync(disk.dataDir, { recursive: true, force: true });
    const server = await disk.start({ QUEUE_MIN_FREE_BYTES: '0', QUEUE_SEGMENT_BYTES: '4MiB' });
    await server.post('/batch/', batch(0, 10));
    await settle(server);
    disk.fill();
    const acknowledged = range(0, 10);
    let n = 10;
    await waitFor(async () => { // the ring has 4 MiB, the database nothing
      const res = await server.post('/batch/', batch(n, 10, 'x'.repeat(1000)));
      if (res.status === 200) acknowledged.push(...range(n, 10));
      n += 10;
      return res.status === 503;
    }, { everyMs: 0 });
    const { json } = await server.admin('/_health');
    assert.equal(json.checks.store, 'degraded', JSON.stringify(json));
    assert.equal((await server.admin('/_ready')).status, 503);
    assert.ok((await server.admin('/api/status')).json.queue.lag_events > 0);
    disk.free();
    await settle(server);
    await waitFor(async () => (await server.admin('/_health')).json.checks.store === 'ok');
    assert.equal((await server.post('/batch/', batch(90000, 1))).status, 200);
    await settle(server);
    assert.deepEqual(numbersStored(server), [...acknowledged, 90000]);
    assert.equal(server.sql('SELECT count(*) AS n FROM v_dead_letters')[0].n, 0);
    await server.stop({ keep: true });
  });

  it('at the first start is one clear sentence', async () => {
    fs.rmSync(disk.dataDir, { recursive: true, force: true });
    disk.fill(64 * 1024);
    const server = new Hedgerow({ dataDir: disk.dataDir, env: { DATA_DIR: disk.inside },
      wrap: ['nsenter', '-t', String(disk.holder.pid), '-m'] });
    server.launch();
    await server.exited;
    disk.free();
    assert.equal(server.how.code, 1, server.describe());
    assert.equal(server.output.split('\n').filter((line) => line.includes('✗')).length, 1, server.output);
    assert.match(server.output, /[Nn]o space|full/);
  });
});

async function refused(options) {
  const server = new Hedgerow({ env: {}, ...options });
  server.launch();
  await server.exited;
  assert.equal(server.how.code, 1, server.describe());
  const errors = server.output.split('\n').filter((line) => line.includes('✗'));
  assert.equal(errors.length, 1, server.output);
  return errors[0];
}

describe('a data directory', () => {
  it('that cannot be written is refused, and nothing is created', async () => {
    const dataDir = path.join(top, 'unwritable');
    fs.mkdirSync(dataDir, { mode: 0o555 });
    const isRoot = process.getuid() === 0;
    const line = await refused({ dataDir, wrap: isRoot ? ['setpriv', '--reuid=65534', '--clear-groups'] : [] });
    assert.match(line, new RegExp(`DATA_DIR.*${dataDir}.*[Pp]ermission denied`));
    assert.deepEqual(fs.readdirSync(dataDir), []);
  });

  it('below a file is refused', async () => {
    const file = path.join(top, 'file');
    fs.writeFileSync(file, 'x');
    assert.match(await refused({ dataDir: path.join(file, 'data') }), /DATA_DIR.*Not a directory/);
    assert.equal(fs.readFileSync(file, 'utf8'), 'x');
  });

  it('that another process holds is refused, and nothing is changed', async () => {
    const dataDir = path.join(top, 'held');
    const server = await startHedgerow({ dataDir, provision });
    const look = () => fs.readdirSync(dataDir, { recursive: true }).sort();
    const seen = look();
    const ports = fs.readFileSync(path.join(dataDir, 'ports.json'), 'utf8');
    assert.match(await refused({ dataDir }), new RegExp(`DATA_DIR.*is held by process ${server.child.pid}`));
    assert.deepEqual(look(), seen);
    assert.equal(fs.readFileSync(path.join(dataDir, 'ports.json'), 'utf8'), ports);
    assert.equal((await server.post('/batch/', batch(0, 2))).status, 200);
    await settle(server);
    assert.deepEqual(numbersStored(server), [0, 1]);
    await server.stop();
  });
});

describe('a database that somebody else holds for 7 seconds', () => {
  it('delays storing, but neither capture nor any event', async () => {
    const dataDir = path.join(top, 'busy');
    const server = await startHedgerow({ dataDir, provision });
    await server.post('/batch/', batch(0, 10));
    await settle(server);
    const release = await server.holdDatabase();
    const end = Date.now() + 7000;
    let n = 10;
    let wasDegraded = false;
    while (Date.now() < end) {
      assert.equal((await server.post('/batch/', batch(n, 10))).status, 200);
      n += 10;
      const { json } = await server.admin('/_health');
      wasDegraded = wasDegraded || json.checks.store === 'degraded';
      await new Promise((done) => setTimeout(done, 50));
    }
    assert.ok(wasDegraded, 'health never said degraded');
    assert.equal(numbersStored(server).length, 10);
    await release();
    await settle(server);
    await waitFor(async () => (await server.admin('/_health')).json.checks.store === 'ok');
    assert.deepEqual(numbersStored(server), range(0, n));
    assert.equal(server.sql('SELECT count(*) AS n FROM v_dead_letters')[0].n, 0);
    await server.stop();
  });
});
