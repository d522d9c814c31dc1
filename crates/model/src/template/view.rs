//! Views of a template: how one device of it is shown, and forms for its properties (`iot-central.md` §4).

use super::{Capability, Kind, Schema, Template, carries};
use crate::ViewId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Views of a template.
pub const MAX_VIEWS: usize = 20;
/// Tiles of a view, and sections of a form.
pub const MAX_PARTS: usize = 50;
/// Capabilities of a tile or section.
pub const MAX_NAMED: usize = 100;
const MAX_NAME_CHARS: usize = 148;

/// A view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Its id in its template.
    pub id: ViewId,
    /// The name shown to people.
    pub display_name: String,
    /// Where it stands among the others.
    #[serde(default)]
    pub order: u32,
    /// What it shows.
    #[serde(flatten)]
    pub content: ViewContent,
    /// Raised with each change; the etag.
    #[serde(default)]
    pub version: i64,
}

/// What a view shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ViewContent {
    /// Tiles.
    View {
        /// The tiles, in order; at most 50.
        tiles: Vec<ViewTile>,
    },
    /// A form for properties.
    Form {
        /// Its sections, in order; at most 50.
        sections: Vec<FormSection>,
    },
}

/// A tile of a view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ViewTile {
    /// The title.
    pub display_name: String,
    /// How it shows them.
    pub kind: ViewTileKind,
    /// The keys of capabilities that it shows: `temperature`, `thermostat1.target`.
    pub capabilities: Vec<String>,
}

/// How a tile shows capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum ViewTileKind {
    /// Telemetry as lines over time.
    LineChart,
    /// The last value of each telemetry.
    LastValue,
    /// Properties.
    Property,
    /// Commands, to be run.
    Command,
}

/// A section of a form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct FormSection {
    /// The title.
    pub display_name: String,
    /// The keys of writable and cloud properties.
    pub capabilities: Vec<String>,
}

/// What is wrong with a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewProblem {
    /// The JSON pointer of the place.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

impl ViewTileKind {
    fn shows(self, capability: &Capability) -> bool {
        match (self, capability.kind) {
            (Self::LineChart, Kind::Telemetry) => drawn(capability),
            (Self::LastValue, Kind::Telemetry) => single(capability),
            (Self::Property, Kind::Property { .. } | Kind::CloudProperty) => true,
            (Self::Command, Kind::Command) => true,
            _ => false,
        }
    }
}

/// Can it be a line?
fn drawn(capability: &Capability) -> bool {
    capability.schema.is_numeric()
}

/// Is its value one, and not several under it as a position's are?
fn single(capability: &Capability) -> bool {
    let mut paths = Vec::new();
    capability.schema.leaves(&capability.key, &mut |path, _| paths.push(path.to_owned()));
    paths == [capability.key.as_str()]
}

/// May a form change it?
fn editable(capability: &Capability) -> bool {
    matches!(capability.kind, Kind::Property { writable: true } | Kind::CloudProperty)
}

/// A tile, or a section of a form.
struct Part<'a> {
    title: &'a str,
    keys: &'a [String],
    /// None in a form.
    shown_as: Option<ViewTileKind>,
}

impl Part<'_> {
    fn fits(&self, capability: &Capability) -> bool {
        self.shown_as.map_or_else(|| editable(capability), |kind| kind.shows(capability))
    }
}

impl View {
    /// Every problem of a view for this template.
    pub fn problems(&self, template: &Template) -> Vec<ViewProblem> {
        let mut problems = Vec::new();
        let mut refuse = |pointer: String, message: String| problems.push(ViewProblem { pointer, message });
        let named = |text: &str| (1..=MAX_NAME_CHARS).contains(&text.trim().chars().count());
        if !named(&self.display_name) {
            refuse("/displayName".to_owned(), format!("a view has a name of 1 to {MAX_NAME_CHARS} characters"));
        }
        let (part, count) = match &self.content {
            ViewContent::View { tiles } => ("tiles", tiles.len()),
            ViewContent::Form { sections } => ("sections", sections.len()),
        };
        if count > MAX_PARTS {
            refuse(format!("/{part}"), format!("a view has at most {MAX_PARTS} {part}"));
        }
        for (index, shown) in self.parts().into_iter().enumerate().take(MAX_PARTS) {
            let Part { title, keys, .. } = shown;
            let pointer = format!("/{part}/{index}");
            if !named(title) {
                refuse(format!("{pointer}/displayName"), format!("a title has 1 to {MAX_NAME_CHARS} characters"));
            }
            if keys.is_empty() || keys.len() > MAX_NAMED {
                let message = format!("1 to {MAX_NAMED} capabilities are wanted");
                refuse(format!("{pointer}/capabilities"), message);
            }
            for (place, key) in keys.iter().enumerate().take(MAX_NAMED) {
                let message = match template.capability(key) {
                    Some(capability) if shown.fits(capability) => continue,
                    Some(_) => format!("'{key}' cannot be shown like this"),
                    None => format!("the device template has no '{key}'"),
                };
                refuse(format!("{pointer}/capabilities/{place}"), message);
            }
        }
        problems
    }

    /// Its tiles or sections.
    fn parts(&self) -> Vec<Part<'_>> {
        match &self.content {
            ViewContent::View { tiles } => {
                let part = tiles.iter().map(|tile| Part {
                    title: &tile.display_name,
                    keys: &tile.capabilities,
                    shown_as: Some(tile.kind),
                });
                part.collect()
            }
            ViewContent::Form { sections } => {
                let part = sections.iter().map(|section| Part {
                    title: &section.display_name,
                    keys: &section.capabilities,
                    shown_as: None,
                });
                part.collect()
            }
        }
    }

    /// The keys of every capability that it names.
    pub fn named(&self) -> BTreeSet<String> {
        self.parts().into_iter().flat_map(|part| part.keys.iter().cloned()).collect()
    }

    /// The view for the next version of its template: what means the same there; nothing where nothing is left.
    pub fn carried(&self, before: &Template, after: &Template) -> Option<Self> {
        let keep = |keys: &[String]| -> Vec<String> {
            keys.iter().filter(|key| carries(before, after, key)).cloned().collect()
        };
        let mut view = self.clone();
        let left = match &mut view.content {
            ViewContent::View { tiles } => {
                tiles.iter_mut().for_each(|tile| tile.capabilities = keep(&tile.capabilities));
                tiles.retain(|tile| !tile.capabilities.is_empty());
                tiles.len()
            }
            ViewContent::Form { sections } => {
                sections.iter_mut().for_each(|section| section.capabilities = keep(&section.capabilities));
                sections.retain(|section| !section.capabilities.is_empty());
                sections.len()
            }
        };
        (left > 0).then_some(view)
    }
}

/// The views that a template has by default: an overview of its telemetry, a form for what can be set, and its commands.
/// What it has nothing for is left out.
pub fn default_views(template: &Template) -> Vec<View> {
    let keys = |fits: &dyn Fn(&Capability) -> bool| -> Vec<String> {
        let fitting = template.capabilities.iter().filter(|capability| fits(capability));
        fitting.map(|capability| capability.key.clone()).take(MAX_NAMED).collect()
    };
    let tile = |title: &str, kind: ViewTileKind, capabilities: Vec<String>| ViewTile {
        display_name: title.to_owned(),
        kind,
        capabilities,
    };
    // One chart for each unit: what is measured alike is looked at together.
    let mut charts: Vec<ViewTile> = Vec::new();
    let numbers = template.capabilities.iter().filter(|capability| capability.kind == Kind::Telemetry);
    let mut units: Vec<Option<String>> = Vec::new();
    for number in numbers.filter(|capability| drawn(capability) && capability.schema != Schema::Boolean) {
        match units.iter().position(|unit| *unit == number.unit && unit.is_some()) {
            Some(at) => charts[at].capabilities.push(number.key.clone()),
            None => {
                units.push(number.unit.clone());
                charts.push(tile(&number.display_name, ViewTileKind::LineChart, vec![number.key.clone()]));
            }
        }
    }
    let values = keys(&|capability| ViewTileKind::LastValue.shows(capability));
    let known = keys(&|capability| matches!(capability.kind, Kind::Property { .. } | Kind::CloudProperty));
    let commands = keys(&|capability| capability.kind == Kind::Command);
    let settable = keys(&|capability| editable(capability));
    let mut overview = Vec::new();
    if !values.is_empty() {
        overview.push(tile("Last known values", ViewTileKind::LastValue, values));
    }
    overview.extend(charts.into_iter().take(MAX_PARTS - 1).map(|mut chart| {
        chart.capabilities.truncate(MAX_NAMED);
        chart
    }));
    let tiles = |kind, title, keys: Vec<String>| match keys.is_empty() {
        true => Vec::new(),
        false => vec![tile(title, kind, keys)],
    };
    let section = FormSection { display_name: "Properties".to_owned(), capabilities: settable.clone() };
    let candidates = [
        ("overview", "Overview", ViewContent::View { tiles: overview.clone() }, overview.is_empty()),
        (
            "about",
            "About",
            ViewContent::View { tiles: tiles(ViewTileKind::Property, "Properties", known.clone()) },
            known.is_empty(),
        ),
        ("edit", "Edit properties", ViewContent::Form { sections: vec![section] }, settable.is_empty()),
        (
            "commands",
            "Commands",
            ViewContent::View { tiles: tiles(ViewTileKind::Command, "Commands", commands.clone()) },
            commands.is_empty(),
        ),
    ];
    let views = candidates.into_iter().zip(0..).filter(|((.., empty), _)| !empty);
    views
        .filter_map(|((id, name, content, _), order)| {
            Some(View { id: ViewId::parse(id).ok()?, display_name: name.to_owned(), order, content, version: 0 })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn template(contents: Value) -> Template {
        let interface = json!({
            "@id": "dtmi:a:b;1", "@type": "Interface", "@context": "dtmi:dtdl:context;2", "contents": contents,
        });
        Template::import(&interface, None).expect("a template")
    }

    fn full() -> Template {
        template(json!([
            {"@type": ["Telemetry", "Temperature"], "name": "inside", "schema": "double", "unit": "degreeCelsius"},
            {"@type": ["Telemetry", "Temperature"], "name": "outside", "schema": "double", "unit": "degreeCelsius"},
            {"@type": "Telemetry", "name": "count", "schema": "integer"},
            {"@type": "Telemetry", "name": "open", "schema": "boolean"},
            {"@type": "Telemetry", "name": "place", "schema": {"@type": "Object", "fields": [
                {"name": "lat", "schema": "double"}, {"name": "lon", "schema": "double"},
            ]}},
            {"@type": "Property", "name": "target", "schema": "double", "writable": true},
            {"@type": "Property", "name": "serial", "schema": "string"},
            {"@type": "Command", "name": "restart"},
        ]))
    }

    #[test]
    fn default_views_show_everything_and_have_no_problems() {
        let template = full();
        let views = default_views(&template);
        assert_eq!(
            views.iter().map(|view| view.id.as_str()).collect::<Vec<_>>(),
            ["overview", "about", "edit", "commands"]
        );
        for view in &views {
            assert_eq!(view.problems(&template), [], "{view:?}");
        }
        let ViewContent::View { tiles } = &views[0].content else { panic!("tiles") };
        let charts: Vec<_> = tiles[1..].iter().map(|tile| tile.capabilities.join("+")).collect();
        assert_eq!(charts, ["inside+outside", "count"]);
        let all: BTreeSet<_> = views.iter().flat_map(View::named).collect();
        assert_eq!(all.len(), template.capabilities.len() - 1, "a position is on a map of its own");
        assert_eq!(default_views(&super::tests::template(json!([]))), []);
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let view: View = serde_json::from_value(json!({
            "id": "a", "displayName": " ", "type": "view", "tiles": [
                {"displayName": "T", "kind": "lineChart", "capabilities": ["inside", "serial", "nothing"]},
                {"displayName": "U", "kind": "lastValue", "capabilities": []},
            ],
        }))
        .expect("a view");
        let pointers: Vec<_> = view.problems(&full()).into_iter().map(|problem| problem.pointer).collect();
        let expected = ["/displayName", "/tiles/0/capabilities/1", "/tiles/0/capabilities/2", "/tiles/1/capabilities"];
        assert_eq!(pointers, expected);
    }

    #[test]
    fn a_next_version_keeps_what_means_the_same() {
        let after = template(json!([
            {"@type": ["Telemetry", "Temperature"], "name": "inside", "schema": "double", "unit": "degreeCelsius"},
            {"@type": "Telemetry", "name": "count", "schema": "string"},
        ]));
        let views = default_views(&full());
        let carried: Vec<_> = views.iter().filter_map(|view| view.carried(&full(), &after)).collect();
        assert_eq!(carried.len(), 1);
        assert_eq!(carried[0].named().into_iter().collect::<Vec<_>>(), ["inside"]);
        assert_eq!(carried[0].problems(&after), []);
    }
}
