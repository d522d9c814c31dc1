import type { Page } from '@playwright/test';
import { App } from '../pages/app';
import { audit, expect, test } from '../support/fixtures';

const id = 'dtmi:e2e:life:Pump;1';
const model = {
  '@id': 'dtmi:e2e:life:PumpModel;1',
  '@type': 'Interface',
  '@context': 'dtmi:dtdl:context;2',
  displayName: 'Pump',
  contents: [
    { '@type': 'Telemetry', name: 'temperature', schema: 'double' },
    { '@type': 'Telemetry', name: 'flow', schema: 'double' },
  ],
};

function text(page: Page) {
  return page.getByLabel('JSON');
}

test('a template lives: draft, addition, breaking version, devices that move and come back', async ({ page, api }) => {
  await api('PUT', `/api/deviceTemplates/${id}`, {
    '@id': id, '@type': ['ModelDefinition', 'DeviceModel'], displayName: 'Pump', capabilityModel: model,
  });
  for (const device of ['life-1', 'life-2']) {
    await api('PUT', `/api/devices/${device}`, { displayName: device, template: id });
  }
  await api('PUT', `/api/rules/${crypto.randomUUID()}`, {
    displayName: 'Low flow', template: id, severity: 'warning',
    conditions: [{ telemetry: 'flow', operator: 'lessThan', value: 1 }], actions: [],
  });
  const app = new App(page);
  await app.signIn();

  await test.step('a mistake is shown with its line', async () => {
    await app.open(`templates/${encodeURIComponent(id)}/edit`);
    await expect(page.getByText('No problems')).toBeVisible();
    const good = await text(page).inputValue();
    await text(page).fill(good.replace('"schema": "double"', '"schema": "dubble"'));
    await expect(page.getByText('Not valid')).toBeVisible();
    await expect(page.getByRole('button', { name: /^Line \d+/ }).first()).toBeVisible();
    await audit(page);
    await text(page).fill(good);
    await expect(page.getByText('No problems')).toBeVisible();
  });

  await test.step('an addition is published at once', async () => {
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    const dialog = page.getByRole('dialog', { name: 'Add to the template' });
    await dialog.getByLabel('Name', { exact: true }).fill('pressure');
    await dialog.getByRole('button', { name: 'Add', exact: true }).click();
    await expect(page.getByText("'pressure' is added", { exact: false })).toBeVisible();
    await page.getByRole('button', { name: 'Publish', exact: true }).click();
    const contents = async () => (await api('GET', `/api/deviceTemplates/${id}`)).capabilityModel.contents.length;
    await expect.poll(contents).toBe(3);
    await page.waitForURL(/Pump%3B1$/);
  });

  await test.step('what breaks becomes a new version, and says whom it hits', async () => {
    await app.open(`templates/${encodeURIComponent(id)}/edit`);
    await page.getByRole('button', { name: 'Remove flow' }).click();
    await expect(page.getByText('Breaking')).toBeVisible();
    await expect(page.getByRole('link', { name: 'Rule: Low flow' })).toBeVisible();
    await expect(page.getByRole('button', { name: 'Publish', exact: true })).toBeDisabled();
    await audit(page);
    await page.getByRole('button', { name: 'Publish as new version' }).click();
    await page.waitForURL(/Pump%3B2$/);
    await page.getByRole('link', { name: 'Versions' }).click();
    await expect(page.getByRole('heading', { name: /Version 2/ })).toBeVisible();
    await expect(page.getByRole('heading', { name: /Version 1/ })).toBeVisible();
    await audit(page);
  });

  await test.step('the devices move, and come back', async () => {
    await app.open(`templates/${encodeURIComponent(id)}/moves`);
    await page.getByRole('button', { name: 'Move devices' }).click();
    await page.getByRole('dialog').getByLabel('To').selectOption({ value: 'dtmi:e2e:life:Pump;2' });
    await page.getByRole('button', { name: 'Move all devices' }).click();
    await expect(page.getByText('2 of 2')).toBeVisible({ timeout: 60_000 });
    expect((await api('GET', '/api/devices/life-1')).template).toBe('dtmi:e2e:life:Pump;2');
    await audit(page);
    await page.getByRole('button', { name: 'Report' }).first().click();
    await expect(page.getByRole('dialog').getByText('life-1')).toBeVisible();
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('button', { name: 'Take back' }).click();
    await expect.poll(async () => (await api('GET', '/api/devices/life-1')).template, { timeout: 60_000 }).toBe(id);
  });

  await test.step('what is in use is not deleted', async () => {
    await app.open(`templates/${encodeURIComponent(id)}`);
    await page.getByRole('button', { name: 'Delete this template' }).click();
    await expect(page.getByRole('dialog').getByRole('link', { name: 'Rule: Low flow' })).toBeVisible();
    await expect(page.getByRole('dialog').getByText('2 devices')).toBeVisible();
    await audit(page);
  });
});

test('a device without a template is proposed one, and is shown by it', async ({ page, api, device }) => {
  await api('PUT', '/api/devices/plain-1', { displayName: 'Plain' });
  const child = device('plain-1', ['--count', '5', '--interval', '0.2', '--temperature', '21.5']);
  await new Promise(resolve => child.once('exit', resolve));
  const app = new App(page);
  await app.signIn();
  await app.open('devices/plain-1');
  await page.getByRole('button', { name: 'Propose a template' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'Propose a template' });
  await expect(dialog.getByRole('cell', { name: /Temperature · degreeCelsius/ })).toBeVisible();
  await audit(page);
  await dialog.getByLabel('Name of the template').fill('Found by itself');
  await dialog.getByRole('button', { name: 'Save and use it' }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole('link', { name: 'Found by itself' })).toBeVisible();
  await expect(page.getByText('°C').first()).toBeVisible();
  await page.getByRole('link', { name: 'Found by itself' }).click();
  await page.getByRole('link', { name: 'Unknown values' }).click();
  await expect(page.getByText('Nothing unknown')).toBeVisible();
  await audit(page);
});

test('a template is taken from the catalogue', async ({ page, api }) => {
  const app = new App(page);
  await app.signIn();
  await app.open('templates');
  await page.getByRole('button', { name: 'From the catalogue' }).click();
  const dialog = page.getByRole('dialog', { name: 'From the catalogue' });
  await expect(dialog.getByText('Weather station', { exact: true })).toBeVisible();
  await audit(page);
  await dialog.getByRole('button', { name: 'Add Weather station' }).click();
  await page.waitForURL(/WeatherStation%3B1$/);
  const template = await api('GET', '/api/deviceTemplates/dtmi:muster:catalogue:WeatherStation;1');
  expect(template.published).toBe(true);
  await app.open('templates');
  await page.getByRole('button', { name: 'From the catalogue' }).click();
  await expect(dialog.getByRole('button', { name: 'Add Weather station' })).toHaveCount(0);
  await expect(dialog.getByText('In use')).toBeVisible();
});
