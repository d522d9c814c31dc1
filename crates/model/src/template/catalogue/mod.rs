//! Models for common kinds of sensors, which every tenant has without importing anything: a device that says one of
//! these ids when it connects gets its template.

use super::Template;
use crate::TemplateId;
use serde_json::Value;
use std::sync::LazyLock;

/// What the others extend.
const DEVICE: &str = include_str!("device.json");

const MODELS: [&str; 12] = [
    include_str!("air_quality.json"),
    include_str!("climate.json"),
    include_str!("contact.json"),
    include_str!("energy_meter.json"),
    include_str!("machine.json"),
    include_str!("occupancy.json"),
    include_str!("smart_plug.json"),
    include_str!("soil.json"),
    include_str!("tank_level.json"),
    include_str!("tracker.json"),
    include_str!("water_meter.json"),
    include_str!("weather_station.json"),
];

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| MODELS.iter().filter_map(|model| read(model)).collect());

/// The templates of the catalogue, in the order of their ids, each as if it had just been imported.
pub fn catalogue() -> &'static [Template] {
    &TEMPLATES
}

/// The template of the catalogue with this id.
pub fn find_in_catalogue(id: &TemplateId) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.id == *id)
}

fn read(model: &str) -> Option<Template> {
    let interface = |text| serde_json::from_str::<Value>(text).ok();
    let interfaces = Value::Array(vec![interface(model)?, interface(DEVICE)?]);
    Template::import(&interfaces, None).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtdl;

    #[test]
    fn every_model_of_the_catalogue_is_a_template() {
        for model in MODELS {
            let nodes = [model, DEVICE].map(|text| dtdl::json::parse(text).expect("JSON"));
            let report = dtdl::check(&[(&nodes[0], ""), (&nodes[1], "")], dtdl::Rules::Strict);
            assert!(report.is_valid() && report.warnings.is_empty(), "{model}: {report:?}");
        }
        assert_eq!(catalogue().len(), MODELS.len());
        assert!(catalogue().is_sorted_by_key(|template| template.id.as_str()));
        for template in catalogue() {
            let keys: Vec<_> = template.capabilities.iter().map(|capability| capability.key.as_str()).collect();
            assert!(keys.contains(&"batteryLevel") && keys.len() > 5, "{}: {keys:?}", template.id);
            assert_eq!(find_in_catalogue(&template.id), Some(template));
        }
    }
}
