//! A private Mosquitto, to compare with.

use super::{Folder, free_port, tls::Certificate, wait_until};
use crate::{
    process::{Background, BackgroundOptions, Output, find_program},
    setup,
};
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::{fs, net::TcpStream, path::PathBuf, process::Command};

/// A running broker; it stops when this is dropped.
pub struct Mosquitto {
    server: Background,
    port: u16,
    tls: Option<u16>,
    folder: PathBuf,
}

impl Mosquitto {
    /// Starts the broker, with a second listener for TLS when there is a `certificate`.
    pub fn start(folder: &Folder, certificate: Option<&Certificate>) -> Result<Self> {
        setup::provide(&[&setup::MOSQUITTO])?;
        let port = free_port()?;
        let tls = certificate.map(|_| free_port()).transpose()?;
        let file = folder.path().join("mosquitto.conf");
        fs::write(&file, configuration(port, tls.zip(certificate)))?;
        let program = find_program("mosquitto").context("no mosquitto in the PATH")?;
        let options = BackgroundOptions {
            name: "mosquitto",
            folder: folder.path(),
            user: None,
            stop: Signal::TERM,
            output: Output::Log,
        };
        let server = Background::start(Command::new(program).arg("-c").arg(&file), options)?;
        Ok(Self { server, port, tls, folder: folder.path().to_owned() })
    }

    /// Waits until it takes connections.
    pub fn wait(&mut self) -> Result<()> {
        let port = self.port;
        wait_until(&mut self.server, &self.folder, || TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it listens, as a URL.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address())
    }

    /// Where it listens for TLS, as a URL.
    pub fn tls_url(&self) -> Option<String> {
        self.tls.map(|port| format!("mqtts://127.0.0.1:{port}"))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.server.id()
    }
}

fn configuration(port: u16, tls: Option<(u16, &Certificate)>) -> String {
    // No limits that would slow it down: the comparison is with its best.
    let mut text = format!(
        "persistence false\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n\
         log_type error\nlistener {port} 127.0.0.1\n"
    );
    if setup::is_root() {
        text.push_str("user root\n");
    }
    if let Some((port, Certificate { chain, key })) = tls {
        text.push_str(&format!("listener {port} 127.0.0.1\ncertfile {}\nkeyfile {}\n", chain.display(), key.display()));
    }
    text
}
