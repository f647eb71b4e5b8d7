// A strict reader of the Prometheus text format 0.0.4 (and of OpenMetrics 1.0 as far as it is the same).
'use strict';

const assert = require('node:assert/strict');

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SUFFIXES = { histogram: ['_bucket', '_sum', '_count'], summary: ['', '_sum', '_count'], counter: [''], gauge: [''], untyped: [''] };

function number(text) {
  if (/^[+-]?Inf$/.test(text)) return text[0] === '-' ? -Infinity : Infinity;
  if (text === 'NaN') return NaN;
  assert.match(text, /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/);
  return Number(text);
}

// `{a="b",c="d"}` from position `at`, which is behind the brace; returns [labels, position behind].
function labels(line, at) {
  const found = new Map();
  while (line[at] !== '}') {
    const name = /^[a-zA-Z_][a-zA-Z0-9_]*/.exec(line.slice(at))?.[0];
    assert.ok(name && line.startsWith('="', at + name.length), `label at ${at} of ${line}`);
    at += name.length + 2;
    let value = '';
    for (; line[at] !== '"'; at++) {
      assert.ok(at < line.length, `open label value: ${line}`);
      if (line[at] === '\\') {
        at++;
        assert.ok('\\"n'.includes(line[at]), `escape in ${line}`);
      }
      value += line[at];
    }
    assert.ok(!found.has(name), `label twice: ${line}`);
    found.set(name, value);
    at++;
    if (line[at] === ',') at++;
    else assert.equal(line[at], '}', line);
  }
  return [found, at + 1];
}

function sample(line) {
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0];
  assert.ok(name, `no sample: ${line}`);
  let [found, at] = [new Map(), name.length];
  if (line[at] === '{') [found, at] = labels(line, at + 1);
  assert.equal(line[at], ' ', line);
  const parts = line.slice(at + 1).split(' ');
  assert.ok(parts.length <= 2, line);
  return { name, labels: found, value: number(parts[0]) };
}

function checkHistogram(family) {
  const byLabels = new Map();
  for (const one of family.samples) {
    const rest = [...one.labels].filter(([name]) => name !== 'le').sort().join(';');
    if (!byLabels.has(rest)) byLabels.set(rest, { buckets: [] });
    const series = byLabels.get(rest);
    if (one.name.endsWith('_bucket')) series.buckets.push([number(one.labels.get('le')), one.value]);
    else series[one.name.endsWith('_sum') ? 'sum' : 'count'] = one.value;
  }
  for (const { buckets, sum, count } of byLabels.values()) {
    assert.ok(sum !== undefined && count !== undefined, family.name);
    assert.equal(buckets.at(-1)[0], Infinity, family.name);
    assert.equal(buckets.at(-1)[1], count, family.name);
    for (let i = 1; i < buckets.length; i++)
      assert.ok(buckets[i][0] > buckets[i - 1][0] && buckets[i][1] >= buckets[i - 1][1], family.name);
  }
}

// Map of name -> { name, type, help, samples: [{ name, labels, value }] }. Fails on anything that is not in order.
function parsePrometheus(text) {
  const families = new Map();
  const series = new Set();
  let current;
  assert.ok(text.endsWith('\n'), 'the last line has no end');
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment) {
      const [, kind, name, rest] = comment;
      assert.match(name, NAME);
      if (current?.name !== name) {
        assert.ok(!families.has(name), `${name} comes in two places`);
        families.set(name, (current = { name, samples: [] }));
      }
      const field = kind.toLowerCase();
      assert.equal(current[field], undefined, `${kind} twice: ${name}`);
      assert.equal(current.samples.length, 0, `${kind} behind samples: ${name}`);
      current[field] = rest;
      continue;
    }
    const one = sample(line);
    assert.ok(current?.type && current.help, `sample without HELP and TYPE: ${line}`);
    assert.ok(SUFFIXES[current.type]?.some((end) => one.name === current.name + end), `${line} under ${current.name}`);
    const id = one.name + JSON.stringify([...one.labels].sort());
    assert.ok(!series.has(id), `series twice: ${line}`);
    series.add(id);
    current.samples.push(one);
  }
  for (const family of families.values()) {
    if (family.type === 'counter') {
      assert.match(family.name, /_total$/);
      for (const one of family.samples) assert.ok(one.value >= 0, family.name);
    } else {
      assert.doesNotMatch(family.name, /_total$/);
    }
    if (family.type === 'histogram') checkHistogram(family);
  }
  return families;
}

module.exports = { parsePrometheus };
