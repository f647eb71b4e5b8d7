// From requests to the public views: what becomes of events, persons and groups. Every case has a team of its own; the
// steps of one case are sent one after the other, each when the one before is stored.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { killAll, startHedgerow, waitFor } = require('../lib/hedgerow.js');

after(killAll);

const TEAM_COUNT = 150;
const provision = {
  teams: Array.from({ length: TEAM_COUNT }, (_, i) => ({ id: i + 1, name: `Team ${i + 1}`, api_token: `phc_t${i + 1}` })),
};

// --- steps: what a client sends ---

const capture = (distinct_id, event = 'event', properties = {}, more = {}) => ({ distinct_id, event, properties, ...more });
const identify = (id, anon, properties = {}) => capture(id, '$identify', { $anon_distinct_id: anon, ...properties });
const alias = (id, previous) => capture(id, '$create_alias', { alias: previous });
const force = (id, previous) => capture(id, '$merge_dangerously', { alias: previous });
const set = (id, $set, more = {}) => capture(id, 'some_event', { $set, ...more });
// A person that is there already, not identified, version 0.
const person = (id, properties = {}) => (Object.keys(properties).length ? set(id, properties) : capture(id));
const at = (timestamp, event) => ({ ...event, timestamp });

// --- what it comes to ---

const P = (ids, properties = {}, more = {}) => ({ ids, properties, identified: false, ...more });
const IDENTIFIED = { identified: true };

const person_cases = {
  'W26 the first event makes a person': {
    steps: [at('2020-01-01T12:00:05.200Z', capture('new-user', '$pageview'))],
    persons: [P(['new-user'], {}, { version: 0, created_at: 1577880005200000 })],
  },
  'W27 $set beats $set_once at creation': {
    steps: [capture('n', 'e', { $set_once: { a: 1, b: 2 }, $set: { b: 3, c: 4 } })],
    persons: [P(['n'], { a: 1, b: 3, c: 4 }, { version: 0 })],
  },
  'W28 $set again and again': {
    steps: [person('d1'), set('d1', { a: 'test-1', c: 'test-1' }), set('d1', { a: 'test-2', b: 'test-2b' })],
    persons: [P(['d1'], { a: 'test-2', b: 'test-2b', c: 'test-1' }, { version: 2 })],
    rows: [{}, { $set: { a: 'test-1', c: 'test-1' } }, { $set: { a: 'test-2', b: 'test-2b' } }],
  },
  'W29 $set_once keeps the first': {
    steps: [person('d1'), capture('d1', 'e', { $set_once: { a: 1, c: 1 } }), capture('d1', 'e', { $set_once: { a: 2, b: 2 } })],
    persons: [P(['d1'], { a: 1, b: 2, c: 1 })],
  },
  'W30 $set beside the properties wins': {
    steps: [capture('n', 'e', { $set: { key2: 'value3', key3: 'value4' } }, { $set: { key1: 'value1', key2: 'value2' } })],
    persons: [P(['n'], { key1: 'value1', key2: 'value2', key3: 'value4' }, { version: 0 })],
    rows: [{ $set: { key1: 'value1', key2: 'value2', key3: 'value4' } }],
  },
  'W31 the same with $set_once': {
    steps: [capture('n', 'e', { $set_once: { key2_once: 'value3', key3_once: 'value4' } },
      { $set_once: { key1_once: 'value1', key2_once: 'value2' } })],
    persons: [P(['n'], { key1_once: 'value1', key2_once: 'value2', key3_once: 'value4' }, { version: 0 })],
    rows: [{ $set_once: { key1_once: 'value1', key2_once: 'value2', key3_once: 'value4' } }],
  },
  'W32 the same value is no change': { steps: [person('d', { a: 1 }), set('d', { a: 1 })], persons: [P(['d'], { a: 1 }, { version: 0 })] },
  'W33 an equal object is no change': {
    steps: [person('d', { o: { x: 1, y: [1, 2] } }), set('d', { o: { y: [1, 2], x: 1.0 } })],
    persons: [P(['d'], { o: { x: 1, y: [1, 2] } }, { version: 0 })],
  },
  'W34 an object is replaced whole': {
    steps: [person('d', { o: { x: 1 } }), set('d', { o: { y: 2 } })],
    persons: [P(['d'], { o: { y: 2 } }, { version: 1 })],
  },
  'W35 $unset': {
    steps: [person('d', { a: 1, b: 2 }), capture('d', 'e', { $unset: ['a', 'zz'] })],
    persons: [P(['d'], { b: 2 }, { version: 1 })],
  },
  '$unset as an object': {
    steps: [person('d', { a: 1, b: 2 }), capture('d', 'e', { $unset: { a: '', zz: 1 } })],
    persons: [P(['d'], { b: 2 }, { version: 1 })],
  },
  'W36 $unset beats $set': {
    steps: [person('d', { a: 1 }), set('d', { b: 2 }, { $unset: ['b'] })],
    persons: [P(['d'], { a: 1 }, { version: 0 })],
  },
  'W37 creation does not look at $unset': {
    steps: [set('n', { b: 2 }, { $unset: ['b'] })],
    persons: [P(['n'], { b: 2 }, { version: 0 })],
  },
  'W38 null is there': {
    steps: [person('d', { a: null }), capture('d', 'e', { $set_once: { a: 5 } })],
    persons: [P(['d'], { a: null }, { version: 0 })],
  },
  'a $set that is no object is ignored and stays': {
    steps: [person('d', { a: 1 }), capture('d', 'e', { $set: 'text', $set_once: [1] })],
    persons: [P(['d'], { a: 1 }, { version: 0 })],
    rows: [{ $set: { a: 1 } }, { $set: 'text', $set_once: [1] }],
  },
  'W39 $identify without an anonymous id': {
    steps: [person('d1'), capture('d1', '$identify', { $set: { a: 1 } })],
    persons: [P(['d1'], { a: 1 }, { identified: false })],
  },
  'W40 campaign and initial properties': {
    steps: [capture(2, '$autocapture', { $browser: 'Chrome', $current_url: 'https://test.com', $os: 'Mac OS X', $browser_version: false,
      utm_medium: 'twitter', gclid: 'G' })],
    persons: [P(['2'], { $initial_browser: 'Chrome', $initial_current_url: 'https://test.com', $initial_os: 'Mac OS X',
      $initial_browser_version: false, $initial_utm_medium: 'twitter', $initial_gclid: 'G', utm_medium: 'twitter', gclid: 'G' })],
  },
  'W41 later ones change only the campaign': {
    steps: [capture('u', '$autocapture', { $browser: 'Chrome', $current_url: 'https://test.com', $os: 'Mac OS X', $browser_version: '95',
      utm_medium: 'twitter', gclid: 'G' }),
    capture('u', '$autocapture', { $browser: 'Firefox', $current_url: 'https://test.com/pricing', $browser_version: 80, utm_medium: 'instagram' })],
    persons: [P(['u'], { $initial_browser: 'Chrome', $initial_current_url: 'https://test.com', $initial_os: 'Mac OS X',
      $initial_browser_version: '95', $initial_utm_medium: 'twitter', $initial_gclid: 'G', utm_medium: 'instagram', gclid: 'G' }, { version: 1 })],
    rows: [undefined, { $set: { utm_medium: 'instagram' }, $set_once: { $initial_browser: 'Firefox',
      $initial_current_url: 'https://test.com/pricing', $initial_browser_version: 80, $initial_utm_medium: 'instagram' } }],
  },
  'W42 only an initial property': {
    steps: [capture('u', 'e', { $current_url: 'https://x' })],
    persons: [P(['u'], { $initial_current_url: 'https://x' })],
    rows: [{ $set_once: { $initial_current_url: 'https://x' }, $set: undefined }],
  },
  'W43 the computed campaign value wins': {
    steps: [set('u', { utm_source: 'mine' }, { utm_source: 'google' })],
    persons: [P(['u'], { utm_source: 'google', $initial_utm_source: 'google' })],
  },
  'W45 W46 alias to a known person, both ways': {
    steps: [person('old'), alias('new', 'old'), alias('old', 'third')],
    persons: [P(['old', 'new', 'third'])],
  },
  'W47 a second person joins': {
    steps: [person('old'), alias('new', 'old'), person('old2'), alias('new', 'old2')],
    persons: [P(['old', 'new', 'old2'])],
  },
  'W48 alias of two unknown ids': { steps: [alias('new', 'old')], persons: [P(['new', 'old'], {}, { version: 0 })] },
  'W49 alias joins two persons': {
    steps: [person('old', { both: 'o', old: 1 }), person('new', { both: 'n', new: 1 }), alias('new', 'old')],
    persons: [P(['old', 'new'], { both: 'n', old: 1, new: 1 }, { uuidOf: 'new' })],
  },
  'W50 identify twice': {
    steps: [person('anon'), identify('new', 'anon', { $set: { a: 'test' } }), identify('new', 'anon', { $set: { a: 'test' } })],
    persons: [P(['anon', 'new'], { a: 'test' }, IDENTIFIED)],
  },
  'W51 identify joins': {
    steps: [person('anon'), person('new', { email: 's@x' }), identify('new', 'anon')],
    persons: [P(['anon', 'new'], { email: 's@x' }, IDENTIFIED)],
  },
  'W52 and another one': {
    steps: [person('anon'), person('new', { email: 's@x' }), identify('new', 'anon'), person('anon2'), identify('new', 'anon2')],
    persons: [P(['anon', 'new', 'anon2'], { email: 's@x' }, IDENTIFIED)],
  },
  'W53 identify with itself': { steps: [person('a'), identify('a', 'a')], persons: [P(['a'], {}, { version: 0 })] },
  'W55 W56 ids that stand for nobody': {
    steps: [person('im an anonymous id'),
      ...['distinctId', '  ', 'NaN', 'undefined', 'None', '0'].map((id) => identify(id, 'im an anonymous id')),
      identify('Nan', 'im an anonymous id')],
    persons: [P(['im an anonymous id', 'Nan'], {}, IDENTIFIED), ...['distinctId', '  ', 'NaN', 'undefined', 'None', '0'].map((id) => P([id]))],
  },
  'ids that stand for nobody, as the previous one': {
    steps: [person('real'), ...['ANONYMOUS', 'Distinct_ID', "'null'", '"guest"', '[object Object]', '\u00a0', 'email'].map((id) => identify('real', id))],
    persons: [P(['real'], {}, { version: 0 })],
  },
  'ids that only look like it': {
    steps: [person('real'), ...['nan', 'NULL', ' anonymous ', '00'].map((id) => identify('real', id))],
    persons: [P(['real', 'nan', 'NULL', ' anonymous ', '00'], {}, IDENTIFIED)],
  },
  'W57 an identified person is not taken over': {
    steps: [capture('anon'), identify('i1', 'anon'), capture('i1'), capture('p2'), identify('n2', 'p2'), capture('n2'), identify('i1', 'n2')],
    persons: [P(['anon', 'i1'], {}, IDENTIFIED), P(['p2', 'n2'], {}, IDENTIFIED)],
  },
  'W58 but may get an unknown id': {
    steps: [identify('i1', 'anon'), capture('i1'), identify('i2', 'i1'), alias('i2', 'i1')],
    persons: [P(['i1', 'anon', 'i2'], {}, IDENTIFIED)],
  },
  'W59': { steps: [identify('i', 'anon'), capture('anon'), alias('anon', 'i')], persons: [P(['i', 'anon'], {}, IDENTIFIED)] },
  'W60': { steps: [capture('a1'), capture('a2'), alias('a2', 'a1')], persons: [P(['a1', 'a2'])] },
  'W61 properties of a merge': {
    steps: [person('old', { a: 1, b: 2 }), person('new', { b: 3, c: 4 }), identify('new', 'old')],
    persons: [P(['old', 'new'], { a: 1, b: 3, c: 4 }, { identified: true, version: 1, uuidOf: 'new' })],
  },
  'W62 and of the event that asks for it': {
    steps: [person('old', { a: 1, b: 2 }), person('new', { b: 3, c: 4, d: 5 }),
      identify('new', 'old', { $set: { d: 6, e: 7 }, $set_once: { a: 8, f: 9 } })],
    persons: [P(['old', 'new'], { a: 1, b: 3, c: 4, d: 6, e: 7, f: 9 }, IDENTIFIED)],
  },
  'W63': {
    steps: [person('new'), identify('new', 'old', { $set: { foo: 'bar' } })],
    persons: [P(['new', 'old'], { foo: 'bar' }, IDENTIFIED)],
  },
  'W64': { steps: [alias('new', 'old'), identify('new', 'old')], persons: [P(['new', 'old'], {}, { identified: true, version: 1 })] },
  'W65': { steps: [identify('new', 'old'), identify('new', 'old')], persons: [P(['new', 'old'], {}, { identified: true, version: 0 })] },
  'W66 refused, and yet identified': {
    steps: [identify('old', 'x'), person('new'), identify('new', 'old')],
    persons: [P(['old', 'x'], {}, IDENTIFIED), P(['new'], {}, IDENTIFIED)],
  },
  'W67 the older day of birth': {
    steps: [at('2019-07-01T00:00:00Z', person('old')), at('2020-01-01T00:00:00Z', person('new')), alias('new', 'old')],
    persons: [P(['old', 'new'], {}, { created_at: 1561939200000000, uuidOf: 'new' })],
  },
  'W69 alias without alias': { steps: [capture('id', '$create_alias', {})], persons: [P(['id'])] },
  'W70 $merge_dangerously': {
    steps: [identify('old', 'x'), person('new'), force('new', 'old')],
    persons: [P(['old', 'x', 'new'], {}, { identified: true, uuidOf: 'new' })],
  },
  'alias takes over an identified person': {
    steps: [identify('old', 'x'), person('new'), alias('new', 'old')],
    persons: [P(['old', 'x', 'new'], {}, { identified: true, uuidOf: 'new' })],
  },
  'chain of aliases': {
    steps: [capture('a'), capture('b'), capture('c'), alias('b', 'a'), alias('c', 'b'), alias('c', 'b')],
    persons: [P(['a', 'b', 'c'], {}, { uuidOf: 'c' })],
  },
  'previous id as a number': { steps: [identify('new', 12.0), capture(12)], persons: [P(['new', '12'], {}, IDENTIFIED)] },
};

// --- sending ---

const count = (server, where = '1') => server.sql(`SELECT count(*) n FROM v_events WHERE ${where}`)[0].n;

async function send(server, team, events, { headers, ...more } = {}) {
  const answer = await server.post('/batch/', { api_key: `phc_t${team}`, batch: [].concat(events), ...more }, headers);
  assert.equal(answer.status, 200, answer.text);
}

const eventRows = (rows) => rows.map((row) => ({ ...row, properties: JSON.parse(row.properties) }));

const rowsOf = (server, team) => eventRows(server.sql(`SELECT * FROM v_events WHERE team_id = ${team} ORDER BY id`));

function joinPersons(persons, ids) {
  return persons.map((p) => ({
    uuid: p.uuid, ids: ids.filter((id) => id.person_uuid === p.uuid).map((id) => id.distinct_id), properties: JSON.parse(p.properties),
    identified: p.is_identified === 1, version: p.version, created_at: p.created_at }));
}

const personsOf = (server, team) =>
  joinPersons(server.sql(`SELECT * FROM v_persons WHERE team_id = ${team} ORDER BY id`),
    server.sql(`SELECT * FROM v_person_distinct_ids WHERE team_id = ${team} ORDER BY id`));

// Everything of every team, in three queries: { events, persons } by team id.
function everything(server) {
  const all = ['v_events', 'v_persons', 'v_person_distinct_ids'].map((view) => server.sql(`SELECT * FROM ${view} ORDER BY team_id, id`));
  const [events, persons, ids] = all.map((rows) => (team) => rows.filter((row) => row.team_id === team));
  return (team) => ({ events: eventRows(events(team)), persons: joinPersons(persons(team), ids(team)) });
}

// All cases side by side: the first step of each, then the second of each, …
async function sendRounds(server, cases) {
  const before = count(server);
  let sent = 0;
  for (let round = 0; cases.some((c) => c.steps.length > round); round++) {
    const now = cases.filter((c) => c.steps.length > round);
    await Promise.all(now.map((c) => send(server, c.team, c.steps[round])));
    sent += now.length;
    await waitFor(() => count(server) === before + sent, { everyMs: 5, what: `round ${round} is stored` });
  }
}

let team = 0;
const nextTeam = () => ++team;

describe('persons', () => {
  const cases = Object.entries(person_cases).map(([name, c]) => ({ name, team: nextTeam(), ...c }));
  let server, of;
  before(async () => {
    server = await startHedgerow({ provision });
    await sendRounds(server, cases);
    of = everything(server);
  });
  after(() => server.stop());

  for (const c of cases)
    test(c.name, () => {
      const { events: rows, persons: got } = of(c.team);
      assert.equal(rows.length, c.steps.length);
      assert.equal(got.length, c.persons.length, JSON.stringify(got));
      for (const [i, want] of c.persons.entries()) {
        const { uuidOf, ...fields } = want;
        for (const [field, value] of Object.entries(fields)) assert.deepEqual(got[i][field], value, field);
        // B's uuid stays: the one on the rows of its own first event.
        if (uuidOf) assert.equal(got[i].uuid, rows.find((row) => row.distinct_id === uuidOf).person_uuid);
      }
      for (const [i, want] of (c.rows ?? []).entries())
        for (const [key, value] of Object.entries(want ?? {})) assert.deepEqual(rows[i].properties[key], value, `row ${i}: ${key}`);
    });

  test('nothing became a dead letter', () => assert.deepEqual(server.sql('SELECT * FROM v_dead_letters'), []));

  test('earlier rows keep the person that they had', () => {
    const { team: t } = cases.find((c) => c.name.startsWith('W49'));
    const [old, young, join] = of(t).events;
    assert.notEqual(old.person_uuid, young.person_uuid);
    assert.equal(join.person_uuid, young.person_uuid);
  });

  test('after a restart all of it is the same', async () => {
    await server.kill();
    const again = await startHedgerow({ dataDir: server.dataDir, provision });
    await waitFor(async () => (await again.admin('/api/status')).json.queue.lag_events === 0);
    const then = everything(again);
    for (const c of cases) assert.deepEqual(then(c.team), of(c.team));
    await again.stop();
  });
});

test('MERGE_POLICY=2023: alias obeys the rules of identify', async () => {
  const server = await startHedgerow({ provision, env: { MERGE_POLICY: '2023' } });
  await sendRounds(server, [
    { team: 1, steps: [identify('old', 'x'), person('new'), alias('new', 'old')] },
    { team: 2, steps: [person('old'), alias('new', 'old')] },
    { team: 3, steps: [identify('old', 'x'), person('new'), force('new', 'old')] },
  ]);
  const shape = (t) => personsOf(server, t).map((p) => [p.ids, p.identified]);
  assert.deepEqual(shape(1), [[['old', 'x'], true], [['new'], true]]);
  assert.deepEqual(shape(2), [[['old', 'new'], true]]);
  assert.deepEqual(shape(3), [[['old', 'x', 'new'], true]]);
  await server.stop();
});

describe('events', () => {
  let server;
  before(async () => (server = await startHedgerow({ provision: {
    teams: provision.teams.map((t) => (t.id === TEAM_COUNT ? { ...t, anonymize_ips: true } : t)) } })));
  after(() => server.stop());

  // Sends, waits, and gives the team's rows.
  async function rows(events, { team: t = nextTeam(), ...more } = {}) {
    const before = count(server, `team_id = ${t}`);
    await send(server, t, events, more);
    const n = [].concat(events).length;
    await waitFor(() => count(server, `team_id = ${t}`) === before + n, { everyMs: 5 });
    return rowsOf(server, t);
  }

  // The body exactly as given, with the token in it.
  async function rowsOfText(text, n = 1) {
    const t = nextTeam();
    const answer = await server.post('/batch/', `{"api_key":"phc_t${t}","batch":[${text}]}`);
    assert.equal(answer.status, 200, answer.text);
    await waitFor(() => count(server, `team_id = ${t}`) === n, { everyMs: 5 });
    return server.sql(`SELECT * FROM v_events WHERE team_id = ${t} ORDER BY id`);
  }

  test('W8 W10 W11 the address', async () => {
    const cases = [
      [{ 'X-Forwarded-For': '11.12.13.14' }, {}, undefined, '11.12.13.14'],
      [{ 'X-Forwarded-For': '11.12.13.14, 10.0.0.1' }, {}, undefined, '11.12.13.14'],
      [{ 'X-Forwarded-For': '11.12.13.14:4711' }, {}, undefined, '11.12.13.14'],
      [{ 'X-Forwarded-For': '2001:db8::1' }, {}, undefined, '2001:db8::1'],
      [{}, {}, undefined, '127.0.0.1'],
      [{ 'X-Forwarded-For': '11.12.13.14' }, { $ip: '1.0.0.1' }, undefined, '1.0.0.1'],
      [{ 'X-Forwarded-For': '11.12.13.14' }, { $ip: null }, undefined, null],
      [{ 'X-Forwarded-For': '11.12.13.14' }, {}, TEAM_COUNT, undefined],
      [{ 'X-Forwarded-For': '11.12.13.14' }, { $ip: '1.0.0.1' }, TEAM_COUNT, '1.0.0.1'],
    ];
    for (const [headers, properties, t, want] of cases) {
      const got = (await rows(capture('d', 'e', properties), { team: t, headers })).at(-1);
      assert.deepEqual(got.properties.$ip, want, JSON.stringify([headers, properties]));
    }
  });

  test('W3 W5 W7 W12 W13 names and ids', async () => {
    const upper = '0190A0B0-AAAA-7000-8000-00000000ABCD';
    const [a, b, c] = await rows([capture('x', 'E'.repeat(300)), capture(undefined, 'n', { distinct_id: 2 }),
      capture('y', 'u', {}, { uuid: upper, team_id: 3, ip: '9.9.9.9', now: '2001-01-01T00:00:00Z' })]);
    assert.equal(a.event, 'E'.repeat(200));
    assert.equal(b.distinct_id, '2');
    assert.strictEqual(b.properties.distinct_id, 2);
    assert.equal(c.uuid, upper.toLowerCase());
    assert.equal(c.properties.$ip, '127.0.0.1');
    const [long, bad] = await rows([capture('ä'.repeat(300)), capture('z', 'e', {}, { uuid: 'this is not an uuid' })]);
    assert.equal(long.distinct_id, 'ä'.repeat(200));
    assert.match(bad.uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/);
  });

  describe('W15-W25 times', () => {
    const day = 86400000;
    const minute = 60000;
    // `now` cannot be given from outside: it lies between the two looks at the clock.
    const cases = [
      ['W15 the clock of the client is wrong', { timestamp: '2021-10-30T03:02:00Z' }, '2021-10-30T03:12:00.000Z', (now) => now - 10 * minute],
      ['W16 with a zone', { timestamp: '2021-10-30T03:02:00+04:00' }, '2021-10-30T03:12:00.000+04:00', (now) => now - 10 * minute],
      ['W17 far ahead, no sent_at', { timestamp: new Date(Date.UTC(2095, 0, 2)).toISOString() }, undefined, () => Date.UTC(2095, 0, 2)],
      ['W18 far ahead, sent_at too', { timestamp: '2095-01-02T00:00:00Z' }, '2095-01-02T00:10:00Z', (now) => now - 10 * minute],
      ['W19 offset', { offset: 150 }, 'now', (now) => now - 150],
      ['W20 offset without sent_at', { offset: 150 }, undefined, (now) => now - 150],
      ['W21 offset and a wrong sent_at', { offset: 6000 }, 'tomorrow', (now) => now - 6000],
      ['W22 no time at all', { timestamp: 'notISO' }, undefined, (now) => now],
      ['W23 sent_at is no time', { timestamp: '2021-10-31T00:44:00Z' }, 'invalid', () => Date.UTC(2021, 9, 31, 0, 44)],
      ['W24 week date', { timestamp: '2021-W43-5' }, undefined, () => Date.UTC(2021, 9, 29)],
      ['ordinal date', { timestamp: '2021-302' }, undefined, () => Date.UTC(2021, 9, 29)],
      ['RFC 1123', { timestamp: 'Fri, 29 Oct 2021 00:00:00 GMT' }, undefined, () => Date.UTC(2021, 9, 29)],
      ['a number is milliseconds', { timestamp: 1635465600123 }, undefined, () => 1635465600123],
      ['W25 nothing given', {}, 'now', (now) => now],
      ['$ignore_sent_at', { timestamp: '2021-10-29T00:00:00.500Z', properties: { $ignore_sent_at: true } }, '2021-10-30T00:00:00Z',
        () => Date.UTC(2021, 9, 29) + 500],
      ['before 1970', { timestamp: '1969-12-31T23:59:59.250Z' }, undefined, () => -750],
    ];
    for (const [name, fields, sent_at, want] of cases)
      test(name, async () => {
        const times = { now: new Date().toISOString(), tomorrow: new Date(Date.now() + day).toISOString() };
        const early = Date.now();
        const [row] = await rows(capture('d', 'e', {}, fields), sent_at ? { sent_at: times[sent_at] ?? sent_at } : {});
        const late = Date.now();
        const got = Date.parse(row.timestamp);
        assert.match(row.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
        assert.ok(got >= want(early) - 1 && got <= want(late) + 1, `${row.timestamp} is not from ${want(early)} to ${want(late)}`);
        assert.ok(Date.parse(row.created_at) >= early - 1 && Date.parse(row.created_at) <= late + 1, row.created_at);
      });
  });

  test('numbers are exact', async () => {
    const [row] = await rowsOfText('{"event":"e","distinct_id":"n","properties":{"a":9007199254740993,"b":18446744073709551615,' +
      '"c":-9223372036854775808,"d":299.990,"e":1.0,"f":1e3,"g":0.1,"h":-0.0,"i":1e400,"$ip":0,"$set":{"a":9007199254740993,"d":299.990}}}');
    assert.equal(row.properties, '{"a":9007199254740993,"b":18446744073709551615,"c":-9223372036854775808,"d":299.99,"e":1,"f":1000,"g":0.1,' +
      '"h":0,"i":null,"$ip":0,"$set":{"a":9007199254740993,"d":299.99}}');
    const [who] = server.sql(`SELECT properties FROM v_persons WHERE uuid = '${row.person_uuid}'`);
    assert.equal(who.properties, '{"a":9007199254740993,"d":299.99}');
  });

  test('U+0000 becomes U+FFFD, a repeated key keeps its first place and its last value', async () => {
    const [row] = await rowsOfText('{"event":"e\\u0000e","distinct_id":"n\\u0000n","properties":{"k\\u0000":"v\\u0000","a":1,"b":[{"\\u0000":"\\u0000"}],' +
      '"a":2,"$ip":0,"$set":{"p\\u0000":"q\\u0000","r":1,"r":2}}}');
    assert.equal(row.event, 'e\ufffde');
    assert.equal(row.distinct_id, 'n\ufffdn');
    assert.equal(row.properties, '{"k\ufffd":"v\ufffd","a":2,"b":[{"\ufffd":"\ufffd"}],"$ip":0,"$set":{"p\ufffd":"q\ufffd","r":2}}');
    const [who] = server.sql(`SELECT properties FROM v_persons WHERE uuid = '${row.person_uuid}'`);
    assert.deepEqual(JSON.parse(who.properties), { 'p\ufffd': 'q\ufffd', r: 2 });
  });

  test('texts arrive as they were sent', async () => {
    const texts = { emoji: '🤓', quote: '"\\/\b\f\n\r\t', control: '\u0001\u001f\u007f', line: '\u2028\u2029', html: '</script>', empty: '', ünï: 'ß' };
    const [row] = await rows(capture('🤓"\'\n', 'ev"ent\n🤓', { texts, list: [[], {}, null, true] }));
    assert.deepEqual(row.properties.texts, texts);
    assert.deepEqual(row.properties.list, [[], {}, null, true]);
    assert.equal(row.distinct_id, '🤓"\'\n');
    assert.equal(row.event, 'ev"ent\n🤓');
  });

  test('a lone surrogate does no harm', async () => {
    const [row] = await rowsOfText('{"event":"e","distinct_id":"n","properties":{"s":"\\ud83d","t":"x\\udc00y"}}');
    assert.equal(typeof JSON.parse(row.properties).s, 'string');
  });

  test('two teams do not see each other (W54)', async () => {
    const [a, b] = [nextTeam(), nextTeam()];
    await rows(set('2', { email: 'x' }), { team: a });
    await rows([person('1'), capture('2')], { team: b });
    await rows(identify('2', '1'), { team: b });
    const shape = (t) => personsOf(server, t).map((p) => [p.ids, p.properties, p.identified]);
    assert.deepEqual(shape(a), [[['2'], { email: 'x' }, false]]);
    assert.deepEqual(shape(b).map(([ids, ...rest]) => [[...ids].sort(), ...rest]), [[['1', '2'], {}, true]]);
  });

  test('many events of one person in one request keep their order', async () => {
    const n = 500;
    const got = await rows(Array.from({ length: n }, (_, i) => set('d', { last: i, [`k${i % 7}`]: i })));
    assert.deepEqual(got.map((row) => row.properties.$set.last), Array.from({ length: n }, (_, i) => i));
    const [who] = personsOf(server, got[0].team_id);
    assert.equal(who.properties.last, n - 1);
    assert.equal(who.version, n - 1);
  });

  describe('groups', () => {
    const groups = (t) => server.sql(`SELECT * FROM v_groups WHERE team_id = ${t} ORDER BY group_type_index, group_key`)
      .map((g) => [g.group_type_index, g.group_key, JSON.parse(g.group_properties), g.version]);
    const types = (t) => server.sql(`SELECT * FROM v_group_types WHERE team_id = ${t} ORDER BY group_type_index`).map((g) => g.group_type);
    const groupIdentify = ($group_type, $group_key, $group_set, more) => capture('d', '$groupidentify', { $group_type, $group_key, $group_set, ...more });

    test('W71 $groups', async () => {
      const t = nextTeam();
      const [row] = await rows(capture('d', 'e', { $groups: { organization: 'PostHog', project: 'web' } }), { team: t });
      assert.deepEqual(types(t), ['organization', 'project']);
      const { $group_0, $group_1, $groups } = row.properties;
      assert.deepEqual([$group_0, $group_1, $groups], ['PostHog', 'web', { organization: 'PostHog', project: 'web' }]);
      assert.deepEqual([row.group_0_key, row.group_1_key, row.group_2_key], ['PostHog', 'web', null]);
      assert.deepEqual(groups(t), []);
      const [, second] = await rows(capture('d', 'e', { $group_0: 'mine', $group_4: 'kept', $groups: { organization: 7 } }), { team: t });
      assert.deepEqual([second.properties.$group_0, second.properties.$group_4], [7, 'kept']);
      assert.deepEqual([second.group_0_key, second.group_4_key], ['7', 'kept']);
    });

    test('W72 a sixth type', async () => {
      const t = nextTeam();
      const [row] = await rows(capture('d', 'e', { $groups: { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 } }), { team: t });
      assert.deepEqual(types(t), ['a', 'b', 'c', 'd', 'e']);
      assert.ok(!('$group_5' in row.properties));
      assert.equal(row.group_4_key, '5');
    });

    test('W73 W74 W77 $groupidentify', async () => {
      const t = nextTeam();
      const org = (props) => rows(groupIdentify('organization', 'org::5', props), { team: t });
      await org({ foo: 'bar' });
      assert.deepEqual(groups(t), [[0, 'org::5', { foo: 'bar' }, 1]]);
      await org({ foo: 'bar' });
      assert.deepEqual(groups(t), [[0, 'org::5', { foo: 'bar' }, 1]]);
      await org({ a: 3 });
      assert.deepEqual(groups(t), [[0, 'org::5', { foo: 'bar', a: 3 }, 2]]);
      await org({ a: '3' }); // denotes the same number
      assert.deepEqual(groups(t), [[0, 'org::5', { foo: 'bar', a: 3 }, 2]]);
      const row = (await rows(capture('d', 'e', { $group_0: 'org::5' }), { team: t })).at(-1);
      assert.equal(row.group_0_key, 'org::5');
    });

    test('W75 without type or key, and other odd ones', async () => {
      const t = nextTeam();
      await rows([groupIdentify('organization', undefined, { a: 1 }), groupIdentify('', 'k', { a: 1 }), groupIdentify('o', 0, { a: 1 }),
        capture('d', 'e', { $groups: 'text' }), capture('d', 'e', { $groups: ['x'] }), capture('d', 'e', { $groups: {} })], { team: t });
      assert.deepEqual([types(t), groups(t)], [[], []]);
      await rows(groupIdentify('organization', 12, 'text'), { team: t });
      assert.deepEqual(groups(t), [[0, '12', {}, 1]]);
    });

    test('$groupidentify never updates a person that exists', async () => {
      const t = nextTeam();
      await rows(groupIdentify('o', 'k', {}, { $set: { a: 1 } }), { team: t });
      await rows(groupIdentify('o', 'k', {}, { $set: { a: 2 } }), { team: t });
      assert.deepEqual(personsOf(server, t).map((p) => [p.properties, p.version]), [[{ a: 1 }, 0]]);
    });
  });
});

describe('once', () => {
  const uuid = (n) => `0190a0b0-0000-7000-8000-${String(n).padStart(12, '0')}`;
  const batch = Array.from({ length: 50 }, (_, i) => capture(`d${i % 5}`, 'once', { i, $set: { i } }, { uuid: uuid(i) }));
  const drained = (server) => waitFor(async () => (await server.admin('/api/status')).json.queue.lag_events === 0, { everyMs: 5 });

  test('again at once, in another request, after a restart, after a crash', async () => {
    let server = await startHedgerow({ provision });
    await Promise.all(Array.from({ length: 4 }, () => send(server, 1, batch)));
    await send(server, 1, [...batch, ...batch]);
    await drained(server);
    assert.equal(count(server), 50);
    const { dataDir } = server;
    await server.stop({ keep: true });
    server = await startHedgerow({ dataDir, provision });
    await send(server, 1, batch);
    await drained(server);
    assert.equal(count(server), 50);
    await server.kill();
    server = await startHedgerow({ dataDir, provision });
    await send(server, 1, batch);
    await drained(server);
    assert.equal(count(server), 50);
    // The first one wins, also for the person: a repetition does nothing.
    assert.deepEqual(personsOf(server, 1).map((p) => p.version), [9, 9, 9, 9, 9]);
    assert.equal((await server.admin('/metrics')).text.includes('hedgerow_events_processed_total'), true);
    await server.stop();
    fs.rmSync(dataDir, { recursive: true });
  });

  test('the same uuid in two teams is two events; $insert_id', async () => {
    const server = await startHedgerow({ provision });
    const one = capture('d', 'e', {}, { uuid: uuid(1) });
    await send(server, 1, one);
    await send(server, 2, one);
    const insert = (id, event, $insert_id, more) => capture(id, event, { $insert_id, ...more });
    await send(server, 3, [insert('d', 'e', 'A'), insert('d', 'e', 'A'), insert('d', 'e', 'A', { other: 1 })]);
    await send(server, 3, insert('d', 'e', 'A'));
    await send(server, 3, [insert('d', 'f', 'A'), insert('c', 'e', 'A'), insert('d', 'e', 'B')]);
    await send(server, 4, insert('d', 'e', 'A'));
    await drained(server);
    const n = (t) => count(server, `team_id = ${t}`);
    assert.deepEqual([n(1), n(2), n(3), n(4)], [1, 1, 4, 1]);
    await send(server, 5, [capture('d', 'e'), capture('d', 'e')]); // nothing tells them apart, so both are stored
    await drained(server);
    assert.equal(n(5), 2);
    const { json } = await server.admin('/api/status');
    assert.equal(json.pipeline.duplicates, 3);
    await server.stop();
  });

  test('what was acknowledged before a crash is there after it', async () => {
    const server = await startHedgerow({ provision });
    const release = await server.holdDatabase(); // nothing can be stored from here on
    await send(server, 1, batch);
    await send(server, 9, [capture('gone', 'lost', { p: 1 }, { uuid: uuid(77) }), capture('gone', 'lost')]);
    await server.kill();
    await release();
    assert.equal(count(server), 0);
    // Team 9 has gone meanwhile: its events cannot be stored and become dead letters.
    execFileSync('sqlite3', [path.join(server.dataDir, 'hedgerow.db'), 'DELETE FROM teams WHERE id = 9']);
    const again = await startHedgerow({ dataDir: server.dataDir, provision: { teams: provision.teams.filter((t) => t.id !== 9) } });
    await drained(again);
    assert.equal(count(again), 50);
    const dead = again.sql('SELECT * FROM v_dead_letters ORDER BY id');
    assert.equal(dead.length, 2);
    for (const letter of dead) {
      assert.equal(letter.team_id, 9);
      assert.match(letter.stage, /^plugin_server_ingest_event:/);
      assert.equal(letter.reason, "Event ingestion failed. Error: No team found with ID 9. Can't ingest event.");
      assert.equal(letter.replayed_at, null);
      assert.ok(Math.abs(letter.at / 1000 - Date.now()) < 60000);
    }
    const envelope = JSON.parse(dead[0].envelope);
    assert.equal(envelope.uuid, uuid(77));
    assert.equal(envelope.distinct_id, 'gone');
    assert.deepEqual(JSON.parse(envelope.data).properties, { p: 1 });
    assert.equal(again.sql("SELECT count(*) n FROM v_persons WHERE team_id = 9")[0].n, 0);
    assert.equal((await again.admin('/api/status')).json.pipeline.dead_letters, 2);
    await again.stop();
    await server.stop(); // removes the directory
  });
});
