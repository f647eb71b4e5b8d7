// Applies the undo journal of losewrites.c: what a power cut at the moment of the kill would have
// taken away.
//
//   mode 'all'   nothing survives that was not synced
//   mode 'some'  each sector of each file keeps any one of the versions it had since the last sync, each file any one of its
//                sizes, the directories any beginning of their changes
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const HEAD_BYTES = 40;
const MAGIC = 0x45534f4c;
const WRITE = 1, SIZE = 2, SYNC = 3, CREATE = 4, RENAME = 5, UNLINK = 6, MKDIR = 7, CUT = 8;

// The whole entries of the journal. A kill may have cut the last one: its change did not happen.
function readJournal(file) {
  const bytes = fs.existsSync(file) ? fs.readFileSync(file) : Buffer.alloc(0);
  const entries = [];
  let pos = 0;
  while (pos + HEAD_BYTES <= bytes.length) {
    if (bytes.readUInt32LE(pos) !== MAGIC) throw new Error(`${file}: not an entry at ${pos}`);
    const [key, at, length, more] = [8, 16, 24, 32].map((o) => Number(bytes.readBigUInt64LE(pos + o)));
    if (pos + HEAD_BYTES + more > bytes.length) break;
    const data = bytes.subarray(pos + HEAD_BYTES, pos + HEAD_BYTES + more);
    entries.push({ pos, type: bytes.readUInt32LE(pos + 4), key, at, length, data });
    pos += HEAD_BYTES + more;
  }
  return { entries, end: pos };
}

function notSynced(entries) {
  const covered = new Map();
  for (const e of entries)
    if (e.type === SYNC) covered.set(e.key, Math.max(covered.get(e.key) || 0, e.at));
  return entries.filter((e) => e.type !== SYNC && e.pos >= (covered.get(e.key) || 0));
}

const isOfFile = (e) => e.type === WRITE || e.type === SIZE || e.type === CUT;

function filesByInode(dir, found = new Map()) {
  for (const e of fs.readdirSync(dir, { withFileTypes: true })) {
    const name = path.join(dir, e.name);
    if (e.isDirectory()) filesByInode(name, found);
    else if (e.isFile()) found.set(fs.statSync(name).ino, name);
  }
  return found;
}

// Newest first. `keep()` says whether a sector or the size stays as it is from here on. A cut is done or not done as a whole,
// with the size: file systems do not mix what was cut off with what came later.
function undoFile(name, entries, sector, keep) {
  const fd = fs.openSync(name, 'r+');
  const kept = new Set();
  let size = fs.fstatSync(fd).size;
  let isSizeKept = false;
  for (const e of entries.slice().reverse()) {
    const old = e.data.length ? e.data : Buffer.alloc(e.length);
    if (e.type === SIZE) {
      isSizeKept = isSizeKept || keep();
      if (!isSizeKept) size = e.at;
    }
    if (e.type === CUT && !isSizeKept) fs.writeSync(fd, old, 0, e.length, e.at);
    for (let at = e.at, next; at < e.at + e.length; at = next) {
      const number = Math.floor(at / sector);
      next = Math.min(e.at + e.length, (number + 1) * sector);
      if (e.type === CUT) {
        if (isSizeKept) kept.add(number);
        else kept.delete(number);
      } else if (!kept.has(number)) {
        if (keep()) kept.add(number);
        else fs.writeSync(fd, old, at - e.at, next - at, at);
      }
    }
  }
  fs.ftruncateSync(fd, size);
  fs.closeSync(fd);
}

function undoName(e, stashDir) {
  const [name, to] = e.data.toString().split('\0');
  const kept = e.at ? path.join(stashDir, String(e.at)) : null;
  if (e.type === CREATE) fs.rmSync(name, { force: true });
  if (e.type === MKDIR) fs.rmSync(name, { recursive: true, force: true });
  if (e.type === RENAME && fs.existsSync(to) && !fs.existsSync(name)) {
    fs.renameSync(to, name);
    if (kept) fs.renameSync(kept, to);
  }
  if (e.type === UNLINK && !fs.existsSync(name) && fs.existsSync(kept)) fs.renameSync(kept, name);
}

function forget(journal, stashDir) {
  fs.rmSync(journal, { force: true });
  fs.rmSync(stashDir, { recursive: true, force: true });
  fs.mkdirSync(stashDir);
}

// After a kill without a power cut: the journal goes on, without the entry that the kill cut short.
function keepAll(journal) {
  if (!fs.existsSync(journal)) return;
  const { end } = readJournal(journal);
  if (fs.statSync(journal).size > end) fs.truncateSync(journal, end);
}

// Returns how many changes were open: { writes, names }.
function loseWrites({ journal, dir, stashDir, mode, random }) {
  const open = notSynced(readJournal(journal).entries);
  const files = new Map([...filesByInode(stashDir), ...filesByInode(dir)]);
  const byFile = new Map();
  for (const e of open.filter(isOfFile)) {
    if (!byFile.has(e.key)) byFile.set(e.key, []);
    byFile.get(e.key).push(e);
  }
  for (const [key, entries] of byFile) {
    if (!files.has(key)) continue;
    const odds = mode === 'all' ? 0 : [0, 0.1, 0.5, 0.9][Math.floor(random() * 4)];
    undoFile(files.get(key), entries, random() < 0.5 ? 512 : 4096, () => random() < odds);
  }
  const names = open.filter((e) => !isOfFile(e));
  const from = mode === 'all' ? 0 : Math.floor(random() * (names.length + 1));
  for (const e of names.slice(from).reverse()) undoName(e, stashDir);
  forget(journal, stashDir);
  return { writes: open.length - names.length, names: names.length - from };
}

// A repeatable source of numbers in [0, 1).
function randomOf(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
}

module.exports = { filesByInode, readJournal, notSynced, keepAll, loseWrites, forget, randomOf };
