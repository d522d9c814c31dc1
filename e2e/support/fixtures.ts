import { AxeBuilder } from '@axe-core/playwright';
import { test as base, expect, type Page } from '@playwright/test';
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { MailSink } from './mail';
import { Product, type Setup, type Tenant } from './product';

export const account = { tenant: 'contoso', email: 'admin@contoso.example', password: 'correct horse battery staple' };

interface OfWorker {
  setup: Setup;
  mail: MailSink;
  product: Product;
  tenant: Tenant;
}

interface OfTest {
  /** Calls the REST API with the tenant's token. */
  api: (method: string, path: string, body?: unknown) => Promise<any>;
  /** Starts Microsoft's own device SDK; it ends with the test. */
  device: (id: string, words: string[]) => ChildProcess;
}

/** A browser test fails on any error that the page writes to the console. */
export const test = base.extend<OfTest, OfWorker>({
  setup: ['embedded', { option: true, scope: 'worker' }],
  mail: [async ({}, use) => {
    const mail = await MailSink.start();
    await use(mail);
    mail.stop();
  }, { scope: 'worker' }],
  product: [async ({ setup, mail }, use) => {
    const product = await Product.start(setup, { MUSTER__SMTP__URL: mail.url });
    await use(product);
    await product.stop();
  }, { scope: 'worker', timeout: 120_000 }],
  tenant: [async ({ product }, use) => {
    await use(product.bootstrap(account.tenant, account.email, account.password));
  }, { scope: 'worker' }],
  baseURL: async ({ product }, use) => use(product.url),
  page: async ({ page }, use) => {
    const problems: string[] = [];
    page.on('console', message => {
      // Chromium itself notes that nobody is signed in (yet), that a template was refused and that a device is away, as
      // tests mean it to be.
      const at = message.location().url;
      const refused = (at.endsWith('/api/session') && message.text().includes('status of 401'))
        || (at.includes('/api/deviceTemplates') && message.text().includes('status of 422'))
        || (at.includes('/commands/') && message.text().includes('status of 409'));
      if (message.type() === 'error' && !refused) problems.push(message.text());
    });
    page.on('pageerror', error => problems.push(String(error)));
    await use(page);
    expect(problems, 'errors in the browser console').toEqual([]);
  },
  api: async ({ product, tenant }, use) => {
    await use(async (method, path, body) => {
      const response = await fetch(product.url + path, {
        method,
        headers: { authorization: tenant.apiToken, 'content-type': 'application/json' },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return text ? JSON.parse(text) : undefined;
    });
  },
  device: async ({ product, tenant }, use) => {
    const running: ChildProcess[] = [];
    await use((id, words) => {
      const script = join(import.meta.dirname, '../../examples/python/first_device.py');
      const child = spawn(process.env.MUSTER_TEST_PYTHON ?? 'python3', [
        script, '--host', tenant.hubHost, '--id-scope', tenant.idScope, '--group-key', tenant.enrollmentGroup.primaryKey,
        '--ca', product.authority, '--device', id, ...words,
      ], { stdio: ['ignore', 'pipe', 'inherit'] });
      running.push(child);
      return child;
    });
    for (const child of running) child.kill('SIGKILL');
  },
});

export { expect };

/** WCAG 2.2 AA, as far as a machine can tell. */
export async function audit(page: Page): Promise<void> {
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
  const { violations } = await new AxeBuilder({ page }).withTags(tags).analyze();
  const found = violations.map(({ id, help, nodes }) => `${id}: ${help} — ${nodes.map(node => node.target.join(' ')).join(', ')}`);
  expect(found, `accessibility of ${page.url()}`).toEqual([]);
}

/** All lines of a process's output so far, growing. */
export function lines(child: ChildProcess): string[] {
  const seen: string[] = [];
  child.stdout?.on('data', (data: Buffer) => seen.push(...data.toString().split('\n').filter(Boolean)));
  return seen;
}
