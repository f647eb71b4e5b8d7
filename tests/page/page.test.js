// The page in Chromium against the real program.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { killAll, request, startHedgerow, waitFor } = require('../lib/hedgerow.js');
const { launchBrowser, logIn, loginLink, openPage } = require('../lib/browser.js');

const GZIP_BYTES_MAX = 120 * 1024;
const CITIES = path.join(__dirname, '../../build/vendor/geoip-test-data/test-data/GeoIP2-City-Test.mmdb');
const VIEWS = ['overview', 'persons', 'plugins', 'errors', 'settings'];

const TEAMS = [{ id: 1, name: 'Shop', api_token: 'phc_shop' }, { id: 2, name: 'Blog', api_token: 'phc_blog' }];
const PROVISION = {
  teams: TEAMS,
  plugins: [
    { name: 'GeoIP', source: 'builtin:geoip' },
    { name: 'talker', source: 'inline', files: { 'index.js': `
      function processEvent(event, { config }) {
        console.log('saw', event.event, config.word);
        if (event.event === 'throws') throw new RangeError('no <b>such</b> rate');
        event.properties.talked = true;
        return event;
      }` } },
  ],
  plugin_configs: [
    { plugin: 'GeoIP', team: 1, order: 1, enabled: true },
    { plugin: 'talker', team: 1, order: 2, enabled: true, config: { word: 'aloud' } },
  ],
};

let browser;
let server;
before(async () => {
  [browser, server] = await Promise.all([launchBrowser(), startHedgerow({ provision: PROVISION, env: { MMDB_FILE_LOCATION: CITIES, ADMIN_TOKEN: 'the-token' } })]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  killAll();
});

// A page of its own with a session of its own; what went wrong in it fails the test.
async function pageFor(t, options, path = '/') {
  const page = await openPage(browser, server.adminUrl, options);
  t.after(async () => {
    await page.context().close();
    assert.deepEqual(page.troubles, []);
    assert.deepEqual(page.foreign, []);
  });
  const { headers } = await request(server.adminUrl, '/login', { method: 'POST', body: 'token=the-token' });
  const [, name, value] = headers['set-cookie'][0].match(/^(\w+)=(\w+);/);
  await page.context().addCookies([{ name, value, url: server.adminUrl, httpOnly: true, sameSite: 'Strict' }]);
  await page.goto(server.adminUrl + path);
  await page.waitForFunction(() => document.querySelector('.health')?.textContent === 'ok');
  return page;
}

let sent = 0;
const uuidOf = (n) => `0190a0b0-0000-7000-8000-${String(n).padStart(12, '0')}`;

async function send(event, id, properties = {}, token = 'phc_shop', headers = {}) {
  const uuid = uuidOf(++sent);
  const answer = await server.post('/e/', { api_key: token, uuid, event, distinct_id: id, properties }, headers);
  assert.equal(answer.status, 200, answer.text);
  return uuid;
}

const isLive = (page) => page.waitForFunction(() => document.querySelector('.tail .pill')?.textContent === 'live');
const rowWith = (page, text) => page.locator('.events tbody tr', { hasText: text });

describe('the way in', () => {
  test('the link works once, and sets a cookie that scripts and other sites do not get', async (t) => {
    const page = await openPage(browser, server.adminUrl);
    t.after(() => page.context().close());
    await page.goto(server.adminUrl);
    assert.equal(page.url(), `${server.adminUrl}/login`);
    await logIn(page, server);
    const [cookie, ...others] = await page.context().cookies();
    assert.deepEqual(others, []);
    assert.equal(cookie.httpOnly, true);
    assert.equal(cookie.sameSite, 'Strict');
    assert.equal(cookie.path, '/');
    assert.match(cookie.value, /^[0-9a-f]{64}$/);
    assert.equal(await page.evaluate(() => document.cookie), '');
    assert.equal(page.url(), `${server.adminUrl}/`); // nothing secret stays in the address

    const second = await openPage(browser, server.adminUrl);
    t.after(() => second.context().close());
    const answer = await second.goto(loginLink(server));
    assert.equal(answer.status(), 401);
    assert.match(await second.getByRole('alert').textContent(), /used before/);
    assert.deepEqual(await second.context().cookies(), []);
    assert.deepEqual([...page.troubles, ...second.troubles, ...page.foreign, ...second.foreign], []);
  });

  test('a wrong token is told, the right one opens the page, and logging out ends it', async (t) => {
    const page = await openPage(browser, server.adminUrl);
    t.after(() => page.context().close());
    await page.goto(`${server.adminUrl}/login`);
    await page.keyboard.type('not the token'); // the field has the focus
    await page.keyboard.press('Enter');
    assert.match(await page.getByRole('alert').textContent(), /not the token/);
    await page.getByLabel('Admin token').fill('the-token');
    await page.keyboard.press('Enter');
    await page.waitForURL(`${server.adminUrl}/`);
    const [cookie] = await page.context().cookies();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.waitForURL(`${server.adminUrl}/login`);
    assert.deepEqual(await page.context().cookies(), []);
    const old = await request(server.adminUrl, '/api/status', { headers: { Cookie: `${cookie.name}=${cookie.value}` } });
    assert.equal(old.status, 401);
    assert.deepEqual(page.troubles, []);
  });

  test('when the session has ended the page goes back to the login', async (t) => {
    const page = await pageFor(t);
    await page.context().clearCookies();
    await page.waitForURL(`${server.adminUrl}/login?ended=1`);
    assert.match(await page.getByRole('alert').textContent(), /session has ended/);
  });
});

test('all files together are small', async () => {
  let sum = 0;
  for (const file of ['/', '/page.js', '/page.css', '/icon.svg', '/login']) {
    const answer = await server.admin(file, { headers: { 'Accept-Encoding': 'gzip' } });
    assert.equal(answer.status, 200, file);
    sum += Number(answer.headers['content-length']);
  }
  assert.ok(sum <= GZIP_BYTES_MAX, `${sum} bytes`);
  assert.ok(sum > 20000, `${sum} bytes`);
});

describe('the overview', () => {
  test('shows an event within two seconds, with its place', async (t) => {
    const page = await pageFor(t);
    await isLive(page);
    const begin = Date.now();
    await send('bought', 'anna', { $current_url: 'https://shop.example.com/cart' }, 'phc_shop', { 'X-Forwarded-For': '89.160.20.129' });
    const row = rowWith(page, 'bought');
    await row.waitFor();
    assert.ok(Date.now() - begin < 2000, `${Date.now() - begin} ms`);
    assert.match(await row.textContent(), /anna/);
    assert.match(await row.textContent(), /Linköping, Sweden/);
    assert.match(await row.textContent(), /shop\.example\.com\/cart/);
    const time = row.locator('time');
    assert.match(await time.getAttribute('title'), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC$/);
    await page.waitForFunction(() => /[1-9][\d,]* in all/.test(document.querySelector('[data-stat=accepted] .note').textContent));
    await page.waitForFunction(() => /[1-9][\d,]* since start/.test(document.querySelector('[data-stat=stored] .note').textContent));
    await page.waitForFunction(() => document.querySelector('[data-stat=lag] .note').textContent === 'nothing waits');
  });

  test('has what came before it was opened', async (t) => {
    await send('earlier', 'berta');
    const page = await pageFor(t);
    await rowWith(page, 'earlier').waitFor();
    await page.reload();
    await rowWith(page, 'earlier').waitFor();
    assert.equal(await rowWith(page, 'earlier').count(), 1);
  });

  test('filters by event and by distinct id', async (t) => {
    const page = await pageFor(t);
    await isLive(page);
    await page.getByLabel('Event name').fill('wanted');
    await page.getByText('No event has come that fits the filter.').waitFor();
    await isLive(page);
    await send('unwanted', 'carl');
    await send('wanted', 'carl');
    await send('wanted', 'dora');
    await rowWith(page, 'dora').waitFor();
    assert.equal(await page.locator('.events tbody tr').count(), 2);
    await page.getByLabel('Distinct id').fill('carl');
    await page.waitForFunction(() => document.querySelectorAll('.events tbody tr').length === 1);
    await isLive(page);
    await send('wanted', 'dora');
    await send('wanted', 'carl');
    await page.waitForFunction(() => document.querySelectorAll('.events tbody tr').length === 2);
    assert.equal(await rowWith(page, 'carl').count(), 2);
    await page.getByRole('button', { name: 'Clear' }).click();
    await rowWith(page, 'unwanted').waitFor();
  });

  test('stands still while it is paused', async (t) => {
    const page = await pageFor(t);
    await isLive(page);
    await page.getByRole('button', { name: 'Pause' }).click();
    await send('while paused', 'emil');
    await page.getByRole('button', { name: 'Resume (1 new)' }).waitFor();
    assert.equal(await rowWith(page, 'while paused').count(), 0);
    await page.getByRole('button', { name: 'Resume (1 new)' }).click();
    await rowWith(page, 'while paused').waitFor();
  });

  test('keeps a bounded number of rows, and says what it skipped', async (t) => {
    const page = await pageFor(t);
    await isLive(page);
    const batch = Array.from({ length: 1500 }, (_, i) => ({ event: 'many', distinct_id: `m${i}` }));
    assert.equal((await server.post('/batch/', { api_key: 'phc_blog', batch })).status, 200);
    await page.waitForFunction(() => /skipped/.test(document.querySelector('.skipped').textContent));
    assert.ok((await page.locator('.events tbody tr').count()) <= 200);
  });

  test('shows an event whole, with every digit', async (t) => {
    const page = await pageFor(t);
    await isLive(page);
    const uuid = uuidOf(++sent);
    await server.post('/e/', `{"api_key":"phc_shop","uuid":"${uuid}","event":"digits","distinct_id":"fritz","properties":{"big":9007199254740993,"deep":{"list":[1,"two",null]}}}`);
    await rowWith(page, 'digits').getByRole('button').click();
    const dialog = page.getByRole('dialog');
    const text = await dialog.locator('.json').textContent();
    assert.match(text, /"big": 9007199254740993,/);
    assert.match(text, /\n {4}"deep": \{\n {6}"list": \[\n {8}1,\n {8}"two",\n {8}null\n {6}\]\n {4}\}/);
    assert.equal(JSON.parse(text).uuid, uuid);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'digits');
  });

  test('has a curve of the events per minute', async (t) => {
    const page = await pageFor(t);
    await page.waitForSelector('.chart canvas');
    await page.waitForFunction(() => /^[\d,]+ stored, most at \d\d:\d\d with [\d,]+/.test(document.querySelector('.chart-note').textContent));
    const total = () => page.locator('.chart-note').textContent().then((text) => Number(text.split(' ')[0].replaceAll(',', '')));
    const before = await total();
    await send('counted', 'gerd');
    await page.waitForFunction((n) => Number(document.querySelector('.chart-note').textContent.split(' ')[0].replaceAll(',', '')) === n, before + 1);
    await page.getByRole('button', { name: '24 h' }).click();
    assert.equal(await page.getByRole('button', { name: '24 h' }).getAttribute('aria-pressed'), 'true');
    const painted = () => page.locator('.chart canvas').evaluate((c) => {
      const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
      return data.some((v) => v !== 0);
    });
    await waitFor(painted);
    await page.locator('.chart .u-over').hover();
    await page.waitForFunction(() => /^\d\d:\d\d: [\d,]+ stored/.test(document.querySelector('.chart-note').textContent));
  });

  test('tells about the server', async (t) => {
    const page = await pageFor(t);
    const facts = await page.locator('.server').textContent();
    assert.match(facts, /Queueok.*Pipelineok.*Storeok/);
    assert.match(facts, /Version\d+\.\d+\.\d+/);
    assert.match(facts, /Up for\d+ (s|min)/);
    assert.match(facts, /GeoIPold GeoIP2-City/); // the test database is from 2017
    assert.match(facts, /Capturehttp:\/\/127\.0\.0\.1:\d+/);
  });

  test('one team alone', async (t) => {
    const page = await pageFor(t);
    await isLive(page);
    await page.getByRole('combobox', { name: 'Team' }).selectOption('Blog');
    await isLive(page);
    await send('for shop', 'hans', {}, 'phc_shop');
    await send('for blog', 'hans', {}, 'phc_blog');
    await rowWith(page, 'for blog').waitFor();
    assert.equal(await rowWith(page, 'for shop').count(), 0);
  });
});

describe('the other views', () => {
  test('a person by any distinct id, from the event too', async (t) => {
    const page = await pageFor(t);
    await isLive(page);
    await send('$identify', 'ida/?#&%', { $anon_distinct_id: 'anon-7', $set: { plan: 'team', big: 12345678901234567n.toString() } });
    await rowWith(page, '$identify').getByRole('button').click();
    await page.getByRole('dialog').getByRole('link', { name: 'ida/?#&%' }).click();
    await page.getByText('identified', { exact: true }).waitFor();
    const ids = page.locator('.ids li');
    assert.deepEqual((await ids.allTextContents()).sort(), ['anon-7', 'ida/?#&%']);
    assert.match(await page.locator('.json').textContent(), /"plan": "team"/);
    await page.getByLabel('Distinct id').fill('anon-7');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => location.hash === '#persons/1/anon-7');
    await page.getByText('identified', { exact: true }).waitFor();
    await page.getByLabel('Distinct id').fill('nobody');
    await page.keyboard.press('Enter');
    await page.getByText('Nobody has the distinct id “nobody” in team 1.').waitFor();
  });

  test('plugins with price, log and error; off and on again; all anew', async (t) => {
    const page = await pageFor(t, {}, '/#plugins');
    await send('spoken', 'jana');
    await send('throws', 'jana');
    const card = page.locator('.plugin', { hasText: 'talker' });
    await card.getByText('ready, had an error').waitFor();
    assert.match(await card.textContent(), /RangeError: no <b>such<\/b> rate/);
    const price = await card.locator('.price').textContent();
    assert.match(price, /Calls[1-9]/);
    assert.match(price, /Errors1/);
    assert.match(price, /CPU[\d.,]+ (ms|s).*each/);
    assert.match(price, /p99[\d.,]+ (µs|ms)/);
    assert.match(price, /Memory[\d.,]+ (KiB|MiB)/);
    await card.getByRole('button', { name: 'Log of talker for Shop' }).click();
    await card.getByText('saw spoken aloud').waitFor();
    await card.getByRole('button', { name: 'Disable talker for Shop' }).click();
    await card.getByText('off', { exact: true }).waitFor();
    const quiet = await send('unheard', 'jana');
    await waitFor(() => server.sql(`SELECT properties FROM v_events WHERE uuid = '${quiet}'`).length);
    assert.doesNotMatch(server.sql(`SELECT properties FROM v_events WHERE uuid = '${quiet}'`)[0].properties, /talked/);
    await card.getByRole('button', { name: 'Enable talker for Shop' }).click();
    await card.getByRole('button', { name: 'Disable talker for Shop' }).waitFor();
    const heard = await send('heard', 'jana');
    await waitFor(() => server.sql(`SELECT properties FROM v_events WHERE uuid = '${heard}'`).length);
    assert.match(server.sql(`SELECT properties FROM v_events WHERE uuid = '${heard}'`)[0].properties, /"talked":true/);
    await page.getByRole('button', { name: 'Reload all' }).click();
    await page.getByText('All plugins were loaded anew.').waitFor();
    assert.match(await page.locator('.plugin', { hasText: 'GeoIP' }).textContent(), /builtin:geoip/);
  });

  test('failed events with their reason, failing plugins', async (t) => {
    await send('throws', 'karl');
    execFileSync('sqlite3', [path.join(server.dataDir, 'hedgerow.db')], { input: `.timeout 5000
      INSERT INTO dead_letters (team_id, at, stage, reason, envelope)
      VALUES (1, ${Date.now() * 1000}, 'parse_message', 'Error: it <i>broke</i>', '{"uuid":"u","distinct_id":"lost & found","data":"{}"}');` });
    const page = await pageFor(t, {}, '/#errors');
    const row = page.locator('.dead tbody tr');
    await row.waitFor();
    assert.match(await row.textContent(), /it <i>broke<\/i>/);
    assert.match(await row.textContent(), /lost & found/);
    await row.getByRole('button').click();
    assert.match(await page.getByRole('dialog').locator('.json').textContent(), /"distinct_id": "lost & found"/);
    await page.keyboard.press('Escape');
    await page.locator('.failing', { hasText: 'talker' }).waitFor();
  });

  test('settings with their source, secrets hidden', async (t) => {
    const page = await pageFor(t, {}, '/#settings');
    const row = (name) => page.locator('.settings tr', { has: page.getByText(name, { exact: true }) });
    await row('ADMIN_TOKEN').waitFor();
    assert.match(await row('ADMIN_TOKEN').textContent(), /\*\*\*.*environment/);
    assert.match(await row('DEDUPE_HOURS').textContent(), /24.*default/);
    assert.match(await row('HTTP_SERVER_PORT').textContent(), /0.*default 6738.*environment/);
    assert.doesNotMatch(await page.content(), /the-token/);
    await page.getByLabel('only those that were set').check();
    await page.waitForFunction(() => document.querySelectorAll('.settings tbody tr').length < 10);
    await page.getByLabel('Find a setting').fill('capture_port');
    await page.waitForFunction(() => document.querySelectorAll('.settings tbody tr').length === 1);
  });
});

test('nothing that comes from outside becomes markup', async (t) => {
  const evil = '<img src=x onerror="window.evil=1">';
  const page = await pageFor(t);
  await isLive(page);
  await send(evil, `"><script>window.evil=2</script>`, { [evil]: evil, $current_url: `javascript:${evil}`, $set: { [evil]: '</pre><svg onload=evil=3>' } });
  const row = rowWith(page, evil);
  await row.waitFor();
  assert.match(await row.textContent(), /<script>window\.evil=2<\/script>/);
  await row.getByRole('button').click();
  assert.ok((await page.getByRole('dialog').locator('.json').textContent()).includes('"<img src=x onerror=\\"window.evil=1\\">"'));
  await page.getByRole('dialog').getByRole('link').click();
  await page.locator('.json', { hasText: '<svg onload=evil=3>' }).waitFor();
  await page.goto(`${server.adminUrl}/#persons/1/${encodeURIComponent(evil)}`);
  await page.getByText('Nobody has the distinct id').waitFor();
  assert.equal(await page.evaluate(() => window.evil), undefined);
  assert.equal(await page.locator('main img, main script').count(), 0);
});

describe('for every reader', () => {
  test('nothing is cut off at 360 pixels', async (t) => {
    const page = await pageFor(t, { viewport: { width: 360, height: 740 } });
    await send('an event with a name that is rather long for such a small window, and goes on', 'x'.repeat(180));
    await rowWith(page, 'rather long').waitFor();
    for (const view of VIEWS) {
      await page.goto(`${server.adminUrl}/#${view}`);
      await page.waitForFunction((v) => document.querySelector(`nav [aria-current]`)?.getAttribute('href') === `#${v}`, view);
      await page.waitForFunction(() => document.querySelector('main .card'));
      const wide = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(wide[0] <= wide[1], `${view}: ${wide}`);
    }
    await page.goto(`${server.adminUrl}/#overview`);
    await rowWith(page, 'rather long').getByRole('button').click();
    const box = await page.getByRole('dialog').boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= 360, JSON.stringify(box));
  });

  test('by keyboard alone', async (t) => {
    await send('by keys', 'lisa');
    const page = await pageFor(t);
    await rowWith(page, 'by keys').waitFor();
    const focused = () => page.evaluate(() => {
      const e = document.activeElement;
      const style = getComputedStyle(e);
      return { name: (e.getAttribute('aria-label') ?? e.textContent ?? e.name).trim() || e.name, isSeen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 };
    });
    const names = [];
    const walk = async (wanted, limit = 40) => {
      for (let i = 0; i < limit; i++) {
        await page.keyboard.press('Tab');
        const { name, isSeen } = await focused();
        names.push(name);
        assert.ok(isSeen, `${name} has the focus, but does not show it`);
        if (name === wanted) return;
      }
      assert.fail(`${wanted} was not reached: ${names.join(', ')}`);
    };
    await walk('Skip to the content', 1);
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    await walk('1 h', 1);
    await page.getByRole('button', { name: 'Pause' }).focus(); // new rows would move what is to be reached
    await page.keyboard.press('Enter');
    await walk('by keys');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').locator('.json').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.evaluate(() => document.activeElement.blur());
    await page.locator('nav a').first().focus();
    await walk('Plugins', 3);
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Reload all' }).waitFor();
    for (const role of ['banner', 'navigation', 'main']) assert.equal(await page.getByRole(role).count(), 1, role);
  });

  // Every visible text against what is painted behind it, by the formula of WCAG 2.
  const findPale = () => {
    const parse = (c) => {
      const [r, g, b, a = 1] = c.match(/[\d.]+/g).map(Number);
      return [r, g, b, a];
    };
    const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] + under[i] * (1 - top[3])).concat(1);
    const light = (c) => {
      const [r, g, b] = c.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (e) => {
      const layers = [];
      for (let at = e; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
      return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
    };
    const pale = [];
    for (const e of document.querySelectorAll('body *')) {
      const hasText = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
      if (!hasText || !e.checkVisibility() || e.closest('.sr, svg, option, .skip')) continue;
      const under = ground(e);
      const [a, b] = [light(over(parse(getComputedStyle(e).color), under)), light(under)].sort((x, y) => y - x);
      const contrast = (a + 0.05) / (b + 0.05);
      if (contrast < 4.5) pale.push(`${e.tagName}.${e.className} ${e.textContent.slice(0, 30)} ${contrast.toFixed(2)}`);
    }
    return pale;
  };

  for (const colorScheme of ['light', 'dark'])
    test(`in ${colorScheme} colours, all of them strong enough`, async (t) => {
      await send('colourful', 'mia', { n: 1, yes: true, text: 'x' });
      const page = await pageFor(t, { colorScheme });
      const [r] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
      assert.ok(colorScheme === 'dark' ? r < 60 : r > 200, `${r}`);
      for (const view of VIEWS) {
        await page.goto(`${server.adminUrl}/#${view}`);
        await page.waitForFunction(() => document.querySelector('main .card'));
        assert.deepEqual(await page.evaluate(findPale), [], view);
      }
      await page.goto(`${server.adminUrl}/#overview`);
      await rowWith(page, 'colourful').first().getByRole('button').click();
      await page.getByRole('dialog').locator('.json .num').first().waitFor();
      assert.deepEqual(await page.evaluate(findPale), []);
      await page.goto(`${server.adminUrl}/login?once=0`);
      assert.deepEqual(await page.evaluate(findPale), []);
    });

  test('nothing jumps while it loads', async (t) => {
    const page = await pageFor(t);
    await page.addInitScript(() => {
      window.shift = 0;
      new PerformanceObserver((list) => {
        for (const e of list.getEntries()) window.shift += e.value;
      }).observe({ type: 'layout-shift', buffered: true });
    });
    await page.reload();
    await page.waitForSelector('.chart canvas');
    await page.waitForSelector('.events tbody tr');
    await page.waitForSelector('.stat .value');
    const shift = await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(window.shift), 0))));
    assert.ok(shift < 0.05, `${shift}`);
  });
});

describe('when the server goes', () => {
  test('the page says so, and goes on by itself', async (t) => {
    const page = await pageFor(t);
    await isLive(page);
    await page.context().setOffline(true);
    await page.getByText('The server does not answer.').waitFor();
    assert.equal(await page.locator('.health').textContent(), 'not connected');
    assert.notEqual(await page.locator('[data-stat=accepted] .value').textContent(), ''); // what was known stays
    await page.context().setOffline(false);
    await page.waitForFunction(() => document.querySelector('.health').textContent === 'ok');
    await isLive(page);
    await send('after the break', 'nora');
    await rowWith(page, 'after the break').waitFor();
  });

  test('and comes back without the sessions: to the login', async (t) => {
    const own = await startHedgerow({ provision: { teams: [TEAMS[0]] } });
    const page = await openPage(browser, own.adminUrl);
    t.after(() => page.context().close());
    await logIn(page, own);
    const env = { HTTP_SERVER_PORT: new URL(own.adminUrl).port, CAPTURE_PORT: new URL(own.captureUrl).port };
    await own.stop({ keep: true });
    await page.getByText('The server does not answer.').waitFor();
    const again = await startHedgerow({ dataDir: own.dataDir, env, provision: { teams: [TEAMS[0]] } });
    t.after(async () => {
      await again.stop();
      fs.rmSync(own.dataDir, { recursive: true, force: true });
    });
    await page.waitForURL(`${own.adminUrl}/login?ended=1`);
    await page.getByLabel('Admin token').fill(fs.readFileSync(path.join(own.dataDir, 'admin.token'), 'utf8').trim());
    await page.keyboard.press('Enter');
    await page.waitForURL(`${own.adminUrl}/`);
    await page.waitForSelector('.stat .value');
  });
});

test('the first event: the page tells the command, the command works', async (t) => {
  const own = await startHedgerow({});
  t.after(() => own.stop());
  const page = await openPage(browser, own.adminUrl);
  t.after(() => page.context().close());
  await logIn(page, own);
  await page.getByText('No event has come yet').waitFor();
  await isLive(page);
  const line = await page.locator('.command').textContent();
  assert.ok(line.includes(own.token) && line.includes(own.captureUrl), line);
  execFileSync('sh', ['-c', line], { cwd: os.tmpdir(), stdio: 'pipe' });
  await rowWith(page, 'hello').waitFor();
  await page.getByText('No event has come yet').waitFor({ state: 'detached' });
  assert.deepEqual(page.troubles, []);
  assert.deepEqual(page.foreign, []);
});
