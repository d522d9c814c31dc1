//! `cargo xtask run`: the product with its demo, on this machine.

use crate::{
    paths::{self, Profile},
    process::{self, Background, BackgroundOptions, Output},
    services::{Data, Folder, postgres::Postgres, rabbitmq::RabbitMq},
    web,
};
use anyhow::{Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use rustix::process::Signal;
use std::{
    fs::{self, File},
    io::Read,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// How often the processes of a full set-up are looked at.
const WATCH: Duration = Duration::from_millis(500);

/// Everything in one process, on SQLite and the embedded bus.
pub fn single(profile: Profile) -> Result<()> {
    println!("1/3 web app");
    build_web()?;
    println!("2/3 server");
    build_server(profile)?;
    println!("3/3 start (Ctrl-C stops)\n");
    let mut command = Command::new(paths::muster(profile));
    command.current_dir(paths::root()).args(["serve", "--demo"]);
    // From here on this process is the server: signals reach it without a detour.
    Err(command.exec().into())
}

/// Hub, worker and api as three processes, on a private PostgreSQL and RabbitMQ.
pub fn full(profile: Profile) -> Result<()> {
    println!("1/5 web app");
    build_web()?;
    println!("2/5 server");
    build_server(profile)?;
    println!("3/5 PostgreSQL and RabbitMQ");
    let folder = Folder::take("full", Data::Kept)?;
    let mut rabbitmq = RabbitMq::start(&folder, None)?;
    let mut postgres = Postgres::start(&folder)?;
    postgres.wait()?;
    postgres.create_database("muster")?;
    rabbitmq.wait()?;
    println!("4/5 database schema");
    let split = Split {
        program: paths::muster(profile),
        folder: folder.path(),
        database: postgres.url("muster"),
        broker: rabbitmq.amqp_url(),
        key_file: master_key(folder.path())?,
    };
    process::run(split.command("api", &["migrate"])?.env("MUSTER__LOG__FILTER", "warn"))?;
    println!("5/5 hub, worker and api (Ctrl-C stops); logs of the first two in {}\n", folder.path().display());
    // Listed in the order of their end: nothing is left in flight when the servers stop.
    let mut api = split.start("api", &["serve", "--roles", "api", "--demo"], Output::Ours)?;
    let mut hub = split.start("hub", &["serve", "--roles", "hub"], Output::Log)?;
    let mut worker = split.start("worker", &["serve", "--roles", "worker"], Output::Log)?;
    let ended = watch(&mut [&mut api, &mut hub, &mut worker], folder.path());
    println!("stopping");
    for process in [&mut api, &mut hub, &mut worker] {
        process.stop(Duration::from_secs(30));
    }
    ended
}

/// The small build, which takes little longer than the other when nothing is built yet, and which the tests use too.
fn build_web() -> Result<()> {
    web::build(web::Build::Release, web::Keep::Any)
}

/// Builds `muster` with the features of the whole workspace, so that tests and checks find it built.
pub fn build_server(profile: Profile) -> Result<()> {
    let mut command = Command::new("cargo");
    command.current_dir(paths::root());
    process::run(command.args(["build", "--workspace", "--bin", "muster", "--profile", profile.name()]))
}

/// What the three processes share.
struct Split<'a> {
    program: PathBuf,
    folder: &'a Path,
    database: String,
    broker: String,
    key_file: PathBuf,
}

impl Split<'_> {
    fn command(&self, role: &str, arguments: &[&str]) -> Result<Command> {
        let data = self.folder.join(role);
        fs::create_dir_all(&data)?;
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("MUSTER__DATA_DIR", data)
            .env("MUSTER__DATABASE__URL", &self.database)
            .env("MUSTER__BUS__URL", &self.broker)
            .env("MUSTER__FILES__URL", format!("file://{}", self.folder.join("files").display()))
            .env("MUSTER__SECRETS__MASTER_KEY_FILE", &self.key_file);
        Ok(command)
    }

    fn start(&self, role: &str, arguments: &[&str], output: Output) -> Result<Background> {
        let options = BackgroundOptions { name: role, folder: self.folder, user: None, stop: Signal::TERM, output };
        Background::start(&self.command(role, arguments)?, options)
    }
}

/// Returns when we are told to end, and fails when a process ends by itself.
fn watch(processes: &mut [&mut Background], folder: &Path) -> Result<()> {
    while process::pause(WATCH).is_ok() {
        for process in processes.iter_mut() {
            if let Some(status) = process.ended()? {
                let log = folder.join(format!("{}.log", process.name()));
                bail!("the {} ended ({status}); see above or {}", process.name(), log.display());
            }
        }
    }
    Ok(())
}

/// The key that all roles share, made at the first start.
pub fn master_key(folder: &Path) -> Result<PathBuf> {
    let file = folder.join("master.key");
    if !file.exists() {
        let mut key = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        fs::write(&file, BASE64_STANDARD.encode(key) + "\n")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_key_is_made_once_and_kept_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = master_key(folder.path()).unwrap();
        let key = fs::read_to_string(&file).unwrap();
        assert_eq!(BASE64_STANDARD.decode(key.trim()).unwrap().len(), 32);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        master_key(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), key);
    }
}
