//! The hub's certificate while the process runs: obtained, copied to the data folder, and renewed in time.

use anyhow::Context;
use chrono::{DateTime, Utc};
use muster_engine::{
    Engine,
    certificates::{self, HubTls},
    notices::{Listener, NoticeKind},
};
use muster_hub::ServerCertificate;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often it is asked whether the time has come.
const EVERY: Duration = Duration::from_secs(60);

/// The hub's certificate. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Certificates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hub: ServerCertificate,
    /// Which one it is, and when its time has come.
    shown: Mutex<(String, Option<DateTime<Utc>>)>,
    folder: PathBuf,
}

impl Certificates {
    /// The certificate as it stands, or a new one; a copy for people and scripts is in `tls/` of the data folder.
    pub(crate) async fn obtain(engine: &Engine, data_dir: &Path) -> anyhow::Result<Self> {
        let tls = certificates::hub_tls(engine).await.context("the hub's certificate")?;
        let folder = data_dir.join("tls");
        export(&folder, &tls)?;
        let hub = ServerCertificate::new(&tls.chain_pem, &tls.key_pem).context("the hub's certificate")?;
        Ok(Self(Arc::new(Inner { hub, shown: Mutex::new((tls.chain_pem, tls.renew_at)), folder })))
    }

    /// What the hub's listeners show.
    pub(crate) fn hub(&self) -> &ServerCertificate {
        &self.0.hub
    }

    /// Issues the certificate anew where its time or a name has come, or takes the one that another instance has
    /// issued.
    pub(crate) async fn renew(&self, engine: &Engine) -> anyhow::Result<()> {
        let (shown, renew_at) = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_due = renew_at.is_some_and(|at| engine.config().tenant_hosts || engine.clock().now() >= at);
        if !is_due {
            return Ok(());
        }
        let tls = certificates::hub_tls(engine).await.context("the hub's certificate")?;
        if tls.chain_pem == shown {
            return Ok(());
        }
        self.0.hub.replace(&tls).context("the hub's certificate")?;
        export(&self.0.folder, &tls)?;
        *self.0.shown.lock().unwrap_or_else(PoisonError::into_inner) = (tls.chain_pem, tls.renew_at);
        tracing::info!("the hub shows its new certificate");
        Ok(())
    }

    /// Renews in time, and when a tenant is made, until the engine stops.
    pub(crate) async fn keep_renewed(self, engine: Engine) {
        let mut notices = engine.notices().listen();
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while engine.stop().run_until_cancelled(due(&mut every, &mut notices)).await.is_some() {
            if let Err(error) = self.renew(&engine).await {
                tracing::error!(error = format!("{error:#}"), "the hub's certificate was not renewed, will try again");
            }
        }
    }
}

/// Waits until the certificate is to be looked at.
async fn due(every: &mut tokio::time::Interval, notices: &mut Listener) {
    loop {
        tokio::select! {
            _ = every.tick() => return,
            notice = notices.next() => match notice {
                Some(notice) if matches!(notice.kind, NoticeKind::Tenant | NoticeKind::All) => return,
                Some(_) => {}
                // The process ends, and this with it.
                None => std::future::pending().await,
            },
        }
    }
}

/// Writes each file whole or not at all.
fn export(folder: &Path, tls: &HubTls) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, pem) in [("ca.pem", &tls.ca_pem), ("server.pem", &tls.chain_pem)] {
        let (temporary, file) = (folder.join(format!("{name}.new")), folder.join(name));
        std::fs::write(&temporary, pem)?;
        std::fs::rename(&temporary, &file).with_context(|| format!("certificate file {}", file.display()))?;
    }
    Ok(())
}
