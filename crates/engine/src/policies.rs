//! The policies by which back-end services, and tools that may stand in for any device, prove themselves to the hub
//! (`iot-hub-wire.md` §1, §6). Every tenant has the same six, with two keys each.

use crate::{
    Engine, EngineError,
    audit::{self, Entry},
    hosts::{self, Whose},
    notices::NoticeKind,
    provisioning::random_keys,
    secrets::symmetric_key,
};
use muster_model::{Caller, Permission, Scope, SystemScope, TenantId, TenantKey, device::SymmetricKeys, wire::sas};
use muster_store::{MAX_PAGE, Paging, Tx, secrets, tenants};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// Under a shared host a service does not say whose it is, so its token is tried with the keys of every tenant.
/// Beyond this number that is no longer cheap.
const MAX_TENANTS: usize = 2_000;

/// A policy's name, as tokens carry it in `skn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Policy {
    /// Everything at the hub.
    #[serde(rename = "iothubowner")]
    IotHubOwner,
    /// Talk to devices: twins, methods, messages, events.
    Service,
    /// Be any device.
    Device,
    /// Read the registry.
    RegistryRead,
    /// Read and change the registry.
    RegistryReadWrite,
    /// Everything at the provisioning service.
    #[serde(rename = "provisioningserviceowner")]
    ProvisioningServiceOwner,
}

/// What a policy lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Read device identities.
    RegistryRead,
    /// Make, change and delete device identities.
    RegistryWrite,
    /// Talk to devices.
    ServiceConnect,
    /// Connect in a device's place.
    DeviceConnect,
    /// Manage enrollments and registrations.
    Provisioning,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 6] = [
        Self::IotHubOwner,
        Self::Service,
        Self::Device,
        Self::RegistryRead,
        Self::RegistryReadWrite,
        Self::ProvisioningServiceOwner,
    ];

    /// Its name in tokens and connection strings.
    pub fn name(self) -> &'static str {
        match self {
            Self::IotHubOwner => "iothubowner",
            Self::Service => "service",
            Self::Device => "device",
            Self::RegistryRead => "registryRead",
            Self::RegistryReadWrite => "registryReadWrite",
            Self::ProvisioningServiceOwner => "provisioningserviceowner",
        }
    }

    /// The policy of this name; names have no case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name().eq_ignore_ascii_case(name))
    }

    /// Whether its holder has the right.
    pub fn grants(self, right: Right) -> bool {
        match self {
            Self::IotHubOwner => right != Right::Provisioning,
            Self::Service => right == Right::ServiceConnect,
            Self::Device => right == Right::DeviceConnect,
            Self::RegistryRead => right == Right::RegistryRead,
            Self::RegistryReadWrite => matches!(right, Right::RegistryRead | Right::RegistryWrite),
            Self::ProvisioningServiceOwner => right == Right::Provisioning,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A service that has proven which policy it holds.
#[derive(Debug, Clone)]
pub struct PolicyCaller {
    /// The tenant whose policy it is.
    pub scope: Scope,
    /// That tenant's id.
    pub tenant: TenantId,
    /// The policy.
    pub policy: Policy,
}

impl PolicyCaller {
    /// Whether the caller has the right.
    pub fn has(&self, right: Right) -> bool {
        self.policy.grants(right)
    }

    /// The caller of use cases, once the right is checked: in the audit log it is called by its policy.
    pub fn caller(&self) -> Caller {
        Caller::system(self.scope.clone(), self.tenant.clone(), &format!("policy {}", self.policy))
    }
}

/// Why a service is not let in.
#[derive(Debug, thiserror::Error)]
pub enum PolicyRefused {
    /// Wrong host, bad or expired token, unknown policy or key: the caller is told no more than that.
    #[error("service refused: {reason}")]
    BadCredential {
        /// Why, for the log and the operator.
        reason: &'static str,
    },
    /// Something that Muster depends on does not answer: the caller should try again.
    #[error("service cannot be checked now")]
    Unavailable(#[from] EngineError),
}

/// The keys of a tenant's policies.
pub type PolicyKeys = BTreeMap<Policy, SymmetricKeys>;

/// A tenant's keys, opened.
pub(crate) struct Known {
    tenant: TenantKey,
    tenant_id: TenantId,
    keys: PolicyKeys,
}

/// Checks which policy's key has signed the token of an `Authorization` header. `host` is the name that the request
/// was sent to, with or without its port.
///
/// # Errors
/// [`PolicyRefused`].
pub async fn authenticate(engine: &Engine, host: &str, authorization: &str) -> Result<PolicyCaller, PolicyRefused> {
    let refused = |reason| PolicyRefused::BadCredential { reason };
    let token = sas::Token::parse(authorization).map_err(|_| refused("the header holds no token"))?;
    if token.expired(engine.clock().now()) {
        return Err(refused("the token has expired"));
    }
    let host = sas::without_port(host);
    if !token.covers_hub(host) {
        return Err(refused("the token is for another hub"));
    }
    let name = token.skn.as_deref().ok_or_else(|| refused("the token names no policy"))?;
    let policy = Policy::from_name(name).ok_or_else(|| refused("there is no such policy"))?;
    // The provisioning service has one name for all tenants, whatever their hubs are called.
    let shared = policy == Policy::ProvisioningServiceOwner && host.eq_ignore_ascii_case(&engine.config().hub_host);
    let tenant = match hosts::whose(engine, host).await? {
        Whose::Tenant(tenant) => Some(tenant),
        Whose::Nobodys if !shared => return Err(refused("the request is for another hub")),
        Whose::Shared | Whose::Nobodys => None,
    };
    let known = engine.credentials().policies(engine, tenant).await?;
    let mut matching = known.iter().filter(|known| known.signed(policy, &token));
    let (Some(known), None) = (matching.next(), matching.next()) else {
        return Err(refused("no tenant's policy has this key"));
    };
    Ok(PolicyCaller { scope: Scope { tenant: known.tenant }, tenant: known.tenant_id.clone(), policy })
}

/// The keys of the tenant's policies.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn keys(engine: &Engine, caller: &Caller) -> Result<PolicyKeys, EngineError> {
    caller.require(Permission::TenantManage)?;
    of_tenant(engine, caller.scope.tenant).await
}

/// One of a policy's two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySlot {
    /// The key in use.
    Primary,
    /// The second key, for rolling.
    Secondary,
}

impl KeySlot {
    fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

/// Replaces one key of a policy; whoever proved themselves with it is let in no more, and connections that stand on it are
/// ended. Returns both keys as they are now.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn regenerate(
    engine: &Engine,
    caller: &Caller,
    policy: Policy,
    slot: KeySlot,
) -> Result<SymmetricKeys, EngineError> {
    caller.require(Permission::TenantManage)?;
    let tenant = caller.scope.tenant;
    // An older tenant may have none yet.
    of_tenant(engine, tenant).await?;
    let tx = engine.store().begin_system(&SystemScope).await?;
    let sealed = secrets::lock(&tx, &SystemScope, &place(tenant)).await?;
    let mut all: PolicyKeys = engine.open(&place(tenant), &sealed)?;
    let keys = all.get_mut(&policy).ok_or_else(|| EngineError::not_found("policy", policy))?;
    match slot {
        KeySlot::Primary => keys.primary_key = symmetric_key()?,
        KeySlot::Secondary => keys.secondary_key = symmetric_key()?,
    }
    let keys = keys.clone();
    let sealed = engine.seal(&place(tenant), &all)?;
    secrets::put(&tx, &SystemScope, &place(tenant), &sealed, engine.clock().now()).await?;
    let details = Map::from_iter([("key".to_owned(), json!(slot.name()))]);
    audit::record(&tx, engine, caller, Entry::new("regenerated", "policy", policy).with(details)).await?;
    tx.commit().await?;
    engine.notify(tenant, NoticeKind::Tenant, "policies").await;
    Ok(keys)
}

/// Tells a policy's key from others in this process, and is no way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyMark(u64);

impl KeyMark {
    fn of(policy: Policy, key: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (policy, key).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The marks of all keys that the tenant's policies have now.
///
/// # Errors
/// [`EngineError::Unavailable`].
pub async fn standing(engine: &Engine, tenant: TenantKey) -> Result<Vec<KeyMark>, EngineError> {
    let all = of_tenant(engine, tenant).await?;
    let marks = all.iter().flat_map(|(policy, SymmetricKeys { primary_key, secondary_key })| {
        [KeyMark::of(*policy, primary_key), KeyMark::of(*policy, secondary_key)]
    });
    Ok(marks.collect())
}

/// What a service is configured with to hold the policy.
pub fn connection_string(engine: &Engine, tenant: &TenantId, policy: Policy, key: &str) -> String {
    let host = engine.config().host_of(tenant);
    format!("HostName={host};SharedAccessKeyName={policy};SharedAccessKey={key}")
}

/// The connection strings of all policies, by their names, with their primary keys.
pub(crate) fn connection_strings(
    engine: &Engine,
    tenant: &TenantId,
    keys: &PolicyKeys,
) -> BTreeMap<&'static str, String> {
    let string = |policy, keys: &SymmetricKeys| connection_string(engine, tenant, policy, &keys.primary_key);
    keys.iter().map(|(policy, keys)| (policy.name(), string(*policy, keys))).collect()
}

/// The keys of a tenant; made where it is older than they are.
pub(crate) async fn of_tenant(engine: &Engine, tenant: TenantKey) -> Result<PolicyKeys, EngineError> {
    let found = {
        let tx = engine.store().begin_system_read(&SystemScope).await?;
        secrets::find(&tx, &SystemScope, &place(tenant)).await?
    };
    match found {
        Some(sealed) => engine.open(&place(tenant), &sealed),
        None => {
            let tx = engine.store().begin_system(&SystemScope).await?;
            let keys = make(&tx, engine, tenant).await?;
            tx.commit().await?;
            engine.notify(tenant, NoticeKind::Tenant, "policies").await;
            Ok(keys)
        }
    }
}

/// Makes the keys of a tenant, unless somebody else was faster.
pub(crate) async fn make(tx: &Tx, engine: &Engine, tenant: TenantKey) -> Result<PolicyKeys, EngineError> {
    let keys =
        Policy::ALL.into_iter().map(|policy| Ok((policy, random_keys()?))).collect::<Result<_, EngineError>>()?;
    let keys: PolicyKeys = keys;
    let sealed = engine.seal(&place(tenant), &keys)?;
    let stands = secrets::insert_if_absent(tx, &SystemScope, &place(tenant), &sealed, engine.clock().now()).await?;
    engine.open(&place(tenant), &stands)
}

/// The keys of one tenant.
pub(crate) async fn one(engine: &Engine, tenant: TenantKey) -> Result<Arc<[Known]>, EngineError> {
    let keys = of_tenant(engine, tenant).await?;
    let scope = Scope { tenant };
    let tx = engine.store().begin_read(&scope).await?;
    let tenant_id = tenants::get(&tx, &scope).await?.id;
    Ok(Arc::from([Known { tenant, tenant_id, keys }]))
}

/// The keys of all tenants.
pub(crate) async fn all(engine: &Engine) -> Result<Arc<[Known]>, EngineError> {
    let (mut known, mut after) = (Vec::new(), None);
    loop {
        let page = {
            let tx = engine.store().begin_system_read(&SystemScope).await?;
            tenants::list(&tx, &SystemScope, Paging { after, limit: MAX_PAGE }).await?
        };
        after = page.items.last().map(|tenant| tenant.id.clone());
        let places: Vec<_> = page.items.iter().map(|tenant| place(tenant.key)).collect();
        let mut found = {
            let tx = engine.store().begin_system_read(&SystemScope).await?;
            secrets::find_all(&tx, &SystemScope, &places).await?
        };
        for tenant in page.items {
            let keys = match found.remove(&place(tenant.key)) {
                Some(sealed) => engine.open(&place(tenant.key), &sealed)?,
                None => of_tenant(engine, tenant.key).await?,
            };
            known.push(Known { tenant: tenant.key, tenant_id: tenant.id, keys });
        }
        if !page.more {
            return Ok(known.into());
        }
        if known.len() >= MAX_TENANTS {
            tracing::warn!("more than {MAX_TENANTS} tenants share one hub host: services of the others cannot connect");
            return Ok(known.into());
        }
    }
}

impl Known {
    /// Whether the token was signed with a key of the policy.
    pub(crate) fn signed(&self, policy: Policy, token: &sas::Token) -> bool {
        self.signed_by(policy, token).is_some()
    }

    /// The key of the policy that the token was signed with.
    pub(crate) fn signed_by(&self, policy: Policy, token: &sas::Token) -> Option<KeyMark> {
        let SymmetricKeys { primary_key, secondary_key } = self.keys.get(&policy)?;
        // Both are tried always, so that the time does not tell which one it was.
        match (token.verify(primary_key), token.verify(secondary_key)) {
            (true, _) => Some(KeyMark::of(policy, primary_key)),
            (_, true) => Some(KeyMark::of(policy, secondary_key)),
            _ => None,
        }
    }
}

fn place(tenant: TenantKey) -> String {
    format!("hub-policies/{tenant}")
}
