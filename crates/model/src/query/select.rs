//! Documents to results: parts, numbers over many, groups, order.

use super::{Aggregate, Element, Item, Order, Path, Projection, Query, evaluate};
use serde_json::{Map, Number, Value};
use std::{cmp::Ordering, collections::BTreeMap};

impl Query {
    /// Whether each wanted document gives one result, in the order of the documents; else all of them must be seen
    /// before the first result is known, with a [`Selection`].
    pub fn is_plain(&self) -> bool {
        let parts = match &self.projection {
            Projection::All => true,
            Projection::Items(items) => items.iter().all(|item| matches!(item.element, Element::Attribute(_))),
        };
        parts && self.group_by.is_empty() && self.order_by.is_empty()
    }

    /// What a wanted document gives in a plain query. What it does not have is left out.
    pub fn project(&self, document: Value) -> Value {
        let items = match &self.projection {
            Projection::All => return document,
            Projection::Items(items) => items,
        };
        let parts = items.iter().filter_map(|item| match &item.element {
            Element::Attribute(path) => Some((item.name.clone(), path.find(&document)?.clone())),
            Element::Count | Element::Aggregate(..) => None,
        });
        Value::Object(parts.collect())
    }
}

/// The results of a query that is not plain.
#[derive(Debug)]
pub struct Selection<'a> {
    query: &'a Query,
    groups: BTreeMap<String, Group>,
    /// Results with what they are ordered by.
    ordered: Vec<(Vec<Option<Value>>, Value)>,
}

#[derive(Debug)]
struct Group {
    keys: Vec<Option<Value>>,
    count: u64,
    numbers: Vec<Numbers>,
}

#[derive(Debug, Clone, Copy)]
struct Numbers {
    count: u64,
    sum: f64,
    minimum: f64,
    maximum: f64,
}

impl<'a> Selection<'a> {
    /// Begins without documents.
    pub fn new(query: &'a Query) -> Self {
        let mut selection = Self { query, groups: BTreeMap::new(), ordered: Vec::new() };
        // A count over nothing is 0.
        if selection.aggregates() && query.group_by.is_empty() {
            selection.group(&Value::Null);
        }
        selection
    }

    /// Takes a document that the query wants.
    pub fn add(&mut self, document: Value) {
        if !self.aggregates() {
            let order = self.query.order_by.iter().map(|(path, _)| path.find(&document).cloned()).collect();
            self.ordered.push((order, self.query.project(document)));
            return;
        }
        let items = items(self.query);
        let group = self.group(&document);
        group.count += 1;
        for (item, numbers) in items.iter().zip(&mut group.numbers) {
            if let Element::Aggregate(_, path) = &item.element
                && let Some(number) = path.find(&document).and_then(Value::as_f64)
            {
                numbers.add(number);
            }
        }
    }

    /// The results, in order.
    pub fn finish(mut self) -> Vec<Value> {
        if self.aggregates() {
            let query = self.query;
            for group in std::mem::take(&mut self.groups).into_values() {
                let result = group.result(items(query), &query.group_by);
                let order = query.order_by.iter().map(|(path, _)| path.find(&result).cloned()).collect();
                self.ordered.push((order, result));
            }
        }
        let directions: Vec<Order> = self.query.order_by.iter().map(|(_, order)| *order).collect();
        self.ordered.sort_by(|(left, _), (right, _)| by(&directions, left, right));
        let top = self.query.top.map_or(usize::MAX, |top| usize::try_from(top).unwrap_or(usize::MAX));
        self.ordered.into_iter().map(|(_, result)| result).take(top).collect()
    }

    fn aggregates(&self) -> bool {
        !self.query.group_by.is_empty()
            || items(self.query).iter().any(|item| !matches!(item.element, Element::Attribute(_)))
    }

    fn group(&mut self, document: &Value) -> &mut Group {
        let keys: Vec<Option<Value>> = self.query.group_by.iter().map(|path| path.find(document).cloned()).collect();
        let name = keys.iter().map(|key| key.as_ref().map_or_else(|| "-".into(), Value::to_string));
        let name = name.collect::<Vec<String>>().join("\n");
        let count = items(self.query).len();
        self.groups.entry(name).or_insert_with(|| Group { keys, count: 0, numbers: vec![Numbers::NONE; count] })
    }
}

impl Group {
    fn result(&self, items: &[Item], group_by: &[Path]) -> Value {
        let mut result = Map::new();
        for (item, numbers) in items.iter().zip(&self.numbers) {
            let value = match &item.element {
                Element::Count => Some(self.count.into()),
                Element::Aggregate(aggregate, _) => numbers.value(*aggregate),
                Element::Attribute(path) => {
                    let key = group_by.iter().position(|grouped| grouped == path);
                    key.and_then(|key| self.keys.get(key).cloned().flatten())
                }
            };
            if let Some(value) = value {
                result.insert(item.name.clone(), value);
            }
        }
        Value::Object(result)
    }
}

impl Numbers {
    const NONE: Self = Self { count: 0, sum: 0.0, minimum: f64::INFINITY, maximum: f64::NEG_INFINITY };

    fn add(&mut self, number: f64) {
        self.count += 1;
        self.sum += number;
        self.minimum = self.minimum.min(number);
        self.maximum = self.maximum.max(number);
    }

    fn value(&self, aggregate: Aggregate) -> Option<Value> {
        if self.count == 0 {
            return None;
        }
        let number = match aggregate {
            Aggregate::Average => self.sum / self.count as f64,
            Aggregate::Sum => self.sum,
            Aggregate::Minimum => self.minimum,
            Aggregate::Maximum => self.maximum,
        };
        Number::from_f64(number).map(Value::Number)
    }
}

fn items(query: &Query) -> &[Item] {
    match &query.projection {
        Projection::All => &[],
        Projection::Items(items) => items,
    }
}

/// What is undefined comes first; values of different kinds stay as they came.
fn by(directions: &[Order], left: &[Option<Value>], right: &[Option<Value>]) -> Ordering {
    for ((left, right), direction) in left.iter().zip(right).zip(directions) {
        let order = match (left, right) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => {
                kind(left).cmp(&kind(right)).then_with(|| evaluate::order(left, right).unwrap_or(Ordering::Equal))
            }
        };
        let order = if *direction == Order::Descending { order.reverse() } else { order };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(text: &str) -> Value {
        let query = Query::parse(text).expect("a query");
        let documents = [
            json!({"deviceId": "a", "tags": {"site": "n"}, "t": 1}),
            json!({"deviceId": "b", "tags": {"site": "s"}, "t": 4}),
            json!({"deviceId": "c", "tags": {"site": "n"}, "t": 2.5}),
            json!({"deviceId": "d", "tags": {}}),
        ];
        let wanted = documents.into_iter().filter(|document| query.wants(document));
        if query.is_plain() {
            return wanted.map(|document| query.project(document)).collect();
        }
        let mut selection = Selection::new(&query);
        wanted.for_each(|document| selection.add(document));
        Value::Array(selection.finish())
    }

    #[test]
    fn results_are_what_was_selected() {
        for (text, expected) in [
            (
                "SELECT deviceId, tags.site AS s FROM devices WHERE t >= 2",
                json!([{"deviceId": "b", "s": "s"}, {"deviceId": "c", "s": "n"}]),
            ),
            ("SELECT tags.site FROM devices WHERE deviceId = 'd'", json!([{}])),
            ("SELECT COUNT() AS n FROM devices", json!([{"n": 4}])),
            ("SELECT COUNT() AS n, SUM(t) FROM devices WHERE t > 9", json!([{"n": 0}])),
            (
                "SELECT AVG(t), SUM(t), MIN(t), MAX(t) FROM devices",
                json!([{"$1": 2.5, "$2": 7.5, "$3": 1.0, "$4": 4.0}]),
            ),
            (
                "SELECT tags.site, COUNT() AS n FROM devices GROUP BY tags.site ORDER BY n DESC, site",
                json!([{"site": "n", "n": 2}, {"n": 1}, {"site": "s", "n": 1}]),
            ),
            ("SELECT TOP 2 deviceId FROM devices ORDER BY t DESC", json!([{"deviceId": "b"}, {"deviceId": "c"}])),
            (
                "SELECT deviceId FROM devices WHERE tags.site = 'n' ORDER BY t",
                json!([{"deviceId": "a"}, {"deviceId": "c"}]),
            ),
        ] {
            assert_eq!(run(text), expected, "{text}");
        }
    }
}
