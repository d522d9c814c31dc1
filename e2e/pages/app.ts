import { expect, type Page } from '@playwright/test';
import { account } from '../support/fixtures';

/** The web app as a person sees it: names on the screen, never class names. */
export class App {
  constructor(readonly page: Page) {}

  async signIn(): Promise<void> {
    await this.page.goto(`/t/${account.tenant}/dashboards`);
    await this.page.getByLabel('E-mail address').fill(account.email);
    await this.page.getByLabel('Password').fill(account.password);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
    await expect(this.page.getByRole('navigation', { name: 'Main' })).toBeAttached();
  }

  async open(path: string): Promise<void> {
    await this.page.goto(`/t/${account.tenant}/${path}`);
    await expect(this.page.getByRole('heading').first()).toBeVisible();
  }

  async importTemplate(document: unknown): Promise<void> {
    await this.open('templates');
    await this.page.getByRole('button', { name: 'Import a template' }).first().click();
    await this.page.getByLabel('Or paste it here').fill(JSON.stringify(document, null, 2));
    await this.page.getByRole('button', { name: 'Import and publish' }).click();
  }

  async createDevice(id: string, name: string, template: string): Promise<void> {
    await this.open('devices');
    await this.page.getByRole('button', { name: 'New device' }).first().click();
    const dialog = this.page.getByRole('dialog', { name: 'New device' });
    await dialog.getByLabel('Device name').fill(name);
    await dialog.getByLabel('Device ID').fill(id);
    await dialog.getByLabel('Template').selectOption({ label: template });
    await dialog.getByRole('button', { name: 'Create' }).click();
    await expect(dialog).toBeHidden();
  }
}
