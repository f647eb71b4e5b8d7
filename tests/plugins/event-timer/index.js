// How long after the first event of a pair the second one came, per distinct id.
const key = (event, id) => `${event}_${id}`;

export function setupPlugin({ config, global }) {
  global.pairs = config.pairs.split(';').map((pair) => pair.split(',').map((name) => name.trim()));
  global.firsts = new Set(global.pairs.map(([first]) => first));
}

export async function processEvent(event, { global, storage, utils }) {
  const at = new Date(event.timestamp ?? event.now).getTime();
  for (const [first, second] of global.pairs) {
    if (event.event !== second) continue;
    const began = await storage.get(key(first, event.distinct_id));
    if (began) {
      event.properties[`time_since_${first}`] = at - began;
      await storage.del(key(first, event.distinct_id));
      await utils.cursor.increment('pairs');
    }
  }
  if (global.firsts.has(event.event)) storage.set(key(event.event, event.distinct_id), at);
  return event;
}
