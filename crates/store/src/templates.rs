//! Device templates, as documents.

use crate::{Page, Paging, StoreError, Tx, convert};
use chrono::{DateTime, Utc};
use muster_model::{Scope, TemplateId, template::Change};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};
use serde_json::Value;

/// A stored device template; the model reads its document.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTemplate {
    /// Its id.
    pub id: TemplateId,
    /// The name shown to people.
    pub display_name: String,
    /// The template as IoT Central's JSON: what is published, or the draft of one that never was.
    pub document: Value,
    /// Can devices have it?
    pub published: bool,
    /// The draft beside what is published.
    pub draft: Option<Value>,
    /// Raised with each change; its hex is the etag. 1 at first, whatever is given to [`insert`].
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

/// Stores a new template. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(tx: &Tx, scope: &Scope, template: &StoredTemplate) -> Result<(), StoreError> {
    let inserted = row::Entity::insert(new_row(scope, template)).exec_without_returning(&tx.db).await;
    inserted.map_err(StoreError::on_conflict("device template", &template.id))?;
    Ok(())
}

/// Stores a new template unless there is one of its id, and says whether it did; several may try at once.
pub async fn insert_if_absent(tx: &Tx, scope: &Scope, template: &StoredTemplate) -> Result<bool, StoreError> {
    let nothing = OnConflict::columns([row::Column::Tenant, row::Column::Id]).do_nothing().to_owned();
    let insert = row::Entity::insert(new_row(scope, template)).on_conflict(nothing);
    Ok(insert.exec_without_returning(&tx.db).await? == 1)
}

fn new_row(scope: &Scope, template: &StoredTemplate) -> row::ActiveModel {
    row::ActiveModel {
        tenant: Set(scope.tenant.0),
        id: Set(template.id.to_string()),
        display_name: Set(template.display_name.clone()),
        document: Set(template.document.clone()),
        published: Set(template.published),
        draft: Set(template.draft.clone()),
        version: Set(1),
        created_ms: Set(template.created_at.timestamp_millis()),
        updated_ms: Set(template.updated_at.timestamp_millis()),
    }
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

/// Every version of a template, by id; at most [`MAX_FAMILY`].
pub async fn list_family(tx: &Tx, scope: &Scope, id: &TemplateId) -> Result<Vec<StoredTemplate>, StoreError> {
    let family = id.family();
    let query = row::Entity::find()
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(
            Condition::any().add(row::Column::Id.eq(family)).add(
                Condition::all()
                    .add(row::Column::Id.gt(format!("{family};")))
                    .add(row::Column::Id.lt(format!("{family}<"))),
            ),
        )
        .order_by_asc(row::Column::Id)
        .limit(MAX_FAMILY);
    query.all(&tx.db).await?.into_iter().map(StoredTemplate::try_from).collect()
}

/// Versions of a template that are looked at.
pub const MAX_FAMILY: u64 = 100;

/// What was published when, by whom, and what it changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication {
    /// The template.
    pub template: TemplateId,
    /// The template's version that was published.
    pub version: i64,
    /// When.
    pub published_at: DateTime<Utc>,
    /// By whom; empty where it is not known.
    pub published_by: String,
    /// What it changed against what was published before, or against the version it was made from.
    pub changes: Vec<Change>,
}

/// Notes that a template was published.
pub async fn insert_publication(tx: &Tx, scope: &Scope, publication: &Publication) -> Result<(), StoreError> {
    let sql = "insert into template_publication (tenant, template, version, published_ms, published_by, changes)
               values ($1, $2, $3, $4, $5, $6)";
    let values = [
        scope.tenant.0.into(),
        publication.template.as_str().into(),
        publication.version.into(),
        publication.published_at.timestamp_millis().into(),
        publication.published_by.as_str().into(),
        convert::write_document("publication", &publication.changes)?.into(),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// What was published of a template, newest first; at most `limit`.
pub async fn list_publications(
    tx: &Tx,
    scope: &Scope,
    id: &TemplateId,
    limit: u32,
) -> Result<Vec<Publication>, StoreError> {
    let sql = "select version, published_ms, published_by, changes from template_publication
                where tenant = $1 and template = $2 order by version desc limit $3";
    let values = [scope.tenant.0.into(), id.as_str().into(), i64::from(limit).into()];
    let rows = tx.rows(sql, values).await?;
    let read = |row: sea_orm::QueryResult| {
        Ok(Publication {
            template: id.clone(),
            version: row.try_get("", "version")?,
            published_at: convert::time(row.try_get("", "published_ms")?),
            published_by: row.try_get("", "published_by")?,
            changes: convert::read_document("publication", row.try_get("", "changes")?)?,
        })
    };
    rows.into_iter().map(read).collect()
}

/// Writes name, documents, whether it is published and `updated_at`; returns the new version. [`StoreError::Stale`] where the stored version
/// is not `template.version`.
pub async fn update(tx: &Tx, scope: &Scope, template: &StoredTemplate) -> Result<i64, StoreError> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::DisplayName, Expr::value(template.display_name.as_str()))
        .col_expr(row::Column::Document, Expr::value(template.document.clone()))
        .col_expr(row::Column::Published, Expr::value(template.published))
        .col_expr(row::Column::Draft, Expr::value(template.draft.clone()))
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

/// Removes a template. Whether anything uses it is the caller's question ([`crate::references::of_template`]).
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
            published: row.published,
            draft: row.draft,
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
        pub published: bool,
        pub draft: Option<Json>,
        pub version: i64,
        pub created_ms: i64,
        pub updated_ms: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
