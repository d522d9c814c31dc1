//! How many tests passed, failed and were skipped, read from what test runners say.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::{fmt, ops::AddAssign};

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Did what they should.
    pub passed: u64,
    /// Did not.
    pub failed: u64,
    /// Did not run, for want of something.
    pub skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Reads `cargo test -- --show-output` line by line.
///
/// A test that cannot run for want of a server says `skipped: NAME: REASON` and returns, which the harness takes for
/// passed; that is why the output of passed tests is read, and all but those lines left out.
#[derive(Default)]
pub struct CargoTest {
    counts: Counts,
    skips: u64,
    in_successes: bool,
}

impl CargoTest {
    /// Takes in a line; says whether a person wants to see it.
    pub fn line(&mut self, line: &str) -> bool {
        if line.starts_with("skipped: ") {
            self.skips += 1;
            return true;
        }
        if line == "successes:" {
            self.in_successes = true;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.in_successes = false;
        }
        if let Some(counts) = test_result(line) {
            self.counts += counts;
        }
        !self.in_successes
    }

    /// The sum.
    pub fn counts(&self) -> Counts {
        let Counts { passed, failed, skipped } = self.counts;
        Counts { passed: passed.saturating_sub(self.skips), failed, skipped: skipped + self.skips }
    }
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn test_result(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |name: &str| {
        let part = numbers.split("; ").find_map(|part| part.strip_suffix(name))?;
        part.trim().parse::<u64>().ok()
    };
    Some(Counts { passed: number("passed")?, failed: number("failed")?, skipped: number("ignored")? })
}

/// Reads Playwright's JSON report.
pub fn playwright(report: &str) -> Result<Counts> {
    #[derive(Deserialize)]
    struct Report {
        stats: Stats,
    }
    #[derive(Deserialize)]
    struct Stats {
        expected: u64,
        unexpected: u64,
        flaky: u64,
        skipped: u64,
    }
    let Report { stats } = serde_json::from_str(report).context("cannot read the report of Playwright")?;
    // One that passed only when tried again has failed.
    Ok(Counts { passed: stats.expected, failed: stats.unexpected + stats.flaky, skipped: stats.skipped })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 3 tests
test tests::one ... ok
test tests::two ... ok
test tests::three ... FAILED

successes:

---- tests::one stdout ----
skipped: tests::one: no MUSTER_TEST_POSTGRES

---- tests::two stdout ----
chatter

successes:
    tests::one
    tests::two

failures:

---- tests::three stdout ----
panicked

failures:
    tests::three

test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 1 test
test result: ok. 10 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.00s";

    #[test]
    fn cargo_tests_are_summed_and_skips_are_not_passes() {
        let mut reader = CargoTest::default();
        let shown: Vec<&str> = OUTPUT.lines().filter(|line| reader.line(line)).collect();
        assert_eq!(reader.counts(), Counts { passed: 11, failed: 1, skipped: 5 });
        assert!(shown.contains(&"skipped: tests::one: no MUSTER_TEST_POSTGRES"));
        assert!(shown.contains(&"panicked") && !shown.contains(&"chatter"));
    }

    #[test]
    fn other_lines_are_no_results() {
        for line in ["", "test result: ", "test result: ok.", "test result: ok. x passed; 0 failed; 0 ignored"] {
            assert_eq!(test_result(line), None, "{line}");
        }
    }

    #[test]
    fn playwright_flakes_are_failures() {
        let report = r#"{"config":{},"stats":{"duration":1.5,"expected":7,"skipped":1,"unexpected":2,"flaky":1}}"#;
        assert_eq!(playwright(report).unwrap(), Counts { passed: 7, failed: 3, skipped: 1 });
        assert!(playwright("{}").is_err());
    }

    #[test]
    fn the_closing_line() {
        let counts = Counts { passed: 3, failed: 0, skipped: 1 };
        assert_eq!(counts.to_string(), "3 passed, 0 failed, 1 skipped");
    }
}
