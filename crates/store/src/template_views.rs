//! Views of templates, as documents.

use crate::{StoreError, Tx, convert, references};
use muster_model::{
    Scope, TemplateId, ViewId,
    template::{Reference, Referrer, ReferrerKind, View},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect, sea_query::Expr};
use std::collections::BTreeSet;

/// Views that are read at once: a template has fewer.
const MOST: u64 = 100;

/// Every view of a template, in its order.
pub async fn list(tx: &Tx, scope: &Scope, template: &TemplateId) -> Result<Vec<View>, StoreError> {
    let query = row::Entity::find()
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Template.eq(template.as_str()))
        .limit(MOST);
    let mut views = query.all(&tx.db).await?.into_iter().map(view).collect::<Result<Vec<_>, _>>()?;
    views.sort_by(|one, other| (one.order, &one.id).cmp(&(other.order, &other.id)));
    Ok(views)
}

/// The view.
pub async fn get(tx: &Tx, scope: &Scope, template: &TemplateId, id: &ViewId) -> Result<View, StoreError> {
    find(tx, scope, template, id).await?.ok_or_else(|| StoreError::not_found("view", id))
}

/// The view, if there is one.
pub async fn find(tx: &Tx, scope: &Scope, template: &TemplateId, id: &ViewId) -> Result<Option<View>, StoreError> {
    let row = row::Entity::find_by_id((scope.tenant.0, template.to_string(), id.to_string())).one(&tx.db).await?;
    row.map(view).transpose()
}

/// Stores a new view at version 1. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(tx: &Tx, scope: &Scope, template: &TemplateId, view: &View) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        tenant: Set(scope.tenant.0),
        template: Set(template.to_string()),
        id: Set(view.id.to_string()),
        document: Set(convert::write_document("view", view)?),
        version: Set(1),
    };
    let inserted = row::Entity::insert(row).exec_without_returning(&tx.db).await;
    inserted.map_err(StoreError::on_conflict("view", &view.id))?;
    refer(tx, scope, template, view).await
}

/// Writes the view; returns the new version. [`StoreError::Stale`] where the stored version is not `view.version`.
pub async fn update(tx: &Tx, scope: &Scope, template: &TemplateId, view: &View) -> Result<i64, StoreError> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::Document, Expr::value(convert::write_document("view", view)?))
        .col_expr(row::Column::Version, Expr::value(view.version + 1))
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Template.eq(template.as_str()))
        .filter(row::Column::Id.eq(view.id.as_str()))
        .filter(row::Column::Version.eq(view.version));
    if update.exec(&tx.db).await?.rows_affected == 0 {
        get(tx, scope, template, &view.id).await?;
        return Err(StoreError::stale("view", &view.id));
    }
    refer(tx, scope, template, view).await?;
    Ok(view.version + 1)
}

/// Removes a view.
pub async fn delete(tx: &Tx, scope: &Scope, template: &TemplateId, id: &ViewId) -> Result<(), StoreError> {
    references::clear(tx, scope, ReferrerKind::View, &Referrer::view_id(template, id)).await?;
    let key = (scope.tenant.0, template.to_string(), id.to_string());
    match row::Entity::delete_by_id(key).exec(&tx.db).await?.rows_affected {
        0 => Err(StoreError::not_found("view", id)),
        _ => Ok(()),
    }
}

async fn refer(tx: &Tx, scope: &Scope, template: &TemplateId, view: &View) -> Result<(), StoreError> {
    let named = view.named().into_iter();
    let references: BTreeSet<_> =
        named.map(|key| Reference { template: template.clone(), capability: Some(key) }).collect();
    references::set(tx, scope, &Referrer::view(template, &view.id, &view.display_name), &references).await
}

/// The view of a row; what the columns say holds over what the document says.
fn view(row: row::Model) -> Result<View, StoreError> {
    let view: View = convert::read_document("view", row.document)?;
    Ok(View { version: row.version, ..view })
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "template_view")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub template: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub document: Json,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
