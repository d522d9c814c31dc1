//! Models made to cost time or memory, and an ordinary one: for the tests and for `cargo xtask bench dtdl`.

use muster_model::dtdl::{Code, MAX_TEXT_BYTES};
use std::fmt::Write;

/// A text, what it is made of, and the errors that it ends in, among others.
pub struct Hostile {
    pub name: &'static str,
    pub text: String,
    pub errors: &'static [Code],
}

/// All of them.
pub fn models() -> Vec<Hostile> {
    [nested(), huge(), many(), cycles(), multiplied()].into_iter().flatten().collect()
}

/// One interface of so many capabilities, as people write them.
pub fn ordinary(capabilities: usize) -> String {
    let contents = list(capabilities, |n| {
        format!(
            r#"{{"@type": ["Telemetry", "Temperature"], "name": "value{n}", "displayName": {{"en": "Value {n}", "de": "Wert {n}"}}, "description": "What the {n}th sensor of the machine measures.", "schema": "double", "unit": "degreeCelsius"}}"#
        )
    });
    format!(
        r#"{{"@context": "dtmi:dtdl:context;2", "@id": "dtmi:x:a;1", "@type": "Interface", "contents": [{contents}]}}"#
    )
}

/// An interface of version 3 around some members.
pub fn interface(id: &str, members: &str) -> String {
    let comma = if members.is_empty() { "" } else { ", " };
    format!(r#"{{"@context": "dtmi:dtdl:context;3", "@id": "dtmi:x:{id};1", "@type": "Interface"{comma}{members}}}"#)
}

/// `item(n)` for each number, between commas.
pub fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut list, number| {
        let comma = if number > 0 { "," } else { "" };
        // A text takes whatever is written.
        let _ = write!(list, "{comma}{}", item(number));
        list
    })
}

fn hostile(name: &'static str, text: String, errors: &'static [Code]) -> Hostile {
    Hostile { name, text, errors }
}

fn nested() -> Vec<Hostile> {
    let both = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    let inline = |open: &str| {
        let start = format!(r#"{{"@id":"dtmi:x:i;1","@type":"Interface","contents":[],{open}"#).repeat(48);
        format!(r#"{{"@context":"dtmi:dtdl:context;3",{}"dtmi:x:none;1"{}"#, &start[1..], "}".repeat(48))
    };
    vec![
        hostile("nested arrays", both("[", "]"), &[Code::TooLarge]),
        hostile("nested objects", both("{\"schema\":", "}"), &[Code::TooLarge]),
        hostile("nested arrays and objects", both("[{\"a\":[", "]}]"), &[Code::TooLarge]),
        hostile("nested arrays without an end", "[".repeat(500_000), &[Code::TooLarge]),
        hostile("bases inside bases", inline(r#""extends":"#), &[Code::RepeatedId]),
    ]
}

fn huge() -> Vec<Hostile> {
    let most = MAX_TEXT_BYTES - 1000;
    let long = |members: &str, word: &str| interface("a", &members.replace('~', &word.repeat(most / word.len())));
    let fields = list(210_000, |n| format!(r#"{{"name":"f{n}","schema":"long"}}"#));
    let object = format!(r#""schemas": {{"@id": "dtmi:x:o;1", "@type": "Object", "fields": [{fields}]}}"#);
    vec![
        hostile("a text beyond the limit", format!("\"{}\"", "a".repeat(MAX_TEXT_BYTES)), &[Code::TooLarge]),
        hostile("more than a million values", format!("[{}]", list(1_100_000, |_| "1".to_owned())), &[Code::TooLarge]),
        hostile(
            "a name of 8 MB",
            long(r#""contents":[{"@type":"Telemetry","name":"~","schema":"long"}]"#, "a"),
            &[Code::TooLong],
        ),
        hostile("a description of 8 MB of escapes", long(r#""description":"~""#, "\\u00fc"), &[Code::TooLong]),
        hostile("an id of 8 MB", long(r#""extends":"~""#, "dtmi:a:"), &[Code::WrongValue]),
        hostile("a number of 8 MB", long(r#""contents":~"#, "7"), &[Code::NotJson]),
        hostile("a fraction of 8 MB", long(r#""contents":0.~"#, "7"), &[Code::WrongValue]),
        hostile("an object of 210,000 fields", interface("a", &object), &[Code::TooLarge]),
    ]
}

fn many() -> Vec<Hostile> {
    let empty = format!(r#""contents": [{}]"#, list(400_000, |_| "{}".to_owned()));
    let languages = format!(r#""displayName": {{{}}}"#, list(200_000, |n| format!("\"l{n}\":\"x\"")));
    let values = list(100_000, |n| format!(r#"{{"@value":"x","@language":"l{n}"}}"#));
    let bases = list(200_000, |n| format!("\"dtmi:y:b{n};1\""));
    let entries = list(90_000, |n| format!(r#"{{"name":"n{n}","enumValue":{n}}}"#));
    let types = list(300_000, |n| format!("\"T{n}\""));
    let schemas = list(120_000, |_| r#"{"@id":"dtmi:x:s;1","@type":"Array","elementSchema":"long"}"#.to_owned());
    let names = list(120_000, |_| r#"{"@type":"Telemetry","name":"t","schema":"long"}"#.to_owned());
    let contexts = list(200_000, |n| format!("\"dtmi:c:c{n};1\""));
    let members: [(&'static str, String, &'static [Code]); 10] = [
        ("contents without a type", empty, &[Code::MissingType]),
        ("languages as members", languages, &[Code::InvalidLanguage]),
        ("languages as values", format!(r#""displayName": [{values}]"#), &[Code::InvalidLanguage]),
        ("unknown members", list(200_000, |n| format!("\"k{n}\":1")), &[Code::UnknownProperty]),
        ("one member again and again", list(200_000, |_| "\"k\":1".to_owned()), &[Code::RepeatedKey]),
        ("unknown bases", format!(r#""extends": [{bases}]"#), &[Code::UnknownReference]),
        (
            "entries of an enumeration",
            format!(
                r#""schemas": {{"@id": "dtmi:x:e;1", "@type": "Enum", "valueSchema": "integer", "enumValues": [{entries}]}}"#
            ),
            &[Code::TooLarge],
        ),
        (
            "unknown types",
            format!(r#""contents": {{"@type": [{types}], "name": "t", "schema": "long"}}"#),
            &[Code::WrongType],
        ),
        ("one id again and again", format!(r#""schemas": [{schemas}]"#), &[Code::RepeatedId]),
        ("one name again and again", format!(r#""contents": [{names}]"#), &[Code::RepeatedName]),
    ];
    let members = members.into_iter().map(|(name, members, errors)| hostile(name, interface("a", &members), errors));
    let contexts =
        format!(r#"{{"@context": ["dtmi:dtdl:context;3", {contexts}], "@id": "dtmi:x:a;1", "@type": "Interface"}}"#);
    members.chain([hostile("unknown contexts", contexts, &[Code::UnknownContext])]).collect()
}

fn cycles() -> Vec<Hostile> {
    let ring =
        list(20_000, |n| interface(&format!("r{n}"), &format!(r#""extends": "dtmi:x:r{};1""#, (n + 1) % 20_000)));
    let every = list(300, |n| {
        let all = list(300, |n| format!("\"dtmi:x:e{n};1\""));
        interface(&format!("e{n}"), &format!(r#""extends": [{all}]"#))
    });
    let components = list(2_000, |n| {
        interface(
            &format!("c{n}"),
            &format!(r#""contents": {{"@type": "Component", "name": "p", "schema": "dtmi:x:c{};1"}}"#, (n + 1) % 2_000),
        )
    });
    let schemas = list(20_000, |n| {
        let next = format!("dtmi:x:s{};1", (n + 1) % 20_000);
        match n % 3 {
            0 => format!(r#"{{"@id":"dtmi:x:s{n};1","@type":"Array","elementSchema":"{next}"}}"#),
            1 => format!(r#"{{"@id":"dtmi:x:s{n};1","@type":"Object","fields":[{{"name":"a","schema":"{next}"}}]}}"#),
            _ => format!(
                r#"{{"@id":"dtmi:x:s{n};1","@type":"Map","mapKey":{{"name":"k","schema":"string"}},"mapValue":{{"name":"v","schema":"{next}"}}}}"#
            ),
        }
    });
    vec![
        hostile("a ring of bases", format!("[{ring}]"), &[Code::Cycle]),
        hostile("interfaces that all extend all", format!("[{every}]"), &[Code::Cycle]),
        hostile("a ring of components", format!("[{components}]"), &[Code::Cycle]),
        hostile("a ring of schemas", interface("a", &format!(r#""schemas": [{schemas}]"#)), &[Code::Cycle]),
    ]
}

fn multiplied() -> Vec<Hostile> {
    let chain =
        list(50_000, |n| format!(r#"{{"@id":"dtmi:x:s{n};1","@type":"Array","elementSchema":"dtmi:x:s{};1"}}"#, n + 1));
    let twice = list(60, |n| {
        let next = format!("dtmi:x:s{};1", n + 1);
        format!(
            r#"{{"@id":"dtmi:x:s{n};1","@type":"Object","fields":[{{"name":"a","schema":"{next}"}},{{"name":"b","schema":"{next}"}}]}}"#
        )
    });
    let last = r#"{"@id":"dtmi:x:s60;1","@type":"Object","fields":{"name":"a","schema":"long"}}"#;
    let diamond = list(2_000, |n| {
        let bases = if n == 0 { String::new() } else { format!("\"dtmi:x:l{0};1\", \"dtmi:x:r{0};1\"", n - 1) };
        let contents = format!(r#"{{"@type":"Telemetry","name":"t{n}","schema":"long"}}"#);
        let side = |side: &str| {
            interface(&format!("{side}{n}"), &format!(r#""extends": [{bases}], "contents": [{contents}]"#))
        };
        format!("{},{}", side("l"), side("r"))
    });
    // Ten levels of a hundred interfaces, each of which extends all of the level below, with contents of their own.
    let level = |level: usize| {
        list(100, |n| {
            let bases = list(if level == 0 { 0 } else { 100 }, |n| format!("\"dtmi:x:i{}_{n};1\"", level - 1));
            let contents =
                list(20, |at| format!(r#"{{"@type":"Telemetry","name":"t{level}_{n}_{at}","schema":"long"}}"#));
            interface(&format!("i{level}_{n}"), &format!(r#""extends": [{bases}], "contents": [{contents}]"#))
        })
    };
    vec![
        hostile(
            "a chain of 50,000 schemas",
            interface("a", &format!(r#""schemas": [{chain}]"#)),
            &[Code::TooDeep, Code::UnknownReference],
        ),
        hostile(
            "schemas that double 60 times",
            interface("a", &format!(r#""schemas": [{twice},{last}]"#)),
            &[Code::TooDeep],
        ),
        hostile("bases that double 2,000 times", format!("[{diamond}]"), &[Code::TooDeep]),
        hostile(
            "bases of bases, each a hundred",
            format!("[{}]", list(10, level)),
            &[Code::TooLarge, Code::WrongCount],
        ),
    ]
}
