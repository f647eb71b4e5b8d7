// Plugins: what each costs, whether it works, what it says; on, off, and all of them anew.
import { useState } from 'preact/hooks';
import { getJson, post } from './api.js';
import { micros, millis, number, bytes } from './format.js';
import { Card, Fault, Pill, Time, useEvery, useLoaded } from './ui.js';

const EVERY_MS = 2000;
const LOGS = 100;

const PHASES = {
  idle: ['', 'waits for its first event'],
  ready: ['good', 'ready'],
  setting_up: ['', 'starting'],
  retrying: ['warn', 'starting again'],
  failed: ['bad', 'failed'],
  disabled: ['bad', 'switched itself off'],
};

function stateOf(config) {
  if (!config.enabled) return ['', 'off'];
  if (config.load_error) return ['bad', 'not loaded'];
  if (config.circuit === 'open') return ['bad', 'taken off the chain'];
  const [kind, label] = PHASES[config.phase] ?? ['', config.phase];
  return kind === 'good' && config.error ? ['warn', 'ready, had an error'] : [kind, label];
}

function errorText(error) {
  if (!error) return '';
  return error.message ? [error.name, error.message].filter(Boolean).join(': ') : JSON.stringify(error);
}

// What is wrong with a config, as a list of texts.
function faultsOf(config) {
  const faults = [];
  if (config.load_error) faults.push({ text: config.load_error });
  if (config.circuit === 'open') faults.push({ text: config.circuit_why || 'It ran too long, again and again.', until: config.circuit_until });
  if (config.error) faults.push({ text: errorText(config.error), at: config.error.time });
  return faults;
}

function Logs({ config, onEnded }) {
  const { value, fault, again } = useLoaded(() => getJson('/api/plugins/logs', { config: config.id, limit: LOGS }), [config.id], (f) => f.kind === 'ended' && onEnded());
  useEvery(EVERY_MS, again);
  if (fault?.kind === 'refused') return <Fault fault={fault} />;
  if (!value) return <p class="empty">Loading.</p>;
  if (!value.entries.length) return <p class="empty">It has logged nothing.</p>;
  return (
    <div class="scroll logs" tabIndex={0} role="region" aria-label="Log of the plugin, newest first">
      <table>
        <thead><tr><th scope="col" class="time">Time</th><th scope="col">Type</th><th scope="col">Message</th></tr></thead>
        <tbody>
          {value.entries.map((e) => (
            <tr key={e.id}>
              <td class="time"><Time us={e.at} /></td>
              <td><Pill kind={e.type === 'ERROR' ? 'bad' : e.type === 'WARN' ? 'warn' : ''}>{e.type.toLowerCase()}</Pill></td>
              <td class="message">{e.message}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Price({ config: c }) {
  const each = c.calls ? (c.cpu_ms * 1000) / c.calls : 0;
  return (
    <dl class="price">
      <div><dt>Calls</dt><dd>{number(c.calls)}</dd></div>
      <div><dt>Errors</dt><dd class={c.errors ? 'is-bad' : ''}>{number(c.errors)}</dd></div>
      <div><dt>Time limits</dt><dd class={c.timeouts ? 'is-bad' : ''}>{number(c.timeouts)}</dd></div>
      <div><dt>Dropped</dt><dd>{number(c.dropped)}</dd></div>
      <div><dt>CPU</dt><dd>{millis(c.cpu_ms)}{c.calls ? <span class="quiet"> {micros(each)} each</span> : null}</dd></div>
      <div><dt>p50</dt><dd>{micros(c.p50_us)}</dd></div>
      <div><dt>p99</dt><dd>{micros(c.p99_us)}</dd></div>
      <div><dt>Memory</dt><dd>{c.memory_bytes ? bytes(c.memory_bytes) : '–'}</dd></div>
    </dl>
  );
}

function FaultLine({ fault: { text, until, at } }) {
  return (
    <p class="error-line">
      {text}
      {until && <span class="quiet"> until <Time iso={until} /></span>}
      {at && <span class="quiet"> at <Time iso={at} /></span>}
    </p>
  );
}

function Config({ plugin, config, teams, onChanged, onEnded }) {
  const [isOpen, setOpen] = useState(false);
  const [fault, setFault] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const [kind, label] = stateOf(config);
  const team = teams.find((t) => t.id === config.team_id)?.name ?? `team ${config.team_id}`;
  async function change(action) {
    setBusy(true);
    try {
      await post(`/api/plugins/configs/${config.id}/${action}`);
      setFault(null);
      onChanged();
    } catch (e) {
      if (e.kind === 'ended') onEnded();
      else setFault(e);
    }
    setBusy(false);
  }
  return (
    <li class="config" data-config={config.id}>
      <div class="config-head">
        <Pill kind={kind}>{label}</Pill>
        <span>{team}</span>
        <span class="quiet">order {config.order}</span>
        <span class="grow" />
        <button type="button" class="small" disabled={isBusy} aria-label={`${config.enabled ? 'Disable' : 'Enable'} ${plugin.name} for ${team}`}
          onClick={() => change(config.enabled ? 'disable' : 'enable')}>{config.enabled ? 'Disable' : 'Enable'}</button>
        <button type="button" class="small" aria-expanded={isOpen} aria-label={`Log of ${plugin.name} for ${team}`} onClick={() => setOpen(!isOpen)}>Log</button>
      </div>
      <Fault fault={fault} />
      {faultsOf(config).map((f) => <FaultLine key={f.text} fault={f} />)}
      <Price config={config} />
      {isOpen && <Logs config={config} onEnded={onEnded} />}
    </li>
  );
}

function Plugin({ plugin, team, ...rest }) {
  const configs = plugin.configs.filter((c) => !team || c.team_id === team);
  return (
    <Card id={`plugin-${plugin.id}`} title={plugin.name} class="plugin" more={<span class="quiet source">{plugin.source}</span>}>
      {plugin.about && <p class="quiet">{plugin.about}</p>}
      <ul class="configs">{configs.map((c) => <Config key={c.id} plugin={plugin} config={c} {...rest} />)}</ul>
      {!configs.length && <p class="empty">No team uses it.</p>}
    </Card>
  );
}

export function usePlugins(onEnded) {
  const loaded = useLoaded(() => getJson('/api/plugins'), [], (f) => f.kind === 'ended' && onEnded());
  useEvery(EVERY_MS, loaded.again);
  return loaded;
}

export function Plugins({ team, teams, onEnded }) {
  const { value, fault, again } = usePlugins(onEnded);
  const [note, setNote] = useState('');
  const [failure, setFailure] = useState(null);
  async function reload() {
    setNote('Loading all plugins anew.');
    try {
      await post('/api/plugins/reload');
      setNote('All plugins were loaded anew.');
      setFailure(null);
      again();
    } catch (e) {
      setNote('');
      if (e.kind === 'ended') onEnded();
      else setFailure(e);
    }
  }
  const list = value?.plugins ?? [];
  return (
    <>
      <div class="bar">
        <button type="button" onClick={reload}>Reload all</button>
        <span class="quiet" role="status">{note}</span>
      </div>
      <Fault fault={failure ?? (fault?.kind === 'refused' ? fault : null)} />
      {list.map((p) => <Plugin key={p.id} plugin={p} team={team} teams={teams} onChanged={again} onEnded={onEnded} />)}
      {value && !list.length && (
        <p class="empty card">There are no plugins yet. <code>hedgerow plugin add</code> or the provision file adds one.</p>
      )}
    </>
  );
}

// Those that are on and have something wrong.
export function failing(value) {
  return (value?.plugins ?? []).flatMap((plugin) =>
    plugin.configs.filter((c) => c.enabled && faultsOf(c).length).map((config) => ({ plugin, config, text: faultsOf(config)[0].text })));
}
