import { App } from '../pages/app';
import { audit, expect, test } from '../support/fixtures';

const id = 'dtmi:e2e:groups:Pump;1';

test('a device group is made by conditions, found by its query, and deleted', async ({ page, api }) => {
  await api('PUT', `/api/deviceTemplates/${id}`, {
    '@id': id, '@type': ['ModelDefinition', 'DeviceModel'], displayName: 'Grouped pump',
    capabilityModel: {
      '@id': 'dtmi:e2e:groups:PumpModel;1', '@type': 'Interface', '@context': 'dtmi:dtdl:context;2',
      contents: [{ '@type': 'Property', name: 'target', displayName: 'Target', schema: 'double', writable: true }],
    },
  });
  for (const [device, target] of [['grouped-1', 10], ['grouped-2', 50]] as const) {
    await api('PUT', `/api/devices/${device}`, { displayName: device, template: id });
    await api('PATCH', `/api/devices/${device}/properties`, { target });
  }
  const app = new App(page);
  await app.signIn();
  await app.open('groups');
  await expect(page.getByText('Grouped pump: all devices')).toBeVisible();
  await audit(page);

  await page.getByRole('link', { name: 'New group' }).click();
  await page.getByLabel('Devices of the template').selectOption({ label: 'Grouped pump' });
  await expect(page.getByRole('link', { name: 'grouped-1' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'grouped-2' })).toBeVisible();
  await page.getByRole('button', { name: 'Save group' }).click();
  await page.getByLabel('Name', { exact: true }).fill('Fast pumps');
  await page.getByRole('button', { name: 'Add a condition' }).click();
  await page.getByLabel('Property', { exact: true }).selectOption({ label: 'Target' });
  await page.getByLabel('Value', { exact: true }).fill('30');
  await expect(page.getByRole('link', { name: 'grouped-1' })).toBeHidden();
  await expect(page.getByRole('link', { name: 'grouped-2' })).toBeVisible();
  await audit(page);
  await page.getByRole('button', { name: 'Save group' }).click();
  await expect(page.getByText('The device group Fast pumps was saved')).toBeVisible();
  const groups = (await api('GET', '/api/deviceGroups?maxpagesize=100')).value;
  const made = groups.find((group: any) => group.displayName === 'Fast pumps');
  expect(made.filter).toBe(`SELECT * FROM devices WHERE $template = "${id}" AND target > 30`);

  await page.getByRole('link', { name: /Fast pumps/ }).click();
  await expect(page.getByLabel('Value', { exact: true })).toHaveValue('30');
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByText('The device group Fast pumps was deleted')).toBeVisible();
});
