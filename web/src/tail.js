// Stored events as they come (server-sent events), the newest first. Only what a row shows is kept of each.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { getJson, pathOf } from './api.js';
import { number } from './format.js';
import { Card, Pill, Time } from './ui.js';

const ROWS_MAX = 200;
const PAINT_MS = 150; // rows that came meanwhile are shown together
const TYPING_MS = 300;
const NAMES_MAX = 100;

const isText = (t) => typeof t === 'string' && t !== '';

// Where an event came from: what GeoIP found, and the page or screen.
const placeOf = (p) => [p.$geoip_city_name, p.$geoip_country_name ?? p.$geoip_country_code].filter(isText).join(', ');
const pageOf = (p) => ([p.$current_url, p.$pathname, p.$screen_name].find(isText) ?? '').replace(/^https?:\/\//, '');

function rowOf(e) {
  const properties = e.properties && typeof e.properties === 'object' ? e.properties : {};
  return { uuid: e.uuid, event: String(e.event), id: String(e.distinct_id), team: e.team_id, at: e.timestamp, place: placeOf(properties), page: pageOf(properties) };
}

// `before` are newer ones; a row that is in both counts once.
export function joinRows(before, rows) {
  const seen = new Set();
  const all = [];
  for (const row of [...before, ...rows]) {
    if (seen.has(row.uuid)) continue;
    seen.add(row.uuid);
    all.push(row);
    if (all.length === ROWS_MAX) break;
  }
  return all;
}

// {rows, skipped, waiting, state, names}: `waiting` came while paused.
function useTail(filter, isPaused) {
  const [view, setView] = useState({ rows: [], skipped: 0, waiting: 0, state: 'opening' });
  const fresh = useRef({ rows: [], skipped: 0, count: 0, timer: null });
  const paused = useRef(isPaused);
  paused.current = isPaused;

  function paint() {
    const f = fresh.current;
    f.timer = null;
    if (paused.current) {
      setView((v) => ({ ...v, waiting: f.count, skipped: v.skipped + f.skipped }));
      f.skipped = 0;
      return;
    }
    const { rows, skipped } = f;
    fresh.current = { rows: [], skipped: 0, count: 0, timer: null };
    setView((v) => ({ ...v, rows: joinRows(rows, v.rows), waiting: 0, skipped: v.skipped + skipped }));
  }
  const paintSoon = () => {
    fresh.current.timer ??= setTimeout(paint, PAINT_MS);
  };

  useEffect(() => {
    const source = new EventSource(pathOf('/api/tail', { team: filter.team, event: filter.event, distinct_id: filter.id }));
    let isOver = false;
    fresh.current = { rows: [], skipped: 0, count: 0, timer: null };
    setView({ rows: [], skipped: 0, waiting: 0, state: 'opening' });
    source.onopen = () => setView((v) => ({ ...v, state: 'open' }));
    source.onerror = () => setView((v) => ({ ...v, state: 'lost' }));
    source.onmessage = ({ data }) => {
      const f = fresh.current;
      f.rows = [rowOf(JSON.parse(data)), ...f.rows].slice(0, ROWS_MAX);
      f.count++;
      paintSoon();
    };
    source.addEventListener('skipped', ({ data }) => {
      fresh.current.skipped += Number(data);
      paintSoon();
    });
    getJson('/api/events', { team: filter.team }).then(
      ({ events }) => {
        const fits = (r) => (!filter.event || r.event === filter.event) && (!filter.id || r.id === filter.id);
        const rows = events.map(rowOf).filter(fits);
        if (!isOver) setView((v) => ({ ...v, rows: joinRows(v.rows, rows) }));
      },
      () => {}, // the status tells what is wrong
    );
    return () => {
      isOver = true;
      source.close();
      clearTimeout(fresh.current.timer);
    };
  }, [filter.team, filter.event, filter.id]);

  useEffect(() => {
    if (!isPaused) paintSoon();
  }, [isPaused]);
  return { ...view, clear: () => setView((v) => ({ ...v, rows: [], skipped: 0 })) };
}

function Filter({ value, onChange, label, list, name }) {
  const [text, setText] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => text.trim() !== value && onChange(text.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => setText(value), [value]);
  return (
    <label class="field">
      <span>{label}</span>
      <input type="search" name={name} value={text} list={list} autocomplete="off" spellcheck={false} maxLength={400}
        onInput={(e) => setText(e.currentTarget.value)} />
    </label>
  );
}

const STATES = { opening: ['', 'connecting'], open: ['good', 'live'], lost: ['bad', 'reconnecting'] };

function Row({ row, hasTeams, onOpen }) {
  return (
    <tr>
      <td class="time"><Time iso={row.at} form="clock" /></td>
      <td><button type="button" class="link" onClick={() => onOpen(row.uuid)}>{row.event || '(no name)'}</button></td>
      <td class="id" title={row.id}>{row.id}</td>
      {hasTeams && <td class="num">{row.team}</td>}
      <td class="place" title={row.place}>{row.place}</td>
      <td class="page" title={row.page}>{row.page}</td>
    </tr>
  );
}

export function Tail({ team, hasTeams, onOpen, isGone }) {
  const [event, setEvent] = useState('');
  const [id, setId] = useState('');
  const [isPaused, setPaused] = useState(false);
  // A stream that was refused stays closed: when the server is back a new one is opened.
  const [generation, setGeneration] = useState(0);
  const wasGone = useRef(false);
  useEffect(() => {
    if (wasGone.current && !isGone) setGeneration((n) => n + 1);
    wasGone.current = isGone;
  }, [isGone]);
  return (
    <TailView key={generation} {...{ team, hasTeams, onOpen, event, setEvent, id, setId, isPaused, setPaused }} />
  );
}

function TailView({ team, hasTeams, onOpen, event, setEvent, id, setId, isPaused, setPaused }) {
  const tail = useTail({ team, event, id }, isPaused);
  const [kind, label] = isPaused ? ['warn', 'paused'] : STATES[tail.state];
  const names = useMemo(() => [...new Set(tail.rows.map((r) => r.event))].slice(0, NAMES_MAX).sort(), [tail.rows]);
  return (
    <Card id="tail-title" title="Live events" class="tail" more={
      <>
        <Pill kind={kind}>{label}</Pill>
        <button type="button" class="small" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
          {isPaused ? `Resume${tail.waiting ? ` (${number(tail.waiting)} new)` : ''}` : 'Pause'}
        </button>
      </>
    }>
      <form class="filters" role="search" aria-label="Filter of live events" onSubmit={(e) => e.preventDefault()}>
        <Filter name="event" label="Event name" value={event} onChange={setEvent} list="event-names" />
        <datalist id="event-names">{names.map((n) => <option key={n} value={n} />)}</datalist>
        <Filter name="distinct_id" label="Distinct id" value={id} onChange={setId} />
        {(event || id) && <button type="button" onClick={() => { setEvent(''); setId(''); }}>Clear</button>}
        <span class="quiet skipped" role="status">{tail.skipped ? `${number(tail.skipped)} skipped, they came too fast to show` : ''}</span>
      </form>
      <div class="scroll rows" tabIndex={0} role="region" aria-label="Live events, newest first">
        <table class="events">
          <thead>
            <tr>
              <th scope="col" class="time">Time</th>
              <th scope="col">Event</th>
              <th scope="col">Distinct id</th>
              {hasTeams && <th scope="col" class="num">Team</th>}
              <th scope="col" class="place">Place</th>
              <th scope="col" class="page">Page</th>
            </tr>
          </thead>
          <tbody>
            {tail.rows.map((row) => <Row key={row.uuid} row={row} hasTeams={hasTeams} onOpen={onOpen} />)}
          </tbody>
        </table>
        {!tail.rows.length && <p class="empty">{event || id ? 'No event has come that fits the filter.' : 'Waiting for events.'}</p>}
      </div>
    </Card>
  );
}
