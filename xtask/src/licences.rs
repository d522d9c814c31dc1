//! Whether a crate's licence expression is one that `deny.toml` allows.

use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};

/// The licences of `deny.toml`.
pub struct Allowed {
    everywhere: BTreeSet<String>,
    /// What some crates may have beside, by their names.
    exceptions: BTreeMap<String, BTreeSet<String>>,
}

impl Allowed {
    /// Reads `[licenses] allow` and `exceptions`.
    pub fn read(deny_toml: &str) -> Result<Self> {
        let document: toml::Table = toml::from_str(deny_toml)?;
        let Some(licences) = document.get("licenses") else { bail!("deny.toml has no [licenses]") };
        let everywhere = names(licences);
        if everywhere.is_empty() {
            bail!("deny.toml lists no licences");
        }
        let exceptions = licences.get("exceptions").and_then(toml::Value::as_array).into_iter().flatten();
        let exceptions =
            exceptions.filter_map(|exception| Some((exception.get("crate")?.as_str()?.to_owned(), names(exception))));
        Ok(Self { everywhere, exceptions: exceptions.collect() })
    }

    /// Whether one may use the crate `name` under `expression` (SPDX, or the older `A/B` for `A OR B`).
    pub fn admits(&self, name: &str, expression: &str) -> bool {
        let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut reader = Reader { words: &words, allowed: self, exceptions: self.exceptions.get(name) };
        let admitted = reader.any();
        admitted && reader.words.is_empty()
    }
}

/// The licences of an `allow`.
fn names(table: &toml::Value) -> BTreeSet<String> {
    let list = table.get("allow").and_then(toml::Value::as_array);
    list.into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

/// Reads an expression and judges it as it goes.
struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a Allowed,
    exceptions: Option<&'a BTreeSet<String>>,
}

impl Reader<'_> {
    fn any(&mut self) -> bool {
        let mut admitted = self.all();
        while self.take("OR") {
            admitted |= self.all();
        }
        admitted
    }

    fn all(&mut self) -> bool {
        let mut admitted = self.one();
        while self.take("AND") {
            admitted &= self.one();
        }
        admitted
    }

    fn one(&mut self) -> bool {
        if self.take("(") {
            let admitted = self.any();
            return self.take(")") && admitted;
        }
        let Some((&name, rest)) = self.words.split_first() else { return false };
        self.words = rest;
        if !self.take("WITH") {
            return self.contains(name);
        }
        let Some((&exception, rest)) = self.words.split_first() else { return false };
        self.words = rest;
        self.contains(&format!("{name} WITH {exception}"))
    }

    fn contains(&self, name: &str) -> bool {
        self.allowed.everywhere.contains(name) || self.exceptions.is_some_and(|names| names.contains(name))
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = &self.words[1..];
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_judged() {
        let allowed = Allowed::read(
            r#"[licenses]
            allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"]
            exceptions = [{ crate = "tool", allow = ["NCSA"] }]"#,
        )
        .unwrap();
        let table = [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT", true),
            ("MIT/Apache-2.0", true),
            ("MIT AND GPL-3.0-only", false),
            ("(MIT OR GPL-2.0) AND Unicode-3.0", true),
            ("Unicode-3.0 AND (GPL-2.0 OR LGPL-2.1)", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH LLVM-exception", false),
            ("", false),
            ("MIT OR", true),
            ("(MIT", false),
            ("MIT MIT", false),
        ];
        for (expression, admitted) in table {
            assert_eq!(allowed.admits("a", expression), admitted, "{expression}");
        }
        assert!(allowed.admits("tool", "(MIT OR Apache-2.0) AND NCSA") && allowed.admits("tool", "MIT"));
        assert!(!allowed.admits("a", "(MIT OR Apache-2.0) AND NCSA"));
    }

    #[test]
    fn a_list_is_needed() {
        assert!(Allowed::read("[licenses]\nallow = []").is_err());
    }
}
