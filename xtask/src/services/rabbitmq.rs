//! A private RabbitMQ: a node, an epmd and a cookie of its own, so that it meets no other broker of the machine.

use super::{Data, Folder, free_port, tls::Certificate, wait_until};
use crate::{
    process::{self, Background, BackgroundOptions, Output},
    setup,
};
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The script itself: the one in the PATH is Debian's wrapper, which insists on a user and folders.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// RabbitMQ sets off its alarm near the limit of open files, and Debian's default is 1,024.
const FILES: u32 = 65_536;

/// A user for AMQP and MQTT, and a quorum queue for what comes in over MQTT: a message that no queue takes
/// would be acknowledged at once, which proves nothing.
const DEFINITIONS: &str = r#"{
    "users": [{ "name": "guest", "password": "guest", "tags": "administrator" }],
    "vhosts": [{ "name": "/" }],
    "permissions": [{ "user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*" }],
    "queues": [
        { "name": "mqtt", "vhost": "/", "durable": true, "auto_delete": false, "arguments": { "x-queue-type": "quorum" } }
    ],
    "bindings": [
        {
            "source": "amq.topic", "vhost": "/", "destination": "mqtt", "destination_type": "queue",
            "routing_key": "devices.#", "arguments": {}
        }
    ]
}
"#;

/// A running broker; it stops when this is dropped, and before its port mapper.
pub struct RabbitMq {
    server: Background,
    _port_mapper: Background,
    amqp_port: u16,
    mqtt_port: u16,
    mqtts_port: Option<u16>,
    folder: PathBuf,
}

impl RabbitMq {
    /// Starts the broker with its MQTT plugin in `folder`, over TLS too when there is a `certificate`;
    /// [`RabbitMq::wait`] waits until it is ready.
    pub fn start(folder: &Folder, certificate: Option<&Certificate>) -> Result<Self> {
        setup::provide(&[&setup::RABBITMQ])?;
        let home = folder.path().join("rabbitmq");
        process::end_left_over(&folder.path().join("rabbitmq.pid"), "rabbitmq")?;
        if folder.data == Data::Fresh && home.exists() {
            fs::remove_dir_all(&home)?;
        }
        fs::create_dir_all(&home)?;
        let (amqp_port, mqtt_port, epmd_port, peer_port) = (free_port()?, free_port()?, free_port()?, free_port()?);
        let mqtts_port = certificate.map(|_| free_port()).transpose()?;
        fs::write(home.join("definitions.json"), DEFINITIONS)?;
        let tls = mqtts_port.zip(certificate);
        fs::write(home.join("rabbitmq.conf"), configuration(&home, amqp_port, mqtt_port, tls))?;
        fs::write(home.join("plugins"), "[rabbitmq_mqtt].\n")?;
        let options = |name| BackgroundOptions {
            name,
            folder: folder.path(),
            user: None,
            stop: Signal::TERM,
            output: Output::Log,
        };
        // Erlang would start a daemon that outlives everything; it uses ours, as that is there first.
        let mut mapper = Command::new(port_mapper().context("no epmd found, which RabbitMQ needs")?);
        mapper.args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"]);
        let mut port_mapper = Background::start(&mapper, options("epmd"))?;
        let listens = || TcpStream::connect(("127.0.0.1", epmd_port)).is_ok();
        wait_until(&mut port_mapper, folder.path(), listens)?;
        let server = Background::start(&command(&home, epmd_port, peer_port), options("rabbitmq"))?;
        Ok(Self {
            server,
            _port_mapper: port_mapper,
            amqp_port,
            mqtt_port,
            mqtts_port,
            folder: folder.path().to_owned(),
        })
    }

    /// Waits until it talks AMQP.
    pub fn wait(&mut self) -> Result<()> {
        let port = self.amqp_port;
        wait_until(&mut self.server, &self.folder, || talks_amqp(port).unwrap_or(false))
    }

    /// Where AMQP is spoken.
    pub fn amqp_url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.amqp_port)
    }

    /// Where MQTT is spoken.
    pub fn mqtt_address(&self) -> String {
        format!("127.0.0.1:{}", self.mqtt_port)
    }

    /// Where MQTT is spoken, as a URL.
    pub fn mqtt_url(&self) -> String {
        format!("mqtt://{}", self.mqtt_address())
    }

    /// Where MQTT is spoken over TLS, as a URL.
    pub fn mqtts_url(&self) -> Option<String> {
        self.mqtts_port.map(|port| format!("mqtts://127.0.0.1:{port}"))
    }

    /// The process group that `kill -9 -PID` ends at once.
    pub fn id(&self) -> u32 {
        self.server.id()
    }
}

fn configuration(home: &Path, amqp_port: u16, mqtt_port: u16, tls: Option<(u16, &Certificate)>) -> String {
    let mut lines = vec![
        format!("listeners.tcp.local = 127.0.0.1:{amqp_port}"),
        format!("mqtt.listeners.tcp.local = 127.0.0.1:{mqtt_port}"),
        "mqtt.allow_anonymous = true".to_owned(),
        // Publishers must not stop because somebody else fills the machine's disk.
        "disk_free_limit.absolute = 50MB".to_owned(),
        format!("load_definitions = {}", home.join("definitions.json").display()),
    ];
    if let Some((port, Certificate { chain, key })) = tls {
        lines.extend([
            format!("mqtt.listeners.ssl.local = 127.0.0.1:{port}"),
            format!("ssl_options.certfile = {}", chain.display()),
            format!("ssl_options.keyfile = {}", key.display()),
            "ssl_options.verify = verify_none".to_owned(),
        ]);
    }
    lines.join("\n") + "\n"
}

fn command(home: &Path, epmd_port: u16, peer_port: u16) -> Command {
    let mut command = Command::new("sh");
    let limit = format!("ulimit -n {FILES} 2>/dev/null || ulimit -n $(ulimit -Hn); exec {SERVER}");
    command.args(["-c", &limit]).current_dir(home);
    command
        .env("HOME", home)
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_NODENAME", "muster@localhost")
        .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq.conf"))
        .env("RABBITMQ_MNESIA_BASE", home.join("data"))
        .env("RABBITMQ_LOG_BASE", home.join("log"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
        .env("RABBITMQ_DIST_PORT", peer_port.to_string())
        .env("ERL_EPMD_PORT", epmd_port.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
    command
}

/// Says hello, and whether the answer is a method frame (Connection.Start).
fn talks_amqp(port: u16) -> Result<bool> {
    let patience = Duration::from_millis(500);
    let mut socket = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), patience)?;
    socket.set_read_timeout(Some(patience))?;
    socket.write_all(b"AMQP\x00\x00\x09\x01")?;
    let mut first = [0];
    socket.read_exact(&mut first)?;
    Ok(first == [1])
}

fn port_mapper() -> Option<PathBuf> {
    process::find_program("epmd").or_else(|| {
        let runtime = fs::read_dir("/usr/lib/erlang").ok()?.flatten();
        runtime.map(|entry| entry.path().join("bin/epmd")).find(|program| program.is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_listens_on_loopback_only() {
        let certificate = Certificate { chain: "c".into(), key: "k".into() };
        let text = configuration(Path::new("/home"), 1, 2, Some((3, &certificate)));
        assert_eq!(text.matches("listeners").count(), 3);
        assert!(text.lines().filter(|line| line.contains("listeners")).all(|line| line.contains("= 127.0.0.1:")));
    }
}
