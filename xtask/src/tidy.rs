//! `cargo xtask tidy`: the rules of the house that no compiler knows.

use crate::{licences::Allowed, paths, process};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

/// Who may import whom, in normal and build dependencies: the table of ARCHITECTURE.md.
const ROOMS: [(&str, &[&str]); 15] = [
    ("muster-model", &[]),
    ("muster-contract", &["muster-model"]),
    ("muster-charts", &[]),
    ("muster-migrations", &[]),
    ("muster-store", &["muster-model", "muster-migrations"]),
    ("muster-bus", &["muster-model"]),
    ("muster-engine", &["muster-model", "muster-store", "muster-bus", "muster-charts"]),
    ("muster-api", &["muster-model", "muster-contract", "muster-store", "muster-engine", "muster-charts"]),
    ("muster-hub", &["muster-model", "muster-engine"]),
    (
        "muster",
        &[
            "muster-model",
            "muster-contract",
            "muster-charts",
            "muster-migrations",
            "muster-store",
            "muster-bus",
            "muster-engine",
            "muster-api",
            "muster-hub",
            "muster-loadgen",
        ],
    ),
    ("muster-frontend", &["muster-contract", "muster-charts", "muster-model"]),
    ("muster-testkit", &["muster", "muster-contract", "muster-engine", "muster-model", "muster-store"]),
    ("muster-loadgen", &["muster-contract", "muster-model"]),
    ("muster-fuzz", &["muster-model"]),
    ("xtask", &[]),
];

/// Crates from outside that only some rooms may use.
const CONFINED: [(&str, &[&str]); 8] = [
    ("sea-orm", &["muster-store", "muster-migrations"]),
    ("sea-orm-migration", &["muster-store", "muster-migrations"]),
    ("lapin", &["muster-bus"]),
    ("object_store", &["muster-engine"]),
    ("rmqtt-codec", &["muster-hub", "muster-testkit", "muster-loadgen"]),
    ("actix-web", &["muster-api", "muster-hub", "muster"]),
    ("leptos", &["muster-frontend"]),
    ("libfuzzer-sys", &["muster-fuzz"]),
];

/// Lines of a file beyond which it is more than one idea, tests left out.
const MAX_LINES: usize = 800;

/// What `cargo metadata` says, as far as we need it.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    license_file: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` is a normal one, else "build" or "dev".
    kind: Option<String>,
}

/// Checks every rule; prints what breaks one.
pub fn run() -> Result<()> {
    let workspaces = [read_metadata("Cargo.toml")?, read_metadata("fuzz/Cargo.toml")?];
    let (mut members, mut outside) = (Vec::new(), BTreeMap::new());
    for Metadata { packages, workspace_members } in &workspaces {
        for package in packages {
            match workspace_members.contains(&package.id) {
                true => members.push(package),
                false => drop(outside.insert(&package.id, package)),
            }
        }
    }
    let files = tracked_files()?;
    let allowed = Allowed::read(&read("deny.toml")?)?;

    let mut offences = Vec::new();
    for member in &members {
        offences.extend(check_edges(member));
    }
    for package in outside.values() {
        offences.extend(check_licence(package, &allowed));
    }
    for file in &files {
        offences.extend(check_file(file)?);
    }
    if offences.is_empty() {
        println!("{} crates, {} files: tidy", members.len() + outside.len(), files.len());
        return Ok(());
    }
    for offence in &offences {
        println!("{offence}");
    }
    bail!("{} offences against the rules of the house", offences.len())
}

fn read_metadata(manifest: &str) -> Result<Metadata> {
    let mut command = Command::new("cargo");
    command.current_dir(paths::root()).args(["metadata", "--format-version", "1", "--locked", "--all-features"]);
    command.args(["--manifest-path", manifest]);
    let text = process::capture(&mut command)?;
    serde_json::from_str(&text).context("cannot read what cargo metadata says")
}

fn tracked_files() -> Result<Vec<String>> {
    let list = process::capture(Command::new("git").current_dir(paths::root()).args(["ls-files", "-z"]))?;
    // What is deleted but not yet committed is still listed.
    Ok(list
        .split('\0')
        .filter(|name| !name.is_empty() && paths::root().join(name).is_file())
        .map(str::to_owned)
        .collect())
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(paths::root().join(file)).with_context(|| format!("cannot read {file}"))
}

fn check_edges(member: &Package) -> Vec<String> {
    let rooms = BTreeMap::from(ROOMS);
    let confined = BTreeMap::from(CONFINED);
    let Some(&imports) = rooms.get(member.name.as_str()) else {
        return vec![format!("{}: a room that the table in xtask/src/tidy.rs does not know", member.name)];
    };
    let mut offences = Vec::new();
    for dependency in member.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev")) {
        let name = dependency.name.as_str();
        if rooms.contains_key(name) && !imports.contains(&name) {
            offences.push(format!("{}: must not import {name}", member.name));
        }
        if confined.get(name).is_some_and(|homes| !homes.contains(&member.name.as_str())) {
            offences.push(format!(
                "{}: must not use {name}, which belongs to {}",
                member.name,
                confined[name].join(", ")
            ));
        }
    }
    offences
}

fn check_licence(package: &Package, allowed: &Allowed) -> Option<String> {
    let expression = package.license.as_deref().unwrap_or_default();
    if allowed.admits(&package.name, expression) {
        return None;
    }
    let stated = match (&package.license, &package.license_file) {
        (Some(expression), _) => expression.as_str(),
        (None, Some(file)) => file.as_str(),
        (None, None) => "none",
    };
    Some(format!("{} {}: its licence is not in deny.toml: {stated}", package.name, package.version))
}

fn check_file(file: &str) -> Result<Vec<String>> {
    let name = Path::new(file).file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    Ok(match name.as_ref() {
        _ if name.ends_with(".rs") => check_length(file, &read(file)?).into_iter().collect(),
        "Cargo.toml" if file != "Cargo.toml" => check_versions(file, &read(file)?)?,
        "config.toml" if file.starts_with(".cargo/") => check_sources(file, &read(file)?, &["[source", "[registr"]),
        "package-lock.json" => check_sources(file, &read(file)?, &["\"resolved\":"]),
        ".npmrc" => check_sources(file, &read(file)?, &["registry"]),
        _ if name.starts_with("requirements") || name == "pip.conf" => {
            check_sources(file, &read(file)?, &["index-url", "find-links", "://"])
        }
        _ => Vec::new(),
    })
}

/// A file of tests may be long; so may the tests at the end of a file.
fn check_length(file: &str, text: &str) -> Option<String> {
    let is_test = file.split('/').any(|part| part == "tests" || part == "tests.rs");
    let code = text.find("\n#[cfg(test)]\nmod ").map_or(text, |end| &text[..end]);
    let lines = code.lines().count();
    (!is_test && lines > MAX_LINES).then(|| format!("{file}: {lines} lines, {MAX_LINES} is the limit"))
}

/// Versions and paths stand in a workspace's root only.
fn check_versions(file: &str, text: &str) -> Result<Vec<String>> {
    let manifest: toml::Table = toml::from_str(text).with_context(|| format!("cannot read {file}"))?;
    if manifest.contains_key("workspace") {
        return Ok(Vec::new());
    }
    let mut offences = Vec::new();
    let targets =
        manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|targets| targets.values());
    for table in targets.filter_map(toml::Value::as_table).chain([&manifest]) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let dependencies = table.get(kind).and_then(toml::Value::as_table).into_iter().flatten();
            for (name, dependency) in dependencies {
                if dependency.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                    offences.push(format!("{file}: the version of {name} belongs into the workspace's Cargo.toml"));
                }
            }
        }
    }
    Ok(offences)
}

/// Packages come from wherever the client of the person who builds is set up to get them.
fn check_sources(file: &str, text: &str, signs: &[&str]) -> Vec<String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
    lines
        .filter_map(|(number, line)| {
            let sign = signs.iter().find(|sign| line.contains(**sign))?;
            Some(format!("{file}:{}: names where packages come from ({sign})", number + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        Package {
            id: String::new(),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: Some("MIT OR Apache-2.0".to_owned()),
            license_file: None,
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: kind.map(str::to_owned) })
                .collect(),
        }
    }

    #[test]
    fn arrows_go_down_only() {
        let table = [
            (package("muster-store", &[("muster-model", None), ("sea-orm", None)]), 0),
            (package("muster-store", &[("muster-engine", None)]), 1),
            (package("muster-store", &[("muster-testkit", Some("dev"))]), 0),
            (package("muster-hub", &[("muster-store", None), ("lapin", None)]), 2),
            (package("muster-model", &[("muster-contract", Some("build"))]), 1),
            (package("muster-engine", &[("sea-orm", None), ("serde", None)]), 1),
            (package("muster-attic", &[]), 1),
        ];
        for (member, offences) in table {
            assert_eq!(check_edges(&member).len(), offences, "{}", member.name);
        }
    }

    #[test]
    fn the_table_names_only_rooms_and_has_no_circle() {
        let rooms = BTreeMap::from(ROOMS);
        let mut settled = BTreeSet::new();
        while settled.len() < rooms.len() {
            let next = rooms.iter().find(|(name, imports)| {
                !settled.contains(*name) && imports.iter().all(|import| settled.contains(import))
            });
            let (name, _) = next.expect("every import is a room, and none imports itself");
            settled.insert(*name);
        }
    }

    #[test]
    fn a_workspace_of_its_own_has_versions() {
        let manifest = "[workspace]\n[dependencies]\nserde = \"1\"\n";
        assert_eq!(check_versions("fuzz/Cargo.toml", manifest).unwrap(), [""; 0]);
    }

    #[test]
    fn a_licence_outside_the_list_is_named() {
        let allowed = Allowed::read("[licenses]\nallow = [\"MIT\"]").unwrap();
        let mut package = package("gpl-thing", &[]);
        assert_eq!(check_licence(&package, &allowed), None);
        package.license = Some("GPL-3.0-or-later".to_owned());
        let offence = check_licence(&package, &allowed).unwrap();
        assert!(offence.contains("gpl-thing 1.0.0") && offence.contains("GPL-3.0-or-later"), "{offence}");
        package.license = None;
        assert!(check_licence(&package, &allowed).unwrap().ends_with("none"));
    }

    #[test]
    fn long_files_are_found_and_tests_do_not_count() {
        let long = "x\n".repeat(MAX_LINES + 1);
        let tests = format!("x\n#[cfg(test)]\nmod tests {{\n{long}}}");
        assert!(check_length("crates/a/src/b.rs", &long).is_some());
        assert!(check_length("crates/a/tests/b.rs", &long).is_none());
        assert!(check_length("crates/a/src/b/tests.rs", &long).is_none());
        assert!(check_length("crates/a/src/b.rs", &tests).is_none());
    }

    #[test]
    fn versions_stand_in_the_root_only() {
        let manifest = r#"
            [dependencies]
            serde.workspace = true
            chrono = { workspace = true, features = ["clock"] }
            regex = "1"
            [dev-dependencies]
            tempfile = { version = "3" }
            [target.'cfg(unix)'.dependencies]
            nix = { path = "../nix" }"#;
        let offences = check_versions("crates/a/Cargo.toml", manifest).unwrap();
        assert_eq!(offences.len(), 3, "{offences:?}");
        for name in ["regex", "tempfile", "nix"] {
            assert!(offences.iter().any(|offence| offence.contains(name)), "{name}");
        }
    }

    #[test]
    fn package_sources_are_not_named() {
        assert_eq!(check_sources("e2e/package-lock.json", "{\n\"resolved\": \"x\"\n}", &["\"resolved\":"]).len(), 1);
        assert_eq!(check_sources("r.txt", "# index-url is the client's\na==1\n", &["index-url"]).len(), 0);
    }
}
