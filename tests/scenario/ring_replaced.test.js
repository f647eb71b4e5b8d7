// The ring directory is deleted, put back from an older copy, damaged or exchanged between two runs. Whatever is there: no
// event that was stored or that belongs elsewhere comes (again), no new one is skipped, and what is missing is reported.
// The search for duplicates is off, so that a second coming would show.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, describe, it } = require('node:test');
const { Hedgerow, killAll, startHedgerow, waitFor } = require('../lib/hedgerow.js');

const program = process.env.HEDGEROW_TEST_BIN ?? path.join(__dirname, '../../build/test/hedgerow');
const TOKEN = 'phc_ring';
const provision = { teams: [{ id: 1, name: 'one', api_token: TOKEN }] };
const env = { DEDUPE_HOURS: '0', QUEUE_SEGMENT_BYTES: '1MiB', QUEUE_MAX_BYTES: '64MiB', QUEUE_MIN_FREE_BYTES: '0' };
const top = fs.mkdtempSync(path.join(os.tmpdir(), 'hedgerow-ring-'));
after(() => {
  killAll();
  fs.rmSync(top, { recursive: true, force: true });
});

class Place {
  constructor(name) {
    this.dataDir = path.join(top, name);
    this.env = env;
    this.ring = path.join(this.dataDir, 'ring', 'events_plugin_ingestion');
  }

  async start(args = []) {
    this.server = await startHedgerow({ dataDir: this.dataDir, provision, env: this.env, args });
    return this.server;
  }

  // A start that must fail; resolves to what it printed.
  async refused(args = []) {
    const server = new Hedgerow({ dataDir: this.dataDir, provision, env: this.env, args });
    server.launch();
    await server.exited;
    assert.equal(server.how.code, 1, server.describe());
    return server.output;
  }

  async send(...names) {
    for (const event of names) {
      const { status } = await this.server.post('/e/', { api_key: TOKEN, event, distinct_id: 'd' });
      assert.equal(status, 200);
    }
  }

  // About `mib` MiB of events NAME-0, NAME-1, ...; returns their names.
  async sendMany(name, mib) {
    const names = [...Array(mib * 10)].map((_, i) => `${name}-${i}`);
    for (const event of names) {
      const body = { api_key: TOKEN, event, distinct_id: 'd', properties: { pad: 'x'.repeat(104000) } };
      assert.equal((await this.server.post('/e/', body)).status, 200);
    }
    return names;
  }

  stored() {
    return this.server.sql('SELECT event FROM v_events ORDER BY id').map((row) => row.event);
  }

  async settle() {
    await waitFor(async () => (await this.server.admin('/api/status')).json.queue.lag_events === 0);
  }

  async gap() {
    const { text } = await this.server.admin('/metrics');
    return Number(/^hedgerow_queue_gap_records_total (\d+)/m.exec(text)[1]);
  }

  // Sends while somebody else holds the database, then kills: acknowledged, in the ring, not stored.
  async leaveUnread(send) {
    const release = await this.server.holdDatabase();
    const names = await send();
    await this.server.kill();
    await release();
    return names;
  }

  segments() {
    return fs.readdirSync(this.ring).filter((f) => f.endsWith('.seg')).sort();
  }

  copyRing(name) {
    const to = path.join(top, name);
    fs.cpSync(this.ring, to, { recursive: true });
    return to;
  }

  putRing(from) {
    fs.rmSync(this.ring, { recursive: true });
    fs.cpSync(from, this.ring, { recursive: true });
  }
}

describe('the ring directory', { concurrency: 2 }, () => {
  it('is deleted after everything was stored', async () => {
    const p = new Place('deleted');
    await p.start();
    await p.send('a1', 'a2');
    await p.settle();
    await p.server.stop({ keep: true });
    fs.rmSync(path.join(p.dataDir, 'ring'), { recursive: true });
    await p.start();
    assert.match(p.server.output, /the ring was deleted or replaced/);
    await p.send('b1', 'b2');
    await p.settle();
    assert.deepEqual(p.stored(), ['a1', 'a2', 'b1', 'b2']);
    await p.server.stop();
  });

  it('is deleted with unread events', async () => {
    const p = new Place('deleted-unread');
    await p.start();
    await p.send('a1');
    await p.settle();
    await p.leaveUnread(() => p.send('lost1', 'lost2'));
    fs.rmSync(path.join(p.dataDir, 'ring'), { recursive: true });
    await p.start();
    assert.match(p.server.output, /the ring was deleted or replaced, its unread events are lost/);
    await p.send('b1', 'b2', 'b3');
    await p.settle();
    await p.server.stop({ keep: true });
    await p.start(); // the new ring goes on as any other
    await p.send('c1');
    await p.settle();
    assert.deepEqual(p.stored(), ['a1', 'b1', 'b2', 'b3', 'c1']);
    await p.server.stop();
  });

  it('is new, and the program is killed before its first event is stored', async () => {
    const p = new Place('new-killed');
    await p.start();
    await p.send('a1', 'a2');
    await p.settle();
    await p.server.stop({ keep: true });
    fs.rmSync(path.join(p.dataDir, 'ring'), { recursive: true });
    await p.start();
    await p.leaveUnread(() => p.send('b1', 'b2', 'b3'));
    await p.start();
    assert.doesNotMatch(p.server.output, /the ring is another one/);
    await p.settle();
    assert.deepEqual(p.stored(), ['a1', 'a2', 'b1', 'b2', 'b3']);
    await p.server.stop();
  });

  it('is put back from an older copy', async () => {
    const p = new Place('older');
    await p.start();
    await p.send('a1', 'a2', 'a3');
    await p.settle();
    await p.server.stop({ keep: true });
    const copy = p.copyRing('older-copy');
    await p.start();
    await p.send('b1', 'b2', 'b3', 'b4');
    await p.settle();
    await p.server.stop({ keep: true });
    p.putRing(copy);
    await p.start();
    assert.match(p.server.output, /the ring is older than the store/);
    await p.send('c1', 'c2');
    await p.settle();
    assert.deepEqual(p.stored(), ['a1', 'a2', 'a3', 'b1', 'b2', 'b3', 'b4', 'c1', 'c2']);
    assert.equal(await p.gap(), 0); // all that is missing was stored
    await p.server.stop();
  });

  it('is put back from an older copy whose events were unread then', async () => {
    const p = new Place('older-unread');
    await p.start();
    await p.send('a1');
    await p.settle();
    await p.leaveUnread(() => p.send('u1', 'u2'));
    const copy = p.copyRing('older-unread-copy');
    await p.start();
    await p.send('b1');
    await p.settle();
    await p.server.kill();
    p.putRing(copy);
    await p.start();
    await p.send('c1');
    await p.settle();
    assert.deepEqual(p.stored(), ['a1', 'u1', 'u2', 'b1', 'c1']);
    await p.server.stop();
  });

  it('has a segment with the bytes of its use before', async () => {
    const p = new Place('old-bytes');
    await p.start();
    const a = await p.sendMany('a', 5);
    await p.settle();
    await p.server.stop({ keep: true });
    const copy = p.copyRing('old-bytes-copy');
    await p.start();
    const b = await p.sendMany('b', 6);
    await p.settle();
    await p.server.stop({ keep: true });
    const both = p.segments().filter((f) => fs.existsSync(path.join(copy, f)));
    assert.ok(both.length > 0);
    for (const file of both) {
      const now = path.join(top, `old-bytes-${file}`);
      fs.copyFileSync(path.join(p.ring, file), now);
      fs.copyFileSync(path.join(copy, file), path.join(p.ring, file));
      await p.start();
      await p.send(`c-${file}`);
      await p.settle();
      await p.server.stop({ keep: true });
    }
    await p.start();
    assert.deepEqual(p.stored(), [...a, ...b, ...both.map((file) => `c-${file}`)]);
    await p.server.stop();
  });

  it('has the bytes of an earlier use where unread events were', async () => {
    const p = new Place('old-bytes-unread');
    await p.start();
    const a = await p.sendMany('a', 5);
    await p.settle();
    await p.server.stop({ keep: true });
    const copy = p.copyRing('old-bytes-unread-copy');
    await p.start();
    const unread = await p.leaveUnread(() => p.sendMany('u', 6));
    const reused = p.segments().filter((f) => fs.existsSync(path.join(copy, f)) &&
      !fs.readFileSync(path.join(copy, f)).equals(fs.readFileSync(path.join(p.ring, f))));
    assert.ok(reused.length > 0, 'no segment was used again');
    fs.copyFileSync(path.join(copy, reused[0]), path.join(p.ring, reused[0]));
    let isRefused = false;
    try {
      await p.start();
    } catch (error) {
      assert.match(error.message, /start with --accept-gap/);
      isRefused = true;
      await p.start(['--accept-gap']);
    }
    await p.send('c1');
    await p.settle();
    const stored = p.stored();
    const missing = unread.filter((name) => !stored.includes(name));
    assert.deepEqual(stored, [...a, ...unread.filter((name) => !missing.includes(name)), 'c1']);
    const { text } = await p.server.admin('/metrics');
    const damaged = Number(/^hedgerow_queue_corrupt_records_total (\d+)/m.exec(text)[1]);
    assert.equal(await p.gap() + damaged, missing.length, `refused: ${isRefused}\n${p.server.output}`);
    assert.ok(missing.length > 0);
    await p.server.stop();
  });

  it('has a damaged record at its very end: told once, and all is well afterwards', async () => {
    const p = new Place('damaged-end');
    await p.start();
    await p.leaveUnread(() => p.send('u1', 'u2', 'u3', 'damaged'));
    // A run that stores nothing and writes nothing: its lap says where the one before ended.
    const faulty = { ...env, HEDGEROW_FAULTS: 'store.commit.retry:2:100000000' };
    p.server = await startHedgerow({ dataDir: p.dataDir, provision, env: faulty, program });
    await p.server.kill();
    const file = path.join(p.ring, p.segments()[0]);
    const bytes = fs.readFileSync(file);
    bytes[bytes.indexOf('damaged')] ^= 1;
    fs.writeFileSync(file, bytes);
    await p.start();
    await p.settle(); // without another event
    assert.match(p.server.output, /damaged records are skipped/);
    assert.deepEqual(p.stored(), ['u1', 'u2', 'u3']);
    await p.server.kill();
    await p.start();
    assert.doesNotMatch(p.server.output, /damaged records are skipped/);
    await p.send('c1');
    await p.settle();
    assert.deepEqual(p.stored(), ['u1', 'u2', 'u3', 'c1']);
    await p.server.stop();
  });

  it('is another one by KAFKA_CONSUMPTION_TOPIC: refused until the old one is stored', async () => {
    const p = new Place('topic');
    await p.start();
    await p.send('a1');
    await p.settle();
    await p.leaveUnread(() => p.send('u1', 'u2'));
    p.env = { ...env, KAFKA_CONSUMPTION_TOPIC: 'other' };
    assert.match(await p.refused(), /KAFKA_CONSUMPTION_TOPIC is other, but ring\/events_plugin_ingestion in DATA_DIR has events that are not stored/);
    assert.ok(!fs.existsSync(path.join(p.dataDir, 'ring', 'other')));
    p.env = env;
    await p.start();
    await p.settle();
    await p.server.stop({ keep: true });
    p.env = { ...env, KAFKA_CONSUMPTION_TOPIC: 'other' };
    await p.start(); // nothing is left behind now
    await p.send('b1');
    await p.settle();
    assert.deepEqual(p.stored(), ['a1', 'u1', 'u2', 'b1']);
    await p.server.stop();
  });

  it('belongs to another installation', async () => {
    const other = new Place('foreign-other');
    await other.start();
    await other.send('x1');
    await other.settle();
    await other.leaveUnread(() => other.send('x2', 'x3', 'x4', 'x5', 'x6'));
    const p = new Place('foreign');
    await p.start();
    await p.send('a1');
    await p.settle();
    await p.server.stop({ keep: true });
    p.putRing(other.ring);
    await p.start();
    assert.match(p.server.output, /the ring is another one than before/);
    await p.send('b1', 'b2');
    await p.settle();
    await p.server.stop({ keep: true });
    await p.start();
    await p.send('c1');
    await p.settle();
    assert.deepEqual(p.stored(), ['a1', 'b1', 'b2', 'c1']);
    await p.server.stop();
  });

  it('has lost its oldest unread segment: refused until it is accepted', async () => {
    const p = new Place('gap');
    await p.start();
    await p.send('a1');
    await p.settle();
    const unread = await p.leaveUnread(() => p.sendMany('u', 4));
    const before = p.copyRing('gap-copy');
    fs.rmSync(path.join(p.ring, p.segments()[0]));
    const left = p.segments();
    for (let i = 0; i < 2; i++) {
      const output = await p.refused();
      assert.match(output, /events \d+ to \d+ are missing \(unread\); start with --accept-gap to go on without them/);
      assert.equal(output.split('\n').filter((line) => line.includes('✗')).length, 1, output);
      assert.deepEqual(p.segments(), left);
    }
    await p.start(['--accept-gap']);
    await p.send('c1');
    await p.settle();
    const stored = p.stored();
    const missing = unread.filter((name) => !stored.includes(name));
    assert.ok(missing.length > 0);
    assert.deepEqual(stored, ['a1', ...unread.slice(missing.length), 'c1']);
    assert.equal(await p.gap(), missing.length);
    assert.match(p.server.output, /events are missing, going on without them as told/);
    await p.server.stop({ keep: true });
    await p.start(); // asked for once
    await p.server.stop({ keep: true });
    fs.rmSync(before, { recursive: true });
  });
});
