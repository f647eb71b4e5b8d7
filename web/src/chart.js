// Events per minute as a curve (uPlot). What it shows is said in words as well, for those who cannot see it.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { minuteOfDay, number, short } from './format.js';
import { Minutes } from './minutes.js';
import { Card, Fault, useEvery } from './ui.js';

const HEIGHT = 220;
const EVERY_MS = 3000;
const RANGES = [[60, '1 h'], [360, '6 h'], [1440, '24 h']];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function optionsFor(width, onCursor) {
  const axis = { stroke: colour('--quiet'), font: '12px system-ui, sans-serif', ticks: { stroke: colour('--line'), size: 4 }, grid: { stroke: colour('--line'), width: 1 } };
  return {
    width,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false, points: { size: 7 } },
    scales: { y: { range: (u, min, max) => [0, Math.max(5, max * 1.1)] } },
    axes: [
      { ...axis, grid: { show: false }, size: 30, space: 64, values: (u, splits) => splits.map((s) => minuteOfDay(new Date(s * 1000))) },
      { ...axis, size: 52, space: 40, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 2e7, 5e7, 1e8], values: (u, splits) => splits.map(short) },
    ],
    series: [
      {},
      { stroke: colour('--accent'), fill: colour('--accent-fill'), width: 1.75, points: { show: false } },
      { stroke: colour('--warn'), fill: colour('--warn'), width: 0, paths: uPlot.paths.bars({ size: [0.6, 10] }), points: { show: false } },
    ],
    hooks: { setCursor: [(u) => onCursor(u.cursor.idx ?? null)] },
  };
}

// The canvas; made anew when the width or the colours change.
function Canvas({ columns, onCursor }) {
  const box = useRef();
  const plot = useRef();
  const [turn, setTurn] = useState(0);
  useLayoutEffect(() => {
    plot.current = new uPlot(optionsFor(box.current.clientWidth, onCursor), columns, box.current);
    return () => plot.current.destroy();
  }, [turn]);
  useEffect(() => {
    if (plot.current.data !== columns) plot.current.setData(columns);
  }, [columns]);
  useEffect(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const again = () => setTurn((n) => n + 1);
    const sizes = new ResizeObserver(() => {
      const width = box.current?.clientWidth; // none when the view has just changed
      if (width && width !== plot.current.width) plot.current.setSize({ width, height: HEIGHT });
    });
    dark.addEventListener('change', again);
    sizes.observe(box.current);
    return () => {
      dark.removeEventListener('change', again);
      sizes.disconnect();
    };
  }, []);
  return <div class="chart" ref={box} aria-hidden="true" />;
}

function sumUp([times, stored, other]) {
  let most = 0;
  let all = 0;
  let rest = 0;
  stored.forEach((n, i) => {
    if (n > stored[most]) most = i;
    all += n;
    rest += other[i];
  });
  const peak = stored[most] ? `, most at ${minuteOfDay(new Date(times[most] * 1000))} with ${number(stored[most])}` : '';
  const others = rest ? `; ${number(rest)} repeated, dropped or failed` : '';
  return `${number(all)} stored${peak}${others}`;
}

function atCursor([times, stored, other], i) {
  const rest = other[i] ? `, ${number(other[i])} repeated, dropped or failed` : '';
  return `${minuteOfDay(new Date(times[i] * 1000))}: ${number(stored[i])} stored${rest}`;
}

export function Chart({ team, onEnded }) {
  const [range, setRange] = useState(60);
  const [columns, setColumns] = useState(null);
  const [cursor, setCursor] = useState(null);
  const [fault, setFault] = useState(null);
  const minutes = useRef(new Minutes(team));
  if (minutes.current.team !== team) minutes.current = new Minutes(team);
  async function load() {
    const mine = minutes.current;
    const show = () => mine === minutes.current && setColumns(mine.columns(range));
    try {
      await mine.refresh();
      show();
      await mine.reach(range, show);
      setFault(null);
    } catch (e) {
      if (e.kind === 'ended') onEnded();
      else if (e.kind !== 'gone') setFault(e);
    }
  }
  useEvery(EVERY_MS, load);
  useEffect(() => {
    load();
  }, [team, range]);
  const text = columns ? (cursor !== null && cursor < columns[0].length ? atCursor(columns, cursor) : sumUp(columns)) : ' ';
  return (
    <Card id="chart-title" title="Events per minute" class="chart-card" more={
      <div class="choice" role="group" aria-label="Range of the chart">
        {RANGES.map(([n, label]) => (
          <button key={n} type="button" aria-pressed={range === n} onClick={() => setRange(n)}>{label}</button>
        ))}
      </div>
    }>
      <p class="quiet chart-note">{text}</p>
      <Fault fault={fault} />
      {columns ? <Canvas columns={columns} onCursor={setCursor} /> : <div class="chart" />}
    </Card>
  );
}
