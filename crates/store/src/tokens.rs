//! API tokens. Only a hash of the token is stored.

use crate::{Page, Paging, StoreError, Tx, convert, tenants};
use chrono::{DateTime, Utc};
use muster_model::{Role, Scope, SystemScope, TenantId, TenantKey, TokenId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};

/// An API token of a tenant, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Its id.
    pub id: TokenId,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it holds, if not for ever.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute or so.
    pub last_used: Option<DateTime<Utc>>,
}

/// A token that was shown by somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    /// The tenant's number.
    pub tenant: TenantKey,
    /// The tenant's id.
    pub tenant_id: TenantId,
    /// The token.
    pub token: ApiToken,
}

/// Stores a token by the SHA-256 of its text. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(tx: &Tx, scope: &Scope, token: ApiToken, hash: &[u8; 32]) -> Result<(), StoreError> {
    let id = token.id.to_string();
    let row = row::ActiveModel {
        tenant: Set(scope.tenant.0),
        id: Set(id.clone()),
        hash: Set(hash.to_vec()),
        role: Set(token.role.id()),
        created_ms: Set(token.created_at.timestamp_millis()),
        expires_ms: Set(token.expires_at.map(|at| at.timestamp_millis())),
        last_used_ms: Set(token.last_used.map(|at| at.timestamp_millis())),
    };
    row::Entity::insert(row).exec_without_returning(&tx.db).await.map_err(StoreError::on_conflict("API token", id))?;
    Ok(())
}

/// The token.
pub async fn get(tx: &Tx, scope: &Scope, id: &TokenId) -> Result<ApiToken, StoreError> {
    let row = row::Entity::find_by_id((scope.tenant.0, id.to_string())).one(&tx.db).await?;
    row.ok_or_else(|| StoreError::not_found("API token", id))?.try_into()
}

/// The tenant's tokens in the order of their ids.
pub async fn list(tx: &Tx, scope: &Scope, paging: Paging<TokenId>) -> Result<Page<ApiToken>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let mut query = query.order_by_asc(row::Column::Id).limit(size + 1);
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.gt(after.as_str()));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(ApiToken::try_from)
}

/// Removes a token.
pub async fn delete(tx: &Tx, scope: &Scope, id: &TokenId) -> Result<(), StoreError> {
    match row::Entity::delete_by_id((scope.tenant.0, id.to_string())).exec(&tx.db).await?.rows_affected {
        0 => Err(StoreError::not_found("API token", id)),
        _ => Ok(()),
    }
}

/// The token with this hash in whichever tenant, expired or not.
pub async fn find_by_hash(tx: &Tx, _: &SystemScope, hash: &[u8; 32]) -> Result<Option<TokenOwner>, StoreError> {
    let Some(row) = row::Entity::find().filter(row::Column::Hash.eq(hash.to_vec())).one(&tx.db).await? else {
        return Ok(None);
    };
    let tenant = TenantKey(row.tenant);
    let owner = tenants::get(tx, &Scope { tenant }).await?;
    Ok(Some(TokenOwner { tenant, tenant_id: owner.id, token: row.try_into()? }))
}

/// Notes that a token was used.
pub async fn touch(tx: &Tx, _: &SystemScope, hash: &[u8; 32], now: DateTime<Utc>) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::LastUsedMs, Expr::value(now.timestamp_millis()))
        .filter(row::Column::Hash.eq(hash.to_vec()))
        .exec(&tx.db)
        .await?;
    Ok(())
}

impl TryFrom<row::Model> for ApiToken {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: convert::id("API token", row.id)?,
            role: convert::role(row.role)?,
            created_at: convert::time(row.created_ms),
            expires_at: row.expires_ms.map(convert::time),
            last_used: row.last_used_ms.map(convert::time),
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "api_token")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub hash: Vec<u8>,
        pub role: Uuid,
        pub created_ms: i64,
        pub expires_ms: Option<i64>,
        pub last_used_ms: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
