//! Alerts. They are opened and cleared by the worker ([`crate::IngestTx`]), and by people here.

use crate::{MAX_PAGE, Page, Paging, StoreError, Tx, convert};
use chrono::{DateTime, Utc};
use muster_model::{
    AlertId, DeviceKey, RuleId, Scope,
    alert::{Alert, AlertState},
    rule::Severity,
};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use serde_json::Value;

/// Which alerts are listed.
#[derive(Debug, Clone, Default)]
pub struct AlertFilter {
    /// Only those in one of these states; empty = all.
    pub states: Vec<AlertState>,
    /// Only those of this device.
    pub device: Option<DeviceKey>,
    /// Only those of this rule.
    pub rule: Option<RuleId>,
}

/// An alert that is not cleared, as the worker keeps it in mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpenAlert {
    /// The alert.
    pub id: AlertId,
    /// Its rule.
    pub rule: RuleId,
    /// Its device.
    pub device: DeviceKey,
}

/// The alert.
pub async fn get(tx: &Tx, scope: &Scope, id: AlertId) -> Result<Alert, StoreError> {
    let row = row::Entity::find_by_id(id.0).filter(row::Column::Tenant.eq(scope.tenant.0)).one(&tx.db).await?;
    row.ok_or_else(|| StoreError::not_found("alert", id))?.try_into()
}

/// The tenant's alerts, newest first.
pub async fn list(
    tx: &Tx,
    scope: &Scope,
    filter: &AlertFilter,
    paging: Paging<AlertId>,
) -> Result<Page<Alert>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find().filter(row::Column::Tenant.eq(scope.tenant.0));
    let mut query = query.order_by_desc(row::Column::Id).limit(size + 1);
    if !filter.states.is_empty() {
        query = query.filter(filter.states.iter().fold(Condition::any(), |any, &state| any.add(in_state(state))));
    }
    if let Some(device) = filter.device {
        query = query.filter(row::Column::Device.eq(device.0));
    }
    if let Some(rule) = filter.rule {
        query = query.filter(row::Column::Rule.eq(rule.0));
    }
    if let Some(after) = paging.after {
        query = query.filter(row::Column::Id.lt(after.0));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(Alert::try_from)
}

/// How many alerts are not cleared, by severity.
pub async fn count_open(tx: &Tx, scope: &Scope) -> Result<Vec<(Severity, i64)>, StoreError> {
    let sql = "select severity, count(*) as alerts from alert
                where tenant = $1 and cleared_ms is null group by severity";
    let rows = tx.rows(sql, [scope.tenant.0.into()]).await?;
    rows.iter().map(|row| Ok((severity(row.try_get("", "severity")?)?, row.try_get("", "alerts")?))).collect()
}

/// The alerts of these devices that are not cleared; at most [`crate::MAX_PAGE`] devices.
pub async fn open_of_devices(tx: &Tx, scope: &Scope, devices: &[DeviceKey]) -> Result<Vec<OpenAlert>, StoreError> {
    let query = row::Entity::find()
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Device.is_in(devices.iter().take(MAX_PAGE as usize).map(|device| device.0)))
        .filter(row::Column::ClearedMs.is_null());
    Ok(query.all(&tx.db).await?.iter().map(open_alert).collect())
}

/// Notes who has looked at it; returns the alert as it stands then. Only an open alert changes.
pub async fn acknowledge(
    tx: &Tx,
    scope: &Scope,
    id: AlertId,
    by: &str,
    at: DateTime<Utc>,
) -> Result<Alert, StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::AcknowledgedBy, Expr::value(by))
        .col_expr(row::Column::AcknowledgedMs, Expr::value(at.timestamp_millis()))
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Id.eq(id.0))
        .filter(in_state(AlertState::Open))
        .exec(&tx.db)
        .await?;
    get(tx, scope, id).await
}

/// Clears it; returns the alert as it stands then. Clearing twice changes nothing.
pub async fn clear(tx: &Tx, scope: &Scope, id: AlertId, at: DateTime<Utc>) -> Result<Alert, StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::ClearedMs, Expr::value(at.timestamp_millis()))
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Id.eq(id.0))
        .filter(row::Column::ClearedMs.is_null())
        .exec(&tx.db)
        .await?;
    get(tx, scope, id).await
}

/// Clears every open alert of a rule; which ones.
pub async fn clear_of_rule(
    tx: &Tx,
    scope: &Scope,
    rule: RuleId,
    at: DateTime<Utc>,
) -> Result<Vec<OpenAlert>, StoreError> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::ClearedMs, Expr::value(at.timestamp_millis()))
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Rule.eq(rule.0))
        .filter(row::Column::ClearedMs.is_null());
    Ok(update.exec_with_returning(&tx.db).await?.iter().map(open_alert).collect())
}

fn in_state(state: AlertState) -> Condition {
    let open = row::Column::ClearedMs.is_null();
    match state {
        AlertState::Open => Condition::all().add(open).add(row::Column::AcknowledgedMs.is_null()),
        AlertState::Acknowledged => Condition::all().add(open).add(row::Column::AcknowledgedMs.is_not_null()),
        AlertState::Cleared => Condition::all().add(row::Column::ClearedMs.is_not_null()),
    }
}

/// A severity as columns hold it.
pub(crate) fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Information => "information",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn severity(name: String) -> Result<Severity, StoreError> {
    convert::read_document("alert", Value::String(name))
}

fn open_alert(row: &row::Model) -> OpenAlert {
    OpenAlert { id: AlertId(row.id), rule: RuleId(row.rule), device: DeviceKey(row.device) }
}

impl TryFrom<row::Model> for Alert {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: AlertId(row.id),
            rule: RuleId(row.rule),
            rule_name: row.rule_name,
            device: DeviceKey(row.device),
            device_id: convert::id("alert", row.device_id)?,
            device_name: row.device_name,
            severity: severity(row.severity)?,
            state: match (row.cleared_ms, row.acknowledged_ms) {
                (Some(_), _) => AlertState::Cleared,
                (None, Some(_)) => AlertState::Acknowledged,
                (None, None) => AlertState::Open,
            },
            opened_at: convert::time(row.opened_ms),
            cleared_at: row.cleared_ms.map(convert::time),
            acknowledged_by: row.acknowledged_by,
            acknowledged_at: row.acknowledged_ms.map(convert::time),
            values: convert::object("alert", row.values)?,
            reason: row.reason,
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "alert")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant: i32,
        pub rule: Uuid,
        pub rule_name: String,
        pub device: i64,
        pub device_id: String,
        pub device_name: String,
        pub severity: String,
        pub opened_ms: i64,
        pub cleared_ms: Option<i64>,
        pub acknowledged_by: Option<String>,
        pub acknowledged_ms: Option<i64>,
        pub values: Json,
        pub reason: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
