import { defineConfig } from '@playwright/test';
import type { Setup } from './support/product';

const chromium = process.env.MUSTER_TEST_CHROMIUM ?? '/usr/bin/chromium';

/** Every test runs twice: on the embedded defaults, and on PostgreSQL + RabbitMQ with three processes. */
export default defineConfig<object, { setup: Setup }>({
  testDir: 'tests',
  outputDir: '../target/e2e',
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  use: {
    viewport: { width: 1440, height: 900 },
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: chromium,
      args: [
        '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync',
      ],
    },
  },
  projects: [
    { name: 'embedded', use: { setup: 'embedded' } },
    { name: 'servers', use: { setup: 'servers' } },
  ],
});
