// The command line and the life of the process: modes, settings, start, signals, stop.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { after, describe, test } = require('node:test');
const { request, startHedgerow, waitFor } = require('../lib/hedgerow.js');
const { ROOT, SLOW, killAll, launch, run, settings, tempDir } = require('../lib/cli.js');
const { connect, requestBytes } = require('../lib/raw.js');

const VERSION = fs.readFileSync(path.join(ROOT, 'VERSION'), 'utf8').trim();
after(killAll);

const FREE = { CAPTURE_PORT: '0', HTTP_SERVER_PORT: '0' };

// A place that does not exist: a mode that touches it is found out.
const nowhere = (t) => path.join(tempDir(t), 'none');
const lines = (text) => text.split('\n').filter(Boolean);
const printed = (text) => Object.fromEntries(lines(text).map((line) => {
  const [, name, value, origin] = /^(\w+)=(.*) # (.*)$/.exec(line);
  return [name, { value, origin }];
}));
const sqlite = (file, query) => execFileSync('sqlite3', [file, query], { encoding: 'utf8' });

describe('modes', { concurrency: 2 }, () => {
  const table = [
    { args: ['--help', '--version'], out: new RegExp(`^hedgerow v${VERSION}: `) },
    { args: ['--version', '-h'], out: /Settings/ },
    { args: ['-v'], out: new RegExp(`^hedgerow v${VERSION}\\n$`) },
    { args: ['--version', '--healthcheck'], out: new RegExp(`^hedgerow v${VERSION}\\n$`) },
    { args: ['serve', '--whatever', '--version'], out: new RegExp(`^hedgerow v${VERSION}\\n$`) },
    { args: ['serv'], code: 2, err: /^[^\n]*\bserv\b[^\n]*\n$/ },
    { args: ['--hepl'], code: 1, err: /^[^\n]*--hepl[^\n]*\n$/ },
    { args: ['--set'], code: 1, err: /^[^\n]*--set[^\n]*\n$/ },
    { args: ['config', 'nonsense'], code: 1, err: /config print/ },
    { args: ['config', 'check'], out: /settings are fine/ },
    { args: ['check'], out: /settings are fine/ },
    { args: ['--migrate'], env: { JOB_QUEUES: 'fs' }, out: /^\[MGRT\].*nothing to migrate/ },
    { args: ['--migrate', '--healthcheck', '--set', 'HTTP_SERVER_PORT=1'], code: 1, err: /^\[HLTH\]/ },
  ];
  for (const { args, env, code = 0, out = /^$/, err = /^$/ } of table)
    test(`hedgerow ${args.join(' ')}`, async (t) => {
      const dir = nowhere(t);
      const p = await run(args, { env: { DATA_DIR: dir, ...env } });
      assert.equal(p.code, code, p.output);
      assert.match(p.stdout, out);
      assert.match(p.stderr, err);
      assert.ok(!fs.existsSync(dir), 'the data directory was made');
    });

  test('help and the reference page name every setting', async (t) => {
    const env = { DATA_DIR: nowhere(t) };
    const [help, docs, print] = await Promise.all([['--help'], ['config', 'docs'], ['config', 'print']].map((a) => run(a, { env })));
    assert.ok(settings().length > 150);
    for (const { name } of settings()) {
      assert.match(help.stdout, new RegExp(`^ {7}- ${name} - \\S`, 'm'));
      assert.match(docs.stdout, new RegExp(`^\\| \`${name}\` \\|`, 'm'));
      assert.match(print.stdout, new RegExp(`^${name}=`, 'm'));
    }
    for (const p of [help, docs, print]) assert.equal(p.code, 0);
  });

  test('modes that need a server say so when there is none', async (t) => {
    const dir = tempDir(t);
    const file = path.join(dir, 'x.json');
    fs.writeFileSync(file, '{}');
    for (const args of [['apply', file], ['export'], ['team', 'list'], ['tail'], ['send', file]]) {
      const none = await run(args, { env: { DATA_DIR: dir } });
      assert.equal(none.code, 1, args);
      assert.match(none.stderr, /admin\.token/);
      const down = await run(args, { env: { DATA_DIR: dir, ADMIN_TOKEN: 'x', HTTP_SERVER_PORT: '1', CAPTURE_PORT: '1' } });
      assert.equal(down.code, 1, args);
      assert.match(down.stderr, /127\.0\.0\.1:1\b/);
    }
  });

  test('a mode says what it expects', async (t) => {
    const env = { DATA_DIR: nowhere(t), ADMIN_TOKEN: 'x', HTTP_SERVER_PORT: '1' };
    for (const [args, expect] of [
      [['apply'], /hedgerow apply FILE/], [['send'], /hedgerow send FILE/], [['team'], /team list/],
      [['team', 'add'], /team add NAME/], [['team', 'rotate-token'], /rotate-token ID/], [['apply', '/no/such/file'], /\/no\/such\/file/],
    ]) {
      const p = await run(args, { env });
      assert.equal(p.code, 1, args);
      assert.match(p.stderr, expect);
      assert.equal(p.stdout, '');
    }
  });
});

describe('settings', { concurrency: 2 }, () => {
  const bad = [
    [{ TASKS_PER_WORKER: 'abc' }, /^TASKS_PER_WORKER=/],
    [{ LOG_LEVEL: 'verbose' }, /^LOG_LEVEL=verbose/],
    [{ CAPTURE_PORT: '70000' }, /^CAPTURE_PORT=70000/],
    [{ PLUGIN_SERVER_MODE: 'foo' }, /^Invalid PLUGIN_SERVER_MODE foo\n$/],
    [{ QUEUE_SYNC: 'sometimes' }, /^QUEUE_SYNC=sometimes/],
    [{ QUEUE_MAX_BYTES: '1x' }, /^QUEUE_MAX_BYTES=1x/],
  ];
  for (const [env, expect] of bad)
    test(`${Object.entries(env)[0].join('=')} is refused`, async (t) => {
      const dir = nowhere(t);
      const name = Object.keys(env)[0];
      for (const [args, more] of [[[], env], [['check'], env], [['--set', `${name}=${env[name]}`], {}]]) {
        const p = await run(args, { env: { DATA_DIR: dir, ...FREE, ...more } });
        assert.equal(p.code, 1);
        assert.match(p.stderr, expect);
        assert.equal(lines(p.stderr).length, 1, p.stderr);
        assert.equal(p.stdout, '');
      }
      assert.ok(!fs.existsSync(dir));
    });

  test('unknown names are ignored in the environment and refused elsewhere', async (t) => {
    const env = { DATA_DIR: nowhere(t) };
    assert.equal((await run(['check'], { env: { ...env, NO_SUCH_SETTING: '1' } })).code, 0);
    const p = await run(['check', '--set', 'NO_SUCH_SETTING=1'], { env });
    assert.equal(p.code, 1);
    assert.match(p.stderr, /NO_SUCH_SETTING/);
  });

  test('every fault is listed at once', async (t) => {
    const p = await run(['check'], { env: { DATA_DIR: nowhere(t), LOG_LEVEL: 'loud', CAPTURE_PORT: 'x', MERGE_POLICY: '1999' } });
    assert.equal(p.code, 1);
    for (const name of ['LOG_LEVEL', 'CAPTURE_PORT', 'MERGE_POLICY']) assert.match(p.stderr, new RegExp(`^${name}=`, 'm'));
  });

  test('types are read as the plugin server reads them', async (t) => {
    const env = {
      DATA_DIR: nowhere(t), TASK_TIMEOUT: '3008.12', KAFKA_HOSTS: 'kafka://a:1,b:2', HTTP_BODY_TIMEOUT: '.5', CLICKHOUSE_HOST: '0.0.0.0',
      QUEUE_MAX_BYTES: '1GiB', READ_AHEAD_EVENTS: '900_000', DISABLE_MMDB: 'TRUE', CLICKHOUSE_SECURE: 'no',
    };
    const p = await run(['config', 'print'], { env });
    assert.equal(p.code, 0, p.stderr);
    const got = printed(p.stdout);
    const want = {
      TASK_TIMEOUT: '3008.12', KAFKA_HOSTS: 'a:1,b:2', HTTP_BODY_TIMEOUT: '0.5', CLICKHOUSE_HOST: '0.0.0.0',
      QUEUE_MAX_BYTES: '1073741824', READ_AHEAD_EVENTS: '900000', DISABLE_MMDB: 'true', CLICKHOUSE_SECURE: 'false',
    };
    for (const [name, value] of Object.entries(want)) assert.deepEqual(got[name], { value, origin: 'environment' }, name);
    assert.deepEqual(got.BASE_DIR, { value: '.', origin: 'default' });
  });

  test('--test-mode has other defaults', async (t) => {
    const env = { DATA_DIR: nowhere(t) };
    const got = printed((await run(['config', 'print', '--test-mode'], { env })).stdout);
    assert.deepEqual([got.LOG_LEVEL.value, got.DISABLE_MMDB.value], ['warn', 'true']);
    assert.equal(printed((await run(['config', 'print'], { env })).stdout).LOG_LEVEL.value, 'info');
  });

  test('file < environment < --set', async (t) => {
    const dir = tempDir(t);
    const file = path.join(dir, 'hedgerow.conf');
    fs.writeFileSync(file, '# settings\nTASKS_PER_WORKER=11\nREAD_AHEAD_EVENTS=11\nSTORE_BATCH_MS=11\n');
    const env = { READ_AHEAD_EVENTS: '22', STORE_BATCH_MS: '22', DATA_DIR: dir };
    const want = {
      TASKS_PER_WORKER: { value: '11', origin: 'config file' },
      READ_AHEAD_EVENTS: { value: '22', origin: 'environment' },
      STORE_BATCH_MS: { value: '33', origin: '--set' },
    };
    for (const [args, more] of [[['--config', file], {}], [[], { CONFIG_FILE: file }], [[`--config=${file}`], {}]]) {
      const p = await run(['config', 'print', '--set', 'STORE_BATCH_MS=33', ...args], { env: { ...env, ...more } });
      const got = printed(p.stdout);
      for (const [name, expect] of Object.entries(want)) assert.deepEqual(got[name], expect, name);
    }
    const p = await run(['check', '--config', path.join(dir, 'absent')], { env });
    assert.equal(p.code, 1);
    assert.match(p.stderr, /absent/);
  });

  test('a secret may come from a file', async (t) => {
    const dir = tempDir(t);
    fs.writeFileSync(path.join(dir, 'token'), 'from-a-file\n');
    const env = { ADMIN_TOKEN_FILE: path.join(dir, 'token'), DATA_DIR: path.join(dir, 'data'), ...FREE };
    const p = launch([], { env });
    const ports = await p.ports(env.DATA_DIR);
    const status = async (token) => (await request(`http://127.0.0.1:${ports.admin}`, '/api/status',
      { headers: { Authorization: `Bearer ${token}` } })).status;
    assert.equal(await status('from-a-file'), 200);
    assert.equal(await status('from-a-file\n'.trim() + 'x'), 401);
    assert.equal((await p.signalled('SIGTERM')).code, 0);
    assert.ok(!fs.existsSync(path.join(env.DATA_DIR, 'admin.token')));
  });

  test('check lists every fault of a provision file with its JSON pointer', async (t) => {
    const dir = tempDir(t);
    const file = path.join(dir, 'teams.json');
    fs.writeFileSync(file, JSON.stringify({
      teamz: [],
      teams: [{ id: '1', name: 'a' }, { id: 2, name: 'b', api_token: 'phc_b', colour: 'red' }, { id: 3, name: 'c', api_token: 'phc_b' },
        { id: 4, name: 'd', anonymize_ips: 'yes' }],
    }));
    const data = path.join(dir, 'data');
    for (const [args, env] of [[['check', file], {}], [['check'], { PROVISION_FILE: file }], [['config', 'check'], { PROVISION_FILE: file }]]) {
      const p = await run(args, { env: { DATA_DIR: data, ...env } });
      assert.equal(p.code, 1);
      for (const pointer of ['/teamz', '/teams/0/id', '/teams/1/colour', '/teams/2/api_token', '/teams/3/anonymize_ips'])
        assert.ok(lines(p.stderr).some((line) => line.startsWith(`${file}: ${pointer}:`)), `${pointer} is not in\n${p.stderr}`);
      assert.match(p.stderr, /\n5 faults\n$/);
    }
    fs.writeFileSync(file, '{"teams": [}');
    const p = await run(['check', file], { env: { DATA_DIR: data } });
    assert.equal(p.code, 1);
    assert.match(p.stderr, /line 1/);
    assert.equal((await run(['check', path.join(dir, 'absent')], { env: { DATA_DIR: data } })).code, 1);
    assert.ok(!fs.existsSync(data));
  });
});

describe('health check and migration', { concurrency: 2 }, () => {
  test('healthcheck: nobody listens', async (t) => {
    const p = await run(['--healthcheck'], { env: { DATA_DIR: nowhere(t), HTTP_SERVER_PORT: '1' } });
    assert.equal(p.code, 1);
    assert.ok(p.ms < 3000 * SLOW, `${p.ms} ms`);
    assert.match(p.stderr, /^\[HLTH\]/);
  });

  test('healthcheck: a server that never answers', async (t) => {
    const sockets = new Set();
    const mute = net.createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
    await new Promise((done) => mute.once('listening', done));
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      mute.close();
    });
    const p = await run(['--healthcheck'], { env: { DATA_DIR: nowhere(t), HTTP_SERVER_PORT: String(mute.address().port) } });
    assert.equal(p.code, 1);
    assert.ok(p.ms < 3500 * SLOW, `${p.ms} ms`);
  });

  test('healthcheck: a server that is well', async (t) => {
    const server = await startHedgerow();
    t.after(() => server.stop());
    const env = { DATA_DIR: server.dataDir, HTTP_SERVER_PORT: new URL(server.adminUrl).port };
    const p = await run(['--healthcheck'], { env });
    assert.equal(p.code, 0, p.output);
    assert.equal((await run(['--healthcheck'], { env: { ...env, LOG_LEVEL: 'none' } })).output, '');
  });

  test('migrate twice: the second time nothing changes', async (t) => {
    const dir = path.join(tempDir(t), 'data');
    const db = path.join(dir, 'hedgerow.db');
    const state = () => sqlite(db, 'SELECT type, name, sql FROM sqlite_master ORDER BY name; SELECT hex(incarnation) FROM meta; PRAGMA user_version');
    const first = await run(['--migrate'], { env: { DATA_DIR: dir } });
    assert.equal(first.code, 0, first.output);
    assert.match(first.stdout, /^\[MGRT\].*migrated/m);
    const before = state();
    const second = await run(['--migrate'], { env: { DATA_DIR: dir } });
    assert.equal(second.code, 0, second.output);
    assert.match(second.stdout, /newest schema already/);
    assert.equal(state(), before);
  });

  test('AUTO_MIGRATE=false leaves the schema to --migrate', async (t) => {
    const dir = tempDir(t);
    const env = { DATA_DIR: dir, ...FREE, AUTO_MIGRATE: 'false' };
    for (let i = 0; i < 2; i++) { // a new one is made
      const p = launch([], { env });
      await p.ports(dir);
      assert.equal((await p.signalled('SIGTERM')).code, 0, p.output);
    }
  });

  test('migrate refuses while a server runs', async (t) => {
    const server = await startHedgerow();
    t.after(() => server.stop());
    const p = await run(['--migrate'], { env: { DATA_DIR: server.dataDir } });
    assert.equal(p.code, 1);
    assert.match(p.stderr, new RegExp(`LOCK is held by process ${server.pid}\\b`));
  });

  test('migrate: a directory that cannot be written', async (t) => {
    const dir = tempDir(t);
    fs.chmodSync(dir, 0o555);
    const uid = process.getuid() === 0 ? 65534 : undefined; // for root everything can be written
    for (const data of [dir, path.join(dir, 'data')]) {
      const p = await run(['--migrate'], { env: { DATA_DIR: data }, uid });
      assert.equal(p.code, 1);
      assert.ok(p.stderr.includes(data), p.stderr);
    }
    assert.deepEqual(fs.readdirSync(dir), []);
  });

  test('a schema newer than the program is refused and left alone', async (t) => {
    const dir = tempDir(t);
    const db = path.join(dir, 'hedgerow.db');
    assert.equal((await run(['--migrate'], { env: { DATA_DIR: dir } })).code, 0);
    sqlite(db, 'PRAGMA journal_mode=DELETE; PRAGMA user_version=9999');
    const hash = () => crypto.createHash('sha256').update(fs.readFileSync(db)).digest('hex');
    const before = hash();
    for (const args of [[], ['--migrate']]) {
      const p = await run(args, { env: { DATA_DIR: dir, ...FREE } });
      assert.equal(p.code, 1);
      assert.match(p.stderr, /newer than this binary/);
    }
    assert.equal(hash(), before);
    assert.ok(!fs.existsSync(path.join(dir, 'ring')), 'a queue was made');
    assert.ok(!fs.existsSync(path.join(dir, 'ports.json')));
  });
});

describe('idle', { concurrency: 2 }, () => {
  for (const [name, args, more] of [['--idle', ['--idle'], {}], ['PLUGIN_SERVER_IDLE', [], { PLUGIN_SERVER_IDLE: 'true' }]])
    test(name, async (t) => {
      const dir = nowhere(t);
      const p = launch(args, { env: { DATA_DIR: dir, ...FREE, ...more } });
      await p.says('Disengaged');
      p.child.kill('SIGHUP'); // reloads, and there is nothing to reload
      p.child.kill('SIGUSR1');
      await p.signalled('SIGTERM');
      assert.equal(p.code, 0, `signal ${p.signal}`);
      assert.match(p.stdout, /^\[IDLE\].*Over and out!/m);
      assert.ok(!fs.existsSync(dir));
    });
});

describe('start', { concurrency: 2 }, () => {
  test('the first one, and the line that it prints', async (t) => {
    const dir = path.join(tempDir(t), 'data');
    const p = launch([], { env: { DATA_DIR: dir, ...FREE, CDP_REDIS_HOST: 'x', PISCINA_USE_ATOMICS: 'false' } });
    const ports = await p.ports(dir);
    await p.says('Try it');
    assert.match(p.stdout, new RegExp(`hedgerow v${VERSION}`));
    assert.match(p.stdout, /\d+ workers, 10 tasks per worker/);
    assert.match(p.stdout, /All systems go/);
    const [, token] = /Project +(phc_[A-Za-z0-9]{43}) \(team 1, Default project\)/.exec(p.stdout);
    for (const name of ['CDP_REDIS_HOST', 'PISCINA_USE_ATOMICS'])
      assert.equal(lines(p.stderr).filter((line) => line.includes(name)).length, 1, p.stderr);
    const curl = /(curl .*)$/m.exec(p.stdout)[1];
    assert.ok(curl.includes(`http://127.0.0.1:${ports.capture}/`) && curl.includes(token));
    const said = await run(['-c', curl], { program: 'sh' });
    assert.deepEqual(JSON.parse(said.stdout), { status: 1 });
    const db = path.join(dir, 'hedgerow.db');
    await waitFor(() => sqlite(db, "SELECT json_extract(properties, '$.$ip') FROM v_events WHERE event = 'hello' AND distinct_id = 'me'") ===
      '89.160.20.129\n');
    assert.equal(fs.statSync(dir).mode & 0o777, 0o700);
    for (const name of ['admin.token', 'ports.json']) assert.equal(fs.statSync(path.join(dir, name)).mode & 0o777, 0o600, name);
    await p.signalled('SIGINT');
    assert.equal(p.code, 0, p.output);
    assert.match(p.stdout, /Shutting down gracefully\.\.\.[^]*Over and out!\n$/);
    assert.ok(!fs.existsSync(path.join(dir, 'ports.json')));
    // The second start keeps team and token.
    const again = launch([], { env: { DATA_DIR: dir, ...FREE } });
    await again.says(token);
    assert.equal((await again.signalled('SIGTERM')).code, 0);
  });

  for (const setting of ['CAPTURE_PORT', 'HTTP_SERVER_PORT'])
    test(`${setting} is taken`, async (t) => {
      const dir = tempDir(t);
      const other = net.createServer().listen(0, '127.0.0.1');
      await new Promise((done) => other.once('listening', done));
      t.after(() => other.close());
      const { port } = other.address();
      const p = await run([], { env: { DATA_DIR: dir, ...FREE, [setting]: String(port) } });
      assert.equal(p.code, 1, p.output);
      assert.ok(p.ms < 2000 * SLOW, `${p.ms} ms`);
      assert.match(p.stderr, /Launchpad failure!/);
      assert.match(p.stderr, new RegExp(`\\b${port}\\b`));
      assert.match(p.stderr, new RegExp(setting));
      assert.ok(!fs.existsSync(path.join(dir, 'ports.json')));
      const quiet = await run([], { env: { DATA_DIR: dir, ...FREE, [setting]: String(port), LOG_LEVEL: 'none' } });
      assert.equal(quiet.code, 1);
      assert.equal(quiet.output, '');
      const fine = launch([], { env: { DATA_DIR: dir, ...FREE } }); // nothing was left behind
      await fine.ports(dir);
      assert.equal((await fine.signalled('SIGTERM')).code, 0, fine.output);
    });

  test('the admin listener is not shown to others without ADMIN_TOKEN', async (t) => {
    const dir = tempDir(t);
    const env = { DATA_DIR: dir, ...FREE, HTTP_SERVER_HOST: '0.0.0.0' };
    const p = await run([], { env });
    assert.equal(p.code, 1);
    assert.match(p.stderr, /HTTP_SERVER_HOST.*ADMIN_TOKEN/);
    const open = launch([], { env: { ...env, ADMIN_TOKEN: 'long-enough' } });
    const ports = await open.ports(dir);
    assert.equal((await request(`http://127.0.0.1:${ports.admin}`, '/_health')).status, 200);
    assert.equal((await open.signalled('SIGTERM')).code, 0);
  });

  test('one process per data directory', async (t) => {
    const server = await startHedgerow();
    t.after(() => server.stop());
    const p = await run([], { env: { DATA_DIR: server.dataDir, ...FREE } });
    assert.equal(p.code, 1);
    assert.match(p.stderr, new RegExp(`LOCK is held by process ${server.pid}\\b`));
    assert.equal(JSON.parse(fs.readFileSync(path.join(server.dataDir, 'ports.json'), 'utf8')).pid, server.pid);
    assert.equal((await server.admin('/_health')).status, 200);
  });

  test('a broken provision file stops the start', async (t) => {
    const dir = tempDir(t);
    const file = path.join(dir, 'p.json');
    const env = { DATA_DIR: path.join(dir, 'data'), ...FREE, PROVISION_FILE: file };
    fs.writeFileSync(file, '{"teams": [{"id": 1, "name": 5}]}');
    const p = await run([], { env });
    assert.equal(p.code, 1);
    assert.match(p.stderr, /\/teams\/0\/name/);
    assert.match(p.stderr, /PROVISION_FILE/);
    assert.equal((await run([], { env: { ...env, PROVISION_FILE: path.join(dir, 'absent') } })).code, 1);
  });

  test('LOG_LEVEL=warn leaves standard output empty', async (t) => {
    const dir = tempDir(t);
    const p = launch([], { env: { DATA_DIR: dir, ...FREE, LOG_LEVEL: 'warn' } });
    await p.ports(dir);
    assert.equal((await p.signalled('SIGTERM')).code, 0);
    assert.equal(p.output, '');
  });

  test('LOG_FORMAT=json gives one object per line', async (t) => {
    const dir = tempDir(t);
    const p = launch([], { env: { DATA_DIR: dir, ...FREE, LOG_FORMAT: 'json', CDP_REDIS_HOST: 'x' } });
    await p.ports(dir);
    assert.equal((await p.signalled('SIGTERM')).code, 0);
    const objects = [...lines(p.stdout), ...lines(p.stderr)].map((line) => JSON.parse(line));
    assert.ok(objects.some((o) => o.msg === 'All systems go' && o.level === 'info'));
    assert.ok(objects.some((o) => o.level === 'warn' && o.msg.includes('CDP_REDIS_HOST')));
    for (const o of objects) assert.match(o.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
  });
});

// Every setting that may hold a secret gets a marker of its own; it must be seen nowhere.
test('secrets are shown nowhere', async (t) => {
  const dir = tempDir(t);
  const secret = settings().filter((s) => s.flags.includes('CONF_SECRET') || s.flags.includes('CONF_URL'));
  const env = { DATA_DIR: dir, ...FREE, LOG_LEVEL: 'debug', KAFKA_CLIENT_CERT_B64: 'eA==', KAFKA_TRUSTED_CERT_B64: 'eA==' };
  for (const { name, flags } of secret)
    env[name] = flags.includes('CONF_SECRET') ? `MARKER-${name}` : `https://MARKER-user:MARKER-${name}@host.invalid/path?token=MARKER-q`;
  assert.ok(secret.length > 10);
  const server = launch([], { env });
  const ports = await server.ports(dir);
  const capture = `http://127.0.0.1:${ports.capture}`;
  const admin = `http://127.0.0.1:${ports.admin}`;
  const bearer = { Authorization: `Bearer ${env.ADMIN_TOKEN}` };
  const seen = [];
  const token = sqlite(path.join(dir, 'hedgerow.db'), 'SELECT api_token FROM teams').trim();
  const post = (body) => request(capture, '/e/', { body, headers: { 'Content-Type': 'application/json' } });
  assert.equal((await post({ event: 'x', distinct_id: 'd', api_key: token, properties: { MARKER: 'MARKER-property' } })).status, 200);
  seen.push((await post({ event: 'x', distinct_id: 'MARKER-id', api_key: 'MARKER-unknown-key' })).text);
  seen.push((await post('{"event": "MARKER-body')).text);
  for (const target of ['/metrics', '/_health', '/_ready', '/api/status', '/api/config', '/api/export', '/api/teams', '/nope'])
    seen.push((await request(admin, target, { headers: bearer })).text);
  seen.push((await request(admin, '/api/status', { headers: { Authorization: 'Bearer MARKER-wrong' } })).text);
  const cli = { ...env, HTTP_SERVER_PORT: String(ports.admin) };
  for (const args of [['config', 'print'], ['check'], ['--help'], ['config', 'docs'], ['--healthcheck'], ['--migrate'], ['team', 'list'], ['export']])
    seen.push((await run(args, { env: cli })).output);
  assert.equal((await server.signalled('SIGTERM')).code, 0, server.output);
  seen.push(server.output);
  for (const text of seen) assert.ok(!text.includes('MARKER'), /.*MARKER.*/.exec(text)?.[0]);
  for (const { name } of secret)
    assert.match(printed((await run(['config', 'print'], { env })).stdout)[name].value, /\*\*\*|^$/, name);
});

describe('signals', { concurrency: 2 }, () => {
  const event = (id, token) => requestBytes('POST', '/e/', { body: { event: 'x', distinct_id: id, api_key: token } });

  // A request without its last byte: the server cannot end until it is complete.
  async function halfRequest(url, id, token) {
    const bytes = event(id, token);
    const raw = await connect(url);
    await raw.write(bytes.subarray(0, bytes.length - 1));
    return { raw, finish: () => raw.write(bytes.subarray(bytes.length - 1)) };
  }

  test('SIGTERM with 100 requests under way: all are answered and stored', async (t) => {
    const server = await startHedgerow({ provision: { teams: [{ id: 1, name: 'a', api_token: 'phc_a' }] } });
    const all = [];
    for (let i = 0; i < 100; i++) all.push(await halfRequest(server.captureUrl, `d${i}`, 'phc_a'));
    const idle = await connect(server.captureUrl);
    t.after(() => [idle, ...all.map((one) => one.raw)].forEach((raw) => raw.close()));
    await waitFor(() => server.admin('/_health').then((r) => r.status === 200));
    const began = performance.now();
    server.child.kill('SIGTERM');
    await waitFor(() => server.output.includes('Shutting down gracefully'));
    await idle.ended(); // an idle connection is closed at once
    await Promise.all(all.map((one) => one.finish()));
    for (const { raw } of all) {
      const answer = await raw.answer();
      assert.equal(answer?.status, 200);
      assert.equal(answer.headers.connection?.toLowerCase(), 'close');
    }
    const how = await server.exited;
    assert.deepEqual(how, { code: 0, signal: null }, server.output);
    assert.ok(performance.now() - began < 15000);
    assert.match(server.output, /Over and out!/);
    const again = await startHedgerow({ dataDir: server.dataDir });
    await waitFor(() => again.sql('SELECT count(*) n, count(DISTINCT distinct_id) d FROM v_events')[0].d === 100);
    assert.deepEqual(again.sql('SELECT count(*) n FROM v_events'), [{ n: 100 }]);
    await again.stop();
    await server.stop();
  });

  test('the second signal reminds, the third ends at once; what was acknowledged is there', async (t) => {
    const server = await startHedgerow({ provision: { teams: [{ id: 1, name: 'a', api_token: 'phc_a' }] } });
    const { raw } = await halfRequest(server.captureUrl, 'never', 'phc_a'); // keeps the stop busy
    t.after(() => raw.close());
    for (let i = 0; i < 20; i++) assert.equal((await server.post('/e/', { event: 'x', distinct_id: `d${i}`, api_key: 'phc_a' })).status, 200);
    server.child.kill('SIGTERM');
    await waitFor(() => server.output.includes('Shutting down gracefully'));
    server.child.kill('SIGTERM');
    await waitFor(() => server.output.includes('already stopping'));
    const began = performance.now();
    server.child.kill('SIGINT');
    assert.deepEqual(await server.exited, { code: 1, signal: null });
    assert.ok(performance.now() - began < 1000 * SLOW);
    const again = await startHedgerow({ dataDir: server.dataDir });
    await waitFor(() => again.sql('SELECT count(DISTINCT distinct_id) n FROM v_events')[0].n === 20);
    await again.stop();
    server.wasKilled = true;
    await server.stop();
  });

  test('a signal while the start is under way', async (t) => {
    const env = { DATA_DIR: tempDir(t), ...FREE };
    for (const text of ['hedgerow v', 'hedgerow.db was made', 'setting DATA_DIR', 'ring opened']) {
      const p = launch([], { env });
      await p.says(text);
      await p.signalled('SIGTERM');
      assert.equal(p.code, 0, `signal ${p.signal}\n${p.output}`);
      assert.match(p.stdout, /Over and out!\n$/);
      if (text === 'hedgerow v') fs.rmSync(env.DATA_DIR, { recursive: true });
    }
  });

  test('STOP_TIMEOUT ends a stop that takes too long', async (t) => {
    const server = await startHedgerow({ env: { STOP_TIMEOUT: '0.3' } });
    const { raw } = await halfRequest(server.captureUrl, 'never', server.token);
    t.after(() => raw.close());
    server.child.kill('SIGTERM');
    assert.deepEqual(await server.exited, { code: 1, signal: null });
    assert.match(server.output, /STOP_TIMEOUT/);
    server.wasKilled = true;
    await server.stop();
  });

  test('SIGHUP applies the provision file again and never stops', async () => {
    const team = (id, more) => ({ id, name: `t${id}`, api_token: `phc_${id}`, ...more });
    const server = await startHedgerow({ provision: { teams: [team(1)] } });
    const file = path.join(server.dataDir, 'provision.json');
    const status = async (token) => (await server.post('/e/', { event: 'x', distinct_id: 'd', api_key: token })).status;
    const count = (text) => server.output.split(text).length - 1;
    assert.equal(await status('phc_2'), 401);
    fs.writeFileSync(file, JSON.stringify({ teams: [team(1, { api_token: 'phc_new' }), team(2)] }));
    server.child.kill('SIGHUP');
    await waitFor(() => count('the provision file was applied') === 1);
    assert.deepEqual(await Promise.all(['phc_1', 'phc_new', 'phc_2'].map(status)), [401, 200, 200]);
    for (const broken of ['{"teams": [', '{"teams": [{"id": 3}, {"id": 3}]}']) {
      const before = count('the reload failed');
      fs.writeFileSync(file, broken);
      server.child.kill('SIGHUP');
      await waitFor(() => count('the reload failed') === before + 1);
    }
    fs.rmSync(file);
    server.child.kill('SIGHUP');
    await waitFor(() => count('the reload failed') === 3);
    server.child.kill('SIGUSR1');
    assert.deepEqual(await Promise.all(['phc_1', 'phc_new', 'phc_2'].map(status)), [401, 200, 200]);
    await server.stop();
  });

  test('SIGHUP without a provision file', async () => {
    const server = await startHedgerow();
    server.child.kill('SIGHUP');
    await waitFor(() => server.output.includes('the plugins were loaded anew'));
    await server.stop();
  });
});
