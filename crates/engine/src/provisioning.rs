//! The provisioning service (DPS): a device proves itself by what its enrollment or its enrollment group asks for, is
//! made where it is unknown, and is told its hub.

use crate::{
    Engine, EngineError,
    attestation::{self, Attested, Shown},
    audit::{self, Entry},
    devices::{self, DeviceKeys, Insert, NewDevice},
    events::{self, failures},
    hub_auth::DeviceSession,
    notices::NoticeKind,
    secrets::symmetric_key,
    templates,
};
use chrono::{DateTime, Utc};
use metrics::counter;
use muster_model::{
    Actor, ActorKind, Caller, DeviceId, DeviceKey, EnrollmentGroupId, IdScope, Permission, RegistrationId, Scope,
    SystemScope, TenantId,
    access::Permissions,
    device::{Device, SymmetricKeys, Twin},
    event::FailureCode,
    wire::{sas, twin as wire_twin},
};
use muster_store::{
    MAX_PAGE, Page, Paging, Tx, devices as stored,
    enrollment::{self, Attestation, EnrollmentGroup},
    individual_enrollments::{self as individuals, IndividualEnrollment},
    registrations, tenants, twins,
};
use rustls::pki_types::CertificateDer;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The group that every tenant has from the start.
pub const DEFAULT_GROUP: &str = "SAS-IoT-Devices";
/// A payload larger than this is refused.
const MAX_PAYLOAD_BYTES: usize = 16 * 1024;
/// How often a first contact yields to another of the same device.
const MAX_RACES: u32 = 8;
/// Longer model ids are no DTMIs.
pub(crate) const MAX_MODEL_BYTES: usize = 2048;

/// What a device says of itself when it connects to the provisioning service.
#[derive(Clone, Copy)]
pub struct DpsConnect<'a> {
    /// By which its tenant is found.
    pub id_scope: &'a IdScope,
    /// The id it registers with.
    pub registration: &'a RegistrationId,
    /// The SAS token.
    pub password: Option<&'a str>,
    /// The certificates that it has shown: its own, then those above it.
    pub chain: &'a [CertificateDer<'static>],
}

impl std::fmt::Debug for DpsConnect<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DpsConnect")
            .field("id_scope", &self.id_scope)
            .field("registration", &self.registration)
            .finish_non_exhaustive()
    }
}

/// A device that has proven itself to the provisioning service.
#[derive(Debug, Clone)]
pub struct DpsSession {
    /// Its tenant.
    pub scope: Scope,
    /// Its tenant's id in addresses.
    pub tenant_id: TenantId,
    /// The id it registers with.
    pub registration: RegistrationId,
    /// When its token expires.
    pub expires_at: Option<DateTime<Utc>>,
    device: DeviceId,
    /// What the device's keys will be.
    keys: DeviceKeys,
    /// May it register?
    enabled: bool,
    /// What its enrollment asks for.
    settings: Map<String, Value>,
}

/// Where a registration stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// By which the device may ask again.
    pub operation_id: String,
    /// The id it registered with.
    pub registration_id: RegistrationId,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a registration.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The device has a hub.
    Assigned {
        /// The device it became.
        device: DeviceId,
        /// The hub.
        hub: String,
        /// The group that it came through.
        group: Option<EnrollmentGroupId>,
        /// How this went, in the service's words.
        substatus: &'static str,
        /// Has it proven itself by certificate?
        certificate: bool,
        /// When it registered first.
        created_at: DateTime<Utc>,
        /// When it registered last.
        updated_at: DateTime<Utc>,
        /// Changes with the device.
        etag: String,
    },
    /// The enrollment group is disabled.
    Disabled,
    /// The device is blocked or waits for approval.
    Failed {
        /// The service's error code.
        code: u32,
        /// For people.
        message: String,
    },
}

/// Why a device may not register.
#[derive(Debug, thiserror::Error)]
pub enum DpsRefused {
    /// Unknown id scope, unknown key, bad or expired token: the device is told no more than that.
    #[error("registration refused: {reason}")]
    BadCredential {
        /// Why, for the log and the operator.
        reason: &'static str,
    },
    /// The request cannot be read.
    #[error("registration request is not valid: {reason}")]
    BadRequest {
        /// Why.
        reason: String,
    },
    /// Something that Muster depends on does not answer: the device should try again.
    #[error("registration cannot be checked now")]
    Unavailable(#[from] EngineError),
}

impl From<muster_store::StoreError> for DpsRefused {
    fn from(error: muster_store::StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl Registration {
    /// The answer's body, as the SDKs read it (`iot-hub-wire.md` §3).
    pub fn document(&self) -> Value {
        let (status, mut state) = match &self.outcome {
            Outcome::Assigned { device, hub, group, substatus, certificate, created_at, updated_at, etag } => {
                let mut state = json!({
                    "createdDateTimeUtc": time(*created_at),
                    "assignedHub": hub,
                    "deviceId": device,
                    "substatus": substatus,
                    "lastUpdatedDateTimeUtc": time(*updated_at),
                    "etag": etag,
                });
                if let Some(group) = group {
                    let proof = if *certificate { "x509" } else { "symmetricKey" };
                    state[proof] = json!({ "enrollmentGroupId": group });
                }
                ("assigned", state)
            }
            Outcome::Disabled => ("disabled", json!({})),
            Outcome::Failed { code, message } => ("failed", json!({ "errorCode": code, "errorMessage": message })),
        };
        state["registrationId"] = json!(self.registration_id);
        state["status"] = json!(status);
        json!({ "operationId": self.operation_id, "status": status, "registrationState": state })
    }
}

/// Checks who connects: an enrollment of the device's own comes first, then what it was given for itself, then the
/// groups.
///
/// # Errors
/// [`DpsRefused`].
pub async fn authenticate(engine: &Engine, connect: DpsConnect<'_>) -> Result<DpsSession, DpsRefused> {
    let decision = decide(engine, connect).await;
    if let Err(DpsRefused::BadCredential { .. }) = &decision {
        blame(engine, connect).await;
    }
    decision
}

/// Notes a refusal with the tenant of the id scope, where there is one.
async fn blame(engine: &Engine, connect: DpsConnect<'_>) {
    counter!("muster_dps_refusals_total").increment(1);
    let Ok(device) = DeviceId::parse(connect.registration.as_str()) else { return };
    let Ok(tx) = engine.store().begin_system_read(&SystemScope).await else { return };
    if let Ok(Some(tenant)) = tenants::find_by_id_scope(&tx, &SystemScope, connect.id_scope).await {
        failures::note(engine, tenant.key, &device, FailureCode::ProvisioningRefused);
    }
}

async fn decide(engine: &Engine, connect: DpsConnect<'_>) -> Result<DpsSession, DpsRefused> {
    let refused = |reason| DpsRefused::BadCredential { reason };
    let shown = Shown { registration: connect.registration, token: token(engine, &connect), chain: connect.chain };
    if let (Err(reason), []) = (&shown.token, shown.chain) {
        return Err(refused(reason));
    }
    let device = DeviceId::parse(connect.registration.as_str()).map_err(|_| refused("the id is no device id"))?;
    let tenant = {
        let tx = engine.store().begin_system_read(&SystemScope).await?;
        tenants::find_by_id_scope(&tx, &SystemScope, connect.id_scope).await?
    };
    let tenant = tenant.ok_or_else(|| refused("the id scope is not known"))?;
    let scope = Scope { tenant: tenant.key };
    let tx = engine.store().begin_read(&scope).await?;
    let proven = prove(&tx, engine, &scope, &device, &shown).await?;
    let Proven { keys, enabled, settings } = proven.map_err(refused)?;
    let expires_at = match (&keys.x509, &shown.token) {
        (None, Ok(token)) => token.expires_at(),
        _ => None,
    };
    let device = match settings.get("deviceId").and_then(Value::as_str) {
        Some(id) if !id.is_empty() && keys.group.is_none() => DeviceId::parse(id).map_err(EngineError::from)?,
        _ => device,
    };
    let (registration, tenant_id) = (connect.registration.clone(), tenant.id);
    Ok(DpsSession { scope, tenant_id, registration, expires_at, device, keys, enabled, settings })
}

/// What proved the device, and what was asked for with it.
struct Proven {
    /// What the device will prove itself to the hub with.
    keys: DeviceKeys,
    enabled: bool,
    settings: Map<String, Value>,
}

fn token(engine: &Engine, connect: &DpsConnect<'_>) -> Result<sas::Token, &'static str> {
    let token = connect.password.ok_or("there is neither token nor certificate")?;
    let token = sas::Token::parse(token).map_err(|_| "the password is no token")?;
    if token.expired(engine.clock().now()) {
        return Err("the token has expired");
    }
    if !token.covers_registration(connect.id_scope, connect.registration) {
        return Err("the token is for another registration");
    }
    Ok(token)
}

async fn prove(
    tx: &Tx,
    engine: &Engine,
    scope: &Scope,
    device: &DeviceId,
    shown: &Shown<'_>,
) -> Result<Result<Proven, &'static str>, EngineError> {
    if let Some(enrollment) = individuals::find(tx, scope, shown.registration).await? {
        let context = attestation::individual_context(scope, &enrollment.id);
        let keys = match attestation::open(engine, &context, &enrollment.attestation)? {
            Attested::Keys(keys) if shown.signed(&keys) => Some(DeviceKeys { keys, group: None, x509: None }),
            Attested::Certificates(certificates) if certificates.hold(shown) => shown.certificate_keys(None),
            Attested::Keys(_) | Attested::Certificates(_) => None,
        };
        let IndividualEnrollment { enabled, settings, .. } = enrollment;
        let proven = keys.map(|keys| Proven { keys, enabled, settings });
        return Ok(proven.ok_or("the device's enrollment wants something else"));
    }
    if let Some(keys) = own_keys(tx, engine, scope, device).await? {
        let proven = attestation::device_proven(engine, scope, &keys, shown).await?;
        let proven = proven.then(|| Proven { keys, enabled: true, settings: Map::new() });
        return Ok(proven.ok_or("the device was given something of its own, and has not shown it"));
    }
    let found = matching_group(tx, engine, scope, shown).await?;
    Ok(found.ok_or("no enrollment group has the key of the token, or has signed the certificate"))
}

/// What the device was given for itself.
async fn own_keys(tx: &Tx, engine: &Engine, scope: &Scope, id: &DeviceId) -> Result<Option<DeviceKeys>, EngineError> {
    let Some(device) = stored::find(tx, scope, id).await? else { return Ok(None) };
    let Some(sealed) = stored::find_credentials(tx, scope, device.key).await? else { return Ok(None) };
    let keys = devices::open_keys(engine, device.key, &sealed)?;
    Ok(keys.group.is_none().then_some(keys))
}

async fn matching_group(
    tx: &Tx,
    engine: &Engine,
    scope: &Scope,
    shown: &Shown<'_>,
) -> Result<Option<Proven>, EngineError> {
    for group in enrollment::list(tx, scope, Paging::first(MAX_PAGE)).await?.items {
        let context = attestation::group_context(scope, &group.id);
        let keys = match attestation::open(engine, &context, &group.attestation)? {
            Attested::Keys(keys) => {
                let keys = derive(&keys, shown.registration.as_str())?;
                shown.signed(&keys).then(|| DeviceKeys { keys, group: Some(group.id.clone()), x509: None })
            }
            Attested::Certificates(certificates) => {
                let signed = certificates.sign(tx, engine, scope, shown).await?;
                signed.then(|| shown.certificate_keys(Some(group.id.clone()))).flatten()
            }
        };
        if let Some(keys) = keys {
            return Ok(Some(Proven { keys, enabled: group.enabled, settings: group.settings }));
        }
    }
    Ok(None)
}

/// Registers the device; it is made where it is unknown.
///
/// # Errors
/// [`DpsRefused::BadRequest`], [`DpsRefused::Unavailable`].
pub async fn register(
    engine: &Engine,
    session: &DpsSession,
    payload: Option<&Value>,
) -> Result<Registration, DpsRefused> {
    let mut attempts = 0;
    let registration = loop {
        match enroll(engine, session, payload).await {
            // The device registers elsewhere at the same time: what was made there is taken.
            Err(DpsRefused::Unavailable(EngineError::PreconditionFailed { .. } | EngineError::Conflict { .. }))
                if attempts < MAX_RACES =>
            {
                attempts += 1;
            }
            done => break done?,
        }
    };
    let failure = match &registration.outcome {
        Outcome::Assigned { .. } => None,
        Outcome::Disabled => Some(FailureCode::EnrollmentDisabled),
        Outcome::Failed { .. } => Some(FailureCode::NotApproved),
    };
    if let Some(code) = failure {
        failures::note(engine, session.scope.tenant, &session.device, code);
    }
    Ok(registration)
}

async fn enroll(engine: &Engine, session: &DpsSession, payload: Option<&Value>) -> Result<Registration, DpsRefused> {
    let payload = payload.filter(|payload| !payload.is_null());
    if payload.is_some_and(|payload| payload.to_string().len() > MAX_PAYLOAD_BYTES) {
        return Err(DpsRefused::BadRequest { reason: format!("payload is larger than {MAX_PAYLOAD_BYTES} bytes") });
    }
    if !session.enabled {
        return Ok(session.answer(Outcome::Disabled));
    }
    let model = payload.and_then(model_id);
    let now = engine.clock().now();
    let tx = engine.store().begin(&session.scope).await?;
    let existing = stored::find(&tx, &session.scope, &session.device).await?;
    if let Some(device) = existing.as_ref().filter(|device| !device.enabled) {
        let message = if device.provisioned { "the device is blocked" } else { "the device waits for approval" };
        return Ok(session.answer(Outcome::Failed { code: 400_209, message: message.into() }));
    }
    let (device, substatus) = match existing {
        Some(device) if session.wants_reset(&tx).await? => {
            session.reset(&tx, engine, &device).await?;
            (device, "deviceDataReset")
        }
        Some(device) => (device, "initialAssignment"),
        None => (session.create(&tx, engine).await?, "initialAssignment"),
    };
    if !device.enabled {
        tx.commit().await?;
        engine.notify(session.scope.tenant, NoticeKind::Device, &device.id).await;
        let message = "the device waits for approval".into();
        return Ok(session.answer(Outcome::Failed { code: 400_209, message }));
    }
    let device = introduce(&tx, engine, &session.caller(), device, model).await?;
    session.keep_keys(&tx, engine, &device).await?;
    let registration = registrations::Registration {
        id: session.registration.clone(),
        device: device.id.clone(),
        group: session.keys.group.clone(),
        payload: payload.cloned(),
        created_at: now,
        updated_at: now,
    };
    registrations::put(&tx, &session.scope, &registration).await?;
    let registration = registrations::find(&tx, &session.scope, &session.registration).await?.unwrap_or(registration);
    tx.commit().await?;
    engine.notify(session.scope.tenant, NoticeKind::Device, &device.id).await;
    Ok(session.assigned(engine, &device, registration, substatus))
}

/// The state of a registration, for those who manage enrollments.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn registration(engine: &Engine, caller: &Caller, id: &RegistrationId) -> Result<Value, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let found = registrations::find(&tx, &caller.scope, id).await?;
    Ok(state(engine, &caller.tenant, &found.ok_or_else(|| EngineError::not_found("registration", id))?))
}

/// The states of the registrations that came through a group, in the order of their ids.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn list_registrations(
    engine: &Engine,
    caller: &Caller,
    group: &EnrollmentGroupId,
    paging: Paging<RegistrationId>,
) -> Result<Page<Value>, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let page = registrations::list_of_group(&tx, &caller.scope, group, paging).await?;
    Ok(Page { items: page.items.iter().map(|one| state(engine, &caller.tenant, one)).collect(), more: page.more })
}

/// Forgets a registration; the device stays as it is, and may register again.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn delete_registration(engine: &Engine, caller: &Caller, id: &RegistrationId) -> Result<(), EngineError> {
    caller.require(Permission::ConnectivityManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    if registrations::find(&tx, &caller.scope, id).await?.is_none() {
        return Err(EngineError::not_found("registration", id));
    }
    registrations::delete(&tx, &caller.scope, id).await?;
    audit::record(&tx, engine, caller, Entry::new("deleted", "registration", id)).await?;
    Ok(tx.commit().await?)
}

fn state(engine: &Engine, tenant: &TenantId, registration: &registrations::Registration) -> Value {
    json!({
        "registrationId": registration.id,
        "createdDateTimeUtc": time(registration.created_at),
        "assignedHub": engine.config().host_of(tenant),
        "deviceId": registration.device,
        "status": "assigned",
        "substatus": "initialAssignment",
        "lastUpdatedDateTimeUtc": time(registration.updated_at),
        "etag": format!("{:x}", registration.updated_at.timestamp_millis()),
        "payload": registration.payload,
    })
}

/// Where the device's registration stands; `None` where it has not registered, or where `operation` is not that of its
/// last registration.
///
/// # Errors
/// [`DpsRefused::Unavailable`].
pub async fn status(
    engine: &Engine,
    session: &DpsSession,
    operation: Option<&str>,
) -> Result<Option<Registration>, DpsRefused> {
    let tx = engine.store().begin_read(&session.scope).await?;
    let Some(registration) = registrations::find(&tx, &session.scope, &session.registration).await? else {
        return Ok(None);
    };
    if operation.is_some_and(|operation| operation != session.operation(registration.updated_at)) {
        return Ok(None);
    }
    let device = stored::find(&tx, &session.scope, &registration.device).await?;
    Ok(device.map(|device| session.assigned(engine, &device, registration, "initialAssignment")))
}

impl DpsSession {
    /// The device itself, for the audit log; it has no permissions.
    fn caller(&self) -> Caller {
        device_caller(&self.scope, &self.tenant_id, &self.device)
    }

    async fn create(&self, tx: &Tx, engine: &Engine) -> Result<Device, EngineError> {
        let id = self.device.clone();
        // A device that is not let in by itself waits until somebody enables it.
        let approved = self.settings.get("autoApprove") != Some(&Value::Bool(false));
        let new = NewDevice { id, display_name: None, template: None, enabled: approved, simulated: false };
        let insert = Insert { new, keys: self.keys.clone(), provisioned: approved };
        let device = devices::insert(tx, engine, &self.caller(), insert).await?;
        if self.settings.contains_key("initialTwin") {
            let mut twin = twins::lock(tx, &self.scope, device.key).await?;
            self.begin_twin(&mut twin, engine.clock().now())?;
            twins::update(tx, &self.scope, device.key, &twin).await?;
        }
        events::created(tx, engine, &self.scope, &device).await?;
        Ok(device)
    }

    /// Whether the device's data is to be what it was at first: it registers again, and its enrollment says so.
    async fn wants_reset(&self, tx: &Tx) -> Result<bool, EngineError> {
        let Some(policy) = self.settings.get("reprovisionPolicy") else { return Ok(false) };
        let asked = policy["updateHubAssignment"] == true && policy["migrateDeviceData"] == false;
        Ok(asked && registrations::find(tx, &self.scope, &self.registration).await?.is_some())
    }

    async fn reset(&self, tx: &Tx, engine: &Engine, device: &Device) -> Result<(), EngineError> {
        let mut twin = twins::lock(tx, &self.scope, device.key).await?;
        twin.tags = Map::new();
        twin.reported = Map::new();
        twin.reported_metadata = Map::new();
        twin.reported_version += 1;
        twin.version += 1;
        wire_twin::replace_desired(&mut twin, &Map::new(), engine.clock().now())?;
        self.begin_twin(&mut twin, engine.clock().now())?;
        twins::update(tx, &self.scope, device.key, &twin).await?;
        events::replaced(tx, engine, &self.scope, (device, None, &twin)).await?;
        let caller = self.caller();
        audit::record(tx, engine, &caller, Entry::new("reset", "device", &device.id)).await
    }

    /// Gives the twin what the enrollment wants it to begin with.
    fn begin_twin(&self, twin: &mut Twin, now: DateTime<Utc>) -> Result<(), EngineError> {
        let section = |pointer: &str| {
            let section = self.settings.get("initialTwin")?.pointer(pointer)?.as_object()?;
            let own = section.iter().filter(|(name, _)| !name.starts_with('$'));
            Some(own.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
        };
        if let Some(tags) = section("/tags") {
            wire_twin::patch_tags(twin, &tags)?;
        }
        if let Some(desired) = section("/properties/desired").filter(|desired| !desired.is_empty()) {
            wire_twin::patch_desired(twin, &desired, now)?;
        }
        Ok(())
    }

    /// The keys that it proved itself with are those that it will connect to the hub with.
    async fn keep_keys(&self, tx: &Tx, engine: &Engine, device: &Device) -> Result<(), EngineError> {
        let stored = stored::find_credentials(tx, &self.scope, device.key).await?;
        let stored = stored.map(|sealed| devices::open_keys(engine, device.key, &sealed)).transpose()?;
        if stored.as_ref() != Some(&self.keys) {
            let sealed = devices::seal_keys(engine, device.key, &self.keys)?;
            stored::set_credentials(tx, &self.scope, device.key, &sealed).await?;
        }
        Ok(())
    }

    fn assigned(
        &self,
        engine: &Engine,
        device: &Device,
        registration: registrations::Registration,
        substatus: &'static str,
    ) -> Registration {
        let operation_id = self.operation(registration.updated_at);
        let outcome = Outcome::Assigned {
            device: registration.device,
            hub: engine.config().host_of(&self.tenant_id),
            group: registration.group,
            substatus,
            certificate: self.keys.x509.is_some(),
            created_at: registration.created_at,
            updated_at: registration.updated_at,
            etag: device.etag.clone(),
        };
        Registration { operation_id, registration_id: self.registration.clone(), outcome }
    }

    /// An answer that leaves no registration to ask for.
    fn answer(&self, outcome: Outcome) -> Registration {
        let operation_id = self.operation_of(Uuid::now_v7());
        Registration { operation_id, registration_id: self.registration.clone(), outcome }
    }

    /// By which the registration of this time is asked for: it says which one it is, so it needs no place of its own.
    fn operation(&self, registered_at: DateTime<Utc>) -> String {
        let of = format!("{}/{}/{}", self.scope.tenant, self.registration, registered_at.timestamp_millis());
        let digest: [u8; 32] = Sha256::digest(of).into();
        let (first, _) = digest.split_at(16);
        let first = <[u8; 16]>::try_from(first).unwrap_or_default();
        self.operation_of(uuid::Builder::from_random_bytes(first).into_uuid())
    }

    fn operation_of(&self, id: Uuid) -> String {
        format!("5.{:016x}.{id}", self.scope.tenant.0)
    }
}

/// A device connects to the hub for the first time, or tells its model while it has no template.
pub(crate) async fn first_contact(
    engine: &Engine,
    session: &DeviceSession,
    model: Option<&str>,
) -> Result<(), EngineError> {
    let (scope, mut attempts) = (session.scope(), 0);
    let caller = device_caller(&scope, &session.tenant_id, &session.device_id);
    let model = model.filter(|model| model.len() <= MAX_MODEL_BYTES);
    loop {
        let tx = engine.store().begin(&scope).await?;
        let device = stored::get(&tx, &scope, &session.device_id).await?;
        match introduce(&tx, engine, &caller, device, model).await {
            Ok(_) => {
                tx.commit().await?;
                engine.notify(scope.tenant, NoticeKind::Device, &session.device_id).await;
                return Ok(());
            }
            // Its other connections make themselves known at the same time: what they wrote is taken as it is.
            Err(EngineError::PreconditionFailed { .. }) if attempts < MAX_RACES => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Notes the model that a module says it follows.
pub(crate) async fn module_contact(engine: &Engine, session: &DeviceSession, model: &str) -> Result<(), EngineError> {
    if model.len() > MAX_MODEL_BYTES {
        return Ok(());
    }
    let scope = session.scope();
    let tx = engine.store().begin(&scope).await?;
    note_model(&tx, &scope, session.device, model).await?;
    tx.commit().await?;
    engine.notify(scope.tenant, NoticeKind::Device, &session.device_id).await;
    Ok(())
}

async fn note_model(tx: &Tx, scope: &Scope, device: DeviceKey, model: &str) -> Result<(), EngineError> {
    let mut twin = twins::lock(tx, scope, device).await?;
    if twin.model_id.as_deref() != Some(model) {
        twin.model_id = Some(model.to_owned());
        twin.version += 1;
        twins::update(tx, scope, device, &twin).await?;
    }
    Ok(())
}

/// Notes that the device has come through provisioning, and gives it the template of its model where it has none.
async fn introduce(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    before: Device,
    model: Option<&str>,
) -> Result<Device, EngineError> {
    let mut device = before.clone();
    device.provisioned = true;
    if let (None, Some(model)) = (&device.template, model) {
        device.template = templates::of_model(tx, engine, caller, model).await?;
    }
    if let Some(model) = model {
        note_model(tx, &caller.scope, device.key, model).await?;
    }
    if device == before {
        return Ok(device);
    }
    let details = Map::from_iter([("template".to_owned(), json!(device.template))]);
    audit::record(tx, engine, caller, Entry::new("provisioned", "device", &device.id).with(details)).await?;
    Ok(stored::update(tx, &caller.scope, &device).await?)
}

fn device_caller(scope: &Scope, tenant: &TenantId, device: &DeviceId) -> Caller {
    let actor = Actor { kind: ActorKind::Device, id: device.to_string(), name: device.to_string() };
    Caller { scope: scope.clone(), tenant: tenant.clone(), actor, permissions: Permissions::default() }
}

/// The model id in a registration's payload; older firmware calls it `iotcModelId`.
fn model_id(payload: &Value) -> Option<&str> {
    let model = payload.get("modelId").or_else(|| payload.get("iotcModelId"))?.as_str()?;
    (!model.is_empty() && model.len() <= MAX_MODEL_BYTES).then_some(model)
}

/// The keys of a device that a person makes: those that the default group gives to its id, so that it may provision
/// itself as well; random ones where there is no such group.
pub(crate) async fn keys_of_new(
    tx: &Tx,
    engine: &Engine,
    scope: &Scope,
    id: &DeviceId,
) -> Result<DeviceKeys, EngineError> {
    let group = enrollment::find(tx, scope, &EnrollmentGroupId::parse(DEFAULT_GROUP)?).await?;
    let keys = group.as_ref().map(|group| group_keys(engine, scope, group)).transpose()?.flatten();
    match (group, keys) {
        (Some(group), Some(keys)) => {
            let keys = derive(&keys, id.as_str())?;
            Ok(DeviceKeys { keys, group: Some(group.id), x509: None })
        }
        _ => Ok(DeviceKeys { keys: random_keys()?, group: None, x509: None }),
    }
}

/// A new pair of keys.
pub(crate) fn random_keys() -> Result<SymmetricKeys, EngineError> {
    Ok(SymmetricKeys { primary_key: symmetric_key()?, secondary_key: symmetric_key()? })
}

fn derive(group: &SymmetricKeys, registration: &str) -> Result<SymmetricKeys, EngineError> {
    let derived = |key| {
        sas::derive_key(key, registration)
            .map_err(|error| EngineError::corrupt("enrollment group key", registration, error))
    };
    Ok(SymmetricKeys { primary_key: derived(&group.primary_key)?, secondary_key: derived(&group.secondary_key)? })
}

/// The keys of a group, if it has keys.
pub(crate) fn group_keys(
    engine: &Engine,
    scope: &Scope,
    group: &EnrollmentGroup,
) -> Result<Option<SymmetricKeys>, EngineError> {
    let attested = attestation::open(engine, &attestation::group_context(scope, &group.id), &group.attestation)?;
    Ok(match attested {
        Attested::Keys(keys) => Some(keys),
        Attested::Certificates(_) => None,
    })
}

/// The keys of a group as they are stored.
pub(crate) fn seal_group_keys(
    engine: &Engine,
    scope: &Scope,
    id: &EnrollmentGroupId,
    keys: &SymmetricKeys,
) -> Result<Attestation, EngineError> {
    attestation::seal(engine, &attestation::group_context(scope, id), &Attested::Keys(keys.clone()))
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}
