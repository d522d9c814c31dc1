//! Device models spread over many documents, put together into what can be imported one by one.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What becomes one template: a root interface with those that it needs, or a template as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// The place of the document that holds the root.
    pub source: usize,
    /// What is imported.
    pub document: Value,
}

/// Puts interfaces of many documents together. Each that no other extends or has as a component is a root; of interfaces
/// that use each other in a ring, the first is. Of two with one id the first counts. What is no interface is a bundle as it
/// stands, and its import says why it is none.
pub fn bundles(documents: &[Value]) -> Vec<Bundle> {
    let mut interfaces: BTreeMap<&str, (usize, &Value)> = BTreeMap::new();
    let mut order = Vec::new();
    let mut bundles = Vec::new();
    for (source, document) in documents.iter().enumerate() {
        let each = document.as_array().map_or_else(|| std::slice::from_ref(document), Vec::as_slice);
        let ids: Option<Vec<&str>> = each.iter().map(interface_id).collect();
        match ids.filter(|ids| !ids.is_empty()) {
            Some(ids) => {
                for (id, interface) in ids.into_iter().zip(each) {
                    interfaces.entry(id).or_insert_with(|| {
                        order.push(id);
                        (source, interface)
                    });
                }
            }
            None => bundles.push(Bundle { source, document: document.clone() }),
        }
    }
    let used: BTreeMap<&str, BTreeSet<&str>> = interfaces
        .iter()
        .map(|(id, (_, interface))| {
            let mut used = BTreeSet::new();
            uses(interface, &mut used);
            used.retain(|other| other != id && interfaces.contains_key(other));
            (*id, used)
        })
        .collect();
    let by_others: BTreeSet<&str> = used.values().flatten().copied().collect();
    let (roots, rest): (Vec<&str>, Vec<&str>) = order.into_iter().partition(|id| !by_others.contains(id));
    let mut reached = BTreeSet::new();
    for root in roots.into_iter().chain(rest) {
        // What a root has taken in is no template of its own.
        if by_others.contains(root) && reached.contains(root) {
            continue;
        }
        let mut needed = vec![root];
        let mut next = 0;
        while let Some(id) = needed.get(next).copied() {
            let more = used.get(id).into_iter().flatten().filter(|other| !needed.contains(other)).copied();
            let more: Vec<&str> = more.collect();
            needed.extend(more);
            next += 1;
        }
        reached.extend(needed.iter().copied());
        let Some((source, _)) = interfaces.get(root) else { continue };
        let together = needed.iter().filter_map(|id| interfaces.get(id)).map(|(_, one)| (*one).clone());
        bundles.push(Bundle { source: *source, document: Value::Array(together.collect()) });
    }
    bundles.sort_by_key(|bundle| bundle.source);
    bundles
}

/// The id, where the value is an interface with one.
fn interface_id(value: &Value) -> Option<&str> {
    let types = value.get("@type")?;
    let is = |one: &Value| one.as_str() == Some("Interface");
    let interface = is(types) || types.as_array().is_some_and(|types| types.iter().any(is));
    value.get("@id").and_then(Value::as_str).filter(|_| interface)
}

/// The ids that an interface, and those written inside it, may use others by.
fn uses<'a>(value: &'a Value, used: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == "extends" || name == "schema" {
                    let each = member.as_array().map_or_else(|| std::slice::from_ref(member), Vec::as_slice);
                    used.extend(each.iter().filter_map(Value::as_str));
                }
                uses(member, used);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| uses(item, used)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn interface(id: &str, extends: Value) -> Value {
        json!({"@id": id, "@type": "Interface", "@context": "dtmi:dtdl:context;2", "extends": extends, "contents": []})
    }

    fn ids(bundle: &Bundle) -> Vec<&str> {
        bundle.document.as_array().expect("interfaces").iter().filter_map(|one| one["@id"].as_str()).collect()
    }

    #[test]
    fn each_root_takes_what_it_needs() {
        let room = json!({
            "@id": "dtmi:room;1", "@type": ["Interface"], "contents": [
                {"@type": "Component", "name": "lamp", "schema": "dtmi:lamp;1"},
                {"@type": "Telemetry", "name": "t", "schema": "double"},
            ],
        });
        let documents = [
            interface("dtmi:base;1", json!([])),
            json!([interface("dtmi:lamp;1", json!("dtmi:base;1")), interface("dtmi:fan;1", json!(["dtmi:base;1"]))]),
            room,
            json!({"capabilityModel": {}}),
            interface("dtmi:fan;1", json!("dtmi:none;1")),
        ];
        let bundles = bundles(&documents);
        assert_eq!(bundles.iter().map(|bundle| bundle.source).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(ids(&bundles[0]), ["dtmi:fan;1", "dtmi:base;1"]);
        assert_eq!(ids(&bundles[1]), ["dtmi:room;1", "dtmi:lamp;1", "dtmi:base;1"]);
        assert_eq!(bundles[2].document, documents[3]);
    }

    #[test]
    fn rings_and_nonsense_end() {
        let ring = [interface("dtmi:a;1", json!("dtmi:b;1")), interface("dtmi:b;1", json!("dtmi:a;1"))];
        let found = bundles(&ring);
        assert_eq!(found.len(), 1);
        assert_eq!(ids(&found[0]), ["dtmi:a;1", "dtmi:b;1"]);
        for nonsense in [json!(7), json!([]), json!([7]), json!({"@type": "Interface"}), Value::Null] {
            assert_eq!(bundles(std::slice::from_ref(&nonsense)), [Bundle { source: 0, document: nonsense }]);
        }
        assert_eq!(bundles(&[]), []);
    }
}
