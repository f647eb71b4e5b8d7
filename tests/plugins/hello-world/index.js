// Counts events in the cache, as the first plugin that people read does.
export async function setupPlugin({ config }) {
  console.log(`Setting up the plugin: ${config.greeting}`);
}

export async function processEvent(event, { config, cache }) {
  const counter = await cache.get('greeting_counter', 0);
  await cache.set('greeting_counter', counter + 1);
  if (event.properties) {
    event.properties.greeting = config.greeting;
    event.properties.greeting_counter = counter;
  }
  return event;
}
