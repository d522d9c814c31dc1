//! A device's properties as people see them: the template, the twin and the tags brought together.

use crate::device::Twin;
use crate::template::{Capability, Kind, Template};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One property of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct PropertyView {
    /// Its key: `name`, or `component.name`.
    pub key: String,
    /// The template's capability; none where the template lacks it.
    pub capability: Option<Capability>,
    /// What the device last reported, or the cloud property's value.
    pub value: Option<Value>,
    /// What it was told to be.
    pub desired: Option<Value>,
    /// The desired version that told it so.
    pub desired_version: Option<i64>,
    /// The device's answer to that.
    pub ack: Option<Ack>,
    /// How desired and reported stand to each other.
    pub state: PropertyState,
    /// When the value last changed, as noted in the twin.
    pub last_update: Option<String>,
}

/// A device's answer to a desired property (`{"value":…,"ac":…,"av":…,"ad":…}`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ack {
    /// 200 done, 201 and 202 in progress, 203 set by the device itself, 400 and up refused.
    pub code: i64,
    /// The desired version that it answers.
    pub version: i64,
    /// What the device says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How a property's desired and reported values stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PropertyState {
    /// Nothing was asked for.
    Reported,
    /// Asked for, not answered yet (or still in progress).
    Pending,
    /// The device took it.
    Accepted,
    /// The device refused it.
    Rejected,
}

/// What a change of properties does to the twin.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// The patch of the desired properties.
    pub desired: Map<String, Value>,
    /// The patch of the tags (cloud properties).
    pub tags: Map<String, Value>,
}

/// Why a property can't be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct PropertyProblem {
    /// A stable code: `unknownProperty`, `readOnlyProperty` or `wrongValue`.
    pub code: String,
    /// The JSON pointer of the place in the request.
    pub pointer: String,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// The device's properties: the template's in its order, then (with [`Unmodelled::Shown`]) those that it lacks.
pub fn views(template: Option<&Template>, twin: &Twin, unmodelled: Unmodelled) -> Vec<PropertyView> {
    let sources = Sources::of(template, twin);
    let mut views: Vec<_> = template
        .map_or(&[][..], |template| &template.capabilities)
        .iter()
        .filter_map(|capability| match capability.kind {
            Kind::CloudProperty => Some(cloud_view(capability, twin)),
            Kind::Property { .. } => {
                Some(sources.view(capability.component.as_deref(), &capability.name, Some(capability)))
            }
            _ => None,
        })
        .collect();
    if unmodelled == Unmodelled::Shown || template.is_none() {
        for (component, name) in sources.names() {
            let key = key(component, name);
            if !views.iter().any(|view| view.key == key) {
                views.push(sources.view(component, name, None));
            }
        }
    }
    views
}

/// Are properties that the template lacks shown and taken?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmodelled {
    /// They are left out, and refused.
    Hidden,
    /// They are shown, and taken.
    Shown,
}

/// IoT Central's answer to "get properties": values with `$metadata`, components inside. Properties never set are
/// left out.
pub fn document(template: Option<&Template>, twin: &Twin, unmodelled: Unmodelled) -> Map<String, Value> {
    let mut document = Map::new();
    for view in views(template, twin, unmodelled) {
        let (component, name) = split(&view.key);
        if view.value.is_none() && view.desired.is_none() {
            continue;
        }
        let mut metadata = Map::new();
        let mut note = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                metadata.insert(key.to_owned(), value);
            }
        };
        note("desiredValue", view.desired);
        note("desiredVersion", view.desired_version.map(Value::from));
        if let Some(ack) = view.ack {
            note("ackVersion", Some(ack.version.into()));
            note("ackCode", Some(ack.code.into()));
            note("ackDescription", ack.description.map(Value::from));
        }
        note("lastUpdateTime", view.last_update.map(Value::from));
        let add = |target: &mut Map<String, Value>| {
            if let Some(value) = view.value {
                target.insert(name.to_owned(), value);
            }
            edit_inner(target, "$metadata", |all| {
                all.insert(name.to_owned(), Value::Object(metadata));
            });
        };
        match component {
            Some(component) => edit_inner(&mut document, component, add),
            None => add(&mut document),
        }
    }
    document
}

/// What setting properties (IoT Central's request body) does to the twin. `null` takes a property back.
///
/// # Errors
/// Every [`PropertyProblem`] found.
pub fn change(
    template: Option<&Template>,
    body: &Map<String, Value>,
    unmodelled: Unmodelled,
) -> Result<Change, Vec<PropertyProblem>> {
    let mut setting = Setting { template, unmodelled, change: Change::default(), problems: Vec::new() };
    for (name, value) in body.iter().filter(|(name, _)| *name != "$metadata") {
        let is_component =
            template.is_some_and(|template| template.components.iter().any(|component| component.name == *name));
        match value.as_object().filter(|_| is_component) {
            Some(members) => {
                for (member, value) in members.iter().filter(|(name, _)| *name != "$metadata" && *name != "__t") {
                    setting.set(Some(name), member, value);
                }
            }
            None => setting.set(None, name, value),
        }
    }
    if setting.problems.is_empty() { Ok(setting.change) } else { Err(setting.problems) }
}

/// Like [`change`], and takes back every property that is set and not in `body`.
///
/// # Errors
/// Every [`PropertyProblem`] found.
pub fn replace(
    template: Option<&Template>,
    twin: &Twin,
    body: &Map<String, Value>,
    unmodelled: Unmodelled,
) -> Result<Change, Vec<PropertyProblem>> {
    let mut change = change(template, body, unmodelled)?;
    for view in views(template, twin, unmodelled) {
        let (component, name) = split(&view.key);
        let cloud = view.capability.as_ref().is_some_and(|capability| capability.kind == Kind::CloudProperty);
        if cloud {
            change.tags.entry(name).or_insert(Value::Null);
        } else if view.desired.is_some() {
            edit_section(&mut change.desired, component, |section| {
                section.entry(name).or_insert(Value::Null);
            });
        }
    }
    Ok(change)
}

struct Setting<'a> {
    template: Option<&'a Template>,
    unmodelled: Unmodelled,
    change: Change,
    problems: Vec<PropertyProblem>,
}

impl Setting<'_> {
    fn set(&mut self, component: Option<&str>, name: &str, value: &Value) {
        let key = key(component, name);
        let found = self.template.and_then(|template| template.capability(&key));
        let problem = match found.map(|capability| capability.kind) {
            Some(Kind::Property { writable: false }) => {
                Some(("readOnlyProperty", format!("property '{key}' is set by the device only")))
            }
            Some(Kind::Property { .. } | Kind::CloudProperty) => found
                .filter(|capability| !value.is_null() && !capability.schema.accepts(value))
                .map(|_| ("wrongValue", format!("the value does not fit the schema of property '{key}'"))),
            _ if self.template.is_none() || self.unmodelled == Unmodelled::Shown => None,
            _ => Some(("unknownProperty", format!("the template has no property '{key}'"))),
        };
        if let Some((code, message)) = problem {
            let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1").replace('.', "/"));
            return self.problems.push(PropertyProblem { code: code.to_owned(), pointer, message });
        }
        let add = |target: &mut Map<String, Value>| {
            target.insert(name.to_owned(), value.clone());
        };
        match found.map(|capability| capability.kind) {
            Some(Kind::CloudProperty) => add(&mut self.change.tags),
            _ => edit_section(&mut self.change.desired, component, add),
        }
    }
}

/// Desired and reported properties, found by component and name.
struct Sources<'a> {
    twin: &'a Twin,
    components: Vec<&'a str>,
}

impl<'a> Sources<'a> {
    /// Components are those of the template, and what the twin marks as one (`"__t":"c"`).
    fn of(template: Option<&'a Template>, twin: &'a Twin) -> Self {
        let mut components: Vec<_> = template
            .map_or(&[][..], |template| &template.components)
            .iter()
            .map(|component| component.name.as_str())
            .collect();
        for (name, value) in twin.desired.iter().chain(&twin.reported) {
            if value.get("__t").and_then(Value::as_str) == Some("c") && !components.contains(&name.as_str()) {
                components.push(name);
            }
        }
        Self { twin, components }
    }

    /// Every property in the twin.
    fn names(&self) -> Vec<(Option<&'a str>, &'a str)> {
        let mut names = Vec::new();
        for (name, value) in self.twin.reported.iter().chain(&self.twin.desired) {
            match value.as_object().filter(|_| self.components.contains(&name.as_str())) {
                Some(members) => {
                    names.extend(
                        members
                            .keys()
                            .filter(|member| *member != "__t")
                            .map(|member| (Some(name.as_str()), member.as_str())),
                    );
                }
                None => names.push((None, name.as_str())),
            }
        }
        names
    }

    fn view(&self, component: Option<&str>, name: &str, capability: Option<&Capability>) -> PropertyView {
        let twin = self.twin;
        let desired = find(&twin.desired, component, name).cloned();
        let desired_version = desired.as_ref().map(|_| {
            let noted = find(&twin.desired_metadata, component, name)
                .and_then(|metadata| metadata.get("$lastUpdatedVersion")?.as_i64());
            noted.unwrap_or(twin.desired_version)
        });
        let (value, ack) = find(&twin.reported, component, name).map_or((None, None), answer);
        let updated = |metadata: &Map<String, Value>| {
            find(metadata, component, name)
                .and_then(|metadata| metadata.get("$lastUpdated")?.as_str())
                .map(str::to_owned)
        };
        PropertyView {
            key: key(component, name),
            capability: capability.cloned(),
            state: state(desired.as_ref().zip(desired_version), value.as_ref(), ack.as_ref()),
            value,
            desired,
            desired_version,
            ack,
            last_update: updated(&twin.reported_metadata).or_else(|| updated(&twin.desired_metadata)),
        }
    }
}

fn cloud_view(capability: &Capability, twin: &Twin) -> PropertyView {
    PropertyView {
        key: capability.key.clone(),
        capability: Some(capability.clone()),
        value: twin.tags.get(&capability.name).cloned(),
        desired: None,
        desired_version: None,
        ack: None,
        state: PropertyState::Reported,
        last_update: None,
    }
}

/// A reported value, and the answer that it is wrapped in where the device answers.
fn answer(reported: &Value) -> (Option<Value>, Option<Ack>) {
    let parts =
        (reported.get("value"), reported.get("ac").and_then(Value::as_i64), reported.get("av").and_then(Value::as_i64));
    let (Some(value), Some(code), Some(version)) = parts else {
        return (Some(reported.clone()), None);
    };
    let description = reported.get("ad").and_then(Value::as_str).map(str::to_owned);
    (Some(value.clone()), Some(Ack { code, version, description }))
}

/// An answer to an older version is stale. A device that reports the desired value plainly has taken it.
fn state(desired: Option<(&Value, i64)>, value: Option<&Value>, ack: Option<&Ack>) -> PropertyState {
    let Some((desired, version)) = desired else { return PropertyState::Reported };
    match ack {
        None if value == Some(desired) => PropertyState::Accepted,
        Some(ack) if ack.version >= version => match ack.code {
            200 | 203..=299 => PropertyState::Accepted,
            300.. => PropertyState::Rejected,
            _ => PropertyState::Pending,
        },
        _ => PropertyState::Pending,
    }
}

fn find<'a>(section: &'a Map<String, Value>, component: Option<&str>, name: &str) -> Option<&'a Value> {
    match component {
        Some(component) => section.get(component)?.get(name),
        None => section.get(name),
    }
}

fn key(component: Option<&str>, name: &str) -> String {
    component.map_or_else(|| name.to_owned(), |component| format!("{component}.{name}"))
}

fn split(key: &str) -> (Option<&str>, &str) {
    key.split_once('.').map_or((None, key), |(component, name)| (Some(component), name))
}

/// Edits the part of a desired patch where a component's properties go, marked as devices expect it.
fn edit_section(desired: &mut Map<String, Value>, component: Option<&str>, edit: impl FnOnce(&mut Map<String, Value>)) {
    match component {
        None => edit(desired),
        Some(component) => edit_inner(desired, component, |section| {
            section.insert("__t".to_owned(), "c".into());
            edit(section);
        }),
    }
}

/// Edits the object under `name`, made where there is none.
fn edit_inner(object: &mut Map<String, Value>, name: &str, edit: impl FnOnce(&mut Map<String, Value>)) {
    let mut inner = match object.remove(name) {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    };
    edit(&mut inner);
    object.insert(name.to_owned(), Value::Object(inner));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::twin;
    use chrono::DateTime;
    use serde_json::json;

    fn template() -> Template {
        let document = json!({
            "@id": "dtmi:test:fan;1",
            "capabilityModel": {"@id": "dtmi:test:fanModel;1", "@type": "Interface", "contents": [
                {"@type": "Property", "name": "serial", "schema": "string"},
                {"@type": "Property", "name": "target", "schema": "double", "writable": true},
                {"@type": ["Property", "Cloud"], "name": "city", "schema": "string"},
                {"@type": "Component", "name": "settings", "schema": {"@id": "dtmi:test:settings;1", "@type": "Interface",
                    "contents": [{"@type": "Property", "name": "fanSpeed", "schema": "double", "writable": true}]}},
            ]},
        });
        Template::load(document, 1).expect("a template")
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    fn twin_of(desired: &[Value], reported: Value) -> Twin {
        let mut twin = Twin { desired_version: 1, reported_version: 1, version: 2, ..Twin::default() };
        let at = DateTime::from_timestamp(0, 0).expect("a time");
        for patch in desired {
            twin::patch_desired(&mut twin, &object(patch.clone()), at).expect("a patch");
        }
        twin::patch_reported(&mut twin, &object(reported), at).expect("a patch");
        twin
    }

    #[test]
    fn the_state_follows_the_answer() {
        use PropertyState as S;
        let ack = |code: i64, version: i64| json!({"target": {"value": 20, "ac": code, "av": version, "ad": "text"}});
        for (desired, reported, state) in [
            (vec![], json!({"target": 20}), S::Reported),
            (vec![json!({"target": 20})], json!({}), S::Pending),
            (vec![json!({"target": 20})], json!({"target": 20}), S::Accepted),
            (vec![json!({"target": 20})], ack(200, 2), S::Accepted),
            (vec![json!({"target": 20})], ack(202, 2), S::Pending),
            (vec![json!({"target": 20})], ack(400, 2), S::Rejected),
            (vec![json!({"target": 20})], ack(200, 1), S::Pending),
            (vec![json!({"target": 20})], ack(203, 0), S::Pending),
            // Another property changed later; the answer to this one's own version still counts.
            (vec![json!({"target": 20}), json!({"settings": {"fanSpeed": 1}})], ack(200, 2), S::Accepted),
        ] {
            let twin = twin_of(&desired, reported.clone());
            let views = views(Some(&template()), &twin, Unmodelled::Hidden);
            let view = views.iter().find(|view| view.key == "target").expect("the property");
            assert_eq!(view.state, state, "{desired:?} {reported}");
        }
    }

    #[test]
    fn the_document_is_that_of_iot_central() {
        let mut twin = twin_of(
            &[json!({"settings": {"__t": "c", "fanSpeed": 30}})],
            json!({"serial": "s", "extra": 1, "settings": {"__t": "c", "fanSpeed": {"value": 12.5, "ac": 202, "av": 2}}}),
        );
        twin.tags = object(json!({"city": "Bern"}));
        let time = "1970-01-01T00:00:00.000Z";
        let expected = json!({
            "serial": "s", "city": "Bern",
            "$metadata": {"serial": {"lastUpdateTime": time}, "city": {}},
            "settings": {"fanSpeed": 12.5, "$metadata": {"fanSpeed":
                {"desiredValue": 30, "desiredVersion": 2, "ackVersion": 2, "ackCode": 202, "lastUpdateTime": time}}},
        });
        assert_eq!(Value::Object(document(Some(&template()), &twin, Unmodelled::Hidden)), expected);
        assert_eq!(document(Some(&template()), &twin, Unmodelled::Shown).get("extra"), Some(&json!(1)));
        let untyped = document(None, &twin, Unmodelled::Hidden);
        assert_eq!(untyped.get("settings").and_then(|settings| settings.get("fanSpeed")), Some(&json!(12.5)));
        assert!(!untyped.contains_key("city"));
    }

    #[test]
    fn changes_go_to_their_section() {
        let body = object(json!({"target": 20, "city": "Ulm", "settings": {"fanSpeed": null}, "$metadata": {}}));
        let change = change(Some(&template()), &body, Unmodelled::Hidden).expect("a change");
        assert_eq!(Value::Object(change.desired), json!({"target": 20, "settings": {"__t": "c", "fanSpeed": null}}));
        assert_eq!(Value::Object(change.tags), json!({"city": "Ulm"}));
    }

    #[test]
    fn replacing_takes_the_others_back() {
        let twin = twin_of(&[json!({"target": 20, "settings": {"fanSpeed": 1}})], json!({"serial": "s"}));
        let change =
            replace(Some(&template()), &twin, &object(json!({"target": 21})), Unmodelled::Hidden).expect("a change");
        assert_eq!(Value::Object(change.desired), json!({"target": 21, "settings": {"__t": "c", "fanSpeed": null}}));
        assert_eq!(Value::Object(change.tags), json!({"city": null}));
    }

    #[test]
    fn bad_changes_say_why() {
        for (body, code, pointer) in [
            (json!({"serial": "x"}), "readOnlyProperty", "/serial"),
            (json!({"target": "x"}), "wrongValue", "/target"),
            (json!({"settings": {"fanSpeed": true}}), "wrongValue", "/settings/fanSpeed"),
            (json!({"gone": 1}), "unknownProperty", "/gone"),
        ] {
            let problems = change(Some(&template()), &object(body), Unmodelled::Hidden).expect_err("a problem");
            assert_eq!((problems[0].code.as_str(), problems[0].pointer.as_str()), (code, pointer));
        }
        assert!(change(Some(&template()), &object(json!({"gone": 1})), Unmodelled::Shown).is_ok());
        assert!(change(None, &object(json!({"gone": 1})), Unmodelled::Hidden).is_ok());
    }
}
