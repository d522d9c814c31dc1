//! The hub's certificate while the process runs: obtained, copied to the data folder, and renewed in time.

use anyhow::Context;
use chrono::{DateTime, Utc};
use muster_engine::{
    Engine,
    certificates::{self, HubTls},
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
    renew_at: Mutex<Option<DateTime<Utc>>>,
    folder: PathBuf,
}

impl Certificates {
    /// The certificate as it stands, or a new one; a copy for people and scripts is in `tls/` of the data folder.
    pub(crate) async fn obtain(engine: &Engine, data_dir: &Path) -> anyhow::Result<Self> {
        let tls = certificates::hub_tls(engine).await.context("the hub's certificate")?;
        let folder = data_dir.join("tls");
        export(&folder, &tls)?;
        let hub = ServerCertificate::new(&tls.chain_pem, &tls.key_pem).context("the hub's certificate")?;
        Ok(Self(Arc::new(Inner { hub, renew_at: Mutex::new(tls.renew_at), folder })))
    }

    /// What the hub's listeners show.
    pub(crate) fn hub(&self) -> &ServerCertificate {
        &self.0.hub
    }

    /// Issues the certificate anew where its time has come, or takes the one that another instance has issued.
    pub(crate) async fn renew(&self, engine: &Engine) -> anyhow::Result<()> {
        if self.renew_at().is_none_or(|at| engine.clock().now() < at) {
            return Ok(());
        }
        let tls = certificates::hub_tls(engine).await.context("the hub's certificate")?;
        self.0.hub.replace(&tls).context("the hub's certificate")?;
        export(&self.0.folder, &tls)?;
        *self.0.renew_at.lock().unwrap_or_else(PoisonError::into_inner) = tls.renew_at;
        tracing::info!("the hub shows its new certificate");
        Ok(())
    }

    /// Renews in time until the engine stops.
    pub(crate) async fn keep_renewed(self, engine: Engine) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while engine.stop().run_until_cancelled(every.tick()).await.is_some() {
            if let Err(error) = self.renew(&engine).await {
                tracing::error!(error = format!("{error:#}"), "the hub's certificate was not renewed, will try again");
            }
        }
    }

    fn renew_at(&self) -> Option<DateTime<Utc>> {
        *self.0.renew_at.lock().unwrap_or_else(PoisonError::into_inner)
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
