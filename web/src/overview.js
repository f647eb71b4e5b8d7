// The first view: figures, curve, live events, and what there is to know about the server.
import { useRef } from 'preact/hooks';
import { Chart } from './chart.js';
import { bytes, rate, uptime } from './format.js';
import { ratesOf } from './status.js';
import { Stats } from './stats.js';
import { Tail } from './tail.js';
import { Card, Copy, Pill, Time } from './ui.js';

// The capture URL as the reader's machine would write it.
function captureUrl(capture) {
  if (!capture?.url) return '';
  if (!capture.is_everywhere) return capture.url;
  const url = new URL(capture.url);
  url.hostname = location.hostname;
  return url.href.replace(/\/$/, '');
}

function curlLine(url, token) {
  const body = JSON.stringify({ api_key: token, event: 'hello', distinct_id: 'me' });
  return `curl -sS ${url}/capture/ -H 'Content-Type: application/json' -H 'X-Forwarded-For: 89.160.20.129' -d '${body}'`;
}

function FirstRun({ status, team }) {
  const code = useRef();
  const url = captureUrl(status.capture);
  const line = curlLine(url, team.api_token);
  return (
    <Card id="first-title" title="No event has come yet" class="first">
      <p>Send the first one from a terminal, it appears below within a second:</p>
      <pre class="json command" ref={code} tabIndex={0} role="region" aria-label="Command that sends a first event">{line}</pre>
      <p class="bar"><Copy text={line} label="Copy the command" of={code} /></p>
      <p class="quiet">An SDK needs two settings: the host <code>{url}</code> and the project token <code>{team.api_token}</code>.</p>
    </Card>
  );
}

function GeoState({ geo }) {
  if (!geo) return <span class="quiet">off</span>;
  if (!geo.is_loaded) return <><Pill kind={geo.fault ? 'bad' : ''}>{geo.fault ? 'failed' : 'no database'}</Pill>{geo.fault && <span class="help">{geo.fault}</span>}</>;
  return (
    <>
      <Pill kind={geo.is_stale || geo.fault ? 'warn' : 'good'}>{geo.is_stale ? 'old' : 'loaded'}</Pill> {geo.type}
      <span class="help">built <Time us={geo.built_at} form="date" />{geo.fault ? `; ${geo.fault}` : ''}</span>
    </>
  );
}

const CHECKS = [['queue', 'Queue'], ['pipeline', 'Pipeline'], ['store', 'Store']];
const CHECK_KIND = { ok: 'good', degraded: 'warn', error: 'bad' };

function Server({ status, samples, teams }) {
  const { process: p } = status;
  const url = captureUrl(status.capture);
  return (
    <Card id="server-title" title="Server" class="server">
      <dl class="facts">
        {CHECKS.map(([key, label]) => [
          <dt key={`${key}t`}>{label}</dt>,
          <dd key={key}><Pill kind={CHECK_KIND[status.checks[key]]}>{status.checks[key]}</Pill>
            {status[`${key}_error`] && <span class="help">{status[`${key}_error`]}</span>}</dd>,
        ])}
        <dt>Version</dt><dd>{status.version}</dd>
        <dt>Up for</dt><dd><time dateTime={new Date(p.started_at / 1000).toISOString()} title={`since ${new Date(p.started_at / 1000).toISOString()}`}>{uptime((p.now - p.started_at) / 1e6)}</time></dd>
        <dt>CPU</dt><dd>{rate(ratesOf(samples).cpu)} %</dd>
        <dt>Memory</dt><dd>{p.resident_bytes ? bytes(p.resident_bytes) : '–'}</dd>
        <dt>GeoIP</dt><dd><GeoState geo={status.geoip} /></dd>
        {url && <><dt>Capture</dt><dd class="break"><code>{url}</code></dd></>}
        {teams.slice(0, 5).map((t) => [
          <dt key={`${t.id}t`}>{teams.length > 1 ? t.name : 'Token'}</dt>,
          <dd key={t.id} class="break"><code>{t.api_token}</code></dd>,
        ])}
      </dl>
    </Card>
  );
}

export function Overview({ status, samples, team, teams, onOpen, onEnded, isGone }) {
  const isFirst = status && status.queue.end === 0 && status.pipeline.stored === 0;
  const shown = teams.find((t) => t.id === team) ?? teams[0];
  return (
    <>
      {isFirst && shown && <FirstRun status={status} team={shown} />}
      <Stats status={status} samples={samples} />
      <Chart team={team} onEnded={onEnded} />
      <div class="columns">
        <Tail team={team} hasTeams={teams.length > 1 && !team} onOpen={onOpen} isGone={isGone} />
        {status ? <Server status={status} samples={samples} teams={teams} /> : <Card id="server-title" title="Server" class="server" />}
      </div>
    </>
  );
}
