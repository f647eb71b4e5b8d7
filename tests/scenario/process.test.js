// The process and the machine it runs on: files, descriptors, listeners, names.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, test } = require('node:test');
const { killAll, launch, tempDir } = require('../lib/cli.js');

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
