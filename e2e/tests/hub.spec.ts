import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { App } from '../pages/app';
import { audit, expect, test } from '../support/fixtures';

/** A shared access signature over `resource`, good for an hour. */
function token(resource: string, key: string): string {
  const expiry = Math.floor(Date.now() / 1000) + 3600;
  const named = encodeURIComponent(resource);
  const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(`${named}\n${expiry}`).digest('base64');
  return `SharedAccessSignature sr=${named}&sig=${encodeURIComponent(signature)}&se=${expiry}`;
}

test('a file that a device uploads is downloaded and deleted on its page', async ({ page, product, tenant, api }) => {
  await api('PUT', '/api/devices/camera-1', { displayName: 'Camera' });
  const { symmetricKey } = await api('GET', '/api/devices/camera-1/credentials');
  const authorization = token(`${tenant.hubHost}/devices/camera-1`, symmetricKey.primaryKey);
  const json = { authorization, 'content-type': 'application/json' };
  const files = '/devices/camera-1/files?api-version=2021-04-12';
  const name = 'night/picture 1.txt';
  const grant = JSON.parse(await product.call('POST', files, json, JSON.stringify({ blobName: name })));
  const blob = `/${grant.containerName}/${encodeURI(grant.blobName)}${grant.sasToken}`;
  const body = 'what the camera saw';
  await product.call('PUT', blob, { 'x-ms-blob-type': 'BlockBlob', 'content-length': String(body.length) }, body);
  const done = { correlationId: grant.correlationId, isSuccess: true, statusCode: 200, statusDescription: '' };
  await product.call('POST', files.replace('/files?', '/files/notifications?'), json, JSON.stringify(done));

  const app = new App(page);
  await app.signIn();
  await app.open('devices/camera-1/files');
  const link = page.getByRole('link', { name });
  await expect(link).toBeVisible();
  await audit(page);
  const download = page.waitForEvent('download');
  await link.click();
  expect(readFileSync(await (await download).path(), 'utf8')).toBe(body);

  await page.getByRole('button', { name: new RegExp(name) }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByText('No files yet')).toBeVisible();
});

test('a refused device is seen on its page and on the page of health', async ({ page, product, tenant, api }) => {
  await api('PUT', '/api/devices/stranger-1', { displayName: 'Stranger' });
  const wrong = token(`${tenant.hubHost}/devices/stranger-1`, Buffer.from('another key').toString('base64'));
  const path = '/devices/stranger-1/messages/events?api-version=2021-04-12';
  await expect(product.call('POST', path, { authorization: wrong }, '{}')).rejects.toThrow('401');
  const app = new App(page);
  await app.signIn();
  const told = async () => (await api('GET', '/api/devices/stranger-1/events')).value;
  await expect.poll(async () => (await told())[0]?.code, { timeout: 30_000 }).toBe('wrongKey');
  await app.open('devices/stranger-1/events');
  await expect(page.getByText('Refused: wrong key')).toBeVisible();
  await app.open('health');
  await expect(page.getByText('stranger-1').first()).toBeVisible();
  await audit(page);
});

test('telemetry is switched into the event feed, and connection strings are shown on demand', async ({ page, api }) => {
  const app = new App(page);
  await app.signIn();
  await app.open('settings');
  const feed = page.getByRole('switch', { name: 'Telemetry is part of the feed' });
  await expect(feed).not.toBeChecked();
  await feed.click();
  await expect(page.getByText('Telemetry is in the event feed now')).toBeVisible();
  expect((await api('GET', '/api/tenant')).eventFeed).toBe(true);
  await page.reload();
  await expect(feed).toBeChecked();
  await feed.click();
  await expect(page.getByText('Telemetry stays out of the event feed')).toBeVisible();

  await expect(page.getByText(/SharedAccessKeyName=service;/)).toBeHidden();
  await page.getByRole('button', { name: 'Show the connection string of service', exact: true }).click();
  await expect(page.getByText(/SharedAccessKeyName=service;/)).toBeVisible();
  await audit(page);

  const service = async () => (await api('GET', '/api/policies')).value.find((one: any) => one.name === 'service');
  const before = await service();
  await page.getByRole('button', { name: 'New secondary key for service' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Replace' }).click();
  await expect(page.getByText('service has a new secondary key')).toBeVisible();
  const after = await service();
  expect(after.primaryKey).toBe(before.primaryKey);
  expect(after.secondaryKey).not.toBe(before.secondaryKey);
});
