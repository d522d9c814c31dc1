//! Installs what is missing on the machine, and says what and why.

use crate::{paths, process};
use anyhow::{Result, bail};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A program that we need, the Debian package that has it, and what for.
pub struct Need {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

/// The database of a full set-up.
pub const POSTGRESQL: Need =
    Need { program: "pg_ctlcluster", package: "postgresql", why: "the database server, started privately" };

/// The broker of a full set-up.
pub const RABBITMQ: Need =
    Need { program: "rabbitmqctl", package: "rabbitmq-server", why: "the message broker, started privately" };

/// The broker that the bench compares with.
pub const MOSQUITTO: Need = Need { program: "mosquitto", package: "mosquitto", why: "the MQTT broker to compare with" };

/// Makes the certificates of the brokers to compare with.
pub const OPENSSL: Need = Need { program: "openssl", package: "openssl", why: "makes certificates for the bench" };

/// Compiles libFuzzer.
pub const CXX: Need = Need { program: "c++", package: "g++", why: "compiles libFuzzer" };

/// The browser of the end-to-end tests.
pub const CHROMIUM: Need =
    Need { program: "chromium", package: "chromium", why: "the browser of the end-to-end tests" };

/// Runs the device SDK for Node, and the end-to-end tests.
pub const NODE: [Need; 2] = [
    Need { program: "node", package: "nodejs", why: "runs the device SDK for Node, and the end-to-end tests" },
    Need { program: "npm", package: "npm", why: "installs the packages for Node" },
];

/// Installs the packages of those `needs` whose program is absent.
pub fn provide(needs: &[&Need]) -> Result<()> {
    for need in needs.iter().filter(|need| process::find_program(need.program).is_none()) {
        install_packages(&[need.package], need.why)?;
    }
    Ok(())
}

/// Installs Debian packages, as root or through sudo.
pub fn install_packages(packages: &[&str], why: &str) -> Result<()> {
    println!("   installing {} ({why})", packages.join(", "));
    if process::find_program("apt-get").is_none() {
        bail!("cannot install {} here: there is no apt-get; please install it by hand", packages.join(", "));
    }
    let install = || {
        let mut command = privileged("apt-get");
        command.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        process::run(&mut command)
    };
    // The package lists may be absent or old: then they are fetched, once.
    install().or_else(|_| {
        process::run(privileged("apt-get").args(["update", "--quiet"]))?;
        install()
    })
}

/// Whether we are root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn privileged(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["--preserve-env=DEBIAN_FRONTEND", program]);
    command
}

/// A Python with the packages of `e2e/python/requirements.txt`; returns its interpreter.
pub fn python() -> Result<PathBuf> {
    let folder = paths::target().join("services/venv");
    let interpreter = folder.join("bin/python");
    let requirements = paths::root().join("e2e/python/requirements.txt");
    once(&folder.join("installed"), &[&requirements], || {
        println!("   installing the device SDK into {}", folder.display());
        let make = || process::run(system_python().args(["-m", "venv", "--clear"]).arg(&folder));
        if process::capture(system_python().args(["-c", "import venv, ensurepip"])).is_err() {
            install_packages(&["python3-venv"], "keeps the device SDK for the tests apart from the system's Python")?;
        }
        make()?;
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        process::run(pip.arg(&requirements))
    })?;
    Ok(interpreter)
}

/// The npm packages of `e2e/package.json`: the device SDK and the end-to-end tests' tools.
pub fn node_modules() -> Result<()> {
    let folder = paths::root().join("e2e");
    let lock = folder.join("package-lock.json");
    once(&folder.join("node_modules/.muster-installed"), &[&lock], || {
        println!("   installing the packages for Node into {}", folder.join("node_modules").display());
        // The browser is Debian's; a download of another one is not wanted.
        let mut npm = Command::new("npm");
        npm.current_dir(&folder).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
        process::run(npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]))
    })
}

/// Debian's own Python if there is one: its `venv` is a package that we know how to install.
fn system_python() -> Command {
    let debian = Path::new("/usr/bin/python3");
    Command::new(if debian.is_file() { debian } else { Path::new("python3") })
}

/// Does `work` unless `stamp` shows that it was done for the same `inputs`.
fn once(stamp: &Path, inputs: &[&Path], work: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut hash = Sha256::new();
    for input in inputs {
        hash.update(fs::read(input)?);
    }
    let wanted = format!("{:x?}\n", hash.finalize().as_slice());
    if fs::read_to_string(stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    work()?;
    fs::write(stamp, wanted)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_once_for_the_same_inputs() {
        let folder = tempfile::tempdir().unwrap();
        let (stamp, input) = (folder.path().join("stamp"), folder.path().join("input"));
        let mut times = 0;
        for content in ["a", "a", "b"] {
            fs::write(&input, content).unwrap();
            once(&stamp, &[&input], || {
                times += 1;
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(times, 2);
    }
}
