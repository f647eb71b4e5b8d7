// One Chromium (Debian's package) for all page tests of a file; a page that remembers what went wrong in it.
'use strict';

const fs = require('node:fs');
const { chromium } = require('playwright-core');

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

function findChromium() {
  const found = [process.env.CHROMIUM, ...PATHS].find((path) => path && fs.existsSync(path));
  if (!found) throw new Error('there is no Chromium; scripts/deps.sh test installs it, or set CHROMIUM to its path');
  return found;
}

function launchBrowser() {
  return chromium.launch({
    executablePath: findChromium(),
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--no-first-run'],
  });
}

// The page gets `troubles` (console errors, exceptions, CSP violations) and `foreign` (requests to other origins).
// Failed requests alone are no trouble: servers stop in tests.
async function openPage(browser, origin, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  page.troubles = [];
  page.foreign = [];
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && !/^Failed to load resource/.test(text) && !/net::ERR_/.test(text)) page.troubles.push(text);
  });
  page.on('pageerror', (error) => page.troubles.push(String(error.stack ?? error)));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !/^(data|blob|about):/.test(url)) page.foreign.push(url);
  });
  return page;
}

// The one-time link that the server printed.
function loginLink(server) {
  const [, link] = server.output.match(/Page\s+(http:\S+\/login\?once=[0-9a-f]+)/) ?? [];
  if (!link) throw new Error('the server printed no link to log in');
  return link;
}

async function logIn(page, server) {
  await page.goto(loginLink(server));
  await page.waitForURL(`${server.adminUrl}/`);
  await page.waitForSelector('.stat .value');
}

module.exports = { launchBrowser, openPage, loginLink, logIn };
