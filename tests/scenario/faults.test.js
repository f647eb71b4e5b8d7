// Faults at every point where writing can fail, and a kill at every point where it matters (the build with fault points).
//
// A fault may cost an answer of 503 or a start, never an acknowledged event or a part of a request. What was refused because
// of one fault is not stored either; when the segment after the failed one fails as well nothing on disk can say so, and
// the request may be found, whole, after a kill (clients that send it again are recognised by the uuids).
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, describe, it } = require('node:test');
const { Hedgerow, killAll, startHedgerow, waitFor } = require('../lib/hedgerow.js');

const program = process.env.HEDGEROW_TEST_BIN ?? path.join(__dirname, '../../build/test/hedgerow');
const TOKEN = 'phc_faults';
const provision = { teams: [{ id: 1, name: 'one', api_token: TOKEN }] };
const env = { QUEUE_SEGMENT_BYTES: '1MiB', QUEUE_MIN_FREE_BYTES: '0', HTTP_THREADS: '1', WORKER_CONCURRENCY: '2' };
const REQUESTS = 12;
const PAD = 'x'.repeat(200000); // some segments in these requests
const top = fs.mkdtempSync(path.join(os.tmpdir(), 'hedgerow-faults-'));
after(() => {
  killAll();
  fs.rmSync(top, { recursive: true, force: true });
});

const sources = path.join(__dirname, '../../src');
const crashPoints = fs.readdirSync(sources, { recursive: true }).filter((f) => f.endsWith('.c')).flatMap((f) =>
  [...fs.readFileSync(path.join(sources, f), 'utf8').matchAll(/fault_crash\("([\w.]+)"\)/g)].map((m) => m[1]));

// Not passed in a run as short as these.
const RARE = new Set(['ring.unlinked']);

// Sends numbered requests of three events; resolves to { number: status }, 0 for no answer.
async function sendAll(server) {
  const answers = {};
  for (let n = 0; n < REQUESTS && !server.how; n++) {
    const batch = ['a', 'b', 'c'].map((part) => (
      { event: `e${n}${part}`, distinct_id: `d${part}`, properties: { pad: part === 'b' ? PAD : '' } }));
    answers[n] = await server.post('/batch/', { api_key: TOKEN, batch }).then((res) => res.status, () => 0);
  }
  return answers;
}

// Runs once with the faults (`ends`: which end it), then without; resolves to what happened and what is stored.
async function runWith(faults, { ends = false } = {}) {
  const dataDir = fs.mkdtempSync(path.join(top, 'data-'));
  const faulty = new Hedgerow({ dataDir, provision, program, env: { ...env, HEDGEROW_FAULTS: faults } });
  faulty.launch();
  let answers = {};
  let isStarted = true;
  try {
    await faulty.ready();
    answers = await sendAll(faulty);
  } catch {
    isStarted = false;
  }
  if (ends) await waitFor(() => faulty.how);
  const wasAlone = Boolean(faulty.how); // it ended by itself
  if (!faulty.how) await faulty.kill();
  const server = await startHedgerow({ dataDir, provision, env, program });
  assert.equal((await server.post('/e/', { api_key: TOKEN, event: 'last', distinct_id: 'd' })).status, 200);
  await waitFor(async () => (await server.admin('/api/status')).json.queue.lag_events === 0);
  const stored = server.sql('SELECT event FROM v_events ORDER BY event').map((row) => row.event);
  assert.equal(server.sql('SELECT count(*) AS n FROM v_dead_letters')[0].n, 0);
  await server.stop();
  fs.rmSync(dataDir, { recursive: true });
  return { answers, stored, isStarted, wasAlone, how: faulty.how, output: faulty.output };
}

// 200: all three once; else all or none.
function compare({ answers, stored, output }) {
  assert.ok(stored.includes('last'));
  assert.equal(new Set(stored).size, stored.length, `stored twice: ${stored}`);
  for (const [n, status] of Object.entries(answers)) {
    const parts = ['a', 'b', 'c'].filter((part) => stored.includes(`e${n}${part}`)).join('');
    const allowed = { 200: ['abc'], 503: ['', 'abc'], 0: ['', 'abc'] }[status];
    assert.ok(allowed?.includes(parts), `request ${n} was answered ${status}, stored is "${parts}"\n${output}`);
  }
}

describe('a sync that fails once', { concurrency: 2 }, () => {
  for (const nth of [2, 3, 5])
    it(`is answered with 503, and writing goes on (call ${nth})`, async () => {
      const run = await runWith(`ring.fdatasync:${nth}:1`);
      compare(run);
      const statuses = Object.values(run.answers);
      assert.equal(run.isStarted, true);
      assert.equal(statuses.length, REQUESTS);
      assert.deepEqual(statuses.filter((s) => s !== 200), [503], run.output);
      assert.equal(run.stored.length, 3 * (REQUESTS - 1) + 1, 'what was refused is stored');
      assert.match(run.output, /segment closed after a failed write/);
    });
});

describe('a fault', { concurrency: 2 }, () => {
  const faults = ['ring.fdatasync:3:2', 'ring.fdatasync:4:50', 'ring.write:1:1', 'ring.write:3:1', 'ring.write:4:100',
    'ring.write_full:3:2', 'ring.header:1:1', 'ring.header:2:1', 'ring.header:3:2', 'ring.prealloc:1:1', 'ring.prealloc:2:100',
    'ring.unlink:1:10', 'fs.pwrite:2:1', 'fs.pwrite:5:3', 'fs.pwrite.full:4:2', 'fs.pwrite.short:1:100', 'fs.pread:1:1',
    'fs.pread:3:2', 'fs.fsync:1:1', 'fs.fsync:2:1', 'fs.fsync:4:1', 'fs.rename:1:1', 'fs.read:1:1', 'store.commit:2:1',
    'store.commit:3:2', 'store.commit.retry:2:2', 'store.tidy:1:2', 'net.write:2:1'];
  for (const fault of faults)
    it(`at ${fault} costs no acknowledged event`, async () => {
      const run = await runWith(fault);
      compare(run);
      if (!run.isStarted) assert.equal(run.how.code, 1, run.output);
      else assert.equal(run.wasAlone, false, run.output);
    });

  it('of the database file ends the program at once', async () => {
    const run = await runWith('store.commit.io:2:1', { ends: true }); // the second is the first of the pipeline
    compare(run);
    assert.equal(run.how.code, 1);
    assert.match(run.output, /the database cannot be trusted/);
  });
});

describe('a kill', { concurrency: 2 }, () => {
  for (const point of crashPoints)
    for (const nth of [1, 3])
      it(`at ${point}, time ${nth}, costs no acknowledged event`, async () => {
        const ends = nth === 1 && !RARE.has(point);
        const run = await runWith(`${point}:${nth}:1`, { ends });
        compare(run);
        if (ends) assert.equal(run.how.signal, 'SIGKILL');
      });
});
