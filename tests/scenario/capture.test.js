// What clients of the capture API send, what they get back, and what is stored of it.
//
// Each case is one request against one running server. After it the test waits until the queue is empty, so that "nothing was
// stored" can be told apart from "nothing was stored yet". Order is promised per distinct id only, and compared so.
'use strict';

const assert = require('node:assert/strict');
const { after, before, describe, it } = require('node:test');
const zlib = require('node:zlib');
const { startHedgerow, waitFor } = require('../lib/hedgerow.js');

const TWO = 'phc_test_token_0001';
const ANON = 'phc_anon_token_0002';
const FOUR = 'legacy2022token';
const QUOTA = 'phc_quota_token_03';

const provision = {
  teams: [
    { id: 2, name: 'two', api_token: TWO },
    { id: 3, name: 'anonymous', api_token: ANON, anonymize_ips: true },
    { id: 4, name: 'legacy', api_token: FOUR, drop: ['dropme'] },
    { id: 5, name: 'over quota', api_token: QUOTA, over_quota: ['events', 'recordings'] },
  ],
  personal_api_keys: [{ key: 'phx_personal_key_0001', team: 2 }],
};

const JSON_TYPE = { 'Content-Type': 'application/json' };
const TEXT_TYPE = { 'Content-Type': 'text/plain' };
const FORM_TYPE = { 'Content-Type': 'application/x-www-form-urlencoded' };

const json = JSON.stringify;
const base64 = (text) => Buffer.from(text).toString('base64');
const gzip = (text) => zlib.gzipSync(text);
const form = (fields) => new URLSearchParams(fields).toString();
const batch = (events, more = {}) => json({ api_key: TWO, ...more, batch: events });
const error = (type, code, detail, attr = null) => ({ type, code, ...(detail ? { detail } : {}), attr });

const ONE = json({ event: 'e1', properties: { distinct_id: 'd1', token: TWO } });
const ONE_STORED = [{ event: 'e1', distinct_id: 'd1', team_id: 2 }];
const NO_DATA = error('validation_error', 'no_data',
  'No data found. Make sure to use a POST request when sending the payload in the body of the request.');
const INVALID = error('validation_error', 'invalid_payload');
const CANNOT_UNPACK = error('validation_error', 'invalid_payload', 'Malformed request data: Failed to decompress data.');
const INVALID_KEY = error('authentication_error', 'invalid_api_key',
  'Project API key invalid. You can find your project API key in PostHog project settings.');

// Fields of a case: path (/e/), method, headers (JSON), body; status (200), reply ({status: 1} where 200), replyHeaders,
// stored (rows in order: event, distinct_id, team_id, uuid, props = properties that must be so, ip, ago = milliseconds
// between the event's time and now, at = its exact time).
const cases = {
  paths: ['/e/', '/e', '/capture/', '/capture', '/track/', '/track', '/batch/', '/batch', '/i/v0/e/', '/i/v0/e'].map(
    (path) => ({ name: path, path, body: ONE, stored: ONE_STORED })),

  shapes: [
    { name: 'a batch', path: '/batch/', body: batch([{ event: 'b1', distinct_id: 'u1' }, { event: 'b2', distinct_id: 'u2' }]),
      stored: [{ event: 'b1', distinct_id: 'u1' }, { event: 'b2', distinct_id: 'u2' }] },
    { name: 'a batch on the browser path', body: batch([{ event: 'b1', distinct_id: 'u1' }]),
      stored: [{ event: 'b1', distinct_id: 'u1' }] },
    { name: 'an array', body: json([
        { event: 'e1', properties: { distinct_id: 'd1', token: TWO } },
        { event: 'e2', properties: { distinct_id: 'd1', token: TWO } }]),
      stored: [{ event: 'e1', distinct_id: 'd1', team_id: 2 }, { event: 'e2', distinct_id: 'd1' }] },
    { name: 'an event without properties', path: '/batch/', body: batch([{ type: 'capture', event: 'user signed up', distinct_id: '2' }]),
      stored: [{ event: 'user signed up', distinct_id: '2' }] },
    { name: 'integers beyond 2^53 stay exact',
      body: `{"event":"big","distinct_id":"d","api_key":"${TWO}","properties":{"n":9007199254740993}}`,
      stored: [{ event: 'big', text: '"n":9007199254740993' }] },
  ],

  encodings: [
    { name: 'GET with JSON', path: `/e/?data=${encodeURIComponent(ONE)}`, method: 'GET', headers: {}, stored: ONE_STORED },
    { name: 'GET with base64', path: `/e/?data=${base64(ONE)}`, method: 'GET', headers: {}, stored: ONE_STORED },
    { name: 'GET with base64 that lost its padding', method: 'GET', headers: {},
      path: `/e/?data=${base64(json({ event: '💻 é', properties: { distinct_id: 'd?>~', token: TWO } })).replace(/=+$/, '').replaceAll('+', '%2B')}`,
      stored: [{ event: '💻 é', distinct_id: 'd?>~' }] },
    { name: 'a form with base64', path: '/e/?ip=1&_=1694769302325&ver=1.20.4', headers: FORM_TYPE, body: `data=${base64(ONE)}`,
      stored: ONE_STORED },
    { name: 'a form with JSON', path: '/track/', headers: FORM_TYPE, body: form({ data: ONE }), stored: ONE_STORED },
    { name: 'a form with the token in its own field', path: '/track/', headers: FORM_TYPE,
      body: form({ data: json({ event: 'py', distinct_id: 'u' }), api_key: TWO }), stored: [{ event: 'py', distinct_id: 'u' }] },
    { name: 'a form whose plus signs became spaces', path: '/track/', headers: FORM_TYPE,
      body: `data=${base64(json({ event: 'plus', properties: { distinct_id: 'd>>>???', token: TWO } }))}`,
      stored: [{ event: 'plus', distinct_id: 'd>>>???' }] },
    { name: 'text that is base64', headers: TEXT_TYPE, body: base64(ONE), stored: ONE_STORED },
    { name: 'gzip by parameter', path: '/e/?compression=gzip-js&_=1694769305355', headers: TEXT_TYPE, body: gzip(ONE), stored: ONE_STORED },
    { name: 'gzip without a hint', headers: TEXT_TYPE, body: gzip(ONE), stored: ONE_STORED },
    { name: 'gzip without a content type', path: '/track?compression=gzip-js', headers: {}, body: gzip(ONE), stored: ONE_STORED },
    { name: 'gzip by header', path: '/batch', headers: { ...JSON_TYPE, 'Content-Encoding': 'gzip' },
      body: gzip(batch([{ event: 'm', distinct_id: 'u' }])), stored: [{ event: 'm', distinct_id: 'u' }] },
    { name: 'gzip by header and parameter', path: '/batch/?compression=gzip', headers: { ...JSON_TYPE, 'Content-Encoding': 'gzip' },
      body: gzip(batch([{ event: 'm', distinct_id: 'u' }])), stored: [{ event: 'm', distinct_id: 'u' }] },
    { name: 'JSON announced as gzip', path: '/e/?compression=gzip', body: ONE, stored: ONE_STORED },
    { name: 'base64 of gzip', headers: TEXT_TYPE, body: gzip(ONE).toString('base64'), stored: ONE_STORED },
    { name: 'gzip labelled as a form', headers: { ...FORM_TYPE, 'Content-Encoding': 'gzip' }, body: gzip(ONE), stored: ONE_STORED },
    { name: 'chunked', headers: { ...JSON_TYPE, 'Transfer-Encoding': 'chunked' }, body: ONE, stored: ONE_STORED },
  ],

  'broken bodies': [
    { name: 'truncated gzip', path: '/track?compression=gzip', headers: TEXT_TYPE, body: gzip(ONE).subarray(0, 10),
      status: 400, reply: CANNOT_UNPACK },
    { name: 'the word undefined', path: '/e/?compression=gzip-js', headers: TEXT_TYPE, body: 'undefined', status: 400,
      reply: error('validation_error', 'invalid_payload', 'Malformed request data: data being loaded from the request body for ' +
        "decompression is the literal string 'undefined'") },
    { name: 'bad lz64', path: '/track?compression=lz64', headers: TEXT_TYPE, body: 'foo', status: 400, reply: CANNOT_UNPACK },
    { name: 'a trailing comma', path: '/capture/', body: '{"event": "incorrect json with trailing comma",}', status: 400,
      reply: INVALID, detailStarts: 'Malformed request data: Invalid JSON: ' },
    { name: '101 levels', body: '['.repeat(101) + ']'.repeat(101), status: 400, reply: INVALID },
    { name: 'an empty GET', path: '/e/?data=', method: 'GET', headers: {}, status: 400, reply: NO_DATA },
    { name: 'an empty object', body: '{}', status: 400, reply: NO_DATA },
    { name: 'an empty body', body: '', status: 400, reply: NO_DATA },
    { name: 'a form without data', headers: FORM_TYPE, body: 'foo=bar', status: 400, reply: NO_DATA },
    { name: 'a bare number', body: '12', status: 400, reply: INVALID },
  ],

  events: [
    { name: 'NaN becomes null, an id of null is none',
      body: `[{"event":"beep","token":"${TWO}","properties":{"distinct_id":NaN}},{"event":"ok","properties":{"distinct_id":"k","v":Infinity}}]`,
      stored: [{ event: 'ok', distinct_id: 'k', props: { v: null } }] },
    { name: 'a member without an id is left out', path: '/batch/',
      body: batch([{ event: 'event1', distinct_id: '2' }, { event: 'event2' }, { event: 'event3', distinct_id: '2' }]),
      stored: [{ event: 'event1', distinct_id: '2' }, { event: 'event3', distinct_id: '2' }] },
    { name: 'an id of null', body: json({ api_key: TWO, event: 'x', distinct_id: null }) },
    { name: 'an empty name', body: json({ api_key: TWO, event: '', distinct_id: 'a valid id' }) },
    { name: 'no name', body: json({ api_key: TWO, distinct_id: 'abc', properties: { cost: 2 } }), status: 400,
      reply: error('validation_error', 'invalid_payload', 'Invalid payload: All events must have the event name field "event"!') },
    { name: 'one member without a name refuses all', body: batch([{ event: 'x', distinct_id: 'd' }, { distinct_id: 'd' }]),
      status: 400, reply: INVALID },
    { name: 'a member that is null', body: batch([{ event: 'x', distinct_id: 'd' }, null]), status: 400,
      reply: error('validation_error', 'invalid_payload', 'Invalid payload: some events are null') },
    { name: 'an empty batch', body: json({ api_key: TWO, batch: [] }), status: 400, reply: INVALID },
    { name: 'properties that are a list', body: json({ api_key: TWO, event: 'x', distinct_id: 'd', properties: [1] }), status: 400,
      reply: error('validation_error', 'invalid_payload', 'Invalid payload: Properties must be a JSON object!') },
    { name: '$snapshot without its data', body: json({ event: '$snapshot', distinct_id: 'abc', api_key: TWO }), status: 400,
      reply: error('validation_error', 'invalid_payload',
        'Invalid payload: $snapshot events must contain property "$snapshot_data"!') },
    { name: 'a listed id vanishes', body: json([
        { event: 'gone', distinct_id: 'dropme', token: FOUR }, { event: 'kept', distinct_id: 'me', token: FOUR }]),
      stored: [{ event: 'kept', team_id: 4 }] },
    { name: 'over quota', path: '/batch/', body: json({ api_key: QUOTA, batch: [{ event: 'x', distinct_id: 'w' }] }) },
    { name: 'over quota for recordings', reply: { status: 1, quota_limited: ['recordings'] },
      body: json([{ event: '$snapshot', properties: { distinct_id: 'd', token: QUOTA, $session_id: 's1', $snapshot_data: { type: 3 } } }]) },
  ],

  'distinct ids': [
    { name: '$distinct_id comes first',
      body: json({ event: 'x', token: TWO, $distinct_id: 'A', distinct_id: 'C', properties: { distinct_id: 'B' } }),
      stored: [{ distinct_id: 'A' }] },
    { name: 'properties before the event', body: json({ event: 'x', token: TWO, distinct_id: 'C', properties: { distinct_id: 'B' } }),
      stored: [{ distinct_id: 'B' }] },
    { name: 'a number', body: json({ event: 'x', token: TWO, properties: { distinct_id: 2 } }), stored: [{ distinct_id: '2' }] },
    { name: '250 letters', body: json({ event: 'x', token: TWO, distinct_id: 'a'.repeat(250) }),
      stored: [{ distinct_id: 'a'.repeat(200) }] },
    { name: '250 letters beyond the plane', body: json({ event: 'x', token: TWO, distinct_id: '🤓'.repeat(250) }),
      stored: [{ distinct_id: '🤓'.repeat(200) }] },
  ],

  uuids: [
    { name: 'a given one', body: json({ event: 'x', token: TWO, distinct_id: 'w', uuid: '018A981F-4B35-7C66-825E-8B0EEAE65714' }),
      stored: [{ uuid: '018a981f-4b35-7c66-825e-8b0eeae65714' }] },
    { name: 'the same again is a duplicate',
      body: json({ event: 'x', token: TWO, distinct_id: 'w', uuid: '018a981f4b357c66825e8b0eeae65714' }) },
    { name: 'the same of another team is not',
      body: json({ event: 'x', token: FOUR, distinct_id: 'w', uuid: '018a981f4b357c66825e8b0eeae65714' }),
      stored: [{ uuid: '018a981f-4b35-7c66-825e-8b0eeae65714', team_id: 4 }] },
    { name: 'an invalid one is replaced', body: json({ event: 'x', token: TWO, distinct_id: 'w', uuid: 'not-a-uuid' }),
      stored: [{ distinct_id: 'w', uuidVersion: '7' }] },
    { name: 'an insert id', body: json({ event: 'x', token: TWO, distinct_id: 'w', properties: { $insert_id: 'abc' } }),
      stored: [{ distinct_id: 'w', uuidVersion: '5' }] },
    { name: 'the same insert id again is a duplicate',
      body: json({ event: 'x', token: TWO, distinct_id: 'w', properties: { $insert_id: 'abc', retried: true } }) },
  ],

  tokens: [
    { name: 'none', path: '/batch/', body: json({ batch: [{ event: 'x', distinct_id: 'w' }] }), status: 401,
      reply: error('authentication_error', 'missing_api_key',
        'API key not provided. You can find your project API key in PostHog project settings.') },
    { name: 'an unknown one', path: '/batch/',
      body: json({ api_key: 'this-token-doesnt-exist', batch: [{ event: 'x', distinct_id: 'w' }] }), status: 401, reply: INVALID_KEY },
    { name: 'an unknown one with a project that is no number',
      body: json({ api_key: 'nope', project_id: 'abc', event: 'x', distinct_id: 'w' }), status: 400,
      reply: error('validation_error', 'invalid_project', 'Invalid Project ID.', 'project_id') },
    { name: 'an unknown one with a project', body: json([{ event: '$pageleave', project_id: 2, properties: { token: 'fake token' } }]),
      status: 401, reply: error('authentication_error', 'invalid_personal_api_key', 'Invalid Personal API key.') },
    { name: 'a personal key with its project',
      body: json({ api_key: 'phx_personal_key_0001', project_id: 2, event: 'x', distinct_id: 'w' }),
      stored: [{ event: 'x', distinct_id: 'w', team_id: 2 }] },
    { name: '$token beats the others', body: json({ $token: FOUR, api_key: TWO, event: 'x', distinct_id: 'w' }),
      stored: [{ event: 'x', team_id: 4 }] },
    { name: 'the form beats the body', headers: FORM_TYPE, body: form({ data: ONE, api_key: FOUR }), stored: [{ event: 'e1', team_id: 4 }] },
    { name: 'GET: the query beats the data', path: `/e/?token=${FOUR}&data=${base64(ONE)}`, method: 'GET', headers: {},
      stored: [{ event: 'e1', team_id: 4 }] },
    { name: 'two projects in one array', status: 401, reply: error('authentication_error', 'inconsistent_api_key'),
      body: json([{ event: 'a', token: TWO, distinct_id: 'w' }, { event: 'b', token: FOUR, distinct_id: 'w' }]) },
  ],

  // With timestamp and sent_at the event's time is now - (sent_at - timestamp): so sent_at shows in what is stored.
  times: [
    { name: 'sent_at of a batch', path: '/batch/', stored: [{ ago: 60250 }],
      body: batch([{ event: 'x', distinct_id: 'w', timestamp: '2022-04-30T11:59:00Z' }], { sent_at: '2022-04-30T12:00:00.250Z' }) },
    { name: '_ in seconds', path: '/e/?_=1651320000', stored: [{ ago: 60000 }],
      body: json({ event: 'x', api_key: TWO, distinct_id: 'w', timestamp: '2022-04-30T11:59:00Z' }) },
    { name: '_ in milliseconds', path: '/e/?_=1651320000000', stored: [{ ago: 60000 }],
      body: json({ event: 'x', api_key: TWO, distinct_id: 'w', timestamp: '2022-04-30T11:59:00Z' }) },
    { name: 'the query beats the body', path: '/batch/?_=1651320000000', stored: [{ ago: 60000 }],
      body: batch([{ event: 'x', distinct_id: 'w', timestamp: '2022-04-30T11:59:00Z' }], { sent_at: '2020-01-01T00:00:00Z' }) },
    { name: 'a form field', path: '/track', headers: FORM_TYPE, stored: [{ ago: 60000 }],
      body: form({ data: json({ event: 'x', api_key: TWO, distinct_id: 'w', timestamp: '2022-04-30T11:59:00Z' }),
        sent_at: '2022-04-30T12:00:00+00:00' }) },
    { name: 'an unreadable one is ignored', path: '/e/?_=abc', stored: [{ at: '2022-04-30T11:59:00.000Z' }],
      body: json({ event: 'x', api_key: TWO, distinct_id: 'w', timestamp: '2022-04-30T11:59:00Z' }) },
    { name: 'none', stored: [{ ago: 0 }], body: ONE },
  ],

  addresses: [
    { name: 'the first that was forwarded', headers: { ...JSON_TYPE, 'X-Forwarded-For': '89.160.20.129, 10.0.0.1' }, body: ONE,
      stored: [{ ip: '89.160.20.129' }] },
    { name: 'with a port', headers: { ...JSON_TYPE, 'X-Forwarded-For': '89.160.20.129:4711' }, body: ONE,
      stored: [{ ip: '89.160.20.129' }] },
    { name: 'the peer', body: ONE, stored: [{ ip: '127.0.0.1' }] },
    { name: 'a team that hides them', headers: { ...JSON_TYPE, 'X-Forwarded-For': '89.160.20.129' },
      body: json({ event: 'e1', properties: { distinct_id: 'd1', token: ANON } }), stored: [{ ip: undefined, team_id: 3 }] },
  ],

  answers: [
    { name: 'a beacon', path: '/e/?beacon=1', headers: FORM_TYPE, body: `data=${base64(ONE)}`, status: 204, reply: null,
      stored: ONE_STORED },
    { name: 'CORS on a simple request', headers: { ...TEXT_TYPE, Origin: 'https://shop.example.com' }, body: ONE, stored: ONE_STORED,
      replyHeaders: { 'access-control-allow-origin': 'https://shop.example.com', 'access-control-allow-credentials': 'true',
        'access-control-allow-methods': 'GET, POST, OPTIONS', 'access-control-allow-headers': 'X-Requested-With,Content-Type',
        vary: 'Origin' } },
    { name: 'no CORS without an origin', body: ONE, stored: ONE_STORED,
      replyHeaders: { 'access-control-allow-origin': undefined, vary: undefined } },
    { name: 'a preflight', method: 'OPTIONS',
      headers: { Origin: 'https://shop.example.com', 'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'content-type,x-custom', 'Access-Control-Request-Private-Network': 'true' },
      replyHeaders: { 'access-control-allow-origin': 'https://shop.example.com',
        'access-control-allow-headers': 'content-type,x-custom', 'access-control-allow-private-network': 'true' } },
    { name: 'CORS on errors', headers: { ...JSON_TYPE, Origin: 'http://localhost:3000' }, body: '{}', status: 400, reply: NO_DATA,
      replyHeaders: { 'access-control-allow-origin': 'http://localhost:3000' } },
    { name: 'CORS on unknown paths', path: '/nowhere', method: 'GET', headers: { Origin: 'http://localhost:3000' }, status: 404,
      reply: error('invalid_request', 'not_found', 'Endpoint not found.'),
      replyHeaders: { 'access-control-allow-origin': 'http://localhost:3000' } },
    { name: 'PUT', method: 'PUT', body: ONE, status: 405, replyHeaders: { allow: 'GET, POST, OPTIONS' },
      reply: error('invalid_request', 'method_not_allowed', 'Method "PUT" not allowed.') },
    { name: 'HEAD', method: 'HEAD', headers: {}, status: 405, reply: null, replyHeaders: { allow: 'GET, POST, OPTIONS' } },
    { name: 'two slashes are another path', path: '/e//', body: ONE, status: 404, reply: error('invalid_request', 'not_found') },
  ],

  sizes: [
    { name: 'a body over 20 MiB', path: '/batch/', body: Buffer.alloc(20971521), status: 413,
      reply: error('client_error', 'request_too_large', 'Request too large.') },
    { name: 'a body over 100 MiB once unpacked', headers: TEXT_TYPE, body: zlib.gzipSync(Buffer.alloc(104857601, ' ')), status: 413,
      reply: error('client_error', 'request_too_large', 'Request too large.') },
    { name: 'a sole event over 1 MiB', status: 413, reply: error('client_error', 'request_too_large', 'Request too large.'),
      body: json({ api_key: TWO, event: 'x', distinct_id: 'd', properties: { p: 'p'.repeat(1 << 20) } }) },
    { name: 'one event of a batch over 1 MiB', stored: [{ event: 'a', distinct_id: 'd' }, { event: 'b', distinct_id: 'd' }],
      body: batch([{ event: 'a', distinct_id: 'd' }, { event: 'x', distinct_id: 'd', properties: { p: 'p'.repeat(1 << 20) } },
        { event: 'b', distinct_id: 'd' }]) },
    { name: 'a thousand events keep their order',
      body: batch(Array.from({ length: 1000 }, (_, i) => ({ event: `n${i}`, distinct_id: `u${i % 7}` }))),
      stored: Array.from({ length: 1000 }, (_, i) => ({ event: `n${i}`, distinct_id: `u${i % 7}` })) },
  ],
};

let server;

// What was acknowledged is in the queue; once nothing waits there, it is stored.
async function storedSince(id) {
  await waitFor(async () => /^hedgerow_queue_lag_records 0$/m.test((await server.admin('/metrics')).text),
    { what: 'the queue is empty' });
  return server.sql(`SELECT * FROM v_events WHERE id > ${id} ORDER BY id`);
}

// Rows by distinct id, in the order of each.
function inOrderPerId(rows) {
  return rows.map((row, i) => [row, i]).sort(([a, i], [b, k]) =>
    a.distinct_id < b.distinct_id ? -1 : a.distinct_id > b.distinct_id ? 1 : i - k).map(([row]) => row);
}

function checkReply(c, answer) {
  assert.equal(answer.status, c.status ?? 200, answer.text);
  const reply = c.reply === undefined ? { status: 1 } : c.reply;
  if (reply === null) {
    assert.equal(answer.text, '');
  } else {
    for (const [name, value] of Object.entries(reply)) assert.deepEqual(answer.json[name], value, name);
    assert.equal(answer.headers['content-type'], 'application/json');
  }
  if (answer.status === 200) assert.deepEqual(answer.json, reply);
  if (c.detailStarts) assert.ok(answer.json.detail.startsWith(c.detailStarts), answer.json.detail);
  for (const [name, value] of Object.entries(c.replyHeaders ?? {})) assert.equal(answer.headers[name], value, name);
}

function checkRow(expected, row, now) {
  const properties = JSON.parse(row.properties);
  for (const name of ['event', 'distinct_id', 'team_id', 'uuid'])
    if (name in expected) assert.equal(row[name], expected[name], name);
  for (const [name, value] of Object.entries(expected.props ?? {})) assert.deepEqual(properties[name], value, name);
  if ('ip' in expected) assert.equal(properties.$ip, expected.ip);
  if ('text' in expected) assert.ok(row.properties.includes(expected.text), row.properties);
  if ('uuidVersion' in expected) assert.equal(row.uuid[14], expected.uuidVersion);
  if ('at' in expected) assert.equal(row.timestamp, expected.at);
  if ('ago' in expected) {
    const off = now - expected.ago - Date.parse(row.timestamp);
    assert.ok(Math.abs(off) < 5000, `${row.timestamp} is off by ${off} ms`);
  }
}

async function run(c) {
  const [{ id }] = server.sql('SELECT coalesce(max(id), 0) AS id FROM v_events');
  const now = Date.now();
  const answer = await server.capture(c.path ?? '/e/', { method: c.method ?? 'POST', headers: c.headers ?? JSON_TYPE, body: c.body });
  checkReply(c, answer);
  const rows = inOrderPerId(await storedSince(id));
  const stored = c.stored ?? [];
  assert.equal(rows.length, stored.length, `events stored: ${rows.map((row) => row.event)}`);
  (stored.length > 1 ? inOrderPerId(stored) : stored).forEach((expected, i) => checkRow(expected, rows[i], now));
}

describe('capture', () => {
  before(async () => {
    server = await startHedgerow({ provision });
  });
  after(() => server?.stop());

  for (const [group, members] of Object.entries(cases))
    describe(group, () => {
      for (const c of members) it(c.name, () => run(c));
    });

  it('counts what it did', async () => {
    const { text } = await server.admin('/metrics');
    assert.match(text, /^hedgerow_capture_requests_total\{path="\/e",code="200"\} [1-9]/m);
    assert.match(text, /^hedgerow_capture_events_total\{outcome="accepted"\} [1-9]/m);
    assert.match(text, /^capture_events_dropped_total\{cause="missing_distinct_id"\} [1-9]/m);
    assert.match(text, /^capture_events_dropped_total\{cause="event_too_big"\} 2$/m);
  });
});

describe('capture in other circumstances', () => {
  it('what was acknowledged is stored after a kill', async () => {
    const first = await startHedgerow({ provision });
    const sent = [];
    for (let i = 0; i < 20; i++) {
      const events = Array.from({ length: 5 }, (_, k) => ({ event: `crash ${i}.${k}`, distinct_id: 'd' }));
      const answer = await first.post('/batch/', { api_key: TWO, batch: events });
      assert.equal(answer.status, 200);
      sent.push(...events.map((e) => e.event));
    }
    await first.kill();
    const second = await startHedgerow({ provision, dataDir: first.dataDir });
    try {
      const rows = await waitFor(() => {
        const found = second.sql('SELECT event FROM v_events ORDER BY id');
        return found.length >= sent.length && found;
      }, { what: 'all acknowledged events are stored' });
      assert.deepEqual(rows.map((row) => row.event), sent); // each once, in order
    } finally {
      await second.stop();
      await first.stop(); // removes the directory
    }
  });

  it('loopback stays a trusted proxy beside a list', async () => {
    const own = await startHedgerow({ provision, env: { TRUSTED_PROXIES: '203.0.113.0/24' } });
    try {
      const answer = await own.post('/e/', JSON.parse(ONE), { 'X-Forwarded-For': '89.160.20.129' });
      assert.equal(answer.status, 200);
      const [row] = await waitFor(() => {
        const rows = own.sql('SELECT properties FROM v_events');
        return rows.length > 0 && rows;
      });
      assert.equal(JSON.parse(row.properties).$ip, '89.160.20.129');
    } finally {
      await own.stop();
    }
  });
});
