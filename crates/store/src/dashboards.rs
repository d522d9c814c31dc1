//! Dashboards, as documents.

use crate::{Page, Paging, StoreError, Tx, convert, references};
use muster_model::{
    DashboardId, Scope,
    dashboard::Dashboard,
    template::{Referrer, ReferrerKind},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};

/// Stores a new dashboard at version 1. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(tx: &Tx, scope: &Scope, dashboard: &Dashboard) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        tenant: Set(scope.tenant.0),
        id: Set(dashboard.id.to_string()),
        document: Set(convert::write_document("dashboard", dashboard)?),
        version: Set(1),
    };
    let inserted = row::Entity::insert(row).exec_without_returning(&tx.db).await;
    inserted.map_err(StoreError::on_conflict("dashboard", &dashboard.id))?;
    refer(tx, scope, dashboard).await
}

/// The dashboard.
pub async fn get(tx: &Tx, scope: &Scope, id: &DashboardId) -> Result<Dashboard, StoreError> {
    find(tx, scope, id).await?.ok_or_else(|| StoreError::not_found("dashboard", id))
}

/// The dashboard, if there is one.
pub async fn find(tx: &Tx, scope: &Scope, id: &DashboardId) -> Result<Option<Dashboard>, StoreError> {
    let row = row::Entity::find_by_id((scope.tenant.0, id.to_string())).one(&tx.db).await?;
    row.map(dashboard).transpose()
}

/// The tenant's dashboards in the order of their ids.
pub async fn list(tx: &Tx, scope: &Scope, paging: Paging<DashboardId>) -> Result<Page<Dashboard>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let mut query = query.order_by_asc(row::Column::Id).limit(size + 1);
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.gt(after.as_str()));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(dashboard)
}

/// Writes the dashboard; returns the new version. [`StoreError::Stale`] where the stored version is not
/// `dashboard.version`.
pub async fn update(tx: &Tx, scope: &Scope, dashboard: &Dashboard) -> Result<i64, StoreError> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::Document, Expr::value(convert::write_document("dashboard", dashboard)?))
        .col_expr(row::Column::Version, Expr::value(dashboard.version + 1))
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Id.eq(dashboard.id.as_str()))
        .filter(row::Column::Version.eq(dashboard.version));
    if update.exec(&tx.db).await?.rows_affected == 0 {
        get(tx, scope, &dashboard.id).await?;
        return Err(StoreError::stale("dashboard", &dashboard.id));
    }
    refer(tx, scope, dashboard).await?;
    Ok(dashboard.version + 1)
}

async fn refer(tx: &Tx, scope: &Scope, dashboard: &Dashboard) -> Result<(), StoreError> {
    let referrer = Referrer::dashboard(&dashboard.id, &dashboard.display_name);
    references::set(tx, scope, &referrer, &dashboard.references()).await
}

/// Removes a dashboard.
pub async fn delete(tx: &Tx, scope: &Scope, id: &DashboardId) -> Result<(), StoreError> {
    references::clear(tx, scope, ReferrerKind::Dashboard, id.as_str()).await?;
    match row::Entity::delete_by_id((scope.tenant.0, id.to_string())).exec(&tx.db).await?.rows_affected {
        0 => Err(StoreError::not_found("dashboard", id)),
        _ => Ok(()),
    }
}

/// The dashboard of a row; what the columns say holds over what the document says.
fn dashboard(row: row::Model) -> Result<Dashboard, StoreError> {
    let dashboard: Dashboard = convert::read_document("dashboard", row.document)?;
    Ok(Dashboard { version: row.version, ..dashboard })
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "dashboard")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub document: Json,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
