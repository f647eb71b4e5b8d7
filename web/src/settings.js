// Every setting with its value and where that came from.
import { useState } from 'preact/hooks';
import { getJson } from './api.js';
import { Card, Fault, Pill, useLoaded } from './ui.js';

function groupsOf(settings) {
  const groups = new Map();
  for (const s of settings) groups.set(s.group, [...(groups.get(s.group) ?? []), s]);
  return [...groups];
}

function Row({ setting: s }) {
  return (
    <tr>
      <th scope="row"><code>{s.name}</code>{!s.is_built && <span class="quiet"> not built yet</span>}<span class="help">{s.help}</span></th>
      <td class="value">{s.value === '' ? <span class="quiet">empty</span> : <code>{s.value}</code>}
        {s.origin !== 'default' && !s.is_secret && s.value !== s.default && <span class="help">default {s.default === '' ? 'empty' : <code>{s.default}</code>}</span>}
      </td>
      <td><Pill kind={s.origin === 'default' ? '' : 'good'}>{s.origin}</Pill></td>
    </tr>
  );
}

export function Settings({ onEnded }) {
  const { value, fault } = useLoaded(() => getJson('/api/settings'), [], (f) => f.kind === 'ended' && onEnded());
  const [text, setText] = useState('');
  const [onlyChanged, setOnlyChanged] = useState(false);
  const wanted = text.trim().toLowerCase();
  const fits = (s) => (!onlyChanged || s.origin !== 'default') && (!wanted || s.name.toLowerCase().includes(wanted) || s.help.toLowerCase().includes(wanted));
  const shown = (value?.settings ?? []).filter(fits);
  return (
    <>
      <form class="filters card" role="search" onSubmit={(e) => e.preventDefault()}>
        <label class="field wide"><span>Find a setting</span><input type="search" name="setting" value={text} autocomplete="off" spellcheck={false} onInput={(e) => setText(e.currentTarget.value)} /></label>
        <label class="check"><input type="checkbox" checked={onlyChanged} onChange={(e) => setOnlyChanged(e.currentTarget.checked)} /> only those that were set</label>
      </form>
      <Fault fault={fault?.kind === 'refused' ? fault : null} />
      {groupsOf(shown).map(([group, list]) => (
        <Card key={group} id={`group-${group.replace(/\W+/g, '-')}`} title={group}>
          <div class="scroll">
            <table class="settings">
              <thead><tr><th scope="col">Setting</th><th scope="col">Value</th><th scope="col">Source</th></tr></thead>
              <tbody>{list.map((s) => <Row key={s.name} setting={s} />)}</tbody>
            </table>
          </div>
        </Card>
      ))}
      {value && !shown.length && <p class="empty card">No setting fits.</p>}
    </>
  );
}
