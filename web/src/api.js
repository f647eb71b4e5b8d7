// Talks to the server that the page came from. Faults are ApiFault: `kind` says what the page does about it.
//   gone      nobody answers, or the server is starting: try again
//   ended     the session is over: log in
//   refused   the server says no; `message` tells why

export class ApiFault extends Error {
  constructor(kind, message, status = 0) {
    super(message);
    this.kind = kind;
    this.status = status;
  }
}

const TIME_LIMIT_MS = 8000;

async function faultOf(response) {
  let message = `The server answered ${response.status}.`;
  let code = '';
  try {
    ({ code, message } = (await response.json()).error);
  } catch {
    // not one of ours: the status has to do
  }
  if (response.status === 401) return new ApiFault('ended', 'The session has ended.', 401);
  if (response.status === 503 && code === 'starting') return new ApiFault('gone', 'The server is starting.', 503);
  return new ApiFault('refused', message, response.status);
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, cache: 'no-store', signal: AbortSignal.timeout(TIME_LIMIT_MS) });
  } catch {
    throw new ApiFault('gone', 'The server does not answer.');
  }
  if (!response.ok) throw await faultOf(response);
  return response;
}

async function readBody(response, how) {
  try {
    return await response[how]();
  } catch {
    throw new ApiFault('gone', 'The server broke off its answer.');
  }
}

// `query` is an object; empty values are left out.
export function pathOf(path, query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== '' && value !== undefined && value !== null && value !== 0);
  return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}

export async function getJson(path, query) {
  return readBody(await ask(pathOf(path, query)), 'json');
}

// As text: numbers beyond 2^53 stay what they are.
export async function getText(path, query) {
  return readBody(await ask(pathOf(path, query)), 'text');
}

export async function post(path, body = {}) {
  const response = await ask(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  return readBody(response, 'text');
}

export function goToLogin() {
  location.replace('/login?ended=1');
}
