// Microsoft's own service SDK for Node (npm: azure-iothub), the parts that speak HTTPS: identities one by one and many at
// once, modules, twins, queries, statistics, configurations, jobs, digital twins and methods. The device "node-live" is
// connected and answers every method with 207 and {"name": …}. Prints "ok" when all of it went well. The authority to
// trust comes in NODE_EXTRA_CA_CERTS.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import iothub from 'azure-iothub';

const { values: args } = parseArgs({ options: { 'connection-string': { type: 'string' } } });
const string = args['connection-string']; // of the policy iothubowner
const registry = iothub.Registry.fromConnectionString(string);

/** The call must fail with this kind of error, or with this status. */
async function refused(wanted, call) {
  await assert.rejects(call, (error) => {
    assert.equal(typeof wanted === 'number' ? (error.response?.statusCode ?? error.statusCode) : error.name, wanted, String(error));
    return true;
  });
}

/** What the probe finds, once it finds something. */
async function eventually(what, probe) {
  for (let tries = 0; tries < 300; tries += 1) {
    const found = await probe();
    if (found) return found;
    await sleep(100);
  }
  throw new Error(`${what} did not come`);
}

const body = async (call) => (await call).responseBody;

async function devices() {
  const made = await body(registry.create({ deviceId: 'node-a', status: 'enabled' }));
  assert.equal(made.deviceId, 'node-a');
  assert.ok(made.authentication.symmetricKey.primaryKey, 'keys are made');
  await refused('DeviceAlreadyExistsError', registry.create({ deviceId: 'node-a' }));
  const changed = await body(registry.update({ deviceId: 'node-a', status: 'disabled', statusReason: 'why not' }));
  assert.deepEqual([changed.status, changed.statusReason], ['disabled', 'why not']);
  assert.equal((await body(registry.get('node-a'))).status, 'disabled');
  await refused('DeviceNotFoundError', registry.get('nobody'));
  const primaryThumbprint = 'a'.repeat(40);
  await registry.create({ deviceId: 'node-x', authentication: { x509Thumbprint: { primaryThumbprint } } });
  assert.equal((await body(registry.get('node-x'))).authentication.type, 'selfSigned');

  const many = ['node-b', 'node-c'].map((deviceId) => ({ deviceId, status: 'enabled' }));
  assert.equal((await body(registry.addDevices(many))).isSuccessful, true);
  await refused(400, registry.addDevices(many));
  const disabled = many.map((device) => ({ ...device, status: 'disabled' }));
  assert.equal((await body(registry.updateDevices(disabled, true))).isSuccessful, true);
  assert.equal((await body(registry.get('node-c'))).status, 'disabled');
  const ids = async () => (await body(registry.list())).map((device) => device.deviceId);
  assert.deepEqual(await ids(), ['node-a', 'node-b', 'node-c', 'node-live', 'node-x']);
  assert.equal((await body(registry.removeDevices(many, true))).isSuccessful, true);
  await registry.delete('node-x');
  await refused('DeviceNotFoundError', registry.delete('node-x'));
  assert.deepEqual(await ids(), ['node-a', 'node-live']);
  const statistics = await body(registry.getRegistryStatistics());
  assert.deepEqual(statistics, { totalDeviceCount: 2, enabledDeviceCount: 1, disabledDeviceCount: 1 });
}

async function twins() {
  const twin = await body(registry.getTwin('node-a'));
  const stale = twin.etag;
  await twin.update({ tags: { site: 'north' }, properties: { desired: { x: 1 } } });
  assert.equal(twin.properties.desired.$version, 2);
  await refused('InvalidEtagError', registry.updateTwin('node-a', { tags: { site: 'south' } }, stale));
  const patched = await body(registry.updateTwin('node-a', { properties: { desired: { x: null } } }, '*'));
  assert.deepEqual([patched.tags, 'x' in patched.properties.desired], [{ site: 'north' }, false]);

  const query = registry.createQuery('SELECT * FROM devices', 1);
  const found = [];
  while (query.hasMoreResults) found.push(...(await query.nextAsTwin()).result);
  assert.deepEqual(found.map((one) => one.deviceId), ['node-a', 'node-live']);
  await refused('ArgumentError', registry.createQuery('SELECT').nextAsTwin());
}

async function modules() {
  const made = await body(registry.addModule({ deviceId: 'node-a', moduleId: 'motor', managedBy: 'ops' }));
  assert.deepEqual([made.moduleId, made.managedBy], ['motor', 'ops']);
  await refused('DeviceAlreadyExistsError', registry.addModule({ deviceId: 'node-a', moduleId: 'motor' }));
  const changed = await body(registry.updateModule({ ...made, managedBy: 'others' }));
  assert.equal(changed.managedBy, 'others');
  await refused('InvalidEtagError', registry.updateModule(made));
  await registry.updateModule(made, true);
  assert.equal((await body(registry.getModule('node-a', 'motor'))).managedBy, 'ops');
  assert.deepEqual((await body(registry.getModulesOnDevice('node-a'))).map((one) => one.moduleId), ['motor']);
  await refused(404, registry.getModule('node-a', 'nobody'));
  const twin = await body(registry.getModuleTwin('node-a', 'motor'));
  await twin.update({ properties: { desired: { speed: 3 } } });
  const updated = await body(registry.updateModuleTwin('node-a', 'motor', { tags: { a: 1 } }, '*'));
  assert.deepEqual([updated.tags, updated.properties.desired.speed], [{ a: 1 }, 3]);
  await registry.removeModule('node-a', 'motor');
  assert.deepEqual(await body(registry.getModulesOnDevice('node-a')), []);
}

async function configurations() {
  const wanted = {
    id: 'node-config',
    schemaVersion: '1.0',
    labels: { by: 'test' },
    content: { deviceContent: { 'properties.desired.fan': { speed: 3 } } },
    targetCondition: "deviceId = 'node-a'",
    priority: 10,
  };
  const made = await body(registry.addConfiguration(wanted));
  assert.deepEqual([made.id, made.priority], ['node-config', 10]);
  await eventually('the value', async () => (await body(registry.getTwin('node-a'))).properties.desired.fan?.speed === 3);
  const changed = await body(registry.updateConfiguration({ ...made, priority: 11 }));
  assert.equal(changed.priority, 11);
  await refused('InvalidEtagError', registry.updateConfiguration({ ...made, priority: 12 }));
  await registry.updateConfiguration({ ...made, priority: 13 }, true);
  assert.equal((await body(registry.getConfiguration('node-config'))).priority, 13);
  assert.deepEqual((await body(registry.getConfigurations())).map((one) => one.id), ['node-config']);
  await registry.removeConfiguration('node-config');
  await refused(404, registry.getConfiguration('node-config'));
  await registry.addModule({ deviceId: 'node-a', moduleId: 'valve' });
  const content = { modulesContent: { valve: { 'properties.desired': { open: true } } } };
  await registry.applyConfigurationContentOnDevice('node-a', content);
  assert.equal((await body(registry.getModuleTwin('node-a', 'valve'))).properties.desired.open, true);
}

async function jobs() {
  const client = iothub.JobClient.fromConnectionString(string);
  const ended = (id) => async () => {
    const { jobStatus } = await client.getJob(id);
    return ['completed', 'failed'].includes(jobStatus.status) && jobStatus;
  };
  const patch = { etag: '*', tags: { job: 'done' } };
  const made = await client.scheduleTwinUpdate('node-twins', "deviceId = 'node-a'", patch, new Date(), 60);
  assert.deepEqual([made.jobStatus.jobId, made.jobStatus.type], ['node-twins', 'scheduleUpdateTwin']);
  const done = await eventually('the end of the job', ended('node-twins'));
  assert.deepEqual([done.status, done.deviceJobStatistics.succeededCount], ['completed', 1]);
  assert.equal((await body(registry.getTwin('node-a'))).tags.job, 'done');
  const call = { methodName: 'reboot', payload: { delay: 1 }, responseTimeoutInSeconds: 15 };
  await client.scheduleDeviceMethod('node-methods', "deviceId = 'node-live'", call, new Date(), 60);
  const called = await eventually('the end of the job', ended('node-methods'));
  assert.equal(called.deviceJobStatistics.succeededCount, 1);
  const later = new Date(Date.now() + 3_600_000);
  await client.scheduleTwinUpdate('node-later', '*', patch, later, 60);
  assert.equal((await client.cancelJob('node-later')).jobStatus.status, 'cancelled');
  await refused(404, client.getJob('nobody'));
  const query = client.createQuery(undefined, undefined, 2);
  const found = [];
  // Without a callback the SDK forgets where it was.
  while (query.hasMoreResults) found.push(...(await query.next(query.continuationToken)).result);
  assert.deepEqual(found.map((job) => job.jobId).sort(), ['node-later', 'node-methods', 'node-twins']);
  const completed = (await client.createQuery('scheduleUpdateTwin', 'completed').next()).result;
  assert.deepEqual(completed.map((job) => job.jobId), ['node-twins']);
}

async function digitalTwins() {
  const client = new iothub.DigitalTwinClient(new iothub.IoTHubTokenCredentials(string));
  await client.updateDigitalTwin('node-a', [{ op: 'add', path: '/thermostat1/target', value: 21 }]);
  const twin = await client.getDigitalTwin('node-a');
  assert.equal(twin.$dtId, 'node-a');
  assert.equal(twin.thermostat1.$metadata.target.desiredValue, 21);
  await refused(404, client.getDigitalTwin('nobody'));
  const answer = await client.invokeCommand('node-live', 'reboot', { delay: 1 }, { responseTimeoutInSeconds: 15 });
  assert.equal(answer.name ?? answer.body?.name, 'reboot', JSON.stringify(answer));
  const component = await client.invokeComponentCommand('node-live', 'thermostat1', 'max', { since: 'ever' });
  assert.equal(component.name ?? component.body?.name, 'thermostat1*max', JSON.stringify(component));
}

async function methods() {
  // Its constructor makes an AMQP client too, which opens nothing until it is told to.
  const client = iothub.Client.fromConnectionString(string);
  const call = { methodName: 'reboot', payload: { delay: 1 }, responseTimeoutInSeconds: 15 };
  const { result } = await client.invokeDeviceMethod('node-live', call);
  assert.deepEqual(result, { status: 207, payload: { name: 'reboot' } });
  await refused(404, client.invokeDeviceMethod('node-a', call));
}

await devices();
await twins();
await modules();
await configurations();
await jobs();
await digitalTwins();
await methods();
console.log('ok');
