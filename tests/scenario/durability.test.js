// The promise "2xx means on disk", looked at from outside: the order of the program's own writes, syncs and answers, and a
// kill with loss of everything that was not synced. Both by the preloaded library tests/crash/losewrites.c.
'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { after, describe, it } = require('node:test');
const { Hedgerow, killAll, startHedgerow, waitFor } = require('../lib/hedgerow.js');
const { filesByInode, forget, loseWrites, notSynced, randomOf, readJournal } = require('../crash/undo.js');

const SHIM = path.resolve(process.env.SHIM_DIR ?? path.join(__dirname, '../../build/crash'), 'losewrites.so');
const TOKEN = 'phc_durable';
const provision = { teams: [{ id: 1, name: 'one', api_token: TOKEN }] };
const top = fs.mkdtempSync(path.join(os.tmpdir(), 'hedgerow-durability-'));
after(() => {
  killAll();
  fs.rmSync(top, { recursive: true, force: true });
});

const mark = (n) => n.toString(16).padStart(16, '0');
// A sanitizer's library would have to come first. Node counts a skipped test, but not a skipped suite.
function suite(name, options, define) {
  if (process.env.HEDGEROW_SAN) it(name, { skip: 'not with sanitizers' });
  else describe(name, options, define);
}

function preload(name) {
  const dir = path.join(top, name);
  const paths = { dir: path.join(dir, 'data'), stashDir: path.join(dir, 'stash'), journal: path.join(dir, 'journal'),
    trace: path.join(dir, 'trace') };
  fs.mkdirSync(paths.dir, { recursive: true });
  forget(paths.journal, paths.stashDir);
  return { ...paths, env: { LD_PRELOAD: SHIM, LOSEWRITES_DIR: paths.dir } };
}

// Sends one event per mark on a connection of its own; resolves to { status, port }.
function send(server, marks, pad = '') {
  const batch = marks.map((m) => ({ event: 'marked', distinct_id: `d-${m}`, properties: { mark: `MARK-${m}`, pad } }));
  const body = JSON.stringify({ api_key: TOKEN, batch });
  return new Promise((resolve, reject) => {
    const req = http.request(`${server.captureUrl}/batch/`, { method: 'POST', agent: false,
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) } });
    let port;
    req.on('socket', (socket) => socket.on('connect', () => (port = socket.localPort)));
    req.on('error', reject);
    req.on('response', (res) => res.resume().on('end', () => resolve({ status: res.statusCode, port })));
    req.end(body);
  });
}

// Places in the trace, by what happened.
function readTrace(file, inodes) {
  const lines = fs.readFileSync(file, 'utf8').split('\n').map((line) => line.split(' '));
  const writes = new Map(); // mark -> { inode, end }
  const syncs = []; // { inode, begin, end }
  const answers = new Map(); // port -> place
  const open = new Map();
  lines.forEach(([what, a, b, ...rest], place) => {
    if (what === 'write+') open.set(`${a} ${b}`, rest.slice(1));
    if (what === 'write-' && inodes.has(a))
      for (const m of open.get(`${a} ${b}`)) writes.set(m, { inode: a, end: place });
    if (what === 'sync+') open.set(`sync ${a} ${b}`, place);
    if (what === 'sync-' && rest[0] === '0') syncs.push({ inode: a, begin: open.get(`sync ${a} ${b}`), end: place });
    if (what === 'answer' && b.startsWith('2')) answers.set(Number(a), place);
  });
  return { writes, syncs, answers };
}

function isProved(trace, marks, port) {
  const answer = trace.answers.get(port);
  return marks.every((m) => {
    const write = trace.writes.get(m);
    return write && trace.syncs.some((s) => s.inode === write.inode && s.begin > write.end && s.end < answer);
  });
}

async function traced(name, settings) {
  const { dir, trace, env } = preload(name);
  const server = await startHedgerow({ dataDir: dir, provision,
    env: { ...env, LOSEWRITES_TRACE: trace, LOSEWRITES_MARK: 'MARK-', QUEUE_SEGMENT_BYTES: '1MiB', ...settings } });
  const requests = [];
  for (let round = 0; round < 3; round++) {
    const marks = [...Array(32)].map((_, i) => [mark(round * 1000 + i * 2), mark(round * 1000 + i * 2 + 1)]);
    const answers = await Promise.all(marks.map((m) => send(server, m)));
    requests.push(...answers.map((a, i) => ({ ...a, marks: marks[i] })));
  }
  const large = [...Array(20)].map((_, i) => mark(90000 + i));
  requests.push({ ...await send(server, large, 'x'.repeat(100000)), marks: large }); // goes over several segments
  const ring = path.join(dir, 'ring', fs.readdirSync(path.join(dir, 'ring'))[0]);
  const inodes = new Set(fs.readdirSync(ring).filter((f) => f.endsWith('.seg')).map((f) => String(fs.statSync(path.join(ring, f)).ino)));
  await server.stop({ keep: true });
  return { requests, trace: readTrace(trace, inodes) };
}

suite('the preloaded library', {}, () => {
  it('takes back what no sync had covered, and only that', () => {
    const { dir, stashDir, journal, env } = preload('self');
    const script = `
import os, sys
d = sys.argv[1] + '/'
def put(name, data, at=0, sync=False, flags=os.O_CREAT | os.O_RDWR):
    fd = os.open(d + name, flags, 0o644)
    os.pwrite(fd, data, at)
    if sync: os.fsync(fd)
    os.close(fd)
def sync_dir():
    fd = os.open(d, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)
put('a', b'A' * 10000, sync=True)
put('b', b'B' * 10000, sync=True)
put('gone', b'kept', sync=True)
put('old', b'old', sync=True)
put('target', b'target', sync=True)
sync_dir()
put('a', b'x' * 5000, 100)
put('a', b'y' * 3000, 9000)
put('b', b'sync', 3, sync=True)
os.truncate(d + 'a', 4000)
put('b', b'', flags=os.O_WRONLY | os.O_TRUNC)
put('new', b'new', sync=True)
os.unlink(d + 'gone')
os.rename(d + 'old', d + 'target')
os.mkdir(d + 'sub')
os.kill(os.getpid(), 9)
`;
    const run = spawnSync('python3', ['-c', script, dir],
      { env: { ...process.env, ...env, LOSEWRITES_JOURNAL: journal, LOSEWRITES_STASH: stashDir } });
    assert.equal(run.signal, 'SIGKILL', String(run.stderr));
    loseWrites({ journal, dir, stashDir, mode: 'all', random: randomOf(1) });
    // Runs of one letter as letter and count.
    const read = (name) => fs.readFileSync(path.join(dir, name), 'latin1').replace(/(.)\1{3,}/g, (run) => run[0] + run.length);
    const now = Object.fromEntries(fs.readdirSync(dir).map((name) => [name, read(name)]));
    assert.deepEqual(now, { a: 'A10000', b: 'BBBsyncB9993', gone: 'kept', old: 'old', target: 'target' });
  });
});

suite('an answer of 2xx', {}, () => {
  it('is written after the sync that covers its records has returned', async () => {
    const { requests, trace } = await traced('always', {});
    for (const r of requests) {
      assert.equal(r.status, 200);
      assert.ok(r.marks.every((m) => trace.writes.has(m)), `the trace has no write of ${r.marks}`);
      assert.ok(isProved(trace, r.marks, r.port), `${r.marks} were answered before they were synced`);
    }
    const all = new Set([...trace.writes.values()].map((w) => w.end));
    assert.ok(all.size < requests.length, 'no two requests shared a write');
  });

  it('comes earlier with QUEUE_SYNC=never, which shows that the proof can fail', async () => {
    const { requests, trace } = await traced('never', { QUEUE_SYNC: 'never' });
    assert.ok(requests.every((r) => r.status === 200));
    assert.ok(requests.some((r) => !isProved(trace, r.marks, r.port)));
  });
});

async function settled(server) {
  await waitFor(async () => (await server.admin('/api/status')).json.queue.lag_events === 0);
}

// Four clients, one event a request, until `isOver`. Acknowledged marks go to `acknowledged`, all others to `unknown`.
async function load(server, first, acknowledged, unknown, isOver) {
  await Promise.all([...Array(4)].map(async (_, k) => {
    for (let i = 0; !isOver(); i++) {
      const m = mark(first + k * 1e5 + i);
      const { status } = await send(server, [m]).catch(() => ({}));
      (status === 200 ? acknowledged : unknown).push(m);
    }
  }));
}

async function expectStored(dir, acknowledged) {
  const server = await startHedgerow({ dataDir: dir, provision });
  await settled(server);
  const stored = new Map(server.sql('SELECT distinct_id, count(*) AS n FROM v_events GROUP BY 1').map((r) => [r.distinct_id, r.n]));
  assert.deepEqual(acknowledged.filter((m) => stored.get(`d-${m}`) !== 1), []);
  assert.deepEqual([...stored].filter(([, n]) => n !== 1), []);
  assert.equal(server.sql('PRAGMA integrity_check')[0].integrity_check, 'ok');
  assert.equal(server.sql('SELECT count(*) AS n FROM v_dead_letters')[0].n, 0);
  await server.stop();
  return stored;
}

const MARK_BYTES = 36; // the ring's note that nothing follows, which may be lost
const HEAD_BYTES = 8192; // of a lap: without records it may be lost too

// Segments or write-ahead logs with records or commits that no sync has followed: inode -> name.
function openFiles(journal, dir, suffix) {
  const writes = notSynced(readJournal(journal).entries).filter((e) => e.length !== MARK_BYTES && e.length !== HEAD_BYTES);
  const keys = new Set(writes.map((e) => e.key));
  return new Map([...filesByInode(dir)].filter(([inode, name]) => keys.has(inode) && name.endsWith(suffix)).map(
    ([inode, name]) => [String(inode), name]));
}

// The lines of a trace, and where the first head of a segment is written.
function firstHead(trace, dir) {
  const segments = new Set([...filesByInode(dir)].filter(([, name]) => name.endsWith('.seg')).map(([inode]) => String(inode)));
  const lines = fs.readFileSync(trace, 'utf8').split('\n').map((line) => line.split(' '));
  return { lines, head: lines.findIndex(([what, inode, at]) => what === 'write+' && segments.has(inode) && at === '0') };
}

suite('a power cut', { concurrency: 2 }, () => {
  for (const mode of ['all', 'some'])
    it(`that takes ${mode} of the unsynced writes takes no acknowledged event`, async () => {
      const { dir, stashDir, journal, env } = preload(`cut-${mode}`);
      const acknowledged = [];
      for (let cut = 0; cut < 3; cut++) {
        const server = await startHedgerow({ dataDir: dir, provision,
          env: { ...env, LOSEWRITES_JOURNAL: journal, LOSEWRITES_STASH: stashDir } });
        let isOver = false;
        const loading = load(server, cut * 1e6, acknowledged, [], () => isOver);
        const before = acknowledged.length;
        await waitFor(() => acknowledged.length > before + 100, { everyMs: 1 });
        await server.kill();
        isOver = true;
        await loading;
        loseWrites({ journal, dir, stashDir, mode, random: randomOf(cut) });
      }
      await expectStored(dir, acknowledged);
    });

  // What a killed process wrote and did not sync is seen by the next one, which must not build on it before it is on disk.
  for (const [suffix, calls] of [['-wal', [6, 7, 8, 9]], ['.seg', [3, 4, 5, 6]]])
    it(`after a kill in the middle of a write to *${suffix} and another start takes nothing`, async () => {
      let seen = 0;
      for (const call of calls) {
        const { dir, stashDir, journal, trace, env } = preload(`twice${suffix}-${call}`);
        const losing = { ...env, LOSEWRITES_JOURNAL: journal, LOSEWRITES_STASH: stashDir, QUEUE_SEGMENT_BYTES: '1MiB' };
        const acknowledged = [];
        const unknown = [];
        const first = await startHedgerow({ dataDir: dir, provision, env: { ...losing, LOSEWRITES_KILL: `${suffix}:${call}` } });
        for (let n = 0; !first.how && n < 40; n++) {
          const marks = [0, 1, 2].map((i) => mark(n * 10 + i));
          const { status } = await send(first, marks, 'x'.repeat(60000)).catch(() => ({}));
          (status === 200 ? acknowledged : unknown).push(...marks);
        }
        await first.exited;
        const open = openFiles(journal, dir, suffix);
        seen += open.size;
        const second = await startHedgerow({ dataDir: dir, provision, env: { ...losing, LOSEWRITES_TRACE: trace } });
        await second.kill();
        const { lines, head } = firstHead(trace, dir);
        for (const [inode, name] of open)
          assert.ok(lines.slice(0, head).some(([what, key, , rc]) => what === 'sync-' && key === inode && rc === '0'),
            `call ${call}: ${name} was not synced before the ring was written`);
        loseWrites({ journal, dir, stashDir, mode: 'all', random: randomOf(1) });
        const third = await startHedgerow({ dataDir: dir, provision });
        await settled(third);
        assert.doesNotMatch(third.output, /damaged|missing/);
        await third.stop({ keep: true });
        const stored = await expectStored(dir, acknowledged);
        assert.equal(unknown.filter((m) => stored.has(`d-${m}`)).length % 3, 0, 'a part of a request is stored');
      }
      assert.ok(seen > 0, 'no kill left anything unsynced');
    });

  it('after a kill during the very first start and another start takes nothing', async () => {
    const places = ['/data:1', '/data:2', '/data:3', '/data:4', '/ring:1', '/events_plugin_ingestion:1', '.tmp:1', '.tmp:2',
      '-journal:1', 'hedgerow.db:1', '-wal:1', '-wal:3', '.seg:1'];
    const runs = places.map((place) => async () => {
      const { dir, stashDir, journal, env } = preload(`first-${place.replace(/\W/g, '')}`);
      const losing = { ...env, LOSEWRITES_JOURNAL: journal, LOSEWRITES_STASH: stashDir };
      const first = new Hedgerow({ dataDir: dir, provision, env: { ...losing, LOSEWRITES_KILL: place } });
      first.launch();
      await waitFor(() => first.how || first.output.includes('All systems go'));
      await first.kill();
      const second = await startHedgerow({ dataDir: dir, provision, env: losing });
      const acknowledged = [mark(1), mark(2)];
      for (const m of acknowledged) assert.equal((await send(second, [m])).status, 200);
      await second.kill();
      loseWrites({ journal, dir, stashDir, mode: 'all', random: randomOf(1) });
      await expectStored(dir, acknowledged).catch((error) => assert.fail(`killed at ${place}: ${error.message}`));
    });
    await Promise.all([0, 1].map(async () => { while (runs.length) await runs.shift()(); }));
  });
});
