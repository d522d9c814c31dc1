//! What a server takes of the machine, read from `/proc`.

use anyhow::{Context, Result};
use std::{fs, time::Duration};

/// The processor time and memory of all processes in a group, and of those that its first one has started: each of
/// PostgreSQL's servers is a group of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time since their start.
    pub cpu: Duration,
    /// Resident memory that is their own: without program text, which is in the page cache anyhow.
    pub memory_bytes: u64,
    /// Open files, sockets too.
    pub files: u64,
}

impl Usage {
    /// Of the processes in `group`, and of those that its first one has started, now.
    pub fn of_group(group: u32) -> Result<Self> {
        let ticks = rustix::param::clock_ticks_per_second();
        let mut usage = Self::default();
        let mut seen = false;
        for entry in fs::read_dir("/proc")?.flatten() {
            // One that ends while we look is no longer of interest.
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let Some(process) = Stat::read(&stat).filter(|process| process.group == group || process.parent == group)
            else {
                continue;
            };
            seen = true;
            usage.cpu += Duration::from_secs_f64(process.ticks as f64 / ticks as f64);
            usage.files += fs::read_dir(entry.path().join("fd")).map_or(0, |files| files.count() as u64);
            usage.memory_bytes +=
                fs::read_to_string(entry.path().join("status")).map_or(0, |status| own_memory(&status));
        }
        seen.then_some(usage).with_context(|| format!("no process in group {group}"))
    }
}

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    group: u32,
    ticks: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The second field is the name in brackets, which may hold anything; what follows is counted from the third.
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let process = |field| u32::try_from(number(field)?).ok();
        Some(Self { parent: process(4)?, group: process(5)?, ticks: number(14)? + number(15)? })
    }
}

/// `RssAnon` of `/proc/PID/status` in bytes; a process that has just ended has none.
fn own_memory(status: &str) -> u64 {
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
    kibibytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel() {
        let line = "7 (a ) b) S 1 5 5 0 -1 4194560 1 2 3 4 30 12 7 8 20 0 1 0 99 1000 250 18446744073709551615";
        assert_eq!(Stat::read(line), Some(Stat { parent: 1, group: 5, ticks: 42 }));
        assert_eq!(Stat::read("7 (a) S 1"), None);
        assert_eq!(own_memory("Name:\ta\nRssAnon:\t     250 kB\nRssFile:\t 1 kB\n"), 256_000);
        assert_eq!(own_memory("Name:\ta\n"), 0);
    }

    #[test]
    fn our_own_group_uses_something() {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let usage = Usage::of_group(Stat::read(&stat).unwrap().group).unwrap();
        assert!(usage.memory_bytes > 0);
        assert!(Usage::of_group(u32::MAX).is_err());
    }
}
