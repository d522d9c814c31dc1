//! `cargo xtask web`: the browser's part, from Rust source to the files in `frontend/dist`.

mod assets;

mod toolchain;

use crate::{lock, paths, process};
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};
use toolchain::{TARGET, Toolchain};

pub use assets::hex;

/// The folders and files that decide what `frontend/dist` holds.
const INPUTS: [&str; 9] = [
    ".cargo/config.toml",
    "Cargo.lock",
    "Cargo.toml",
    "crates/charts",
    "crates/contract",
    "crates/model",
    "frontend",
    "xtask/src/web",
    "xtask/Cargo.toml",
];

/// How the wasm is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// Small, minutes to build.
    Release,
    /// Large, seconds to build after an edit.
    Dev,
}

/// Which builds already there are good enough to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The one asked for.
    Same,
    /// Any that is up to date.
    Any,
}

impl Build {
    fn profile(self) -> &'static str {
        match self {
            Self::Release => "wasm-release",
            Self::Dev => "wasm-dev",
        }
    }
}

/// The folder that the server serves.
pub fn dist() -> PathBuf {
    paths::root().join("frontend/dist")
}

/// Brings `frontend/dist` up to date; does nothing when its inputs are those of the last time.
pub fn build(build: Build, keep: Keep) -> Result<()> {
    let _lock = lock::take(&paths::root().join("target-wasm/lock"))?;
    let inputs = fingerprint()?;
    let stamp_file = dist().join(".stamp");
    let stamp = |build: Build| format!("{} {inputs}\n", build.profile());
    let old = fs::read_to_string(&stamp_file).unwrap_or_default();
    let other = if build == Build::Release { Build::Dev } else { Build::Release };
    if old == stamp(build) || (keep == Keep::Any && old == stamp(other)) {
        println!("the web app in frontend/dist is up to date");
        return Ok(());
    }
    let start = Instant::now();
    let wasm = compile(build)?;
    println!("   binding and compressing");
    let bound = bind(&wasm, build)?;
    let written = assets::write(&paths::root().join("frontend"), &bound, &dist(), build)?;
    fs::write(&stamp_file, stamp(build))?;
    println!("   frontend/dist written in {:.0} s: {written}", start.elapsed().as_secs_f64());
    Ok(())
}

/// What wasm-bindgen makes.
struct Bound {
    /// The module.
    wasm: Vec<u8>,
    /// Its ES module.
    js: String,
    /// Scripts that crates bring along, by their path below `snippets/`.
    snippets: Vec<(String, String)>,
}

fn compile(build: Build) -> Result<PathBuf> {
    let toolchain = Toolchain::find()?;
    println!("   {toolchain}");
    let target_dir = paths::root().join("target-wasm");
    let mut command = Command::new("cargo");
    command
        .current_dir(paths::root())
        .args(["build", "--package", "muster-frontend", "--target", TARGET, "--profile", build.profile()])
        .arg("--target-dir")
        .arg(&target_dir);
    toolchain.apply(&mut command);
    process::run(&mut command)?;
    Ok(target_dir.join(TARGET).join(build.profile()).join("muster-frontend.wasm"))
}

fn bind(wasm: &Path, build: Build) -> Result<Bound> {
    let mut output = wasm_bindgen_cli_support::Bindgen::new()
        .input_path(wasm)
        .out_name("muster")
        .web(true)?
        .typescript(false)
        .omit_default_module_path(true)
        .remove_name_section(build == Build::Release)
        .remove_producers_section(true)
        .generate_output()?;
    let mut snippets: Vec<(String, String)> =
        output.local_modules().iter().map(|(path, script)| (path.clone(), script.clone())).collect();
    for (folder, scripts) in output.snippets() {
        for (number, script) in scripts.iter().enumerate() {
            snippets.push((format!("{folder}/inline{number}.js"), script.clone()));
        }
    }
    Ok(Bound { js: output.js().to_owned(), wasm: output.wasm_mut().emit_wasm(), snippets })
}

/// A hash over every input's path and content.
fn fingerprint() -> Result<String> {
    let mut files = Vec::new();
    for input in INPUTS {
        list_files(&paths::root().join(input), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        hash.update(file.strip_prefix(paths::root())?.as_os_str().as_encoded_bytes());
        hash.update(content.len().to_le_bytes());
        hash.update(&content);
    }
    Ok(assets::hex(&hash.finalize()))
}

fn list_files(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path == dist() {
        return Ok(());
    }
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            list_files(&entry?.path(), files)?;
        }
    } else if path.exists() {
        files.push(path.to_owned());
    }
    Ok(())
}
