// Takes properties out of a copy; `$ip` takes the event's own address too.
const filter = (properties, names) => {
  const kept = { ...properties };
  for (const name of names) {
    const [first, second] = name.split('.');
    if (second && kept[first]) kept[first] = filter(kept[first], [second]);
    else delete kept[first];
  }
  return kept;
};

exports.setupPlugin = ({ config, global }) => {
  if (!config.properties) throw new Error('properties must be set');
  global.names = config.properties.split(',').map((name) => name.trim());
};

exports.processEvent = async (event, { global }) => {
  const copy = { ...event, properties: filter(event.properties, global.names) };
  if (event.$set) copy.$set = filter(event.$set, global.names);
  if (global.names.includes('$ip')) delete copy.ip;
  return copy;
};
