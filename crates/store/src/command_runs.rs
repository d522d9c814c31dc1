//! Runs of commands.

use crate::{Page, Paging, StoreError, Tx, c2d::Settled, convert, keys};
use chrono::{DateTime, Utc};
use muster_model::{
    CommandRunId, DeviceKey, Scope,
    c2d::Outcome,
    command::{CommandRun, KEPT_OF_DEVICE, KEPT_RUNS, RunState},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use uuid::Uuid;

/// Notes a run, and forgets the oldest beyond [`KEPT_RUNS`] of its command and [`KEPT_OF_DEVICE`] of its device.
pub async fn insert(tx: &Tx, scope: &Scope, device: DeviceKey, run: &CommandRun) -> Result<(), StoreError> {
    let device = keys::in_scope(scope, device)?;
    let row = row::ActiveModel {
        device: Set(device),
        id: Set(run.id.0),
        command: Set(run.command.clone()),
        asked_ms: Set(run.asked_at.timestamp_millis()),
        asked_by: Set(run.asked_by.clone()),
        request: Set(run.request.clone()),
        state: Set(run.state.name().to_owned()),
        reason: Set(run.reason.clone()),
        status: Set(run.status),
        response: Set(run.response.clone()),
        fits: Set(run.fits),
        ended_ms: Set(run.ended_at.map(|at| at.timestamp_millis())),
    };
    row::Entity::insert(row).exec_without_returning(&tx.db).await?;
    let sql = "delete from command_run where device = $1 and command = $2 and id <=
                (select id from command_run where device = $1 and command = $2 order by id desc limit 1 offset $3)";
    tx.execute(sql, [device.into(), run.command.as_str().into(), i64::from(KEPT_RUNS).into()]).await?;
    let sql = "delete from command_run where device = $1 and id <=
                (select id from command_run where device = $1 order by id desc limit 1 offset $2)";
    tx.execute(sql, [device.into(), i64::from(KEPT_OF_DEVICE).into()]).await?;
    Ok(())
}

/// The runs of a command, newest first.
pub async fn list(
    tx: &Tx,
    scope: &Scope,
    (device, command): (DeviceKey, &str),
    paging: Paging<CommandRunId>,
) -> Result<Page<CommandRun>, StoreError> {
    let size = paging.size();
    let query = row::Entity::find()
        .filter(row::Column::Device.eq(keys::in_scope(scope, device)?))
        .filter(row::Column::Command.eq(command));
    let mut query = query.order_by_desc(row::Column::Id).limit(size + 1);
    if let Some(before) = paging.after {
        query = query.filter(row::Column::Id.lt(before.0));
    }
    Page::from_rows(query.all(&tx.db).await?, size).try_map(CommandRun::try_from)
}

/// The runs that the device was asked for and has not ended, newest first.
pub async fn open(tx: &Tx, scope: &Scope, device: DeviceKey) -> Result<Vec<CommandRun>, StoreError> {
    let query = row::Entity::find()
        .filter(row::Column::Device.eq(keys::in_scope(scope, device)?))
        // Word for word as in the index.
        .filter(Expr::cust("state in ('sent', 'running')"))
        .order_by_desc(row::Column::Id)
        .limit(u64::from(KEPT_RUNS));
    query.all(&tx.db).await?.into_iter().map(CommandRun::try_from).collect()
}

/// Notes that the device has taken a run and works on it; a result that it has reported already stays. The run as it is
/// then; nothing where it is forgotten.
pub async fn begin(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    (id, status): (CommandRunId, i64),
) -> Result<Option<CommandRun>, StoreError> {
    let sql = "update command_run set status = $3, state = case when state = 'sent' then 'running' else state end
                where device = $1 and id = $2";
    let device = keys::in_scope(scope, device)?;
    tx.execute(sql, [device.into(), id.0.into(), status.into()]).await?;
    let row = row::Entity::find_by_id((device, id.0)).one(&tx.db).await?;
    row.map(CommandRun::try_from).transpose()
}

/// Writes what came of a run; one that is forgotten by now stays so.
pub async fn update(tx: &Tx, scope: &Scope, device: DeviceKey, run: &CommandRun) -> Result<(), StoreError> {
    let update = row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(run.state.name()))
        .col_expr(row::Column::Reason, Expr::value(run.reason.clone()))
        .col_expr(row::Column::Status, Expr::value(run.status))
        .col_expr(row::Column::Response, Expr::value(run.response.clone()))
        .col_expr(row::Column::Fits, Expr::value(run.fits))
        .col_expr(row::Column::EndedMs, Expr::value(run.ended_at.map(|at| at.timestamp_millis())))
        .filter(row::Column::Device.eq(keys::in_scope(scope, device)?))
        .filter(row::Column::Id.eq(run.id.0));
    update.exec(&tx.db).await?;
    Ok(())
}

/// Notes what became of commands that waited for their devices: a message that is a command has its run's id.
pub(crate) async fn settle(
    tx: &Tx,
    settled: &[Settled],
    outcome: Outcome,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (state, reason) = RunState::of_message(outcome);
    for message in settled {
        let Ok(id) = Uuid::parse_str(&message.message_id) else { continue };
        let update = row::Entity::update_many()
            .col_expr(row::Column::State, Expr::value(state.name()))
            .col_expr(row::Column::Reason, Expr::value(reason))
            .col_expr(row::Column::EndedMs, Expr::value(at.timestamp_millis()))
            .filter(row::Column::Device.eq(message.device.0))
            .filter(row::Column::Id.eq(id))
            .filter(row::Column::State.eq(RunState::Queued.name()));
        update.exec(&tx.db).await?;
    }
    Ok(())
}

impl TryFrom<row::Model> for CommandRun {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let state = RunState::ALL.into_iter().find(|state| state.name() == row.state);
        Ok(Self {
            id: CommandRunId(row.id),
            command: row.command,
            asked_at: convert::time(row.asked_ms),
            asked_by: row.asked_by,
            request: row.request,
            state: state.ok_or_else(|| StoreError::corrupt("command run", &row.state))?,
            reason: row.reason,
            status: row.status,
            response: row.response,
            fits: row.fits,
            ended_at: row.ended_ms.map(convert::time),
        })
    }
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "command_run")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub device: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub command: String,
        pub asked_ms: i64,
        pub asked_by: String,
        pub request: Option<Json>,
        pub state: String,
        pub reason: Option<String>,
        pub status: Option<i64>,
        pub response: Option<Json>,
        pub fits: bool,
        pub ended_ms: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
