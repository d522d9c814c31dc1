//! Device twins.

use crate::{
    MAX_PAGE, StoreError, Tx, convert,
    keys::{self, in_scope},
};
use muster_model::{DeviceKey, Scope, device::Twin};
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait, EntityTrait, QueryFilter, QuerySelect,
};
use serde_json::{Map, Value};

/// The twin.
pub async fn get(tx: &Tx, scope: &Scope, device: DeviceKey) -> Result<Twin, StoreError> {
    let query = row::Entity::find_by_id(in_scope(scope, device)?);
    let row = query.one(&tx.db).await?;
    row.ok_or_else(|| StoreError::not_found("device", device))?.try_into()
}

/// The twin, locked against other writers until the transaction ends; read so before a change.
pub async fn lock(tx: &Tx, scope: &Scope, device: DeviceKey) -> Result<Twin, StoreError> {
    let query = row::Entity::find_by_id(in_scope(scope, device)?).lock_exclusive();
    let row = query.one(&tx.db).await?;
    row.ok_or_else(|| StoreError::not_found("device", device))?.try_into()
}

/// Writes the twin as given, versions included.
pub async fn update(tx: &Tx, scope: &Scope, device: DeviceKey, twin: &Twin) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        device: Unchanged(in_scope(scope, device)?),
        desired: Set(Value::Object(twin.desired.clone())),
        desired_version: Set(twin.desired_version),
        desired_metadata: Set(Value::Object(twin.desired_metadata.clone())),
        reported: Set(Value::Object(twin.reported.clone())),
        reported_version: Set(twin.reported_version),
        reported_metadata: Set(Value::Object(twin.reported_metadata.clone())),
        tags: Set(Value::Object(twin.tags.clone())),
        configurations: Set(Value::Object(twin.configurations.clone())),
        model_id: Set(twin.model_id.clone()),
        version: Set(twin.version),
        service_version: Set(twin.service_version),
    };
    match row::Entity::update_many().set(row).filter(row::Column::Device.eq(device.0)).exec(&tx.db).await?.rows_affected
    {
        0 => Err(StoreError::not_found("device", device)),
        _ => Ok(()),
    }
}

/// The twins of these devices, in no order; at most [`crate::MAX_PAGE`].
pub async fn list_by_keys(tx: &Tx, scope: &Scope, devices: &[DeviceKey]) -> Result<Vec<(DeviceKey, Twin)>, StoreError> {
    let keys = devices.iter().filter(|&&device| keys::tenant_of(device) == scope.tenant).map(|device| device.0);
    let query = row::Entity::find().filter(row::Column::Device.is_in(keys)).limit(u64::from(MAX_PAGE));
    query.all(&tx.db).await?.into_iter().map(|row| Ok((DeviceKey(row.device), row.try_into()?))).collect()
}

/// Makes the twin of a new device.
pub(crate) async fn insert(tx: &Tx, device: DeviceKey) -> Result<(), StoreError> {
    let empty = || Set(Value::Object(Map::new()));
    let row = row::ActiveModel {
        device: Set(device.0),
        desired: empty(),
        desired_version: Set(1),
        desired_metadata: empty(),
        reported: empty(),
        reported_version: Set(1),
        reported_metadata: empty(),
        tags: empty(),
        configurations: empty(),
        model_id: Set(None),
        version: Set(2),
        service_version: Set(1),
    };
    row::Entity::insert(row).exec_without_returning(&tx.db).await?;
    Ok(())
}

impl TryFrom<row::Model> for Twin {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            desired: convert::object("twin", row.desired)?,
            desired_version: row.desired_version,
            desired_metadata: convert::object("twin", row.desired_metadata)?,
            reported: convert::object("twin", row.reported)?,
            reported_version: row.reported_version,
            reported_metadata: convert::object("twin", row.reported_metadata)?,
            tags: convert::object("twin", row.tags)?,
            configurations: convert::object("twin", row.configurations)?,
            model_id: row.model_id,
            version: row.version,
            service_version: row.service_version,
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "twin")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub device: i64,
        pub desired: Json,
        pub desired_version: i64,
        pub desired_metadata: Json,
        pub reported: Json,
        pub reported_version: i64,
        pub reported_metadata: Json,
        pub tags: Json,
        pub configurations: Json,
        pub model_id: Option<String>,
        pub version: i64,
        pub service_version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
