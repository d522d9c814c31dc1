//! Tenants: made whole, or found as they are.

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    devices::check_name,
    identity::{
        check_new,
        tokens::{self, NewToken},
    },
    notices::NoticeKind,
    policies::{self, KeySlot, Policy, PolicyKeys},
    provisioning::{self, DEFAULT_GROUP},
    secrets::random_bytes,
};
use muster_model::{
    Caller, EnrollmentGroupId, IdScope, Permission, Role, Scope, SystemScope, TenantId, TokenId, UserId,
    device::SymmetricKeys, rule::is_address,
};
use muster_store::{
    StoreError, Tx,
    enrollment::{self, EnrollmentGroup, EnrollmentKind},
    tenants::{self, NewTenant, Tenant},
    users,
};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt};
use uuid::Uuid;

/// The name of the API token that comes with a tenant.
const FIRST_TOKEN: &str = "bootstrap";

/// A tenant to be made, with its first administrator.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// Its id in addresses.
    pub tenant: TenantId,
    /// The name shown to people.
    pub name: String,
    /// The administrator's e-mail address.
    pub admin_email: String,
    /// The administrator's password; not used where the address has an account already.
    pub admin_password: SecretString,
}

/// What devices and scripts need to know about a tenant.
pub struct BootstrapResult {
    /// Its id in addresses.
    pub tenant: TenantId,
    /// By which devices find it in the provisioning service.
    pub id_scope: IdScope,
    /// The hub that devices connect to.
    pub hub_host: String,
    /// The default enrollment group.
    pub enrollment_group: EnrollmentGroupId,
    /// Its keys.
    pub keys: SymmetricKeys,
    /// What services are configured with, by the name of the policy.
    pub connection_strings: BTreeMap<&'static str, String>,
    /// The API token; only when the tenant was made by this call.
    pub api_token: Option<SecretString>,
}

/// Makes a tenant with its administrator, its default enrollment group and an API token. Where there is one of this id
/// nothing is changed.
///
/// # Errors
/// [`EngineError::Invalid`] for a bad name, address or password, [`EngineError::NotFound`] where an existing tenant
/// has no default group any more.
pub async fn bootstrap(engine: &Engine, wanted: Bootstrap) -> Result<BootstrapResult, EngineError> {
    if let Some(existing) = find(engine, &wanted.tenant).await? {
        return describe(engine, existing).await;
    }
    let password_hash = check(engine, &wanted).await?;
    let tx = engine.store().begin_system(&SystemScope).await?;
    match make(&tx, engine, &wanted, password_hash).await {
        Ok(made) => {
            tx.commit().await?;
            engine.notify(made.caller.scope.tenant, NoticeKind::Tenant, &wanted.tenant).await;
            Ok(made.result)
        }
        // Somebody else made it at the same time.
        Err(EngineError::Conflict { kind, id, reason }) => {
            drop(tx);
            match find(engine, &wanted.tenant).await? {
                Some(existing) => describe(engine, existing).await,
                None => Err(EngineError::Conflict { kind, id, reason }),
            }
        }
        Err(error) => Err(error),
    }
}

/// A tenant whose transaction is still open.
pub(crate) struct Made {
    pub(crate) caller: Caller,
    pub(crate) result: BootstrapResult,
}

/// The password's hash, once everything is found in order.
pub(crate) async fn check(engine: &Engine, wanted: &Bootstrap) -> Result<String, EngineError> {
    check_name(&wanted.name)?;
    if !is_address(&wanted.admin_email) {
        return Err(Problem::new("email", format!("'{}' is no e-mail address", wanted.admin_email)).into());
    }
    check_new(&wanted.admin_password)?;
    engine.passwords().hash(&wanted.admin_password).await
}

/// Makes the tenant in a transaction over all tenants.
pub(crate) async fn make(
    tx: &Tx,
    engine: &Engine,
    wanted: &Bootstrap,
    password_hash: String,
) -> Result<Made, EngineError> {
    let now = engine.clock().now();
    let new = NewTenant {
        id: wanted.tenant.clone(),
        name: wanted.name.clone(),
        id_scope: new_id_scope()?,
        hub_name: wanted.tenant.to_string(),
        created_at: now,
    };
    let tenant = tenants::insert(tx, &SystemScope, new).await?;
    let scope = Scope { tenant: tenant.key };
    let caller = Caller::system(scope.clone(), tenant.id.clone(), "bootstrap");
    let details = Map::from_iter([("displayName".to_owned(), json!(tenant.name))]);
    audit::record(tx, engine, &caller, Entry::new("created", "tenant", &tenant.id).with(details)).await?;

    add_administrator(tx, engine, &caller, wanted, password_hash).await?;
    let (group, keys) = add_default_group(tx, engine, &caller).await?;
    let new = NewToken { id: TokenId::parse(FIRST_TOKEN)?, role: Role::Administrator, expires_at: None };
    let token = tokens::make(new, &caller, now)?;
    tokens::insert(tx, engine, &caller, &token).await?;

    let policies = policies::make(tx, engine, tenant.key).await?;
    let mut result = answer(engine, tenant, group, keys, &policies);
    result.api_token = Some(token.created.text);
    Ok(Made { caller, result })
}

async fn add_administrator(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    wanted: &Bootstrap,
    password_hash: String,
) -> Result<(), EngineError> {
    let now = engine.clock().now();
    let email = wanted.admin_email.to_lowercase();
    let user = match users::find_by_email(tx, &SystemScope, &email).await? {
        Some(existing) => existing.user.id,
        None => {
            let id = UserId::parse(Uuid::now_v7().to_string())?;
            let user =
                users::User { id: id.clone(), display_name: email.clone(), email: email.clone(), created_at: now };
            users::insert(tx, &SystemScope, users::Credentials { user, password_hash }).await?;
            id
        }
    };
    users::add_member(tx, &caller.scope, &user, Role::Administrator, now).await?;
    let details = Map::from_iter([("email".to_owned(), json!(email)), ("role".to_owned(), json!(Role::Administrator))]);
    audit::record(tx, engine, caller, Entry::new("added", "user", &user).with(details)).await
}

async fn add_default_group(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
) -> Result<(EnrollmentGroupId, SymmetricKeys), EngineError> {
    let (id, keys) = (EnrollmentGroupId::parse(DEFAULT_GROUP)?, provisioning::random_keys()?);
    let group = EnrollmentGroup {
        id: id.clone(),
        display_name: DEFAULT_GROUP.to_owned(),
        enabled: true,
        kind: EnrollmentKind::Iot,
        attestation: provisioning::seal_group_keys(engine, &caller.scope, &id, &keys)?,
        settings: Map::new(),
        created_at: engine.clock().now(),
        updated_at: engine.clock().now(),
        version: 1,
    };
    enrollment::insert(tx, &caller.scope, &group).await?;
    audit::record(tx, engine, caller, Entry::new("created", "enrollmentGroup", &id)).await?;
    Ok((id, keys))
}

/// The name of the setting whether telemetry is also told as events.
const EVENT_FEED: &str = "eventFeed";

/// Whether services can read the tenant's telemetry as events; what happens to its devices can always be read.
pub fn has_event_feed(tenant: &Tenant) -> bool {
    tenant.settings.get(EVENT_FEED) == Some(&Value::Bool(true))
}

/// Switches telemetry as events on or off, from the next batch on.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn set_event_feed(engine: &Engine, caller: &Caller, on: bool) -> Result<Tenant, EngineError> {
    caller.require(Permission::TenantManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let mut tenant = tenants::get(&tx, &caller.scope).await?;
    if has_event_feed(&tenant) == on {
        return Ok(tenant);
    }
    tenant.settings.insert(EVENT_FEED.to_owned(), on.into());
    tenants::update(&tx, &caller.scope, &tenant.name, &tenant.settings).await?;
    let details = Map::from_iter([(EVENT_FEED.to_owned(), json!(on))]);
    audit::record(&tx, engine, caller, Entry::new("updated", "tenant", &tenant.id).with(details)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Tenant, &tenant.id).await;
    Ok(tenant)
}

/// Replaces one key of a tenant's policy, by the operator of the installation; returns what a service is configured with
/// from now on, by that key.
///
/// # Errors
/// [`EngineError::NotFound`].
pub async fn regenerate_policy_key(
    engine: &Engine,
    id: &TenantId,
    policy: Policy,
    slot: KeySlot,
) -> Result<String, EngineError> {
    let caller = operator(engine, id).await?;
    let keys = policies::regenerate(engine, &caller, policy, slot).await?;
    let key = match slot {
        KeySlot::Primary => &keys.primary_key,
        KeySlot::Secondary => &keys.secondary_key,
    };
    Ok(policies::connection_string(engine, id, policy, key))
}

/// The operator of the installation in a tenant, with every permission.
///
/// # Errors
/// [`EngineError::NotFound`].
pub async fn operator(engine: &Engine, id: &TenantId) -> Result<Caller, EngineError> {
    let tenant = find(engine, id).await?.ok_or_else(|| EngineError::not_found("tenant", id))?;
    Ok(Caller::system(Scope { tenant: tenant.key }, tenant.id, "operator"))
}

/// Switches telemetry as events on for a tenant, by the operator of the installation.
///
/// # Errors
/// [`EngineError::NotFound`].
pub async fn begin_event_feed(engine: &Engine, id: &TenantId) -> Result<(), EngineError> {
    let tenant = find(engine, id).await?.ok_or_else(|| EngineError::not_found("tenant", id))?;
    let caller = Caller::system(Scope { tenant: tenant.key }, tenant.id, "bootstrap");
    set_event_feed(engine, &caller, true).await.map(drop)
}

async fn find(engine: &Engine, id: &TenantId) -> Result<Option<Tenant>, StoreError> {
    let tx = engine.store().begin_system_read(&SystemScope).await?;
    tenants::find_by_id(&tx, &SystemScope, id).await
}

async fn describe(engine: &Engine, tenant: Tenant) -> Result<BootstrapResult, EngineError> {
    let scope = Scope { tenant: tenant.key };
    let tx = engine.store().begin_read(&scope).await?;
    let group = enrollment::get(&tx, &scope, &EnrollmentGroupId::parse(DEFAULT_GROUP)?).await?;
    let keys = provisioning::group_keys(engine, &scope, &group)?;
    let keys = keys.ok_or_else(|| EngineError::conflict("enrollment group", &group.id, "has no keys any more"))?;
    drop(tx);
    let policies = policies::of_tenant(engine, tenant.key).await?;
    Ok(answer(engine, tenant, group.id, keys, &policies))
}

impl fmt::Debug for BootstrapResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootstrapResult")
            .field("tenant", &self.tenant)
            .field("id_scope", &self.id_scope)
            .field("hub_host", &self.hub_host)
            .finish_non_exhaustive()
    }
}

fn answer(
    engine: &Engine,
    tenant: Tenant,
    group: EnrollmentGroupId,
    keys: SymmetricKeys,
    policies: &PolicyKeys,
) -> BootstrapResult {
    BootstrapResult {
        hub_host: engine.config().host_of(&tenant.id),
        connection_strings: policies::connection_strings(engine, &tenant.id, policies),
        tenant: tenant.id,
        id_scope: tenant.id_scope,
        enrollment_group: group,
        keys,
        api_token: None,
    }
}

/// Ids of this form are what devices of IoT Central are configured with.
fn new_id_scope() -> Result<IdScope, EngineError> {
    let number = u32::from_be_bytes(random_bytes()?);
    Ok(IdScope::parse(format!("0ne{number:08X}"))?)
}
