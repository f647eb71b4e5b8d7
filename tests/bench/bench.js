// make bench [B=name]: every figure of docs/PERFORMANCE.md, each with its raw limit beside it, measured in the same run.
'use strict'
const b = require('./lib.js')
const { Server, bodies, wrk, helper, bareHttp, figure, round, median } = b

const SECONDS = Number(process.env.BENCH_SECONDS || 8)
const RUNS = Number(process.env.BENCH_RUNS || 3)

async function repeat(fn) {
  const list = []
  for (let i = 0; i < RUNS; i++) list.push(await fn())
  return list
}
const middle = (list, key) => median(list.map((r) => r[key]))
const spread = (list, key) => `${round(Math.min(...list.map((r) => r[key])))}..${round(Math.max(...list.map((r) => r[key])))}`

// Runs `load` against a server; adds to its result what each role of threads took of the CPUs for one event, and the share
// of the machine that neither server nor wrk can have used: with others at work a rate says little.
async function measured(s, load) {
  const ticks = b.machineTicks(), children = process.resourceUsage(), cpu = s.cpu_us()
  const result = await load()
  const after = s.cpu_us(), now = b.machineTicks()
  const roles = {}
  let ours = 0
  for (const role of Object.keys(after)) {
    const used = after[role] - (cpu[role] || 0)
    ours += used
    if (used / result.events >= 0.05) roles[role] = used / result.events
  }
  const busy = (now.busy - ticks.busy) * 1e4 - ours - (result.load_us || 0) - (process.resourceUsage().userCPUTime - children.userCPUTime)
  return { ...result, roles, cpu: ours / result.events, others: Math.max(0, 100 * busy / ((now.all - ticks.all) * 1e4)) }
}

// Durable answers a second, the pipeline storing at the same time as in real life.
async function capture(options, per = 1) {
  return repeat(async () => {
    const s = await Server.start()
    try {
      return await measured(s, async () => {
        const r = await wrk({ ...options, port: s.ports.capture, seconds: SECONDS })
        return { ...r, events: r.requests * per }
      })
    } finally {
      await s.kill()
    }
  })
}

// The CPU of the run in the middle, by role.
function cost(bench, what, list) {
  const r = [...list].sort((x, y) => x.cpu - y.cpu)[Math.floor(list.length / 2)]
  const parts = Object.entries(r.roles).sort((x, y) => y[1] - x[1]).map(([role, us]) => `${role} ${round(us, 2)}`)
  const others = middle(list, 'others')
  figure(bench, `CPU an event, ${what}`, round(r.cpu, 2), 'us', '', `${parts.join(', ')}; wrk ${round((r.load_us || 0) / r.events, 2)}` +
    (others > 10 ? `; OTHERS USED ${round(others)} % OF THE MACHINE` : ''))
}

async function captureSingle() {
  const file = bodies('single', { count: 2000, per: 0, bytes: 1024 })
  for (const connections of [64, 200]) {
    const options = { route: '/capture/', file, connections }
    const ours = await capture(options)
    const bare = await bareHttp({ ...options, seconds: 4 })
    figure('capture-single', `durable, 1 KB, ${connections} connections`, round(middle(ours, 'per_s')), 'req/s',
      connections === 64 ? '>= 35,000' : '', `bare HTTP answer ${round(bare.per_s)} req/s; runs ${spread(ours, 'per_s')}`)
    figure('capture-single', `p99, ${connections} connections`, round(middle(ours, 'p99_us') / 1000, 1), 'ms',
      connections === 64 ? '<= 10' : '')
    cost('capture-single', `${connections} connections`, ours)
  }
  rawSync(1024, [1, 32])
}

function rawSync(bytes, groups) {
  const dir = b.tempDir('sync')
  for (const per of groups) {
    const raw = helper('raw_fdatasync', [dir, bytes, per, 2])
    figure('raw', `bare fdatasync loop, ${per} records of ${bytes} B a sync`, round(raw.records_per_s), 'records/s', '', `${round(raw.syncs_per_s)} syncs/s`)
  }
  b.fs.rmSync(dir, { recursive: true, force: true })
}

async function captureBatch() {
  for (const gzip of [false, true]) {
    const file = bodies(gzip ? 'batch-gzip' : 'batch', { count: gzip ? 100 : 200, per: 50, bytes: 500, gzip })
    const options = { route: '/batch/', file, gzip, connections: 64 }
    const ours = await capture(options, 50)
    const bare = await bareHttp({ ...options, seconds: 4 })
    figure('capture-batch', `durable, 50 x 500 B, 64 connections${gzip ? ', gzip' : ''}`, round(middle(ours, 'per_s') * 50), 'events/s',
      gzip ? '>= 200,000' : '>= 300,000', `bare HTTP answer ${round(bare.per_s * 50)} events/s; p99 ${round(middle(ours, 'p99_us') / 1000, 1)} ms`)
    cost('capture-batch', `batches${gzip ? ', gzip' : ''}`, ours)
  }
  rawSync(500, [100, 1000])
}

// From the first request to the last row, everything stored.
async function stored(options, per, plugin) {
  return repeat(async () => {
    const s = await Server.start({ plugin })
    try {
      return await measured(s, async () => {
        const began = b.performance.now()
        const sent = await wrk({ ...options, port: s.ports.capture, seconds: SECONDS })
        const st = await s.drained()
        const seconds = (b.performance.now() - began) / 1000
        return { rate: st.pipeline.stored / seconds, accepted: sent.per_s * per, events: sent.requests * per, load_us: sent.load_us }
      })
    } finally {
      await s.kill()
    }
  })
}

async function wholeWay(bench, plugin, floors) {
  const kinds = [
    { what: '1 KB event per request', per: 1, options: { route: '/capture/', file: bodies('single', { count: 2000, per: 0, bytes: 1024 }), connections: 64 } },
    { what: 'batches of 50 x 500 B', per: 50, options: { route: '/batch/', file: bodies('batch', { count: 200, per: 50, bytes: 500 }), connections: 16 } },
  ]
  for (const [i, k] of kinds.entries()) {
    const list = await stored(k.options, k.per, plugin)
    figure(bench, `stored rows, ${k.what}`, round(middle(list, 'rate')), 'events/s', floors[i],
      `accepted ${round(middle(list, 'accepted'))}/s; runs ${spread(list, 'rate')}`)
    cost(bench, k.what, list)
  }
}

async function e2e() {
  await wholeWay('e2e', undefined, ['>= 30,000', '>= 60,000'])
  const dir = b.tempDir('sqlite')
  const raw = helper('raw_sqlite', [b.path.join(dir, 'raw.db'), 300000, 2000])
  figure('raw', 'bare SQLite insert loop, same row, FULL', round(raw.rows_per_second), 'rows/s')
  b.fs.rmSync(dir, { recursive: true, force: true })
}

// The whole way with a plugin that sets two properties of each event.
const SET_TWO = `export function processEvent(event) {
  event.properties.seen_by = 'bench'
  event.properties.doubled = event.properties.price * 2
  return event
}`

async function e2ePlugin() {
  await wholeWay('e2e-plugin', SET_TWO, ['>= 25,000', '>= 40,000'])
}

async function idle() {
  const s = await Server.start()
  await b.sleep(2000)
  const before = s.cpu_ticks()
  await b.sleep(20000)
  const used = s.cpu_ticks() - before
  const m = s.memory()
  figure('idle', 'resident memory', round(m.rss_kb / 1024, 1), 'MiB', '<= 10', `anonymous ${round(m.anon_kb / 1024, 1)} MiB`)
  figure('idle', 'CPU', round(used / 100 / 20 * 100, 2), '% of a core', '<= 0.1', `${used} ticks of 10 ms in 20 s`)
  await s.stop()
}

async function start() {
  const empty = await repeat(async () => {
    const s = await Server.start()
    await s.stop()
    return { ms: s.ready_ms }
  })
  figure('start', 'ready, empty directory', round(middle(empty, 'ms')), 'ms', '<= 150', `runs ${spread(empty, 'ms')}`)
  const dir = b.tempDir('backlog')
  helper('ring_fill', [b.path.join(dir, 'ring', 'events_plugin_ingestion'), 2048])
  const full = await Server.start({ dir })
  figure('start', 'ready, 2 GB of unread ring', round(full.ready_ms), 'ms', '<= 2,000')
  await full.kill()
}

// Closed loop: sends while the pipeline is less than `lag` events behind, so that what is measured is the store.
async function feed(s, total, onProgress) {
  const agent = new b.http.Agent({ keepAlive: true, maxSockets: 16 })
  const payloads = []
  for (let k = 0; k < 200; k++) {
    const batch = []
    for (let i = 0; i < 50; i++) batch.push(b.event(k * 50 + i, 500, 100000))
    payloads.push(JSON.stringify({ api_key: b.TOKEN, batch }))
  }
  let sent = 0, lag = 0
  const post = (body) => new Promise((resolve, reject) => {
    const req = b.http.request({ port: s.ports.capture, path: '/batch/', method: 'POST', agent, headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) } }, (res) => {
      res.resume()
      res.on('end', () => (res.statusCode === 200 ? resolve() : reject(new Error('status ' + res.statusCode))))
    })
    req.on('error', reject)
    req.end(body)
  })
  const worker = async () => {
    while (sent < total) {
      if (lag > 50000) { await b.sleep(5); continue }
      sent += 50
      await post(payloads[(sent / 50) % payloads.length])
    }
  }
  const watch = (async () => {
    for (;;) {
      const st = await s.status()
      lag = st.queue.lag_events
      onProgress(st.pipeline.stored)
      if (st.pipeline.stored >= total) return
      await b.sleep(20)
    }
  })()
  await Promise.all([...Array(16)].map(worker))
  await watch
  agent.destroy()
}

async function growth() {
  const s = await Server.start()
  const marks = [1e6, 1.5e6, 4.5e6, 5e6], times = []
  await feed(s, 5e6, (n) => {
    while (times.length < marks.length && n >= marks[times.length]) times.push({ n, t: b.performance.now() })
  })
  const rate = (i) => (times[i + 1].n - times[i].n) / ((times[i + 1].t - times[i].t) / 1000)
  figure('growth', 'stored, events 1-1.5 M', round(rate(0)), 'events/s')
  figure('growth', 'stored, events 4.5-5 M', round(rate(2)), 'events/s')
  figure('growth', 'of the first rate', round(100 * rate(2) / rate(0)), '%', '>= 85')
  await s.kill()
}

async function build() {
  const dir = b.tempDir('build')
  const top = b.path.resolve(__dirname, '..', '..')
  b.spawnSync('git', ['clone', '-q', top, dir])
  const began = b.performance.now()
  const r = b.spawnSync('make', ['-C', dir], { encoding: 'utf8' })
  const seconds = (b.performance.now() - began) / 1000
  if (r.status !== 0) throw new Error('the build failed: ' + r.stderr.slice(-2000))
  figure('build', 'fresh clone to binary, libraries included', round(seconds), 's', '<= 300')
  const again = b.performance.now()
  b.spawnSync('make', ['-C', dir])
  figure('build', 'make again without a change', round(b.performance.now() - again), 'ms')
  const size = b.fs.statSync(b.path.join(dir, 'build', 'hedgerow')).size
  figure('build', 'binary, not stripped', round(size / 2 ** 20, 1), 'MiB')
  b.fs.rmSync(dir, { recursive: true, force: true })
}

async function geoip() {
  const data = b.path.resolve(__dirname, '..', '..', 'build/vendor')
  const files = { city: 'geoip-test-data/test-data/GeoIP2-City-Test.mmdb', country: 'geoip-country/geo-whois-asn-country.mmdb' }
  for (const [kind, file] of Object.entries(files)) {
    if (!b.fs.existsSync(b.path.join(data, file))) continue // make run fetches it
    const r = helper('geoip', [b.path.join(data, file)])
    figure('geoip', `look-up and new text of an event, ${kind}`, round(r.event_us, 2), 'us cpu', '<= 5',
      `bare look-up of 7 fields ${round(r.bare_us, 2)} us; ours ${round(r.find_us, 2)}; with the text read again ${round(r.event_read_again_us, 2)}`)
  }
}

// The plugin step by itself, on one core: a plugin that sets two properties, and one that loops 2,000 times.
async function pluginStep() {
  for (const [kind, floor] of [['set2', '>= 150,000'], ['for2k', '']]) {
    const r = await repeat(async () => helper('plugin_step', [100000, kind]))
    figure('plugin-step', `events on one core, ${kind}`, round(middle(r, 'events_per_s')), 'events/s', floor, `${round(middle(r, 'us'), 2)} us cpu an event`)
  }
}

// One plugin on one thread, from text to text, in batches of 1, 10 and 100 events under way, beside a context of Node's vm.
async function vmBench(kind) {
  const counts = { simple: [50000, 50000, 50000], for2k: [5000, 5000, 5000], timeout100ms: [20, 200, 2000] }[kind]
  for (const [i, size] of [1, 10, 100].entries()) {
    const r = await repeat(async () => helper('vm', [counts[i], size, kind]))
    const node = helper(process.execPath, [b.path.join(__dirname, 'node_vm.js'), counts[i], size, kind])
    figure(`vm-${kind}`, `events, batches of ${size}`, round(middle(r, 'events_per_s')), 'events/s', '',
      `${round(middle(r, 'us'), 2)} us cpu an event; Node's vm ${round(node.events_per_s)} events/s, ${round(node.us, 2)} us`)
  }
  if (kind !== 'timeout100ms') return
  const all = helper('vm', [10000, 10000, kind])
  figure(`vm-${kind}`, '10,000 events at once', round(all.seconds, 2), 's', '', '200 of a team await at once: 50 x 100 ms are 5 s')
}

// Handing an event of 20 properties to a script and taking it back.
async function valueBridge() {
  const floors = { look: '', set2: '<= 2.5', rewrite: '<= 22' }
  for (const [script, floor] of Object.entries(floors)) {
    const r = helper('value_bridge', [500000, script])
    const us = (ns) => round(ns / 1000, 2)
    figure('value-bridge', `hand over, call, read back: ${script}`, us(r.total_ns), 'us cpu', floor,
      `make and end ${us(r.new_end_ns)}, call ${us(r.call_ns)}, read ${us(r.read_ns)}; JSON.parse and JSON.stringify instead ${us(r.plain_ns)}`)
  }
}

const benches = {
  'capture-single': captureSingle,
  'capture-batch': captureBatch,
  e2e,
  'e2e-plugin': e2ePlugin,
  'plugin-step': pluginStep,
  'vm-simple': () => vmBench('simple'),
  'vm-for2k': () => vmBench('for2k'),
  'vm-timeout100ms': () => vmBench('timeout100ms'),
  idle,
  start,
  growth,
  build,
  geoip,
  'value-bridge': valueBridge,
}

async function main() {
  const wanted = process.argv[2] || ''
  const names = Object.keys(benches).filter((n) => n.startsWith(wanted))
  if (!names.length) {
    console.error(`unknown bench ${wanted}; there are: ${Object.keys(benches).join(', ')}`)
    process.exit(2)
  }
  console.log(b.machine())
  for (const n of names) await benches[n]()
  b.fs.rmSync(b.ROOT, { recursive: true, force: true })
}

main().catch((e) => {
  console.error('bench: ' + e.message)
  process.exit(1)
})
