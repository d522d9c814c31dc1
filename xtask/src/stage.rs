//! Says what is going on, and how long it took; on standard error, as results go to standard output.

use anyhow::Result;
use std::time::{Duration, Instant};

/// The stages of one command and their times.
#[derive(Default)]
pub struct Stages(Vec<(String, Duration)>);

impl Stages {
    /// Runs one stage under a heading; its time counts whether or not it succeeds.
    pub fn run<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("\n── {name}");
        let start = Instant::now();
        let result = work();
        self.0.push((name.to_owned(), start.elapsed()));
        result
    }

    /// Prints the minutes of each stage.
    pub fn report(&self) {
        eprintln!("\nminutes");
        for (name, time) in &self.0 {
            eprintln!("{:7.1}  {name}", time.as_secs_f64() / 60.0);
        }
        let total: Duration = self.0.iter().map(|(_, time)| *time).sum();
        eprintln!("{:7.1}  in all", total.as_secs_f64() / 60.0);
    }
}
