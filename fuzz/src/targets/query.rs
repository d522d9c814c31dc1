//! Queries over twins and jobs: what is read, written out in full, reads the same; and it can be asked.

use super::text;
use muster_model::query::{
    Aggregate, Comparison, Element, Expression, MAX_QUERY_BYTES, Operator, Order, Path, Projection, Query, QueryError,
    Selection, Source, Step,
};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::LazyLock;

static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let device = |n: i64| {
        json!({"deviceId": format!("d{n}"), "version": n, "a": n * 7, "b": {"c": [n, "x", null]},
            "tags": {"site": if n % 2 == 0 { "north" } else { "south" }, "odd key": n},
            "properties": {"reported": {"t": n as f64 / 2.0, "on": n % 2 == 0}, "desired": {}}})
    };
    (0..4).map(device).collect()
});

pub fn query(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match Query::parse(text) {
        Ok(query) => {
            same(&query);
            answered(&query);
        }
        Err(error) => placed(&error, text),
    }
    match Expression::parse_condition(text) {
        Ok(Some(condition)) => {
            let _ = DOCUMENTS.iter().filter(|document| condition.holds(document)).count();
            let written = expression(&condition, Source::Devices);
            match Expression::parse_condition(&written) {
                Ok(again) => assert_eq!(again.as_ref(), Some(&condition), "{written}"),
                Err(error) => longer(&error, &written),
            }
        }
        Ok(None) => assert!(matches!(text.trim(), "" | "*")),
        Err(error) => placed(&error, text.trim()),
    }
}

fn placed(error: &QueryError, text: &str) {
    match error {
        QueryError::Expected { at, .. } => assert!(text.is_char_boundary(*at), "{error}: {text}"),
        QueryError::TooLong => assert!(text.len() > MAX_QUERY_BYTES),
        QueryError::TooDeep | QueryError::TooManyOperators | QueryError::Meaningless(_) => {}
    }
}

/// Written in full, a query has more parentheses and is longer; else it must be read.
fn longer(error: &QueryError, written: &str) {
    assert!(matches!(error, QueryError::TooLong | QueryError::TooDeep), "{error}: {written}");
}

fn same(query: &Query) {
    let Some(written) = in_full(query) else { return };
    match Query::parse(&written) {
        Ok(again) => assert_eq!(again, *query, "{written}"),
        Err(error) => longer(&error, &written),
    }
}

fn answered(query: &Query) {
    let wanted: Vec<&Value> = DOCUMENTS.iter().filter(|document| query.wants(document)).collect();
    if query.is_plain() {
        wanted.iter().for_each(|document| drop(query.project((*document).clone())));
        return;
    }
    let mut selection = Selection::new(query);
    wanted.iter().for_each(|document| selection.add((*document).clone()));
    let results = selection.finish();
    // Without documents a count is still one result.
    let most = query.top.unwrap_or(u64::MAX).min(wanted.len().max(1) as u64);
    assert!(results.len() as u64 <= most);
}

/// Every name in brackets, every operator in parentheses; nothing where a result has a name that cannot be written.
fn in_full(query: &Query) -> Option<String> {
    let mut text = "SELECT ".to_owned();
    if let Some(top) = query.top {
        write!(text, "TOP {top} ").ok()?;
    }
    match &query.projection {
        Projection::All => text.push('*'),
        Projection::Items(items) => {
            let items: Option<Vec<String>> = items
                .iter()
                .map(|item| {
                    let element = match &item.element {
                        Element::Attribute(inner) => path(inner, query.source),
                        Element::Count => "COUNT()".to_owned(),
                        Element::Aggregate(aggregate, inner) => {
                            format!("{}({})", function(*aggregate), path(inner, query.source))
                        }
                    };
                    (!item.name.contains("]]") && !item.name.ends_with(']'))
                        .then(|| format!("{element} AS [[{}]]", item.name))
                })
                .collect();
            text.push_str(&items?.join(", "));
        }
    }
    text.push_str(match query.source {
        Source::Devices => " FROM devices",
        Source::Modules => " FROM devices.modules",
        Source::Jobs => " FROM devices.jobs",
    });
    if let Some(condition) = &query.condition {
        write!(text, " WHERE {}", expression(condition, query.source)).ok()?;
    }
    let paths = |paths: &[Path]| paths.iter().map(|inner| path(inner, query.source)).collect::<Vec<_>>().join(", ");
    if !query.group_by.is_empty() {
        write!(text, " GROUP BY {}", paths(&query.group_by)).ok()?;
    }
    let order = query.order_by.iter().map(|(inner, order)| {
        let direction = if *order == Order::Ascending { "ASC" } else { "DESC" };
        format!("{} {direction}", path(inner, query.source))
    });
    let order = order.collect::<Vec<_>>().join(", ");
    if !order.is_empty() {
        write!(text, " ORDER BY {order}").ok()?;
    }
    Some(text)
}

fn path(path: &Path, source: Source) -> String {
    let prefix = match source {
        Source::Devices => "devices",
        Source::Modules => "devices.modules",
        Source::Jobs => "devices.jobs",
    };
    path.0.iter().enumerate().fold(prefix.to_owned(), |text, (at, step)| match step {
        Step::Name(name) if at == 0 => format!("{text}.[[{name}]]"),
        Step::Name(name) => format!("{text}[{}]", constant(&Value::from(name.as_str()))),
        Step::Index(index) => format!("{text}[{index}]"),
    })
}

fn expression(written: &Expression, source: Source) -> String {
    let inner = |inner: &Expression| expression(inner, source);
    match written {
        Expression::Or(operands) => format!("({})", operands.iter().map(inner).collect::<Vec<_>>().join(" OR ")),
        Expression::And(operands) => format!("({})", operands.iter().map(inner).collect::<Vec<_>>().join(" AND ")),
        Expression::Not(operand) => format!("(NOT {})", inner(operand)),
        Expression::Compare(comparison, left, right) => {
            let sign = match comparison {
                Comparison::Equal => "=",
                Comparison::NotEqual => "!=",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
            };
            format!("({} {sign} {})", inner(left), inner(right))
        }
        Expression::In(value, items) => {
            format!("({} IN [{}])", inner(value), items.iter().map(inner).collect::<Vec<_>>().join(", "))
        }
        Expression::Arithmetic(operator, left, right) => {
            let sign = match operator {
                Operator::Add => "+",
                Operator::Subtract => "-",
                Operator::Multiply => "*",
                Operator::Divide => "/",
                Operator::Remainder => "%",
            };
            format!("({} {sign} {})", inner(left), inner(right))
        }
        Expression::IsDefined(attribute) => format!("is_defined({})", path(attribute, source)),
        Expression::Attribute(attribute) => path(attribute, source),
        Expression::Constant(value) => constant(value),
        Expression::Undefined => "undefined".to_owned(),
    }
}

fn constant(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        other => other.to_string(),
    }
}

fn function(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Average => "AVG",
        Aggregate::Sum => "SUM",
        Aggregate::Minimum => "MIN",
        Aggregate::Maximum => "MAX",
    }
}
