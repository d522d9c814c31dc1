/** A machine that sends what examples/python/first_device.py sends. */
export const machine = {
  '@id': 'dtmi:e2e:Machine;1',
  '@type': 'Interface',
  '@context': 'dtmi:dtdl:context;2',
  displayName: 'Test machine',
  contents: [
    { '@type': ['Telemetry', 'Temperature'], name: 'temperature', displayName: 'Temperature', schema: 'double', unit: 'degreeCelsius' },
    { '@type': ['Telemetry', 'RelativeHumidity'], name: 'humidity', displayName: 'Humidity', schema: 'double', unit: 'percent' },
    { '@type': 'Property', name: 'target', displayName: 'Target', schema: 'double', writable: true },
    { '@type': 'Property', name: 'serialNumber', displayName: 'Serial number', schema: 'string' },
  ],
};
