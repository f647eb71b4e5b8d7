// Numbers, sizes and times as people read them. Times of the API are microseconds since 1970.

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });

export const number = (n) => whole.format(n);
export const short = (n) => (Math.abs(n) < 10000 ? whole.format(n) : compact.format(n));

export function rate(n) {
  return n > 0 && n < 10 ? tenth.format(n) : short(n);
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(n) {
  let unit = 0;
  while (n >= 1024 && unit < SIZES.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${n < 10 && unit > 0 ? tenth.format(n) : whole.format(n)} ${SIZES[unit]}`;
}

export function percent(part, all) {
  return all > 0 ? `${tenth.format((part / all) * 100)} %` : '–';
}

export function seconds(s) {
  if (s < 0.05) return '0 s';
  if (s < 10) return `${tenth.format(s)} s`;
  if (s < 120) return `${whole.format(s)} s`;
  if (s < 7200) return `${whole.format(s / 60)} min`;
  if (s < 172800) return `${whole.format(s / 3600)} h`;
  return `${whole.format(s / 86400)} days`;
}

export function uptime(s) {
  const days = Math.floor(s / 86400);
  const hours = Math.floor(s / 3600) % 24;
  const minutes = Math.floor(s / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes) return `${minutes} min`;
  return `${Math.floor(s)} s`;
}

export function micros(us) {
  if (us < 1000) return `${whole.format(us)} µs`;
  if (us < 1e6) return `${tenth.format(us / 1000)} ms`;
  return `${tenth.format(us / 1e6)} s`;
}

export function millis(ms) {
  return ms < 10000 ? `${whole.format(ms)} ms` : `${tenth.format(ms / 1000)} s`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const minuteClock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const dateClock = new Intl.DateTimeFormat(undefined, { year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const day = new Intl.DateTimeFormat(undefined, { year: 'numeric', month: 'short', day: 'numeric' });

export const isValid = (date) => !Number.isNaN(date.getTime());
export const utc = (date) => (isValid(date) ? `${date.toISOString().replace('T', ' ').replace('Z', '')} UTC` : '');
export const timeOfDay = (date) => (isValid(date) ? clock.format(date) : '–');
export const minuteOfDay = (date) => minuteClock.format(date);
export const dateOnly = (date) => (isValid(date) ? day.format(date) : '–');

// The clock alone for today, with the day for everything else.
export function when(date, now = new Date()) {
  if (!isValid(date)) return '–';
  return date.toDateString() === now.toDateString() ? clock.format(date) : dateClock.format(date);
}
