//! Individual enrollments: what one device alone may register with.

use crate::{Page, Paging, StoreError, Tx, convert, enrollment::Attestation};
use chrono::{DateTime, Utc};
use muster_model::{RegistrationId, Scope};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::{Map, Value};

/// An individual enrollment.
#[derive(Clone)]
pub struct IndividualEnrollment {
    /// The id that the device registers with; its case does not count.
    pub id: RegistrationId,
    /// May the device register?
    pub enabled: bool,
    /// How it proves itself.
    pub attestation: Attestation,
    /// What else was asked for, a document of the engine's.
    pub settings: Map<String, Value>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
    /// Raised with each change; its hex is the etag.
    pub version: i64,
}

/// Makes an enrollment. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(tx: &Tx, scope: &Scope, enrollment: &IndividualEnrollment) -> Result<(), StoreError> {
    let inserted = row::Entity::insert(model(scope, enrollment, 1)).exec_without_returning(&tx.db).await;
    inserted.map_err(StoreError::on_conflict("enrollment", &enrollment.id))?;
    Ok(())
}

/// The enrollment.
pub async fn get(tx: &Tx, scope: &Scope, id: &RegistrationId) -> Result<IndividualEnrollment, StoreError> {
    find(tx, scope, id).await?.ok_or_else(|| StoreError::not_found("enrollment", id))
}

/// The enrollment, if there is one.
pub async fn find(tx: &Tx, scope: &Scope, id: &RegistrationId) -> Result<Option<IndividualEnrollment>, StoreError> {
    let row = row::Entity::find_by_id((scope.tenant.0, key(id))).one(&tx.db).await?;
    row.map(IndividualEnrollment::try_from).transpose()
}

/// The tenant's enrollments in the order of their ids.
pub async fn list(
    tx: &Tx,
    scope: &Scope,
    paging: Paging<RegistrationId>,
) -> Result<Page<IndividualEnrollment>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let mut query = query.order_by_asc(row::Column::Id).limit(size + 1);
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.gt(key(&after)));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(IndividualEnrollment::try_from)
}

/// Writes enabled, attestation and settings; returns the new version. [`StoreError::Stale`] where the stored version
/// is not `enrollment.version`.
pub async fn update(tx: &Tx, scope: &Scope, enrollment: &IndividualEnrollment) -> Result<i64, StoreError> {
    let update = row::Entity::update_many()
        .set(model(scope, enrollment, enrollment.version + 1))
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Id.eq(key(&enrollment.id)))
        .filter(row::Column::Version.eq(enrollment.version));
    if update.exec(&tx.db).await?.rows_affected == 0 {
        get(tx, scope, &enrollment.id).await?;
        return Err(StoreError::stale("enrollment", &enrollment.id));
    }
    Ok(enrollment.version + 1)
}

/// Removes an enrollment.
pub async fn delete(tx: &Tx, scope: &Scope, id: &RegistrationId) -> Result<(), StoreError> {
    match row::Entity::delete_by_id((scope.tenant.0, key(id))).exec(&tx.db).await?.rows_affected {
        0 => Err(StoreError::not_found("enrollment", id)),
        _ => Ok(()),
    }
}

fn key(id: &RegistrationId) -> String {
    id.as_str().to_ascii_lowercase()
}

fn model(scope: &Scope, enrollment: &IndividualEnrollment, version: i64) -> row::ActiveModel {
    let (attestation, encrypted) = enrollment.attestation.columns();
    row::ActiveModel {
        tenant: Set(scope.tenant.0),
        id: Set(key(&enrollment.id)),
        enabled: Set(enrollment.enabled),
        attestation: Set(attestation.to_owned()),
        encrypted: Set(encrypted.to_vec()),
        settings: Set(Value::Object(enrollment.settings.clone())),
        version: Set(version),
        created_ms: Set(enrollment.created_at.timestamp_millis()),
        updated_ms: Set(enrollment.updated_at.timestamp_millis()),
    }
}

impl TryFrom<row::Model> for IndividualEnrollment {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: convert::id("enrollment", row.id)?,
            enabled: row.enabled,
            attestation: Attestation::from_columns(&row.attestation, row.encrypted)?,
            settings: convert::object("enrollment", row.settings)?,
            created_at: convert::time(row.created_ms),
            updated_at: convert::time(row.updated_ms),
            version: row.version,
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "enrollment")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub enabled: bool,
        pub attestation: String,
        pub encrypted: Vec<u8>,
        pub settings: Json,
        pub version: i64,
        pub created_ms: i64,
        pub updated_ms: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
