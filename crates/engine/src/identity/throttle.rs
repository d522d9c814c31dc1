//! Slows guessing: failed sign-ins are counted for the account and for the address, in the database, so that they
//! count over all instances and outlive a restart.

use crate::{Engine, EngineError};
use chrono::Duration;
use muster_model::SystemScope;
use muster_store::throttle::{Subject, add_failure, failures, forget};
use std::net::IpAddr;

/// Failures in the window after which an account waits.
pub(crate) const PER_ACCOUNT: i64 = 10;
/// Failures in the window after which an address waits; several people may share one.
pub(crate) const PER_ADDRESS: i64 = 50;
/// How long failures count.
pub(crate) const WINDOW: Duration = Duration::minutes(5);

/// Refuses where the account or the address has failed too often. The attempt counts against the account until
/// [`succeeded`] says otherwise, so that attempts made side by side count too.
pub(crate) async fn attempt(engine: &Engine, account: &str, peer: IpAddr) -> Result<(), EngineError> {
    let now = engine.clock().now();
    let (account, address) = subjects(account, peer);
    let tx = engine.store().begin_system(&SystemScope).await?;
    for (subject, limit) in [(&account, PER_ACCOUNT), (&address, PER_ADDRESS)] {
        let failed = failures(&tx, &SystemScope, subject, now).await?;
        if let Some(failed) = failed.filter(|failed| failed.count >= limit) {
            return Err(EngineError::TooMany { retry_after: (failed.until - now).to_std().unwrap_or_default() });
        }
    }
    add_failure(&tx, &SystemScope, &account, now, WINDOW).await?;
    Ok(tx.commit().await?)
}

/// Counts the failure against the address, too.
pub(crate) async fn failed(engine: &Engine, account: &str, peer: IpAddr) -> Result<(), EngineError> {
    let (_, address) = subjects(account, peer);
    let tx = engine.store().begin_system(&SystemScope).await?;
    add_failure(&tx, &SystemScope, &address, engine.clock().now(), WINDOW).await?;
    Ok(tx.commit().await?)
}

/// Forgets the account's failures.
pub(crate) async fn succeeded(engine: &Engine, account: &str, peer: IpAddr) -> Result<(), EngineError> {
    let (account, _) = subjects(account, peer);
    let tx = engine.store().begin_system(&SystemScope).await?;
    forget(&tx, &SystemScope, &account).await?;
    Ok(tx.commit().await?)
}

fn subjects(account: &str, peer: IpAddr) -> (Subject, Subject) {
    let account = account.chars().take(320).collect::<String>().to_lowercase();
    (Subject::Account(account), Subject::Address(network(peer)))
}

/// An IPv6 host has a whole /64 to send from, so that is what is counted.
fn network(peer: IpAddr) -> String {
    match peer.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0]).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_a_network_are_one_address() {
        let network = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
