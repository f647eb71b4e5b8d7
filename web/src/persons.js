// A person by one of the distinct ids.
import { useEffect, useState } from 'preact/hooks';
import { getText } from './api.js';
import { number } from './format.js';
import { Json } from './json.js';
import { Card, Fault, Pill, Time, useLoaded } from './ui.js';

const IDS_SHOWN = 100;

function propertiesText(text) {
  // The text between "properties": and the member behind it, so that numbers keep their digits.
  const begin = text.indexOf('"properties":') + '"properties":'.length;
  const end = text.lastIndexOf(',"is_identified":');
  return end > begin ? text.slice(begin, end) : 'null';
}

function Person({ text }) {
  const person = JSON.parse(text);
  const ids = person.distinct_ids;
  return (
    <Card id="person-title" title={`Person ${person.uuid}`} more={<Pill kind={person.is_identified ? 'good' : ''}>{person.is_identified ? 'identified' : 'anonymous'}</Pill>}>
      <dl class="facts">
        <dt>First seen</dt><dd><Time us={person.created_at} /></dd>
        <dt>Team</dt><dd>{person.team_id}</dd>
        <dt>Version</dt><dd>{number(person.version)}</dd>
      </dl>
      <h3>Distinct ids ({number(ids.length)})</h3>
      <ul class="ids">{ids.slice(0, IDS_SHOWN).map((id) => <li key={id}><code>{id}</code></li>)}</ul>
      {ids.length > IDS_SHOWN && <p class="quiet">and {number(ids.length - IDS_SHOWN)} more</p>}
      <h3>Properties</h3>
      <Json text={propertiesText(text)} label="Properties of the person as JSON" />
    </Card>
  );
}

function Found({ team, id, onEnded }) {
  const { value, fault } = useLoaded(() => getText('/api/persons', { team, distinct_id: id }), [team, id], (f) => f.kind === 'ended' && onEnded());
  if (fault?.status === 404) return <p class="empty" role="status">Nobody has the distinct id “{id}” in team {team}.</p>;
  if (fault) return <Fault fault={fault} />;
  return value ? <Person text={value} /> : <p class="empty">Loading.</p>;
}

// `at` is the part of the address behind #persons: [team, distinct id].
export function Persons({ at, team, teams, onEnded }) {
  const usual = Number(at[0]) || team || teams[0]?.id || 1;
  const [text, setText] = useState(at[1] ?? '');
  const [chosen, setChosen] = useState(usual);
  useEffect(() => {
    setText(at[1] ?? '');
    setChosen(usual);
  }, [at.join('/'), team]);
  const submit = (e) => {
    e.preventDefault();
    if (text) location.hash = `persons/${chosen}/${encodeURIComponent(text)}`;
  };
  return (
    <>
      <Card id="find-title" title="Find a person">
        <form class="filters" role="search" onSubmit={submit}>
          <label class="field wide">
            <span>Distinct id</span>
            <input type="search" name="person" value={text} autocomplete="off" spellcheck={false} required onInput={(e) => setText(e.currentTarget.value)} />
          </label>
          {teams.length > 1 && (
            <label class="field">
              <span>Team</span>
              <select value={chosen} onChange={(e) => setChosen(Number(e.currentTarget.value))}>
                {teams.map((t) => <option key={t.id} value={t.id}>{t.name}</option>)}
              </select>
            </label>
          )}
          <button type="submit" class="primary">Find</button>
        </form>
      </Card>
      {at[1] && <Found key={at.join('/')} team={usual} id={at[1]} onEnded={onEnded} />}
    </>
  );
}
