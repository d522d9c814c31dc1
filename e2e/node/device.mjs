// One device with Microsoft's own SDK for Node (npm: azure-iot-device). It provisions itself where it is told how,
// connects, sends telemetry, reports a property, reads its twin and uploads a file. Then it prints "ready" and waits for a direct
// method, a cloud-to-device message and a change of desired properties; and once more after it has connected again.
// At the end it prints "ok". The authority to trust comes in NODE_EXTRA_CA_CERTS: the provisioning client has no
// option for it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import device from 'azure-iot-device';
import deviceMqtt from 'azure-iot-device-mqtt';
import provisioning from 'azure-iot-provisioning-device';
import provisioningMqtt from 'azure-iot-provisioning-device-mqtt';
import symmetricKey from 'azure-iot-security-symmetric-key';
import x509 from 'azure-iot-security-x509';

const text = { type: 'string' };
const { values: args } = parseArgs({
  options: {
    host: text, // the hub's host name or address
    device: text, // the device's id
    key: text, // its symmetric key, or
    certificate: text, // a PEM file with its certificate and
    'private-key': text, // one with the certificate's key
    'id-scope': text, // provision first, in this id scope
    websockets: { type: 'boolean', default: false },
    messages: { type: 'string', default: '100' },
  },
});
const x509Pair = args.certificate && {
  cert: readFileSync(args.certificate, 'ascii'),
  key: readFileSync(args['private-key'], 'ascii'),
};

async function provision() {
  const Transport = args.websockets ? provisioningMqtt.MqttWs : provisioningMqtt.Mqtt;
  const security = x509Pair
    ? new x509.X509Security(args.device, x509Pair)
    : new symmetricKey.SymmetricKeySecurityClient(args.device, args.key);
  const create = provisioning.ProvisioningDeviceClient.create;
  const client = create(args.host, args['id-scope'], new Transport(), security);
  client.setProvisioningPayload({ modelId: 'dtmi:test:Machine;1' });
  const state = await client.register();
  return { host: state.assignedHub, id: state.deviceId };
}

/** What happens to the device, in the order of its coming; `next` waits at most a minute. */
class Happenings {
  #waiting = [];
  #wake = () => {};

  put(what) {
    this.#waiting.push(what);
    this.#wake();
  }

  async next() {
    if (!this.#waiting.length) {
      await new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('nothing happened for a minute')), 60_000);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.#waiting.shift();
  }
}

const { host, id } = args['id-scope'] ? await provision() : { host: args.host, id: args.device };
const credential = x509Pair ? 'x509=true' : `SharedAccessKey=${args.key}`;
const client = device.Client.fromConnectionString(
  `HostName=${host};DeviceId=${id};${credential}`,
  args.websockets ? deviceMqtt.MqttWs : deviceMqtt.Mqtt,
);
if (x509Pair) await client.setOptions(x509Pair);
await client.open();
for (let number = 0; number < Number(args.messages); number += 1) {
  const message = new device.Message(JSON.stringify({ temperature: number }));
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  await client.sendEvent(message);
}

const marker = randomUUID();
const twin = await client.getTwin();
await new Promise((resolve, reject) => {
  twin.properties.reported.update({ serialNumber: marker }, (error) => (error ? reject(error) : resolve()));
});
await twin.get();
assert.equal(twin.properties.reported.serialNumber, marker);

const log = Buffer.from(`${id} has started\n`);
await client.uploadToBlob('log.txt', Readable.from([log]), log.length);

const happened = new Happenings();
client.onDeviceMethod('thermostat1*reboot', (request, response) => {
  response.send(207, { name: request.methodName, payload: request.payload }).then(() => happened.put('method'));
});
client.on('message', (message) => {
  assert.equal(message.properties.getValue('color'), 'dark red');
  assert.equal(message.contentType, 'application/json');
  assert.equal(JSON.parse(message.data.toString()).hello, 'world');
  client.complete(message).then(() => happened.put('message'));
});
let version = twin.properties.desired.$version;
twin.on('properties.desired', (desired) => {
  // The SDK tells what it knows already as if it were a change, right when it is asked to listen.
  if (desired.$version <= version) return;
  version = desired.$version;
  assert.equal(desired.target, 20);
  happened.put('patch');
});

for (const again of [false, true]) {
  if (again) {
    await client.close();
    await client.open();
  }
  // A request that is answered shows that the subscriptions before it are made.
  await twin.get();
  console.log('ready');
  const seen = new Set([await happened.next(), await happened.next(), await happened.next()]);
  assert.deepEqual(seen, new Set(['method', 'message', 'patch']));
}
await client.close();
console.log('ok');
