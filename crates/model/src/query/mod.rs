//! The query language of IoT Hub over twins and jobs (`iot-hub-wire.md` §8): text to tree, and tree over documents.
//!
//! Queries come from strangers: text, nesting and lists are bounded, and nothing panics. A condition holds only where
//! it is the boolean `true`; what a document does not have is undefined, and nothing that is undefined is true.

mod evaluate;
mod lexer;
mod parser;
mod select;

pub use select::Selection;

use serde_json::Value;

/// A longer query is refused unread.
pub const MAX_QUERY_BYTES: usize = 16 * 1024;
/// Parentheses, `NOT`s and the like in one another.
pub const MAX_DEPTH: usize = 64;
/// Arithmetic of one query: `a - b - c` is a tree as deep as it is long, and is walked by recursion.
pub const MAX_OPERATORS: usize = 256;

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// At most so many results.
    pub top: Option<u64>,
    /// What of each document is wanted.
    pub projection: Projection,
    /// Over what.
    pub source: Source,
    /// Which documents.
    pub condition: Option<Expression>,
    /// What documents are put together by.
    pub group_by: Vec<Path>,
    /// In which order results come.
    pub order_by: Vec<(Path, Order)>,
}

/// What a query is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The twins of devices.
    Devices,
    /// The twins of modules.
    Modules,
    /// What jobs did to devices.
    Jobs,
}

/// What of a document is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Projection {
    /// All of it.
    All,
    /// These parts.
    Items(Vec<Item>),
}

/// One part, and its name in the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The part.
    pub element: Element,
    /// Its name.
    pub name: String,
}

/// A part of a document, or a number over many.
#[derive(Debug, Clone, PartialEq)]
pub enum Element {
    /// What stands there.
    Attribute(Path),
    /// How many documents there are.
    Count,
    /// A number over the numbers that stand there.
    Aggregate(Aggregate, Path),
}

/// What is made of many numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// Their mean.
    Average,
    /// Their sum.
    Sum,
    /// The least.
    Minimum,
    /// The greatest.
    Maximum,
}

/// Where in a document something stands. The first name is matched whatever the case of its letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into an object.
    Name(String),
    /// Into an array.
    Index(usize),
}

/// From the least, or from the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the least.
    Ascending,
    /// From the greatest.
    Descending,
}

/// Something that has a value in a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// One of them is true.
    Or(Vec<Self>),
    /// All are true.
    And(Vec<Self>),
    /// It is false.
    Not(Box<Self>),
    /// How two primitive values compare.
    Compare(Comparison, Box<Self>, Box<Self>),
    /// Whether a value is among others.
    In(Box<Self>, Vec<Self>),
    /// A number of two numbers.
    Arithmetic(Operator, Box<Self>, Box<Self>),
    /// Whether something stands there.
    IsDefined(Path),
    /// What stands there.
    Attribute(Path),
    /// A value.
    Constant(Value),
    /// No value.
    Undefined,
}

/// How values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What is made of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Why text is no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is too long.
    #[error("query is longer than {MAX_QUERY_BYTES} bytes")]
    TooLong,
    /// It is nested too deeply.
    #[error("query is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// It calculates too much.
    #[error("query has more than {MAX_OPERATORS} arithmetic operators")]
    TooManyOperators,
    /// Something else was expected.
    #[error("query at byte {at}: expected {expected}")]
    Expected {
        /// Where in the text.
        at: usize,
        /// What.
        expected: &'static str,
    },
    /// It can not be answered.
    #[error("query: {0}")]
    Meaningless(&'static str),
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// [`QueryError`] with the place in the text.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        parser::query(text)
    }

    /// Whether a document is one that the query wants.
    pub fn wants(&self, document: &Value) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.holds(document))
    }
}

impl Expression {
    /// Reads a condition alone, as jobs and configurations have it; nothing (or `*`) is every document.
    ///
    /// # Errors
    /// [`QueryError`] with the place in the text.
    pub fn parse_condition(text: &str) -> Result<Option<Self>, QueryError> {
        match text.trim() {
            "" | "*" => Ok(None),
            text => parser::condition(text).map(Some),
        }
    }

    /// Whether it is true in a document.
    pub fn holds(&self, document: &Value) -> bool {
        evaluate::evaluate(self, document) == Some(Value::Bool(true))
    }
}

impl Path {
    /// What stands there.
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        let mut steps = self.0.iter();
        let Some(Step::Name(root)) = steps.next() else { return None };
        let object = document.as_object()?;
        let mut value = object
            .get(root)
            .or_else(|| object.iter().find(|(name, _)| name.eq_ignore_ascii_case(root)).map(|(_, value)| value))?;
        for step in steps {
            value = match step {
                Step::Name(name) => value.as_object()?.get(name)?,
                Step::Index(index) => value.as_array()?.get(*index)?,
            };
        }
        Some(value)
    }

    /// The name that a result gives it.
    fn last_name(&self) -> String {
        let names = self.0.iter().rev().filter_map(|step| match step {
            Step::Name(name) => Some(name.clone()),
            Step::Index(_) => None,
        });
        names.into_iter().next().unwrap_or_default()
    }
}
