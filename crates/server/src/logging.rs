//! The log: text for people or JSON lines, on standard error.

use crate::config::{Log, LogFormat};
use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Starts logging.
///
/// # Errors
/// Where the filter cannot be read.
pub fn start(log: &Log) -> anyhow::Result<()> {
    // A push that finds nobody is the bus's to deal with, and what it says is not for logs.
    let directives = format!("lapin::returned_messages=error,{}", log.filter);
    let filter = EnvFilter::try_new(directives).with_context(|| format!("MUSTER__LOG__FILTER '{}'", log.filter))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log could not be started: {error}"))
}
