//! The audit log: who changed what. An entry is written in the transaction of the change.

use crate::{Page, Paging, StoreError, Tx, convert};
use chrono::{DateTime, Utc};
use muster_model::{Actor, ActorKind, Scope};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::{Map, Value};
use uuid::Uuid;

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// A UUIDv7: the order of the log.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: Actor,
    /// What was done, for example `created`.
    pub action: String,
    /// To what, for example `device`.
    pub kind: String,
    /// To which one.
    pub object: String,
    /// More about it; never a secret.
    pub details: Map<String, Value>,
}

/// Which entries are listed.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only those about this kind of thing.
    pub kind: Option<String>,
    /// Only those about the thing with this id.
    pub object: Option<String>,
}

/// Adds an entry.
pub async fn insert(tx: &Tx, scope: &Scope, entry: AuditEntry) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        id: Set(entry.id),
        tenant: Set(scope.tenant.0),
        at_ms: Set(entry.at.timestamp_millis()),
        actor_kind: Set(kind_name(entry.actor.kind).to_owned()),
        actor_id: Set(entry.actor.id),
        actor_name: Set(entry.actor.name),
        action: Set(entry.action),
        kind: Set(entry.kind),
        object: Set(entry.object),
        details: Set(Value::Object(entry.details)),
    };
    let inserted = row::Entity::insert(row).exec_without_returning(&tx.db).await;
    inserted.map_err(StoreError::on_conflict("audit entry", entry.id))?;
    Ok(())
}

/// The tenant's entries, newest first.
pub async fn list(
    tx: &Tx,
    scope: &Scope,
    filter: &AuditFilter,
    paging: Paging<Uuid>,
) -> Result<Page<AuditEntry>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let mut query = query.order_by_desc(row::Column::Id).limit(size + 1);
    if let Some(kind) = &filter.kind {
        query = query.filter(row::Column::Kind.eq(kind.as_str()));
    }
    if let Some(object) = &filter.object {
        query = query.filter(row::Column::Object.eq(object.as_str()));
    }
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.lt(after));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(AuditEntry::try_from)
}

fn kind_name(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::User => "user",
        ActorKind::ApiToken => "apiToken",
        ActorKind::Device => "device",
        ActorKind::System => "system",
    }
}

impl TryFrom<row::Model> for AuditEntry {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let kind = convert::read_document("audit entry", Value::String(row.actor_kind))?;
        Ok(Self {
            id: row.id,
            at: convert::time(row.at_ms),
            actor: Actor { kind, id: row.actor_id, name: row.actor_name },
            action: row.action,
            kind: row.kind,
            object: row.object,
            details: convert::object("audit entry", row.details)?,
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: i32,
        pub at_ms: i64,
        pub actor_kind: String,
        pub actor_id: String,
        pub actor_name: String,
        pub action: String,
        pub kind: String,
        pub object: String,
        pub details: Json,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
