//! Rounds over all twins: each gets what the configurations that are for it want.

use crate::{
    Engine, EngineError,
    audit::{self, Entry},
    queries,
    twins::{self, Change},
};
use chrono::Duration as Span;
use muster_model::{
    Address, Caller, Scope, SystemScope, TenantKey,
    configuration::{self, Configuration, Results, Target},
    query::{Query, Source},
    wire::twin,
};
use muster_store::{MAX_PAGE, configurations, modules, tenants, twins as rows};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often configurations are applied again: devices come and change.
const EVERY: Span = Span::minutes(5);
/// A round that takes longer is begun by another worker.
const LEASE: Span = Span::minutes(30);
/// How often it is looked for rounds that are due.
const IDLE: Duration = Duration::from_secs(1);

/// Applies configurations until `stop`.
pub(crate) async fn run(engine: Engine, stop: CancellationToken) {
    let mut every = tokio::time::interval(IDLE);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        let applied = tokio::select! {
            applied = apply_due(&engine) => applied,
            () = stop.cancelled() => return,
        };
        if let Err(error) = applied {
            tracing::warn!(%error, "configurations were not applied, trying again");
        }
    }
}

/// Applies the configurations of a tenant where that is due; whether it was.
///
/// # Errors
/// [`EngineError::Unavailable`].
pub async fn apply_due(engine: &Engine) -> Result<bool, EngineError> {
    let lease_until = engine.clock().now() + LEASE;
    let tx = engine.store().begin_system(&SystemScope).await?;
    let due = configurations::claim_due(&tx, &SystemScope, engine.clock().now(), lease_until, 1).await?;
    tx.commit().await?;
    let Some(tenant) = due.first() else { return Ok(false) };
    let round = round(engine, *tenant).await;
    let scope = Scope { tenant: *tenant };
    let now = engine.clock().now();
    let next = match round {
        // Metrics are to say how it is now.
        Ok(Round { changed: true, .. }) => Some(now),
        Ok(Round { idle: true, .. }) => None,
        Ok(_) | Err(_) => Some(now + EVERY),
    };
    let tx = engine.store().begin(&scope).await?;
    configurations::finish_round(&tx, &scope, lease_until, next).await?;
    tx.commit().await?;
    round.map(|_| true)
}

/// What a round did.
struct Round {
    /// Whether a twin was changed.
    changed: bool,
    /// Whether there is nothing to apply.
    idle: bool,
}

/// A configuration, ready to be applied.
struct Wanted {
    id: String,
    target: Target,
    patch: Map<String, Value>,
    metrics: Vec<(String, Query)>,
    results: Results,
}

async fn round(engine: &Engine, tenant: TenantKey) -> Result<Round, EngineError> {
    let scope = Scope { tenant };
    let tx = engine.store().begin_read(&scope).await?;
    let tenant = tenants::get(&tx, &scope).await?.id;
    let mut stored = configurations::list(&tx, &scope, MAX_PAGE).await?;
    drop(tx);
    let caller = Caller::system(scope.clone(), tenant, "configurations");
    // What comes later wins.
    stored.sort_by_key(|one| (one.document.priority, one.created_at));
    let mut wanted = stored.iter().map(Wanted::read).collect::<Result<Vec<Wanted>, EngineError>>()?;
    let mut changed = false;
    for source in [Source::Devices, Source::Modules] {
        let mut after = None;
        loop {
            let page = queries::documents(engine, &caller, source, after.take()).await?;
            after = page.documents.last().filter(|_| page.more).map(|(id, _)| id.clone());
            for (address, document) in page.documents {
                let (patch, marks) = of(&mut wanted, source, &document);
                if !differs(&document, &patch, &marks) {
                    continue;
                }
                match apply(engine, &caller, &address.parse()?, &patch, marks).await {
                    Ok(applied) => changed |= applied,
                    Err(error @ EngineError::Unavailable { .. }) => return Err(error),
                    // Too large, or gone meanwhile: the others go on.
                    Err(error) => tracing::debug!(%error, "a configuration was not applied to a twin"),
                }
            }
            if after.is_none() {
                break;
            }
        }
    }
    let tx = engine.store().begin(&scope).await?;
    for Wanted { id, results, .. } in &wanted {
        configurations::set_results(&tx, &scope, &id.parse()?, results).await?;
    }
    tx.commit().await?;
    Ok(Round { changed, idle: wanted.is_empty() })
}

impl Wanted {
    fn read(Configuration { id, document, .. }: &Configuration) -> Result<Self, EngineError> {
        let metrics = document.metrics.iter().map(|(name, text)| Ok((name.clone(), Query::parse(text)?)));
        let metrics = metrics.collect::<Result<Vec<_>, EngineError>>()?;
        let results = Results {
            metrics: document.metrics.keys().map(|name| (name.clone(), 0)).collect::<BTreeMap<_, _>>(),
            ..Results::default()
        };
        let target = Target::parse(&document.target_condition)?;
        Ok(Self { id: id.to_string(), target, patch: document.wanted(), metrics, results })
    }
}

/// What is wanted of a twin, and by which configurations; counts it on the way.
fn of(wanted: &mut [Wanted], source: Source, document: &Value) -> (Map<String, Value>, Map<String, Value>) {
    let (mut patch, mut marks) = (Map::new(), Map::new());
    for one in wanted {
        for (name, query) in &one.metrics {
            if query.source == source && query.wants(document) {
                *one.results.metrics.entry(name.clone()).or_default() += 1;
            }
        }
        if one.target.source != source || !one.target.holds(document) {
            continue;
        }
        one.results.targeted += 1;
        let marked = document.pointer("/configurations").and_then(|marks| marks.get(&one.id));
        one.results.applied += i64::from(marked.is_some());
        twin::merge(&mut patch, &one.patch);
        marks.insert(one.id.clone(), json!({"status": "Applied"}));
    }
    (patch, marks)
}

fn differs(document: &Value, patch: &Map<String, Value>, marks: &Map<String, Value>) -> bool {
    let none = Map::new();
    let section = |pointer: &str| document.pointer(pointer).and_then(Value::as_object).unwrap_or(&none).clone();
    section("/configurations") != *marks || !configuration::missing(&section("/properties/desired"), patch).is_empty()
}

/// Gives the twin what it lacks; whether that was anything.
async fn apply(
    engine: &Engine,
    caller: &Caller,
    address: &Address,
    wanted: &Map<String, Value>,
    marks: Map<String, Value>,
) -> Result<bool, EngineError> {
    let tx = engine.store().begin(&caller.scope).await?;
    let device = modules::resolve(&tx, &caller.scope, address).await?;
    let mut twin = rows::lock(&tx, &caller.scope, device.key).await?;
    let missing = configuration::missing(&twin.desired, wanted);
    if missing.is_empty() && twin.configurations == marks {
        return Ok(false);
    }
    let push = match missing.is_empty() {
        true => None,
        false => Some(twins::change_desired(engine, &mut twin, &missing, Change::Merge)?),
    };
    if push.is_none() {
        twin.version += 1;
    }
    let names = marks.keys().map(|id| Value::from(id.as_str())).collect();
    twin.configurations = marks;
    rows::update(&tx, &caller.scope, device.key, &twin).await?;
    let details = Map::from_iter([("configurations".to_owned(), Value::Array(names))]);
    audit::record(&tx, engine, caller, Entry::new("configured", address.kind(), address).with(details)).await?;
    match push {
        Some(push) => twins::commit_and_push(engine, caller, tx, (&address.device, device.key), push).await?,
        None => tx.commit().await?,
    }
    Ok(true)
}
