//! Takes due work and does it.

use super::{AlertMail, MailError, Mailer, Work};
use crate::{Engine, EngineError, outbound::OutboundError};
use chrono::{DateTime, Duration as Span, Utc};
use futures::{StreamExt, stream};
use muster_model::{DeviceId, Scope, SystemScope, TenantKey};
use muster_store::{
    StoreError, devices, outbox,
    telemetry::{self, HistoryQuery},
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Work taken at a time, and done at the same time.
const AT_ONCE: usize = 16;
/// A runner that died gives its work back after this long; longer than any call may take.
const LEASE: Span = Span::minutes(3);
/// Tries before work is given up: about half a day, with the waits of [`backoff`].
const MAX_ATTEMPTS: i32 = 15;
/// How often the outbox is looked at where nothing says when the next work is due.
const IDLE: Duration = Duration::from_secs(1);
/// How far back an e-mail's picture looks: an hour, or, where that shows no line because the device is new, a minute.
const PICTURE_MS: [i64; 2] = [60 * 60 * 1000, 60 * 1000];

/// What became of one try.
enum Outcome {
    Done,
    Later { error: String, at_least: Option<Duration> },
    Never { error: String },
}

/// Does work until `stop`.
pub async fn run(engine: Engine, stop: CancellationToken) {
    loop {
        let found = match run_due(&engine).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read");
                0
            }
        };
        if found > 0 {
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(IDLE) => {}
        }
    }
}

/// Does what is due now; how much it was.
///
/// # Errors
/// Where the database does not answer. The work's own failures are recorded with it.
pub async fn run_due(engine: &Engine) -> Result<usize, EngineError> {
    let now = engine.clock().now();
    let tx = engine.store().begin_system(&SystemScope).await?;
    let due = outbox::claim_due(&tx, &SystemScope, now, now + LEASE, AT_ONCE as u32).await?;
    tx.commit().await?;
    let found = due.len();
    let mut settled = stream::iter(due).map(|work| settle(engine, work)).buffer_unordered(AT_ONCE);
    while let Some(result) = settled.next().await {
        result?;
    }
    Ok(found)
}

async fn settle(engine: &Engine, work: outbox::Work) -> Result<(), EngineError> {
    let outcome = match serde_json::from_value::<Work>(work.payload.clone()) {
        Ok(payload) => attempt(engine, work.tenant, payload).await,
        Err(error) => Outcome::Never { error: format!("the work cannot be read: {error}") },
    };
    let tx = engine.store().begin_system(&SystemScope).await?;
    match outcome {
        Outcome::Done => outbox::complete(&tx, &SystemScope, work.id).await?,
        Outcome::Later { error, at_least } if work.attempts < MAX_ATTEMPTS => {
            tracing::info!(work.id = %work.id, work.kind, attempt = work.attempts, %error, "outgoing work failed, trying again later");
            let due_at = retry_at(engine.clock().now(), work.attempts, at_least);
            outbox::retry(&tx, &SystemScope, work.id, due_at, &error).await?;
        }
        Outcome::Later { error, .. } | Outcome::Never { error } => {
            tracing::warn!(work.id = %work.id, work.kind, attempt = work.attempts, %error, "outgoing work was given up");
            outbox::bury(&tx, &SystemScope, work.id, &error).await?;
        }
    }
    Ok(tx.commit().await?)
}

async fn attempt(engine: &Engine, tenant: TenantKey, work: Work) -> Outcome {
    match work {
        Work::Email { to, alert, note } => {
            let Some(smtp) = &engine.config().smtp else {
                return Outcome::Never { error: "no mail server is configured (MUSTER__SMTP__URL)".into() };
            };
            let points = match picture_points(engine, tenant, &alert).await {
                Ok(points) => points,
                Err(error) => return Outcome::Later { error: error.to_string(), at_least: None },
            };
            let mail = AlertMail { facts: &alert, note: &note, points };
            match async { Mailer::new(smtp)?.send(&to, mail).await }.await {
                Ok(()) => Outcome::Done,
                Err(error @ MailError::Unavailable(_)) => Outcome::Later { error: error.to_string(), at_least: None },
                Err(error) => Outcome::Never { error: error.to_string() },
            }
        }
        Work::Webhook { url, body } => call_webhook(engine, &url, &body).await,
        Work::UnreadableBatch { .. } => Outcome::Never { error: "a batch of messages could not be read".into() },
    }
}

async fn call_webhook(engine: &Engine, url: &str, body: &serde_json::Value) -> Outcome {
    match engine.outbound().post_json(url, body.to_string().into_bytes()).await {
        Ok(answer) if (200..300).contains(&answer.status) => Outcome::Done,
        Ok(answer) => {
            let error = format!("the webhook answered {}", answer.status);
            match answer.status {
                408 | 425 | 429 | 500.. => {
                    Outcome::Later { error, at_least: answer.retry_after.map(|s| Duration::from_secs(s.min(3600))) }
                }
                _ => Outcome::Never { error },
            }
        }
        Err(error @ OutboundError::Failed { .. }) => Outcome::Later { error: error.to_string(), at_least: None },
        Err(error) => Outcome::Never { error: error.to_string() },
    }
}

/// The first watched telemetry before the alert. A device that is gone has no picture.
async fn picture_points(
    engine: &Engine,
    tenant: TenantKey,
    alert: &super::AlertFacts,
) -> Result<Vec<(i64, Option<f64>)>, StoreError> {
    let (Some(watched), Ok(device_id)) = (alert.telemetry.first(), DeviceId::parse(alert.device_id.as_str())) else {
        return Ok(Vec::new());
    };
    let scope = Scope { tenant };
    let tx = engine.store().begin_read(&scope).await?;
    let Some(device) = devices::find(&tx, &scope, &device_id).await? else { return Ok(Vec::new()) };
    let mut points = Vec::new();
    for span_ms in PICTURE_MS {
        let query = HistoryQuery {
            device: device.key,
            keys: vec![watched.key.clone()],
            from_ms: alert.opened_ms - span_ms,
            to_ms: alert.opened_ms + 1000,
            buckets: 600,
        };
        let series = telemetry::history(&tx, &scope, &query).await?;
        points =
            series.into_iter().flat_map(|series| series.points).map(|point| (point.ts_ms, Some(point.avg))).collect();
        if points.len() > 1 {
            break;
        }
    }
    Ok(points)
}

fn retry_at(now: DateTime<Utc>, attempts: i32, at_least: Option<Duration>) -> DateTime<Utc> {
    let wait = backoff(attempts, rand::random::<f64>()).max(at_least.unwrap_or_default());
    now + Span::from_std(wait).unwrap_or(Span::hours(4))
}

/// 5 s, 10 s, 20 s … to 4 h, less up to a quarter so that failures do not come back in step.
fn backoff(attempts: i32, random: f64) -> Duration {
    let doubled = 5.0 * 2f64.powi(attempts.clamp(1, 30) - 1);
    Duration::from_secs_f64(doubled.min(4.0 * 3600.0) * (1.0 - random * 0.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_to_four_hours() {
        assert_eq!(backoff(1, 0.0), Duration::from_secs(5));
        assert_eq!(backoff(3, 0.0), Duration::from_secs(20));
        assert_eq!(backoff(15, 0.0), Duration::from_secs(4 * 3600));
        assert_eq!(backoff(1000, 1.0), Duration::from_secs(3 * 3600));
        let day: f64 = (1..MAX_ATTEMPTS).map(|attempt| backoff(attempt, 0.5).as_secs_f64()).sum();
        assert!((8.0 * 3600.0..24.0 * 3600.0).contains(&day), "{day}");
    }
}
