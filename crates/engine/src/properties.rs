//! Properties as the REST API writes them: writable ones become desired properties, cloud properties become tags.

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    events::{self, Patches, failures},
    templates,
    twins::{self, Change},
};
use muster_model::{
    Caller, DeviceId, Permission,
    device::Twin,
    template::{Kind, Template},
    wire::twin,
};
use muster_store::{devices, templates as stored, twins as rows};
use serde_json::{Map, Value, json};

/// Writes properties of a device, or of one of its components. With [`Change::Replace`] writable properties that are
/// not named are taken away.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`], [`EngineError::Invalid`] for a name that the template does not
/// know or that the device alone may write, and for a value of the wrong kind.
pub async fn write(engine: &Engine, caller: &Caller, id: &DeviceId, write: Write<'_>) -> Result<Twin, EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let device = devices::get(&tx, &caller.scope, id).await?;
    let template = match &device.template {
        Some(template) => Some(templates::load(stored::get(&tx, &caller.scope, template).await?)?),
        None => None,
    };
    let mut split = Split::default();
    split.read(&write, template.as_ref());
    if !split.problems.is_empty() {
        return Err(EngineError::Invalid { problems: split.problems });
    }
    let mut twin = rows::lock(&tx, &caller.scope, device.key).await?;
    if write.change == Change::Replace {
        split.remove_unnamed(&twin, write.component, template.as_ref());
    }
    if !split.tags.is_empty() {
        twin::patch_tags(&mut twin, &split.tags)?;
    }
    let push = match split.desired.is_empty() {
        true => None,
        false => Some(twins::change_desired(engine, &mut twin, &split.desired, Change::Merge)?),
    };
    rows::update(&tx, &caller.scope, device.key, &twin).await?;
    let written = |section: &Map<String, Value>| !section.is_empty();
    let patches = Patches {
        tags: Some(&split.tags).filter(|tags| written(tags)),
        desired: Some(&split.desired).filter(|desired| written(desired)),
        reported: None,
    };
    events::patched(&tx, &caller.scope, &id.clone().into(), (&twin, patches), engine.clock().now());
    failures::count(engine, caller.scope.tenant, "c2d.property.update.success", 1);
    let names = json!({
        "properties": split.desired.keys().collect::<Vec<_>>(),
        "cloudProperties": split.tags.keys().collect::<Vec<_>>(),
    });
    let details = names.as_object().cloned().unwrap_or_default();
    audit::record(&tx, engine, caller, Entry::new("propertiesChanged", "device", id).with(details)).await?;
    match push {
        Some(push) => twins::commit_and_push(engine, caller, tx, (id, device.key), push).await?,
        None => {
            tx.commit().await?;
            twins::say(engine, caller, id).await;
        }
    }
    Ok(twin)
}

/// What is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    /// The component; the whole device where absent.
    pub component: Option<&'a str>,
    /// The values by name; a component's values stand in an object under its name.
    pub body: &'a Map<String, Value>,
    /// Whether what is not named stays.
    pub change: Change,
}

/// A body, taken apart by where its values go.
#[derive(Debug, Default)]
struct Split {
    desired: Map<String, Value>,
    tags: Map<String, Value>,
    problems: Vec<Problem>,
}

impl Split {
    fn read(&mut self, write: &Write<'_>, template: Option<&Template>) {
        let Some(template) = template else {
            // Without a template everything goes to the device, as it is.
            match write.component {
                Some(component) => self.component(component, write.body, None),
                None => self.desired.extend(without_metadata(write.body)),
            }
            return;
        };
        match write.component {
            Some(component) => self.component(component, write.body, Some(template)),
            None => {
                for (name, value) in without_metadata(write.body) {
                    match value.as_object() {
                        Some(values) if template.components.iter().any(|component| component.name == name) => {
                            self.component(&name, values, Some(template));
                        }
                        _ => self.root(name, value, template),
                    }
                }
            }
        }
    }

    fn root(&mut self, name: String, value: Value, template: &Template) {
        let pointer = format!("/{name}");
        match self.check(&name, &pointer, &value, template) {
            Some(Kind::CloudProperty) => _ = self.tags.insert(name, value),
            Some(_) => _ = self.desired.insert(name, value),
            None => {}
        }
    }

    fn component(&mut self, component: &str, values: &Map<String, Value>, template: Option<&Template>) {
        let mut patch = Map::from_iter([("__t".to_owned(), json!("c"))]);
        for (name, value) in without_metadata(values) {
            let (key, pointer) = (format!("{component}.{name}"), format!("/{component}/{name}"));
            let known = template.is_none_or(|template| self.check(&key, &pointer, &value, template).is_some());
            if known {
                patch.insert(name, value);
            }
        }
        if patch.len() > 1 {
            self.desired.insert(component.to_owned(), Value::Object(patch));
        }
    }

    /// What the capability is, if it may be written from here and the value fits.
    fn check(&mut self, key: &str, pointer: &str, value: &Value, template: &Template) -> Option<Kind> {
        let mut refuse = |code: &str, message: String| self.problems.push(Problem::at(code, pointer, message));
        let Some(capability) = template.capability(key) else {
            refuse("unknownProperty", format!("the device template has no property '{key}'"));
            return None;
        };
        if !matches!(capability.kind, Kind::Property { writable: true } | Kind::CloudProperty) {
            refuse("notWritable", format!("'{key}' is no writable property and no cloud property"));
            return None;
        }
        if !value.is_null() && !capability.schema.accepts(value) {
            refuse("wrongType", format!("the value of '{key}' does not fit its schema"));
            return None;
        }
        Some(capability.kind)
    }

    /// Adds a null for each writable property that stands in the twin and is not named.
    fn remove_unnamed(&mut self, twin: &Twin, component: Option<&str>, template: Option<&Template>) {
        let Some(component) = component else {
            for name in
                twin.desired.keys().filter(|name| !self.desired.contains_key(*name)).cloned().collect::<Vec<_>>()
            {
                self.desired.insert(name, Value::Null);
            }
            let is_cloud = |name: &&String| {
                template
                    .and_then(|template| template.capability(name))
                    .is_some_and(|found| found.kind == Kind::CloudProperty)
            };
            let gone = twin.tags.keys().filter(|name| !self.tags.contains_key(*name)).filter(is_cloud);
            for name in gone.cloned().collect::<Vec<_>>() {
                self.tags.insert(name, Value::Null);
            }
            return;
        };
        let Some(Value::Object(before)) = twin.desired.get(component) else { return };
        let marked = || Value::Object(Map::from_iter([("__t".to_owned(), json!("c"))]));
        let Some(patch) = self.desired.entry(component).or_insert_with(marked).as_object_mut() else { return };
        for name in before.keys() {
            patch.entry(name.clone()).or_insert(Value::Null);
        }
    }
}

/// A body that was read before carries metadata; it is not written back.
fn without_metadata(body: &Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    body.iter().filter(|(name, _)| !name.starts_with('$')).map(|(name, value)| (name.clone(), value.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let document = json!({
            "@id": "dtmi:test:thermostat;1",
            "@type": ["ModelDefinition", "DeviceModel"],
            "displayName": "Thermostat",
            "capabilityModel": {
                "@id": "dtmi:test:thermostat:model;1",
                "@type": "Interface",
                "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
                "contents": [
                    { "@type": "Property", "name": "target", "schema": "double", "writable": true },
                    { "@type": "Property", "name": "serial", "schema": "string" },
                    { "@type": ["Property", "Cloud"], "name": "owner", "schema": "string" },
                    { "@type": "Component", "name": "fan", "schema": {
                        "@id": "dtmi:test:fan;1", "@type": "Interface",
                        "contents": [{ "@type": "Property", "name": "speed", "schema": "integer", "writable": true }]
                    }},
                ],
            },
        });
        Template::import(&document, None).expect("a template")
    }

    fn split(body: Value, component: Option<&str>) -> Split {
        let body = body.as_object().cloned().expect("an object");
        let mut split = Split::default();
        split.read(&Write { component, body: &body, change: Change::Merge }, Some(&template()));
        split
    }

    #[test]
    fn values_go_where_the_template_says() {
        let whole = split(json!({"target": 21.5, "owner": "Ada", "fan": {"speed": 3}, "$metadata": {}}), None);
        assert_eq!(whole.problems, []);
        assert_eq!(Value::Object(whole.desired), json!({"target": 21.5, "fan": {"__t": "c", "speed": 3}}));
        assert_eq!(Value::Object(whole.tags), json!({"owner": "Ada"}));
        let part = split(json!({"speed": 4}), Some("fan"));
        assert_eq!(Value::Object(part.desired), json!({"fan": {"__t": "c", "speed": 4}}));
    }

    #[test]
    fn what_may_not_be_written_is_named() {
        let bad = split(json!({"serial": "x", "nothing": 1, "target": "warm"}), None);
        let found: Vec<_> =
            bad.problems.iter().map(|problem| (problem.code.as_str(), problem.pointer.as_deref())).collect();
        assert_eq!(found.len(), 3);
        for expected in
            [("notWritable", Some("/serial")), ("unknownProperty", Some("/nothing")), ("wrongType", Some("/target"))]
        {
            assert!(found.contains(&expected), "{expected:?}");
        }
        assert!(bad.desired.is_empty());
    }

    #[test]
    fn replacing_takes_away_what_is_not_named() {
        let mut split = split(json!({"target": 20}), None);
        let twin = Twin {
            desired: json!({"target": 19, "fan": {"__t": "c", "speed": 1}}).as_object().cloned().unwrap_or_default(),
            tags: json!({"owner": "Ada", "other": 1}).as_object().cloned().unwrap_or_default(),
            ..Twin::default()
        };
        split.remove_unnamed(&twin, None, Some(&template()));
        assert_eq!(Value::Object(split.desired), json!({"target": 20, "fan": null}));
        assert_eq!(Value::Object(split.tags), json!({"owner": null}));
    }
}
