//! A first device's program, ready to be copied. Pure.

/// What a device needs to know to connect.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// The host of the provisioning service and the hub.
    pub host: String,
    /// By which the device finds its tenant.
    pub id_scope: String,
    /// The device.
    pub device_id: String,
    /// Its key.
    pub primary_key: String,
    /// Where this server offers the certificate of its authority.
    pub authority_url: String,
    /// What it sends: telemetry key and a believable value.
    pub telemetry: Vec<(String, f64)>,
}

/// A Python program on Microsoft's `azure-iot-device` that provisions, connects and sends a message every five seconds.
pub fn python(connection: &Connection) -> String {
    let Connection { host, id_scope, device_id, primary_key, authority_url, telemetry } = connection;
    let readings = telemetry.iter().map(|(key, value)| {
        let spread = (value.abs() * 0.02).max(0.1);
        format!("        {}: round(random.gauss({value}, {spread:.2}), 2),\n", quoted(key))
    });
    let readings: String = readings.collect();
    format!(
        r#"# pip install azure-iot-device
import json, random, time, urllib.request
from azure.iot.device import IoTHubDeviceClient, Message, ProvisioningDeviceClient

HOST = {host}
ID_SCOPE = {id_scope}
DEVICE_ID = {device_id}
KEY = {key}

# The certificate authority of this server; check its fingerprint on a network that you do not trust.
authority = urllib.request.urlopen({authority_url}).read().decode()

registration = ProvisioningDeviceClient.create_from_symmetric_key(
    provisioning_host=HOST, registration_id=DEVICE_ID, id_scope=ID_SCOPE,
    symmetric_key=KEY, server_verification_cert=authority,
).register()
print("provisioned:", registration.status)

device = IoTHubDeviceClient.create_from_symmetric_key(
    symmetric_key=KEY, hostname=registration.registration_state.assigned_hub,
    device_id=DEVICE_ID, server_verification_cert=authority,
)
device.connect()
while True:
    message = Message(json.dumps({{
{readings}    }}), content_encoding="utf-8", content_type="application/json")
    device.send_message(message)
    print("sent", message.data)
    time.sleep(5)
"#,
        host = quoted(host),
        id_scope = quoted(id_scope),
        device_id = quoted(device_id),
        key = quoted(primary_key),
        authority_url = quoted(authority_url),
    )
}

/// A Python string literal; JSON's escapes are Python's too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_holds_every_value_quoted() {
        let text = python(&Connection {
            host: "iot.example".to_owned(),
            id_scope: "0ne00000001".to_owned(),
            device_id: "press-\"7\"".to_owned(),
            primary_key: "a2V5".to_owned(),
            authority_url: "https://iot.example/ca.pem".to_owned(),
            telemetry: vec![("temperature".to_owned(), 21.0)],
        });
        for part in [
            "HOST = \"iot.example\"",
            "ID_SCOPE = \"0ne00000001\"",
            r#"DEVICE_ID = "press-\"7\"""#,
            "KEY = \"a2V5\"",
            "\"temperature\": round(random.gauss(21, 0.42), 2),",
            "urlopen(\"https://iot.example/ca.pem\")",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
