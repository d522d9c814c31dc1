//! JSON that remembers where it stood in the text, so that an error can be shown in place.

use super::report::quote;
use super::{Code, Finding, MAX_TEXT_BYTES};
use serde_json::{Number, Value};

/// Deeper JSON is refused.
const MAX_DEPTH: usize = 100;
/// JSON of more values is refused.
const MAX_NODES: usize = 1_000_000;

/// A place in a text: line and column from 1, counted in characters; zeros where there is no text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// A JSON value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub position: Position,
    /// How long its text is; 0 where there is no text.
    pub bytes: u32,
    /// What it is.
    pub kind: Kind,
}

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    Array(Vec<Node>),
    /// Members in the order of the text; the same key twice is left for [`super::check`] to tell.
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its key.
    pub key: String,
    /// Where the key begins.
    pub position: Position,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// The member `key`, where this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Object(members) => members.iter().find(|member| member.key == key).map(|member| &member.value),
            _ => None,
        }
    }

    /// The text, where this is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A list's items, or the value itself as the only one.
    pub fn each(&self) -> &[Node] {
        match &self.kind {
            Kind::Array(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// The same value without places.
    pub fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Boolean(boolean) => Value::Bool(*boolean),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Kind::Object(members) => {
                Value::Object(members.iter().map(|member| (member.key.clone(), member.value.to_value())).collect())
            }
        }
    }

    /// A value without a text behind it.
    pub fn from_value(value: &Value) -> Self {
        let position = Position::default();
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(boolean) => Kind::Boolean(*boolean),
            Value::Number(number) => Kind::Number(number.clone()),
            Value::String(text) => Kind::Text(text.clone()),
            Value::Array(items) => Kind::Array(items.iter().map(Self::from_value).collect()),
            Value::Object(object) => Kind::Object(
                object
                    .iter()
                    .map(|(key, value)| Member { key: key.clone(), position, value: Self::from_value(value) })
                    .collect(),
            ),
        };
        Self { position, bytes: 0, kind }
    }
}

/// Reads a text.
///
/// # Errors
/// [`Code::NotJson`] or [`Code::TooLarge`].
pub fn parse(text: &str) -> Result<Node, Finding> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut cursor = Cursor { text, offset: 0, counted: 0, position: Position { line: 1, column: 1 }, nodes: 0 };
    if text.len() > MAX_TEXT_BYTES {
        return Err(cursor.error(Code::TooLarge, format!("the text is larger than {MAX_TEXT_BYTES} bytes")));
    }
    let node = cursor.node(0)?;
    cursor.space();
    if cursor.peek().is_some() {
        return Err(cursor.error(Code::NotJson, "something follows after the end of the JSON: remove it".to_owned()));
    }
    Ok(node)
}

/// Reads bytes; a place is counted on from the one before, so that all of them together cost one walk.
struct Cursor<'t> {
    text: &'t str,
    offset: usize,
    counted: usize,
    position: Position,
    nodes: usize,
}

impl<'t> Cursor<'t> {
    /// The place of the offset.
    fn position(&mut self) -> Position {
        for byte in self.text.as_bytes().get(self.counted..self.offset).unwrap_or_default() {
            match byte {
                b'\n' => self.position = Position { line: self.position.line + 1, column: 1 },
                // The later bytes of a character are no column of their own.
                0x80..=0xbf => {}
                _ => self.position.column += 1,
            }
        }
        self.counted = self.offset;
        self.position
    }

    fn error(&mut self, code: Code, message: String) -> Finding {
        let position = self.position();
        Self::error_at(position, code, message)
    }

    fn error_at(position: Position, code: Code, message: String) -> Finding {
        Finding { code, message, id: None, document: 0, pointer: String::new(), position }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.offset += 1;
        }
    }

    fn unexpected(&mut self, wanted: &str) -> Finding {
        let found = self.rest().chars().next();
        let found = found.map_or_else(|| "the end of the text".to_owned(), |c| format!("'{}'", c.escape_debug()));
        self.error(Code::NotJson, format!("expected {wanted}, found {found}"))
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Finding> {
        if self.peek() == Some(wanted) {
            self.offset += 1;
            return Ok(());
        }
        Err(self.unexpected(&format!("'{}'", char::from(wanted))))
    }

    fn node(&mut self, depth: usize) -> Result<Node, Finding> {
        self.space();
        if depth > MAX_DEPTH {
            return Err(self.error(Code::TooLarge, format!("the JSON is nested deeper than {MAX_DEPTH} levels")));
        }
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.error(Code::TooLarge, format!("the JSON holds more than {MAX_NODES} values")));
        }
        let (position, start) = (self.position(), self.offset);
        let kind = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        let bytes = u32::try_from(self.offset - start).unwrap_or(u32::MAX);
        Ok(Node { position, bytes, kind })
    }

    fn object(&mut self, depth: usize) -> Result<Kind, Finding> {
        let mut members: Vec<Member> = Vec::new();
        self.expect(b'{')?;
        self.space();
        while self.peek() != Some(b'}') {
            if !members.is_empty() {
                self.expect(b',')?;
                self.space();
            }
            let position = self.position();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = self.string()?;
            self.space();
            self.expect(b':')?;
            let value = self.node(depth + 1)?;
            members.push(Member { key, position, value });
            self.space();
        }
        self.offset += 1;
        Ok(Kind::Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<Kind, Finding> {
        let mut items = Vec::new();
        self.expect(b'[')?;
        self.space();
        while self.peek() != Some(b']') {
            if !items.is_empty() {
                self.expect(b',')?;
            }
            items.push(self.node(depth + 1)?);
            self.space();
        }
        self.offset += 1;
        Ok(Kind::Array(items))
    }

    /// Finds the end of the string; serde_json reads its escapes, where there are any.
    fn string(&mut self) -> Result<String, Finding> {
        let (start, position) = (self.offset, self.position());
        let mut escapes = false;
        self.offset += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escapes = true;
                    self.offset += 2;
                }
                Some(byte) if byte >= b' ' => self.offset += 1,
                _ => {
                    let message = "the text in double quotes does not end in its line".to_owned();
                    return Err(Self::error_at(position, Code::NotJson, message));
                }
            }
        }
        self.offset += 1;
        if !escapes {
            return Ok(self.text.get(start + 1..self.offset - 1).unwrap_or_default().to_owned());
        }
        serde_json::from_str(self.text.get(start..self.offset).unwrap_or_default()).map_err(|_| {
            Self::error_at(position, Code::NotJson, "the text in double quotes holds a wrong escape".to_owned())
        })
    }

    fn number(&mut self) -> Result<Kind, Finding> {
        let (start, position) = (self.offset, self.position());
        while self.peek().is_some_and(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.offset += 1;
        }
        let text = self.text.get(start..self.offset).unwrap_or_default();
        serde_json::from_str(text)
            .map(Kind::Number)
            .map_err(|_| Self::error_at(position, Code::NotJson, format!("{} is not a number", quote(text))))
    }

    fn word(&mut self) -> Result<Kind, Finding> {
        for (word, kind) in [("null", Kind::Null), ("true", Kind::Boolean(true)), ("false", Kind::Boolean(false))] {
            if self.rest().starts_with(word) {
                self.offset += word.len();
                return Ok(kind);
            }
        }
        Err(self.unexpected("a value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_are_remembered() {
        let node = parse("{\n  \"a\": [1, \"ü\",\n true]\n}").expect("JSON");
        let items = node.get("a").expect("a member").each();
        let places: Vec<_> = items.iter().map(|item| (item.position.line, item.position.column)).collect();
        assert_eq!(places, [(2, 9), (2, 12), (3, 2)]);
    }

    #[test]
    fn errors_have_a_place() {
        for (text, code, line, column) in [
            ("", Code::NotJson, 1, 1),
            ("{\n \"a\" 1}", Code::NotJson, 2, 6),
            ("[1,]", Code::NotJson, 1, 4),
            ("[1 2]", Code::NotJson, 1, 4),
            ("{a:1}", Code::NotJson, 1, 2),
            ("{} x", Code::NotJson, 1, 4),
            ("[01]", Code::NotJson, 1, 2),
            ("[\"a\nb\"]", Code::NotJson, 1, 2),
            ("[\"\\x\"]", Code::NotJson, 1, 2),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(
                (error.code, error.position.line, error.position.column),
                (code, line, column),
                "{text}: {error}"
            );
        }
        assert_eq!(parse(&"[".repeat(200)).expect_err("too deep").code, Code::TooLarge);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
            ".{0,6}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect()))
            ]
        })
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = parse(&text);
        }

        #[test]
        fn what_serde_writes_reads_back(value in value()) {
            prop_assert_eq!(parse(&format!("{value:#}")).expect("JSON").to_value(), value.clone());
            prop_assert_eq!(Node::from_value(&value).to_value(), value);
        }
    }
}
