//! A tile while it is being written: the form's choices and the configuration that they make. Pure.

use muster_contract::dashboard::{Aggregate, Tile, TileConfiguration, TileRange, TileSource};
use muster_contract::template::{Capability, CapabilityKind};
use muster_model::{DeviceId, TemplateId};
use std::collections::BTreeSet;

/// What a tile shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileKind {
    /// Lines over time.
    Line,
    /// One number over a range.
    Kpi,
    /// The last known value.
    Last,
    /// Positions.
    Map,
    /// How many devices.
    Count,
    /// Free text.
    Text,
}

impl TileKind {
    /// Every kind, in the order of the form.
    pub const ALL: [Self; 6] = [Self::Line, Self::Kpi, Self::Last, Self::Map, Self::Count, Self::Text];

    /// The name shown to people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Line => "Line chart",
            Self::Kpi => "Figure over time (KPI)",
            Self::Last => "Last known value",
            Self::Map => "Map of positions",
            Self::Count => "Number of devices",
            Self::Text => "Text",
        }
    }

    /// As a form value.
    pub fn word(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Kpi => "kpi",
            Self::Last => "last",
            Self::Map => "map",
            Self::Count => "count",
            Self::Text => "text",
        }
    }

    /// From a form value.
    pub fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.word() == word).unwrap_or(Self::Line)
    }

    /// The size of a new tile, in columns and rows.
    pub fn size(self) -> (u16, u16) {
        match self {
            Self::Line => (8, 4),
            Self::Map => (8, 3),
            Self::Kpi | Self::Last => (4, 2),
            Self::Count => (3, 2),
            Self::Text => (4, 1),
        }
    }

    /// Whether it draws a template's devices.
    pub fn has_source(self) -> bool {
        matches!(self, Self::Line | Self::Kpi | Self::Last | Self::Map)
    }

    /// Whether it looks back in time.
    pub fn has_range(self) -> bool {
        matches!(self, Self::Line | Self::Kpi)
    }

    /// Whether a capability can be drawn by it.
    pub fn draws(self, capability: &Capability) -> bool {
        let telemetry = capability.kind == CapabilityKind::Telemetry;
        telemetry
            && match self {
                Self::Line | Self::Kpi => capability.numeric,
                Self::Last => capability.schema != "geopoint",
                Self::Map => capability.schema == "geopoint",
                Self::Count | Self::Text => false,
            }
    }
}

/// The form's choices.
#[derive(Clone, Debug, PartialEq)]
pub struct TileDraft {
    /// What it shows.
    pub kind: TileKind,
    /// The title; empty for one made from the choices.
    pub title: String,
    /// The template's id; empty for none.
    pub template: String,
    /// The devices; empty for all.
    pub devices: BTreeSet<DeviceId>,
    /// Telemetry keys.
    pub capabilities: BTreeSet<String>,
    /// How far back.
    pub range: TileRange,
    /// How values are folded.
    pub aggregate: Aggregate,
    /// Is a small trend drawn?
    pub show_trend: bool,
    /// The free text.
    pub text: String,
}

impl TileDraft {
    /// A new tile.
    pub fn new(template: String) -> Self {
        Self {
            kind: TileKind::Line,
            title: String::new(),
            template,
            devices: BTreeSet::new(),
            capabilities: BTreeSet::new(),
            range: TileRange::Day,
            aggregate: Aggregate::Avg,
            show_trend: true,
            text: String::new(),
        }
    }

    /// The form for a tile that exists.
    pub fn of(tile: &Tile) -> Self {
        let mut draft = Self { title: tile.display_name.clone(), ..Self::new(String::new()) };
        match &tile.configuration {
            TileConfiguration::LineChart { source, range } => {
                draft.take(TileKind::Line, source);
                draft.range = *range;
            }
            TileConfiguration::Kpi { source, aggregate, range } => {
                draft.take(TileKind::Kpi, source);
                (draft.range, draft.aggregate) = (*range, *aggregate);
            }
            TileConfiguration::Lkv { source, show_trend } => {
                draft.take(TileKind::Last, source);
                draft.show_trend = *show_trend;
            }
            TileConfiguration::MapTelemetry { source } => draft.take(TileKind::Map, source),
            TileConfiguration::DeviceCount { template } => {
                draft.kind = TileKind::Count;
                draft.template = template.as_ref().map(ToString::to_string).unwrap_or_default();
            }
            TileConfiguration::Markdown { text } => {
                draft.kind = TileKind::Text;
                draft.text.clone_from(text);
            }
        }
        draft
    }

    fn take(&mut self, kind: TileKind, source: &TileSource) {
        self.kind = kind;
        self.template = source.template.to_string();
        self.devices = source.devices.iter().cloned().collect();
        self.capabilities = source.capabilities.iter().cloned().collect();
    }

    /// The title and the configuration, or what is missing, for people. `telemetry` is that of the chosen template.
    pub fn finish(&self, telemetry: &[Capability]) -> Result<(String, TileConfiguration), String> {
        let configuration = match self.kind {
            TileKind::Line => TileConfiguration::LineChart { source: self.source(telemetry)?, range: self.range },
            TileKind::Kpi => {
                TileConfiguration::Kpi { source: self.source(telemetry)?, aggregate: self.aggregate, range: self.range }
            }
            TileKind::Last => TileConfiguration::Lkv { source: self.source(telemetry)?, show_trend: self.show_trend },
            TileKind::Map => TileConfiguration::MapTelemetry { source: self.source(telemetry)? },
            TileKind::Count => {
                TileConfiguration::DeviceCount { template: TemplateId::parse(self.template.clone()).ok() }
            }
            TileKind::Text if self.text.trim().is_empty() => return Err("Write the text.".to_owned()),
            TileKind::Text => TileConfiguration::Markdown { text: self.text.trim().to_owned() },
        };
        let title = self.title.trim();
        let title = if title.is_empty() { self.own_title(telemetry) } else { title.to_owned() };
        Ok((title, configuration))
    }

    fn source(&self, telemetry: &[Capability]) -> Result<TileSource, String> {
        let template = TemplateId::parse(self.template.clone()).map_err(|_| "Choose a device template.".to_owned())?;
        let chosen = telemetry.iter().filter(|capability| self.kind.draws(capability));
        let chosen = chosen.filter(|capability| self.capabilities.contains(&capability.key));
        let capabilities: Vec<String> = chosen.map(|capability| capability.key.clone()).collect();
        if capabilities.is_empty() {
            return Err("Choose what is shown.".to_owned());
        }
        Ok(TileSource { template, devices: self.devices.iter().cloned().collect(), capabilities })
    }

    fn own_title(&self, telemetry: &[Capability]) -> String {
        let names = telemetry.iter().filter(|capability| self.capabilities.contains(&capability.key));
        let names: Vec<&str> = names.map(|capability| capability.display_name.as_str()).collect();
        if self.kind.has_source() && !names.is_empty() { names.join(", ") } else { self.kind.label().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn telemetry() -> Vec<Capability> {
        serde_json::from_value(json!([
            {"key": "temp", "name": "temp", "kind": "telemetry", "displayName": "Temperature", "schema": "double", "numeric": true},
            {"key": "place", "name": "place", "kind": "telemetry", "displayName": "Place", "schema": "geopoint", "numeric": false}
        ]))
        .unwrap()
    }

    fn draft(kind: TileKind, capability: &str) -> TileDraft {
        TileDraft {
            kind,
            capabilities: BTreeSet::from([capability.to_owned()]),
            ..TileDraft::new("dtmi:a:b;1".to_owned())
        }
    }

    #[test]
    fn a_tile_survives_the_form() {
        for (kind, capability) in [
            (TileKind::Line, "temp"),
            (TileKind::Kpi, "temp"),
            (TileKind::Last, "temp"),
            (TileKind::Map, "place"),
            (TileKind::Count, ""),
        ] {
            let (display_name, configuration) = draft(kind, capability).finish(&telemetry()).unwrap();
            let tile = Tile {
                id: "t".to_owned(),
                display_name,
                configuration: configuration.clone(),
                x: 0,
                y: 0,
                width: 1,
                height: 1,
            };
            assert_eq!(TileDraft::of(&tile).finish(&telemetry()).unwrap().1, configuration, "{kind:?}");
        }
    }

    #[test]
    fn a_title_is_made_where_none_is_given() {
        assert_eq!(draft(TileKind::Line, "temp").finish(&telemetry()).unwrap().0, "Temperature");
        assert_eq!(draft(TileKind::Count, "").finish(&[]).unwrap().0, "Number of devices");
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        assert_eq!(draft(TileKind::Line, "place").finish(&telemetry()), Err("Choose what is shown.".to_owned()));
        let empty = TileDraft::new(String::new());
        assert_eq!(empty.finish(&telemetry()), Err("Choose a device template.".to_owned()));
        assert!(draft(TileKind::Text, "").finish(&telemetry()).is_err());
    }
}
