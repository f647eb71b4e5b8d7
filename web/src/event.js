// One event, whole.
import { getText } from './api.js';
import { Json } from './json.js';
import { Copy, Dialog, Fault, Time, useLoaded } from './ui.js';

export function EventDialog({ uuid, onClose, onEnded }) {
  const { value: text, fault } = useLoaded(() => getText(`/api/events/${encodeURIComponent(uuid)}`), [uuid], (f) => f.kind === 'ended' && onEnded());
  const event = text ? JSON.parse(text) : null;
  return (
    <Dialog title={event ? event.event : 'Event'} onClose={onClose}>
      <Fault fault={fault} />
      {event && (
        <>
          <dl class="facts">
            <dt>Time</dt><dd><Time iso={event.timestamp} /></dd>
            <dt>Distinct id</dt>
            <dd><a href={`#persons/${event.team_id}/${encodeURIComponent(event.distinct_id)}`} onClick={onClose}>{event.distinct_id}</a></dd>
            <dt>Team</dt><dd>{event.team_id}</dd>
          </dl>
          <p class="bar"><Copy text={text} label="Copy JSON" /></p>
          <Json text={text} label="The event as JSON" />
        </>
      )}
      {!event && !fault && <p class="empty">Loading.</p>}
    </Dialog>
  );
}
