// Starts the real program for scenario tests, talks to it over HTTP and reads its public views.
//
//     const server = await startHedgerow({ provision: { teams: [...] } });
//     after(() => server.stop());
//     await server.post('/e/', { event: 'x', distinct_id: 'd', api_key: server.token });
//     await waitFor(() => server.sql('SELECT event FROM v_events').length === 1);
//
// Environment: HEDGEROW_BIN (the program; build/hedgerow by default). Each server has a data directory of its own, which
// goes away with stop() unless the test gave it; ports are chosen by the system.
'use strict';

const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');

const START_MS = 30000;
const STOP_MS = 40000;
const OUTPUT_MAX = 1 << 20;

const running = new Set();
process.on('exit', killAll);

// After a failed test nothing may run on: the test process would wait for it.
function killAll() {
  for (const child of running) child.kill('SIGKILL');
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Polls until `fn` gives something truthy and returns that. An exception of `fn` counts as "not yet", and is the cause of
// the failure when the time is over.
async function waitFor(fn, { timeoutMs = 15000, everyMs = 20, what = String(fn) } = {}) {
  const end = Date.now() + timeoutMs;
  let cause;
  for (;;) {
    try {
      const value = await fn();
      if (value) return value;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause });
    await sleep(everyMs);
  }
}

// One request on a connection of its own; nothing is added to the headers but Host, Connection and (unless it is chunked)
// Content-Length. A body that is not text or bytes goes out as JSON. Resolves to { status, headers, text, json } (json:
// undefined when the text is none).
function request(base, target, { method, headers = {}, body, timeoutMs = 20000 } = {}) {
  const url = new URL(base);
  let bytes;
  if (body !== undefined)
    bytes = Buffer.isBuffer(body) || typeof body === 'string' ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
  const isSized = bytes && !Object.keys(headers).some((name) => name.toLowerCase() === 'transfer-encoding');
  return new Promise((resolve, reject) => {
    const req = http.request({
      host: url.hostname,
      port: url.port,
      path: target,
      method: method ?? (bytes ? 'POST' : 'GET'),
      headers: { ...(isSized ? { 'Content-Length': bytes.length } : {}), ...headers },
      agent: false,
      timeout: timeoutMs,
    });
    let answered = false;
    req.on('timeout', () => req.destroy(new Error(`no answer within ${timeoutMs} ms: ${target}`)));
    req.on('error', (error) => answered || reject(error));
    req.on('response', (res) => {
      const parts = [];
      answered = true;
      res.on('data', (part) => parts.push(part));
      res.on('error', reject);
      res.on('end', () => {
        const text = Buffer.concat(parts).toString();
        let json;
        try {
          json = JSON.parse(text);
        } catch {
          json = undefined;
        }
        resolve({ status: res.statusCode, headers: res.headers, text, json });
      });
    });
    req.end(bytes);
  });
}

// Settings of the caller's shell must not reach the program; what sanitizers and fault points read must.
function environment(more) {
  const kept = Object.entries(process.env).filter(
    ([name]) => /^(PATH|HOME|TMPDIR|LANG|LC_ALL)$/.test(name) || /SAN_OPTIONS$|^HEDGEROW_FAULTS$/.test(name));
  return { ...Object.fromEntries(kept), ...more };
}

class Hedgerow {
  constructor(options) {
    this.options = options;
    this.isOurs = !options.dataDir;
    this.dataDir = options.dataDir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'hedgerow-'));
    this.output = '';
  }

  async start() {
    this.launch();
    return this.ready();
  }

  // Starts the process without waiting for it. `wrap` is a command that runs the program given behind it.
  launch() {
    const { env = {}, provision, args = [], wrap = [] } = this.options;
    const settings = { DATA_DIR: this.dataDir, CAPTURE_PORT: '0', HTTP_SERVER_PORT: '0', ...env };
    if (provision) {
      settings.PROVISION_FILE = path.join(this.dataDir, 'provision.json');
      fs.mkdirSync(this.dataDir, { recursive: true });
      fs.writeFileSync(settings.PROVISION_FILE, JSON.stringify(provision));
    }
    const program = this.options.program ?? process.env.HEDGEROW_BIN ?? path.join(__dirname, '../../build/hedgerow');
    const [command, ...rest] = [...wrap, program, ...args];
    this.child = spawn(command, rest, { env: environment(settings), stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this.child);
    this.exited = new Promise((resolve) => {
      this.child.on('error', (error) => {
        this.failure = error;
        resolve({ code: null, signal: null });
      });
      this.child.on('close', (code, signal) => resolve({ code, signal }));
    }).then((how) => {
      running.delete(this.child);
      return (this.how = how);
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.on('data', (part) => (this.output = (this.output + part).slice(-OUTPUT_MAX)));
  }

  // Waits until it takes requests; one that does not get there is removed.
  async ready() {
    const { provision } = this.options;
    try {
      await waitFor(() => this.how || this.readPorts(), { timeoutMs: START_MS, what: 'the program is ready' });
      if (this.how) throw new Error('the program ended at start');
    } catch (error) {
      this.child.kill('SIGKILL');
      await this.exited;
      this.removeDir();
      throw new Error(`${error.message}: ${this.describe()}`);
    }
    this.token = provision?.teams?.[0]?.api_token ?? this.sql('SELECT api_token FROM teams ORDER BY id LIMIT 1')[0].api_token;
    return this;
  }

  // The file of an earlier process in the same directory names another pid.
  readPorts() {
    if (!this.output.includes('All systems go')) return false;
    const ports = JSON.parse(fs.readFileSync(path.join(this.dataDir, 'ports.json'), 'utf8'));
    if (ports.pid !== this.child.pid) return false;
    this.pid = ports.pid;
    this.captureUrl = `http://127.0.0.1:${ports.capture}`;
    this.adminUrl = `http://127.0.0.1:${ports.admin}`;
    return true;
  }

  describe() {
    if (this.failure) return this.failure.message;
    return `code ${this.how?.code}, signal ${this.how?.signal}\n${this.output}`;
  }

  capture(target, options) {
    return request(this.captureUrl, target, options);
  }

  post(target, body, headers = {}) {
    return this.capture(target, { method: 'POST', body, headers: { 'Content-Type': 'application/json', ...headers } });
  }

  // With the token of the admin API.
  admin(target, options = {}) {
    this.adminToken ??= this.options.env?.ADMIN_TOKEN ?? fs.readFileSync(path.join(this.dataDir, 'admin.token'), 'utf8').trim();
    return request(this.adminUrl, target, {
      ...options, headers: { Authorization: `Bearer ${this.adminToken}`, ...options.headers } });
  }

  // Rows of a read-only query as objects.
  sql(query, file = 'hedgerow.db') {
    const { wrap = [], env } = this.options;
    const [command, ...args] = [...wrap, 'sqlite3', '-readonly', '-json', '-cmd', '.timeout 5000',
      path.join(env?.DATA_DIR ?? this.dataDir, file), query];
    const out = execFileSync(command, args,
      { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] });
    return out.trim() ? JSON.parse(out) : [];
  }

  // Takes the write lock of the database, as somebody's own sqlite3 would. Resolves to a function that gives it back.
  async holdDatabase() {
    const child = spawn('sqlite3', [path.join(this.dataDir, 'hedgerow.db')], { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => child.on('close', resolve));
    running.add(child);
    child.stdin.write(".timeout 10000\nBEGIN IMMEDIATE;\nSELECT 'held';\n");
    await new Promise((resolve) => child.stdout.once('data', resolve));
    return async () => {
      child.kill('SIGKILL');
      await ended;
      running.delete(child);
    };
  }

  // Asks for a graceful end. Fails when it did not come, or came with another code than 0.
  async stop({ keep = false } = {}) {
    if (!this.how) {
      this.child.kill('SIGTERM');
      const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
      await this.exited;
      clearTimeout(timer);
    }
    if (!keep) this.removeDir();
    if (!this.wasKilled && this.how.code !== 0) throw new Error(`the program did not stop cleanly: ${this.describe()}`);
  }

  removeDir() {
    if (this.isOurs) fs.rmSync(this.dataDir, { recursive: true, force: true });
  }

  // Ends it at once, as a crash would; the data directory stays.
  async kill() {
    this.wasKilled = true;
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

// Options: env (settings), provision (object for PROVISION_FILE), dataDir (kept by stop()), args (command line), program,
// wrap (command in front of the program and of sqlite3; when it has another view of the file system, env.DATA_DIR is the
// directory as seen there and dataDir as seen here).
function startHedgerow(options = {}) {
  return new Hedgerow(options).start();
}

module.exports = { Hedgerow, killAll, startHedgerow, waitFor, request };
