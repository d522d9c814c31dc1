//! `cargo xtask fuzz`: bytes at the parsers of `muster-model`, guided by coverage (`fuzz/README.md`).
//!
//! libFuzzer on a stable compiler: the coverage pass is one of LLVM's, and code without `unsafe` needs no sanitizer.

use crate::{paths, process, setup, stage::Stages};
use anyhow::{Context, Result, bail};
use std::{env, fs, path::PathBuf, process::Command};

/// How code reports what it has run and compared.
const RUSTFLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // A function in two units would be counted in one of them only.
    "-Ccodegen-units=1",
    // lld throws sections away that only their boundaries' names refer to: all counters, for one.
    "-Clink-arg=-Wl,-z,nostart-stop-gc",
];

/// An input that takes longer is a finding; so is more memory.
const INPUT_SECONDS: u32 = 10;
const MEMORY_MIB: u32 = 2048;
/// Longer inputs find little more, slowly.
const INPUT_BYTES: u32 = 16 * 1024;

/// Runs each of `names`, or every target where there are none, for `seconds`. What breaks one lies in its corpus then.
pub fn run(names: &[String], seconds: u32) -> Result<()> {
    let known = targets()?;
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("there is no target '{unknown}', only {}", known.join(", "));
    }
    let mut stages = Stages::default();
    stages.run("build", build)?;
    let mut broken = Vec::new();
    for name in if names.is_empty() { &known } else { names } {
        if stages.run(name, || search(name, seconds)).is_err() {
            broken.push(name.as_str());
        }
        if process::interrupted() {
            bail!("interrupted");
        }
    }
    stages.report();
    if broken.is_empty() {
        return Ok(());
    }
    bail!("something does not hold in {}: the input is in fuzz/corpus, where tests run it", broken.join(", "))
}

/// A folder in the corpora is a target; the replay in `crates/model/tests` keeps both lists the same.
fn targets() -> Result<Vec<String>> {
    let entries = fs::read_dir(corpora()).context("cannot read fuzz/corpus")?;
    let mut names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into()).collect();
    names.sort();
    Ok(names)
}

fn corpora() -> PathBuf {
    paths::root().join("fuzz/corpus")
}

fn triple() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

fn build() -> Result<()> {
    setup::provide(&[&setup::CXX])?;
    let mut command = Command::new("cargo");
    command.current_dir(paths::root().join("fuzz"));
    command.args(["build", "--release", "--locked"]).arg("--target-dir").arg(paths::fuzz_target());
    // With a target named, build scripts and macros are not instrumented.
    command.args(["--target", &triple()]).env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\u{1f}"));
    process::run(command.env_remove("RUSTFLAGS"))
}

fn search(name: &str, seconds: u32) -> Result<()> {
    let (seeds, found) = (corpora().join(name), paths::fuzz_target().join("corpus").join(name));
    fs::create_dir_all(&found)?;
    let fuzzer = || {
        let mut command = Command::new(paths::fuzz_target().join(triple()).join("release/muster-fuzz"));
        command.current_dir(paths::root()).env("MUSTER_FUZZ", name).arg(&found).arg(&seeds);
        command.arg(format!("-artifact_prefix={}/", seeds.display()));
        command.args([format!("-timeout={INPUT_SECONDS}"), format!("-rss_limit_mb={MEMORY_MIB}")]);
        command
    };
    let first = fuzzer().arg("-runs=0").output()?;
    let said = String::from_utf8_lossy(&first.stderr);
    if !first.status.success() {
        bail!("{}", said.trim());
    }
    if !said.contains("inline 8-bit counters") {
        bail!("the fuzzer sees nothing: the build has no coverage");
    }
    let mut fuzzer = fuzzer();
    fuzzer.args([format!("-max_total_time={seconds}"), format!("-max_len={INPUT_BYTES}")]);
    fuzzer.args([&format!("-dict={}", paths::root().join("fuzz/words.dict").display()), "-print_final_stats=1"]);
    process::run(&mut fuzzer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_target_is_named_beside_the_known_ones() {
        let error = run(&["tpoic".to_owned()], 1).unwrap_err().to_string();
        assert!(error.contains("'tpoic'") && error.contains("topic, twin_patch"), "{error}");
    }
}
