//! The hub's names: one for all tenants (`hub.host`), or `{tenant}.{hub.host}` for each of them (`hub.tenant_hosts`).

use crate::{Engine, EngineConfig, EngineError};
use muster_model::{SystemScope, TenantId, TenantKey};
use muster_store::{MAX_PAGE, Paging, tenants};

/// Names of tenants in the server's certificate: with more of them it no longer fits where clients keep it.
const MAX_NAMES: usize = 1_000;

/// Whose devices and services connect to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// No hub has this name.
    Nobodys,
    /// Everybody's: what they show tells them apart.
    Shared,
    /// One tenant's.
    Tenant(TenantKey),
}

impl EngineConfig {
    /// The host that a tenant's devices and services connect to.
    pub fn host_of(&self, tenant: &TenantId) -> String {
        if self.tenant_hosts { format!("{tenant}.{}", self.hub_host) } else { self.hub_host.clone() }
    }

    /// Whether a hub may have this name, the one above all tenants' included.
    pub fn is_hub(&self, host: &str) -> bool {
        host.eq_ignore_ascii_case(&self.hub_host) || self.tenant_in(host).is_some()
    }

    /// Whether the tenant's devices and services connect to this host.
    pub fn is_host_of(&self, host: &str, tenant: &TenantId) -> bool {
        host.eq_ignore_ascii_case(&self.host_of(tenant))
    }

    fn tenant_in(&self, host: &str) -> Option<TenantId> {
        let (tenant, rest) = host.split_once('.').filter(|_| self.tenant_hosts)?;
        TenantId::parse(tenant.to_ascii_lowercase()).ok().filter(|_| rest.eq_ignore_ascii_case(&self.hub_host))
    }
}

/// Whose hub has this name, given without a port.
pub(crate) async fn whose(engine: &Engine, host: &str) -> Result<Whose, EngineError> {
    let config = engine.config();
    if !config.tenant_hosts {
        let shared = host.eq_ignore_ascii_case(&config.hub_host);
        return Ok(if shared { Whose::Shared } else { Whose::Nobodys });
    }
    let Some(tenant) = config.tenant_in(host) else { return Ok(Whose::Nobodys) };
    Ok(engine.credentials().tenant(engine, &tenant).await?.map_or(Whose::Nobodys, Whose::Tenant))
}

/// The hosts of all tenants, in the order of their ids; none where they share one.
pub(crate) async fn of_tenants(engine: &Engine) -> Result<Vec<String>, EngineError> {
    let (mut hosts, mut after) = (Vec::new(), None);
    while engine.config().tenant_hosts {
        let tx = engine.store().begin_system_read(&SystemScope).await?;
        let page = tenants::list(&tx, &SystemScope, Paging { after, limit: MAX_PAGE }).await?;
        drop(tx);
        hosts.extend(page.items.iter().map(|tenant| engine.config().host_of(&tenant.id).to_ascii_lowercase()));
        if hosts.len() > MAX_NAMES {
            tracing::error!("more than {MAX_NAMES} tenants have a hub host: the others are not in the certificate");
            hosts.truncate(MAX_NAMES);
            break;
        }
        after = page.items.into_iter().last().map(|tenant| tenant.id);
        if !page.more {
            break;
        }
    }
    Ok(hosts)
}
