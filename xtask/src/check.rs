//! `cargo xtask check`: everything that can be said about the source without running it.

use crate::{deploy, paths, process, setup, stage::Stages, tidy};
use anyhow::{Result, bail};
use std::process::Command;

/// A check and what it is called.
type Check = (&'static str, fn() -> Result<()>);

/// Runs every check, also after one has failed, and names those that did.
pub fn run() -> Result<()> {
    let checks: [Check; 5] = [
        ("format", format),
        ("house rules", tidy::run),
        ("deployment files", deploy::check),
        ("clippy", clippy),
        ("documentation", documentation),
    ];
    let mut stages = Stages::default();
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Err(error) = stages.run(name, check) {
            println!("error: {error:#}");
            failed.push(name);
        }
        if process::interrupted() {
            bail!("interrupted");
        }
    }
    stages.report();
    if failed.is_empty() { Ok(()) } else { bail!("these checks failed: {}", failed.join(", ")) }
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(paths::root()).args(arguments);
    command
}

fn format() -> Result<()> {
    process::run(&mut cargo(&["fmt", "--all", "--", "--check"]))?;
    process::run(&mut cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--", "--check"]))
}

fn clippy() -> Result<()> {
    process::run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))?;
    setup::provide(&[&setup::CXX])?;
    let mut fuzz = cargo(&["clippy", "--manifest-path", "fuzz/Cargo.toml", "--locked"]);
    process::run(fuzz.arg("--target-dir").arg(paths::fuzz_target()).args(["--", "-D", "warnings"]))
}

fn documentation() -> Result<()> {
    process::run(cargo(&["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))
}
