//! What an expression is in a document.

use super::{Comparison, Expression, Operator};
use serde_json::{Number, Value};
use std::cmp::Ordering;

/// The value; nothing where it is undefined.
pub(super) fn evaluate(expression: &Expression, document: &Value) -> Option<Value> {
    match expression {
        Expression::Or(operands) => decide(operands, document, true).map(Value::from),
        Expression::And(operands) => decide(operands, document, false).map(Value::from),
        Expression::Not(inner) => truth(inner, document).map(|truth| (!truth).into()),
        Expression::Compare(comparison, left, right) => {
            let (left, right) = (evaluate(left, document)?, evaluate(right, document)?);
            compare(*comparison, &left, &right).map(Value::from)
        }
        Expression::In(value, items) => {
            let value = evaluate(value, document)?;
            let is = |item: &Expression| {
                evaluate(item, document).is_some_and(|item| compare(Comparison::Equal, &value, &item) == Some(true))
            };
            primitive(&value).then(|| items.iter().any(is).into())
        }
        Expression::Arithmetic(operator, left, right) => {
            let (left, right) = (evaluate(left, document)?, evaluate(right, document)?);
            arithmetic(*operator, &left, &right)
        }
        Expression::IsDefined(path) => Some(path.find(document).is_some().into()),
        Expression::Attribute(path) => path.find(document).cloned(),
        Expression::Constant(value) => Some(value.clone()),
        Expression::Undefined => None,
    }
}

/// How two values stand to each other, where they are of one kind.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        _ => None,
    }
}

/// What one decides, whatever the others are; else all must be the opposite for it to be known.
fn decide(operands: &[Expression], document: &Value, decisive: bool) -> Option<bool> {
    let mut outcome = Some(!decisive);
    for operand in operands {
        match truth(operand, document) {
            Some(truth) if truth == decisive => return Some(decisive),
            Some(_) => {}
            None => outcome = None,
        }
    }
    outcome
}

fn truth(expression: &Expression, document: &Value) -> Option<bool> {
    evaluate(expression, document)?.as_bool()
}

/// Values of different kinds are not equal, and neither is less.
fn compare(comparison: Comparison, left: &Value, right: &Value) -> Option<bool> {
    if !primitive(left) || !primitive(right) {
        return None;
    }
    let order = order(left, right);
    match comparison {
        Comparison::Equal => Some(order == Some(Ordering::Equal)),
        Comparison::NotEqual => Some(order != Some(Ordering::Equal)),
        Comparison::Less => order.map(Ordering::is_lt),
        Comparison::LessOrEqual => order.map(Ordering::is_le),
        Comparison::Greater => order.map(Ordering::is_gt),
        Comparison::GreaterOrEqual => order.map(Ordering::is_ge),
    }
}

fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Option<Value> {
    if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64()) {
        let whole = match operator {
            Operator::Add => left.checked_add(right),
            Operator::Subtract => left.checked_sub(right),
            Operator::Multiply => left.checked_mul(right),
            Operator::Remainder => left.checked_rem(right),
            Operator::Divide => None,
        };
        if let Some(whole) = whole {
            return Some(whole.into());
        }
    }
    let (left, right) = (left.as_f64()?, right.as_f64()?);
    let number = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::Remainder => left % right,
    };
    Number::from_f64(number).map(Value::Number)
}

fn primitive(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_hold_only_where_they_are_true() {
        let document = json!({
            "deviceId": "pump-1", "lastActivityTime": "2026-11-23T00:00:00Z", "version": 7,
            "tags": {"site": "north", "none": null, "odd key": 1, "list": [1, {"a": "x"}]},
            "properties": {"reported": {"t": 21.5, "on": true}},
        });
        for (condition, holds) in [
            ("deviceId = 'pump-1'", true),
            ("DEVICEID = 'pump-1'", true),
            ("Tags.site = 'north' AND LastActivityTime < '2027'", true),
            ("tags.Site = 'north'", false),
            ("tags.missing = 'north'", false),
            ("tags.missing != 'north'", false),
            ("NOT tags.missing = 'north'", false),
            ("tags.missing = 1 OR version = 7", true),
            ("tags.missing = 1 AND version = 7", false),
            ("version = 1 OR tags.missing = 1 OR version = 7", true),
            ("NOT (version = 7 AND tags.missing = 1 AND version = 1)", true),
            ("NOT (version = 7 AND tags.missing = 1)", false),
            ("is_defined(tags.missing)", false),
            ("NOT is_defined(tags.missing)", true),
            ("IS_DEFINED(tags.none)", true),
            ("tags.none = null", true),
            ("tags.site != null", true),
            ("tags.site = undefined", false),
            ("version > 6.5 AND version <= 7", true),
            ("version + 1 = 8 AND version * 2 - 4 = 10 AND version % 4 = 3 AND version / 2 = 3.5", true),
            ("version / 0 = 1", false),
            ("version > 'a'", false),
            ("version = '7'", false),
            ("properties.reported.on", true),
            ("properties.reported.t", false),
            ("properties.reported = 1", false),
            ("properties.reported.t IN [1, 21.5]", true),
            ("properties.reported.t NIN [1, 21.5]", false),
            ("tags.missing NIN [1]", false),
            ("tags.[[odd key]] = 1", true),
            ("tags['odd key'] = 1", true),
            ("tags.list[1].a = \"x\"", true),
            ("tags.list[9] = 1", false),
            ("tags.site = 'n\\u006frth'", true),
            ("version = -7", false),
            ("-version = -7", true),
        ] {
            let expression = Expression::parse_condition(condition).expect("a condition").expect("not empty");
            assert_eq!(expression.holds(&document), holds, "{condition}");
        }
    }
}
