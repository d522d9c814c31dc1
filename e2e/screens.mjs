// Pictures of every page of a running demo, for docs/screens:
//   cargo xtask run &   npm run screens -- http://127.0.0.1:8080 EMAIL PASSWORD
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [address, email, password, folder = join(import.meta.dirname, '../docs/screens')] = process.argv.slice(2);
if (!password) {
  console.error('usage: npm run screens -- ADDRESS EMAIL PASSWORD [FOLDER]');
  process.exit(2);
}

const rule = async page => {
  await page.goto(`${address}/t/demo/rules`);
  await page.locator('main').getByRole('link').filter({ hasText: 'Motor too hot' }).first().click();
  await page.waitForURL(/\/rules\/.+/);
};
/** Every page, by the name of its pictures. */
const pages = {
  'sign-in': 'dashboards',
  dashboards: 'dashboards',
  'dashboard-factory': 'dashboards/demo-factory',
  'dashboard-hospital': 'dashboards/demo-hospital',
  'dashboard-office': 'dashboards/demo-office',
  devices: 'devices',
  device: 'devices/machine-1',
  'device-properties': 'devices/machine-1/properties',
  'device-raw': 'devices/machine-1/raw',
  'device-files': 'devices/machine-1/files',
  'device-connect': 'devices/machine-1/connect',
  templates: 'templates',
  template: 'templates/dtmi:muster:demo:machine;1',
  rules: 'rules',
  rule,
  alerts: 'alerts',
  health: 'health',
  settings: 'settings',
};

mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.MUSTER_TEST_CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
});
for (const colorScheme of ['light', 'dark']) {
  for (const [width, height] of [[1440, 900], [390, 844]]) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height }, reducedMotion: 'reduce' });
    const page = await context.newPage();
    page.on('console', message => { if (message.type() === 'error') console.error(`${page.url()}: ${message.text()}`); });
    page.on('pageerror', error => console.error(`${page.url()}: ${error}`));
    for (const [name, path] of Object.entries(pages)) {
      if (typeof path === 'string') await page.goto(`${address}/t/demo/${path}`);
      else await path(page);
      await page.getByRole('heading').first().waitFor();
      // Live values and charts arrive.
      await page.waitForTimeout(name === 'sign-in' ? 300 : 2500);
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}-${width}.png`) });
      if (name === 'sign-in') {
        await page.getByLabel('E-mail address').fill(email);
        await page.getByLabel('Password').fill(password);
        await page.getByRole('button', { name: 'Sign in' }).click();
        await page.getByLabel('Password').waitFor({ state: 'detached' });
      }
    }
    await context.close();
  }
}
await browser.close();
