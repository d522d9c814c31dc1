import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { App } from '../pages/app';
import { audit, expect, test } from '../support/fixtures';
import { machine } from '../support/models';

/** Every page of the web app, by the name of its screenshots. */
const pages: Record<string, string> = {
  dashboards: 'dashboards',
  devices: 'devices',
  device: 'devices/shown-1',
  'device-events': 'devices/shown-1/events',
  'device-files': 'devices/shown-1/files',
  templates: 'templates',
  rules: 'rules',
  alerts: 'alerts',
  health: 'health',
  settings: 'settings',
};
const screens = join(import.meta.dirname, '../../target/screens');

test.beforeAll(() => { mkdirSync(screens, { recursive: true }); });

test('every page is accessible in light, dark and on a phone', async ({ page, api, setup }) => {
  await api('PUT', `/api/deviceTemplates/${machine['@id']}`, {
    '@id': machine['@id'], '@type': ['ModelDefinition', 'DeviceModel'], displayName: machine.displayName, capabilityModel: machine,
  });
  await api('PUT', '/api/devices/shown-1', { displayName: 'Shown', template: machine['@id'] });
  await page.goto('/t/contoso/dashboards');
  await expect(page.getByLabel('E-mail address')).toBeVisible();
  await audit(page);
  const app = new App(page);
  await app.signIn();
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    for (const [width, height] of [[1440, 900], [390, 844]]) {
      await page.setViewportSize({ width, height });
      for (const [name, path] of Object.entries(pages)) {
        await app.open(path);
        await page.waitForLoadState('load');
        await audit(page);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        expect(overflow, `${name} at ${width} px scrolls sideways`).toBeLessThanOrEqual(0);
        await page.screenshot({ path: join(screens, `${setup}-${name}-${scheme}-${width}.png`) });
      }
    }
  }
});

test('a wrong password is refused with words', async ({ page, product }) => {
  await page.goto(`${product.url}/t/contoso/dashboards`);
  await page.getByLabel('E-mail address').fill('admin@contoso.example');
  await page.getByLabel('Password').fill('wrong');
  const refused = page.waitForResponse(response => response.url().endsWith('/api/session') && response.status() === 401);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await refused;
  await expect(page.getByRole('alert')).toContainText('password is wrong');
});
