//! A private PostgreSQL.

use super::{Data, Folder, free_port, path_text, wait_until};
use crate::{
    process::{self, Background, BackgroundOptions, Output},
    setup,
};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Who runs the server when we are root, which it refuses to run as.
const USER: &str = "postgres";

/// A running server; it stops when this is dropped.
pub struct Postgres {
    server: Background,
    port: u16,
    programs: PathBuf,
    folder: PathBuf,
}

impl Postgres {
    /// Starts the server in `folder`; [`Postgres::wait`] waits until it is ready.
    pub fn start(folder: &Folder) -> Result<Self> {
        setup::provide(&[&setup::POSTGRESQL])?;
        let programs = programs()?;
        let user = setup::is_root().then_some(USER);
        let data = data_folder(folder.path(), user)?;
        if folder.data == Data::Fresh && data.exists() {
            // A server left over by a killed run must not find its files gone; it ends first.
            process::end_left_over(&folder.path().join("postgres.pid"), "postgres")?;
            fs::remove_dir_all(&data)?;
        }
        if !data.join("PG_VERSION").exists() {
            initialise(&programs, &data, user)?;
        }
        let port = free_port()?;
        let mut command = Command::new(programs.join("postgres"));
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]).current_dir("/");
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"] {
            command.args(["-c", setting]);
        }
        let options = BackgroundOptions {
            name: "postgres",
            folder: folder.path(),
            user,
            // Fast shutdown: clients are cut off.
            stop: Signal::INT,
            output: Output::Log,
        };
        let server = Background::start(&command, options)?;
        Ok(Self { server, port, programs, folder: folder.path().to_owned() })
    }

    /// Waits until it takes connections.
    pub fn wait(&mut self) -> Result<()> {
        let (programs, port) = (&self.programs, self.port.to_string());
        let ready = || {
            let mut probe = Command::new(programs.join("pg_isready"));
            process::capture(probe.args(["-q", "-h", "127.0.0.1", "-p", &port])).is_ok()
        };
        wait_until(&mut self.server, &self.folder, ready)
    }

    /// Its process group.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Its administrator's address of database `name`.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{name}", self.port)
    }

    /// Makes the empty database `name` unless it is there.
    pub fn create_database(&self, name: &str) -> Result<()> {
        let url = self.url("postgres");
        let psql = || Command::new(self.programs.join("psql"));
        let query = format!("select 1 from pg_database where datname = '{name}'");
        if process::capture(psql().args(["-qtA", "-c", &query, &url]))?.trim().is_empty() {
            process::capture(psql().args(["-qtA", "-c", &format!("create database {name}"), &url]))?;
        }
        Ok(())
    }
}

/// The newest server's programs where Debian keeps them, or those of the PATH.
fn programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|version| Path::new(&format!("/usr/lib/postgresql/{version}/bin/postgres")).is_file())
        .max();
    if let Some(version) = newest {
        return Ok(format!("/usr/lib/postgresql/{version}/bin").into());
    }
    let found = process::find_program("postgres").context("no PostgreSQL server found")?;
    Ok(found.parent().context("a program stands in a folder")?.to_owned())
}

/// Where the data goes: into `folder`, or where the server's user gets at it.
fn data_folder(folder: &Path, user: Option<&str>) -> Result<PathBuf> {
    let Some(user) = user else { return Ok(folder.join("postgres")) };
    let mut probe = Command::new("setpriv");
    probe.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "test", "-x"]);
    if process::capture(probe.arg(folder)).is_ok() {
        return Ok(folder.join("postgres"));
    }
    let hash = crate::web::hex(&Sha256::digest(folder.as_os_str().as_encoded_bytes()));
    Ok(format!("/var/tmp/muster-postgres-{}", &hash[..12]).into())
}

fn initialise(programs: &Path, data: &Path, user: Option<&str>) -> Result<()> {
    fs::create_dir_all(data)?;
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        process::run(Command::new("chown").arg(format!("{user}:")).arg(data))?;
        command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]);
    }
    command.arg("--").arg(programs.join("initdb")).current_dir("/");
    command.args(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-U", USER, "-D", path_text(data)?]);
    if let Err(error) = process::capture(&mut command) {
        fs::remove_dir_all(data)?;
        bail!("cannot set up a database cluster: {error}");
    }
    Ok(())
}
