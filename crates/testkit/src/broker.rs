//! A RabbitMQ of the test's own, that may be frozen and killed.

use crate::skip;
use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The server itself, not Debian's wrapper, which insists on the system's own instance.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const START_LIMIT: Duration = Duration::from_secs(120);
/// Runs a command as a process group that ends as a crash when the pipe closes, be it that the test died.
const GUARD: &str = r#"setsid "$@" & read -r _; kill -s KILL -- -$!; wait"#;

/// A RabbitMQ on free ports of the loopback interface, in a folder of its own.
#[derive(Debug)]
pub struct Broker {
    folder: TempDir,
    port: u16,
    distribution_port: u16,
    names_port: u16,
    names: Child,
    server: Option<Child>,
}

impl Broker {
    /// A broker that is not started yet; `None` where RabbitMQ is not installed.
    pub fn prepare(test: &str) -> Option<Self> {
        if !Path::new(SERVER).exists() {
            skip(test, "RabbitMQ is not installed");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let [port, distribution_port, names_port] = free_ports();
        let conf = format!("listeners.tcp.local = 127.0.0.1:{port}\n");
        std::fs::write(folder.path().join("rabbitmq.conf"), conf).expect("a configuration");
        std::fs::write(folder.path().join("plugins"), "[].").expect("a list of plugins");
        // Erlang would start its name service as a daemon that outlives all: ours is there first and ends with us.
        let names = guarded(&["epmd", "-port", &names_port.to_string(), "-address", "127.0.0.1"]).spawn();
        let names = names.expect("Erlang's name service");
        Some(Self { folder, port, distribution_port, names_port, names, server: None })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.port)
    }

    /// Starts it and waits until it listens.
    pub async fn start(&mut self) {
        let folder = self.folder.path();
        let log = File::options().create(true).append(true).open(folder.join("output")).expect("a log");
        let mut command = guarded(&["sh", "-c", &format!("ulimit -n 4096; exec {SERVER}")]);
        command
            .env("HOME", folder)
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_NODENAME", format!("test{}@localhost", self.port))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("ERL_EPMD_PORT", self.names_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        self.server = Some(command.spawn().expect("a broker"));
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(started.elapsed() < START_LIMIT, "broker does not start: {}", self.output());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// As a crash: no goodbye.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Closes the pipe, too.
            server.wait().expect("an end");
        }
    }

    /// Stops it from running, with all connections open.
    pub fn freeze(&self) {
        signal(self.server.as_ref().expect("a running broker"), "STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal(self.server.as_ref().expect("a running broker"), "CONT");
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        let _ = self.names.wait();
    }
}

fn guarded(command: &[&str]) -> Command {
    let mut guard = Command::new("sh");
    guard.args(["-c", GUARD, "guard"]).args(command).process_group(0).stdin(Stdio::piped());
    guard
}

/// Signals the group that the guard runs.
fn signal(guard: &Child, name: &str) {
    let guard = guard.id();
    let server = std::fs::read_to_string(format!("/proc/{guard}/task/{guard}/children")).expect("a process");
    let status = Command::new("kill").args([&format!("-{name}"), "--", &format!("-{}", server.trim())]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -{name} {server}");
}

fn free_ports() -> [u16; 3] {
    let listeners = std::array::from_fn::<_, 3, _>(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
    listeners.map(|listener| listener.local_addr().map(|address| address.port()).expect("a port"))
}
