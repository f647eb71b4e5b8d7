// What the page stands on: files, the way in, the gate, server-sent events, reads of its own. Without a browser; headers
// are what browsers send.
'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const zlib = require('node:zlib');
const { after, before, describe, test } = require('node:test');
const { killAll, request, startHedgerow, waitFor } = require('../lib/hedgerow.js');

const TEAMS = [{ id: 1, name: 'One', api_token: 'phc_1' }, { id: 2, name: 'Two', api_token: 'phc_2' }];
const JSON_TYPE = { 'Content-Type': 'application/json' };

let server;
before(async () => (server = await startHedgerow({ provision: { teams: TEAMS }, env: { ADMIN_TOKEN: 'the-token' } })));
after(async () => {
  await server?.stop();
  killAll();
});

const open = (target, options) => request(server.adminUrl, target, options);
const linkOf = (s) => new URL(s.output.match(/Page\s+(http:\S+)/)[1]);

async function cookieOf(answer) {
  const { headers } = await answer;
  return headers['set-cookie'][0].split(';')[0];
}

const logIn = (s = server) => cookieOf(request(s.adminUrl, '/login', { method: 'POST', body: 'token=the-token' }));

// Server-sent events as they come: {event, data}.
function listen(target, headers) {
  const heard = [];
  return new Promise((resolve, reject) => {
    const req = http.get(server.adminUrl + target, { headers: { Accept: 'text/event-stream', ...headers } }, (res) => {
      let text = '';
      res.on('data', (part) => {
        text += part;
        for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
          const fields = Object.fromEntries(text.slice(0, end).split('\n').map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]));
          heard.push(fields);
        }
      });
      res.on('error', () => {});
      resolve({ res, heard, stop: () => req.destroy() });
    });
    req.on('error', reject);
  });
}

describe('files', () => {
  test('come packed, unpacked, or not at all when nothing has changed', async () => {
    const cookie = await logIn();
    for (const [target, type, part] of [['/', 'text/html; charset=utf-8', '<!doctype html>'], ['/page.js', 'text/javascript; charset=utf-8', 'EventSource'],
      ['/page.css', 'text/css; charset=utf-8', '--accent'], ['/icon.svg', 'image/svg+xml', '<svg']]) {
      const packed = await new Promise((resolve, reject) => http.get(server.adminUrl + target, { headers: { Cookie: cookie, 'Accept-Encoding': 'br, gzip' } }, (res) => {
        const parts = [];
        res.on('data', (p) => parts.push(p)).on('end', () => resolve({ headers: res.headers, bytes: Buffer.concat(parts) }));
      }).on('error', reject));
      assert.equal(packed.headers['content-encoding'], 'gzip');
      assert.equal(packed.headers['content-type'], type);
      assert.equal(packed.headers['cache-control'], 'no-cache');
      assert.equal(packed.headers.vary, 'Accept-Encoding');
      const plain = await open(target, { headers: { Cookie: cookie } });
      assert.equal(plain.headers['content-encoding'], undefined);
      assert.equal(zlib.gunzipSync(packed.bytes).toString(), plain.text);
      assert.ok(plain.text.includes(part), target);
      assert.notEqual(plain.headers.etag, packed.headers.etag);
      for (const [encoding, { headers }] of [['gzip', packed], ['', plain]]) {
        const again = await open(target, { headers: { Cookie: cookie, 'Accept-Encoding': encoding, 'If-None-Match': headers.etag } });
        assert.equal(again.status, 304);
        assert.equal(again.text, '');
        assert.equal(again.headers.etag, headers.etag);
      }
      const head = await open(target, { method: 'HEAD', headers: { Cookie: cookie, 'Accept-Encoding': 'gzip' } });
      assert.equal(Number(head.headers['content-length']), packed.bytes.length);
    }
  });

  test('nothing in them calls elsewhere', async () => {
    for (const target of ['/', '/page.js', '/page.css', '/icon.svg', '/login']) {
      const { text } = await server.admin(target);
      const urls = (text.match(/https?:\/\/[^\s"'`)\\<]+/g) ?? []).filter((url) => !url.startsWith('http://www.w3.org/'));
      assert.deepEqual(urls, [], target);
      assert.doesNotMatch(text, /<script(?![^>]*src=)|\sstyle=|\son[a-z]+="/, target);
    }
  });

  test('every answer tells browsers what may happen', async () => {
    for (const target of ['/login', '/page.css', '/api/status', '/nope', '/_health', '/metrics']) {
      const { headers } = await open(target);
      assert.equal(headers['content-security-policy'], "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
        "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'", target);
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['referrer-policy'], 'no-referrer');
    }
  });
});

describe('the way in', () => {
  test('without a login there is only the form', async () => {
    for (const target of ['/', '/page.js']) {
      const answer = await open(target);
      assert.equal(answer.status, 303);
      assert.equal(answer.headers.location, '/login');
    }
    const form = await open('/login');
    assert.equal(form.status, 200);
    assert.match(form.text, /<form method="post" action="\/login">/);
    assert.equal(form.headers['cache-control'], 'no-store');
  });

  test('the link is for one use, not for previews', async () => {
    const link = linkOf(server);
    const target = link.pathname + link.search;
    assert.match(link.search, /^\?once=[0-9a-f]{64}$/);
    assert.equal(link.origin, server.adminUrl);
    assert.equal((await open(target, { method: 'HEAD' })).headers['set-cookie'], undefined);
    assert.equal((await open(target, { headers: { 'Sec-Purpose': 'prefetch' } })).headers['set-cookie'], undefined);
    for (const wrong of [target.slice(0, -1), `${target}0`, '/login?once='])
      assert.equal((await open(wrong)).status, 401, wrong);
    const answer = await open(target);
    assert.equal(answer.status, 200);
    assert.match(answer.text, /http-equiv="refresh" content="0;url=\/"/);
    const port = new URL(server.adminUrl).port;
    assert.match(answer.headers['set-cookie'][0], new RegExp(`^hedgerow_${port}=[0-9a-f]{64}; Path=/; HttpOnly; SameSite=Strict$`));
    const cookie = answer.headers['set-cookie'][0].split(';')[0];
    assert.equal((await open('/api/status', { headers: { Cookie: cookie } })).status, 200);
    const again = await open(target);
    assert.equal(again.status, 401);
    assert.equal(again.headers['set-cookie'], undefined);
  });

  test('the token by the form', async () => {
    for (const body of ['', 'token=', 'token=the-tokenx', 'token=the-toke', 'Token=the-token', '{"token":"the-token"}']) {
      const answer = await open('/login', { method: 'POST', body });
      assert.equal(answer.status, 401, body);
      assert.equal(answer.headers['set-cookie'], undefined, body);
      assert.match(answer.text, /That is not the token/);
    }
    const answer = await open('/login', { method: 'POST', body: 'x=1&token=the%2Dtoken' });
    assert.equal(answer.status, 303);
    assert.equal(answer.headers.location, '/');
    const cookie = answer.headers['set-cookie'][0].split(';')[0];
    assert.equal((await open('/', { headers: { Cookie: cookie } })).status, 200);
    assert.equal((await open('/login', { headers: { Cookie: cookie } })).headers.location, '/');
    const behindTls = await open('/login', { method: 'POST', body: 'token=the-token', headers: { 'X-Forwarded-Proto': 'https' } });
    assert.match(behindTls.headers['set-cookie'][0], /; Secure$/);
    assert.equal((await open('/login', { method: 'POST', body: `token=${'x'.repeat(5000)}` })).status, 413);
  });

  test('logging out ends the session on the server', async () => {
    const Cookie = await logIn();
    const headers = { Cookie, ...JSON_TYPE, 'Sec-Fetch-Site': 'same-origin' };
    const answer = await open('/logout', { method: 'POST', body: {}, headers });
    assert.equal(answer.status, 200);
    assert.match(answer.headers['set-cookie'][0], /^hedgerow_\d+=; Path=\/; HttpOnly; SameSite=Strict; Max-Age=0$/);
    assert.equal((await open('/api/status', { headers: { Cookie } })).status, 401);
    assert.equal((await open('/api/status', { headers: { Cookie: await logIn() } })).status, 200);
  });

  test('who guesses is told to wait, everybody else is not', async () => {
    const own = await startHedgerow({ env: { ADMIN_TOKEN: 'the-token' } });
    const statuses = [];
    for (let i = 0; i < 60; i++) {
      const isForm = i % 2;
      const answer = isForm ? await request(own.adminUrl, '/login', { method: 'POST', body: `token=${i}` })
        : await request(own.adminUrl, '/api/status', { headers: { Authorization: `Bearer ${i}` } });
      statuses.push(answer.status);
      if (answer.status === 429) assert.ok(Number(answer.headers['retry-after']) > 0);
    }
    assert.equal(statuses.indexOf(429) >= 50, true, statuses.join(' '));
    assert.equal(statuses.at(-1), 429);
    const link = linkOf(own);
    const Cookie = await cookieOf(request(own.adminUrl, link.pathname + link.search)); // the link cannot be guessed
    assert.equal((await request(own.adminUrl, '/api/status', { headers: { Cookie } })).status, 200);
    await own.stop();
  });
});

describe('what a session may do', () => {
  test('reads, but not for pages of others', async () => {
    const Cookie = await logIn();
    for (const [site, status] of [[undefined, 200], ['same-origin', 200], ['none', 200], ['same-site', 403], ['cross-site', 403]])
      assert.equal((await open('/api/teams', { headers: { Cookie, ...(site ? { 'Sec-Fetch-Site': site } : {}) } })).status, status, site);
    assert.equal((await open('/api/tail', { headers: { Cookie, 'Sec-Fetch-Site': 'same-site' } })).status, 403);
    assert.equal((await server.admin('/api/teams', { headers: { Authorization: 'Bearer the-token', 'Sec-Fetch-Site': 'cross-site' } })).status, 200);
  });

  test('changes things only when our own page asks, in JSON', async () => {
    const Cookie = await logIn();
    const origin = server.adminUrl;
    const tries = [
      [{ ...JSON_TYPE, 'Sec-Fetch-Site': 'same-origin' }, 200],
      [{ ...JSON_TYPE, Origin: origin }, 200],
      [{ 'Content-Type': 'application/json; charset=utf-8', Origin: origin }, 200],
      [{ ...JSON_TYPE }, 403],
      [{ ...JSON_TYPE, Origin: 'http://127.0.0.1:1' }, 403],
      [{ ...JSON_TYPE, Origin: 'null' }, 403],
      [{ ...JSON_TYPE, 'Sec-Fetch-Site': 'same-site', Origin: origin }, 403],
      [{ ...JSON_TYPE, 'Sec-Fetch-Site': 'none' }, 403],
      [{ 'Content-Type': 'text/plain', 'Sec-Fetch-Site': 'same-origin' }, 403],
      [{ 'Sec-Fetch-Site': 'same-origin' }, 403],
    ];
    let made = 2;
    for (const [headers, status] of tries) {
      const answer = await open('/api/teams', { method: 'POST', body: { name: 'More' }, headers: { Cookie, ...headers } });
      assert.equal(answer.status, status, JSON.stringify(headers));
      made += status === 200;
      assert.equal((await server.admin('/api/teams')).json.teams.length, made);
    }
  });

  test('nothing under a name that somebody else may have made', async () => {
    const port = new URL(server.adminUrl).port;
    const Cookie = await logIn();
    for (const Host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`])
      assert.equal((await open('/api/status', { headers: { Cookie, Host } })).status, 200, Host);
    assert.equal((await open('/api/status', { headers: { Cookie, Host: `evil.example.org:${port}` } })).status, 401);
    assert.equal((await open('/', { headers: { Cookie, Host: `evil.example.org:${port}` } })).status, 303);
  });

  test('nothing with a cookie for another port, or one made up', async () => {
    const cookie = await logIn();
    const value = cookie.split('=')[1];
    for (const Cookie of [`hedgerow_1=${value}`, `hedgerow=${value}`, cookie.slice(0, -1), `${cookie}0`, cookie.replace(/=.*/, `=${'0'.repeat(64)}`)])
      assert.equal((await open('/api/status', { headers: { Cookie } })).status, 401, Cookie);
    assert.equal((await open('/api/status', { headers: { Cookie: `a=b; ${cookie}; c=d` } })).status, 200);
  });
});

describe('live events', () => {
  test('come as server-sent events, filtered by team, event and distinct id', async () => {
    const Cookie = await logIn();
    const ears = await Promise.all(['/api/tail', '/api/tail?team=2', '/api/tail?event=b%20c', '/api/tail?distinct_id=y%26z', '/api/tail?team=1&event=b%20c&distinct_id=x']
      .map((target) => listen(target, { Cookie })));
    for (const { res } of ears) {
      assert.equal(res.statusCode, 200);
      assert.equal(res.headers['content-type'], 'text/event-stream');
      assert.equal(res.headers['cache-control'], 'no-store');
    }
    const put = (token, event, id) => server.post('/e/', { api_key: token, event, distinct_id: id, properties: { text: 'a\nb\r\n', n: 1 } });
    await put('phc_1', 'a', 'x');
    await put('phc_1', 'b c', 'x');
    await put('phc_2', 'b c', 'x');
    await put('phc_1', 'a', 'y&z');
    await put('phc_2', 'last', 'x');
    const expected = [ // across distinct ids there is no order
      ['1 a x', '1 a y&z', '1 b c x', '2 b c x', '2 last x'], ['2 b c x', '2 last x'], ['1 b c x', '2 b c x'], ['1 a y&z'], ['1 b c x'],
    ];
    for (const [i, list] of expected.entries()) await waitFor(() => ears[i].heard.length >= list.length);
    const told = ears.map(({ heard }) => heard.map(({ data }) => JSON.parse(data)).map((e) => `${e.team_id} ${e.event} ${e.distinct_id}`).sort());
    assert.deepEqual(told, expected);
    assert.deepEqual(JSON.parse(ears[0].heard[0].data).properties.text, 'a\nb\r\n');
    for (const ear of ears) ear.stop();
  });

  test('are not more than a person can follow', async () => {
    const ear = await listen('/api/tail', { Authorization: 'Bearer the-token' });
    const batch = Array.from({ length: 1000 }, (_, i) => ({ event: 'many', distinct_id: `d${i}` }));
    await server.post('/batch/', { api_key: 'phc_1', batch });
    await waitFor(() => server.sql("SELECT count(*) n FROM v_events WHERE event = 'many'")[0].n === 1000);
    await waitFor(() => ear.heard.some((e) => e.event === 'skipped'));
    assert.ok(ear.heard.filter((e) => !e.event).length <= 300); // 100 in each second that the batch took
    ear.stop();
  });

  test('programs get lines, and all of them', async () => {
    let text = '';
    const req = http.get(`${server.adminUrl}/api/tail?event=line`, { headers: { Authorization: 'Bearer the-token' } }, (res) => {
      assert.equal(res.headers['content-type'], 'application/x-ndjson');
      res.on('data', (part) => (text += part));
      res.on('error', () => {});
      req.emit('ready');
    });
    await new Promise((done) => req.once('ready', done));
    await server.post('/batch/', { api_key: 'phc_1', batch: Array.from({ length: 500 }, () => ({ event: 'line', distinct_id: 'l' })) });
    await waitFor(() => text.split('\n').length === 501);
    assert.ok(text.trimEnd().split('\n').every((line) => JSON.parse(line).event === 'line'));
    req.destroy();
  });
});

describe('reads of the page', () => {
  test('events per minute are those that were stored', async () => {
    const minute = Math.floor(Date.now() / 60000);
    await server.post('/batch/', { api_key: 'phc_2', batch: Array.from({ length: 7 }, (_, i) => ({ event: `e${i}`, distinct_id: 'm' })) });
    const uuid = '0190a0b0-0000-7000-8000-000000000001';
    for (let i = 0; i < 3; i++) await server.post('/e/', { api_key: 'phc_2', uuid, event: 'same', distinct_id: 'm' });
    const sums = async (query) => {
      const { json } = await server.admin(`/api/minutes?${query}`);
      return json.minutes.reduce((all, row) => ({ stored: all.stored + row.stored, duplicates: all.duplicates + row.duplicates }), { stored: 0, duplicates: 0 });
    };
    const inTable = () => server.sql('SELECT count(*) n FROM v_events WHERE team_id = 2')[0].n;
    await waitFor(async () => (await sums('team=2')).duplicates === 2);
    assert.equal((await sums('team=2')).stored, inTable());
    assert.equal((await sums('')).stored, server.sql('SELECT count(*) n FROM v_events')[0].n);
    assert.deepEqual(await sums(`to=${minute - 100}&minutes=60`), { stored: 0, duplicates: 0 });
    const { json } = await server.admin('/api/minutes?minutes=5');
    assert.equal(json.to - json.from, 4);
    assert.ok(json.to - minute <= 1);
    for (const bad of ['minutes=1441', 'minutes=-1', 'team=x', 'to=1e9']) assert.equal((await server.admin(`/api/minutes?${bad}`)).status, 400, bad);
  });

  test('the newest events', async () => {
    await server.post('/e/', { api_key: 'phc_2', event: 'newest', distinct_id: 'n', properties: { a: 1 } });
    await waitFor(async () => (await server.admin('/api/events?limit=1')).json.events[0].event === 'newest');
    const { json } = await server.admin('/api/events?team=2&limit=3');
    assert.equal(json.events.length, 3);
    assert.ok(json.events.every((e) => e.team_id === 2));
    assert.equal(json.events[0].properties.a, 1);
  });

  test('settings, masked, with where they came from', async () => {
    const { text, json } = await server.admin('/api/settings');
    assert.doesNotMatch(text, /the-token/);
    const find = (name) => json.settings.find((s) => s.name === name);
    assert.equal(find('ADMIN_TOKEN').value, '***');
    assert.equal(find('ADMIN_TOKEN').is_secret, true);
    assert.equal(find('ADMIN_TOKEN').origin, 'environment');
    assert.deepEqual([find('CAPTURE_PORT').value, find('CAPTURE_PORT').default], ['0', '8000']);
    assert.equal(find('DEDUPE_HOURS').origin, 'default');
    assert.ok(json.settings.every((s) => s.group && s.help));
  });

  test('the state has times, disk and the capture address', async () => {
    const { json } = await server.admin('/api/status');
    assert.ok(Math.abs(json.process.now / 1000 - Date.now()) < 60000);
    assert.ok(json.process.started_at < json.process.now);
    assert.ok(json.process.resident_bytes > 1e6);
    assert.ok(json.disk.database_bytes + json.disk.wal_bytes > 8192 && json.disk.free_bytes > 0);
    assert.deepEqual(json.capture, { url: server.captureUrl, is_everywhere: false });
    assert.equal(typeof json.queue.unread_bytes, 'number');
  });

  test('errors', async () => {
    assert.deepEqual((await server.admin('/api/errors')).json, { entries: [] });
    assert.equal((await server.admin('/api/errors/7')).status, 404);
    assert.equal((await server.admin('/api/errors/x')).status, 400);
  });
});
