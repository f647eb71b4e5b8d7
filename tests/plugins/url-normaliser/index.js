// Lower-cases addresses and takes a slash off their end. Throws a bare string, as one in the wild does.
function normalise(url) {
  const parts = /^([a-z]+:\/\/[^/?#]+)([^?#]*)(.*)$/i.exec(url);
  if (!parts) throw `Invalid URL: ${url}`;
  const [, host, path, rest] = parts;
  return host.toLowerCase() + path.toLowerCase().replace(/(?<=.)\/$/, '') + rest;
}

function processEvent(event) {
  const url = event.properties && event.properties.$current_url;
  if (url) {
    const normalised = normalise(url);
    console.debug('$current_url:', JSON.stringify(url), '=>', JSON.stringify(normalised));
    event.properties.$current_url = normalised;
  }
  return event;
}

module.exports = { processEvent };
