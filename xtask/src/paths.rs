//! Where things are.

use std::path::{Path, PathBuf};

/// The workspace's folder.
pub fn root() -> &'static Path {
    // xtask stands right below the workspace.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// Where the fuzz crate, a workspace of its own, is built.
pub fn fuzz_target() -> PathBuf {
    target().join("fuzz")
}

/// The built `muster`.
pub fn muster(profile: Profile) -> PathBuf {
    target().join(profile.folder()).join("muster")
}

/// How native code is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Soon ready.
    Dev,
    /// As shipped.
    Release,
}

impl Profile {
    /// The profile for a `--release` switch.
    pub fn from_switch(release: bool) -> Self {
        if release { Self::Release } else { Self::Dev }
    }

    /// Its name for `cargo --profile`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}
