import { App } from '../pages/app';
import { audit, expect, lines, test } from '../support/fixtures';
import { machine } from '../support/models';

test('a first device: from sign-in to an alert by e-mail', async ({ page, mail, api, device }) => {
  const app = new App(page);
  await app.signIn();

  await test.step('a broken template shows its errors in place', async () => {
    const broken = structuredClone(machine) as { contents: { schema?: string }[] };
    delete broken.contents[0].schema;
    await app.importTemplate(broken);
    await expect(page.getByRole('dialog').getByText(/temperature.* has no schema/i).first()).toBeVisible();
    await audit(page);
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  });

  await test.step('a good one is published', async () => {
    await app.importTemplate(machine);
    await expect(page.getByText('Test machine').first()).toBeVisible();
  });

  await test.step('a device of it is created', async () => {
    await app.createDevice('pump-7', 'Pump 7', 'Test machine');
  });

  await test.step('a rule is made', async () => {
    await api('PUT', `/api/rules/${crypto.randomUUID()}`, {
      displayName: 'Too hot', template: machine['@id'], severity: 'critical',
      conditions: [{ telemetry: 'temperature', operator: 'greaterThan', value: 30 }],
      actions: [{ type: 'email', to: ['operator@contoso.example'] }],
    });
    await app.open('rules');
    await expect(page.getByText('Too hot').first()).toBeVisible();
  });

  await test.step("Microsoft's SDK provisions itself and sends", async () => {
    await app.open('devices/pump-7');
    const child = device('pump-7', ['--count', '5', '--interval', '0.5', '--temperature', '31.25']);
    const said = lines(child);
    const code = await new Promise<number | null>(resolve => child.once('exit', resolve));
    expect(code, said.join('\n')).toBe(0);
    expect(said.at(-1)).toBe('5 messages sent and acknowledged');
  });

  await test.step('the value is on the page, without a reload', async () => {
    await expect(page.getByText(/31[.,]25/).first()).toBeVisible();
    await expect(page.locator('svg').first()).toBeVisible();
    await audit(page);
  });

  await test.step('the alert is on the screen and the e-mail has arrived with its picture', async () => {
    await app.open('alerts');
    await expect(page.getByText('Too hot').first()).toBeVisible();
    await expect.poll(() => mail.mails.length).toBeGreaterThan(0);
    expect(mail.mails[0]).toContain('To: operator@contoso.example');
    expect(mail.mails[0]).toContain('Content-Type: image/png');
  });
});

test('a value that arrives is on the page within a second', async ({ page, api, device }) => {
  await api('PUT', `/api/deviceTemplates/${machine['@id']}`, { ...wrap(), '@id': machine['@id'] });
  await api('PUT', '/api/devices/quick-1', { displayName: 'Quick', template: machine['@id'] });
  const app = new App(page);
  await app.signIn();
  await app.open('devices/quick-1');
  await expect(page.getByText('Live', { exact: true }).first()).toBeVisible();
  const child = device('quick-1', ['--interval', '1', '--temperature', '12.34']);
  const said = lines(child);
  await expect.poll(() => said.some(line => line.includes('sent')), { timeout: 30_000 }).toBe(true);
  const sent = Date.now();
  await expect(page.getByText(/12[.,]34/).first()).toBeVisible({ timeout: 5_000 });
  test.info().annotations.push({ type: 'milliseconds to the screen', description: String(Date.now() - sent) });
});

test('a product that was killed goes on where it was', async ({ product, api, device }) => {
  await api('PUT', '/api/devices/tough-1', {});
  const victims = product.roles.filter(role => role !== 'api');
  for (const role of victims) {
    const child = device('tough-1', ['--count', '6', '--interval', '0.5']);
    const said = lines(child);
    await expect.poll(() => said.filter(line => line.includes('sent')).length, { timeout: 30_000 }).toBeGreaterThan(1);
    await product.killAndRestart(role);
    const code = await new Promise<number | null>(resolve => child.exitCode !== null ? resolve(child.exitCode) : child.once('exit', resolve));
    expect(code, said.join('\n')).toBe(0);
  }
  const sent = 6 * victims.length;
  await expect.poll(async () => (await messages(api, 'tough-1')), { timeout: 30_000 }).toBeGreaterThanOrEqual(sent);
});

function wrap(): object {
  return { '@type': ['ModelDefinition', 'DeviceModel'], displayName: machine.displayName, capabilityModel: machine };
}

async function messages(api: (method: string, path: string) => Promise<any>, device: string): Promise<number> {
  return (await api('GET', `/api/devices/${device}/messages?maxpagesize=100`)).value.length;
}
