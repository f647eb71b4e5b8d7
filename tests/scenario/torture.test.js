// A short run of `make torture`: random kills and losses of unsynced writes, then everything compared.
'use strict';

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const path = require('node:path');
const { it } = require('node:test');

it('survives some random kills', async () => {
  // A sanitizer's library would have to come before the preloaded one.
  const env = { CYCLES: '6', MODE: process.env.HEDGEROW_SAN ? 'kill' : 'mixed', ...process.env };
  const child = spawn(process.execPath, [path.join(__dirname, '../crash/torture.js')], { env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (output += part));
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 0, output);
});
