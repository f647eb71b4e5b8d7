// JSON as people read it, from the text: numbers keep their digits, and nothing of it becomes markup.

const TOKEN = /"(?:\\.|[^"\\])*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]|\S/g;
const COLOURED_MAX = 200000; // longer texts come without colours: each is an element

function* tokens(text) {
  let depth = 0;
  let before = '';
  const found = text.match(TOKEN) ?? [];
  for (let i = 0; i < found.length; i++) {
    const token = found[i];
    const next = found[i + 1];
    const isOpen = token === '{' || token === '[';
    const isClose = token === '}' || token === ']';
    if (isClose) depth--;
    const isEmpty = isClose && (before === '{' || before === '[');
    if (isClose && !isEmpty) yield ['', `\n${'  '.repeat(depth)}`];
    if (isOpen) depth++;
    yield [kindOf(token, next), token === ':' ? ': ' : token];
    if ((isOpen && next !== '}' && next !== ']') || token === ',') yield ['', `\n${'  '.repeat(depth)}`];
    before = token;
  }
}

function kindOf(token, next) {
  if (token[0] === '"') return next === ':' ? 'key' : 'text';
  if (/^[-\d]/.test(token)) return 'num';
  return token.length > 3 ? 'word' : '';
}

export function pretty(text) {
  let out = '';
  for (const [, part] of tokens(text)) out += part;
  return out;
}

export function Json({ text, label }) {
  const parts = text.length > COLOURED_MAX ? pretty(text) : [...tokens(text)].map(([kind, part]) => (kind ? <span class={kind}>{part}</span> : part));
  return <pre class="json" tabIndex={0} role="region" aria-label={label}>{parts}</pre>;
}
