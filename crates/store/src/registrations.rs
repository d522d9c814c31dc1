//! What the provisioning service (DPS) has registered.

use crate::{Page, Paging, StoreError, Tx, convert};
use chrono::{DateTime, Utc};
use muster_model::{DeviceId, EnrollmentGroupId, RegistrationId, Scope};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::OnConflict,
};
use serde_json::Value;

/// A device that went through the provisioning service.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// The id it registered with.
    pub id: RegistrationId,
    /// The device it became.
    pub device: DeviceId,
    /// The group whose key it used; absent where it used its own.
    pub group: Option<EnrollmentGroupId>,
    /// What it sent along, for example its model id.
    pub payload: Option<Value>,
    /// When it registered first.
    pub created_at: DateTime<Utc>,
    /// When it registered last.
    pub updated_at: DateTime<Utc>,
}

/// The registration, if there is one.
pub async fn find(tx: &Tx, scope: &Scope, id: &RegistrationId) -> Result<Option<Registration>, StoreError> {
    let row = row::Entity::find_by_id((scope.tenant.0, id.to_string())).one(&tx.db).await?;
    row.map(Registration::try_from).transpose()
}

/// The registrations of a group in the order of their ids.
pub async fn list_of_group(
    tx: &Tx,
    scope: &Scope,
    group: &EnrollmentGroupId,
    paging: Paging<RegistrationId>,
) -> Result<Page<Registration>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let query = query.filter(row::Column::EnrollmentGroup.eq(group.as_str()));
    let mut query = query.order_by_asc(row::Column::Id).limit(size + 1);
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.gt(after.as_str()));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(Registration::try_from)
}

/// Stores a registration; an earlier one with the same id keeps its `created_at`.
pub async fn put(tx: &Tx, scope: &Scope, registration: &Registration) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        tenant: Set(scope.tenant.0),
        id: Set(registration.id.to_string()),
        device_id: Set(registration.device.to_string()),
        enrollment_group: Set(registration.group.as_ref().map(ToString::to_string)),
        payload: Set(registration.payload.clone()),
        created_ms: Set(registration.created_at.timestamp_millis()),
        updated_ms: Set(registration.updated_at.timestamp_millis()),
    };
    let replace = OnConflict::columns([row::Column::Tenant, row::Column::Id])
        .update_columns([
            row::Column::DeviceId,
            row::Column::EnrollmentGroup,
            row::Column::Payload,
            row::Column::UpdatedMs,
        ])
        .to_owned();
    row::Entity::insert(row).on_conflict(replace).exec_without_returning(&tx.db).await?;
    Ok(())
}

/// Removes a registration; removing what is not there is no error.
pub async fn delete(tx: &Tx, scope: &Scope, id: &RegistrationId) -> Result<(), StoreError> {
    row::Entity::delete_by_id((scope.tenant.0, id.to_string())).exec(&tx.db).await?;
    Ok(())
}

impl TryFrom<row::Model> for Registration {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: convert::id("registration", row.id)?,
            device: convert::id("registration", row.device_id)?,
            group: row.enrollment_group.map(|id| convert::id("registration", id)).transpose()?,
            payload: row.payload,
            created_at: convert::time(row.created_ms),
            updated_at: convert::time(row.updated_ms),
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "dps_registration")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub device_id: String,
        pub enrollment_group: Option<String>,
        pub payload: Option<Json>,
        pub created_ms: i64,
        pub updated_ms: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
