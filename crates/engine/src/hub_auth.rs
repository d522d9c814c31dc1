//! Which device connects: its SAS token or certificate is checked against the candidates of all tenants, and its
//! session is kept.

use crate::{
    Engine, EngineError,
    authentication::X509,
    authorities, devices,
    events::failures,
    hosts::{self, Whose},
    notices::{MAX_STALENESS, Notice, NoticeKind},
    policies::{self, KeyMark, Policy, Right},
    provisioning,
    refusal::Refusal,
    x509,
};
use chrono::{DateTime, Utc};
use metrics::counter;
use moka::future::Cache;
use muster_model::{
    Address, DeviceId, DeviceKey, ModuleId, Scope, SystemScope, TemplateId, TenantId, TenantKey, batch::Auth,
    device::SymmetricKeys, event::FailureCode, wire::sas,
};
pub use muster_store::hub_sessions::Subscribed;
use muster_store::{devices as stored, hub_sessions, tenants};
use rustls::pki_types::CertificateDer;
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Tenants that may have a device of the same id; the token is tried with each of their keys.
const MAX_CANDIDATES: u32 = 16;
/// Device ids whose keys are kept opened.
const CACHED_DEVICES: u64 = 20_000;
/// Tenants whose certificate authorities are kept.
const CACHED_TENANTS: u64 = 1_000;

/// What a device says of itself in its CONNECT.
#[derive(Clone, Copy)]
pub struct Connect<'a> {
    /// The hub's name in the username.
    pub host: &'a str,
    /// The device.
    pub device: &'a DeviceId,
    /// The module, if it is one.
    pub module: Option<&'a ModuleId>,
    /// The SAS token.
    pub password: Option<&'a str>,
    /// The model that the device says it follows.
    pub model_id: Option<&'a str>,
    /// The client library, for diagnosis.
    pub client_type: Option<&'a str>,
    /// Where it connects from.
    pub peer: IpAddr,
    /// The certificates that it has shown: its own, whose key it has proven to have, then those above it.
    pub chain: &'a [CertificateDer<'static>],
}

impl std::fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("host", &self.host)
            .field("device", &self.device)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// A device, or a module of one, that has proven who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSession {
    /// Its tenant.
    pub tenant: TenantKey,
    /// Its tenant's id in addresses.
    pub tenant_id: TenantId,
    /// Its number: the device's, or the module's own.
    pub device: DeviceKey,
    /// The device's id.
    pub device_id: DeviceId,
    /// The module that it is, if it is one.
    pub module: Option<ModuleId>,
    /// The number of the device that its telemetry is of: a module's is its device's.
    pub source: DeviceKey,
    /// The partition that its messages go to.
    pub partition: u16,
    /// Higher than of any earlier session of the device; the higher one wins. 0 before [`opened`].
    pub epoch: i64,
    /// When its token expires; the connection ends then.
    pub expires_at: Option<DateTime<Utc>>,
    /// The model it announced.
    pub model_id: Option<String>,
    /// How it has proven itself.
    pub auth: Auth,
    /// The policy's key that vouched for it, where it has not shown its own: without that it is cut off.
    pub vouched_by: Option<KeyMark>,
}

/// Why a device may not connect.
#[derive(Debug, thiserror::Error)]
pub enum ConnectRefused {
    /// Unknown device, wrong host, bad or expired token, blocked device: the device is told no more than that.
    #[error("device refused: {reason}")]
    BadCredential {
        /// Why, for the log and the operator.
        reason: Refusal,
    },
    /// Something that Muster depends on does not answer: the device should try again.
    #[error("device cannot be checked now")]
    Unavailable(#[source] EngineError),
}

/// The devices that may stand behind an id, with their keys opened: connecting must be fast.
pub(crate) struct Credentials {
    known: Cache<Place, Arc<[Known]>>,
    /// The same of modules: whatever happens to a device may concern its modules.
    modules: Cache<Place, Arc<[Known]>>,
    policies: Cache<Option<TenantKey>, Arc<[policies::Known]>>,
    tenants: Cache<TenantId, Option<TenantKey>>,
    authorities: Cache<TenantKey, Arc<[Vec<u8>]>>,
    /// Raised by each notice: what was read before one must not be kept after it.
    changes: AtomicU64,
}

/// Where an id is looked for: in one tenant, or in all.
type Place = (Option<TenantKey>, Address);

struct Known {
    tenant: TenantKey,
    tenant_id: TenantId,
    device: DeviceKey,
    source: DeviceKey,
    enabled: bool,
    provisioned: bool,
    template: Option<TemplateId>,
    /// The model of its last connection.
    model: Option<String>,
    proof: Option<Proof>,
}

/// What a device proves itself with.
enum Proof {
    Keys(SymmetricKeys),
    Certificate(X509),
}

/// What a client has shown.
struct Shown<'a> {
    token: Result<sas::Token, Refusal>,
    chain: &'a [CertificateDer<'static>],
}

impl Credentials {
    pub(crate) fn new() -> Self {
        Self {
            known: Cache::builder().max_capacity(CACHED_DEVICES).time_to_live(MAX_STALENESS).build(),
            modules: Cache::builder().max_capacity(CACHED_DEVICES).time_to_live(MAX_STALENESS).build(),
            policies: Cache::builder().max_capacity(CACHED_TENANTS).time_to_live(MAX_STALENESS).build(),
            tenants: Cache::builder().max_capacity(CACHED_TENANTS).time_to_live(MAX_STALENESS).build(),
            authorities: Cache::builder().max_capacity(CACHED_TENANTS).time_to_live(MAX_STALENESS).build(),
            changes: AtomicU64::new(0),
        }
    }

    /// Drops what the notice is about.
    pub(crate) async fn hear(&self, notice: &Notice) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        if matches!(notice.kind, NoticeKind::Tenant | NoticeKind::All) {
            self.policies.invalidate_all();
            self.tenants.invalidate_all();
            self.authorities.invalidate_all();
        }
        if matches!(notice.kind, NoticeKind::Device | NoticeKind::Tenant | NoticeKind::All) {
            self.modules.invalidate_all();
        }
        match (notice.kind, DeviceId::parse(&notice.id)) {
            (NoticeKind::Device, Ok(device)) => {
                let device = Address::from(device);
                self.known.invalidate(&(notice.tenant, device.clone())).await;
                self.known.invalidate(&(None, device)).await;
            }
            (NoticeKind::Device | NoticeKind::Tenant | NoticeKind::All, _) => self.known.invalidate_all(),
            _ => {}
        }
    }

    async fn of(&self, engine: &Engine, place: &Place) -> Result<Arc<[Known]>, EngineError> {
        let (tenant, id) = place;
        let cache = if id.module.is_some() { &self.modules } else { &self.known };
        if let Some(known) = cache.get(place).await {
            return Ok(known);
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let tx = engine.store().begin_system_read(&SystemScope).await?;
        let candidates = stored::candidates(&tx, &SystemScope, id, (*tenant, MAX_CANDIDATES + 1)).await?;
        drop(tx);
        if candidates.len() > MAX_CANDIDATES as usize {
            tracing::warn!(device.id = %id, "more than {MAX_CANDIDATES} tenants have this device id: none can connect");
            return Ok(Arc::from([]));
        }
        let known: Result<Vec<Known>, EngineError> =
            candidates.into_iter().map(|candidate| Known::open(engine, candidate)).collect();
        let known: Arc<[Known]> = known?.into();
        cache.insert(place.clone(), Arc::clone(&known)).await;
        if self.changes.load(Ordering::SeqCst) != changes {
            cache.invalidate(place).await;
        }
        Ok(known)
    }

    /// The tenant of this id.
    pub(crate) async fn tenant(&self, engine: &Engine, id: &TenantId) -> Result<Option<TenantKey>, EngineError> {
        if let Some(known) = self.tenants.get(id).await {
            return Ok(known);
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let tx = engine.store().begin_system_read(&SystemScope).await?;
        let known = tenants::find_by_id(&tx, &SystemScope, id).await?.map(|tenant| tenant.key);
        drop(tx);
        self.tenants.insert(id.clone(), known).await;
        if self.changes.load(Ordering::SeqCst) != changes {
            self.tenants.invalidate_all();
        }
        Ok(known)
    }

    /// The policies of a tenant, or of all.
    pub(crate) async fn policies(
        &self,
        engine: &Engine,
        tenant: Option<TenantKey>,
    ) -> Result<Arc<[policies::Known]>, EngineError> {
        if let Some(known) = self.policies.get(&tenant).await {
            return Ok(known);
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let known = match tenant {
            Some(tenant) => policies::one(engine, tenant).await?,
            None => policies::all(engine).await?,
        };
        self.policies.insert(tenant, Arc::clone(&known)).await;
        if self.changes.load(Ordering::SeqCst) != changes {
            self.policies.invalidate_all();
        }
        Ok(known)
    }

    /// The certificates of a tenant's verified authorities.
    pub(crate) async fn authorities(&self, engine: &Engine, tenant: TenantKey) -> Result<Arc<[Vec<u8>]>, EngineError> {
        if let Some(known) = self.authorities.get(&tenant).await {
            return Ok(known);
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let known: Arc<[Vec<u8>]> = authorities::verified(engine, &Scope { tenant }).await?.into();
        self.authorities.insert(tenant, Arc::clone(&known)).await;
        if self.changes.load(Ordering::SeqCst) != changes {
            self.authorities.invalidate_all();
        }
        Ok(known)
    }
}

impl Known {
    fn open(engine: &Engine, candidate: stored::Candidate) -> Result<Self, EngineError> {
        let stored::Candidate {
            tenant,
            tenant_id,
            device,
            parent,
            enabled,
            provisioned,
            template,
            model,
            credentials,
            ..
        } = candidate;
        let keys = credentials.map(|sealed| devices::open_keys(engine, device, &sealed)).transpose()?;
        let proof = keys.map(|keys| match keys.x509 {
            Some(x509) => Proof::Certificate(x509),
            None => Proof::Keys(keys.keys),
        });
        let source = parent.unwrap_or(device);
        Ok(Self { tenant, tenant_id, device, source, enabled, provisioned, template, model, proof })
    }

    /// Whether what was shown proves that the client is this device or module, which is called `id`. One of keys needs a
    /// token, whatever certificate there is; one of certificates needs its certificate, whatever token there is.
    async fn proven(&self, engine: &Engine, id: &Address, shown: &Shown<'_>) -> Result<bool, EngineError> {
        match (&self.proof, &shown.token, shown.chain) {
            (Some(Proof::Keys(keys)), Ok(token), _) => match &token.skn {
                // Both are tried always, so that the time does not tell which one it was.
                None => Ok(token.verify(&keys.primary_key) | token.verify(&keys.secondary_key)),
                Some(name) => Ok(self.vouched_by(engine, name, token).await?.is_some()),
            },
            (Some(Proof::Certificate(X509::SelfSigned { primary, secondary })), _, [own, ..]) => {
                let mut thumbprints = primary.iter().chain(secondary);
                Ok(thumbprints.any(|thumbprint| x509::has_thumbprint(own, thumbprint)))
            }
            (Some(Proof::Certificate(X509::CertificateAuthority)), _, [own, ..]) => {
                if x509::common_name(own) != Some(id.to_string()) {
                    return Ok(false);
                }
                let authorities = engine.credentials().authorities(engine, self.tenant).await?;
                Ok(x509::leads_to(shown.chain, &authorities, engine.clock().now()))
            }
            _ => Ok(false),
        }
    }

    /// The key that the token is signed with, of a policy of the tenant that may connect in any device's place.
    async fn vouched_by(
        &self,
        engine: &Engine,
        name: &str,
        token: &sas::Token,
    ) -> Result<Option<KeyMark>, EngineError> {
        let Some(policy) = Policy::from_name(name).filter(|policy| policy.grants(Right::DeviceConnect)) else {
            return Ok(None);
        };
        let policies = engine.credentials().policies(engine, Some(self.tenant)).await?;
        Ok(policies.iter().find_map(|known| known.signed_by(policy, token)))
    }
}

impl Shown<'_> {
    /// Why nothing was proven, as far as that can be told.
    fn refusal(&self) -> Refusal {
        match (&self.token, self.chain) {
            (Err(reason), []) => *reason,
            (Err(_), _) => Refusal::WrongCertificate,
            (Ok(_), _) => Refusal::WrongKey,
        }
    }
}

fn token(engine: &Engine, connect: &Connect<'_>) -> Result<sas::Token, Refusal> {
    let token = connect.password.ok_or(Refusal::NoCredential)?;
    let token = sas::Token::parse(token).map_err(|_| Refusal::BadToken)?;
    if token.expired(engine.clock().now()) {
        return Err(Refusal::TokenExpired);
    }
    let covers = match connect.module {
        None => token.covers_device(connect.host, connect.device),
        Some(module) => token.covers_module(connect.host, connect.device, module),
    };
    if !covers {
        return Err(Refusal::TokenForAnother);
    }
    Ok(token)
}

/// Checks who connects. The session is not noted yet: that is [`opened`]. A refusal is noted with the device.
///
/// # Errors
/// [`ConnectRefused`].
pub async fn authenticate(engine: &Engine, connect: Connect<'_>) -> Result<DeviceSession, ConnectRefused> {
    let address = Address { device: connect.device.clone(), module: connect.module.cloned() };
    let tenant = match hosts::whose(engine, connect.host).await.map_err(ConnectRefused::Unavailable)? {
        Whose::Nobodys => return Err(ConnectRefused::BadCredential { reason: Refusal::OtherHub }),
        Whose::Shared => None,
        Whose::Tenant(tenant) => Some(tenant),
    };
    let place = (tenant, address);
    let decision = decide(engine, connect, &place).await;
    if let Err(ConnectRefused::BadCredential { reason }) = &decision {
        blame(engine, place, *reason).await;
    }
    decision
}

/// Notes a refusal, a module's with its device, where one tenant alone has the device: of several, nobody knows which one
/// was meant.
async fn blame(engine: &Engine, (tenant, address): Place, reason: Refusal) {
    counter!("muster_hub_refusals_total", "reason" => reason.code().map_or("other", FailureCode::name)).increment(1);
    let Some(code) = reason.code() else { return };
    if let Ok(known) = engine.credentials().of(engine, &(tenant, address.device.clone().into())).await
        && let [known] = &*known
    {
        failures::note(engine, known.tenant, &address.device, code);
    }
}

async fn decide(engine: &Engine, connect: Connect<'_>, place: &Place) -> Result<DeviceSession, ConnectRefused> {
    let refused = |reason| ConnectRefused::BadCredential { reason };
    let address = &place.1;
    let shown = Shown { token: token(engine, &connect), chain: connect.chain };
    if shown.token.is_err() && shown.chain.is_empty() {
        return Err(refused(shown.refusal()));
    }
    let known = engine.credentials().of(engine, place).await.map_err(ConnectRefused::Unavailable)?;
    if known.is_empty() && address.module.is_some() {
        return Err(refused(Refusal::UnknownModule));
    }
    let mut matching = Vec::new();
    for device in known.iter() {
        if device.proven(engine, address, &shown).await.map_err(ConnectRefused::Unavailable)? {
            matching.push(device);
        }
    }
    let device = match matching.as_slice() {
        [] => return Err(refused(shown.refusal())),
        [device] => device,
        several => {
            let tenants: Vec<_> = several.iter().map(|device| device.tenant_id.as_str()).collect();
            tracing::warn!(device.id = %address, ?tenants, "a device is refused: several tenants have its id and key");
            return Err(refused(Refusal::Ambiguous));
        }
    };
    if !device.enabled {
        return Err(refused(Refusal::Blocked));
    }
    let vouched_by = match (&device.proof, &shown.token) {
        (Some(Proof::Keys(_)), Ok(token)) => match &token.skn {
            Some(name) => device.vouched_by(engine, name, token).await.map_err(ConnectRefused::Unavailable)?,
            None => None,
        },
        _ => None,
    };
    let session = DeviceSession {
        tenant: device.tenant,
        tenant_id: device.tenant_id.clone(),
        device: device.device,
        device_id: address.device.clone(),
        module: address.module.clone(),
        source: device.source,
        partition: partition_of(device.tenant, device.source, engine.partitions()),
        epoch: 0,
        // A certificate ends with no connection of its own accord.
        expires_at: match &device.proof {
            Some(Proof::Keys(_)) => shown.token.as_ref().ok().and_then(sas::Token::expires_at),
            _ => None,
        },
        model_id: connect.model_id.map(str::to_owned),
        auth: match (&device.proof, &shown.token) {
            (Some(Proof::Keys(_)), Ok(token)) if token.skn.is_some() => Auth::HubSas,
            (Some(Proof::Keys(_)), _) => Auth::DeviceSas,
            _ => Auth::Certificate,
        },
        vouched_by,
    };
    // The model is that of the last connection; a reconnect with the same one writes nothing.
    let model = session.model_id.as_deref().filter(|model| model.len() <= provisioning::MAX_MODEL_BYTES);
    let other_model = model.filter(|model| device.model.as_deref() != Some(model));
    if let (Some(_), Some(model)) = (&session.module, other_model) {
        let noted = provisioning::module_contact(engine, &session, model).await;
        noted.map_err(ConnectRefused::Unavailable)?;
    }
    let wants_template = device.template.is_none() && model.is_some();
    if !device.provisioned || (session.module.is_none() && (wants_template || other_model.is_some())) {
        let adopted = provisioning::first_contact(engine, &session, model).await;
        adopted.map_err(ConnectRefused::Unavailable)?;
    }
    Ok(session)
}

/// Notes that the session holds the device's connection from now on, and gives it its epoch; whichever instance held
/// it before is told to let go.
///
/// # Errors
/// [`ConnectRefused::Unavailable`]: the connection must not be accepted then.
pub async fn opened(engine: &Engine, session: &mut DeviceSession) -> Result<(), ConnectRefused> {
    let opened = engine.connections().open(engine, session).await.map_err(ConnectRefused::Unavailable)?;
    session.epoch = opened;
    engine.local_pushes().take_from_simulator(session);
    Ok(())
}

/// Notes that the session is over. It waits for no answer: what is lost here the lease heals.
pub async fn closed(engine: &Engine, session: &DeviceSession) {
    engine.connections().close(session).await;
}

/// What the device had subscribed to, for a session that is taken up again.
///
/// # Errors
/// [`EngineError::Unavailable`].
pub async fn subscriptions(engine: &Engine, session: &DeviceSession) -> Result<Subscribed, EngineError> {
    let (scope, now) = (session.scope(), engine.clock().now());
    let tx = engine.store().begin_read(&scope).await?;
    Ok(hub_sessions::subscriptions(&tx, &scope, session.device, session.module.as_ref(), now).await?)
}

/// Keeps what the device has subscribed to; nothing = forgotten.
///
/// # Errors
/// [`EngineError::Unavailable`].
pub async fn save_subscriptions(
    engine: &Engine,
    session: &DeviceSession,
    subscribed: &Subscribed,
) -> Result<(), EngineError> {
    let scope = session.scope();
    let tx = engine.store().begin(&scope).await?;
    hub_sessions::save_subscriptions(&tx, &scope, session.device, session.module.as_ref(), subscribed).await?;
    Ok(tx.commit().await?)
}

impl DeviceSession {
    /// Who it is.
    pub fn address(&self) -> Address {
        Address { device: self.device_id.clone(), module: self.module.clone() }
    }

    /// The device's tenant as a scope.
    pub fn scope(&self) -> Scope {
        Scope { tenant: self.tenant }
    }
}

/// The partition that a device's messages go to: the same in every process and release, or a device's messages would
/// overtake each other.
pub fn partition_of(tenant: TenantKey, device: DeviceKey, partitions: u16) -> u16 {
    let bytes = tenant.0.to_be_bytes().into_iter().chain(device.0.to_be_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // FNV-1a's low bits are weak; folding mixes the high ones in.
    ((hash ^ (hash >> 32)) % u64::from(partitions.max(1))) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_even_and_never_move() {
        let mut counts = [0; 8];
        for device in 0..8_000 {
            counts[usize::from(partition_of(TenantKey(1), DeviceKey((1 << 32) | device), 8))] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        assert_eq!(partition_of(TenantKey(3), DeviceKey(42), 8), FIXED);
    }

    /// Raising this number moves devices between partitions while messages are under way.
    const FIXED: u16 = 3;
}
