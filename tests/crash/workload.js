// What a client of the torture test sends, and what must have come of it in the end.
//
// A client is a fixed sequence of requests, made from a seed; each is sent until it is acknowledged, then the next. Whatever
// happens to the server, the final state is therefore known. It must not depend on the order of events of different distinct
// ids either (only events of one distinct id have an order), so a client works on ids that no other uses, and:
//   - a property of a person is only set by events of one distinct id: n_ID counts up, first_ID is set once;
//   - a user has one main id; its other ids are merged into it once, by events of the main id or along a chain, and are
//     never identified themselves, so that no merge is refused whatever came first;
//   - a group is only changed by events of one distinct id.
'use strict';

const zlib = require('node:zlib');
const { randomOf } = require('./undo.js');

const GROUP_TYPES = ['company', 'site', 'plan'];
const USERS_AT_ONCE = 6;
const EVENTS_PER_USER = 40;
const RESEND_FROM = 40; // a request that is sent again is one of the last so many
const LARGE_PAD = 'x'.repeat(6000); // 300 of these do not fit one segment of 1 MiB
const START_MS = Date.UTC(2026, 0, 1);

class Client {
  constructor(seed, name, token) {
    this.random = randomOf(seed);
    this.name = name;
    this.token = token;
    this.events = 0;
    this.users = [];
    this.userCount = 0;
    this.recent = []; // requests, as lists of events
    this.persons = new Map(); // distinct id -> { ids: Set, properties, isIdentified }
    this.groups = new Map(); // "TYPE KEY" -> properties
  }

  below(n) {
    return Math.floor(this.random() * n);
  }

  chance(p) {
    return this.random() < p;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  // The next request: { path, headers, body, events (uuids) }.
  next() {
    if (this.recent.length && this.chance(0.1)) return this.again();
    const kind = this.random();
    const count = kind < 0.4 ? 1 : kind < 0.99 ? 1 + this.below(40) : 300;
    const events = [];
    while (events.length < count) events.push(this.event(count === 300));
    this.recent = [...this.recent.slice(1 - RESEND_FROM), events];
    return this.request(events);
  }

  // Events that were acknowledged before, alone or among new ones.
  again() {
    const old = this.pick(this.recent);
    if (this.chance(0.5)) return this.request(old);
    const before = this.chance(0.5) ? [this.event(false)] : [];
    return this.request([...before, ...old.slice(0, 1 + this.below(old.length)), this.event(false)]);
  }

  request(events) {
    const headers = { 'Content-Type': 'application/json' };
    const uuids = events.map((e) => e.uuid);
    if (events.length === 1) {
      const path = this.pick(['/capture/', '/e/', '/i/v0/e/', '/track']);
      return { path, headers, body: Buffer.from(JSON.stringify({ api_key: this.token, ...events[0] })), uuids };
    }
    let body = Buffer.from(JSON.stringify({ api_key: this.token, batch: events }));
    if (this.chance(0.4)) {
      body = zlib.gzipSync(body, { level: 1 });
      if (this.chance(0.7)) headers['Content-Encoding'] = 'gzip';
    }
    return { path: this.pick(['/batch/', '/e/']), headers, body, uuids };
  }

  user() {
    while (this.users.length < USERS_AT_ONCE) {
      const main = `${this.name}-u${this.userCount++}`;
      this.users.push({ main, ids: [main], loose: [], left: EVENTS_PER_USER });
    }
    const user = this.pick(this.users);
    if (--user.left === 0) this.users.splice(this.users.indexOf(user), 1);
    return user;
  }

  event(isLarge) {
    const number = this.events++;
    const user = this.user();
    const e = {
      event: 'step',
      distinct_id: this.pick(user.ids),
      uuid: this.uuid(number),
      timestamp: new Date(START_MS + number * 1000).toISOString(),
      properties: { number, pad: isLarge ? LARGE_PAD : 'x'.repeat(this.below(200)) },
    };
    const kind = this.random();
    if (kind < 0.12) this.makeMerge(e, user);
    else if (kind < 0.22) this.makeGroupIdentify(e, number);
    else if (kind < 0.35) e.properties.$groups = { [this.pick(GROUP_TYPES)]: `${this.name}-g${this.below(5)}` };
    if (e.event !== '$groupidentify' && this.chance(0.6)) this.addPersonChange(e, number);
    this.apply(e);
    return e;
  }

  uuid(number) {
    const bits = [...Array(4)].map(() => Math.floor(this.random() * 0x10000).toString(16).padStart(4, '0'));
    return `${bits[0]}${bits[1]}-${bits[2]}-4${bits[3].slice(1)}-8000-${number.toString(16).padStart(12, '0')}`;
  }

  // A new id for the user: first it may live alone for a while, then an event says to whom it belongs.
  makeMerge(e, user) {
    if (user.loose.length < 2 && this.chance(0.5)) {
      const id = `${user.main}-${user.ids.length}`;
      user.ids.push(id);
      user.loose.push(id);
      e.distinct_id = id;
      return;
    }
    const other = user.loose.shift() ?? `${user.main}-only${user.left}`;
    if (this.chance(0.5)) {
      e.event = '$identify';
      e.distinct_id = user.main;
      e.properties.$anon_distinct_id = other;
    } else {
      e.event = '$create_alias';
      e.distinct_id = this.pick(user.ids.filter((id) => !user.loose.includes(id) && id !== other));
      e.properties.alias = other;
    }
  }

  makeGroupIdentify(e, number) {
    const index = this.below(GROUP_TYPES.length);
    e.event = '$groupidentify';
    e.distinct_id = `${this.name}-g`;
    Object.assign(e.properties, {
      $group_type: GROUP_TYPES[index],
      $group_key: `${this.name}-g${this.below(5)}`,
      $group_set: { n: number, [`k${this.below(4)}`]: number },
    });
  }

  addPersonChange(e, number) {
    const id = e.distinct_id;
    e.properties.$set = { [`n_${id}`]: number, [`k${this.below(3)}_${id}`]: `v${number}` };
    e.properties.$set_once = { [`first_${id}`]: number };
    if (this.chance(0.15)) e.properties.$unset = [`k3_${id}`];
    else if (this.chance(0.2)) e.properties.$set[`k3_${id}`] = number;
  }

  // --- what it makes of persons and groups ---

  person(id) {
    if (!this.persons.has(id)) this.persons.set(id, { ids: new Set([id]), properties: {}, isIdentified: false });
    return this.persons.get(id);
  }

  merge(from, to) {
    if (from === to) return;
    to.properties = { ...from.properties, ...to.properties };
    to.isIdentified = to.isIdentified || from.isIdentified;
    for (const id of from.ids) {
      to.ids.add(id);
      this.persons.set(id, to);
    }
  }

  apply(e) {
    const p = e.properties;
    const other = e.event === '$identify' ? p.$anon_distinct_id : p.alias;
    const person = this.person(e.distinct_id);
    if (other) this.merge(this.person(other), person);
    if (e.event === '$identify') person.isIdentified = true;
    for (const [key, value] of Object.entries(p.$set_once ?? {})) person.properties[key] ??= value;
    Object.assign(person.properties, p.$set);
    for (const key of p.$unset ?? []) delete person.properties[key];
    if (e.event === '$groupidentify') {
      const name = `${p.$group_type} ${p.$group_key}`;
      this.groups.set(name, { ...this.groups.get(name), ...p.$group_set });
    }
  }
}

// Sends each request once only: one that was not acknowledged may be stored whole or not at all.
class Careless {
  constructor(seed, name, token) {
    this.client = new Client(seed, name, token);
    this.count = 0;
  }

  next() {
    const number = this.count++;
    const events = [...Array(1 + this.client.below(60))].map((_, i) => ({
      event: 'maybe', distinct_id: `${this.client.name}-${number}-${i % 7}`, uuid: this.client.uuid(number * 100 + i),
      properties: { request: number, pad: 'y'.repeat(this.client.below(2000)) } }));
    return this.client.request(events);
  }
}

// One event per group type, so that their order is settled before several clients use them.
function firstRequest(token) {
  const batch = GROUP_TYPES.map((type, i) => ({
    event: 'first', distinct_id: 'first', uuid: `00000000-0000-4000-8000-00000000000${i}`,
    timestamp: new Date(START_MS).toISOString(), properties: { $groups: { [type]: 'none' } } }));
  return { path: '/batch/', headers: { 'Content-Type': 'application/json' }, uuids: batch.map((e) => e.uuid),
    body: Buffer.from(JSON.stringify({ api_key: token, batch })) };
}

module.exports = { Client, Careless, firstRequest, GROUP_TYPES };
