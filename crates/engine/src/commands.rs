//! Commands of devices as their templates describe them (`iot-central.md` §5.1, §16): asked over a direct method, or as
//! a message that waits for the device, and each run noted with what came of it.

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    c2d::{self, SendError},
    live::LiveEvent,
    methods::{self, Invocation, InvokeError, MethodAnswer},
    templates,
};
use chrono::{DateTime, Duration as Span, SubsecRound, Utc};
use muster_model::{
    Address, Caller, CommandRunId, DeviceId, DeviceKey, Permission, Scope,
    c2d::Envelope,
    command::{self, ACCEPTED, CommandRun, METHOD_NAME, NO_PARAMETER, OFFLINE_TTL, RunState},
    template::{Capability, Kind, Schema, Template},
};
use muster_store::{Page, Paging, Tx, command_runs, devices, templates as stored};
use serde_json::{Map, Value, json};
use std::time::Duration;
use uuid::Uuid;

/// The longest time to wait for a device that is away.
pub const MAX_CONNECT_SECONDS: u32 = 30;
/// The shortest and the longest time to wait for its answer; the longest is the default.
pub const RESPONSE_SECONDS: std::ops::RangeInclusive<u32> = 5..=30;
/// A run that nobody answered for so long was lost with the process that waited for it.
const LOST_AFTER: Span = Span::minutes(5);

/// What is asked of a device.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The device.
    pub device: &'a DeviceId,
    /// The component that has the command; none for the device itself.
    pub component: Option<&'a str>,
    /// The command's name.
    pub name: &'a str,
    /// The parameter.
    pub request: Option<&'a Value>,
    /// How long it is waited until the device is connected, in seconds.
    pub connect_seconds: u32,
    /// How long its answer is waited for, in seconds.
    pub response_seconds: u32,
}

/// Why a command was not run.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The device did not answer, or not readably.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// It could not be queued.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        Self::Invoke(error.into())
    }
}

impl From<muster_store::StoreError> for CommandError {
    fn from(error: muster_store::StoreError) -> Self {
        EngineError::from(error).into()
    }
}

/// Runs a command. One that its template lets wait for the device comes back as [`RunState::Queued`], others when the
/// device has answered: [`RunState::Running`] where it says that it goes on.
///
/// # Errors
/// [`CommandError`]; the run is noted with what kept the device from answering. What is not valid, and what cannot be
/// queued, is no run.
pub async fn run(engine: &Engine, caller: &Caller, ask: Ask<'_>) -> Result<CommandRun, CommandError> {
    caller.require(Permission::DevicesCommand).map_err(EngineError::from)?;
    check_times(&ask)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let device = devices::get(&tx, &caller.scope, ask.device).await?;
    let template = template_of(&tx, &caller.scope, device.template.as_ref()).await?;
    let known = template.as_ref().map(|template| capability(template, &ask)).transpose()?.cloned();
    if let Some(known) = &known {
        check_request(known, ask.request)?;
    }
    let offline = known.as_ref().is_some_and(|known| known.durable);
    let run = CommandRun {
        id: CommandRunId(Uuid::now_v7()),
        command: command::method_name(ask.component, ask.name),
        asked_at: now(engine),
        asked_by: caller.actor.name.clone(),
        request: ask.request.cloned(),
        state: if offline { RunState::Queued } else { RunState::Sent },
        reason: None,
        status: None,
        response: None,
        fits: true,
        ended_at: None,
    };
    methods::check_name(&run.command)?;
    command_runs::insert(&tx, &caller.scope, device.key, &run).await?;
    let details = Map::from_iter([("command".to_owned(), json!(run.command))]);
    audit::record(&tx, engine, caller, Entry::new("commandRun", "device", ask.device).with(details)).await?;
    if offline {
        let message = message(&run);
        let queued = c2d::enqueue(&tx, engine, caller, (ask.device, device.key), message).await?;
        tx.commit().await?;
        queued.push(engine, caller).await;
        return Ok(run);
    }
    tx.commit().await?;
    let response = known.and_then(|known| known.response);
    let waiting = Waiting { device: (ask.device.clone(), device.key), run, response };
    waiting.invoke(engine, caller, (ask.connect_seconds, ask.response_seconds)).await
}

/// Now, as exactly as it is stored.
fn now(engine: &Engine) -> DateTime<Utc> {
    engine.clock().now().trunc_subsecs(3)
}

fn check_times(ask: &Ask<'_>) -> Result<(), EngineError> {
    if ask.connect_seconds > MAX_CONNECT_SECONDS {
        let message = format!("'connectionTimeout' is 0 to {MAX_CONNECT_SECONDS} seconds");
        return Err(Problem::at("timeout", "/connectionTimeout", message).into());
    }
    if !RESPONSE_SECONDS.contains(&ask.response_seconds) {
        let (least, most) = (RESPONSE_SECONDS.start(), RESPONSE_SECONDS.end());
        let message = format!("'responseTimeout' is {least} to {most} seconds");
        return Err(Problem::at("timeout", "/responseTimeout", message).into());
    }
    Ok(())
}

async fn template_of(
    tx: &Tx,
    scope: &Scope,
    id: Option<&muster_model::TemplateId>,
) -> Result<Option<Template>, EngineError> {
    let Some(id) = id else { return Ok(None) };
    Ok(Some(templates::load(stored::get(tx, scope, id).await?)?))
}

fn capability<'a>(template: &'a Template, ask: &Ask<'_>) -> Result<&'a Capability, EngineError> {
    let key = ask.component.map_or_else(|| ask.name.to_owned(), |component| format!("{component}.{}", ask.name));
    // A name with a dot in it is no command of a component.
    let own =
        |capability: &&Capability| capability.kind == Kind::Command && capability.component.as_deref() == ask.component;
    let known = template.capability(&key).filter(own);
    known.ok_or_else(|| EngineError::not_found("command", key))
}

fn check_request(command: &Capability, request: Option<&Value>) -> Result<(), EngineError> {
    let without = !command.takes_parameter();
    let given = request.filter(|request| !request.is_null());
    let problem = match given {
        Some(_) if without => format!("command '{}' takes no request", command.key),
        Some(given) if command.schema.accepts(given) => return Ok(()),
        Some(_) => {
            format!("the request does not fit the schema of command '{}': {}", command.key, command.schema.word())
        }
        None if without => return Ok(()),
        None => format!("command '{}' needs a request: {}", command.key, command.schema.word()),
    };
    Err(Problem::at("wrongValue", "/request", problem).into())
}

/// The message that a command is whose device may be away.
fn message(run: &CommandRun) -> c2d::NewMessage {
    let payload = match &run.request {
        None | Some(Value::Null) => NO_PARAMETER.to_vec(),
        Some(value) => value.to_string().into_bytes(),
    };
    let envelope = Envelope {
        message_id: run.id.to_string(),
        expires_at: Some(run.asked_at + OFFLINE_TTL),
        properties: vec![(METHOD_NAME.to_owned(), Some(run.command.clone()))],
        ..Envelope::default()
    };
    c2d::NewMessage { envelope, payload }
}

/// A run whose answer is waited for.
struct Waiting {
    device: (DeviceId, DeviceKey),
    run: CommandRun,
    /// What the answer must be.
    response: Option<Schema>,
}

impl Waiting {
    /// Asks the device. Whoever asked may go away: what comes of it is noted all the same.
    async fn invoke(
        self,
        engine: &Engine,
        caller: &Caller,
        (connect_seconds, response_seconds): (u32, u32),
    ) -> Result<CommandRun, CommandError> {
        let (own, by) = (engine.clone(), caller.clone());
        let task = engine.tasks().spawn(async move {
            let address = Address::from(self.device.0.clone());
            let invocation = Invocation {
                address: &address,
                name: &self.run.command,
                payload: self.run.request.as_ref().unwrap_or(&Value::Null),
                response_timeout: Duration::from_secs(response_seconds.into()),
                connect_timeout: Duration::from_secs(connect_seconds.into()),
            };
            let answer = methods::invoke(&own, &by, invocation).await;
            self.end(&own, &by, answer).await
        });
        task.await.map_err(|error| EngineError::unavailable("the command's task", error))?
    }

    async fn end(
        mut self,
        engine: &Engine,
        caller: &Caller,
        answer: Result<MethodAnswer, InvokeError>,
    ) -> Result<CommandRun, CommandError> {
        let tx = engine.store().begin(&caller.scope).await?;
        if matches!(&answer, Ok(answer) if answer.status == ACCEPTED) {
            // A quick device may have reported the result before its answer is noted here.
            let begun = command_runs::begin(&tx, &caller.scope, self.device.1, (self.run.id, ACCEPTED)).await?;
            tx.commit().await?;
            self.say(engine, caller).await;
            return Ok(begun.unwrap_or(CommandRun { state: RunState::Running, status: Some(ACCEPTED), ..self.run }));
        }
        let run = &mut self.run;
        let now = now(engine);
        match &answer {
            Ok(answer) => {
                (run.state, run.ended_at, run.status) = (RunState::Completed, Some(now), Some(answer.status));
                run.response = Some(answer.payload.clone()).filter(|payload| !payload.is_null());
                let done = (200..300).contains(&answer.status);
                run.fits = !done || self.response.as_ref().is_none_or(|schema| schema.accepts(&answer.payload));
            }
            Err(error) => {
                (run.state, run.ended_at) = (RunState::Failed, Some(now));
                run.reason = Some(error.to_string());
            }
        }
        command_runs::update(&tx, &caller.scope, self.device.1, &self.run).await?;
        tx.commit().await?;
        self.say(engine, caller).await;
        answer.map(|_| self.run).map_err(CommandError::from)
    }

    /// Tells whoever looks at the device.
    async fn say(&self, engine: &Engine, caller: &Caller) {
        let changed = LiveEvent::Properties { device: self.device.0.clone() };
        engine.live().publish(caller.scope.tenant, vec![changed]).await;
    }
}

/// The runs of a command, newest first.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn history(
    engine: &Engine,
    caller: &Caller,
    (device, component, name): (&DeviceId, Option<&str>, &str),
    paging: Paging<CommandRunId>,
) -> Result<Page<CommandRun>, EngineError> {
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let device = devices::get(&tx, &caller.scope, device).await?;
    let command = command::method_name(component, name);
    let mut page = command_runs::list(&tx, &caller.scope, (device.key, &command), paging).await?;
    let lost_before = engine.clock().now() - LOST_AFTER;
    let lost = page.items.iter_mut().filter(|run| run.state == RunState::Sent && run.asked_at < lost_before);
    for run in lost {
        run.state = RunState::Failed;
        run.reason = Some("the service was stopped before the device answered".to_owned());
    }
    Ok(page)
}

/// Notes the results of commands that went on, which the device reports as properties of their names.
pub(crate) async fn reported(
    tx: &Tx,
    engine: &Engine,
    scope: &Scope,
    device: DeviceKey,
    patch: &Map<String, Value>,
) -> Result<(), EngineError> {
    let mut told = Vec::new();
    for mut run in command_runs::open(tx, scope, device).await? {
        // Of several runs of a command, the result is the newest one's.
        let Some(result) = command::reported_result(&run.command, patch).filter(|_| !told.contains(&run.command))
        else {
            continue;
        };
        told.push(run.command.clone());
        run.fits = response_of(tx, scope, device, &run.command).await?.is_none_or(|schema| schema.accepts(result));
        (run.state, run.ended_at, run.response) = (RunState::Completed, Some(now(engine)), Some(result.clone()));
        command_runs::update(tx, scope, device, &run).await?;
    }
    Ok(())
}

/// What the template says that a command answers.
async fn response_of(tx: &Tx, scope: &Scope, device: DeviceKey, command: &str) -> Result<Option<Schema>, EngineError> {
    let found = devices::list_by_keys(tx, scope, &[device]).await?;
    let id = found.first().and_then(|device| device.template.as_ref());
    let Some(template) = template_of(tx, scope, id).await? else { return Ok(None) };
    let known = template.capability(&command.replacen('*', ".", 1));
    Ok(known.filter(|known| known.kind == Kind::Command).and_then(|known| known.response.clone()))
}
