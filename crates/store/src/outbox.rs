//! Outgoing work: e-mails and webhooks, written in the transaction that causes them and done afterwards.

use crate::{MAX_PAGE, Page, Paging, StoreError, Tx, convert, leases::Leases};
use chrono::{DateTime, Utc};
use muster_model::{Scope, SystemScope, TenantKey, WorkId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    sea_query::OnConflict,
};
use serde_json::Value;

/// Work to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct NewWork {
    /// A UUIDv7; work with the same id is stored once.
    pub id: WorkId,
    /// For which tenant.
    pub tenant: TenantKey,
    /// What kind of work, for example `email`.
    pub kind: String,
    /// What the doer needs.
    pub payload: Value,
    /// Not before.
    pub due_at: DateTime<Utc>,
}

/// Stored work.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Its id.
    pub id: WorkId,
    /// For which tenant.
    pub tenant: TenantKey,
    /// What kind of work.
    pub kind: String,
    /// What the doer needs.
    pub payload: Value,
    /// Where it stands.
    pub state: WorkState,
    /// How often it was begun, this time included.
    pub attempts: i32,
    /// When it is (or was) due.
    pub due_at: DateTime<Utc>,
    /// Why it failed the last time.
    pub last_error: Option<String>,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// Where work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkState {
    /// To be done, or being done.
    Pending,
    /// Done.
    Done,
    /// Given up after its last attempt; kept to be seen and tried again by a person.
    Dead,
}

/// Stores work, once for each id. All of it belongs to the scope's tenant.
pub async fn insert(tx: &Tx, scope: &Scope, work: &NewWork, now: DateTime<Utc>) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        id: Set(work.id.0),
        tenant: Set(scope.tenant.0),
        kind: Set(work.kind.clone()),
        payload: Set(work.payload.clone()),
        state: Set(WorkState::Pending.name().to_owned()),
        attempts: Set(0),
        due_ms: Set(work.due_at.timestamp_millis()),
        last_error: Set(None),
        created_ms: Set(now.timestamp_millis()),
    };
    let once = OnConflict::column(row::Column::Id).do_nothing().to_owned();
    row::Entity::insert(row).on_conflict(once).exec_without_returning(&tx.db).await?;
    Ok(())
}

const LEASES: Leases =
    Leases { table: "outbox", key: "id", only: " and state = 'pending'", also: ", attempts = attempts + 1" };

/// Takes work that is due, oldest first, at most `limit`; it is due again at `lease_until` unless it is settled.
pub async fn claim_due(
    tx: &Tx,
    _: &SystemScope,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Work>, StoreError> {
    let rows = LEASES.claim_due(tx, now, lease_until, limit).await?;
    let work = rows.iter().map(|row| row::Model::from_query_result(row, "")?.try_into());
    let mut work = work.collect::<Result<Vec<Work>, StoreError>>()?;
    work.sort_by_key(|work| work.id);
    Ok(work)
}

/// Settles work as done.
pub async fn complete(tx: &Tx, _: &SystemScope, id: WorkId) -> Result<(), StoreError> {
    settle(tx, id, WorkState::Done, None).await
}

/// Puts failed work back for later.
pub async fn retry(tx: &Tx, _: &SystemScope, id: WorkId, due_at: DateTime<Utc>, error: &str) -> Result<(), StoreError> {
    let sql = "update outbox set due_ms = $2, last_error = $3 where id = $1 and state = 'pending'";
    tx.execute(sql, [id.0.into(), due_at.timestamp_millis().into(), error.into()]).await?;
    Ok(())
}

/// Gives work up.
pub async fn bury(tx: &Tx, _: &SystemScope, id: WorkId, error: &str) -> Result<(), StoreError> {
    settle(tx, id, WorkState::Dead, Some(error)).await
}

/// When the next pending work is due.
pub async fn next_due(tx: &Tx, _: &SystemScope) -> Result<Option<DateTime<Utc>>, StoreError> {
    let row = tx.row("select min(due_ms) as due_ms from outbox where state = 'pending'", []).await?;
    let due: Option<i64> = row.map(|row| row.try_get("", "due_ms")).transpose()?.flatten();
    Ok(due.map(convert::time))
}

/// Removes work done before `before`, at most [`crate::MAX_PAGE`]; how many.
pub async fn purge_done(tx: &Tx, _: &SystemScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from outbox where id in (select id from outbox where state = 'done' and due_ms < $1 limit $2)";
    tx.execute(sql, [before.timestamp_millis().into(), i64::from(MAX_PAGE).into()]).await
}

/// The tenant's work in a state, newest first.
pub async fn list(tx: &Tx, scope: &Scope, state: WorkState, paging: Paging<WorkId>) -> Result<Page<Work>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let query = query.filter(row::Column::State.eq(state.name()));
    let mut query = query.order_by_desc(row::Column::Id).limit(size + 1);
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.lt(after.0));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(Work::try_from)
}

async fn settle(tx: &Tx, id: WorkId, state: WorkState, error: Option<&str>) -> Result<(), StoreError> {
    let sql = "update outbox set state = $2, last_error = coalesce($3, last_error) where id = $1 and state = 'pending'";
    tx.execute(sql, [id.0.into(), state.name().into(), error.into()]).await?;
    Ok(())
}

impl WorkState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

impl TryFrom<row::Model> for Work {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: WorkId(row.id),
            tenant: TenantKey(row.tenant),
            kind: row.kind,
            payload: row.payload,
            state: match row.state.as_str() {
                "pending" => WorkState::Pending,
                "done" => WorkState::Done,
                "dead" => WorkState::Dead,
                other => return Err(StoreError::corrupt("outgoing work", format!("state '{other}' is not known"))),
            },
            attempts: row.attempts,
            due_at: convert::time(row.due_ms),
            last_error: row.last_error,
            created_at: convert::time(row.created_ms),
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "outbox")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: i32,
        pub kind: String,
        pub payload: Json,
        pub state: String,
        pub attempts: i32,
        pub due_ms: i64,
        pub last_error: Option<String>,
        pub created_ms: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
