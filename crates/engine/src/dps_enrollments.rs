//! Enrollments, of one device or of a group, as clients of the provisioning service see them: documents
//! (`iot-hub-wire.md` §3). What we do not use of a document (allocation, hubs) is kept and given back.

use crate::{
    Engine, EngineError, Problem,
    attestation::{self, Attested, Certificates},
    audit::{self, Entry},
    notices::NoticeKind,
    precondition::IfMatch,
    provisioning::random_keys,
    x509,
};
use chrono::{DateTime, SecondsFormat, Utc};
use muster_model::{
    AuthorityId, Caller, DeviceId, EnrollmentGroupId, Permission, RegistrationId, Scope,
    device::SymmetricKeys,
    wire::{
        sas,
        twin::{self, Limits},
    },
};
use muster_store::{
    Page, Paging, StoreError, Tx, authorities,
    enrollment::{self as groups, EnrollmentGroup, EnrollmentKind},
    individual_enrollments::{self as individuals, IndividualEnrollment},
};
use serde_json::{Map, Value, json};
use std::fmt;

/// A document larger than this is refused.
const MAX_DOCUMENT_BYTES: usize = 64 * 1024;
/// What is kept of a document beside what has a meaning of its own.
const SETTINGS: [&str; 10] = [
    "deviceId",
    "capabilities",
    "iotHubHostName",
    "initialTwin",
    "reprovisionPolicy",
    "allocationPolicy",
    "iotHubs",
    "customAllocationDefinition",
    "optionalDeviceInformation",
    "autoApprove",
];

/// Whose enrollment it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One device's.
    Individual(RegistrationId),
    /// A group's.
    Group(EnrollmentGroupId),
}

/// What a `PUT` may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// Make it; there must be none.
    Create,
    /// Change what is there.
    Update(IfMatch),
}

/// An enrollment with its attestation opened.
struct Enrollment {
    subject: Subject,
    enabled: bool,
    attested: Attested,
    settings: Map<String, Value>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    version: i64,
}

/// Whether keys and certificates are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Hidden,
    Shown,
}

/// The enrollment without its keys.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn get(engine: &Engine, caller: &Caller, subject: &Subject) -> Result<Value, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let enrollment = find(&tx, engine, &caller.scope, subject).await?;
    Ok(enrollment.ok_or_else(|| subject.not_found())?.document(Secrets::Hidden))
}

/// The attestation with its keys.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn attestation(engine: &Engine, caller: &Caller, subject: &Subject) -> Result<Value, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let enrollment = find(&tx, engine, &caller.scope, subject).await?.ok_or_else(|| subject.not_found())?;
    Ok(enrollment.attestation(Secrets::Shown))
}

/// The tenant's individual enrollments in the order of their ids, without their keys.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn list_individuals(
    engine: &Engine,
    caller: &Caller,
    paging: Paging<RegistrationId>,
) -> Result<Page<Value>, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let Page { items, more } = individuals::list(&tx, &caller.scope, paging).await?;
    let items = items
        .into_iter()
        .map(|one| Ok(Enrollment::of_individual(engine, &caller.scope, one)?.document(Secrets::Hidden)));
    Ok(Page { items: items.collect::<Result<_, EngineError>>()?, more })
}

/// The tenant's groups in the order of their ids, without their keys.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn list_groups(
    engine: &Engine,
    caller: &Caller,
    paging: Paging<EnrollmentGroupId>,
) -> Result<Page<Value>, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let Page { items, more } = groups::list(&tx, &caller.scope, paging).await?;
    let items =
        items.into_iter().map(|one| Ok(Enrollment::of_group(engine, &caller.scope, &one)?.document(Secrets::Hidden)));
    Ok(Page { items: items.collect::<Result<_, EngineError>>()?, more })
}

/// Makes or changes an enrollment; the answer holds its keys. Keys that are not given are made, or stay as they are.
///
/// # Errors
/// [`EngineError::Conflict`] where it is to be made and exists, [`EngineError::NotFound`],
/// [`EngineError::PreconditionFailed`], [`EngineError::Invalid`], [`EngineError::Denied`].
pub async fn put(
    engine: &Engine,
    caller: &Caller,
    subject: Subject,
    document: &Value,
    put: &Put,
) -> Result<Value, EngineError> {
    caller.require(Permission::ConnectivityManage)?;
    let subject = subject.stored()?;
    let now = engine.clock().now();
    let tx = engine.store().begin(&caller.scope).await?;
    let before = find(&tx, engine, &caller.scope, &subject).await?;
    match (&before, put) {
        (Some(_), Put::Create) => return Err(EngineError::conflict(subject.kind(), &subject, "exists already")),
        (None, Put::Update(IfMatch::OneOf(_))) => return Err(subject.not_found()),
        (Some(before), Put::Update(condition)) => condition.check(subject.kind(), &subject, &before.etag())?,
        (None, _) => {}
    }
    let attested = read_attestation(document, &subject, before.as_ref().map(|before| &before.attested))?;
    check_authorities(&tx, &caller.scope, &attested).await?;
    let mut enrollment = Enrollment {
        enabled: read_status(document)?,
        settings: read_settings(document)?,
        attested,
        created_at: before.as_ref().map_or(now, |before| before.created_at),
        updated_at: now,
        version: before.as_ref().map_or(1, |before| before.version),
        subject,
    };
    let exists = before.is_some();
    enrollment.version = save(&tx, engine, &caller.scope, &enrollment, exists).await?;
    let action = if exists { "updated" } else { "created" };
    let entry = Entry::new(action, enrollment.subject.audited(), &enrollment.subject);
    audit::record(&tx, engine, caller, entry).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::EnrollmentGroup, &enrollment.subject).await;
    Ok(enrollment.document(Secrets::Shown))
}

/// Removes an enrollment; devices that came through it stay.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Denied`].
pub async fn delete(
    engine: &Engine,
    caller: &Caller,
    subject: &Subject,
    condition: &IfMatch,
) -> Result<(), EngineError> {
    caller.require(Permission::ConnectivityManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let before = find(&tx, engine, &caller.scope, subject).await?.ok_or_else(|| subject.not_found())?;
    condition.check(subject.kind(), subject, &before.etag())?;
    match subject {
        Subject::Individual(id) => individuals::delete(&tx, &caller.scope, id).await?,
        Subject::Group(id) => groups::delete(&tx, &caller.scope, id).await?,
    }
    audit::record(&tx, engine, caller, Entry::new("deleted", subject.audited(), subject)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::EnrollmentGroup, subject).await;
    Ok(())
}

async fn find(tx: &Tx, engine: &Engine, scope: &Scope, subject: &Subject) -> Result<Option<Enrollment>, EngineError> {
    match subject {
        Subject::Individual(id) => {
            let found = individuals::find(tx, scope, id).await?;
            found.map(|one| Enrollment::of_individual(engine, scope, one)).transpose()
        }
        Subject::Group(id) => {
            let found = groups::find(tx, scope, id).await?;
            found.map(|one| Enrollment::of_group(engine, scope, &one)).transpose()
        }
    }
}

/// Writes the enrollment; its version afterwards.
async fn save(
    tx: &Tx,
    engine: &Engine,
    scope: &Scope,
    enrollment: &Enrollment,
    exists: bool,
) -> Result<i64, EngineError> {
    let Enrollment { subject, enabled, attested, settings, created_at, updated_at, version } = enrollment;
    let (enabled, created_at, updated_at, version) = (*enabled, *created_at, *updated_at, *version);
    let saved: Result<i64, StoreError> = match subject {
        Subject::Individual(id) => {
            let attestation = attestation::seal(engine, &attestation::individual_context(scope, id), attested)?;
            let (id, settings) = (id.clone(), settings.clone());
            let row = IndividualEnrollment { id, enabled, attestation, settings, created_at, updated_at, version };
            if exists {
                individuals::update(tx, scope, &row).await
            } else {
                individuals::insert(tx, scope, &row).await.map(|()| 1)
            }
        }
        Subject::Group(id) => {
            let attestation = attestation::seal(engine, &attestation::group_context(scope, id), attested)?;
            let edge = settings.get("capabilities").is_some_and(|one| one["iotEdge"] == true);
            let row = EnrollmentGroup {
                display_name: match groups::find(tx, scope, id).await? {
                    Some(before) => before.display_name,
                    None => id.to_string(),
                },
                id: id.clone(),
                enabled,
                kind: if edge { EnrollmentKind::IotEdge } else { EnrollmentKind::Iot },
                attestation,
                settings: settings.clone(),
                created_at,
                updated_at,
                version,
            };
            if exists {
                groups::update(tx, scope, &row).await
            } else {
                groups::insert(tx, scope, &row).await.map(|()| 1)
            }
        }
    };
    Ok(saved?)
}

impl Enrollment {
    fn of_individual(engine: &Engine, scope: &Scope, one: IndividualEnrollment) -> Result<Self, EngineError> {
        let attested = attestation::open(engine, &attestation::individual_context(scope, &one.id), &one.attestation)?;
        let IndividualEnrollment { id, enabled, settings, created_at, updated_at, version, .. } = one;
        Ok(Self { subject: Subject::Individual(id), enabled, attested, settings, created_at, updated_at, version })
    }

    fn of_group(engine: &Engine, scope: &Scope, group: &EnrollmentGroup) -> Result<Self, EngineError> {
        let context = attestation::group_context(scope, &group.id);
        Ok(Self {
            subject: Subject::Group(group.id.clone()),
            enabled: group.enabled,
            attested: attestation::open(engine, &context, &group.attestation)?,
            settings: group.settings.clone(),
            created_at: group.created_at,
            updated_at: group.updated_at,
            version: group.version,
        })
    }

    fn etag(&self) -> String {
        format!("{:x}", self.version)
    }

    fn document(&self, secrets: Secrets) -> Value {
        let mut document = self.settings.clone();
        let (name, id) = match &self.subject {
            Subject::Individual(id) => ("registrationId", id.as_str()),
            Subject::Group(id) => ("enrollmentGroupId", id.as_str()),
        };
        document.insert(name.into(), json!(id));
        document.insert("attestation".into(), self.attestation(secrets));
        document.insert("provisioningStatus".into(), json!(if self.enabled { "enabled" } else { "disabled" }));
        document.insert("etag".into(), json!(self.etag()));
        document.insert("createdDateTimeUtc".into(), json!(time(self.created_at)));
        document.insert("lastUpdatedDateTimeUtc".into(), json!(time(self.updated_at)));
        Value::Object(document)
    }

    fn attestation(&self, secrets: Secrets) -> Value {
        match (&self.attested, secrets) {
            (Attested::Keys(_), Secrets::Hidden) => json!({ "type": "symmetricKey" }),
            (Attested::Keys(keys), Secrets::Shown) => json!({ "type": "symmetricKey", "symmetricKey": keys }),
            (Attested::Certificates(certificates), _) => {
                let mut x509 = Map::new();
                let certificate = |text: &Option<String>| text.as_deref().and_then(x509::read).map(|der| info(&der));
                let (primary, secondary) = (certificate(&certificates.primary), certificate(&certificates.secondary));
                if primary.is_some() || secondary.is_some() {
                    let name = match self.subject {
                        Subject::Individual(_) => "clientCertificates",
                        Subject::Group(_) => "signingCertificates",
                    };
                    x509.insert(name.into(), present([("primary", primary), ("secondary", secondary)]));
                }
                let (primary, secondary) = (&certificates.primary_authority, &certificates.secondary_authority);
                if primary.is_some() || secondary.is_some() {
                    let reference = |id: &Option<AuthorityId>| id.as_ref().map(|id| json!(id));
                    let references = present([("primary", reference(primary)), ("secondary", reference(secondary))]);
                    x509.insert("caReferences".into(), references);
                }
                json!({ "type": "x509", "x509": x509 })
            }
        }
    }
}

impl Subject {
    /// As it is stored: registration ids have no case.
    fn stored(self) -> Result<Self, EngineError> {
        Ok(match self {
            Self::Individual(id) => Self::Individual(RegistrationId::parse(id.as_str().to_ascii_lowercase())?),
            Self::Group(id) => Self::Group(id),
        })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Individual(_) => "enrollment",
            Self::Group(_) => "enrollment group",
        }
    }

    fn audited(&self) -> &'static str {
        match self {
            Self::Individual(_) => "enrollment",
            Self::Group(_) => "enrollmentGroup",
        }
    }

    fn not_found(&self) -> EngineError {
        EngineError::not_found(self.kind(), self)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Individual(id) => id.fmt(f),
            Self::Group(id) => id.fmt(f),
        }
    }
}

fn read_attestation(document: &Value, subject: &Subject, before: Option<&Attested>) -> Result<Attested, EngineError> {
    let attestation = &document["attestation"];
    match attestation["type"].as_str() {
        Some("symmetricKey") => {
            let key = |name: &str| attestation["symmetricKey"][name].as_str().filter(|key| !key.is_empty());
            let keys = match (key("primaryKey"), key("secondaryKey"), before) {
                (Some(primary), Some(secondary), _) => {
                    SymmetricKeys { primary_key: primary.to_owned(), secondary_key: secondary.to_owned() }
                }
                (None, None, Some(Attested::Keys(keys))) => keys.clone(),
                (None, None, _) => random_keys()?,
                _ => return Err(problem("/attestation/symmetricKey", "both keys are given, or none")),
            };
            for (name, key) in [("primaryKey", &keys.primary_key), ("secondaryKey", &keys.secondary_key)] {
                let pointer = format!("/attestation/symmetricKey/{name}");
                sas::check_key(key).map_err(|error| problem(&pointer, &error.to_string()))?;
            }
            Ok(Attested::Keys(keys))
        }
        Some("x509") => {
            let before = match before {
                Some(Attested::Certificates(certificates)) => Some(certificates),
                _ => None,
            };
            read_certificates(&attestation["x509"], subject, before).map(Attested::Certificates)
        }
        Some("tpm") => Err(problem("/attestation/type", "attestation by TPM is not available")),
        _ => Err(problem("/attestation/type", "expected symmetricKey or x509")),
    }
}

fn read_certificates(
    x509: &Value,
    subject: &Subject,
    before: Option<&Certificates>,
) -> Result<Certificates, EngineError> {
    let place = match subject {
        Subject::Individual(_) => "clientCertificates",
        Subject::Group(_) => "signingCertificates",
    };
    let certificate = |name: &str, before: Option<&String>| {
        let pointer = format!("/attestation/x509/{place}/{name}");
        let given = &x509[place][name];
        match given["certificate"].as_str().filter(|text| !text.is_empty()) {
            Some(text) => {
                let der = x509::read(text).ok_or_else(|| problem(&pointer, "this is no X.509 certificate"))?;
                if matches!(subject, Subject::Group(_)) && !x509::is_authority(&der) {
                    return Err(problem(&pointer, "the certificate is not that of an authority (CA:TRUE)"));
                }
                Ok(Some(x509::write(&der)))
            }
            // A document that was read holds no certificate, only what is known of it.
            None if given["info"].is_object() => Ok(before.cloned()),
            None => Ok(None),
        }
    };
    let authority = |name: &str| match x509["caReferences"][name].as_str().filter(|text| !text.is_empty()) {
        Some(id) if matches!(subject, Subject::Group(_)) => Ok::<_, EngineError>(Some(AuthorityId::parse(id)?)),
        Some(_) => Err(problem("/attestation/x509/caReferences", "only groups rely on an authority")),
        None => Ok(None),
    };
    let certificates = Certificates {
        primary: certificate("primary", before.and_then(|before| before.primary.as_ref()))?,
        secondary: certificate("secondary", before.and_then(|before| before.secondary.as_ref()))?,
        primary_authority: authority("primary")?,
        secondary_authority: authority("secondary")?,
    };
    if certificates == Certificates::default() {
        return Err(problem("/attestation/x509", "there is no certificate"));
    }
    Ok(certificates)
}

async fn check_authorities(tx: &Tx, scope: &Scope, attested: &Attested) -> Result<(), EngineError> {
    let Attested::Certificates(certificates) = attested else { return Ok(()) };
    for id in certificates.primary_authority.iter().chain(&certificates.secondary_authority) {
        if !authorities::find(tx, scope, id).await?.is_some_and(|authority| authority.verified) {
            let message = format!("there is no verified certificate authority '{id}'");
            return Err(problem("/attestation/x509/caReferences", &message));
        }
    }
    Ok(())
}

fn read_status(document: &Value) -> Result<bool, EngineError> {
    match document["provisioningStatus"].as_str() {
        None | Some("enabled") => Ok(true),
        Some("disabled") => Ok(false),
        Some(_) => Err(problem("/provisioningStatus", "expected enabled or disabled")),
    }
}

fn read_settings(document: &Value) -> Result<Map<String, Value>, EngineError> {
    let document = document.as_object().ok_or_else(|| problem("", "expected an object"))?;
    let known = document.iter().filter(|(name, value)| SETTINGS.contains(&name.as_str()) && !value.is_null());
    let settings: Map<String, Value> = known.map(|(name, value)| (name.clone(), value.clone())).collect();
    if Value::Object(settings.clone()).to_string().len() > MAX_DOCUMENT_BYTES {
        return Err(problem("", "the document is too large"));
    }
    if let Some(id) = settings.get("deviceId").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        DeviceId::parse(id)?;
    }
    for (pointer, limits) in [("/tags", &Limits::TAGS), ("/properties/desired", &Limits::PROPERTIES)] {
        let Some(section) = settings.get("initialTwin").and_then(|twin| twin.pointer(pointer)) else { continue };
        let pointer = format!("/initialTwin{pointer}");
        match section {
            Value::Null => {}
            Value::Object(section) => {
                let section: Map<_, _> = section
                    .iter()
                    .filter(|(name, _)| !name.starts_with('$'))
                    .map(|(n, v)| (n.clone(), v.clone()))
                    .collect();
                let checked = twin::validate(&section, limits).and_then(|()| twin::check_size(&section, limits));
                checked.map_err(|error| problem(&pointer, &error.to_string()))?;
            }
            _ => return Err(problem(&pointer, "expected an object")),
        }
    }
    Ok(settings)
}

/// What a certificate says of itself.
fn info(der: &[u8]) -> Value {
    json!({ "info": x509::describe(der) })
}

fn present<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    Value::Object(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

fn problem(pointer: &str, message: &str) -> EngineError {
    Problem::at("enrollment", pointer, message).into()
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
