//! Device groups.

use crate::{Page, Paging, StoreError, Tx, convert, references};
use muster_model::{
    DeviceGroupId, Scope, TemplateId,
    group::DeviceGroup,
    template::{Reference, Referrer, ReferrerKind},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use std::collections::BTreeSet;

/// Stores a new group at version 1, with what it names of templates. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(
    tx: &Tx,
    scope: &Scope,
    group: &DeviceGroup,
    references: &BTreeSet<Reference>,
) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        tenant: Set(scope.tenant.0),
        id: Set(group.id.to_string()),
        display_name: Set(group.display_name.clone()),
        description: Set(group.description.clone()),
        filter: Set(group.filter.clone()),
        automatic_of: Set(group.automatic_of.as_ref().map(TemplateId::to_string)),
        version: Set(1),
        created_ms: Set(group.created_at.timestamp_millis()),
        updated_ms: Set(group.updated_at.timestamp_millis()),
    };
    let inserted = row::Entity::insert(row).exec_without_returning(&tx.db).await;
    inserted.map_err(StoreError::on_conflict("device group", &group.id))?;
    refer(tx, scope, group, references).await
}

/// The group.
pub async fn get(tx: &Tx, scope: &Scope, id: &DeviceGroupId) -> Result<DeviceGroup, StoreError> {
    find(tx, scope, id).await?.ok_or_else(|| StoreError::not_found("device group", id))
}

/// The group, if there is one.
pub async fn find(tx: &Tx, scope: &Scope, id: &DeviceGroupId) -> Result<Option<DeviceGroup>, StoreError> {
    let row = row::Entity::find_by_id((scope.tenant.0, id.to_string())).one(&tx.db).await?;
    row.map(DeviceGroup::try_from).transpose()
}

/// The tenant's groups in the order of their ids.
pub async fn list(tx: &Tx, scope: &Scope, paging: Paging<DeviceGroupId>) -> Result<Page<DeviceGroup>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let mut query = query.order_by_asc(row::Column::Id).limit(size + 1);
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.gt(after.as_str()));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(DeviceGroup::try_from)
}

/// How many groups the tenant has beside those that came with a template.
pub async fn count_made(tx: &Tx, scope: &Scope) -> Result<u64, StoreError> {
    let made =
        row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0)).filter(row::Column::AutomaticOf.is_null());
    Ok(made.count(&tx.db).await?)
}

/// Writes the group, with what it names of templates; returns the new version. [`StoreError::Stale`] where the stored
/// version is not `group.version`.
pub async fn update(
    tx: &Tx,
    scope: &Scope,
    group: &DeviceGroup,
    references: &BTreeSet<Reference>,
) -> Result<i64, StoreError> {
    let automatic = group.automatic_of.as_ref().map(TemplateId::to_string);
    let update = row::Entity::update_many()
        .col_expr(row::Column::DisplayName, Expr::value(group.display_name.as_str()))
        .col_expr(row::Column::Description, Expr::value(group.description.as_str()))
        .col_expr(row::Column::Filter, Expr::value(group.filter.as_str()))
        .col_expr(row::Column::AutomaticOf, Expr::value(automatic))
        .col_expr(row::Column::UpdatedMs, Expr::value(group.updated_at.timestamp_millis()))
        .col_expr(row::Column::Version, Expr::value(group.version + 1))
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Id.eq(group.id.as_str()))
        .filter(row::Column::Version.eq(group.version));
    if update.exec(&tx.db).await?.rows_affected == 0 {
        get(tx, scope, &group.id).await?;
        return Err(StoreError::stale("device group", &group.id));
    }
    refer(tx, scope, group, references).await?;
    Ok(group.version + 1)
}

async fn refer(
    tx: &Tx,
    scope: &Scope,
    group: &DeviceGroup,
    references: &BTreeSet<Reference>,
) -> Result<(), StoreError> {
    references::set(tx, scope, &Referrer::device_group(&group.id, &group.display_name), references).await
}

/// Removes a group.
pub async fn delete(tx: &Tx, scope: &Scope, id: &DeviceGroupId) -> Result<(), StoreError> {
    references::clear(tx, scope, ReferrerKind::DeviceGroup, id.as_str()).await?;
    match row::Entity::delete_by_id((scope.tenant.0, id.to_string())).exec(&tx.db).await?.rows_affected {
        0 => Err(StoreError::not_found("device group", id)),
        _ => Ok(()),
    }
}

impl TryFrom<row::Model> for DeviceGroup {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: convert::id("device group", row.id)?,
            display_name: row.display_name,
            description: row.description,
            filter: row.filter,
            automatic_of: row.automatic_of.map(|id| convert::id("device group", id)).transpose()?,
            version: row.version,
            created_at: convert::time(row.created_ms),
            updated_at: convert::time(row.updated_ms),
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "device_group")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub display_name: String,
        pub description: String,
        pub filter: String,
        pub automatic_of: Option<String>,
        pub version: i64,
        pub created_ms: i64,
        pub updated_ms: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
