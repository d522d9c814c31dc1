//! The ledger shown to people: received = stored + rejected (by reason) + dead-lettered + in flight.

use crate::{Page, Paging, StoreError, Tx, convert};
use chrono::{DateTime, Utc};
use muster_model::{DeviceKey, Scope, SystemScope};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Messages counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken from devices by the hub.
    pub received: i64,
    /// Stored as telemetry.
    pub stored: i64,
    /// Kept as unreadable, by the reason's code.
    pub rejected: BTreeMap<String, i64>,
    /// Given up by the bus.
    pub dead_lettered: i64,
}

/// A message that could not be read, kept whole.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedMessage {
    /// A UUIDv7: the order of the list.
    pub id: Uuid,
    /// The device that sent it.
    pub device: DeviceKey,
    /// When the hub took it.
    pub at: DateTime<Utc>,
    /// The reason's code.
    pub reason: String,
    /// The property bag as sent.
    pub bag: String,
    /// The payload as sent.
    pub payload: Vec<u8>,
}

/// The tenant's counts since it was made.
pub async fn get(tx: &Tx, scope: &Scope) -> Result<Counts, StoreError> {
    let sql = "select outcome, cast(sum(messages) as bigint) as messages from ledger_count where tenant = $1 group by outcome";
    let mut counts = Counts::default();
    for row in tx.rows(sql, [scope.tenant.0.into()]).await? {
        let (outcome, messages): (String, i64) = (row.try_get("", "outcome")?, row.try_get("", "messages")?);
        match outcome.as_str() {
            RECEIVED => counts.received = messages,
            STORED => counts.stored = messages,
            DEAD_LETTERED => counts.dead_lettered = messages,
            other => match other.strip_prefix(REJECTED) {
                Some(reason) => _ = counts.rejected.insert(reason.to_owned(), messages),
                None => return Err(StoreError::corrupt("counter", format!("outcome '{other}' is not known"))),
            },
        }
    }
    Ok(counts)
}

/// The tenant's unreadable messages, newest first, of one device or of all.
pub async fn list_rejected(
    tx: &Tx,
    scope: &Scope,
    device: Option<DeviceKey>,
    paging: Paging<Uuid>,
) -> Result<Page<RejectedMessage>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let mut query = query.order_by_desc(row::Column::Id).limit(size + 1);
    if let Some(device) = device {
        query = query.filter(row::Column::Device.eq(device.0));
    }
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.lt(after));
    }
    Ok(Page::from_rows(query.all(&tx.db).await?, size).map(RejectedMessage::from))
}

/// Forgets batches stored before `before`, at most [`MAX_PURGE`]; how many. A batch that comes again after that is
/// stored again, so this is longer ago than any queue keeps one.
pub async fn purge_ledger(tx: &Tx, _: &SystemScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from ledger where id in (select id from ledger where at_ms < $1 limit $2)";
    tx.execute(sql, [before.timestamp_millis().into(), MAX_PURGE.into()]).await
}

/// Batches forgotten at once.
pub const MAX_PURGE: i64 = 10_000;

const RECEIVED: &str = "received";
const STORED: &str = "stored";
const DEAD_LETTERED: &str = "deadLettered";
const REJECTED: &str = "rejected:";

impl Counts {
    /// The counts as rows hold them, without zeros.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (String, i64)> {
        let fixed = [(RECEIVED, self.received), (STORED, self.stored), (DEAD_LETTERED, self.dead_lettered)];
        let fixed = fixed.map(|(outcome, messages)| (outcome.to_owned(), messages));
        let rejected = self.rejected.iter().map(|(reason, &messages)| (format!("{REJECTED}{reason}"), messages));
        fixed.into_iter().chain(rejected).filter(|(_, messages)| *messages != 0)
    }
}

impl From<row::Model> for RejectedMessage {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id,
            device: DeviceKey(row.device),
            at: convert::time(row.at_ms),
            reason: row.reason,
            bag: row.bag,
            payload: row.payload,
        }
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "rejected_message")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: i32,
        pub device: i64,
        pub at_ms: i64,
        pub reason: String,
        pub bag: String,
        pub payload: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
