//! A template's document as a tree beside its text: what stands in it and on which line, and small changes to it. Pure.

use serde_json::{Map, Value, json};

/// One row of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// 0 for what the device itself has, 1 for a part of a component.
    pub depth: u8,
    /// Its name; what people read where it has none.
    pub name: String,
    /// `Telemetry`, `Property`, `Command`, `Component`, `Relationship`, or `Cloud property`.
    pub kind: &'static str,
    /// Schema and unit.
    pub detail: String,
    /// The line of the text where it begins, counted from 1.
    pub line: u32,
    /// Its place among the template's own contents, where it can be taken out.
    pub index: Option<usize>,
}

/// What can be added to a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addition {
    /// `Telemetry`, `Property`, `Command` or `Cloud property`.
    pub kind: String,
    /// The name on the wire.
    pub name: String,
    /// What people read.
    pub display_name: String,
    /// `double`, `string`, …; of no meaning for a command.
    pub schema: String,
    /// May it be set from here? Of a property.
    pub writable: bool,
}

/// The tree of a text; `None` where it is no JSON object.
pub fn outline(text: &str) -> Option<Vec<Node>> {
    let document: Value = serde_json::from_str(text).ok()?;
    let path = contents_path(&document)?;
    let mut nodes = Vec::new();
    let mut at = Cursor { bytes: text.as_bytes(), at: 0 };
    for step in path {
        at.enter_key(step);
    }
    collect(&document.pointer(&pointer(path))?.clone(), at, text, 0, &mut nodes);
    Some(nodes)
}

fn collect(contents: &Value, at: Cursor<'_>, text: &str, depth: u8, nodes: &mut Vec<Node>) {
    let Some(contents) = contents.as_array() else { return };
    for (index, content) in contents.iter().enumerate() {
        let mut place = at;
        place.enter_index(index);
        let line = text.as_bytes()[..place.at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let kind = kind_of(content);
        nodes.push(Node {
            depth,
            name: content["name"].as_str().unwrap_or("(without a name)").to_owned(),
            kind,
            detail: detail(content),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            index: (depth == 0).then_some(index),
        });
        if kind == "Component" && depth == 0 {
            place.enter_key("schema");
            place.enter_key("contents");
            collect(&content["schema"]["contents"], place, text, 1, nodes);
        }
    }
}

/// Where the contents stand: in a template's model, or in an interface itself.
fn contents_path(document: &Value) -> Option<&'static [&'static str]> {
    let object = document.as_object()?;
    Some(if object.contains_key("capabilityModel") { &["capabilityModel", "contents"] } else { &["contents"] })
}

fn pointer(path: &[&str]) -> String {
    path.iter().map(|step| format!("/{step}")).collect()
}

fn kind_of(content: &Value) -> &'static str {
    let types: Vec<&str> = match &content["@type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if types.contains(&"Cloud") {
        return "Cloud property";
    }
    let known = ["Telemetry", "Property", "Command", "Component", "Relationship"];
    known.into_iter().find(|kind| types.contains(kind)).unwrap_or("Unknown")
}

fn detail(content: &Value) -> String {
    let word = |value: &Value| match value {
        Value::String(text) => last_word(text),
        Value::Object(object) => object.get("@type").and_then(Value::as_str).map(last_word).unwrap_or_default(),
        _ => String::new(),
    };
    let parts = [word(&content["schema"]), word(&content["unit"])];
    let writable = (content["writable"] == true).then(|| "writable".to_owned());
    parts.into_iter().chain(writable).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// `double` of `dtmi:dtdl:instance:Schema:double;2`.
fn last_word(id: &str) -> String {
    let id = id.split(';').next().unwrap_or_default();
    id.rsplit(':').next().unwrap_or_default().to_owned()
}

/// The text with a capability at the end of its contents; `None` where it is no JSON object.
pub fn with_addition(text: &str, addition: &Addition) -> Option<String> {
    let mut content = Map::new();
    let kind = match addition.kind.as_str() {
        "Cloud property" => json!(["Property", "Cloud"]),
        other => json!(other),
    };
    content.insert("@type".to_owned(), kind);
    content.insert("name".to_owned(), json!(addition.name.trim()));
    if !addition.display_name.trim().is_empty() {
        content.insert("displayName".to_owned(), json!(addition.display_name.trim()));
    }
    if addition.kind != "Command" {
        content.insert("schema".to_owned(), json!(addition.schema));
    }
    if addition.kind == "Property" && addition.writable {
        content.insert("writable".to_owned(), json!(true));
    }
    change_contents(text, |contents| contents.push(Value::Object(content)))
}

/// The text without one of its contents.
pub fn without(text: &str, index: usize) -> Option<String> {
    change_contents(text, |contents| {
        if index < contents.len() {
            contents.remove(index);
        }
    })
}

fn change_contents(text: &str, change: impl FnOnce(&mut Vec<Value>)) -> Option<String> {
    let mut document: Value = serde_json::from_str(text).ok()?;
    let path = contents_path(&document)?;
    let mut place = &mut document;
    for step in path {
        place = place.as_object_mut()?.entry(*step).or_insert(Value::Null);
    }
    if place.is_null() {
        *place = json!([]);
    }
    change(place.as_array_mut()?);
    serde_json::to_string_pretty(&document).ok()
}

/// A place in a text that is known to be JSON.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or_default()
    }

    fn skip_space(&mut self) {
        while self.peek().is_ascii_whitespace() {
            self.at += 1;
        }
    }

    /// Goes to the value of a key of the object here; to the text's end where there is none.
    fn enter_key(&mut self, key: &str) {
        let wanted = format!("\"{key}\"");
        self.enter(|cursor| {
            let start = cursor.at;
            cursor.skip_value();
            let found = &cursor.bytes[start..cursor.at] == wanted.as_bytes();
            cursor.skip_space();
            cursor.at += 1;
            cursor.skip_space();
            found
        });
    }

    /// Goes to an element of the array here; to the text's end where there is none.
    fn enter_index(&mut self, index: usize) {
        let mut passed = 0;
        self.enter(|_| {
            passed += 1;
            passed > index
        });
    }

    fn enter(&mut self, mut is_it: impl FnMut(&mut Self) -> bool) {
        self.skip_space();
        if !matches!(self.peek(), b'{' | b'[') {
            self.at = self.bytes.len();
        }
        self.at += 1;
        loop {
            self.skip_space();
            if self.at >= self.bytes.len() || matches!(self.peek(), b'}' | b']') {
                self.at = self.bytes.len();
                return;
            }
            if is_it(self) {
                return;
            }
            self.skip_value();
            self.skip_space();
            if self.peek() == b',' {
                self.at += 1;
            }
        }
    }

    fn skip_value(&mut self) {
        self.skip_space();
        let mut depth = 0_u32;
        loop {
            match self.peek() {
                b'"' => self.skip_string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                _ if depth == 0 => {
                    // A number or a word ends where something else begins.
                    while self.at < self.bytes.len()
                        && !matches!(self.peek(), b',' | b'}' | b']' | b':')
                        && !self.peek().is_ascii_whitespace()
                    {
                        self.at += 1;
                    }
                }
                _ => self.at += 1,
            }
            if depth == 0 || self.at >= self.bytes.len() {
                return;
            }
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while self.at < self.bytes.len() {
            match self.peek() {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return;
                }
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
  "displayName": "A \"pump\" {",
  "capabilityModel": {
    "contents": [
      { "@type": ["Telemetry", "Temperature"], "schema": "double",
        "unit": "degreeCelsius", "name": "temperature" },
      {
        "@type": "Component", "name": "valve",
        "schema": { "@type": "Interface", "contents": [
          { "@type": "Property", "name": "open", "schema": "boolean", "writable": true }
        ] }
      },
      { "@type": "Command", "name": "stop" }
    ]
  }
}"#;

    #[test]
    fn rows_know_their_lines() {
        let rows = outline(TEXT).unwrap();
        let found: Vec<_> =
            rows.iter().map(|row| (row.depth, &row.name[..], row.kind, &row.detail[..], row.line)).collect();
        let expected = [
            (0, "temperature", "Telemetry", "double · degreeCelsius", 5),
            (0, "valve", "Component", "Interface", 7),
            (1, "open", "Property", "boolean · writable", 10),
            (0, "stop", "Command", "", 13),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_template_has_no_tree_and_odd_ones_do_no_harm() {
        for text in ["", "[", "7", "[]", "null"] {
            assert_eq!(outline(text), None, "{text}");
        }
        for text in ["{}", r#"{"capabilityModel":7}"#, r#"{"contents":{"a":[1,"]"]}}"#] {
            assert!(outline(text).is_none_or(|rows| rows.is_empty()), "{text}");
        }
        assert_eq!(outline(r#"{"contents":[1,"}",{}]}"#).unwrap().len(), 3);
    }

    #[test]
    fn capabilities_come_and_go() {
        let addition = Addition {
            kind: "Property".to_owned(),
            name: "target".to_owned(),
            display_name: "Target".to_owned(),
            schema: "double".to_owned(),
            writable: true,
        };
        let longer = with_addition(TEXT, &addition).unwrap();
        let rows = outline(&longer).unwrap();
        let last = rows.last().unwrap();
        assert_eq!(
            (&last.name[..], last.kind, &last.detail[..], last.index),
            ("target", "Property", "double · writable", Some(3))
        );
        let shorter = without(&longer, 3).unwrap();
        assert_eq!(outline(&shorter).unwrap().len(), 4);
        assert_eq!(with_addition("[]", &addition), None);
        let first = with_addition("{}", &Addition { kind: "Cloud property".to_owned(), ..addition }).unwrap();
        assert_eq!(outline(&first).unwrap()[0].kind, "Cloud property");
    }
}
