//! A compiler for wasm, wherever one can be had: installed, through rustup, or from the standard library's source.

use crate::{process, setup};
use anyhow::{Context, Result, bail};
use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
};

/// What we compile for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The compiler of Debian's `rustc-web`, whose source package `rust-web-src` matches it.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// How the browser's standard library comes about.
pub enum Toolchain {
    /// The active toolchain has it.
    Installed,
    /// It is built along.
    BuildStd {
        /// The compiler, when it is not the active one.
        rustc: Option<PathBuf>,
        /// The linker for wasm.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// The first way that works; `WASM_TOOLCHAIN=build-std` takes the last one at once.
    pub fn find() -> Result<Self> {
        let forced = env::var("WASM_TOOLCHAIN").is_ok_and(|way| way == "build-std");
        if !forced {
            if target_is_installed() || (env::var_os("CI").is_none() && add_target()) {
                return Ok(Self::Installed);
            }
            println!("   the target {TARGET} cannot be had: building the standard library from source");
        }
        Self::build_std()
    }

    /// Sets `command`, a cargo build, up for this way.
    pub fn apply(&self, command: &mut Command) {
        // Flags meant for native code have no place here.
        command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        let Self::BuildStd { rustc, linker } = self else { return };
        command.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        if let Some(rustc) = rustc {
            // rustup's proxy points the loader at its own compiler's libraries.
            command.env("RUSTC", rustc).env_remove("LD_LIBRARY_PATH");
        }
    }

    fn build_std() -> Result<Self> {
        let sysroot = sysroot("rustc")?;
        if has_source(&sysroot) {
            return Ok(Self::BuildStd { rustc: None, linker: linker(&sysroot)? });
        }
        if !has_source(Path::new("/usr")) || !Path::new(DEBIAN_RUSTC).is_file() {
            let why = "a compiler with the source of its standard library, to build the web app";
            setup::install_packages(&["rustc-web", "rust-web-src"], why)?;
        }
        let own = self::sysroot(DEBIAN_RUSTC)?;
        if !has_source(&own) {
            bail!("{DEBIAN_RUSTC} comes without the source of its standard library");
        }
        Ok(Self::BuildStd { rustc: Some(DEBIAN_RUSTC.into()), linker: linker(&sysroot).or_else(|_| linker(&own))? })
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed => write!(formatter, "with the installed target {TARGET}"),
            Self::BuildStd { rustc: None, .. } => write!(formatter, "with the toolchain's rust-src"),
            Self::BuildStd { rustc: Some(rustc), .. } => write!(formatter, "with {} and its source", rustc.display()),
        }
    }
}

fn target_is_installed() -> bool {
    let printed = process::capture(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]));
    let Ok(folder) = printed else { return false };
    let Ok(entries) = std::fs::read_dir(folder.trim()) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// Asks rustup, which may have to wait for a network that is not there.
fn add_target() -> bool {
    if process::find_program("rustup").is_none() {
        return false;
    }
    let mut command = Command::new("timeout");
    command.args(["60", "rustup", "target", "add", TARGET]);
    println!("   {}", process::describe(&command));
    process::run(&mut command).is_ok() && target_is_installed()
}

fn sysroot(rustc: &str) -> Result<PathBuf> {
    let mut command = Command::new(rustc);
    command.args(["--print", "sysroot"]);
    if rustc == DEBIAN_RUSTC {
        command.env_remove("LD_LIBRARY_PATH");
    }
    Ok(process::capture(&mut command)?.trim().into())
}

fn has_source(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file()
}

/// `rust-lld` itself: the wrappers in `gcc-ld` do not link wasm here.
fn linker(sysroot: &Path) -> Result<PathBuf> {
    let host = format!("lib/rustlib/{}-unknown-linux-gnu/bin/rust-lld", env::consts::ARCH);
    let bundled = sysroot.join(host);
    if bundled.is_file() {
        return Ok(bundled);
    }
    process::find_program("rust-lld").context("no rust-lld found, neither in the toolchain nor in the PATH")
}
