//! Tenants: what IoT Central calls an application.

use crate::{Page, Paging, StoreError, Tx, convert};
use chrono::{DateTime, Utc};
use muster_model::{IdScope, Scope, SystemScope, TenantId, TenantKey};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use serde_json::{Map, Value};

/// A tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Its number in the database.
    pub key: TenantKey,
    /// Its name in addresses.
    pub id: TenantId,
    /// The name shown to people.
    pub name: String,
    /// By which a device finds it in the provisioning service.
    pub id_scope: IdScope,
    /// The name of its hub.
    pub hub_name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Settings of the tenant, a document of the engine's.
    pub settings: Map<String, Value>,
}

/// A tenant to be made.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Its name in addresses.
    pub id: TenantId,
    /// The name shown to people.
    pub name: String,
    /// By which a device finds it in the provisioning service.
    pub id_scope: IdScope,
    /// The name of its hub.
    pub hub_name: String,
    /// When it is made.
    pub created_at: DateTime<Utc>,
}

/// The tenant of the scope.
pub async fn get(tx: &Tx, scope: &Scope) -> Result<Tenant, StoreError> {
    let row = row::Entity::find_by_id(scope.tenant.0).one(&tx.db).await?;
    row.ok_or_else(|| StoreError::not_found("tenant", scope.tenant))?.try_into()
}

/// Makes a tenant. [`StoreError::Conflict`] where the id or the id scope is taken.
pub async fn insert(tx: &Tx, _: &SystemScope, new: NewTenant) -> Result<Tenant, StoreError> {
    let row = row::ActiveModel {
        key: NotSet,
        id: Set(new.id.to_string()),
        name: Set(new.name),
        id_scope: Set(new.id_scope.to_string()),
        hub_name: Set(new.hub_name),
        settings: Set(Value::Object(Map::new())),
        created_ms: Set(new.created_at.timestamp_millis()),
    };
    row.insert(&tx.db).await.map_err(StoreError::on_conflict("tenant", &new.id))?.try_into()
}

/// The tenant with this id.
pub async fn find_by_id(tx: &Tx, _: &SystemScope, id: &TenantId) -> Result<Option<Tenant>, StoreError> {
    let row = row::Entity::find().filter(row::Column::Id.eq(id.as_str())).one(&tx.db).await?;
    row.map(Tenant::try_from).transpose()
}

/// The tenant with this id scope.
pub async fn find_by_id_scope(tx: &Tx, _: &SystemScope, id_scope: &IdScope) -> Result<Option<Tenant>, StoreError> {
    let row = row::Entity::find().filter(row::Column::IdScope.eq(id_scope.as_str())).one(&tx.db).await?;
    row.map(Tenant::try_from).transpose()
}

/// Tenants in the order of their ids.
pub async fn list(tx: &Tx, _: &SystemScope, paging: Paging<TenantId>) -> Result<Page<Tenant>, StoreError> {
    let size = paging.size();
    let mut query = row::Entity::find().order_by_asc(row::Column::Id).limit(size + 1);
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.gt(after.as_str()));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(Tenant::try_from)
}

/// Changes the name and the settings.
pub async fn update(tx: &Tx, scope: &Scope, name: &str, settings: &Map<String, Value>) -> Result<(), StoreError> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::Name, Expr::value(name))
        .col_expr(row::Column::Settings, Expr::value(Value::Object(settings.clone())))
        .filter(row::Column::Key.eq(scope.tenant.0));
    match update.exec(&tx.db).await?.rows_affected {
        0 => Err(StoreError::not_found("tenant", scope.tenant)),
        _ => Ok(()),
    }
}

impl TryFrom<row::Model> for Tenant {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            key: TenantKey(row.key),
            id: convert::id("tenant", row.id)?,
            name: row.name,
            id_scope: convert::id("tenant", row.id_scope)?,
            hub_name: row.hub_name,
            created_at: convert::time(row.created_ms),
            settings: convert::object("tenant", row.settings)?,
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tenant")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub key: i32,
        pub id: String,
        pub name: String,
        pub id_scope: String,
        pub hub_name: String,
        pub settings: Json,
        pub created_ms: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
