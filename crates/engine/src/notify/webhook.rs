//! The body of a rule's webhook, as IoT Central sends it (`iot-central.md` §9).

use chrono::{DateTime, SecondsFormat, Utc};
use muster_model::{
    RuleId, TenantId,
    device::{Device, Twin},
};
use serde_json::{Map, Value, json};

/// What the body is made from.
#[derive(Debug)]
pub struct WebhookContext<'a> {
    /// When the rule fired.
    pub at: DateTime<Utc>,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The tenant's name.
    pub tenant_name: &'a str,
    /// The host that the web app is reached at.
    pub host: &'a str,
    /// The rule.
    pub rule: RuleId,
    /// The rule's name.
    pub rule_name: &'a str,
    /// The action's name.
    pub action_name: &'a str,
    /// The action's address.
    pub url: &'a str,
    /// The device.
    pub device: &'a Device,
    /// The device's twin.
    pub twin: &'a Twin,
    /// The values that made it fire, by telemetry key.
    pub values: &'a Map<String, Value>,
}

/// The body.
pub fn webhook_body(context: &WebhookContext<'_>) -> Value {
    let device = context.device;
    json!({
        "timestamp": context.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "action": {
            "id": context.rule.to_string(),
            "type": "WebhookAction",
            "rules": [context.rule.to_string()],
            "displayName": context.action_name,
            "url": context.url,
        },
        "application": {
            "id": context.tenant.as_str(),
            "displayName": context.tenant_name,
            "subdomain": context.tenant.as_str(),
            "host": context.host,
        },
        "device": {
            "id": device.id.as_str(),
            "etag": device.etag,
            "displayName": device.display_name,
            "instanceOf": device.template.as_ref().map(|template| template.as_str()),
            "simulated": device.simulated,
            "provisioned": device.provisioned,
            "approved": device.enabled,
            "cloudProperties": wrap_values(&context.twin.tags),
            "properties": wrap_properties(&context.twin.reported),
            "telemetry": wrap_telemetry(context.values),
        },
        "rule": { "id": context.rule.to_string(), "displayName": context.rule_name },
    })
}

fn wrap_values(values: &Map<String, Value>) -> Map<String, Value> {
    values.iter().map(|(name, value)| (name.clone(), json!({ "value": value }))).collect()
}

/// Components (marked by `__t`) become objects of their own; an acknowledged property shows its value.
fn wrap_properties(reported: &Map<String, Value>) -> Map<String, Value> {
    let plain = |value: &Value| value.get("ac").and(value.get("value")).unwrap_or(value).clone();
    reported
        .iter()
        .map(|(name, value)| match value.as_object() {
            Some(component) if component.contains_key("__t") => {
                let inner = component.iter().filter(|(key, _)| *key != "__t");
                let inner: Map<_, _> =
                    inner.map(|(key, value)| (key.clone(), json!({ "value": plain(value) }))).collect();
                (name.clone(), Value::Object(inner))
            }
            _ => (name.clone(), json!({ "value": plain(value) })),
        })
        .collect()
}

/// `thermostat1.temperature` stands under its component.
fn wrap_telemetry(values: &Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in values {
        let wrapped = json!({ "value": value });
        match key.split_once('.') {
            Some((component, name)) => {
                if let Value::Object(inner) = out.entry(component).or_insert_with(|| json!({})) {
                    inner.insert(name.to_owned(), wrapped);
                }
            }
            None => _ = out.insert(key.clone(), wrapped),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telemetry_and_properties_stand_as_iot_central_sends_them() {
        let values = json!({ "humidity": 47.3, "thermostat1.temperature": 31 });
        let telemetry = wrap_telemetry(values.as_object().expect("an object"));
        assert_eq!(
            Value::Object(telemetry),
            json!({ "humidity": { "value": 47.3 }, "thermostat1": { "temperature": { "value": 31 } } })
        );
        let reported = json!({
            "serial": "x",
            "target": { "value": 20, "ac": 200, "av": 3 },
            "deviceinfo": { "__t": "c", "firmwareVersion": "1.0.0" }
        });
        assert_eq!(
            Value::Object(wrap_properties(reported.as_object().expect("an object"))),
            json!({
                "serial": { "value": "x" },
                "target": { "value": 20 },
                "deviceinfo": { "firmwareVersion": { "value": "1.0.0" } }
            })
        );
    }
}
