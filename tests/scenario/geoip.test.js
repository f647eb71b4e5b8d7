// GeoIP from the settings to the views: what an event and its person know about the address, and what becomes of it when
// the database changes, breaks or is not there.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { killAll, startHedgerow, waitFor } = require('../lib/hedgerow.js');

after(killAll);

const CITY = path.join(__dirname, '../../build/vendor/geoip-test-data/test-data/GeoIP2-City-Test.mmdb');
const FLAT = path.join(__dirname, '../fuzz/corpus/mmdb/flat'); // 1.0.0.0/8 Paris, 13.106.0.0/16 Australia
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'geoip-'));
after(() => fs.rmSync(dir, { recursive: true, force: true }));

const provision = (attachments) => ({
  teams: [{ id: 1, name: 'Shop', api_token: 'phc_shop' }],
  plugins: [{ name: 'GeoIP', source: 'builtin:geoip' }],
  plugin_configs: [{ plugin: 'GeoIP', team: 1, order: 1, enabled: true, config: {}, ...(attachments ? { attachments } : {}) }],
});
const start = (env, attachments) => startHedgerow({ provision: provision(attachments), env });

// Sends one event and gives back its row: { properties } without those of other parts, and the person's properties.
let count = 0;
async function store(server, { ip, properties = {}, ...more }) {
  const distinct_id = `id-${++count}`;
  const sent = await server.post('/e/', { api_key: server.token, event: 'e', distinct_id, properties, ...more },
    ip ? { 'X-Forwarded-For': ip } : {});
  assert.equal(sent.status, 200, sent.text);
  const [row] = await waitFor(() => {
    const rows = server.sql(`SELECT properties, person_uuid FROM v_events WHERE distinct_id = '${distinct_id}'`);
    return rows.length && rows;
  });
  const { $plugins_succeeded, $plugins_failed, $plugins_deferred, $ip, ...rest } = JSON.parse(row.properties);
  const [person] = server.sql(`SELECT properties FROM v_persons WHERE uuid = '${row.person_uuid}'`);
  return { $ip, properties: rest, person: JSON.parse(person.properties) };
}
const country = async (server, ip) => (await store(server, { ip })).properties.$geoip_country_code;

const prefixed = (prefix, object) => Object.fromEntries(Object.entries(object).map(([k, v]) => [prefix + k, v]));
const reload = (server) => server.child.kill('SIGUSR1');

// What is null when a record lacks it.
const NULLS = {
  city_name: null, city_confidence: null, country_name: null, country_code: null, continent_name: null,
  continent_code: null, postal_code: null, latitude: null, longitude: null, accuracy_radius: null, time_zone: null,
  subdivision_1_code: null, subdivision_1_name: null, subdivision_1_confidence: null, subdivision_2_code: null,
  subdivision_2_name: null, subdivision_2_confidence: null,
};
const LINKOPING = {
  city_name: 'Linköping', country_name: 'Sweden', country_code: 'SE', continent_name: 'Europe', continent_code: 'EU',
  latitude: 58.4167, longitude: 15.6167, accuracy_radius: 76, time_zone: 'Europe/Stockholm', subdivision_1_code: 'E',
  subdivision_1_name: 'Östergötland County',
};
const PARIS = {
  city_name: 'Paris', country_name: 'France', country_code: 'FR', continent_name: 'Europe', continent_code: 'EU',
  postal_code: '75001', latitude: 48.85, longitude: 2.35, subdivision_1_name: 'Ile-de-France',
};
const JAPAN = {
  country_name: 'Japan', country_code: 'JP', continent_name: 'Asia', continent_code: 'AS', latitude: 35.68536,
  longitude: 139.75309, accuracy_radius: 100, time_zone: 'Asia/Tokyo',
};

function expectPlace({ properties, person }, place, { mine = {}, set = {}, setOnce = {} } = {}) {
  const now = { ...prefixed('$geoip_', { ...NULLS, ...place }), ...set };
  const once = { ...prefixed('$initial_geoip_', { ...NULLS, ...place }), ...setOnce };
  assert.deepEqual(properties, { ...mine, ...prefixed('$geoip_', place), $set: now, $set_once: once });
  assert.deepEqual(person, { ...once, ...now });
}

describe('with the city database', () => {
  let server;
  before(async () => {
    server = await start({ MMDB_FILE_LOCATION: CITY });
  });
  after(() => server.stop());

  test('event and person know the place', async () => {
    const stored = await store(server, { ip: '89.160.20.129', properties: { a: 1 } });
    assert.equal(stored.$ip, '89.160.20.129');
    expectPlace(stored, LINKOPING, { mine: { a: 1 } });
  });

  test('IPv6', async () => expectPlace(await store(server, { ip: '2001:218::5' }), JAPAN));

  test('what the event sets stays', async () => {
    const stored = await store(server, { ip: '89.160.20.129', $set: { plan: 'pro' }, properties: { $set: { age: 7 }, $set_once: { first: true } } });
    expectPlace(stored, LINKOPING, { set: { age: 7, plan: 'pro' }, setOnce: { first: true } });
  });

  test('$ip goes before the address of the request', async () => {
    const stored = await store(server, { ip: '89.160.20.129', properties: { $ip: '2001:218::5' } });
    expectPlace(stored, JAPAN);
  });

  for (const [name, sent] of Object.entries({
    'an unknown address': { ip: '192.0.2.1' },
    'a private address': { ip: '10.0.0.1' },
    '$geoip_disable': { ip: '89.160.20.129', properties: { $geoip_disable: true } },
    'an $ip that is none': { ip: '89.160.20.129', properties: { $ip: 'somewhere' } },
  })) {
    test(`${name} leaves the event alone`, async () => {
      const stored = await store(server, sent);
      const { $geoip_disable, ...rest } = stored.properties;
      assert.deepEqual(rest, {});
      assert.deepEqual(stored.person, {});
    });
  }

  test('a person who has moved keeps nothing of the old place but $initial_', async () => {
    const distinct_id = 'mover';
    for (const ip of ['89.160.20.129', '2001:218::5'])
      await server.post('/e/', { api_key: server.token, event: 'e', distinct_id, properties: {} }, { 'X-Forwarded-For': ip });
    await waitFor(() => server.sql("SELECT 1 FROM v_events WHERE distinct_id = 'mover'").length === 2);
    const [{ properties }] = server.sql("SELECT properties FROM v_persons JOIN v_person_distinct_ids ON person_uuid = uuid WHERE distinct_id = 'mover'");
    assert.deepEqual(JSON.parse(properties),
      { ...prefixed('$initial_geoip_', { ...NULLS, ...LINKOPING }), ...prefixed('$geoip_', { ...NULLS, ...JAPAN }) });
  });

  test('the status shows the database and its age', async () => {
    const { geoip } = (await server.admin('/api/status')).json;
    assert.equal(geoip.is_loaded, true);
    assert.equal(geoip.is_stale, true); // its test data is years old
    assert.equal(geoip.path, CITY);
    assert.ok(geoip.built_at > 1.3e15, geoip.built_at); // microseconds
  });

  test('the copies leave no names in the data directory', () => {
    const folder = path.join(server.dataDir, 'geo');
    assert.deepEqual(fs.existsSync(folder) ? fs.readdirSync(folder) : [], []);
  });
});

describe('with a flat database', () => {
  let server;
  before(async () => {
    server = await start({ MMDB_FILE_LOCATION: FLAT });
  });
  after(() => server.stop());

  test('names of country and continent come from our table', async () => expectPlace(await store(server, { ip: '1.2.3.4' }), PARIS));

  test('loopback is where the original plugin puts it', async () => {
    const { properties } = await store(server, {});
    assert.equal(properties.$geoip_country_name, 'Australia');
    assert.equal(properties.$geoip_latitude, -33.87);
  });

  test('a file for IPv4 knows no IPv6', async () => assert.equal(await country(server, '2001:218::5'), undefined));
});

test('two files, one for each family', async () => {
  const server = await start({ MMDB_FILE_LOCATION: `${FLAT},${CITY}` });
  assert.equal(await country(server, '1.2.3.4'), 'FR');
  assert.equal(await country(server, '2001:218::5'), 'JP');
  await server.stop();
});

test('the database of an attachment', async () => {
  const server = await start({}, { db: CITY });
  assert.equal(await country(server, '89.160.20.129'), 'SE');
  await server.stop();
});

test('DISABLE_MMDB', async () => {
  const server = await start({ MMDB_FILE_LOCATION: CITY, DISABLE_MMDB: 'true' });
  assert.equal(await country(server, '89.160.20.129'), undefined);
  await server.stop();
});

describe('while it runs', () => {
  const file = path.join(dir, 'live.mmdb');
  let server;
  before(async () => {
    fs.copyFileSync(FLAT, file);
    server = await start({ MMDB_FILE_LOCATION: file });
  });
  after(() => server.stop());

  // Asks again until the answer is there; every event on the way is stored.
  const becomes = (ip, code) => waitFor(async () => (await country(server, ip)) === code, { what: `${ip} is in ${code}` });

  test('a file renamed over it', async () => {
    assert.equal(await country(server, '89.160.20.129'), undefined);
    fs.copyFileSync(CITY, file + '.new');
    fs.renameSync(file + '.new', file);
    reload(server);
    await becomes('89.160.20.129', 'SE');
    assert.equal(await country(server, '1.2.3.4'), undefined);
  });

  test('a file written over it', async () => {
    fs.writeFileSync(file, fs.readFileSync(FLAT));
    reload(server);
    await becomes('1.2.3.4', 'FR');
  });

  test('truncated, then gone: the one before stays, and the log says why', async () => {
    fs.truncateSync(file, 100);
    reload(server);
    await waitFor(() => server.output.includes('it is cut off'), { what: 'the log tells' });
    assert.equal(await country(server, '1.2.3.4'), 'FR');
    fs.rmSync(file);
    reload(server);
    await waitFor(() => server.output.includes(`open ${file}`), { what: 'the log tells' });
    assert.equal(await country(server, '1.2.3.4'), 'FR');
    fs.copyFileSync(CITY, file);
    reload(server);
    await becomes('89.160.20.129', 'SE');
  });
});

describe('a database that cannot be used', () => {
  const bad = path.join(dir, 'bad.mmdb');
  for (const [name, make] of Object.entries({
    missing: () => fs.rmSync(bad, { force: true }),
    empty: () => fs.writeFileSync(bad, ''),
    'something else': () => fs.writeFileSync(bad, 'x'.repeat(5000)),
    truncated: () => fs.writeFileSync(bad, fs.readFileSync(CITY).subarray(0, 12000)),
    'without places': () => fs.copyFileSync(CITY.replace('GeoIP2-City', 'GeoLite2-ASN'), bad),
  })) {
    test(`${name}: one line, events go on`, async () => {
      make();
      const server = await start({ MMDB_FILE_LOCATION: bad });
      assert.equal(await country(server, '89.160.20.129'), undefined);
      assert.equal(server.output.split('\n').filter((line) => line.includes('module=geo') && line.includes(bad)).length, 1, server.output);
      await server.stop();
    });
  }

  test('it is used as soon as it is there', async () => {
    fs.rmSync(bad, { force: true });
    const server = await start({ MMDB_FILE_LOCATION: bad });
    fs.copyFileSync(CITY, bad);
    reload(server);
    await waitFor(async () => (await country(server, '89.160.20.129')) === 'SE');
    await server.stop();
  });
});

test('MMDB_URL says what to do instead', async () => {
  const server = await start({ MMDB_URL: 'https://example.org/geo.mmdb' });
  assert.equal(await country(server, '89.160.20.129'), undefined);
  assert.match(server.output, /MMDB_URL.*MMDB_FILE_LOCATION/);
  await server.stop();
});
