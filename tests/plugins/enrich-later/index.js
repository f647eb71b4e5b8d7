// Waits for what would be a service, tries once more, gives up with an error; asks for a job when it was too busy.
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function lookUp(email) {
  await sleep(2500);
  if (!email.includes('@')) throw new RetryError(`no address: ${email}`);
  return { domain: email.split('@')[1], asked_at: new Date().toISOString() };
}

export default {
  async processEventBatch(events, { jobs, cache }) {
    for (const event of events) {
      const email = event.properties.email;
      if (!email) continue;
      if (await cache.incr('asked') > 2) await jobs.enrich({ email }).runIn(10, 'minutes');
      else event.$set = { ...event.$set, ...(await lookUp(email).catch((error) => {
        if (!(error instanceof RetryError)) throw error;
        return lookUp(`${email}@example.org`);
      })) };
    }
    return events;
  },
  jobs: {
    async enrich({ email }) {
      console.log('late', await lookUp(email));
    },
  },
};
