// The state of the server, asked for once a second while the page can be seen, and the rates that follow from it.
import { useRef, useState } from 'preact/hooks';
import { getJson } from './api.js';
import { useEvery } from './ui.js';

const EVERY_MS = 1000;
const WINDOW = 3; // samples: rates are of the last two seconds
const KEPT = 61;

function sampleOf(status) {
  return {
    now: status.process.now,
    started: status.process.started_at,
    end: status.queue.end,
    stored: status.pipeline.stored,
    cpu: status.process.cpu_ms ?? 0,
    lag: status.queue.lag_events,
  };
}

// A server that started anew counts from the beginning.
export function addSample(samples, sample) {
  const last = samples[samples.length - 1];
  if (last && (sample.started !== last.started || sample.end < last.end || sample.now <= last.now)) return [sample];
  return [...samples.slice(-(KEPT - 1)), sample];
}

function rateBetween(a, b) {
  const s = (b.now - a.now) / 1e6;
  return { accepted: (b.end - a.end) / s, stored: (b.stored - a.stored) / s, cpu: (b.cpu - a.cpu) / 10 / s };
}

export function ratesOf(samples) {
  const last = samples[samples.length - 1];
  const first = samples[Math.max(0, samples.length - WINDOW)];
  return last && first !== last ? rateBetween(first, last) : { accepted: 0, stored: 0, cpu: 0 };
}

// One value per second, for the small curves.
export function historyOf(samples, name) {
  return samples.slice(1).map((s, i) => rateBetween(samples[i], s)[name]);
}

export const lagHistory = (samples) => samples.map((s) => s.lag);

export function lagOf(status) {
  const { lag_events: events, oldest_unread_us: oldest } = status.queue;
  return { events, seconds: events && oldest ? Math.max(0, (status.process.now - oldest) / 1e6) : 0 };
}

// {status, samples, fault}: what was last known stays while the server is gone.
export function useStatus(onEnded) {
  const [state, setState] = useState({ status: null, samples: [], fault: null });
  const isAsking = useRef(false);
  useEvery(EVERY_MS, async () => {
    if (isAsking.current) return;
    isAsking.current = true;
    try {
      const status = await getJson('/api/status');
      setState((old) => ({ status, samples: addSample(old.samples, sampleOf(status)), fault: null }));
    } catch (fault) {
      if (fault.kind === 'ended') onEnded();
      else setState((old) => ({ ...old, fault }));
    } finally {
      isAsking.current = false;
    }
  });
  return state;
}
