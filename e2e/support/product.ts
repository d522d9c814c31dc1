import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the product runs on. */
export type Setup = 'embedded' | 'servers';

/** What `muster admin bootstrap --json` prints. */
export interface Tenant {
  tenant: string;
  idScope: string;
  hubHost: string;
  enrollmentGroup: { id: string; primaryKey: string; secondaryKey: string };
  apiToken: string;
}

interface Addresses {
  http?: string;
  mqtts?: string;
  hubHttps?: string;
}

const binary = process.env.MUSTER_TEST_BINARY ?? join(import.meta.dirname, '../../target/debug/muster');
/** Microsoft's SDKs know port 8883 only: each set-up has a loopback address of its own. */
const hubAddress: Record<Setup, string> = { embedded: '127.88.0.1', servers: '127.88.0.2' };

/** The real binary, with a folder, a database and addresses of its own. */
export class Product {
  private readonly folder = mkdtempSync(join(tmpdir(), 'muster-e2e-'));
  private readonly processes = new Map<string, ChildProcess>();
  private readonly log: string[] = [];
  private database: string | undefined;
  private web = '';
  private hub = '';

  private constructor(readonly setup: Setup, private readonly settings: Record<string, string>) {}

  static async start(setup: Setup, settings: Record<string, string>): Promise<Product> {
    const product = new Product(setup, settings);
    if (setup === 'servers') {
      product.prepareServers();
      execFileSync(binary, ['migrate'], { env: product.environment('migrate'), stdio: 'pipe' });
    }
    for (const role of product.roles) {
      await product.startRole(role);
    }
    return product;
  }

  get roles(): string[] {
    return this.setup === 'embedded' ? ['all'] : ['hub', 'worker', 'api'];
  }

  get url(): string {
    return this.web;
  }

  /** A call to the hub over HTTPS, as a device or its storage client makes it; a refusal throws. */
  async call(method: string, path: string, headers: Record<string, string>, body: string | Buffer): Promise<string> {
    const [host, port] = this.hub.split(':');
    return new Promise((resolve, reject) => {
      const sent = request({ host, port, method, path, headers, ca: readFileSync(this.authority) }, answer => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => {
          const text = Buffer.concat(parts).toString();
          if ((answer.statusCode ?? 500) < 300) resolve(text);
          else reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`));
        });
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  /** The authority that devices trust. */
  get authority(): string {
    return join(this.dataDir(this.roles[0]), 'tls', 'ca.pem');
  }

  /** Makes a tenant as an operator would, while the product runs. */
  bootstrap(tenant: string, email: string, password: string): Tenant {
    const words = ['admin', 'bootstrap', '--tenant', tenant, '--name', 'Contoso', '--admin-email', email];
    const output = execFileSync(binary, [...words, '--admin-password-stdin', '--json'], {
      env: this.environment(this.roles[this.roles.length - 1]),
      input: `${password}\n`,
    });
    return JSON.parse(output.toString()) as Tenant;
  }

  /** Kills a role as a power cut would, and starts it again. */
  async killAndRestart(role: string): Promise<void> {
    const old = this.processes.get(role);
    if (!old) throw new Error(`no process plays ${role}`);
    const ended = new Promise(resolve => old.once('exit', resolve));
    old.kill('SIGKILL');
    await ended;
    await this.startRole(role);
  }

  async stop(): Promise<void> {
    const ended = [...this.processes.values()].map(child => new Promise<void>(resolve => {
      if (child.exitCode !== null || child.signalCode !== null) return resolve();
      child.once('exit', () => resolve());
      child.kill('SIGTERM');
    }));
    await Promise.all(ended);
    if (this.database) {
      psql(`drop database if exists ${this.database} with (force)`);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** What the processes wrote, for a test that failed. */
  get output(): string {
    return this.log.join('');
  }

  private prepareServers(): void {
    this.database = `e2e_${randomUUID().replaceAll('-', '')}`;
    psql(`create database ${this.database}`);
    const key = join(this.folder, 'master.key');
    writeFileSync(key, randomBytes(32).toString('base64'), { mode: 0o600 });
    const url = new URL(required('MUSTER_TEST_POSTGRES'));
    url.pathname = `/${this.database}`;
    Object.assign(this.settings, {
      MUSTER__DATABASE__URL: url.href,
      MUSTER__BUS__URL: required('MUSTER_TEST_RABBITMQ'),
      MUSTER__BUS__NAMESPACE: this.database,
      MUSTER__SECRETS__MASTER_KEY_FILE: key,
    });
  }

  private dataDir(role: string): string {
    return join(this.folder, role);
  }

  private environment(role: string): NodeJS.ProcessEnv {
    const host = hubAddress[this.setup];
    return {
      PATH: process.env.PATH,
      MUSTER__DATA_DIR: this.dataDir(role),
      MUSTER__HTTP__BIND: '127.0.0.1:0',
      MUSTER__HUB__HOST: host,
      MUSTER__HUB__MQTTS_BIND: `${host}:8883`,
      MUSTER__HUB__HTTPS_BIND: `${host}:0`,
      MUSTER__BUS__PARTITIONS: '2',
      MUSTER__FILES__URL: `file://${join(this.folder, 'files')}`,
      ...this.settings,
    };
  }

  private async startRole(role: string): Promise<void> {
    const file = join(this.dataDir(role), 'addresses.json');
    rmSync(file, { force: true });
    const child = spawn(binary, ['serve', '--roles', role], { env: this.environment(role), stdio: 'pipe' });
    this.processes.set(role, child);
    child.stdout.on('data', (text: Buffer) => this.log.push(text.toString()));
    child.stderr.on('data', (text: Buffer) => this.log.push(text.toString()));
    const addresses = await this.addresses(role, child, file);
    if (addresses.http) this.web = `http://${addresses.http}`;
    if (addresses.hubHttps) this.hub = addresses.hubHttps;
  }

  private async addresses(role: string, child: ChildProcess, file: string): Promise<Addresses> {
    for (let tries = 0; tries < 600; tries++) {
      if (child.exitCode !== null) throw new Error(`${role} ended:\n${this.output}`);
      if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Addresses;
      await new Promise(resolve => setTimeout(resolve, 100));
    }
    throw new Error(`${role} is not ready after a minute:\n${this.output}`);
  }
}

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run the tests with \`cargo xtask test\``);
  return value;
}

function psql(statement: string): void {
  execFileSync('psql', [required('MUSTER_TEST_POSTGRES'), '--quiet', '--command', statement], { stdio: 'pipe' });
}
