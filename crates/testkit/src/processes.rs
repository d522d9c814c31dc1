//! The product as processes, which a test may kill as a power cut would.

use crate::{Backend, Client, Servers, app, eventually};
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};
use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

/// A product of one or more processes, with a folder of its own.
#[derive(Debug)]
pub struct Processes {
    binary: &'static str,
    folder: TempDir,
    settings: Vec<(&'static str, String)>,
    _servers: Option<Servers>,
}

/// One of them; killed when the test ends.
#[derive(Debug)]
pub struct Process {
    child: Child,
    data_dir: PathBuf,
}

impl Processes {
    /// Prepares to start `binary` (`CARGO_BIN_EXE_muster`) with these overrides of the configuration; nothing runs yet.
    ///
    /// # Panics
    /// Where the servers cannot be had.
    pub async fn new(binary: &'static str, backend: Backend, overrides: &[(&'static str, String)]) -> Self {
        // For the clients of the test.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("master.key");
        std::fs::write(&key, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").expect("a key");
        let servers = if backend == Backend::Servers { Some(app::servers().await) } else { None };
        let fixed = [
            ("bus.partitions", "2"),
            ("http.bind", "127.0.0.1:0"),
            ("hub.mqtts_bind", ""),
            ("hub.mqtt_bind", "127.0.0.1:0"),
            ("hub.https_bind", ""),
            ("log.filter", "warn"),
        ];
        let mut settings: Vec<_> = fixed.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        settings.push(("secrets.master_key_file", key.display().to_string()));
        settings.extend(servers.iter().flat_map(|servers| servers.settings.clone()));
        settings.extend_from_slice(overrides);
        let processes = Self { binary, folder, settings, _servers: servers };
        if backend == Backend::Servers {
            let migrated = processes.command("migrate").arg("migrate").status().await.expect("the product's binary");
            assert!(migrated.success(), "the databases are not migrated");
        }
        processes
    }

    fn command(&self, role: &str) -> Command {
        let mut command = Command::new(self.binary);
        command.env("MUSTER__DATA_DIR", self.folder.path().join(role)).kill_on_drop(true);
        for (key, value) in &self.settings {
            command.env(format!("MUSTER__{}", key.to_uppercase().replace('.', "__")), value);
        }
        command
    }

    /// Starts a process with this role (`all`, `hub`, `worker`, `api`) and waits until it is ready.
    ///
    /// # Panics
    /// Where it does not get ready.
    pub async fn start(&self, role: &str) -> Process {
        let data_dir = self.folder.path().join(role);
        let _ = std::fs::remove_file(data_dir.join("addresses.json"));
        let mut command = self.command(role);
        let child = command.args(["serve", "--roles", role]).stdout(Stdio::null()).spawn();
        let process = Process { child: child.expect("the product's binary"), data_dir };
        let addresses = process.data_dir.join("addresses.json");
        eventually("the process is ready", || async { addresses.exists().then_some(()) }).await;
        process
    }

    /// Makes the tenant `contoso` beside the running process of this role; what `muster admin bootstrap` prints.
    ///
    /// # Panics
    /// Where that fails.
    pub async fn bootstrap(&self, role: &str) -> Value {
        let words =
            ["admin", "bootstrap", "--tenant", "contoso", "--name", "Contoso", "--admin-email", "a@contoso.example"];
        let mut command = self.command(role);
        command.args(words).args(["--admin-password-stdin", "--json"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the product's binary");
        let mut input = child.stdin.take().expect("standard input");
        input.write_all(b"correct horse battery staple\n").await.expect("a password is read");
        drop(input);
        let output = child.wait_with_output().await.expect("an end");
        assert!(output.status.success(), "the tenant is not made");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

impl Process {
    /// Where it listens, by a name of `addresses.json`.
    ///
    /// # Panics
    /// Where it does not.
    pub fn address(&self, name: &str) -> SocketAddr {
        let text = std::fs::read_to_string(self.data_dir.join("addresses.json")).expect("the process is ready");
        let addresses: Value = serde_json::from_str(&text).expect("JSON");
        addresses[name].as_str().and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no {name} address"))
    }

    /// Its folder.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Calls the API with the tenant's token.
    pub fn client(&self, tenant: &Value) -> Client {
        let token = tenant["apiToken"].as_str().map(str::to_owned);
        Client::new(format!("http://{}", self.address("http")), token)
    }

    /// Ends it as a crash.
    ///
    /// # Panics
    /// Where it has ended by itself.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a running process");
    }
}
