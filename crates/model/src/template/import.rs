//! From a file of a device maker to a template: a DTDL interface, a list of interfaces, or IoT Central's JSON.

use super::{Template, flatten};
use crate::TemplateId;
use crate::dtdl::json::{self, Kind, Node, Position};
use crate::dtdl::{self, Finding, Rules};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// A larger document is refused unread.
pub const MAX_TEMPLATE_BYTES: usize = 1024 * 1024;

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A stable code, for example `missingProperty`.
    pub code: String,
    /// What is wrong and what to do about it.
    pub message: String,
    /// The id of the element, or of the nearest one around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The JSON pointer of the place.
    pub pointer: String,
    /// The line in the text, from 1; 0 where the text is not known.
    pub line: u32,
    /// The column in the line, from 1; 0 where the text is not known.
    pub column: u32,
}

impl Template {
    /// Reads a template from a DTDL interface, a list of interfaces, or IoT Central's JSON. `id` names it where the
    /// caller chooses the id; else it is the document's own.
    ///
    /// # Errors
    /// Every [`Problem`] found.
    pub fn import(document: &Value, id: Option<TemplateId>) -> Result<Self, Vec<Problem>> {
        import(&Node::from_value(document), id)
    }

    /// Reads a template from text; problems carry line and column.
    ///
    /// # Errors
    /// Every [`Problem`] found.
    pub fn import_text(text: &str, id: Option<TemplateId>) -> Result<Self, Vec<Problem>> {
        if text.len() > MAX_TEMPLATE_BYTES {
            let message = format!("the file is larger than {MAX_TEMPLATE_BYTES} bytes");
            return Err(vec![problem("tooLarge", message, Position::default())]);
        }
        import(&json::parse(text).map_err(|error| vec![error.into()])?, id)
    }
}

impl From<Finding> for Problem {
    fn from(error: Finding) -> Self {
        Self {
            code: error.code.as_str().to_owned(),
            message: error.message,
            id: error.id,
            pointer: error.pointer,
            line: error.position.line,
            column: error.position.column,
        }
    }
}

fn import(node: &Node, id: Option<TemplateId>) -> Result<Template, Vec<Problem>> {
    let document = match node.get("capabilityModel") {
        Some(model) => {
            check(model, "/capabilityModel", Rules::Central)?;
            central(node, model, id)
        }
        None => {
            check(node, "", rules(node))?;
            plain(node, id)?
        }
    };
    if !document.get("capabilityModel").is_some_and(|model| flatten::flatten(model).complete) {
        let message = format!(
            "the template has more than {} capabilities or {} fields, those of its components included",
            flatten::MAX_CAPABILITIES,
            flatten::MAX_FIELDS
        );
        return Err(vec![problem("wrongCount", message, node.position)]);
    }
    Template::load(Value::Object(document), 1)
        .map_err(|error| vec![problem("invalidId", error.to_string(), node.position)])
}

fn check(node: &Node, pointer: &str, rules: Rules) -> Result<(), Vec<Problem>> {
    let report = dtdl::check(&[(node, pointer)], rules);
    if report.is_valid() { Ok(()) } else { Err(report.errors.into_iter().map(Problem::from).collect()) }
}

/// A model that names IoT Central's context was written there, with its annotations.
fn rules(node: &Node) -> Rules {
    let contexts = node.each().iter().filter_map(|interface| interface.get("@context")).flat_map(Node::each);
    let central = contexts.filter_map(Node::as_text).any(|context| context.starts_with("dtmi:iotcentral:context;"));
    if central { Rules::Central } else { Rules::Strict }
}

/// Members that an answer of ours has beside the document.
const OURS: [&str; 4] = ["etag", "capabilities", "published", "draft"];

/// IoT Central's JSON is kept as it is, but for the id, and what is ours.
fn central(node: &Node, model: &Node, id: Option<TemplateId>) -> Map<String, Value> {
    let mut document = object(node.to_value());
    OURS.iter().for_each(|name| drop(document.remove(*name)));
    let own = node.get("@id").or_else(|| model.get("@id")).map(Node::to_value);
    if let Some(id) = id.map(|id| Value::from(id.as_str())).or(own) {
        document.insert("@id".to_owned(), id);
    }
    document
}

/// Interfaces become a template around the one that no other uses; the others are put in where they are used first.
fn plain(node: &Node, id: Option<TemplateId>) -> Result<Map<String, Value>, Vec<Problem>> {
    let mut others: HashMap<String, Value> = HashMap::new();
    let mut used = HashSet::new();
    for interface in node.each() {
        references(interface, &mut used);
    }
    let text_id = |interface: &Node| interface.get("@id").and_then(Node::as_text).unwrap_or_default().to_owned();
    let roots: Vec<&Node> =
        node.each().iter().filter(|interface| !used.contains(text_id(interface).as_str())).collect();
    let [root] = roots.as_slice() else {
        let names: Vec<String> = roots.iter().map(|root| text_id(root)).collect();
        let message = match names.as_slice() {
            [] => "the file holds no device model".to_owned(),
            names => format!("the file holds more than one device model ({}): import one at a time", names.join(", ")),
        };
        return Err(vec![problem("severalModels", message, node.position)]);
    };
    for interface in node.each().iter().filter(|interface| !std::ptr::eq(*interface, *root)) {
        others.insert(text_id(interface), interface.to_value());
    }
    let mut model = root.to_value();
    put_in(&mut model, &mut others);
    let mut document = Map::new();
    let name = root.get("displayName").and_then(|name| flatten::text(&name.to_value()));
    let name = name.unwrap_or_else(|| flatten::short_name(&text_id(root)).to_owned());
    document.insert("@id".to_owned(), id.map_or_else(|| text_id(root), String::from).into());
    document.insert("@type".to_owned(), vec!["ModelDefinition", "DeviceModel"].into());
    document.insert("displayName".to_owned(), name.into());
    if let Some(description) = root.get("description").and_then(|text| flatten::text(&text.to_value())) {
        document.insert("description".to_owned(), description.into());
    }
    document.insert("capabilityModel".to_owned(), model);
    Ok(document)
}

/// The ids by which an interface, and those written inside it, use others.
fn references<'n>(interface: &'n Node, used: &mut HashSet<&'n str>) {
    let schemas = interface
        .get("contents")
        .map(Node::each)
        .unwrap_or_default()
        .iter()
        .filter_map(|content| content.get("schema"));
    let bases = interface.get("extends").into_iter();
    for item in schemas.chain(bases).flat_map(Node::each) {
        match &item.kind {
            Kind::Text(id) => {
                used.insert(id);
            }
            Kind::Object(_) => references(item, used),
            _ => {}
        }
    }
}

/// Puts the other interfaces in where components and inheritance name them; a second use stays a name.
fn put_in(interface: &mut Value, others: &mut HashMap<String, Value>) {
    let mut visit = |value: &mut Value| {
        for item in each_mut(value) {
            if let Some(found) = item.as_str().and_then(|id| others.remove(id)) {
                *item = found;
            }
            if item.get("@type").is_some() {
                put_in(item, others);
            }
        }
    };
    if let Some(bases) = interface.get_mut("extends") {
        visit(bases);
    }
    for content in interface.get_mut("contents").map(each_mut).unwrap_or_default() {
        if let Some(schema) = content.get_mut("schema") {
            visit(schema);
        }
    }
}

fn each_mut(value: &mut Value) -> &mut [Value] {
    match value {
        Value::Array(items) => items,
        other => std::slice::from_mut(other),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn problem(code: &str, message: String, position: Position) -> Problem {
    Problem {
        code: code.to_owned(),
        message,
        id: None,
        pointer: String::new(),
        line: position.line,
        column: position.column,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Kind as CapabilityKind, Schema};
    use serde_json::json;

    fn interface(id: &str, contents: Value) -> Value {
        json!({"@context": "dtmi:dtdl:context;2", "@id": id, "@type": "Interface", "contents": contents})
    }

    fn keys(template: &Template) -> Vec<&str> {
        template.capabilities.iter().map(|capability| capability.key.as_str()).collect()
    }

    #[test]
    fn an_interface_becomes_a_template() {
        let mut model = interface(
            "dtmi:com:example:Thermostat;1",
            json!([
                {"@type": ["Telemetry", "Temperature"], "name": "temperature", "schema": "double", "unit": "degreeCelsius"},
                {"@type": "Property", "name": "target", "schema": "double", "writable": true},
                {"@type": "Command", "name": "reboot", "request": {"name": "delay", "schema": "integer"}},
            ]),
        );
        model["displayName"] = json!({"en": "Thermostat", "de": "Thermostat (de)"});
        let template = Template::import(&model, None).expect("a template");
        assert_eq!(template.id.as_str(), "dtmi:com:example:Thermostat;1");
        assert_eq!(template.display_name, "Thermostat");
        assert_eq!(template.document["capabilityModel"], model);
        assert_eq!(keys(&template), ["temperature", "target", "reboot"]);
        let temperature = template.capability("temperature").expect("a capability");
        assert_eq!(
            (temperature.unit.as_deref(), temperature.semantic_type.as_deref()),
            (Some("°C"), Some("Temperature"))
        );
        assert_eq!(
            template.capability("target").map(|found| found.kind),
            Some(CapabilityKind::Property { writable: true })
        );
        assert_eq!(template.capability("reboot").map(|found| found.schema.clone()), Some(Schema::Integer));
        let named =
            Template::import(&model, Some(TemplateId::parse("dtmi:mine;1").expect("an id"))).expect("a template");
        assert_eq!(named.id.as_str(), "dtmi:mine;1");
        assert_eq!(named.model_id(), Some("dtmi:com:example:Thermostat;1"));
        assert_eq!(Template::import(&template.document, None), Ok(template));
    }

    #[test]
    fn interfaces_are_put_in_where_they_are_used() {
        let part = interface("dtmi:ex:Part;1", json!([{"@type": "Telemetry", "name": "load", "schema": "double"}]));
        let base = interface("dtmi:ex:Base;1", json!([{"@type": "Telemetry", "name": "uptime", "schema": "long"}]));
        let mut machine = interface(
            "dtmi:ex:Machine;1",
            json!([
                {"@type": "Component", "name": "left", "schema": "dtmi:ex:Part;1"},
                {"@type": "Component", "name": "right", "schema": "dtmi:ex:Part;1"},
            ]),
        );
        machine["extends"] = json!("dtmi:ex:Base;1");
        let template = Template::import(&json!([part, machine, base]), None).expect("a template");
        assert_eq!(template.id.as_str(), "dtmi:ex:Machine;1");
        assert_eq!(keys(&template), ["left.load", "right.load", "uptime"]);
        let contents = &template.document["capabilityModel"]["contents"];
        assert_eq!(
            (contents[0]["schema"].clone(), contents[1]["schema"].clone()),
            (part.clone(), json!("dtmi:ex:Part;1"))
        );
        // Stored and read again it is the same.
        assert_eq!(Template::load(template.document.clone(), 1), Ok(template));
        let several = Template::import(&json!([part, base]), None).expect_err("a problem");
        assert_eq!(several[0].code, "severalModels");
    }

    #[test]
    fn a_template_of_iot_central_is_kept_as_given() {
        let document = json!({
            "@id": "urn:modelDefinition:abc:def", "@type": ["ModelDefinition", "DeviceModel"], "displayName": "Fridge", "etag": "\"x\"",
            "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
            "capabilityModel": {
                "@id": "dtmi:contoso:fridge;1", "@type": "Interface", "displayName": "Fridge",
                "contents": [
                    {"@type": ["Telemetry", "Humidity", "NumberValue"], "name": "humidity", "schema": "double", "minValue": 0, "maxValue": "100", "decimalPlaces": 1,
                     "displayUnit": {"en": "%rH"}},
                    {"@type": ["Telemetry", "Event", "EventValue"], "name": "alarm", "schema": "integer", "severity": "warning"},
                    {"@type": ["Telemetry", "State", "Visualized"], "name": "door", "color": "#ff0000", "schema": {"@type": "Enum", "valueSchema": "integer",
                     "enumValues": [{"name": "open", "displayName": "Open", "enumValue": 1, "color": "#00ff00"}]}},
                    {"@type": ["Property", "Cloud", "StringValue"], "name": "city", "schema": "string", "maxLength": 20},
                    {"@type": ["Property", "Initialized"], "name": "threshold", "schema": "double", "writable": true, "initialValue": "100"},
                    {"@type": "Component", "name": "cold", "schema": {"@id": "dtmi:contoso:zone;1", "@type": "Interface",
                     "contents": [{"@type": ["Telemetry", "Location"], "name": "place", "schema": "geopoint"}]}},
                    {"@type": "Component", "name": "warm", "displayName": "Warm zone", "schema": {"@id": "dtmi:contoso:zone;1", "@type": "Interface",
                     "contents": [{"@type": ["Telemetry", "Location"], "name": "place", "schema": "geopoint"}]}},
                ],
            },
        });
        let template = Template::import(&document, None).expect("a template");
        let mut expected = document;
        expected.as_object_mut().expect("an object").remove("etag");
        assert_eq!(template.document, expected);
        assert_eq!(keys(&template), ["humidity", "alarm", "door", "city", "threshold", "cold.place", "warm.place"]);
        let humidity = template.capability("humidity").expect("a capability");
        assert_eq!((humidity.min, humidity.max, humidity.decimal_places), (Some(0.0), Some(100.0), Some(1)));
        assert_eq!(humidity.unit.as_deref(), Some("%rH"));
        assert_eq!(template.capability("city").map(|found| found.kind), Some(CapabilityKind::CloudProperty));
        assert_eq!(template.capability("door").and_then(|found| found.color.clone()).as_deref(), Some("#ff0000"));
        assert_eq!(template.components[1].display_name, "Warm zone");
        assert!(template.telemetry("warm.place.lat").is_some() && template.telemetry("warm.place").is_none());
    }

    #[test]
    fn problems_are_told_in_place_and_all_at_once() {
        let text = r#"{
  "@context": "dtmi:dtdl:context;2",
  "@id": "dtmi:com:example:Thermostat;1",
  "@type": "Interface",
  "contents": [
    { "@type": "Telemetry", "name": "temp" },
    { "@type": "Telemetry", "name": "2fast", "schema": "dubble" },
    { "@type": ["Telemetry", "Temperature"], "name": "inside", "schema": "double" },
    { "@type": "Component", "name": "part", "schema": "dtmi:com:example:Part;1" },
    { "@type": "Telemetry", "name": "mass", "schema": "double", "unit": "kilogram" }
  ]
}"#;
        let problems = Template::import_text(text, None).expect_err("problems");
        let found: Vec<_> = problems
            .iter()
            .map(|problem| (problem.code.as_str(), problem.pointer.as_str(), problem.line, problem.column))
            .collect();
        assert_eq!(
            found,
            [
                ("missingProperty", "/contents/0", 6, 5),
                ("invalidName", "/contents/1/name", 7, 37),
                ("wrongSchema", "/contents/1/schema", 7, 56),
                ("wrongUnit", "/contents/2", 8, 5),
                ("unknownProperty", "/contents/4/unit", 10, 65),
                ("unknownReference", "/contents/3/schema", 9, 55),
            ]
        );
        assert_eq!(problems[0].message, "Telemetry 'temp' has no schema: add \"schema\": \"double\"");
        assert!(problems.iter().all(|problem| problem.id.as_deref() == Some("dtmi:com:example:Thermostat;1")));
    }

    #[test]
    fn a_model_that_grows_without_end_is_refused() {
        let fields = |next: &str| (0..20).map(|n| json!({"name": format!("f{n}"), "schema": next})).collect::<Vec<_>>();
        let mut model = interface("dtmi:a;1", json!([{"@type": "Telemetry", "name": "t", "schema": "dtmi:s1;1"}]));
        model["schemas"] = (1..5)
            .map(|n| json!({"@id": format!("dtmi:s{n};1"), "@type": "Object", "fields": fields(if n == 4 { "double" } else { ["dtmi:s2;1", "dtmi:s3;1", "dtmi:s4;1"][n - 1] })}))
            .collect();
        assert_eq!(Template::import(&model, None).expect_err("too large")[0].code, "wrongCount");
    }

    #[test]
    fn other_documents_are_refused() {
        for (text, code) in [
            ("", "notJson"),
            ("{", "notJson"),
            ("3", "notAnInterface"),
            ("{}", "missingContext"),
            ("[]", "severalModels"),
            (r#"{"capabilityModel": {}}"#, "missingType"),
            (r#"{"capabilityModel": 1}"#, "notAnInterface"),
            (r#"{"@context": "dtmi:dtdl:context;2", "@type": "Interface"}"#, "missingId"),
            (r#"{"@context": "dtmi:dtdl:context;9", "@id": "dtmi:a;1", "@type": "Interface"}"#, "unknownContext"),
        ] {
            let problems = Template::import_text(text, None).expect_err(text);
            assert_eq!(problems[0].code, code, "{text}");
        }
        let large = format!("\"{}\"", "x".repeat(MAX_TEMPLATE_BYTES));
        assert_eq!(Template::import_text(&large, None).expect_err("too large")[0].code, "tooLarge");
    }
}
