//! Enrollment groups as people see them: with their keys.

use crate::{Engine, EngineError, provisioning::group_keys};
use muster_model::{Caller, EnrollmentGroupId, IdScope, Permission, device::SymmetricKeys};
use muster_store::{
    Page, Paging,
    enrollment::{self, EnrollmentGroup, EnrollmentKind},
    tenants,
};

/// An enrollment group and the keys that its devices' keys derive from.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its id.
    pub id: EnrollmentGroupId,
    /// The name shown to people.
    pub display_name: String,
    /// May its devices connect?
    pub enabled: bool,
    /// What its devices are.
    pub kind: EnrollmentKind,
    /// Raised with each change.
    pub version: i64,
    /// Its keys; none where its devices prove themselves by certificate.
    pub keys: Option<SymmetricKeys>,
    /// By which its devices find the tenant.
    pub id_scope: IdScope,
}

/// The tenant's groups in the order of their ids.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn list(
    engine: &Engine,
    caller: &Caller,
    paging: Paging<EnrollmentGroupId>,
) -> Result<Page<Group>, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let id_scope = tenants::get(&tx, &caller.scope).await?.id_scope;
    let Page { items, more } = enrollment::list(&tx, &caller.scope, paging).await?;
    let groups = items.into_iter().map(|group| open(engine, caller, group, id_scope.clone()));
    Ok(Page { items: groups.collect::<Result<_, _>>()?, more })
}

/// The group.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn get(engine: &Engine, caller: &Caller, id: &EnrollmentGroupId) -> Result<Group, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let group = enrollment::get(&tx, &caller.scope, id).await?;
    let id_scope = tenants::get(&tx, &caller.scope).await?.id_scope;
    open(engine, caller, group, id_scope)
}

fn open(engine: &Engine, caller: &Caller, group: EnrollmentGroup, id_scope: IdScope) -> Result<Group, EngineError> {
    let keys = group_keys(engine, &caller.scope, &group)?;
    let EnrollmentGroup { id, display_name, enabled, kind, version, .. } = group;
    Ok(Group { id, display_name, enabled, kind, version, keys, id_scope })
}
