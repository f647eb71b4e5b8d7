// node_vm.js EVENTS BATCH KIND: the same work as vm.c in a context of Node's vm module, as the server hedgerow
// replaces does it: the event from text to text, each call raced with a time limit. Prints one JSON line.
'use strict'
const vm = require('node:vm')

const [events, size, kind] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]]
const sources = {
  simple: "function processEvent(e) { e.properties = { processed: 'hell yes' }; return e }",
  for2k: 'function processEvent(e) { let i = 0; while (i < 2000) i++; e.properties = { processed: i }; return e }',
  timeout100ms: "async function processEvent(e) { await new Promise((r) => setTimeout(r, 100)); e.properties = { processed: 'hell yes' }; return e }",
}
const properties = {}
for (let i = 0; i < 20; i++) properties[`$property_${i}`] = i % 3 ? 'some text of usual length' : i * 1.5
const text = JSON.stringify({ event: '$pageview', distinct_id: 'somebody', team_id: 1, timestamp: '2023-09-15T09:15:02.325Z', properties })

const sandbox = vm.createContext({ setTimeout, console })
const processEvent = vm.runInContext(`'use strict'; ${sources[kind]}; processEvent`, sandbox)

function limited(value) {
  let timer
  const limit = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('time limit')), 30000) })
  return Promise.race([value, limit]).finally(() => clearTimeout(timer))
}
const one = async () => JSON.stringify(await limited(processEvent(JSON.parse(text)))).length

async function main() {
  await one()
  const began = process.hrtime.bigint(), cpu = process.cpuUsage()
  let done = 0
  for (; done < events; done += size) await Promise.all(Array.from({ length: size }, one))
  const seconds = Number(process.hrtime.bigint() - began) / 1e9, used = process.cpuUsage(cpu)
  console.log(JSON.stringify({ bench: 'node_vm', kind, batch: size, events: done, seconds, events_per_s: done / seconds, us: (used.user + used.system) / done }))
}
main()
