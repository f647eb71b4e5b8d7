// make torture: kills the program again and again while clients send, and looks at what is stored in the end.
//
// One data directory goes through all cycles. A cycle starts the program, lets the clients send for a moment, and ends it:
// by SIGKILL at a random moment, by SIGKILL while it starts, at a fault point (fault_crash in the sources, with the build
// that has them), or rarely by SIGTERM. Clients repeat a request until it is acknowledged.
//
//   MODE=kill    what was written stays, as the kernel keeps it
//   MODE=lose    after each kill what was not synced is taken away, all of it or any part (losewrites.c, undo.js)
//   MODE=mixed   both in turn; what a killed process left unsynced may also go with a later kill
//
// At the end the backlog is worked off, and must hold:
//   - each acknowledged uuid is in v_events exactly once, no uuid twice, none that was never sent
//   - of a request that was sent once and not acknowledged, all events are there or none
//   - persons, distinct ids and groups are those that the requests in their order make (workload.js)
//   - events of one distinct id are stored in the order in which they were sent (their numbers go up), although the first of
//     two plugins awaits, and each event went through both exactly once
//   - event rows, persons and groups equal those of a run of the same requests without any kill
//   - nothing is dead-lettered, no gap or damage was reported, the database passes its integrity check
//
// Environment: CYCLES (20), SEED, MODE, HEDGEROW_BIN, HEDGEROW_TEST_BIN, SHIM_DIR, TORTURE_DIR (parent of the data directory).
// A failed run keeps its directory; with TORTURE_KEEP=1 also what stood there before the last losses. The same SEED gives the
// same requests, schedule and choice of losses; the moments depend on the machine.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { Hedgerow, waitFor } = require('../lib/hedgerow.js');
const { check } = require('./check.js');
const { filesByInode, forget, keepAll, loseWrites, randomOf } = require('./undo.js');
const { Careless, Client, firstRequest } = require('./workload.js');

const TOKEN = 'phc_torture';
const CLIENTS = 6;
const SETTINGS = {
  HTTP_THREADS: '2',
  WORKER_CONCURRENCY: '2',
  QUEUE_SEGMENT_BYTES: '1MiB', // many laps
  QUEUE_MAX_BYTES: '64MiB',
  QUEUE_MIN_FREE_BYTES: '0',
  WAL_CHECKPOINT_BYTES: '1MiB', // many checkpoints
  STORE_BATCH_EVENTS: '500',
};
// Two plugins: the first awaits, longer for some events than for those behind them.
const PLUGINS = {
  waits: `export async function processEvent(event) {
    const number = event.properties.number ?? 0;
    if (number % 3) await new Promise((done) => setTimeout(done, (number * 7) % 23));
    event.properties.waited = number;
    return event;
  }`,
  counts: `export function processEvent(event) { event.properties.counted = event.properties.waited + 1; return event }`,
};
const provision = {
  teams: [{ id: 1, name: 'torture', api_token: TOKEN }],
  plugins: Object.entries(PLUGINS).map(([name, text]) => ({ name, source: 'inline', files: { 'index.js': text } })),
  plugin_configs: Object.keys(PLUGINS).map((plugin, i) => ({ plugin, team: 1, order: i + 1, enabled: true })),
};
// Lines of the program that tell of a loss: never right here.
const BAD_LINES = /events are missing|older than the store|deleted or replaced|another one than before|quarantine|damaged|cannot be trusted|check failed|is read-only(?!.*QUEUE_MAX_BYTES)/i;

const cycles = Number(process.env.CYCLES || 20);
const seed = Number(process.env.SEED || Date.now() % 1000000);
const mode = process.env.MODE || 'mixed';
const random = randomOf(seed);
const below = (n) => Math.floor(random() * n);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const top = fs.mkdtempSync(path.join(process.env.TORTURE_DIR || os.tmpdir(), 'hedgerow-torture-'));
const dataDir = path.join(top, 'data');
const stashDir = path.join(top, 'stash');
const memory = fs.existsSync('/dev/shm') ? '/dev/shm' : top;
const journal = path.join(memory, `hedgerow-torture-${process.pid}.journal`);

function crashPoints() {
  const src = path.join(__dirname, '../../src');
  const files = fs.readdirSync(src, { recursive: true }).filter((f) => f.endsWith('.c'));
  const text = files.map((f) => fs.readFileSync(path.join(src, f), 'utf8')).join('\n');
  return [...text.matchAll(/fault_crash\("([\w.]+)"\)/g)].map((m) => m[1]);
}

// --- clients ---

// The server that is up: requests wait for it. Which one a request went to does not matter.
const up = {
  server: null,
  waiting: [],
  set(server) {
    this.server = server;
    for (const wake of this.waiting.splice(0)) wake();
  },
  async get() {
    while (!this.server) await new Promise((wake) => this.waiting.push(wake));
    return this.server;
  },
};

function post(url, agent, request) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const req = http.request({ hostname, port, path: request.path, method: 'POST', agent, timeout: 20000,
      headers: { ...request.headers, 'Content-Length': request.body.length } });
    req.on('error', reject);
    req.on('timeout', () => req.destroy(new Error('no answer within 20 s')));
    req.on('response', (res) => {
      // A status line is an answer, even when the rest of it is lost.
      res.on('error', () => {});
      res.resume();
      res.on('close', () => resolve(res.statusCode));
    });
    req.end(request.body);
  });
}

class Sender {
  constructor(source, facts, isRepeating) {
    Object.assign(this, { source, facts, isRepeating, agent: new http.Agent({ keepAlive: true, maxSockets: 1 }), sent: 0 });
  }

  async run(isOver, pause = () => sleep(Math.random() * 4)) {
    while (!isOver()) {
      await up.get();
      await this.send(this.source.next());
      this.sent++;
      await pause();
    }
    this.agent.destroy();
  }

  async send(request) {
    for (const uuid of request.uuids) this.facts.sent.add(uuid);
    for (;;) {
      const server = await up.get();
      let status = 0;
      try {
        status = await post(server.captureUrl, this.agent, request);
      } catch (error) {
        if (/no answer/.test(error.message)) this.facts.faults.push(`${request.path}: ${error.message}`);
        await sleep(2);
      }
      if (status === 200) for (const uuid of request.uuids) this.facts.acknowledged.set(uuid, this.facts.cycle);
      else if (status === 503) await sleep(20);
      else if (status) this.facts.faults.push(`${request.path} was answered ${status}`);
      if (status === 200 || (status && status !== 503) || !this.isRepeating) break;
    }
    if (!this.isRepeating) this.facts.once.push(request.uuids);
  }
}

// --- cycles ---

function launch(options) {
  const env = { ...SETTINGS, ...options.env };
  if (options.isLosing)
    Object.assign(env, { LD_PRELOAD: path.join(process.env.SHIM_DIR || 'build/crash', 'losewrites.so'),
      LOSEWRITES_DIR: dataDir, LOSEWRITES_JOURNAL: journal, LOSEWRITES_STASH: stashDir });
  const server = new Hedgerow({ dataDir, provision, env, program: options.program });
  server.launch();
  return server;
}

function pickLoss() {
  return random() < 0.4 ? 'all' : 'some';
}

// What shall happen in each cycle, made beforehand so that only the seed decides.
function plan() {
  const points = crashPoints();
  const list = [];
  let isLosing = mode === 'lose' || (mode === 'mixed' && random() < 0.5);
  for (let i = 0; i < cycles; i++) {
    const kind = random();
    const c = { isLosing, how: 'run', delay: 30 + below(500) };
    if (kind < 0.25) Object.assign(c, { how: 'start', delay: random() }); // of the time that a start takes
    else if (kind < 0.45 && points.length && process.env.HEDGEROW_TEST_BIN)
      Object.assign(c, { how: 'point', delay: 700, program: process.env.HEDGEROW_TEST_BIN,
        env: { HEDGEROW_FAULTS: `${points[below(points.length)]}:${1 + below(random() < 0.5 ? 2 : 60)}:1` } });
    else if (kind < 0.5) c.how = 'stop';
    if (isLosing && (mode === 'lose' || random() < 0.6)) c.lose = pickLoss();
    if (mode === 'mixed' && (c.lose || !isLosing)) isLosing = random() < 0.6; // with an empty journal only
    list.push(c);
  }
  return list;
}

async function runCycle(c, facts) {
  const server = launch(c);
  let isReady = false;
  const ready = server.ready().then(() => { isReady = true; }, (error) => {
    if (!server.wasKilled && !server.how) facts.faults.push(`cycle ${facts.cycle}: ${error.message}`);
  });
  if (c.how === 'start') await Promise.race([sleep(c.delay * facts.startMs), server.exited]);
  else {
    const launched = Date.now();
    await ready;
    if (isReady && !server.how) up.set(server);
    if (isReady) facts.startMs = 0.8 * facts.startMs + 0.2 * (Date.now() - launched);
    await Promise.race([sleep(c.delay), server.exited]);
  }
  up.set(null);
  // By itself it may only end at a fault point.
  if (server.how && !(c.how === 'point' && server.how.signal === 'SIGKILL'))
    facts.faults.push(`cycle ${facts.cycle}: the program ended: ${server.describe()}`);
  if (c.how === 'stop' && isReady) await server.stop({ keep: true });
  else await server.kill();
  await ready;
  facts.kills += c.how !== 'stop';
  facts.killsAtStart += !isReady;
  facts.losses += Boolean(c.lose);
  readLog(server, facts);
  facts.history.push({ cycle: facts.cycle, ...c, isReady, end: server.how.signal ?? server.how.code });
  if (process.env.TORTURE_KEEP) keepBefore(facts.cycle);
  if (c.lose) facts.changesLost += loseWrites({ journal, dir: dataDir, stashDir, mode: c.lose, random: randomOf(seed * 1000 + facts.kills) }).writes;
  else if (c.isLosing) keepAll(journal);
}

// To look at: the state and the journal before writes are taken back, of the last three cycles.
function keepBefore(cycle) {
  const to = path.join(top, `before-${cycle}`);
  fs.cpSync(dataDir, path.join(to, 'data'), { recursive: true });
  if (fs.existsSync(journal)) fs.copyFileSync(journal, path.join(to, 'journal'));
  for (const [inode, name] of filesByInode(dataDir)) fs.appendFileSync(path.join(to, 'inodes'), `${inode} ${name}\n`);
  fs.rmSync(path.join(top, `before-${cycle - 3}`), { recursive: true, force: true });
}

function readLog(server, facts) {
  for (const line of server.output.split('\n'))
    if (BAD_LINES.test(line)) facts.faults.push(`cycle ${facts.cycle}: ${line}`);
}

async function settled(server) {
  await waitFor(async () => {
    const { json } = await server.admin('/api/status');
    return json.queue.lag_events === 0 && json.pipeline.in_flight === 0;
  }, { timeoutMs: 120000, everyMs: 50, what: 'everything is stored' });
}

// The same requests without a kill, in another directory.
async function runClean(senders) {
  const server = new Hedgerow({ provision, env: SETTINGS, dataDir: path.join(top, 'clean') });
  const facts = { sent: new Set(), acknowledged: new Map(), once: [], faults: [], cycle: 'clean' };
  await server.start();
  up.set(server);
  await new Sender({ next: () => firstRequest(TOKEN) }, facts, true).run(once());
  await settled(server);
  await Promise.all(senders.map((s, i) => {
    const again = new Sender(new Client(seed * 100 + i, `c${i}`, TOKEN), facts, true);
    return again.run(() => again.sent === s.sent, () => {});
  }));
  await settled(server);
  readLog(server, facts);
  await server.stop({ keep: true });
  if (facts.faults.length) throw new Error(`the clean run failed: ${facts.faults[0]}`);
  return path.join(top, 'clean');
}

function once() {
  let count = 0;
  return () => count++ > 0;
}

async function finish(senders, running, facts, seconds) {
  const last = launch({ env: {} });
  await last.ready();
  up.set(last);
  await Promise.all(running);
  await settled(last);
  readLog(last, facts);
  await last.stop({ keep: true });
  console.log(`killed ${facts.kills} times in ${seconds()} s, comparing`);
  const cleanDir = await runClean(senders);
  facts.faults.push(...check({ dataDir, cleanDir, facts, clients: senders.map((s) => s.source) }));
}

async function main() {
  const started = Date.now();
  const facts = { sent: new Set(), acknowledged: new Map(), once: [], faults: [], cycle: 0,
    kills: 0, killsAtStart: 0, losses: 0, changesLost: 0, startMs: 60, history: [] };
  let isOver = false;
  fs.mkdirSync(dataDir);
  forget(journal, stashDir);
  const schedule = plan();
  const senders = [...Array(CLIENTS)].map((_, i) => new Sender(new Client(seed * 100 + i, `c${i}`, TOKEN), facts, true));
  const careless = new Sender(new Careless(seed * 100 + 99, 'x', TOKEN), facts, false);

  // Nothing is there yet: an end of the very first start, with and without a power cut.
  for (let left = Math.min(10, cycles); left > 0; left--) {
    const isLosing = mode !== 'kill';
    const loss = pickLoss();
    const isLost = isLosing && (mode === 'lose' || left === 1 || random() < 0.5);
    await runCycle({ isLosing, how: 'start', delay: random(), lose: isLost ? loss : undefined }, facts);
  }
  const first = launch({ env: {} });
  await first.ready();
  up.set(first);
  await new Sender({ next: () => firstRequest(TOKEN) }, facts, true).run(once());
  await settled(first);
  await first.stop({ keep: true });
  up.set(null);

  const running = [...senders, careless].map((s) => s.run(() => isOver || facts.faults.length > 0));
  for (facts.cycle = 1; facts.cycle <= cycles && !facts.faults.length; facts.cycle++) {
    await runCycle(schedule[facts.cycle - 1], facts);
    if (process.stdout.isTTY) process.stdout.write(`\rcycle ${facts.cycle} of ${cycles} `);
  }
  isOver = true;
  const seconds = () => ((Date.now() - started) / 1000).toFixed(1);
  if (!facts.faults.length)
    await finish(senders, running, facts, seconds).catch((error) => facts.faults.push(error.message));
  fs.rmSync(journal, { force: true });
  console.log(`seed ${seed}, mode ${mode}: ${Math.min(facts.cycle, cycles)} cycles, ${facts.acknowledged.size} events acknowledged, ` +
    `${facts.kills} kills (${facts.killsAtStart} during start and recovery), ${facts.losses} with loss of unsynced writes ` +
    `(${facts.changesLost} writes), ${seconds()} s`);
  if (facts.faults.length) {
    console.log(`FAILED, the directory is kept: ${top}`);
    for (const fault of facts.faults.slice(0, 20)) console.log(`  ${fault}`);
    if (facts.faults.length > 20) console.log(`  and ${facts.faults.length - 20} more`);
    console.log('the last cycles:');
    for (const c of facts.history.slice(-8)) console.log(`  ${JSON.stringify(c)}`);
    process.exit(1);
  }
  fs.rmSync(top, { recursive: true });
  console.log('every acknowledged event is stored exactly once');
  process.exit(0);
}

main();
