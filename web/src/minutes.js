// Events per minute, as the server has counted them: loaded an hour at a time, then kept fresh.
import { getJson } from './api.js';

export const MINUTE_S = 60;
const CHUNK = 60;
const KEPT = 1440;

// Rows by minute of one team (0: all).
export class Minutes {
  constructor(team) {
    this.team = team;
    this.rows = new Map();
    this.oldest = Infinity; // of what was asked for
    this.newest = 0;
  }

  async ask(to, minutes) {
    const answer = await getJson('/api/minutes', { team: this.team, to, minutes });
    for (const row of answer.minutes) this.rows.set(row.minute, row);
    this.oldest = Math.min(this.oldest, answer.from);
    this.newest = Math.max(this.newest, answer.to);
    return answer;
  }

  // The current minute and those that may have changed since the last call; the server's clock decides.
  async refresh() {
    const gap = this.newest ? Math.floor(Date.now() / 60000) - this.newest : CHUNK;
    await this.ask(undefined, Math.min(CHUNK, Math.max(3, gap + 3)));
    for (const minute of this.rows.keys()) if (minute <= this.newest - KEPT) this.rows.delete(minute);
  }

  // Goes back until `minutes` are there; calls `onPart` after each hour.
  async reach(minutes, onPart) {
    while (this.newest - this.oldest + 1 < minutes) {
      await this.ask(this.oldest - 1, CHUNK);
      onPart();
    }
  }

  // Columns for the chart: seconds since 1970, stored, everything else.
  columns(minutes) {
    const from = this.newest - minutes + 1;
    const times = [];
    const stored = [];
    const other = [];
    for (let m = from; m <= this.newest; m++) {
      const row = this.rows.get(m);
      times.push(m * MINUTE_S);
      stored.push(row?.stored ?? 0);
      other.push(row ? row.duplicates + row.dropped + row.dead_letters : 0);
    }
    return [times, stored, other];
  }
}
