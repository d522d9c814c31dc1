//! The files of `deploy/`: each can be read by its reader, and names only configuration that exists.

use crate::{paths, process};
use anyhow::{Context, Result, bail};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};
use yaml_rust2::{Yaml, YamlLoader};

/// What every name of a configuration key begins with.
const PREFIX: &str = "MUSTER__";

/// The instructions of a Dockerfile.
const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Checks every file below `deploy/`.
pub fn check() -> Result<()> {
    let defaults = paths::root().join("crates/server/config.default.toml");
    let known = keys(&fs::read_to_string(&defaults).context("cannot read config.default.toml")?)?;
    let list = process::capture(Command::new("git").current_dir(paths::root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "deploy",
    ]))?;
    let mut offences = Vec::new();
    let mut count = 0;
    for file in list.lines() {
        let text = fs::read_to_string(paths::root().join(file)).with_context(|| format!("cannot read {file}"))?;
        offences
            .extend(unknown_names(&text, &known).into_iter().map(|name| format!("{file}: no such setting: {name}")));
        offences.extend(check_syntax(file, &text).err().map(|error| format!("{file}: {error:#}")));
        count += 1;
    }
    if offences.is_empty() && count > 0 {
        println!("{count} files, {} settings known", known.len());
        return Ok(());
    }
    for offence in &offences {
        println!("{offence}");
    }
    bail!("{count} files in deploy/ with {} mistakes", offences.len())
}

/// Every key of the configuration, by the name of its environment variable.
fn keys(defaults: &str) -> Result<BTreeSet<String>> {
    fn collect(prefix: &str, table: &toml::Table, names: &mut BTreeSet<String>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.to_uppercase());
            match value {
                toml::Value::Table(section) => collect(&format!("{name}__"), section, names),
                _ => drop(names.insert(name)),
            }
        }
    }
    let mut names = BTreeSet::new();
    collect(PREFIX, &toml::from_str(defaults)?, &mut names);
    Ok(names)
}

fn unknown_names(text: &str, known: &BTreeSet<String>) -> BTreeSet<String> {
    let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    // The bare prefix is prose: "every `MUSTER__` name".
    words
        .filter(|word| word.starts_with(PREFIX) && *word != PREFIX && !known.contains(*word))
        .map(str::to_owned)
        .collect()
}

fn check_syntax(file: &str, text: &str) -> Result<()> {
    let name = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name.rsplit_once('.').map_or(name, |(_, extension)| extension) {
        "yaml" | "yml" => check_compose(text),
        "service" | "target" => check_unit(text),
        "env" | "example" => environment(text).map(drop),
        "Dockerfile" => check_dockerfile(text),
        _ => Ok(()),
    }
}

/// A compose file: each service has an image and a health check, and waits only for services that are there.
fn check_compose(text: &str) -> Result<()> {
    let documents = YamlLoader::load_from_str(text)?;
    let [document] = documents.as_slice() else { bail!("must hold one document") };
    let services = document["services"].as_hash().context("has no services")?;
    for (name, service) in services {
        let name = name.as_str().context("a service's name must be a string")?;
        if field(service, "image").is_badvalue() && field(service, "build").is_badvalue() {
            bail!("service {name} has neither image nor build");
        }
        let once = field(service, "restart").as_str() == Some("no");
        if !once && field(field(service, "healthcheck"), "test").is_badvalue() {
            bail!("service {name} has no health check");
        }
        let awaited = field(service, "depends_on").as_hash().into_iter().flatten().map(|(awaited, _)| awaited);
        for awaited in awaited.filter_map(Yaml::as_str) {
            if !services.keys().any(|name| name.as_str() == Some(awaited)) {
                bail!("service {name} waits for {awaited}, which is not there");
            }
        }
    }
    Ok(())
}

/// A field of a mapping, or of the one that is merged into it with `<<`.
fn field<'a>(mapping: &'a Yaml, name: &str) -> &'a Yaml {
    let own = &mapping[name];
    if own.is_badvalue() { &mapping["<<"][name] } else { own }
}

/// A systemd unit: sections with their keys, and the three that make a service.
fn check_unit(text: &str) -> Result<()> {
    let mut sections: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    let mut current = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.entry(section).or_default();
            current = Some(section);
            continue;
        }
        let pair = line.split_once('=').with_context(|| format!("line {} is neither section nor key", number + 1))?;
        let section = current.with_context(|| format!("line {} stands in no section", number + 1))?;
        sections.entry(section).or_default().push((pair.0.trim(), pair.1.trim()));
    }
    let has = |section: &str, key: &str| {
        sections.get(section).is_some_and(|pairs| pairs.iter().any(|(name, value)| *name == key && !value.is_empty()))
    };
    for (section, key) in
        [("Unit", "Description"), ("Service", "ExecStart"), ("Service", "User"), ("Install", "WantedBy")]
    {
        if !has(section, key) {
            bail!("has no {key} in [{section}]");
        }
    }
    Ok(())
}

/// A file of `NAME=value` lines.
fn environment(text: &str) -> Result<BTreeMap<&str, &str>> {
    let mut values = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').with_context(|| format!("line {} has no =", number + 1))?;
        let fits = |character: char| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_';
        if name.is_empty() || !name.chars().all(fits) {
            bail!("line {}: {name:?} is no name of a variable", number + 1);
        }
        if values.insert(name, value).is_some() {
            bail!("line {}: {name} is set twice", number + 1);
        }
    }
    Ok(values)
}

/// A Dockerfile: known instructions, stages first, and not run as root.
fn check_dockerfile(text: &str) -> Result<()> {
    let mut first = None;
    let mut user = None;
    for instruction in instructions(text) {
        let (name, rest) = instruction.split_once(char::is_whitespace).unwrap_or((&instruction, ""));
        if !INSTRUCTIONS.contains(&name) {
            bail!("{name:?} is no instruction");
        }
        if first.is_none() && name != "ARG" {
            first = Some(name.to_owned());
        }
        match name {
            "FROM" => user = None,
            "USER" => user = Some(rest.trim().to_owned()),
            _ => {}
        }
    }
    if first.as_deref() != Some("FROM") {
        bail!("must begin with FROM");
    }
    match user.as_deref() {
        None | Some("root" | "0") => bail!("the last stage must not run as root"),
        Some(_) => Ok(()),
    }
}

/// Lines without comments, those that end in a backslash joined with the next.
fn instructions(text: &str) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (part, continues) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        match joined.last_mut() {
            Some(last) if open => {
                last.push(' ');
                last.push_str(part);
            }
            _ => joined.push(part.to_owned()),
        }
        open = continues;
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_known_by_their_variables() {
        let known = keys("data_dir = \"x\"\n[hub]\nhost = \"y\"\n[hub.deep]\nkey = 1\n").unwrap();
        assert_eq!(Vec::from_iter(&known), ["MUSTER__DATA_DIR", "MUSTER__HUB__DEEP__KEY", "MUSTER__HUB__HOST"]);
        let text = "A=1\nMUSTER__DATA_DIR=/x\n# every MUSTER__…\n# MUSTER__HUB__HOSTS=y and ${MUSTER__HUB__HOST:-z}";
        assert_eq!(Vec::from_iter(unknown_names(text, &known)), ["MUSTER__HUB__HOSTS"]);
    }

    #[test]
    fn dockerfiles() {
        let table = [
            ("FROM a AS b\nRUN x \\\n  && USER\nFROM c\nUSER muster", true),
            ("# note\nARG V=1\nFROM a:$V\nUSER 10001", true),
            ("FROM a\nUSER muster\nFROM b", false),
            ("FROM a\nUSER root", false),
            ("RUN x\nFROM a\nUSER b", false),
            ("FROM a\nRUM x\nUSER b", false),
        ];
        for (text, good) in table {
            assert_eq!(check_dockerfile(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn compose_files() {
        let table = [
            ("services:\n  a:\n    image: x\n    healthcheck: {test: [CMD, y]}\n", true),
            ("services:\n  a:\n    image: x\n    restart: \"no\"\n", true),
            ("x: &x {image: y, restart: \"no\"}\nservices:\n  a: {<<: *x}\n", true),
            ("services:\n  a:\n    image: x\n", false),
            ("services:\n  a:\n    healthcheck: {test: y}\n", false),
            ("services:\n  a:\n    image: x\n    healthcheck: {test: y}\n    depends_on: {b: {}}\n", false),
            ("services: [", false),
            ("volumes: {}\n", false),
        ];
        for (text, good) in table {
            assert_eq!(check_compose(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn units() {
        let unit = "[Unit]\nDescription=a\n[Service]\n# c\nUser=b\nExecStart=/x\n[Install]\nWantedBy=y\n";
        assert!(check_unit(unit).is_ok());
        assert!(check_unit(&unit.replace("User=b", "User=")).is_err());
        assert!(check_unit(&unit.replace("[Unit]\n", "")).is_err());
        assert!(check_unit(&unit.replace("ExecStart=", "ExecStart ")).is_err());
    }

    #[test]
    fn environment_files() {
        assert_eq!(environment("# x\n\nA_1=b=c\n").unwrap(), BTreeMap::from([("A_1", "b=c")]));
        for bad in ["a=b", "A", "=b", "A=1\nA=2", "export A=1"] {
            assert!(environment(bad).is_err(), "{bad}");
        }
    }
}
