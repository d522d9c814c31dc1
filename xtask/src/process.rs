//! Running other programs: steps that we wait for, and background processes that must not outlive us.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Set by the first SIGINT, SIGTERM or SIGHUP; the second one ends us at once.
static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// How often a child and [`STOP`] are looked at.
const POLL: Duration = Duration::from_millis(50);

/// Turns the signals that end a program into a flag, so that every service is stopped on the way out.
pub fn watch_signals() -> Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&STOP))?;
        signal_hook::flag::register(signal, Arc::clone(&STOP))?;
    }
    Ok(())
}

/// Whether we were told to end.
pub fn interrupted() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Waits `duration`, or less when we are told to end.
pub fn pause(duration: Duration) -> Result<()> {
    let until = Instant::now() + duration;
    while Instant::now() < until {
        if interrupted() {
            bail!("interrupted");
        }
        thread::sleep(POLL.min(until - Instant::now()));
    }
    Ok(())
}

/// Runs `command` with our terminal and fails unless it succeeds.
pub fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("{} failed ({status})", describe(command));
    }
    Ok(())
}

/// Runs `command` with our terminal and returns how it ended.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    let mut child = spawn(command)?;
    loop {
        if let Some(status) = child.try_wait()? {
            return if interrupted() { bail!("interrupted") } else { Ok(status) };
        }
        if interrupted() {
            // A terminal has told the child as well; whoever used `kill` has told only us.
            kill_process(pid_of(&child)?, Signal::TERM).ok();
            child.wait()?;
            bail!("interrupted");
        }
        thread::sleep(POLL);
    }
}

/// Runs `command` silently and returns what it printed.
pub fn capture(command: &mut Command) -> Result<String> {
    capture_with_input(command, &[])
}

/// The same with something on its standard input: a few bytes, as they are written before anything is read.
pub fn capture_with_input(command: &mut Command, input: &[u8]) -> Result<String> {
    let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input may have closed it.
        stdin.write_all(input).ok();
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", describe(command), output.status, errors.trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs `command`, shows each line of its standard output to `line` as it comes, and returns how it ended.
pub fn stream(command: &mut Command, mut line: impl FnMut(&str) + Send) -> Result<ExitStatus> {
    let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0))?;
    let pid = pid_of(&child)?;
    let output = child.stdout.take().context("the child has no output")?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && !interrupted() {
                thread::sleep(POLL);
            }
            if interrupted() {
                kill_process_group(pid, Signal::TERM).ok();
            }
        });
        for text in BufReader::new(output).split(b'\n') {
            match text {
                Ok(text) => line(&String::from_utf8_lossy(&text)),
                Err(_) => break,
            }
        }
        let status = child.wait();
        done.store(true, Ordering::Relaxed);
        if interrupted() {
            bail!("interrupted");
        }
        Ok(status?)
    })
}

/// The command line as a person would type it, for messages.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// A program of the PATH or of the folders that a user's PATH often lacks.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("cannot run {}", describe(command)))
}

fn pid_of(child: &Child) -> Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("the child has no process id")
}

/// A process of ours in the background, in a group of its own; it is stopped when this is dropped,
/// and by the kernel should we be killed.
pub struct Background {
    name: String,
    child: Child,
    pid: Pid,
    pid_file: PathBuf,
    stop: Signal,
}

/// What a [`Background`] process needs beside its command.
pub struct BackgroundOptions<'a> {
    /// How messages call it.
    pub name: &'a str,
    /// Holds its pid file, and its log unless `output` says otherwise.
    pub folder: &'a Path,
    /// The user it runs as; ours when absent.
    pub user: Option<&'a str>,
    /// The signal that makes it end in good order.
    pub stop: Signal,
    /// Where its output goes.
    pub output: Output,
}

/// Where a background process writes.
pub enum Output {
    /// To `NAME.log` in its folder.
    Log,
    /// To our own standard output.
    Ours,
}

impl Background {
    /// Starts `command`; one that an earlier run of ours left behind in the same folder is ended first.
    pub fn start(command: &Command, options: BackgroundOptions<'_>) -> Result<Self> {
        let pid_file = options.folder.join(format!("{}.pid", options.name));
        end_left_over(&pid_file, options.name)?;
        let mut wrapped = with_death_signal(command, options.user, options.stop);
        wrapped.stdin(Stdio::null()).process_group(0);
        if matches!(options.output, Output::Log) {
            let log = File::create(options.folder.join(format!("{}.log", options.name)))?;
            wrapped.stdout(log.try_clone()?).stderr(log);
        }
        let child = spawn(&mut wrapped)?;
        let pid = pid_of(&child)?;
        std::fs::write(&pid_file, format!("{} {}\n", child.id(), started(child.id()).unwrap_or_default()))?;
        Ok(Self { name: options.name.to_owned(), child, pid, pid_file, stop: options.stop })
    }

    /// The process id, which is its group's as well.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end, and ends it after `patience`.
    pub fn stop(&mut self, patience: Duration) {
        if matches!(self.child.try_wait(), Ok(None)) {
            kill_process(self.pid, self.stop).ok();
            let until = Instant::now() + patience;
            while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
                thread::sleep(POLL);
            }
        }
        // What is left of the group goes too, were it only a grandchild.
        kill_process_group(self.pid, Signal::KILL).ok();
        self.child.wait().ok();
        std::fs::remove_file(&self.pid_file).ok();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop(Duration::from_secs(20));
    }
}

/// `command` run by util-linux's `setpriv`, which has the kernel send `signal` when we die, and changes the user.
fn with_death_signal(command: &Command, user: Option<&str>, signal: Signal) -> Command {
    let name = if signal == Signal::INT { "INT" } else { "TERM" };
    let mut wrapped = Command::new("setpriv");
    if let Some(user) = user {
        wrapped.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
    }
    wrapped.arg(format!("--pdeathsig={name}")).arg("--").arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(key, value),
            None => wrapped.env_remove(key),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

/// Ends the process that `pid_file` names, if it is still the one that was started then.
pub fn end_left_over(pid_file: &Path, name: &str) -> Result<()> {
    let Ok(text) = std::fs::read_to_string(pid_file) else { return Ok(()) };
    let mut words = text.split_whitespace();
    let id = words.next().and_then(|word| word.parse::<u32>().ok());
    let start = words.next();
    if let Some(id) = id
        && start.is_some()
        && started(id).as_deref() == start
        && let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw)
    {
        println!("ending {name} (process {id}), left over from an earlier run");
        kill_process_group(pid, Signal::TERM).ok();
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until && started(id).as_deref() == start {
            pause(POLL)?;
        }
        kill_process_group(pid, Signal::KILL).ok();
    }
    std::fs::remove_file(pid_file)?;
    Ok(())
}

/// When process `id` started, in the kernel's ticks: with the id it names a process for good.
fn started(id: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the name in brackets, which may hold anything; the 22nd is the start.
    stat.rsplit_once(") ")?.1.split(' ').nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_background_process_is_gone_after_the_drop() {
        let folder = tempfile::tempdir().unwrap();
        let options = || BackgroundOptions {
            name: "sleeper",
            folder: folder.path(),
            user: None,
            stop: Signal::TERM,
            output: Output::Log,
        };
        let process = Background::start(Command::new("sleep").arg("60"), options()).unwrap();
        let id = process.id();
        assert!(started(id).is_some());
        drop(process);
        assert!(started(id).is_none());
        assert!(!folder.path().join("sleeper.pid").exists());
    }

    #[test]
    fn lines_arrive_one_by_one_with_the_status() {
        let mut lines = Vec::new();
        let status = stream(Command::new("sh").args(["-c", "echo one; echo two; exit 3"]), |line| {
            lines.push(line.to_owned());
        });
        assert_eq!(status.unwrap().code(), Some(3));
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_pid_file_of_a_stranger_ends_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.pid");
        std::fs::write(&file, format!("{} 1\n", std::process::id())).unwrap();
        end_left_over(&file, "x").unwrap();
        assert!(!file.exists());
    }
}
