// What the benches share: the server, the load, the machine, and how results are printed.
'use strict'
const { spawn, spawnSync, execFileSync } = require('node:child_process')
const fs = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')
const zlib = require('node:zlib')
const { performance } = require('node:perf_hooks')

const BIN = process.env.HEDGEROW_BIN
const BENCH_DIR = process.env.BENCH_DIR
const TOKEN = 'phc_bench'
const LUA = path.join(__dirname, 'load.lua')

// On the disk that is measured, not on a tmpfs.
const ROOT = path.resolve(process.env.BENCH_DATA || path.join(BENCH_DIR, '..', 'bench-data'))

const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

function tempDir(name) {
  fs.mkdirSync(ROOT, { recursive: true })
  return fs.mkdtempSync(path.join(ROOT, name + '-'))
}

function fetchText(url, token) {
  return new Promise((resolve, reject) => {
    const headers = token ? { Authorization: 'Bearer ' + token } : {}
    const req = http.get(url, { headers, agent: false }, (res) => {
      let text = ''
      res.on('data', (d) => (text += d))
      res.on('end', () => resolve({ status: res.statusCode, text }))
    })
    req.on('error', reject)
    req.setTimeout(10000, () => req.destroy(new Error('no answer from ' + url)))
  })
}

// One team, and one plugin of it when there is a source text.
function provision(plugin) {
  const teams = [{ id: 1, name: 'Bench', api_token: TOKEN }]
  if (!plugin) return { teams }
  const files = { 'index.js': plugin, 'plugin.json': JSON.stringify({ name: 'bench' }) }
  return { teams, plugins: [{ name: 'bench', source: 'inline', files }],
    plugin_configs: [{ plugin: 'bench', team: 1, order: 1, enabled: true, config: {} }] }
}

class Server {
  static async start({ dir = tempDir('data'), env = {}, args = [], plugin } = {}) {
    const s = new Server()
    s.dir = dir
    const teams = path.join(ROOT, 'teams.json')
    fs.writeFileSync(teams, JSON.stringify(provision(plugin)))
    const ports = path.join(dir, 'ports.json')
    fs.rmSync(ports, { force: true })
    const began = performance.now()
    s.child = spawn(BIN, args, {
      env: { PATH: process.env.PATH, DATA_DIR: dir, CAPTURE_PORT: '0', HTTP_SERVER_PORT: '0',
        PROVISION_FILE: teams, LOG_LEVEL: 'warn', ADMIN_TOKEN: 'bench', ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    s.exited = new Promise((done) => s.child.on('exit', done))
    for (;;) {
      if (s.child.exitCode !== null) throw new Error('the server ended while starting')
      try {
        const told = JSON.parse(fs.readFileSync(ports, 'utf8'))
        if (told.pid === s.child.pid) { s.ports = told; break }
      } catch { /* not yet */ }
      await sleep(1)
    }
    s.ready_ms = performance.now() - began
    return s
  }

  async status() {
    return JSON.parse((await fetchText(`http://127.0.0.1:${this.ports.admin}/api/status`, 'bench')).text)
  }

  // Until everything that was accepted is stored; returns the last status.
  async drained(limit_ms = 600000) {
    const end = performance.now() + limit_ms
    for (;;) {
      const st = await this.status()
      if (st.queue.lag_events === 0) return st
      if (performance.now() > end) throw new Error('the pipeline did not catch up')
      await sleep(20)
    }
  }

  memory() {
    const text = fs.readFileSync(`/proc/${this.child.pid}/status`, 'utf8')
    return { rss_kb: +/VmRSS:\s+(\d+)/.exec(text)[1], anon_kb: +/RssAnon:\s+(\d+)/.exec(text)[1] }
  }

  // CPU time in microseconds by role of thread: { NET, SYNC, FEED, PIPE, STORE, TIDY, … }.
  cpu_us() {
    const tasks = `/proc/${this.child.pid}/task`, sum = {}
    for (const id of fs.readdirSync(tasks)) {
      try {
        const role = fs.readFileSync(`${tasks}/${id}/comm`, 'utf8').trim().replace(/\d+$/, '')
        sum[role] = (sum[role] || 0) + Number(fs.readFileSync(`${tasks}/${id}/schedstat`, 'utf8').split(' ')[0]) / 1000
      } catch { /* a thread that has just ended */ }
    }
    return sum
  }

  cpu_ticks() {
    const text = fs.readFileSync(`/proc/${this.child.pid}/stat`, 'utf8')
    const f = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return +f[11] + +f[12]
  }

  async stop({ keep = false } = {}) {
    this.child.kill('SIGTERM')
    await this.exited
    if (!keep) fs.rmSync(this.dir, { recursive: true, force: true })
  }

  async kill({ keep = false } = {}) {
    this.child.kill('SIGKILL')
    await this.exited
    if (!keep) fs.rmSync(this.dir, { recursive: true, force: true })
  }
}

// An event of about `bytes` bytes, as a browser SDK sends it.
function event(i, bytes, ids = 10000) {
  const e = {
    event: ['$pageview', 'clicked', 'signed up', '$autocapture'][i % 4],
    distinct_id: 'user-' + ((i * 7919) % ids),
    properties: {
      $current_url: 'https://shop.example.com/products/' + (i % 1000), $os: 'Linux', $browser: 'Firefox',
      $lib: 'web', $lib_version: '1.20.0', $screen_height: 1080, $screen_width: 1920, price: (i % 10000) / 100,
      $session_id: '0189a1b2-0000-7000-8000-00000000' + String(1000 + (i % 9000)),
    },
    timestamp: new Date(Date.UTC(2026, 0, 1) + i).toISOString(),
  }
  const missing = bytes - JSON.stringify(e).length - 12
  if (missing > 0) e.properties.padding = 'x'.repeat(missing)
  return e
}

// A file of request bodies for wrk. `per` 0: one bare event per request.
function bodies(name, { count, per, bytes, gzip, ids }) {
  const lines = []
  let i = 0
  for (let n = 0; n < count; n++) {
    let body
    if (per === 0) {
      body = JSON.stringify({ api_key: TOKEN, ...event(i++, bytes - 24, ids) })
    } else {
      const batch = []
      for (let k = 0; k < per; k++) batch.push(event(i++, bytes, ids))
      body = JSON.stringify({ api_key: TOKEN, batch })
    }
    lines.push(gzip ? zlib.gzipSync(body).toString('base64') : body)
  }
  fs.mkdirSync(ROOT, { recursive: true })
  const file = path.join(ROOT, name + '.bodies')
  fs.writeFileSync(file, lines.join('\n') + '\n')
  return file
}

async function wrk({ port, route, file, gzip = false, connections = 64, threads = 1, seconds = 10 }) {
  const child = spawn('wrk', ['-t' + threads, '-c' + connections, '-d' + seconds + 's', '-s', LUA, `http://127.0.0.1:${port}`], {
    env: { PATH: process.env.PATH, LOAD_PATH: route, LOAD_FILE: file, LOAD_GZIP: gzip ? '1' : '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (d) => (text += d))
  await new Promise((done) => child.on('exit', done))
  const m = /RESULT (.*)/.exec(text)
  if (!m) throw new Error('wrk gave no result: ' + text)
  const r = JSON.parse(m[1])
  if (r.bad || r.errors) throw new Error(`${r.bad} answers were not 2xx, ${r.errors} connection errors`)
  return { ...r, per_s: r.requests / (r.duration_us / 1e6) }
}

// Runs a helper program that prints one JSON line.
function helper(name, args) {
  return JSON.parse(execFileSync(path.resolve(BENCH_DIR, name), args.map(String), { encoding: 'utf8' }).trim().split('\n').pop())
}

async function bareHttp(options) {
  const child = spawn(path.join(BENCH_DIR, 'raw_http'), ['0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const port = await new Promise((done) => child.stdout.once('data', (d) => done(+/\d+/.exec(String(d))[0])))
  try {
    return await wrk({ ...options, port })
  } finally {
    child.kill('SIGKILL')
  }
}

function machine() {
  const cpu = os.cpus()
  return `${cpu.length} x ${cpu[0].model.trim()}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()} ${os.release()}, ` +
    `${spawnSync('cc', ['--version'], { encoding: 'utf8' }).stdout.split('\n')[0]}, ${new Date().toISOString().slice(0, 10)}`
}

// Ticks of all CPUs since boot: what was not idle, and all.
function machineTicks() {
  const t = fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1).map(Number)
  const all = t.reduce((a, x) => a + x, 0)
  return { busy: all - t[3] - t[4], all }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]
const round = (x, digits = 0) => Number(x.toFixed(digits)).toLocaleString('en-US')

// "reached" or "MISSED" when the floor is a comparison (">= 35,000") that the value can be held against.
function verdict(value, floor) {
  const m = /^(>=|<=) ([\d,.]+)$/.exec(floor)
  if (!m) return ''
  const [have, want] = [value, m[2]].map((x) => Number(String(x).replace(/,/g, '')))
  return (m[1] === '>=' ? have >= want : have <= want) ? 'reached' : 'MISSED'
}

// One figure: what, its value and unit, the floor it must reach (text), the raw limit beside it (text).
function figure(bench, what, value, unit, floor = '', limit = '') {
  console.log(`${bench.padEnd(16)} ${what.padEnd(44)} ${String(value).padStart(12)} ${unit.padEnd(10)} ` +
    `${floor.padEnd(14)} ${verdict(value, floor).padEnd(8)} ${limit}`.trimEnd())
}

module.exports = { BIN, BENCH_DIR, ROOT, TOKEN, Server, bodies, event, wrk, helper, bareHttp, machine, machineTicks, median, round, figure, sleep, tempDir, performance, http, fs, path, spawn, spawnSync }
