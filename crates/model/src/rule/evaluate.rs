//! Is a rule true?

use super::{Condition, Match, Operator, Rule};
use serde_json::Value;
use std::cmp::Ordering;

/// Is the rule true for a device whose last known values are `latest`? A value that is not known makes its condition
/// false, whatever the comparison.
pub fn evaluate(rule: &Rule, latest: impl Fn(&str) -> Option<Value>) -> bool {
    let holds = |condition: &Condition| latest(&condition.telemetry).is_some_and(|value| compare(condition, &value));
    match rule.matching {
        Match::All => !rule.conditions.is_empty() && rule.conditions.iter().all(holds),
        Match::Any => rule.conditions.iter().any(holds),
    }
}

fn compare(condition: &Condition, value: &Value) -> bool {
    let order = order(value, &condition.value);
    match condition.operator {
        Operator::GreaterThan => order == Some(Ordering::Greater),
        Operator::GreaterThanOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Operator::LessThan => order == Some(Ordering::Less),
        Operator::LessThanOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Operator::Equals => order == Some(Ordering::Equal),
        Operator::NotEquals => matches!(order, Some(Ordering::Less | Ordering::Greater)),
        Operator::Contains => match (value.as_str(), condition.value.as_str()) {
            (Some(text), Some(part)) => text.to_lowercase().contains(&part.to_lowercase()),
            _ => false,
        },
    }
}

/// How two values stand to each other; values of different kinds do not. Booleans count as 1 and 0, as they are kept.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left.as_str(), right.as_str()) {
        (Some(left), Some(right)) => Some(left.cmp(right)),
        (None, None) => number(left)?.partial_cmp(&number(right)?),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_bool().map(|boolean| f64::from(u8::from(boolean))).or_else(|| value.as_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::tests::rule;
    use serde_json::json;

    #[test]
    fn comparisons_hold_for_their_kind_only() {
        use Operator as O;
        for (operator, value, constant, expected) in [
            (O::GreaterThan, json!(31), json!(30), true),
            (O::GreaterThan, json!(30), json!(30), false),
            (O::GreaterThanOrEqual, json!(30.0), json!(30), true),
            (O::LessThan, json!(-1), json!(0), true),
            (O::LessThanOrEqual, json!(0), json!(0), true),
            (O::Equals, json!(1), json!(true), true),
            (O::Equals, json!("a"), json!("a"), true),
            (O::Equals, json!("1"), json!(1), false),
            (O::NotEquals, json!("1"), json!(1), false),
            (O::NotEquals, json!("a"), json!("b"), true),
            (O::Contains, json!("Overheated"), json!("heat"), true),
            (O::Contains, json!("cool"), json!("heat"), false),
            (O::Contains, json!(1), json!("1"), false),
            (O::GreaterThan, json!(null), json!(0), false),
            (O::Equals, json!([1]), json!(1), false),
        ] {
            let rule = rule(&[("t", operator, constant.clone())], Match::All);
            assert_eq!(evaluate(&rule, |_| Some(value.clone())), expected, "{value} {operator:?} {constant}");
        }
    }

    #[test]
    fn conditions_join() {
        let conditions = [("a", Operator::GreaterThan, json!(1)), ("b", Operator::GreaterThan, json!(1))];
        let latest =
            |a: i32, b: Option<i32>| move |key: &str| if key == "a" { Some(json!(a)) } else { b.map(|b| json!(b)) };
        for (matching, a, b, expected) in [
            (Match::All, 2, Some(2), true),
            (Match::All, 2, Some(0), false),
            (Match::All, 2, None, false),
            (Match::Any, 2, None, true),
            (Match::Any, 0, Some(0), false),
        ] {
            assert_eq!(evaluate(&rule(&conditions, matching), latest(a, b)), expected, "{matching:?} {a} {b:?}");
        }
        assert!(!evaluate(&rule(&[], Match::All), |_| Some(json!(1))));
    }
}
