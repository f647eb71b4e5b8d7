// Small parts that every view uses.
import { useEffect, useRef, useState } from 'preact/hooks';
import { dateOnly, timeOfDay, utc, when } from './format.js';

export function Card({ title, more, children, class: name = '', id }) {
  return (
    <section class={`card ${name}`} aria-labelledby={id}>
      <div class="card-head">
        <h2 id={id}>{title}</h2>
        {more}
      </div>
      {children}
    </section>
  );
}

const FORMS = { clock: timeOfDay, date: dateOnly, auto: when };

// `us` (microseconds) or `iso` (text); UTC in the title.
export function Time({ us, iso, form = 'auto' }) {
  const date = new Date(iso ?? us / 1000);
  const exact = utc(date);
  return (
    <time dateTime={exact ? date.toISOString() : undefined} title={exact}>
      {FORMS[form](date)}
    </time>
  );
}

export function Fault({ fault }) {
  return fault ? <p class="fault" role="alert">{fault.message}</p> : null;
}

export function Pill({ kind, children }) {
  return <span class={`pill ${kind}`}>{children}</span>;
}

// A part of a whole as a bar.
export function Meter({ value, max, label }) {
  const share = max > 0 ? Math.min(1, value / max) : 0;
  const kind = share > 0.9 ? 'bad' : share > 0.7 ? 'warn' : '';
  return (
    <svg class={`meter ${kind}`} viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={label}>
      <rect class="rest" width="100" height="4" />
      <rect class="part" width={share * 100} height="4" />
    </svg>
  );
}

// Copies the text, or selects it where the browser does not let pages copy.
export function Copy({ text, label = 'Copy', of }) {
  const [done, setDone] = useState('');
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => setDone(''), 2000);
    return () => clearTimeout(timer);
  }, [done]);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      setDone('Copied');
    } catch {
      if (of?.current) getSelection().selectAllChildren(of.current);
      setDone('Selected');
    }
  }
  return (
    <button type="button" class="small" onClick={copy}>
      <span aria-live="polite">{done || label}</span>
    </button>
  );
}

// A modal window: the browser keeps the focus inside and gives it back; Escape and a click beside it close.
export function Dialog({ title, onClose, children }) {
  const ref = useRef();
  useEffect(() => {
    ref.current.showModal();
  }, []);
  const onClick = (e) => e.target === ref.current && ref.current.close();
  return (
    <dialog ref={ref} onClose={onClose} onClick={onClick} aria-labelledby="dialog-title">
      <div class="dialog-head">
        <h2 id="dialog-title">{title}</h2>
        <button type="button" class="small" onClick={() => ref.current.close()}>Close</button>
      </div>
      <div class="dialog-body">{children}</div>
    </dialog>
  );
}

// Loads once per change of `inputs`; `again` loads anew. What was there stays while it does.
export function useLoaded(load, inputs, onFault) {
  const [state, setState] = useState({ value: undefined, fault: null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let isOver = false;
    load().then(
      (value) => isOver || setState({ value, fault: null }),
      (fault) => {
        if (isOver) return;
        onFault?.(fault);
        setState((old) => ({ value: old.value, fault }));
      },
    );
    return () => {
      isOver = true;
    };
  }, [...inputs, turn]);
  return { ...state, again: () => setTurn((n) => n + 1) };
}

// Calls fn every `ms` while the page can be seen, and at once when it comes back into view.
export function useEvery(ms, fn) {
  const latest = useRef(fn);
  latest.current = fn;
  useEffect(() => {
    let timer;
    const tick = () => latest.current();
    const begin = () => {
      clearInterval(timer);
      if (document.visibilityState === 'hidden') return;
      tick();
      timer = setInterval(tick, ms);
    };
    begin();
    document.addEventListener('visibilitychange', begin);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', begin);
    };
  }, [ms]);
}
