//! A certificate for servers that we compare ourselves with.

use crate::{process, setup};
use anyhow::Result;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A self-signed certificate for localhost and its key, both PEM.
pub struct Certificate {
    /// The certificate, which is its own authority.
    pub chain: PathBuf,
    /// Its key, P-256 as our own hub's.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one in `folder`.
    pub fn make(folder: &Path) -> Result<Self> {
        setup::provide(&[&setup::OPENSSL])?;
        let (chain, key) = (folder.join("server.pem"), folder.join("server.key"));
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        command.args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
        command.args(["-addext", "basicConstraints=critical,CA:FALSE", "-out"]).arg(&chain).arg("-keyout").arg(&key);
        process::capture(&mut command)?;
        Ok(Self { chain, key })
    }
}
