//! Private servers for tests, benches and `run --full`: loopback only, free ports, folders of their own.

pub mod mosquitto;
pub mod postgres;
pub mod rabbitmq;
pub mod tls;

use crate::{
    lock::{self, Lock},
    process::{self, Background},
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a server may take to start on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Whether a server finds what it stored last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// It starts empty.
    Fresh,
    /// It starts with what it had.
    Kept,
}

/// A folder for servers that only one xtask uses at a time.
pub struct Folder {
    path: PathBuf,
    data: Data,
    _lock: Lock,
}

impl Folder {
    /// Takes `target/services/NAME`.
    pub fn take(name: &str, data: Data) -> Result<Self> {
        let path = crate::paths::target().join("services").join(name);
        match lock::try_take(&path.join("lock"))? {
            Some(lock) => Ok(Self { path, data, _lock: lock }),
            None => bail!("another cargo xtask is using {}", path.display()),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A port of 127.0.0.1 that nobody listens on.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until `ready` says so; fails with the end of the server's log when it ends first or takes too long.
fn wait_until(server: &mut Background, folder: &Path, ready: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while !ready() {
        let ended = server.ended()?;
        if ended.is_some() || start.elapsed() > PATIENCE {
            let log = fs::read_to_string(folder.join(format!("{}.log", server.name()))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(20)..].join("\n");
            let how = ended.map_or("did not get ready".to_owned(), |status| format!("ended ({status})"));
            bail!("{} {how}:\n{tail}", server.name());
        }
        process::pause(Duration::from_millis(100))?;
    }
    Ok(())
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().context("the path is not UTF-8")
}
