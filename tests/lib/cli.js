// Runs the program's command line: one mode to its end (`run`), or a process that goes on (`launch`).
// Standard output and standard error are kept apart. Settings come from `env` alone, never from the caller's shell.
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { killAll: killServers, request, waitFor } = require('./hedgerow.js');

const ROOT = path.join(__dirname, '../..');
const BIN = process.env.HEDGEROW_BIN ?? path.join(ROOT, 'build/hedgerow');
// Sanitizer builds are slower by about this much.
const SLOW = process.env.HEDGEROW_SAN ? 5 : 1;

const running = new Set();
process.on('exit', killAll);

// After a failed test nothing may run on, servers of hedgerow.js included: the test process would wait for it.
function killAll() {
  for (const child of running) child.kill('SIGKILL');
  killServers();
}

class Process {
  constructor(args, { env = {}, input, cwd, uid, program = BIN } = {}) {
    const kept = Object.entries(process.env).filter(([name]) => /^(PATH|HOME|TMPDIR)$|SAN_OPTIONS$/.test(name));
    const began = performance.now();
    this.stdout = this.stderr = '';
    this.child = spawn(program, args, {
      env: { ...Object.fromEntries(kept), ...env }, cwd, uid, gid: uid, stdio: ['pipe', 'pipe', 'pipe'] });
    running.add(this.child);
    this.child.stdout.on('data', (part) => (this.stdout += part));
    this.child.stderr.on('data', (part) => (this.stderr += part));
    this.child.stdin.on('error', () => {}); // it may end before it has read everything
    if (input !== null) this.child.stdin.end(input);
    this.exited = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (code, signal) => {
        running.delete(this.child);
        this.code = code;
        this.signal = signal;
        this.ms = performance.now() - began;
        resolve(this);
      });
    });
  }

  get output() {
    return this.stdout + this.stderr;
  }

  get isOver() {
    return this.ms !== undefined;
  }

  // Until the output has `text` in it (or matches it); fails at once when the process ends without.
  async says(text, timeoutMs = 20000) {
    const has = () => (typeof text === 'string' ? this.output.includes(text) : text.test(this.output));
    await waitFor(() => has() || this.isOver, { everyMs: 5, timeoutMs, what: `output of ${text}` }).catch((error) => {
      throw new Error(`${error.message}\n${this.output}`);
    });
    if (!has()) throw new Error(`ended (code ${this.code}, signal ${this.signal}) without saying ${text}\n${this.output}`);
    return this;
  }

  async signalled(signal) {
    this.child.kill(signal);
    return this.exited;
  }

  // Ports of a server that has been launched with port 0, when its start is over.
  ports(dataDir) {
    const file = path.join(dataDir, 'ports.json');
    return waitFor(async () => {
      if (this.isOver) return {};
      const ports = JSON.parse(fs.readFileSync(file, 'utf8'));
      if (ports.pid !== this.child.pid) return false;
      return (await request(`http://127.0.0.1:${ports.admin}`, '/_ready')).status === 200 && ports;
    }, { everyMs: 5, what: file });
  }
}

// `input: null` leaves standard input open.
function launch(args, options) {
  return new Process(args, options);
}

async function run(args, { timeoutMs = 30000 * SLOW, ...options } = {}) {
  const p = new Process(args, options);
  const timer = setTimeout(() => p.child.kill('SIGKILL'), timeoutMs);
  await p.exited;
  clearTimeout(timer);
  return p;
}

// A directory that goes away with the test context.
function tempDir(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'hedgerow-cli-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

// The rows of src/conf/keys.def: { name, type, fallback, allowed, kind, flags }.
function settings() {
  const text = fs.readFileSync(path.join(ROOT, 'src/conf/keys.def'), 'utf8');
  const row = /^KEY\((\w+), (\w+), "([^"]*)", "([^"]*)", (\w+), ([^,]+), "/gm;
  return [...text.matchAll(row)].map(([, name, type, fallback, allowed, kind, flags]) => ({
    name, type, fallback, allowed, kind, flags: flags.split('|').map((flag) => flag.trim()) }));
}

module.exports = { BIN, ROOT, SLOW, killAll, launch, run, settings, tempDir };
