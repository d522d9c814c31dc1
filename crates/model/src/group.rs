//! Device groups: a query over devices, kept under a name (`iot-central.md` §8, `iot-central-api.md` §5).

use crate::{
    DeviceGroupId, TemplateId,
    device::{Device, Twin},
    properties::{Unmodelled, views},
    query::{self, Comparison, Expression, Path, Projection, Query, QueryError, Source, Step},
    rule::{Match, Operator},
    template::{Kind, Reference, Template},
};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A longer query is refused unread.
pub const MAX_FILTER_BYTES: usize = 8 * 1024;
/// Conditions of one query.
pub const MAX_CONDITIONS: usize = 100;
/// What a query may ask of a device beside its properties.
pub const METADATA: [&str; 6] = ["$id", "$displayName", "$template", "$provisioned", "$simulated", "$enabled"];

/// A device group.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceGroup {
    /// Its id.
    pub id: DeviceGroupId,
    /// The name shown to people.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// The query, as it was given.
    pub filter: String,
    /// The template whose devices it has had from the start; it goes with the template.
    pub automatic_of: Option<TemplateId>,
    /// Raised with each change; the etag.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

/// Which devices a group has: `SELECT * FROM devices WHERE $template = "dtmi:…" AND …`.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupQuery {
    condition: Expression,
}

/// Why a text is no query of a device group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupQueryError {
    /// It is too long.
    #[error("the query is longer than {MAX_FILTER_BYTES} bytes")]
    TooLong,
    /// It is no query.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// It says more than which devices, or nothing.
    #[error("the query must be SELECT * FROM devices WHERE …")]
    Shape,
    /// It has too many conditions.
    #[error("the query has more than {MAX_CONDITIONS} conditions")]
    TooMany,
    /// It asks for what no device has.
    #[error("'{0}' is not known; a query may ask for {known} and for properties", known = METADATA.join(", "))]
    Metadata(String),
    /// It asks for a property that the template does not have.
    #[error("the device template has no property '{0}'")]
    Property(String),
}

impl GroupQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// [`GroupQueryError`], never [`GroupQueryError::Property`].
    pub fn parse(text: &str) -> Result<Self, GroupQueryError> {
        if text.len() > MAX_FILTER_BYTES {
            return Err(GroupQueryError::TooLong);
        }
        let query = Query::parse(text)?;
        let plain = query.top.is_none() && query.group_by.is_empty() && query.order_by.is_empty();
        let whole = query.projection == Projection::All && query.source == Source::Devices;
        let Some(condition) = query.condition.filter(|_| plain && whole) else { return Err(GroupQueryError::Shape) };
        let query = Self { condition };
        let asked = query.asked();
        if asked.len() > MAX_CONDITIONS {
            return Err(GroupQueryError::TooMany);
        }
        let unknown = |name: &&String| name.starts_with('$') && !METADATA.contains(&name.as_str());
        match asked.iter().find(unknown) {
            Some(name) => Err(GroupQueryError::Metadata(name.clone())),
            None => Ok(query),
        }
    }

    /// The query for every device of a template.
    pub fn of_template(template: &TemplateId) -> String {
        // No template's id has a quote.
        format!("SELECT * FROM devices WHERE $template = \"{template}\"")
    }

    /// The template whose devices alone it can have.
    pub fn template(&self) -> Option<TemplateId> {
        TemplateId::parse(self.demanded("$template")?.as_str()?).ok()
    }

    /// What a truth of a device must be, where the query demands it of every device: `$simulated = false AND …`.
    pub fn truth(&self, name: &str) -> Option<bool> {
        self.demanded(name)?.as_bool()
    }

    /// Checks that the template has each property.
    ///
    /// # Errors
    /// [`GroupQueryError::Property`].
    pub fn check(&self, template: &Template) -> Result<(), GroupQueryError> {
        let is_property = |kind| matches!(kind, Kind::Property { .. } | Kind::CloudProperty);
        let known = |name: &str| {
            let properties = template.capabilities.iter().filter(|capability| is_property(capability.kind));
            properties
                .map(|capability| capability.key.as_str())
                .any(|key| name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        };
        let asked = self.asked();
        let unknown = asked.into_iter().find(|name| !name.starts_with('$') && !known(name));
        unknown.map_or(Ok(()), |name| Err(GroupQueryError::Property(name)))
    }

    /// What it names of templates.
    pub fn references(&self) -> BTreeSet<Reference> {
        let Some(template) = self.template() else { return BTreeSet::new() };
        let properties = self.asked().into_iter().filter(|name| !name.starts_with('$')).map(Some).chain([None]);
        properties.map(|capability| Reference { template: template.clone(), capability }).collect()
    }

    /// Whether it wants this device.
    pub fn wants(&self, device: &Device, twin: &Twin, template: Option<&Template>) -> bool {
        self.condition.holds(&document(device, twin, template))
    }

    /// Each path that is asked for, as often as it is.
    fn asked(&self) -> Vec<String> {
        let mut asked = Vec::new();
        walk(&self.condition, &mut |path| asked.push(written(path)));
        asked
    }

    /// The value that every device must have under this name.
    fn demanded(&self, name: &str) -> Option<&Value> {
        let mut found = None;
        each_demand(&self.condition, &mut |path, value| {
            if matches!(path.0.as_slice(), [Step::Name(first)] if first == name) {
                found = found.or(Some(value));
            }
        });
        found
    }
}

/// A query as a form shows it: a template, and conditions of which all or any hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// The template.
    pub template: TemplateId,
    /// How the conditions are joined.
    pub matching: Match,
    /// What is asked beside the template.
    pub demands: Vec<Demand>,
}

/// One comparison of a form.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// What is compared: `target`, `thermostat1.target`, `$simulated`.
    pub path: String,
    /// How.
    pub operator: Operator,
    /// With what.
    pub value: Value,
}

impl Parts {
    /// The parts of a query; none where a form cannot show it.
    pub fn of(query: &GroupQuery) -> Option<Self> {
        let mut conjuncts = Vec::new();
        chain(&query.condition, Match::All, &mut conjuncts);
        let demands: Vec<_> = conjuncts.iter().map(|one| demand(one)).collect();
        let is_template = |demand: &Option<Demand>| {
            demand.as_ref().is_some_and(|demand| demand.path == "$template" && demand.operator == Operator::Equals)
        };
        let at = demands.iter().position(is_template)?;
        let template = TemplateId::parse(demands[at].as_ref()?.value.as_str()?).ok()?;
        let mut rest = conjuncts.into_iter().enumerate().filter(|(index, _)| *index != at).map(|(_, one)| one);
        let (matching, conditions) = match (rest.next(), rest.next()) {
            (Some(only @ Expression::Or(..)), None) => {
                let mut either = Vec::new();
                chain(only, Match::Any, &mut either);
                (Match::Any, either.into_iter().map(demand).collect::<Option<_>>()?)
            }
            _ => {
                let others = demands.into_iter().enumerate().filter(|(index, _)| *index != at);
                (Match::All, others.map(|(_, demand)| demand).collect::<Option<_>>()?)
            }
        };
        Some(Self { template, matching, demands: conditions })
    }

    /// The query's text.
    pub fn write(&self) -> String {
        let joint = match self.matching {
            Match::All => " AND ",
            Match::Any => " OR ",
        };
        let demands: Vec<String> = self.demands.iter().map(Demand::write).collect();
        let whole = GroupQuery::of_template(&self.template);
        match (demands.join(joint), self.matching, demands.len()) {
            (_, _, 0) => whole,
            (text, Match::Any, 2..) => format!("{whole} AND ({text})"),
            (text, ..) => format!("{whole} AND {text}"),
        }
    }
}

impl Demand {
    fn write(&self) -> String {
        let plain = |name: &str| {
            name.chars().all(|c| c.is_alphanumeric() || "_$".contains(c))
                && name.chars().next().is_some_and(|c| !c.is_numeric())
        };
        let step = |name: &str| if plain(name) { name.to_owned() } else { format!("[[{name}]]") };
        let path: Vec<String> = self.path.split('.').map(step).collect();
        let sign = match self.operator {
            Operator::GreaterThan => ">",
            Operator::GreaterThanOrEqual => ">=",
            Operator::LessThan => "<",
            Operator::LessThanOrEqual => "<=",
            Operator::NotEquals => "!=",
            // The language has no text in a text; no form offers it.
            Operator::Equals | Operator::Contains => "=",
        };
        format!("{} {sign} {}", path.join("."), self.value)
    }
}

/// What is joined by nothing but `joint`.
fn chain<'a>(expression: &'a Expression, joint: Match, found: &mut Vec<&'a Expression>) {
    match (expression, joint) {
        (Expression::And(operands), Match::All) | (Expression::Or(operands), Match::Any) => {
            operands.iter().for_each(|operand| chain(operand, joint, found));
        }
        _ => found.push(expression),
    }
}

fn demand(expression: &Expression) -> Option<Demand> {
    let Expression::Compare(comparison, left, right) = expression else { return None };
    let Expression::Attribute(path) = left.as_ref() else { return None };
    let operator = match comparison {
        Comparison::Equal => Operator::Equals,
        Comparison::NotEqual => Operator::NotEquals,
        Comparison::Less => Operator::LessThan,
        Comparison::LessOrEqual => Operator::LessThanOrEqual,
        Comparison::Greater => Operator::GreaterThan,
        Comparison::GreaterOrEqual => Operator::GreaterThanOrEqual,
    };
    let value = match right.as_ref() {
        Expression::Constant(value) => value.clone(),
        // A number below zero is zero less it.
        Expression::Arithmetic(query::Operator::Subtract, zero, number) => match (zero.as_ref(), number.as_ref()) {
            (Expression::Constant(zero), Expression::Constant(number)) if *zero == 0 => match number.as_i64() {
                Some(whole) => json!(-whole),
                None => json!(-number.as_f64()?),
            },
            _ => return None,
        },
        _ => return None,
    };
    Some(Demand { path: written(path), operator, value })
}

/// A device as a query sees it.
fn document(device: &Device, twin: &Twin, template: Option<&Template>) -> Value {
    let mut document = Map::new();
    for view in views(template, twin, Unmodelled::Shown) {
        let Some(value) = view.value.or(view.desired) else { continue };
        match view.key.split_once('.') {
            Some((component, name)) => {
                let inner = document.entry(component).or_insert_with(|| json!({}));
                if let Some(inner) = inner.as_object_mut() {
                    inner.insert(name.to_owned(), value);
                }
            }
            None => _ = document.insert(view.key, value),
        }
    }
    let metadata = json!({
        "$id": device.id, "$displayName": device.display_name, "$template": device.template,
        "$provisioned": device.provisioned, "$simulated": device.simulated, "$enabled": device.enabled,
    });
    if let Value::Object(metadata) = metadata {
        document.extend(metadata);
    }
    Value::Object(document)
}

/// Visits every path of an expression.
fn walk(expression: &Expression, visit: &mut impl FnMut(&Path)) {
    use Expression as E;
    match expression {
        E::Or(operands) | E::And(operands) => operands.iter().for_each(|operand| walk(operand, visit)),
        E::Compare(_, left, right) | E::Arithmetic(_, left, right) => {
            walk(left, visit);
            walk(right, visit);
        }
        E::Not(inner) => walk(inner, visit),
        E::In(value, items) => {
            walk(value, visit);
            items.iter().for_each(|item| walk(item, visit));
        }
        E::IsDefined(path) | E::Attribute(path) => visit(path),
        E::Constant(_) | E::Undefined => {}
    }
}

/// Visits what must be equal for the expression to hold.
fn each_demand<'a>(expression: &'a Expression, visit: &mut impl FnMut(&'a Path, &'a Value)) {
    match expression {
        Expression::And(operands) => operands.iter().for_each(|operand| each_demand(operand, visit)),
        Expression::Compare(Comparison::Equal, left, right) => match (left.as_ref(), right.as_ref()) {
            (Expression::Attribute(path), Expression::Constant(value))
            | (Expression::Constant(value), Expression::Attribute(path)) => visit(path, value),
            _ => {}
        },
        _ => {}
    }
}

fn written(path: &Path) -> String {
    let steps = path.0.iter().map(|step| match step {
        Step::Name(name) => name.clone(),
        Step::Index(index) => index.to_string(),
    });
    steps.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let interface = json!({
            "@id": "dtmi:a:b;1", "@type": "Interface", "@context": "dtmi:dtdl:context;2",
            "contents": [
                {"@type": "Property", "name": "target", "schema": "double", "writable": true},
                {"@type": "Property", "name": "place", "schema": {"@type": "Object", "fields": [{"name": "room", "schema": "string"}]}},
                {"@type": "Telemetry", "name": "temperature", "schema": "double"},
            ],
        });
        Template::import(&interface, None).expect("a template")
    }

    #[test]
    fn queries_are_read_and_checked() {
        let good = "SELECT * FROM devices WHERE $template = \"dtmi:a:b;1\" AND $simulated = false AND place.room = 'a'";
        let query = GroupQuery::parse(good).expect("a query");
        assert_eq!(query.template().expect("a template").as_str(), "dtmi:a:b;1");
        assert_eq!((query.truth("$simulated"), query.truth("$enabled")), (Some(false), None));
        query.check(&template()).expect("fits");
        let either =
            GroupQuery::parse("SELECT * FROM devices WHERE $template = 'dtmi:a:b;1' OR $id = 'x'").expect("one");
        assert_eq!(either.template(), None, "other devices may be in it too");
        let empty = GroupQuery::parse("SELECT * FROM devices WHERE temperature > 3").expect("a query");
        assert_eq!(empty.check(&template()), Err(GroupQueryError::Property("temperature".to_owned())));
        let many = ["$id = 'a'"; 101].join(" OR ");
        for (text, error) in [
            ("SELECT * FROM devices", GroupQueryError::Shape),
            ("SELECT $id FROM devices WHERE $id = 'a'", GroupQueryError::Shape),
            ("SELECT * FROM devices.modules WHERE $id = 'a'", GroupQueryError::Shape),
            ("SELECT TOP 3 * FROM devices WHERE $id = 'a'", GroupQueryError::Shape),
            ("SELECT * FROM devices WHERE $nothing = 1", GroupQueryError::Metadata("$nothing".to_owned())),
            (&format!("SELECT * FROM devices WHERE {many}"), GroupQueryError::TooMany),
            (&"x".repeat(MAX_FILTER_BYTES + 1), GroupQueryError::TooLong),
        ] {
            assert_eq!(GroupQuery::parse(text), Err(error), "{}", &text[..text.len().min(60)]);
        }
        for text in ["", "SELECT", "SELECT * FROM devices WHERE", "SELECT * FROM devices WHERE $template =", "\u{0}"] {
            assert!(matches!(GroupQuery::parse(text), Err(GroupQueryError::Query(_))), "{text:?}");
        }
    }

    #[test]
    fn a_form_reads_what_it_writes() {
        let demand = |path: &str, operator, value| Demand { path: path.to_owned(), operator, value };
        let demands = [
            demand("$simulated", Operator::Equals, json!(false)),
            demand("thermostat1.target", Operator::LessThan, json!(-2.5)),
            demand("odd name", Operator::NotEquals, json!("a \"b\" \u{1}")),
            demand("level", Operator::GreaterThanOrEqual, json!(-3)),
        ];
        for matching in [Match::All, Match::Any] {
            for count in [0, 2, 3, 4] {
                let template = TemplateId::parse("dtmi:a:b;1").expect("an id");
                let matching = if count < 2 { Match::All } else { matching };
                let parts = Parts { template, matching, demands: demands[..count].to_vec() };
                let query = GroupQuery::parse(&parts.write()).expect("a query");
                assert_eq!(Parts::of(&query), Some(parts.clone()), "{}", parts.write());
            }
        }
        for other in ["$template != 'dtmi:a;1'", "$template = 'dtmi:a;1' AND NOT $enabled", "$id = 'a'"] {
            let query = GroupQuery::parse(&format!("SELECT * FROM devices WHERE {other}")).expect("a query");
            assert_eq!(Parts::of(&query), None, "{other}");
        }
    }
}
