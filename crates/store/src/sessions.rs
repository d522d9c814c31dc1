//! Signed-in browsers. Only a hash of the cookie's token is stored.

use crate::{MAX_PAGE, StoreError, Tx, convert};
use chrono::{DateTime, Utc};
use muster_model::{SystemScope, UserId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};

/// A signed-in browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// Who is signed in.
    pub user: UserId,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to the minute or so.
    pub last_seen: DateTime<Utc>,
    /// The browser's name for itself, cut to 256 characters.
    pub user_agent: String,
}

/// Stores a session.
pub async fn insert(tx: &Tx, _: &SystemScope, session: Session) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        token_hash: Set(session.token_hash.to_vec()),
        user_id: Set(session.user.to_string()),
        created_ms: Set(session.created_at.timestamp_millis()),
        expires_ms: Set(session.expires_at.timestamp_millis()),
        last_seen_ms: Set(session.last_seen.timestamp_millis()),
        user_agent: Set(session.user_agent),
    };
    row::Entity::insert(row)
        .exec_without_returning(&tx.db)
        .await
        .map_err(StoreError::on_conflict("session", "of this token"))?;
    Ok(())
}

/// The session with this token, unless it has expired.
pub async fn find(
    tx: &Tx,
    _: &SystemScope,
    token_hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<Session>, StoreError> {
    let query = row::Entity::find_by_id(token_hash.to_vec()).filter(row::Column::ExpiresMs.gt(now.timestamp_millis()));
    query.one(&tx.db).await?.map(Session::try_from).transpose()
}

/// Notes that a session was used, and moves its end.
pub async fn touch(
    tx: &Tx,
    _: &SystemScope,
    token_hash: &[u8; 32],
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::LastSeenMs, Expr::value(now.timestamp_millis()))
        .col_expr(row::Column::ExpiresMs, Expr::value(expires_at.timestamp_millis()))
        .filter(row::Column::TokenHash.eq(token_hash.to_vec()))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// Ends a session; ending it twice is no error.
pub async fn delete(tx: &Tx, _: &SystemScope, token_hash: &[u8; 32]) -> Result<(), StoreError> {
    row::Entity::delete_by_id(token_hash.to_vec()).exec(&tx.db).await?;
    Ok(())
}

/// Ends every session of a person.
pub async fn delete_of_user(tx: &Tx, _: &SystemScope, user: &UserId) -> Result<(), StoreError> {
    row::Entity::delete_many().filter(row::Column::UserId.eq(user.as_str())).exec(&tx.db).await?;
    Ok(())
}

/// Removes sessions that have expired, at most [`crate::MAX_PAGE`]; how many.
pub async fn purge_expired(tx: &Tx, _: &SystemScope, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql =
        "delete from session where token_hash in (select token_hash from session where expires_ms <= $1 limit $2)";
    tx.execute(sql, [now.timestamp_millis().into(), i64::from(MAX_PAGE).into()]).await
}

impl TryFrom<row::Model> for Session {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let token_hash = row.token_hash.try_into();
        Ok(Self {
            token_hash: token_hash.map_err(|_| StoreError::corrupt("session", "token hash is not 32 bytes long"))?,
            user: convert::id("session", row.user_id)?,
            created_at: convert::time(row.created_ms),
            expires_at: convert::time(row.expires_ms),
            last_seen: convert::time(row.last_seen_ms),
            user_agent: row.user_agent,
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "session")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub token_hash: Vec<u8>,
        pub user_id: String,
        pub created_ms: i64,
        pub expires_ms: i64,
        pub last_seen_ms: i64,
        pub user_agent: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
