// A bare TCP connection to a listener, for what an HTTP client would not send.
'use strict';

const net = require('node:net');

class Raw {
  constructor(url, { allowHalfOpen = true } = {}) {
    const { hostname, port } = new URL(url);
    this.bytes = Buffer.alloc(0);
    this.isEnded = this.isClosed = false;
    this.waiting = new Set();
    this.socket = net.connect({ host: hostname, port, allowHalfOpen });
    this.socket.setNoDelay(true);
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('connect', () => resolve(this));
      this.socket.once('error', reject);
    });
    this.opened.catch(() => {});
    this.socket.on('error', () => {}); // a reset is seen as `isClosed`
    this.socket.on('data', (part) => this.news(() => (this.bytes = Buffer.concat([this.bytes, part]))));
    this.socket.on('end', () => this.news(() => (this.isEnded = true)));
    this.socket.on('close', () => this.news(() => (this.isEnded = this.isClosed = true)));
  }

  news(change) {
    change();
    for (const wake of this.waiting) wake();
  }

  write(text) {
    return new Promise((resolve) => this.socket.write(text, () => resolve()));
  }

  end() {
    this.socket.end();
  }

  close() {
    this.socket.destroy();
  }

  // Waits until `ready()` gives something truthy after some bytes or the end of the stream have come.
  async until(ready, what, timeoutMs = 20000) {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const value = ready();
      if (value) return value;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`not within ${timeoutMs} ms: ${what}; got ${JSON.stringify(this.bytes.toString('latin1', 0, 400))}`);
      await new Promise((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          this.waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, left);
        this.waiting.add(wake);
      });
    }
  }

  ended(timeoutMs) {
    return this.until(() => this.isEnded, 'the server ends the connection', timeoutMs);
  }

  // The next answer on this connection: { status, headers, text, json }; null when the stream ends before its head.
  // Interim answers (100) are answers too.
  async answer(timeoutMs) {
    const head = await this.until(() => {
      const at = this.bytes.indexOf('\r\n\r\n');
      return at !== -1 ? { at } : this.isEnded && { at: -1 };
    }, 'an answer', timeoutMs);
    if (head.at === -1) return null;
    const [first, ...lines] = this.bytes.toString('latin1', 0, head.at).split('\r\n');
    const headers = Object.fromEntries(lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }));
    const status = Number(first.split(' ')[1]);
    const length = status === 100 || status === 204 ? 0 : Number(headers['content-length'] ?? 0);
    const from = head.at + 4;
    await this.until(() => this.bytes.length >= from + length || this.isEnded, 'the body of an answer', timeoutMs);
    const text = this.bytes.toString('utf8', from, from + length);
    this.bytes = this.bytes.subarray(from + length);
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status, headers, text, json };
  }
}

function connect(url, options) {
  return new Raw(url, options).opened;
}

// The bytes of a request; a body that is not text or bytes goes as JSON.
function requestBytes(method, target, { headers = {}, body } = {}) {
  const bytes = body === undefined ? Buffer.alloc(0)
    : Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const all = { Host: 'localhost', ...(body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': bytes.length }),
    ...headers };
  const head = `${method} ${target} HTTP/1.1\r\n${Object.entries(all).map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), bytes]);
}

module.exports = { connect, requestBytes };
