// Compares what is stored after all crashes with what must be: see torture.js.
'use strict';

const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { isDeepStrictEqual } = require('node:util');
const { GROUP_TYPES } = require('./workload.js');

const SHOWN = 5;

function query(dir, sql, more = []) {
  const out = execFileSync('sqlite3', ['-readonly', '-json', ...more, path.join(dir, 'hedgerow.db'), sql],
    { encoding: 'utf8', maxBuffer: 1 << 30 });
  return out.trim() ? JSON.parse(out) : [];
}

function some(list, show = String) {
  return list.slice(0, SHOWN).map(show).join(', ') + (list.length > SHOWN ? ` and ${list.length - SHOWN} more` : '');
}

function checkEvents(dir, facts, faults) {
  const stored = query(dir, 'SELECT uuid, count(*) AS n FROM v_events GROUP BY uuid');
  const counts = new Map(stored.map((row) => [row.uuid, row.n]));
  const lost = [...facts.acknowledged.keys()].filter((uuid) => !counts.has(uuid));
  const twice = stored.filter((row) => row.n > 1);
  const strange = stored.filter((row) => !facts.sent.has(row.uuid));
  if (lost.length)
    faults.push(`${lost.length} acknowledged events are lost: ${some(lost, (u) => `${u} (cycle ${facts.acknowledged.get(u)})`)}`);
  if (twice.length) faults.push(`${twice.length} events are stored more than once: ${some(twice, (r) => `${r.uuid} x${r.n}`)}`);
  if (strange.length) faults.push(`${strange.length} events were never sent: ${some(strange, (r) => r.uuid)}`);
  for (const uuids of facts.once) {
    const n = uuids.filter((uuid) => counts.has(uuid)).length;
    if (n !== 0 && n !== uuids.length) faults.push(`of one request ${n} of ${uuids.length} events are stored: ${uuids[0]}`);
  }
}

function personsOf(dir) {
  const persons = new Map(query(dir, 'SELECT uuid, properties, is_identified FROM v_persons').map((row) => [row.uuid,
    { ids: [], properties: JSON.parse(row.properties), isIdentified: row.is_identified === 1 }]));
  const orphans = [];
  for (const row of query(dir, 'SELECT person_uuid, distinct_id FROM v_person_distinct_ids')) {
    const person = persons.get(row.person_uuid);
    if (person) person.ids.push(row.distinct_id);
    else orphans.push(row.distinct_id);
  }
  return { persons: [...persons.values()], orphans };
}

function checkPersons(dir, clients, faults) {
  const { persons, orphans } = personsOf(dir);
  const byId = new Map(persons.flatMap((p) => p.ids.map((id) => [id, p])));
  const wanted = new Set(clients.flatMap((c) => [...c.persons.values()]));
  const known = new Set([...wanted].flatMap((p) => [...p.ids]));
  if (orphans.length) faults.push(`distinct ids without a person: ${some(orphans)}`);
  const empty = persons.filter((p) => p.ids.length === 0);
  if (empty.length) faults.push(`${empty.length} persons without a distinct id`);
  for (const want of wanted) {
    const id = want.ids.values().next().value;
    const got = byId.get(id);
    const isSame = got && got.isIdentified === want.isIdentified && isDeepStrictEqual(got.properties, want.properties) &&
      isDeepStrictEqual([...got.ids].sort(), [...want.ids].sort());
    if (!isSame)
      faults.push(`person of ${id}: ${JSON.stringify(got)} instead of ${JSON.stringify({ ...want, ids: [...want.ids] })}`);
  }
  const strange = [...byId.keys()].filter((id) => id.startsWith('c') && !known.has(id));
  if (strange.length) faults.push(`distinct ids that were never sent: ${some(strange)}`);
}

function checkGroups(dir, clients, faults) {
  const types = query(dir, 'SELECT group_type FROM v_group_types ORDER BY group_type_index').map((row) => row.group_type);
  if (!isDeepStrictEqual(types, GROUP_TYPES)) faults.push(`group types ${types}`);
  const groups = new Map(query(dir, 'SELECT group_type_index, group_key, group_properties FROM v_groups').map((row) => [
    `${types[row.group_type_index]} ${row.group_key}`, JSON.parse(row.group_properties)]));
  const wanted = new Map(clients.flatMap((c) => [...c.groups]));
  for (const [name, want] of wanted)
    if (!isDeepStrictEqual(groups.get(name), want))
      faults.push(`group ${name}: ${JSON.stringify(groups.get(name))} instead of ${JSON.stringify(want)}`);
  const strange = [...groups.keys()].filter((name) => !wanted.has(name));
  if (strange.length) faults.push(`groups that were never sent: ${some(strange)}`);
}

// A client numbers its events; of each distinct id the numbers go up, whatever the plugins awaited.
function checkOrder(dir, faults) {
  const last = new Map();
  const wrong = [];
  const rows = query(dir, `SELECT distinct_id, properties ->> 'number' AS number, properties ->> 'waited' AS waited,
    properties ->> 'counted' AS counted FROM v_events WHERE event <> 'maybe' AND event <> 'first' ORDER BY id`);
  for (const row of rows) {
    if (row.waited !== row.number || row.counted !== row.number + 1) wrong.push(`${row.distinct_id} ${row.number} missed a plugin`);
    if (row.number <= (last.get(row.distinct_id) ?? -1)) wrong.push(`${row.distinct_id} ${row.number} came late`);
    last.set(row.distinct_id, row.number);
  }
  if (wrong.length) faults.push(`order and plugins: ${some(wrong)}`);
}

// Rows that only one of the two runs has. Requests that were sent once are no part of the other run.
function checkAgainstClean(dir, cleanDir, faults) {
  const compared = {
    events: `SELECT uuid, event, distinct_id, properties, elements_chain, timestamp, group_0_key, group_1_key, group_2_key,
      group_3_key, group_4_key FROM $.v_events WHERE event <> 'maybe'`,
    groups: 'SELECT group_type_index, group_key, group_properties FROM $.v_groups',
    names: "SELECT team_id, name FROM $.v_event_definitions WHERE name <> 'maybe'",
  };
  for (const [what, sql] of Object.entries(compared)) {
    const [ours, clean] = ['main', 'clean'].map((name) => sql.replaceAll('$', name));
    for (const [here, there, text] of [[ours, clean, 'only after the crashes'], [clean, ours, 'only in the clean run']]) {
      const rows = query(dir, `SELECT * FROM (${here}) EXCEPT SELECT * FROM (${there}) LIMIT 100`,
        ['-cmd', `ATTACH '${path.join(cleanDir, 'hedgerow.db')}' AS clean`]);
      if (rows.length) faults.push(`${what} ${text}: ${some(rows, JSON.stringify)}`);
    }
  }
  const [here, there] = [dir, cleanDir].map((d) => new Map(personsOf(d).persons.map((p) => [p.ids.sort().join(' '), p])));
  const other = [...here].filter(([ids, p]) => /^(c|first)/.test(ids) && !isDeepStrictEqual(p, there.get(ids)));
  if (other.length) faults.push(`persons that the clean run does not have so: ${some(other, JSON.stringify)}`);
}

function check({ dataDir, cleanDir, facts, clients }) {
  const faults = [];
  const integrity = query(dataDir, 'PRAGMA integrity_check').map((row) => row.integrity_check);
  if (integrity.join() !== 'ok') faults.push(`integrity check: ${some(integrity)}`);
  const dead = query(dataDir, 'SELECT stage, reason FROM v_dead_letters');
  if (dead.length) faults.push(`${dead.length} dead letters: ${some(dead, JSON.stringify)}`);
  checkEvents(dataDir, facts, faults);
  checkOrder(dataDir, faults);
  checkPersons(dataDir, clients, faults);
  checkGroups(dataDir, clients, faults);
  checkAgainstClean(dataDir, cleanDir, faults);
  return faults;
}

module.exports = { check };
