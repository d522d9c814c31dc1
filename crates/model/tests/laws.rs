//! The laws of the fuzz targets over texts that follow the grammar: random bytes seldom get that far.

#![expect(clippy::expect_used, reason = "a test stops where something is not as it says")]

#[path = "../../../fuzz/src/targets/mod.rs"]
mod targets;

use muster_model::query::{Expression, Query, QueryError};
use muster_model::wire::topic::{DeviceTopic, DpsTopic, Subscription};
use muster_model::wire::{sas, twin};
use muster_model::{DeviceId, ModuleId};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// The target's laws hold for these bytes.
fn hold(target: &str, bytes: &[u8]) {
    let (_, run) = targets::TARGETS.iter().find(|(name, _)| *name == target).expect("a target");
    run(bytes);
}

/// Does the device `d-1` or its module `m` take it?
fn taken(topic: &str) -> bool {
    let (device, module) = (DeviceId::parse("d-1").expect("an id"), ModuleId::parse("m").expect("an id"));
    [None, Some(&module)].into_iter().any(|module| {
        DeviceTopic::parse(topic, &device, module).is_ok() || Subscription::parse(topic, &device, module).is_ok()
    }) || DpsTopic::parse(topic).is_ok()
}

fn topic() -> impl Strategy<Value = String> {
    let rid = "[!-~&&[^/+#?$&=]]{1,40}";
    prop_oneof![
        "devices/d-1/(modules/m/)?messages/events/([a-z%$.0-9]{0,9}=[a-z%0-9]{0,9}&?){0,4}",
        rid.prop_map(|rid| format!("$iothub/twin/GET/?$rid={rid}")),
        rid.prop_map(|rid| format!("$iothub/twin/PATCH/properties/reported/?$rid={rid}&$version=1")),
        (any::<i32>(), rid).prop_map(|(status, rid)| format!("$iothub/methods/res/{status}/?$rid={rid}")),
        rid.prop_map(|rid| format!("$dps/registrations/PUT/iotdps-register/?$rid={rid}")),
        (rid, "[a-z0-9.-]{0,20}").prop_map(|(rid, operation)| {
            format!("$dps/registrations/GET/iotdps-get-operationstatus/?$rid={rid}&operationId={operation}")
        }),
        Just("devices/d-1/messages/devicebound/#".to_owned()),
        Just("devices/d-1/modules/m/inputs/#".to_owned()),
    ]
}

/// Properties of a twin, nested, with nulls.
fn properties() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        2 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => "[a-zä]{0,4}".prop_map(Value::from),
        1 => Just(Value::from("x".repeat(4090))),
    ];
    let value = leaf.prop_recursive(12, 40, 4, |inner| {
        prop_oneof![
            4 => prop::collection::btree_map("[a-c]", inner.clone(), 0..4).prop_map(|map| map.into_iter().collect()),
            1 => prop::collection::vec(inner, 0..3).prop_map(Value::Array),
        ]
    });
    prop::collection::btree_map("[a-c]|a[.$ ]b", value, 0..4).prop_map(|map| map.into_iter().collect())
}

fn condition() -> impl Strategy<Value = String> {
    let path = "(tags|properties\\.reported|version|[a-c])(\\.[a-z]{1,3}|\\[[0-9]\\]|\\.\\[\\[[a-z ]{1,4}\\]\\]|\\['[a-z']'\\]){0,2}";
    let constant =
        "[0-9]{1,4}(\\.[0-9])?(e[0-9])?|'[a-zä ]{0,4}'|\"(\\\\u00e4|\\\\')?\"|null|true|undefined|0x[0-9A-F]{1,4}";
    let path = path.prop_map(|text| text.replace("'''", "'q'"));
    let leaf =
        prop_oneof![path.clone(), constant.prop_map(String::from), path.prop_map(|path| format!("is_defined({path})"))];
    leaf.prop_recursive(6, 40, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (pair.clone(), "AND|or|=|!=|<>|<|<=|>|>=|\\+|-|\\*|/|%")
                .prop_map(|((a, b), sign)| format!("({a} {sign} {b})")),
            (inner.clone(), prop::collection::vec(inner.clone(), 0..3), "IN|nin")
                .prop_map(|(a, items, word)| format!("({a} {word} [{}])", items.join(", "))),
            inner.prop_map(|a| format!("(NOT {a})")),
        ]
    })
}

proptest! {
    #[test]
    fn topics_of_the_grammar_are_taken(topic in topic()) {
        prop_assert!(taken(&topic), "{topic}");
        hold("topic", topic.as_bytes());
    }

    #[test]
    fn user_names_of_the_grammar_are_taken(
        device in "[A-Za-z0-9\\-._:%!*?]{1,40}", module in prop::option::of("[A-Za-z][A-Za-z0-9\\-._]{0,9}"), model in "\\PC{0,20}",
    ) {
        let module = module.map(|module| format!("{module}/")).unwrap_or_default();
        let model = muster_model::wire::percent_encode(&model);
        let text = format!("hub.local/{device}/{module}?api-version=2021-04-12&model-id={model}");
        prop_assert!(muster_model::wire::username::HubUsername::parse(&text).is_ok(), "{text}");
        hold("username", text.as_bytes());
    }

    #[test]
    fn tokens_verify_with_their_key_and_text_only(
        key in prop::collection::vec(any::<u8>(), 16..=64), uri in "\\PC{0,60}", se in 0..i64::MAX, flip in any::<prop::sample::Index>(),
    ) {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        let encoded = BASE64_STANDARD.encode(&key);
        let signed = sas::sign(&uri, &encoded, se, None).expect("a key");
        let token = sas::Token::parse(&signed).expect("a token");
        prop_assert!(token.verify(&encoded));
        let mut other = key;
        let at = flip.index(other.len());
        other[at] ^= 1;
        prop_assert!(!token.verify(&BASE64_STANDARD.encode(&other)));
        let mut forged = token.clone();
        let at = flip.index(forged.sig.len());
        forged.sig[at] ^= 1;
        prop_assert!(!forged.verify(&encoded));
        forged.sig = token.sig[..at].to_vec();
        prop_assert!(!forged.verify(&encoded), "a part of a signature is none");
        hold("sas", signed.as_bytes());
        hold("sas", uri.as_bytes());
    }

    #[test]
    fn twins_follow_rfc_7396_within_their_limits(section in properties(), patch in properties()) {
        let text = |map: &Map<String, Value>| Value::Object(map.clone()).to_string();
        hold("twin_patch", format!("{}\n{}", text(&section), text(&patch)).as_bytes());
    }

    #[test]
    fn null_removes_and_only_that(section in properties(), key in "[a-c]") {
        let mut merged = Map::new();
        twin::merge(&mut merged, &section);
        let mut expected = merged.clone();
        expected.remove(&key);
        twin::merge(&mut merged, &Map::from_iter([(key, Value::Null)]));
        prop_assert_eq!(merged, expected);
    }

    #[test]
    fn conditions_of_the_grammar_are_read(condition in condition()) {
        let read = Expression::parse_condition(&condition);
        prop_assert!(matches!(read, Ok(Some(_)) | Err(QueryError::TooLong)), "{condition}: {read:?}");
        hold("query", condition.as_bytes());
    }

    #[test]
    fn queries_of_the_grammar_are_read(
        condition in condition(), top in prop::option::of(0..9_u64), source in "(\\.modules|\\.jobs)?",
        group in prop::option::of("[a-c](\\.[a-c])?"), order in prop::option::of("version( DESC)?, b( asc)?"),
    ) {
        let top = top.map(|top| format!("TOP {top} ")).unwrap_or_default();
        let (items, group) = match group.filter(|_| source != ".jobs") {
            Some(path) => (format!("{path} AS g, COUNT(), SUM(version) AS s"), format!(" GROUP BY {path}")),
            None => ("*".to_owned(), String::new()),
        };
        let order = order.map(|order| format!(" ORDER BY {order}")).unwrap_or_default();
        let text = format!("SELECT {top}{items} FROM devices{source} WHERE {condition}{group}{order}");
        let read = Query::parse(&text);
        prop_assert!(matches!(read, Ok(_) | Err(QueryError::TooLong)), "{text}: {read:?}");
        hold("query", text.as_bytes());
    }
}
