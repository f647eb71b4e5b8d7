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

// Durable answers a second, the pipeline storing at the same time as in real life.
async function capture(options, run) {
  return repeat(async () => {
    const s = await Server.start()
    try {
      return await wrk({ ...options, port: s.ports.capture, seconds: SECONDS })
    } finally {
      await s.kill()
    }
  })
}

async function captureSingle() {
  const file = bodies('single', { count: 2000, per: 0, bytes: 1024 })
  for (const connections of [64, 200]) {
    const options = { route: '/capture/', file, connections }
    const ours = await capture(options)
    const bare = await bareHttp({ ...options, seconds: 4 })
    figure('capture-single', `durable, 1 KB, ${connections} connections`, round(middle(ours, 'per_s')), 'req/s',
      connections === 64 ? '>= 30,000' : '', `bare HTTP answer ${round(bare.per_s)} req/s; runs ${spread(ours, 'per_s')}`)
    figure('capture-single', `p99, ${connections} connections`, round(middle(ours, 'p99_us') / 1000, 1), 'ms')
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
    const ours = await capture(options)
    const bare = await bareHttp({ ...options, seconds: 4 })
    figure('capture-batch', `durable, 50 x 500 B, 64 connections${gzip ? ', gzip' : ''}`, round(middle(ours, 'per_s') * 50), 'events/s',
      '>= 250,000', `bare HTTP answer ${round(bare.per_s * 50)} events/s; p99 ${round(middle(ours, 'p99_us') / 1000, 1)} ms`)
  }
  rawSync(500, [100, 1000])
}

// From the first request to the last row, everything stored.
async function stored(options, per) {
  return repeat(async () => {
    const s = await Server.start()
    try {
      const began = b.performance.now()
      const sent = await wrk({ ...options, port: s.ports.capture, seconds: SECONDS })
      const st = await s.drained()
      const seconds = (b.performance.now() - began) / 1000
      return { rate: st.pipeline.stored / seconds, accepted: sent.per_s * per, stored: st.pipeline.stored }
    } finally {
      await s.kill()
    }
  })
}

async function e2e() {
  const single = bodies('single', { count: 2000, per: 0, bytes: 1024 })
  const batch = bodies('batch', { count: 200, per: 50, bytes: 500 })
  const one = await stored({ route: '/capture/', file: single, connections: 64 }, 1)
  figure('e2e', 'stored rows, 1 KB event per request', round(middle(one, 'rate')), 'events/s', '>= 28,000', `accepted ${round(middle(one, 'accepted'))}/s; runs ${spread(one, 'rate')}`)
  const many = await stored({ route: '/batch/', file: batch, connections: 16 }, 50)
  figure('e2e', 'stored rows, batches of 50 x 500 B', round(middle(many, 'rate')), 'events/s', '>= 50,000', `accepted ${round(middle(many, 'accepted'))}/s; runs ${spread(many, 'rate')}`)
  const dir = b.tempDir('sqlite')
  const raw = helper('raw_sqlite', [b.path.join(dir, 'raw.db'), 300000, 2000])
  figure('raw', 'bare SQLite insert loop, same row, FULL', round(raw.rows_per_second), 'rows/s')
  b.fs.rmSync(dir, { recursive: true, force: true })
}

async function idle() {
  const s = await Server.start()
  await b.sleep(2000)
  const before = s.cpu_ticks()
  await b.sleep(20000)
  const used = s.cpu_ticks() - before
  const m = s.memory()
  figure('idle', 'resident memory', round(m.rss_kb / 1024, 1), 'MiB', '<= 8', `anonymous ${round(m.anon_kb / 1024, 1)} MiB`)
  figure('idle', 'CPU', round(used / 100 / 20 * 100, 2), '% of a core', '', `${used} ticks of 10 ms in 20 s`)
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
  figure('growth', 'stored, events 4.5-5 M', round(rate(2)), 'events/s', '>= 85 % of it', `${round(100 * rate(2) / rate(0))} %`)
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

const benches = { 'capture-single': captureSingle, 'capture-batch': captureBatch, e2e, idle, start, growth, build, geoip }

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
