import { App } from '../pages/app';
import { audit, expect, test } from '../support/fixtures';

const id = 'dtmi:e2e:views:Pump;1';

test('views are made, changed, and shown on the page of a device', async ({ page, api }) => {
  await api('PUT', `/api/deviceTemplates/${id}`, {
    '@id': id, '@type': ['ModelDefinition', 'DeviceModel'], displayName: 'Viewed pump',
    capabilityModel: {
      '@id': 'dtmi:e2e:views:PumpModel;1', '@type': 'Interface', '@context': 'dtmi:dtdl:context;2',
      contents: [
        { '@type': 'Telemetry', name: 'flow', displayName: 'Flow', schema: 'double' },
        { '@type': 'Property', name: 'target', displayName: 'Target', schema: 'double', writable: true },
        { '@type': 'Property', name: 'serial', displayName: 'Serial', schema: 'string' },
        { '@type': 'Command', name: 'restart', displayName: 'Restart' },
      ],
    },
  });
  await api('PUT', '/api/devices/viewed-1', { displayName: 'Viewed 1', template: id });
  const app = new App(page);
  await app.signIn();
  await app.open(`templates/${encodeURIComponent(id)}/views`);
  await expect(page.getByText('No views yet')).toBeVisible();
  await page.getByRole('button', { name: 'Make the default views' }).click();
  await expect(page.getByText('The default views were made')).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Edit properties' })).toBeVisible();
  await audit(page);

  await page.getByRole('button', { name: 'New view' }).click();
  const dialog = page.getByRole('dialog', { name: 'View' });
  await dialog.getByLabel('Name', { exact: true }).fill('My flow');
  await dialog.getByLabel('Title').fill('Flow of today');
  await dialog.getByLabel('Flow').check();
  await audit(page);
  await dialog.getByRole('button', { name: 'Save view' }).click();
  await expect(page.getByText('The view My flow was saved')).toBeVisible();

  await app.open('devices/viewed-1');
  await page.getByRole('link', { name: 'My flow' }).click();
  await expect(page.getByRole('heading', { name: 'Flow of today' })).toBeVisible();
  await page.getByRole('link', { name: 'Edit properties' }).click();
  await expect(page.getByText('Serial')).toHaveCount(0);
  await page.getByLabel('Target').fill('12');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('Pending')).toBeVisible();
  await audit(page);
  const desired = await api('GET', '/api/devices/viewed-1/properties');
  expect(desired.$metadata.target.desiredValue).toBe(12);

  await app.open(`templates/${encodeURIComponent(id)}/views`);
  await page.getByRole('button', { name: 'Delete My flow' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByText('The view My flow was deleted')).toBeVisible();
});
