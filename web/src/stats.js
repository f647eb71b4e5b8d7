// The figures at the top: what comes in, what is stored, how far behind, what it takes.
import { bytes, percent, rate, seconds, short } from './format.js';
import { historyOf, lagHistory, lagOf, ratesOf } from './status.js';
import { Meter } from './ui.js';

const SPARK_POINTS = 60;

// The last minute as a curve; its scale is its own.
function Spark({ values }) {
  const max = Math.max(...values, 1);
  const x = (i) => ((SPARK_POINTS - values.length + i) / (SPARK_POINTS - 1)) * 100;
  const points = values.map((v, i) => `${x(i).toFixed(1)},${(23 - (v / max) * 21).toFixed(1)}`);
  return (
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      {values.length > 1 && <polygon points={`${x(0).toFixed(1)},24 ${points.join(' ')} 100,24`} />}
      {values.length > 1 && <polyline points={points.join(' ')} />}
    </svg>
  );
}

function Stat({ name, label, value, unit, note, children }) {
  return (
    <div class="stat card" data-stat={name}>
      <dt>{label}</dt>
      <dd>
        <span class="value">{value}</span> <span class="unit">{unit}</span>
        {children}
        <span class="note">{note}</span>
      </dd>
    </div>
  );
}

function outcomeNote(p) {
  const parts = [];
  if (p.duplicates) parts.push(`${short(p.duplicates)} repeated`);
  if (p.dropped) parts.push(`${short(p.dropped)} dropped`);
  if (p.dead_letters) parts.push(`${short(p.dead_letters)} failed`);
  return parts.length ? parts.join(', ') : `${short(p.stored)} since start`;
}

export function Stats({ status, samples }) {
  if (!status) return <dl class="stats" aria-hidden="true">{[0, 1, 2, 3, 4].map((i) => <div key={i} class="stat card" />)}</dl>;
  const rates = ratesOf(samples);
  const lag = lagOf(status);
  const { queue, disk, pipeline } = status;
  const used = disk.database_bytes + disk.wal_bytes + queue.bytes;
  return (
    <dl class="stats">
      <Stat name="accepted" label="Accepted" value={rate(rates.accepted)} unit="events/s" note={`${short(queue.end)} in all`}>
        <Spark values={historyOf(samples, 'accepted')} />
      </Stat>
      <Stat name="stored" label="Stored" value={rate(rates.stored)} unit="events/s" note={outcomeNote(pipeline)}>
        <Spark values={historyOf(samples, 'stored')} />
      </Stat>
      <Stat name="lag" label="Lag" value={short(lag.events)} unit={lag.events === 1 ? 'event' : 'events'}
        note={lag.events ? `oldest waits ${seconds(lag.seconds)}` : 'nothing waits'}>
        <Spark values={lagHistory(samples)} />
      </Stat>
      <Stat name="queue" label="Queue" value={bytes(queue.unread_bytes ?? 0)} unit="unread"
        note={`${percent(queue.unread_bytes ?? 0, queue.budget_bytes)} of ${bytes(queue.budget_bytes)}, files ${bytes(queue.bytes)}`}>
        <Meter value={queue.unread_bytes ?? 0} max={queue.budget_bytes} label={`${percent(queue.unread_bytes ?? 0, queue.budget_bytes)} of the queue's room is used`} />
      </Stat>
      <Stat name="disk" label="Disk" value={bytes(used)} unit="used"
        note={disk.free_bytes === null ? `database ${bytes(disk.database_bytes)}` : `database ${bytes(disk.database_bytes)}, ${bytes(disk.free_bytes)} free`}>
        {disk.free_bytes !== null && <Meter value={used} max={used + disk.free_bytes} label={`${percent(used, used + disk.free_bytes)} of the disk's free room is used`} />}
      </Stat>
    </dl>
  );
}
