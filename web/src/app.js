// The frame: head, views by the part of the address behind #, one event in front of everything.
import { useEffect, useState } from 'preact/hooks';
import { getJson, goToLogin, post } from './api.js';
import { Errors } from './errors.js';
import { EventDialog } from './event.js';
import { Overview } from './overview.js';
import { Persons } from './persons.js';
import { Plugins } from './plugins.js';
import { Settings } from './settings.js';
import { useStatus } from './status.js';
import { Pill } from './ui.js';

const VIEWS = [['overview', 'Overview'], ['persons', 'Persons'], ['plugins', 'Plugins'], ['errors', 'Errors'], ['settings', 'Settings']];

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function readHash() {
  const [view, ...at] = location.hash.replace(/^#/, '').split('/').map(decode);
  return VIEWS.some(([name]) => name === view) ? { view, at } : { view: 'overview', at: [] };
}

function useHash() {
  const [place, setPlace] = useState(readHash);
  useEffect(() => {
    const read = () => location.hash !== '#main' && setPlace(readHash());
    addEventListener('hashchange', read);
    return () => removeEventListener('hashchange', read);
  }, []);
  return place;
}

// Asked for once the server answers, and again when it was away.
function useTeams(isThere, onEnded) {
  const [teams, setTeams] = useState([]);
  useEffect(() => {
    if (isThere) getJson('/api/teams').then((answer) => setTeams(answer.teams), (f) => f.kind === 'ended' && onEnded());
  }, [isThere]);
  return teams;
}

function Health({ status, fault }) {
  if (fault) return <Pill kind="bad">not connected</Pill>;
  if (!status) return <Pill>connecting</Pill>;
  const states = Object.values(status.checks);
  if (states.includes('error')) return <Pill kind="bad">error</Pill>;
  if (states.includes('degraded') || !status.is_ready) return <Pill kind="warn">{status.is_ready ? 'degraded' : 'not ready'}</Pill>;
  return <Pill kind="good">ok</Pill>;
}

function logOut() {
  post('/logout').then(() => location.replace('/login'), goToLogin);
}

function Head({ place, status, fault, teams, team, setTeam }) {
  return (
    <header>
      <div class="head">
        <p class="brand"><img src="/icon.svg" alt="" width="22" height="22" /> hedgerow</p>
        <span class="health" role="status"><Health status={status} fault={fault} /></span>
        <span class="grow" />
        {teams.length > 1 && (
          <label class="team"><span class="sr">Team</span>
            <select name="team" value={team} onChange={(e) => setTeam(Number(e.currentTarget.value))}>
              <option value={0}>All teams</option>
              {teams.map((t) => <option key={t.id} value={t.id}>{t.name}</option>)}
            </select>
          </label>
        )}
        <button type="button" class="small" onClick={logOut}>Log out</button>
      </div>
      <nav aria-label="Views">
        {VIEWS.map(([name, label]) => <a key={name} href={`#${name}`} aria-current={place.view === name ? 'page' : undefined}>{label}</a>)}
      </nav>
    </header>
  );
}

// Focus only: the address has the view behind #.
function skip(e) {
  e.preventDefault();
  document.getElementById('main').focus();
}

export function App() {
  const place = useHash();
  const { status, samples, fault } = useStatus(goToLogin);
  const isGone = fault?.kind === 'gone';
  const teams = useTeams(status !== null && !isGone, goToLogin);
  const [team, setTeam] = useState(0);
  const [open, setOpen] = useState(null);
  const label = VIEWS.find(([name]) => name === place.view)[1];
  useEffect(() => {
    document.title = `${label} – hedgerow`;
  }, [label]);
  const shared = { status, samples, team, teams, onEnded: goToLogin };
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>Skip to the content</a>
      <Head {...{ place, status, fault, teams, team, setTeam }} />
      <div class="gone" role="alert">{fault && <p>{fault.message} This page goes on by itself as soon as it does.</p>}</div>
      <main id="main" tabIndex={-1}>
        <h1 class="sr">{label}</h1>
        {place.view === 'overview' && <Overview {...shared} onOpen={setOpen} isGone={isGone} />}
        {place.view === 'persons' && <Persons {...shared} at={place.at} />}
        {place.view === 'plugins' && <Plugins {...shared} />}
        {place.view === 'errors' && <Errors {...shared} />}
        {place.view === 'settings' && <Settings {...shared} />}
      </main>
      {open && <EventDialog uuid={open} onClose={() => setOpen(null)} onEnded={goToLogin} />}
    </>
  );
}
