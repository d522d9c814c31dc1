//! Certificate authorities that sign devices' certificates.

use crate::{Page, Paging, StoreError, Tx, convert};
use chrono::{DateTime, Utc};
use muster_model::{AuthorityId, Scope};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

/// A certificate authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its id.
    pub id: AuthorityId,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Has the tenant proven that it has the key?
    pub verified: bool,
    /// What the proof's common name must be; absent where none was asked for.
    pub verification_code: Option<String>,
    /// When it was uploaded.
    pub created_at: DateTime<Utc>,
    /// Raised with each change; its hex is the etag.
    pub version: i64,
}

/// Makes an authority. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(tx: &Tx, scope: &Scope, authority: &Authority) -> Result<(), StoreError> {
    let inserted = row::Entity::insert(model(scope, authority, 1)).exec_without_returning(&tx.db).await;
    inserted.map_err(StoreError::on_conflict("certificate authority", &authority.id))?;
    Ok(())
}

/// The authority.
pub async fn get(tx: &Tx, scope: &Scope, id: &AuthorityId) -> Result<Authority, StoreError> {
    find(tx, scope, id).await?.ok_or_else(|| StoreError::not_found("certificate authority", id))
}

/// The authority, if there is one.
pub async fn find(tx: &Tx, scope: &Scope, id: &AuthorityId) -> Result<Option<Authority>, StoreError> {
    let row = row::Entity::find_by_id((scope.tenant.0, id.to_string())).one(&tx.db).await?;
    row.map(Authority::try_from).transpose()
}

/// The tenant's authorities in the order of their ids.
pub async fn list(tx: &Tx, scope: &Scope, paging: Paging<AuthorityId>) -> Result<Page<Authority>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let mut query = query.order_by_asc(row::Column::Id).limit(size + 1);
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.gt(after.as_str()));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(Authority::try_from)
}

/// Writes the certificate, whether it is verified, and the code. [`StoreError::Stale`] where the stored version is not
/// `authority.version`.
pub async fn update(tx: &Tx, scope: &Scope, authority: &Authority) -> Result<i64, StoreError> {
    let update = row::Entity::update_many()
        .set(model(scope, authority, authority.version + 1))
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Id.eq(authority.id.as_str()))
        .filter(row::Column::Version.eq(authority.version));
    if update.exec(&tx.db).await?.rows_affected == 0 {
        get(tx, scope, &authority.id).await?;
        return Err(StoreError::stale("certificate authority", &authority.id));
    }
    Ok(authority.version + 1)
}

/// Removes an authority.
pub async fn delete(tx: &Tx, scope: &Scope, id: &AuthorityId) -> Result<(), StoreError> {
    match row::Entity::delete_by_id((scope.tenant.0, id.to_string())).exec(&tx.db).await?.rows_affected {
        0 => Err(StoreError::not_found("certificate authority", id)),
        _ => Ok(()),
    }
}

fn model(scope: &Scope, authority: &Authority, version: i64) -> row::ActiveModel {
    row::ActiveModel {
        tenant: Set(scope.tenant.0),
        id: Set(authority.id.to_string()),
        certificate: Set(authority.certificate.clone()),
        verified: Set(authority.verified),
        verification_code: Set(authority.verification_code.clone()),
        version: Set(version),
        created_ms: Set(authority.created_at.timestamp_millis()),
    }
}

impl TryFrom<row::Model> for Authority {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: convert::id("certificate authority", row.id)?,
            certificate: row.certificate,
            verified: row.verified,
            verification_code: row.verification_code,
            created_at: convert::time(row.created_ms),
            version: row.version,
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "certificate_authority")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub certificate: Vec<u8>,
        pub verified: bool,
        pub verification_code: Option<String>,
        pub version: i64,
        pub created_ms: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
