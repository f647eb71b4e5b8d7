// Makes the pictures of docs/images from the real program in Chromium:  make screenshots
//
// The events go in through capture. What cannot be sent now is the past: the curve's earlier minutes are put into the
// `counters` table before the server starts for good.
'use strict';

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { startHedgerow, waitFor } = require('../lib/hedgerow.js');
const { launchBrowser, logIn, openPage } = require('../lib/browser.js');

const OUT = path.join(__dirname, '../../docs/images');
const BYTES_MAX = 200 * 1024;
const SEND_MS = 16000;
const TEAMS = [
  { id: 1, name: 'Shop', api_token: 'phc_shop' },
  { id: 2, name: 'Blog', api_token: 'phc_blog' },
];

// A generator with a seed: pictures differ only where the page does.
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
}

const next = random(7);
const pick = (list) => list[Math.floor(next() * list.length)];

const PEOPLE = ['anna', 'ben', 'chloe', 'dmitri', 'emeka', 'fatima', 'goran', 'hana', 'ines', 'jonas', 'kira', 'liam'];
const IPS = ['89.160.20.129', '81.2.69.142', '216.160.83.56', '2.125.160.216', '67.43.156.1', '175.16.199.10'];
const PAGES = ['/', '/pricing', '/products/lamp', '/products/desk', '/cart', '/checkout', '/docs/start', '/blog/spring'];
const EVENTS = ['$pageview', '$pageview', '$pageview', '$pageleave', '$autocapture', 'product viewed', 'added to cart', 'checkout started', 'order paid', 'signed up', 'search'];

function eventOf(team) {
  const who = pick(PEOPLE);
  const host = team === 1 ? 'shop.example.com' : 'blog.example.com';
  return {
    event: pick(EVENTS),
    distinct_id: `${who}@example.com`,
    properties: {
      $current_url: `https://${host}${pick(PAGES)}`,
      $lib: 'web',
      $browser: pick(['Firefox', 'Chrome', 'Safari']),
      $ip: pick(IPS),
      plan: pick(['free', 'team', 'scale']),
      amount: Math.round(next() * 20000) / 100,
      $set: { name: who[0].toUpperCase() + who.slice(1), plan: pick(['free', 'team']) },
      $set_once: { first_seen_on: pick(PAGES) },
    },
  };
}

async function send(server, team, count) {
  const batch = Array.from({ length: count }, () => eventOf(team));
  await server.post('/batch/', { api_key: TEAMS[team - 1].api_token, batch });
}

// A day's work, with a quiet night, a launch, and a few repeated batches.
function pastMinutes(now) {
  const rows = [];
  for (let i = 1440; i > 0; i--) {
    const minute = Math.floor(now / 60000) - i;
    const hour = (i / 60 + 5) % 24;
    const day = 2300 + 1500 * Math.cos(((hour - 14) / 24) * 2 * Math.PI);
    const launch = i < 46 && i > 24 ? 2100 * Math.exp(-(((i - 36) / 6) ** 2)) : 0;
    const stored = Math.round((day + launch) * (0.85 + next() * 0.3));
    rows.push([minute, 1, '$pageview', 0, Math.round(stored * 0.8)], [minute, 2, '$pageview', 0, Math.round(stored * 0.2)]);
    if (i < 32 && i > 28) rows.push([minute, 1, '$pageview', 1, Math.round(stored * 0.2)]);
  }
  return rows;
}

function putPast(dataDir) {
  const values = pastMinutes(Date.now()).map(([m, t, name, what, n]) => `(${m},${t},'${name}',${what},${n})`);
  execFileSync('sqlite3', [path.join(dataDir, 'hedgerow.db')], { input: `INSERT INTO counters VALUES ${values.join(',')};` });
}

const PLUGINS = [
  { name: 'GeoIP', source: 'builtin:geoip' },
  { name: 'campaigns', source: 'inline', files: { 'index.js': `
    function processEvent(event) {
      const url = event.properties.$current_url;
      if (url) event.properties.section = url.split('/')[3] || 'home';
      event.properties.is_order = event.event === 'order paid';
      return event;
    }` } },
  { name: 'currency', source: 'inline', files: { 'index.js': `
    let seen = 0;
    function processEvent(event, { config }) {
      if (++seen % 150 === 0) console.log('converted', seen, 'amounts to', config.currency);
      if (event.event === 'search' && seen % 7 === 0) throw new RangeError('no rate for this day');
      event.properties.amount_eur = Math.round(event.properties.amount * 92) / 100;
      return event;
    }` } },
];
const CONFIGS = [1, 2].flatMap((team) => [{ plugin: 'GeoIP', team, order: 1, enabled: true }]).concat([
  { plugin: 'campaigns', team: 1, order: 2, enabled: true },
  { plugin: 'currency', team: 1, order: 3, enabled: true, config: { currency: 'EUR' } },
]);
const CITIES = path.join(__dirname, '../../build/vendor/geoip-test-data/test-data/GeoIP2-City-Test.mmdb');

async function start() {
  const provision = { teams: TEAMS, plugins: PLUGINS, plugin_configs: CONFIGS };
  const first = await startHedgerow({ provision });
  await first.stop({ keep: true });
  putPast(first.dataDir);
  return startHedgerow({ provision, dataDir: first.dataDir, env: { MMDB_FILE_LOCATION: CITIES } });
}

function steadyTraffic(server) {
  let isOver = false;
  const work = (async () => {
    for (let tick = 0; !isOver; tick++) {
      await send(server, tick % 5 === 4 ? 2 : 1, 5 + Math.round(3 * Math.sin(tick / 12)) + Math.floor(next() * 4));
      await new Promise((done) => setTimeout(done, 90 + next() * 60));
    }
  })();
  return async () => {
    isOver = true;
    await work;
  };
}

async function take(page, name, options = {}) {
  const file = path.join(OUT, `${name}.png`);
  await page.screenshot({ path: file, animations: 'disabled', ...options });
  const size = fs.statSync(file).size;
  if (size > BYTES_MAX) throw new Error(`${file} has ${size} bytes, more than ${BYTES_MAX}`);
  console.log(`${path.relative(process.cwd(), file)} ${Math.round(size / 1024)} KiB`);
}

async function main() {
  fs.mkdirSync(OUT, { recursive: true });
  const server = await start();
  const browser = await launchBrowser();
  try {
    const wide = await openPage(browser, server.adminUrl, { viewport: { width: 1440, height: 1040 }, colorScheme: 'light', locale: 'en-GB' });
    await logIn(wide, server);
    const state = await wide.context().storageState();
    const dark = await openPage(browser, server.adminUrl, { viewport: { width: 1440, height: 1040 }, colorScheme: 'dark', locale: 'en-GB', storageState: state });
    const small = await openPage(browser, server.adminUrl, { viewport: { width: 360, height: 780 }, colorScheme: 'light', locale: 'en-GB', storageState: state });
    for (const page of [dark, small]) await page.goto(server.adminUrl);
    const stopTraffic = steadyTraffic(server);
    await new Promise((done) => setTimeout(done, SEND_MS)); // the small curves show a minute
    for (const [page, name] of [[wide, 'page-1440'], [dark, 'page-dark'], [small, 'page-360']]) {
      await page.waitForSelector('.events tbody tr:nth-child(12)');
      await page.waitForSelector('.chart canvas');
      await take(page, name);
    }
    await wide.setViewportSize({ width: 1200, height: 860 });
    await wide.getByRole('button', { name: 'Pause' }).click();
    await wide.locator('.events .link').first().click();
    await wide.waitForSelector('dialog .json');
    await take(wide, 'page-event');
    await wide.keyboard.press('Escape');
    await wide.goto(`${server.adminUrl}/#plugins`);
    await wide.getByRole('button', { name: 'Log of currency for Shop' }).click();
    await wide.waitForSelector('.logs tbody tr');
    await wide.setViewportSize({ width: 1200, height: 1000 });
    await wide.evaluate(() => scrollTo(0, 0));
    await take(wide, 'page-plugins');
    await stopTraffic();
  } finally {
    await browser.close();
    await server.stop();
    server.removeDir();
    fs.rmSync(server.dataDir, { recursive: true, force: true });
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
