// Events that could not be processed, with the reason; and plugins that fail.
import { useEffect, useState } from 'preact/hooks';
import { getJson, getText } from './api.js';
import { bytes } from './format.js';
import { Json } from './json.js';
import { failing, usePlugins } from './plugins.js';
import { Card, Copy, Dialog, Fault, Time, useEvery, useLoaded } from './ui.js';

const EVERY_MS = 3000;
const PAGE = 50;

function ErrorDialog({ entry, onClose, onEnded }) {
  const { value: text, fault } = useLoaded(() => getText(`/api/errors/${entry.id}`), [entry.id], (f) => f.kind === 'ended' && onEnded());
  return (
    <Dialog title={`Failed event ${entry.id}`} onClose={onClose}>
      <Fault fault={fault} />
      <dl class="facts">
        <dt>Time</dt><dd><Time us={entry.at} /></dd>
        <dt>Stage</dt><dd>{entry.stage}</dd>
        <dt>Reason</dt><dd>{entry.reason}</dd>
      </dl>
      {text && <p class="bar"><Copy text={text} label="Copy JSON" /></p>}
      {text && <Json text={text} label="The failed event as it was captured, as JSON" />}
    </Dialog>
  );
}

// The newest are asked for again and again; older ones are added by hand and do not change.
function useDeadLetters(team, onEnded) {
  const [entries, setEntries] = useState(null);
  const [hasMore, setMore] = useState(false);
  const [fault, setFault] = useState(null);
  const fail = (e) => (e.kind === 'ended' ? onEnded() : e.kind === 'refused' && setFault(e));
  async function refresh() {
    try {
      const { entries: newest } = await getJson('/api/errors', { team, limit: PAGE });
      setFault(null);
      setEntries((old) => {
        const last = newest.length ? newest[newest.length - 1].id : 0;
        const older = newest.length === PAGE ? (old ?? []).filter((e) => e.id < last) : [];
        if (!older.length) setMore(newest.length === PAGE);
        return [...newest, ...older];
      });
    } catch (e) {
      fail(e);
    }
  }
  async function more() {
    try {
      const { entries: older } = await getJson('/api/errors', { team, limit: PAGE, before: entries[entries.length - 1].id });
      setMore(older.length === PAGE);
      setEntries((old) => [...old, ...older]);
    } catch (e) {
      fail(e);
    }
  }
  useEvery(EVERY_MS, refresh);
  useEffect(() => {
    setEntries(null);
    refresh();
  }, [team]);
  return { entries, hasMore, fault, more };
}

function Failing({ onEnded }) {
  const { value } = usePlugins(onEnded);
  const list = failing(value);
  if (!list.length) return null;
  return (
    <Card id="failing-title" title="Failing plugins">
      <ul class="failing">
        {list.map(({ plugin, config, text }) => (
          <li key={config.id}><a href="#plugins">{plugin.name}</a> <span class="quiet">team {config.team_id}</span> <span class="error-line">{text}</span></li>
        ))}
      </ul>
    </Card>
  );
}

export function Errors({ team, onEnded }) {
  const { entries, hasMore, fault, more } = useDeadLetters(team, onEnded);
  const [open, setOpen] = useState(null);
  return (
    <>
      <Failing onEnded={onEnded} />
      <Card id="dead-title" title="Events that could not be processed">
        <Fault fault={fault} />
        {entries && !entries.length && <p class="empty">None. Every event that was accepted could be processed.</p>}
        {entries?.length > 0 && (
          <div class="scroll" tabIndex={0} role="region" aria-label="Failed events, newest first">
            <table class="dead">
              <thead>
                <tr><th scope="col" class="time">Time</th><th scope="col">Reason</th><th scope="col">Distinct id</th><th scope="col" class="num">Team</th><th scope="col" class="num">Size</th></tr>
              </thead>
              <tbody>
                {entries.map((e) => (
                  <tr key={e.id}>
                    <td class="time"><Time us={e.at} /></td>
                    <td><button type="button" class="link" onClick={() => setOpen(e)}>{e.reason}</button> <span class="quiet">{e.stage}</span></td>
                    <td class="id">{e.distinct_id ?? ''}</td>
                    <td class="num">{e.team_id}</td>
                    <td class="num">{bytes(e.envelope_bytes)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
        {hasMore && <p class="bar"><button type="button" onClick={more}>Older</button></p>}
      </Card>
      {open && <ErrorDialog entry={open} onClose={() => setOpen(null)} onEnded={onEnded} />}
    </>
  );
}
