//! Device templates, as documents.

use crate::{Page, Paging, StoreError, Tx, convert};
use chrono::{DateTime, Utc};
use muster_model::{Scope, TemplateId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use serde_json::Value;

/// A stored device template; the model reads its document.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTemplate {
    /// Its id.
    pub id: TemplateId,
    /// The name shown to people.
    pub display_name: String,
    /// The template as IoT Central's JSON.
    pub document: Value,
    /// Raised with each change; its hex is the etag. 1 at first, whatever is given to [`insert`].
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

/// Stores a new template. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(tx: &Tx, scope: &Scope, template: &StoredTemplate) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        tenant: Set(scope.tenant.0),
        id: Set(template.id.to_string()),
        display_name: Set(template.display_name.clone()),
        document: Set(template.document.clone()),
        version: Set(1),
        created_ms: Set(template.created_at.timestamp_millis()),
        updated_ms: Set(template.updated_at.timestamp_millis()),
    };
    let inserted = row::Entity::insert(row).exec_without_returning(&tx.db).await;
    inserted.map_err(StoreError::on_conflict("device template", &template.id))?;
    Ok(())
}

/// The template.
pub async fn get(tx: &Tx, scope: &Scope, id: &TemplateId) -> Result<StoredTemplate, StoreError> {
    find(tx, scope, id).await?.ok_or_else(|| StoreError::not_found("device template", id))
}

/// The template, if there is one.
pub async fn find(tx: &Tx, scope: &Scope, id: &TemplateId) -> Result<Option<StoredTemplate>, StoreError> {
    let row = row::Entity::find_by_id((scope.tenant.0, id.to_string())).one(&tx.db).await?;
    row.map(StoredTemplate::try_from).transpose()
}

/// The tenant's templates in the order of their ids.
pub async fn list(tx: &Tx, scope: &Scope, paging: Paging<TemplateId>) -> Result<Page<StoredTemplate>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let mut query = query.order_by_asc(row::Column::Id).limit(size + 1);
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.gt(after.as_str()));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(StoredTemplate::try_from)
}

/// Writes name, document and `updated_at`; returns the new version. [`StoreError::Stale`] where the stored version
/// is not `template.version`.
pub async fn update(tx: &Tx, scope: &Scope, template: &StoredTemplate) -> Result<i64, StoreError> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::DisplayName, Expr::value(template.display_name.as_str()))
        .col_expr(row::Column::Document, Expr::value(template.document.clone()))
        .col_expr(row::Column::UpdatedMs, Expr::value(template.updated_at.timestamp_millis()))
        .col_expr(row::Column::Version, Expr::value(template.version + 1))
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Id.eq(template.id.as_str()))
        .filter(row::Column::Version.eq(template.version));
    if update.exec(&tx.db).await?.rows_affected == 0 {
        get(tx, scope, &template.id).await?;
        return Err(StoreError::stale("device template", &template.id));
    }
    Ok(template.version + 1)
}

/// Removes a template. Whether devices use it is the caller's question ([`crate::devices::count`]).
pub async fn delete(tx: &Tx, scope: &Scope, id: &TemplateId) -> Result<(), StoreError> {
    match row::Entity::delete_by_id((scope.tenant.0, id.to_string())).exec(&tx.db).await?.rows_affected {
        0 => Err(StoreError::not_found("device template", id)),
        _ => Ok(()),
    }
}

impl TryFrom<row::Model> for StoredTemplate {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: convert::id("device template", row.id)?,
            display_name: row.display_name,
            document: row.document,
            version: row.version,
            created_at: convert::time(row.created_ms),
            updated_at: convert::time(row.updated_ms),
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "template")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub display_name: String,
        pub document: Json,
        pub version: i64,
        pub created_ms: i64,
        pub updated_ms: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
