import { App } from '../pages/app';
import { audit, expect, test } from '../support/fixtures';

const id = 'dtmi:e2e:commands:Oven;1';

test('commands are run, and what came of them is remembered', async ({ page, api }) => {
  await api('PUT', `/api/deviceTemplates/${id}`, {
    '@id': id, '@type': ['ModelDefinition', 'DeviceModel'], displayName: 'Oven',
    capabilityModel: {
      '@id': 'dtmi:e2e:commands:OvenModel;1', '@type': 'Interface', '@context': 'dtmi:dtdl:context;2',
      contents: [
        { '@type': 'Command', name: 'heat', displayName: 'Heat up', request: { name: 'to', schema: 'double' } },
        { '@type': 'Command', name: 'update', displayName: 'Update', durable: true },
      ],
    },
  });
  await api('PUT', '/api/devices/oven-1', { displayName: 'Oven 1', template: id });
  const app = new App(page);
  await app.signIn();
  await app.open('devices/oven-1/commands');
  await page.getByRole('button', { name: 'Run Heat up' }).click();
  await expect(page.getByText('The parameter needs a number.')).toBeVisible();
  await page.getByLabel('Parameter').fill('180');
  await page.getByRole('button', { name: 'Run Heat up' }).click();
  await expect(page.getByText('the device did not connect within 0 seconds', { exact: false }).first()).toBeVisible();
  await expect(page.getByText('Failed').first()).toBeVisible();
  await page.getByRole('button', { name: 'Run Update' }).click();
  await expect(page.getByText('Waits for the device', { exact: true })).toBeVisible();
  await audit(page);
  expect((await api('GET', '/api/devices/oven-1/commands/update')).value[0].state).toBe('queued');
});
